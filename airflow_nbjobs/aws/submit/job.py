"""
Submit a prepared job exactly once, or take up the job that an earlier try has submitted.

Called by ``task/submit.py`` and by ``nbjobs run``; every AWS call goes through a port.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import ZeroQuotaError, is_denied, is_throttled
from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.aws.submit import earlier_jobs, staging
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import Decision, Step, decide, may_be_of_request
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.trouble import of_possible_job
from airflow_nbjobs.core.job.variables import INPUT_DIGEST_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_nbjobs.aws.ports import AwsClients, Log
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.core.job.submission_state import SubmissionState

_MOST_ATTEMPTS = 1000


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """The job that this try follows."""

    location: JobLocation
    arn: str
    state: SubmissionState  # how the next request goes, if this job ends without an instance
    # what Describe said of a job of an earlier try that was taken up; None for a job that this try created
    adopted: JobSnapshot | None = None

    @property
    def job_name(self) -> str:
        return self.location.job_name


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """No job yet, for a reason that passes."""

    # capacity, or a failure of AWS or of the way to it; what to raise if nobody waits
    error: NotebookJobCapacityError | NotebookJobServiceError
    state: SubmissionState  # how the next request goes


def instance_choices(job: PreparedJob, clients: AwsClients) -> tuple[tuple[str, ...], ...]:
    """
    Return what to ask for in turn: all instance types at once where SageMaker can choose among them (InstancePreferences), then each alone.

    A quota counts for each type alone, so that each is asked for where the list as a whole was refused.
    """
    types = job.spec.instance_type
    singles = tuple((instance_type,) for instance_type in types)
    resources = clients.jobs.request_shape.members["ResourceConfig"].members
    return (types, *singles) if job.may_state_preferences and "InstancePreferences" in resources else singles


def submit(
    job: PreparedJob,
    clients: AwsClients,
    state: SubmissionState,
    *,
    log: Log,
    expect: Callable[[str, str], object] = lambda _name, _owner: None,
) -> Submission | Refused:
    """
    Create the training job, or adopt the one that an earlier try of the same generation created.

    On a first try the name is new by construction: stage, then one CreateTrainingJob, the only SageMaker call. A later try
    asks for the names 0, 1, … first and stages only under one shown to be free.

    :param state: names of attempts before its own are known to be used up; its own is not asked for unless it ``may_exist``.
    :param expect: told a job's name and owner right before each request to create it.
    :raises NotebookJobError: AWS refused the upload or the job for good; nothing runs under this try's name then.
    """
    attempt, later = state.attempt, earlier_jobs.LaterJobs(job, clients, log)
    for _ in range(_MOST_ATTEMPTS):
        decision = Decision(Step.CREATE)
        snapshot: JobSnapshot | None = None
        is_same = attempt == state.attempt
        now = replace(
            state, attempt=attempt, may_exist=state.may_exist or not is_same, was_asked=state.was_asked and is_same
        )
        try:
            if now.may_exist:
                with _undecided(job.location(attempt).job_name):
                    snapshot = clients.jobs.describe(job.location(attempt).job_name)
                    is_own = now.was_asked and snapshot is not None
                    if snapshot is None:
                        attempt, snapshot = later.newest_from(attempt)
                    decision = _decide(snapshot, job, attempt, clients, is_of_this_try=is_own)
            now, location = replace(now, attempt=attempt, was_asked=False), job.location(attempt)
            if decision.step is Step.CREATE:
                now = _stage(job, now, clients, log)
                asked = datetime.now(UTC)
                now = replace(now, was_asked=True)
                try:
                    choice, arn = _create(job, now, clients=clients, log=log, expect=expect)
                    return Submission(
                        location=location, arn=arn, state=replace(now, choice=choice, may_exist=True, was_asked=False)
                    )
                except (NameTakenError, NotebookJobServiceError) as error:
                    snapshot = _after_refusal(error, location.job_name, clients)
                    with _undecided(location.job_name):
                        is_own = may_be_of_request(snapshot, asked=asked)
                        decision = _decide(snapshot, job, attempt, clients, is_of_this_try=is_own)
        except NotebookJobCapacityError as error:
            return Refused(error=error, state=replace(now, choice=0, may_exist=False, was_asked=False))
        except NotebookJobServiceError as error:
            if not error.is_retryable:
                raise
            return Refused(error=error, state=replace(now, choice=0, may_exist=True))
        if decision.step is Step.ADOPT and snapshot is not None:
            log.info("Adopting: %s", decision.reason)
            _warn_of_other_input(snapshot, job, log)
            return Submission(
                location=_location_of(snapshot, location),
                arn=snapshot.arn,
                state=replace(now, choice=0, may_exist=True, was_asked=False),
                adopted=snapshot,
            )
        log.info(
            "Not adopting: %s; going on to attempt %d",
            decision.reason or f"'{location.job_name}' is taken",
            attempt + 1,
        )
        attempt += 1
    raise NotebookJobServiceError(
        f"no free training-job name among {_MOST_ATTEMPTS} for '{job.run.label}'", code="ResourceInUse"
    )


def _create(
    job: PreparedJob, state: SubmissionState, *, clients: AwsClients, log: Log, expect: Callable[[str, str], object]
) -> tuple[int, str]:
    """
    Ask for each choice of instances in turn until one is given; return which, and the job's ARN.

    A refused name stays free, so that all choices are asked for under one.

    :raises NotebookJobCapacityError: every choice is refused for now; those whose quota is zero are left out.
    :raises NotebookJobConfigError: every choice's quota is zero.
    """
    choices = instance_choices(job, clients)
    refusals: list[NotebookJobCapacityError] = []
    zeros: list[ZeroQuotaError] = []
    # In a circle: those before the first choice had no capacity a moment ago, which may have changed by the time all others are refused.
    for choice in [*range(state.choice, len(choices)), *range(min(state.choice, len(choices)))]:
        try:
            request = job.request(state.attempt, instance_types=choices[choice])
            expect(job.location(state.attempt).job_name, job.owner(state.attempt))
            return choice, clients.jobs.create(request)
        except ZeroQuotaError as error:
            zeros.append(error)
            if len(choices) > 1:
                log.warning("%s", error.headline)
        except NotebookJobCapacityError as error:
            refusals.append(error)
            log.info("%s", error.headline)
        except NotebookJobServiceError as error:
            if not is_throttled(error):
                raise
            raise NotebookJobCapacityError(
                error.headline, details={"next": "retry later"}, job_name=error.job_name
            ) from error
    if refusals:
        raise refusals[-1]
    raise NotebookJobConfigError(
        zeros[-1].headline,
        problems=[error.headline for error in zeros] if len(zeros) > 1 else (),
        details=zeros[-1].details,
        job_name=zeros[-1].job_name,
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
    with _undecided(job_name):
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


@contextmanager
def _undecided(job_name: str) -> Iterator[None]:
    """Let a denial leave the block as trouble: whether the task has a job already is not known then, and a job that runs must not be lost to it."""
    try:
        yield
    except NotebookJobServiceError as error:
        if not is_denied(error):
            raise
        raise of_possible_job(error, job_name) from error


def _decide(
    snapshot: JobSnapshot | None, job: PreparedJob, attempt: int, clients: AwsClients, *, is_of_this_try: bool = False
) -> Decision:
    location = job.location(attempt)
    if snapshot is None and earlier_jobs.has_left_files(location, clients):
        return Decision(Step.NEXT, f"training job '{location.job_name}' was deleted, its files lie in S3 still")
    is_delivered = (
        snapshot is not None
        and snapshot.state.is_terminal
        and clients.objects.exists(_location_of(snapshot, location).executed_notebook_uri)
    )
    return decide(snapshot, owner=job.owner(attempt), is_delivered=is_delivered, is_of_this_try=is_of_this_try)


def _location_of(snapshot: JobSnapshot, planned: JobLocation) -> JobLocation:
    """Return where a job lies that is there: ``notebook_job_name`` and ``s3_root_uri`` may have been others when it was made."""
    return JobLocation((snapshot.output_root or planned.root).rstrip("/"), snapshot.job_name)


def _stage(job: PreparedJob, state: SubmissionState, clients: AwsClients, log: Log) -> SubmissionState:
    """
    Put the input up, unless this try has put the same up for this very attempt before.

    Not from an earlier attempt's folder: Studio looks for a job's input under the job's own name, and nowhere else.
    """
    if (state.staged_attempt, state.staged_sha256) == (state.attempt, job.input_sha256):
        return state
    location = job.location(state.attempt)
    staging.upload(job.files, to_uri=location.input_uri, objects=clients.objects, kms_key=job.spec.s3_kms_key)
    log.info(
        "Staged '%s' (sha256 %s) and %d other file(s), %d bytes in all, under %s",
        job.notebook_origin,
        job.notebook_sha256,
        len(job.files) - 1,
        sum(file.size_bytes for file in job.files),
        location.input_uri,
    )
    return replace(state, staged_attempt=state.attempt, staged_sha256=job.input_sha256)


def _warn_of_other_input(snapshot: JobSnapshot, job: PreparedJob, log: Log) -> None:
    if snapshot.environment.get(INPUT_DIGEST_VARIABLE) != job.input_sha256:
        log.warning(
            "The adopted job '%s' runs on other input than this try would stage: the notebook, a file or a parameter has changed since; "
            "clear the task to run it anew",
            snapshot.job_name,
        )
