"""
Calls of a notebook's cells, each with whether running the notebook is certain to come to it.

Called by ``core/notebook/unattended.py``. Pure: reads syntax trees, runs nothing.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.source import assigns_dynamically, bound_names
from airflow_nbjobs.core.notebook.syntax_trees import argument_names, imported_names, last_name, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_EXITS = frozenset({"sys.exit", "exit", "quit", "os._exit", "SystemExit", "os.abort", "os.kill"})
# No handler of these catches NotImplementedError, which StdinNotImplementedError is.
_OTHER_ERRORS = frozenset(
    "ArithmeticError AssertionError AttributeError EOFError FileNotFoundError IOError ImportError IndexError KeyError"
    " KeyboardInterrupt LookupError ModuleNotFoundError NameError OSError OverflowError PermissionError SystemExit TimeoutError"
    " TypeError UnicodeError ValueError ZeroDivisionError".split()
)
_DEPTH = 5  # of calls of the notebook's own functions


class Call(msgspec.Struct, frozen=True):
    """One call."""

    name: str  # the full name of what is called, ``getpass.getpass``
    cell: int  # as the caller counts
    line: int  # in its cell, from 1
    has_arguments: bool
    is_certain: bool


class _Place(msgspec.Struct, frozen=True):
    cell: int
    depth: int = 0  # of calls of the notebook's own functions
    local_names: frozenset[str] = frozenset()


class ReachedCalls(msgspec.Struct):
    """Reads one cell after another, in the order in which they run."""

    _imports: dict[str, str] = msgspec.field(default_factory=dict)  # name -> what it was imported as
    _rebound: set[str] = msgspec.field(default_factory=set)
    _replaced: set[str] = msgspec.field(default_factory=set)  # attributes that are assigned to, as they are written
    _texts: set[str] = msgspec.field(default_factory=set)  # may name what is patched
    _functions: dict[str, tuple[ast.FunctionDef, int]] = msgspec.field(default_factory=dict)
    _exiting: set[str] = msgspec.field(default_factory=set)  # functions that may end the notebook
    _used: set[str] = msgspec.field(default_factory=set)
    _followed: set[str] = msgspec.field(default_factory=set)
    _is_doubtful: bool = False  # names may mean anything, or the notebook may have ended
    _has_ended: bool = False

    def lose_track(self) -> None:
        """Take into account a cell that cannot be read."""
        self._is_doubtful = True

    def of_cell(self, tree: ast.Module, *, cell: int) -> list[Call]:
        """Return the calls that the cell makes, those of functions that it is certain to call included."""
        self._learn(tree, cell)
        if self._has_ended:
            return []
        return list(self._block(tree.body, _Place(cell), certain=True))

    def of_functions(self) -> list[Call]:
        """Return the calls in functions of the notebook that something refers to, but nothing is certain to call."""
        return [
            call
            for name, (function, cell) in self._functions.items()
            if name in self._used - self._followed
            for call in self._block(function.body, _inside(function, cell, depth=_DEPTH), certain=False)
        ]

    def is_replaced(self, name: str) -> bool:
        """Say whether the notebook may have put something of its own in the place of this function."""
        full = name if "." in name else f"builtins.{name}"
        last = name.rpartition(".")[2]
        is_patched = full in self._texts or ("patch" in self._used and last in self._texts)
        return is_patched or any(
            self._imports.get(base, base) == full.rpartition(".")[0] and attribute == last
            for base, _, attribute in (written.rpartition(".") for written in self._replaced)
        )

    def _learn(self, tree: ast.Module, cell: int) -> None:
        imported = imported_names(tree)
        for node in walk(tree):
            match node:
                case ast.Attribute(ctx=ast.Store()):
                    self._replaced.add(ast.unparse(node).replace("__builtins__", "builtins"))
                case ast.Constant(value=str(text)):
                    self._texts.add(text)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _may_exit(node):
                    self._exiting.add(name)
                case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                    self._used.add(name)
                case _:
                    pass
        self._imports |= imported
        self._rebound |= set(bound_names(tree)) - set(imported)
        self._functions |= {
            node.name: (node, cell)
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and not node.decorator_list and not _is_generator(node)
        }
        # A notebook that answers for itself replaces one of these two attributes of ipykernel's kernel.
        gives_answers = any(written.endswith((".raw_input", "._allow_stdin")) for written in self._replaced)
        self._is_doubtful |= gives_answers or assigns_dynamically(tree)

    def _name_of(self, node: ast.expr, place: _Place) -> str | None:
        match node:
            case ast.Name(id=name) if name in place.local_names:
                return None
            case ast.Name(id=name) if name in self._rebound and name not in self._functions:
                return None
            case ast.Name(id=name):
                return self._imports.get(name, name)
            case ast.Attribute(value=value, attr=name):
                base = self._name_of(value, place)
                return None if base is None else f"{base}.{name}"
            case _:
                return None

    def _block(self, body: Sequence[ast.stmt], place: _Place, *, certain: bool) -> Iterator[Call]:
        for statement in body:
            yield from self._statement(statement, place, certain=certain)
            match statement:
                case ast.Raise(exc=ast.Name(id="SystemExit")) if place.depth == 0:
                    self._has_ended |= certain
                    self._is_doubtful |= not certain
                case _:
                    pass
            if self._has_ended or isinstance(statement, (ast.Raise, ast.Return, ast.Break, ast.Continue)):
                return
            # A statement that may jump away leaves open whether the next one is reached.
            certain = certain and not _may_jump(statement)

    def _statement(self, statement: ast.stmt, place: _Place, *, certain: bool) -> Iterator[Call]:  # noqa: C901, PLR0912 a case per statement
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                arguments = statement.args
                for node in (*statement.decorator_list, *arguments.defaults, *filter(None, arguments.kw_defaults)):
                    yield from self._expression(node, place, certain=certain)
            case ast.ClassDef(bases=bases, body=body):
                for base in bases:
                    yield from self._expression(base, place, certain=certain)
                yield from self._block(
                    [part for part in body if not isinstance(part, ast.FunctionDef)], place, certain=certain
                )
            case ast.If(test=test, body=body, orelse=orelse) | ast.While(test=test, body=body, orelse=orelse):
                is_true = _truth(test)
                yield from self._expression(test, place, certain=certain)
                if is_true is not False:
                    yield from self._block(body, place, certain=certain and bool(is_true))
                if is_true is not True:
                    yield from self._block(orelse, place, certain=certain and is_true is False)
            case (
                ast.For(iter=iterated, body=body, orelse=orelse) | ast.AsyncFor(iter=iterated, body=body, orelse=orelse)
            ):
                yield from self._expression(iterated, place, certain=certain)
                yield from self._block([*body, *orelse], place, certain=False)
            case ast.Try() | ast.TryStar():
                if not any(_may_catch(handler) for handler in statement.handlers):
                    yield from self._block(statement.body, place, certain=certain)
                for handler in statement.handlers:
                    yield from self._block(handler.body, place, certain=False)
                yield from self._block(statement.finalbody, place, certain=certain)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                for item in items:
                    yield from self._expression(item.context_expr, place, certain=certain)
                # A context manager may swallow exceptions; a file does not.
                files = all(
                    isinstance(item.context_expr, ast.Call) and self._name_of(item.context_expr.func, place) == "open"
                    for item in items
                )
                yield from self._block(body, place, certain=certain and files)
            case ast.Match(subject=subject, cases=cases):
                yield from self._expression(subject, place, certain=certain)
                for case in cases:
                    yield from self._block(case.body, place, certain=False)
            case _:
                for part in ast.iter_child_nodes(statement):
                    yield from self._expression(part, place, certain=certain)

    def _expression(self, node: ast.AST, place: _Place, *, certain: bool) -> Iterator[Call]:
        parts: list[tuple[ast.AST, bool]]
        match node:
            case ast.Lambda():
                return
            case ast.BoolOp(values=[first, *others]) | ast.Compare(left=first, comparators=[_, *others]):
                parts = [(first, certain), *((other, False) for other in others)]
                if isinstance(node, ast.Compare):
                    parts.insert(1, (node.comparators[0], certain))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                parts = [(test, certain), (body, False), (orelse, False)]
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                loop = node.generators[0]
                inner = [part for part in ast.iter_child_nodes(node) if part is not loop]
                parts = [(loop.iter, certain), *((part, False) for part in (*inner, *loop.ifs))]
            case _:
                parts = [(part, certain) for part in ast.iter_child_nodes(node)]
        for part, is_certain in parts:
            yield from self._expression(part, place, certain=is_certain)
        if isinstance(node, ast.Call):
            yield from self._call(node, place, certain=certain)

    def _call(self, node: ast.Call, place: _Place, *, certain: bool) -> Iterator[Call]:
        name = self._name_of(node.func, place)
        self._is_doubtful |= last_name(node.func) in self._exiting
        if name is None or self._has_ended:
            return
        if name in _EXITS:
            # A cell of the notebook itself takes the way out; a function may not be called.
            self._has_ended = certain and place.depth == 0
            self._is_doubtful |= not self._has_ended
            return
        if name not in self._functions:
            is_certain = certain and not self._is_doubtful
            yield Call(name, place.cell, node.lineno, bool(node.args or node.keywords), is_certain)
            return
        function, cell = self._functions[name]
        if certain and place.depth < _DEPTH:
            self._followed.add(name)
            yield from self._block(function.body, _inside(function, cell, depth=place.depth + 1), certain=True)


def _inside(function: ast.FunctionDef, cell: int, *, depth: int) -> _Place:
    assigned = bound_names(ast.Module(function.body, []))
    return _Place(cell, depth, frozenset({*argument_names(function), *assigned}))


def _may_exit(function: ast.AST) -> bool:
    """Say whether the function names a way out, by whatever name ``sys`` and ``os`` have."""
    names = {last_name(node) for node in walk(function) if isinstance(node, ast.expr)}
    return bool(names & {name.rpartition(".")[2] for name in _EXITS})


def _is_generator(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in walk(function))


def _may_jump(statement: ast.stmt) -> bool:
    is_own_scope = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    jumps = (ast.Return, ast.Break, ast.Continue)
    return not is_own_scope and any(isinstance(node, jumps) for node in walk(statement))


def _truth(test: ast.expr) -> bool | None:
    match test:
        case ast.Constant(value=value):
            return bool(value)
        case ast.Compare(left=ast.Name(id="__name__"), ops=[ast.Eq()], comparators=[ast.Constant(value="__main__")]):
            return True  # in a kernel, too
        case _:
            return None


def _may_catch(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return not all(isinstance(kind, ast.Name) and kind.id in _OTHER_ERRORS for kind in types)
