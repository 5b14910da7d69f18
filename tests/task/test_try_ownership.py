"""Whether a process still owns its task's job: what it asks Airflow, what it stops, and with which words a try ends."""

import threading
from datetime import timedelta
from types import SimpleNamespace

import pytest
from fakes import FakeClients, LogLines, job_request

from airflow_nbjobs.core.errors import NotebookJobServiceError, NotebookJobStoppedError
from airflow_nbjobs.task import ownership as module
from airflow_nbjobs.task.ownership import Ownership, TryOverError, is_try_over

TRY = "0199-of-this-try"


class Log(LogLines):
    def __init__(self):
        super().__init__()
        self.debugs = []
        self.exceptions = []

    def debug(self, message, /, *arguments):
        self.debugs.append(message % arguments)

    def exception(self, message, /, *arguments):
        self.exceptions.append(message % arguments)


class Airflow:
    """
    What Airflow says of the task.

    :ivar state: of the task; a list: one after another, the last for ever; an exception is raised.
    :ivar has_try: whether this try goes on.
    :ivar follows: the job that the task's record names.
    """

    def __init__(self):
        self.state = "running"
        self.has_try = True
        self.follows = ""
        self.asked = 0

    def task_state(self, **key):
        assert key["task_id"] == "t"
        self.asked += 1
        state = self.state
        if isinstance(state, list):
            state = state.pop(0) if len(state) > 1 else state[0]
        if isinstance(state, Exception):
            raise state
        return state

    def goes_on(self, try_id):
        assert try_id == TRY
        if isinstance(self.has_try, Exception):
            raise self.has_try
        return self.has_try

    def job_xcom(self, key, **_):
        if isinstance(self.follows, Exception):
            raise self.follows
        return {"version": 1, "job_name": self.follows} if self.follows else None


@pytest.fixture
def airflow(monkeypatch):
    airflow = Airflow()
    monkeypatch.setattr(module, "task_state", airflow.task_state)
    monkeypatch.setattr(module, "has_try", airflow.goes_on)
    monkeypatch.setattr(module, "job_xcom", airflow.job_xcom)
    monkeypatch.setattr(module, "_QUESTION_PAUSE_SECONDS", 0.0)
    return airflow


@pytest.fixture
def clients():
    clients = FakeClients()
    clients.jobs.create(job_request("mine", "s3://bucket/nbjobs", {"NBJOBS_OWNER": "me"}))
    return clients


@pytest.fixture
def owning(clients, airflow):
    def make(*, job="mine", is_recorded=False, try_id=TRY, **task):
        view = SimpleNamespace(
            **{
                "stop_on_kill": True,
                "wait_for_completion": True,
                "execution_timeout": timedelta(minutes=5),
                "hook": SimpleNamespace(clients=clients),
                "log": Log(),
            }
            | task
        )
        ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, id=try_id)
        ownership = Ownership(view, ti)
        ownership.log = view.log
        if job:
            ownership.hold(job, is_recorded=is_recorded)
        return ownership

    return make


# -- whether a try goes on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("has_try", "is_over"), [(True, False), (False, True), (OSError("no API"), None)], ids=str)
def test_a_try_is_over_where_airflow_has_gone_on(airflow, has_try, is_over):
    airflow.has_try = has_try
    log = Log()
    assert is_try_over(TRY, log) is is_over
    assert log.debugs == (["Airflow does not say whether this try goes on: no API"] if is_over is None else [])


def test_a_try_without_an_id_cannot_be_asked_for(airflow):
    assert is_try_over(None, Log()) is None


# -- before a job is made ----------------------------------------------------------------------------------------------


def test_a_job_is_made_while_the_task_is_this_trys(owning, airflow):
    ownership = owning(job="before", is_recorded=True)
    ownership.note_end()
    ownership.expect("mine", "me")
    assert ownership.job_name == "mine"
    assert airflow.asked == 1
    ownership.stop("because")
    assert ownership.timeout_error().headline.startswith("Notebook job 'mine' was stopped"), "the end was another's"


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", None, "deleted", OSError("no API")])
def test_a_job_is_made_where_nobody_has_decided_about_the_task(owning, airflow, state):
    airflow.state = state
    ownership = owning(job=None)
    ownership.expect("mine", "me")
    assert ownership.job_name == "mine"


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting"])
def test_no_job_is_made_for_a_task_that_a_user_took_away(owning, airflow, state):
    airflow.state = state
    ownership = owning(job="before")
    with pytest.raises(NotebookJobStoppedError, match=f"the task is now '{state}'") as caught:
        ownership.expect("mine", "me")
    assert not isinstance(caught.value, TryOverError)
    assert ownership.job_name is None, "neither the one before nor the one that is not made is to be stopped"


