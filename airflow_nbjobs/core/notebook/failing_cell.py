"""
What an executed notebook and the job's log say about how far the job came, and where it failed.

Called by the results code and by progress displays. The executed notebook is untrusted: anything malformed in it is skipped,
never raised on. Pure; must never import airflow or boto3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.document import MARK, cells_of, mark_of, metadata_of, outputs_of, tags_of
from airflow_nbjobs.core.notebook.papermill import ERROR_MARKER, INJECTED, has_failed, was_started
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.core.notebook.tracebacks import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

# Colours and moves (CSI); strings, of which links (OSC 8) are some; then the other escapes, as ECMA-35 builds them.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\`-~])")
_USAGE_ERROR = "UsageError:"
# IPython prints a traceback that it cannot format; this is its last line.
_PRINTED_ERROR = re.compile(r"((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?:: (.*))?")
# IPython prints an exception group as Python does: with the exception that it came of before it, its own exceptions after it.
_GROUP = "  + Exception Group Traceback (most recent call last):"


class FailedCell(msgspec.Struct, frozen=True):
    """The cell whose exception ended the notebook."""

    index: int | None  # from 1 over all cells of the author's file; None if it is not a cell of that file
    tags: tuple[str, ...]
    source: str
    ename: str
    evalue: str
    traceback: str  # an excerpt that keeps the author's own frames, without ANSI sequences
    stderr: str = ""  # what the cell has printed there, without ANSI sequences


def find_failing_cell(executed: NotebookNode, *, has_run_to_its_end: bool = False) -> FailedCell | None:
    """
    Return the failing cell, or None where no cell raised (a dead kernel, an interrupted job, success).

    The cell that papermill marked as failed comes before one that only shows an error: a cell tagged ``raises-exception``
    shows one too, and so does ``showtraceback()``. After such a cell the notebook ran on, so that the cell has not ended it.

    :param has_run_to_its_end: then a cell that shows an error counts wherever it is: the driver fails the job for it.
    """
    found: FailedCell | None = None
    for index, cell in numbered_cells(executed):
        if found is not None and not has_run_to_its_end and was_started(cell):
            found = None
        error = _error_of(cell)
        is_marked = has_failed(cell)
        if _is_clean_exit(error) or (error is None and not is_marked):
            continue
        failed = failed_cell(index, cell, error or _printed_error(cell))
        if is_marked:
            return failed
        found = failed
    return found


def clean_exit(executed: NotebookNode) -> int | None:
    """Position, in the author's file, of the cell that ended the notebook with ``sys.exit()``; None where none did, and where it was the last one."""
    author = [(index, cell) for index, cell in numbered_cells(executed) if index is not None]
    for place, (index, cell) in enumerate(author):
        if _is_clean_exit(_error_of(cell)):
            rest = [later for _, later in author[place + 1 :] if later.get("cell_type") == "code"]
            return index if rest and not any(was_started(later) for later in rest) else None
    return None


def last_cell_run(executed: NotebookNode) -> int | None:
    """Position from 1, in the author's file, of the last code cell that was started; None where none was."""
    last = None
    for index, cell in numbered_cells(executed):
        if index is not None and was_started(cell):
            last = index
    return last


def printed(cell: NotebookNode, *streams: str) -> str:
    """Return what a cell has printed, without ANSI sequences; of these streams only, where any are named."""
    texts: list[str] = []
    for output in outputs_of(cell):
        if not streams or output.get("name") in streams:
            text = output.get("text") if output.get("output_type") == "stream" else None
            lines = text if isinstance(text, list) else [text]
            texts += [line for line in lines if isinstance(line, str)]
    return plain_text(strip_ansi("".join(texts)))


def plain_text(text: str) -> str:
    """The text without what neither a log in UTF-8 nor a database holds: half a surrogate pair, NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")


def strip_ansi(text: str) -> str:
    """The text without terminal escape sequences."""
    return _ANSI.sub("", text)


def numbered_cells(executed: NotebookNode) -> Iterator[tuple[int | None, NotebookNode]]:
    """The cells, each with its position in the author's file, or None where it is none of theirs."""
    ours = metadata_of(executed).get(MARK)
    # Papermill replaces an 'injected-parameters' cell that the file has, and adds one that it has not.
    has_injected = isinstance(ours, dict) and ours.get("has_injected_parameters") is True
    index = 0
    for cell in cells_of(executed):
        tags = tags_of(cell)
        is_injected = INJECTED in tags and not has_injected
        if is_injected or ERROR_MARKER in tags or mark_of(cell) is not None:
            yield None, cell
        else:
            index += 1
            yield index, cell


def _error_of(cell: NotebookNode) -> dict[str, Any] | None:
    return next((output for output in outputs_of(cell) if output.get("output_type") == "error"), None)


def _is_clean_exit(error: dict[str, Any] | None) -> bool:
    # sys.exit() and sys.exit(0) end the notebook, and papermill calls that a success; sys.exit(None) it does not.
    return error is not None and error.get("ename") == "SystemExit" and error.get("evalue") in {"", "0"}


def _printed_error(cell: NotebookNode) -> dict[str, Any]:
    """Return the error that IPython only printed: a magic's UsageError, or one that it failed to format."""
    lines = printed(cell, "stderr").rstrip().split("\n")
    usage = max((number for number, line in enumerate(lines) if line.startswith(_USAGE_ERROR)), default=None)
    if usage is not None:
        text = " ".join(line.strip() for line in lines[usage:])
        return {"ename": _USAGE_ERROR.rstrip(":"), "evalue": text.removeprefix(_USAGE_ERROR).strip()}
    if _GROUP in lines:
        outer = [line.removeprefix("  | ") for line in lines[lines.index(_GROUP) + 1 :] if line.startswith("  | ")]
        found = next((match for match in map(_PRINTED_ERROR.fullmatch, outer) if match), None)
        if found is not None:
            return {"ename": found[1].rpartition(".")[2], "evalue": found[2] or "", "traceback": lines}
    # The first exception of a chain is the cell's own; the others were raised while it was shown.
    ends = [line for line in lines[1:] if line[:1] not in ("", " ")] if lines[0].startswith("Traceback") else lines[-1:]
    found = _PRINTED_ERROR.fullmatch(ends[0]) if ends else None
    if found is None:
        return {}
    return {
        "ename": found[1].rpartition(".")[2],
        "evalue": found[2] or "",
        "traceback": lines[: lines.index(ends[0]) + 1] if len(ends) > 1 else lines,
    }


def failed_cell(index: int | None, cell: NotebookNode, error: dict[str, Any]) -> FailedCell:
    """Return what an ``error`` output, or what is known in its place, says of the cell that failed."""
    traceback = error.get("traceback")
    lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
    ename = _text(error.get("ename"))
    return FailedCell(
        index=index,
        tags=tags_of(cell),
        source=plain_text(source_of(cell)),
        ename=ename or "CellExecutionError",
        evalue=strip_ansi(_text(error.get("evalue"))),
        traceback=plain_text(excerpt(strip_ansi("\n".join(lines)).rstrip(), ename=ename)),
        stderr=printed(cell, "stderr"),
    )


def _text(value: object) -> str:
    return plain_text(value) if isinstance(value, str) else ""
