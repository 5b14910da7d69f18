"""
What a task goes on from after a deferral: its trigger's event, or where that says nothing the record that it has pushed before it deferred.

Called by ``run.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs._compat import job_xcom, task_instance_key
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.submission_state import Step, SubmissionState
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_event
from airflow_nbjobs.task.wait import CurrentJob

if TYPE_CHECKING:
    from collections.abc import Mapping


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a task stands.

    :param job: the job that it waited for, or was to submit (``job.state.step``); its name is empty where there can be none.
    :param try_number: the try that has deferred; None where that is not known.
    :param status: the job's, as the trigger has seen it.
    :param error: why the trigger could not watch the job; with ``error_code``.
    :param waiting: what the task waited for instead of a job.
    :param log_place: how much of the job's log is in the task's.
    """

    job: CurrentJob
    try_number: int | None = None
    status: str = ""
    error: str = ""
    error_code: str = ""
    waiting: Mapping[str, Any] | None = None
    log_place: dict[str, Any] | None = None


def from_event(event: object, ti: Any) -> Resumption:
    """:raises NotebookJobServiceError: the event says nothing, and nor does the task's record; worth a retry, which finds the job by name."""
    return _parsed(read_event(event)) or from_record("The trigger's event says nothing", ti)


def from_record(why: str, ti: Any) -> Resumption:
    """
    Read the task's own ``nbjobs_job``, which says as much as an event does.

    :param why: it has to be read.
    :raises NotebookJobServiceError: there is none that can be used.
    """
    key = task_instance_key(ti)
    stored = job_xcom(JOB_KEY, **key)
    fields = read_event(stored)
    from airflow_nbjobs.triggers.kept_progress import recall

    found = _parsed(fields | {"log_place": recall(fields.get("job_name", ""), key)})
    if found is None:
        has = (
            "the task's record of its job, nbjobs_job, is of another form"
            if stored
            else "the task has no record of its job"
        )
        raise NotebookJobServiceError(
            f"{why}, and {has}", is_retryable=True, details={"next": "a retry of this task finds its job by name"}
        )
    return found


def _parsed(fields: Mapping[str, Any]) -> Resumption | None:
    try:
        turn = fields.get("turn")
        # What has none is of a version before there were waits.
        state = (
            SubmissionState.from_json(turn)
            if turn
            else SubmissionState(step=Step.FINISH, attempt=fields.get("attempt", 0))
        )
    except ValueError:
        return None
    job_name = fields.get("job_name", "")
    if not job_name and state.step is Step.FINISH:
        return None
    return Resumption(
        job=CurrentJob(job_name=job_name, was_adopted=fields.get("was_adopted", False), state=state),
        try_number=fields.get("try_number"),
        status=fields.get("status", ""),
        error=fields.get("error", ""),
        error_code=fields.get("error_code", ""),
        waiting=fields.get("waiting"),
        log_place=fields.get("log_place"),
    )
