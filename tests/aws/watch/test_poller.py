"""One look-out for all waiting jobs; on a loop whose clock jumps, so that hours of waiting take no time and no luck."""

import asyncio
import copy
import gc
import itertools
import math
import random
import threading
import time
import weakref
from datetime import UTC, datetime

import loops
import pytest
from accounts import InvalidTokenError, ScriptedAccount, ScriptedJob
from msgspec.structs import replace

from airflow_nbjobs.aws.watch import shared
from airflow_nbjobs.aws.watch.call_budget import CallBudget
from airflow_nbjobs.aws.watch.poller import JobPoller
from airflow_nbjobs.aws.watch.shared import PollerKey, shared_poller
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.status import JobSnapshot, JobState, JobSummary
from airflow_nbjobs.core.watch import pace as polling
from airflow_nbjobs.core.watch.pace import Pace
from airflow_nbjobs.core.watch.plan import DescribeJob, ListJobs

KEY = PollerKey("aws_default", "eu-west-1", "None", "null")
THROTTLED = NotebookJobServiceError("Rate exceeded", code="ThrottlingException", is_retryable=True)
UNREACHABLE = NotebookJobServiceError("no answer", code="EndpointConnectionError", is_retryable=True)
DENIED = NotebookJobServiceError(
    "AccessDenied",
    code="AccessDeniedException",
    details={"next": "the identity that Airflow uses needs sagemaker:ListTrainingJobs on '*'"},
)
STARTS = 1000.0  # of the stepped loop's clock
NEVER = float("inf")


def in_full(*values):
    """A size or a seed for the full tier: the law is the same, the proof takes longer."""
    return pytest.param(*values, marks=pytest.mark.slow)


def now():
    """Seconds since the loop began; there are no threads: see loops.py."""
    return asyncio.get_running_loop().time() - STARTS


class Port:
    """
    The training-jobs port on a scripted account.

    :ivar errors: raised, oldest first, by the next calls of an operation.
    :ivar every: raised by each call of an operation.
    """

    def __init__(self, account=None, **behaviour):
        self.account = account or ScriptedAccount(now, **behaviour)
        self.errors = {"describe": [], "list": []}
        self.every = {}
        self.refused = []
        self.opened = 0
        self.open_errors = []
        self._opened_at = 0.0

    def add(self, *names, created=-60.0, ends=NEVER, status="Completed"):
        self.account.add(ScriptedJob(name, created, ends, status) for name in names)
        return self

    def add_burst(self, name, count, *, created=-600.0, every=0.05, ends=NEVER):
        jobs = [ScriptedJob(f"{name}-{n:05}", round(created + n * every, 3), ends) for n in range(count)]
        self.account.add(jobs)
        return [job.name for job in jobs]

    def _refuse(self, operation):
        if self.errors[operation]:
            self.refused.append((now(), operation))
            raise self.errors[operation].pop(0)
        if operation in self.every:
            self.refused.append((now(), operation))
            raise self.every[operation]

    def describe(self, job_name):
        self._refuse("describe")
        summary = self.account.describe(DescribeJob(job_name))
        if summary is None:
            return None
        return JobSnapshot(
            job_name=job_name,
            arn="arn",
            state=summary.state,
            status=summary.status,
            secondary_status=summary.secondary_status,
            created=summary.created,
        )

    def list_page(self, call):
        self._refuse("list")
        try:
            return self.account.list(call)
        except InvalidTokenError as error:
            raise NotebookJobConfigError("SageMaker refused the request: Invalid NextToken") from error

    async def open(self):
        self.opened += 1
        if self.open_errors:
            raise self.open_errors.pop(0)
        return self

    def looks_at(self, name):
        return [at for at, call in self.account.calls if call == DescribeJob(name)]


@pytest.fixture
def jobs():
    return Port()


def wait_for_all(jobs, *names, delay=30, pace=None, within=100_000):
    """Each name's summary and when it came."""

    async def one(poller, name):
        return await poller.wait(name, waiter_delay_seconds=delay), now()

    async def main():
        poller = JobPoller(jobs.open, pace=pace)
        async with asyncio.timeout(within):
            return await asyncio.gather(*(one(poller, name) for name in names))

    return loops.run(main())


def for_seconds(jobs, seconds, names, *, delay=30, pace=None):
    """Let so much time pass while the jobs wait."""

    async def main():
        poller = JobPoller(jobs.open, pace=pace)
        waiting = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=delay)) for name in names]
        await asyncio.sleep(seconds)
        assert not any(task.done() for task in waiting)

    loops.run(main())


# -- one job -----------------------------------------------------------------------------------------------------------


def test_a_waiter_gets_what_the_service_says_at_the_end(jobs):
    ((summary, at),) = wait_for_all(jobs.add("a", ends=12), "a")
    assert (summary.job_name, summary.status) == ("a", "Completed")
    assert at == pytest.approx(15, abs=0.5)


@pytest.mark.parametrize("count", [1, 5], ids=["described", "listed"])
@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped", "Deleting"])
def test_every_terminal_status_ends_the_wait(jobs, status, count):
    names = [f"job-{number}" for number in range(count)]
    ended = wait_for_all(jobs.add(*names, ends=3, status=status), *names)
    assert {summary.status for summary, _ in ended} == {status}


@pytest.mark.parametrize("count", [1, 5], ids=["described", "listed"])
@pytest.mark.parametrize("status", ["Stopping", "SomethingOfNextYear"])
def test_a_status_that_is_no_end_keeps_waiting(jobs, status, count):
    names = [f"job-{number}" for number in range(count)]
    for_seconds(jobs.add(*names, ends=2, status=status), 600, names)


