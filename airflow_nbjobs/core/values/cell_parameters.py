"""
What a ``parameters`` cell offers to whoever fills in a form or starts a job: its names, with defaults, comments and choices.

Called by ``core.values.form`` and ``core.values.from_params``, while DAGs are parsed too. Standard library only, pure; nothing of the notebook is run.
"""

from __future__ import annotations

import ast
import json
import math
import operator
import re
import tokenize
from types import NoneType
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.nesting import is_deeper_than
from airflow_nbjobs.core.notebook.syntax_trees import last_name
from airflow_nbjobs.core.values.kinds import UNKNOWN, Kind
from airflow_nbjobs.core.values.literals import PARAMETER_DEPTH_LIMIT, value_of
from airflow_nbjobs.core.visible import SURROGATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_nbjobs.core.values.declaration import Declaration

# A browser's numbers are floats: it rounds larger integers.
EXACT_INTEGER = 2**53 - 1
_DEFAULT_CHARACTERS = 8_192  # as JSON: it becomes part of every serialized DAG
_COMMENT_CHARACTERS = 500
_SCALARS = frozenset({str, int, float, bool, NoneType})
_ENUMS = frozenset({"Enum", "IntEnum", "StrEnum"})
# Words for tools, not for readers.
_FOR_TOOLS = re.compile(
    r"(?:^|\s*#\s*)(?:noqa|nosec|type:\s*ignore|(?:pragma|pylint|mypy|pyright|ruff|isort|fmt|flake8)\s*:).*",
    re.IGNORECASE,
)
_TYPE_COMMENT = re.compile(r"^type:\s*[\w.\"']+(?:\[[^#]*\])?(?:\s*\|\s*[\w.]+(?:\[[^#]*\])?)*\s*#?\s*")
_OPERATORS: Mapping[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LARGEST_BASE, _LARGEST_EXPONENT = 10**6, 64  # of a power that is worked out


class CellParameter(msgspec.Struct, frozen=True, kw_only=True):
    """
    One name that the cell assigns.

    :param shown: the default as a JSON value; None where it has no such form, or is None.
    :param is_exact: whether a notebook that is given ``shown`` has its default: not so where that is made by an expression, or is a tuple, nan or the member
        of an enumeration.
    :param has_default: whether the cell assigns the name, and does not only annotate it.
    :param expression: the default as it is written, where ``shown`` is not exactly that; ``"…"`` of several statements.
    :param comment: behind the line.
    :param choices: of ``Literal[…]`` or an enumeration's values; empty: any.
    """

    name: str
    kind: Kind
    shown: Any
    is_exact: bool
    has_default: bool = True
    expression: str = ""
    comment: str = ""
    choices: tuple[Any, ...] = ()

    @property
    def admits_none(self) -> bool:
        """Whether None is a value of its own, and not the sign of a field that was left empty."""
        return self.is_exact and NoneType in self.kind.types


def cell_parameters(declaration: Declaration) -> tuple[CellParameter, ...]:
    """
    Return what the cell assigns, in its order; no imports, functions, classes or loop variables.

    A name that the cell only annotates (``day: str``) has no default: somebody has to give it.
    """
    if declaration.tree is None:
        return ()
    enums = _enumerations(declaration.tree)
    statements = dict(_assignments(declaration.tree.body))  # the last one of each name, at the place of the first
    lines = declaration.python.split("\n")
    return tuple(
        _parameter(name, statement, declaration, enums, lines)
        for name, statement in statements.items()
        if not re.fullmatch(r"__\w*__", name)
    )


def _parameter(
    name: str,
    statement: ast.stmt,
    declaration: Declaration,
    enums: Mapping[str, Mapping[str, Any]],
    lines: list[str],
) -> CellParameter:
    kind = declaration.kinds.get(name, UNKNOWN)
    annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
    node = declaration.values.get(name)
    shown, is_exact = (None, False) if node is None else _default(node, enums)
    members = enums.get("" if annotation is None else last_name(annotation), {})
    if not members and isinstance(node, ast.Attribute):
        members = enums.get(last_name(node.value), {})
    return CellParameter(
        name=name,
        kind=kind,
        shown=shown,
        is_exact=is_exact,
        has_default=not isinstance(statement, ast.AnnAssign) or statement.value is not None,
        # What several statements make of it is none of them alone.
        expression="" if is_exact else "…" if node is None else _shortened(ast.unparse(node)),
        comment=_comment(statement, lines),
        choices=_choices([*(kind.choices or members.values())]),
    )


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:79]}…"


def _assignments(statements: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """Names with the statements that assign them, blocks included; what may not run comes with its block's statement."""
    for statement in statements:
        match statement:
            case ast.Assign(targets=targets):
                yield from ((name, statement) for target in targets for name in _names(target))
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.AugAssign(target=ast.Name(id=name)):
                yield name, statement
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                pass
            case _:
                for part in ("body", "handlers", "cases", "orelse", "finalbody"):
                    yield from _assignments(_blocks(getattr(statement, part, ())))


def _blocks(parts: object) -> Iterator[ast.stmt]:
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, ast.stmt):
            yield part
        else:  # an except or a case
            yield from getattr(part, "body", ())


