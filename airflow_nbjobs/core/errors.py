"""
Exceptions of the package: what happened, which notebook, cell and job, where to look, what to do.

Raised everywhere; imports nothing beyond the standard library, ``core.masking`` and ``core.visible``. ``airflow_nbjobs.exceptions`` has the table of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.masking import masked_ends
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


# A log, a database and a pickle hold what an error says: an exception of a notebook may have a text of megabytes.
_MOST_OF_HEADLINE = 4_000
_MOST_OF_DETAIL = 20_000
_MOST_OF_FIELD = 10_000
_MOST_OF_WORD = 500


def bounded(text: str, most: int = _MOST_OF_HEADLINE, mask: Callable[[str], str] | None = None) -> str:
    """
    Return a text; a longer one without its middle, and with how much that was.

    Secrets are masked before it is cut. Where nothing is known to mask them, no word is cut in two: whoever shows the text may know the whole word.

    :param mask: instead of what ``core.masking.mask_with`` has set.
    """
    if len(text) <= most:
        return text
    head, tail = masked_ends(text, most - most // 4, most // 4, mask)
    head = head[: len(head) - len(re.split(r"\s", head[-_MOST_OF_WORD:])[-1])]
    tail = tail[len(re.split(r"\s", tail[:_MOST_OF_WORD])[0]) :]
    return f"{head} … {len(text) - len(head) - len(tail)} more characters … {tail}"


class NotebookJobError(RuntimeError):
    """
    Base of every error that this package raises.

    :param headline: what happened, in one sentence, most useful identifier first; a title where ``problems`` lists several.
    :param problems: every problem found, each with its place and what to do; shown as a list.
    :param details: short labels to texts (``"notebook"``, ``"logs"``, ``"next"`` …), shown one a line below the headline, in the given order.
    :param job_name: the training job concerned, where there is one.
    """

    def __init__(
        self,
        headline: str,
        *,
        problems: Sequence[str] = (),
        details: Mapping[str, str] | None = None,
        job_name: str | None = None,
    ) -> None:
        # Only `headline` goes into `args`: with defaults for the rest, BaseException's own pickling restores the
        # fields from `__dict__`, in subclasses too.
        self.headline = bounded(headline)
        super().__init__(self.headline)
        self.problems = tuple(bounded(problem) for problem in problems)
        self.details = {label: bounded(str(text), _MOST_OF_DETAIL) for label, text in (details or {}).items()}
        self.job_name = job_name

    def __str__(self) -> str:
        return visible("\n".join(self._lines()))

    def _lines(self) -> list[str]:
        width = max((len(label) for label in self.details), default=0) + 1
        lines = [
            f"  {label + ':':<{width}} {bounded(str(text), _MOST_OF_DETAIL)}" for label, text in self.details.items()
        ]
        # A text that begins on a line of its own (a traceback) leaves blanks behind its label.
        problems = [f"  - {problem}" for problem in self.problems]
        return [self.headline, *problems, *(re.sub(r" +\n", "\n", line) for line in lines)]


class NotebookJobConfigError(NotebookJobError):
    """What was asked for cannot work; nothing has been uploaded or billed."""


class NotebookCellError(NotebookJobError):
    """
    A cell of the notebook raised.

    :param cell: position of the cell in the author's own file, counted from 1 over all cells; None if it is not a cell of that file
        (a ``%run`` target's error is reported at the cell that runs it).
    :param ename: class name of the exception, as the kernel sent it.
    :param evalue: text of the exception.
    :param is_retryable: False where another try would meet the same for certain: the cell's tag says that it raises.
    """

    def __init__(
        self,
        headline: str,
        *,
        cell: int | None = None,
        ename: str = "",
        evalue: str = "",
        is_retryable: bool = True,
        details: Mapping[str, str] | None = None,
        job_name: str | None = None,
    ) -> None:
        super().__init__(headline, details=details, job_name=job_name)
        self.cell = cell
        self.ename = ename
        self.evalue = bounded(evalue, _MOST_OF_FIELD)
        self.is_retryable = is_retryable


class NotebookSkippedError(NotebookJobError):
    """
    A cell raised an exception of a class named ``AirflowSkipException``, Airflow's own or any other: no failure, the task ends as skipped.

    :param cell: position of the cell in the author's own file, counted from 1; None if it is not a cell of that file.
    :param reason: text of the exception.
    """

    def __init__(
        self,
        headline: str,
        *,
        cell: int | None = None,
        reason: str = "",
        details: Mapping[str, str] | None = None,
        job_name: str | None = None,
    ) -> None:
        super().__init__(headline, details=details, job_name=job_name)
        self.cell = cell
        self.reason = bounded(reason, _MOST_OF_FIELD)


class NotebookJobStoppedError(NotebookJobError):
    """Somebody stopped the training job: by hand, in Studio, or with the StopTrainingJob API."""


class NotebookJobTimeoutError(NotebookJobError):
    """The job used up ``max_runtime_in_seconds``, its wait for a spot instance, or the task's ``execution_timeout``."""


class NotebookJobCapacityError(NotebookJobError):
    """AWS has no instance of this type now, or the account's quota above zero is in use. Worth a retry."""


class NotebookJobServiceError(NotebookJobError):
    """
    An AWS call or the platform failed.

    :param code: the AWS error code (``"AccessDeniedException"``), or the exception's class where AWS sent none.
    :param is_retryable: whether the same request may succeed later (throttling, 5xx, connection lost).
    """

    def __init__(
        self,
        headline: str,
        *,
        code: str = "",
        is_retryable: bool = False,
        details: Mapping[str, str] | None = None,
        job_name: str | None = None,
    ) -> None:
        super().__init__(headline, details=details, job_name=job_name)
        self.code = code
        self.is_retryable = is_retryable


class NotebookOutputError(NotebookJobError):
    """The notebook has run to its end, but the executed notebook, a declared output or a further output format is missing or wrong."""
