"""An event loop whose clock a test can trust: time passes only when everybody sleeps, and then at once."""

from __future__ import annotations

import asyncio
import concurrent.futures
import selectors
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class _SkippingSelector(selectors.DefaultSelector):
    """Where the loop would sleep, its clock jumps ahead instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everybody waits for something that cannot happen any more")
        if not ready and timeout and timeout > 0:
            self.now += timeout
        return ready


class _ThreadlessExecutor(concurrent.futures.ThreadPoolExecutor):
    """``asyncio.to_thread`` in the loop's own thread, so that no clock jumps while a thread works."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as an executor does
            future.set_exception(error)
        return future


class SteppedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._stepping = _SkippingSelector()
        super().__init__(self._stepping)
        self.set_default_executor(_ThreadlessExecutor(max_workers=1))

    def time(self) -> float:
        return self._stepping.now


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end on a stepped loop; whatever is left running is cancelled."""
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        return runner.run(main)
