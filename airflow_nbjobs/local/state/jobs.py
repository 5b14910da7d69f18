"""
A training job as a value: its document, and how each event changes it.

Called by ``registry.py`` (which keeps the current value) and ``operations.py``; pure: the clock's time is an argument, in seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_PROGRESS, STOPPING, COMPLETED, FAILED, STOPPED = "InProgress", "Stopping", "Completed", "Failed", "Stopped"
MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
FAILURE_REASON_CHARACTERS = 1024  # the service's cut. Source: shape FailureReason
DEFAULT_MAX_RUNTIME_SECONDS = 86_400

Document = dict[str, Any]

# Texts: AWS documents them as "subject to change"; these are the ones seen there.
_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    COMPLETED: "Training job completed",
    FAILED: "Training job failed",
    STOPPED: "Training job stopped",
    MAX_RUNTIME_EXCEEDED: "Training job runtime exceeded MaxRuntimeInSeconds provided",
}


@dataclass(frozen=True, slots=True)
class Transition:
    status: str
    message: str
    start: float
    end: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """
    One training job.

    :param request: CreateTrainingJob's input, without its tags.
    :param started: when the container began; absent for a job that never came so far.
    """

    name: str
    arn: str
    request: Mapping[str, Any]
    tags: tuple[tuple[str, str], ...]
    status: str
    transitions: tuple[Transition, ...]
    created: float
    modified: float
    started: float | None = None
    ended: float | None = None
    failure_reason: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.status in {COMPLETED, FAILED, STOPPED}

    @property
    def secondary_status(self) -> str:
        return self.transitions[-1].status

    @property
    def max_runtime_seconds(self) -> int:
        return int(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS))

    def moved(self, secondary_status: str, *, now: float, message: str = "") -> TrainingJob:
        """Return the job in its next secondary status; the same status again only gets the new message."""
        text = message or _MESSAGES[secondary_status]
        *before, last = self.transitions
        if last.status == secondary_status:
            return replace(self, transitions=(*before, replace(last, message=text)), modified=now)
        following = (*before, replace(last, end=now), Transition(secondary_status, text, now))
        return replace(self, transitions=following, modified=now)

    def training(self, *, now: float) -> TrainingJob:
        return replace(self.moved("Training", now=now), started=now)

    def stopping(self, *, now: float) -> TrainingJob:
        return replace(self.moved("Stopping", now=now), status=STOPPING)

    def finished(
        self, status: str, *, now: float, secondary_status: str = "", failure_reason: str | None = None
    ) -> TrainingJob:
        """Return the job in its terminal state. The reason is cut as the service cuts it."""
        moved = self.moved(secondary_status or status, now=now)
        *before, last = moved.transitions
        reason = failure_reason[:FAILURE_REASON_CHARACTERS] if failure_reason is not None else None
        return replace(
            moved, status=status, transitions=(*before, replace(last, end=now)), ended=now, failure_reason=reason
        )

    def tagged(self, tags: Mapping[str, str], *, now: float) -> TrainingJob:
        """Return it with these tags, and no others."""
        return replace(self, tags=tuple(tags.items()), modified=now)

    def describe(self) -> Document:
        """Return everything that AWS says of a job; what has not happened yet is absent. Tags are not in it."""
        document = {key: value for key, value in self.request.items() if key not in {"Tags", "SessionChainingConfig"}}
        document |= _defaults(self.request)
        document |= {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary_status,
            "SecondaryStatusTransitions": [_transition_document(transition) for transition in self.transitions],
            "CreationTime": _timestamp(self.created),
            "LastModifiedTime": _timestamp(self.modified),
            "ModelArtifacts": {"S3ModelArtifacts": f"{artifact_uri(self)}/model.tar.gz"},
            "EnableNetworkIsolation": self.request.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": self.request.get("EnableInterContainerTrafficEncryption", False),
            "EnableManagedSpotTraining": self.request.get("EnableManagedSpotTraining", False),
            "StoppingCondition": {
                "MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS,
                **self.request.get("StoppingCondition", {}),
            },
        }
        if self.failure_reason is not None:
            document["FailureReason"] = self.failure_reason
        resources = self.request.get("ResourceConfig", {})
        if "InstancePreferences" in resources and self.secondary_status != "Starting":
            selected = {
                "SelectedInstanceType": selected_instance_type(resources),
                "SelectedInstanceCount": resources["InstanceCount"],
            }
            document["ResourceConfig"] = {**resources, **selected}
        if self.started is not None:
            document["TrainingStartTime"] = _timestamp(self.started)
        if self.ended is not None:
            document["TrainingEndTime"] = _timestamp(self.ended)
        if self.started is not None and self.ended is not None:
            seconds = round(self.ended - self.started)
            document |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        return document

    def summary(self) -> Document:
        """Return what ListTrainingJobs says of a job."""
        document = self.describe()
        names = (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
            "SecondaryStatus",
        )
        return {name: document[name] for name in names if name in document}


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a container's run ended, before it is known whether somebody asked the job to stop.

    :param failure_reason: absent for success.
    """

    failure_reason: str | None = None
    ran_too_long: bool = False


