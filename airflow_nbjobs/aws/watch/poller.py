"""
One look-out for all waiting jobs of a connection, instead of one a job.

Found through ``pollers.py``, and runs inside the triggerer's event loop. Every AWS call runs in a thread; nothing here blocks the loop.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_nbjobs.aws.errors import is_denied, is_throttled, needs_reopening
from airflow_nbjobs.aws.watch.reopening import ReopenedJobs
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.job.doubts import DENIED_SECONDS, UNKNOWN_SECONDS, Doubts
from airflow_nbjobs.core.watch import pace as polling
from airflow_nbjobs.core.watch import plan as looks
from airflow_nbjobs.core.watch.memory import Memory
from airflow_nbjobs.core.watch.pace import Pace
from airflow_nbjobs.core.watch.plan import Coverage, DescribeJob, ListJobs, LostPlaceError, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from airflow_nbjobs.aws.ports import TrainingJobs
    from airflow_nbjobs.core.job.status import JobSummary

log = logging.getLogger(__name__)
Result = TypeVar("Result")

# Triggers that start together are taken up by one look.
_JOIN_GRACE_SECONDS = 0.2


@dataclass(slots=True)
class Turns:
    """The process's budget, shared by its pollers: who asks, waits for the next turn."""

    _free_at: float = 0.0

    def reserve(self, now: float, seconds: float) -> float:
        """Return when the turn begins; it lasts for ``seconds``."""
        begins = max(now, self._free_at)
        self._free_at = begins + seconds
        return begins


class _DeniedError(Exception):
    """ListTrainingJobs is not allowed to this identity."""


