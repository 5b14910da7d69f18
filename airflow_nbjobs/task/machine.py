"""
What a job used of its machine, kept with its results where ``[nbjobs] machine_metrics`` asks for it.

Called by ``results.py`` last of all, when the job's results are where they belong. Whatever goes wrong here is a warning: nothing of them depends on it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import AirflowTaskTimeout
from airflow_nbjobs.aws.connection import is_of_aws
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.xcoms import MACHINE_KEY
from airflow_nbjobs.settings import keeps_machine_metrics, read_settings

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.view import TaskView


def keep_machine(task: TaskView, ti: Any, snapshot: JobSnapshot, *, was_killed: bool) -> None:
    """
    Push what CloudWatch has of an ended job by now, with the moment: its last points arrive minutes later.

    The task waits for it, so that the hook asks CloudWatch twice at most and not for minutes, whatever the connection's own configuration says.

    :param was_killed: the job's kernel or container was, most likely for want of memory.
    """
    try:
        if keeps_machine_metrics(read_settings(task.hook.connection_extra)):
            record = _record(task, snapshot, was_killed=was_killed)
            if record is not None:
                ti.xcom_push(key=MACHINE_KEY, value=record)
    # A comfort: neither AWS nor Airflow may fail a job over it whose results are delivered, and the task's execution_timeout ends this wait alone.
    except (Exception, AirflowTaskTimeout) as error:  # noqa: BLE001 - as said above
        said = error.headline if isinstance(error, NotebookJobError) else f"{type(error).__name__}: {error}"
        advice = (
            f" ({error.details['next']})" if isinstance(error, NotebookJobError) and "next" in error.details else ""
        )
        task.log.warning("What the job used of its machine is not kept with its results: %s%s", said, advice)


def _record(task: TaskView, snapshot: JobSnapshot, *, was_killed: bool) -> dict[str, Any] | None:
    from airflow_nbjobs.core.job import metrics
    from airflow_nbjobs.core.job.machines import machine_of

    machine, now = machine_of(snapshot.instance_type), datetime.now(tz=UTC)
    if machine is None or snapshot.started is None:
        return None
    ended = snapshot.ended or now
    clients = task.hook.clients
    period = metrics.period_seconds(snapshot.started, ended, now=now, is_fine=not is_of_aws(clients.jobs.endpoint_url))
    if period is None:
        return None
    raw = clients.metrics.read(
        [snapshot.job_name],
        started=snapshot.started - timedelta(seconds=period),
        ended=ended + timedelta(seconds=period),
        period_seconds=period,
    )
    points = metrics.as_shares(raw.get(snapshot.job_name, {}), machine)
    if not points and not was_killed:
        return None
    return metrics.kept(
        metrics.MachineRecord(
            job_name=snapshot.job_name,
            instance_type=machine.instance_type,
            period_seconds=period,
            until=now,
            points=points,
            figures=metrics.figures_of(points),
            was_killed=was_killed,
        )
    )
