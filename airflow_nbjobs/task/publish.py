"""
What a task publishes while its job runs, or while it waits for one: the log's line, the XComs that links and pages read, the list of its jobs.

Called by ``run.py``, ``submit.py`` and ``wait.py``, before every wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.xcoms import (
    ATTEMPT_FACTS,
    ATTEMPTS_KEY,
    JOB_KEY,
    PROGRESS_KEY,
    VERSION,
    progress_record,
    read_attempts,
    stored_attempts,
)
from airflow_nbjobs.core.masking import masked_start
from airflow_nbjobs.links import NO_CONSOLE, job_urls, links_of_others, links_with_address, note_pushed_job

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.job import Submission
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.errors import NotebookJobError
    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.submission_state import Sleep
    from airflow_nbjobs.core.watch.log_place import LogPlace
    from airflow_nbjobs.task.view import TaskView

_MOST_REMEMBERED = 50
_REASON_CHARACTERS = 500


class Publisher:
    """Publishes what becomes of one task."""

    def __init__(self, task: TaskView, context: Context) -> None:
        self._task = task
        self._context = context
        self._ti: Any = context["ti"]
        # The class's: ``dag.test`` goes on with the object whose own were left out.
        self._links: Collection[Any] = getattr(type(task), "operator_extra_links", ())
        self._is_resumed = False
        self._pushed_cell = 0

    def push_job(self, job: PreparedJob, submission: Submission) -> None:
        """Push which job the task follows."""
        adopted = submission.adopted
        if adopted is not None:
            instance_type = adopted.instance_type
        else:
            from airflow_nbjobs.aws.submit.job import instance_choices

            instance_type = ", ".join(instance_choices(job, self._task.hook.clients)[submission.state.choice])
        facts = _facts(job, submission.location, submission.state.attempt) | {
            "job_arn": submission.arn,
            "was_adopted": adopted is not None,
            "instance_type": instance_type,
            **job_urls(
                job.spec.region,
                submission.job_name,
                submission.location.executed_notebook_uri,
                job_arn=submission.arn,
                studio_domain_arn=job.spec.studio_domain_arn,
            ),
        }
        self._push(facts)
        self._task.log.info("Notebook job '%s': %s", submission.job_name, facts["console_url"] or NO_CONSOLE)

    def push_wait(
        self, sleep: Sleep, what: str, error: NotebookJobError, job: PreparedJob | None, *, words: str
    ) -> None:
        """
        Push that there is no job yet, and why; also what there is to go on from, should the trigger fail.

        :param what: the task waits for.
        :param words: for the task's state, of ``core.job.wording``.
        """
        state = sleep.state
        facts = _facts(job, job.location(state.attempt), state.attempt) if job else {"version": VERSION, "job_name": ""}
        waiting = {
            "for": what,
            "state": words,
            "since": str(state.since or state.trouble_since),
            "until": str(sleep.until),
            "reason": masked_start(error.headline, _REASON_CHARACTERS),
        }
        self._push(facts | {"waiting": waiting, "turn": state.to_json()})

    def _push(self, facts: dict[str, Any]) -> None:
        facts |= {"try_number": int(self._ti.try_number)}
        self._ti.xcom_push(key=JOB_KEY, value=facts)
        note_pushed_job(self._ti, facts)
        # Airflow stores each link by a request of its own. One without an address needs none, unless it replaces what a process before this one has stored.
        links = self._links if self._is_resumed else links_with_address(self._links, self._task, self._ti)
        self._task.operator_extra_links = links

    def note_resumption(self, *, has_same_job: bool) -> None:
        """Note that an earlier process of this try has stored its links; with the same job, they stay as they are."""
        self._is_resumed = True
        if has_same_job:
            self._task.operator_extra_links = links_of_others(self._links)

    def push_progress(self, job_name: str, place: LogPlace) -> None:
        """Push how far the notebook has come, if another cell has run; a page's comfort, so whatever goes wrong with it ends no wait."""
        if place.cell == self._pushed_cell:
            return
        self._pushed_cell = place.cell
        try:
            self._ti.xcom_push(key=PROGRESS_KEY, value=progress_record(job_name, place.cell, place.cells))
        except Exception as error:  # noqa: BLE001 - as said above
            self._task.log.warning("How far the notebook has come is not recorded: %s", error)

    def remember(self, job: PreparedJob, attempt: int) -> None:
        """
        Add a job to the list of the task's jobs, before it is made: the XCom is gone with the next try.

        Pages offer a task's earlier jobs from it, and a cleared task finds what its earlier generations have left running. A hint only: whose a job is, its
        own environment says. Airflow before 3.3 has no such store.
        """
        facts = _facts(job, job.location(attempt), attempt)
        entry = {name: facts[name] for name in ATTEMPT_FACTS}
        store: Any = self._context.get("task_state_store")
        if store is None:
            return
        try:
            # A task instance that has never been tried before has no list yet.
            known = [] if int(self._ti.try_number) == 1 and not attempt else stored_attempts(store.get(ATTEMPTS_KEY))
            if not known or known[-1] != entry:
                others = [each for each in known if each.get("job_name") != entry["job_name"]]
                store.set(ATTEMPTS_KEY, [*others, entry][-_MOST_REMEMBERED:])
        except Exception as error:  # noqa: BLE001 - no list of jobs may fail the task
            self._task.log.warning("The list of this task's jobs could not be kept: %s", error)

    def remembered(self) -> list[str] | None:
        """Return the names of the task's jobs, oldest first; None where Airflow keeps no such list, or does not give it."""
        store: Any = self._context.get("task_state_store")
        if store is None:
            return None
        try:
            return [each["job_name"] for each in read_attempts(store.get(ATTEMPTS_KEY))]
        except Exception as error:  # noqa: BLE001 - as above
            self._task.log.warning("The list of this task's jobs could not be read: %s", error)
            return None


def _facts(job: PreparedJob, location: JobLocation, attempt: int) -> dict[str, Any]:
    return {
        "version": VERSION,
        "job_name": location.job_name,
        "job_arn": None,
        "attempt": attempt,
        # What the name was made of and Airflow does not keep: a clear gives the run a new start, and the task another generation.
        "generation": job.run.key.generation,
        "run_started_microseconds": job.run.key.run_started_microseconds,
        "was_adopted": False,
        "region": job.spec.region,
        "instance_type": ", ".join(job.spec.instance_type),
        "input_notebook": job.notebook_origin,
        "notebook_sha256": job.notebook_sha256,
        "executed_notebook_uri": location.executed_notebook_uri,
        "added_cells": list(job.added_cells),
    }
