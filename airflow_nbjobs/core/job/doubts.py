"""
Answers that may pass: a job that the service does not know yet, or does not show to us now; pure.

Called by ``aws/watch/poller.py`` and ``task/sensor.py``; ``trouble.py`` takes its times from here. DescribeTrainingJob and ListTrainingJobs may not know a job for some seconds
after its creation, and a policy takes minutes to reach everywhere.
"""

from __future__ import annotations

import msgspec

# SageMaker shows a job within seconds of its creation; one that it does not know for so long was deleted.
UNKNOWN_SECONDS = 60.0
# A denial passes when somebody mends a policy, or puts back what was there before.
DENIED_SECONDS = 600.0
# AWS may refuse a connection that was read anew for so long before a waiter gets the error: a key is rotated in steps.
REFUSED_SECONDS = 300.0


class Doubts(msgspec.Struct):
    """Since when each answer has been the same."""

    _since: dict[str, float] = msgspec.field(default_factory=dict)

    def has_lasted(self, name: str, seconds: float, *, now: float) -> bool:
        """Note the answer; say whether it has been the same for that long, and so is believed."""
        return now - self._since.setdefault(name, now) >= seconds

    def clear(self, name: str) -> None:
        self._since.pop(name, None)
