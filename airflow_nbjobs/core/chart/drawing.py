"""
A chart as SVG: lines through the values of each series, a mark at the foot for what has no value, each a link with a title.

Called by the pages, which put it into their own document: classes and presentation attributes alone, which a strict policy of content allows, and
every text escaped and with marks for what is unseen. Pure; the standard library alone.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.chart.thinning import thinned
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_nbjobs.core.chart.scales import Scale

STYLES = 8  # of series that can be told apart: as many classes of colours in the page's style
_WIDTH, _HEIGHT = 600, 230
_TOP, _RIGHT, _BOTTOM = 10, 16, 40
_CHARACTER = 6.3  # the widest digit at 11 pixels
_MARK_PIXELS = 5
_RADIUS, _SMALL_RADIUS, _MANY = 3.5, 2, 300
# The colour is not all that tells a series: circle, square, triangle, diamond, around the point.
_SHAPES = (
    None,
    "M-3,-3h6v6h-6z",
    "M0,-4L4,3H-4z",
    "M0,-4.5L4.5,0L0,4.5L-4.5,0z",
)
_CROSS = "M-3.5,-3.5L3.5,3.5M-3.5,3.5L3.5,-3.5"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """
    One line.

    :param style: below ``STYLES``.
    :param moments: ascending, on the chart's horizontal scale.
    :param values: None: there is none, and the line has a gap.
    :param places: what each point is to ``Chart.describe``.
    """

    style: int
    moments: Sequence[float]
    values: Sequence[float | None]
    places: Sequence[int]


class Mark(msgspec.Struct, frozen=True):
    """
    What has no value.

    :param kind: ``failed``, ``running`` or ``none``.
    """

    moment: float
    place: int
    kind: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is drawn.

    :param ident: of the page's elements that name and describe it.
    :param describe: returns the link and the title of a place.
    :param failed: places whose value is one of a task that failed.
    :param most_points: of all series; with more, extremes are kept.
    """

    ident: str
    title: str
    description: str
    across: Scale
    up: Scale
    series: Sequence[Series]
    marks: Sequence[Mark]
    describe: Callable[[int], tuple[str, str]]
    failed: frozenset[int] = frozenset()
    most_points: int = 1200


def draw(chart: Chart) -> tuple[str, int]:
    """Return the SVG, and how many points are drawn."""
    left = max(len(tick.label) for tick in chart.up.ticks) * _CHARACTER + 14
    frame = _Frame(chart, left)
    drawn = [part for each in chart.series for part in frame.line(each)]
    svg = (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="{_text(chart.ident)}-title {_text(chart.ident)}-description">'
        f'<title id="{_text(chart.ident)}-title">{_text(chart.title)}</title>'
        f'<desc id="{_text(chart.ident)}-description">{_text(chart.description)}</desc>'
        f"{''.join(frame.axes())}{''.join(frame.marks())}{''.join(drawn)}</svg>"
    )
    return svg, frame.drawn


def swatch(style: int) -> str:
    """Return a series' line and shape, for a legend."""
    return (
        f'<svg class="swatch" viewBox="-14 -6 28 12" width="28" height="12" aria-hidden="true"><g class="s{style}">'
        f'<path class="line" d="M-14,0H14"/>{_point(style, 0, 0, _RADIUS)}</g></svg>'
    )


