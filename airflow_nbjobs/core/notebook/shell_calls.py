"""
Which cells call a command of the system: with ``!``, in a shell cell, or from Python by a literal.

Called by ``commands/target.py``. Pure: reads the cells, runs nothing.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.cell_syntax import SHELL_CELL_MAGICS, split_cell
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.notebook.syntax_trees import last_name, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbformat import NotebookNode

# Of os and subprocess, and IPython's.
_RUNNING_FUNCTIONS = frozenset("system popen run call check_call check_output Popen getoutput getstatusoutput".split())
_SHELL_LINE = re.compile(r"(?:!!?|%(?:sx|system)\s)(.*)", re.DOTALL)


def cells_calling(nb: NotebookNode, command: str) -> tuple[int, ...]:
    """Positions, counted from 1 over all cells, of the code cells that call the command as far as their text shows it."""
    # At the beginning of a command, after variables set for it.
    call = re.compile(rf"(?:^|[;&|(`\n])\s*(?:(?:sudo|time|exec|\w+=\S*)\s+)*{re.escape(command)}(?=\s|$)")
    return tuple(
        position
        for position, cell in code_cells(nb)
        if any(call.search(text) for text in _shell_texts(source_of(cell)))
    )


def _shell_texts(source: str) -> Iterator[str]:
    cell = split_cell(source)
    words = (cell.cell_magic or "").split()
    if words and words[0] in SHELL_CELL_MAGICS:
        yield source.lstrip().partition("\n")[2]
    for magic in cell.magics:
        if found := _SHELL_LINE.match(magic):
            yield found[1]
    for node in walk(cell.tree) if cell.tree is not None else ():
        if not isinstance(node, ast.Call) or not node.args or last_name(node.func) not in _RUNNING_FUNCTIONS:
            continue
        match node.args[0]:
            case ast.Constant(value=str(text)) | ast.List(elts=[ast.Constant(value=str(text)), *_]):
                yield text
            case _:
                pass
