"""
How a task waits: in the triggerer where it defers, else in its worker; until its job has ended, or until it may ask for a job again.

Called by ``run.py`` and ``submit.py``.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.watch.log_reader import LogReader
from airflow_nbjobs.core.errors import NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.job.parsers import seconds
from airflow_nbjobs.core.job.status import FOR_CAPACITY
from airflow_nbjobs.core.job.submission_state import SHORTEST_DEFERRAL_SECONDS, Cause, next_sleep
from airflow_nbjobs.core.job.trouble import is_over, known, of_kept_job
from airflow_nbjobs.core.job.wording import FOR_AWS, FOR_TURN
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.core.watch.pace import SHORTEST_DELAY_SECONDS
from airflow_nbjobs.settings import read_settings, wants_log_stream
from airflow_nbjobs.task import identity
from airflow_nbjobs.task.retryable import errors_of_task

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.aws.ports import Log
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.core.job.submission_state import Sleep, SubmissionState
    from airflow_nbjobs.task.ownership import Ownership
    from airflow_nbjobs.task.publish import Publisher
    from airflow_nbjobs.task.view import TaskView
    from airflow_nbjobs.triggers import NotebookJobTrigger

_SLICE_SECONDS = 1.0


class CurrentJob(msgspec.Struct, frozen=True, kw_only=True):
    """
    The job that a try waits for.

    :param was_adopted: the job was taken over from an earlier try.
    :param state: how the next request goes, if this job ends without an instance.
    """

    job_name: str
    was_adopted: bool
    state: SubmissionState


class JobLog:
    """
    The container's log in the task's.

    :ivar place: how much of it an earlier process of this try has written.
    """

    def __init__(self, task: TaskView) -> None:
        self._task = task
        self.place: dict[str, Any] | None = None

    @cached_property
    def reader(self) -> LogReader | None:
        """The log, from where an earlier process has left off; None where it is not to be in the task's."""
        task = self._task
        if not wants_log_stream(task.stream_logs, read_settings(task.hook.connection_extra)):
            return None
        return LogReader(task.hook.clients, task.log, LogPlace.from_json(self.place))

    def show(self, job_name: str) -> bool:
        """Write what is new into the task's log; say whether there is anything of the job in it."""
        return self.reader is not None and self.reader.show(job_name)

    @property
    def written_place(self) -> dict[str, Any] | None:
        """How much of the log is written now."""
        reader: LogReader | None = self.__dict__.get("reader")
        return reader.place.to_json() if reader is not None and reader.place.seen else self.place


def described(task: TaskView, job_name: str) -> JobSnapshot:
    """
    Return what SageMaker says of the job.

    :raises NotebookJobServiceError: it does not know the job, or could not be asked.
    """
    return known(task.hook.clients.jobs.describe(job_name), job_name)


def log_transitions(log: Log, snapshot: JobSnapshot, seen: int) -> int:
    """Log each secondary status after the first ``seen`` ones; return how many there are now."""
    for transition in snapshot.transitions[seen:]:
        at = f"{transition.started:%H:%M:%S} " if transition.started else ""
        log.info("%s%s: %s", at, transition.status, transition.message)
    return len(snapshot.transitions)


def described_if_ended(task: TaskView, job_name: str) -> JobSnapshot | None:
    """Return what SageMaker says of a job that has ended; None of one that has not, or where it gives no answer, which is logged."""
    try:
        snapshot = described(task, job_name)
    except NotebookJobError as error:
        task.log.warning("%s", error.headline)
        return None
    return snapshot if snapshot.state.is_terminal else None


