"""
What a notebook was given and what it recorded, read from the executed notebook, and values as rows of a table.

Called by the rendering process and the pages. The executed notebook is untrusted: what cannot be read is left out. Pure.
"""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.notebook.document import mark_of, tags_of
from airflow_nbjobs.core.notebook.failing_cell import numbered_cells
from airflow_nbjobs.core.notebook.papermill import INJECTED
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.core.values.literals import literal, value_of
from airflow_nbjobs.core.values.outputs import DeclaredOutputs, read_outputs, recorded_names
from airflow_nbjobs.core.values.parameter_cell import TYPED_PARAMETERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

_MOST_ROWS = 1_000
VALUE_CHARACTERS = 100_000  # that a row keeps of a value
_ALL_CHARACTERS = 1_000_000


def read_parameters(executed: NotebookNode) -> dict[str, Any] | None:
    """
    Return the parameters that the notebook was given, as its kernel got them.

    The cell with types has them all and wins; without one they are texts, in papermill's own cell.

    :return: None where neither cell can be read, as of a kernel other than Python.
    """
    cells = [(index, cell) for index, cell in numbered_cells(executed) if cell.get("cell_type") == "code"]
    typed = [cell for _, cell in cells if mark_of(cell) == TYPED_PARAMETERS]
    injected = [cell for index, cell in cells if index is None and INJECTED in tags_of(cell)]
    for cell in (*typed[-1:], *injected[-1:]):
        found = _assigned(source_of(cell))
        if found is not None:
            return found
    return None


def _assigned(source: str) -> dict[str, Any] | None:
    try:
        return dict(_pair(statement) for statement in ast.parse(source).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _pair(statement: ast.stmt) -> tuple[str, Any]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            return name, value_of(value)
        case _:
            raise ValueError(ast.dump(statement)[:100])


def read_recorded(executed: NotebookNode) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the outputs that the notebook recorded or glued, and in words what is wrong with others."""
    record = read_outputs(executed, DeclaredOutputs(dict.fromkeys(recorded_names(executed)), ()))
    return record.values, record.problems


def value_rows(values: Mapping[Any, Any], *, is_python: bool = False) -> list[dict[str, str]]:
    """
    Return values as rows: name, type, and the whole value as text; cut only beyond 100,000 characters, or a million in all.

    :param is_python: as Python writes them; else as JSON, which is how an XCom holds them.
    """
    rows, left = [], _ALL_CHARACTERS
    for name, value in list(values.items())[:_MOST_ROWS]:
        text = _text(value, is_python=is_python)
        most = min(VALUE_CHARACTERS, left)
        left -= min(len(text), most)
        rows.append(
            {
                "name": str(name)[:200],
                "type": "None" if value is None else type(value).__name__,
                "text": text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)",
            }
        )
    left_out = len(values) - len(rows)
    return [*rows, {"name": "…", "type": "", "text": f"{left_out:,} more"}] if left_out else rows


def _text(value: Any, *, is_python: bool) -> str:
    try:
        text = repr(value) if is_python else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        try:
            text = literal(value)  # Python writes no integer of more than 4,300 digits out
        except (TypeError, RecursionError):
            text = f"a {type(value).__name__} that cannot be shown"
    return text.encode("utf-8", "replace").decode()
