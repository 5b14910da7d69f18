"""
A cell's statements as steps: which names each binds, and what it reads for that.

Called by ``core.values.dataflow``. Standard library only, pure; nothing of the notebook is run.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.notebook.syntax_trees import argument_names, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_MUTATORS = frozenset({"append", "add", "update", "extend", "insert", "setdefault", "appendleft"})
_READS_ALL = frozenset({"globals", "locals", "vars", "exec", "eval", "get_ipython"})
_COMPOUND = (ast.For, ast.AsyncFor, ast.If, ast.While, ast.Try, ast.TryStar, ast.With, ast.AsyncWith, ast.Match)


class Step(msgspec.Struct, frozen=True):
    """One statement of a module's own level: what it binds, and what it reads for that."""

    line: int
    binds: tuple[str, ...] = ()
    changes: tuple[tuple[str, str], ...] = ()  # a part of what the name stands for: (name, as it is written)
    reads: frozenset[str] = frozenset()
    reads_all: bool = False
    is_certain: bool = True  # it runs whenever its cell does, and does bind
    is_passing: bool = False  # it binds what its own block is for: the variable of a loop, an open file


class Steps:
    """Statements as steps; remembers what functions read, for the statements that call them."""

    def __init__(self) -> None:
        self._read_by: dict[str, frozenset[str]] = {}

    def of(self, statements: Iterable[ast.stmt]) -> Iterator[Step]:
        yield from self._block(statements, frozenset(), is_certain=True)

    def _block(self, statements: Iterable[ast.stmt], control: frozenset[str], *, is_certain: bool) -> Iterator[Step]:
        for statement in statements:
            yield from self._statement(statement, control, is_certain=is_certain)

    def _statement(self, node: ast.stmt, control: frozenset[str], *, is_certain: bool) -> Iterator[Step]:  # noqa: C901 a case per statement
        def step(expressions: Iterable[ast.AST | None], binds: Iterable[str] = (), **more: object) -> Step:
            parts = [part for part in expressions if part is not None]
            reads = frozenset().union(*(self._reads(part) for part in parts)) | control
            walrus = [name for part in parts for name in _walrus(part)]
            line = Step(node.lineno, (*binds, *walrus), reads=reads)
            reads_all = any(_calls(part) & _READS_ALL for part in parts)
            return replace(line, reads_all=reads_all, is_certain=is_certain, **more)

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
            case _ if isinstance(node, _COMPOUND):
                yield from self._compound(node, step, control, is_certain=is_certain)
            case ast.Delete() | ast.Global() | ast.Nonlocal() | ast.Pass():
                pass
            case _:
                yield step([node])

    def _compound(
        self, node: ast.stmt, step: Callable[..., Step], control: frozenset[str], *, is_certain: bool
    ) -> Iterator[Step]:
        """Give the steps of a statement that has statements in it; what it tests decides over those."""
        match node:
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
            case _:
                pass

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
