"""
What a job used of its machine, as values for the tab's script: curves over the job's seconds, the cells below them, and what to know of both.

Called by ``routes/machine.py``. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.metrics import METRICS
from airflow_nbjobs.ui.times import duration_text, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_nbjobs.core.job.metrics import MachineRecord
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.ui.notebook.machine import Seen

_MOST_SPANS = 300
_SHORT_SECONDS = 120
_PERIODS = {60: "One point a minute.", 300: "One point every five minutes.", 3600: "One point an hour."}


def curves(record: MachineRecord, started: datetime) -> list[dict[str, Any]]:
    """Return one entry a metric: its points as seconds after the job's start and percent of the machine."""
    found = []
    for metric in METRICS:
        points, figures = record.points.get(metric.key), record.figures.get(metric.key)
        if not points or figures is None:
            continue
        found.append(
            {
                "key": metric.key,
                "label": metric.label,
                "text": f"{metric.label}: at most {figures.maximum:.0f} %, for 95 % of the time at most {figures.p95:.0f} %",
                "points": [
                    [round(max(moment - started.timestamp(), 0.0), 1), round(min(value, 100.0), 2)]
                    for moment, value in points
                ],
            }
        )
    return found


def shown_spans(spans: Sequence[Mapping[str, Any]], started: datetime, ended: datetime) -> list[dict[str, Any]]:
    """
    Return the cells that can be seen over the job's time: of very many the longest.

    :param spans: of the notebook's summary.
    """
    begin, end = started.timestamp(), ended.timestamp()
    found = []
    for span in spans:
        first, last = max(span["start"], begin), min(end if span["end"] is None else span["end"], end)
        if last >= first:
            seconds = last - first
            found.append(
                {
                    "anchor": span["anchor"],
                    "text": f"{span['label']}, {duration_text(seconds) if seconds >= 1 else 'under 1 s'}: {span['source']}",
                    "start": round(first - begin, 2),
                    "end": round(last - begin, 2),
                    "is_failed": bool(span["is_failed"]),
                }
            )
    longest = sorted(found, key=lambda each: each["start"] - each["end"])[:_MOST_SPANS]
    return sorted(longest, key=lambda each: each["start"])


def notes_on_points(seen: Seen, snapshot: JobSnapshot, *, now: datetime) -> list[str]:
    """Return what a reader must know of the points: why there are none, how many there are, until when."""
    notes = [" ".join(seen.trouble)] if seen.trouble else []
    record = seen.record
    if record is not None and record.points:
        every = _PERIODS.get(record.period_seconds, f"One point every {record.period_seconds} s.")
        if seen.is_kept:
            every += f" Kept with the results as CloudWatch had it at {time_text(record.until)}; points that came later are not in it."
        elif snapshot.ended is None:
            every += " Points arrive some minutes late."
        return [*notes, every]
    if seen.trouble:
        return notes
    if snapshot.started is None:
        return [*notes, "The job has not started yet."]
    seconds = ((snapshot.ended or now) - snapshot.started).total_seconds()
    if snapshot.ended is None:
        text = (
            "No points yet: SageMaker measures a machine once a minute, and CloudWatch has a point some minutes later."
        )
    elif seconds < _SHORT_SECONDS:
        text = (
            "No points: SageMaker measures a machine once a minute, and a job of under two minutes most often has none."
        )
    else:
        text = (
            "CloudWatch has no points of this job: it keeps them for 15 months, a minute or two go by before it has one, and a job in a network "
            "without a way to CloudWatch may have none at all."
        )
    return [*notes, text]
