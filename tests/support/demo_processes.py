"""What is running, for tests that must show that nothing is: processes are known by a marker in their environment."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil

MARKER = "DEMO_TEST_MARKER"


def marked_environment(marker):
    # Without SPT_NOENV, setproctitle overwrites the memory that /proc/PID/environ shows.
    return {**os.environ, MARKER: marker, "SPT_NOENV": "1", "COLUMNS": "200"}


def marked_processes(marker):
    """Return all living processes on this machine that were started, however indirectly, with this marker."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == marker:
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(condition, *, seconds, what):
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what()}"
        time.sleep(0.1)
    return value


def until_none_is_left(marker, *, seconds):
    until(
        lambda: not marked_processes(marker),
        seconds=seconds,
        what=lambda: [process.cmdline() for process in marked_processes(marker)],
    )


def homes():
    return set(Path(os.environ.get("TMPDIR", "/tmp")).glob("nbjobs-demo-*"))
