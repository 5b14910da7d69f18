"""
What the page of a task's outputs over its runs shows: charts, a legend, and a table, made of the rows that the database has.

Called by the routes. Pure.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.chart.drawing import STYLES, Chart, Mark, Series, draw
from airflow_nbjobs.core.chart.scales import number_scale, order_scale, time_scale
from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.ui.data.trend import LONG, MOST_INSTANCES, NOT_FINITE, drawable, path_of
from airflow_nbjobs.ui.times import duration_text, time_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_nbjobs.core.chart.scales import Scale
    from airflow_nbjobs.core.job.prices import Prices
    from airflow_nbjobs.ui.data.trend import Instance, Trend

MOST_CHARTS = 24  # of outputs
MOST_SERIES = STYLES
_MOST_POINTS = 4800  # on the page
_LEAST_POINTS = 240  # of a chart
_UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))


class Measure(msgspec.Struct, frozen=True):
    """
    One chart's subject.

    :param value_of: of an instance; ``text_of``: the value in words.
    :param is_quantity: its scale begins at zero.
    """

    name: str
    unit: str
    value_of: Callable[[Instance], Any]
    text_of: Callable[[Any], str]
    is_quantity: bool = False


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One chart: its SVG, and in words what is not drawn."""

    name: str
    unit: str
    svg: str
    notes: Sequence[str]


class Legend(msgspec.Struct, frozen=True):
    """:param more: how many series are not drawn."""

    entries: Sequence[tuple[int, str]]
    more: int


class Charts:
    """The charts of one page."""

    def __init__(self, trend: Trend, *, dag_id: str, task_id: str, root: str, by: str, prices: Prices) -> None:
        self._trend, self._by, self._prices = trend, by, prices
        self._dag_id, self._task_id, self._root = dag_id, task_id, root
        self._instances = trend.instances
        self._names = series_names(self._instances)
        order = sorted({(each.map_index, name) for each, name in zip(self._instances, self._names, strict=True)})
        distinct = list(dict.fromkeys(name for _, name in order))
        self._styles = {name: style for style, name in enumerate(distinct[:MOST_SERIES])}
        self.legend = Legend([(style, name) for name, style in self._styles.items()], len(distinct) - len(self._styles))
        self._across, self._places = self._horizontal()

    def _horizontal(self) -> tuple[Scale, list[float]]:
        moments = [each.moment for each in self._instances]
        if self._by != "order":
            return time_scale(moments), moments
        runs: dict[str, float] = {}
        of_runs = []
        for each in self._instances:
            if each.run_id not in runs:
                of_runs.append(each.moment)
            runs.setdefault(each.run_id, float(len(runs)))
        return order_scale(of_runs), [runs[each.run_id] for each in self._instances]

    def drawn(self) -> tuple[list[Drawn], list[str], list[str]]:
        """Return the charts, the names of numeric outputs that are not drawn, and those of outputs that are no numbers."""
        numeric, other = numeric_outputs(self._trend)
        measures = [self._of_output(name) for name in numeric[:MOST_CHARTS]]
        measures += [
            self._of_time("Duration", lambda each: each.duration),
            self._of_time("Billed", lambda each: each.billed),
        ]
        if self._prices.per_hour:
            text = self._prices.text
            cost = Measure(
                "Cost", f"{self._prices.currency}, list price", lambda each: each.cost, text, is_quantity=True
            )
            measures.append(cost)
        most = max(_MOST_POINTS // len(measures), _LEAST_POINTS)
        return [self._draw(number, each, most) for number, each in enumerate(measures)], numeric[MOST_CHARTS:], other

    def _of_output(self, name: str) -> Measure:
        return Measure(name, "", lambda each: each.values.get(name), value_words)

    def _of_time(self, name: str, seconds_of: Callable[[Instance], float | None]) -> Measure:
        longest = max((seconds_of(each) or 0.0 for each in self._instances), default=0.0)
        divisor, unit = next(each for each in reversed(_UNITS) if longest >= 2 * each[0] or each[0] == 1)

        def value_of(each: Instance) -> float | None:
            seconds = seconds_of(each)
            return None if seconds is None else seconds / divisor

        return Measure(name, unit, value_of, lambda value: duration_text(value * divisor), is_quantity=True)

    def _draw(self, number: int, measure: Measure, most_points: int) -> Drawn:
        lines: dict[int, tuple[list[float], list[float | None], list[int]]] = {
            style: ([], [], []) for style in self._styles.values()
        }
        marks, without = [], Counter[str]()
        values: list[float] = []
        failed = set()
        for place, (each, name) in enumerate(zip(self._instances, self._names, strict=True)):
            style = self._styles.get(name)
            if style is None:
                continue
            raw = measure.value_of(each)
            value = drawable(raw)
            line = lines[style]
            line[0].append(self._places[place])
            line[1].append(value)
            line[2].append(place)
            if value is not None:
                values.append(raw)  # as it is told: a whole number without a point
                if each.state == "failed":
                    failed.add(place)
                continue
            kind = "failed" if each.state == "failed" else "running" if each.is_live else "none"
            marks.append(Mark(self._places[place], place, kind))
            without[_gap(each, raw)] += 1
        chart = Chart(
            ident=f"chart-{number}",
            title=f"{measure.name}{f' ({measure.unit})' if measure.unit else ''} of {self._task_id}",
            description=self._description(measure, values, without),
            across=self._across,
            up=number_scale(values, from_zero=measure.is_quantity),
            series=[
                Series(style=style, moments=line[0], values=line[1], places=line[2]) for style, line in lines.items()
            ],
            marks=marks,
            describe=lambda place: self._describe(measure, place),
            failed=frozenset(failed),
            most_points=most_points,
        )
        svg, drawn = draw(chart)
        notes = [f"{count:,} {what}" for what, count in without.items()]
        if drawn < len(values):
            notes.append(f"{drawn:,} of {len(values):,} points are drawn, none of the extremes left out")
        return Drawn(name=measure.name, unit=measure.unit, svg=svg, notes=notes)

    def _describe(self, measure: Measure, place: int) -> tuple[str, str]:
        each = self._instances[place]
        raw = measure.value_of(each)
        said = measure.text_of(raw) if drawable(raw) is not None else _gap(each, raw)
        if drawable(raw) is not None and each.state == "failed":
            said += ", failed"
        index = f" [{each.label or each.map_index}]" if each.map_index >= 0 else ""
        title = f"{measure.name} = {said}\n{each.run_id}{index}\n{moment_text(each.moment)}"
        return self._root + path_of(self._dag_id, self._task_id, each), title

    def _description(self, measure: Measure, values: Sequence[float], without: Mapping[str, int]) -> str:
        gaps = "".join(f"; {count:,} {what}" for what, count in without.items())
        if not values:
            return f"No run has a value{gaps}. The table below has all runs."
        ends = f"from {measure.text_of(min(values))} to {measure.text_of(max(values))}"
        moments = [each.moment for each in self._instances]
        span = f"{moment_text(min(moments))} to {moment_text(max(moments))}"
        return f"{len(values):,} values {ends}, {span}{gaps}. The table below has all runs."


def series_names(instances: Sequence[Instance]) -> list[str]:
    """Return what each instance's line is called: its index's name, its index, or nothing for a task that is not mapped."""
    seen = Counter((each.run_id, each.label) for each in instances if each.label is not None)
    names = []
    for each in instances:
        index = str(each.map_index) if each.map_index >= 0 else ""
        if each.label is None:
            names.append(index)
        elif seen[each.run_id, each.label] > 1:  # two of one name in one run are two
            names.append(f"{each.label} [{index}]" if index else each.label)
        else:
            names.append(each.label)
    return names


def numeric_outputs(trend: Trend) -> tuple[list[str], list[str]]:
    """Return the outputs that any run has a number of, or a number that is not finite, and all others."""
    numeric: set[str] = set()
    for each in trend.instances:
        for name, value in each.values.items():
            if name not in numeric and (drawable(value) is not None or _is_not_finite(value)):
                numeric.add(name)
    found = set(trend.outputs)
    return [name for name in trend.outputs if name in numeric], sorted(found - numeric)


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, str) and value in NOT_FINITE


