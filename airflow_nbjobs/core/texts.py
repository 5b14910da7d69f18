"""
What a text says, where a list, a mapping, a number or a duration is due: Jinja, configuration files and the query of a connection's URI have texts only.

Called by the parsers of arguments; pure. Nothing is guessed: a text that says no such value is refused, or is left to the caller's own check.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from airflow_nbjobs.core.masking import masked_start

# As `str(timedelta)` writes it: "1 day, 2:03:04.5".
_CLOCK = re.compile(
    r"(?:(?P<days>-?\d{1,9}) days?, )?(?P<hours>\d{1,9}):(?P<minutes>[0-5]\d):(?P<seconds>[0-5]\d(?:\.\d{1,6})?)"
)
# ISO 8601, without years and months, which have no length.
_ISO = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,9}(?:\.\d{1,6})?)S)?)?"
)
_LAZY = re.compile(r"Lazy\w*Sequence\(.*\)")


def is_template(text: str) -> bool:
    """Say whether Jinja would make another text of it: of a value, a statement or a comment."""
    return any(mark in text for mark in ("{{", "{%", "{#"))


def structure(text: str) -> Any:
    """
    Return the value that a text says in JSON, or as Python writes lists and dicts (which is what Jinja makes of them); None if it says none.

    A JSON text within a JSON text counts, as a connection's extra may hold it.
    """
    value: Any = text.strip()
    for _ in range(3):
        if not isinstance(value, str):
            break
        value = _loaded(value)
    return value


def _loaded(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def words(value: object) -> tuple[str, ...]:
    """
    Read a list of texts none of which holds a comma, a quote or a bracket: ids and names.

    :param value: the list, or its text: as JSON or Python writes it, or its entries between commas or line ends. An entry may be such a text itself.
    :raises ValueError: it is neither.
    """
    return _read(value, parts_entries=True)


def lines(value: object) -> tuple[str, ...]:
    """
    Read a list of any texts, as ``words`` does, but for this: commas part the entries of a text only, and are part of a list's entry.

    :raises ValueError: it is neither a list of texts nor a text.
    """
    return _read(value, parts_entries=False)


def _read(value: object, *, parts_entries: bool) -> tuple[str, ...]:
    if isinstance(value, str):
        return _parted(value, parts_entries=parts_entries)
    entries: list[Any] = (
        list(value) if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray) else [value]
    )
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"must be a list of texts, not {value!r}")
    if not all(entry.strip() for entry in entries):
        raise ValueError(f"has an empty entry: {value!r}")
    found: list[str] = []
    for entry in entries:
        is_list = parts_entries or entry.strip()[:1] in ("[", "(")
        found += _parted(entry, parts_entries=parts_entries, is_entry=True) if is_list else [entry.strip()]
    return tuple(found)


def _parted(text: str, *, parts_entries: bool, is_entry: bool = False) -> tuple[str, ...]:
    stripped = text.strip()
    if _LAZY.fullmatch(stripped):
        raise ValueError(
            f"{stripped!r} is what a template makes of a mapped task's results; end the template in '| list', or give the task's .output itself"
        )
    given = structure(stripped) if stripped[:1] in ("[", "(", '"') else None
    if isinstance(given, list | tuple):
        return _read(given, parts_entries=parts_entries)
    if parts_entries and stripped.startswith("[") and stripped.endswith("]"):  # as YAML has it, without quotes
        stripped = stripped[1:-1]
    parts = [stripped] if is_entry and not parts_entries else re.split(r"[,\n]", stripped)
    return tuple(part for part in (_unquoted(part.strip()) for part in parts) if part)


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].strip()
    return text


def number(value: object) -> int | float | None:
    """Return a finite number as it is, and that of its text; None for anything else, a boolean too."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        found = int(value) if isinstance(value, str | int) else float(value)
    except (ValueError, OverflowError):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            return None
    return found if abs(found) < float("inf") else None


def seconds(value: object) -> int | float | None:
    """
    Return a duration in seconds; None for what is none.

    :param value: a timedelta, a number of seconds, or the text of either; also an ISO 8601 duration such as ``PT2H30M``.
    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    found = number(value)
    if found is not None or not isinstance(value, str):
        return found
    stripped = value.strip()
    match = _CLOCK.fullmatch(stripped) or _ISO.fullmatch(stripped)
    if match is None:
        return None
    try:
        return timedelta(**{unit: float(count) for unit, count in match.groupdict(default="0").items()}).total_seconds()
    except OverflowError:
        return None


def shortened(text: str, most: int = 80) -> str:
    """Return the text; of a longer one so many characters, its secrets masked before it is cut, and an ellipsis."""
    return text if len(text) <= most else f"{masked_start(text, most)}…"
