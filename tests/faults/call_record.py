"""All calls of a suite, of which the embedded SageMaker itself keeps the newest 20,000."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_nbjobs.testing import FaultError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.testing import Call, Faults

READ_SECONDS = 10.0  # twenty Airflow components make no 2,000 calls a second


class CallRecord:
    """
    The first call of each operation.

    :ivar first: by operation.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._last = 0
        self._lock = threading.Lock()
        self.first: dict[str, Call] = {}

    def read(self) -> None:
        """
        Read the calls since the last time.

        :raises AssertionError: the server has forgotten some of them.
        """
        with self._lock:
            for call in self._faults.calls(after=self._last):
                assert call.number == self._last + 1, (
                    f"calls {self._last + 1} to {call.number - 1} are forgotten, unread"
                )
                self._last = call.number
                self.first.setdefault(call.operation, call)


@contextmanager
def following(faults: Faults, seconds: float = READ_SECONDS) -> Iterator[CallRecord]:
    """Read what is called while the block runs; whoever wants all of it reads once more."""
    record, is_over = CallRecord(faults), threading.Event()

    def follow() -> None:
        while not is_over.wait(seconds):
            # A server that is busy is asked again. Of one that has forgotten calls each reading says so, also the last one.
            with suppress(FaultError, AssertionError):
                record.read()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield record
    finally:
        is_over.set()
        thread.join()
