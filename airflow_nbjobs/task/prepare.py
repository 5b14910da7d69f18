"""
A task's rendered arguments, its settings and its context as a job that can be submitted.

Called by ``submit.py``, on the worker, and by ``nbjobs plan``; writes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.submit.prepare import ExaminedJob, Surroundings, examine_job, refusal
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.job.parsers import json_object
from airflow_nbjobs.core.job.runtime_limits import lowered_limits
from airflow_nbjobs.core.values.params_entry import asks_for_params
from airflow_nbjobs.settings import keeps_machine_metrics, read_settings, wants_log_stream
from airflow_nbjobs.task import identity
from airflow_nbjobs.task.arguments import add_sources, parse_arguments, with_sources
from airflow_nbjobs.task.parameters import params_of, unused_conf_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob, Run
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.settings import Settings
    from airflow_nbjobs.task.view import TaskView


class Preparation:
    """
    A task's job, prepared once in a process: a task that waits in its worker asks for it again and again.

    A notebook that is edited meanwhile counts where the task leaves its worker while it waits.
    """

    def __init__(self, task: TaskView, context: Context) -> None:
        self._task = task
        self._context = context
        self._job: PreparedJob | None = None

    def job(self, *, logged_sha256: str = "") -> PreparedJob:
        """
        Return the job, with no more time than the task has left.

        :param logged_sha256: as ``prepare``, which raises errors.
        """
        if self._job is None:
            self._job = prepare(self._task, self._context, logged_sha256=logged_sha256)
        left = identity.seconds_left(self._task, self._context)
        if left is None:
            return self._job
        return replace(self._job, spec=replace(self._job.spec, **lowered_limits(self._job.spec, left)))


class ExaminedTask(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task's job, right or wrong.

    :param problems: every one, with where the wrong value comes from.
    """

    job: ExaminedJob
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]


def prepare(task: TaskView, context: Context, *, logged_sha256: str = "") -> PreparedJob:
    """
    Read and check everything, and log notes and warnings.

    :param logged_sha256: digest of the input whose notes and warnings an earlier process has logged.
    :raises NotebookJobConfigError: with every problem found; nothing has been uploaded or billed.
    :raises NotebookJobServiceError: AWS could not be asked for a role, an image or a notebook in S3.
    """
    examined = examine(task, context)
    job = examined.job.job
    if job is None:
        raise refusal(examined.job.label, examined.problems)
    if logged_sha256 and logged_sha256 == job.input_sha256:
        return job
    for note in examined.notes:
        task.log.info("%s", note)
    for warning in examined.warnings:
        task.log.warning("%s", warning)
    return job


def examine(task: TaskView, context: Context) -> ExaminedTask:
    """
    Read and check everything, and say what is wrong with it.

    :param task: with rendered fields.
    :raises NotebookJobConfigError: the connection or its extra cannot be read.
    :raises NotebookJobServiceError: AWS could not be asked for a role, an image or a notebook in S3.
    """
    hook = task.hook
    settings = read_settings(hook.connection_extra)
    arguments = task.job_arguments()
    notes: list[str] = []
    try:
        completed = _within_timeout(settings.completed(arguments), task, context)
        problems = _problems(task, settings)
        run = identity.run_of(context, deployment=settings.deployment)
        if task.lineage_parent is True:
            run = _with_parent(run, completed, context, problems, notes)
        found = examine_job(
            completed,
            run=run,
            where=Surroundings(
                folders=identity.search_folders(task, context),
                region=hook.region,
                has_credentials=hook.has_credentials,
                clients=hook.clients,
            ),
            problems=problems,
            is_volume_key_default=settings.place("volume_kms_key", arguments) is not None,
            params=params_of(context),
        )
    except NotebookJobError as error:
        add_sources(error, task, settings, arguments)
        raise
    unused = unused_conf_of(context) if asks_for_params(arguments.parameters) else ""
    return ExaminedTask(
        job=found,
        problems=with_sources(found.problems, task, settings, arguments),
        warnings=(
            *([unused] if unused else ()),
            *found.warnings,
            *_outlet_warnings(task, found.declared.types),
        ),
        notes=(*(found.job.notes if found.job is not None else ()), *notes),
    )


def _with_parent(run: Run, arguments: JobArguments, context: Context, problems: list[str], notes: list[str]) -> Run:
    from airflow_nbjobs.task.lineage import parent_variables

    given: Mapping[str, Any] = {}
    with suppress(ValueError):  # what is no mapping is among the job's own problems
        given = json_object(arguments.environment_variables or {})
    variables, wrong, said = parent_variables(context["ti"], given)
    problems += wrong
    notes += said
    return replace(run, variables={**run.variables, **variables})


def _outlet_warnings(task: TaskView, outputs: Mapping[str, type | None]) -> Iterable[str]:
    if not task.outlets:
        return ()
    from airflow_nbjobs.task.asset_events import outlet_warnings

    return outlet_warnings(task, outputs)


def _problems(task: TaskView, settings: Settings) -> list[str]:
    problems = parse_arguments(task)
    if task.outlets or task.inlets:
        from airflow_nbjobs.task.asset_events import outlet_problems

        problems += outlet_problems(task)  # also what was added to them after the task was made
    for check in (partial(wants_log_stream, task.stream_logs), keeps_machine_metrics):
        try:
            check(settings)
        except NotebookJobConfigError as error:
            problems.append(str(error))
    return problems


def _within_timeout(arguments: JobArguments, task: TaskView, context: Context) -> JobArguments:
    """Let SageMaker end the job when the task's own time is over, even if no Airflow is left to stop it."""
    left = identity.seconds_left(task, context)
    if left is None:
        return arguments
    limits = lowered_limits(arguments, left)
    for name, value in limits.items():
        of_extra = f": {value['StoppingCondition']}" if name == "extra_request" else f" is {value}"
        task.log.info("%s%s: what is left of execution_timeout", name, of_extra)
    return replace(arguments, **limits)
