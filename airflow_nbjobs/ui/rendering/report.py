"""
Which cells a report shows, and what of each: no code, and nothing that its author's tags hide; errors always.

Called by ``document.py``. Source: the tags of Jupyter Book (https://jupyterbook.org/en/stable/interactive/hiding.html,
https://myst-nb.readthedocs.io/en/latest/render/hiding.html: with a hyphen or an underscore;
``remove-stdout`` and ``remove-stderr`` are MyST-NB's), and ``metadata.jupyter`` of nbformat's
``v4/nbformat.v4.5.schema.json``. What is hidden is left out, on screen as in the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.document import metadata_of, outputs_of, tags_of
from airflow_nbjobs.ui.rendering.text import stream_of

if TYPE_CHECKING:
    from airflow_nbjobs.ui.rendering.outline import Cell

_NO_CELL = frozenset({"hide-cell", "remove-cell"})
_NO_INPUT = frozenset({"hide-input", "remove-input"})
_NO_OUTPUT = frozenset({"hide-output", "remove-output"})
_NO_STREAM = {"remove-stdout": "stdout", "remove-stderr": "stderr"}


class InReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    What of a cell the report shows.

    :param is_shown: anything at all.
    :param outputs: those of its outputs.
    """

    is_shown: bool
    outputs: tuple[dict[str, Any], ...] = ()


def in_report(cell: Cell) -> InReport:
    """Return what the report shows of a cell: of code the outputs, of a text all of it."""
    tags = {tag.strip().lower().replace("_", "-") for tag in tags_of(cell.node)}
    jupyter = metadata_of(cell.node).get("jupyter")
    hidden = jupyter if isinstance(jupyter, dict) else {}
    is_hidden = bool(tags & _NO_CELL)
    if not cell.is_code:
        return InReport(is_shown=not (is_hidden or tags & _NO_INPUT or hidden.get("source_hidden") is True))
    outputs = outputs_of(cell.node)
    has_none = is_hidden or bool(tags & _NO_OUTPUT) or hidden.get("outputs_hidden") is True
    streams = {stream for tag, stream in _NO_STREAM.items() if tag in tags}
    shown = tuple(each for each in outputs if _is_error(each) or not (has_none or stream_of(each) in streams))
    return InReport(is_shown=bool(shown) or cell.is_failed, outputs=shown)


def _is_error(output: dict[str, Any]) -> bool:
    return output.get("output_type") == "error"
