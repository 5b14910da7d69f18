"""
A SageMaker account whose jobs end on a script, as ListTrainingJobs and DescribeTrainingJob show it; by a clock that the test holds.

It has what AWS has and a poller may trip over: times are whole seconds in requests, ``LastModifiedTimeAfter`` filters after paging, tokens belong to their query, pages
change while they are read; and, where a test asks for it, lists that lag, clocks that differ, empty pages in between.
"""

from __future__ import annotations

import bisect
import random
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airflow_nbjobs.core.job.status import JobSummary, parse_state
from airflow_nbjobs.core.watch.plan import PAGE_SIZE, DescribeJob, ListJobs, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

EPOCH = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass(slots=True)
class ScriptedJob:
    """
    :param created: seconds by the account's clock, as ``ends`` is.
    """

    name: str
    created: float
    ends: float = float("inf")
    status: str = "Completed"


class InvalidTokenError(Exception):
    pass


class ScriptedAccount:
    """
    :param now: seconds that everybody's clock shows.
    :param skew: how far the service's clock is ahead of that; its jobs' times are by its own.
    :param lag: a list shows each job as it was up to so long ago, some later than others, though with the right times.
    :param empty_pages: of a hundred pages, so many come out empty with a token that leads to what should have been on them.
    :param page_size: what the service puts on a page at most.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        skew: float = 0.0,
        lag: float = 0.0,
        empty_pages: int = 0,
        page_size: int = PAGE_SIZE,
        is_filtered_first: bool = False,
        seed: int = 0,
    ) -> None:
        self._now = now
        self._skew = skew
        self._lag = lag
        self._empty_pages = empty_pages
        self._page_size = page_size
        self._is_filtered_first = is_filtered_first
        self._random = random.Random(seed)
        self._order: list[tuple[float, str]] = []
        self.jobs: dict[str, ScriptedJob] = {}
        self.calls: list[tuple[float, ListJobs | DescribeJob]] = []

    def add(self, jobs: Iterable[ScriptedJob]) -> None:
        for job in jobs:
            self.jobs[job.name] = job
            self._order.append((job.created, job.name))
        self._order.sort()

    def delete(self, name: str) -> None:
        job = self.jobs.pop(name)
        del self._order[bisect.bisect_left(self._order, (job.created, name))]

    def count(self, kind: type[ListJobs | DescribeJob] | None = None, *, since: float = 0.0) -> int:
        return sum(at >= since and (kind is None or isinstance(call, kind)) for at, call in self.calls)

    def time(self, seconds: float) -> datetime:
        """What the service calls a moment of the script."""
        return EPOCH + timedelta(seconds=round(seconds + self._skew, 3))

    def answer(self, call: ListJobs | DescribeJob) -> Page | JobSummary | None:
        return self.describe(call) if isinstance(call, DescribeJob) else self.list(call)

    def describe(self, call: DescribeJob) -> JobSummary | None:
        self.calls.append((self._now(), call))
        job = self.jobs.get(call.job_name)
        return None if job is None or job.created > self._now() else self._summary(job, self._now())

    def list(self, call: ListJobs) -> Page:
        self.calls.append((self._now(), call))
        for time in (call.created_after, call.created_before, call.modified_after):
            assert time is None or time.microsecond == 0, "the wire has whole seconds"
        low = (
            0
            if call.created_after is None
            else bisect.bisect_right(self._order, (self._seconds(call.created_after), "~"))
        )
        until = min(
            self._now(), float("inf") if call.created_before is None else self._seconds(call.created_before) - 1e-6
        )
        high = bisect.bisect_right(self._order, (until, "~"))
        query = str(replace(call, next_token=None))
        if call.next_token is not None:
            mark, _, of_query = call.next_token.partition("|")
            if of_query != query:
                raise InvalidTokenError
            created, _, name = mark.partition(" ")
            position = (float(created), name)
            if call.is_newest_first:
                high = bisect.bisect_left(self._order, position)
            else:
                low = bisect.bisect_right(self._order, position)
        if self._is_filtered_first:
            hits = [entry for entry in self._order[low:high] if self._is_shown(entry[1], call)]
            if call.is_newest_first:
                hits.reverse()
            entries, has_more = hits[: self._page_size], len(hits) > self._page_size
        elif call.is_newest_first:
            entries = self._order[max(low, high - self._page_size) : high][::-1]
            has_more = high - low > self._page_size
        else:
            entries = self._order[low : min(high, low + self._page_size)]
            has_more = high - low > self._page_size
        server_time = self.time(self._now()).replace(microsecond=0)
        if entries and self._random.randrange(100) < self._empty_pages:
            first = entries[0][0] + (1e-6 if call.is_newest_first else -1e-6)
            return Page((), call.next_token or f"{first!r} ~|{query}", server_time)
        shown = tuple(
            self._summary(self.jobs[name], self._seen_at(name)) for _, name in entries if self._is_shown(name, call)
        )
        token = f"{entries[-1][0]!r} {entries[-1][1]}|{query}" if has_more else None
        return Page(shown, token, server_time)

    def _seen_at(self, name: str) -> float:
        """As of when lists show this job; always the same for one job."""
        return self._now() - self._lag * (zlib.crc32(name.encode()) % 100) / 99

    def _seconds(self, time: datetime) -> float:
        return (time - EPOCH).total_seconds() - self._skew

    def _is_shown(self, name: str, call: ListJobs) -> bool:
        job, seen_at = self.jobs[name], self._seen_at(name)
        if job.created > seen_at:
            return False
        modified = self._summary(job, seen_at).modified
        return call.modified_after is None or (modified is not None and modified > call.modified_after)

    def _summary(self, job: ScriptedJob, seen_at: float) -> JobSummary:
        has_ended = job.ends <= seen_at
        status = job.status if has_ended else "InProgress"
        return JobSummary(
            job_name=job.name,
            state=parse_state(status),
            status=status,
            secondary_status=status if has_ended else "Training",
            created=self.time(job.created),
            modified=self.time(job.ends if has_ended else job.created),
        )
