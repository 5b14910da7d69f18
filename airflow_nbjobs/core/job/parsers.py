"""
Parsers of values that any argument may have: rendered value in, typed value out, or a ValueError that says what is wrong and what to do.

Called by ``spec.py``, which puts the argument's name in front, by the settings and by the hook; pure. Strings are taken for what they say
(``core/texts.py``), since Jinja renders to strings, and a configuration file holds nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from airflow_nbjobs.core import texts

NATIVE = "with render_template_as_native_obj=True, Jinja makes values of texts that look like them"
_TRUE, _FALSE = ("true", "1", "yes", "on", "t", "y"), ("false", "0", "no", "off", "f", "n")
_LONGEST_SECONDS = 366 * 86_400


def is_absent(value: object) -> bool:
    """Say whether a value stands for none: None, an empty text, or what Jinja and JSON write for None."""
    return value is None or (isinstance(value, str) and value.strip() in ("", "None", "null"))


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        why = f" ({NATIVE})" if isinstance(value, int | float) else ""
        raise ValueError(f"must be a text that is not empty, not {value!r}{why}")
    return value.strip()


def boolean(value: object) -> bool:
    if isinstance(value, bool):
        return value
    lowered = str(value).strip().lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise ValueError(f"must be True or False, not {value!r}")


def verify(value: object) -> bool | str | None:
    """Read what botocore takes to verify certificates by: True, False, or the path of a file or folder of CA certificates; None where nothing is said."""
    if is_absent(value):
        return None
    try:
        return boolean(value)
    except ValueError:
        if isinstance(value, str):
            return value.strip()
    raise ValueError(f"must be True, False or the path of a file of CA certificates, not {value!r}")


def whole_number(*, minimum: int, maximum: int) -> Callable[[object], int]:
    """Return a parser of whole numbers within both limits, given as a number or as its text."""
    return _whole(texts.number, minimum, maximum)


def whole_seconds(*, minimum: int, maximum: int) -> Callable[[object], int]:
    """Return a parser of durations in whole seconds within both limits, in the forms that ``texts.seconds`` reads."""
    return _whole(texts.seconds, minimum, maximum, of=" of seconds", unit=" seconds", others=", or a timedelta")


def _whole(
    read: Callable[[object], float | None],
    minimum: int,
    maximum: int,
    *,
    of: str = "",
    unit: str = "",
    others: str = "",
) -> Callable[[object], int]:
    def parse(value: object) -> int:
        number = read(value)
        if number is None or number != int(number):
            raise ValueError(f"must be a whole number{of} from {minimum} to {maximum}{others}, not {value!r}")
        if not minimum <= number <= maximum:
            raise ValueError(f"must be from {minimum} to {maximum}{unit}, not {int(number)}")
        return int(number)

    return parse


def matching(pattern: str, otherwise: str) -> Callable[[object], str]:
    """
    Return a parser of texts of one form.

    :param otherwise: the end of the message about a text of another form.
    """

    def parse(value: object) -> str:
        found = text(value)
        if not re.fullmatch(pattern, found):
            raise ValueError(f"{found!r} {otherwise}")
        return found

    return parse


def seconds(value: object) -> float:
    """Read a duration of 0 or more, in the forms that ``texts.seconds`` reads."""
    number = texts.seconds(value)
    if number is None:
        raise ValueError(f"must be a number of seconds or a timedelta, not {value!r}")
    if not 0 <= number <= _LONGEST_SECONDS:
        raise ValueError(f"must be from 0 to {_LONGEST_SECONDS} seconds (a year), not {value!r}")
    return float(number)


def paths(value: object) -> tuple[str, ...]:
    """
    Read a list of paths, or its text; nothing where none is given.

    Paths may hold blanks; a comma or a line end in a text parts two of them.
    """
    if is_absent(value):
        return ()
    if hasattr(value, "__fspath__"):  # a pathlib.Path says what it is without being imported
        return (str(value),)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return texts.lines([str(entry) if hasattr(entry, "__fspath__") else entry for entry in value])
    return texts.lines(value)


def json_object(value: object) -> dict[str, Any]:
    """Read a mapping, or its text: JSON, or what Jinja makes of a dict."""
    read = texts.structure(value) if isinstance(value, str) else value
    if isinstance(read, Mapping):
        return dict(read)
    raise ValueError(f"must be a dictionary (or a JSON object as text), not {value!r}")


def plain_text(value: object) -> str | None:
    """Return a text as it is, and the text of a number or a boolean; None for anything else."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float | Decimal) else None
