"""The stop of a job whose task was taken away: asked for until AWS takes it, and never in doubt."""

import asyncio
import logging
from types import SimpleNamespace

import pytest

from airflow_nbjobs import _compat
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.triggers import stop

TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)
THROTTLED = NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)


class Jobs:
    """SageMaker, and the way to it: each raises what it is given, oldest first."""

    def __init__(self, *errors, of_opening=()):
        self.errors, self.of_opening = list(errors), list(of_opening)
        self.stopped, self.opened = [], 0

    def stop(self, job_name):
        self.stopped.append(job_name)
        if self.errors:
            raise self.errors.pop(0)

    async def open(self):
        self.opened += 1
        if self.of_opening:
            raise self.of_opening.pop(0)
        return self


@pytest.fixture
def slept(monkeypatch):
    """The pauses that were made, which take no time."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(stop, "asyncio", SimpleNamespace(sleep=sleep, to_thread=asyncio.to_thread))
    return pauses


@pytest.fixture
def states(monkeypatch):
    """What Airflow says of the task, one answer after the other; the last one stays."""
    answers = ["failed"]
    monkeypatch.setattr(_compat, "task_state", lambda **_: answers.pop(0) if len(answers) > 1 else answers[0])
    monkeypatch.setattr(_compat, "job_xcom", lambda *_, **__: {"job_name": "job-1"})
    return answers


def stop_with(jobs, task=TASK):
    asyncio.run(stop.stop_if_taken_away("job-1", task, jobs.open))
    return jobs


def test_a_stop_that_aws_takes_is_asked_for_once(states, slept, caplog):
    with caplog.at_level(logging.INFO):
        assert stop_with(Jobs()).stopped == ["job-1"]
    assert slept == []
    assert "Stopping training job 'job-1': its task no longer waits for it, its state is now 'failed'" in caplog.text


@pytest.mark.parametrize("where", ["stop", "open"])
def test_passing_trouble_is_waited_through_ever_longer(states, slept, where):
    trouble = [THROTTLED] * 3
    jobs = stop_with(Jobs(*trouble) if where == "stop" else Jobs(of_opening=trouble))
    assert jobs.opened == 4
    assert jobs.stopped == ["job-1"] * (4 if where == "stop" else 1)
    assert slept == list(stop._STOP_PAUSES_SECONDS[:3])
    assert slept == sorted(slept)


def test_trouble_that_does_not_pass_is_said_in_the_end(states, slept, caplog):
    jobs = stop_with(Jobs(*[THROTTLED] * 50))
    assert len(jobs.stopped) == len(slept) + 1
    assert 120 <= sum(slept) <= 180
    assert "Training job 'job-1' could not be stopped and runs on" in caplog.text


@pytest.mark.parametrize(
    "error", [NotebookJobServiceError("denied", code="AccessDenied"), NotebookJobConfigError("no region")], ids=str
)
def test_what_no_repetition_helps_is_said_at_once(states, slept, caplog, error):
    assert len(stop_with(Jobs(error)).stopped) == 1
    assert slept == []
    assert "could not be stopped and runs on" in caplog.text


def test_where_airflow_does_not_say_what_became_of_the_task_the_job_is_kept(monkeypatch, slept, caplog):
    def refuse(**_):
        raise RuntimeError("no API")

    monkeypatch.setattr(_compat, "task_state", refuse)
    jobs = stop_with(Jobs())
    assert (jobs.opened, jobs.stopped) == (0, [])
    assert "Keeping training job 'job-1': Airflow does not say what became of its task (no API)" in caplog.text


@pytest.mark.parametrize(("last", "stopped"), [("failed", ["job-1"]), ("up_for_retry", [])])
def test_a_task_that_waits_for_a_worker_is_asked_for_ever_less_often_at_least_each_minute(states, slept, last, stopped):
    states[:] = ["scheduled", "queued", *["queued"] * 10, last]
    assert stop_with(Jobs()).stopped == stopped
    assert len(slept) == 12
    assert slept == sorted(slept)
    assert (slept[0], slept[-1], slept[-2]) == (1, 60, 60)


def test_without_a_task_the_job_is_kept(states, slept):
    assert stop_with(Jobs(), task=None).opened == 0