def _gap(each: Instance, raw: Any) -> str:
    """Return in words why an instance has no point."""
    if _is_not_finite(raw):
        return str(raw)
    if raw is not None:
        return "not a number"
    if each.state == "success":
        return "without a value"
    return task_words(each.state)


def value_words(value: Any) -> str:
    if value is None:
        return ""
    if value is LONG:
        return "…"
    if isinstance(value, bool):
        return "True" if value else "False"
    return f"{value:,}" if isinstance(value, int) else repr(value) if isinstance(value, float) else str(value)


def moment_text(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "an unknown time"


def table_heads(trend: Trend, prices: Prices) -> list[str]:
    """Return the columns of the table as a file, beside those of ``table_row``."""
    cost = ["cost"] if prices.per_hour else []
    first = ["run_id", "map_index", "index_name", "logical_date", "run_after", "state"]
    last = ["duration_seconds", "billed_seconds", *cost]
    # No two columns of one name.
    return [*first, *(f"output.{name}" if name in (*first, *last) else name for name in trend.outputs), *last]


def table_row(each: Instance, trend: Trend, prices: Prices) -> list[Any]:
    cost = [each.cost] if prices.per_hour else []
    values = [str(value) if (value := each.values.get(name)) is LONG else value for name in trend.outputs]
    index = each.map_index if each.map_index >= 0 else None
    times = (time_text(each.logical_date), time_text(each.run_after))
    return [each.run_id, index, each.label, *times, each.state, *values, each.duration, each.billed, *cost]


def table_notes(trend: Trend) -> list[str]:
    """Return in words what the table, the charts and the file do not have."""
    texts = (
        (trend.left_out, f"There are more instances than can be shown: these are the newest {MOST_INSTANCES:,}."),
        (
            trend.unread,
            f"{trend.unread:,} values of older runs lie in your XCom backend and are not read: choose fewer runs or an earlier last day.",
        ),
        (trend.more_outputs, f"There are more than these {len(trend.outputs)} outputs: choose others by ?output=NAME."),
    )
    return [text for is_cut, text in texts if is_cut]


def as_json(each: Instance) -> dict[str, Any]:
    """Return the same for a program: an output that is too long to be shown is left out."""
    return {
        "run_id": each.run_id,
        "map_index": each.map_index,
        "index_name": each.label,
        "logical_date": time_text(each.logical_date),
        "run_after": time_text(each.run_after),
        "state": each.state,
        "outputs": {name: value for name, value in each.values.items() if value is not LONG},
        "duration_seconds": each.duration,
        "billed_seconds": each.billed,
        "cost": each.cost,
    }
