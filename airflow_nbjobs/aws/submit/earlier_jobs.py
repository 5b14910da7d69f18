"""
Jobs of a task that its present name does not lead to: made under another readable name, or before the task was cleared.

Called by ``job.py`` and ``task/submit.py``; every AWS call goes through a port.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE, is_of_earlier_generation
from airflow_nbjobs.core.job.naming import name_digest, name_prefix, training_job_name
from airflow_nbjobs.core.job.status import JobState
from airflow_nbjobs.core.watch.plan import ListJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_nbjobs.aws.ports import AwsClients, Log
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.naming import RunKey
    from airflow_nbjobs.core.job.status import JobSnapshot, JobSummary

# Of a list that is bounded by the time of the run: each page covers a hundred jobs of the account.
_MOST_PAGES = 50
# ListTrainingJobs does not say whose a job is: each that runs under the same readable name is described.
_MOST_DESCRIBED = 100
_MOST_REMEMBERED = 10
_MOST_ATTEMPTS = 1000
# The service's clock and Airflow's.
_SKEW = timedelta(minutes=10)
# SageMaker ends each job after 28 days.
_LONGEST_RUN = timedelta(days=29)


def of_attempt(job: PreparedJob, attempt: int, clients: AwsClients, log: Log) -> JobSnapshot | None:
    """
    Return the job of an attempt that was made under another ``notebook_job_name``, None where there is none.

    The readable part of a name may be edited, or rendered anew, between two tries; the hash behind it stays.

    :raises NotebookJobServiceError: SageMaker could not be asked; a denied list is logged, and the name alone counts.
    """
    key = job.run.key.with_attempt(attempt)
    location = job.location(attempt)
    try:
        for summary in _listed(f"-{name_digest(key)}", _run_started(key), clients, log):
            if summary.job_name != location.job_name:
                snapshot = clients.jobs.describe(summary.job_name)
                if snapshot is not None and snapshot.environment.get(OWNER_VARIABLE) == job.owner(attempt):
                    log.info(
                        "Training job '%s' is this task's, under the name that it had then; now it would be '%s'",
                        snapshot.job_name,
                        location.job_name,
                    )
                    return snapshot
    except NotebookJobServiceError as error:
        if not is_denied(error):
            raise
        log.info(
            "%s; a job that an earlier try has started under another notebook_job_name is not found", error.headline
        )
    return None


def stop_abandoned(
    key: RunKey,
    readable: str,
    clients: AwsClients,
    *,
    log: Log,
    generations: Iterable[int],
    remembered: Sequence[str] | None = None,
    before_stop: Callable[[], object] = lambda: None,
) -> None:
    """
    Stop the jobs that earlier generations of a task have left running.

    A user has cleared the task since; where no triggerer ran then, or a worker had died without a retry, nobody has stopped them. A clear of a
    run that had ended gives it a new start, so that their names cannot be computed.

    :param key: of the task's generation now.
    :param readable: what its jobs' names begin with.
    :param generations: those of the same start of the run, by which names are computed where jobs may not be listed.
    :param remembered: the names of the task's jobs as Airflow has kept them, oldest first; None: it has not, and those that run under its readable name
        are described.
    :param before_stop: called right before each stop; raises if ``key`` is no longer the task's, since generations of one start of the run have no order.
    :raises NotebookJobServiceError: SageMaker could not be asked, or did not stop one.
    """
    if remembered:
        found: Iterable[JobSnapshot | None] = map(clients.jobs.describe, reversed(remembered[-_MOST_REMEMBERED:]))
    else:
        found = _running_under_the_name(key, readable, generations, clients, log)
    for snapshot in found:
        if (
            snapshot is not None
            and snapshot.state is JobState.RUNNING
            and is_of_earlier_generation(snapshot.environment.get(OWNER_VARIABLE, ""), own=key.identity())
        ):
            before_stop()
            log.info("Stopping training job '%s': the task was cleared since", snapshot.job_name)
            clients.jobs.stop(snapshot.job_name)


def _running_under_the_name(
    key: RunKey, readable: str, generations: Iterable[int], clients: AwsClients, log: Log
) -> Iterator[JobSnapshot | None]:
    prefix = name_prefix(readable)
    try:
        names = [
            summary.job_name
            for summary in _listed(f"{prefix}-", _run_started(key) - _LONGEST_RUN, clients, log)
            if summary.state is JobState.RUNNING
        ]
    except NotebookJobServiceError as error:
        if not is_denied(error):
            raise
        log.info("%s; only jobs of the same start of the run are found", error.headline)
        yield from _of_generations(key, readable, generations, clients)
        return
    if len(names) > _MOST_DESCRIBED:
        log.warning(
            "%d training jobs run under the name '%s'; only the newest %d were looked at for one of this task's from before it was cleared",
            len(names),
            prefix,
            _MOST_DESCRIBED,
        )
    for name in names[:_MOST_DESCRIBED]:
        yield clients.jobs.describe(name)


def _of_generations(
    key: RunKey, readable: str, generations: Iterable[int], clients: AwsClients
) -> Iterator[JobSnapshot | None]:
    for generation in generations:
        for attempt in range(_MOST_ATTEMPTS):
            snapshot = clients.jobs.describe(
                training_job_name(readable, replace(key, generation=generation, attempt=attempt))
            )
            if snapshot is None:
                break
            yield snapshot


def _listed(name_contains: str, created_after: datetime, clients: AwsClients, log: Log) -> Iterator[JobSummary]:
    """
    Yield the jobs whose names contain the text, newest first; filters count after paging, so a page without any says nothing of the next.

    More than 50 pages are not read, and the log says so.
    """
    token: str | None = None
    for _ in range(_MOST_PAGES):
        page = clients.jobs.list_page(
            ListJobs(created_after=created_after, is_newest_first=True, next_token=token, name_contains=name_contains)
        )
        yield from page.summaries
        token = page.next_token
        if token is None:
            return
    log.warning(
        "Only the newest pages (%d) of the jobs with '%s' in their names were looked through for one of this task's; an older one is not found",
        _MOST_PAGES,
        name_contains,
    )


def _run_started(key: RunKey) -> datetime:
    """Return a time before which no job of this start of the run was made, in whole seconds."""
    return datetime.fromtimestamp(key.run_started_microseconds // 1_000_000, tz=UTC) - _SKEW
