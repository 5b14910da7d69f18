"""
The container logs of all waiting jobs of a connection, read together: up to a hundred streams with one call.

Found through ``pollers.py``, and runs inside the triggerer's event loop beside the poller, whose budget it does not touch: CloudWatch Logs counts its own
calls. Whoever follows a job's log gets its lines, and writes them in its own context, which is how Airflow knows whose log they belong to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.errors import is_denied, is_throttled, needs_reopening
from airflow_nbjobs.aws.watch.log_search import Followed, Search
from airflow_nbjobs.core.errors import NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.watch.log_lines import LATE_MILLISECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from airflow_nbjobs.aws.ports import ContainerLogs
    from airflow_nbjobs.core.watch.log_lines import LogEvent, LogPlace

log = logging.getLogger(__name__)

STREAMS_PER_CALL = 100  # Source: FilterLogEvents, logStreamNames
SECONDS_PER_CALL = 5.0  # 12 calls a minute, however many jobs there are
SHORTEST_CYCLE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
# After a denial, doubling: a policy may be corrected, or only have been on its way.
REFUSED_SECONDS = 60.0
LONGEST_REFUSED_SECONDS = 900.0
_TROUBLE_SECONDS = 120.0  # of what passes, a task's log tells after this only
NO_STREAM = "ResourceNotFoundException"
_NOT_FOLLOWED = "The container's log is not followed: {}"
# What the driver's trace says first, in each notebook job's log and in no other: one search finds the streams of all jobs.
_FIRST_WORDS = "SM_EXECUTION_INPUT_PATH"
_MOST_PAGES = 5  # of one search in a cycle; the next cycle goes on from there
# A job that was under way before this process looked: its stream is asked for by its name.
_OVERDUE_SECONDS = 60.0
_SEARCHED_BACK_MILLISECONDS = 900_000
_ASKED_BY_NAME = 2  # of those in a cycle


class LogFollower:
    """
    :param open_logs: reads the connection and gives a port on it; again where its credentials are refused.
    :param on_idle: called when the last job has gone.
    :param now: milliseconds since the epoch.
    :ivar turn_to_report: held by the one job of all that tells how far it has come (``triggers/task_log.py``).
    """

    def __init__(
        self,
        open_logs: Callable[[], Awaitable[ContainerLogs]],
        *,
        on_idle: Callable[[], None] = lambda: None,
        now: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        self._open_logs = open_logs
        self._on_idle = on_idle
        self._now = now
        self._followed: set[Followed] = set()
        self._task: asyncio.Task[None] | None = None
        self._searched_until: int | None = None
        self._unfinished: list[Search] = []
        self._calls = 0  # of this cycle
        self._problem: str | None = None
        self._trouble_since: float | None = None
        self.turn_to_report = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        return not self._followed

    def follow(self, job_name: str, place: LogPlace, *, age_seconds: float = 0.0) -> Followed:
        """
        Begin to read a job's log.

        :param age_seconds: how long the job has been waited for: its streams may be as old.
        """
        place.streams = {name for name in place.streams if name.startswith(f"{job_name}/")}
        followed = Followed(job_name, place, since=asyncio.get_running_loop().time() - age_seconds)
        self._followed.add(followed)
        if self._problem is not None:
            followed.pause(self._problem)
        back = self._now() - _SEARCHED_BACK_MILLISECONDS
        if not place.streams:
            back -= int(age_seconds * 1000)
        self._searched_until = back if self._searched_until is None else min(self._searched_until, back)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return followed

    def leave(self, followed: Followed) -> None:
        self._followed.discard(followed)
        if self.is_idle:
            if self._task is not None:
                self._task.cancel()
                self._task = None
            self._on_idle()

    async def _run(self) -> None:
        pause = 1.0  # triggers that start together are found by one search
        logs: ContainerLogs | None = None
        while True:
            await asyncio.sleep(pause)
            self._calls = 0
            try:
                logs = logs or await self._open_logs()
                await self._cycle(logs)
            except NotebookJobError as error:
                pause = self._pause_after(error, pause)
                if needs_reopening(error):
                    logs = None
            except Exception:
                log.exception("Container logs could not be read")
                pause, logs = LONGEST_PAUSE_SECONDS, None
            else:
                self._problem = self._trouble_since = None
                pause = max(SHORTEST_CYCLE_SECONDS, self._calls * SECONDS_PER_CALL)

    def _pause_after(self, error: NotebookJobError, pause_seconds: float) -> float:
        now = asyncio.get_running_loop().time()
        is_passing = getattr(error, "is_retryable", False)
        if self._trouble_since is None:
            self._trouble_since = now
        if not is_passing or now - self._trouble_since >= _TROUBLE_SECONDS:
            self._problem = _NOT_FOLLOWED.format(error.headline)
            for followed in self._followed:
                followed.pause(self._problem)
        shortest, longest = (
            (2 * SHORTEST_CYCLE_SECONDS, LONGEST_PAUSE_SECONDS)
            if is_passing
            else (REFUSED_SECONDS, LONGEST_REFUSED_SECONDS)
        )
        return min(max(pause_seconds * 2, shortest), longest)

    async def _cycle(self, logs: ContainerLogs) -> None:
        """
        Read on in all logs. One search that fails ends no other.

        :raises NotebookJobError: nothing could be read, or all calls are refused.
        """
        has_read, failure = False, None
        self._unfinished = [search for search in self._unfinished if self._is_wanted(search)]
        for make in (self._of_first_words, self._of_overdue, self._of_known):
            for search in make():
                try:
                    await self._advance(logs, search)
                    has_read = True
                except Exception as error:
                    self._give_up(search, error)
                    if isinstance(error, NotebookJobError) and _concerns_all(error):
                        raise
                    failure = failure or error
        for one in self._followed:
            one.end_cycle()
        if failure is not None:
            if not has_read or not isinstance(failure, NotebookJobError):
                raise failure
            log.debug("Of the container logs, not all could be read: %s", failure)

    def _is_wanted(self, search: Search) -> bool:
        return not search.readers or any(one in self._followed for one in search.readers)

    async def _advance(self, logs: ContainerLogs, search: Search) -> None:
        for _ in range(_MOST_PAGES):
            self._calls += 1
            events = await asyncio.to_thread(search.page, logs)
            if search.phrase:
                self._note_streams(events)
            else:
                search.hand_out(events)
            for one in search.readers or [one for one in self._followed if not one.place.streams]:
                one.problem = None
            if search.token is None:
                now = asyncio.get_running_loop().time()
                for one in search.readers:
                    one.settle(now)
                break
        if (search.token is not None) is not (search in self._unfinished):
            (self._unfinished.remove if search.token is None else self._unfinished.append)(search)

    def _give_up(self, search: Search, error: Exception) -> None:
        """Begin a search anew that has failed for good, as its token may have: from where its readers are by then."""
        if search.token is not None and getattr(error, "is_retryable", False):
            return
        if search in self._unfinished:
            self._unfinished.remove(search)
        # A stream that is gone is one of them all, and nobody says which.
        lacks_stream = isinstance(error, NotebookJobServiceError) and error.code == NO_STREAM
        is_told = not (lacks_stream and len(search.readers) > 1) and not getattr(error, "is_retryable", False)
        if isinstance(error, NotebookJobError) and is_told:
            for one in search.readers:
                one.pause(_NOT_FOLLOWED.format(error.headline))
        if search.phrase:
            self._searched_until = min(search.since, self._searched_until or search.since)
        if lacks_stream:
            for one in search.readers:
                one.place.streams.clear()
                one.asked_at = float("-inf")

    def _of_first_words(self) -> Iterator[Search]:
        """Find what has begun since the last search, restarts by the platform included."""
        if under_way := [search for search in self._unfinished if search.phrase]:
            yield from under_way
            return
        now = self._now()
        since = self._searched_until or now - _SEARCHED_BACK_MILLISECONDS
        # Who joins while the search is under way sets it back.
        self._searched_until = now - LATE_MILLISECONDS
        yield Search(since, phrase=_FIRST_WORDS)

    def _note_streams(self, events: Iterable[LogEvent]) -> None:
        by_name: dict[str, list[Followed]] = {}
        for one in self._followed:
            by_name.setdefault(one.job_name, []).append(one)
        for event in events:
            for one in by_name.get(event.stream.partition("/")[0], ()):
                if not one.place.streams:
                    one.begun = event.at - LATE_MILLISECONDS
                one.place.streams.add(event.stream)

    def _of_overdue(self) -> Iterator[Search]:
        """Ask by its name for a job whose first words were not found in time."""
        under_way = [search for search in self._unfinished if search.prefix]
        now = asyncio.get_running_loop().time()
        overdue = [
            one
            for one in self._followed
            if not one.place.streams
            and now - one.since >= _OVERDUE_SECONDS
            and now - one.asked_at >= LONGEST_PAUSE_SECONDS
            and not any(one in search.readers for search in under_way)
        ]
        yield from under_way
        for one in sorted(overdue, key=lambda one: one.asked_at)[: _ASKED_BY_NAME - len(under_way)]:
            one.asked_at = now
            yield Search(one.place.floor, [one], prefix=f"{one.job_name}/")

    def _of_known(self) -> Iterator[Search]:
        under_way = [search for search in self._unfinished if search.streams]
        read = {one for search in self._unfinished for one in search.readers}
        known = [one for one in self._followed if one.place.streams and one not in read]
        yield from under_way
        for batch in _batches(sorted(known, key=_unread_since)):
            streams = {stream for one in batch for stream in one.place.streams}
            yield Search(min(map(_unread_since, batch)), batch, streams=tuple(streams))


def _unread_since(one: Followed) -> int:
    return max(one.place.floor, one.begun)


def _concerns_all(error: NotebookJobError) -> bool:
    """Say whether the next call would be refused as well."""
    return is_denied(error) or is_throttled(error) or needs_reopening(error)


def _batches(followed: Sequence[Followed]) -> Iterator[list[Followed]]:
    batch: list[Followed] = []
    streams = 0
    for one in followed:
        if batch and streams + len(one.place.streams) > STREAMS_PER_CALL:
            yield batch
            batch, streams = [], 0
        batch.append(one)
        streams += len(one.place.streams)
    if batch:
        yield batch
