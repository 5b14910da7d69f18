"""What becomes of jobs that a clear has left running: they are stopped, and no failure to do so costs the new try."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_nbjobs.aws.submit import earlier_jobs as stopping
from airflow_nbjobs.core.errors import NotebookJobServiceError, NotebookJobStoppedError
from airflow_nbjobs.task import identity
from airflow_nbjobs.task.earlier_jobs import stop_earlier_jobs


@pytest.fixture
def stop(monkeypatch):
    """Calls it for a task that was cleared; what is raised, warned and asked is the fixture's."""
    found = SimpleNamespace(error=None, warned=[], asked=[], was_cleared=True)

    def stop_abandoned(key, readable, clients, **_):
        found.asked.append((key, readable, clients))
        if found.error:
            raise found.error

    monkeypatch.setattr(stopping, "stop_abandoned", stop_abandoned)
    monkeypatch.setattr(identity, "was_cleared", lambda *_: found.was_cleared)
    monkeypatch.setattr(identity, "earlier_generations", lambda *_: ())
    monkeypatch.setattr(identity, "run_of", lambda *_, **__: SimpleNamespace(key="key", readable="d-t"))

    def run(**arguments):
        fields = {"retries": None, "wait_for_completion": True, "stop_on_kill": True, "notebook_job_name": None}
        task = SimpleNamespace(
            **fields | arguments,
            hook=SimpleNamespace(connection_extra={}, clients="clients"),
            log=SimpleNamespace(warning=lambda text, *values: found.warned.append(text % values)),
        )
        context = {"ti": None, "dag_run": None}
        stop_earlier_jobs(
            task,
            context,
            SimpleNamespace(end_if_superseded=None),
            SimpleNamespace(remembered=lambda: None),  # type: ignore[arg-type]
        )

    found.run = run
    return found


def test_jobs_of_a_cleared_task_are_stopped_by_their_name(stop):
    stop.run()
    stop.run(notebook_job_name="mine")
    assert stop.asked == [("key", "d-t", "clients"), ("key", "mine", "clients")]
    assert stop.warned == []


@pytest.mark.parametrize("argument", ["wait_for_completion", "stop_on_kill"])
def test_jobs_that_nobody_promised_to_stop_run_on(stop, argument):
    stop.run(**{argument: False})
    assert stop.asked == []


def test_a_task_that_was_not_cleared_asks_nothing(stop):
    stop.was_cleared = False
    stop.run()
    assert stop.asked == []


def test_a_refusal_is_a_warning_and_the_new_try_goes_on(stop):
    stop.error = NotebookJobServiceError("AccessDenied on ListTrainingJobs", code="AccessDenied")
    stop.run()
    assert stop.warned == ["Jobs from before the task was cleared may still run: AccessDenied on ListTrainingJobs"]


@pytest.mark.parametrize("error", [NotebookJobStoppedError("this try is over"), KeyError("x")])
def test_the_end_of_this_try_and_a_defect_are_no_warnings(stop, error):
    stop.error = error
    with pytest.raises(type(error)):
        stop.run()
    assert stop.warned == []
