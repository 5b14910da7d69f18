"""
What a notebook's own code does with its parameters: it assigns over a value given, or makes something of the default before the value is there.

Called by ``core.values.parameters``; ``core.values.statement_steps`` reads the statements. Standard library only, pure; nothing of the notebook is run.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.document import mark_of, tagged_index
from airflow_nbjobs.core.notebook.papermill import INJECTED, cells_before_values
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.statement_steps import Step, Steps

if TYPE_CHECKING:
    import ast
    from collections.abc import Collection, Iterator, Mapping

    from nbformat import NotebookNode


class Place(msgspec.Struct, frozen=True):
    """Where the notebook binds a name."""

    shown: str  # what is bound, as it is written: ``path``, ``os.environ['DAY']``
    cell: int  # counted from 1 over all cells of the author's file
    line: int  # counted from 1 in the cell
    source: str
    of: tuple[str, ...] = ()  # the given names that it is made of

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}: {self.source}"


class Flow(msgspec.Struct, frozen=True):
    """What becomes of the given names."""

    # names whose value is assigned over before anything has read it
    overwritten: dict[str, Place] = msgspec.field(default_factory=dict)
    # names whose value is assigned over after it has been read, by a loop, or by a notebook that is run
    reassigned: dict[str, Place] = msgspec.field(default_factory=dict)
    # names whose value may be assigned over before anything has read it
    conditional: dict[str, Place] = msgspec.field(default_factory=dict)
    derived: tuple[Place, ...] = ()  # what is made of a given name's default, before the value given is there


def follow(nb: NotebookNode, given: Collection[str], runs: Mapping[str, NotebookNode] | None = None) -> Flow:
    """
    Follow the given names through the cells, as papermill runs them: its own cell comes after ``injected-parameters``, which it
    replaces, else after ``parameters``, else first. Cells that do not parse are passed over.

    :param runs: notebooks that this one executes with ``%run``, by relative name; those that are not here are passed over.
    """
    injected, before = tagged_index(nb, INJECTED), cells_before_values(nb)
    before_cells: list[_Cell] = []
    after_cells: list[_Cell] = []
    later = _Later(given)
    try:
        for position, cell in code_cells(nb):
            source = source_of(cell)
            split = split_cell(source)
            tree = split.tree
            if position - 1 == injected or mark_of(cell) is not None:
                continue
            if position <= before:
                if tree is not None:
                    before_cells.append(_Cell(position, tree, source))
                continue
            # A magic or a cell of another language may read every name that it mentions.
            is_python = tree is not None and (bool(tree.body) or split.cell_magic is None)
            later.mention("\n".join(split.magics) if is_python else source)
            for magic in split.magics:
                line = next(
                    (n for n, text in enumerate(source.split("\n"), 1) if magic.startswith(text.strip() or "\n")), 1
                )
                for ran in _cells_run(magic, runs or {}, frozenset()):
                    later.read(replace(ran, run=(position, line, magic)))
            if tree is not None:
                after_cells.append(_Cell(position, tree, source))
                later.read(after_cells[-1])
        return Flow(later.overwritten, later.reassigned, later.conditional, _derived(before_cells, after_cells, given))
    except RecursionError:
        return Flow()


class _Cell(msgspec.Struct, frozen=True):
    """One cell that parses."""

    position: int
    tree: ast.Module
    source: str
    # where the author's notebook runs it with ``%run``, if it is another notebook's: cell, line and magic
    run: tuple[int, int, str] | None = None

    def place(self, shown: str, line: int, of: tuple[str, ...] = ()) -> Place:
        lines = self.source.split("\n")
        source = lines[line - 1].strip() if line <= len(lines) else ""
        source = shortened(source)
        if self.run is not None:
            cell, at, magic = self.run
            return Place(shown, cell, at, f"{magic.strip()}, whose cell {self.position} says {source}", of)
        return Place(shown, self.position, line, source, of)


def _cells_run(magic: str, runs: Mapping[str, NotebookNode], within: frozenset[str]) -> Iterator[_Cell]:
    """Give the cells of the notebook that a ``%run`` executes, and of what it runs in turn."""
    found = re.match(r"%run\s+(?:-i\s+)?['\"]?([^'\"]+?\.ipynb)['\"]?\s*$", magic)
    name = posixpath.normpath(found[1]) if found else ""
    if name in within or name not in runs:
        return
    for position, cell in code_cells(runs[name]):
        source = source_of(cell)
        split = split_cell(source)
        for inner in split.magics:
            yield from _cells_run(inner, runs, within | {name})
        if split.tree is not None:
            yield _Cell(position, split.tree, source)


class _Later:
    """The cells after the injected values, in their order."""

    def __init__(self, given: Collection[str]) -> None:
        self.overwritten: dict[str, Place] = {}
        self.reassigned: dict[str, Place] = {}
        self.conditional: dict[str, Place] = {}
        self._open = set(given)
        self._made_of = {name: frozenset({name}) for name in given}
        self._seen: set[str] = set()
        self._steps = Steps()

    def mention(self, text: str) -> None:
        self._seen |= self._made_of.keys() & set(re.findall(r"\w+", text))

    def read(self, cell: _Cell) -> None:
        for step in self._steps.of(cell.tree.body):
            roots = frozenset().union(*(self._made_of.get(name, frozenset()) for name in step.reads))
            self._seen |= roots
            for name in step.binds:
                if name in self._open and name not in roots and not step.reads_all:
                    self._judge(name, step, cell.place(name, step.line), is_own=cell.run is None)
                self._made_of[name] = roots if step.is_certain else self._made_of.get(name, frozenset()) | roots

    def _judge(self, name: str, step: Step, place: Place, *, is_own: bool) -> None:
        if step.is_certain:
            (self.overwritten if is_own and name not in self._seen else self.reassigned)[name] = place
            self._open.discard(name)
        elif name not in self._seen:
            (self.reassigned if step.is_passing else self.conditional).setdefault(name, place)


def _derived(cells: list[_Cell], later: list[_Cell], given: Collection[str]) -> tuple[Place, ...]:
    steps = Steps()
    made_of = {name: frozenset({name}) for name in given}
    places: dict[str, Place] = {}
    parts: dict[str, list[str]] = {}  # what of a name has a place: of c, ``c`` and ``c['a']``
    for cell in cells:
        for step in steps.of(cell.tree.body):
            roots = frozenset().union(*(made_of.get(name, frozenset()) for name in step.reads))
            bound = [(name, name, step.is_certain) for name in step.binds]
            for name, shown, is_new in (*bound, *((name, shown, False) for name, shown in step.changes)):
                if name in given:
                    continue  # the value given takes the place of whatever this is
                if is_new:
                    made_of[name] = frozenset()
                    for part in parts.pop(name, ()):
                        places.pop(part, None)
                if roots:
                    made_of[name] = made_of.get(name, frozenset()) | roots
                    if not (step.is_passing and name == shown):
                        of = tuple(name for name in given if name in roots)
                        places.setdefault(shown, cell.place(shown, step.line, of))
                        parts.setdefault(name, []).append(shown)
    made_anew = {
        name
        for cell in later
        for step in steps.of(cell.tree.body)
        if step.is_certain
        for name in (*step.binds, *(shown for _, shown in step.changes))
        if name not in step.reads
    }
    return tuple(place for place in places.values() if place.shown not in made_anew)
