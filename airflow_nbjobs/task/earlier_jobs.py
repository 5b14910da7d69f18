"""
The jobs of a cleared task's earlier generations, stopped where they still run.

Called by ``submit.py`` and ``run.py``: when a task begins, and again when its job has ended, since a worker that stood still may have made a job of an earlier
generation meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobError, NotebookJobStoppedError
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.task import identity

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.task.ownership import Ownership
    from airflow_nbjobs.task.publish import Publisher
    from airflow_nbjobs.task.view import TaskView


def stop_earlier_jobs(task: TaskView, context: Context, ownership: Ownership, publisher: Publisher) -> None:
    """
    Stop what the task's generations before a clear have left running.

    :raises NotebookJobStoppedError: this try is over.
    """
    ti, retries = context["ti"], int(task.retries or 0)
    if not (task.wait_for_completion and task.stop_on_kill):
        return  # nobody has promised that a job ends with its task
    if not identity.was_cleared(ti, context["dag_run"], retries):
        return
    from airflow_nbjobs.aws.submit.earlier_jobs import stop_abandoned

    settings = read_settings(task.hook.connection_extra)
    run = identity.run_of(context, deployment=settings.deployment)
    try:
        stop_abandoned(
            run.key,
            str(task.notebook_job_name or run.readable),
            task.hook.clients,
            log=task.log,
            remembered=publisher.remembered(),
            generations=identity.earlier_generations(ti, retries),
            before_stop=ownership.end_if_superseded,
        )
    except NotebookJobStoppedError:
        raise
    except NotebookJobError as error:
        task.log.warning("Jobs from before the task was cleared may still run: %s", error.headline)
