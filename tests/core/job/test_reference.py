"""Which training job is meant: name, ARN, or what a notebook task returned."""

import pytest

from airflow_nbjobs.core.job.reference import JobReference, parse_job_reference

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/nightly-7f3a"


@pytest.mark.parametrize("region", [None, "", " ", "None"])
def test_an_empty_region_leaves_the_arns_own(region):
    assert parse_job_reference(ARN, region_name=region) == JobReference("nightly-7f3a", "eu-west-1", "123456789012")
    assert parse_job_reference("nightly-7f3a", region_name=region) == JobReference("nightly-7f3a")


def test_blanks_around_a_region_are_none_of_it():
    assert parse_job_reference(ARN, region_name=" eu-west-1\n").region == "eu-west-1"
    assert parse_job_reference("nightly-7f3a", region_name=" eu-west-1 ").region == "eu-west-1"
