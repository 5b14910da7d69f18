"""A notebook task that waits in its worker, and what stops its job."""

import threading

import pytest
from airflow.sdk.exceptions import AirflowFailException
from fakes import executed, task_context
from operator_tasks import RAW, Tasks, defer, end

from airflow_nbjobs.core.errors import (
    NotebookJobServiceError,
    NotebookJobStoppedError,
)


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients


def test_not_deferrable_it_waits_in_the_worker_through_trouble(task, clients):
    """The job ends while it is looked at; one look in between gets no answer."""
    jobs, looks = clients.jobs, []
    describe = jobs.describe

    def describing(job_name):
        looks.append(job_name)
        if len(looks) == 2:
            jobs.errors["describe"] = [NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)]
        if len(looks) == 4:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return describe(job_name)

    jobs.describe = describing
    value = task(deferrable=False, outputs=["accuracy"]).execute(task_context())
    assert value["outputs"] == {"accuracy": 0.5}
    assert len(looks) == 4


@pytest.mark.parametrize("is_refused", [False, True])
def test_not_deferrable_it_records_each_cell_that_has_run_if_airflow_takes_it(task, clients, is_refused):
    jobs, context, told = clients.jobs, task_context(), []
    describe, push = jobs.describe, context["ti"].xcom_push

    def pushing(key, value):
        if key == "nbjobs_progress":
            told.append((value["done"], value["total"]))
            if is_refused:
                raise OSError("no API server")
        push(key=key, value=value)

    def describing(job_name):
        lines = clients.logs.lines.setdefault(job_name, [])
        if len(lines) == 3:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        lines.append(f"Executing:  5%|#  | {len(lines) // 2 + 1}/4 [00:00<00:01]")
        return describe(job_name)

    jobs.describe, context["ti"].xcom_push = describing, pushing
    value = task(deferrable=False, outputs=["accuracy"]).execute(context)
    assert value["outputs"] == {"accuracy": 0.5}
    assert told == [(1, 4), (2, 4)]


def test_not_deferrable_a_denied_look_ends_the_task(task, clients):
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDeniedException")]
    with pytest.raises(NotebookJobServiceError, match="AccessDenied") as caught:
        task(deferrable=False).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def test_not_deferrable_an_execution_timeout_stops_the_job(task, clients):
    from airflow.sdk.exceptions import AirflowTaskTimeout

    clients.jobs.errors["describe"] = [AirflowTaskTimeout("timeout")]
    with pytest.raises(AirflowTaskTimeout):
        task(deferrable=False).execute(task_context())
    assert clients.jobs.count("stop") == 1


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        ("running", 0),
        ("deferred", 0),
        ("failed", 1),
        ("success", 1),
        ("restarting", 1),
        (None, 1),
        ("up_for_retry", 0),
        ("scheduled", 0),
        ("queued", 0),
        (OSError("no API"), 0),
    ],
    ids=str,
)
def test_a_killed_worker_stops_the_job_only_when_airflow_says_that_the_task_was_taken_away(
    task, clients, monkeypatch, state, stops
):
    """``on_kill`` also means eviction or a lost API server; then the next try adopts the job."""

    def task_state(**_):
        if isinstance(state, Exception):
            raise state
        return state

    operator = task()
    defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", task_state)
    operator.on_kill()
    assert clients.jobs.count("stop") == stops


