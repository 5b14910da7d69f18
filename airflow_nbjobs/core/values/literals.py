"""
JSON-like values as Python source, and back.

Called for the cell that carries typed parameters, and by what reads such cells and texts. Standard library only, pure.
"""

from __future__ import annotations

import ast
import math
from typing import Any

# sys.set_int_max_str_digits: Python 3.11 and later refuse decimal literals of more than 4,300 digits, hexadecimal ones not.
_DECIMAL_BITS = 4_000
# Levels of lists and dicts. Python 3.8's parser, still found in images, stops at about 90 open brackets.
PARAMETER_DEPTH_LIMIT = 50


def literal(value: object) -> str:
    """
    Return one line of ASCII that evaluates to an equal value of the same type, whatever names the notebook has assigned.

    *No name occurs in it*: a parameter called ``float`` or ``json`` must not break its neighbours. So infinity is a
    number too large for a float, and nan their difference. *One line, ASCII*: IPython takes a line beginning with ``%``,
    ``!`` or ``?`` for a magic, and lone surrogates cannot be written to a file; ``ascii()`` escapes both line ends and
    all beyond ASCII.

    :param value: checked by ``check_parameters``: str, int, float, bool, None, and lists and dicts of them.
    :raises TypeError: anything else.
    """
    match value:
        case None | True | False:
            return repr(value)
        case str():
            return ascii(value)
        case int():
            return repr(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)
        case float():
            if math.isnan(value):
                return "(1e999 - 1e999)"
            return repr(value) if math.isfinite(value) else "1e999" if value > 0 else "-1e999"
        case list():
            return f"[{', '.join(literal(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{literal(key)}: {literal(item)}" for key, item in value.items()) + "}"
        case _:
            raise TypeError(f"no literal for {type(value).__name__}")


def value_of(node: ast.expr) -> Any:
    """
    Return the value that ``literal``, ``repr`` or papermill has written; a tuple or a set is a list, as it would be in JSON.

    :raises ValueError: a part is no literal, or has no JSON form: a key that is no text, or is there twice.
    """
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id="nan" | "inf" as name):  # as Python writes them within a list
            return float(name)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = value_of(operand)
            if type(value) in {int, float}:
                return -value
        case ast.BinOp(left=ast.Constant(value=math.inf), op=ast.Sub(), right=ast.Constant(value=math.inf)):
            return math.nan
        case ast.List(elts=elements) | ast.Tuple(elts=elements) | ast.Set(elts=elements):
            return [value_of(element) for element in elements]
        case ast.Call(func=ast.Name(id="set"), args=[], keywords=[]):
            return []
        case ast.Dict(keys=keys, values=values):
            names = [None if key is None else value_of(key) for key in keys]
            if all(isinstance(name, str) for name in names):
                return unique_keys(list(zip(names, map(value_of, values), strict=True)))
        case _:
            pass
    raise ValueError(ast.dump(node)[:100])


def unique_keys(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """:raises ValueError: a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found
