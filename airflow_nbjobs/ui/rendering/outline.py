"""
Which cells of a notebook are shown, and the places in it to go to.

Called by ``document.py``.
"""

from __future__ import annotations

import re
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from nbformat import NotebookNode

MOST_CELLS = 2_000
_LAST_CELLS, _AROUND = 300, 50
_OUTLINE_ENTRIES = 400
_SLOWEST_ENTRIES = 100
_HEADING = re.compile(r" {0,3}(#{1,4})[ \t]")
_FENCE = re.compile(r" {0,3}(```|~~~)")


class Cell(msgspec.Struct, frozen=True):
    """A cell to show, with its place in the author's file (None: not the author's)."""

    node: NotebookNode
    anchor: str
    index: int | None
    seconds: float | None
    is_failed: bool
    is_last: bool = False

    @property
    def is_code(self) -> bool:
        return bool(self.node.get("cell_type") == "code")


def shown_cells(cells: Sequence[Cell], anchors: Collection[str | None]) -> list[list[Cell]]:
    """
    Return the cells to show, in runs between which some are left out: of very many the first, the last, and those around places that matter.

    :param anchors: of the cells that matter: the failed one, the one that runs.
    """
    if len(cells) <= MOST_CELLS:
        return [list(cells)]
    kept = set(range(len(cells) - _LAST_CELLS, len(cells)))
    for place, cell in enumerate(cells):
        if cell.is_failed or cell.anchor in anchors:
            kept |= set(range(max(place - _AROUND, 0), min(place + _AROUND, len(cells))))
    first = (place for place in range(len(cells)) if place not in kept)
    kept |= set(islice(first, MOST_CELLS - len(kept)))
    runs = groupby(enumerate(cells), lambda entry: entry[0] in kept)
    return [[cell for _, cell in run] for is_kept, run in runs if is_kept]


def outline(cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """
    Yield headings and, where there are none at all, the cells of code; the failed cell always.

    Each entry has a ``level``: 1-4 of a heading, 0 for a cell of code.
    """
    headings = {cell.anchor: _headings(source_of(cell.node)) for cell in cells if not cell.is_code}
    has_headings = any(headings.values())
    count = 0
    for cell in cells:
        if count >= _OUTLINE_ENTRIES and not cell.is_failed:
            continue
        if cell.is_code:
            if has_headings and not cell.is_failed:
                continue
            yield _entry_of_code(cell)
            count += 1
            continue
        for level, text in headings[cell.anchor][: _OUTLINE_ENTRIES - count]:
            yield _entry(cell.anchor, visible(text[:120]), level)
            count += 1


def slowest(cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Yield the cells of code whose time is known, the longest first, at most a hundred."""
    timed = [cell for cell in cells if cell.is_code and cell.seconds is not None]
    for cell in sorted(timed, key=lambda cell: -(cell.seconds or 0.0))[:_SLOWEST_ENTRIES]:
        yield _entry_of_code(cell)


def name_of(cell: Cell) -> str:
    """Return how a cell is called where a reader goes to it."""
    return f"Cell {cell.index}" if cell.index is not None else "Parameters of this run"


def first_line(cell: Cell) -> str:
    """Return the first line of a cell's source that says something."""
    return next((line.strip() for line in source_of(cell.node).splitlines() if line.strip()), "")


def _entry_of_code(cell: Cell) -> dict[str, Any]:
    text = visible(f"{name_of(cell)}  {first_line(cell)[:60]}".strip())
    return _entry(cell.anchor, text, 0, cell.seconds, is_failed=cell.is_failed)


def _entry(
    anchor: str, text: str, level: int, seconds: float | None = None, *, is_failed: bool = False
) -> dict[str, Any]:
    return {"anchor": anchor, "text": text, "level": level, "seconds": seconds, "is_failed": is_failed}


def _headings(source: str) -> list[tuple[int, str]]:
    found = []
    is_fenced = False
    for line in source.splitlines():
        if _FENCE.match(line):
            is_fenced = not is_fenced
        heading = None if is_fenced else _HEADING.match(line)
        text = line[heading.end() : 500].strip().rstrip("#").rstrip() if heading else ""
        if heading and text:
            found.append((len(heading[1]), strip_ansi(re.sub(r"[*_`]", "", text))))
    return found
