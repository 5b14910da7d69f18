"""
What a task tells while its job runs, or while it waits for one: the log's line, and the XCom that links and pages read.

Called by ``task/run.py``, before every wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.submit.job import instance_choices
from airflow_nbjobs.core.notebook.progress import progress_facts
from airflow_nbjobs.links import ATTEMPTS_KEY, JOB_KEY, NO_CONSOLE, PROGRESS_KEY, REMEMBERED_FACTS, job_urls

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.aws.submit.job import Submission
    from airflow_nbjobs.aws.submit.prepare import PreparedJob
    from airflow_nbjobs.core.errors import NotebookJobError
    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.queueing import Sleep
    from airflow_nbjobs.core.watch.log_place import LogPlace
    from airflow_nbjobs.task.view import TaskView

_JOB_VERSION = 1
_MOST_REMEMBERED = 50
_REASON_CHARACTERS = 500


class Announcement:
    """
    The sayings of one task.

    :param operator: whose log is written to.
    """

    def __init__(self, operator: TaskView, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]
        self._told_cell = 0

    def of_job(self, job: PreparedJob, submission: Submission) -> None:
        """Say which job the task follows."""
        facts = _facts(job, submission.location, submission.attempt) | {
            "job_arn": submission.arn,
            "was_adopted": submission.adopted is not None,
            "instance_type": self._instance_type(job, submission),
            **job_urls(
                job.spec.region,
                submission.job_name,
                submission.location.executed_notebook_uri,
                job_arn=submission.arn,
                studio_domain_arn=job.spec.studio_domain_arn,
            ),
        }
        self._ti.xcom_push(key=JOB_KEY, value=facts | {"try_number": int(self._ti.try_number)})
        self._operator.log.info("Notebook job '%s': %s", submission.job_name, facts["console_url"] or NO_CONSOLE)

    def of_wait(self, sleep: Sleep, what: str, error: NotebookJobError, job: PreparedJob | None, *, state: str) -> None:
        """
        Say that there is no job yet, and why; also what there is to go on from, should the trigger fail.

        :param state: of ``core.job.wording``.
        """
        turn = sleep.turn
        facts = (
            _facts(job, job.location(turn.attempt), turn.attempt) if job else {"version": _JOB_VERSION, "job_name": ""}
        )
        waiting = {
            "for": what,
            "state": state,
            "since": str(turn.since or turn.trouble_since),
            "until": str(sleep.until),
            "reason": error.headline[:_REASON_CHARACTERS],
        }
        self._ti.xcom_push(
            key=JOB_KEY,
            value=facts | {"waiting": waiting, "turn": turn.to_json(), "try_number": int(self._ti.try_number)},
        )

    def of_progress(self, job_name: str, place: LogPlace) -> None:
        """Say how far the notebook has come, if another cell has run; a page's comfort, so whatever goes wrong with it ends no wait."""
        if place.cell == self._told_cell:
            return
        self._told_cell = place.cell
        try:
            self._ti.xcom_push(key=PROGRESS_KEY, value=progress_facts(job_name, place.cell, place.cells))
        except Exception as error:  # noqa: BLE001 - as said above
            self._operator.log.warning("How far the notebook has come is not recorded: %s", error)

    def _instance_type(self, job: PreparedJob, submission: Submission) -> str | None:
        if submission.adopted is not None:
            return submission.adopted.instance_type
        return ", ".join(instance_choices(job, self._operator.hook.clients)[submission.choice])

    def remember(self, job: PreparedJob, attempt: int) -> None:
        """
        Add a job to the list of the task's jobs, before it is made: the XCom is gone with the next try.

        Pages offer a task's earlier jobs from it, and a cleared task finds what its earlier lives have left running. A hint only: whose a job is, its own
        environment says. Airflow before 3.3 has no such store.
        """
        facts = _facts(job, job.location(attempt), attempt)
        entry = {name: facts[name] for name in REMEMBERED_FACTS}
        store: Any = self._context.get("task_state_store")
        if store is None:
            return
        try:
            known = list(store.get(ATTEMPTS_KEY) or [])
            if not known or known[-1] != entry:
                others = [each for each in known if each.get("job_name") != entry["job_name"]]
                store.set(ATTEMPTS_KEY, [*others, entry][-_MOST_REMEMBERED:])
        except Exception as error:  # noqa: BLE001 - no list of jobs may fail the task
            self._operator.log.warning("The list of this task's jobs could not be kept: %s", error)

    def remembered(self) -> list[str] | None:
        """Return the names of the task's jobs, oldest first; None where Airflow keeps no such list, or does not give it."""
        store: Any = self._context.get("task_state_store")
        if store is None:
            return None
        try:
            known = store.get(ATTEMPTS_KEY) or []
            return [str(each["job_name"]) for each in known if isinstance(each, dict) and each.get("job_name")]
        except Exception as error:  # noqa: BLE001 - as above
            self._operator.log.warning("The list of this task's jobs could not be read: %s", error)
            return None


def _facts(job: PreparedJob, location: JobLocation, attempt: int) -> dict[str, Any]:
    return {
        "version": _JOB_VERSION,
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
