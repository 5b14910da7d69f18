"""
Which of many points are drawn, so that none of their extremes is hidden. Pure; the standard library alone.

Of each stretch as wide as a few pixels the first, the last, the least and the greatest are kept: the line through them covers the same pixels as
the line through all. Source: Jugel et al., M4: A Visualization-Oriented Time Series Data Aggregation, VLDB 2014.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def thinned(shares: Sequence[float], values: Sequence[float], *, stretches: int) -> list[int]:
    """
    Return the places of the points to be drawn, in their order.

    :param shares: where each lies, 0 to 1, ascending.
    :param stretches: at most four points are kept of each.
    """
    if len(values) <= 4 * stretches:
        return list(range(len(values)))
    kept: list[int] = []
    stretch, first, least, greatest, last = -1, 0, 0, 0, 0
    for place, value in enumerate(values):
        own = min(int(shares[place] * stretches), stretches - 1)
        if own != stretch:
            if stretch >= 0:
                kept += sorted({first, least, greatest, last})
            stretch = own
            first = least = greatest = place
        elif value < values[least]:
            least = place
        elif value > values[greatest]:
            greatest = place
        last = place
    return kept + sorted({first, least, greatest, last})
