"""
The error of a failed task as a small JSON value, and that value read back with distrust.

Called by ``error_recording.py`` in the worker and by the pages, which show it as a hint: whoever may edit XComs can have written it. Pure.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobError, NotebookSkippedError, bounded
from airflow_nbjobs.core.job.xcoms import ERROR_KEY, VERSION, read_record
from airflow_nbjobs.core.notebook.failing_cell import plain_text, strip_ansi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_LINE_CHARACTERS = 1_000
_TEXT_CHARACTERS = 8_000
_MOST_PROBLEMS = 20
_MASKED_CHARACTERS = 100_000
_MOST_NUMBER = 10**9
# As ``core.errors`` writes them: "  notebook:   a.ipynb", or a label alone with its text on the lines below it.
_DETAIL = re.compile(r"  (?P<label>[a-z][a-z ]{0,20}):(?: +(?P<same>.*))?$")


class ErrorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """
    :param kind: the error's class in ``core/errors.py``, else the exception's own.
    :param problems: of an error that lists several.
    :param advice: what follows ``next:``.
    :param text: the whole error as the log has it, its middle left out where it is long; empty where the headline is all.
    :param cell: position of the cell concerned in the author's file, from 1.
    :param job_name: None: no job was submitted.
    """

    try_number: int
    kind: str
    headline: str
    problems: tuple[str, ...] = ()
    advice: str = ""
    text: str = ""
    cell: int | None = None
    job_name: str | None = None


def error_record(error: BaseException, *, try_number: int, mask: Callable[[str], str]) -> dict[str, Any]:
    """
    Return an error as an XCom holds it.

    :param mask: hides what must not be seen, as Airflow's log does.
    """

    def shown(text: str, most: int = _LINE_CHARACTERS) -> str:
        return _cut(mask(plain_text(strip_ansi(bounded(text, _MASKED_CHARACTERS, mask)))), most)

    # A skip that stands for a failure has the failure as its cause.
    ours = next((each for each in (error, error.__cause__) if isinstance(each, NotebookJobError)), None)
    whole = str(error)
    kind = _kind(error)
    headline = error.headline if isinstance(error, NotebookJobError) else _first_line(error, kind)
    problems = list(ours.problems) if ours else []
    more = [f"… and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
    return {
        "version": VERSION,
        "try_number": try_number,
        "type": kind,
        "headline": shown(headline),
        "problems": [shown(problem) for problem in problems[:_MOST_PROBLEMS]] + more,
        "next": shown(ours.details.get("next", "")) if ours else "",
        "text": shown(whole, _TEXT_CHARACTERS) if whole != headline else "",
        "cell": ours.cell if isinstance(ours, NotebookCellError | NotebookSkippedError) else None,
        "job_name": ours.job_name if ours else None,
    }


def _first_line(error: BaseException, kind: str) -> str:
    """Return what an exception of others says: Airflow's own in their words alone, else with the class, which says more than the text."""
    text = str(error).strip().partition("\n")[0]
    if text and type(error).__module__.startswith("airflow."):
        return text
    return f"{kind}: {text}" if text else kind


def short_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without its longest text, to be kept beside those of many other jobs."""
    return {**record, "text": "", "problems": record["problems"][:3]}


def parse_error_record(value: object) -> ErrorRecord | None:
    """Read a record; None where it says nothing, or is of another form."""
    fields = read_record(ERROR_KEY, value)
    try_number, headline = fields.get("try_number", -1), _text(fields.get("headline"))
    if not 0 <= try_number < _MOST_NUMBER or not headline:
        return None
    cell = fields.get("cell", -1)
    return ErrorRecord(
        try_number=try_number,
        kind=_text(fields.get("type"))[:100],
        headline=headline,
        problems=tuple(filter(None, map(_text, fields.get("problems", ())[: _MOST_PROBLEMS + 1]))),
        advice=_text(fields.get("next")),
        text=_text(fields.get("text"), _TEXT_CHARACTERS),
        cell=cell if 0 <= cell < _MOST_NUMBER else None,
        job_name=_text(fields.get("job_name"))[:63] or None,
    )


def details_of(record: ErrorRecord) -> dict[str, str]:
    """Return an error's details by their labels (``"notebook"``, ``"source"`` …), as its text has them: those that its cut has left whole."""
    found: dict[str, list[str]] = {}
    label = ""
    for line in record.text.split("\n"):
        begins = _DETAIL.match(line)
        if begins:
            label = begins["label"]
            found[label] = [begins["same"] or ""]
        elif label and (line.startswith("    ") or not line.strip()):
            found[label].append(line)
        else:
            label = ""
    return {name: textwrap.dedent("\n".join(lines)).strip("\n").rstrip() for name, lines in found.items()}


def _kind(error: BaseException) -> str:
    """Return the class that users know; what Airflow needs beside it (``Fatal…``) says nothing to a reader."""
    classes = type(error).__mro__
    ours = next((each for each in classes if each.__module__ == NotebookJobError.__module__), classes[0])
    return ours.__name__


def _text(value: object, most: int = _LINE_CHARACTERS) -> str:
    return _cut(plain_text(value), most) if isinstance(value, str) else ""


def _cut(text: str, most: int) -> str:
    """Return the text without its middle: an error begins with what happened and ends with what to do."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} … {text[-(most // 2 - 3) :]}"