def test_no_job_is_made_by_a_try_that_was_told_to_end(owning, airflow):
    ownership = owning(job="before")
    ownership.was_told_to_end = True
    with pytest.raises(TryOverError, match="No notebook job was started: Airflow told this try to end"):
        ownership.expect("mine", "me")
    assert ownership.job_name is None


def test_no_job_is_made_by_a_try_that_is_over_nor_by_one_that_has_stopped_its_own(owning, airflow):
    airflow.has_try = False
    with pytest.raises(TryOverError, match="No notebook job was started: Airflow has ended this try") as caught:
        owning(job=None).expect("mine", "me")
    assert caught.value.details == {}
    ownership = owning(job=None)
    ownership.stop("the task is now 'failed'")
    with pytest.raises(NotebookJobStoppedError, match="the task is now 'failed'"):
        ownership.expect("mine", "me")


# -- a stop ------------------------------------------------------------------------------------------------------------


def test_a_job_is_stopped_once_it_is_held_and_said_to_be(owning, clients):
    ownership = owning()
    ownership.stop("the reason")
    assert clients.jobs.count("stop") == 1
    assert ownership.stop_reason == "the reason"
    assert ownership.log.infos == ["Stopping notebook job 'mine': the reason"]


def test_an_ended_job_is_not_stopped(owning, clients):
    ownership = owning()
    ownership.note_end()
    ownership.stop("the reason")
    assert clients.jobs.count("stop") == 0
    assert ownership.stop_reason == "the reason"


@pytest.mark.parametrize(("name", "owner", "stops"), [("mine", "me", 1), ("mine", "you", 0), ("unmade", "me", 0)])
def test_a_job_that_may_exist_is_stopped_if_it_is_this_tasks(owning, clients, name, owner, stops):
    ownership = owning(job=None)
    ownership.expect(name, owner)
    ownership.stop("the reason")
    assert clients.jobs.count("stop") == stops
    assert clients.jobs.count("describe") == 1


def test_a_job_that_came_after_the_signal_is_stopped_once(owning, clients):
    ownership = owning(job=None)
    ownership.stop("the task is now 'failed'")
    ownership.hold("mine", is_recorded=False)
    for _ in range(2):
        with pytest.raises(NotebookJobStoppedError, match="the task is now 'failed'"):
            ownership.end_if_over()
    assert clients.jobs.count("stop") == 1


# -- while the job runs ------------------------------------------------------------------------------------------------


def test_a_try_that_goes_on_is_not_ended(owning, clients, airflow):
    owning(is_recorded=True).end_if_over()
    owning(is_recorded=True).end_if_superseded()
    assert clients.jobs.count("stop") == 0


@pytest.mark.parametrize("stop_on_kill", [True, False])
def test_a_task_that_was_taken_away_ends_with_its_job_unless_that_is_to_go_on(owning, clients, airflow, stop_on_kill):
    airflow.state = "failed"
    ownership = owning(stop_on_kill=stop_on_kill)
    if stop_on_kill:
        with pytest.raises(NotebookJobStoppedError, match="the task is now 'failed'"):
            ownership.end_if_over()
    else:
        ownership.end_if_over()
    assert clients.jobs.count("stop") == int(stop_on_kill)


def test_a_try_that_was_told_to_end_leaves_its_job_to_the_next(owning, clients):
    ownership = owning()
    ownership.was_told_to_end = True
    with pytest.raises(TryOverError, match="'mine' and its results are left to the task's next try") as caught:
        ownership.end_if_over()
    assert caught.value.job_name == "mine"
    assert "SageMakerNotebookJobSensor(job_name='mine')" in caught.value.details["next"]
    assert clients.jobs.count("stop") == 0


