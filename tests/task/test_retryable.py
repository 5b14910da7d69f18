"""Which errors a retry cannot help, and their form at Airflow's surface."""

import logging
from types import SimpleNamespace

import pytest
from airflow_names import AirflowFailException, AirflowSkipException

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
)
from airflow_nbjobs.task.retryable import airflow_error, as_airflow_errors, errors_of_task, of_ended_job

DENIED = NotebookJobServiceError("denied", code="AccessDenied")
THROTTLED = NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)

TABLE = [
    # error, fatal, fatal with retry_on_cell_error=False, fatal where the job was adopted
    (NotebookJobConfigError("x"), True, True, True),
    (NotebookCellError("x", cell=1), False, True, False),
    (NotebookCellError("x", cell=1, is_retryable=False), True, True, True),
    (NotebookJobStoppedError("x"), True, True, False),
    (NotebookJobTimeoutError("x"), False, False, False),
    (NotebookJobCapacityError("x"), False, False, False),
    (DENIED, True, True, True),
    (THROTTLED, False, False, False),
    (NotebookOutputError("x"), True, True, True),
    (NotebookJobError("x"), False, False, False),
]


@pytest.mark.parametrize(("error", "always", "without_cell_retry", "adopted"), TABLE, ids=str)
def test_what_a_retry_cannot_help_is_our_type_and_airflows(error, always, without_cell_retry, adopted):
    for expected, options in (
        (always, {"retry_on_cell_error": True, "was_adopted": False}),
        (without_cell_retry, {"retry_on_cell_error": False, "was_adopted": False}),
        (adopted, {"retry_on_cell_error": True, "was_adopted": True}),
    ):
        surface = airflow_error(error, **options)
        assert isinstance(surface, type(error)), "retry policies and callbacks see our type"
        assert isinstance(surface, AirflowFailException) is expected
        assert vars(surface) == vars(error)
        assert str(surface) == str(error)
        if not expected:
            assert surface is error


@pytest.mark.parametrize("error", [row[0] for row in TABLE], ids=str)
def test_an_error_of_a_job_that_somebody_else_started_is_final(error):
    surface = of_ended_job(error)
    assert isinstance(surface, AirflowFailException)
    assert isinstance(surface, type(error))


def test_a_fatal_error_passes_the_surface_once_more_unchanged():
    fatal = airflow_error(DENIED, retry_on_cell_error=True, was_adopted=False)
    assert airflow_error(fatal, retry_on_cell_error=True, was_adopted=False) is fatal


def test_a_fatal_error_has_the_original_as_its_cause():
    error = NotebookJobConfigError("x", problems=["a"])
    with pytest.raises(NotebookJobConfigError) as caught, as_airflow_errors():
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.problems == ("a",)


def test_other_errors_leave_the_block_as_they_are():
    for error in (THROTTLED, ValueError("x")):
        with pytest.raises(type(error)) as caught, as_airflow_errors():
            raise error
        assert caught.value is error


@pytest.mark.parametrize(
    "turned", [lambda error: airflow_error(error, retry_on_cell_error=False, was_adopted=True), of_ended_job]
)
def test_a_notebook_that_asks_to_be_skipped_is_airflows_skip_and_no_failure(turned):
    error = NotebookSkippedError("x", cell=2, reason="no new rows")
    surface = turned(error)
    assert isinstance(surface, NotebookSkippedError)
    assert isinstance(surface, AirflowSkipException)
    assert not isinstance(surface, AirflowFailException)
    assert vars(surface) == vars(error)


def test_no_policy_is_asked_whether_a_skip_is_to_be_retried():
    with pytest.raises(AirflowSkipException), as_airflow_errors(wants_retry=lambda _error: True):
        raise NotebookSkippedError("x")
    with pytest.raises(NotebookOutputError) as caught, as_airflow_errors(wants_retry=lambda _error: True):
        raise NotebookOutputError("x")
    assert not isinstance(caught.value, AirflowFailException)


class Policy:
    """A task's own ``retry_policy``, as Airflow 3.3 asks it."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def evaluate(self, **asked):
        self.asked.append(asked)
        if isinstance(self.answer, Exception):
            raise self.answer
        return SimpleNamespace(action=SimpleNamespace(value=self.answer))


def raised_under(policy, error):
    """What leaves a task with this policy, first of three tries."""
    task = SimpleNamespace(retry_policy=policy, retry_on_cell_error=True, log=logging.getLogger("task"))
    context = {"ti": SimpleNamespace(try_number=1, max_tries=2)}
    with pytest.raises(NotebookJobError) as caught, errors_of_task(task, context):
        raise error
    return caught.value


@pytest.mark.parametrize(("answer", "is_fatal"), [("retry", False), ("fail", True), ("default", True)])
def test_a_tasks_own_policy_may_have_retried_what_we_would_not(answer, is_fatal):
    policy, error = Policy(answer), NotebookJobConfigError("x")
    raised = raised_under(policy, error)
    assert isinstance(raised, AirflowFailException) is is_fatal
    (asked,) = policy.asked
    assert (asked["exception"], asked["try_number"], asked["max_tries"]) == (error, 1, 2)


def test_a_policy_that_fails_decides_nothing_and_its_fault_is_in_the_log(caplog):
    error = NotebookJobConfigError("x")
    raised = raised_under(Policy(KeyError("no such rule")), error)
    assert isinstance(raised, AirflowFailException)
    assert raised.__cause__ is error
    assert "retry_policy could not be asked" in caplog.text
    assert "no such rule" in caplog.text
