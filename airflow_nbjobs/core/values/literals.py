"""
Python source that evaluates to a given JSON-like value.

Called by ``core.values.parameters`` for the cell that carries typed parameters. Standard library only, pure.
"""

from __future__ import annotations

import math

# sys.set_int_max_str_digits: Python 3.11 and later refuse decimal literals of more than 4,300 digits, hexadecimal ones not.
_DECIMAL_BITS = 4_000


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
