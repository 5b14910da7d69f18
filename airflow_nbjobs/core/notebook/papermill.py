"""
What papermill does to a notebook that it runs: the tags that it reads and writes, where the values given come, what it says of each cell.

Called by whatever counts, follows or explains cells. The executed notebook is untrusted. Pure.

Source: papermill 2.7, ``parameterize_notebook`` and ``PapermillNotebookClient``: each cell's ``metadata.papermill.status`` goes from ``pending`` to
``running`` to ``completed`` or ``failed``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.notebook.document import metadata_of, tagged_index

if TYPE_CHECKING:
    from nbformat import NotebookNode

PARAMETERS = "parameters"
INJECTED = "injected-parameters"
ERROR_MARKER = "papermill-error-cell-tag"
RAISES_EXCEPTION = "raises-exception"  # papermill goes on after such a cell


def cells_before_values(nb: NotebookNode) -> int:
    """Count the cells before the values given: they take the place of ``injected-parameters``, else come after ``parameters``, else first."""
    place = tagged_index(nb, INJECTED)
    if place is not None:
        return place
    declared = tagged_index(nb, PARAMETERS)
    return 0 if declared is None else declared + 1


def papermill_of(cell: NotebookNode) -> dict[str, Any]:
    """What papermill has written into the cell's metadata; empty where it has not, or where that is malformed."""
    papermill = metadata_of(cell).get("papermill")
    return papermill if isinstance(papermill, dict) else {}


def has_failed(cell: NotebookNode) -> bool:
    return papermill_of(cell).get("exception") is True


def status_of(cell: NotebookNode) -> object:
    """``"pending"``, ``"running"``, ``"completed"`` or ``"failed"``; None where papermill does not say, or says it of a cell that it has not come to."""
    papermill = papermill_of(cell)
    # Where the driver breaks, papermill calls every cell that it has not come to 'completed'.
    is_reached = papermill.get("start_time", "") is not None
    return "failed" if has_failed(cell) else papermill.get("status") if is_reached else None


def was_started(cell: NotebookNode) -> bool:
    """Say whether this is a cell of code that the kernel was given; where the driver breaks, papermill calls the rest ``completed`` too."""
    return cell.get("cell_type") == "code" and (
        isinstance(papermill_of(cell).get("start_time"), str)
        or ("papermill" not in metadata_of(cell) and isinstance(cell.get("execution_count"), int))
    )
