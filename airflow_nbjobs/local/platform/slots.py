"""
The slots in which jobs run: a queue, the threads that serve it, and how a job in it is stopped or killed.

Used by ``runner.py``; knows neither statuses nor S3.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.local.container.run import Container, Failure


@dataclass(slots=True, kw_only=True)
class Run:
    """What another thread may do to a job: ask it to stop, or kill it because the server ends."""

    is_claimed: bool = False  # by a worker, or by a stop that came before one
    stop: threading.Event = field(default_factory=threading.Event)
    wake: threading.Event = field(default_factory=threading.Event)  # something above or below has become true
    ended: threading.Event = field(default_factory=threading.Event)
    container: Container | None = None


R = TypeVar("R", bound=Run)


class Slots(Generic[R]):
    """
    Run jobs, ``count`` of them at once and the others in their turn.

    :param work: runs one job to its end; called in one of the slots' threads. These fork the containers and so live as long as the server, see
        ``start_container``.
    """

    def __init__(self, count: int, *, name: str, work: Callable[[R], None]) -> None:
        self._count = count
        self._work = work
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._runs: dict[str, R] = {}
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name} {n}", daemon=True) for n in range(self._count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    def add(self, key: str, run: R, *, on_full: Callable[[], object] = lambda: None) -> None:
        """Let a job run when its turn has come; ``on_full`` is called first if that is not now."""
        with self._lock:
            is_full = len(self._runs) >= self._count
            self._runs[key] = run
        if is_full:
            on_full()
        self._queue.put(key)

    def stop(self, key: str) -> R | None:
        """
        Make a job stop; returns at once.

        :return: the job if it was still waiting for its turn: it will not run, and the caller concludes it.
        """
        with self._lock:
            run = self._runs.get(key)
            if run is None:
                return None
            run.stop.set()
            run.wake.set()
            is_waiting, run.is_claimed = not run.is_claimed, True
        return run if is_waiting else None

    def close(self) -> None:
        """Kill every job, at once, and return when their processes are gone."""
        with self._lock:
            self._closing.set()
            runs = list(self._runs.values())
        for run in runs:
            run.stop.set()
            if run.container:
                run.container.kill()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(timeout=10)

    def supervise(
        self,
        run: R,
        container: Container,
        *,
        write: Callable[[bytes], None],
        max_runtime_seconds: float | None,
        on_time_over: Callable[[], None],
        grace_seconds: float,
    ) -> tuple[int, Failure | None]:
        """
        Follow a container to its end: its output goes to ``write``; SIGTERM when the job is stopped or its time is over, SIGKILL after the grace.

        :return: the exit code, and why the entrypoint did not start, if it did not.
        """
        with self._lock:
            run.container = container
            if self._closing.is_set():
                container.kill()

        def watch() -> None:
            if not run.wake.wait(max_runtime_seconds):
                on_time_over()
            elif run.ended.is_set():
                return
            container.terminate()
            if not run.ended.wait(grace_seconds):
                container.kill()

        failure = container.wait_started()
        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        while output := container.read():
            write(output)
        exit_code = container.wait()
        run.ended.set()
        run.wake.set()
        watching.join()
        return exit_code, failure

    def _serve(self) -> None:
        while (key := self._queue.get()) is not None:
            with self._lock:
                run = self._runs[key]
                is_mine, run.is_claimed = not run.is_claimed, True
            if is_mine and not self._closing.is_set():
                self._work(run)
            with self._lock:
                del self._runs[key]
