"""
One try of a notebook task: submit, wait as asked, hand over the results.

Called by the operator, inside ``execute`` and its successors only; everything is decided in ``core`` and done in ``aws``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import TRIGGER_TIMEOUT, AirflowTaskTimeout, job_xcom
from airflow_nbjobs.aws.results.read import Expectation, JobResult, read_result
from airflow_nbjobs.aws.submit.earlier_jobs import stop_abandoned
from airflow_nbjobs.aws.submit.job import Begin, Refused, Staged, Submission, instance_choices, submit
from airflow_nbjobs.aws.watch.log_reader import LogReader
from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    bounded,
)
from airflow_nbjobs.core.job.arguments import seconds
from airflow_nbjobs.core.job.doubts import UNKNOWN_SECONDS
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.queueing import (
    SHORTEST_DEFERRAL_SECONDS,
    TROUBLE_SECONDS,
    Cause,
    Sleep,
    Step,
    Turn,
    next_turn,
)
from airflow_nbjobs.core.job.status import FailureKind, JobState
from airflow_nbjobs.core.job.trouble import NOT_FOUND, is_over, of_kept_job
from airflow_nbjobs.core.job.wording import FOR_AWS, FOR_CAPACITY, FOR_TURN
from airflow_nbjobs.core.values.outputs import declare_outputs
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.core.watch.pace import SHORTEST_DELAY_SECONDS
from airflow_nbjobs.links import JOB_KEY
from airflow_nbjobs.log_memory import recall
from airflow_nbjobs.settings import read_settings, wants_log_stream
from airflow_nbjobs.task import identity as task_context
from airflow_nbjobs.task.deferral import Deferral
from airflow_nbjobs.task.handover import log_result, log_transitions, push_result
from airflow_nbjobs.task.ownership import Custody
from airflow_nbjobs.task.prepare import Preparation
from airflow_nbjobs.task.publish import Announcement
from airflow_nbjobs.task.retryable import policy_wants_retry, surfaced

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.prepare import PreparedJob
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.task.view import TaskView

_SLICE_SECONDS = 1.0
_TIMEOUT_PASSED = "execution_timeout has passed"


class Execution:
    """
    The work of one worker leg.

    :param operator: with rendered fields.
    """

    def __init__(self, operator: TaskView, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]
        self._custody = Custody(operator, self._ti)
        self._announcement = Announcement(operator, context)
        self._deferral = Deferral(operator, context)
        self._preparation = Preparation(operator, context)
        self._log_place: dict[str, Any] | None = None  # how much of the container's log an earlier leg has written

    @property
    def job_name(self) -> str | None:
        """The job that this leg answers for, once it has a name."""
        return self._custody.job_name

    def stop_if_taken_away(self) -> None:
        """Stop the job if Airflow says that the task is no longer this try's; called inside a signal handler."""
        self._custody.stop_if_taken_away()

    # -- submitting ------------------------------------------------------------------------------------------------

    def start(self, turn: Turn | None = None) -> Any:
        """
        Submit the job and wait for it.

        :param turn: where an earlier leg of this try has left off, waiting for capacity or through trouble.
        """
        following: Any = turn or Turn()
        try:
            while isinstance(following, Turn):  # a job without an instance is followed by another
                following = self._submit_and_follow(following)
        except AirflowTaskTimeout:
            self._custody.stop_at_timeout(_TIMEOUT_PASSED)
            raise
        return following

    def _submit_and_follow(self, turn: Turn) -> Any:
        with self._surfaced():
            job, submission = self._submit(turn)
        self._custody.hold(submission.job_name, is_recorded=False)
        # Asked before the job is announced: a process that stood still must not overwrite what the task follows now. A task that was taken away learns so
        # with its next heartbeat only; its deferral would be refused, and its job would run on.
        self._custody.end_if_over()
        self._announcement.of_job(job, submission)
        self._custody.hold(submission.job_name, is_recorded=True)
        if not self._operator.wait_for_completion:
            return {"job_name": submission.job_name, "job_arn": submission.arn, "status": "InProgress"}
        staged, adopted = submission.staged, submission.adopted
        self._log_place = self._log_place or LogPlace(added=job.added_cells).to_json()
        followed = replace(
            turn,
            step=Step.FINISH,
            trouble_since=None,
            attempt=submission.attempt,
            choice=submission.choice,
            staged_attempt=staged.attempt if staged else None,
            staged_sha256=staged.sha256 if staged else "",
        )
        if adopted is not None and adopted.state.is_terminal:
            return self._finish(submission.job_name, was_adopted=True, turn=followed, snapshot=adopted)
        return self._wait_on(submission.job_name, was_adopted=adopted is not None, turn=followed)

    def _surfaced(self, *, was_adopted: bool = False) -> AbstractContextManager[None]:
        operator = self._operator
        return surfaced(
            retry_on_cell_error=operator.retry_on_cell_error,
            was_adopted=was_adopted,
            wants_retry=policy_wants_retry(operator, self._context),
        )

    def _submit(self, turn: Turn) -> tuple[PreparedJob, Submission]:
        """Return the job that runs now; leave the worker, or sleep in it, for as long as none can be had for a reason that passes."""
        while True:
            job: PreparedJob | None = None
            try:
                job = self._preparation.job(told_sha256=turn.staged_sha256)
                if turn == Turn():
                    self._stop_abandoned()
                outcome = submit(
                    job,
                    self._operator.hook.clients,
                    begin=self._beginning(turn),
                    log=self._operator.log,
                    expect=partial(self._expect, job, turn.attempt),
                )
            except NotebookJobServiceError as error:
                if not error.is_retryable:
                    raise
                outcome = Refused(error=error, attempt=turn.attempt)
            if isinstance(outcome, Submission):
                return job, outcome  # type: ignore[return-value] # a submission has a job
            self._custody.end_if_over()
            cause = Cause.CAPACITY if isinstance(outcome.error, NotebookJobCapacityError) else Cause.TROUBLE
            staged = outcome.staged
            refused = replace(
                turn,
                attempt=outcome.attempt,
                choice=0,
                may_exist=outcome.may_exist,
                staged_attempt=staged.attempt if staged else turn.staged_attempt,
                staged_sha256=staged.sha256 if staged else turn.staged_sha256,
            )
            turn = self._wait_for_turn(refused, cause, outcome.error, job)

    def _expect(self, job: PreparedJob, first_attempt: int, job_name: str, owner: str) -> None:
        """Note the job that the next request makes: here, and in the list by which a later life of the task finds it."""
        self._custody.expect(job_name, owner)
        self._announcement.remember(job, next(k for k in count(first_attempt) if job.owner(k) == owner))

    def _stop_abandoned(self) -> None:
        """
        Stop what the task's lives before a clear have left running.

        Asked for when a task begins, and again when its job has ended: a worker that stood still may have made a job of a dead life meanwhile.
        """
        operator = self._operator
        retries = int(operator.retries or 0)
        if not (operator.wait_for_completion and operator.stop_on_kill):
            return  # nobody has promised that a job ends with its task
        if not task_context.was_cleared(self._ti, self._context["dag_run"], retries):
            return
        settings = read_settings(operator.hook.connection_extra)
        run = task_context.run_of(self._context, deployment=settings.deployment)
        try:
            stop_abandoned(
                run.key,
                str(operator.notebook_job_name or run.readable),
                operator.hook.clients,
                log=operator.log,
                remembered=self._announcement.remembered(),
                generations=task_context.earlier_generations(self._ti, retries),
                before_stop=self._custody.end_if_superseded,
            )
        except NotebookJobStoppedError:
            raise
        except NotebookJobError as error:
            operator.log.warning("Jobs from before the task was cleared may still run: %s", error.headline)

    def _beginning(self, turn: Turn) -> Begin:
        """Return where a leg begins: a first try, and one whose request was plainly refused, need not ask for the name first."""
        is_first_leg = turn == Turn()
        return Begin(
            attempt=turn.attempt,
            choice=turn.choice,
            staged=None
            if turn.staged_attempt is None
            else Staged(attempt=turn.staged_attempt, sha256=turn.staged_sha256),
            is_free=task_context.is_first_try(self._ti) if is_first_leg else not turn.may_exist,
        )

    # -- waiting ---------------------------------------------------------------------------------------------------

    def _wait_for_turn(
        self,
        turn: Turn,
        cause: Cause,
        error: NotebookJobError,
        job: PreparedJob | None,
        *,
        job_name: str = "",
        was_adopted: bool = False,
        got_no_instance: bool = False,
    ) -> Turn:
        """
        Leave the worker until the next leg's time has come, or sleep here where the task does not defer; return how that leg begins.

        :param job: the job to submit, where it is known.
        :param job_name: the job that a leg was to finish.
        :param got_no_instance: whether a job was made and had to end without one.
        :raises NotebookJobError: ``error``, once it is too late.
        """
        operator = self._operator
        name = job.location(turn.attempt).job_name if job else job_name
        sleep = next_turn(
            turn,
            cause,
            now=datetime.now(tz=UTC),
            capacity_timeout_seconds=seconds(operator.capacity_timeout),
            first_delay_seconds=operator.waiter_delay,
            key=name or f"{self._ti.dag_id}.{self._ti.task_id}.{self._ti.map_index}",
            shortest_delay_seconds=SHORTEST_DEFERRAL_SECONDS if operator.deferrable else _SLICE_SECONDS,
        )
        if sleep is None:
            raise _given_up(error, turn, cause)
        what = "an instance or quota" if cause is Cause.CAPACITY else "AWS"
        operator.log.warning(
            "Waiting for %s, asking again at %s (wait %d): %s",
            what,
            f"{sleep.until:%H:%M:%S} UTC",
            sleep.turn.waits,
            error.headline,
        )
        if turn.step is Step.SUBMIT:
            state = FOR_AWS if cause is Cause.TROUBLE else FOR_CAPACITY if got_no_instance else FOR_TURN
            self._announcement.of_wait(sleep, what, error, job, state=state)
        if operator.deferrable:
            self._deferral.until_turn(
                sleep, job_name=name, was_adopted=was_adopted, log_place=self._written_log_place()
            )
        return self._slept(sleep)

    def _slept(self, sleep: Sleep) -> Turn:
        while (left := (sleep.until - datetime.now(tz=UTC)).total_seconds()) > 0:
            if self._custody.was_told_to_end:
                self._custody.end_if_over()
            self._pause(min(left, max(self._operator.waiter_delay, _SLICE_SECONDS)))
        return sleep.turn

    def _wait_on(self, job_name: str, *, was_adopted: bool, turn: Turn) -> Any:
        if self._operator.deferrable:
            self._deferral.until_ended(
                job_name,
                was_adopted=was_adopted,
                turn=turn,
                stream_logs=self._container_log is not None,
                log_place=self._written_log_place(),
            )
        return self._wait_here(job_name, was_adopted=was_adopted, turn=turn)

    def _wait_here(self, job_name: str, *, was_adopted: bool, turn: Turn) -> Any:
        """Hold the worker until the job has ended, logging each change of its status as it comes."""
        seen = 0
        trouble_since: datetime | None = None
        while True:
            if self._custody.was_told_to_end:
                # The signal handler may have had no answer, having interrupted another question.
                self._custody.end_if_over()
            try:
                with self._surfaced():
                    snapshot = self._described(job_name)
            except NotebookJobServiceError as error:
                trouble_since = trouble_since or datetime.now(tz=UTC)
                if is_over(error, trouble_since, datetime.now(tz=UTC)):
                    raise of_kept_job(error, job_name) from error
                self._operator.log.warning("%s; going on waiting", error.headline)
                self._pause(max(self._operator.waiter_delay, SHORTEST_DELAY_SECONDS))
                continue
            trouble_since = None
            seen = log_transitions(self._operator.log, snapshot, seen)
            if snapshot.state.is_terminal:
                break
            if self._container_log is not None:
                self._container_log.show(job_name)
                self._announcement.of_progress(job_name, self._container_log.place)
            self._pause(max(self._operator.waiter_delay, SHORTEST_DELAY_SECONDS))
        if self._custody.stop_reason is not None:
            # `on_kill` has stopped it while this loop slept; the try ends, whatever the job left behind.
            raise self._custody.stopped_by_us(self._custody.stop_reason)
        return self._finish(job_name, was_adopted=was_adopted, turn=turn, snapshot=snapshot, seen=seen)

    def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than until this try is told to end."""
        until = time.monotonic() + seconds
        while not self._custody.was_told_to_end and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _SLICE_SECONDS))

    # -- later legs ------------------------------------------------------------------------------------------------

    def resume(self, event: dict[str, Any]) -> Any:
        """
        Go on after a trigger's event; an event that says nothing is made up for by the XCom that the leg before has pushed.

        :raises NotebookJobServiceError: the job cannot be watched and has not ended; worth a retry, which adopts it.
        """
        if not event.get("job_name") and not event.get("turn"):
            event = self._recorded_job("The trigger's event says nothing")
        if self._is_of_another_try(event):
            return self.start()
        turn = _turn_of(event)
        if turn.step is Step.SUBMIT:
            return self.start(turn)
        job_name = str(event["job_name"])
        self._log_place = event.get("log_place")
        self._custody.hold(job_name, is_recorded=True)
        was_adopted = bool(event.get("was_adopted"))
        if event.get("error"):
            if event.get("error_code") == NOT_FOUND and turn.trouble_since is None:
                # The poller has asked for a minute.
                turn = replace(turn, trouble_since=datetime.now(tz=UTC) - timedelta(seconds=UNKNOWN_SECONDS))
            again = self._finish_unwatched(job_name, str(event["error"]), was_adopted=was_adopted, turn=turn)
        else:
            told = f"the triggerer says that it is {event['status']}" if event.get("status") else ""
            again = self._finish(job_name, was_adopted=was_adopted, turn=turn, told=told)
        return self.start(again) if isinstance(again, Turn) else again

    def _is_of_another_try(self, event: dict[str, Any]) -> bool:
        """
        Say whether an event, or the record of a job, is of a try before this one: Airflow 3.0 resumes a retry with it, as if the retry had waited.

        Source: ``ti_update_state`` of the execution API, which keeps ``next_method`` there.
        """
        try_number = event.get("try_number")
        if try_number is None or int(try_number) == int(self._ti.try_number):
            return False
        self._operator.log.info("What Airflow resumes this try with is of try %s: beginning anew", try_number)
        return True

    def _finish_unwatched(self, job_name: str, reason: str, *, was_adopted: bool, turn: Turn) -> Any:
        """
        Finish a job that the triggerer could not watch, or have it watched again: what kept it from that may have passed.

        :raises NotebookJobServiceError: it has lasted for 10 minutes; worth a retry, which adopts the job.
        """
        now = datetime.now(tz=UTC)
        since = turn.trouble_since or now
        failed = of_kept_job(
            NotebookJobServiceError(
                f"The triggerer cannot watch notebook job '{job_name}': {reason}", code="WatchFailed", job_name=job_name
            ),
            job_name,
        )
        snapshot: JobSnapshot | None = None
        if (now - since).total_seconds() < TROUBLE_SECONDS:
            self._operator.log.warning("%s; having it watched again", failed.headline)
        else:
            snapshot = self._ended(job_name)
            if snapshot is None:
                raise failed
        turn = replace(turn, cause=Cause.TROUBLE, trouble_since=since)
        return self._finish(job_name, was_adopted=was_adopted, turn=turn, snapshot=snapshot, is_watched=False)

    def _ended(self, job_name: str) -> JobSnapshot | None:
        try:
            snapshot = self._described(job_name)
        except NotebookJobError as error:
            self._operator.log.warning("%s", error.headline)
            return None
        return snapshot if snapshot.state.is_terminal else None

    def resume_after_trigger_failure(self, failure: dict[str, Any]) -> Any:
        """Stop the job if its time was over; a trigger that crashed says nothing about the job, so look, and wait on."""
        event = self._recorded_job(f"The trigger failed ({failure.get('error')})")
        if self._is_of_another_try(event):
            return self.start()
        job_name = event.get("job_name")
        if job_name:
            self._custody.hold(str(job_name), is_recorded=True)
        if failure.get("error") == TRIGGER_TIMEOUT:
            self._end_at_timeout(event)
        elif failure.get("traceback"):
            self._operator.log.error("The trigger failed:\n%s", bounded("\n".join(failure["traceback"]), 20_000))
        return self.resume(event)

    def _end_at_timeout(self, event: dict[str, Any]) -> None:
        """Stop the job and raise, unless it has completed in time and only its event came late."""
        operator, job_name = self._operator, event.get("job_name")
        timeout = f"execution_timeout ({operator.execution_timeout})"
        if "waiting" in event:
            self._custody.stop_at_timeout(_TIMEOUT_PASSED)
            waiting = event["waiting"]
            raise NotebookJobTimeoutError(
                f"No notebook job ran: {timeout} has passed while the task waited for {waiting.get('for')}",
                details={"reason": str(waiting.get("reason")), "next": "raise execution_timeout, or try again later"},
                job_name=job_name,
            )
        try:
            if self._described(str(job_name)).state is JobState.SUCCEEDED:
                return
        except Exception as error:  # noqa: BLE001 - nothing hides a timeout, nor does a connection that cannot be read
            operator.log.warning("Whether the job has completed in time is not known: %s", error)
        self._custody.stop_at_timeout(_TIMEOUT_PASSED)
        raise NotebookJobTimeoutError(
            f"Notebook job '{job_name}' was stopped: {timeout} has passed",
            details={"next": "raise execution_timeout, or give the notebook less to do"},
            job_name=job_name,
        )

    def _identity(self) -> dict[str, Any]:
        return {name: getattr(self._ti, name) for name in ("dag_id", "run_id", "task_id", "map_index")}

    def _recorded_job(self, why: str) -> dict[str, Any]:
        """Return the task's own ``nbjobs_job``, which says as much as an event does."""
        job = job_xcom(JOB_KEY, **self._identity())
        if not isinstance(job, dict) or not (job.get("job_name") or job.get("turn")):
            raise NotebookJobServiceError(
                f"{why}, and the task has no record of its job",
                is_retryable=True,
                details={"next": "a retry of this task finds its job by name"},
            )
        return job | {"log_place": recall(str(job.get("job_name")), self._identity())}

    @cached_property
    def _container_log(self) -> LogReader | None:
        """The container's log, from where an earlier leg has left off; None where it is not to be in the task's."""
        operator = self._operator
        if not wants_log_stream(operator.stream_logs, read_settings(operator.hook.connection_extra)):
            return None
        return LogReader(operator.hook.clients, operator.log, LogPlace.from_json(self._log_place))

    def _written_log_place(self) -> dict[str, Any] | None:
        reader: LogReader | None = self.__dict__.get("_container_log")
        return reader.place.to_json() if reader is not None and reader.place.seen else self._log_place

    def _described(self, job_name: str) -> JobSnapshot:
        snapshot = self._operator.hook.clients.jobs.describe(job_name)
        if snapshot is None:
            # A service of many machines: one may not know yet what another has just made.
            raise NotebookJobServiceError(
                f"SageMaker does not know training job '{job_name}'",
                code=NOT_FOUND,
                is_retryable=True,
                details={"why": "it has been deleted, or was created a moment ago and is not shown yet"},
                job_name=job_name,
            )
        return snapshot

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(
        self,
        job_name: str,
        *,
        was_adopted: bool,
        turn: Turn,
        snapshot: JobSnapshot | None = None,
        seen: int = 0,
        told: str = "",
        is_watched: bool = True,
    ) -> Any:
        """
        Hand over what an ended job left behind; a ``Turn`` where it ended for want of capacity, and another is to be submitted.

        Trouble in reading it is waited through, as it is in submitting: a task without retries would lose what is paid for.

        :param told: what the trigger has said of the job's end.
        """
        while True:
            try:
                with self._surfaced(was_adopted=was_adopted):
                    ended = snapshot or self._described(job_name)
                    again = self._after_capacity_failure(ended, turn)
                    if again is not None:
                        return again
                    handed_over = None
                    if ended.state.is_terminal:
                        # Before the mark: a worker that dies after it runs the notebook once more, so little is done then.
                        self._stop_abandoned()
                        handed_over = self._hand_over(ended, seen)
            except NotebookJobServiceError as error:
                # A denial is no verdict on a job that exists: policies are mended, keys are rotated.
                kept = of_kept_job(error, job_name)
                if turn.trouble_since and is_over(error, turn.trouble_since, datetime.now(tz=UTC)):
                    raise kept from error
                turn = self._wait_for_turn(turn, Cause.TROUBLE, kept, None, job_name=job_name, was_adopted=was_adopted)
                continue
            if handed_over is None:
                # Events may be stale or doubled; SageMaker's word counts.
                turn = replace(turn, trouble_since=None) if is_watched else turn
                if told and turn.trouble_rounds:
                    # Once more: worker and triggerer would pass the task to and fro without a pause.
                    stale = NotebookJobServiceError(f"'{job_name}' is {ended.status}, but {told}", job_name=job_name)
                    turn = self._wait_for_turn(
                        turn, Cause.TROUBLE, stale, None, job_name=job_name, was_adopted=was_adopted
                    )
                    continue
                following = replace(turn, trouble_rounds=turn.trouble_rounds + bool(told))
                return self._wait_on(job_name, was_adopted=was_adopted, turn=following)
            result, value = handed_over
            with self._surfaced(was_adopted=was_adopted):
                if result.error is not None:
                    raise result.error
            return value

    def _after_capacity_failure(self, snapshot: JobSnapshot, turn: Turn) -> Turn | None:
        """
        Return where to submit again after a job got no instance: at once with the next instance type, or later; None where it ended otherwise.

        :raises NotebookJobCapacityError: it is too late, or nobody wanted to wait.
        """
        if snapshot.failure_kind is not FailureKind.CAPACITY or not seconds(self._operator.capacity_timeout):
            return None
        log_transitions(self._operator.log, snapshot, 0)
        with self._surfaced():
            job = self._preparation.job(told_sha256=turn.staged_sha256)
        choices = instance_choices(job, self._operator.hook.clients)
        following = replace(turn, step=Step.SUBMIT, attempt=turn.attempt + 1, may_exist=True)
        asked = choices[min(turn.choice, len(choices) - 1)]
        if len(asked) == 1 and turn.choice + 1 < len(choices):
            self._operator.log.warning("No capacity for %s: asking for the next instance type", asked[0])
            return replace(following, choice=turn.choice + 1, since=turn.since or datetime.now(tz=UTC))
        error = NotebookJobCapacityError(
            f"Notebook job '{snapshot.job_name}' got no instance: {snapshot.failure_reason}",
            details={"next": "retry later, or use another instance_type"},
            job_name=snapshot.job_name,
        )
        return self._wait_for_turn(replace(following, choice=0), Cause.CAPACITY, error, job, got_no_instance=True)

    def _hand_over(self, snapshot: JobSnapshot, seen: int) -> tuple[JobResult, Any]:
        operator = self._operator
        log_transitions(operator.log, snapshot, seen)
        is_streamed = self._container_log is not None and self._container_log.show(snapshot.job_name)
        location = JobLocation((snapshot.output_root or "").rstrip("/"), snapshot.job_name)
        result = read_result(snapshot, location, self._expectation(), operator.hook.clients, now=datetime.now(tz=UTC))
        log_result(operator.log, result, with_tail=not is_streamed)
        # What a try hands over that is over, the next one takes for delivered, and runs the notebook again.
        self._custody.note_end()
        self._custody.end_if_over()
        value = push_result(self._ti, result, operator.return_output)
        self._custody.end_if_over()
        try:
            self._deliver(result, location)
        except NotebookJobServiceError as error:
            if result.error is None or error.is_retryable:
                raise
            # Why the job failed is what the task must say; where its notebook is, the archive still tells.
            operator.log.warning("The executed notebook is in output.tar.gz only: %s", error)
        return result, value

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


def _given_up(error: NotebookJobError, turn: Turn, cause: Cause) -> NotebookJobError:
    began = turn.since if cause is Cause.CAPACITY else turn.trouble_since
    if began is not None:
        error.details["waited"] = (
            f"since {began:%Y-%m-%d %H:%M:%S} UTC, asked {replace(turn, cause=cause).waits + 1} times"
        )
    return error


def _turn_of(event: dict[str, Any]) -> Turn:
    turn = event.get("turn")
    return Turn.from_json(turn) if turn else Turn(step=Step.FINISH, attempt=int(event.get("attempt") or 0))
