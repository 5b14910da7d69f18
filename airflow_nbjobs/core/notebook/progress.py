"""
How far a notebook has run, from what papermill writes into it and into the log as it runs.

Cells are counted as the author's file counts them, text included, so that a number is the one that an error gives. Called by ``aws/results/read.py``, the
rendering process, and whatever reads a log; pure. Source: papermill 2.7 saves the file whenever a cell ends; its bar counts every cell that it runs.
"""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.document import tagged_index
from airflow_nbjobs.core.notebook.failing_cell import numbered_cells
from airflow_nbjobs.core.notebook.papermill import INJECTED, cells_before_values, status_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from nbformat import NotebookNode

# The bar ends no line: what a cell prints next follows on the same line.
_BAR = re.compile(r"Executing:\s+\d+%\|[^|]*\|\s*(\d{1,6})/(\d{1,6}) \[[^\]]*\]?")


class Progress(msgspec.Struct, frozen=True):
    # position, in the author's file, of the last cell that has ended, and of the text that follows it; 0 before the first
    done: int
    total: int  # cells of the author's file
    # position, in the author's file, of the cell that runs, or of the last that has ended; None before the first
    current: int | None
    # whether the notebook's very last cell of code, ours included, has run: nothing of it can change any more
    is_complete: bool


def done_share(facts: Mapping[str, Any]) -> float | None:
    """Return how much of a notebook has run, 0 to 1, from what an XCom says; None where it says nothing of use."""
    done, total = facts.get("done"), facts.get("total")
    if not isinstance(done, int) or not isinstance(total, int) or not 0 <= done <= total or not total:
        return None
    return done / total


def cell_text(done: int, total: int) -> str:
    """Return the words for a cell that has ended, well or not: papermill counts a cell that fails as well."""
    return f"cell {done} of {total} has ended"


def progress_of(notebook: NotebookNode) -> Progress:
    cells = [(index, status_of(cell), cell.get("cell_type") == "code") for index, cell in numbered_cells(notebook)]
    code = [(index, status) for index, status, is_code in cells if is_code]
    own = [(index, status) for index, status in code if index is not None]
    begun = [index for index, status in own if status in ("running", "completed", "failed")]
    ended = [(index, status) for index, status in own if status in ("completed", "failed")]
    done = 0
    if ended:
        done, last = ended[-1]
        if last != "failed":
            following = takewhile(lambda cell: not cell[2], (cell for cell in cells if (cell[0] or 0) > done))
            done += sum(1 for _ in following)
    return Progress(
        done=done,
        total=sum(index is not None for index, _, _ in cells),
        current=begun[-1] if begun else None,
        is_complete=bool(code) and code[-1][1] == "completed" and not any(status == "failed" for _, status in code),
    )


def papermill_bars(text: str) -> Iterator[tuple[int, int]]:
    """Yield cells done and in all, as papermill counts them, from each of its bars in a part of the log."""
    return ((int(bar[1]), int(bar[2])) for bar in _BAR.finditer(text))


def without_bars(text: str) -> str:
    return _BAR.sub("", text)


def added_cells(staged: NotebookNode, *, is_injected: bool) -> tuple[int, ...]:
    """
    Return which of the cells that papermill runs, from 1, are not the author's: ours, and the one that papermill adds.

    :param is_injected: whether papermill is given parameters.
    """
    is_own = [index is not None for index, _ in numbered_cells(staged)]
    if is_injected and tagged_index(staged, INJECTED) is None:
        is_own.insert(cells_before_values(staged), False)
    return tuple(place for place, own in enumerate(is_own, 1) if not own)


def author_cells(done: int, total: int, added: Collection[int]) -> tuple[int, int]:
    """Return papermill's numbers as the author's: ``added`` says which of the cells are not theirs."""
    return done - sum(place <= done for place in added), total - sum(place <= total for place in added)


def newest_cells(log_text: str, added: Collection[int]) -> tuple[int, int] | None:
    """Return cells done and in all, as the author counts them, from a part of the log; None where it says nothing of them."""
    bars = list(papermill_bars(log_text))
    return author_cells(*bars[-1], added) if bars else None