def test_two_waiters_for_one_job_are_one_look_each_time(jobs):
    first, second = wait_for_all(jobs.add("a", ends=8), "a", "a")
    assert first == second
    assert len(jobs.account.calls) == 3  # at 0, 5, 10


def test_a_delay_of_nothing_is_no_endless_loop_of_calls(jobs):
    for_seconds(jobs.add("a"), 60, ["a"], delay=0)
    assert len(jobs.account.calls) <= 62


# -- calls -------------------------------------------------------------------------------------------------------------

SLOW = Pace(polling_interval_seconds=30)


def calls_a_minute(jobs, names, *, pace, minutes=5):
    """In the steady state, safety sweeps included."""
    # A second less: a call at the very end would be made or not by the order in which asyncio wakes two sleepers.
    for_seconds(jobs, 60 * (minutes + 5) - 1, names, pace=pace)
    return jobs.account.count(since=300) / minutes


@pytest.mark.parametrize(
    ("count", "a_minute"), [(1, 2), (10, 2), (100, 2), (500, 10), in_full(1000, 20), in_full(2000, 40)]
)
def test_jobs_created_together_cost_two_calls_a_minute_a_hundred_at_30_seconds(jobs, count, a_minute):
    jobs.add_burst("old", 5000, created=-90_000, every=10)
    assert calls_a_minute(jobs, jobs.add_burst("job", count), pace=SLOW) == pytest.approx(a_minute, rel=0.05)


@pytest.mark.parametrize(
    ("count", "a_minute"), [(1, 12), (10, 12), (100, 12), (500, 60), in_full(1000, 60), in_full(2000, 60)]
)
def test_by_default_the_budget_is_used_for_quicker_news_and_never_exceeded(jobs, count, a_minute):
    names = jobs.add_burst("job", count)
    assert calls_a_minute(jobs, names, pace=None) == pytest.approx(a_minute, rel=0.05)
    times = [at for at, call in jobs.account.calls if isinstance(call, ListJobs)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps, default=1.0) >= 0.999


