"""
CloudWatch's metrics of a training job's machine: which there are, what its numbers mean, and what is kept of them.

Called by ``aws/results/metrics.py``, the tasks and the pages; pure. Source: SageMaker developer guide, *Monitor SageMaker with Amazon CloudWatch*, metrics of training jobs.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from airflow_nbjobs.core.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.core.job.machines import Machine

NAMESPACE = "/aws/sagemaker/TrainingJobs"
DIMENSION = "Host"
JOBS_A_CALL = 100  # GetMetricData takes 500 queries, and a job has five metrics
_KEPT_POINTS = 120  # of each metric: an XCom is no place for two days of minutes
# Points of one minute are there for 15 days, of five for 63, of an hour for 455. Source: GetMetricData, API reference, StartTime.
_RETENTION = ((timedelta(days=15), 60), (timedelta(days=63), 300), (timedelta(days=455), 3600))
_LARGEST_PERCENT = 1e6

Points = tuple[tuple[float, float], ...]  # seconds since the epoch, percent; in order


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """
    One metric of a machine.

    :param name: CloudWatch's.
    :param statistic: what counts of a period: a peak of memory, the average of processors.
    :param counted: what there are so many of that CloudWatch's number goes to 100 times as much.
    """

    key: str
    name: str
    label: str
    statistic: Literal["Average", "Maximum"] = "Maximum"
    counted: Literal["vcpus", "gpus"] | None = None


METRICS = (
    Metric(key="cpu", name="CPUUtilization", label="CPU", statistic="Average", counted="vcpus"),
    Metric(key="memory", name="MemoryUtilization", label="Memory"),
    Metric(key="gpu", name="GPUUtilization", label="GPU", counted="gpus"),
    Metric(key="gpu_memory", name="GPUMemoryUtilization", label="GPU memory", counted="gpus"),
    Metric(key="disk", name="DiskUtilization", label="Disk"),
)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one metric of one job came to, in percent of the machine."""

    count: int
    maximum: float
    p95: float


class MachineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of one job's machine.

    :param until: when CloudWatch was asked: points arrive minutes late, so that the last ones may be missing.
    :param points: by the metric's key, in percent of the machine.
    :param is_final: CloudWatch will have no more of it.
    :param was_killed: the job's container was, most often for want of memory (exit code 137).
    """

    job_name: str
    instance_type: str
    period_seconds: int
    until: datetime
    points: Mapping[str, Points]
    figures: Mapping[str, Figures]
    was_killed: bool = False
    is_final: bool = False


def host_of(job_name: str) -> str:
    """Return the value of the metrics' only dimension; a notebook job has one instance."""
    return f"{job_name}/algo-1"


def period_seconds(started: datetime, ended: datetime, *, now: datetime, is_fine: bool = False) -> int | None:
    """
    Return the seconds between two points of what CloudWatch still has of a job; None where it has nothing any more.

    :param is_fine: what answers is not AWS, and may have points of less than a minute: so many are asked for that a curve has about sixty.
    """
    if is_fine:
        seconds = (ended - started).total_seconds()
        return next((period for period in (1, 5, 10, 30) if seconds <= period * 60), 60)
    return next((period for age, period in _RETENTION if now - started < age), None)


def as_shares(raw: Mapping[str, Sequence[tuple[float, float]]], machine: Machine) -> dict[str, Points]:
    """
    Return CloudWatch's points as percent of the machine; those of a metric that the machine does not have are left out.

    :param raw: by the metric's key.
    """
    shares: dict[str, Points] = {}
    for metric in METRICS:
        count = 1 if metric.counted is None else int(getattr(machine, metric.counted))
        points = tuple(
            (moment, value / count)
            for moment, value in sorted(raw.get(metric.key, ()))
            if count and _is_percent(value) and math.isfinite(moment)
        )
        if points:
            shares[metric.key] = points
    return shares


def _is_percent(value: object) -> bool:
    return is_number(value) and 0 <= value < _LARGEST_PERCENT


