"""
Whether a task's next step is to create a job, to adopt one, or to go on to the next name.

Called by ``aws/submit/job.py`` with what Describe and S3 say; pure.
"""

from __future__ import annotations

import enum
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.job.status import JobState

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.status import JobSnapshot

OWNER_VARIABLE = "NBJOBS_OWNER"
_MOST_SKEW = timedelta(minutes=15)  # of a worker's clock and of SageMaker's
# Of an owner's fields: the run's start, the generation, the attempt (``RunKey.identity``). A clear changes the first two.
_OF_A_GENERATION = frozenset({3, 6, 7})


class Step(enum.Enum):
    """What to do about one attempt's name."""

    CREATE = "create"
    ADOPT = "adopt"
    NEXT = "next"


class Decision(msgspec.Struct, frozen=True):
    """A step and, for the task log, why."""

    step: Step
    reason: str = ""


def decide(snapshot: JobSnapshot | None, *, owner: str, is_delivered: bool, is_of_this_try: bool = False) -> Decision:
    """
    Decide what one attempt's name means for this try.

    Only a job of ours that still runs, or that completed but whose results no try has pushed, is taken up again: it has been paid for.
    A failed or stopped job of an earlier try is never adopted, since a retry is asked to try again; one of this try is, since another job would be a
    retry that nobody has asked for. Of a job that is being deleted the results are left, in S3; its name is not waited for.

    :param snapshot: the job of that name; None when the name is free.
    :param owner: ``RunKey.owner()`` of this attempt; a job that carries another is not ours, whatever its name.
    :param is_delivered: whether the executed notebook's own copy exists, which is written after all XComs.
    :param is_of_this_try: the job was not there before this try asked for it: its request was carried out, and the answer was lost.
    """
    if snapshot is None:
        return Decision(Step.CREATE)
    if snapshot.environment.get(OWNER_VARIABLE) != owner:
        return Decision(Step.NEXT, f"training job '{snapshot.job_name}' exists but is not this task's")
    if is_of_this_try and not snapshot.is_being_deleted:
        reason = f"training job '{snapshot.job_name}' is what this try has asked for, and is {snapshot.status}"
        return Decision(Step.ADOPT, reason)
    if snapshot.state is JobState.RUNNING:
        return Decision(Step.ADOPT, f"training job '{snapshot.job_name}' of an earlier try is still running")
    if snapshot.state is JobState.SUCCEEDED and not is_delivered:
        return Decision(
            Step.ADOPT,
            f"training job '{snapshot.job_name}' of an earlier try has completed{' and is being deleted' * snapshot.is_being_deleted}, "
            "its results were not handed over",
        )
    found = "is being deleted" if snapshot.is_being_deleted else f"is {snapshot.status}"
    if snapshot.state is JobState.SUCCEEDED:
        found = f"already delivered its results{' and is being deleted' * snapshot.is_being_deleted}"
    return Decision(Step.NEXT, f"training job '{snapshot.job_name}' of an earlier try {found}")


def may_be_of_request(snapshot: JobSnapshot, *, asked: datetime) -> bool:
    """Say whether a job is new enough to be what was asked for at that moment: of a restored database, a first try's name may be that of a job of days ago."""
    return snapshot.created is None or snapshot.created > asked - _MOST_SKEW


def is_of_earlier_generation(owner: str, *, own: str) -> bool:
    """
    Say whether a job belongs to the same task as another, but to a generation before its last clear.

    :param owner: ``NBJOBS_OWNER`` of the job; one that was cut for its length tells too little, and is of nobody.
    :param own: ``RunKey.identity()`` of the task now.
    """
    theirs, ours = _fields(owner), _fields(own)
    if theirs is None or ours is None or len(theirs) != len(ours):
        return False
    is_same_task = all(
        mine == other
        for place, (mine, other) in enumerate(zip(ours, theirs, strict=True))
        if place not in _OF_A_GENERATION
    )
    # The generation need not grow: a clear counts on from the tries there were, with the ``retries`` of then.
    is_earlier = isinstance(theirs[3], int) and isinstance(ours[3], int) and theirs[3] <= ours[3]
    return is_same_task and is_earlier and (theirs[3], theirs[6]) != (ours[3], ours[6])


def _fields(owner: str) -> list[object] | None:
    try:
        found = json.loads(owner)
    except ValueError:
        return None
    return found if isinstance(found, list) and len(found) > max(_OF_A_GENERATION) else None
