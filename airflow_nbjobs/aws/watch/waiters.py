"""
Who waits for which job, and what the service has said of each job so far.

Used by ``poller.py``, inside the triggerer's event loop; makes no call.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.doubts import UNKNOWN_SECONDS, Doubts
from airflow_nbjobs.core.watch.recent import RecentSummaries

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_nbjobs.core.errors import NotebookJobError
    from airflow_nbjobs.core.job.status import JobSummary


class Waiters:
    """
    The waiting jobs of one poller.

    :ivar new: jobs that have not been polled yet.
    :ivar created: when each job was created that has been polled; a job of which the service does not say that is in neither.
    :ivar joined: set when a job has come to ``new``.
    """

    def __init__(self) -> None:
        self._futures: dict[str, set[asyncio.Future[JobSummary]]] = {}
        self._delays: dict[str, float] = {}
        self.new: dict[str, None] = {}
        self.created: dict[str, datetime] = {}
        self.joined = asyncio.Event()
        self._recent = RecentSummaries()
        self._doubts = Doubts()
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._futures)

    def __contains__(self, job_name: str) -> bool:
        return job_name in self._futures

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._futures))

    @property
    def shortest_delay_seconds(self) -> float:
        return min(self._delays.values())

    def recent(self, job_name: str) -> JobSummary | None:
        """Return, once, what a page of the last minute said of a job that nobody waited for then."""
        return self._recent.take(job_name, _now())

    def join(self, job_name: str, known: JobSummary | None, waiter_delay_seconds: float) -> asyncio.Future[JobSummary]:
        """
        Begin a wait; return the future of the job's end, or of the error that ends the wait.

        :param known: what ``recent`` has said.
        """
        if job_name not in self:
            if known is not None and known.created is not None:
                self.created[job_name] = known.created
            else:
                self.new[job_name] = None
                self.joined.set()
        future: asyncio.Future[JobSummary] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(job_name, set()).add(future)
        self._delays[job_name] = min(waiter_delay_seconds, self._delays.get(job_name, waiter_delay_seconds))
        return future

    def leave(self, job_name: str, future: asyncio.Future[JobSummary]) -> None:
        futures = self._futures.get(job_name)
        if futures is not None:
            futures.discard(future)
            if not futures:
                self._forget(job_name)

    def _forget(self, job_name: str) -> None:
        for state in (self._futures, self._delays, self.new, self.created):
            state.pop(job_name, None)
        self._doubts.clear(job_name)
        self._seen.discard(job_name)

    def settle(self, job_name: str, outcome: JobSummary | Exception) -> None:
        """End every wait for the job."""
        futures = self._futures.get(job_name, set()).copy()
        self._forget(job_name)
        for future in futures:
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def settle_if_lasting(self, job_name: str, error: NotebookJobError, seconds: float) -> None:
        """End every wait with an error once it has been the answer for so long; until then, each poll describes the job."""
        if self._doubts.has_lasted(job_name, seconds, now=_now()):
            self.settle(job_name, error)
        else:
            self.created.pop(job_name, None)

    def settle_if_unknown(self, job_name: str) -> None:
        self.settle_if_lasting(job_name, _unknown(job_name, was_seen=job_name in self._seen), UNKNOWN_SECONDS)

    def take(self, summary: JobSummary) -> None:
        """Note what the service says of any job, whoever asked for it."""
        name = summary.job_name
        if name not in self:
            self._recent.add(summary, _now())
        elif summary.state.is_terminal:
            self.settle(name, summary)
        else:
            self.new.pop(name, None)
            self._seen.add(name)
            self._doubts.clear(name)
            if summary.created is not None:
                self.created[name] = summary.created

    def renew_unplaced(self) -> None:
        """Poll as new, again, the jobs of which the service has not said when they were created, or nothing at all."""
        self.new.update(dict.fromkeys(sorted(self._futures.keys() - self.created.keys() - self.new.keys())))

    def forget_old(self) -> None:
        self._recent.forget_old(_now())


def _now() -> float:
    return asyncio.get_running_loop().time()


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