@pytest.mark.parametrize("history", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_one_old_job_in_a_busy_account_costs_what_a_poll_of_its_own_would(jobs, history):
    jobs.add_burst("foreign", history, created=-50_000, every=0.49)
    jobs.add("old", created=-60_000)
    for_seconds(jobs, 599, ["old"], pace=SLOW)
    assert jobs.account.count() == 20
    assert jobs.account.count(ListJobs) == 0


@pytest.mark.parametrize("seed", [*range(5), *map(in_full, range(5, 40))])
def test_never_more_calls_than_a_poll_for_each_job_whatever_the_history(seed):
    """Each job alone would be described when it begins to wait, and every 30 s from then on."""
    script = random.Random(seed)
    jobs = Port()
    jobs.add_burst("foreign", script.choice([0, 300, 20_000]), created=-200_000, every=script.choice([0.01, 5, 9]))
    names = []
    for number in range(script.choice([1, 3, 12])):
        at = -script.uniform(0, 200_000)
        names += jobs.add_burst(f"mine-{number}", script.choice([1, 1, 2, 30, 150]), created=at, every=0.3)
    for_seconds(jobs, 599, names, pace=SLOW)
    assert jobs.account.count() <= 20 * len(names) + (math.log2(len(names)) + 1 if len(names) > 2 else 0)


def test_many_waiters_share_one_client(jobs):
    wait_for_all(jobs, *jobs.add_burst("job", 50, ends=60))
    assert jobs.opened == 1


# -- news ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "p50", "p95"),
    [(1, 5, 5), (10, 5, 6), (100, 3, 6), (500, 3, 6), in_full(1000, 6, 10.5), in_full(2000, 11, 20.5)],
)
def test_how_soon_an_end_is_known(jobs, count, p50, p95):
    names = jobs.add_burst("job", count)
    script = random.Random(7)
    for name in names:
        jobs.account.jobs[name].ends = script.uniform(60, 240)
    ended = wait_for_all(jobs, *names)
    delays = sorted(at - jobs.account.jobs[summary.job_name].ends for summary, at in ended)
    assert delays[0] >= 0
    assert delays[len(delays) // 2] <= p50
    assert delays[int(len(delays) * 0.95)] <= p95


async def test_a_joiner_is_looked_at_soon(jobs):
    """Most of a cycle may be left when another task defers: its job may already have ended."""
    jobs.add("slow").add("quick", ends=0)
    poller = JobPoller(jobs.open, pace=SLOW)
    slow = [asyncio.create_task(poller.wait("slow", waiter_delay_seconds=300)) for _ in range(4)]
    await asyncio.sleep(7)
    joined = now()
    await poller.wait("quick", waiter_delay_seconds=300)
    took = now() - joined
    assert not any(task.done() for task in slow)
    assert took < 1


async def test_triggers_that_are_handed_over_50_a_second_share_their_looks(jobs):
    """A restart: 2,000 wait, and Airflow takes 40 s to say so. All are known when the last has joined."""
    names = jobs.add_burst("job", 2000, ends=0)
    random.Random(1).shuffle(names)

    async def one(poller, name, joins):
        await asyncio.sleep(joins)
        await poller.wait(name, waiter_delay_seconds=30)
        return now()

    poller = JobPoller(jobs.open)
    keeper = asyncio.create_task(poller.wait("keeper", waiter_delay_seconds=30))
    known = await asyncio.gather(*(one(poller, name, number // 50) for number, name in enumerate(names)))
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    jobs.add("keeper", created=-700)
    assert max(known) < 45
    assert jobs.account.count() < 60


async def test_what_a_page_said_of_a_job_is_remembered_for_a_minute_only(jobs):
    """A job that ran when nobody waited for it is looked at again."""
    names = jobs.add_burst("job", 5)
    jobs.add("later", created=-590, ends=100)
    poller = JobPoller(jobs.open)
    waiting = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names]
    await asyncio.sleep(102)
    summary = await poller.wait("later", waiter_delay_seconds=30)
    assert not any(task.done() for task in waiting)
    assert summary.status == "Completed"
    assert now() < 110


@pytest.mark.parametrize("pause", [10, 60, 100, 200])
async def test_a_waiter_who_comes_back_to_its_job_is_told_of_an_end_that_was_missed_meanwhile(jobs, pause):
    names = jobs.add_burst("job", 150)
    jobs.account.jobs[names[0]].ends = 100.0
    poller = JobPoller(jobs.open)
    others = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names[1:]]
    leaving = asyncio.create_task(poller.wait(names[0], waiter_delay_seconds=30))
    await asyncio.sleep(95)
    leaving.cancel()
    await asyncio.sleep(pause)
    summary = await poller.wait(names[0], waiter_delay_seconds=30)
    assert not any(task.done() for task in others)
    assert summary.status == "Completed"
    assert now() - 95 - pause < 12


# -- nothing lost, nothing early, nothing twice -----------------------------------------------------------------------

HARDSHIPS = {
    "none": {},
    "lists lag 20 s": {"lag": 20.0},
    "the service's clock is 5 s ahead": {"skew": 5.0},
    "the service's clock is 5 s behind": {"skew": -5.0},
    "an hour behind": {"skew": -3600.0},
    "empty pages": {"empty_pages": 20},
    "small pages": {"page_size": 7},
    "filtered before paging": {"is_filtered_first": True},
    "all": {"lag": 20.0, "skew": -5.0, "empty_pages": 10, "page_size": 30},
}


@pytest.mark.parametrize("seed", [0, *map(in_full, range(1, 20))])
@pytest.mark.parametrize("hardship", HARDSHIPS)
def test_every_end_is_told_once_and_none_before_it_has_come(hardship, seed, monkeypatch, caplog):
    """Jobs come and go all the time, mine and others', while pages are read; a fifth of all calls are refused or lost."""
    monkeypatch.setattr(polling, "SAFETY_SECONDS", NEVER)  # not needed for any of this
    script = random.Random(f"{hardship}{seed}")
    jobs = Port(seed=seed, **HARDSHIPS[hardship])
    jobs.add_burst("old", 400, created=-4000, every=9, ends=-100)
    mine = [
        ScriptedJob(
            f"mine-{number:03}", at := round(script.uniform(0, 400), 3), round(at + script.expovariate(1 / 120), 3)
        )
        for number in range(script.choice([2, 40, 250]))
    ]
    foreign = [
        ScriptedJob(f"foreign-{number:03}", at := round(script.uniform(-500, 900), 3), at + script.uniform(0, 300))
        for number in range(300)
    ]
    jobs.account.add([*mine, *foreign])
    refuse = jobs._refuse

    def refuse_some(operation):
        if script.random() < 0.2:
            raise script.choice([THROTTLED, UNREACHABLE])
        refuse(operation)

    jobs._refuse = refuse_some
    told = []

    async def one(poller, job):
        await asyncio.sleep(job.created + 1)
        summary = await poller.wait(job.name, waiter_delay_seconds=30)
        told.append((job.name, summary.job_name))
        return now() - job.ends

    async def main():
        pollers = [JobPoller(jobs.open)]
        async with asyncio.timeout(20_000):
            return await asyncio.gather(*(one(pollers[0], job) for job in mine))

    delays = loops.run(main())
    assert sorted(told) == [(job.name, job.name) for job in mine]
    assert min(delays) >= 0
    assert max(delays) < 300, sorted(delays)[-3:]
    assert len(caplog.records) < 5


def test_a_list_call_that_hangs_for_ten_minutes_loses_nothing(jobs):
    """As under SIGSTOP: time passes between the service's answer and our reading it, and jobs end meanwhile."""
    names = jobs.add_burst("job", 250)
    for name in names:
        jobs.account.jobs[name].ends = 600.0
    listing = jobs.list_page

    def stopped(call):
        page = listing(call)
        if 40 < now() < 60:
            asyncio.get_running_loop()._stepping.now += 600
        return page

    jobs.list_page = stopped
    ended = wait_for_all(jobs, *names)
    assert max(at for _, at in ended) < 700


def test_a_token_that_has_expired_begins_the_sweep_anew(jobs):
    names = jobs.add_burst("job", 250, ends=100)
    listing, refused = jobs.list_page, []

    def expiring(call):
        if call.next_token is not None and len(refused) < 5:
            refused.append(call)
            raise NotebookJobConfigError("SageMaker refused the request: Invalid NextToken")
        return listing(call)

    jobs.list_page = expiring
    ended = wait_for_all(jobs, *names)
    assert len(refused) == 5
    assert max(at for _, at in ended) < 150


async def test_a_change_that_the_service_dates_wrongly_is_found_by_the_safety_sweep(jobs):
    names = jobs.add_burst("job", 150)
    ended = jobs.account.jobs[names[10]]
    summarise = jobs.account._summary

    def misdated(job, seen_at):
        return replace(summarise(job, seen_at), modified=jobs.account.time(job.created))

    jobs.account._summary = misdated
    ended.ends = 50.0
    poller = JobPoller(jobs.open)
    waiting = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names]
    await waiting[10]
    assert now() < 50 + polling.SAFETY_SECONDS + 10


async def test_a_job_that_is_deleted_while_its_task_waits_is_an_error_that_says_so(jobs):
    names = jobs.add_burst("job", 150, ends=400)
    poller = JobPoller(jobs.open)
    waiting = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names]
    await asyncio.sleep(20)
    jobs.account.delete(names[7])
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    gone = outcomes.pop(7)
    assert (type(gone), gone.code, gone.is_retryable) == (NotebookJobServiceError, "ResourceNotFound", True)
    assert f"knows no training job '{names[7]}' any more: it has been deleted" in str(gone)
    assert {outcome.status for outcome in outcomes} == {"Completed"}


