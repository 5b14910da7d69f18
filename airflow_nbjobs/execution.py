"""
One try of a notebook task: submit, wait as asked, hand over the results.

Called by the operator, inside ``execute`` and its successors only; everything is decided in ``core`` and done in ``aws``.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_nbjobs import context as task_context
from airflow_nbjobs._compat import TRIGGER_TIMEOUT, AirflowTaskTimeout, job_xcom, task_state
from airflow_nbjobs.aws.job import Submission, submit
from airflow_nbjobs.aws.prepare import PreparedJob, Surroundings, prepare_job
from airflow_nbjobs.aws.results import Expectation, JobResult, read_result
from airflow_nbjobs.core.errors import (
    NotebookJobConfigError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
)
from airflow_nbjobs.core.naming import JobLocation
from airflow_nbjobs.core.outputs import declare_outputs
from airflow_nbjobs.failures import surfaced
from airflow_nbjobs.handover import log_result, log_transitions, push_result
from airflow_nbjobs.links import ATTEMPTS_KEY, JOB_KEY, REMEMBERED_FACTS, job_urls
from airflow_nbjobs.settings import read_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.core.status import JobSnapshot
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

_JOB_VERSION = 1
_MOST_REMEMBERED = 50
_ASK_SECONDS = 3.0  # for Airflow's word on the task, once its process has been told to end


class Execution:
    """
    The work of one worker leg.

    :param operator: with rendered fields.
    """

    def __init__(self, operator: SageMakerNotebookJobOperator, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]
        self._retries = int(operator.retries or 0)
        self._job_name: str | None = None
        self._stop_reason: str | None = None
        operator._execution = self  # noqa: SLF001 - for on_kill, which gets no arguments

    # -- first leg -------------------------------------------------------------------------------------------------

    def start(self) -> Any:
        operator = self._operator
        with surfaced(retry_on_cell_error=operator.retry_on_cell_error):
            job = self._prepare()
            submission = submit(
                job,
                operator.hook.clients,
                is_first_try=task_context.is_first_try(self._ti, self._retries),
                log=operator.log,
            )
        self._announce(job, submission)
        if not operator.wait_for_completion:
            return {"job_name": submission.job_name, "job_arn": submission.arn, "status": "InProgress"}
        if submission.adopted is not None and submission.adopted.state.is_terminal:
            return self._finish(submission.adopted, was_adopted=True)
        if operator.deferrable:
            self._defer(submission.job_name, attempt=submission.attempt, was_adopted=submission.adopted is not None)
        return self._wait_here(submission)

    def _prepare(self) -> PreparedJob:
        operator, hook = self._operator, self._operator.hook
        settings = read_settings(hook.connection_extra)
        arguments = settings.completed(operator.job_arguments())
        self._bound_runtime(arguments)
        job = prepare_job(
            arguments,
            run=task_context.run_of(self._context, retries=self._retries, deployment=settings.deployment),
            where=Surroundings(
                folders=task_context.search_folders(operator, self._context),
                region=hook.region,
                has_credentials=hook.has_credentials,
                clients=hook.clients,
            ),
        )
        for note in job.notes:
            operator.log.info("%s", note)
        for warning in job.warnings:
            operator.log.warning("%s", warning)
        return job

    def _bound_runtime(self, arguments: dict[str, Any]) -> None:
        """Let SageMaker end the job when the task's own time is over, even if no Airflow is left to stop it."""
        left = task_context.seconds_left(self._operator, self._context)
        try:
            asked = int(arguments["max_runtime_in_seconds"])
        except (KeyError, TypeError, ValueError):
            return  # reported with all other problems
        if left is not None and left < asked:
            arguments["max_runtime_in_seconds"] = max(1, int(left))
            self._operator.log.info(
                "max_runtime_in_seconds is %s: what is left of execution_timeout", arguments["max_runtime_in_seconds"]
            )

    def _announce(self, job: PreparedJob, submission: Submission) -> None:
        """Say which job it is, in the log and in the XCom that links and pages read; before any wait, so that both are there while it runs."""
        self._job_name = submission.job_name
        region = job.spec.region
        facts = {
            "version": _JOB_VERSION,
            "job_name": submission.job_name,
            "job_arn": submission.arn,
            "attempt": submission.attempt,
            # What the name was made of and Airflow does not keep: a clear gives the run a new start, and the task another generation.
            "generation": job.run.key.generation,
            "run_started_microseconds": job.run.key.run_started_microseconds,
            "was_adopted": submission.adopted is not None,
            "region": region,
            "instance_type": job.spec.instance_type,
            "input_notebook": job.notebook_origin,
            "notebook_sha256": job.notebook_sha256,
            "executed_notebook_uri": submission.location.executed_notebook_uri,
            **job_urls(region, submission.job_name, submission.location.executed_notebook_uri),
        }
        self._ti.xcom_push(key=JOB_KEY, value=facts)
        self._remember({name: facts[name] for name in REMEMBERED_FACTS})
        self._operator.log.info("Notebook job '%s': %s", submission.job_name, facts["console_url"])

    def _remember(self, attempt: dict[str, Any]) -> None:
        """
        Add the job to the list from which pages offer a task's earlier jobs: the XCom is gone with the next try.

        For people only: what is submitted, adopted or stopped is decided by names alone. Airflow before 3.3 has no such store.
        """
        store: Any = self._context.get("task_state_store")
        if store is None:
            return
        try:
            earlier = [each for each in store.get(ATTEMPTS_KEY) or [] if each != attempt]
            store.set(ATTEMPTS_KEY, [*earlier, attempt][-_MOST_REMEMBERED:])
        except Exception as error:  # noqa: BLE001 - the job runs; no list of it may fail the task
            self._operator.log.warning("The list of this task's jobs could not be kept: %s", error)

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _defer(self, job_name: str, *, attempt: int, was_adopted: bool) -> None:
        from airflow_nbjobs.triggers import NotebookJobTrigger

        operator = self._operator
        left = task_context.seconds_left(operator, self._context)
        operator.defer(
            trigger=NotebookJobTrigger(
                job_name=job_name,
                attempt=attempt,
                was_adopted=was_adopted,
                aws_conn_id=operator.aws_conn_id,
                region_name=operator.region_name,
                verify=operator.verify,
                botocore_config=operator.botocore_config,
                waiter_delay=operator.waiter_delay,
                stop_on_kill=operator.stop_on_kill,
            ),
            method_name="execute_complete",
            # Airflow 3 does not enforce execution_timeout on a deferred task by itself.
            timeout=timedelta(seconds=max(left, 1.0)) if left is not None else None,
        )

    def _wait_here(self, submission: Submission) -> Any:
        """Hold the worker until the job has ended, logging each change of its status as it comes."""
        seen = 0
        try:
            while True:
                try:
                    with surfaced():
                        snapshot = self._described(submission.job_name)
                except NotebookJobServiceError as error:
                    if not error.is_retryable:
                        raise
                    self._operator.log.warning("%s; going on waiting", error.headline)
                    time.sleep(self._operator.waiter_delay)
                    continue
                seen = log_transitions(self._operator.log, snapshot, seen)
                if snapshot.state.is_terminal:
                    break
                time.sleep(self._operator.waiter_delay)
        except AirflowTaskTimeout:
            self._stop(submission.job_name, "execution_timeout has passed")
            raise
        if self._stop_reason is not None:
            # `on_kill` has stopped it while this loop slept; the try ends, whatever the job left behind.
            raise NotebookJobStoppedError(
                f"Notebook job '{submission.job_name}' was stopped by this task: {self._stop_reason}",
                job_name=submission.job_name,
            )
        return self._finish(snapshot, was_adopted=submission.adopted is not None, seen=seen)

    # -- second leg ------------------------------------------------------------------------------------------------

    def resume(self, event: dict[str, Any]) -> Any:
        job_name = event["job_name"]
        self._job_name = job_name
        with surfaced():
            if event.get("error"):
                raise NotebookJobServiceError(
                    f"The triggerer cannot watch notebook job '{job_name}': {event['error']}",
                    code="WatchFailed",
                    is_retryable=True,
                    details={"next": "the job goes on; a retry of this task adopts it"},
                    job_name=job_name,
                )
            snapshot = self._described(job_name)
        if not snapshot.state.is_terminal:
            # Events may be stale or doubled; SageMaker's word counts.
            self._defer(job_name, attempt=event.get("attempt", 0), was_adopted=event.get("was_adopted", False))
        return self._finish(snapshot, was_adopted=event.get("was_adopted", False))

    def resume_after_trigger_failure(self, failure: dict[str, Any]) -> Any:
        """Stop the job if its time was over; a trigger that crashed says nothing about the job, so look, and wait on."""
        ti = self._ti
        job = job_xcom(JOB_KEY, dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
        if not isinstance(job, dict) or "job_name" not in job:
            raise NotebookJobServiceError(
                f"The trigger failed ({failure.get('error')}), and the task has no record of its job", is_retryable=True
            )
        job_name = str(job["job_name"])
        self._job_name = job_name
        if failure.get("error") == TRIGGER_TIMEOUT:
            self._stop(job_name, "execution_timeout has passed")
            raise NotebookJobTimeoutError(
                f"Notebook job '{job_name}' was stopped: execution_timeout ({self._operator.execution_timeout}) has passed",
                details={"next": "raise execution_timeout, or give the notebook less to do"},
                job_name=job_name,
            )
        if failure.get("traceback"):
            self._operator.log.error("The trigger failed:\n%s", "\n".join(failure["traceback"]))
        return self.resume(
            {"job_name": job_name, "attempt": job.get("attempt", 0), "was_adopted": job.get("was_adopted", False)}
        )

    def _described(self, job_name: str) -> JobSnapshot:
        snapshot = self._operator.hook.clients.jobs.describe(job_name)
        if snapshot is None:
            raise NotebookJobConfigError(f"SageMaker knows no training job '{job_name}' any more", job_name=job_name)
        return snapshot

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self, snapshot: JobSnapshot, *, was_adopted: bool, seen: int = 0) -> Any:
        operator = self._operator
        log_transitions(operator.log, snapshot, seen)
        with surfaced(retry_on_cell_error=operator.retry_on_cell_error, was_adopted=was_adopted):
            location = JobLocation((snapshot.output_root or "").rstrip("/"), snapshot.job_name)
            result = read_result(snapshot, location, self._expectation(), operator.hook.clients)
            log_result(operator.log, result)
            value = push_result(self._ti, result, operator.return_output)
            self._deliver(result, location)
            if result.error is not None:
                raise result.error
        return value

    def _expectation(self) -> Expectation:
        operator = self._operator
        return Expectation(
            label=f"{self._ti.dag_id}.{self._ti.task_id}",
            input_notebook=str(operator.input_notebook),
            declared=declare_outputs(operator.outputs, operator.return_output),
            parameters_text=task_context.parameters_text(operator.parameters),
        )

    def _deliver(self, result: JobResult, location: JobLocation) -> None:
        """Give the executed notebook its own key, last of all: its presence tells later tries that this job's results were handed over."""
        if result.executed_notebook is not None:
            operator = self._operator
            kms_key = (
                read_settings(operator.hook.connection_extra)
                .completed({"s3_kms_key": operator.s3_kms_key})
                .get("s3_kms_key")
            )
            operator.hook.clients.objects.put(location.executed_notebook_uri, result.executed_notebook, kms_key=kms_key)
            operator.log.info("Executed notebook: %s", location.executed_notebook_uri)

    # -- stopping --------------------------------------------------------------------------------------------------

    def stop_if_taken_away(self) -> None:
        """
        Stop the job if Airflow says that the task is no longer this try's; no answer within 3 s keeps it.

        Asked in a thread of its own: this runs inside a signal handler, which may have interrupted a call to the API whose lock is not reentrant.
        """
        job_name = self._job_name
        if job_name is None or self._stop_reason is not None:
            return
        ti, answers = self._ti, []

        def ask() -> None:
            try:
                answers.append(
                    task_state(dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=ti.map_index)
                )
            except Exception as error:  # noqa: BLE001 - no answer keeps the job, whatever the reason
                self._operator.log.warning("Airflow does not say what became of this task: %s", error)

        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(_ASK_SECONDS)
        if not answers or answers[0] in ("running", "deferred"):
            self._operator.log.warning(
                "Keeping notebook job '%s': the task was not taken away by a user; its next try adopts the job",
                job_name,
            )
            return
        self._stop(job_name, f"the task is now '{answers[0]}'")

    def _stop(self, job_name: str, reason: str) -> None:
        self._stop_reason = reason
        self._operator.log.info("Stopping notebook job '%s': %s", job_name, reason)
        self._operator.hook.clients.jobs.stop(job_name)
