"""
What differs between two texts, line by line, and between two tables, row by row, as HTML.

Called by ``comparison.py``. Pure: texts in, escaped HTML out. What stands on the left alone is marked as deleted, on the right alone as inserted.
"""

from __future__ import annotations

import re
from itertools import repeat, zip_longest
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from airflow_nbjobs.core.notebook.comparison_matching import blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_nbjobs.core.notebook.comparison_matching import Effort

Row = tuple[str, ...]

_CONTEXT = 3  # equal lines around a difference; more are folded
_MOST_SHOWN = 400  # lines, or rows, of one side in one place; more are folded
_PAIRED_LINES = 100  # in whose place as many others stand: what differs within them is marked
_LEAST_SHARED = 0.3  # of a line, to mark the rest of it
# Where an object lies in a machine's memory is another number each time. As ``repr`` writes it, and in HTML: no other number is one.
_ADDRESS = re.compile(r"((?:<|&lt;)[^<>\n]{1,300} at )0x[0-9a-f]{6,16}(?=[>,]|&gt;)")


def comparable(text: str) -> str:
    """Return what was printed without what differs each time that it is."""
    return _ADDRESS.sub(r"\g<1>0x…", text) if " at 0x" in text else text


def text_difference(
    left: Sequence[str], right: Sequence[str], effort: Effort, *, key: Callable[[str], str] = comparable
) -> Markup:
    """
    Return the lines of both texts, those that differ marked, of equal ones those around them; empty where none differ.

    :param key: what of a line is compared: of code all.
    """
    keys, other_keys = list(map(key, left)), list(map(key, right))
    if keys == other_keys:
        return Markup("")
    found = list(blocks(keys, other_keys, effort))
    parts: list[Markup] = []
    for place, block in enumerate(found):
        if block.kind == "equal":
            equal = [_line("", right[each]) for each in block.right]
            parts += _context(equal, _fold, is_first=place == 0, is_last=place == len(found) - 1)
            continue
        before, after = [left[each] for each in block.left], [right[each] for each in block.right]
        is_paired = len(before) == len(after) <= _PAIRED_LINES
        for side, lines, others in (("del", before, after), ("ins", after, before)):
            pairs = zip(lines, others if is_paired else repeat(None), strict=False)
            parts += _folded([_line(side, line, *_middle(line, other)) for line, other in pairs])
    return Markup('<div class="nb-diff">{}</div>').format(Markup("").join(parts))


def whole_text(lines: Sequence[str], side: str) -> Markup:
    """Return a text that one side alone has: ``del`` for the left one, ``ins`` for the right one, empty for one that both have."""
    return Markup('<div class="nb-diff">{}</div>').format(
        Markup("").join(_folded([_line(side, each) for each in lines]))
    )


def _middle(line: str, other: str | None) -> tuple[int, int]:
    """Return where a line begins and ends to differ from another; nothing of it where they share too little."""
    if other is None:
        return 0, 0
    most = min(len(line), len(other))
    start = next((place for place in range(most) if line[place] != other[place]), most)
    rest = next((place for place in range(most - start) if line[-1 - place] != other[-1 - place]), most - start)
    return (start, len(line) - rest) if start + rest >= _LEAST_SHARED * max(len(line), len(other)) else (0, 0)


def _line(side: str, line: str, start: int = 0, end: int = 0) -> Markup:
    tag = side or "span"
    text = escape(line)
    if start < end:
        text = escape(line[:start]) + _mark(line[start:end]) + escape(line[end:])
    return Markup(f"<{tag}>{text}\n</{tag}>")  # noqa: S704 - all of it is escaped


def _mark(text: str) -> Markup:
    return Markup(f"<mark>{escape(text)}</mark>")  # noqa: S704 - as above


def _context(
    lines: list[Markup], fold: Callable[[list[Markup]], Markup], *, is_first: bool, is_last: bool
) -> Iterator[Markup]:
    """Yield equal lines, or rows: those next to a difference, the others folded."""
    head = 0 if is_first else _CONTEXT
    tail = 0 if is_last else _CONTEXT
    if len(lines) <= head + tail + 2:
        yield from lines
        return
    end = len(lines) - tail
    yield from lines[:head]
    yield fold(lines[head:end])
    yield from lines[end:]


def _fold(lines: list[Markup]) -> Markup:
    return _details(lines, "equal lines")


def _folded(lines: list[Markup]) -> Iterator[Markup]:
    yield from lines[:_MOST_SHOWN]
    if len(lines) > _MOST_SHOWN:
        yield _details(lines[_MOST_SHOWN:], "more lines")


def _details(lines: list[Markup], what: str) -> Markup:
    return Markup("<details><summary>{:,} {}</summary>{}</details>").format(len(lines), what, Markup("").join(lines))


def _comparable_rows(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(tuple(map(comparable, row)) for row in rows)


def table_difference(left: Sequence[Row], right: Sequence[Row], effort: Effort) -> Markup:
    """Return the rows of both tables, what differs in them marked; of equal rows those around; empty where none differ."""
    keys, other_keys = _comparable_rows(left), _comparable_rows(right)
    if keys == other_keys:
        return Markup("")
    found = list(blocks(keys, other_keys, effort))
    parts: list[Markup] = []
    # Of the first row a reader needs to see what the columns are.
    if found[0].kind == "equal":
        parts.append(_row("", right[0]))
    for place, block in enumerate(found):
        if block.kind == "equal":
            rows = [_row("", right[each]) for each in block.right][1 if place == 0 else 0 :]
            parts += _context(rows, _fold_rows, is_first=place == 0, is_last=place == len(found) - 1)
            continue
        before, after = [left[each] for each in block.left], [right[each] for each in block.right]
        # A row below the one in whose place it stands.
        for row, other in zip_longest(before[:_MOST_SHOWN], after[:_MOST_SHOWN]):
            is_paired = row is not None and other is not None and len(before) == len(after) and len(row) == len(other)
            if row is not None:
                parts.append(_row("del", row, other if is_paired else None))
            if other is not None:
                parts.append(_row("ins", other, row if is_paired else None))
        left_out = len(before[_MOST_SHOWN:]) + len(after[_MOST_SHOWN:])
        if left_out:
            parts.append(_note(f"{left_out:,} more rows that differ are in the notebooks"))
    return Markup('<table class="nb-diff-table"><tbody>{}</tbody></table>').format(Markup("").join(parts))


def whole_table(rows: Sequence[Row], side: str) -> Markup:
    shown = [_row(side, row) for row in rows[:_MOST_SHOWN]]
    if len(rows) > _MOST_SHOWN:
        shown.append(_note(f"{len(rows) - _MOST_SHOWN:,} more rows are in the notebook"))
    return Markup('<table class="nb-diff-table"><tbody>{}</tbody></table>').format(Markup("").join(shown))


def _fold_rows(rows: list[Markup]) -> Markup:
    return _note(f"{len(rows):,} equal rows")


def _note(text: str) -> Markup:
    return Markup('<tr><td></td><td class="nb-quiet" colspan="1000">{}</td></tr>').format(text)


def _row(side: str, row: Row, other: Row | None = None) -> Markup:
    sign = {"del": "\N{MINUS SIGN}", "ins": "+"}.get(side, "")
    cells = "".join(
        f"<td>{_mark(text) if other is not None and comparable(text) != comparable(other[place]) else escape(text)}</td>"
        for place, text in enumerate(row)
    )
    return Markup(f'<tr class="nb-row-{side or "same"}"><th scope="row">{sign}</th>{cells}</tr>')  # noqa: S704 - as above
