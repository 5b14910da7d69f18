"""
When each cell of a notebook ran, as papermill notes it.

Called by ``document.py``; its values go into the summary, for whoever shows the cells over time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.notebook import papermill
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.rendering.outline import first_line, name_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_nbjobs.ui.rendering.outline import Cell

_LABEL_CHARACTERS = 80


def spans(cells: Sequence[Cell]) -> tuple[dict[str, Any], ...]:
    """
    Return the cells of code that have begun, in the notebook's order.

    Each has ``start`` and ``end`` in seconds since the epoch; the end of a cell that still runs, or was cut off, is None.
    """
    found = []
    for cell in cells:
        said = papermill.papermill_of(cell.node)
        start, end = (_seconds(said.get(name)) for name in ("start_time", "end_time"))
        if not cell.is_code or start is None:
            continue
        found.append(
            {
                "anchor": cell.anchor,
                "label": name_of(cell),
                "source": visible(first_line(cell)[:_LABEL_CHARACTERS]),
                "start": start,
                "end": None if end is None else max(start, end),
                "is_failed": cell.is_failed,
            }
        )
    return tuple(found)


def _seconds(said: object) -> float | None:
    """Return a moment of papermill's, which has no time zone and means UTC."""
    try:
        moment = datetime.fromisoformat(said if isinstance(said, str) else "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
