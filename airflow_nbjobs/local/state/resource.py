"""
What every resource and every job of the embedded SageMaker has, as values.

``models.py``, ``jobs.py`` and ``batch_jobs.py`` add to it, ``registry.py`` keeps them. Pure: the clock's time is an argument, in seconds since the epoch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_PROGRESS, STOPPING, COMPLETED, FAILED, STOPPED = "InProgress", "Stopping", "Completed", "Failed", "Stopped"
DELETING = "Deleting"
FAILURE_REASON_CHARACTERS = 1024  # the service's cut. Source: shape FailureReason

Document = dict[str, Any]
Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource(ABC):
    """
    A model or a job.

    :param request: the Create call's input, without its tags.
    :param status: of a job.
    :param gone_at: when it is forgotten and its name is free again, in seconds since the epoch.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    tags: Tags
    created: float
    modified: float
    status: str = ""
    gone_at: float | None = None

    def tagged(self, tags: Mapping[str, str], *, now: float) -> Self:
        """Return it with these tags, and no others."""
        return replace(self, tags=tuple(tags.items()), modified=now)

    def tag_documents(self) -> list[dict[str, str]]:
        return [{"Key": key, "Value": value} for key, value in self.tags]

    @abstractmethod
    def describe(self) -> Document:
        """Return everything that AWS says of it; what has not happened yet is absent. Tags are not in it."""

    @abstractmethod
    def summary(self) -> Document:
        """Return what the List operation says of it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    What differs in the names of the kinds of jobs.

    :param resource: as in the operations' and fields' names: ``TransformJob``.
    :param arn_part: as in the ARN: ``transform-job``.
    """

    resource: str
    arn_part: str

    @property
    def words(self) -> str:
        return self.arn_part.replace("-", " ")

    @property
    def log_group(self) -> str:
        return f"/aws/sagemaker/{self.resource}s"


TRAINING = Kind("TrainingJob", "training-job")
TRANSFORM = Kind("TransformJob", "transform-job")
PROCESSING = Kind("ProcessingJob", "processing-job")


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a container's run ended, before it is known whether somebody asked the job to stop.

    :param failure_reason: absent for success.
    :param exit_message: what a processing container said of itself.
    """

    failure_reason: str | None = None
    ran_too_long: bool = False
    exit_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Resource):
    """
    A job of any kind.

    :param started: when the container began; absent for a job that never came so far.
    """

    kind: Kind
    started: float | None = None
    ended: float | None = None
    failure_reason: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in {COMPLETED, FAILED, STOPPED}

    @property
    def has_ended(self) -> bool:
        return self.status not in {IN_PROGRESS, STOPPING}

    @property
    @abstractmethod
    def headline(self) -> str:
        """The job and its status, for the server's own log."""

    def waiting(self, message: str, *, now: float) -> Self:  # noqa: ARG002 - only training jobs have messages
        """Return the job as one that waits for its turn."""
        return self

    @abstractmethod
    def running(self, *, now: float) -> Self:
        """Return the job with its container started. A job that is Stopping stays Stopping."""

    @abstractmethod
    def stopping(self, *, now: float) -> Self: ...

    @abstractmethod
    def concluded(self, outcome: Outcome, *, now: float) -> Self:
        """Return the job in its terminal state. One that was asked to stop is Stopped, whatever its container said: SIGTERM makes it fail."""

    def with_end(self, outcome: Outcome, *, now: float) -> Self:
        """Return the job with what an end sets in every kind."""
        status = STOPPED if self.status == STOPPING else COMPLETED if outcome.failure_reason is None else FAILED
        reason = (outcome.failure_reason or "")[:FAILURE_REASON_CHARACTERS] if status == FAILED else None
        return replace(self, status=status, failure_reason=reason, ended=now, modified=now)


def new_fields(resource: str, request: Mapping[str, Any], *, arn: str, now: float) -> dict[str, Any]:
    """Return the fields of a new resource; ``resource`` as in ``Kind``."""
    return {
        "name": request[f"{resource}Name"],
        "arn": arn,
        "request": {name: value for name, value in request.items() if name != "Tags"},
        "tags": tuple((tag["Key"], tag["Value"]) for tag in request.get("Tags", ())),
        "created": now,
        "modified": now,
    }


def timestamp(seconds: float) -> float:
    return round(seconds, 3)  # AWS sends milliseconds
