"""One look-out for all waiting jobs; on a loop whose clock jumps, so that hours of waiting take no time and no luck."""

import asyncio
import gc
import itertools
import weakref

import loops
import pytest
from fakes import ACCOUNT_ID, FakeTrainingJobs

from airflow_nbjobs.aws import poller as poller_
from airflow_nbjobs.aws.poller import JobPoller, PollerKey, shared_poller
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError

KEY = PollerKey("aws_default", "eu-west-1", "None", "null")
THROTTLED = NotebookJobServiceError("Rate exceeded", code="ThrottlingException", is_retryable=True)
UNREACHABLE = NotebookJobServiceError("no answer", code="EndpointConnectionError", is_retryable=True)
DENIED = NotebookJobServiceError("AccessDenied", code="AccessDeniedException")


class TimedJobs(FakeTrainingJobs):
    """Jobs that know when they were looked at, and may end at a time of the loop's clock."""

    def __init__(self):
        super().__init__()
        self.looks = []
        self.ends = {}
        self.opened = 0
        self.open_error = None

    def add(self, *names, ends=None, status="Completed"):
        for name in names:
            self.create(
                {
                    "TrainingJobName": name,
                    "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
                    "AlgorithmSpecification": {"TrainingInputMode": "File"},
                    "OutputDataConfig": {"S3OutputPath": "s3://b/k"},
                    "ResourceConfig": {"VolumeSizeInGB": 1},
                    "StoppingCondition": {},
                }
            )
            if ends is not None:
                self.ends[name] = (ends, status)
        return self

    def describe(self, job_name):
        now = asyncio.get_running_loop().time()  # there are no threads: see loops.py
        self.looks.append((now - 1000.0, job_name))
        if job_name in self.ends and now - 1000.0 >= self.ends[job_name][0]:
            self.set_status(job_name, self.ends.pop(job_name)[1])
        return super().describe(job_name)

    async def open(self):
        self.opened += 1
        if self.open_error is not None:
            raise self.open_error
        return self

    def looks_at(self, name):
        return [at for at, looked in self.looks if looked == name]


@pytest.fixture
def jobs():
    return TimedJobs()


def wait_for_all(jobs, *names, delay=30):
    async def main():
        poller = JobPoller(jobs.open)
        return await asyncio.gather(*(poller.wait(name, waiter_delay_seconds=delay) for name in names))

    return loops.run(main())


def test_a_waiter_gets_the_terminal_snapshot(jobs):
    (snapshot,) = wait_for_all(jobs.add("a", ends=12), "a")
    assert (snapshot.job_name, snapshot.status) == ("a", "Completed")
    assert jobs.looks_at("a") == pytest.approx([0, 5, 10, 15], abs=0.1)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_every_terminal_status_ends_the_wait(jobs, status):
    (snapshot,) = wait_for_all(jobs.add("a", ends=3, status=status), "a")
    assert snapshot.status == status


@pytest.mark.parametrize("status", ["Deleting", "Stopping", "SomethingOfNextYear"])
def test_a_status_that_is_no_end_keeps_waiting(jobs, status):
    jobs.add("a", ends=2, status=status)

    async def main():
        poller = JobPoller(jobs.open)
        waiting = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
        await asyncio.sleep(600)
        assert not waiting.done()
        jobs.ends["a"] = (0, "Completed")
        return await waiting

    assert loops.run(main()).status == "Completed"


def test_many_waiters_share_one_poller_and_one_client(jobs):
    names = [f"job-{number}" for number in range(50)]
    snapshots = wait_for_all(jobs.add(*names, ends=60), *names)
    assert [snapshot.job_name for snapshot in snapshots] == names
    assert jobs.opened == 1


def test_two_waiters_for_one_job_are_one_look_each_cycle(jobs):
    first, second = wait_for_all(jobs.add("a", ends=8), "a", "a")
    assert first == second
    assert len(jobs.looks) == 3


def test_many_jobs_stretch_the_cycle_to_one_call_a_second(jobs):
    names = [f"job-{number}" for number in range(20)]
    wait_for_all(jobs.add(*names, ends=100), *names, delay=300)
    looks = [looked for at, looked in jobs.looks if at < 100]
    assert len(looks) == 20 * 5


def test_a_waiters_own_delay_is_never_exceeded(jobs):
    names = [f"job-{number}" for number in range(100)]
    wait_for_all(jobs.add(*names, ends=100), *names, delay=10)
    looks = jobs.looks_at("job-7")
    assert max(later - earlier for earlier, later in itertools.pairwise(looks)) <= 10.5


def test_a_delay_of_nothing_is_no_endless_loop_of_calls(jobs):
    wait_for_all(jobs.add("a", ends=10), "a", delay=0)
    assert len(jobs.looks) <= 12


def test_a_joiner_is_looked_at_soon(jobs):
    """Most of a cycle may be left when another task defers: its job may already have ended."""
    jobs.add("slow", ends=1000).add("quick", ends=0)

    async def main():
        poller = JobPoller(jobs.open)
        slow = asyncio.create_task(poller.wait("slow", waiter_delay_seconds=300))
        others = [asyncio.create_task(poller.wait("slow", waiter_delay_seconds=300)) for _ in range(3)]
        await asyncio.sleep(7)
        joined = asyncio.get_running_loop().time()
        await poller.wait("quick", waiter_delay_seconds=300)
        took = asyncio.get_running_loop().time() - joined
        for task in (slow, *others):
            task.cancel()
        await asyncio.gather(slow, *others, return_exceptions=True)
        return took

    assert loops.run(main()) < 1


