"""
Whether the job of a running task may be stopped: only when a person took the task away from this try.

Called by ``execution.py``, from the worker's main thread and from inside its signal handler.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import job_xcom, task_state
from airflow_nbjobs.core.attempts import OWNER_VARIABLE
from airflow_nbjobs.core.errors import NotebookJobStoppedError
from airflow_nbjobs.links import JOB_KEY

if TYPE_CHECKING:
    from airflow_nbjobs.operators import SageMakerNotebookJobOperator

# Airflow's supervisor kills a process 5 s after it has told it to end.
_ASK_SECONDS = 3.0
_STOP_SECONDS = 10.0
# A person's word. Airflow itself says up_for_retry, scheduled and queued after lost heartbeats: the next try adopts the job.
_TAKEN_AWAY = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "restarting"})
# What an on_kill keeps the job for, beside the states of a task that is this try's own. None is a run that was deleted.
_AIRFLOWS_OWN = frozenset({"up_for_retry", "up_for_reschedule", "scheduled", "queued"})


class Custody:
    """
    Which job this process answers for, and whether it still does.

    :ivar job_name: the job to stop if need be; None before one has a name.
    :ivar stop_reason: why this process has stopped the job, or must not begin one; None while it may go on.
    """

    def __init__(self, operator: SageMakerNotebookJobOperator, ti: Any) -> None:
        self._operator = operator
        self._identity: dict[str, Any] = {
            "dag_id": ti.dag_id,
            "run_id": ti.run_id,
            "task_id": ti.task_id,
            "map_index": ti.map_index,
        }
        self._owner: str | None = None
        self.job_name: str | None = None
        self.stop_reason: str | None = None
        self.was_told_to_end = False
        self._is_stopped = False

    def expect(self, job_name: str, owner: str) -> None:
        """
        Note the job that is about to be created: from here on it may exist, whether or not the answer arrives.

        :raises NotebookJobStoppedError: this process was told meanwhile that the task is no longer its own.
        """
        if self.stop_reason is not None:
            raise self.stopped_by_us(self.stop_reason)
        self.job_name, self._owner = job_name, owner

    def hold(self, job_name: str) -> None:
        """Note a job that is known to be this task's."""
        self.job_name, self._owner = job_name, None

    def stop_if_taken_away(self) -> None:
        """
        Stop the job if Airflow says that the task is no longer this try's; no answer within 3 s keeps it.

        Works in a thread of its own: this runs inside a signal handler, which may have interrupted a call to Airflow or to AWS whose lock is not
        reentrant. Before there is a job it leaves a reason, and none is created.
        """
        self.was_told_to_end = True
        if self.stop_reason is not None:
            return
        answers: list[str | None] = []
        answered, is_too_late = threading.Event(), threading.Event()

        def ask_and_stop() -> None:
            try:
                answers.append(self._taken_away())
            except Exception as error:  # noqa: BLE001 - no answer keeps the job, whatever the reason
                self._operator.log.warning("Airflow does not say what became of this task: %s", error)
            answered.set()
            if answers and answers[0] is not None and not is_too_late.is_set():
                try:
                    self.stop(answers[0])
                except Exception:  # the process is ending: nobody is left to take it
                    self._operator.log.exception("Notebook job '%s' could not be stopped", self.job_name)

        asking = threading.Thread(target=ask_and_stop, daemon=True, name="nbjobs-custody")
        asking.start()
        if not answered.wait(_ASK_SECONDS):
            is_too_late.set()
        if not is_too_late.is_set() and answers and answers[0] is not None:
            asking.join(_STOP_SECONDS)
            return
        if self.job_name is not None:
            self._operator.log.warning(
                "Keeping notebook job '%s': the task was not taken away by a user; its next try adopts the job",
                self.job_name,
            )

    def check(self) -> str | None:
        """Return why the task is no longer this try's, having stopped its job; None where it is, and where Airflow gives no answer."""
        if self.stop_reason is not None:
            if not self._is_stopped:  # it was not there yet when the signal came
                self.stop(self.stop_reason)
        else:
            try:
                reason = self._taken_away(states=_TAKEN_AWAY)
            except Exception as error:  # noqa: BLE001 - in doubt the job is kept
                self._operator.log.debug("Airflow does not say what became of this task: %s", error)
                return None
            if reason is not None and self._operator.stop_on_kill:
                self.stop(reason)
        return self.stop_reason

    def _taken_away(self, states: frozenset[str] | None = None) -> str | None:
        """
        Return what became of the task, None while it is this try's.

        :param states: only these count as taken away; None: every state but a live try's and what Airflow sets by itself, also none at all.
        """
        state = task_state(**self._identity)
        is_running = state in ("running", "deferred")
        is_taken = not is_running and state not in _AIRFLOWS_OWN if states is None else state in states
        if is_taken:
            return f"the task is now '{state}'"
        if is_running and self.job_name is not None and self._owner is None:
            # Cleared, and begun again: this process is a leftover. A try that has not pushed its job yet may be about to adopt this one.
            job = job_xcom(JOB_KEY, **self._identity)
            if isinstance(job, dict) and job.get("job_name") not in (None, self.job_name):
                return f"the task now follows job '{job['job_name']}'"
        return None

    def stop(self, reason: str) -> None:
        """Stop the job, if there is one and it is ours; from now on this process must not begin another."""
        self.stop_reason = reason
        job_name = self.job_name
        if job_name is None:
            return
        jobs = self._operator.hook.clients.jobs
        if self._owner is not None:
            snapshot = jobs.describe(job_name)
            if snapshot is None or snapshot.environment.get(OWNER_VARIABLE) != self._owner:
                return
        self._operator.log.info("Stopping notebook job '%s': %s", job_name, reason)
        jobs.stop(job_name)
        self._is_stopped = True

    def stopped_by_us(self, reason: str) -> NotebookJobStoppedError:
        """Return the error with which a try ends that was told to."""
        return NotebookJobStoppedError(
            f"Notebook job '{self.job_name}' was stopped by this task: {reason}"
            if self.job_name
            else f"No notebook job was started: {reason}",
            job_name=self.job_name,
        )
