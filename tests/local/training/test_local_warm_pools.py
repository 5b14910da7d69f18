"""Warm pools of the embedded SageMaker, as boto3 sees them: what is kept, for whom, how long, and what is said of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from local_jobs import wait_until

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.core.job.warm_pool import Release, WarmPool, release_step
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local_jobs import Jobs

LARGE = "ml.m5.large"


@pytest.fixture
def faults(jobs: Jobs) -> Iterator[Faults]:
    """Two machines of one type may be kept, and no job of these tests runs a container."""
    faults = Faults(jobs.facts)
    faults.clear()
    faults.warm_pool_quota(LARGE, 2)
    faults.script_jobs(without_archive=True)
    yield faults
    faults.clear()


def machine(keep: int | None = 600, **changes: Any) -> dict[str, Any]:
    resources = {"InstanceType": LARGE, "InstanceCount": 1, "VolumeSizeInGB": 30, **changes}
    return resources if keep is None else {**resources, "KeepAlivePeriodInSeconds": keep}


def run(jobs: Jobs, keep: int | None = 600, **changes: Any) -> str:
    name = jobs.submit_script("true", ResourceConfig=machine(keep, **changes.pop("machine", {})), **changes)
    jobs.wait(name)
    return name


def pool(jobs: Jobs, name: str) -> dict[str, Any] | None:
    return jobs.describe(name).get("WarmPoolStatus")


def kept(jobs: Jobs, status: str) -> set[str]:
    pages = jobs.sagemaker.get_paginator("list_training_jobs").paginate(WarmPoolStatusEquals=status)
    return {job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]}


def test_a_machine_goes_from_job_to_job_and_the_last_ends_the_pool(jobs: Jobs, faults: Faults) -> None:
    faults.script_jobs(after_seconds=None, times=1)
    first = jobs.submit_script("true", ResourceConfig=machine())
    assert pool(jobs, first) == {"Status": "InUse"}
    assert first in kept(jobs, "InUse")
    faults.end_job(first, without_archive=True)
    assert pool(jobs, first) == {"Status": "Available"}
    assert first in kept(jobs, "Available")

    faults.script_jobs(after_seconds=None, times=1)
    second = jobs.submit_script("true", ResourceConfig=machine())
    handed = pool(jobs, first)
    assert handed is not None
    assert (handed["Status"], handed["ReusedByJob"]) == ("Reused", second)
    assert handed["ResourceRetainedBillableTimeInSeconds"] >= 0
    assert pool(jobs, second) == {"Status": "InUse"}
    faults.end_job(second, without_archive=True)

    last = run(jobs, keep=None)
    assert pool(jobs, second)["ReusedByJob"] == last  # type: ignore[index]
    assert pool(jobs, last) == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 0}
    assert kept(jobs, "Available") == set()


VPC = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
OTHERS = [
    {"machine": {"InstanceType": "ml.m5.xlarge"}},
    {"machine": {"VolumeSizeInGB": 31}},
    {"machine": {"VolumeKmsKeyId": "1234abcd-12ab-34cd-56ef-1234567890ab"}},
    {"VpcConfig": VPC},
    {"EnableInterContainerTrafficEncryption": True},
]
SAME = [
    {"Environment": {"A": "1"}},
    {"HyperParameters": {"a": "1"}},
    {"StoppingCondition": {"MaxRuntimeInSeconds": 60}},
    {"EnableInterContainerTrafficEncryption": False},
    {"Tags": [{"Key": "a", "Value": "b"}]},
]


@pytest.mark.parametrize("changes", OTHERS, ids=str)
def test_a_job_on_another_machine_leaves_the_pool_alone(jobs: Jobs, faults: Faults, changes: dict[str, Any]) -> None:
    first = run(jobs)
    other = run(
        jobs, keep=None, **{name: dict(value) if name == "machine" else value for name, value in changes.items()}
    )
    assert pool(jobs, first) == {"Status": "Available"}
    assert pool(jobs, other) is None


@pytest.mark.parametrize("changes", SAME, ids=str)
def test_what_the_machine_is_used_for_does_not_count(jobs: Jobs, faults: Faults, changes: dict[str, Any]) -> None:
    first = run(jobs)
    other = run(jobs, **changes)
    assert pool(jobs, first)["ReusedByJob"] == other  # type: ignore[index]


def test_subnets_count_in_any_order(jobs: Jobs, faults: Faults) -> None:
    first = run(jobs, VpcConfig=VPC)
    other = run(jobs, VpcConfig={**VPC, "Subnets": VPC["Subnets"][::-1]})
    assert pool(jobs, first)["ReusedByJob"] == other  # type: ignore[index]


def test_a_new_account_keeps_nothing_and_does_not_say_so(jobs: Jobs, faults: Faults) -> None:
    faults.warm_pool_quota(LARGE, None)
    assert pool(jobs, run(jobs)) is None


def test_the_quota_counts_machines_of_a_type(jobs: Jobs, faults: Faults) -> None:
    first, second, third = (run(jobs, machine={"VolumeSizeInGB": size}) for size in (30, 40, 50))
    assert [pool(jobs, name) for name in (first, second)] == [{"Status": "Available"}] * 2
    assert pool(jobs, third) is None
    assert pool(jobs, run(jobs)) == {"Status": "Available"}  # it takes over the machine that is counted already
    assert pool(jobs, run(jobs, machine={"InstanceType": "ml.m5.xlarge"})) is None


def test_a_machine_is_given_back_when_its_time_is_over(jobs: Jobs, faults: Faults) -> None:
    first = run(jobs, keep=1)
    wait_until(lambda: pool(jobs, first) != {"Status": "Available"})
    assert pool(jobs, first) == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 1}
    assert pool(jobs, run(jobs, keep=None)) is None


@pytest.mark.parametrize(
    ("end", "is_kept"),
    [
        ({"status": "Failed", "failure_reason": "AlgorithmError: , exit code: 1"}, True),
        ({"status": "Failed", "failure_reason": "ClientError: Artifact upload failed"}, True),
        ({"status": "Stopped"}, True),
        ({"status": "Failed", "failure_reason": "InternalServerError: We encountered an internal error."}, False),
        ({"status": "Failed", "failure_reason": "CapacityError: none", "secondary_status": "Starting"}, False),
    ],
    ids=["algorithm", "client", "stopped", "platform", "capacity"],
)
def test_what_is_kept_after_a_job_that_did_not_complete(
    jobs: Jobs, faults: Faults, end: dict[str, Any], is_kept: bool
) -> None:
    faults.script_jobs(without_archive=True, **end)
    found = pool(jobs, run(jobs))
    assert found is not None
    assert found["Status"] == ("Available" if is_kept else "Terminated")


def update(jobs: Jobs, name: str, seconds: int) -> None:
    jobs.sagemaker.update_training_job(TrainingJobName=name, ResourceConfig={"KeepAlivePeriodInSeconds": seconds})


def test_an_update_to_zero_gives_the_machine_back_while_it_idles_and_only_then(jobs: Jobs, faults: Faults) -> None:
    faults.script_jobs(after_seconds=None, times=1)
    name = jobs.submit_script("true", ResourceConfig=machine())
    with pytest.raises(ClientError, match="in status InUse"):
        update(jobs, name, 0)
    faults.end_job(name, without_archive=True)
    update(jobs, name, 1200)
    assert pool(jobs, name) == {"Status": "Available"}
    assert jobs.describe(name)["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 1200
    update(jobs, name, 0)
    assert pool(jobs, name)["Status"] == "Terminated"  # type: ignore[index]
    with pytest.raises(ClientError, match="in status Terminated"):
        update(jobs, name, 0)
    first, second = run(jobs), run(jobs)
    with pytest.raises(ClientError, match="in status Reused"):
        update(jobs, first, 0)
    update(jobs, second, 0)
    with pytest.raises(ClientError, match="has no warm pool"):
        update(jobs, run(jobs, keep=None), 0)


def test_a_job_that_keeps_a_machine_cannot_be_deleted(jobs: Jobs, faults: Faults) -> None:
    if not hasattr(jobs.sagemaker, "delete_training_job"):
        pytest.skip("this boto3 has no DeleteTrainingJob")
    name = run(jobs)
    with pytest.raises(ClientError, match=r"\(ResourceInUse\).*retains a warm pool in status Available"):
        jobs.sagemaker.delete_training_job(TrainingJobName=name)
    update(jobs, name, 0)
    jobs.sagemaker.delete_training_job(TrainingJobName=name)
    assert pool(jobs, run(jobs)) == {"Status": "Available"}


def test_a_request_that_is_refused_takes_no_machine(jobs: Jobs, faults: Faults) -> None:
    name = run(jobs)
    with pytest.raises(ClientError, match="must be unique"):
        jobs.submit_script("true", name=name, ResourceConfig=machine())
    assert pool(jobs, name) == {"Status": "Available"}


@pytest.mark.local
def test_only_a_job_that_finds_no_machine_takes_time_to_start(jobs: Jobs) -> None:
    """A setting: what it makes faster says nothing about AWS."""
    faults = Faults(jobs.facts)
    faults.clear()
    faults.warm_pool_quota(LARGE, 1)
    faults.start_delay(1.5)
    try:
        begun = time.monotonic()
        cold = run(jobs)
        assert time.monotonic() - begun > 1.5
        starting = jobs.describe(cold)["SecondaryStatusTransitions"][0]
        assert starting["Status"] == "Starting"
        assert (starting["EndTime"] - starting["StartTime"]).total_seconds() >= 1.4
        warm = run(jobs)
        starting = jobs.describe(warm)["SecondaryStatusTransitions"][0]
        assert (starting["EndTime"] - starting["StartTime"]).total_seconds() < 1.4
        stopped = jobs.submit_script("true", ResourceConfig=machine(VolumeSizeInGB=77))
        faults.start_delay(60)
        stopped = jobs.submit_script("true", ResourceConfig=machine(VolumeSizeInGB=78))
        jobs.sagemaker.stop_training_job(TrainingJobName=stopped)
        assert jobs.wait(stopped, seconds=30)["TrainingJobStatus"] == "Stopped"
    finally:
        faults.clear()


def test_the_package_sees_a_pool_finds_it_and_gives_it_back(jobs: Jobs, faults: Faults) -> None:
    """Through the adapter that tasks use, over the wire; the job was stopped, as when its task is killed."""
    port = Boto3Clients(lambda _service: jobs.sagemaker).jobs
    faults.script_jobs(after_seconds=None, times=1)
    name = jobs.submit_script("true", ResourceConfig=machine())
    assert "in status InUse" in port.release_machine(name)
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    jobs.wait(name)
    snapshot = port.describe(name)
    assert snapshot is not None
    assert (snapshot.keep_alive_seconds, snapshot.warm_pool) == (600, WarmPool("Available"))
    assert release_step(snapshot, now=datetime.now(tz=UTC)) is Release.NOW
    listed = port.list_page(ListJobs(is_newest_first=True, warm_pool_status="Available"))
    assert name in {summary.job_name for summary in listed.summaries}
    assert port.release_machine(name) == ""
    found = port.describe(name)
    assert found is not None
    assert found.warm_pool is not None
    assert (found.warm_pool.status, found.warm_pool.retained_seconds is not None) == ("Terminated", True)
    assert "in status Terminated" in port.release_machine(name)
