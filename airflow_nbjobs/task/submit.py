"""
A task's job, submitted: prepared once, asked for until there is one, and again after a job that got no instance.

Called by ``run.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from airflow_nbjobs.aws.submit.job import Refused, Submission, instance_choices, submit
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobServiceError
from airflow_nbjobs.core.job.parsers import seconds
from airflow_nbjobs.core.job.submission_state import Cause, Step, SubmissionState
from airflow_nbjobs.task.earlier_jobs import stop_earlier_jobs
from airflow_nbjobs.task.prepare import Preparation
from airflow_nbjobs.task.retryable import errors_of_task
from airflow_nbjobs.task.wait import log_transitions

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.view import TaskView
    from airflow_nbjobs.task.wait import Wait


class Submitter:
    """Submits the jobs of one task."""

    def __init__(self, task: TaskView, context: Context, wait: Wait) -> None:
        self._task = task
        self._context = context
        self._ti: Any = context["ti"]
        self._wait = wait
        self._ownership, self._publisher = wait.ownership, wait.publisher
        self._preparation = Preparation(task, context)

    def submit(self, state: SubmissionState | None) -> tuple[PreparedJob, Submission]:
        """
        Return the job that runs now; wait for as long as none can be had for a reason that passes.

        :param state: None: this try has asked for none yet.
        :raises NotebookJobError: there is none, and waiting makes none.
        """
        is_first = state is None
        # No request of an earlier try can have made a job of a first try's name.
        state = state or SubmissionState(may_exist=int(self._ti.try_number) > 1)
        while True:
            job: PreparedJob | None = None
            try:
                job = self._preparation.job(logged_sha256=state.staged_sha256)
                if is_first:
                    stop_earlier_jobs(self._task, self._context, self._ownership, self._publisher)
                expect = partial(self._expect, job, state.attempt)
                outcome = submit(job, self._task.hook.clients, state, log=self._task.log, expect=expect)
                if isinstance(outcome, Submission):
                    return job, outcome
            except NotebookJobServiceError as error:
                if not error.is_retryable:
                    raise
                outcome = Refused(error=error, state=replace(state, choice=0, may_exist=True))
            is_first = False
            self._ownership.end_if_over()
            cause = Cause.CAPACITY if isinstance(outcome.error, NotebookJobCapacityError) else Cause.TROUBLE
            state = self._wait.until_next_request(outcome.state, cause, outcome.error, job)

    def _expect(self, job: PreparedJob, first_attempt: int, job_name: str, owner: str) -> None:
        """Note the job that the next request makes: here, and in the list by which a later generation of the task finds it."""
        if self._task.inlets or self._task.outlets:
            from airflow_nbjobs.task.inactive_assets import refuse_submission

            refuse_submission(self._task)
        self._ownership.expect(job_name, owner)
        self._publisher.remember(job, next(k for k in count(first_attempt) if job.owner(k) == owner))

    def after_capacity_failure(self, snapshot: JobSnapshot, state: SubmissionState) -> SubmissionState | None:
        """
        Return how to submit again after a job got no instance: at once with the next instance type, or later; None where nobody waits for one.

        :raises NotebookJobCapacityError: it is too late, or nobody wanted to wait.
        """
        task = self._task
        if not seconds(task.capacity_timeout):
            return None
        log_transitions(task.log, snapshot, 0)
        with errors_of_task(task, self._context):
            job = self._preparation.job(logged_sha256=state.staged_sha256)
        choices = instance_choices(job, task.hook.clients)
        following = replace(state, step=Step.SUBMIT, attempt=state.attempt + 1, may_exist=True)
        asked = choices[min(state.choice, len(choices) - 1)]
        if len(asked) == 1 and state.choice + 1 < len(choices):
            task.log.warning("No capacity for %s: asking for the next instance type", asked[0])
            return replace(following, choice=state.choice + 1, since=state.since or datetime.now(tz=UTC))
        error = NotebookJobCapacityError(
            f"Notebook job '{snapshot.job_name}' got no instance: {snapshot.failure_reason}",
            details={"next": "retry later, or use another instance_type"},
            job_name=snapshot.job_name,
        )
        following = replace(following, choice=0)
        return self._wait.until_next_request(following, Cause.CAPACITY, error, job, got_no_instance=True)
