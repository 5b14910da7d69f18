"""
The ports of ``aws/ports.py`` in memory, with the services' semantics and texts; no mocks: they keep state and refuse what AWS refuses.

Also small builders of what tests need all the time: notebooks, archives, a task's context.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
import request_limits
from botocore.validate import ParamValidator

from airflow_nbjobs.aws.ports import MOST_DELETED, ChangedObjectError, ListedObject, NameTakenError, StoredObject
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.core.job.status import JobSnapshot, parse_description, parse_summary
from airflow_nbjobs.core.values.outputs import prepare_outputs
from airflow_nbjobs.core.values.recording import RECORD_MIME_TYPE, RECORD_VERSION
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage
from airflow_nbjobs.core.watch.plan import PAGE_SIZE, ListJobs, Page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

ACCOUNT_ID = "123456789012"
DISTRIBUTION_ACCOUNT_ID = "885854791233"
REGION = "eu-west-1"
_DESCRIBED = (
    *("Environment", "HyperParameters", "ResourceConfig", "OutputDataConfig", "RoleArn", "VpcConfig"),
    *("EnableInterContainerTrafficEncryption", "EnableNetworkIsolation"),
)
STARTED = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@functools.cache
def request_shape() -> Any:
    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateTrainingJob").input_shape


# boto3 of 2025 does not: the types are asked for one by one.
KNOWS_PREFERENCES = "InstancePreferences" in request_shape().members["ResourceConfig"].members
needs_preferences = pytest.mark.skipif(
    not KNOWS_PREFERENCES, reason=f"botocore {botocore.__version__} has no InstancePreferences"
)


class FakeTrainingJobs:
    """
    SageMaker's training jobs: a name is taken for ever, an ended job stays as it is.

    :ivar calls: every call as (operation, job name), refused ones included.
    :ivar errors: raised, oldest first, by the next calls of an operation: ``{"describe": [error, …]}``.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.errors: dict[str, list[Exception]] = {}
        self.descriptions: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, dict[str, Any]] = {}

    @property
    def request_shape(self) -> Any:
        return request_shape()

    def count(self, operation: str) -> int:
        return sum(called == operation for called, _ in self.calls)

    def _called(self, operation: str, job_name: str) -> None:
        self.calls.append((operation, job_name))
        if self.errors.get(operation):
            raise self.errors[operation].pop(0)

    def create(self, request: Mapping[str, Any]) -> str:
        name = request["TrainingJobName"]
        self._called("create", name)
        report = ParamValidator().validate(dict(request), request_shape())
        if report.has_errors():
            raise NotebookJobConfigError(f"the request is malformed: {report.generate_report()}")
        request_limits.keep(request)
        if name in self.descriptions:
            raise NameTakenError(
                "Training job names must be unique within an AWS account and region, and a training job with this name already exists "
                f"({self.descriptions[name]['TrainingJobArn']})"
            )
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/{name}"
        self.requests[name] = dict(request)
        self.descriptions[name] = {
            "TrainingJobName": name,
            "TrainingJobArn": arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [
                {"Status": "Starting", "StatusMessage": "Preparing the instances for training", "StartTime": STARTED}
            ],
            "CreationTime": STARTED,
            "LastModifiedTime": STARTED,
            "ModelArtifacts": {
                "S3ModelArtifacts": f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
            },
            **{key: request[key] for key in _DESCRIBED if key in request},
        }
        return arn

    def describe(self, job_name: str) -> JobSnapshot | None:
        self._called("describe", job_name)
        description = self.descriptions.get(job_name)
        return None if description is None else parse_description(description)

    def list_page(self, call: ListJobs) -> Page:
        self._called("list", "*")
        summaries = sorted(
            (parse_summary(description) for description in self.descriptions.values()),
            key=lambda summary: (summary.created, summary.job_name),
            reverse=call.is_newest_first,
        )
        if call.next_token is not None:
            passed = [summary.job_name for summary in summaries].index(call.next_token) + 1
            summaries = summaries[passed:]
        candidates = [
            summary
            for summary in summaries
            if (call.name_contains is None or call.name_contains in summary.job_name)
            and (call.created_after is None or summary.created > call.created_after)
            and (call.created_before is None or summary.created < call.created_before)
        ]
        page = candidates[:PAGE_SIZE]
        return Page(
            # After paging, as the service does: a page may come out short, or empty, and still have a token.
            summaries=tuple(
                summary
                for summary in page
                if (call.modified_after is None or summary.modified > call.modified_after)
                and call.warm_pool_status in (None, self._pool_status(summary.job_name))
            ),
            next_token=page[-1].job_name if len(candidates) > PAGE_SIZE else None,
            server_time=STARTED + timedelta(hours=1),
        )

    def _pool_status(self, job_name: str) -> str:
        return str(self.descriptions[job_name].get("WarmPoolStatus", {}).get("Status", ""))

    can_delete = True
    endpoint_url = f"https://api.sagemaker.{REGION}.amazonaws.com"

    def delete(self, job_name: str) -> str:
        self._called("delete", job_name)
        description = self.descriptions.get(job_name, {})
        if description.get("TrainingJobStatus") in ("InProgress", "Stopping"):
            return f"The request was rejected because the training job is in status {description['TrainingJobStatus']}"
        self.descriptions.pop(job_name, None)
        return ""

    def release_machine(self, job_name: str) -> str:
        self._called("release", job_name)
        pool = self.descriptions.get(job_name, {}).get("WarmPoolStatus")
        if pool is None or pool["Status"] != "Available":
            return f"Training job {job_name} has no warm pool that is Available"
        pool |= {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 7}
        return ""

    def stop(self, job_name: str) -> None:
        self._called("stop", job_name)
        description = self.descriptions.get(job_name)
        if description is not None and description["TrainingJobStatus"] == "InProgress":
            description |= {"TrainingJobStatus": "Stopping", "SecondaryStatus": "Stopping"}

    def set_status(self, job_name: str, status: str, secondary: str | None = None, reason: str = "") -> None:
        """Let the service's side of a job go on."""
        description = self.descriptions[job_name]
        description |= {
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary or status,
            "LastModifiedTime": STARTED + timedelta(minutes=1),
        }
        description["SecondaryStatusTransitions"] = [
            *description["SecondaryStatusTransitions"],
            {"Status": secondary or status, "StatusMessage": "", "StartTime": STARTED + timedelta(minutes=1)},
        ]
        if reason:
            description["FailureReason"] = reason
        if status in ("Completed", "Failed", "Stopped"):
            description |= {
                "TrainingStartTime": STARTED,
                "TrainingEndTime": STARTED + timedelta(seconds=90),
                "BillableTimeInSeconds": 90,
            }


