"""
Which items of two sequences correspond: lines of a text, rows of a table, cells of a notebook.

Called by ``comparison.py`` and the rendering process. What is compared is untrusted, and the most items that two sequences share take a time that grows
with the square of what differs: an ``Effort`` bounds it, whatever the input. Pure; stdlib alone.

Source: E. W. Myers, "An O(ND) difference algorithm and its variations" (1986); lines that are alone of their kind come first, as in patience diff.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

ALL_STEPS = 4_000_000  # of one page: some two seconds of Python
_MOST_DIFFERENCES = 600  # items that differ between two that correspond; the steps grow with its square
_SHORT_ITEMS = 200  # up to here the shortest way is taken at once


class Effort(msgspec.Struct):
    """
    How much may still be spent on looking for what corresponds.

    :ivar is_spent: something was not looked for any more: what corresponds there counts as different.
    """

    steps: int = ALL_STEPS
    is_spent: bool = False

    def take(self, steps: int) -> bool:
        """Say whether so much may be spent, and spend it; what would take too much leaves the rest to others."""
        is_enough = steps <= self.steps
        if is_enough:
            self.steps -= steps
        else:
            self.is_spent = True
        return is_enough


class Block(msgspec.Struct, frozen=True):
    """
    Neighbouring items: equal ones of both sides, as many of the one as of the other, or what stands on each side in place of the other's.

    Ends are exclusive; where ``kind`` is ``"different"`` one side may be empty.
    """

    kind: Literal["equal", "different"]
    left: range
    right: range


def blocks(left: Sequence[Hashable], right: Sequence[Hashable], effort: Effort) -> Iterator[Block]:
    """Yield two sequences whole, in order, as blocks that are in turn equal and different."""
    pairs = [*matching(left, right, effort), (len(left), len(right))]
    ends = [(-1, -1), *pairs]
    begun: tuple[int, int] | None = None
    for (last_left, last_right), (next_left, next_right) in pairwise(ends):
        if begun is not None and (next_left, next_right) != (last_left + 1, last_right + 1):
            yield Block("equal", range(begun[0], last_left + 1), range(begun[1], last_right + 1))
            begun = None
        if last_left + 1 < next_left or last_right + 1 < next_right:
            yield Block("different", range(last_left + 1, next_left), range(last_right + 1, next_right))
        if begun is None:
            begun = (next_left, next_right)
    if begun is not None and begun[0] < len(left):
        yield Block("equal", range(begun[0], len(left)), range(begun[1], len(right)))


def matching(left: Sequence[Hashable], right: Sequence[Hashable], effort: Effort) -> list[tuple[int, int]]:
    """
    Return the places of items that correspond: equal, and rising on both sides.

    They are the most there can be where little differs, and enough to read a difference by elsewhere.
    """
    numbers: dict[Hashable, int] = {}
    one = [numbers.setdefault(item, len(numbers)) for item in left]
    other = [numbers.setdefault(item, len(numbers)) for item in right]
    found: list[tuple[int, int]] = []
    waiting = [(0, len(one), 0, len(other))]
    while waiting:
        start, end, other_start, other_end = waiting.pop()
        while start < end and other_start < other_end and one[start] == other[other_start]:
            found.append((start, other_start))
            start, other_start = start + 1, other_start + 1
        while start < end and other_start < other_end and one[end - 1] == other[other_end - 1]:
            end, other_end = end - 1, other_end - 1
            found.append((end, other_end))
        size = end - start + other_end - other_start
        if start == end or other_start == other_end or not effort.take(size):
            continue
        part, other_part = one[start:end], other[other_start:other_end]
        is_short = size <= _SHORT_ITEMS
        pairs = [] if is_short else _anchors(part, other_part)
        if pairs:
            place, other_place = start, other_start
            for at, other_at in [*pairs, (end - start, other_end - other_start)]:
                waiting.append((place, start + at, other_place, other_start + other_at))
                place, other_place = start + at + 1, other_start + other_at + 1
        else:
            pairs = _most(part, other_part, effort)
        found += [(start + at, other_start + other_at) for at, other_at in pairs]
    return sorted(found)


def _anchors(left: list[int], right: list[int]) -> list[tuple[int, int]]:
    """Return the places of items that are alone of their kind on both sides: the most of them that rise."""
    counts, other_counts = Counter(left), Counter(right)
    places = {item: place for place, item in enumerate(right) if other_counts[item] == 1}
    alone = [(place, places[item]) for place, item in enumerate(left) if counts[item] == 1 and item in places]
    return rising(alone)


def rising(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the most of these pairs whose second numbers rise; their first ones do."""
    lowest: list[int] = []  # of the sequences of each length, the least last number
    ends: list[int] = []
    before: list[int] = []
    for place, (_, number) in enumerate(pairs):
        length = bisect_left(lowest, number)
        before.append(ends[length - 1] if length else -1)
        lowest[length : length + 1] = [number]
        ends[length : length + 1] = [place]
    kept = []
    place = ends[-1] if ends else -1
    while place >= 0:
        kept.append(pairs[place])
        place = before[place]
    return kept[::-1]


def _most(left: list[int], right: list[int], effort: Effort) -> list[tuple[int, int]]:
    """Return the places of the most items that correspond; none where too much differs for that."""
    shared = set(left) & set(right)  # no other item corresponds to any
    places, other_places = ([place for place, item in enumerate(side) if item in shared] for side in (left, right))
    found = _shortest([left[place] for place in places], [right[place] for place in other_places], effort)
    return [(places[at], other_places[other_at]) for at, other_at in found]


def _shortest(left: list[int], right: list[int], effort: Effort) -> list[tuple[int, int]]:
    trace: list[array[int]] = []
    furthest = {1: 0}  # by diagonal: how far the left side has come on it
    size, other_size = len(left), len(right)
    for differences in range(min(size + other_size, _MOST_DIFFERENCES) + 1):
        gone = 0
        for diagonal in range(-differences, differences + 1, 2):
            goes_down = diagonal == -differences or (
                diagonal != differences and furthest[diagonal - 1] < furthest[diagonal + 1]
            )
            at = begun = furthest[diagonal + 1] if goes_down else furthest[diagonal - 1] + 1
            other_at = at - diagonal
            while at < size and other_at < other_size and left[at] == right[other_at]:
                at, other_at = at + 1, other_at + 1
            furthest[diagonal] = at
            gone += at - begun
            if at >= size and other_at >= other_size:
                return list(_way_back(trace, left, right))
        if not effort.take(differences + gone + 1):
            return []
        trace.append(array("l", (furthest.get(diagonal, 0) for diagonal in range(-differences, differences + 1))))
    effort.is_spent = True
    return []


def _way_back(trace: list[array[int]], left: list[int], right: list[int]) -> Iterator[tuple[int, int]]:
    at, other_at = len(left), len(right)
    for differences in range(len(trace), 0, -1):
        furthest = trace[differences - 1]
        diagonal = at - other_at

        def come(which: int, middle: int = differences - 1, furthest: array[int] = furthest) -> int:
            return furthest[which + middle] if abs(which) <= middle else -1

        goes_down = diagonal == -differences or (diagonal != differences and come(diagonal - 1) < come(diagonal + 1))
        before = diagonal + 1 if goes_down else diagonal - 1
        start = come(before)
        other_start = start - before
        while at > start + (not goes_down) and other_at > other_start + goes_down:
            at, other_at = at - 1, other_at - 1
            yield at, other_at
        at, other_at = start, other_start
    while at > 0 and other_at > 0:
        at, other_at = at - 1, other_at - 1
        yield at, other_at
