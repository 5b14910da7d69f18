"""
Which defaults of a notebook are objects that no parameter can be, and whether the notebook uses them as such.

Called by ``core.values.declaration``. Pure; nothing of the notebook is run.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.syntax_trees import full_name, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_CLASSES = frozenset(
    (
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta")),
        *(f"pathlib.{name}" for name in ("Path", "PurePath", "PosixPath", "PurePosixPath")),
        *("decimal.Decimal", "fractions.Fraction", "uuid.UUID", "zoneinfo.ZoneInfo", "types.SimpleNamespace"),
        *(f"pandas.{name}" for name in ("Timestamp", "Timedelta", "DataFrame", "Series", "date_range")),
        *(f"numpy.{name}" for name in ("array", "arange", "linspace", "zeros", "ones", "datetime64")),
    )
)
_CONSTRUCTORS = frozenset("today now utcnow strptime fromisoformat fromtimestamp combine cwd home uuid4".split())


def makes_object(expression: ast.expr, imports: Mapping[str, str], classes: Mapping[str, bool]) -> bool:
    """
    Say whether the expression is certain to give an object of a class that has no JSON form, a date or a path.

    :param classes: that the cell defines, each with whether it is an enumeration.
    """
    match expression:
        case ast.Call(func=ast.Name(id=name)) if name in classes:
            return True
        case ast.Attribute(value=ast.Name(id=name)):
            return classes.get(name, False)
        case ast.Call(func=func):
            called = full_name(func, imports)
            owner, _, method = called.rpartition(".")
            return called in _CLASSES or (owner in _CLASSES and method in _CONSTRUCTORS)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.Div()):
            return makes_object(left, imports, classes)
        case _:
            return False


def defined_classes(tree: ast.Module) -> dict[str, bool]:
    """Classes that a cell defines, each with whether it is an enumeration whose members are no texts or numbers."""
    return {
        node.name: any(ast.unparse(base).rpartition(".")[2] in {"Enum", "Flag"} for base in node.bases)
        and len(node.bases) == 1
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }


def is_used_as_object(name: str, cells: Iterable[ast.Module]) -> bool:
    """
    Say whether the cells need more of the name than a text or a list has: an attribute, an operator, a comparison.

    Given to a function, it may as well be a text; where the cells bind the name anew (``path = Path(path)``, a loop, an argument), nothing is certain.
    """
    is_used = False
    for tree in cells:
        for node in walk(tree):
            match node:
                case ast.Name(id=bound, ctx=ast.Store()) | ast.arg(arg=bound) if bound == name:
                    return False
                case (
                    ast.Attribute(value=ast.Name(id=used))
                    | ast.FormattedValue(value=ast.Name(id=used), format_spec=ast.expr())
                    | ast.BinOp(left=ast.Name(id=used))
                ) if used == name:
                    is_used = True
                case ast.BinOp(right=ast.Name(id=used)) if used == name and not isinstance(
                    node.left, ast.Constant | ast.JoinedStr
                ):
                    is_used = True
                case _:
                    pass
    return is_used
