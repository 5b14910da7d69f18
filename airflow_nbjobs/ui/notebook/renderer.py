"""
The rendering process, seen from the API server: started when first needed, renders one notebook at a time, replaced when it has died.

Used by ``notebook/executed.py``. Imports neither nbconvert nor airflow.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec.structs import asdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WAIT_SECONDS = 60.0  # for other notebooks to be rendered
_CLOSE_SECONDS = 5.0  # for a process whose standard input is closed to end
_MODULE = "airflow_nbjobs.ui.rendering.worker"
# What a Python process needs to start. Airflow's configuration, its keys and AWS credentials are in the environment of an API server;
# the process that parses what notebooks wrote gets none of them.
_PASSED_ON = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "SYSTEMROOT",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
)


class BusyError(Exception):
    """Too many notebooks are being rendered; later may be better."""


def has_renderer() -> bool:
    """Say whether the extra ``ui`` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("nbconvert", "bleach", "latex2mathml"))


class RenderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    One notebook to render.

    :param source: the file; an archive where ``member`` is given.
    :param folder: where the child leaves ``document.html``, ``report.html``, ``texts.json`` and ``summary.json``.
    :param has_failed: its job has ended and not completed.
    """

    source: Path
    folder: Path
    title: str
    member: str | None = None
    has_failed: bool = False


class ComparedSide(msgspec.Struct, frozen=True, kw_only=True):
    """One of two notebooks that are compared; as ``RenderRequest``."""

    source: Path
    title: str
    member: str | None = None
    has_failed: bool = False


class CompareRequest(msgspec.Struct, frozen=True, kw_only=True):
    """
    Two notebooks to compare.

    :param folder: where the child leaves ``document.html`` and ``summary.json``.
    """

    left: ComparedSide
    right: ComparedSide
    folder: Path
    title: str


class Outcome(msgspec.Struct, frozen=True):
    """How rendering ended; ``text`` says why it did not succeed, where more than the status is known."""

    status: Literal["ok", "too-large", "unreadable", "time", "memory", "crashed"]
    text: str = ""


class Renderer:
    """
    One rendering process.

    :param environment: of which the process gets what Python needs; default: this process's own.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        environment = os.environ if environment is None else environment
        self._environment = {name: environment[name] for name in _PASSED_ON if name in environment}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def warm_up(self) -> None:
        """Start the process in the background, so that it is ready when somebody waits for a notebook."""
        if self._process is None or self._process.poll() is not None:
            threading.Thread(target=self._started_quietly, name="nbjobs-renderer", daemon=True).start()

    def render(self, request: RenderRequest | CompareRequest) -> Outcome:
        """
        Render one notebook, or the comparison of two; callers wait for each other.

        :raises BusyError: the others took too long.
        """
        if not self._lock.acquire(timeout=_WAIT_SECONDS):
            raise BusyError
        try:
            for _ in range(2):  # a process that ended of itself (idle, or killed by the system) is replaced once
                answer = self._answer_to(request)
                if answer is not None:
                    return Outcome(answer["status"], answer.get("text", ""))  # type: ignore[arg-type]  # our own process's word
            return Outcome("crashed", "the rendering process ended")
        finally:
            self._lock.release()

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            try:
                process.wait(timeout=_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _started_quietly(self) -> None:
        with self._lock:
            self._running()

    def _running(self) -> subprocess.Popen[str] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            text=True,
            start_new_session=True,
        )
        self._process = process
        ready = process.stdout.readline() if process.stdout is not None else ""
        return process if ready else None

    def _answer_to(self, request: RenderRequest | CompareRequest) -> dict[str, str] | None:
        process = self._running()
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(json.dumps(asdict(request), default=_plain) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (OSError, ValueError):
            return None
        return json.loads(line) if line else None


def _plain(value: object) -> Any:
    return asdict(value) if isinstance(value, msgspec.Struct) else str(value)