@pytest.mark.parametrize("count", [1, 5, 150])
def test_a_job_that_is_not_known_within_a_minute_of_its_creation_is_asked_for_again(jobs, count):
    """Describe and List lag behind CreateTrainingJob; a job that runs would go on unread."""
    names = [f"job-{number:03}" for number in range(count)]
    ended = wait_for_all(jobs.add(*names, created=55.0, ends=90.0), *names)
    assert {summary.status for summary, _ in ended} == {"Completed"}
    assert max(at for _, at in ended) < 110


def test_a_job_that_is_unknown_for_a_moment_and_known_again_is_waited_for(jobs):
    jobs.add("a", "b", created=-60.0, ends=300.0)
    describe = jobs.describe
    jobs.describe = lambda name: None if name == "a" and 30 <= now() % 100 < 80 else describe(name)
    ended = wait_for_all(jobs, "a", "b")
    assert [summary.status for summary, _ in ended] == ["Completed"] * 2


async def test_a_job_that_nobody_knows_is_told_after_a_minute_with_what_to_do(jobs):
    jobs.add("other", ends=400)
    poller = JobPoller(jobs.open)
    other = asyncio.create_task(poller.wait("other", waiter_delay_seconds=30))
    with pytest.raises(NotebookJobServiceError) as caught:
        await poller.wait("none", waiter_delay_seconds=30)
    (error, at, status) = caught.value, now(), (await other).status
    assert 60 <= at < 75
    assert (error.code, error.is_retryable, error.job_name) == ("ResourceNotFound", True, "none")
    assert error.headline == "SageMaker knows no training job 'none' (asked for 60 s)"
    assert "region and account of the task's connection" in error.details["next"]
    assert status == "Completed"
    assert 6 <= len(jobs.looks_at("none")) <= 20


async def test_who_waits_again_for_an_unknown_job_has_a_minute_again(jobs):
    poller = JobPoller(jobs.open)
    for _ in range(2):
        began = now()
        with pytest.raises(NotebookJobServiceError):
            await poller.wait("none", waiter_delay_seconds=30)
        assert now() - began >= 60


# -- leaving -----------------------------------------------------------------------------------------------------------


async def test_a_leaving_waiter_leaves_the_others_waiting(jobs):
    jobs.add("a", "b", ends=20)
    poller = JobPoller(jobs.open)
    leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
    staying = asyncio.create_task(poller.wait("b", waiter_delay_seconds=30))
    await asyncio.sleep(6)
    leaving.cancel()
    summary = await staying
    assert leaving.cancelled()
    assert summary.job_name == "b"
    assert max(jobs.looks_at("a")) < 6


async def test_when_the_last_waiter_has_left_nobody_looks_any_more_and_the_next_starts_anew(jobs):
    jobs.add("a").add("b", ends=0)
    poller = JobPoller(jobs.open)
    leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
    await asyncio.sleep(6)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert poller.is_idle
    calls = len(jobs.account.calls)
    await asyncio.sleep(600)
    assert len(jobs.account.calls) == calls
    assert (await poller.wait("b", waiter_delay_seconds=30)).job_name == "b"


async def test_a_waiter_who_joins_while_the_last_one_leaves_is_not_forgotten(jobs):
    """The poller's cancellation is under way; a joiner in the same step must get a poller of its own."""
    jobs.add("a").add("b", ends=3)
    poller = JobPoller(jobs.open)
    leaving = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
    await asyncio.sleep(6)
    leaving.cancel()
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(poller.wait("b", waiter_delay_seconds=30), timeout=3600)).job_name == "b"


@pytest.mark.parametrize("steps", range(8))
async def test_a_waiter_who_joins_in_the_step_in_which_the_poller_ends_is_not_forgotten(jobs, steps):
    """The last job's end is known and its waiter not told yet: the poller that is there looks no more."""
    jobs.add("a", ends=3).add("b", ends=30)
    poller = JobPoller(jobs.open)
    has_ended = asyncio.Event()
    describe = jobs.describe

    def noting(job_name):
        snapshot = describe(job_name)
        if snapshot.state.is_terminal:
            has_ended.set()
        return snapshot

    jobs.describe = noting

    async def join():
        await has_ended.wait()
        for _ in range(steps):
            await asyncio.sleep(0)
        return await asyncio.wait_for(poller.wait("b", waiter_delay_seconds=30), timeout=3600)

    joining = asyncio.create_task(join())
    first = await poller.wait("a", waiter_delay_seconds=30)
    assert (first.job_name, (await joining).job_name) == ("a", "b")


# -- trouble -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "operation"), [(1, "describe"), (150, "list")])
def test_throttling_slows_down_and_the_same_call_is_asked_again(jobs, count, operation):
    names = jobs.add_burst("job", count, ends=400)
    jobs.errors[operation] = [THROTTLED] * 4
    wait_for_all(jobs, *names)
    times = [at for at, _ in jobs.refused]
    unit = 0.2 if operation == "describe" else 1.0
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == pytest.approx(
        [2 * unit, 4 * unit, 8 * unit], abs=0.01
    )
    assert not jobs.account.count(since=410)


