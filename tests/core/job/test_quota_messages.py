"""What a refusal says of a quota: whether waiting can help, and what to change where it cannot."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.quotas import Quota, parse_quota

LIMIT = "The account-level service limit"
TYPE = "ml.m5.2xlarge for training job usage"


def refused(limit, *, used=None, asked=None, name=TYPE):
    used = "" if used is None else f", with current utilization of {used}"
    asked = "" if asked is None else f" and a request delta of {asked}"
    return parse_quota(f"{LIMIT} '{name}' is {limit}{used}{asked}. Please use AWS Service Quotas.")


@pytest.mark.parametrize(
    ("limit", "used", "asked", "never_fits"),
    [
        ("4 Instances", "4 Instances", "1 Instances", False),
        ("4 Instances", "0 Instances", "4 Instances", False),
        ("4 Instances", "0 Instances", "5 Instances", True),
        ("1 Instance", "1 Instances", "1 Instances", False),
        ("0 Instances", "0 Instances", "1 Instances", True),
        ("0 Instances", None, None, True),
        ("4 Instances", None, None, False),
        ("1,000 Instances", "0 Instances", "999 Instances", False),
        ("1,000 Instances", "0 Instances", "1_001 Instances", True),
        ("1e3 Instances", "0 Instances", "1001 Instances", True),
    ],
)
def test_a_quota_of_instances_has_room_unless_more_is_asked_for_than_it_is(limit, used, asked, never_fits):
    assert refused(limit, used=used, asked=asked) == Quota(TYPE, never_fits, True, "use another instance_type")


@pytest.mark.parametrize("limit", ["432000 Seconds", "7200 Minutes", "120 Hours", "5 Days"])
def test_a_time_that_is_too_long_never_fits(limit):
    name = "Longest run time for a training job"
    assert refused(limit, used="0 Seconds", asked="500,000 Seconds", name=name) == Quota(
        name, True, False, "lower max_runtime_in_seconds"
    )


@pytest.mark.parametrize(
    ("limit", "used", "asked", "never_fits"),
    [
        ("1,024 GB", "0 GB", "2000 GB", True),
        ("1 TiB", "0 GiB", "1024 GiB", False),
        ("1 TiB", "0 GiB", "1025 GiB", True),
        ("1 TB", "0 GiB", "1024.5 GB", True),
        ("1024 MiB", "0 GiB", "1 GiB", False),
        ("1023 MB", "0 GiB", "1 GiB", True),
        ("2 Gigabytes", "0 GB", "2 GB", False),
        ("10 GB", "0 GB", None, True),
        ("10 GB", None, None, True),
        ("10 GB", "5 GB", None, False),
    ],
)
def test_a_size_is_compared_whatever_its_unit(limit, used, asked, never_fits):
    name = "Size of EBS volume for a training job instance"
    assert refused(limit, used=used, asked=asked, name=name) == Quota(name, never_fits, False, "lower volume_size")


@pytest.mark.parametrize(
    ("limit", "name", "remedy"),
    [
        ("4 Instances", "Number of instances across all training jobs", "ask for fewer instances"),
        ("4", "Number of training jobs per account", ""),
        ("4 Jobs", "Number of training jobs per account", ""),
    ],
)
def test_what_to_change_is_what_is_counted(limit, name, remedy):
    assert refused(limit, used="4", name=name) == Quota(name, False, False, remedy)


@pytest.mark.parametrize(
    ("message", "name", "never_fits"),
    [
        (
            f"{LIMIT} for training-job/ml.p2.xlarge is 0 Instances, with a request delta of 1 Instances.",
            "training-job/ml.p2.xlarge",
            True,
        ),
        (
            'The quota "ml.m5.large for training" is 1 Instances. UTILIZATION IS 1 Instances',
            "ml.m5.large for training",
            False,
        ),
    ],
)
def test_older_wordings_are_read_too(message, name, never_fits):
    assert parse_quota(message) == Quota(name, never_fits, True, "use another instance_type")


@pytest.mark.parametrize(
    "message", ["", "Rate exceeded", f"{LIMIT} 'x' is many Instances", f"{LIMIT} has been reached"]
)
def test_a_wording_that_is_not_known_says_nothing(message):
    assert parse_quota(message) is None
