"""
Two executed notebooks, cell by cell, as one self-contained HTML document, and the facts that the page around it shows.

Called by ``worker.py``. No content of a notebook makes it raise: a note stands in place of what cannot be compared, and it counts as not compared,
never as equal.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
from markupsafe import Markup
from msgspec.structs import asdict

from airflow_nbjobs.core.notebook.comparison import CellText, aligned_cells
from airflow_nbjobs.core.notebook.comparison_matching import ALL_STEPS, Effort
from airflow_nbjobs.core.notebook.document import outputs_of, tags_of
from airflow_nbjobs.core.notebook.papermill import INJECTED, status_of, was_started
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.core.values.received import read_parameters, value_rows
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.rendering import LINK_MARK, POLICY, SHOWN_MARK, THEME_MARK
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.compared_outputs import is_equal, paired_items, read_items
from airflow_nbjobs.ui.rendering.differences import table_difference, text_difference, whole_table, whole_text
from airflow_nbjobs.ui.rendering.document import (
    PIECES_SECONDS,
    attachments_of,
    cell_duration,
    failure_facts,
    page_of,
    progress_facts,
    read_notebook,
    recorded_rows,
)
from airflow_nbjobs.ui.rendering.guard import Guard
from airflow_nbjobs.ui.rendering.outputs import outputs_html
from airflow_nbjobs.ui.rendering.shrink import with_excerpts
from airflow_nbjobs.ui.rendering.text import plain_text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbformat import NotebookNode

    from airflow_nbjobs.core.notebook.comparison import CellPair
    from airflow_nbjobs.ui.rendering.compared_outputs import Item
    from airflow_nbjobs.ui.rendering.outline import Cell

_MOST_PAIRS = 3_000
_SOURCE_CHARACTERS = 100_000
_SOURCE_LINES = 5_000
_LONG_LINES = 12  # of code that is the same; more are folded
_WORDS = {
    "same": "same",
    "changed": "changed",
    "moved": "moved",
    "added": "only on the right",
    "removed": "only on the left",
    "unknown": "not compared",
}
_STATUSES = {"completed": "ran", "failed": "failed", "running": "running", "pending": "not run"}
_SIDES = ("left", "right")
_NONE = "\N{EN DASH}"


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """
    One of the two notebooks.

    :param has_failed: its job has ended and not completed.
    :param is_cut: long outputs were left out of it before it was parsed.
    """

    notebook: NotebookNode
    has_failed: bool = False
    is_cut: bool = False


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """
    The comparison's document and its facts, JSON-like but for ``html``.

    :param counts: how many pairs of cells are same, changed, moved, added, removed, unknown.
    :param uncompared: in words, what was not compared: that nothing else differs says nothing of it.
    :param first: the anchor of the first pair that is not the same.
    :param left: ``parameters`` and ``outputs`` as rows (None: unreadable), ``failed``, ``seconds``, ``cells``.
    """

    html: str
    counts: dict[str, int]
    uncompared: tuple[str, ...]
    notices: tuple[str, ...]
    unrendered: tuple[str, ...]
    first: str | None
    left: dict[str, Any]
    right: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        facts = asdict(self)
        del facts["html"]
        return facts


class _Piece(msgspec.Struct):
    """A pair of cells as the document shows it."""

    anchor: str
    kind: str
    cells: tuple[Cell | None, Cell | None]
    source: Markup = Markup("")
    is_same_source: bool = False
    outputs: Markup = Markup("")


def build_comparison(
    left: Side,
    right: Side,
    *,
    title: str,
    notices: tuple[str, ...] = (),
    seconds: float = PIECES_SECONDS,
) -> Comparison:
    """
    Return the comparison of two parsed notebooks.

    :param seconds: of processor time; pairs for which nothing of it is left are not compared, and it is said. 0: none is.
    """
    sides = (left, right)
    for side in sides:
        with_excerpts(side.notebook)
    read = [read_notebook(side.notebook, has_failed=side.has_failed) for side in sides]
    cells = [found for found, _ in read]
    effort = Effort(ALL_STEPS if seconds else 0)
    texts = [[_text_of(cell) for cell in each] for each in cells]
    pairs = aligned_cells(texts[0], texts[1], effort)
    budget = Budget(guard=Guard(seconds))
    pieces = [_piece(place, pair, cells, budget, effort) for place, pair in enumerate(pairs[:_MOST_PAIRS])]
    counts = Counter(piece.kind for piece in pieces)
    uncompared = _uncompared(sides, effort, counts, left_out=len(pairs) - len(pieces))
    notices = tuple(visible(text) for text in (*notices, *uncompared, *budget.notices()))
    page = {
        "policy": POLICY,
        "theme": THEME_MARK,
        "shown": SHOWN_MARK,
        "title": visible(title),
        "style": Markup(_style()),  # noqa: S704 - our own sheets
        "notices": notices,
        "counts": counts,
        "is_equal": set(counts) <= {"same"},
        "is_whole": not uncompared,
        "runs": [(is_same, list(run)) for is_same, run in groupby(pieces, lambda piece: piece.kind == "same")],
        "head": _head,
    }
    return Comparison(
        html=page_of("comparison.html", page),
        counts={kind: counts[kind] for kind in _WORDS},
        uncompared=tuple(uncompared),
        notices=notices,
        unrendered=tuple(budget.guard.failures),
        first=next((piece.anchor for piece in pieces if piece.kind != "same"), None),
        left=_facts(left.notebook, *read[0]),
        right=_facts(right.notebook, *read[1]),
    )


def _text_of(cell: Cell) -> CellText:
    # papermill's cell and ours hold the parameters of the run: they correspond to each other whatever they say.
    kind = str(cell.node.get("cell_type"))
    if cell.index is None:
        kind = INJECTED if INJECTED in tags_of(cell.node) else "parameters"
    cell_id = cell.node.get("id")
    own_id = cell_id if isinstance(cell_id, str) and cell.index is not None else kind if cell.index is None else None
    return CellText(kind=kind, source=_source(cell) or "", id=own_id)


def _uncompared(sides: Sequence[Side], effort: Effort, counts: Counter[str], *, left_out: int) -> list[str]:
    found = []
    if any(side.is_cut for side in sides):
        found.append("Long outputs were left out before the notebooks were read; they were not compared.")
    if effort.is_spent:
        found.append(
            "So much differs that not all of it was compared line by line: more may be the same than is shown."
        )
    if counts["unknown"]:
        found.append(f"{counts['unknown']} cell(s) were not compared; each says why, in its place.")
    if left_out:
        found.append(f"{left_out:,} cells beyond the first {_MOST_PAIRS:,} were not compared.")
    return found


def _facts(notebook: NotebookNode, cells: list[Cell], failed: Any) -> dict[str, Any]:
    parameters = read_parameters(notebook)
    timed = [cell.seconds for cell in cells if cell.seconds is not None]
    return {
        "cells": len(cells),
        "seconds": round(sum(timed), 3) if timed else None,
        "failed": failure_facts(failed, cells),
        "progress": progress_facts(notebook),
        "parameters": None if parameters is None else value_rows(parameters, is_python=True),
        "outputs": recorded_rows(notebook),
    }


def _piece(place: int, pair: CellPair, cells: Sequence[Sequence[Cell]], budget: Budget, effort: Effort) -> _Piece:
    """Return what is shown of two cells that correspond, or of one that stands alone."""
    one = cells[0][pair.left] if pair.left is not None else None
    other = cells[1][pair.right] if pair.right is not None else None
    piece = _Piece(anchor=f"pair-{place}", kind="unknown", cells=(one, other))
    name = f"pair {place + 1} ({_name(one)}, {_name(other)})"
    sources = [_source(each) for each in piece.cells]
    piece.is_same_source = sources[0] == sources[1]

    def source() -> Markup:
        if piece.is_same_source or None in sources:
            side = "" if None not in sources else "del" if sources[1] is None else "ins"
            return whole_text(_lines(sources[1] if sources[0] is None else sources[0]), side)
        return text_difference(_lines(sources[0]), _lines(sources[1]), effort, key=str)

    def outputs() -> Markup:
        found = _outputs(one, other, budget, effort)
        is_same = not found and piece.is_same_source and _status(one) == _status(other)
        if one is None or other is None:
            piece.kind = "added" if one is None else "removed"
        elif pair.is_moved:
            piece.kind = "moved"
        else:
            piece.kind = "same" if is_same else "changed"
        return found

    failures = budget.guard.unrendered
    piece.source = budget.guard.piece(name, source, lambda: "\n\n".join(text or "" for text in sources))
    piece.outputs = budget.guard.piece(f"{name}, outputs", outputs, lambda: _plain_outputs(one, other))
    if budget.guard.unrendered > failures:
        piece.kind = "unknown"
    return piece


def _plain_outputs(*cells: Cell | None) -> str:
    return "\n".join(plain_text_of(output)[:2_000] for cell in cells for output in _shown_beside(cell))


def _shown_beside(cell: Cell | None) -> list[dict[str, Any]]:
    """Return what a cell shows beside its source: the outputs of code, the pictures that are attached to a text."""
    if cell is None:
        return []
    if cell.is_code:
        return outputs_of(cell.node)
    return [{"output_type": "display_data", "data": forms} for _, forms in sorted(attachments_of(cell.node).items())]


def _source(cell: Cell | None) -> str | None:
    return None if cell is None else source_of(cell.node).replace("\r\n", "\n").strip("\n")


def _lines(source: str | None) -> list[str]:
    text = source or ""
    lines = text[:_SOURCE_CHARACTERS].split("\n")[:_SOURCE_LINES]
    left_out = len(text) - sum(len(line) + 1 for line in lines) + 1
    return [*lines, f"… {left_out:,} more characters are in the .ipynb"] if left_out > 0 else lines


def _outputs(one: Cell | None, other: Cell | None, budget: Budget, effort: Effort) -> Markup:
    """Return what differs in the outputs of two cells; all outputs of one that stands alone."""
    left, right = _shown_beside(one), _shown_beside(other)
    if is_equal(left, right):
        return Markup("")
    pairs = paired_items(read_items(left, budget), read_items(right, budget), effort)
    return Markup("").join(_item(*pair, budget, effort) for pair in pairs)


def _item(left: Item | None, right: Item | None, budget: Budget, effort: Effort) -> Markup:
    known = left or right
    if known is None or (left is not None and right is not None and left.key == right.key):
        return Markup("")
    if known.kind in ("picture", "other"):
        shown = _side_by_side(left, right, budget)
    elif left is None or right is None:
        side = "ins" if left is None else "del"
        shown = whole_text(known.lines, side) if known.kind == "text" else whole_table(known.rows, side)
    elif known.kind == "text":
        shown = text_difference(left.lines, right.lines, effort)
    else:
        shown = table_difference(left.rows, right.rows, effort) or _side_by_side(left, right, budget)
    if not shown:
        shown = Markup(
            '<p class="nb-notice">They differ in what is too long to be shown here; the .ipynb files have it.</p>'
        )
    where = "" if left is not None and right is not None else ", " + _WORDS["added" if left is None else "removed"]
    return Markup('<div class="nb-item"><h4>{}{}</h4>{}</div>').format(known.name, where, shown)


def _side_by_side(left: Item | None, right: Item | None, budget: Budget) -> Markup:
    shown = [
        outputs_html([item.output] if item is not None and item.output is not None else [], budget)
        or Markup("<p>{}</p>").format(_NONE)
        for item in (left, right)
    ]
    return Markup('<div class="nb-both"><div class="nb-left">{}</div><div class="nb-right">{}</div></div>').format(
        *shown
    )


def _status(cell: Cell | None) -> str:
    """Return what became of a cell, in words; empty for one that is not run."""
    if cell is None or not cell.is_code:
        return ""
    if cell.is_failed:
        return "last cell that ran" if cell.is_last else "failed"
    status = status_of(cell.node)
    known = _STATUSES.get(status) if isinstance(status, str) else None
    return known or ("ran" if was_started(cell.node) else "not run")


def _name(cell: Cell | None) -> str:
    if cell is None:
        return _NONE
    return f"cell {cell.index}" if cell.index is not None else "parameters of this run"


def _head(piece: _Piece) -> dict[str, Any]:
    """Return what stands over a pair of cells."""
    one, other = piece.cells
    statuses = [_status(cell) for cell in piece.cells]
    is_pair = one is not None and other is not None
    times = [
        cell_duration(cell.seconds) if cell is not None and cell.seconds is not None else "" for cell in piece.cells
    ]
    return {
        "words": _WORDS[piece.kind],
        "links": [
            (_name(cell), f"{LINK_MARK}#nbjobs:{side}:{cell.anchor}")
            for side, cell in zip(_SIDES, piece.cells, strict=True)
            if cell is not None
        ],
        "status": _both(*statuses) if is_pair and statuses[0] != statuses[1] else statuses[0] or statuses[1],
        "has_failed": "failed" in statuses,
        "times": _both(*times) if is_pair and any(times) else times[0] or times[1],
        "is_text": not any(cell.is_code for cell in piece.cells if cell is not None),
        "is_long": piece.source.count("\n") > _LONG_LINES,
        "label": f"{_WORDS[piece.kind]}: {_name(one)}, {_name(other)}",
    }


def _both(left: str, right: str) -> str:
    return f"{left or _NONE} \N{RIGHTWARDS ARROW} {right or _NONE}"


@cache
def _style() -> str:
    parts = files("airflow_nbjobs.ui.rendering")
    return "\n".join(parts.joinpath(name).read_text(encoding="utf-8") for name in ("notebook.css", "comparison.css"))
