"""
What becomes of a job whose process no longer speaks for its task: a trigger that was cancelled, a worker whose try is over.

Called by ``triggers/stop.py`` and ``task/ownership.py`` with what Airflow says of the task; pure.
"""

from __future__ import annotations

import enum

# A person's word: cleared (``restarting`` where it ran), failed, marked, removed. None is a deferred task that was cleared and is not scheduled yet.
TAKEN_AWAY = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "restarting"})
# Our word: Airflow's API shows no such task instance. Its run was deleted; of a process whose try goes on it says nothing.
DELETED = "deleted"
# A retry, a return from the triggerer, or a clear: only the next try tells which.
_UNDECIDED = frozenset({"scheduled", "queued"})
# Of these alone it matters which job the task follows.
LIVE = frozenset({"running", "deferred"})


class Verdict(enum.Enum):
    """What to do about the job."""

    KEEP = "keep"
    STOP = "stop"
    ASK_AGAIN = "ask again"


def verdict(state: str | None, *, followed: str | None, job_name: str) -> Verdict:
    """
    Decide what becomes of the job.

    :param state: the task instance's state now, ``deleted`` where there is none such; None: it has no state.
    :param followed: the job that the task's ``nbjobs_job`` names; None where there is no such record.
    :param job_name: the job of the process that asks.
    """
    if state in (None, DELETED) or state in TAKEN_AWAY:
        return Verdict.STOP
    if state in _UNDECIDED:
        return Verdict.ASK_AGAIN
    if state not in LIVE:
        return Verdict.KEEP  # up for retry, or a state of a later Airflow: in doubt a job is kept
    if followed is None:
        # A try records its job before it defers: a deferred task without a record has lost it to somebody who deletes XComs. One that runs has begun
        # and not recorded its job yet, which may be this one.
        return Verdict.KEEP if state == "deferred" else Verdict.ASK_AGAIN
    return Verdict.KEEP if followed == job_name else Verdict.STOP
