"""
Values that a notebook recorded with scrapbook's ``glue`` or papermill's former ``record``.

Called by ``core.values.outputs``. Untrusted input: malformed records are skipped. Pure; must never import airflow or boto3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from airflow_nbjobs.core.notebook.document import cells_of, outputs_of

if TYPE_CHECKING:
    from nbformat import NotebookNode

_SCRAP = "application/scrapbook.scrap."
_RECORD = "application/papermill.record+json"
# In place of a value whose JSON has more levels than Python's parser takes.
TOO_DEEP: Final = object()


def read_scraps(executed: NotebookNode) -> dict[str, object]:
    """
    Return the glued values by name, the last one of a name.

    Those with scrapbook's encoders ``json`` and ``text``; a data frame (``pandas``, base64 of parquet) is no output.

    Source: nteract/scrapbook, ``models.py`` and ``encoders.py``.
    """
    scraps: dict[str, object] = {}
    for cell in cells_of(executed):
        for output in outputs_of(cell):
            data = output.get("data")
            for mime_type, payload in data.items() if isinstance(data, dict) else ():
                if isinstance(payload, dict):
                    scraps.update(_scraps_of(mime_type, payload))
    return scraps


def _scraps_of(mime_type: str, payload: dict[str, object]) -> dict[str, object]:
    if mime_type == _RECORD:
        return dict(payload)
    name = payload.get("name")
    if not mime_type.startswith(_SCRAP) or not isinstance(name, str) or "data" not in payload:
        return {}
    value = payload["data"]
    match payload.get("encoder"):
        case "text":
            return {name: value}
        case "json":
            if isinstance(value, str):  # scrapbook reads text that is JSON as JSON, and keeps other text
                try:
                    value = json.loads(value)
                except ValueError:
                    return {name: value}
                except RecursionError:
                    return {name: TOO_DEEP}
            return {name: value}
        case _:
            return {}
