"""
The process between `nbjobs demo` and everything that it starts: whatever happens to the demo, nothing outlives it.

Run as ``python -m airflow_nbjobs.commands.demo.supervisor`` by ``processes.py``; imports neither airflow nor the rest of the demo.

Its standard input is a lifeline: requests arrive on it, one JSON object a line, and its end (the demo closed it, or was killed) means
*stop everything*. The one line of its standard output names its private folder, where each program has ``NAME.log`` and, once it has ended, an empty file
``NAME.exit=CODE``. Secrets travel in the pipe, never in an argument that `ps` shows.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]  # comes with Airflow; it has no type information of its own

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# `airflow standalone` stops its components on SIGINT and only on SIGINT: SIGTERM leaves them running. Mostly that takes 3 s; a
# triggerer that has lost its runner waits for more than 10, and what it would still write goes into a folder that is removed next.
INTERRUPT_SECONDS = 5.0
TERMINATE_SECONDS = 2.0
KILL_SECONDS = 5.0
POLL_SECONDS = 0.1
CENSUS_SECONDS = 2.0

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Supervisor:
    """
    Starts processes on request and ends them and all their descendants.

    :param home: private folder; log files are written to it, and it is removed at the end.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._names: dict[int, str] = {}
        self._known: set[Any] = set()
        self._last_census = 0.0
        self._asked_to_stop = False
        self._unread = b""

    def serve(self) -> None:
        """Carry out requests until the lifeline ends or a signal asks to stop."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # A handler, not SIG_IGN: handlers fall back to the default in children, an ignored SIGINT would be inherited
            # and make `airflow standalone` impossible to stop.
            signal.signal(number, self._ask_to_stop)
        with contextlib.suppress(BrokenPipeError):  # the demo is gone, as the lifeline will say
            os.write(1, f"{self.home}\n".encode())
        while not self._asked_to_stop and self._read_requests():
            self._reap()
            if time.monotonic() - self._last_census >= CENSUS_SECONDS:
                self._census()

    def stop(self) -> None:
        """End every descendant: first as a terminal's Ctrl-C would, then harder. Returns when none is left, within 12 s."""
        for pid in list(self._names):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        self._wait_for_end(INTERRUPT_SECONDS)
        for process in self._census():
            with contextlib.suppress(psutil.Error):
                process.terminate()
        self._wait_for_end(TERMINATE_SECONDS)
        deadline = time.monotonic() + KILL_SECONDS
        while (alive := self._census()) and time.monotonic() < deadline:
            for process in alive:  # again and again: a process may fork while the list is made
                with contextlib.suppress(psutil.Error):
                    process.kill()
            time.sleep(POLL_SECONDS)
            self._reap()

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_stop = True

    def _read_requests(self) -> bool:
        """Carry out what has arrived; False at the end of the lifeline."""
        ready, _, _ = select.select([0], [], [], POLL_SECONDS)
        if not ready:
            return True
        chunk = os.read(0, 65536)
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._start(**json.loads(line))
        return bool(chunk)

    def _start(self, *, name: str, argv: list[str], env: dict[str, str], signal_on_orphan: int) -> None:
        with (self.home / f"{name}.log").open("wb") as log:
            try:
                process = subprocess.Popen(
                    argv,
                    env=env,
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=_signal_on_orphan(signal_on_orphan),  # noqa: PLW1509 - this process has one thread
                )
            except OSError as error:
                log.write(f"{argv[0]}: {error}\n".encode())
                self._note_exit(name, 127)
                return
        process.returncode = (
            0  # `_reap` waits for it; this keeps Popen from waiting for a process that is not there any more
        )
        self._names[process.pid] = name

    def _reap(self) -> None:
        """Collect ended children, adopted ones too, and note the exit codes of those that were asked for."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                pid, status = ended
                if (name := self._names.pop(pid, None)) is not None:
                    self._note_exit(name, os.waitstatus_to_exitcode(status))

    def _note_exit(self, name: str, code: int) -> None:
        # In the name, not in the file: that takes no room on a full disk, and is never half there.
        with contextlib.suppress(OSError):
            (self.home / f"{name}.exit={code}").touch()

    def _census(self) -> list[Any]:
        """
        Return all living descendants.

        On Linux orphans are handed to this process, so its tree is complete. Elsewhere they leave the tree: those seen before are remembered.
        """
        self._last_census = time.monotonic()
        self._known = {process for process in self._known if process.is_running()}
        with contextlib.suppress(psutil.NoSuchProcess):
            self._known.update(psutil.Process().children(recursive=True))
        return [process for process in self._known if _is_alive(process)]

    def _wait_for_end(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self._census() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            self._reap()


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, read-only folders too. What cannot be removed is left."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for parent, _, _ in os.walk(folder):
            with contextlib.suppress(OSError):
                Path(parent).chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    home = Path(tempfile.mkdtemp(prefix="nbjobs-demo-"))  # mode 0700
    supervisor = Supervisor(home)
    try:
        supervisor.serve()
    finally:
        supervisor.stop()
        remove_tree(home)
    return 0


def _is_alive(process: Any) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _signal_on_orphan(number: int) -> Callable[[], None] | None:
    """Return what makes a child receive the signal if this process is killed (Linux only)."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # loaded here: between fork and exec as little as possible should happen
    supervisor = os.getpid()

    def ask_for_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != supervisor:  # killed before it was asked for
            os._exit(1)

    return ask_for_signal


if __name__ == "__main__":
    sys.exit(main())
