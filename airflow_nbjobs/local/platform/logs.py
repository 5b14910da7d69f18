"""
A container's output on its way to CloudWatch Logs.

``LogStream`` is fed by ``platform/runner.py`` while the container writes; ``LineSplitter`` is the pure part.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

LOG = logging.getLogger(__name__)

EVENT_BYTES = 256 * 1024 - 26  # of one event. Source: CloudWatch Logs, PutLogEvents
BATCH_BYTES = 1024 * 1024
BATCH_EVENTS = 10_000
EVENT_OVERHEAD_BYTES = 26
PACE_SECONDS = 0.25  # between two batches while the container runs; the last one waits for nothing


class LineSplitter:
    r"""Cut a byte stream into log events: one for each line; of a progress bar (``\\r``), what has come so far, when asked."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        events = [event for line in lines for event in _texts(line)]
        while len(self._rest) > EVENT_BYTES:
            events += _texts(self._rest[:EVENT_BYTES])
            self._rest = self._rest[EVENT_BYTES:]
        return events

    def take_progress(self) -> list[str]:
        """Return an unfinished line if it is a progress bar: a notebook's cells must not wait for its last one to be seen."""
        if b"\r" not in self._rest:
            return []
        return self.take_rest()

    def take_rest(self) -> list[str]:
        rest, self._rest = self._rest, b""
        return _texts(rest) if rest else []


def _texts(line: bytes) -> list[str]:
    pieces = [line[start : start + EVENT_BYTES] for start in range(0, len(line), EVENT_BYTES)] or [b""]
    # CloudWatch refuses empty messages.
    return [piece.decode(errors="replace").rstrip("\r") or " " for piece in pieces]


class LogStream:
    """
    One log stream, written by a thread of its own so that the container never waits for the log.

    Group and stream are made when the container first writes, as on AWS: a silent container leaves none.
    """

    def __init__(self, logs: Any, name: str, group: str) -> None:
        self._logs = logs
        self._group = group
        self._name = name
        self._splitter = LineSplitter()
        self._events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._pump, name=f"log {name}", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._append(self._splitter.feed(data))
        self._wake.set()

    def end(self) -> None:
        """Say that nothing follows; what is left is written at once, while the caller goes on."""
        with self._lock:
            self._append(self._splitter.take_rest())
        self._closed.set()
        self._wake.set()

    def join(self) -> None:
        """Return when CloudWatch has everything."""
        self._thread.join()

    def _append(self, texts: list[str]) -> None:
        now = int(time.time() * 1000)
        self._events += [{"timestamp": now, "message": text} for text in texts]

    def _pump(self) -> None:
        is_made = False
        while True:
            self._wake.wait()
            self._wake.clear()
            is_last = self._closed.is_set()
            with self._lock:
                self._append(self._splitter.take_progress())
                events, self._events = self._events, []
            try:
                if events and not is_made:
                    self._make()
                    is_made = True
                for batch in split_batches(events):
                    self._logs.put_log_events(logGroupName=self._group, logStreamName=self._name, logEvents=batch)
            except Exception:  # a lost log line must not end a job, as on AWS, nor keep its thread from reading on
                LOG.exception("%s: %s log events were lost", self._name, len(events))
            if is_last:
                return
            self._closed.wait(PACE_SECONDS)

    def _make(self) -> None:
        exists = self._logs.exceptions.ResourceAlreadyExistsException
        for make, names in (
            (self._logs.create_log_group, {}),
            (self._logs.create_log_stream, {"logStreamName": self._name}),
        ):
            try:
                make(logGroupName=self._group, **names)
            except exists:
                continue


def split_batches(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Group events into batches that PutLogEvents takes."""
    batches: list[list[dict[str, Any]]] = []
    room = 0
    for event in events:
        size = len(event["message"].encode()) + EVENT_OVERHEAD_BYTES
        if not batches or size > room or len(batches[-1]) == BATCH_EVENTS:
            batches.append([])
            room = BATCH_BYTES
        batches[-1].append(event)
        room -= size
    return batches
