"""
What is likely to fail a job after its notebook has run, as warnings before it is submitted.

Called by ``aws/submit/prepare.py``; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.job.formats import format_warnings
from airflow_nbjobs.core.notebook.document import tags_of
from airflow_nbjobs.core.notebook.papermill import RAISES_EXCEPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode


def late_failures(notebook: NotebookNode, output_formats: Sequence[str]) -> tuple[str, ...]:
    """Return a warning for each further format that the image most likely cannot write, and one for cells whose exception the driver does not let pass."""
    raising = [
        position
        for position, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code" and RAISES_EXCEPTION in tags_of(cell)
    ]
    if not raising:
        return format_warnings(output_formats)
    which = f"cell {raising[0]} is" if len(raising) == 1 else f"cells {', '.join(map(str, raising))} are"
    late = (
        f"{which} tagged '{RAISES_EXCEPTION}': the notebook runs on after such an exception, but the driver fails every job whose executed notebook "
        "shows one; catch it in the cell with try/except"
    )
    return (late, *format_warnings(output_formats))
