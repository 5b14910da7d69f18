"""
A task's rendered arguments, its settings and its context as a job that can be submitted.

Called by ``execution.py``, on the worker; writes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs import context as task_context
from airflow_nbjobs.aws.prepare import PreparedJob, Surroundings, prepare_job
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.runtime import bounded
from airflow_nbjobs.given import settle, tell_places
from airflow_nbjobs.parameters import plain
from airflow_nbjobs.settings import read_settings, wants_log_stream

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.operators import SageMakerNotebookJobOperator
    from airflow_nbjobs.settings import Settings


def prepare(operator: SageMakerNotebookJobOperator, context: Context) -> PreparedJob:
    """
    Read and check everything, and say in the task's log what deserves it.

    :raises NotebookJobConfigError: with every problem found; nothing has been uploaded or billed.
    :raises NotebookJobServiceError: AWS could not be asked for a role, an image or a notebook in S3.
    """
    hook = operator.hook
    settings = read_settings(hook.connection_extra)
    arguments = settings.completed({name: plain(value) for name, value in operator.job_arguments().items()})
    _bound_runtime(arguments, operator, context)
    try:
        job = prepare_job(
            arguments,
            run=task_context.run_of(context, deployment=settings.deployment),
            where=Surroundings(
                folders=task_context.search_folders(operator, context),
                region=hook.region,
                has_credentials=hook.has_credentials,
                clients=hook.clients,
            ),
            problems=_problems(operator, settings),
        )
    except NotebookJobError as error:
        tell_places(error, operator, settings)
        raise
    for note in job.notes:
        operator.log.info("%s", note)
    for warning in job.warnings:
        operator.log.warning("%s", warning)
    return job


def _problems(operator: SageMakerNotebookJobOperator, settings: Settings) -> list[str]:
    problems = settle(operator)
    try:
        wants_log_stream(operator.stream_logs, settings)
    except NotebookJobConfigError as error:
        problems.append(str(error))
    return problems


def _bound_runtime(arguments: dict[str, Any], operator: SageMakerNotebookJobOperator, context: Context) -> None:
    """Let SageMaker end the job when the task's own time is over, even if no Airflow is left to stop it."""
    left = task_context.seconds_left(operator, context)
    if left is None:
        return
    for name, value in bounded(arguments, left).items():
        arguments[name] = value
        of_extra = f": {value['StoppingCondition']}" if name == "extra_request" else f" is {value}"
        operator.log.info("%s%s: what is left of execution_timeout", name, of_extra)
