"""
What a task does with a finished job's result, whether it started the job or only waited for it: the log's lines and the XComs.

Called by ``task/run.py`` and ``task/sensor.py``, on the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.errors import NotebookCellError, NotebookSkippedError
from airflow_nbjobs.core.notebook.failing_cell import plain_text
from airflow_nbjobs.core.notebook.progress import progress_facts
from airflow_nbjobs.links import END_KEY
from airflow_nbjobs.task.identity import shortened

if TYPE_CHECKING:
    from airflow_nbjobs.aws.ports import Log
    from airflow_nbjobs.aws.results.read import JobResult
    from airflow_nbjobs.core.job.status import JobSnapshot

RESULT_KEY = "nbjobs_result"
_HEADLINE_CHARACTERS = 1000
_END_FACTS = ("job_name", "status", "started_at", "ended_at", "duration_seconds", "billable_seconds")


def log_transitions(log: Log, snapshot: JobSnapshot, seen: int) -> int:
    """Log each secondary status after the first ``seen`` ones; return how many there are now."""
    for transition in snapshot.transitions[seen:]:
        at = f"{transition.started:%H:%M:%S} " if transition.started else ""
        log.info("%s%s: %s", at, transition.status, transition.message)
    return len(snapshot.transitions)


def log_result(log: Log, result: JobResult, *, with_tail: bool = True) -> None:
    """:param with_tail: whether the end of the container's log is not in the task's yet."""
    if result.log_tail and with_tail:
        log.info("Last lines of the container's log:\n%s", "\n".join(result.log_tail))
    for warning in result.warnings:
        log.warning("%s", warning)
    log.info(
        "%s after %s s on %s, %s s billed",
        result.facts["status"],
        result.facts["duration_seconds"],
        result.facts["instance_type"],
        result.facts["billable_seconds"],
    )
    for name, value in result.outputs.items():
        log.info("Output %s = %s", name, shortened(value))


def push_result(ti: Any, result: JobResult, return_output: str | None) -> Any:
    """Push each output under its own key, also where others are wrong; return what becomes ``return_value``."""
    for name, value in result.outputs.items():
        ti.xcom_push(key=name, value=value)
    ti.xcom_push(key=END_KEY, value=_end_of(result))
    facts = {**result.facts, "outputs": dict(result.outputs)}
    if return_output is None:
        return facts
    ti.xcom_push(key=RESULT_KEY, value=facts)
    return result.outputs.get(return_output)


def _end_of(result: JobResult) -> dict[str, Any]:
    error = result.error
    end: dict[str, Any] = {name: result.facts.get(name) for name in _END_FACTS}
    end["outputs"] = sorted(result.outputs)
    if result.progress is not None:
        end["progress"] = progress_facts(str(end["job_name"]), result.progress.done, result.progress.total)
    if error is not None:
        # The headline quotes the exception's text, which may be long; XComs are no place for the rest of the error.
        cell = error.cell if isinstance(error, NotebookCellError | NotebookSkippedError) else None
        headline = plain_text(error.headline[:_HEADLINE_CHARACTERS])
        end["error"] = {"type": type(error).__name__, "headline": headline, "cell": cell}
    return end
