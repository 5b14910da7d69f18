"""What the contract is tested on: this project's fakes, the embedded SageMaker, and an AWS account."""

from __future__ import annotations

import time
import uuid
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from fakes import FakeClients
from real_account import RealAccount, make_clients

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.core.job.status import JobState

if TYPE_CHECKING:
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

_ASLEEP = "trap 'exit 143' TERM; echo asleep; sleep 600 & wait"
# What a job's container runs, by how the job is to end. No notebook: the contract is SageMaker's, not the driver's.
SCRIPTS = {
    "completed": "for n in 1 2 3; do echo line $n; done; echo a > /opt/ml/output/data/a.txt; echo m > /opt/ml/model/m.bin",
    "silent": "exit 0",
    "failed": "echo before the end; echo b > /opt/ml/output/data/b.txt; printf 'the reason' > /opt/ml/output/failure; exit 3",
    "stopped": _ASLEEP,
    "timed out": _ASLEEP,
}


class Subject:
    """
    One implementation of what ``aws/ports.py`` promises.

    :ivar is_service: it speaks the AWS protocol: ``raw`` gives boto3 clients of it.
    :ivar root: S3 URI below which a test may write.
    """

    is_service = True
    bills = False
    ended_seconds = 120.0
    max_runtime_seconds = 600
    short_runtime_seconds = 1
    clients: Any
    root: str
    role_arn: str
    image_uri: str

    def __init__(self) -> None:
        self.prefix = f"contract-{uuid.uuid4().hex[:8]}"

    def raw(self, service: str) -> Any:
        raise NotImplementedError

    def name(self) -> str:
        return f"{self.prefix}-{uuid.uuid4().hex[:8]}"

    def request(self, name: str, outcome: str, **changes: Any) -> dict[str, Any]:
        """Return a CreateTrainingJob request of a job that ends so; its input is staged by ``submit``."""
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"{self.root}/{name}/input",
            "S3DataDistributionType": "FullyReplicated",
        }
        seconds = self.short_runtime_seconds if outcome == "timed out" else self.max_runtime_seconds
        return {
            "TrainingJobName": name,
            "RoleArn": self.role_arn,
            "AlgorithmSpecification": {
                "TrainingImage": self.image_uri,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["/bin/bash", "-c", SCRIPTS[outcome]],
            },
            "HyperParameters": {"rows": "200"},
            "InputDataConfig": [{"ChannelName": "input", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": self.root},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": seconds},
            "Environment": {"NBJOBS_OWNER": "me"},
            **changes,
        }

    def submit(self, outcome: str, name: str = "", **changes: Any) -> str:
        name = name or self.name()
        self.clients.objects.put(f"{self.root}/{name}/input/nb.ipynb", b"{}", kms_key=None)
        self.clients.jobs.create(self.request(name, outcome, **changes))
        return name

    def until(self, name: str, *states: JobState) -> None:
        deadline = time.monotonic() + self.ended_seconds
        while self.clients.jobs.describe(name).state not in states:
            assert time.monotonic() < deadline, f"{name} is {self.clients.jobs.describe(name)}"
            time.sleep(self.ended_seconds / 2000)

    def until_ended(self, name: str, outcome: str) -> None:
        self.until(name, *(state for state in JobState if state.is_terminal))

    def until_running(self, name: str) -> None:
        """Return when the container runs; a job that is stopped before has no log and costs nothing."""
        deadline = time.monotonic() + self.ended_seconds
        while self.clients.jobs.describe(name).secondary_status != "Training":
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(self.ended_seconds / 2000)

    @cached_property
    def ended(self) -> dict[str, str]:
        """Run one job of each end, all at the same time; return their names in the order of their creation."""
        outcomes = ("stopped", "timed out", "completed", "silent", "failed")
        names = {outcome: self.submit(outcome) for outcome in outcomes}
        self.until_running(names["stopped"])
        self.clients.jobs.stop(names["stopped"])
        for outcome, name in names.items():
            self.until_ended(name, outcome)
        return names

    def close(self) -> None: ...


class Fakes(Subject):
    is_service = False
    role_arn = "arn:aws:iam::123456789012:role/NotebookJobs"
    role_name = "NotebookJobs"
    image_uri = "registry.example.com/nb:1"
    root = "s3://bucket/nbjobs"

    def __init__(self) -> None:
        super().__init__()
        self.clients = FakeClients()

    def until_running(self, name: str) -> None:
        self.clients.jobs.set_status(name, "InProgress", "Training")

    def until_ended(self, name: str, outcome: str) -> None:
        """A fake has no container: the service's side of the job is told what happens to it."""
        ends = {
            "completed": ("Completed", "Completed", ""),
            "silent": ("Completed", "Completed", ""),
            "failed": ("Failed", "Failed", "AlgorithmError: the reason, exit code: 3"),
            "stopped": ("Stopped", "Stopped", ""),
            "timed out": ("Stopped", "MaxRuntimeExceeded", ""),
        }
        status, secondary, reason = ends[outcome]
        self.clients.jobs.set_status(name, status, secondary, reason)


class Embedded(Subject):
    missing_image_uri = "registry.example.com/no-such:image"  # it has every image of its region

    def __init__(self, server: EmbeddedSageMaker) -> None:
        super().__init__()
        self._server = server
        self.facts = server.facts
        self.role_arn, self.image_uri = server.facts.role_arn, server.facts.image_uri
        self.role_name = self.role_arn.rpartition("/")[2]
        self.root = f"s3://{server.facts.default_bucket}/{self.prefix}"
        self.clients = Boto3Clients(server.client)

    def raw(self, service: str) -> Any:
        return self._server.client(service)

    def patient_jobs(self, attempts: int) -> Any:
        """Return the training-jobs port whose client makes up to so many attempts."""
        config = Config(retries={"mode": "standard", "total_max_attempts": attempts}, proxies={})
        session = boto3.session.Session(
            self.facts.access_key_id, self.facts.secret_access_key, region_name=self.facts.region
        )
        return Boto3Clients(
            lambda service: session.client(service, endpoint_url=self.facts.endpoint_url, config=config)
        ).jobs


class Aws(Subject):
    bills = True
    ended_seconds = 1200.0
    short_runtime_seconds = 60

    def __init__(self, account: RealAccount) -> None:
        super().__init__()
        self._raw = make_clients(("sagemaker", "s3", "logs", "iam", "ssm"))
        self.clients = Boto3Clients(self.raw)
        self.root = f"{account.root}/{self.prefix}"
        self.role_name = account.role.rpartition("/")[2]
        is_arn = account.role.startswith("arn:")
        self.role_arn = account.role if is_arn else self.clients.account.role_arn(account.role)
        region = self._raw["sagemaker"].meta.region_name
        registry = self.clients.account.distribution_account_id()
        self.image_uri = f"{registry}.dkr.ecr.{region}.amazonaws.com/sagemaker-distribution-prod:4-cpu"
        self.missing_image_uri = self.image_uri.replace(":4-cpu", ":no-such-tag")

    def raw(self, service: str) -> Any:
        return self._raw[service]

    def close(self) -> None:
        """Stop the jobs that still sleep, and remove what was staged and left."""
        jobs = self._raw["sagemaker"].list_training_jobs(NameContains=self.prefix, MaxResults=100)
        names = [summary["TrainingJobName"] for summary in jobs["TrainingJobSummaries"]]
        for name in names:
            self.clients.jobs.stop(name)
        for name in names:  # a stopped job uploads what it has, then ends
            self.until(name, *(state for state in JobState if state.is_terminal))
        bucket, key = parse_s3_uri(self.root)
        # Not by ``names_below``, which leaves out the empty objects that consoles make for folders.
        for page in self._raw["s3"].get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{key}/"):
            for entry in page.get("Contents", []):
                self._raw["s3"].delete_object(Bucket=bucket, Key=entry["Key"])