def test_a_try_that_stopped_its_own_job_ends_with_those_words(task, clients, monkeypatch):
    """``on_kill`` comes from a signal handler while the worker sleeps; nobody else has stopped the job."""
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")
    operator, describe = task(deferrable=False), clients.jobs.describe

    def describing(job_name):
        operator.on_kill()
        clients.jobs.set_status(job_name, "Stopped")
        return describe(job_name)

    clients.jobs.describe = describing
    with pytest.raises(NotebookJobStoppedError, match="was stopped by this task: the task is now 'failed'"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_task_that_has_submitted_nothing_has_nothing_to_stop(task, clients):
    task().on_kill()
    assert clients.wrote_nothing


def test_stop_on_kill_false_keeps_the_job(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")
    operator = task(stop_on_kill=False)
    defer(operator, task_context())
    operator.on_kill()
    assert clients.jobs.count("stop") == 0


# -- taken away while it submits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting"])
def test_a_task_that_a_user_took_away_while_it_submitted_stops_its_job_and_does_not_defer(
    task, clients, monkeypatch, state
):
    """Airflow tells a task so with its next heartbeat only; the deferral would be refused, and the job would run for nobody."""
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: state)
    with pytest.raises(NotebookJobStoppedError, match=f"was stopped by this task: the task is now '{state}'"):
        task().execute(task_context())
    assert clients.jobs.count("stop") == 1


@pytest.mark.parametrize("state", ["running", "up_for_retry", None])
def test_a_task_of_which_airflow_says_nothing_else_defers(task, clients, monkeypatch, state):
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: state)
    defer(task(), task_context())
    assert clients.jobs.count("stop") == 0


def test_stop_on_kill_false_defers_whatever_became_of_the_task(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")
    defer(task(stop_on_kill=False), task_context())
    assert clients.jobs.count("stop") == 0


def test_a_task_that_is_told_to_end_while_it_stages_starts_no_job_that_runs_on(task, clients, monkeypatch):
    """The signal handler returns, and the process goes on until it is killed."""
    operator, put = task(), clients.objects.put
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")

    def put_and_be_told(uri, body, *, kms_key):
        operator.on_kill()
        put(uri, body, kms_key=kms_key)

    clients.objects.put = put_and_be_told
    with pytest.raises(NotebookJobStoppedError, match="No notebook job was started: the task is now 'failed'"):
        operator.execute(task_context())
    assert clients.jobs.descriptions == {}


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_task_that_is_told_to_end_while_its_request_is_under_way_stops_what_it_made(
    task, clients, monkeypatch, is_told_first
):
    operator, create = task(), clients.jobs.create
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")

    def create_and_be_told(request):
        if is_told_first:
            operator.on_kill()
        arn = create(request)
        if not is_told_first:
            operator.on_kill()
        return arn

    clients.jobs.create = create_and_be_told
    with pytest.raises(NotebookJobStoppedError):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_name_that_somebody_else_has_taken_is_never_stopped(task, clients, monkeypatch):
    operator, create = task(), clients.jobs.create
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "failed")

    def theirs(request):
        create({**request, "Environment": {}})
        operator.on_kill()
        raise NotebookJobServiceError("denied", code="AccessDenied")

    clients.jobs.create = theirs
    with pytest.raises(NotebookJobServiceError, match="denied"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 0


def test_an_execution_timeout_while_the_request_is_under_way_stops_the_job(task, clients):
    from airflow.sdk.exceptions import AirflowTaskTimeout

    create = clients.jobs.create

    def create_and_time_out(request):
        create(request)
        raise AirflowTaskTimeout("timeout")

    clients.jobs.create = create_and_time_out
    with pytest.raises(AirflowTaskTimeout):
        task().execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_leftover_process_stops_the_job_that_the_task_no_longer_follows(task, clients, monkeypatch):
    """Failed and cleared before this process was told: the task runs again, under another name."""
    operator = task()
    deferred = defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: "running")
    for follows, stops in (({"job_name": deferred.trigger.job_name}, 0), (None, 0), ({"job_name": "other"}, 1)):
        monkeypatch.setattr("airflow_nbjobs.custody.job_xcom", lambda *_, follows=follows, **__: follows)
        operator.on_kill()
        assert clients.jobs.count("stop") == stops


def test_no_answer_in_time_keeps_the_job(task, clients, monkeypatch):
    """The handler may have interrupted the very call whose lock the question needs."""
    operator, may_answer = task(), threading.Event()
    defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.custody._ASK_SECONDS", 0.05)
    monkeypatch.setattr("airflow_nbjobs.custody.task_state", lambda **_: may_answer.wait(10) and "failed")
    operator.on_kill()
    may_answer.set()
    for thread in threading.enumerate():
        if thread.name == "nbjobs-custody":
            thread.join(10)
    assert clients.jobs.count("stop") == 0
