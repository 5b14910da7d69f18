"""
A training job as a value: its document, and how each event changes it. Pure.

Kept by ``registry.py``; changed by the operations, the runner and, where a test scripts it, ``faults/jobs.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.pools import Pool, keep_seconds_of, keeps_machine
from airflow_nbjobs.local.state.resource import (
    COMPLETED,
    DELETING,
    FAILED,
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    TRAINING,
    Document,
    Job,
    Outcome,
    new_fields,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RUNTIME_EXCEEDED = "MaxRuntimeExceeded"
DEFAULT_MAX_RUNTIME_SECONDS = 86_400

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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob(Job):
    """:param pool: what keeps the job's machine; absent where nothing does."""

    transitions: tuple[Transition, ...]
    pool: Pool | None = None

    @property
    def headline(self) -> str:
        return f"{self.name} {self.status}/{self.secondary_status}"

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

    def waiting(self, message: str, *, now: float) -> TrainingJob:
        return self.moved("Starting", now=now, message=message)

    def running(self, *, now: float) -> TrainingJob:
        return self if self.status == STOPPING else replace(self.moved("Training", now=now), started=now)

    def stopping(self, *, now: float) -> TrainingJob:
        return replace(self.moved("Stopping", now=now), status=STOPPING)

    def deleting(self, *, now: float, for_seconds: float) -> TrainingJob:
        """Return the job as one that is gone in a moment; the model has no secondary status for that, so the last one stays."""
        return replace(self, status=DELETING, modified=now, gone_at=now + for_seconds)

    def concluded(self, outcome: Outcome, *, now: float) -> TrainingJob:
        ended = self.with_end(outcome, now=now)
        is_over_time = ended.status == STOPPED and outcome.ran_too_long
        moved = ended.moved(MAX_RUNTIME_EXCEEDED if is_over_time else ended.status, now=now)
        *before, last = moved.transitions
        return replace(moved, transitions=(*before, replace(last, end=now)), pool=_pool_after(moved, now=now))

    def describe(self) -> Document:
        document = {key: value for key, value in self.request.items() if key != "SessionChainingConfig"}
        document |= _defaults(self.request)
        document |= {
            "TrainingJobName": self.name,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary_status,
            "SecondaryStatusTransitions": [_transition_document(transition) for transition in self.transitions],
            "CreationTime": timestamp(self.created),
            "LastModifiedTime": timestamp(self.modified),
            "ModelArtifacts": {"S3ModelArtifacts": f"{artifact_uri(self)}/model.tar.gz"},
            "EnableNetworkIsolation": self.request.get("EnableNetworkIsolation", False),
            "EnableInterContainerTrafficEncryption": self.request.get("EnableInterContainerTrafficEncryption", False),
            "EnableManagedSpotTraining": self.request.get("EnableManagedSpotTraining", False),
            "StoppingCondition": {
                "MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS,
                **self.request.get("StoppingCondition", {}),
            },
        }
        if self.pool is not None:
            document["WarmPoolStatus"] = self.pool.document()
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
            document["TrainingStartTime"] = timestamp(self.started)
        if self.ended is not None:
            document["TrainingEndTime"] = timestamp(self.ended)
        if self.started is not None and self.ended is not None:
            seconds = round(self.ended - self.started)
            document |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
        return document

    def summary(self) -> Document:
        document = self.describe()
        names = (
            "TrainingJobName",
            "TrainingJobArn",
            "CreationTime",
            "TrainingEndTime",
            "LastModifiedTime",
            "TrainingJobStatus",
            "SecondaryStatus",
            "WarmPoolStatus",
        )
        return {name: document[name] for name in names if name in document}


def new_job(request: Mapping[str, Any], *, arn: str, now: float) -> TrainingJob:
    return TrainingJob(
        kind=TRAINING,
        status=IN_PROGRESS,
        transitions=(Transition("Starting", _MESSAGES["Starting"], now),),
        **new_fields(TRAINING.resource, request, arn=arn, now=now),
    )


def _pool_after(job: TrainingJob, *, now: float) -> Pool | None:
    """Return the pool of a job that has ended."""
    if job.pool is None:
        return None
    is_kept = keeps_machine(job.failure_reason, has_started=job.started is not None)
    return job.pool.idling(keep_seconds_of(job.request) if is_kept else 0, now=now)


def selected_instance_type(resources: Mapping[str, Any]) -> str:
    """Return the type that the job runs on: the first that is preferred, since here every type has capacity."""
    return str(resources.get("InstanceType") or resources["InstancePreferences"][0]["InstanceType"])


def artifact_uri(job: TrainingJob) -> str:
    """Return where ``output.tar.gz`` and ``model.tar.gz`` go, without a trailing slash."""
    return f"{job.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job.name}/output"


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
        "StartTime": timestamp(transition.start),
        "StatusMessage": transition.message,
    }
    if transition.end is not None:
        document["EndTime"] = timestamp(transition.end)
    return document
