"""
What a follower of container logs knows of one job, and one search in CloudWatch Logs, page by page.

Used by ``shared_log_reader.py`` only, inside the triggerer's event loop.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.watch.log_place import LATE_MILLISECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_nbjobs.aws.ports import ContainerLogs
    from airflow_nbjobs.core.watch.log_place import LogEvent, LogPlace

_MOST_LINES = 200  # of one job in a cycle


class FollowedLog(msgspec.Struct, eq=False):
    """One job's log."""

    job_name: str
    place: LogPlace  # how far it has been read
    since: float  # when the wait for the job began, by the loop's clock
    begun: int = 0  # milliseconds since the epoch: no stream that is known was written to before this
    problem: str | None = None  # why it is not followed now
    asked_at: float = float("-inf")
    _given: int = 0  # lines of this cycle
    _latest: tuple[int, float] = (0, 0.0)  # the latest event, and when it was first seen by the loop's clock
    _lines: asyncio.Queue[list[str]] = msgspec.field(default_factory=asyncio.Queue)

    async def lines(self) -> list[str]:
        """Return the next lines as soon as there are any."""
        return await self._lines.get()

    def rest(self) -> list[str]:
        """Return the lines that `lines` has not returned yet."""
        found: list[str] = []
        while not self._lines.empty():
            found += self._lines.get_nowait()
        return found

    def add(self, events: Iterable[LogEvent]) -> None:
        lines = self.place.take(events)
        shown = lines[: max(_MOST_LINES - self._given, 0)]
        self._given += len(lines)
        if shown:
            self._lines.put_nowait(shown)

    def settle(self, now: float) -> None:
        """Read nothing up to the newest event again once it has been the newest for a minute: nothing older shows up late any more, and a burst would come each time."""
        latest = max(self.place.seen.values(), default=0)
        if latest > self._latest[0]:
            self._latest = latest, now
        elif latest and now - self._latest[1] >= LATE_MILLISECONDS / 1000:
            self.place.forget_before(latest + 1)

    def end_cycle(self) -> None:
        if self._given > _MOST_LINES:
            self._lines.put_nowait([f"… {self._given - _MOST_LINES} more lines are in CloudWatch"])
        self._given = 0

    def pause(self, problem: str) -> None:
        """Say, once, why no more lines come for now."""
        if self.problem is None:
            self.problem = problem
            self._lines.put_nowait([problem])


class Search(msgspec.Struct, eq=False):
    """One search in CloudWatch Logs, which may take many pages, some of them empty: its token leads to the next."""

    since: int
    # whose lines it brings; nobody's where it looks for the first words of all jobs
    readers: Sequence[FollowedLog] = ()
    streams: Sequence[str] = ()
    prefix: str = ""
    phrase: str = ""
    token: str | None = None

    def page(self, logs: ContainerLogs) -> tuple[LogEvent, ...]:
        page = logs.events(
            streams=self.streams, prefix=self.prefix, phrase=self.phrase, since=self.since, next_token=self.token
        )
        self.token = page.next_token
        return page.events

    def hand_out(self, events: Sequence[LogEvent]) -> None:
        """Give each reader its lines of a page. Pages come in the order of time: what is older than a page has been read."""
        owners: dict[str, list[FollowedLog]] = {}
        for one in self.readers:
            for stream in {event.stream for event in events} if self.prefix else one.place.streams:
                owners.setdefault(stream, []).append(one)
        found: dict[FollowedLog, list[LogEvent]] = {}
        for event in events:
            for one in owners.get(event.stream, ()):
                found.setdefault(one, []).append(event)
        for one, its_events in found.items():
            one.add(its_events)
        if events:
            # By the service's own times: this machine's clock may be wrong.
            read_until = max(event.at for event in events) - LATE_MILLISECONDS
            for one in self.readers:
                one.place.forget_before(read_until)
