"""
How far a notebook has run, from what papermill writes into it as it runs.

Called by ``aws/results.py`` and the rendering process; pure. Source: papermill 2.7, ``PapermillNotebookClient``: each cell's ``metadata.papermill.status`` goes
from ``pending`` to ``running`` to ``completed`` or ``failed``, and the file is saved whenever a cell ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_nbjobs.core.failure import numbered_cells

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True, slots=True)
class Progress:
    """
    :param done: cells of code of the author's that have ended.
    :param total: all of them.
    :param current: position, in the author's file, of the cell that runs, or of the last that has ended; None before the first.
    :param is_complete: whether the notebook's very last cell of code, ours included, has run: nothing of it can change any more.
    """

    done: int
    total: int
    current: int | None
    is_complete: bool


def progress_of(notebook: NotebookNode) -> Progress:
    code = [(index, _status(cell)) for index, cell in numbered_cells(notebook) if cell.get("cell_type") == "code"]
    own = [(index, status) for index, status in code if index is not None]
    begun = [index for index, status in own if status in ("running", "completed", "failed")]
    return Progress(
        done=sum(status in ("completed", "failed") for _, status in own),
        total=len(own),
        current=begun[-1] if begun else None,
        is_complete=bool(code) and code[-1][1] == "completed" and not any(status == "failed" for _, status in code),
    )


def _status(cell: NotebookNode) -> object:
    metadata = cell.get("metadata")
    papermill = metadata.get("papermill") if isinstance(metadata, dict) else None
    return papermill.get("status") if isinstance(papermill, dict) else None
