"""
Which errors a retry cannot help, and their form at Airflow's surface: our type *and* an ``AirflowFailException``.

Called by the operator as errors leave it; imported inside functions only.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import AirflowFailException
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookOutputError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


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


_FATAL: dict[type[NotebookJobError], type[NotebookJobError]] = {
    NotebookJobConfigError: FatalNotebookJobConfigError,
    NotebookCellError: FatalNotebookCellError,
    NotebookJobStoppedError: FatalNotebookJobStoppedError,
    NotebookJobServiceError: FatalNotebookJobServiceError,
    NotebookOutputError: FatalNotebookOutputError,
}


def at_surface(error: NotebookJobError, *, retry_on_cell_error: bool, was_adopted: bool) -> NotebookJobError:
    """
    Return the error in the form in which it should leave the task.

    :param was_adopted: the job was taken over from an earlier try; if somebody stopped it, that was most likely Airflow killing that try.
    """
    is_fatal: bool
    match error:
        case NotebookJobServiceError():
            is_fatal = not error.is_retryable
        case NotebookCellError():
            is_fatal = not retry_on_cell_error
        case NotebookJobStoppedError():
            is_fatal = not was_adopted
        case _:
            is_fatal = type(error) in _FATAL
    fatal_type = _FATAL.get(type(error))
    if not is_fatal or fatal_type is None:
        return error
    fatal: Any = fatal_type.__new__(fatal_type)
    fatal.args = error.args
    fatal.__dict__.update(error.__dict__)
    return fatal  # type: ignore[no-any-return]


@contextmanager
def surfaced(*, retry_on_cell_error: bool = True, was_adopted: bool = False) -> Iterator[None]:
    """Let a ``NotebookJobError`` leave the block in its surface form, with the original as its cause."""
    try:
        yield
    except NotebookJobError as error:
        raised = at_surface(error, retry_on_cell_error=retry_on_cell_error, was_adopted=was_adopted)
        if raised is error:
            raise
        raise raised from error
