"""
Why a task or its job failed, in words for a reader: from the task's own error record, else from what SageMaker and Airflow know.

Pure. The record comes out of an XCom, which anyone with edit rights can write: texts, to be escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.aws.results.explain import Expectation, Remains, explain
from airflow_nbjobs.core.error_record import ErrorRecord, parse_error_record
from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobError, NotebookSkippedError
from airflow_nbjobs.core.values.outputs import DeclaredOutputs
from airflow_nbjobs.core.watch.log_text import readable_lines

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_JOB_PREFIX = re.compile(r"(?:Notebook|Training) job '[^']{1,63}' ")
_REASON_CHARACTERS = 300
_SKIPS = (NotebookSkippedError.__name__, "AirflowSkipException")


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a page says of a failure.

    :param advice: what to do next.
    :param text: the whole text of the task's error.
    :param is_of_cell: the failing cell of the notebook says it as well, and can be gone to.
    :param is_skip: no failure: the task was skipped.
    """

    title: str
    problems: tuple[str, ...] = ()
    advice: str = ""
    text: str = ""
    is_of_cell: bool = False
    is_skip: bool = False


def without_job_name(headline: str) -> str:
    """Return an error's headline without the job's name, which stands beside it."""
    text = _JOB_PREFIX.sub("", headline, count=1) if _JOB_PREFIX.match(headline) else headline
    return text[:1].upper() + text[1:]


def of_record(record: ErrorRecord | None) -> Failure | None:
    if record is None:
        return None
    return Failure(
        title=without_job_name(record.headline),
        problems=record.problems,
        # The tab has opened it there.
        advice="" if record.advice.startswith("open the executed notebook at") else record.advice,
        text=record.text,
        is_of_cell=record.kind == NotebookCellError.__name__,
        is_skip=record.kind in _SKIPS,
    )


def of_job(ti: NotebookTaskInstance, snapshot: JobSnapshot, *, is_earlier: bool) -> Failure | None:
    """Return why the job that is shown, or the task with it, did not succeed; None where both did, or go on."""
    record = _error_of_earlier(ti, snapshot.job_name) if is_earlier else ti.last_error
    if record is not None:
        return of_record(record)
    if snapshot.has_failed:
        return _of_snapshot(snapshot)
    if is_earlier or ti.state not in ("failed", "up_for_retry"):
        return None
    return _without_error(ti, snapshot)


def _error_of_earlier(ti: NotebookTaskInstance, job_name: str) -> ErrorRecord | None:
    found = (each for each in ti.attempts if each.get("job_name") == job_name)
    return next((parse_error_record(each.get("error")) for each in found), None)


def _of_snapshot(snapshot: JobSnapshot) -> Failure:
    """Return the failure in SageMaker's own words: no task has recorded an error of this job, or the record is gone."""
    expected = Expectation(label="", input_notebook="", declared=DeclaredOutputs({}, ()))
    error = explain(Remains(snapshot=snapshot, expected=expected, executed=None, places={}, log=()))
    # Then the notebook alone knows where; it may show it, or not be there.
    is_of_notebook = type(error) is NotebookJobError
    reason = " ".join(line for line, _ in readable_lines(snapshot.failure_reason))
    return Failure(
        title=f"Failed: {reason[:_REASON_CHARACTERS]}"
        if is_of_notebook and reason
        else without_job_name(error.headline),
        advice=error.details.get("next", "").replace("the log above", "the job's log"),
        text=snapshot.failure_reason[:2000],
        is_of_cell=is_of_notebook,
    )


def _without_error(ti: NotebookTaskInstance, snapshot: JobSnapshot) -> Failure:
    job = "has completed" if snapshot.state.is_terminal else "goes on"
    advice = "read the task's log in Airflow: its worker was lost, or somebody marked the task"
    if ti.state == "failed":
        advice += (
            f"; SageMakerNotebookJobSensor(job_name='{snapshot.job_name}') hands over what the job returns, "
            "clearing the task runs the notebook anew"
        )
    else:
        advice += "; the next try takes the job over"
    return Failure(title=f"The task failed without saying why; its job {job}", advice=advice)
