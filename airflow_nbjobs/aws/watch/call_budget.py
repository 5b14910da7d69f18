"""
When a poller may make its next call: the process's budget, and the poller's own pace.

Used by ``poller.py``, inside the triggerer's event loop.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.watch import pace as pacing
from airflow_nbjobs.core.watch.plan import DescribeJob

if TYPE_CHECKING:
    from airflow_nbjobs.core.watch.pace import Pace
    from airflow_nbjobs.core.watch.plan import Call

log = logging.getLogger(__name__)


class CallBudget(msgspec.Struct):
    """The calls that a process may make, shared by its pollers: one after the other."""

    _free_at: float = 0.0

    def reserve(self, now: float, seconds: float) -> float:
        """Return when the call may begin that takes ``seconds`` of the budget."""
        begins = max(now, self._free_at)
        self._free_at = begins + seconds
        return begins


class PacedCalls:
    """One poller's calls, slowed down when the service refuses one for its rate."""

    def __init__(self, budget: CallBudget, pace: Pace) -> None:
        self._budget = budget
        self._pace = pace
        self._seconds_per_call = 1 / pace.list_calls_per_second
        self._free_at = 0.0
        self._failures = 0
        self._told_at = float("-inf")

    async def wait_for(self, call: Call) -> None:
        """Wait until the poller's pace and the process's budget allow the call."""
        weight = _weight(call)
        await _sleep_until(self._free_at)
        now = asyncio.get_running_loop().time()
        begins = self._budget.reserve(now, weight / self._pace.list_calls_per_second)
        self._free_at = begins + weight * self._seconds_per_call
        await _sleep_until(begins)

    def note_success(self) -> None:
        self._seconds_per_call = pacing.faster(self._seconds_per_call, self._pace)
        self._failures = 0

    def note_throttling(self, call: Call) -> None:
        self._seconds_per_call = pacing.slower(self._seconds_per_call, self._pace)
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now + _weight(call) * self._seconds_per_call)

    def note_failure(self, error: Exception) -> float:
        """Return how many seconds to leave the endpoint alone; a failure that goes on is logged every ten minutes."""
        self._failures += 1
        now = asyncio.get_running_loop().time()
        # One lost connection is nothing to tell.
        if self._failures > 1 and now - self._told_at >= pacing.TELLING_SECONDS:
            self._told_at = now
            log.warning(
                "SageMaker cannot be asked for notebook jobs; going on trying: %s",
                getattr(error, "headline", repr(error)),
            )
        return pacing.retry_delay_seconds(self._failures)


def _weight(call: Call) -> float:
    """Return what a call takes of the budget, in list calls."""
    return 1 / pacing.DESCRIBES_PER_LIST if isinstance(call, DescribeJob) else 1.0


async def _sleep_until(when: float) -> None:
    seconds = when - asyncio.get_running_loop().time()
    if seconds > 0:
        await asyncio.sleep(seconds)
