"""
A job of ``nbjobs run`` from its submission to its results, through trouble that passes: the job is billed whether or not it is polled.

Called by ``run.py``.
"""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.results.read import read_result
from airflow_nbjobs.aws.submit.job import Refused, submit
from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
)
from airflow_nbjobs.core.job.submission_state import SubmissionState
from airflow_nbjobs.core.job.trouble import READ_PAUSES_SECONDS, is_over, known
from airflow_nbjobs.core.notebook.progress import cell_text, newest_cells

if TYPE_CHECKING:
    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.aws.results.explain import Expectation
    from airflow_nbjobs.aws.results.read import JobResult
    from airflow_nbjobs.aws.submit.job import Submission
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.status import JobSnapshot

_LOG_LINES = 20
_SUBMIT_PAUSES_SECONDS = (5.0, 10.0, 20.0)

log = logging.getLogger("nbjobs")


class FollowedJob:
    """One job, submitted and polled until it has ended."""

    def __init__(self, job: PreparedJob, clients: AwsClients, poll_seconds: float) -> None:
        self._job = job
        self._clients = clients
        self._poll_seconds = poll_seconds
        self._asked_for: list[str] = []  # names of the jobs that requests were sent for

    def submit(self) -> Submission:
        """
        Return the job that was made; asked for again where AWS, or the way to it, fails.

        :raises NotebookJobError: there is none.
        """
        outcome = self._submitted(SubmissionState(may_exist=False))
        for pause_seconds in _SUBMIT_PAUSES_SECONDS:
            if not isinstance(outcome, Refused) or isinstance(outcome.error, NotebookJobCapacityError):
                break
            log.info("%s; asking again in %.0f s", outcome.error.headline, pause_seconds)
            time.sleep(pause_seconds)
            # An answer that did not arrive may have been a yes.
            outcome = self._submitted(outcome.state)
        if not isinstance(outcome, Refused):
            return outcome
        if outcome.state.may_exist and self._asked_for:
            outcome.error.details["job"] = (
                f"whether training job '{self._asked_for[-1]}' was made is not known: look for it before you run the notebook again"
            )
        raise outcome.error

    def _submitted(self, state: SubmissionState) -> Submission | Refused:
        return submit(
            self._job, self._clients, state, log=log, expect=lambda name, _owner: self._asked_for.append(name)
        )

    def wait(self, location: JobLocation) -> JobSnapshot:
        """
        Poll the job until it has ended, printing each new status and the notebook's progress.

        :raises NotebookJobServiceError: SageMaker does not know the job for a minute, or refuses to show it for ten.
        """
        seen, cells = 0, None
        said = ""
        trouble_since: datetime | None = None
        while True:
            try:
                snapshot = known(self._clients.jobs.describe(location.job_name), location.job_name)
            except NotebookJobError as error:
                now = datetime.now(tz=UTC)
                trouble_since = trouble_since or now
                trouble = error if isinstance(error, NotebookJobServiceError) else _as_trouble(error)
                if is_over(trouble, trouble_since, now):
                    raise _left_alone(error, location) from error
                if error.headline != said:
                    said = error.headline
                    log.info("%s; going on waiting", said)
                time.sleep(self._poll_seconds)
                continue
            trouble_since, said = None, ""
            for transition in snapshot.transitions[seen:]:
                log.info("%s: %s", transition.status, transition.message)
            seen = len(snapshot.transitions)
            if snapshot.state.is_terminal:
                return snapshot
            now_at = self._progress(location.job_name)
            if now_at is not None and now_at != cells:
                cells = now_at
                log.info("%s", cell_text(*cells))
            time.sleep(self._poll_seconds)

    def _progress(self, job_name: str) -> tuple[int, int] | None:
        # The log is a comfort here too: whoever may not read it still gets the result.
        with contextlib.suppress(NotebookJobServiceError, NotebookJobConfigError):
            lines = self._clients.logs.tail(job_name, limit=_LOG_LINES) or ()
            return newest_cells("\n".join(lines), self._job.added_cells)
        return None

    def read(self, snapshot: JobSnapshot, location: JobLocation, expected: Expectation) -> JobResult:
        """
        Return what the ended job left behind.

        :raises NotebookJobError: S3 could not be read for ten minutes, or denies it.
        """
        for pause_seconds in (*READ_PAUSES_SECONDS, None):
            try:
                return read_result(snapshot, location, expected, self._clients, now=datetime.now(tz=UTC))
            except NotebookJobServiceError as error:
                if not error.is_retryable or pause_seconds is None:
                    raise _left_alone(error, location) from error
                log.info("%s; reading again in %.0f s", error.headline, pause_seconds)
                time.sleep(pause_seconds)
        raise AssertionError  # the last round returns or raises

    def stop(self) -> None:
        """Stop every job that was asked for; what cannot be stopped is said."""
        for name in self._asked_for:
            log.info("Stopping notebook job '%s'", name)
            try:
                self._clients.jobs.stop(name)
            except NotebookJobError as error:
                log.info("%s; the job runs on, if it was made", error.headline)


def _as_trouble(error: NotebookJobError) -> NotebookJobServiceError:
    """Return an error that is none of AWS's, such as a profile that is just being written, in the form that `is_over` takes."""
    return NotebookJobServiceError(error.headline, code=type(error).__name__)


def _left_alone(error: NotebookJobError, location: JobLocation) -> NotebookJobError:
    """Return the error of a poll or a read, with what becomes of the job."""
    error.details["job"] = (
        f"'{location.job_name}' is left as it is; its results are in {location.output_archive_uri} when it has ended, and "
        f"SageMakerNotebookJobSensor(job_name='{location.job_name}') hands them over"
    )
    return error
