"""
One try of a notebook task: submit a job, wait for it as asked, push its results.

Called by the operator, inside ``execute`` and its successors only; everything is decided in ``core`` and done in ``aws``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from airflow_nbjobs._compat import TRIGGER_TIMEOUT, AirflowTaskTimeout
from airflow_nbjobs.core.errors import NotebookJobServiceError, NotebookJobTimeoutError, bounded
from airflow_nbjobs.core.job.doubts import UNKNOWN_SECONDS
from airflow_nbjobs.core.job.status import FailureKind, JobState, says_deleting
from airflow_nbjobs.core.job.submission_state import TROUBLE_SECONDS, Cause, Step, SubmissionState
from airflow_nbjobs.core.job.trouble import NOT_FOUND, is_over, of_kept_job
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.task.earlier_jobs import stop_earlier_jobs
from airflow_nbjobs.task.ownership import Ownership
from airflow_nbjobs.task.publish import Publisher
from airflow_nbjobs.task.resume import Resumption, from_event, from_record
from airflow_nbjobs.task.retryable import errors_of_task
from airflow_nbjobs.task.wait import CurrentJob, JobLog, Wait, described, described_if_ended, log_transitions

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.submit import Submitter
    from airflow_nbjobs.task.view import TaskView


class TaskRun:
    """
    The work of one process of a try.

    :param task: with rendered fields.
    :ivar ownership: of the task's job.
    """

    def __init__(self, task: TaskView, context: Context) -> None:
        self._task = task
        self._context = context
        self._ti: Any = context["ti"]
        self.ownership = Ownership(task, self._ti)
        self._publisher = Publisher(task, context)
        self._job_log = JobLog(task)
        self._wait = Wait(task, context, self.ownership, self._publisher, self._job_log)
        self._errors = partial(errors_of_task, task, context)

    @cached_property
    def _submitter(self) -> Submitter:
        # Imported when a job is to be submitted: a process that only pushes results would spend a tenth of its time on it.
        from airflow_nbjobs.task.submit import Submitter

        return Submitter(self._task, self._context, self._wait)

    def start(self, state: SubmissionState | None = None) -> Any:
        """
        Submit the job and wait for it.

        :param state: where an earlier process of this try has left off, waiting for capacity or through trouble.
        """
        try:
            while isinstance(outcome := self._submit_and_follow(state), SubmissionState):
                state = outcome  # a job without an instance is followed by another
        except AirflowTaskTimeout:
            self.ownership.stop_at_timeout()
            raise
        return outcome

    def _submit_and_follow(self, state: SubmissionState | None) -> Any:
        with self._errors():
            job, submission = self._submitter.submit(state)
        self.ownership.hold(submission.job_name, is_recorded=False)
        # Asked before the job is published: a process that stood still must not overwrite what the task follows now. A task that was taken away learns so
        # with its next heartbeat only; its deferral would be refused, and its job would run on.
        self.ownership.end_if_over()
        self._publisher.push_job(job, submission)
        self._task.note_lineage(job=job, submission=submission)
        self.ownership.hold(submission.job_name, is_recorded=True)
        if not self._task.wait_for_completion:
            facts = {"job_name": submission.job_name, "job_arn": submission.arn, "status": "InProgress"}
            if self._task.outlets:
                from airflow_nbjobs.task.asset_events import announce

                known = {"input_notebook": job.notebook_origin, "notebook_sha256": job.notebook_sha256}
                announce(self._task, self._context, facts | known, {}, None)
            return facts
        adopted = submission.adopted
        self._job_log.place = self._job_log.place or LogPlace(added=job.added_cells).to_json()
        followed = CurrentJob(
            job_name=submission.job_name,
            was_adopted=adopted is not None,
            state=replace(submission.state, step=Step.FINISH, trouble_since=None),
        )
        if adopted is not None and adopted.state.is_terminal:
            return self._finish(followed, adopted)
        return self._finish(followed, *self._wait.until_ended(followed))

    def resume(self, event: dict[str, Any]) -> Any:
        """
        Go on after a trigger's event.

        :raises NotebookJobServiceError: the job cannot be watched and has not ended; worth a retry, which adopts it.
        """
        return self._resume(from_event(event, self._ti))

    def resume_after_trigger_failure(self, failure: dict[str, Any]) -> Any:
        """Stop the job if its time was over; a trigger that crashed says nothing about the job, so it is asked for and waited for again."""
        found = from_record(f"The trigger failed ({failure.get('error')})", self._ti)
        if not self._is_of_another_try(found):
            if found.job.job_name:
                self.ownership.hold(found.job.job_name, is_recorded=True)
            if failure.get("error") == TRIGGER_TIMEOUT:
                self._end_at_timeout(found)
            elif failure.get("traceback"):
                self._task.log.error("The trigger failed:\n%s", bounded("\n".join(failure["traceback"]), 20_000))
        return self._resume(found)

    def _resume(self, found: Resumption) -> Any:
        job, is_of_another = found.job, self._is_of_another_try(found)
        self._publisher.note_resumption(has_same_job=not is_of_another and job.state.step is not Step.SUBMIT)
        if is_of_another:
            self._task.log.info("What Airflow resumes this try with is of try %s: beginning anew", found.try_number)
            return self.start()
        if job.state.step is Step.SUBMIT:
            return self.start(job.state)
        self._job_log.place = found.log_place
        self.ownership.hold(job.job_name, is_recorded=True)
        if found.error:
            again = self._finish_unwatched(found)
        else:
            said = f"the triggerer says that it is {found.status}" if found.status else ""
            if says_deleting(found.status):  # should SageMaker not know it any more: nor will it in a minute
                since = datetime.now(tz=UTC) - timedelta(seconds=UNKNOWN_SECONDS)
                job = replace(job, state=replace(job.state, trouble_since=since))
            again = self._finish(job, said=said)
        return self.start(again) if isinstance(again, SubmissionState) else again

    def _is_of_another_try(self, found: Resumption) -> bool:
        """
        Say whether an event, or the record of a job, is of a try before this one: Airflow 3.0 resumes a retry with it, as if the retry had waited.

        Source: ``ti_update_state`` of the execution API, which keeps ``next_method`` there.
        """
        return found.try_number not in (None, int(self._ti.try_number))

    def _end_at_timeout(self, found: Resumption) -> None:
        """Stop the job and raise, unless it has completed in time and only its event came late."""
        if found.waiting is not None:
            self.ownership.stop_at_timeout()
            raise NotebookJobTimeoutError(
                f"No notebook job ran: execution_timeout ({self._task.execution_timeout}) has passed while the task waited for {found.waiting.get('for')}",
                details={
                    "reason": str(found.waiting.get("reason")),
                    "next": "raise execution_timeout, or try again later",
                },
                job_name=found.job.job_name,
            )
        try:
            if described(self._task, found.job.job_name).state is JobState.SUCCEEDED:
                return
        except Exception as error:  # noqa: BLE001 - nothing hides a timeout, nor does a connection that cannot be read
            self._task.log.warning("Whether the job has completed in time is not known: %s", error)
        self.ownership.stop_at_timeout()
        raise self.ownership.timeout_error()

    def _finish_unwatched(self, found: Resumption) -> Any:
        """
        Finish a job that the triggerer could not watch, or have it watched again: what kept it from that may have passed.

        :raises NotebookJobServiceError: it has lasted for 10 minutes; worth a retry, which adopts the job.
        """
        job, now = found.job, datetime.now(tz=UTC)
        since = job.state.trouble_since or now
        if found.error_code == NOT_FOUND and job.state.trouble_since is None:
            since = now - timedelta(seconds=UNKNOWN_SECONDS)  # for so long the poller has asked
        failed = of_kept_job(
            NotebookJobServiceError(
                f"The triggerer cannot watch notebook job '{job.job_name}': {found.error}",
                code="WatchFailed",
                job_name=job.job_name,
            ),
            job.job_name,
        )
        snapshot: JobSnapshot | None = None
        if (now - since).total_seconds() < TROUBLE_SECONDS:
            self._task.log.warning("%s; having it watched again", failed.headline)
        else:
            snapshot = described_if_ended(self._task, job.job_name)
            if snapshot is None:
                raise failed
        state = replace(job.state, cause=Cause.TROUBLE, trouble_since=since)
        return self._finish(replace(job, state=state), snapshot, is_watched=False)

    def _finish(
        self,
        job: CurrentJob,
        snapshot: JobSnapshot | None = None,
        seen: int = 0,
        *,
        said: str = "",
        is_watched: bool = True,
    ) -> Any:
        """
        Push what an ended job left behind; a ``SubmissionState`` where it ended for want of capacity, and another is to be submitted.

        Trouble in reading it is waited through, as it is in submitting: a task without retries would lose what is paid for.

        :param seen: how many of the job's statuses are in the log.
        :param said: what the trigger has said of the job's end.
        """
        from airflow_nbjobs.task.results import push_results

        while True:
            try:
                with self._errors(was_adopted=job.was_adopted):
                    ended = snapshot or described(self._task, job.job_name)
                    if ended.failure_kind is FailureKind.CAPACITY:
                        again = self._submitter.after_capacity_failure(ended, job.state)
                        if again is not None:
                            return again
                    pushed = None
                    if ended.state.is_terminal:
                        # Before the mark: a worker that dies after it runs the notebook once more, so little is done then.
                        stop_earlier_jobs(self._task, self._context, self.ownership, self._publisher)
                        seen = log_transitions(self._task.log, ended, seen)
                        has_log = self._job_log.show(ended.job_name)
                        pushed = push_results(self._task, self._context, ended, self.ownership, has_log=has_log)
            except NotebookJobServiceError as error:
                # A denial is no verdict on a job that exists: policies are mended, keys are rotated.
                kept = of_kept_job(error, job.job_name)
                if job.state.trouble_since and is_over(error, job.state.trouble_since, datetime.now(tz=UTC)):
                    raise kept from error
                job = self._wait.until_readable(job, kept)
                continue
            if pushed is not None:
                break
            # Events may be stale or doubled; SageMaker's word counts.
            state = replace(job.state, trouble_since=None) if is_watched else job.state
            if said and state.trouble_rounds:
                # Once more: worker and triggerer would pass the task to and fro without a pause.
                stale = NotebookJobServiceError(
                    f"'{job.job_name}' is {ended.status}, but {said}", job_name=job.job_name
                )
                job = self._wait.until_readable(replace(job, state=state), stale)
                continue
            job = replace(job, state=replace(state, trouble_rounds=state.trouble_rounds + bool(said)))
            snapshot, seen = self._wait.until_ended(job)  # so it is pushed next
        result, value = pushed
        self._task.note_lineage(result=result)
        with self._errors(was_adopted=job.was_adopted):
            if result.error is not None:
                raise result.error
        return value
