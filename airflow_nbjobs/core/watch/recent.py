"""
What the pages of the last minute said of jobs that nobody waited for then; pure.

Called by ``aws/watch/waiters.py``. A triggerer starts its triggers 50 a second: those whose jobs were on a page need no call of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.status import JobSummary

_KEPT_SECONDS = 60.0
_MOST_KEPT = 20_000


class RecentSummaries(msgspec.Struct):
    _entries: dict[str, tuple[JobSummary, float]] = msgspec.field(default_factory=dict)

    def add(self, summary: JobSummary, now: float) -> None:
        if summary.is_being_deleted:
            self._entries.pop(summary.job_name, None)  # whoever waits for that name in a moment waits for another job
        elif len(self._entries) < _MOST_KEPT or summary.job_name in self._entries:
            self._entries[summary.job_name] = (summary, now)

    def take(self, job_name: str, now: float) -> JobSummary | None:
        summary, at = self._entries.pop(job_name, (None, 0.0))
        return summary if now - at <= _KEPT_SECONDS else None

    def forget_old(self, now: float) -> None:
        self._entries = {name: entry for name, entry in self._entries.items() if now - entry[1] <= _KEPT_SECONDS}
