"""
What SageMaker says about a training job, as values: the only place where AWS statuses are read.

Called by everything that waits for a job or reports on it; pure.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import fields

from airflow_nbjobs.core.errors import bounded
from airflow_nbjobs.core.job.warm_pool import WarmPool, machine_of, parse_warm_pool

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_RUN = timedelta(days=29)  # SageMaker ends each job after 28
CLOCK_SKEW = timedelta(minutes=10)  # between the service's clock and Airflow's


class JobState(enum.Enum):
    """What a ``TrainingJobStatus`` means to somebody who waits."""

    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    DELETED = "deleted"  # has ended, and SageMaker does not say how

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more comes of the job."""
        return self not in (JobState.RUNNING, JobState.STOPPING)


_MOST_OF_REASON = 10_000
_DELETING = "Deleting"
_STATES = {
    "Stopping": JobState.STOPPING,
    "Completed": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}
_STATUSES = {state: status for status, state in _STATES.items()}
# A timeout is ``Stopped``, not ``Failed``; only the secondary status tells it from a stop by hand.
_TIMEOUTS = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
# Each of these goes with one status alone. Source: the API reference, DescribeTrainingJob, ``SecondaryStatus``.
_ENDS = {
    "Completed": JobState.SUCCEEDED,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
    **dict.fromkeys(_TIMEOUTS, JobState.STOPPED),
}


def parse_state(status: str, secondary_status: str = "") -> JobState:
    """
    Map a ``TrainingJobStatus``; one AWS adds later means *still running*: SageMaker's own limits, not a guess, end the job.

    A job that is ``Deleting`` has ended, since DeleteTrainingJob takes no other; its secondary status may still tell how. Source: botocore 1.44.8.
    """
    if status == _DELETING:
        return _ENDS.get(secondary_status, JobState.DELETED)
    return _STATES.get(status, JobState.RUNNING)


def says_deleting(status: object) -> bool:
    """Say whether a status, as an event has it, is that of a job which SageMaker will not know in a moment."""
    return status == _DELETING


# What a job is doing while its ``TrainingJobStatus`` is InProgress, in a user's words.
# Source: the API reference, DescribeTrainingJob, ``SecondaryStatus``.
FOR_CAPACITY = "waiting for capacity"
_DOING = {
    "Pending": FOR_CAPACITY,
    "Starting": "starting",
    "LaunchingMLInstances": "starting",
    "PreparingTrainingStack": "starting",
    "PreparingTraining": "starting",
    "Downloading": "starting",
    "DownloadingTrainingImage": "starting",
    "Restarting": "starting again",
    "Interrupted": "waiting for a spot instance",
    "Uploading": "finishing",
    "Stopping": "stopping",
}
# What botocore's model lists; what comes later is the notebook's own time.
SECONDARY_STATUSES = frozenset({*_DOING, *_ENDS, "Training", "Updating"})


class FailureKind(enum.Enum):
    """Why a job did not complete, as far as its status tells; the executed notebook tells more of ALGORITHM."""

    ALGORITHM = "the notebook, its init script or the driver exited with an error"
    CLIENT = "the request, the image, the role or the data could not be used"
    CAPACITY = "no instance of this type was available"
    PLATFORM = "SageMaker had an internal error"
    TIMEOUT = "the job used up its time"
    STOPPED = "the job was stopped"
    DELETED = "the job is being deleted, and the service does not say how it ended"
    UNKNOWN = "the service gave a reason of a kind not known here"


_FAILURE_PREFIXES = {
    "AlgorithmError": FailureKind.ALGORITHM,
    "ClientError": FailureKind.CLIENT,
    "CapacityError": FailureKind.CAPACITY,
    "InternalServerError": FailureKind.PLATFORM,
}


class StatusTransition(msgspec.Struct, frozen=True):
    """One entry of ``SecondaryStatusTransitions``."""

    status: str
    message: str
    started: datetime | None


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one entry of ListTrainingJobs says of a job; there is no failure reason in it.

    :param modified: None in what is made of a description: a poller's cursor follows listings alone.
    """

    job_name: str
    state: JobState
    status: str
    secondary_status: str = ""
    created: datetime | None = None
    modified: datetime | None = None

    @property
    def is_being_deleted(self) -> bool:
        """Whether SageMaker will not know the job in a moment; what it left in S3 stays."""
        return says_deleting(self.status)

    @property
    def ended_as(self) -> str:
        """The job's status; of one that is being deleted, the one before, where it is known."""
        return _STATUSES.get(self.state, self.status) if self.is_being_deleted else self.status


