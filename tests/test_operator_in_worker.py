"""A notebook task that waits in its worker, and what stops its job."""

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