class FakeObjects:
    """
    S3: one namespace of objects by URI.

    :ivar denied: URIs whose reading or writing is refused.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.kms_keys: dict[str, str | None] = {}
        self.denied: set[str] = set()
        self.puts: list[str] = []
        self._lock = threading.Lock()

    def _checked(self, uri: str, permission: str) -> None:
        parse_s3_uri(uri)
        if uri in self.denied:
            raise NotebookJobServiceError(f"AccessDenied on {permission} for '{uri}'", code="AccessDenied")

    def put(self, uri: str, body: bytes | Path, *, kms_key: str | None) -> None:
        self._checked(uri, "s3:PutObject")
        with self._lock:
            self.bodies[uri] = body if isinstance(body, bytes) else body.read_bytes()
            self.kms_keys[uri] = kms_key
            self.puts.append(uri)

    def open(self, uri: str) -> BinaryIO | None:
        self._checked(uri, "s3:GetObject")
        body = self.bodies.get(uri)
        return None if body is None else io.BytesIO(body)

    def exists(self, uri: str) -> bool:
        self._checked(uri, "s3:GetObject")
        return uri in self.bodies

    def stat(self, uri: str) -> StoredObject | None:
        self._checked(uri, "s3:GetObject")
        body = self.bodies.get(uri)
        return None if body is None else StoredObject(etag=f'"{hashlib.md5(body).hexdigest()}"', size_bytes=len(body))  # noqa: S324 - as S3 does

    def names_below(self, uri: str) -> list[str]:
        prefix = f"{uri.rstrip('/')}/"
        return [
            name.removeprefix(prefix) for name in sorted(self.bodies) if name.startswith(prefix) and name[-1] != "/"
        ]


class FakeMetrics:
    """
    CloudWatch's metrics of machines.

    :ivar points: of each job by the metric's key, as CloudWatch has them: (moment, number).
    :ivar asked: job names, period and span of each call.
    :ivar error: raised by every call.
    """

    def __init__(self) -> None:
        self.points: dict[str, dict[str, list[tuple[float, float]]]] = {}
        self.asked: list[tuple[tuple[str, ...], int]] = []
        self.error: Exception | None = None

    def read(
        self, job_names: Sequence[str], *, started: datetime, ended: datetime, period_seconds: int
    ) -> dict[str, dict[str, list[tuple[float, float]]]]:
        self.asked.append((tuple(job_names), period_seconds))
        if self.error is not None:
            raise self.error
        return {
            name: {
                key: [point for point in points if started.timestamp() <= point[0] < ended.timestamp()]
                for key, points in self.points.get(name, {}).items()
            }
            for name in job_names
        }


class FakeStorage:
    """
    S3 as ``FakeObjects`` holds it.

    :ivar refused: keys that are not deleted.
    :ivar deleted: the keys of each call.
    """

    def __init__(self, objects: FakeObjects) -> None:
        self._objects = objects
        self.refused: set[str] = set()
        self.deleted: list[list[str]] = []
        self.modified = STARTED
        self.is_versioned = False

    def open_from(self, uri: str, stored: StoredObject, *, start: int) -> BinaryIO:
        if self._objects.stat(uri) != stored:
            raise ChangedObjectError(uri)
        return io.BytesIO(self._objects.bodies[uri][start:])

    def list_below(self, uri: str) -> Iterator[ListedObject]:
        self._objects._checked(uri, "s3:ListBucket")
        bucket = uri.split("/")[2]
        for name, body in sorted(self._objects.bodies.items()):
            if name.startswith(f"{uri}/"):
                yield ListedObject(name.removeprefix(f"s3://{bucket}/"), len(body), self.modified)

    def delete(self, bucket: str, keys: Sequence[str]) -> dict[str, str]:
        assert 0 < len(keys) <= MOST_DELETED, "MalformedXML"
        self.deleted.append(list(keys))
        for key in set(keys) - self.refused:
            self._objects.bodies.pop(f"s3://{bucket}/{key}", None)
        return {key: "AccessDenied: Access Denied" for key in keys if key in self.refused}

    def keeps_versions(self, _bucket: str) -> bool:
        return self.is_versioned


class FakeContainerLogs:
    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}
        self.asked: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def tail(self, job_name: str, *, limit: int) -> list[str] | None:
        if self.error is not None:
            raise self.error
        lines = self.lines.get(job_name)
        return None if lines is None else lines[-limit:]

    def events(self, *, since, streams=(), prefix="", phrase="", next_token=None) -> LogPage:
        """Return every line that fits on one page; the n-th of a job is n ms after the epoch."""
        self.asked.append({"streams": tuple(streams), "prefix": prefix, "phrase": phrase, "since": since})
        if self.error is not None:
            raise self.error
        return LogPage(
            tuple(
                LogEvent(id=f"{stream}#{at}", stream=stream, at=at, message=line)
                for job_name, lines in self.lines.items()
                for stream in [f"{job_name}/algo-1-1"]
                for at, line in enumerate(lines, 1)
                if at >= since and (not streams or stream in streams) and stream.startswith(prefix) and phrase in line
            )
        )


class FakeAccount:
    """
    IAM and SSM.

    :ivar role_paths: the roles that there are, and their paths.
    """

    def __init__(self) -> None:
        self.role_paths = {"Jobs": "/service-role/", "NotebookJobs": "/"}

    def role_arn(self, role_name: str) -> str:
        if role_name not in self.role_paths:
            raise NotebookJobServiceError(
                f"iam:GetRole on '{role_name}' failed: NoSuchEntity: The role with name {role_name} cannot be found.",
                code="NoSuchEntity",
            )
        return f"arn:aws:iam::{ACCOUNT_ID}:role{self.role_paths[role_name]}{role_name}"

    def distribution_account_id(self) -> str:
        return DISTRIBUTION_ACCOUNT_ID


@dataclass
class FakeClients:
    """What ``AwsClients`` offers."""

    metrics: FakeMetrics = field(default_factory=FakeMetrics)

    jobs: FakeTrainingJobs = field(default_factory=FakeTrainingJobs)
    objects: FakeObjects = field(default_factory=FakeObjects)
    logs: FakeContainerLogs = field(default_factory=FakeContainerLogs)
    account: FakeAccount = field(default_factory=FakeAccount)

    @functools.cached_property
    def storage(self) -> FakeStorage:
        return FakeStorage(self.objects)

    @property
    def wrote_nothing(self) -> bool:
        return not self.objects.puts and not self.jobs.calls


@dataclass
class FakeHook:
    """What the operator asks of ``SageMakerNotebookJobHook``."""

    clients: FakeClients = field(default_factory=FakeClients)
    connection_extra: dict[str, Any] = field(default_factory=dict)
    region: str | None = REGION
    has_credentials: bool = True


class LogLines:
    """A log that keeps what was said, formatted."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    def info(self, message: str, /, *arguments: object) -> None:
        self.infos.append(message % arguments)

    def warning(self, message: str, /, *arguments: object) -> None:
        self.warnings.append(message % arguments)


