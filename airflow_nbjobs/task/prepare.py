"""
A task's rendered arguments, its settings and its context as a job that can be submitted.

Called by ``task/run.py``, on the worker; writes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.submit.prepare import Surroundings, prepare_job
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.job.runtime_limits import lowered_limits
from airflow_nbjobs.settings import read_settings, wants_log_stream
from airflow_nbjobs.task import identity as task_context
from airflow_nbjobs.task.given import settle, tell_places

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.settings import Settings
    from airflow_nbjobs.task.view import TaskView


class Preparation:
    """
    A task's job, prepared once in a process: whoever waits for its turn in the worker asks again and again.

    A notebook that is edited meanwhile counts where the task leaves its worker while it waits.
    """

    def __init__(self, operator: TaskView, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._job: PreparedJob | None = None

    def job(self, *, told_sha256: str = "") -> PreparedJob:
        """
        Return the job, with no more time than the task has left.

        :param told_sha256: digest of the input of which an earlier leg has said what deserves it.
        :raises NotebookJobConfigError: as ``prepare``.
        :raises NotebookJobServiceError: as ``prepare``.
        """
        if self._job is None:
            self._job = prepare(self._operator, self._context, told_sha256=told_sha256)
        left = task_context.seconds_left(self._operator, self._context)
        return self._job if left is None else _within(self._job, left)


def _within(job: PreparedJob, left_seconds: float) -> PreparedJob:
    return replace(job, spec=replace(job.spec, **lowered_limits(job.spec, left_seconds)))


def prepare(operator: TaskView, context: Context, *, told_sha256: str = "") -> PreparedJob:
    """
    Read and check everything, and say in the task's log what deserves it.

    :param told_sha256: digest of the input of which that was said before.
    :raises NotebookJobConfigError: with every problem found; nothing has been uploaded or billed.
    :raises NotebookJobServiceError: AWS could not be asked for a role, an image or a notebook in S3.
    """
    hook = operator.hook
    settings = read_settings(hook.connection_extra)
    arguments = operator.job_arguments()
    try:
        job = prepare_job(
            _within_timeout(settings.completed(arguments), operator, context),
            run=task_context.run_of(context, deployment=settings.deployment),
            where=Surroundings(
                folders=task_context.search_folders(operator, context),
                region=hook.region,
                has_credentials=hook.has_credentials,
                clients=hook.clients,
            ),
            problems=_problems(operator, settings),
            is_volume_key_default=settings.place("volume_kms_key", arguments) is not None,
        )
    except NotebookJobError as error:
        tell_places(error, operator, settings, arguments)
        raise
    if told_sha256 and told_sha256 == job.input_sha256:
        return job
    for note in job.notes:
        operator.log.info("%s", note)
    for warning in job.warnings:
        operator.log.warning("%s", warning)
    return job


def _problems(operator: TaskView, settings: Settings) -> list[str]:
    problems = settle(operator)
    try:
        wants_log_stream(operator.stream_logs, settings)
    except NotebookJobConfigError as error:
        problems.append(str(error))
    return problems


def _within_timeout(arguments: JobArguments, operator: TaskView, context: Context) -> JobArguments:
    """Let SageMaker end the job when the task's own time is over, even if no Airflow is left to stop it."""
    left = task_context.seconds_left(operator, context)
    if left is None:
        return arguments
    limits = lowered_limits(arguments, left)
    for name, value in limits.items():
        of_extra = f": {value['StoppingCondition']}" if name == "extra_request" else f" is {value}"
        operator.log.info("%s%s: what is left of execution_timeout", name, of_extra)
    return replace(arguments, **limits)
