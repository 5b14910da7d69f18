"""
Whether a task's next step is to create a job, to adopt one, or to go on to the next name.

Called by ``aws/job.py`` with what Describe and S3 say; pure.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_nbjobs.core.status import JobState

if TYPE_CHECKING:
    from airflow_nbjobs.core.status import JobSnapshot

OWNER_VARIABLE = "NBJOBS_OWNER"


class Step(enum.Enum):
    """What to do about one attempt's name."""

    CREATE = "create"
    ADOPT = "adopt"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Decision:
    """A step and, for the task log, why."""

    step: Step
    reason: str = ""


def decide(snapshot: JobSnapshot | None, *, owner: str, is_delivered: bool) -> Decision:
    """
    Decide what one attempt's name means for this try.

    Only a job of ours that still runs, or that completed but whose results no try has handed over, is taken up again: it has been paid for.
    A failed or stopped job is never adopted, since a retry is asked to try again.

    :param snapshot: the job of that name; None when the name is free.
    :param owner: ``RunKey.owner()`` of this attempt; a job that carries another is not ours, whatever its name.
    :param is_delivered: whether the executed notebook's own copy exists, which is written after all XComs.
    """
    if snapshot is None:
        return Decision(Step.CREATE)
    if snapshot.environment.get(OWNER_VARIABLE) != owner:
        return Decision(Step.NEXT, f"training job '{snapshot.job_name}' exists but is not this task's")
    if snapshot.state is JobState.RUNNING:
        return Decision(Step.ADOPT, f"training job '{snapshot.job_name}' of an earlier try is still running")
    if snapshot.state is JobState.SUCCEEDED and not is_delivered:
        return Decision(
            Step.ADOPT,
            f"training job '{snapshot.job_name}' of an earlier try has completed, its results were not handed over",
        )
    found = "already delivered its results" if snapshot.state is JobState.SUCCEEDED else f"is {snapshot.status}"
    return Decision(Step.NEXT, f"training job '{snapshot.job_name}' of an earlier try {found}")