# -- notebooks and archives --------------------------------------------------------------------------------------------


def job_request(name: str, root: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the least that CreateTrainingJob takes."""
    return {
        "TrainingJobName": name,
        "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
        "AlgorithmSpecification": {"TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": root},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "Environment": dict(environment),
    }


def code(
    source: str, *tags: str, outputs: list[dict[str, Any]] | None = None, count: int | None = None
) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": outputs or [],
        "execution_count": count,
    }


def notebook(*cells: dict[str, Any] | str, kernel: str | None = "python3", language: str = "python") -> bytes:
    """Return a notebook's bytes as an author saves them; a text is a code cell."""
    kernelspec = {"kernelspec": {"name": kernel, "display_name": kernel, "language": language}} if kernel else {}
    content = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": kernelspec,
        "cells": [code(cell) if isinstance(cell, str) else cell for cell in cells],
    }
    return json.dumps(content, indent=1).encode()


def executed(raw: bytes, record: Mapping[str, Any] | None = None, *, outputs: tuple[str, ...] = ()) -> bytes:
    """
    Return the notebook as the driver leaves it behind: every cell run, and our recording cell with its record.

    :param record: name to entry of the record, ``{"type": …, "json": …}``; a plain value is recorded as it would be.
    """
    from airflow_nbjobs.core.notebook.document import dumps, parse_notebook

    names = tuple(record or outputs)
    prepared = json.loads(dumps(prepare_outputs(parse_notebook(raw, source="nb.ipynb"), names)))
    for number, cell in enumerate(prepared["cells"], start=1):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["metadata"]["papermill"] = {
                "start_time": "2026-11-22T03:00:00",
                "exception": False,
                "status": "completed",
            }
    if record is not None:
        entries = {
            name: value
            if isinstance(value, dict) and {"json", "error"} & set(value)
            else {"type": f"builtins.{type(value).__name__}", "json": json.dumps(value)}
            for name, value in record.items()
        }
        text = json.dumps({"version": RECORD_VERSION, "outputs": entries})
        prepared["cells"][-1]["outputs"] = [
            {"output_type": "display_data", "metadata": {}, "data": {RECORD_MIME_TYPE: text, "text/plain": ""}}
        ]
    return json.dumps(prepared).encode()


