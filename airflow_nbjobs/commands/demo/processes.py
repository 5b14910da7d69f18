"""
The demo's side of its supervisor, ports, and the signals that end a demo.

Called by ``app.py``; imports neither airflow nor boto3.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self, cast

import psutil  # type: ignore[import-untyped]  # comes with Airflow; it has no type information of its own

from airflow_nbjobs.commands.demo.settings import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import FrameType

_START_SECONDS = 30.0
# A little more than the supervisor's own three limits together: after that it hangs, and waiting longer helps nobody.
_CLOSE_SECONDS = 30.0


class DemoError(Exception):
    """
    The demo cannot start or go on; the text is for the user, its first line says it all.

    :param exit_code: of the command: 2 it could not start, 1 it could not finish.
    """

    def __init__(self, text: str, *, exit_code: int = 2) -> None:
        super().__init__(text)
        self.exit_code = exit_code


class StoppedBySignal(BaseException):
    """SIGTERM, or the terminal closed. Like KeyboardInterrupt no ``Exception``: nothing may take it for a failed call."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Supervised:
    """
    A supervisor process and what it started. Closing it ends all of that, waits for the end and removes the folder.

    :param environment: of the supervisor itself.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "airflow_nbjobs.commands.demo.supervisor"],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C goes to the demo alone, which then says how to stop
        )
        self._lifeline = cast("IO[bytes]", self._process.stdin)
        self._output = cast("IO[bytes]", self._process.stdout)
        is_up, _, _ = select.select([self._output], [], [], _START_SECONDS)
        home = self._output.readline().decode().strip() if is_up else ""
        if not home:
            self.close()
            raise DemoError("the demo's supervisor process did not start")
        self.home = Path(home)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        signal_on_orphan: int = signal.SIGTERM,
    ) -> None:
        """
        Start a program; its output goes to ``{home}/{name}.log``.

        :param signal_on_orphan: sent to it (on Linux) if the supervisor itself is killed.
        """
        request = {"name": name, "argv": list(argv), "env": dict(environment), "signal_on_orphan": signal_on_orphan}
        with contextlib.suppress(BrokenPipeError):  # `has_ended` says it
            self._lifeline.write(json.dumps(request).encode() + b"\n")
            self._lifeline.flush()

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a program that has ended, else None."""
        found = next(self.home.glob(f"{name}.exit=*"), None)
        return None if found is None else int(found.name.rpartition("=")[2])

    def has_ended(self) -> bool:
        """Whether the supervisor itself is gone, and with it (on Linux) all that it started."""
        return self._process.poll() is not None

    def log_tail(self, name: str, *, limit: int = 20, only: str = "") -> list[str]:
        """
        Return the last lines that a program wrote.

        :param only: keep lines that begin with this text.
        """
        try:
            text = (self.home / f"{name}.log").read_text(errors="replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.startswith(only)][-limit:]

    def close(self) -> None:
        """End everything. A second signal meanwhile lets the demo go first; the supervisor finishes alone."""
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()


def is_running(pid: int) -> bool:
    """Say whether a process exists and is no zombie."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def check_port(port: int) -> int:
    """
    Return the port; for 0 a free one. Somebody may take it before we do: the caller verifies who answers.

    :raises DemoError: somebody listens on it, or it may not be used.
    """
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still fading (TIME_WAIT) is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "ports are 1 to 65535"
            raise DemoError(
                f"port {port} of {LOOPBACK} cannot be used: {reason}. Leave --port out for a free one"
            ) from error
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """
    Make SIGINT raise KeyboardInterrupt, SIGTERM and SIGHUP StoppedBySignal.

    Also where SIGINT was ignored, as a shell does for ``nbjobs demo &`` in a script.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _raise_stopped)
    signal.signal(signal.SIGHUP, _raise_stopped)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_stopped(number: int, _frame: FrameType | None) -> None:
    raise StoppedBySignal(number)
