"""
Submit a prepared job exactly once, and gather what it left behind.

Called by the operator and by ``nbjobs run``; every AWS call goes through a port.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_nbjobs.aws import staging
from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.aws.prepare import INPUT_DIGEST_VARIABLE
from airflow_nbjobs.core.attempts import Decision, Step, decide
from airflow_nbjobs.core.errors import NotebookJobServiceError

if TYPE_CHECKING:
    from airflow_nbjobs.aws.clients import AwsClients
    from airflow_nbjobs.aws.prepare import PreparedJob
    from airflow_nbjobs.core.naming import JobLocation
    from airflow_nbjobs.core.status import JobSnapshot

_MOST_ATTEMPTS = 1000


class Log(Protocol):
    """The part of a logger that is used: a format and its arguments."""

    def info(self, message: str, /, *arguments: object) -> Any: ...

    def warning(self, message: str, /, *arguments: object) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """
    The job that this try follows.

    :param adopted: what Describe said of a job of an earlier try that was taken up; None for a job that this try created.
    """

    location: JobLocation
    attempt: int
    arn: str
    adopted: JobSnapshot | None = None

    @property
    def job_name(self) -> str:
        return self.location.job_name


def submit(job: PreparedJob, clients: AwsClients, *, is_first_try: bool, log: Log) -> Submission:
    """
    Create the training job, or adopt the one that an earlier try of the same generation created.

    On a generation's first try the name is new by construction: stage, then one CreateTrainingJob, the only SageMaker call. A later try
    asks for the names 0, 1, … first and stages only under one shown to be free.

    :raises NotebookJobError: AWS refused the upload or the job; nothing runs under this try's name then.
    """
    for attempt in range(_MOST_ATTEMPTS):
        location = job.location(attempt)
        decision = Decision(Step.CREATE)
        snapshot: JobSnapshot | None = None
        if not is_first_try:
            snapshot = clients.jobs.describe(location.job_name)
            decision = _decide(snapshot, job, attempt, clients)
        if decision.step is Step.CREATE:
            try:
                arn = _stage_and_create(job, attempt, clients, log)
                return Submission(location=location, attempt=attempt, arn=arn)
            except (NameTakenError, NotebookJobServiceError) as error:
                snapshot = _after_refusal(error, location.job_name, clients)
                decision = _decide(snapshot, job, attempt, clients)
        if decision.step is Step.ADOPT and snapshot is not None:
            log.info("Adopting: %s", decision.reason)
            _warn_of_other_input(snapshot, job, log)
            return Submission(location=location, attempt=attempt, arn=snapshot.arn, adopted=snapshot)
        log.info(
            "Not adopting: %s; going on to attempt %d",
            decision.reason or f"'{location.job_name}' is taken",
            attempt + 1,
        )
    raise NotebookJobServiceError(
        f"no free training-job name among {_MOST_ATTEMPTS} for '{job.run.label}'", code="ResourceInUse"
    )


def _after_refusal(error: NameTakenError | NotebookJobServiceError, job_name: str, clients: AwsClients) -> JobSnapshot:
    """
    Return the job that exists although this try's request was not answered with success.

    A name that is taken is another worker of this very try, or our own request whose answer was lost; a lost connection and a 5xx leave open
    whether the job was made. Asking settles it; where it does not, no further name is tried, since that could bill a second job.

    :raises NotebookJobServiceError: there is no such job (the refusal itself), or SageMaker does not show yet whose it is; worth a retry then.
    """
    if isinstance(error, NotebookJobServiceError) and (not error.is_retryable or error.job_name != job_name):
        raise error  # a clear refusal, or of the upload, before any job could exist
    snapshot = clients.jobs.describe(job_name)
    if snapshot is not None:
        return snapshot
    if isinstance(error, NotebookJobServiceError):
        raise error
    raise NotebookJobServiceError(
        f"SageMaker says that training job '{job_name}' exists, but does not show it yet: {error}",
        code="ResourceInUse",
        is_retryable=True,
        details={"next": "a retry of the task finds out whose job it is, and adopts it if it is this task's"},
        job_name=job_name,
    ) from error


def _decide(snapshot: JobSnapshot | None, job: PreparedJob, attempt: int, clients: AwsClients) -> Decision:
    is_delivered = (
        snapshot is not None
        and snapshot.state.is_terminal
        and clients.objects.exists(job.location(attempt).executed_notebook_uri)
    )
    return decide(snapshot, owner=job.owner(attempt), is_delivered=is_delivered)


def _stage_and_create(job: PreparedJob, attempt: int, clients: AwsClients, log: Log) -> str:
    location = job.location(attempt)
    staging.upload(job.files, to_uri=location.input_uri, objects=clients.objects, kms_key=job.spec.s3_kms_key)
    log.info(
        "Staged '%s' (sha256 %s) and %d other file(s), %d bytes in all, under %s",
        job.notebook_origin,
        job.notebook_sha256,
        len(job.files) - 1,
        sum(file.size_bytes for file in job.files),
        location.input_uri,
    )
    return clients.jobs.create(job.request(attempt))


def _warn_of_other_input(snapshot: JobSnapshot, job: PreparedJob, log: Log) -> None:
    if snapshot.environment.get(INPUT_DIGEST_VARIABLE) != job.input_sha256:
        log.warning(
            "The adopted job '%s' runs on other input than this try would stage: the notebook, a file or a parameter has changed since; "
            "clear the task to run it anew",
            snapshot.job_name,
        )