def test_where_the_service_allows_half_the_budget_nothing_is_lost(jobs):
    names = jobs.add_burst("job", 1000)
    script = random.Random(3)
    for name in names:
        jobs.account.jobs[name].ends = script.uniform(100, 400)
    refuse = jobs._refuse
    bucket = {"tokens": 2.0, "at": 0.0}

    def by_bucket(operation):
        bucket["tokens"] = min(2.0, bucket["tokens"] + (now() - bucket["at"]) * 0.5)
        bucket["at"] = now()
        if bucket["tokens"] < 1:
            jobs.errors[operation].append(THROTTLED)
        else:
            bucket["tokens"] -= 1
        refuse(operation)

    jobs._refuse = by_bucket
    ended = wait_for_all(jobs, *names)
    delays = sorted(at - jobs.account.jobs[summary.job_name].ends for summary, at in ended)
    assert len(delays) == 1000
    assert delays[0] >= 0
    assert delays[950] < 45
    assert len(jobs.refused) < 0.4 * len(jobs.account.calls)


def test_an_endpoint_that_is_away_is_tried_again_and_said_once(jobs, caplog):
    jobs.add("a", ends=100).errors["describe"] = [UNREACHABLE] * 10
    ((summary, _),) = wait_for_all(jobs, "a")
    assert summary.status == "Completed"
    assert sum("going on trying" in record.message for record in caplog.records) == 1


def test_a_connection_that_cannot_be_opened_for_a_moment_is_tried_again(jobs):
    jobs.add("a", ends=0).open_errors = [UNREACHABLE, THROTTLED]
    ((summary, _),) = wait_for_all(jobs, "a")
    assert summary.status == "Completed"
    assert jobs.opened == 3


def outcomes(jobs, *names):
    async def main():
        poller = JobPoller(jobs.open)
        waits = (poller.wait(name, waiter_delay_seconds=30) for name in names)
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), timeout=36_000)

    return loops.run(main())


@pytest.mark.parametrize("error", [NotebookJobConfigError("no credentials"), ZeroDivisionError("a bug")], ids=str)
@pytest.mark.parametrize("after", [0, 100], ids=["at once", "later"])
def test_a_crash_reaches_every_waiter(jobs, error, after):
    """A silent poller would leave its tasks deferred for ever."""
    names = jobs.add_burst("job", 250)
    listing = jobs.list_page

    def crashing(call):
        if now() >= after:
            raise error
        return listing(call)

    jobs.list_page = crashing
    assert outcomes(jobs, *names) == [error] * 250


@pytest.mark.parametrize("error", [NotebookJobConfigError("no credentials"), ZeroDivisionError("a bug")], ids=str)
def test_an_error_of_describe_reaches_the_waiter(jobs, error):
    jobs.add("a").errors["describe"] = [error]
    assert outcomes(jobs, "a") == [error]


def test_a_connection_that_cannot_be_opened_reaches_every_waiter(jobs):
    error = NotebookJobConfigError("there is no Airflow connection 'x'")
    jobs.add("a", "b").open_errors = [error]
    assert outcomes(jobs, "a", "b") == [error] * 2


async def test_after_a_crash_the_next_waiter_gets_a_fresh_start(jobs):
    jobs.add("a", ends=0).errors["describe"] = [ZeroDivisionError("a bug")]
    poller = JobPoller(jobs.open)
    with pytest.raises(ZeroDivisionError):
        await poller.wait("a", waiter_delay_seconds=30)
    assert (await poller.wait("a", waiter_delay_seconds=30)).status == "Completed"
    assert jobs.opened == 2


def test_a_job_that_may_not_be_described_fails_its_waiter_only(jobs):
    """A policy may allow jobs by name or tag."""
    jobs.add("a", "b", ends=400)
    describe = jobs.describe

    def denying(name):
        if name == "a":
            jobs.refused.append((now(), name))
            raise DENIED
        return describe(name)

    jobs.describe = denying
    denied, summary = outcomes(jobs, "a", "b")
    assert denied is DENIED
    assert summary.status == "Completed"
    assert 600 <= max(jobs.refused)[0] < 630


@pytest.mark.parametrize("count", [1, 2])
def test_a_denial_that_passes_is_never_told(jobs, count):
    """A policy that was just changed takes minutes to reach everywhere."""
    names = [f"job-{number}" for number in range(count)]
    jobs.add(*names, ends=500)
    describe = jobs.describe

    def denying(name):
        if 50 < now() < 330:
            raise DENIED
        return describe(name)

    jobs.describe = denying
    assert [summary.status for summary, _ in wait_for_all(jobs, *names)] == ["Completed"] * count


# -- credentials -------------------------------------------------------------------------------------------------------


def refused(code):
    return NotebookJobServiceError(f"AWS does not accept the credentials ({code})", code=code, is_retryable=True)


CREDENTIALS = [
    "ExpiredToken",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "CredentialRetrievalError",
    "MetadataRetrievalError",
    "NoCredentialsError",
    "RequestExpired",
]


class Rotated(Port):
    """
    An account whose key has been rotated, at ``at``: a port that was opened before is refused from then on.

    :param until: fresh ports are refused as well until then.
    """

    def __init__(self, code, *, at=0.0, until=0.0):
        super().__init__()
        self.code, self.at, self.until = code, at, until
        self.opened_at = []

    async def open(self):
        await super().open()
        self.opened_at.append(now())
        port = copy.copy(self)
        port._opened_at = now()
        return port

    def _refuse(self, operation):
        is_stale = self._opened_at < self.at and self.code != "RequestTimeTooSkewed"
        if now() >= self.at and (is_stale or now() < self.until):
            self.refused.append((now(), operation))
            raise refused(self.code)


