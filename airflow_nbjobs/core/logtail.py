"""
The container's log as a person wants to read it.

Called by ``aws/results.py``; pure. The driver runs under ``bash -x`` and papermill draws a progress bar, so a raw tail is mostly noise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.failure import strip_ansi

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        for piece in strip_ansi(raw).replace("\r", "\n").split("\n"):
            line = piece.rstrip()
            if not line or _TRACE.match(line):
                continue
            if kept and _BAR.search(line) and _BAR.search(kept[-1]):
                kept.pop()
            kept.append(line if len(line) <= _LINE_LIMIT else f"{line[:_LINE_LIMIT]}…")
    return kept[-limit:]
