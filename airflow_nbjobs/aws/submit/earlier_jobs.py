"""
Jobs of a task that its present name does not lead to: made under another readable name, or before the task was cleared.

Called by ``job.py`` and ``task/submit.py``; every AWS call goes through a port.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE, is_of_earlier_generation
from airflow_nbjobs.core.job.naming import name_digest, name_prefix, training_job_name
from airflow_nbjobs.core.job.status import CLOCK_SKEW, LONGEST_RUN, JobState
from airflow_nbjobs.core.watch.plan import ListJobs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_nbjobs.aws.ports import AwsClients, Log
    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob
    from airflow_nbjobs.core.job.naming import JobLocation, RunKey
    from airflow_nbjobs.core.job.status import JobSnapshot, JobSummary

# Of a list that is bounded by the time of the run: each page covers a hundred jobs of the account.
_MOST_PAGES = 50
# ListTrainingJobs does not say whose a job is: each that runs under the same readable name is described.
_MOST_DESCRIBED = 100
_MOST_REMEMBERED = 10
_MOST_ATTEMPTS = 1000
# Names are free again once their jobs are deleted: so many free ones in a row are taken for the end.
_MOST_FREE = 3


class LaterJobs:
    """
    The newest job of a task whose name Describe does not lead to, looked for when an attempt's own name is free.

    The readable part of a name may be edited, or rendered anew, between two tries; the hash behind it stays. And a name is free again once its job is
    deleted, which says nothing of the names after it. The list, which is read once, tells of both but may lag behind Describe; so a few names after a
    free one are described too.
    """

    def __init__(self, job: PreparedJob, clients: AwsClients, log: Log) -> None:
        self._job = job
        self._clients = clients
        self._log = log
        self._was_listed = False

    def newest_from(self, attempt: int) -> tuple[int, JobSnapshot | None]:
        """
        Return the newest job of this attempt or a later one, and which that is; the attempt itself and None where there is none.

        :raises NotebookJobServiceError: SageMaker could not be asked; where a list is denied, which is logged, the names alone count.
        """
        if not self._was_listed:
            self._was_listed = True
            try:
                if (listed := self._listed_from(attempt)) is not None:
                    return listed
            except NotebookJobServiceError as error:
                if not is_denied(error):
                    raise
                self._log.info(
                    "%s; a job that an earlier try has started under another notebook_job_name is not found",
                    error.headline,
                )
        return self._named_after(attempt)

    def _listed_from(self, attempt: int) -> tuple[int, JobSnapshot] | None:
        key = self._job.run.key
        attempts = {name_digest(key.with_attempt(k)): k for k in range(attempt, attempt + _MOST_ATTEMPTS)}
        # Filters count after paging: one for each attempt's hash would cost these pages once more.
        for summary in _listed(None, _run_started(key), self._clients, self._log):
            found = attempts.get(summary.job_name.rpartition("-")[2])
            snapshot = self._clients.jobs.describe(summary.job_name) if found is not None else None
            if found is None or snapshot is None or not self._is_own(snapshot, found):
                continue
            if (expected := self._job.location(found).job_name) != snapshot.job_name:
                self._log.info(
                    "Training job '%s' is this task's, under the name that it had then; now it would be '%s'",
                    snapshot.job_name,
                    expected,
                )
            return found, snapshot
        return None

    def _named_after(self, attempt: int) -> tuple[int, JobSnapshot | None]:
        found: tuple[int, JobSnapshot | None] = attempt, None
        following = attempt + 1
        while following <= found[0] + _MOST_FREE:
            snapshot = self._clients.jobs.describe(self._job.location(following).job_name)
            if snapshot is not None and self._is_own(snapshot, following):
                found = following, snapshot
            following += 1
        return found

    def _is_own(self, snapshot: JobSnapshot, attempt: int) -> bool:
        return snapshot.environment.get(OWNER_VARIABLE) == self._job.owner(attempt)


def has_left_files(location: JobLocation, clients: AwsClients) -> bool:
    """
    Say whether a job of a name that is free now has left files: they would be taken for the next job's of that name.

    A look that S3 denies counts as none, as it does at what is not there where ``s3:ListBucket`` is missing.

    :raises NotebookJobServiceError: S3 could not be asked.
    """
    for uri in (location.output_archive_uri, location.executed_notebook_uri):
        try:
            if clients.objects.exists(uri):
                return True
        except NotebookJobServiceError as error:
            if not is_denied(error):
                raise
    return False


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
            for summary in _listed(f"{prefix}-", _run_started(key) - LONGEST_RUN, clients, log)
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
        free = 0
        for attempt in range(_MOST_ATTEMPTS):
            snapshot = clients.jobs.describe(
                training_job_name(readable, replace(key, generation=generation, attempt=attempt))
            )
            free = free + 1 if snapshot is None else 0
            if free == _MOST_FREE:
                break
            yield snapshot


def _listed(name_contains: str | None, created_after: datetime, clients: AwsClients, log: Log) -> Iterator[JobSummary]:
    """
    Yield the jobs whose names contain the text (None: all), newest first; filters count after paging, so a page without any says nothing of the next.

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
        "Only the newest pages (%d) of the jobs%s were looked through for one of this task's; an older one is not found",
        _MOST_PAGES,
        f" with '{name_contains}' in their names" if name_contains else " since the run began",
    )


def _run_started(key: RunKey) -> datetime:
    """Return a time before which no job of this start of the run was made, in whole seconds."""
    return datetime.fromtimestamp(key.run_started_microseconds // 1_000_000, tz=UTC) - CLOCK_SKEW
