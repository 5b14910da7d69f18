"""
What ``nbjobs clean`` found and did, as a table for a reader and as JSON for a program. Pure.

Called by ``nbjobs clean``.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.cleaning.remains import Amount, Fate, Part, hours_between
from airflow_nbjobs.commands.wording import size_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_nbjobs.commands.cleaning.deletion import Deleted
    from airflow_nbjobs.commands.cleaning.remains import Finding
    from airflow_nbjobs.commands.cleaning.survey import Survey

_VERSION = 1
_AGES = ((24, "under 1 day"), (168, "1 to 7 days"), (720, "7 to 30 days"), (2160, "30 to 90 days"))
_OLDEST = "over 90 days"
_HEAD = ("DAG", "age", "runs", "jobs", "inputs", "outputs", "live copies", "notebooks", "size", "records")


def text_lines(survey: Survey, deleted: Deleted | None, *, now: datetime) -> list[str]:
    """:param deleted: None: nothing was to be deleted."""
    lines = _table([each for each in survey.findings if each.fate is Fate.REMOVE], now)
    for fate, word in ((Fate.KEEP, "kept"), (Fate.LEAVE, "left")):
        of_fate = [each for each in survey.findings if each.fate is fate]
        for why, count in Counter(each.why for each in of_fate).most_common():
            size = sum((each.folder.amount for each in of_fate if each.why == why), Amount()).size_bytes
            lines.append(f"{word}: {_jobs(count)}, {size_text(size)}: {why}")
    other = survey.elsewhere + sum((each.folder.other for each in survey.findings), Amount())
    if other.objects:
        lines.append(f"left: {other.objects} objects, {size_text(other.size_bytes)}: no notebook job makes such")
    lines += [f"bucket '{bucket}' keeps versions: {_VERSIONS}" for bucket in survey.versioned]
    if deleted is not None:
        lines.append(
            f"deleted: {_jobs(deleted.jobs)}, {deleted.amount.objects} objects, {size_text(deleted.amount.size_bytes)}, {deleted.records} records"
        )
    elif any(each.fate is Fate.REMOVE for each in survey.findings):
        lines.append("nothing was deleted; --yes deletes what the table lists")
    return lines


_VERSIONS = "what is deleted there becomes an older version, which is paid for until a lifecycle rule (NoncurrentVersionExpiration) ends it"


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def _table(findings: Sequence[Finding], now: datetime) -> list[str]:
    if not findings:
        return ["there is nothing to delete"]
    groups: dict[tuple[str, int, str], list[Finding]] = {}
    for each in findings:
        if each.run is not None:
            hours = hours_between(each.run.moment, now)
            place = next((place for place, (limit, _) in enumerate(_AGES) if hours < limit), len(_AGES))
            age = _AGES[place][1] if place < len(_AGES) else _OLDEST
            groups.setdefault((each.run.dag_id, place, age), []).append(each)
    rows = [_HEAD, *(_row(dag_id, age, groups[dag_id, place, age]) for dag_id, place, age in sorted(groups))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _row(dag_id: str, age: str, findings: Sequence[Finding]) -> tuple[str, ...]:
    counts = [
        sum(each.folder.parts.get(part, Amount()).objects for each in findings)
        for part in (Part.INPUT, Part.OUTPUT, Part.LIVE, Part.NOTEBOOK)
    ]
    runs = {each.run.name for each in findings if each.run is not None}
    size = sum((each.folder.amount for each in findings), Amount()).size_bytes
    return (
        *(dag_id, age, str(len(runs)), str(len(findings))),
        *(str(count) for count in counts),
        *(size_text(size), str(sum(bool(each.has_record) for each in findings))),
    )


def document(survey: Survey, deleted: Deleted | None, problems: Sequence[str]) -> dict[str, Any]:
    """Return the same for a program; each job is listed."""
    other = survey.elsewhere + sum((each.folder.other for each in survey.findings), Amount())
    return {
        "version": _VERSION,
        "jobs": [_job(each) for each in survey.findings],
        "other_objects": {"objects": other.objects, "bytes": other.size_bytes},
        "versioned_buckets": list(survey.versioned),
        "deleted": None
        if deleted is None
        else {
            "jobs": deleted.jobs,
            "objects": deleted.amount.objects,
            "bytes": deleted.amount.size_bytes,
            "records": deleted.records,
        },
        "notes": [*survey.notes, *(deleted.notes if deleted else ())],
        "problems": list(problems),
    }


def _job(finding: Finding) -> dict[str, Any]:
    run = finding.run
    return {
        "job_name": finding.folder.name,
        "s3_uri": f"{finding.folder.root}/{finding.folder.name}/",
        "dag_id": run.dag_id if run else None,
        "run_id": run.run_id if run else None,
        "run_ended_at": run.ended.isoformat() if run and run.ended else None,
        "fate": finding.fate.value,
        "why": finding.why or None,
        "has_record": finding.has_record,
        "parts": {
            part.value: {"objects": amount.objects, "bytes": amount.size_bytes}
            for part, amount in sorted(finding.folder.parts.items(), key=lambda pair: pair[0].value)
        },
    }