@pytest.mark.parametrize("code", CREDENTIALS)
def test_a_key_that_is_rotated_while_two_hundred_wait_is_told_to_none_of_them(code, caplog):
    jobs = Rotated(code, at=50.0)
    names = jobs.add_burst("job", 200, ends=120)
    ended = wait_for_all(jobs, *names)
    assert [summary.status for summary, _ in ended] == ["Completed"] * 200
    assert max(at for _, at in ended) < 130
    assert len(jobs.refused) == 1
    assert len(jobs.opened_at) == 2
    assert caplog.records == []


@pytest.mark.parametrize("code", CREDENTIALS)
@pytest.mark.parametrize("count", [1, 200])
def test_fresh_connections_that_are_refused_for_some_minutes_are_told_to_nobody_either(code, count):
    jobs = Rotated(code, at=50.0, until=300.0)
    names = jobs.add_burst("job", count, ends=120)
    ended = wait_for_all(jobs, *names)
    assert [summary.status for summary, _ in ended] == ["Completed"] * count
    assert max(at for _, at in ended) < 350
    assert 5 < len(jobs.opened_at) < 20


def test_a_connection_that_stays_refused_is_told_and_is_worth_a_retry():
    jobs = Rotated("ExpiredToken", at=50.0, until=NEVER)
    names = jobs.add_burst("job", 200, ends=120)
    told = outcomes(jobs, *names)
    assert {(type(error), error.code, error.is_retryable) for error in told} == {
        (NotebookJobServiceError, "ExpiredToken", True)
    }
    assert 350 <= jobs.refused[-1][0] < 400


@pytest.mark.parametrize("code", ["CredentialRetrievalError", "MetadataRetrievalError", "RequestTimeTooSkewed"])
def test_a_source_of_credentials_or_a_clock_that_is_out_for_an_hour_is_never_told(code, caplog):
    jobs = Rotated(code, at=50.0, until=3650.0)
    (ended,) = wait_for_all(jobs.add("a", ends=120), "a")
    assert ended[0].status == "Completed"
    assert ended[1] < 3700
    assert 3 <= sum("going on trying" in record.message for record in caplog.records) <= 8


def test_a_credential_that_is_refused_once_an_hour_is_never_told():
    """What counts is that nothing succeeds in between."""
    jobs = Port()
    jobs.add("a", ends=5_000)
    describe = jobs.describe
    turn = itertools.count(1)

    def refusing(name):
        if next(turn) % 60 == 0:
            raise refused("ExpiredToken")
        return describe(name)

    jobs.describe = refusing
    ((summary, _),) = wait_for_all(jobs, "a")
    assert summary.status == "Completed"


@pytest.mark.parametrize(
    "error", [NotebookJobConfigError("there is no Airflow connection 'x'"), OSError("the API server is away")], ids=str
)
async def test_a_connection_that_cannot_be_read_again_for_a_moment_is_told_to_nobody(jobs, error):
    """A key may be rotated by deleting the connection and making it anew."""
    jobs.add("a", ends=100)
    poller = JobPoller(jobs.open)
    waiting = asyncio.create_task(poller.wait("a", waiter_delay_seconds=30))
    await asyncio.sleep(20)
    jobs.errors["describe"] = [refused("ExpiredToken")] * 3
    jobs.open_errors = [error] * 2
    assert (await waiting).status == "Completed"


def test_an_airflow_that_cannot_be_asked_for_the_connection_yet_is_asked_again(jobs):
    """The API server is restarted together with the triggerer."""
    jobs.add("a", ends=0).open_errors = [OSError("connection refused")] * 6
    ((summary, at),) = wait_for_all(jobs, "a")
    assert summary.status == "Completed"
    assert at < 120


def test_an_airflow_that_is_away_for_good_is_told(jobs):
    jobs.add("a").open_errors = [OSError("connection refused")] * 1000
    (error,) = outcomes(jobs, "a")
    assert isinstance(error, OSError)


def test_a_role_that_is_refused_when_the_connection_is_opened_is_tried_for_some_minutes(jobs):
    jobs.add("a", ends=0).open_errors = [refused("NoCredentialsError")] * 8
    assert [summary.status for summary, _ in wait_for_all(jobs, "a")] == ["Completed"]
    jobs.open_errors = [refused("NoCredentialsError")] * 1000
    (error,) = outcomes(jobs, "a")
    assert (error.code, error.is_retryable) == ("NoCredentialsError", True)


@pytest.mark.parametrize("after", [0, 100], ids=["from the beginning", "later"])
def test_without_the_permission_to_list_each_job_is_described_and_that_is_said_once(jobs, caplog, after):
    names = jobs.add_burst("job", 250)
    script = random.Random(5)
    for name in names:
        jobs.account.jobs[name].ends = script.uniform(50, 300)
    listing = jobs.list_page

    def denying(call):
        if now() >= after:
            jobs.refused.append((now(), "list"))
            raise DENIED
        return listing(call)

    jobs.list_page = denying
    ended = wait_for_all(jobs, *names)
    delays = [at - jobs.account.jobs[summary.job_name].ends for summary, at in ended]
    assert min(delays) >= 0
    assert max(delays) < 60
    assert len(jobs.refused) == 1
    (said,) = [record.message for record in caplog.records if "described alone" in record.message]
    assert "needs sagemaker:ListTrainingJobs" in said


