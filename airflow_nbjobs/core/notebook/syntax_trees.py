"""
Python as syntax trees: parsed silently and once, walked fast, and asked for the names in them.

Called by whatever reads a notebook's cells without running them. Standard library only, pure.
"""

from __future__ import annotations

import ast
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Read = TypeVar("Read")
Found = TypeVar("Found")
_MEMORY: ContextVar[dict[Any, Any] | None] = ContextVar("_MEMORY", default=None)


@contextmanager
def reading_cells_once() -> Iterator[None]:
    """
    Within it, each text is parsed once: what is decorated with ``once`` gives the same answer again.

    A dozen checks look at every cell of a notebook. Syntax trees take a hundred times their text in memory, so they are forgotten at the end.
    """
    token = _MEMORY.set({})
    try:
        yield
    finally:
        _MEMORY.reset(token)


def once(function: Callable[[Read], Found]) -> Callable[[Read], Found]:
    """Let a function of one argument remember its answers within ``reading_cells_once``."""

    @wraps(function)
    def remembered(argument: Read) -> Found:
        memory = _MEMORY.get()
        if memory is None:
            return function(argument)
        key = (function, argument)  # which keeps a node alive, so that no other one takes its id
        if key not in memory:
            memory[key] = function(argument)
        found: Found = memory[key]
        return found

    return remembered


def parse_anew(python: str) -> ast.Module | None:
    """What ``parse_python`` gives, as a tree that nobody else has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning: invalid escape sequence, "is" with a literal …
        try:
            return ast.parse(python)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


@once
def parse_python(python: str) -> ast.Module | None:
    """
    The syntax tree, or None where the worker's Python cannot parse it. Silent about the author's warnings.

    The tree may be shared: nobody changes it, and cells of the same text may have the same one.
    """
    return parse_anew(python)


def walk(node: ast.AST) -> list[ast.AST]:
    """
    Every node below and with this one, breadth first, as ``ast.walk`` gives them but in a fifth of its time.

    Left out is what says only that a name is read or written (``ast.Load``): each name has its ``ctx``.
    """
    return _walk_module(node) if isinstance(node, ast.Module) else _walk(node)


def _walk(node: ast.AST) -> list[ast.AST]:
    found = [node]
    for one in found:  # which grows on the way
        found += children(one)
    return found


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below this one, as ``ast.iter_child_nodes`` gives them but faster, without ``ast.Load`` and its like."""
    found: list[ast.AST] = []
    if isinstance(node, ast.Constant):
        return found
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [part for part in value if isinstance(part, ast.AST)]
        elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
            found.append(value)
    return found


_walk_module = once(_walk)


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Names as the code imports them, with what they stand for: ``pd`` -> ``pandas``."""
    names: dict[str, str] = {}
    for node in walk(tree):
        match node:
            case ast.Import(names=aliases):
                for alias in aliases:
                    first = alias.name.split(".")[0]
                    names[alias.asname or first] = alias.name if alias.asname else first
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
            case _:
                pass
    return names


def dotted_name(node: ast.expr) -> str:
    """``a.b.c`` of such an expression, empty for any other."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def full_name(node: ast.expr, imports: Mapping[str, str]) -> str:
    """``datetime.datetime.now`` of ``dt.now``; empty where the name is no import of the notebook's."""
    first, dot, rest = dotted_name(node).partition(".")
    return f"{imports[first]}{dot}{rest}" if first in imports else ""


def last_name(node: ast.expr) -> str:
    """``c`` of ``a.b.c``, of ``c`` and of ``f().c``, empty for any other expression."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def argument_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    found = function.args
    arguments = (*found.posonlyargs, *found.args, *found.kwonlyargs, found.vararg, found.kwarg)
    return {argument.arg for argument in arguments if argument is not None}


def argument_of(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    """The argument of a call, by its position or its name; None where it is not given."""
    if len(call.args) > position:
        return call.args[position]
    return next((one.value for one in call.keywords if one.arg == keyword), None)
