"""
GetMetricData of one-metric queries over what moto holds: moto itself goes through all metrics of all jobs for every period of every query.

Used by ``backends.py``, which puts it in the place of moto's own; metric math stays moto's.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_Name = tuple[str, str, tuple[tuple[str, str], ...]]


def answer_with_index(backend: Any) -> None:
    """Have one of moto's CloudWatch backends answer in time that grows with what it finds."""
    original = backend.get_metric_data

    def get_metric_data(
        queries: list[dict[str, Any]],
        start_time: datetime,
        end_time: datetime,
        scan_by: str = "TimestampDescending",
    ) -> list[dict[str, Any]]:
        start, end = start_time.replace(microsecond=0), end_time.replace(microsecond=0)
        if start >= end or any("MetricStat" not in query for query in queries):
            found: list[dict[str, Any]] = original(
                queries=queries, start_time=start_time, end_time=end_time, scan_by=scan_by
            )
            return found
        return answered(queries, backend.metric_data, start, end, is_descending=scan_by == "TimestampDescending")

    backend.get_metric_data = get_metric_data


def answered(
    queries: list[dict[str, Any]], data: Iterable[Any], start: datetime, end: datetime, *, is_descending: bool
) -> list[dict[str, Any]]:
    """Return the results of queries of one metric each, as moto words them."""
    from moto.cloudwatch.models import Statistics

    wanted = {_name_of(query["MetricStat"]["Metric"]) for query in queries}
    by_name: dict[_Name, list[Any]] = defaultdict(list)
    for datum in list(data):
        name = (datum.namespace, datum.name, tuple(sorted((each.name, each.value) for each in datum.dimensions)))
        if name in wanted and start <= _in_utc(datum.timestamp, start) < end:
            by_name[name].append(datum)
    results = []
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        stat = query["MetricStat"]
        period = int(stat["Period"])
        buckets: dict[int, list[Any]] = defaultdict(list)
        for datum in by_name[_name_of(stat["Metric"])]:
            if not stat.get("Unit") or datum.unit == stat["Unit"]:
                buckets[int((_in_utc(datum.timestamp, start) - start).total_seconds() // period)].append(datum)
        times, values = [], []
        for place in sorted(buckets, reverse=is_descending):
            moment = start + timedelta(seconds=place * period)
            statistics = Statistics([stat["Stat"]], moment)
            statistics.metric_data = buckets[place]
            times.append(moment)
            values.append(statistics.get_statistics_for_type(stat["Stat"]))
        label = query.get("Label") or f"{stat['Metric']['MetricName']} {stat['Stat']}"
        results.append(
            {"id": query["Id"], "label": label, "values": values, "timestamps": times, "status_code": "Complete"}
        )
    return results


def _name_of(metric: Mapping[str, Any]) -> _Name:
    dimensions = tuple(sorted((each["Name"], each["Value"]) for each in metric.get("Dimensions", ())))
    return metric["Namespace"], metric["MetricName"], dimensions


def _in_utc(moment: datetime, like: datetime) -> datetime:
    """Return a moment that can be compared: by the wire's protocol moto has it with or without a time zone."""
    if moment.tzinfo is None:
        return moment if like.tzinfo is None else moment.replace(tzinfo=UTC)
    return moment if like.tzinfo is not None else moment.astimezone(UTC).replace(tzinfo=None)
