"""
Rows of a CSV file that a spreadsheet opens without running anything. Pure; the standard library alone.

Called by the pages that offer their tables as files.
"""

from __future__ import annotations

import csv
import math
import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.numbers import is_number
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# What a spreadsheet takes for the beginning of a formula, also in the wide forms of East Asia. Source: OWASP, CSV Injection.
_FORMULA = (
    *("=", "+", "-", "@", "\t", "\r", "\n", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}"),
    *("\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}"),
)
# Where the list's separator is another one, as a semicolon in most of Europe, a cell begins behind it.
_CELL = re.compile(f"[;\t]\\s*(?=[{re.escape(''.join(sign for sign in _FORMULA if not sign.isspace()))}])")
_LINES = 200


def csv_field(value: Any) -> str:
    """Return one field: a number as it is, so also -1; a text that a spreadsheet would compute begins with an apostrophe; None is empty."""
    if value is None:
        return ""
    if is_number(value) and (isinstance(value, int) or math.isfinite(value)):
        return repr(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    text = visible(str(value))
    text = _CELL.sub(lambda found: f"{found[0]}'", text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def csv_chunks(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the file, the names of its columns first, some hundred lines at a time."""
    lines = _Lines()
    writer = csv.writer(lines)
    writer.writerow([csv_field(head) for head in heads])
    for number, row in enumerate(rows, 1):
        writer.writerow([csv_field(value) for value in row])
        if number % _LINES == 0:
            yield "".join(lines)
            lines.clear()
    yield "".join(lines)


class _Lines(list[str]):
    """What ``csv`` writes into, a line at a time."""

    def write(self, text: str) -> None:
        self.append(text)
