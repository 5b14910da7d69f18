"""
Transform and processing jobs as values: their documents, and how each event changes them.

Kept by ``resources.py``, changed by ``batch_operations.py`` and ``batch/runner.py``; pure: the clock's time is an argument, in seconds since the epoch.
Training jobs have secondary statuses and transitions and are ``jobs.py``; these two kinds have neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.jobs import (
    COMPLETED,
    FAILED,
    FAILURE_REASON_CHARACTERS,
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    Document,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

EXIT_MESSAGE_CHARACTERS = 1024  # Source: shape ExitMessage


@dataclass(frozen=True, slots=True)
class Kind:
    """
    What differs in the names of the two kinds.

    :param resource: as in the operations' and fields' names: ``TransformJob``.
    :param arn_part: as in the ARN: ``transform-job``.
    :param prefix: of the start and end times: ``Transform``.
    """

    resource: str
    arn_part: str
    prefix: str
    log_group: str

    @property
    def words(self) -> str:
        return self.arn_part.replace("-", " ")


TRANSFORM = Kind("TransformJob", "transform-job", "Transform", "/aws/sagemaker/TransformJobs")
PROCESSING = Kind("ProcessingJob", "processing-job", "Processing", "/aws/sagemaker/ProcessingJobs")


@dataclass(frozen=True, slots=True)
class BatchJob:
    """
    One transform or processing job.

    :param request: the Create call's input, with what Describe fills in, without its tags.
    :param started: when the container began; absent for a job that never came so far.
    """

    kind: Kind
    name: str
    arn: str
    request: Mapping[str, Any]
    tags: tuple[tuple[str, str], ...]
    status: str
    created: float
    modified: float
    started: float | None = None
    ended: float | None = None
    failure_reason: str | None = None
    exit_message: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in {COMPLETED, FAILED, STOPPED}

    def running(self, *, now: float) -> BatchJob:
        """Return the job with its container started. A job that is Stopping stays Stopping."""
        return replace(self, started=now, modified=now)

    def stopping(self, *, now: float) -> BatchJob:
        return replace(self, status=STOPPING, modified=now)

    def concluded(self, outcome: BatchOutcome, *, now: float) -> BatchJob:
        """Return the job in its terminal state. One that was asked to stop is Stopped, whatever its container said: SIGTERM makes it fail."""
        ended = replace(self, ended=now, modified=now)
        if self.status == STOPPING:
            return replace(ended, status=STOPPED)
        message = outcome.exit_message[:EXIT_MESSAGE_CHARACTERS] if outcome.exit_message else None
        if outcome.failure_reason is None:
            return replace(ended, status=COMPLETED, exit_message=message)
        reason = outcome.failure_reason[:FAILURE_REASON_CHARACTERS]
        return replace(ended, status=FAILED, failure_reason=reason, exit_message=message)

    def tagged(self, tags: Mapping[str, str], *, now: float) -> BatchJob:
        """Return it with these tags, and no others."""
        return replace(self, tags=tuple(tags.items()), modified=now)

    def describe(self) -> Document:
        """Return everything that AWS says of a job; what has not happened yet is absent. Tags are not in it."""
        document = {**self.request, **self._state()}
        if self.kind is TRANSFORM:
            del document["LastModifiedTime"]  # only its summary has it. Source: shape DescribeTransformJobResponse
        if self.started is not None:
            document[f"{self.kind.prefix}StartTime"] = round(self.started, 3)
        return document

    def summary(self) -> Document:
        """Return what the List operation says of a job."""
        return self._state()

    def _state(self) -> Document:
        optional = {
            "FailureReason": self.failure_reason,
            "ExitMessage": self.exit_message,
            f"{self.kind.prefix}EndTime": None if self.ended is None else round(self.ended, 3),
        }
        return {
            f"{self.kind.resource}Name": self.name,
            f"{self.kind.resource}Arn": self.arn,
            f"{self.kind.resource}Status": self.status,
            "CreationTime": round(self.created, 3),
            "LastModifiedTime": round(self.modified, 3),
            **{name: value for name, value in optional.items() if value is not None},
        }


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """
    How a job ended, before it is known whether somebody asked it to stop.

    :param failure_reason: absent for success.
    :param exit_message: what a processing container said of itself.
    """

    failure_reason: str | None = None
    exit_message: str | None = None


def new_batch_job(kind: Kind, request: Mapping[str, Any], *, arn: str, now: float) -> BatchJob:
    return BatchJob(
        kind=kind,
        name=request[f"{kind.resource}Name"],
        arn=arn,
        request={name: value for name, value in request.items() if name != "Tags"},
        tags=tuple((tag["Key"], tag["Value"]) for tag in request.get("Tags", ())),
        status=IN_PROGRESS,
        created=now,
        modified=now,
    )
