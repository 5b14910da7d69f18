"""
The results of an ended job: the log's lines, the XComs, and the executed notebook under its own key.

Called by ``run.py`` and ``sensor.py``, on the worker.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.results.read import Expectation, JobResult, read_result
from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobServiceError, NotebookSkippedError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.xcoms import END_KEY, RESULT_KEY, progress_record
from airflow_nbjobs.core.masking import masked_start
from airflow_nbjobs.core.notebook.failing_cell import plain_text
from airflow_nbjobs.core.values.outputs import declare_outputs
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.task.identity import parameters_text, shortened
from airflow_nbjobs.task.machine import keep_machine
from airflow_nbjobs.task.warm_pools import log_machine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_nbjobs.aws.ports import Log
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.ownership import Ownership
    from airflow_nbjobs.task.view import TaskView

_HEADLINE_CHARACTERS = 1000
_END_FACTS = ("job_name", "status", "started_at", "ended_at", "duration_seconds", "billable_seconds")


def location_of(snapshot: JobSnapshot) -> JobLocation:
    """Return where an existing job's files lie."""
    return JobLocation((snapshot.output_root or "").rstrip("/"), snapshot.job_name)


def push_results(
    task: TaskView, context: Context, snapshot: JobSnapshot, ownership: Ownership, *, has_log: bool
) -> tuple[JobResult, Any]:
    """
    Read an ended job's results and push them; return them, and what becomes ``return_value``.

    :param has_log: the container's log is in the task's already.
    :raises NotebookJobServiceError: S3 could not be read or written.
    :raises NotebookJobStoppedError: this try is over; the next one pushes the results.
    """
    ti: Any = context["ti"]
    location = location_of(snapshot)
    expected = Expectation(
        label=f"{ti.dag_id}.{ti.task_id}",
        input_notebook=str(task.input_notebook),
        declared=declare_outputs(task.outputs, task.return_output),
        parameters_text=parameters_text(task.parameters),
    )
    result = read_result(snapshot, location, expected, task.hook.clients, now=datetime.now(tz=UTC))
    log_result(task.log, result, with_tail=not has_log)
    retained_seconds = log_machine(task, ti, snapshot)
    if task.outlets or task.inlets:
        from airflow_nbjobs.task.asset_events import announced

        result = announced(task, context, result)
    # What a try delivers that is over, the next one takes for delivered, and runs the notebook again.
    ownership.note_end()
    ownership.end_if_over()
    value = push_result(
        ti, result, task.return_output, bill=_bill(snapshot, retained_seconds) | {"try_number": ti.try_number}
    )
    ownership.end_if_over()
    try:
        _deliver(task, result, location)
    except NotebookJobServiceError as error:
        if result.error is None or error.is_retryable:
            raise
        # Why the job failed is what the task must say; where its notebook is, the archive still tells.
        task.log.warning("The executed notebook is in output.tar.gz only: %s", error)
    keep_machine(task, ti, snapshot, was_killed=result.was_killed)
    return result, value


def _deliver(task: TaskView, result: JobResult, location: JobLocation) -> None:
    """Give the executed notebook its own key, after all else that is delivered: its presence tells later tries that this job's results were pushed."""
    if result.executed_notebook is None:
        return
    settings = read_settings(task.hook.connection_extra)
    kms_key = settings.completed(JobArguments(s3_kms_key=task.s3_kms_key)).s3_kms_key
    task.hook.clients.objects.put(location.executed_notebook_uri, result.executed_notebook, kms_key=kms_key)
    task.log.info("Executed notebook: %s", location.executed_notebook_uri)


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


def push_result(ti: Any, result: JobResult, return_output: str | None, *, bill: Mapping[str, Any] | None = None) -> Any:
    """
    Push each output under its own key, also where others are wrong; return what becomes ``return_value``.

    :param bill: what of a job of the task's own is paid for; a sensor's is another task's.
    """
    for name, value in result.outputs.items():
        ti.xcom_push(key=name, value=value)
    ti.xcom_push(key=END_KEY, value=_end_of(result) | dict(bill or {}))
    facts = {**result.facts, "outputs": dict(result.outputs)}
    if return_output is None:
        return facts
    ti.xcom_push(key=RESULT_KEY, value=facts)
    return result.outputs.get(return_output)


def _bill(snapshot: JobSnapshot, retained_seconds: int | None) -> dict[str, Any]:
    """
    Return what the sums of the page of all jobs are made of, beside the billed seconds.

    :param retained_seconds: how long the machine had idled that the job took over from one before it, which is billed too.
    """
    return {
        "instance_type": snapshot.instance_type,
        "instance_count": snapshot.instance_count,
        "training_seconds": snapshot.training_seconds,
        "is_spot": snapshot.is_spot,
        "retained_seconds": retained_seconds,
    }


def _end_of(result: JobResult) -> dict[str, Any]:
    error = result.error
    end: dict[str, Any] = {name: result.facts.get(name) for name in _END_FACTS}
    end["outputs"] = sorted(result.outputs)
    if result.progress is not None:
        end["progress"] = progress_record(str(end["job_name"]), result.progress.done, result.progress.total)
    if error is not None:
        # The headline quotes the exception's text, which may be long; XComs are no place for the rest of the error.
        cell = error.cell if isinstance(error, NotebookCellError | NotebookSkippedError) else None
        headline = plain_text(masked_start(error.headline, _HEADLINE_CHARACTERS))
        killed = {"was_killed": True} if result.was_killed else {}
        end["error"] = {"type": type(error).__name__, "headline": headline, "cell": cell} | killed
    return end