class _Frame:
    def __init__(self, chart: Chart, left: float) -> None:
        self._chart = chart
        self._left = left
        self._wide = _WIDTH - _RIGHT - left
        self._high = _HEIGHT - _TOP - _BOTTOM
        self.drawn = 0

    def _x(self, share: float) -> float:
        return self._left + share * self._wide

    def _y(self, share: float) -> float:
        return _TOP + (1 - share) * self._high

    def axes(self) -> Iterator[str]:
        yield '<g class="axis">'
        foot = _y_text(_TOP + self._high)
        for tick in self._chart.up.ticks:
            y = _y_text(self._y(tick.share))
            yield f'<path d="M{self._left:.1f},{y}H{_WIDTH - _RIGHT}"/><text x="{self._left - 8:.1f}" y="{y}" dy="4" text-anchor="end">{_text(tick.label)}</text>'
        free = 0.0  # a label that would lie on the one before it is left out
        for tick in self._chart.across.ticks:
            half = len(tick.label) * _CHARACTER / 2
            x = self._x(tick.share)
            yield f'<path d="M{x:.1f},{foot}v5"/>'
            middle = min(max(x, half + 2), _WIDTH - half - 2)
            if middle - half >= free:
                yield f'<text x="{middle:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{_text(tick.label)}</text>'
                free = middle + half + 6
        yield "</g>"

    def line(self, series: Series) -> Iterator[str]:
        known = [place for place, value in enumerate(series.values) if value is not None]
        across, up = self._chart.across, self._chart.up
        shares = [across.share(series.moments[place]) for place in known]
        values = [value for value in series.values if value is not None]
        stretches = max(self._chart.most_points // (4 * len(self._chart.series)), 1)
        kept = thinned(shares, values, stretches=stretches)
        self.drawn += len(kept)
        dots = [(self._x(shares[each]), self._y(up.share(values[each]))) for each in kept]
        # Where points are left out, so are gaps: the line is no more than a guide then.
        is_whole = len(kept) == len(known)
        path: list[str] = []
        before = -2
        for each, (x, y) in zip(kept, dots, strict=True):
            is_next = not is_whole or known[each] == before + 1
            path.append(f"{'L' if path and is_next else 'M'}{x:.1f},{y:.1f}")
            before = known[each]
        radius = _RADIUS if len(kept) <= _MANY else _SMALL_RADIUS
        yield f'<g class="s{series.style}">'
        if len(path) > 1:
            yield f'<path class="line" d="{"".join(path)}"/>'
        for each, (x, y) in zip(kept, dots, strict=True):
            place = series.places[known[each]]
            shape = _cross(x, y) if place in self._chart.failed else _point(series.style, x, y, radius)
            yield self._link(place, shape)
        yield "</g>"

    def marks(self) -> Iterator[str]:
        """Yield a mark for each few pixels and kind; one of several leads to the last of them."""
        most = max(int(self._wide / _MARK_PIXELS), 1)
        found: dict[tuple[str, int], list[Mark]] = {}
        for mark in self._chart.marks:
            share = self._chart.across.share(mark.moment)
            found.setdefault((mark.kind, min(int(share * most), most - 1)), []).append(mark)
        y = _TOP + self._high + 11
        for (kind, _), marks in found.items():
            last = marks[-1]
            x = self._x(self._chart.across.share(last.moment))
            shape = _cross(x, y) if kind == "failed" else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
            more = f"{len(marks):,} without a value here; the last: " if len(marks) > 1 else ""
            yield f'<g class="mark-{kind}">{self._link(last.place, shape, more)}</g>'

    def _link(self, place: int, shape: str, more: str = "") -> str:
        # The page's table has the same links; hundreds of points are no stops for a keyboard.
        address, title = self._chart.describe(place)
        return f'<a data-outer="" tabindex="-1" href="{_text(address)}"><title>{_text(more + title)}</title>{shape}</a>'


def _point(style: int, x: float, y: float, radius: float) -> str:
    shape = _SHAPES[style % len(_SHAPES)]
    if shape is None:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'
    smaller = "" if radius == _RADIUS else f" scale({radius / _RADIUS:.2f})"
    return f'<path d="{shape}" transform="translate({x:.1f},{y:.1f}){smaller}"/>'


def _cross(x: float, y: float) -> str:
    return f'<path class="cross" d="{_CROSS}" transform="translate({x:.1f},{y:.1f})"/>'


def _y_text(y: float) -> str:
    return f"{y:.1f}"


def _text(text: str) -> str:
    return escape(visible(text))
