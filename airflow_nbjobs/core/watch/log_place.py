"""
How far a container's log has been read: which of its events are new, and which of their lines a person wants to read.

Called by ``aws/watch/shared_log_reader.py`` (many jobs, in the triggerer) and ``aws/watch/log_reader.py`` (one job, in the worker); pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.notebook.progress import author_cells, cell_text, papermill_bars, without_bars
from airflow_nbjobs.core.watch.log_text import append_line, readable_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What the service takes in may be seen by a search a little later only, and not in the order of its time.
LATE_MILLISECONDS = 60_000
_MOST_HELD = 100_000  # ids in memory: of a burst
_MOST_SEEN = 200  # ids that travel
_MOST_STREAMS = 10


class LogEvent(msgspec.Struct, frozen=True):
    """
    One event of a log stream.

    :param at: milliseconds since the epoch, by the container's clock.
    """

    id: str
    stream: str
    at: int
    message: str


class LogPage(msgspec.Struct, frozen=True):
    events: tuple[LogEvent, ...]
    next_token: str | None = None


class LogPlace(msgspec.Struct):
    """
    How far one job's log has been read; the triggerer passes it to the worker, and to the triggerer after it.

    :param floor: milliseconds since the epoch; what is older has been read.
    :param seen: ids of events at or after the floor that have been read, with their times.
    :param cell: n of the last "cell n of m" that was shown; 0: none yet.
    :param cells: its m, of the author's file.
    :param streams: names of the streams that the log consists of, as far as they are known.
    :param added: ``core.notebook.progress.added_cells``, by which papermill's numbers become the author's.
    """

    floor: int = 0
    seen: dict[str, int] = msgspec.field(default_factory=dict)
    cell: int = 0
    cells: int = 0
    streams: set[str] = msgspec.field(default_factory=set)
    added: tuple[int, ...] = ()

    def take(self, events: Iterable[LogEvent]) -> list[str]:
        """Note the events and return what those say that are new, in the order of their times."""
        fresh = sorted(
            (event for event in events if event.at >= self.floor and event.id not in self.seen),
            key=lambda event: event.at,
        )
        self.seen |= {event.id: event.at for event in fresh}
        self.streams |= {event.stream for event in fresh}
        self.keep_newest(_MOST_HELD)
        return self.readable(event.message for event in fresh)

    def forget_before(self, moment: int) -> None:
        """Raise the floor: nothing older than this, in milliseconds, will be new any more."""
        if moment > self.floor:
            self.floor = moment
            self.seen = {name: at for name, at in self.seen.items() if at >= moment}

    def keep_newest(self, most: int) -> None:
        """Raise the floor until at most so many events lie above it; those of one millisecond stay or go together, or some would be new twice."""
        if len(self.seen) <= most:
            return
        times = sorted(self.seen.values())
        is_cut = times[-most - 1] == times[-most]
        self.forget_before(times[-most] + is_cut)

    def readable(self, messages: Iterable[str]) -> list[str]:
        """
        Return the lines worth reading.

        Shell traces and ANSI codes go; papermill's bar becomes one line a cell, of a run of other bars the last stays; a line is cut to 500 characters.
        """
        lines: list[str] = []
        for message in messages:
            for line, is_over in readable_lines(message):
                for bar in papermill_bars(line):
                    done, total = author_cells(*bar, self.added)
                    if done > self.cell:
                        self.cell, self.cells = done, total
                        lines.append(cell_text(done, total))
                rest = without_bars(line)
                if rest.strip():
                    append_line(lines, rest, is_over=is_over)
        return lines

    def to_json(self, *, most_seen: int = _MOST_SEEN) -> dict[str, Any]:
        sent = replace(self)
        sent.keep_newest(most_seen)
        return {
            "floor": sent.floor,
            "seen": dict(sent.seen),
            "cell": sent.cell,
            "cells": sent.cells,
            "streams": sorted(sent.streams)[-_MOST_STREAMS:],
            "added": list(sent.added),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> LogPlace:
        """Read what ``to_json`` wrote; anything else is the log's beginning."""
        try:
            given = value or {}
            seen = {str(name): int(at) for name, at in dict(given.get("seen") or {}).items()}
            floor, cell, cells = (int(given.get(name) or 0) for name in ("floor", "cell", "cells"))
            streams = {str(name) for name in given.get("streams") or ()}
            added = tuple(int(each) for each in given.get("added") or ())
            return cls(floor=floor, seen=seen, cell=cell, cells=cells, streams=streams, added=added)
        except (TypeError, ValueError, AttributeError, OverflowError):
            return cls()


def readable_log(messages: Iterable[str], added: Iterable[int] = ()) -> list[str]:
    """
    Return a whole log, or its end, as ``LogPlace.readable`` does line by line.

    :param added: ``core.notebook.progress.added_cells``.
    """
    return LogPlace(added=tuple(added)).readable(messages)
