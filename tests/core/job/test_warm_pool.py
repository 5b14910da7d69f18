"""When a machine is given back, and what two jobs must have in common to share one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_nbjobs.core.job.status import JobSnapshot, parse_description
from airflow_nbjobs.core.job.warm_pool import Release, differences, machine_of, own_pool, release_step, taken_over

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
