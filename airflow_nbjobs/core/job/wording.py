"""
The state of a notebook job in its user's words: what it is doing, not what Airflow calls the task meanwhile.

Called by ``task/publish.py`` and the pages; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.job.status import FOR_CAPACITY, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.job.status import JobSnapshot

FOR_TURN, FOR_AWS = "waiting for its turn", "waiting for AWS"
UNDER_WAY = ("running", "deferred")  # what Airflow calls a task that submits a job, or follows one
_OF_TASK = {
    None: "to be run",
    "scheduled": "waiting for a slot",
    "queued": "waiting for a slot",
    "restarting": "stopping",
    "up_for_retry": "waiting for its next try",
    "up_for_reschedule": "waiting",
    "deferred": "running",
}


def task_words(state: str | None, job: Mapping[str, object] | None = None) -> str:
    """
    Return the words for a task instance.

    :param state: Airflow's.
    :param job: its XCom ``nbjobs_job``, which says what it waits for where it has no job yet.
    """
    waiting = job.get("waiting") if job else None
    if state in UNDER_WAY and isinstance(waiting, dict):
        said = waiting.get("state")
        known = (each for each in (FOR_TURN, FOR_CAPACITY, FOR_AWS) if each == said)
        return next(known, FOR_AWS if waiting.get("for") == "AWS" else FOR_CAPACITY)
    return _OF_TASK.get(state) or str(state).replace("_", " ")


def job_words(snapshot: JobSnapshot) -> str:
    """Return the words for a training job, as SageMaker has it now."""
    if snapshot.state is JobState.DELETED:
        return "being deleted"
    ended = "success" if snapshot.state is JobState.SUCCEEDED else str(snapshot.state.value)
    if snapshot.is_being_deleted:
        return f"{ended}, being deleted"
    return ended if snapshot.state.is_terminal else snapshot.doing
