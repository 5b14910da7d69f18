"""
The container logs of all waiting jobs of a connection, read together: up to a hundred streams with one call.

Found through ``pollers.py``, and runs inside the triggerer's event loop beside the poller, whose budget it does not touch: CloudWatch Logs counts its own
calls. Whoever follows a job's log gets its lines, and writes them in its own context, which is how Airflow knows whose log they belong to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.translate import needs_reopening
from airflow_nbjobs.core.containerlog import LATE_MILLISECONDS, LogEvent, LogPlace
from airflow_nbjobs.core.errors import NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from airflow_nbjobs.aws.ports import ContainerLogs

log = logging.getLogger(__name__)

STREAMS_PER_CALL = 100  # Source: FilterLogEvents, logStreamNames
SECONDS_PER_CALL = 5.0  # 12 calls a minute, however many jobs there are
SHORTEST_CYCLE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
REFUSED_SECONDS = 900.0  # after a denial: a policy may be corrected, or only have been on its way
# What the driver's trace says first, in each notebook job's log and in no other: one search finds the streams of all jobs.
_FIRST_WORDS = "SM_EXECUTION_INPUT_PATH"
_MOST_PAGES = 5  # of one search in a cycle
_MOST_LINES = 200  # of one job in a cycle
# A job that was under way before this process looked: its stream is asked for by its name.
_OVERDUE_SECONDS = 60.0
_SEARCHED_BACK_MILLISECONDS = 900_000
_ASKED_BY_NAME = 2  # of those in a cycle


@dataclass(eq=False)
class Followed:
    """
    One job's log.

    :ivar place: how far it has been read.
    :ivar problem: why it is not followed now.
    """

    job_name: str
    place: LogPlace
    since: float
    streams: set[str] = field(default_factory=set)
    problem: str | None = None
    asked_at: float = float("-inf")
    _lines: asyncio.Queue[list[str]] = field(default_factory=asyncio.Queue)

    async def lines(self) -> list[str]:
        """Return the next lines as soon as there are any."""
        return await self._lines.get()

    def rest(self) -> list[str]:
        """Return the lines that nobody has taken yet."""
        found: list[str] = []
        while not self._lines.empty():
            found += self._lines.get_nowait()
        return found

    def add(self, events: Iterable[LogEvent]) -> None:
        lines = self.place.take(events)
        if len(lines) > _MOST_LINES:
            left_out = len(lines) - _MOST_LINES
            lines = [*lines[:_MOST_LINES], f"… {left_out} more lines are in CloudWatch"]
        if lines:
            self._lines.put_nowait(lines)

    def pause(self, problem: str) -> None:
        """Say, once, why no more lines come for now."""
        if self.problem is None:
            self.problem = problem
            self._lines.put_nowait([problem])


class LogFollower:
    """
    :param open_logs: reads the connection and gives a port on it; again where its credentials are refused.
    :param on_idle: called when the last job has gone.
    :param now: milliseconds since the epoch.
    :ivar turn_to_report: held by the one job of all that tells how far it has come (``log_stream.py``).
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
        self._searched_until = 0
        self._calls = 0  # of this cycle
        self._problem: str | None = None
        self.turn_to_report = asyncio.Lock()

    @property
    def is_idle(self) -> bool:
        return not self._followed

    def follow(self, job_name: str, place: LogPlace) -> Followed:
        followed = Followed(job_name, place, since=asyncio.get_running_loop().time())
        self._followed.add(followed)
        if self._problem is not None:
            followed.pause(self._problem)
        back = self._now() - _SEARCHED_BACK_MILLISECONDS
        self._searched_until = min(self._searched_until or back, back)
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
                self._resume()
                pause = max(SHORTEST_CYCLE_SECONDS, self._calls * SECONDS_PER_CALL)

    def _pause_after(self, error: NotebookJobError, pause_seconds: float) -> float:
        if getattr(error, "is_retryable", False):
            return min(max(pause_seconds, SHORTEST_CYCLE_SECONDS) * 2, LONGEST_PAUSE_SECONDS)
        self._problem = f"The container's log is not followed: {error.headline}"
        for followed in self._followed:
            followed.pause(self._problem)
        return REFUSED_SECONDS

    def _resume(self) -> None:
        if self._problem is not None:
            self._problem = None
            for followed in self._followed:
                followed.problem = None

    async def _cycle(self, logs: ContainerLogs) -> None:
        await self._find_streams(logs)
        await self._find_overdue(logs)
        known = sorted((one for one in self._followed if one.streams), key=lambda one: one.place.floor)
        for batch in _batches(known):
            await self._read(logs, batch)

    async def _find_streams(self, logs: ContainerLogs) -> None:
        """Find what has begun since the last search, restarts by the platform included."""
        by_name: dict[str, list[Followed]] = {}
        for one in self._followed:
            by_name.setdefault(one.job_name, []).append(one)
        began = self._now()
        for event in await self._search(logs, phrase=_FIRST_WORDS, since=self._searched_until):
            for one in by_name.get(event.stream.partition("/")[0], ()):
                one.streams.add(event.stream)
        self._searched_until = began - LATE_MILLISECONDS

    async def _find_overdue(self, logs: ContainerLogs) -> None:
        now = asyncio.get_running_loop().time()
        overdue = [one for one in self._followed if not one.streams and now - one.since >= _OVERDUE_SECONDS]
        for one in sorted(overdue, key=lambda one: one.asked_at)[:_ASKED_BY_NAME]:
            if now - one.asked_at < LONGEST_PAUSE_SECONDS:
                return
            one.asked_at = now
            events = await self._search(logs, prefix=f"{one.job_name}/", since=one.place.floor)
            one.streams |= {event.stream for event in events}
            one.add(events)

    async def _read(self, logs: ContainerLogs, batch: Sequence[Followed]) -> None:
        owners: dict[str, list[Followed]] = {}
        for one in batch:
            for stream in one.streams:
                owners.setdefault(stream, []).append(one)
        events = await self._search(logs, streams=tuple(owners), since=min(one.place.floor for one in batch))
        found: dict[Followed, list[LogEvent]] = {}
        for event in events:
            for one in owners.get(event.stream, ()):
                found.setdefault(one, []).append(event)
        for one, its_events in found.items():
            one.add(its_events)
        if events:
            # By the service's own times: this machine's clock may be wrong.
            read_until = max(event.at for event in events) - LATE_MILLISECONDS
            for one in batch:
                one.place.forget_before(read_until)

    async def _search(
        self,
        logs: ContainerLogs,
        *,
        since: int,
        streams: Sequence[str] = (),
        prefix: str = "",
        phrase: str = "",
    ) -> list[LogEvent]:
        found: list[LogEvent] = []
        token: str | None = None
        for _ in range(_MOST_PAGES):
            self._calls += 1
            page = await asyncio.to_thread(
                logs.events, streams=streams, prefix=prefix, phrase=phrase, since=since, next_token=token
            )
            found += page.events
            token = page.next_token
            if token is None:
                break
        return found


def _batches(followed: Sequence[Followed]) -> Iterable[list[Followed]]:
    batch: list[Followed] = []
    streams = 0
    for one in followed:
        if batch and streams + len(one.streams) > STREAMS_PER_CALL:
            yield batch
            batch, streams = [], 0
        batch.append(one)
        streams += len(one.streams)
    if batch:
        yield batch