def _names(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for part in parts:
                yield from _names(part)
        case ast.Starred(value=value):
            yield from _names(value)
        case _:
            pass


def _enumerations(tree: ast.Module) -> dict[str, dict[str, Any]]:
    """Return the enumerations that the cell defines, each with the values of its members by name, where these are JSON's scalars."""
    found: dict[str, dict[str, Any]] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and _ENUMS & {last_name(base) for base in node.bases}:
            found[node.name] = {
                target.id: statement.value.value
                for statement in node.body
                if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
                for target in statement.targets
                if isinstance(target, ast.Name) and fits_json(statement.value.value)
            }
    return found


def _choices(values: list[Any]) -> tuple[Any, ...]:
    """Return the values, each once and by type: True is not 1."""
    return tuple(
        {(type(value), value): value for value in values if type(value) in _SCALARS and fits_json(value)}.values()
    )


def _default(node: ast.expr, enums: Mapping[str, Mapping[str, Any]]) -> tuple[Any, bool]:
    """Return a default as a JSON value, and whether a notebook that is given this value has its default."""
    try:
        value, is_exact = _evaluated(node, enums)
        is_small = len(json.dumps(value)) <= _DEFAULT_CHARACTERS and not is_deeper_than(value, PARAMETER_DEPTH_LIMIT)
    except (ValueError, ArithmeticError, RecursionError, TypeError):
        return None, False
    return (value, is_exact) if is_small and fits_json(value) else (None, False)


def _evaluated(node: ast.expr, enums: Mapping[str, Mapping[str, Any]]) -> tuple[Any, bool]:
    """:raises ValueError: the expression has no value that can be seen."""
    match node:
        case ast.Constant():
            return value_of(node), True
        case ast.Attribute(value=ast.Attribute(value=ast.Name(id=enum), attr=member), attr="value") if enum in enums:
            return _member(enums[enum], member), True
        case ast.Attribute(value=ast.Name(id=enum), attr=member) if enum in enums:
            return _member(enums[enum], member), False
        case ast.BinOp() | ast.UnaryOp(operand=ast.BinOp()):
            return _number(node), True
        case _:
            is_exact = not any(isinstance(one, ast.Tuple | ast.Set | ast.Call) for one in ast.walk(node))
            return value_of(node), is_exact


def _member(members: Mapping[str, Any], name: str) -> Any:
    if name not in members:
        raise ValueError(name)
    return members[name]


def _number(node: ast.expr) -> float:
    """
    Work out ``60 * 60`` and its like.

    :raises ValueError: a part is no number, or the result may be huge.
    """
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            first, second = _number(left), _number(right)
            if isinstance(op, ast.Pow) and not (abs(first) <= _LARGEST_BASE and abs(second) <= _LARGEST_EXPONENT):
                raise ValueError("a large power")
            result = _OPERATORS[type(op)](first, second)
            if isinstance(result, int | float):
                return result
        case _:
            pass
    raise ValueError(type(node).__name__)


def fits_json(value: object) -> bool:
    """Say whether a JSON value comes through a browser and a database as it is: no nan, no integer that a browser rounds, no half of a character."""
    pending = [value]
    while pending:
        match pending.pop():
            case str() as text if SURROGATE.search(text) or "\0" in text:
                return False
            case float() as number if not math.isfinite(number):
                return False
            case int() as number if abs(number) > EXACT_INTEGER:
                return False
            case list() as items:
                pending += items
            case dict() as entries:
                pending += [*entries, *entries.values()]
            case None | str() | float() | int():
                pass
            case _:
                return False
    return True


def _comment(statement: ast.stmt, lines: list[str]) -> str:
    """Return the comment behind a statement's last line, else behind its first."""
    last, column = statement.end_lineno or statement.lineno, statement.end_col_offset or 0
    text = ""
    if "#" in lines[last - 1]:
        behind = lines[last - 1].encode("utf-8", "surrogatepass")[column:].decode("utf-8", "replace")
        found = re.match(r"[\s;]*#(.*)", behind)
        text = found[1] if found else ""
    type_comment = getattr(statement, "type_comment", None)
    if type_comment:  # which is part of the statement then
        text = f"type: {type_comment}"
    if not text and last > statement.lineno:
        text = _first_comment(lines[statement.lineno - 1 : last])
    if not text:
        return ""
    text = _TYPE_COMMENT.sub("", _FOR_TOOLS.sub("", text.lstrip("#: "))).strip()
    return text if len(text) <= _COMMENT_CHARACTERS else f"{text[: _COMMENT_CHARACTERS - 1]}…"


def _first_comment(lines: list[str]) -> str:
    try:
        for token in tokenize.generate_tokens(iter([f"{line}\n" for line in lines]).__next__):
            if token.type == tokenize.COMMENT and token.start[0] == 1:
                return token.string[1:]
    except (tokenize.TokenError, SyntaxError):
        pass
    return ""
