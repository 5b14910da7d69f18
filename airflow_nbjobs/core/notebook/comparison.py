"""
Two notebooks side by side: which cell of the one is which cell of the other.

Called by the rendering process. Both notebooks are untrusted; an ``Effort`` bounds the time that they take. Pure; stdlib alone.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.comparison_matching import Effort, blocks, rising

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

_ALIKE = 0.4  # of the words of two cells, at least so much is the same where one was made of the other
_WORD = re.compile(r"\w+|[^\w\s]")
_WORDS_CHARACTERS = 4_000  # of a cell, its beginning
_STEPS_OF_A_LOOK = 20  # what comparing two cells takes, in an effort's steps, and one more for each word
_CHARACTERS_OF_A_STEP = 8  # of what is read for its words


class CellText(msgspec.Struct, frozen=True):
    """
    One cell as it is compared.

    :param kind: cells correspond to cells of their kind only.
    :param id: of the notebook format 4.5; None before, and where it says nothing.
    """

    kind: str
    source: str
    id: str | None = None


class CellPair(msgspec.Struct, frozen=True):
    """The places of two cells that correspond; one is None where a cell was put in or taken out."""

    left: int | None
    right: int | None
    is_moved: bool = False


def aligned_cells(left: Sequence[CellText], right: Sequence[CellText], effort: Effort) -> list[CellPair]:
    """
    Return every cell of both notebooks once, in the order of the right one; what was taken out stands where it was.

    Cells with the same source correspond, between those the cells with the same id, then those with most words in common. What is left over is a cell
    that has moved, where both notebooks have it.
    """
    keys, other_keys = ([(cell.kind, cell.source) for cell in side] for side in (left, right))
    pairs: list[tuple[int, int]] = []
    for block in blocks(keys, other_keys, effort):
        if block.kind == "equal":
            pairs += zip(block.left, block.right, strict=True)
        else:
            pairs += _in_gap(left, right, block.left, block.right, effort)
    moved = _moved(left, right, pairs)
    return list(_in_order(len(left), len(right), sorted(pairs), moved))


def _in_gap(
    left: Sequence[CellText], right: Sequence[CellText], part: range, other_part: range, effort: Effort
) -> Iterator[tuple[int, int]]:
    """Yield the places of cells that correspond though their sources differ: by id, and between those by what they say."""
    by_id = _alone({place: _id_key(left[place]) for place in part})
    other_by_id = _alone({place: _id_key(right[place]) for place in other_part})
    same = rising(sorted((place, other_by_id[key]) for key, place in by_id.items() if key in other_by_id))
    start, other_start = part.start, other_part.start
    for place, other_place in [*same, (part.stop, other_part.stop)]:
        yield from _alike(left, right, range(start, place), range(other_start, other_place), effort)
        if place < part.stop and other_place < other_part.stop:
            yield place, other_place
        start, other_start = place + 1, other_place + 1


def _id_key(cell: CellText) -> Hashable:
    return (cell.kind, cell.id) if cell.id else None


def _alone(keys: dict[int, Hashable]) -> dict[Hashable, int]:
    """Return the places of keys that are there once."""
    counts = Counter(keys.values())
    return {key: place for place, key in keys.items() if key is not None and counts[key] == 1}


def _alike(
    left: Sequence[CellText], right: Sequence[CellText], part: range, other_part: range, effort: Effort
) -> Iterator[tuple[int, int]]:
    """Yield the places of cells that have the most words in common, all together."""
    looks = len(part) * len(other_part)
    sides = (_of(left, part), _of(right, other_part))
    characters = sum(min(len(cell.source), _WORDS_CHARACTERS) for side in sides for cell in side)
    if not looks or not effort.take(characters // _CHARACTERS_OF_A_STEP):
        return
    words, other_words = ([_words(cell.source) for cell in side] for side in sides)
    if not effort.take(looks * _STEPS_OF_A_LOOK + len(other_part) * sum(map(len, words))):
        return
    # best[row][column]: of the cells from there on.
    best = [[0.0] * (len(other_part) + 1) for _ in range(len(part) + 1)]
    shares: dict[tuple[int, int], float] = {}
    for row in reversed(range(len(part))):
        for column in reversed(range(len(other_part))):
            is_of_kind = left[part[row]].kind == right[other_part[column]].kind
            share = _share(words[row], other_words[column]) if is_of_kind else 0.0
            together = share + best[row + 1][column + 1] if share >= _ALIKE else 0.0
            shares[row, column] = share
            best[row][column] = max(together, best[row + 1][column], best[row][column + 1])
    row = column = 0
    while row < len(part) and column < len(other_part):
        here = best[row][column]
        if shares[row, column] >= _ALIKE and here == shares[row, column] + best[row + 1][column + 1]:
            yield part[row], other_part[column]
            row, column = row + 1, column + 1
        elif here == best[row + 1][column]:
            row += 1
        else:
            column += 1


def _of(cells: Sequence[CellText], part: range) -> Sequence[CellText]:
    return cells[part.start : part.stop]


def _words(source: str) -> Counter[str]:
    return Counter(_WORD.findall(source[:_WORDS_CHARACTERS]))


def _share(words: Counter[str], other_words: Counter[str]) -> float:
    """Return how much of two texts is the same, 0 to 1; two without a word are alike."""
    total = words.total() + other_words.total()
    return 2 * sum(min(count, other_words[word]) for word, count in words.items()) / total if total else 1.0


def _moved(left: Sequence[CellText], right: Sequence[CellText], pairs: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Return the places of cells that stand elsewhere in the other notebook, by those of the right one."""
    taken, other_taken = {place for place, _ in pairs}, {place for _, place in pairs}
    rest = [place for place in range(len(left)) if place not in taken and left[place].source.strip()]
    other_rest = [place for place in range(len(right)) if place not in other_taken]
    by_source: dict[Hashable, list[int]] = {}
    for place in reversed(rest):
        by_source.setdefault((left[place].kind, left[place].source), []).append(place)
    moved = {}
    for other_place in other_rest:
        found = by_source.get((right[other_place].kind, right[other_place].source))
        if found:
            moved[other_place] = found.pop()
    gone = set(moved.values())
    by_id = _alone({place: _id_key(left[place]) for place in rest if place not in gone})
    other_by_id = _alone({place: _id_key(right[place]) for place in other_rest if place not in moved})
    return moved | {other_place: by_id[key] for key, other_place in other_by_id.items() if key in by_id}


def _in_order(
    count: int, other_count: int, pairs: Sequence[tuple[int, int]], moved: dict[int, int]
) -> Iterator[CellPair]:
    gone = set(moved.values())
    place = other_place = 0
    for next_place, next_other in [*pairs, (count, other_count)]:
        yield from (CellPair(each, None) for each in range(place, next_place) if each not in gone)
        for each in range(other_place, next_other):
            yield CellPair(moved[each], each, is_moved=True) if each in moved else CellPair(None, each)
        if next_place < count and next_other < other_count:
            yield CellPair(next_place, next_other)
        place, other_place = next_place + 1, next_other + 1
