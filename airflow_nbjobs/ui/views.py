"""
What the pages say, as values for the templates: texts, not objects.

Pure but for Airflow's configuration (prices), which is read in one function.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.status import JobState
from airflow_nbjobs.core.wording import job_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.status import JobSnapshot
    from airflow_nbjobs.ui.subject import Subject

_VALUE_CHARACTERS = 400
_ROWS = 1000
_STATES = {
    JobState.RUNNING: "running",
    JobState.STOPPING: "running",
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "failed",
    JobState.STOPPED: "failed",
}


@dataclass(frozen=True, slots=True)
class Prices:
    """
    What an hour of an instance costs, as the user configured it; this package knows no price.

    :param currency: shown before the number.
    """

    per_hour: Mapping[str, float]
    currency: str = "$"

    def cost(self, instance_type: object, billable_seconds: object) -> str | None:
        price = self.per_hour.get(instance_type) if isinstance(instance_type, str) else None
        if price is None or not isinstance(billable_seconds, int | float) or isinstance(billable_seconds, bool):
            return None
        return f"{self.currency}{price * billable_seconds / 3600:,.4f}"


def read_prices() -> Prices:
    """Read ``[nbjobs] instance_prices``; what is no JSON object of numbers is no price."""
    from airflow.configuration import conf

    try:
        given = json.loads(conf.get("nbjobs", "instance_prices", fallback="") or "{}")
    except ValueError:
        given = {}
    items = given.items() if isinstance(given, dict) else ()
    return Prices(
        {
            str(name): float(price)
            for name, price in items
            if isinstance(price, int | float) and not isinstance(price, bool)
        },
        conf.get("nbjobs", "currency", fallback="$") or "$",
    )


def duration_text(seconds: object) -> str | None:
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 <= seconds < 1e10:
        return None
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def time_text(moment: object) -> str | None:
    """Return an instant as ISO text in UTC; the page's script shows it in the reader's own time zone."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return None
    if not isinstance(moment, datetime):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")


def value_text(value: Any) -> str:
    """Return a parameter or an output for a table's cell: JSON, so that '3' and 3 differ; cut to 400 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"


def rows(values: Any, count: int = 0) -> list[tuple[str, str]]:
    """
    Return a mapping as a table; Airflow keeps a long one as text, which is one row then.

    :param count: how many there are where these are not all.
    """
    if isinstance(values, str) and values:
        return [("", values[:4000])]
    if not isinstance(values, dict):
        return []
    shown = [(str(name), value_text(value)) for name, value in list(values.items())[:_ROWS]]
    left_out = max(count, len(values)) - len(shown)
    return [*shown, ("…", f"{left_out:,} more; Airflow's own tabs have them")] if left_out else shown


def facts_of_hint(subject: Subject, prices: Prices) -> dict[str, str | None]:
    """Return the header's facts as the task recorded them, before AWS is asked."""
    job, end = subject.job or {}, subject.end or {}
    return {
        "job_name": _text(job.get("job_name")),
        "instance_type": _text(job.get("instance_type")),
        "started": time_text(end.get("started_at")) or time_text(subject.started),
        "duration": duration_text(end.get("duration_seconds")),
        "billable": duration_text(end.get("billable_seconds")),
        "cost": prices.cost(job.get("instance_type"), end.get("billable_seconds")),
        "sha256": _text(job.get("notebook_sha256")),
        "notebook": _text(job.get("input_notebook")),
        "status": _text(end.get("status")),
    }


def facts_of_job(snapshot: JobSnapshot, prices: Prices, *, sha256: str | None) -> dict[str, str | None]:
    """Return the facts as SageMaker has them; they replace what the task recorded."""
    seconds = (snapshot.ended - snapshot.started).total_seconds() if snapshot.started and snapshot.ended else None
    return {
        "job_name": snapshot.job_name,
        "instance_type": snapshot.instance_type,
        "started": time_text(snapshot.started or snapshot.created),
        "duration": duration_text(seconds),
        "billable": duration_text(snapshot.billable_seconds),
        "cost": prices.cost(snapshot.instance_type, snapshot.billable_seconds),
        "sha256": sha256,
        "status": snapshot.status,
        "state": _STATES[snapshot.state],
        "words": job_words(snapshot),
        "reason": snapshot.failure_reason[:2000] or None,
    }


def live_facts(snapshot: JobSnapshot) -> dict[str, Any] | None:
    """Return what a page counts by while the job runs: since when, and after how many seconds SageMaker ends it; None once it has ended."""
    if snapshot.state.is_terminal:
        return None
    return {
        "status": snapshot.secondary_status or snapshot.status,
        "words": job_words(snapshot),
        "started": time_text(snapshot.started),
        "limit_seconds": snapshot.max_runtime_seconds,
    }


def _text(value: object) -> str | None:
    return value[:500] if isinstance(value, str) and value else None
