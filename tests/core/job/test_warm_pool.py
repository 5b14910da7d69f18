"""When a machine is given back, and what two jobs must have in common to share one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_nbjobs.core.job.status import JobSnapshot, parse_description
from airflow_nbjobs.core.job.warm_pool import (
    Release,
    WarmPool,
    billed,
    differences,
    machine_of,
    own_pool,
    parse_warm_pool,
    release_step,
    taken_over,
)

ENDED = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LATE, AT_ONCE = timedelta(minutes=5), timedelta(seconds=5)


def snapshot(status: str = "Completed", pool: Any = None, keep: int | None = 600, **changes: Any) -> JobSnapshot:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
    description = {
        "TrainingJobName": "job",
        "TrainingJobArn": "arn",
        "TrainingJobStatus": status,
        "TrainingEndTime": ENDED,
        "ResourceConfig": resources if keep is None else {**resources, "KeepAlivePeriodInSeconds": keep},
        **changes,
    }
    return parse_description(description if pool is None else {**description, "WarmPoolStatus": pool})


@pytest.mark.parametrize(
    ("found", "after", "step"),
    [
        (None, LATE, Release.NEVER),
        (snapshot(keep=None, pool={"Status": "InUse"}), LATE, Release.NEVER),
        (snapshot(keep=0), LATE, Release.NEVER),
        (snapshot("InProgress", {"Status": "InUse"}), LATE, Release.LATER),
        (snapshot("Stopping", {"Status": "InUse"}), LATE, Release.LATER),
        (snapshot("Completed", {"Status": "InUse"}), LATE, Release.LATER),
        (snapshot("Completed"), AT_ONCE, Release.LATER),
        (snapshot("Completed"), LATE, Release.NEVER),
        (snapshot("Failed", {"Status": "Available"}), AT_ONCE, Release.NOW),
        (snapshot("Stopped", {"Status": "Available"}), LATE, Release.NOW),
        (snapshot("Completed", {"Status": "Reused", "ReusedByJob": "next"}), LATE, Release.NEVER),
        (snapshot("Completed", {"Status": "Terminated"}), AT_ONCE, Release.NEVER),
        (snapshot("Completed", {"Status": "Moving"}), LATE, Release.LATER),
        (snapshot("Failed", TrainingEndTime=None), LATE, Release.NEVER),
        (snapshot("Deleting"), AT_ONCE, Release.NEVER),
    ],
    ids=[
        *("unknown-job", "none-asked", "zero", "running", "stopping", "lagging", "not-shown-yet", "quota-of-zero"),
        *("failed", "stopped", "reused", "terminated", "status-of-tomorrow", "never-started", "deleted"),
    ],
)
def test_a_machine_is_given_back_while_it_idles(found: JobSnapshot | None, after: timedelta, step: Release) -> None:
    assert release_step(found, now=ENDED + after) is step


def test_what_the_service_leaves_out_is_what_it_means() -> None:
    """A description names no VPC, key or flag that the request did not name, or says False and nothing in its place."""
    said = {"EnableNetworkIsolation": False, "EnableInterContainerTrafficEncryption": False, "VpcConfig": None}
    assert differences(machine_of({}), machine_of(said)) == []
    one, other = ({"VpcConfig": {"Subnets": subnets}} for subnets in (["a", "b"], ["b", "a"]))
    assert differences(machine_of(one), machine_of(other)) == []
    assert differences(machine_of(one), machine_of({})) == ["subnets is ['a', 'b'] here and [] there"]


def test_a_machine_that_asked_for_no_pool_is_no_riddle() -> None:
    assert taken_over(snapshot(), snapshot(keep=None)).endswith("which asked for no warm pool")


BEFORE = {"TrainingJobName": "before"}


@pytest.mark.parametrize(
    ("pool", "end"),
    [
        (
            {"Status": "Reused", "ReusedByJob": "job", "ResourceRetainedBillableTimeInSeconds": 34},
            "Ran on the machine of 'before': 34 s kept, billed as 34 s x 1 instance",
        ),
        (
            {"Status": "Reused", "ReusedByJob": "job"},
            "Ran on the machine of 'before': SageMaker does not say yet how long it was kept",
        ),
        (
            {"Status": "Reused", "ReusedByJob": "x", "ResourceRetainedBillableTimeInSeconds": 0},
            "(Reused by 'x': 0 s kept, billed as 0 s x 1 instance)",
        ),
        (
            {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 600},
            "(Terminated: 600 s kept, billed as 600 s x 1 instance)",
        ),
        ({"Status": "Available"}, "(Available)"),
        (None, "which was not kept (WarmPoolStatus: absent)"),
    ],
)
def test_it_is_said_whether_the_machine_was_taken_over_and_what_that_cost(pool: Any, end: str) -> None:
    assert taken_over(snapshot(), snapshot(pool=pool, **BEFORE)).endswith(end)


def test_a_machine_that_does_not_match_is_said_to() -> None:
    other = {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "KeepAlivePeriodInSeconds": 600}}
    said = taken_over(snapshot(), snapshot(pool={"Status": "Available"}, **BEFORE, **other))
    assert "which it does not match: instance_count is 1 here and 2 there" in said


@pytest.mark.parametrize(
    ("pool", "words", "is_warning"),
    [
        ({"Status": "Available"}, "at most 600 s (Available)", False),
        ({"Status": "InUse"}, "at most 600 s (InUse)", False),
        ({"Status": "Terminated"}, "(WarmPoolStatus: Terminated)", True),
        (None, "(WarmPoolStatus: absent)", True),
    ],
)
def test_what_becomes_of_the_jobs_own_machine_is_said(pool: Any, words: str, is_warning: bool) -> None:
    text, found = own_pool(snapshot(pool=pool))
    assert words in text
    assert found is is_warning


@pytest.mark.parametrize(
    ("pool", "count", "said"),
    [
        (
            {"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 34},
            1,
            "34 s kept, billed as 34 s x 1 instance",
        ),
        (
            {"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 34},
            2,
            "34 s kept, billed as 34 s x 2 instances",
        ),
        ({"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 0}, 1, "0 s kept, billed as 0 s x 1 instance"),
        ({"Status": "Reused"}, 1, "SageMaker does not say yet how long it was kept"),
        (None, 1, "SageMaker does not say yet how long it was kept"),
    ],
)
def test_what_idling_has_cost_is_of_all_instances(pool: Any, count: int, said: str) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": count}
    assert billed(snapshot(pool=pool, ResourceConfig=resources)) == said


@pytest.mark.parametrize(("seconds", "step"), [(29.9, Release.LATER), (30, Release.NEVER)])
def test_a_pool_is_shown_half_a_minute_after_a_jobs_end_or_there_is_none(seconds: float, step: Release) -> None:
    assert release_step(snapshot(), now=ENDED + timedelta(seconds=seconds)) is step


@pytest.mark.parametrize(
    ("described", "argument", "value"),
    [
        ({"RoleArn": "r"}, "role", "r"),
        ({"ResourceConfig": {"InstanceType": "t"}}, "instance_type", "t"),
        ({"ResourceConfig": {"InstanceCount": 2}}, "instance_count", 2),
        ({"ResourceConfig": {"VolumeSizeInGB": 5}}, "volume_size", 5),
        ({"ResourceConfig": {"VolumeKmsKeyId": "k"}}, "volume_kms_key", "k"),
        ({"VpcConfig": {"SecurityGroupIds": ["b", "a"]}}, "security_group_ids", ["a", "b"]),
        ({"VpcConfig": {"Subnets": ["b", "a"]}}, "subnets", ["a", "b"]),
        ({"EnableInterContainerTrafficEncryption": True}, "encrypt_inter_container_traffic", True),
        ({"EnableNetworkIsolation": True}, "enable_network_isolation", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_thing_that_sagemaker_matches_on_keeps_two_jobs_apart(described: Any, argument: str, value: Any) -> None:
    bare = machine_of({})
    assert machine_of(described) == bare | {argument: value}
    (said,) = differences(machine_of(described), bare)
    assert said == f"{argument} is {value!r} here and {bare[argument]!r} there"


def test_what_it_does_not_match_on_does_not() -> None:
    other = {"AlgorithmSpecification": {"TrainingImage": "i"}, "Environment": {"A": "1"}, "Tags": []}
    assert machine_of(other) == machine_of({})


def test_a_status_of_a_pool_is_read_with_what_it_says() -> None:
    assert parse_warm_pool({}) is None
    assert parse_warm_pool({"WarmPoolStatus": None}) is None
    assert parse_warm_pool({"WarmPoolStatus": {"ReusedByJob": "x"}}) is None
    assert parse_warm_pool({"WarmPoolStatus": {"Status": "InUse"}}) == WarmPool("InUse")
    found = {"Status": "Reused", "ResourceRetainedBillableTimeInSeconds": 0, "ReusedByJob": "x"}
    assert parse_warm_pool({"WarmPoolStatus": found}) == WarmPool("Reused", 0, "x")


def test_a_machine_that_was_not_kept_is_said_with_what_to_ask_for() -> None:
    text, _ = own_pool(snapshot())
    assert "keep_alive_period_in_seconds asks for 600 s" in text
    assert "the quota 'ml.m5.large for training warm pool usage' is zero" in text


def test_a_machine_that_matches_none_is_told_apart_from_one_that_nobody_asked_to_keep() -> None:
    ran = snapshot(RoleArn="other")
    assert "which it does not match: role is 'other' here and None there" in taken_over(ran, snapshot(**BEFORE))
    assert taken_over(snapshot(), snapshot(keep=0, **BEFORE)).endswith("'before', which asked for no warm pool")