def test_where_airflow_does_not_know_tries_the_followed_job_tells(owning, clients, airflow):
    airflow.follows = "another"
    owning(try_id=None, is_recorded=False).end_if_over()  # its own is not recorded yet
    with pytest.raises(NotebookJobStoppedError, match="the task now follows job 'another'"):
        owning(try_id=None, is_recorded=True).end_if_over()
    assert clients.jobs.count("stop") == 1


@pytest.mark.parametrize("follows", ["mine", "", OSError("no API")], ids=str)
def test_the_same_job_or_none_tells_nothing(owning, clients, airflow, follows):
    airflow.follows = follows
    owning(try_id=None, is_recorded=True).end_if_over()
    assert clients.jobs.count("stop") == 0


def test_where_airflow_knows_the_try_the_followed_job_is_not_asked_for(owning, airflow):
    airflow.follows = AssertionError("asked")
    ownership = owning(is_recorded=True)
    ownership.end_if_over()
    assert ownership.log.debugs == []


# -- a try that is over ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "follows", "stops"),
    [
        ("up_for_retry", "", 0),
        ("running", "mine", 0),
        ("running", "another", 1),
        ("deferred", "another", 1),
        ("failed", "", 1),
        (OSError("no API"), "", 0),
        ([None, None, "queued"], "", 0),
        ([None, "deleted"], "", 1),
        ("running", "", 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("question", ["end_if_over", "end_if_superseded"])
def test_a_try_that_is_over_stops_a_job_only_without_which_the_task_goes_on(  # noqa: PLR0917 - fixtures and cases
    owning, clients, airflow, state, follows, stops, question
):
    airflow.has_try, airflow.follows = False, follows
    states = state if isinstance(state, list) else [state]
    airflow.state = [*(["queued"] if question == "end_if_over" else []), *states]  # what it is asked first
    with pytest.raises(NotebookJobStoppedError) as caught:
        getattr(owning(), question)()
    assert clients.jobs.count("stop") == stops
    assert isinstance(caught.value, TryOverError) is not bool(stops)
    if stops:
        assert f"the task no longer waits for it, its state is now '{states[-1]}'" in str(caught.value)


def test_a_task_that_stays_without_a_state_was_cleared(owning, clients, airflow):
    airflow.has_try, airflow.state = False, None
    with pytest.raises(NotebookJobStoppedError, match="its state is now 'None'"):
        owning().end_if_superseded()
    assert clients.jobs.count("stop") == 1
    assert airflow.asked == module._QUESTIONS


@pytest.mark.parametrize("stop_on_kill", [True, False])
def test_a_job_that_is_to_go_on_is_not_asked_about(owning, clients, airflow, stop_on_kill):
    airflow.has_try, airflow.state = False, "failed"
    with pytest.raises(NotebookJobStoppedError):
        owning(stop_on_kill=stop_on_kill).end_if_superseded()
    assert (clients.jobs.count("stop"), airflow.asked) == ((1, 1) if stop_on_kill else (0, 0))


@pytest.mark.parametrize(("wait_for_completion", "stops"), [(True, 1), (False, 0)])
def test_a_job_that_the_successful_next_try_leaves_running_runs_on(
    owning, clients, airflow, wait_for_completion, stops
):
    airflow.has_try, airflow.state = False, "success"
    with pytest.raises(NotebookJobStoppedError):
        owning(wait_for_completion=wait_for_completion).end_if_superseded()
    assert clients.jobs.count("stop") == stops


# -- the signal --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "follows", "reason"),
    [
        ("failed", "", "the task is now 'failed'"),
        ("deleted", "", "the task is now 'deleted'"),
        ("running", "another", "the task now follows job 'another'"),
        ("deferred", "another", "the task now follows job 'another'"),
    ],
)
def test_the_signal_stops_the_job_of_a_task_that_was_taken_away(  # noqa: PLR0917 - fixtures and cases
    owning, clients, airflow, state, follows, reason
):
    airflow.state, airflow.follows = state, follows
    ownership = owning(is_recorded=True)
    ownership.stop_if_taken_away()
    assert clients.jobs.count("stop") == 1
    assert ownership.stop_reason == reason
    assert ownership.was_told_to_end
    assert ownership.log.warnings == []


@pytest.mark.parametrize(
    "state", ["running", "deferred", "up_for_retry", "up_for_reschedule", "scheduled", "queued", None, OSError("no")]
)
def test_the_signal_keeps_a_job_about_which_nobody_has_decided_and_says_so(owning, clients, airflow, state):
    airflow.state = state
    ownership = owning(is_recorded=True)
    ownership.stop_if_taken_away()
    assert clients.jobs.count("stop") == 0
    assert ownership.stop_reason is None
    assert ownership.log.warnings[-1].startswith("Keeping notebook job 'mine': Airflow ends this try by itself")
    told = ["Airflow does not say what became of this task: no"] if isinstance(state, OSError) else []
    assert ownership.log.warnings[:-1] == told


def test_of_no_job_none_is_said_to_be_kept(owning):
    ownership = owning(job=None)
    ownership.stop_if_taken_away()
    assert ownership.log.warnings == []


def test_a_second_signal_stops_nothing_again_and_asks_nobody(owning, clients, airflow):
    airflow.state = "failed"
    ownership = owning()
    ownership.stop_if_taken_away()
    ownership.stop_if_taken_away()
    assert (clients.jobs.count("stop"), airflow.asked) == (1, 1)


def test_a_job_that_is_to_go_on_after_the_signal_is_not_asked_about(owning, clients, airflow):
    airflow.state = "failed"
    ownership = owning(stop_on_kill=False)
    ownership.stop_if_taken_away()
    assert (clients.jobs.count("stop"), airflow.asked) == (0, 0)
    assert ownership.was_told_to_end


def test_an_answer_that_comes_too_late_stops_nothing(owning, clients, airflow, monkeypatch):
    monkeypatch.setattr(module, "_ASK_SECONDS", 0.01)
    may_answer = threading.Event()
    monkeypatch.setattr(module, "task_state", lambda **_: may_answer.wait(10) and "failed")
    ownership = owning()
    ownership.stop_if_taken_away()
    assert ownership.log.warnings[-1].startswith("Keeping notebook job 'mine'")
    (asking,) = [each for each in threading.enumerate() if each.name == "nbjobs-ownership"]
    assert asking.daemon, "it must not keep the process that Airflow ends"
    may_answer.set()
    asking.join(10)
    assert clients.jobs.count("stop") == 0
    assert ownership.stop_reason is None


# -- time is over ------------------------------------------------------------------------------------------------------


def test_a_timeout_stops_the_job_and_says_so(owning, clients):
    ownership = owning()
    ownership.stop_at_timeout()
    assert clients.jobs.count("stop") == 1
    error = ownership.timeout_error()
    assert error.headline == "Notebook job 'mine' was stopped: execution_timeout (0:05:00) has passed"
    assert error.job_name == "mine"
    assert error.details["next"].startswith("raise execution_timeout")


def test_a_timeout_whose_stop_fails_says_that_the_job_may_run_on(owning, clients):
    clients.jobs.errors["stop"] = [NotebookJobServiceError("AccessDenied", code="AccessDeniedException")]
    ownership = owning()
    ownership.stop_at_timeout()
    assert ownership.log.warnings == [
        "Notebook job 'mine' could not be stopped and runs on, at most until its max_runtime_in_seconds: AccessDenied"
    ]
    assert "Notebook job 'mine' was not stopped and may run on: execution_timeout" in ownership.timeout_error().headline


def test_a_timeout_after_the_jobs_end_or_without_a_job_says_so(owning):
    ownership = owning()
    ownership.note_end()
    ownership.stop_at_timeout()
    assert "Notebook job 'mine' has ended, its task has not: execution_timeout" in ownership.timeout_error().headline
    assert owning(job=None).timeout_error().headline.startswith("The task has ended: execution_timeout (0:05:00)")


def test_a_timeout_of_a_try_that_is_over_leaves_the_job_to_the_next(owning, clients, airflow):
    airflow.has_try, airflow.state = False, "queued"
    with pytest.raises(TryOverError):
        owning().stop_at_timeout()
    assert clients.jobs.count("stop") == 0
