"""
What the pages say, as values for the templates: texts, not objects.

Called by the routes. Pure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job import xcoms
from airflow_nbjobs.core.job.status import JobState
from airflow_nbjobs.core.job.variables import NOTEBOOK_DIGEST_VARIABLE
from airflow_nbjobs.core.job.wording import job_words
from airflow_nbjobs.core.values.received import value_rows
from airflow_nbjobs.ui.times import checked_duration, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.job.prices import Prices
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_VALUE_CHARACTERS = 400
_STATES = {
    JobState.RUNNING: "running",
    JobState.STOPPING: "running",
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "failed",
    JobState.STOPPED: "failed",
    JobState.DELETED: "none",
}


def value_text(value: Any) -> str:
    """Return a parameter or an output for a table's cell: JSON, so that '3' and 3 differ; cut to 400 characters."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"


def parameter_rows(
    summary: Mapping[str, Any] | None, rendered: object, hyperparameters: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """
    Return the parameters as the notebook got them; before there is a notebook, as the task has rendered them.

    :param summary: of the rendered notebook, where there is one.
    :param rendered: Airflow's record, which is a text, cut off, where they are long: then the job's own texts tell more.
    """
    received = summary.get("parameters") if summary else None
    if received is not None:
        return list(received)
    if isinstance(rendered, dict):
        return value_rows(rendered, is_python=True)
    texts = [{"name": name, "type": "", "text": text} for name, text in (hyperparameters or {}).items()]
    if not texts and isinstance(rendered, str) and rendered:
        return [{"name": "", "type": "", "text": rendered[:4000]}]
    return texts


def output_rows(outputs: Mapping[str, Any], count: int) -> list[dict[str, str]]:
    """Return the outputs that a task has pushed as rows, and how many there are beyond these."""
    left_out = count - len(outputs)
    more = (
        [{"name": "…", "type": "", "text": f"{left_out:,} more; Airflow's own tabs have them"}] if left_out > 0 else []
    )
    return value_rows(outputs) + more


def earlier_note(state: str | None) -> str:
    return f"This is an earlier job of the task, with its own parameters and outputs. The task itself is now: {(state or 'no status').replace('_', ' ')}."


def facts_of_hint(ti: NotebookTaskInstance, prices: Prices) -> dict[str, str | None]:
    """Return the header's facts as the task recorded them, before AWS is asked."""
    job, end = ti.job or {}, ti.end or {}
    billed, machine = xcoms.billed_seconds(end), end.get("instance_type") or job.get("instance_type")
    return {
        "job_name": _text(job.get("job_name")),
        "instance_type": _text(machine),
        "started": time_text(end.get("started_at")) or time_text(ti.started),
        "duration": checked_duration(end.get("duration_seconds")),
        "billable": checked_duration(billed),
        "cost": prices.cost(machine, billed),
        "sha256": _text(job.get("notebook_sha256")),
        "notebook": _text(job.get("input_notebook")),
        "status": _text(end.get("status")),
    }


def facts_of_job(snapshot: JobSnapshot, prices: Prices, *, try_number: int | None) -> dict[str, str | None]:
    """
    Return the facts as SageMaker has them; they replace what the task recorded.

    :param try_number: None: an earlier job, which says itself of which try and which notebook it is.
    """
    seconds = (snapshot.ended - snapshot.started).total_seconds() if snapshot.started and snapshot.ended else None
    return {
        "job_name": snapshot.job_name,
        "instance_type": snapshot.instance_type,
        "started": time_text(snapshot.started or snapshot.created),
        "duration": checked_duration(seconds),
        "billable": checked_duration(billed_seconds(snapshot)),
        "cost": prices.cost(snapshot.instance_type, billed_seconds(snapshot)),
        "sha256": _text(snapshot.environment.get(NOTEBOOK_DIGEST_VARIABLE)),
        "status": snapshot.status,
        "state": _STATES[snapshot.state],
        "words": job_words(snapshot),
        "notebook": _text(snapshot.environment.get("SM_INPUT_NOTEBOOK_NAME")) if try_number is None else None,
        "try": _text(snapshot.environment.get("NBJOBS_TRY_NUMBER")) if try_number is None else str(try_number),
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


def billed_seconds(snapshot: JobSnapshot) -> int | None:
    """Return what is billed of all instances of a job: SageMaker says it of one."""
    return None if snapshot.billable_seconds is None else snapshot.billable_seconds * snapshot.instance_count


def _text(value: object) -> str | None:
    return value[:500] if isinstance(value, str) and value else None
