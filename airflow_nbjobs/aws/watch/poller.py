"""
One poller for all waiting jobs of a connection, instead of one a job.

Found through ``shared.py``, and runs inside the triggerer's event loop. Every AWS call runs in a thread; nothing here blocks the loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_nbjobs.aws.errors import is_denied, is_throttled, needs_reopening
from airflow_nbjobs.aws.watch.call_budget import CallBudget, PacedCalls
from airflow_nbjobs.aws.watch.reopening import ReopenedJobs
from airflow_nbjobs.aws.watch.waiters import Waiters
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.job.doubts import DENIED_SECONDS
from airflow_nbjobs.core.watch import pace as pacing
from airflow_nbjobs.core.watch import plan as plans
from airflow_nbjobs.core.watch.pace import Pace
from airflow_nbjobs.core.watch.plan import Coverage, DescribeJob, ListJobs, LostPlaceError, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from airflow_nbjobs.aws.ports import TrainingJobs
    from airflow_nbjobs.core.job.status import JobSummary

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Triggers that start together are taken up by one poll.
_JOIN_GRACE_SECONDS = 0.2


class _DeniedError(Exception):
    """ListTrainingJobs is not allowed to this identity."""


class JobPoller:
    """
    Poll every waiting job until it has ended.

    :param open_jobs: reads the connection and gives a port on it, again where its credentials are refused; runs in the loop and may take its time. Its client must not
        retry by itself: the poller paces its calls, and asks again.
    :param budget: the process's.
    :param on_idle: called when the last waiter has left.
    """

    def __init__(
        self,
        open_jobs: Callable[[], Awaitable[TrainingJobs]],
        *,
        pace: Pace | None = None,
        budget: CallBudget | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_jobs = open_jobs
        self._pace = pace or Pace()
        self._calls = PacedCalls(budget or CallBudget(), self._pace)
        self._on_idle = on_idle
        self._task: asyncio.Task[None] | None = None
        self._waiters = Waiters()

        self._coverage: Coverage | None = None
        self._swept_at = 0.0
        self._latest_modified: datetime | None = None
        self._cursor: datetime | None = None
        self._denied_until = 0.0

    @property
    def is_idle(self) -> bool:
        return not self._waiters

    async def wait(self, job_name: str, *, waiter_delay_seconds: float) -> JobSummary:
        """
        Return what the service says of the job once it is in a terminal state.

        :param waiter_delay_seconds: the longest time between two polls of this job, as far as the budget allows.
        :raises NotebookJobError: the job has been unknown for a minute, the access to it denied for ten, or the credentials of every connection that was read
            refused for five. Whatever else passes is never told.
        :raises Exception: the poller has crashed.
        """
        known: JobSummary | None = None
        if job_name not in self._waiters:
            self._swept_at = float("-inf")  # what the last sweep has learned does not hold for this one
            known = self._waiters.recent(job_name)
            if known is not None and known.state.is_terminal:
                if self.is_idle:
                    self._on_idle()
                return known
        future = self._waiters.join(job_name, known, waiter_delay_seconds)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="nbjobs-poller")
        try:
            return await future
        finally:
            self._leave(job_name, future)

    def _leave(self, job_name: str, future: asyncio.Future[JobSummary]) -> None:
        self._waiters.leave(job_name, future)
        if self.is_idle and self._task is not None:
            # Let go of it at once: a waiter who joins before the cancellation is delivered must start another.
            self._task.cancel()
            self._task = None
            self._on_idle()

    def take(self, summaries: Iterable[JobSummary]) -> None:
        """Note what the service says of any jobs, and end the waits for those that have ended."""
        for summary in summaries:
            if summary.modified is not None:
                self._latest_modified = max(summary.modified, self._latest_modified or summary.modified)
            self._waiters.take(summary)

    async def _run(self) -> None:
        try:
            jobs = ReopenedJobs(self._open_jobs, self._calls.note_failure)
            await jobs.open()
            while self._waiters:
                began = asyncio.get_running_loop().time()
                calls = await self._poll(jobs)
                if self._waiters:
                    interval = pacing.interval_seconds(
                        calls, waiter_delay_seconds=self._waiters.shortest_delay_seconds, pace=self._pace
                    )
                    await self._rest(jobs, until=began + interval)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Whatever goes wrong here must reach every waiter: a silent poller leaves its tasks deferred for ever.
            if not isinstance(error, NotebookJobError):
                log.exception("The poller of notebook jobs has crashed")
            for job_name in self._waiters:
                self._waiters.settle(job_name, error)

    async def _poll(self, jobs: ReopenedJobs) -> int:
        """Poll every waiting job; return the calls that it took, without those that joiners took."""
        known = set(self._waiters.created)
        self._waiters.renew_unplaced()
        await self._discover(jobs)
        poll = _Poll(joiners=self._discover)
        # Those who have just joined are part of the next poll.
        created = {name: at for name, at in self._waiters.created.items() if name in known}
        try:
            if self._is_denied:
                await self._perform(jobs, plans.describe_each(created), poll)
            elif self._cursor is None or self._coverage is None or self._is_sweep_due(self._coverage):
                self._swept_at = asyncio.get_running_loop().time()
                self._coverage = await self._perform(jobs, plans.sweep(created, self._coverage or Coverage()), poll)
                self._advance(poll)
            else:
                await self._perform(jobs, plans.changes(created, self._coverage, self._cursor), poll)
                self._advance(poll)
        except LostPlaceError:
            log.info("A list of training jobs has lost its place; beginning anew")
            self._coverage = self._cursor = None
        except _DeniedError:
            await self._perform(jobs, plans.describe_each(self._waiters.created.copy()), poll)
        self._waiters.forget_old()
        return poll.calls

    @property
    def _is_denied(self) -> bool:
        return asyncio.get_running_loop().time() < self._denied_until

    def _is_sweep_due(self, coverage: Coverage) -> bool:
        is_old = asyncio.get_running_loop().time() - self._swept_at >= pacing.SAFETY_SECONDS
        return is_old or not coverage.covers(self._waiters.created)

    def _advance(self, poll: _Poll) -> None:
        if poll.started is not None:
            self._cursor = pacing.next_cursor(self._latest_modified, poll.started)

    async def _discover(self, jobs: ReopenedJobs) -> None:
        """Poll those who have joined."""
        new = self._waiters.new
        while new:
            self._waiters.joined.clear()
            names = tuple(new)
            poll = _Poll()
            try:
                await self._perform(jobs, plans.describe_each(names) if self._is_denied else plans.find(names), poll)
            except (_DeniedError, LostPlaceError):
                await self._perform(jobs, plans.describe_each(name for name in names if name in new), poll)
            for name in names:
                new.pop(name, None)

    async def _rest(self, jobs: ReopenedJobs, *, until: float) -> None:
        """Sleep; joiners are polled meanwhile, after a short grace for others."""
        loop = asyncio.get_running_loop()
        while (seconds := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(self._waiters.joined.wait(), timeout=seconds)
            except TimeoutError:
                return
            await asyncio.sleep(_JOIN_GRACE_SECONDS)
            self._waiters.joined.clear()
            await self._discover(jobs)

    async def _perform(self, jobs: ReopenedJobs, plan: plans.Plan[Result], poll: _Poll) -> Result:
        answer: plans.Answer = None
        while True:
            try:
                call = plan.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            await poll.joiners(jobs)
            answer = await self._answer(jobs, call, poll)

    async def _answer(self, jobs: ReopenedJobs, call: plans.Call, poll: _Poll) -> plans.Answer:
        """Ask until there is an answer, and take up what it says."""
        while True:
            if isinstance(call, DescribeJob) and call.job_name not in self._waiters:
                return None  # its trigger has left
            if isinstance(call, ListJobs) and self._is_denied:
                raise _DeniedError
            await self._calls.wait_for(call)
            poll.calls += 1
            try:
                if isinstance(call, DescribeJob):
                    answer: plans.Answer = await self._describe(jobs, call.job_name)
                else:
                    answer = await self._list(jobs, call)
                    poll.started = poll.started or answer.server_time
            except NotebookJobServiceError as error:
                if not error.is_retryable:
                    raise
                if is_throttled(error):
                    self._calls.note_throttling(call)
                elif needs_reopening(error):
                    await jobs.reopen(error)
                else:
                    await asyncio.sleep(self._calls.note_failure(error))
                continue
            self._calls.note_success()
            jobs.note_success()
            return answer

    async def _describe(self, jobs: ReopenedJobs, job_name: str) -> JobSummary | None:
        try:
            snapshot = await asyncio.to_thread(jobs.port.describe, job_name)
        except NotebookJobError as error:
            if isinstance(error, NotebookJobServiceError) and error.is_retryable:
                raise
            # A policy may allow some jobs and deny others, and one that was just changed passes on its way.
            self._waiters.settle_if_lasting(job_name, error, DENIED_SECONDS if is_denied(error) else 0.0)
            return None
        if snapshot is None:
            self._waiters.settle_if_unknown(job_name)
            return None
        self._waiters.new.pop(job_name, None)
        self.take((snapshot.summary,))
        return snapshot.summary

    async def _list(self, jobs: ReopenedJobs, call: ListJobs) -> Page:
        try:
            page = await asyncio.to_thread(jobs.port.list_page, call)
        except NotebookJobServiceError as error:
            if not is_denied(error):
                raise
            self._denied_until = asyncio.get_running_loop().time() + pacing.DENIED_SECONDS
            log.warning(
                "%s\nUntil then each of the waiting notebook jobs is described alone: far more calls, and later news. Asking again in an hour.",
                error,
            )
            raise _DeniedError from error
        except NotebookJobConfigError as error:
            if call.next_token is None:
                raise
            raise LostPlaceError from error  # the token has expired, as after a laptop's sleep
        self.take(page.summaries)
        return page


async def _nobody(_: Any) -> None:
    """Those who join while joiners are polled wait for the end of that."""


class _Poll(msgspec.Struct):
    """The calls that one poll took, and the service's time at its first page."""

    joiners: Callable[[ReopenedJobs], Awaitable[None]] = _nobody
    calls: int = 0
    started: datetime | None = None