def test_a_permission_that_is_given_later_is_used_in_the_end(jobs, monkeypatch):
    """After an hour; here after ten minutes."""
    monkeypatch.setattr(polling, "DENIED_SECONDS", 600.0)
    names = jobs.add_burst("job", 100)
    jobs.errors["list"] = [DENIED]
    for_seconds(jobs, 900, names)
    assert jobs.account.count(ListJobs) > 10
    first = next(at for at, call in jobs.account.calls if isinstance(call, ListJobs))
    assert first == pytest.approx(polling.DENIED_SECONDS, abs=60)


# -- budget and loop ----------------------------------------------------------------------------------------------------


async def test_the_pollers_of_a_process_share_its_budget_and_a_refusal_slows_down_only_its_own(jobs):
    """Different regions and connections side by side."""
    accounts = [jobs, Port(), Port()]
    names = [account.add_burst(f"job-{number}", 500) for number, account in enumerate(accounts)]
    accounts[0].every["list"] = THROTTLED
    budget = CallBudget()
    waiting = []
    for account, of_account in zip(accounts, names, strict=True):
        poller = JobPoller(account.open, budget=budget)
        waiting += [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in of_account]
    await asyncio.sleep(300)
    assert not any(task.done() for task in waiting)
    asked = sorted(
        at for account in accounts for at, call in account.account.calls if isinstance(call, ListJobs) and at > 0
    )
    assert min(later - earlier for earlier, later in itertools.pairwise(asked)) >= 0.999
    assert 250 < len(asked) <= 301
    shares = [account.account.count(ListJobs) for account in accounts[1:]]
    assert max(shares) < 1.2 * min(shares)
    assert len(jobs.refused) < 20


def test_a_call_that_hangs_does_not_hold_up_the_loop():
    """Real threads and a real clock: other triggers live in the same loop."""
    began = time.monotonic()
    jobs = Port(ScriptedAccount(lambda: time.monotonic() - began))
    names = jobs.add_burst("job", 5, ends=0)
    may_answer = threading.Event()
    listing = jobs.list_page

    def hanging(call):
        assert may_answer.wait(20)
        return listing(call)

    jobs.list_page = hanging

    async def main():
        poller = JobPoller(jobs.open)
        waiting = asyncio.gather(*(poller.wait(name, waiter_delay_seconds=30) for name in names))
        for _ in range(100):  # other coroutines of the loop go on
            await asyncio.sleep(0.001)
        assert not waiting.done()
        may_answer.set()
        return await asyncio.wait_for(waiting, 20)

    jobs._refuse = lambda operation: None
    assert [summary.status for summary in asyncio.run(main())] == ["Completed"] * 5


# -- registry ----------------------------------------------------------------------------------------------------------


async def test_the_same_connection_and_region_share_a_poller_and_others_do_not(jobs):
    jobs.add("a")
    pollers, waiting = [], []
    for key in (KEY, KEY, KEY._replace(aws_conn_id="other"), KEY._replace(region_name="us-east-1")):
        pollers.append(shared_poller(key, jobs.open))
        waiting.append(asyncio.create_task(pollers[-1].wait("a", waiter_delay_seconds=30)))
        await asyncio.sleep(1)
    first, second, *others = pollers
    assert first is second
    assert len({id(poller) for poller in (first, *others)}) == 3
    assert jobs.opened == 3


async def test_a_poller_without_waiters_is_let_go(jobs):
    """It would keep its loop alive: the registry is weak by loop, and a poller refers to it."""
    jobs.add("a", ends=0)
    poller = shared_poller(KEY, jobs.open)
    await poller.wait("a", waiter_delay_seconds=30)
    assert (list(shared._of_loops[asyncio.get_running_loop()].pollers)) == []


def test_each_loop_has_its_own_pollers_and_takes_them_along_when_it_ends(jobs):
    """``dag.test`` runs each trigger in a loop of its own."""
    kept = []

    async def main():
        poller = shared_poller(KEY, jobs.open)
        await poller.wait("a", waiter_delay_seconds=30)
        kept.append((weakref.ref(poller), weakref.ref(asyncio.get_running_loop())))

    jobs.add("a", ends=20)  # it rests in between, and so is bound to the loop
    loops.run(main())
    loops.run(main())
    gc.collect()
    assert jobs.opened == 2
    assert [reference() for references in kept for reference in references] == [None] * 4


async def test_the_pace_is_read_when_a_poller_is_made(jobs):
    read = []

    def read_pace():
        read.append(Pace(polling_interval_seconds=60))
        return read[-1]

    waits = (shared_poller(KEY, jobs.open, read_pace).wait(name, waiter_delay_seconds=300) for name in "ab")
    jobs.add("a", "b", ends=100)
    (_, at) = await asyncio.gather(*waits), now()
    assert len(read) == 1
    assert at == pytest.approx(120, abs=1)


# -- what is known already -----------------------------------------------------------------------------------------------


def ended(name, state=JobState.SUCCEEDED, status="Completed"):
    return JobSummary(job_name=name, state=state, status=status, created=datetime(2026, 1, 1, tzinfo=UTC))


async def test_a_job_whose_end_was_just_listed_costs_no_call(jobs):
    idle = []
    poller = JobPoller(jobs.open, on_idle=lambda: idle.append(1))
    poller.take([ended("a")])
    assert await poller.wait("a", waiter_delay_seconds=30) == ended("a")
    assert (jobs.opened, jobs.account.calls, idle, poller.is_idle) == (0, [], [1], True)


async def test_a_job_that_was_just_listed_as_running_is_waited_for(jobs):
    jobs.add("a", ends=12)
    poller = JobPoller(jobs.open)
    poller.take([ended("a", JobState.RUNNING, "InProgress")])
    assert (await poller.wait("a", waiter_delay_seconds=30)).status == "Completed"


