"""
The training-jobs port keeps its word: the same tests for the fake and for boto3 against the embedded SageMaker.

What the fake promises here is what every test with the fake relies on.
"""

import time
import uuid

import pytest
from fakes import FakeClients

from airflow_nbjobs.aws.clients import AwsClients
from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.status import FailureKind, JobState


@pytest.fixture(scope="module")
def server():
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

    with EmbeddedSageMaker(isolation="none") as server:
        yield server


class OnFakes:
    role_arn = "arn:aws:iam::123456789012:role/NotebookJobs"
    image_uri = "registry.example.com/nb:1"
    bucket = "bucket"

    def __init__(self):
        self.clients = FakeClients()

    def until_ended(self, name, script):
        status, reason = ("Completed", "") if script == "true" else ("Failed", "AlgorithmError: , exit code: 3")
        if self.clients.jobs.describe(name).state is JobState.STOPPING:
            status, reason = "Stopped", ""
        self.clients.jobs.set_status(name, status, reason=reason)


class OnServer:
    def __init__(self, server):
        self.role_arn, self.image_uri = server.facts.role_arn, server.facts.image_uri
        self.bucket = server.facts.default_bucket
        self.clients = AwsClients(server.client)

    def until_ended(self, name, script):
        deadline = time.monotonic() + 60
        while not self.clients.jobs.describe(name).state.is_terminal:
            assert time.monotonic() < deadline, f"{name} ({script}) has not ended"
            time.sleep(0.02)


@pytest.fixture(params=["fake", pytest.param("embedded", marks=pytest.mark.local)])
def service(request):
    return OnFakes() if request.param == "fake" else OnServer(request.getfixturevalue("server"))


@pytest.fixture
def jobs(service):
    return service.clients.jobs


@pytest.fixture
def create(service):
    """Submits a job that runs a shell script in place of the driver; returns its name and ARN."""

    def submit(script, name=None):
        name = name or f"job-{uuid.uuid4().hex[:12]}"
        root = f"s3://{service.bucket}/nbjobs"
        service.clients.objects.put(f"{root}/{name}/input/nb.ipynb", b"{}", kms_key=None)
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"{root}/{name}/input",
            "S3DataDistributionType": "FullyReplicated",
        }
        arn = service.clients.jobs.create(
            {
                "TrainingJobName": name,
                "RoleArn": service.role_arn,
                "AlgorithmSpecification": {
                    "TrainingImage": service.image_uri,
                    "TrainingInputMode": "File",
                    "ContainerEntrypoint": ["/bin/bash", "-c", script],
                },
                "InputDataConfig": [{"ChannelName": "input", "DataSource": {"S3DataSource": source}}],
                "OutputDataConfig": {"S3OutputPath": root},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
                "StoppingCondition": {"MaxRuntimeInSeconds": 600},
                "Environment": {"NBJOBS_OWNER": "me"},
            }
        )
        return name, arn

    return submit


def test_a_created_job_is_described_with_what_it_was_created_with(create, jobs, service):
    name, arn = create("sleep 60")
    snapshot = jobs.describe(name)
    assert (snapshot.job_name, snapshot.arn) == (name, arn)
    assert arn.endswith(f":training-job/{name}")
    assert snapshot.state is JobState.RUNNING
    assert snapshot.status == "InProgress"
    assert snapshot.environment["NBJOBS_OWNER"] == "me"
    assert snapshot.output_root == f"s3://{service.bucket}/nbjobs"
    assert snapshot.instance_type == "ml.m5.large"
    assert snapshot.transitions[0].status == "Starting"
    assert snapshot.failure_kind is None


def test_a_name_is_taken_for_ever(create, jobs, service):
    name, _ = create("true")
    with pytest.raises(NameTakenError, match=name):
        create("true", name)
    service.until_ended(name, "true")
    with pytest.raises(NameTakenError, match=name):
        create("true", name)


def test_an_unknown_job_is_none_not_an_error(jobs):
    assert jobs.describe("job-that-never-was") is None


def test_a_job_that_succeeds_is_completed_with_times_and_a_bill(create, jobs, service):
    name, _ = create("true")
    service.until_ended(name, "true")
    snapshot = jobs.describe(name)
    assert (snapshot.state, snapshot.status) == (JobState.SUCCEEDED, "Completed")
    assert snapshot.started <= snapshot.ended
    assert snapshot.billable_seconds is not None


def test_a_job_that_fails_says_why(create, jobs, service):
    name, _ = create("exit 3")
    service.until_ended(name, "exit 3")
    snapshot = jobs.describe(name)
    assert (snapshot.state, snapshot.failure_kind) == (JobState.FAILED, FailureKind.ALGORITHM)
    assert "exit code: 3" in snapshot.failure_reason


def test_a_stopped_job_stops_and_a_second_stop_is_no_error(create, jobs, service):
    name, _ = create("sleep 60")
    jobs.stop(name)
    jobs.stop(name)
    assert jobs.describe(name).state in (JobState.STOPPING, JobState.STOPPED)
    service.until_ended(name, "sleep 60")
    snapshot = jobs.describe(name)
    assert (snapshot.state, snapshot.failure_kind) == (JobState.STOPPED, FailureKind.STOPPED)


def test_stopping_a_job_that_has_ended_or_never_was_changes_nothing(create, jobs, service):
    name, _ = create("true")
    service.until_ended(name, "true")
    jobs.stop(name)
    assert jobs.describe(name).state is JobState.SUCCEEDED
    jobs.stop("job-that-never-was")


def test_a_malformed_request_is_a_configuration_error(jobs):
    with pytest.raises(NotebookJobConfigError):
        jobs.create({"TrainingJobName": "a", "NoSuchField": 1})