class JobPoller:
    """
    Look at every waiting job in turn until each has ended.

    :param open_jobs: reads the connection and gives a port on it, again where its credentials are refused; runs in the loop and may take its time. Its client must not
        retry by itself: this paces its calls, and asks again.
    :param turns: the process's budget.
    :param on_idle: called when the last waiter has left.
    """

    def __init__(
        self,
        open_jobs: Callable[[], Awaitable[TrainingJobs]],
        *,
        pace: Pace | None = None,
        turns: Turns | None = None,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_jobs = open_jobs
        self._pace = pace or Pace()
        self._turns = turns or Turns()
        self._on_idle = on_idle
        self._task: asyncio.Task[None] | None = None

        self._waiters: dict[str, set[asyncio.Future[JobSummary]]] = {}
        self._delays: dict[str, float] = {}
        # A waiting job is in one of these: not looked at yet, or of known creation (or, if the service does not say, in neither).
        self._new: dict[str, None] = {}
        self._created: dict[str, datetime] = {}
        self._joined = asyncio.Event()
        self._memory = Memory()
        self._doubts = Doubts()
        self._seen: set[str] = set()

        self._coverage: Coverage | None = None
        self._swept_at = 0.0
        self._latest_modified: datetime | None = None
        self._cursor: datetime | None = None
        self._denied_until = 0.0

        self._seconds_per_call = 1 / self._pace.list_calls_per_second
        self._own_turn = 0.0
        self._failures = 0
        self._told_at = float("-inf")

    @property
    def is_idle(self) -> bool:
        return not self._waiters

    # -- waiters ---------------------------------------------------------------------------------------------------

    async def wait(self, job_name: str, *, waiter_delay_seconds: float) -> JobSummary:
        """
        Return what the service says of the job once it is in a terminal state.

        :param waiter_delay_seconds: the longest time between two looks at this job, as far as the budget allows.
        :raises NotebookJobError: the job cannot be watched: it has been unknown for a minute, or the access to it denied or the credentials of every connection that was
            read have been refused for five. Whatever else passes is never told.
        :raises Exception: the poller has crashed.
        """
        loop = asyncio.get_running_loop()
        if job_name not in self._waiters:
            self._swept_at = float("-inf")  # what the last sweep has learned does not hold for this one
            known = self._memory.take(job_name, loop.time())
            if known is not None and known.state.is_terminal:
                if self.is_idle:
                    self._on_idle()
                return known
            if known is not None and known.created is not None:
                self._created[job_name] = known.created
            else:
                self._new[job_name] = None
                self._joined.set()
        future: asyncio.Future[JobSummary] = loop.create_future()
        self._waiters.setdefault(job_name, set()).add(future)
        self._delays[job_name] = min(waiter_delay_seconds, self._delays.get(job_name, waiter_delay_seconds))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="nbjobs-poller")
        try:
            return await future
        finally:
            self._leave(job_name, future)

    def _leave(self, job_name: str, future: asyncio.Future[JobSummary]) -> None:
        waiters = self._waiters.get(job_name)
        if waiters is not None:
            waiters.discard(future)
            if not waiters:
                self._forget(job_name)
        if self.is_idle and self._task is not None:
            # Let go of it at once: a waiter who joins before the cancellation is delivered must start another.
            self._task.cancel()
            self._task = None
            self._on_idle()

    def _forget(self, job_name: str) -> None:
        for state in (self._waiters, self._delays, self._new, self._created):
            state.pop(job_name, None)
        self._doubts.clear(job_name)
        self._seen.discard(job_name)

    def _settle(self, job_name: str, outcome: JobSummary | Exception) -> None:
        futures = self._waiters.get(job_name, set()).copy()
        self._forget(job_name)
        for future in futures:
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def take(self, summaries: Iterable[JobSummary]) -> None:
        """Let the waiters have what the service says of any jobs, whoever asked for it."""
        now = asyncio.get_running_loop().time()
        for summary in summaries:
            name = summary.job_name
            if summary.modified is not None:
                self._latest_modified = max(summary.modified, self._latest_modified or summary.modified)
            if name not in self._waiters:
                self._memory.add(summary, now)
            elif summary.state.is_terminal:
                self._settle(name, summary)
            else:
                self._new.pop(name, None)
                self._seen.add(name)
                self._doubts.clear(name)
                if summary.created is not None:
                    self._created[name] = summary.created

    # -- looks -----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            jobs = ReopenedJobs(self._open_jobs, self._note_failure)
            await jobs.open()
            while self._waiters:
                began = asyncio.get_running_loop().time()
                calls = await self._look(jobs)
                if self._waiters:
                    interval = polling.interval_seconds(
                        calls, waiter_delay_seconds=min(self._delays.values()), pace=self._pace
                    )
                    await self._rest(jobs, until=began + interval)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            # Whatever goes wrong here must reach every waiter: a silent poller leaves its tasks deferred for ever.
            if not isinstance(error, NotebookJobError):
                log.exception("The poller of notebook jobs has crashed")
            for job_name in list(self._waiters):
                self._settle(job_name, error)

    async def _look(self, jobs: ReopenedJobs) -> int:
        """Look at every waiting job; return the calls that it took, without those that joiners took."""
        known = set(self._created)
        # Those of which the service has not said when they were created, or nothing at all yet, are looked for as joiners are.
        self._new.update(dict.fromkeys(sorted(self._waiters.keys() - self._created.keys() - self._new.keys())))
        await self._discover(jobs)
        loop = asyncio.get_running_loop()
        sweep = _Sweep(joiners=self._discover)
        # Those who have just been looked at as joiners have their turn in the next look.
        created = {name: at for name, at in self._created.items() if name in known}
        try:
            if self._is_denied:
                await self._perform(jobs, looks.describe_each(created), sweep)
            elif self._cursor is None or self._coverage is None or self._is_sweep_due(self._coverage):
                self._swept_at = loop.time()
                self._coverage = await self._perform(jobs, looks.sweep(created, self._coverage or Coverage()), sweep)
                self._advance(sweep)
            else:
                await self._perform(jobs, looks.changes(created, self._coverage, self._cursor), sweep)
                self._advance(sweep)
        except LostPlaceError:
            log.info("A list of training jobs has lost its place; beginning anew")
            self._coverage = self._cursor = None
        except _DeniedError:
            await self._perform(jobs, looks.describe_each(self._created.copy()), sweep)
        self._memory.forget_old(loop.time())
        return sweep.calls

    @property
    def _is_denied(self) -> bool:
        return asyncio.get_running_loop().time() < self._denied_until

    def _is_sweep_due(self, coverage: Coverage) -> bool:
        is_old = asyncio.get_running_loop().time() - self._swept_at >= polling.SAFETY_SECONDS
        return is_old or not coverage.covers(self._created)

    def _advance(self, sweep: _Sweep) -> None:
        if sweep.started is not None:
            self._cursor = polling.next_cursor(self._latest_modified, sweep.started)

    async def _discover(self, jobs: ReopenedJobs) -> None:
        """Look at those who have joined."""
        while self._new:
            self._joined.clear()
            names = tuple(self._new)
            sweep = _Sweep()
            try:
                await self._perform(jobs, looks.describe_each(names) if self._is_denied else looks.find(names), sweep)
            except (_DeniedError, LostPlaceError):
                await self._perform(jobs, looks.describe_each(name for name in names if name in self._new), sweep)
            for name in names:
                self._new.pop(name, None)

    async def _perform(self, jobs: ReopenedJobs, look: looks.Look[Result], sweep: _Sweep) -> Result:
        answer: looks.Answer = None
        while True:
            try:
                call = look.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            await sweep.joiners(jobs)
            answer = await self._answer(jobs, call, sweep)

    async def _answer(self, jobs: ReopenedJobs, call: looks.Call, sweep: _Sweep) -> looks.Answer:
        """Ask until there is an answer, and take up what it says."""
        while True:
            if isinstance(call, DescribeJob) and call.job_name not in self._waiters:
                return None  # its trigger has left
            if isinstance(call, ListJobs) and self._is_denied:
                raise _DeniedError
            await self._turn(call)
            sweep.calls += 1
            try:
                if isinstance(call, DescribeJob):
                    answer: looks.Answer = await self._describe(jobs, call.job_name)
                else:
                    answer = await self._list(jobs, call)
                    sweep.started = sweep.started or answer.server_time
            except NotebookJobServiceError as error:
                if not error.is_retryable:
                    raise
                if is_throttled(error):
                    self._slow_down(call)
                elif needs_reopening(error):
                    await jobs.reopen(error)
                else:
                    await asyncio.sleep(self._note_failure(error))
                continue
            self._seconds_per_call = polling.faster(self._seconds_per_call, self._pace)
            self._failures = 0
            jobs.note_success()
            return answer

    async def _describe(self, jobs: ReopenedJobs, job_name: str) -> JobSummary | None:
        try:
            snapshot = await asyncio.to_thread(jobs.describe, job_name)
        except NotebookJobError as error:
            if isinstance(error, NotebookJobServiceError) and error.is_retryable:
                raise
            # A policy may allow some jobs and deny others, and one that was just changed passes on its way.
            self._settle_if_lasting(job_name, error, DENIED_SECONDS if is_denied(error) else 0.0)
            return None
        if snapshot is None:
            self._settle_if_lasting(job_name, _unknown(job_name, was_seen=job_name in self._seen), UNKNOWN_SECONDS)
            return None
        self._new.pop(job_name, None)
        self.take((snapshot.summary,))
        return snapshot.summary

    def _settle_if_lasting(self, job_name: str, error: NotebookJobError, seconds: float) -> None:
        """Let the waiters have an error once it has been the answer for so long; until then, the job is described at each look."""
        if self._doubts.has_lasted(job_name, seconds, now=asyncio.get_running_loop().time()):
            self._settle(job_name, error)
        else:
            self._created.pop(job_name, None)

    async def _list(self, jobs: ReopenedJobs, call: ListJobs) -> Page:
        try:
            page = await asyncio.to_thread(jobs.list_page, call)
        except NotebookJobServiceError as error:
            if not is_denied(error):
                raise
            self._denied_until = asyncio.get_running_loop().time() + polling.DENIED_SECONDS
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

    def _note_failure(self, error: Exception) -> float:
        self._failures += 1
        now = asyncio.get_running_loop().time()
        # One lost connection is nothing to tell, and an endpoint that comes and goes is told of now and then.
        if self._failures > 1 and now - self._told_at >= polling.TELLING_SECONDS:
            self._told_at = now
            log.warning(
                "SageMaker cannot be asked for notebook jobs; going on trying: %s",
                getattr(error, "headline", repr(error)),
            )
        return polling.retry_delay_seconds(self._failures)

    # -- time ------------------------------------------------------------------------------------------------------

    async def _turn(self, call: looks.Call) -> None:
        """Wait until this poller's pace and the process's budget allow the call."""
        weight = _weight(call)
        await _sleep_until(self._own_turn)
        now = asyncio.get_running_loop().time()
        begins = self._turns.reserve(now, weight / self._pace.list_calls_per_second)
        self._own_turn = begins + weight * self._seconds_per_call
        await _sleep_until(begins)

    def _slow_down(self, call: looks.Call) -> None:
        self._seconds_per_call = polling.slower(self._seconds_per_call, self._pace)
        now = asyncio.get_running_loop().time()
        self._own_turn = max(self._own_turn, now + _weight(call) * self._seconds_per_call)

    async def _rest(self, jobs: ReopenedJobs, *, until: float) -> None:
        """Sleep; joiners are looked at meanwhile, after a short grace for others."""
        loop = asyncio.get_running_loop()
        while (seconds := until - loop.time()) > 0:
            try:
                await asyncio.wait_for(self._joined.wait(), timeout=seconds)
            except TimeoutError:
                return
            await asyncio.sleep(_JOIN_GRACE_SECONDS)
            self._joined.clear()
            await self._discover(jobs)


async def _nobody(_: Any) -> None:
    """Joiners have to wait for the end of a look at joiners."""


@dataclass(slots=True)
class _Sweep:
    """What one look has come to: its calls, and the service's time at its first page."""

    joiners: Callable[[ReopenedJobs], Awaitable[None]] = _nobody
    calls: int = 0
    started: datetime | None = None


def _unknown(job_name: str, *, was_seen: bool) -> NotebookJobServiceError:
    since = "any more: it has been deleted" if was_seen else f"(asked for {UNKNOWN_SECONDS:.0f} s)"
    return NotebookJobServiceError(
        f"SageMaker knows no training job '{job_name}' {since}",
        code="ResourceNotFound",
        is_retryable=True,
        details={
            "next": "look for the job in the SageMaker console, in the region and account of the task's connection; a retry looks for it again"
        },
        job_name=job_name,
    )


def _weight(call: looks.Call) -> float:
    """What a call takes of the budget."""
    return 1 / polling.DESCRIBES_PER_LIST if isinstance(call, DescribeJob) else 1.0


async def _sleep_until(when: float) -> None:
    seconds = when - asyncio.get_running_loop().time()
    if seconds > 0:
        await asyncio.sleep(seconds)
