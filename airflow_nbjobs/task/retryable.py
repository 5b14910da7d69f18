"""
Which errors a retry cannot help, and the form in which they leave the task: our type *and* an ``AirflowFailException``, or an ``AirflowSkipException``.

Used by the others of this room where an error leaves a task; imported inside functions only.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import AirflowFailException, AirflowSkipException
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from airflow.sdk import Context

    from airflow_nbjobs.task.view import TaskView


class FatalNotebookJobConfigError(NotebookJobConfigError, AirflowFailException):
    """A ``NotebookJobConfigError``: fails the task without a retry."""


class FatalNotebookCellError(NotebookCellError, AirflowFailException):
    """A ``NotebookCellError`` of a task with ``retry_on_cell_error=False``: fails the task without a retry."""


class FatalNotebookJobStoppedError(NotebookJobStoppedError, AirflowFailException):
    """A ``NotebookJobStoppedError``: a person's decision, which a retry would undo."""


class FatalNotebookJobServiceError(NotebookJobServiceError, AirflowFailException):
    """A ``NotebookJobServiceError`` that another try would meet again, such as a denied permission."""


class FatalNotebookOutputError(NotebookOutputError, AirflowFailException):
    """A ``NotebookOutputError``: the results of a completed job cannot change."""


class FatalNotebookJobTimeoutError(NotebookJobTimeoutError, AirflowFailException):
    """A ``NotebookJobTimeoutError`` of a job that the task only waited for: waiting again finds it as it is."""


class FatalNotebookJobCapacityError(NotebookJobCapacityError, AirflowFailException):
    """A ``NotebookJobCapacityError`` of a job that the task only waited for."""


class FatalNotebookJobError(NotebookJobError, AirflowFailException):
    """A ``NotebookJobError`` of a job that the task only waited for."""


class SkippedNotebookJobError(NotebookSkippedError, AirflowSkipException):
    """A ``NotebookSkippedError``: Airflow marks the task as skipped, whatever its ``retries``."""


_FATAL: dict[type[NotebookJobError], type[NotebookJobError]] = {
    NotebookJobConfigError: FatalNotebookJobConfigError,
    NotebookCellError: FatalNotebookCellError,
    NotebookJobStoppedError: FatalNotebookJobStoppedError,
    NotebookJobServiceError: FatalNotebookJobServiceError,
    NotebookOutputError: FatalNotebookOutputError,
    NotebookSkippedError: SkippedNotebookJobError,
}
_FATAL_WHEN_ENDED: dict[type[NotebookJobError], type[NotebookJobError]] = _FATAL | {
    NotebookJobTimeoutError: FatalNotebookJobTimeoutError,
    NotebookJobCapacityError: FatalNotebookJobCapacityError,
    NotebookJobError: FatalNotebookJobError,
}


def airflow_error(error: NotebookJobError, *, retry_on_cell_error: bool, was_adopted: bool) -> NotebookJobError:
    """
    Return the error in the form in which it should leave the task.

    :param was_adopted: the job was taken over from an earlier try; if somebody stopped it, that was most likely Airflow killing that try.
    """
    match error:
        case NotebookJobServiceError():
            is_fatal = not error.is_retryable
        case NotebookCellError():
            is_fatal = not (retry_on_cell_error and error.is_retryable)
        case NotebookJobStoppedError():
            is_fatal = not was_adopted
        case _:
            is_fatal = type(error) in _FATAL
    fatal_type = _FATAL.get(type(error))
    return error if not is_fatal or fatal_type is None else _turned(error, fatal_type)


def of_ended_job(error: NotebookJobError) -> NotebookJobError:
    """Return the error of a job that has ended as fatal: a retry of a task that did not start the job finds it as it is."""
    fatal_type = _FATAL_WHEN_ENDED.get(type(error))
    return error if fatal_type is None else _turned(error, fatal_type)


def _turned(error: NotebookJobError, fatal_type: type[NotebookJobError]) -> NotebookJobError:
    fatal: Any = fatal_type.__new__(fatal_type)
    fatal.args = error.args
    fatal.__dict__.update(error.__dict__)
    return fatal  # type: ignore[no-any-return]


@contextmanager
def as_airflow_errors(
    *,
    retry_on_cell_error: bool = True,
    was_adopted: bool = False,
    wants_retry: Callable[[NotebookJobError], bool] = lambda _error: False,
) -> Iterator[None]:
    """
    Let a ``NotebookJobError`` leave the block in the form that Airflow understands, with the original as its cause.

    :param wants_retry: asked of an error that would fail the task at once; its word counts.
    """
    try:
        yield
    except NotebookJobError as error:
        raised = airflow_error(error, retry_on_cell_error=retry_on_cell_error, was_adopted=was_adopted)
        # A skip is no failure: nobody is asked whether to retry it.
        if raised is error or (not isinstance(error, NotebookSkippedError) and wants_retry(error)):
            raise
        raise raised from error


def errors_of_task(task: TaskView, context: Context, *, was_adopted: bool = False) -> AbstractContextManager[None]:
    """Return ``as_airflow_errors`` with what the task says of its errors; ``was_adopted`` as there."""
    return as_airflow_errors(
        retry_on_cell_error=task.retry_on_cell_error,
        was_adopted=was_adopted,
        wants_retry=policy_wants_retry(task, context),
    )


def policy_wants_retry(task: TaskView, context: Context) -> Callable[[NotebookJobError], bool]:
    """
    Return what the task's own ``retry_policy`` (Airflow >= 3.3) says of an error that would fail the task at once.

    Airflow never asks a policy about an ``AirflowFailException``; asked here, it can have an error retried that we would not, and cannot
    overlook one. An error that it wants retried is then raised as it is, for Airflow to ask again, with its delay.
    """
    policy: Any = getattr(task, "retry_policy", None)

    def wants_retry(error: NotebookJobError) -> bool:
        if policy is None:
            return False
        ti: Any = context["ti"]
        try:
            decision = policy.evaluate(
                exception=error, try_number=ti.try_number, max_tries=ti.max_tries, context=context
            )
        except Exception:  # as Airflow does: a policy that fails decides nothing
            task.log.exception("retry_policy could not be asked")
            return False
        return bool(decision.action.value == "retry")

    return wants_retry