async def test_an_end_that_is_told_while_others_wait_makes_no_poller_idle(jobs):
    idle = []
    poller = JobPoller(jobs.open, on_idle=lambda: idle.append(1))
    waiting = asyncio.create_task(poller.wait("b", waiter_delay_seconds=30))
    jobs.add("b")
    await asyncio.sleep(5)
    poller.take([ended("a")])
    await poller.wait("a", waiter_delay_seconds=30)
    assert (idle, poller.is_idle) == ([], False)
    waiting.cancel()
    await asyncio.sleep(1)
    assert (idle, poller.is_idle) == ([1], True)


def test_once_all_are_placed_only_changes_are_listed_and_all_every_five_minutes(jobs):
    names = jobs.add_burst("job", 250)
    for_seconds(jobs, 1000, names, pace=SLOW)
    lists = [(at, call) for at, call in jobs.account.calls if isinstance(call, ListJobs)]
    changes = [at for at, call in lists if call.modified_after is not None]
    sweeps = [at for at, call in lists if call.modified_after is None and call.next_token is None]
    assert len(changes) > 20
    late = [at for at in sweeps if at > 100]
    assert len(late) == 3
    assert all(300 <= later - earlier <= 340 for earlier, later in itertools.pairwise(late))


def test_a_page_is_taken_up_whoever_asked_for_it(jobs):
    """What comes with a poll of others is remembered for the trigger that starts a moment later."""
    jobs.add_burst("job", 20)
    jobs.add("later", created=-30.0, ends=-1.0)

    async def main():
        poller = JobPoller(jobs.open)
        others = [asyncio.create_task(poller.wait(f"job-{n:05}", waiter_delay_seconds=30)) for n in range(20)]
        await asyncio.sleep(2)
        asked = len(jobs.account.calls)
        summary = await poller.wait("later", waiter_delay_seconds=30)
        for other in others:
            other.cancel()
        return summary.status, len(jobs.account.calls) - asked

    assert loops.run(main()) == ("Completed", 0)


async def test_pollers_of_two_connections_keep_the_budget_of_the_process_together(jobs):
    other = Port()
    waiting = [
        asyncio.create_task(shared_poller(key, port.open).wait(name, waiter_delay_seconds=1))
        for key, port in ((KEY, jobs), (KEY._replace(aws_conn_id="other"), other))
        for name in port.add_burst("job", 300)
    ]
    await asyncio.sleep(300)
    assert not any(task.done() for task in waiting)
    counts = [port.account.count(since=100) for port in (jobs, other)]
    assert sum(counts) <= 202
    assert min(counts) > 50


# -- single answers ------------------------------------------------------------------------------------------------------


async def test_jobs_whose_triggers_have_left_are_not_described_but_for_the_one_whose_turn_it_was(jobs):
    names = [f"job-{number}" for number in range(6)]
    for number, name in enumerate(names):
        jobs.add(name, created=-9000.0 * (number + 1))
    poller = JobPoller(jobs.open, pace=Pace(list_calls_per_second=0.01))
    staying, *leaving = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names]
    await asyncio.sleep(1)
    for waiter in leaving:
        waiter.cancel()
    await asyncio.sleep(500)
    assert sum(len(jobs.looks_at(name)) for name in names[1:]) <= 2
    assert jobs.looks_at(names[0]) != []
    staying.cancel()


def test_a_refusal_that_will_not_pass_of_a_list_reaches_every_waiter(jobs):
    names = jobs.add_burst("job", 150)
    refusal = NotebookJobServiceError("odd", code="Odd")
    jobs.every["list"] = refusal

    async def main():
        poller = JobPoller(jobs.open)
        waits = (poller.wait(name, waiter_delay_seconds=30) for name in names)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert loops.run(main()) == [refusal] * 150


def test_a_malformed_request_without_a_token_is_no_lost_place(jobs):
    """Beginning anew would ask the same for ever."""
    names = jobs.add_burst("job", 150)
    error = NotebookJobConfigError("SageMaker refused the request")
    jobs.every["list"] = error

    async def main():
        poller = JobPoller(jobs.open)
        waits = (poller.wait(name, waiter_delay_seconds=30) for name in names)
        return await asyncio.gather(*waits, return_exceptions=True)

    assert set(map(str, loops.run(main()))) == {str(error)}


async def test_an_hour_after_a_denied_list_it_is_asked_for_again(jobs, caplog):
    names = jobs.add_burst("job", 5)
    jobs.errors["list"] = [DENIED]
    poller = JobPoller(jobs.open)
    waiting = [asyncio.create_task(poller.wait(name, waiter_delay_seconds=30)) for name in names]
    await asyncio.sleep(3590)
    assert jobs.account.count(ListJobs) == 0
    assert len(jobs.refused) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await asyncio.sleep(60)
    assert jobs.account.count(ListJobs) > 0
    assert not any(task.done() for task in waiting)


def test_a_crash_is_logged_and_an_error_of_ours_is_not(caplog):
    for error, is_logged in ((ValueError("a bug"), True), (NotebookJobConfigError("no connection"), False)):
        caplog.clear()
        jobs = Port().add("a")
        jobs.every["describe"] = error
        if not is_logged:
            jobs.open_errors = [error]

        async def main(jobs=jobs):
            await JobPoller(jobs.open).wait("a", waiter_delay_seconds=30)

        with pytest.raises(type(error)):
            loops.run(main())
        assert ("The poller of notebook jobs has crashed" in caplog.text) is is_logged