def test_a_leaving_waiter_leaves_the_others_waiting(jobs):
    jobs.add("a", "b", ends=20)

    async def main():
        poller = JobPoller(jobs.open)
        leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
        staying = asyncio.create_task(poller.wait("b", waiter_delay_seconds=30))
        await asyncio.sleep(6)
        leaving.cancel()
        snapshot = await staying
        assert leaving.cancelled()
        return snapshot

    assert loops.run(main()).job_name == "b"
    assert max(jobs.looks_at("a")) < 6


def test_when_the_last_waiter_has_left_nobody_looks_any_more_and_the_next_starts_anew(jobs):
    jobs.add("a").add("b", ends=0)

    async def main():
        poller = JobPoller(jobs.open)
        leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
        await asyncio.sleep(6)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert poller.is_idle
        looks = len(jobs.looks)
        await asyncio.sleep(600)
        assert len(jobs.looks) == looks
        return await poller.wait("b", waiter_delay_seconds=30)

    assert loops.run(main()).job_name == "b"


def test_a_waiter_who_joins_while_the_last_one_leaves_is_not_forgotten(jobs):
    """The poller's cancellation is under way; a joiner in the same step must get a poller of its own."""
    jobs.add("a").add("b", ends=3)

    async def main():
        poller = JobPoller(jobs.open)
        leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
        await asyncio.sleep(6)
        leaving.cancel()
        await asyncio.sleep(0)
        return await asyncio.wait_for(poller.wait("b", waiter_delay_seconds=30), timeout=3600)

    assert loops.run(main()).job_name == "b"


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_throttling_slows_down_and_success_speeds_up_again(jobs):
    jobs.add("a", ends=400).errors["describe"] = [THROTTLED] * 3
    wait_for_all(jobs, "a")
    gaps = [later - earlier for earlier, later in itertools.pairwise(jobs.looks_at("a"))]
    assert gaps[:3] == pytest.approx([10, 20, 40], abs=0.1)
    assert gaps[3:-1] == pytest.approx([5] * len(gaps[3:-1]), abs=0.1)
    assert len(gaps) > 5


def test_an_endpoint_that_is_away_is_tried_again_and_said_once(jobs, caplog):
    jobs.add("a", ends=100).errors["describe"] = [UNREACHABLE] * 10
    (snapshot,) = wait_for_all(jobs, "a")
    assert snapshot.status == "Completed"
    assert sum("going on trying" in record.message for record in caplog.records) == 1


def outcomes(jobs, *names):
    async def main():
        poller = JobPoller(jobs.open)
        waits = (poller.wait(name, waiter_delay_seconds=30) for name in names)
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), timeout=3600)

    return loops.run(main())


@pytest.mark.parametrize(
    "error", [DENIED, NotebookJobConfigError("no credentials"), ZeroDivisionError("a bug")], ids=str
)
def test_a_crash_reaches_every_waiter(jobs, error):
    """A silent poller would leave its tasks deferred for ever."""
    jobs.add("a", "b", "c").errors["describe"] = [error]
    assert outcomes(jobs, "a", "b", "c") == [error] * 3


def test_a_connection_that_cannot_be_opened_reaches_every_waiter(jobs):
    jobs.add("a", "b").open_error = NotebookJobConfigError("there is no Airflow connection 'x'")
    assert outcomes(jobs, "a", "b") == [jobs.open_error] * 2


def test_after_a_crash_the_next_waiter_gets_a_fresh_start(jobs):
    jobs.add("a", ends=0).errors["describe"] = [ZeroDivisionError("a bug")]

    async def main():
        poller = JobPoller(jobs.open)
        with pytest.raises(ZeroDivisionError):
            await poller.wait("a", waiter_delay_seconds=30)
        return await poller.wait("a", waiter_delay_seconds=30)

    assert loops.run(main()).status == "Completed"
    assert jobs.opened == 2


def test_a_job_that_the_service_does_not_know_fails_its_waiter_only(jobs):
    jobs.add("a", ends=20)
    gone, snapshot = outcomes(jobs, "none", "a")
    assert isinstance(gone, NotebookJobConfigError)
    assert "knows no training job 'none'" in str(gone)
    assert snapshot.status == "Completed"


# -- registry ----------------------------------------------------------------------------------------------------------


def test_the_same_connection_and_region_share_a_poller_and_others_do_not(jobs):
    async def with_waiters():
        waiting = []
        pollers = []
        for key in (KEY, KEY, KEY._replace(aws_conn_id="other"), KEY._replace(region_name="us-east-1")):
            poller = shared_poller(key, jobs.open)
            waiting.append(asyncio.create_task(poller.wait("a", waiter_delay_seconds=30)))
            await asyncio.sleep(0)
            pollers.append(poller)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return pollers

    jobs.add("a")
    first, second, *others = loops.run(with_waiters())
    assert first is second
    assert len({id(poller) for poller in (first, *others)}) == 3
    assert jobs.opened == 3


def test_an_idle_poller_of_another_key_is_let_go(jobs):
    async def main():
        shared_poller(KEY, jobs.open)
        shared_poller(KEY._replace(region_name="us-east-1"), jobs.open)
        return list(poller_._pollers[asyncio.get_running_loop()])

    assert loops.run(main()) == [KEY._replace(region_name="us-east-1")]


def test_each_loop_has_its_own_pollers_and_takes_them_along_when_it_ends(jobs):
    """``dag.test`` runs each trigger in a loop of its own."""
    kept = []

    async def main():
        poller = shared_poller(KEY, jobs.open)
        await poller.wait("a", waiter_delay_seconds=30)
        kept.append(weakref.ref(poller))
        return id(poller)

    jobs.add("a", ends=0)
    loops.run(main())
    loops.run(main())
    gc.collect()
    assert jobs.opened == 2
    assert [reference() for reference in kept] == [None, None]
