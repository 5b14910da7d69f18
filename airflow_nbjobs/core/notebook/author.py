"""
What the author wrote into a notebook: its code, and the text that it begins with; without the cells that papermill and this package add.

Called by ``task/lineage.py``. The notebook may be an executed one, and so untrusted. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.failing_cell import numbered_cells
from airflow_nbjobs.core.notebook.source import source_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

CODE_LIMIT = 100_000  # characters
TEXT_LIMIT = 10_000


def code_of(nb: NotebookNode) -> str:
    """Return the cells of code, an empty line between two; of a longer notebook the first 100,000 characters, and how many are left out."""
    cells = [
        source_of(cell) for index, cell in numbered_cells(nb) if index is not None and cell.get("cell_type") == "code"
    ]
    return _cut("\n\n".join(cell for cell in cells if cell.strip()), CODE_LIMIT)


def first_text(nb: NotebookNode) -> str | None:
    """Return the first text cell, at most 10,000 characters of it; None where there is none."""
    texts = (
        source_of(cell).strip()
        for cell in nb.get("cells", ())
        if isinstance(cell, dict) and cell.get("cell_type") == "markdown"
    )
    found = next((text for text in texts if text), None)
    return _cut(found, TEXT_LIMIT) if found else None


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}\n… {len(text) - limit} more characters"
