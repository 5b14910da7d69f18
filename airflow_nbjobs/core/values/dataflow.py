"""
What a notebook's own code does with the parameters that it is given: values that are assigned over, or made before they are there.

Called by ``core.values.parameters``. Standard library only, pure; nothing of the notebook is run.
"""

from __future__ import annotations

import ast
import posixpath
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.document import mark_of, tagged_index
from airflow_nbjobs.core.notebook.papermill import INJECTED, cells_before_values
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.notebook.syntax_trees import argument_names, walk
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from nbformat import NotebookNode

_MUTATORS = frozenset({"append", "add", "update", "extend", "insert", "setdefault", "appendleft"})
_READS_ALL = frozenset({"globals", "locals", "vars", "exec", "eval", "get_ipython"})


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where the notebook binds a name.

    :param shown: what is bound, as it is written: ``path``, ``os.environ['DAY']``.
    :param cell: counted from 1 over all cells of the author's file.
    :param line: counted from 1 in the cell.
    :param of: the given names that it is made of.
    """

    shown: str
    cell: int
    line: int
    source: str
    of: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"cell {self.cell}, line {self.line}: {self.source}"


@dataclass(frozen=True, slots=True)
class Flow:
    """
    What becomes of the given names.

    :param overwritten: names whose value is assigned over before anything has read it.
    :param reassigned: names whose value is assigned over after it has been read, by a loop, or by a notebook that is run.
    :param conditional: names whose value may be assigned over before anything has read it.
    :param derived: what is made of a given name's default, before the value given is there.
    """

    overwritten: dict[str, Place] = field(default_factory=dict)
    reassigned: dict[str, Place] = field(default_factory=dict)
    conditional: dict[str, Place] = field(default_factory=dict)
    derived: tuple[Place, ...] = ()


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
            # What a magic or another language's cell mentions, it may read.
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


@dataclass(frozen=True, slots=True)
class _Cell:
    """
    One cell that parses.

    :param run: where the author's notebook runs it with ``%run``, if it is another notebook's: cell, line and magic.
    """

    position: int
    tree: ast.Module
    source: str
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


@dataclass(frozen=True, slots=True)
class _Step:
    """
    One statement of a module's own level: what it binds, and what it reads for that.

    :param is_certain: it runs whenever its cell does, and does bind.
    :param is_passing: it binds what its own block is for: the variable of a loop, an open file.
    """

    line: int
    binds: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()  # a part of what the name stands for: (name, as it is written)
    reads: frozenset[str] = frozenset()
    reads_all: bool = False
    is_certain: bool = True
    is_passing: bool = False


class _Later:
    """The cells after the injected values, in their order."""

    def __init__(self, given: Collection[str]) -> None:
        self.overwritten: dict[str, Place] = {}
        self.reassigned: dict[str, Place] = {}
        self.conditional: dict[str, Place] = {}
        self._open = set(given)
        self._made_of = {name: frozenset({name}) for name in given}
        self._seen: set[str] = set()
        self._steps = _Steps()

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

    def _judge(self, name: str, step: _Step, place: Place, *, is_own: bool) -> None:
        if step.is_certain:
            (self.overwritten if is_own and name not in self._seen else self.reassigned)[name] = place
            self._open.discard(name)
        elif name not in self._seen:
            (self.reassigned if step.is_passing else self.conditional).setdefault(name, place)


def _derived(cells: list[_Cell], later: list[_Cell], given: Collection[str]) -> tuple[Place, ...]:
    steps = _Steps()
    made_of = {name: frozenset({name}) for name in given}
    places: dict[str, Place] = {}
    for cell in cells:
        for step in steps.of(cell.tree.body):
            roots = frozenset().union(*(made_of.get(name, frozenset()) for name in step.reads))
            bound = [(name, name, step.is_certain) for name in step.binds]
            for name, shown, is_new in (*bound, *((name, shown, False) for name, shown in step.changes)):
                if name in given:
                    continue  # the value given takes the place of whatever this is
                if is_new:
                    made_of[name] = frozenset()
                    places.pop(name, None)
                if roots:
                    made_of[name] = made_of.get(name, frozenset()) | roots
                    if not (step.is_passing and name == shown):
                        of = tuple(name for name in given if name in roots)
                        places.setdefault(shown, cell.place(shown, step.line, of))
    made_anew = {
        name
        for cell in later
        for step in steps.of(cell.tree.body)
        if step.is_certain
        for name in (*step.binds, *(shown for _, shown in step.changes))
        if name not in step.reads
    }
    return tuple(place for place in places.values() if place.shown not in made_anew)


class _Steps:
    """Statements as steps; remembers what functions read, for the statements that call them."""

    def __init__(self) -> None:
        self._read_by: dict[str, frozenset[str]] = {}

    def of(self, statements: Iterable[ast.stmt]) -> Iterator[_Step]:
        yield from self._block(statements, frozenset(), is_certain=True)

    def _block(self, statements: Iterable[ast.stmt], control: frozenset[str], *, is_certain: bool) -> Iterator[_Step]:
        for statement in statements:
            yield from self._statement(statement, control, is_certain=is_certain)

    def _statement(self, node: ast.stmt, control: frozenset[str], *, is_certain: bool) -> Iterator[_Step]:  # noqa: C901, PLR0912 a case per statement
        def step(expressions: Iterable[ast.AST | None], binds: Iterable[str] = (), **more: object) -> _Step:
            parts = [part for part in expressions if part is not None]
            reads = frozenset().union(*(self._reads(part) for part in parts)) | control
            walrus = [name for part in parts for name in _walrus(part)]
            line = _Step(node.lineno, (*binds, *walrus), reads=reads)
            reads_all = any(_calls(part) & _READS_ALL for part in parts)
            return replace(line, reads_all=reads_all, is_certain=is_certain, **more)  # type: ignore[arg-type] # its own fields

        match node:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)) if _pair_up(
                targets, values
            ):
                for target, value in zip(targets, values, strict=True):
                    yield step([value, target], *_bound([target]), changes=_changed([target]))
            case ast.Assign(targets=targets, value=value):
                yield step([value, *targets], *_bound(targets), changes=_changed(targets))
            case ast.AnnAssign(target=target, value=value) if value is not None:
                yield step([value, target], *_bound([target]), changes=_changed([target]))
            case ast.AugAssign(target=target, value=value):
                bound = [target.id] if isinstance(target, ast.Name) else []
                made = step([value, target], bound, changes=_changed([target]))
                yield replace(made, reads=made.reads | set(bound))
            case ast.For(target=target, iter=iterable) | ast.AsyncFor(target=target, iter=iterable):
                yield replace(step([iterable], *_bound([target])), is_certain=False, is_passing=True)
                control |= self._tested(iterable)
                yield from self._block([*node.body, *node.orelse], control, is_certain=False)
            case ast.If(test=test) | ast.While(test=test):
                yield step([test])
                control |= self._tested(test)
                yield from self._block([*node.body, *node.orelse], control, is_certain=False)
            case ast.Try() | ast.TryStar():
                for block in (node.body, *(handler.body for handler in node.handlers), node.orelse):
                    yield from self._block(block, control, is_certain=False)
                yield from self._block(node.finalbody, control, is_certain=is_certain)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                targets = [item.optional_vars for item in items if item.optional_vars is not None]
                yield replace(step([item.context_expr for item in items], *_bound(targets)), is_passing=True)
                yield from self._block(body, control, is_certain=is_certain)
            case ast.Match(subject=subject, cases=cases):
                control |= self._tested(subject)
                yield step([subject])
                for case in cases:
                    captured = [
                        n.name for n in walk(case.pattern) if isinstance(n, ast.MatchAs | ast.MatchStar) and n.name
                    ]
                    yield replace(step([subject, case.guard], captured), is_certain=False)
                    yield from self._block(case.body, control, is_certain=False)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._read_by[name] = self._free_names(node)
                defaults = [*node.args.defaults, *node.args.kw_defaults, *node.decorator_list]
                yield step(defaults, [name])
            case ast.ClassDef(name=name):
                yield step([*node.bases, *node.decorator_list, *node.body], [name])
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                yield step([], [alias.asname or alias.name.split(".")[0] for alias in aliases if alias.name != "*"])
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=receiver, attr=method)) as call) if (
                method in _MUTATORS
            ):
                arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
                root = _root(receiver)
                yield step(arguments, changes=((root, ast.unparse(receiver)),) if root else ())
            case ast.Delete() | ast.Global() | ast.Nonlocal() | ast.Pass():
                pass
            case _:
                yield step([node])

    def _reads(self, node: ast.AST) -> frozenset[str]:
        """Names that evaluating it reads: what it only defines for later is left out, unless it calls that at once."""
        names: set[str] = set()
        called = _calls(node)
        for one in _eager(node):
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load):
                names.add(one.id)
                if one.id in called:
                    names |= self._read_by.get(one.id, frozenset())
        return frozenset(names)

    def _tested(self, test: ast.expr) -> frozenset[str]:
        """Names that a test reads; ``"x" in globals()`` reads x."""
        texts = {one.value for one in walk(test) if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        return self._reads(test) | texts

    def _free_names(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
        """Names of the module that a call of the function reads."""
        own = argument_names(function)
        for inner in function.body:
            for one in walk(inner):
                if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store):
                    own.add(one.id)
        shared = {name for one in walk(function) if isinstance(one, ast.Global) for name in one.names}
        return frozenset().union(*(self._reads(inner) for inner in function.body)) - (own - shared)


def _eager(node: ast.AST) -> Iterator[ast.AST]:
    """Walk what is evaluated at once: no bodies of functions, no variables of comprehensions."""
    pending: list[tuple[ast.AST, frozenset[str]]] = [(node, frozenset())]
    while pending:
        one, local = pending.pop()
        match one:
            case ast.Lambda():
                pending += [(default, local) for default in (*one.args.defaults, *one.args.kw_defaults) if default]
                continue
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                parts = (*one.args.defaults, *one.args.kw_defaults, *one.decorator_list)
                pending += [(part, local) for part in parts if part]
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                bound = {n.id for part in one.generators for n in walk(part.target) if isinstance(n, ast.Name)}
                # The first iterable is evaluated outside.
                pending.append((one.generators[0].iter, local))
                local |= bound
            case ast.Name(id=name) if name in local:
                continue
            case _:
                pass
        yield one
        pending += [(child, local) for child in ast.iter_child_nodes(one)]


def _calls(node: ast.AST) -> set[str]:
    return {one.func.id for one in walk(node) if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)}


def _walrus(node: ast.AST) -> Iterator[str]:
    for one in walk(node):
        if isinstance(one, ast.NamedExpr) and isinstance(one.target, ast.Name):
            yield one.target.id


def _pair_up(targets: list[ast.expr], values: list[ast.expr]) -> bool:
    return len(targets) == len(values) and not any(isinstance(one, ast.Starred) for one in (*targets, *values))


def _bound(targets: Iterable[ast.expr]) -> tuple[list[str]]:
    names = [
        one.id
        for target in targets
        for one in walk(target)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    ]
    return (names,)


def _changed(targets: Iterable[ast.expr]) -> tuple[tuple[str, str], ...]:
    parts = [
        part
        for target in targets
        for part in (target.elts if isinstance(target, ast.Tuple | ast.List) else [target])
        if isinstance(part, ast.Attribute | ast.Subscript)
    ]
    return tuple((root, ast.unparse(part)) for part in parts if (root := _root(part)))


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