class Wait:
    """The waits of one process of a task."""

    def __init__(
        self, task: TaskView, context: Context, ownership: Ownership, publisher: Publisher, job_log: JobLog
    ) -> None:
        self._task = task
        self._context = context
        self._ti: Any = context["ti"]
        self.ownership = ownership
        self.publisher = publisher
        self._job_log = job_log

    def until_ended(self, job: CurrentJob) -> tuple[JobSnapshot, int]:
        """
        Defer until the job has ended, or wait here.

        :return: the ended job, and how many of its statuses are in the log.
        """
        if self._task.deferrable:
            from airflow_nbjobs.triggers import NotebookJobTrigger

            self._defer(
                NotebookJobTrigger(
                    stream_logs=self._job_log.reader is not None,
                    deferred_at=datetime.now(tz=UTC).isoformat(),
                    **self._trigger_arguments(job),
                )
            )
        ended = self._poll(job.job_name)
        if self.ownership.stop_reason is not None:
            # `on_kill` has stopped it while this loop slept; the try ends, whatever the job left behind.
            raise self.ownership.stopped_by_us(self.ownership.stop_reason)
        return ended

    def _poll(self, job_name: str) -> tuple[JobSnapshot, int]:
        seen = 0
        trouble_since: datetime | None = None
        while True:
            if self.ownership.was_told_to_end:
                # The signal handler may have had no answer, having interrupted another question.
                self.ownership.end_if_over()
            try:
                with errors_of_task(self._task, self._context):
                    snapshot = described(self._task, job_name)
            except NotebookJobServiceError as error:
                trouble_since = trouble_since or datetime.now(tz=UTC)
                if is_over(error, trouble_since, datetime.now(tz=UTC)):
                    raise of_kept_job(error, job_name) from error
                self._task.log.warning("%s; going on waiting", error.headline)
                self._pause(max(self._task.waiter_delay, SHORTEST_DELAY_SECONDS))
                continue
            trouble_since = None
            seen = log_transitions(self._task.log, snapshot, seen)
            if snapshot.state.is_terminal:
                return snapshot, seen
            if self._job_log.reader is not None:
                self._job_log.reader.show(job_name)
                self.publisher.push_progress(job_name, self._job_log.reader.place)
            self._pause(max(self._task.waiter_delay, SHORTEST_DELAY_SECONDS))

    def until_next_request(
        self,
        state: SubmissionState,
        cause: Cause,
        error: NotebookJobError,
        job: PreparedJob | None,
        *,
        got_no_instance: bool = False,
    ) -> SubmissionState:
        """
        Wait until a job may be asked for again; return how that request goes.

        :param job: the job to submit, where it is known.
        :param got_no_instance: whether a job was made and had to end without one.
        :raises NotebookJobError: ``error``, once it is too late.
        """
        name = job.location(state.attempt).job_name if job else ""
        sleep, what = self._next_sleep(state, cause, error, name)
        words = FOR_AWS if cause is Cause.TROUBLE else FOR_CAPACITY if got_no_instance else FOR_TURN
        self.publisher.push_wait(sleep, what, error, job, words=words)
        return self._sleep(sleep, CurrentJob(job_name=name, was_adopted=False, state=sleep.state))

    def until_readable(self, job: CurrentJob, error: NotebookJobServiceError) -> CurrentJob:
        """
        Wait until an existing job's end may be asked for, or its results be read, again.

        :raises NotebookJobError: ``error``, once it is too late.
        """
        sleep, _ = self._next_sleep(job.state, Cause.TROUBLE, error, job.job_name)
        following = replace(job, state=sleep.state)
        self._sleep(sleep, following)
        return following

    def _next_sleep(
        self, state: SubmissionState, cause: Cause, error: NotebookJobError, name: str
    ) -> tuple[Sleep, str]:
        task = self._task
        sleep = next_sleep(
            state,
            cause,
            now=datetime.now(tz=UTC),
            capacity_timeout_seconds=seconds(task.capacity_timeout),
            first_delay_seconds=task.waiter_delay,
            key=name or f"{self._ti.dag_id}.{self._ti.task_id}.{self._ti.map_index}",
            shortest_delay_seconds=SHORTEST_DEFERRAL_SECONDS if task.deferrable else _SLICE_SECONDS,
        )
        if sleep is None:
            raise _given_up(error, state, cause)
        what = "an instance or quota" if cause is Cause.CAPACITY else "AWS"
        task.log.warning(
            "Waiting for %s, asking again at %s (wait %d): %s",
            what,
            f"{sleep.until:%H:%M:%S} UTC",
            sleep.state.waits,
            error.headline,
        )
        return sleep, what

    def _sleep(self, sleep: Sleep, job: CurrentJob) -> SubmissionState:
        if self._task.deferrable:
            from airflow_nbjobs.triggers import NotebookJobTurnTrigger

            self._defer(NotebookJobTurnTrigger(until=sleep.until.isoformat(), **self._trigger_arguments(job)))
        while (left := (sleep.until - datetime.now(tz=UTC)).total_seconds()) > 0:
            if self.ownership.was_told_to_end:
                self.ownership.end_if_over()
            self._pause(min(left, max(self._task.waiter_delay, _SLICE_SECONDS)))
        return sleep.state

    def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until this try is told to end."""
        until = time.monotonic() + seconds
        while not self.ownership.was_told_to_end and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))

    def _defer(self, trigger: NotebookJobTrigger) -> NoReturn:
        left = identity.seconds_left(self._task, self._context)
        self._task.defer(
            trigger=trigger,
            method_name="execute_complete",
            # Airflow 3 does not enforce execution_timeout on a deferred task by itself.
            timeout=timedelta(seconds=max(left, SHORTEST_DEFERRAL_SECONDS)) if left is not None else None,
        )

    def _trigger_arguments(self, job: CurrentJob) -> dict[str, Any]:
        task = self._task
        return {
            "job_name": job.job_name,
            "attempt": job.state.attempt,
            "was_adopted": job.was_adopted,
            "aws_conn_id": task.aws_conn_id,
            "region_name": task.region_name,
            "verify": task.verify,
            "botocore_config": task.botocore_config,
            "waiter_delay": task.waiter_delay,
            "stop_on_kill": task.stop_on_kill,
            "turn": job.state.to_json(),
            "log_place": self._job_log.written_place,
            "try_number": int(self._ti.try_number),
        }


def _given_up(error: NotebookJobError, state: SubmissionState, cause: Cause) -> NotebookJobError:
    began = state.since if cause is Cause.CAPACITY else state.trouble_since
    if began is not None:
        asked = replace(state, cause=cause).waits + 1
        error.details["waited"] = f"since {began:%Y-%m-%d %H:%M:%S} UTC, asked {asked} times"
    return error
