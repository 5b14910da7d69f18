"""
Where a notebook reads the clock, found without running it.

Called by ``aws/submit/content_warnings.py`` for a run that has a data interval: such a notebook reports on today whichever day it is run for. Pure.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.notebook.stopwatch import Flow
from airflow_nbjobs.core.notebook.syntax_trees import (
    dotted_name,
    full_name,
    imported_names,
    parse_anew,
    parse_python,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbformat import NotebookNode

# Clocks that only measure how long something takes (time.perf_counter, time.monotonic) are not here.
_READS = frozenset(
    {
        *(f"datetime.datetime.{name}" for name in ("now", "today", "utcnow")),
        "datetime.date.today",
        *(f"time.{name}" for name in ("time", "time_ns")),
        *(f"pandas.Timestamp.{name}" for name in ("now", "today", "utcnow")),
        *(f"pandas.Period.{name}" for name in ("now",)),
        *(f"pendulum.{name}" for name in ("now", "today", "yesterday", "tomorrow")),
        *(f"arrow.{name}" for name in ("now", "utcnow")),
    }
)
_NUMBERS = frozenset({"time.time", "time.time_ns"})
# These read the clock only where they are given no time: the position of that argument.
_READS_WITHOUT_TIME = {"time.localtime": 0, "time.gmtime": 0, "time.ctime": 0, "time.asctime": 0, "time.strftime": 1}
# And these only where they are given one of these words for it.
_READS_OF_WORD = frozenset({"pandas.Timestamp", "pandas.to_datetime", "numpy.datetime64"})
_WORDS = frozenset({"now", "today"})


class ClockRead(msgspec.Struct, frozen=True):
    """One call."""

    cell: int  # position in the author's file, counted from 1 over all cells
    call: str  # as written, ``datetime.now()``


def clock_reads(nb: NotebookNode, *, imported_by: Iterable[NotebookNode] = ()) -> tuple[ClockRead, ...]:
    """
    Return the calls that read the clock for what the notebook reports, each once a cell, in the notebook's order.

    What only measures how long something takes, is only printed or logged, names a log file or seeds a generator is left out. Names are followed through
    imports, not through assignments: ``now = datetime.now`` hides the clock, and a variable named like an import is taken for it. Cells that do not parse
    have none.

    :param imported_by: further notebooks whose code counts, since they run in the same namespace (``%run``).
    """
    seen: set[int] = set()
    cells = list(_parsed_cells(nb, seen))
    others = [tree for other in imported_by if other is not nb for _, tree in _parsed_cells(other, seen)]
    trees = [*others, *(tree for _, tree in cells)]
    names: dict[str, str] = {}
    for tree in trees:
        names |= imported_names(tree)
    calls = {id(tree): list(_calls(tree, names)) for tree in trees}
    flow = Flow(trees, (call.node for found in calls.values() for call in found))
    found = [
        ClockRead(cell, call.shown)
        for cell, tree in cells
        for call in calls[id(tree)]
        if not flow.makes_no_difference(call.node, is_number=call.is_number)
    ]
    return tuple(dict.fromkeys(found))


class _Call(msgspec.Struct, frozen=True):
    node: ast.Call
    shown: str
    is_number: bool


def _parsed_cells(nb: NotebookNode, seen: set[int]) -> Iterator[tuple[int, ast.Module]]:
    """The cells with a tree for each: of two cells with the same text, the flow must tell which node is whose."""
    for position, cell in code_cells(nb):
        python = split_cell(source_of(cell)).python
        tree = parse_python(python)
        if id(tree) in seen:
            tree = parse_anew(python)
        if tree is not None:
            seen.add(id(tree))
            yield position, tree


def _calls(tree: ast.Module, names: Mapping[str, str]) -> Iterator[_Call]:
    calls = [node for node in walk(tree) if isinstance(node, ast.Call)]
    for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
        called, meant = dotted_name(node.func), full_name(node.func, names)
        if meant in _READS or _reads_without_time(node, meant):
            yield _Call(node, f"{called}()", meant in _NUMBERS)
        elif meant in _READS_OF_WORD and node.args and isinstance(node.args[0], ast.Constant):
            word = node.args[0].value
            if word in _WORDS:
                yield _Call(node, f"{called}({word!r})", is_number=False)


def _reads_without_time(node: ast.Call, meant: str) -> bool:
    position = _READS_WITHOUT_TIME.get(meant)
    return position is not None and len(node.args) <= position and not node.keywords