def conclude(job: TrainingJob, outcome: Outcome, *, now: float) -> TrainingJob:
    """Return the job in its terminal state. A job that was asked to stop is Stopped whatever its container said: SIGTERM makes it fail."""
    if job.status == STOPPING:
        return job.finished(
            STOPPED, now=now, secondary_status=MAX_RUNTIME_EXCEEDED if outcome.ran_too_long else STOPPED
        )
    if outcome.failure_reason is not None:
        return job.finished(FAILED, now=now, failure_reason=outcome.failure_reason)
    return job.finished(COMPLETED, now=now)


def new_job(request: Mapping[str, Any], *, arn: str, now: float) -> TrainingJob:
    tags = tuple((tag["Key"], tag["Value"]) for tag in request.get("Tags", ()))
    return TrainingJob(
        name=request["TrainingJobName"],
        arn=arn,
        request=request,
        tags=tags,
        status=IN_PROGRESS,
        transitions=(Transition("Starting", _MESSAGES["Starting"], now),),
        created=now,
        modified=now,
    )


def selected_instance_type(resources: Mapping[str, Any]) -> str:
    """Return the type that the job runs on: the first that is preferred, since here every type has capacity."""
    return str(resources.get("InstanceType") or resources["InstancePreferences"][0]["InstanceType"])


def artifact_uri(job: TrainingJob) -> str:
    """Return where ``output.tar.gz`` and ``model.tar.gz`` go, without a trailing slash."""
    return f"{job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output"


def algorithm_error(failure_text: str, exit_code: int) -> str:
    """Return the FailureReason of a container that failed: what it wrote to ``/opt/ml/output/failure``, then its exit code."""
    return f"AlgorithmError: {failure_text}, exit code: {exit_code}"


def _defaults(request: Mapping[str, Any]) -> Document:
    """Return what Describe fills in where the request is silent, as seen in AWS' answers."""
    defaults: Document = {
        "AlgorithmSpecification": {"EnableSageMakerMetricsTimeSeries": False, **request["AlgorithmSpecification"]},
        "OutputDataConfig": {"KmsKeyId": "", "CompressionType": "GZIP", **request["OutputDataConfig"]},
    }
    if channels := request.get("InputDataConfig"):
        defaults["InputDataConfig"] = [
            {"CompressionType": "None", "RecordWrapperType": "None", **channel} for channel in channels
        ]
    return defaults


def _transition_document(transition: Transition) -> Document:
    document: Document = {
        "Status": transition.status,
        "StartTime": _timestamp(transition.start),
        "StatusMessage": transition.message,
    }
    if transition.end is not None:
        document["EndTime"] = _timestamp(transition.end)
    return document


def _timestamp(seconds: float) -> float:
    return round(seconds, 3)  # AWS sends milliseconds
