"""
What a task does with a finished job's result, whether it started the job or only waited for it: the log's lines and the XComs.

Called by ``execution.py`` and ``watching.py``, on the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.context import shortened

if TYPE_CHECKING:
    from airflow_nbjobs.aws.job import Log
    from airflow_nbjobs.aws.results import JobResult
    from airflow_nbjobs.core.status import JobSnapshot

RESULT_KEY = "nbjobs_result"


def log_transitions(log: Log, snapshot: JobSnapshot, seen: int) -> int:
    """Log each secondary status after the first ``seen`` ones; return how many there are now."""
    for transition in snapshot.transitions[seen:]:
        at = f"{transition.started:%H:%M:%S} " if transition.started else ""
        log.info("%s%s: %s", at, transition.status, transition.message)
    return len(snapshot.transitions)


def log_result(log: Log, result: JobResult) -> None:
    if result.log_tail:
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
    facts = {**result.facts, "outputs": dict(result.outputs)}
    if return_output is None:
        return facts
    ti.xcom_push(key=RESULT_KEY, value=facts)
    return result.outputs.get(return_output)
