"""
Which calls find out what became of the waiting jobs, in as few calls as that takes; pure.

Called by ``aws/watch/poller.py``: each generator yields a call and is sent its answer. What a page says of any job is taken up by the poller as the page comes in; the
generators only decide what to ask next.

A page holds 100 jobs in the order of their creation, which never changes. ``CreationTimeAfter`` and ``CreationTimeBefore`` choose what is paged through;
``LastModifiedTimeAfter`` filters what is on the pages, *after* paging, so that pages come out short or empty and cost as many calls: it spares bytes only. Source: botocore's
``ListTrainingJobsRequest``; aws/aws-cli#7596.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from typing import TypeVar, cast

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.job.status import JobSummary
from airflow_nbjobs.core.watch.pace import just_after, just_before

PAGE_SIZE = 100
# Up to so many jobs, describing each is no dearer than a page that may have none of them.
_FEW = 2
# A window that was read in k pages has no more of them later: its jobs lie in the past. Beyond this factor, the tokens go in a circle.
_MOST_PAGES_FACTOR = 4


class ListJobs(msgspec.Struct, frozen=True):
    """
    One ListTrainingJobs call for up to 100 summaries, oldest first unless said otherwise; times in whole seconds, exclusive.

    :param name_contains: part of a name, 1-63 of ``[a-zA-Z0-9-]``.
    """

    created_after: datetime | None = None
    created_before: datetime | None = None
    modified_after: datetime | None = None
    is_newest_first: bool = False
    next_token: str | None = None
    name_contains: str | None = None
    warm_pool_status: str | None = None


class DescribeJob(msgspec.Struct, frozen=True):
    """One DescribeTrainingJob call."""

    job_name: str


class Page(msgspec.Struct, frozen=True):
    """
    The answer to ``ListJobs``.

    :param server_time: the service's clock when it answered.
    """

    summaries: tuple[JobSummary, ...] = ()
    next_token: str | None = None
    server_time: datetime | None = None


Call = ListJobs | DescribeJob
# None: the service knows no such job.
Answer = Page | JobSummary | None
Result = TypeVar("Result")
Plan = Generator[Call, Answer, Result]


class Group(msgspec.Struct, frozen=True):
    """Waiting jobs that one run of pages has shown."""

    job_names: frozenset[str]
    pages: int


class Coverage(msgspec.Struct, frozen=True):
    """
    What a sweep has learned of where the waiting jobs lie.

    :param described: jobs that no page covered.
    :param reaches: job -> creation of the last job on the page that began with it.
    """

    groups: tuple[Group, ...] = ()
    described: frozenset[str] = frozenset()
    reaches: Mapping[str, datetime] = msgspec.field(default_factory=dict)

    def covers(self, job_names: Iterable[str]) -> bool:
        known = self.described.union(*(group.job_names for group in self.groups))
        return known.issuperset(job_names)


def describe_each(job_names: Iterable[str]) -> Plan[None]:
    """Describe each job."""
    for name in job_names:
        yield DescribeJob(name)


def find(job_names: Iterable[str]) -> Plan[None]:
    """
    Ask for jobs whose creation is not known.

    Newest first, without a bound: jobs that have just been submitted are on the first page. Where pages find less than Describe would, one job is described and the page
    at its creation is tried, since jobs that wait together were often created together. Each page that finds nothing doubles the describes before the next
    one: at worst n jobs take n + log2(n) + 1 calls, at best n / 100.
    """
    left = dict.fromkeys(job_names)
    if len(left) > _FEW:
        yield from _read_while_worth_it(ListJobs(is_newest_first=True), left)
    pause = due = 1
    while left:
        name = next(iter(left))
        del left[name]
        summary = yield from _described(name)
        due -= 1
        if due > 0 or len(left) < _FEW or summary is None or summary.created is None:
            continue
        found = yield from _read_while_worth_it(ListJobs(created_after=just_before(summary.created)), left)
        pause = 1 if found else 2 * pause
        due = pause


def _read_while_worth_it(call: ListJobs, left: dict[str, None]) -> Plan[int]:
    """Read on while the pages have shown at least one of the jobs each; return how many they have shown, and take those out of ``left``."""
    pages = found = 0
    while left and found >= pages:
        page = yield from _listed(call)
        pages += 1
        shown = {summary.job_name for summary in page.summaries} & left.keys()
        for name in shown:
            del left[name]
        found += len(shown)
        if page.next_token is None:
            break
        call = replace(call, next_token=page.next_token)
    return found


def sweep(created: Mapping[str, datetime], before: Coverage) -> Plan[Coverage]:
    """
    Ask for every waiting job, changed or not.

    A page that begins at the oldest job not seen yet shows all others among the next 100 jobs of the account; then the next page begins at the next one not seen,
    so that no history between waiting jobs is read. A job that is alone on its page is described. So there are never more calls than jobs, nor than pages from the oldest
    job on, but for what the first sweep of an unknown account has to learn.

    :param created: waiting job -> its creation.
    :param before: what the sweep before has learned.
    """
    queue = sorted((at, name) for name, at in created.items())
    reaches = {name: reach for name, reach in before.reaches.items() if name in created}
    groups: list[Group] = []
    described: set[str] = set()
    while queue:
        _, name = queue[0]
        if len(queue) == 1 or (name in reaches and queue[1][0] > reaches[name]):
            alone = [name]
            queue = queue[1:]
        else:
            group, alone, queue = yield from _read_run(queue, reaches)
            groups.append(group)
        described.update(alone)
        yield from describe_each(alone)
    return Coverage(tuple(groups), frozenset(described), reaches)


_Queue = list[tuple[datetime, str]]


def _read_run(queue: _Queue, reaches: dict[str, datetime]) -> Plan[tuple[Group, list[str], _Queue]]:
    """
    Read pages from the first job of the queue on while that is worth it.

    :return: what they showed, the jobs that they should have shown and did not, the jobs that lie further on.
    """
    head_at, head = queue[0]
    call = ListJobs(created_after=just_before(head_at))
    shown: set[str] = set()
    missed: list[str] = []
    pages = 0
    while True:
        page = yield from _listed(call)
        pages += 1
        on_page = {summary.job_name for summary in page.summaries}
        last = max((summary.created for summary in page.summaries if summary.created is not None), default=None)
        is_end = page.next_token is None
        shown.update(name for _, name in queue if name in on_page)
        queue = [(at, name) for at, name in queue if name not in on_page]
        if pages == 1 and last is not None and not is_end:
            reaches[head] = last
        passed = [name for at, name in queue if is_end or (last is not None and at < last)]
        missed += passed
        queue = queue[len(passed) :]
        if is_end or len(queue) <= 1:
            break
        if len(shown) < pages:
            # Fewer than Describe would have shown: more than a page of foreign jobs were created in the second before this one, or pages come out empty.
            if queue[0][1] == head:
                missed.append(head)
                queue = queue[1:]
            reaches[head] = just_before(head_at)
            break
        if last is not None and just_before(queue[0][0]) > last:
            break  # what lies between is nobody's here
        call = replace(call, next_token=page.next_token)
    return Group(frozenset(shown), pages), missed, queue


class LostPlaceError(Exception):
    """Tokens lead on and on: the sweep has to begin anew."""


def changes(created: Mapping[str, datetime], coverage: Coverage, cursor: datetime) -> Plan[None]:
    """
    Ask only for what has changed since the cursor; never more calls than jobs, if the service pages as it did before.

    :param coverage: of the last sweep; has to cover all jobs.
    :raises LostPlaceError: a window has far more pages than it had.
    """
    left = set(created)
    for group in coverage.groups:
        waiting = group.job_names & left
        left -= waiting
        if len(waiting) <= group.pages:
            yield from describe_each(sorted(waiting))
            continue
        times = [created[name] for name in waiting]
        call = ListJobs(
            created_after=just_before(min(times)), created_before=just_after(max(times)), modified_after=cursor
        )
        pages = 0
        while True:
            page = yield from _listed(call)
            pages += 1
            if page.next_token is None:
                break
            if pages > _MOST_PAGES_FACTOR * group.pages:
                raise LostPlaceError
            call = replace(call, next_token=page.next_token)
    yield from describe_each(sorted(left))


# The poller answers each call in kind.
def _listed(call: ListJobs) -> Plan[Page]:
    return cast("Page", (yield call))


def _described(job_name: str) -> Plan[JobSummary | None]:
    return cast("JobSummary | None", (yield DescribeJob(job_name)))
