"""
How far a notebook has run, from what papermill writes into it as it runs.

Called by ``aws/results.py`` and the rendering process; pure. Source: papermill 2.7, ``PapermillNotebookClient``: each cell's ``metadata.papermill.status`` goes
from ``pending`` to ``running`` to ``completed`` or ``failed``, and the file is saved whenever a cell ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def progress_facts(job_name: str, done: int, total: int) -> dict[str, Any]:
    """Return what the XCom ``nbjobs_progress`` holds of a job that runs."""
    return {"job_name": job_name, "done": done, "total": total}


def done_share(facts: Mapping[str, Any]) -> float | None:
    """Return how much of a notebook has run, 0 to 1, from what an XCom says; None where it says nothing of use."""
    done, total = facts.get("done"), facts.get("total")
    if not isinstance(done, int) or not isinstance(total, int) or not 0 <= done <= total or not total:
        return None
    return done / total


def progress_of(notebook: NotebookNode) -> Progress:
    from airflow_nbjobs.core.failure import numbered_cells

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
    if not isinstance(papermill, dict):
        return None
    if papermill.get("exception") is True:
        return "failed"
    # Where the driver breaks, papermill calls every cell that it has not come to 'completed'.
    return papermill.get("status") if papermill.get("start_time", "") is not None else None