def failed_at(raw: bytes, position: int, ename: str, evalue: str, traceback: tuple[str, ...] = ()) -> bytes:
    """Return the notebook as papermill leaves it when the cell at that position (from 1) has raised."""
    content = json.loads(executed(raw))
    cell = content["cells"][position - 1]
    cell["outputs"] = [
        {
            "output_type": "error",
            "ename": ename,
            "evalue": evalue,
            "traceback": list(traceback) or [f"{ename}: {evalue}"],
        }
    ]
    cell["metadata"]["papermill"]["exception"] = True
    for later in content["cells"][position:]:
        later["metadata"]["papermill"] = {"start_time": None, "exception": None}
    marker = {
        "cell_type": "markdown",
        "source": "An Exception was encountered",
        "metadata": {"tags": ["papermill-error-cell-tag"]},
    }
    content["cells"].insert(0, marker)
    return json.dumps(content).encode()


def archive(members: Mapping[str, bytes | tarfile.TarInfo] | list[tuple[str, bytes]], *, level: int = 9) -> bytes:
    """Return an ``output.tar.gz``; a TarInfo goes in as it is, without content. A list may have one name twice."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=level) as tar:
        for name, member in members if isinstance(members, list) else members.items():
            if isinstance(member, tarfile.TarInfo):
                # Not addfile: from Python 3.13 on it refuses a size without content.
                tar.fileobj.write(member.tobuf(tar.format))
                tar.offset += tarfile.BLOCKSIZE
                continue
            info = tarfile.TarInfo(name)
            info.size = len(member)
            tar.addfile(info, io.BytesIO(member))
    return buffer.getvalue()


# -- a task's context --------------------------------------------------------------------------------------------------


class FakeTaskInstance:
    """What the worker's task instance offers; ``xcoms`` keeps the order in which they were pushed."""

    def __init__(self, *, try_number: int = 1, max_tries: int = 0, map_index: int = -1) -> None:
        self.dag_id = "d"
        self.run_id = "manual__2026-11-22T00:00:00+00:00"
        self.task_id = "t"
        self.map_index = map_index
        self.try_number = try_number
        self.max_tries = max_tries
        self.start_date = datetime.now(tz=UTC)
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        json.dumps(value, allow_nan=False)  # the API server refuses what JSON cannot hold
        self.xcoms[key] = value


@dataclass
class FakeDagRun:
    start_date: datetime | None = STARTED
    run_after: datetime = STARTED
    data_interval_start: datetime | None = None
    data_interval_end: datetime | None = None


def task_context(**task_instance: Any) -> dict[str, Any]:
    return {"ti": FakeTaskInstance(**task_instance), "dag_run": FakeDagRun()}