def figures_of(shares: Mapping[str, Points]) -> dict[str, Figures]:
    """Return what each metric came to; the 95th percentile is the nearest rank's."""
    return {key: _figures([value for _, value in points]) for key, points in shares.items() if points}


def _figures(values: list[float]) -> Figures:
    ranked = sorted(values)
    return Figures(count=len(ranked), maximum=ranked[-1], p95=ranked[math.ceil(0.95 * len(ranked)) - 1])


def was_killed(failure: object) -> bool:
    """Say whether a job's FailureReason tells of a container that was killed from outside, as the kernel does where memory is used up."""
    text = failure if isinstance(failure, str) else ""
    before, found, after = text.rpartition("exit code: 137")
    return bool(found) and not after[:1].isdigit() and not before[-1:].isalnum()


def is_whole(record: MachineRecord, ended: datetime) -> bool:
    """Say whether the record's points reach the job's end: CloudWatch has no more to tell."""
    last = max((points[-1][0] for points in record.points.values() if points), default=0.0)
    return last + 2 * record.period_seconds >= ended.timestamp()


def kept(record: MachineRecord) -> dict[str, Any]:
    """Return what is kept with a job's results: JSON, its curves thinned to 120 points a metric, its figures as they are."""
    return {
        "version": 1,
        "job_name": record.job_name,
        "instance_type": record.instance_type,
        "period_seconds": record.period_seconds,
        "until": record.until.isoformat(),
        "was_killed": record.was_killed,
        "figures": {
            key: {"count": each.count, "maximum": round(each.maximum, 2), "p95": round(each.p95, 2)}
            for key, each in record.figures.items()
        },
        "points": {
            metric.key: [[round(moment), round(value, 2)] for moment, value in thinned(record.points[metric.key])]
            for metric in METRICS
            if record.points.get(metric.key)
        },
    }


def thinned(points: Points, most: int = _KEPT_POINTS) -> Points:
    """Return at most so many points: of each stretch its highest, so that no peak is lost, and the last one."""
    if len(points) <= most:
        return points
    count = len(points) - 1
    bounds = [count * place // (most - 1) for place in range(most)]
    stretches = (points[start:end] for start, end in pairwise(bounds))
    return (*(max(stretch, key=lambda point: point[1]) for stretch in stretches), points[-1])


def parse_kept(fields: Mapping[str, Any]) -> MachineRecord | None:
    """
    Read what ``kept`` has written, as an XCom has it: whoever may edit XComs can have written it. None for what it is not.

    :param fields: of ``core/job/xcoms.read_record``.
    """
    period = fields.get("period_seconds")
    try:
        until = datetime.fromisoformat(fields.get("until") or "")
        known = {
            key: Figures(count=int(each["count"]), maximum=float(each["maximum"]), p95=float(each["p95"]))
            for key, each in (fields.get("figures") or {}).items()
            if key in _KEYS and _is_percent(each["maximum"]) and _is_percent(each["p95"]) and is_number(each["count"])
        }
        points = {
            key: tuple((float(moment), float(value)) for moment, value in each[:_KEPT_POINTS] if _is_percent(value))
            for key, each in (fields.get("points") or {}).items()
            if key in _KEYS
        }
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return None
    if (
        not fields.get("job_name")
        or not fields.get("instance_type")
        or type(period) is not int
        or not 0 < period <= 86400
    ):
        return None
    if any(not 0 <= moment < 1e11 for each in points.values() for moment, _ in each):
        return None
    return MachineRecord(
        job_name=fields["job_name"],
        instance_type=fields["instance_type"],
        period_seconds=period,
        until=until if until.tzinfo else until.replace(tzinfo=UTC),
        points={key: tuple(sorted(each)) for key, each in points.items()},
        figures=known,
        was_killed=bool(fields.get("was_killed")),
    )


_KEYS = frozenset(metric.key for metric in METRICS)
