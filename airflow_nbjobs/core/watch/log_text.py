"""
The text of a container's log without its noise.

Called by ``aws/results/`` and ``log_place.py``; pure. The driver runs under ``bash -x`` and papermill draws a progress bar, so a raw tail is mostly noise.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# bash's xtrace prefix; what ipykernel's debugger says of every kernel.
_NOISE = re.compile(r"\++ |0\.00s - ")
# tqdm's bar. Two expressions: as one, with `.*` between them, they take quadratic time on a line that is nearly a bar.
_BAR_START = re.compile(r"\d%\|")
_BAR_END = re.compile(r"\|\s*\d+/\d+ \[")
_NO_WORDS = re.compile(r"[\W\d_]+")
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
        for line, is_over in readable_lines(raw):
            append_line(kept, line, is_over=is_over)
    return kept[-limit:]


def readable_lines(raw: str) -> Iterator[tuple[str, bool]]:
    """
    Yield the lines of one event that are no noise, and whether each was written over the one before.

    ANSI codes go; invisible characters become marks.
    """
    for line in strip_ansi(raw).split("\n"):
        for place, piece in enumerate(line.split("\r")):
            text = visible(piece.rstrip())
            if text and not _NOISE.match(text):
                yield text, place > 0


def append_line(kept: list[str], line: str, *, is_over: bool = False) -> None:
    """
    Add a line, cut to 500 characters, in the place of the one before it where both are states of one display: a bar, a count, the same words.

    :param is_over: whether it was written over that line; text that merely ends in carriage returns was, too.
    """
    shown = shortened(line, _LINE_LIMIT)
    if kept and ((_has_bar(shown) and _has_bar(kept[-1])) or (is_over and _words(shown) == _words(kept[-1]))):
        kept.pop()
    kept.append(shown)


def _has_bar(line: str) -> bool:
    start = _BAR_START.search(line)
    return start is not None and _BAR_END.search(line, start.end()) is not None


def _words(line: str) -> str:
    return _NO_WORDS.sub(" ", line).strip()
