"""
Which cells a report shows, and what of each: no code, and nothing that its author's tags hide; errors always.

Called by ``document.py``. Source: the tags of Jupyter Book (https://jupyterbook.org/en/stable/interactive/hiding.html,
https://myst-nb.readthedocs.io/en/latest/render/hiding.html: with a hyphen or an underscore), and ``metadata.jupyter`` of nbformat's
``v4/nbformat.v4.5.schema.json``. A page on screen folds what is hidden; a file that is handed on leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.document import metadata_of, outputs_of, tags_of

if TYPE_CHECKING:
    from airflow_nbjobs.ui.rendering.outline import Cell

_NO_CELL = frozenset({"hide-cell", "remove-cell"})
_NO_INPUT = frozenset({"hide-input", "remove-input"})
_NO_OUTPUT = frozenset({"hide-output", "remove-output"})


class InReport(msgspec.Struct, frozen=True, kw_only=True):
    """
    What of a cell the report shows.

    :param is_shown: anything at all.
    :param has_outputs: its outputs, if it has any.
    :param errors: where the outputs are hidden, those that are errors.
    """

    is_shown: bool
    has_outputs: bool = False
    errors: tuple[dict[str, Any], ...] = ()


def in_report(cell: Cell) -> InReport:
    """Return what the report shows of a cell: of code the outputs, of a text all of it."""
    tags = {tag.strip().lower().replace("_", "-") for tag in tags_of(cell.node)}
    jupyter = metadata_of(cell.node).get("jupyter")
    hidden = jupyter if isinstance(jupyter, dict) else {}
    is_hidden = bool(tags & _NO_CELL)
    if not cell.is_code:
        return InReport(is_shown=not (is_hidden or tags & _NO_INPUT or hidden.get("source_hidden") is True))
    outputs = outputs_of(cell.node)
    has_outputs = bool(outputs) and not (is_hidden or tags & _NO_OUTPUT or hidden.get("outputs_hidden") is True)
    errors = tuple(each for each in outputs if each.get("output_type") == "error")
    return InReport(
        is_shown=has_outputs or bool(errors) or cell.is_failed,
        has_outputs=has_outputs,
        errors=() if has_outputs else errors,
    )
