"""
A traceback in sections: those that are open, and those that open on a click.

Called by ``outputs.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.core.notebook.tracebacks import MESSAGE_LINES, exceptions_of, folded, parts_of, whose

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_FEW = 3  # so many frames or lines are not worth a click
_LONG_CHARACTERS = 2000
_BEGINNING_CHARACTERS = 500


def sections(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return runs of the traceback's lines, as they are; the title of those that open, an empty one of those that are seen at once."""
    found: list[tuple[str, list[str]]] = []
    for title, run in _sections(lines):
        if found and not title and not found[-1][0]:
            found[-1][1].extend(run)
        elif run:
            found.append((title, list(run)))
    return found


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    parts = parts_of([strip_ansi(line) for line in lines])
    for exception in exceptions_of(parts):
        for is_folded, run in folded(exception):
            if is_folded and len(run) > _FEW:
                yield whose(run), lines[run[0].start : run[-1].end]
                continue
            for part in run:
                own = lines[part.start : part.end]
                more = len(own) - MESSAGE_LINES
                if part.kind == "message" and any(len(line) > _LONG_CHARACTERS for line in own):
                    yield "", [_beginning(line) for line in own[:MESSAGE_LINES]]
                    yield "The whole text", own
                elif part.kind == "message" and more > _FEW:
                    yield "", own[:MESSAGE_LINES]
                    yield f"{more:,} more lines", own[MESSAGE_LINES:]
                else:
                    yield "", own


def _beginning(line: str) -> str:
    return line if len(line) <= _LONG_CHARACTERS else f"{strip_ansi(line)[:_BEGINNING_CHARACTERS]}…"
