"""
Whether a process still owns its task, and whether it may stop the job: only when a user took the task away from this try.

Made by ``run.py``, used wherever a try goes on: in the worker's main thread and, for ``on_kill``, inside its signal handler.
"""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_nbjobs._compat import has_try, job_xcom, task_instance_key, task_state
from airflow_nbjobs.core.errors import NotebookJobStoppedError, NotebookJobTimeoutError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.ownership import TAKEN_AWAY, Verdict, verdict
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_record

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from airflow_nbjobs.task.view import TaskView

# Airflow's supervisor kills a process 5 s after it has told it to end.
_ASK_SECONDS = 3.0
_STOP_SECONDS = 10.0
# How often a process whose try is over asks what the next try does with the job; its supervisor kills it sooner, as a rule.
_QUESTIONS = 30
_QUESTION_PAUSE_SECONDS = 1.0
# Airflow sets these by itself: `on_kill` keeps the job. None: a scheduler that takes over sets it for a moment, as a clear of an ended task does; the next try
# knows which, and stops the job of a cleared one. Source: ``adopt_or_reset_orphaned_tasks`` of Airflow's scheduler.
_AIRFLOWS_OWN = frozenset({"up_for_retry", "up_for_reschedule", "scheduled", "queued", None})


def _is_in_a_question() -> bool:
    """Say whether the signal has interrupted a question to Airflow: another one then has no answer, or on Airflow 3.0 takes that of the first."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the only way to the stack without inspect's reading of source files
    while frame is not None:
        if frame.f_globals.get("__name__") == "airflow.sdk.execution_time.comms":
            return True
        frame = frame.f_back
    return False


def is_try_over(try_id: object, log: Any) -> bool | None:
    """Say whether Airflow has gone on to another try; None: no answer. In doubt the try goes on: what it records is refused, if it is over."""
    if try_id is None:
        return None
    try:
        return not has_try(try_id)
    except Exception as error:  # noqa: BLE001 - as said above
        log.debug("Airflow does not say whether this try goes on: %s", error)
        return None


class TryOverError(NotebookJobStoppedError):
    """This try is over and the job is left to the next one; not fatal, as a stop by somebody is: a retry goes on."""


class Ownership:
    """
    Which job this process owns, and whether it still does.

    :ivar job_name: the job to stop if need be; None before one has a name.
    :ivar stop_reason: why this process has stopped the job, or must not begin one; None while it may go on.
    :ivar was_told_to_end: Airflow has sent its signal; the process may be killed at any moment.
    """

    def __init__(self, task: TaskView, ti: Any) -> None:
        self._task = task
        self._identity = task_instance_key(ti)
        self._try_id: Any = getattr(ti, "id", None)
        self._owner: str | None = None
        self._is_recorded = False
        self._has_ended = False
        self.job_name: str | None = None
        self.stop_reason: str | None = None
        self.was_told_to_end = False
        self._is_stopped = False

    def expect(self, job_name: str, owner: str) -> None:
        """
        Note the job that is about to be created: from here on it may exist, whether or not the answer arrives.

        Airflow is asked first, each time: a process that stood still may have lost its task meanwhile.

        :raises NotebookJobStoppedError: the task is no longer this try's; no job is created.
        """
        if self.stop_reason is not None:
            raise self.stopped_by_us(self.stop_reason)
        # One of before, if any, has ended or was never made.
        self.job_name, self._is_recorded, self._has_ended = None, False, False
        if self.was_told_to_end:
            raise self._over("Airflow told this try to end")
        if self._is_over():
            raise self._over("Airflow has ended this try")
        reason = self._asked()
        if reason is not None:
            raise self.stopped_by_us(reason)
        self.job_name, self._owner = job_name, owner

    def hold(self, job_name: str, *, is_recorded: bool) -> None:
        """
        Note a job that is known to be this task's.

        :param is_recorded: the task's ``nbjobs_job`` names it; until then that may name a job that this try has followed before.
        """
        self.job_name, self._owner, self._is_recorded = job_name, None, is_recorded
        self._has_ended = False

    def note_end(self) -> None:
        """Note that the job is in a terminal state: there is nothing to stop any more."""
        self._has_ended = True

    def stop_if_taken_away(self) -> None:
        """
        Stop the job if Airflow says that the task is no longer this try's; without an answer within 3 s the job is kept.

        A thread of its own asks: this runs inside a signal handler, which may have interrupted a call to Airflow or to AWS whose lock is not
        reentrant. Before there is a job, ``stop_reason`` alone is set, and none is created.
        """
        self.was_told_to_end = True
        if self.stop_reason is not None or not self._task.stop_on_kill or _is_in_a_question():
            return  # where it has interrupted a question to Airflow, this thread asks again, or ends, as soon as that is answered
        answers: list[str | None] = []
        answered, is_too_late = threading.Event(), threading.Event()

        def ask_and_stop() -> None:
            try:
                answers.append(self._taken_away())
            except Exception as error:  # noqa: BLE001 - no answer keeps the job, whatever the reason
                self._task.log.warning("Airflow does not say what became of this task: %s", error)
            answered.set()
            if answers and answers[0] is not None and not is_too_late.is_set():
                try:
                    self.stop(answers[0])
                except Exception:  # the process is ending: nobody is left to take it
                    self._task.log.exception("Notebook job '%s' could not be stopped", self.job_name)

        asking = threading.Thread(target=ask_and_stop, daemon=True, name="nbjobs-ownership")
        asking.start()
        if not answered.wait(_ASK_SECONDS):
            is_too_late.set()
        if not is_too_late.is_set() and answers and answers[0] is not None:
            asking.join(_STOP_SECONDS)
            return
        if self.job_name is not None:
            self._task.log.warning(
                "Keeping notebook job '%s': Airflow ends this try by itself; the task's next try adopts the job",
                self.job_name,
            )

    def end_if_over(self) -> None:
        """
        End this try if it is no longer the task's, or was told to end: the next try records its job and pushes its results.

        :raises NotebookJobStoppedError: with the job stopped where a user took the task away, else kept for the next try.
        """
        if self.stop_reason is not None:
            if not self._is_stopped:  # it was not there yet when the signal came
                self.stop(self.stop_reason)
        else:
            # In this order: a try that Airflow still has afterwards was the task's as its state was told. Where there is no answer, what the task follows tells.
            reason = self._asked()
            is_over = self._is_over()
            if is_over:
                self._leave_to_next_try()
            if is_over is None and reason is None:
                reason = self._answered(self._follows_another_job)
            if reason is not None and self._task.stop_on_kill:
                self.stop(reason)
        if self.stop_reason is not None and self._task.stop_on_kill:
            raise self.stopped_by_us(self.stop_reason)
        if self.was_told_to_end:
            raise self._over("Airflow told this try to end")

    def end_if_superseded(self) -> None:
        """
        End this try if Airflow has gone on to another.

        :raises NotebookJobStoppedError: with the job stopped where the task goes on without it, else kept for the next try.
        """
        if self._is_over():
            self._leave_to_next_try()

    def _leave_to_next_try(self) -> NoReturn:
        self._settle_job()
        raise self._over("Airflow has ended this try")

    def _asked(self) -> str | None:
        return self._answered(partial(self._taken_away, TAKEN_AWAY))

    def _answered(self, question: Callable[[], str | None]) -> str | None:
        try:
            return question()
        except Exception as error:  # noqa: BLE001 - in doubt the job is kept
            self._task.log.debug("Airflow does not say what became of this task: %s", error)
            return None

    def _is_over(self) -> bool | None:
        return is_try_over(self._try_id, self._task.log)

    def _taken_away(self, states: frozenset[str] | None = None) -> str | None:
        """
        Return what became of the task, None while it is this try's.

        :param states: only these count as taken away; None: every state but a live try's and what Airflow sets by itself, also none at all.
        """
        state = task_state(**self._identity)
        is_running = state in ("running", "deferred")
        is_taken = not is_running and state not in _AIRFLOWS_OWN if states is None else state in states
        if is_taken:
            return None if self._is_left_running(state) else f"the task is now '{state}'"
        return self._follows_another_job() if is_running and states is None else None

    def _follows_another_job(self) -> str | None:
        """Return what the task follows instead: it was cleared and has begun again, and this process is a leftover; None where it may be about to adopt this job."""
        followed = self._followed() if self._is_recorded else None
        return None if followed in (None, self.job_name) else f"the task now follows job '{followed}'"

    def _is_left_running(self, state: str | None) -> bool:
        """Say whether the task has succeeded with another try, which has adopted the job and left it running as it was asked to."""
        return state == "success" and not self._task.wait_for_completion and self._is_over() is True

    def _followed(self) -> str | None:
        return read_record(JOB_KEY, job_xcom(JOB_KEY, **self._identity)).get("job_name") or None

    def _settle_job(self) -> None:
        """Stop the job of a try that is over where the task goes on without it: it was cleared. A retry adopts it, and none is stopped in doubt."""
        job_name = self.job_name
        if job_name is None or not self._task.stop_on_kill:
            return
        for left in reversed(range(_QUESTIONS)):
            try:
                state = task_state(**self._identity)
                found = verdict(state, followed=self._followed(), job_name=job_name)
                # None: it lasts a moment where a scheduler takes over; a cleared task may wait for others.
                if state is None and left:
                    found = Verdict.ASK_AGAIN
                elif self._is_left_running(state):
                    found = Verdict.KEEP
            except Exception as error:  # noqa: BLE001 - in doubt the job is kept
                self._task.log.debug("Airflow does not say what became of this task: %s", error)
                return
            if found is Verdict.STOP:
                self.stop(f"the task no longer waits for it, its state is now '{state}'")
                raise self.stopped_by_us(str(self.stop_reason))
            if found is Verdict.KEEP:
                return
            time.sleep(_QUESTION_PAUSE_SECONDS)

    def stop(self, reason: str) -> None:
        """Stop the job, if there is one and it is ours; from now on this process must not begin another."""
        self.stop_reason = reason
        job_name = self.job_name
        if job_name is None or self._has_ended:
            return
        jobs = self._task.hook.clients.jobs
        if self._owner is not None:
            snapshot = jobs.describe(job_name)
            if snapshot is None or snapshot.environment.get(OWNER_VARIABLE) != self._owner:
                return
        self._task.log.info("Stopping notebook job '%s': %s", job_name, reason)
        jobs.stop(job_name)
        self._is_stopped = True

    def stop_at_timeout(self) -> None:
        """
        Stop the job because the task's time is over; a stop that fails is logged and hides no timeout.

        :raises NotebookJobStoppedError: the time is over of a try that is over itself; the job is the next one's.
        """
        self.end_if_superseded()
        try:
            self.stop("execution_timeout has passed")
        except Exception as error:  # noqa: BLE001 - also a connection that cannot be read
            self._task.log.warning(
                "Notebook job '%s' could not be stopped and runs on, at most until its max_runtime_in_seconds: %s",
                self.job_name,
                error,
            )

    def timeout_error(self) -> NotebookJobTimeoutError:
        """Return the error with which a try ends whose time has passed: it says what became of the job."""
        if self.job_name is None:
            what = "The task has ended"
        elif self._is_stopped:
            what = f"Notebook job '{self.job_name}' was stopped"
        elif self._has_ended:
            what = f"Notebook job '{self.job_name}' has ended, its task has not"
        else:
            what = f"Notebook job '{self.job_name}' was not stopped and may run on"
        return NotebookJobTimeoutError(
            f"{what}: execution_timeout ({self._task.execution_timeout}) has passed",
            details={"next": "raise execution_timeout, or give the notebook less to do"},
            job_name=self.job_name,
        )

    def _over(self, reason: str) -> TryOverError:
        return TryOverError(
            f"{reason}: notebook job '{self.job_name}' and its results are left to the task's next try"
            if self.job_name
            else f"No notebook job was started: {reason}",
            details={
                "next": "nothing where the task has retries left; without them, SageMakerNotebookJobSensor("
                f"job_name={self.job_name!r}) hands over what the job returns"
            }
            if self.job_name
            else {},
            job_name=self.job_name,
        )

    def stopped_by_us(self, reason: str) -> NotebookJobStoppedError:
        """Return the error of a try that ends because its task was taken away."""
        if self._has_ended:
            return NotebookJobStoppedError(
                f"The results of notebook job '{self.job_name}' were not handed over: {reason}", job_name=self.job_name
            )
        return NotebookJobStoppedError(
            f"Notebook job '{self.job_name}' was stopped by this task: {reason}"
            if self.job_name
            else f"No notebook job was started: {reason}",
            job_name=self.job_name,
        )