class JobSnapshot(JobSummary, frozen=True, kw_only=True):
    """
    One DescribeTrainingJob answer, read once.

    :param billable_seconds: seconds per instance that AWS bills; None before the job has started.
    :param training_seconds: seconds that each instance worked; of a spot job more than are billed.
    :param max_runtime_seconds: after which SageMaker stops the job.
    :param environment: as sent at creation; ``NBJOBS_OWNER`` in it tells whose job this is.
    :param keep_alive_seconds: how long the job asked its machine to be kept; with ``warm_pool``, what became of that.
    :param machine: what another job must match to share it (``warm_pool.machine_of``).
    """

    arn: str
    failure_reason: str = ""
    transitions: tuple[StatusTransition, ...] = ()
    started: datetime | None = None
    ended: datetime | None = None
    billable_seconds: int | None = None
    training_seconds: int | None = None
    is_spot: bool = False
    max_runtime_seconds: int | None = None
    instance_type: str | None = None
    image_uri: str | None = None
    output_root: str | None = None
    model_artifact_uri: str | None = None
    environment: Mapping[str, str] = msgspec.field(default_factory=dict)
    hyperparameters: Mapping[str, str] = msgspec.field(default_factory=dict)
    keep_alive_seconds: int | None = None
    instance_count: int = 1
    machine: Mapping[str, Any] = msgspec.field(default_factory=dict)
    warm_pool: WarmPool | None = None

    @property
    def summary(self) -> JobSummary:
        """What a poller keeps of it."""
        return JobSummary(**{each.name: getattr(self, each.name) for each in fields(JobSummary)})

    @property
    def has_failed(self) -> bool:
        """Say whether the job has ended and did not complete."""
        return self.state in (JobState.FAILED, JobState.STOPPED)

    @property
    def failure_kind(self) -> FailureKind | None:
        """Say why the job did not complete; None while it runs and when it succeeded."""
        if self.state is JobState.STOPPED:
            return FailureKind.TIMEOUT if self.secondary_status in _TIMEOUTS else FailureKind.STOPPED
        if self.state is JobState.DELETED:
            return FailureKind.DELETED
        if self.state is not JobState.FAILED:
            return None
        prefix = self.failure_reason.partition(":")[0].strip()
        return _FAILURE_PREFIXES.get(prefix, FailureKind.UNKNOWN)

    @property
    def doing(self) -> str:
        """What a job that has not ended is doing; a ``SecondaryStatus`` that is not known is the notebook's own time."""
        return "stopping" if self.state is JobState.STOPPING else _DOING.get(self.secondary_status, "running")


def parse_summary(summary: Mapping[str, Any]) -> JobSummary:
    """Read one entry of a ListTrainingJobs response."""
    return JobSummary(**_summary(summary), modified=_time(summary.get("LastModifiedTime")))


def parse_description(description: Mapping[str, Any]) -> JobSnapshot:
    """
    Read a DescribeTrainingJob response.

    Fields that SageMaker leaves out before a job has started come back as None.
    """
    return JobSnapshot(
        **_summary(description),
        arn=description["TrainingJobArn"],
        failure_reason=bounded(description.get("FailureReason", ""), _MOST_OF_REASON),
        transitions=tuple(
            StatusTransition(
                status=transition.get("Status", ""),
                message=bounded(transition.get("StatusMessage", ""), _MOST_OF_REASON),
                started=_time(transition.get("StartTime")),
            )
            for transition in description.get("SecondaryStatusTransitions", ())
        ),
        started=_time(description.get("TrainingStartTime")),
        ended=_time(description.get("TrainingEndTime")),
        billable_seconds=description.get("BillableTimeInSeconds"),
        training_seconds=description.get("TrainingTimeInSeconds"),
        is_spot=bool(description.get("EnableManagedSpotTraining")),
        max_runtime_seconds=description.get("StoppingCondition", {}).get("MaxRuntimeInSeconds"),
        instance_type=_instance_type(description.get("ResourceConfig", {})),
        image_uri=description.get("AlgorithmSpecification", {}).get("TrainingImage"),
        output_root=description.get("OutputDataConfig", {}).get("S3OutputPath"),
        model_artifact_uri=description.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
        environment=dict(description.get("Environment", {})),
        hyperparameters=dict(description.get("HyperParameters", {})),
        keep_alive_seconds=description.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"),
        instance_count=description.get("ResourceConfig", {}).get("InstanceCount", 1),
        machine=machine_of(description),
        warm_pool=parse_warm_pool(description),
    )


def _summary(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "job_name": answer["TrainingJobName"],
        "state": parse_state(answer["TrainingJobStatus"], answer.get("SecondaryStatus", "")),
        "status": answer["TrainingJobStatus"],
        "secondary_status": answer.get("SecondaryStatus", ""),
        "created": _time(answer.get("CreationTime")),
    }


def _instance_type(resources: Mapping[str, Any]) -> str | None:
    # With InstancePreferences, SageMaker says which of them it took in SelectedInstanceType.
    return resources.get("SelectedInstanceType") or resources.get("InstanceType")


def _time(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
