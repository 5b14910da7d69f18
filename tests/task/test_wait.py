"""How a task waits: what its log says meanwhile, how long it sleeps, and what it hands on to the triggerer."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow_names import TaskDeferred
from fakes import STARTED, LogLines, executed, task_context
from operator_tasks import RAW, defer, end
from task_log import task_log

from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobServiceError
from airflow_nbjobs.core.job.status import StatusTransition
from airflow_nbjobs.core.job.submission_state import Cause, SubmissionState
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.task import wait as waiting
from airflow_nbjobs.task.ownership import Ownership
from airflow_nbjobs.task.publish import Publisher
from airflow_nbjobs.task.wait import CurrentJob, JobLog, Wait, described_if_ended, log_transitions


class Clock:
    """The time, which passes while a process sleeps."""

    def __init__(self):
        self.passed = 0.0
        self.sleeps = []

    def sleep(self, seconds):
        self.sleeps.append(seconds)
        self.passed += seconds

    def monotonic(self):
        return self.passed

    def now(self, tz):
        return STARTED.astimezone(tz) + timedelta(seconds=self.passed)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    monkeypatch.setattr(waiting, "datetime", clock)
    return clock


@pytest.fixture
def said(caplog, capsys):
    return lambda: task_log(caplog, capsys)


@pytest.fixture
def wait_of():
    def make(operator, context):
        ownership = Ownership(operator, context["ti"])
        return Wait(operator, context, ownership, Publisher(operator, context), JobLog(operator))

    return make


def job(name="job", **state):
    return CurrentJob(job_name=name, was_adopted=False, state=SubmissionState(**state))


def trouble(**fields):
    return NotebookJobServiceError("no answer", **{"code": "Throttling", "is_retryable": True} | fields)


# -- the job's statuses ------------------------------------------------------------------------------------------------


def snapshot_with(*transitions):
    return SimpleNamespace(transitions=transitions)


def test_only_statuses_that_are_not_in_the_log_yet_are_logged_each_with_its_time():
    statuses = snapshot_with(
        StatusTransition("Starting", "Preparing", STARTED),
        StatusTransition("Downloading", "Reading data", STARTED + timedelta(minutes=1, seconds=7)),
        StatusTransition("Training", "Running", None),
    )
    log = LogLines()
    assert log_transitions(log, statuses, 1) == 3
    assert log.infos == ["03:01:07 Downloading: Reading data", "Training: Running"]


def test_where_all_statuses_are_in_the_log_none_is_logged_again():
    log = LogLines()
    assert log_transitions(log, snapshot_with(StatusTransition("Starting", "", STARTED)), 1) == 1
    assert log.infos == []


def test_a_worker_that_waits_logs_each_status_once(task, clients, clock, said):
    describe = clients.jobs.describe

    def described(name):
        if len(clock.sleeps) == 3:
            end(clients, ran=executed(RAW))
        return describe(name)

    clients.jobs.describe = described
    task(deferrable=False, waiter_delay=1).execute(task_context())
    text = said()
    assert text.count("Starting: Preparing the instances") == 1
    assert text.count("Completed: ") == 1
    assert clock.sleeps == [1.0, 1.0, 1.0]


# -- the worker sleeps -------------------------------------------------------------------------------------------------


def test_a_worker_asks_no_earlier_after_an_answer_that_failed(task, clients, wait_of, clock, said):
    context = task_context()
    operator = task(deferrable=False, wait_for_completion=False, waiter_delay=7)
    operator.execute(context)
    job_name = end(clients)
    clients.jobs.errors["describe"] = [trouble()]
    ended, _ = wait_of(task(task_id="u", deferrable=False, waiter_delay=7), context).until_ended(job(job_name))
    assert ended.status == "Completed"
    assert clock.passed == pytest.approx(7)
    assert "no answer; going on waiting" in said()


def test_trouble_that_passed_in_between_does_not_add_up(task, clients, wait_of, clock):
    """A denial ends the wait after 10 minutes without an answer; each answer begins them anew."""
    context = task_context()
    operator = task(deferrable=False, wait_for_completion=False, waiter_delay=400)
    operator.execute(context)
    (job_name,) = clients.jobs.descriptions
    denied = {"code": "AccessDeniedException", "is_retryable": False}
    describe, looks = clients.jobs.describe, []

    def described(name):
        looks.append(name)
        if len(looks) in {1, 2, 4, 5}:
            raise trouble(**denied)
        if len(looks) == 6:
            end(clients)
        return describe(name)

    clients.jobs.describe = described
    ended, _ = wait_of(operator, context).until_ended(job(job_name))
    assert ended.status == "Completed"
    assert clock.passed == pytest.approx(2000)


def test_a_pause_ends_within_a_second_of_the_signal_to_end(task, clients, wait_of, clock, monkeypatch):
    """Airflow kills the process 5 s after it."""
    context = task_context()
    operator = task(deferrable=False, wait_for_completion=False, waiter_delay=300)
    operator.execute(context)
    (job_name,) = clients.jobs.descriptions
    wait = wait_of(operator, context)
    wait.ownership.hold(job_name, is_recorded=True)
    sleep = clock.sleep

    def interrupted(seconds):
        sleep(seconds)
        if clock.passed > 3:
            wait.ownership.was_told_to_end = True

    monkeypatch.setattr(clock, "sleep", interrupted)
    with pytest.raises(Exception, match="left to the task's next try"):
        wait.until_ended(job(job_name))
    assert 3 < clock.passed <= 5


def test_a_worker_that_waits_for_its_turn_sleeps_until_it_and_no_longer(task, wait_of, clock):
    context = task_context()
    wait = wait_of(task(deferrable=False, waiter_delay=30, capacity_timeout=3600), context)
    state = wait.until_next_request(SubmissionState(), Cause.CAPACITY, NotebookJobCapacityError("full"), None)
    assert (state.rounds, state.since) == (1, STARTED)
    until = datetime.fromisoformat(context["ti"].xcoms["nbjobs_job"]["waiting"]["until"])
    assert STARTED + timedelta(seconds=clock.passed) == pytest.approx(until, abs=timedelta(seconds=0.01))
    assert 15 <= clock.passed <= 30
    assert max(clock.sleeps) <= 1


def test_a_worker_that_is_told_to_end_while_it_waits_for_its_turn_ends(task, wait_of, clock, monkeypatch):
    wait = wait_of(task(deferrable=False, waiter_delay=30, capacity_timeout=3600), task_context())
    sleep = clock.sleep

    def interrupted(seconds):
        sleep(seconds)
        wait.ownership.was_told_to_end = True

    monkeypatch.setattr(clock, "sleep", interrupted)
    with pytest.raises(Exception, match="No notebook job was started: Airflow told this try to end"):
        wait.until_next_request(SubmissionState(), Cause.CAPACITY, NotebookJobCapacityError("full"), None)
    assert clock.passed <= 1


def test_a_worker_that_nobody_told_to_end_does_not_ask_airflow_each_second(task, wait_of, clock, monkeypatch):
    wait = wait_of(task(deferrable=False, waiter_delay=30, capacity_timeout=3600), task_context())
    monkeypatch.setattr(wait.ownership, "end_if_over", lambda: pytest.fail("asked"))
    wait.until_next_request(SubmissionState(), Cause.CAPACITY, NotebookJobCapacityError("full"), None)
    assert clock.sleeps


# -- what is said of a wait --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "got_no_instance", "what", "words"),
    [
        (Cause.CAPACITY, False, "an instance or quota", "waiting for its turn"),
        (Cause.CAPACITY, True, "an instance or quota", "waiting for capacity"),
        (Cause.TROUBLE, False, "AWS", "waiting for AWS"),
    ],
)
def test_pages_and_log_say_what_a_task_waits_for(task, wait_of, clock, said, cause, got_no_instance, what, words):  # noqa: PLR0917 - fixtures and cases
    context = task_context()
    wait = wait_of(task(deferrable=False, capacity_timeout=3600, waiter_delay=1), context)
    error = NotebookJobCapacityError("the reason") if cause is Cause.CAPACITY else trouble()
    more = {"got_no_instance": True} if got_no_instance else {}
    wait.until_next_request(SubmissionState(), cause, error, None, **more)
    told = context["ti"].xcoms["nbjobs_job"]["waiting"]
    assert (told["for"], told["state"]) == (what, words)
    line = f"Waiting for {what}, asking again at {told['until'][11:19]} UTC (wait 1): {error.headline}"
    assert line in said()


def test_tasks_that_are_refused_before_they_have_a_name_do_not_come_back_together(task, clock):
    sleeps = set()
    for index in range(4):
        context = task_context(map_index=index)
        operator = task(task_id=f"t{index}", waiter_delay=60, capacity_timeout=3600)
        wait = Wait(
            operator, context, Ownership(operator, context["ti"]), Publisher(operator, context), JobLog(operator)
        )
        with pytest.raises(TaskDeferred) as caught:
            wait.until_next_request(SubmissionState(), Cause.CAPACITY, NotebookJobCapacityError("full"), None)
        sleeps.add(caught.value.trigger.until)
    assert len(sleeps) == 4


@pytest.mark.parametrize(
    ("cause", "fields"),
    [
        (Cause.CAPACITY, {"since": STARTED - timedelta(hours=1), "rounds": 4, "trouble_rounds": 8}),
        (Cause.TROUBLE, {"trouble_since": STARTED - timedelta(hours=1), "rounds": 8, "trouble_rounds": 4}),
    ],
)
def test_who_gives_up_says_since_when_and_how_often_it_has_asked(task, wait_of, clock, cause, fields):
    wait = wait_of(task(capacity_timeout=1800), task_context())
    error = NotebookJobCapacityError("full") if cause is Cause.CAPACITY else trouble()
    other = Cause.TROUBLE if cause is Cause.CAPACITY else Cause.CAPACITY
    with pytest.raises(type(error)) as caught:
        wait.until_next_request(SubmissionState(**fields, cause=other), cause, error, None)
    assert caught.value.details["waited"] == "since 2026-11-22 02:00:00 UTC, asked 5 times"


def test_who_did_not_want_to_wait_is_told_of_no_wait(task, wait_of):
    wait = wait_of(task(capacity_timeout=0), task_context())
    with pytest.raises(NotebookJobCapacityError) as caught:
        wait.until_next_request(SubmissionState(), Cause.CAPACITY, NotebookJobCapacityError("full"), None)
    assert "waited" not in caught.value.details


def test_a_wait_to_read_results_counts_on_from_the_last(task, wait_of, clock):
    wait = wait_of(task(deferrable=False, waiter_delay=1), task_context())
    first = wait.until_readable(job("mine", attempt=3), trouble())
    assert (first.job_name, first.state.attempt) == ("mine", 3)
    assert (first.state.trouble_rounds, first.state.trouble_since) == (1, STARTED)
    second = wait.until_readable(first, trouble())
    assert (second.state.trouble_rounds, second.state.trouble_since) == (2, STARTED)


# -- what the triggerer gets -------------------------------------------------------------------------------------------


def test_the_trigger_has_all_that_the_task_was_given(task, clients):
    operator = task(
        aws_conn_id="aws_ml",
        region_name="eu-west-3",
        verify=False,
        botocore_config={"read_timeout": 9},
        waiter_delay=45,
        stop_on_kill=False,
    )
    before = datetime.now(tz=UTC)
    trigger = defer(operator, task_context(try_number=2)).trigger
    given = {
        name: getattr(trigger, name)
        for name in (
            *("aws_conn_id", "region_name", "verify", "botocore_config", "waiter_delay", "stop_on_kill"),
            *("attempt", "was_adopted", "try_number"),
        )
    }
    assert given == {
        "aws_conn_id": "aws_ml",
        "region_name": "eu-west-3",
        "verify": False,
        "botocore_config": {"read_timeout": 9},
        "waiter_delay": 45,
        "stop_on_kill": False,
        "attempt": 0,
        "was_adopted": False,
        "try_number": 2,
    }
    assert before <= datetime.fromisoformat(trigger.deferred_at) <= datetime.now(tz=UTC)
    assert trigger.turn["step"] == "finish"


@pytest.mark.parametrize("streams", [True, False])
def test_the_trigger_shows_the_containers_log_where_the_task_wants_it(task, streams):
    assert defer(task(stream_logs=streams), task_context()).trigger.stream_logs is streams


def test_a_deferred_task_has_what_is_left_of_its_execution_timeout(task):
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    deferred = defer(task(execution_timeout=timedelta(minutes=30)), context)
    assert timedelta(minutes=19) < deferred.timeout <= timedelta(minutes=20)


def test_a_task_without_execution_timeout_is_deferred_without_limit(task):
    assert defer(task(), task_context()).timeout is None


# -- the container's log -----------------------------------------------------------------------------------------------


def test_a_log_that_is_not_wanted_is_not_asked_for(task, clients):
    log = JobLog(task(stream_logs=False))
    assert log.reader is None
    assert log.show("job") is False
    assert clients.logs.asked == []


def test_the_place_in_the_log_is_handed_on_though_nothing_was_read_since(task):
    log = JobLog(task(stream_logs=True))
    assert log.written_place is None
    log.place = LogPlace(added=(3,)).to_json()
    assert log.written_place == log.place
    assert log.reader is not None
    assert log.written_place == log.place


def test_the_place_in_the_log_is_the_one_after_what_was_read(task, clients):
    log = JobLog(task(stream_logs=True))
    clients.logs.lines["job"] = ["one", "two"]
    assert log.show("job") is True
    place = LogPlace.from_json(log.written_place)
    assert place.seen
    again = JobLog(task(task_id="u", stream_logs=True))
    again.place = log.written_place
    assert again.reader.place.seen == place.seen


# -- a job that may have ended -----------------------------------------------------------------------------------------


def test_a_job_that_has_not_ended_or_cannot_be_asked_for_has_no_end(task, clients, said):
    operator = task(deferrable=False, wait_for_completion=False)
    operator.execute(task_context())
    (job_name,) = clients.jobs.descriptions
    assert described_if_ended(operator, job_name) is None
    assert "SageMaker does not know" not in said()
    assert described_if_ended(operator, "another") is None
    assert "SageMaker does not know training job 'another'" in said()
    end(clients)
    assert described_if_ended(operator, job_name).status == "Completed"
