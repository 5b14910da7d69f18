"""
The container's log as a person wants to read it.

Called by ``aws/results.py`` and ``containerlog.py``; pure. The driver runs under ``bash -x`` and papermill draws a progress bar, so a raw tail is mostly noise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.failure import strip_ansi
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_TRACE = re.compile(r"\++ ")  # bash's xtrace prefix
_BAR = re.compile(r"\d+%\|.*\|\s*\d+/\d+ \[")  # tqdm
_LINE_LIMIT = 500


def readable_tail(lines: Iterable[str], *, limit: int) -> list[str]:
    """
    Return the last lines worth reading, oldest first.

    Shell traces go, ANSI codes go, of a run of progress bars the last stays, and a line is cut to 500 characters.

    :param lines: as the container wrote them; one may hold several bars parted by carriage returns.
    :param limit: most lines to return.
    """
    kept: list[str] = []
    for raw in lines:
        for line in readable_lines(raw):
            append_line(kept, line)
    return kept[-limit:]


def readable_lines(raw: str) -> Iterator[str]:
    """Yield the lines of one event that are no shell trace, without ANSI codes; what is unseen in them has a mark."""
    for piece in strip_ansi(raw).replace("\r", "\n").split("\n"):
        line = visible(piece.rstrip())
        if line and not _TRACE.match(line):
            yield line


def append_line(kept: list[str], line: str) -> None:
    """Add a line, cut to 500 characters; a progress bar takes the place of the bar before it."""
    # Cut first: what looks for a bar takes quadratic time.
    shown = line if len(line) <= _LINE_LIMIT else f"{line[:_LINE_LIMIT]}…"
    if kept and _BAR.search(shown) and _BAR.search(kept[-1]):
        kept.pop()
    kept.append(shown)
