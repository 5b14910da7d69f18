"""
Trouble about a job that exists: how long it is waited through, and what the task says in the end.

Called by ``task/``, ``nbjobs run`` and ``aws/submit/job.py`` once there may be a job; pure. Such an error is never final: the job is paid for, and a retry finds it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.doubts import DENIED_SECONDS, UNKNOWN_SECONDS

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_nbjobs.core.job.status import JobSnapshot

# Of an error that says so: DescribeTrainingJob does not know the job.
NOT_FOUND = "ResourceNotFound"
# Between the tries to read an ended job's results: some ten minutes.
READ_PAUSES_SECONDS = (5.0, 10.0, 20.0, 40.0, *(60.0 for _ in range(9)))


def known(snapshot: JobSnapshot | None, job_name: str) -> JobSnapshot:
    """
    Return what SageMaker says of a job that was made.

    :param snapshot: None: SageMaker does not know it.
    :raises NotebookJobServiceError: so. Of many machines one may not know yet what another has just made.
    """
    if snapshot is None:
        raise NotebookJobServiceError(
            f"SageMaker does not know training job '{job_name}'",
            code=NOT_FOUND,
            is_retryable=True,
            details={"why": "it has been deleted, or was created a moment ago and is not shown yet"},
            job_name=job_name,
        )
    return snapshot


def is_over(error: NotebookJobServiceError, since: datetime, now: datetime) -> bool:
    """
    Say whether a wait through trouble has lasted long enough, and the error is to be raised.

    Throttling, a 5xx and lost connections pass, and a task in its worker waits through them for as long as its job may run. A denial
    lasts 10 minutes then, an unknown job a minute.
    """
    if error.code == NOT_FOUND:
        return now - since >= timedelta(seconds=UNKNOWN_SECONDS)
    return not error.is_retryable and now - since >= timedelta(seconds=DENIED_SECONDS)


def of_kept_job(error: NotebookJobServiceError, job_name: str) -> NotebookJobServiceError:
    """Return the error as one that follows the task's ``retries``, and says what a retry, a clear and a sensor do about the job."""
    if error.code == NOT_FOUND:
        then = "a retry runs the notebook again if the job is gone, and adopts it if it is there"
    else:
        then = (
            f"is kept: a retry of this task adopts it and hands over its results without another run; a clear runs the notebook again and is billed again; "
            f"SageMakerNotebookJobSensor(job_name='{job_name}') hands over what lies in S3"
        )
    return worth_a_retry(error, job_name, then)


def of_possible_job(error: NotebookJobServiceError, job_name: str) -> NotebookJobServiceError:
    """Return the error as one that follows the task's ``retries``: an earlier try, or a request without an answer, may have made the job that it is about."""
    then = f"whether '{job_name}' exists is not known; a retry asks again before it starts another"
    return worth_a_retry(error, job_name, then)


def worth_a_retry(error: NotebookJobServiceError, job_name: str, then: str) -> NotebookJobServiceError:
    """:param then: what becomes of the job."""
    return NotebookJobServiceError(
        error.headline, code=error.code, is_retryable=True, details={**error.details, "job": then}, job_name=job_name
    )
