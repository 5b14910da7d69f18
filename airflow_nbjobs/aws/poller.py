"""
One look-out for all waiting jobs of a connection, instead of one a job.

Called by the trigger, inside the triggerer's event loop: a module-level registry, keyed weakly by loop, holds one poller per connection and
region. Every AWS call runs in a thread; nothing here blocks the loop.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from airflow_nbjobs.aws.translate import is_throttled
from airflow_nbjobs.core import polling
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_nbjobs.aws.ports import TrainingJobs
    from airflow_nbjobs.core.status import JobSnapshot

log = logging.getLogger(__name__)

# Triggers that start together are taken up by one cycle.
_JOIN_GRACE_SECONDS = 0.2


class PollerKey(NamedTuple):
    """
    What two waiting jobs must share to be asked for together: the same credentials at the same endpoint.

    :param botocore_config: JSON text, so that the key can be hashed.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: str
    botocore_config: str


class JobPoller:
    """
    Describe every waiting job in turn until each has ended.

    :param open_jobs: gives the port, once; runs in the loop and may take its time.
    """

    def __init__(self, open_jobs: Callable[[], Awaitable[TrainingJobs]]) -> None:
        self._open_jobs = open_jobs
        self._waiters: defaultdict[str, set[asyncio.Future[JobSnapshot]]] = defaultdict(set)
        self._due: dict[str, float] = {}
        self._delays: dict[str, float] = {}
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._slowdown = 1.0
        self._is_unreachable = False

    @property
    def is_idle(self) -> bool:
        return not self._waiters

    async def wait(self, job_name: str, *, waiter_delay_seconds: float) -> JobSnapshot:
        """
        Return what the service says of the job once it is in a terminal state.

        :param waiter_delay_seconds: the longest time between two looks at this job.
        :raises NotebookJobError: the job cannot be watched (no credentials, access denied, no such job), or the poller itself has crashed.
        """
        future: asyncio.Future[JobSnapshot] = asyncio.get_running_loop().create_future()
        self._waiters[job_name].add(future)
        self._due.setdefault(job_name, 0.0)
        self._delays[job_name] = waiter_delay_seconds
        self._joined.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="nbjobs-poller")
        try:
            return await future
        finally:
            self._leave(job_name, future)

    def _leave(self, job_name: str, future: asyncio.Future[JobSnapshot]) -> None:
        waiters = self._waiters.get(job_name)
        if waiters is not None:
            waiters.discard(future)
            if not waiters:
                self._forget(job_name)
        if self.is_idle and self._task is not None:
            # Let go of it at once: a waiter who joins before the cancellation is delivered must start another.
            self._task.cancel()
            self._task = None

    def _forget(self, job_name: str) -> None:
        self._waiters.pop(job_name, None)
        self._due.pop(job_name, None)
        self._delays.pop(job_name, None)

    async def _run(self) -> None:
        try:
            jobs = await self._open_jobs()
            while self._waiters:
                await self._look(jobs)
                await self._pause()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Whatever goes wrong here must reach every waiter: a silent poller leaves its tasks deferred for ever.
            if not isinstance(error, NotebookJobError):
                log.exception("The poller of notebook jobs has crashed")
            self._fail_all(error)

    async def _look(self, jobs: TrainingJobs) -> None:
        # The loop's own clock: the one that its sleeps are counted by.
        now = asyncio.get_running_loop().time()
        for job_name in [name for name, due in self._due.items() if due <= now]:
            if job_name not in self._waiters:
                continue  # its trigger has left meanwhile
            try:
                snapshot = await asyncio.to_thread(jobs.describe, job_name)
            except NotebookJobServiceError as error:
                if not error.is_retryable:
                    raise
                self._note_trouble(error)
                self._schedule(job_name)
                continue
            self._slowdown = 1.0
            self._is_unreachable = False
            if snapshot is None:
                self._settle(
                    job_name,
                    error=NotebookJobConfigError(
                        f"SageMaker knows no training job '{job_name}' any more", job_name=job_name
                    ),
                )
            elif snapshot.state.is_terminal:
                self._settle(job_name, snapshot=snapshot)
            else:
                self._schedule(job_name)

    def _schedule(self, job_name: str) -> None:
        if job_name in self._delays:
            delay = polling.cycle_delay_seconds(len(self._waiters), waiter_delay_seconds=self._delays[job_name])
            self._due[job_name] = asyncio.get_running_loop().time() + polling.slowed_delay_seconds(
                delay, self._slowdown
            )

    def _note_trouble(self, error: NotebookJobServiceError) -> None:
        if is_throttled(error):
            self._slowdown = polling.slower(self._slowdown)
        elif not self._is_unreachable:
            self._is_unreachable = True
            log.warning("SageMaker cannot be asked for notebook jobs; going on trying: %s", error.headline)

    def _settle(self, job_name: str, *, snapshot: JobSnapshot | None = None, error: Exception | None = None) -> None:
        futures = self._waiters.get(job_name, set()).copy()
        self._forget(job_name)
        for future in futures:
            if future.done():
                continue
            if snapshot is not None:
                future.set_result(snapshot)
            else:
                future.set_exception(error or RuntimeError("no snapshot"))

    def _fail_all(self, error: Exception) -> None:
        for job_name in list(self._waiters):
            self._settle(job_name, error=error)

    async def _pause(self) -> None:
        """Sleep until the next job is due; a joiner ends the sleep early, after a short grace for others."""
        self._joined.clear()
        if not self._due:
            return
        seconds = max(0.0, min(self._due.values()) - asyncio.get_running_loop().time())
        try:
            await asyncio.wait_for(self._joined.wait(), timeout=seconds)
        except TimeoutError:
            return
        await asyncio.sleep(_JOIN_GRACE_SECONDS)


_pollers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[PollerKey, JobPoller]] = weakref.WeakKeyDictionary()


def shared_poller(key: PollerKey, open_jobs: Callable[[], Awaitable[TrainingJobs]]) -> JobPoller:
    """Return the running loop's poller for the key, making it if there is none."""
    of_loop = _pollers.setdefault(asyncio.get_running_loop(), {})
    for idle in [present for present, poller in of_loop.items() if present != key and poller.is_idle]:
        del of_loop[idle]
    if key not in of_loop:
        of_loop[key] = JobPoller(open_jobs)
    return of_loop[key]
