"""
What every benchmark here reports: rows of one table, and an exit code that tells whether the goals were met.

Each benchmark is a script with a ``measure(runs) -> list[Row]``; ``all.py`` runs them all and prints one table.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HEADS = ("what", "ours", "beside", "", "ratio", "goal", "met?")


@dataclass(frozen=True, slots=True)
class Row:
    """
    One figure of ours beside another's, of the same run.

    :param peer: what ours stands beside; empty where there is nothing to compare with.
    :param goal: in words; empty for a figure that is only told.
    """

    what: str
    unit: str
    ours: float
    peer: str = ""
    peers: float | None = None
    goal: str = ""
    is_met: bool = True

    def cells(self) -> tuple[str, ...]:
        ratio = "" if not self.peers else f"{self.ours / self.peers:.3g}"
        peers = "" if self.peers is None else f"{_number(self.peers)} {self.unit}"
        verdict = "" if not self.goal else "yes" if self.is_met else "NO"
        return (self.what, f"{_number(self.ours)} {self.unit}", self.peer, peers, ratio, self.goal, verdict)


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def table(rows: Sequence[Row]) -> str:
    cells = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def exit_code(rows: Sequence[Row]) -> int:
    """Return 0 if there are rows and each goal was met: a benchmark that measured nothing has not passed."""
    return 0 if rows and all(row.is_met for row in rows) else 1


def run(measure: Callable[[int], list[Row]], *, runs: int) -> int:
    """
    Measure, print the table; with ``--rows FILE`` also leave the rows there, for ``all.py``.

    :param runs: how often each contender is measured where ``--runs`` does not say.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--rows", type=Path)
    arguments = parser.parse_args()
    rows = measure(arguments.runs)
    print(table(rows))
    if arguments.rows:
        arguments.rows.write_text(json.dumps([asdict(row) for row in rows]), encoding="utf-8")
    return exit_code(rows)


def read_rows(file: Path) -> list[Row]:
    """Return what a benchmark left with ``--rows``; nothing if it ended before."""
    found: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return [Row(**fields) for fields in found]
