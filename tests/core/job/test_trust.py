"""Whether SageMaker may assume a role, by the role's trust policy."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.trust import read_trust

ALLOW = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
ACCOUNT = "123456789012"
JOBS = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job"
DENY_UNKNOWN = ALLOW | {"Effect": "Deny", "Condition": {"Bool": {"aws:ViaAWSService": "false"}}}


def trust(*statements):
    return read_trust({"Statement": list(statements)}, account=ACCOUNT, region="eu-west-1")


@pytest.mark.parametrize(
    "statement",
    [
        ALLOW,
        ALLOW | {"Principal": {"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]}},
        ALLOW | {"Principal": "*"},
        ALLOW | {"Principal": {"AWS": "*"}},
        ALLOW | {"Action": ["sts:TagSession", "STS:assumerole"]},
        ALLOW | {"Action": "sts:*"},
        ALLOW | {"Action": "*"},
        ALLOW | {"Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}}},
        ALLOW | {"Condition": {"StringEquals": {"AWS:sourceaccount": ["210987654321", ACCOUNT]}}},
        ALLOW | {"Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:*"}}},
        ALLOW | {"Condition": {"StringLikeIfExists": {"aws:SourceArn": "arn:aws:sagemaker:*:training-job/*"}}},
    ],
    ids=str,
)
def test_a_role_that_sagemaker_may_assume(statement):
    assert trust(ALLOW | {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, statement).is_trusted is True


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ([], "no statement names the service"),
        ([ALLOW | {"Principal": {"Service": "ec2.amazonaws.com"}}], "no statement names the service"),
        ([ALLOW | {"Action": "sts:TagSession"}], "no statement names the service"),
        ([ALLOW, ALLOW | {"Effect": "Deny"}], "a statement denies it"),
        (
            [ALLOW | {"Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sagemaker:us-east-1:1:x"}}}],
            "a condition excludes the jobs: ArnEquals aws:SourceArn = arn:aws:sagemaker:us-east-1:1:x",
        ),
        (
            [ALLOW | {"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:sagemaker:us-east-1:1:training-job/x-*"}}}],
            "a condition excludes the jobs: ArnLike aws:SourceArn",
        ),
        (
            [
                ALLOW
                | {
                    "Condition": {
                        "StringEquals": {"aws:SourceAccount": "210987654321"},
                        "Bool": {"aws:MultiFactor": "true"},
                    }
                }
            ],
            "a condition excludes the jobs: StringEquals aws:SourceAccount",
        ),
    ],
    ids=str,
)
def test_a_role_that_it_may_not_assume(statements, why):
    found = trust(*statements)
    assert found.is_trusted is False
    assert why in found.why


@pytest.mark.parametrize(
    "statements",
    [
        [ALLOW | {"Condition": {"StringEquals": {"sts:ExternalId": "x"}}}],
        [ALLOW | {"Condition": {"StringNotEquals": {"aws:SourceAccount": ACCOUNT}}}],
        [ALLOW | {"Condition": {"Bool": {"aws:SecureTransport": True}}}],
        [ALLOW, DENY_UNKNOWN],
        # How a job is named is not known: a role may be for some of them.
        [ALLOW | {"Condition": {"ArnLike": {"aws:SourceArn": f"{JOBS}/report-*"}}}],
        [ALLOW | {"Condition": {"StringEquals": {"aws:SourceArn": f"{JOBS}/report-1"}}}],
        [ALLOW, ALLOW | {"Effect": "Deny", "Condition": {"ArnLike": {"aws:SourceArn": f"{JOBS}/report-*"}}}],
    ],
    ids=str,
)
def test_what_depends_on_something_else_is_left_open(statements):
    found = trust(*statements)
    assert found.is_trusted is None
    assert " on a condition that is not known here: " in found.why


def test_a_denial_that_is_not_known_hides_neither_a_certain_one_nor_that_nothing_is_allowed():
    assert trust(ALLOW, DENY_UNKNOWN, ALLOW | {"Effect": "Deny"}).is_trusted is False
    assert trust(DENY_UNKNOWN).is_trusted is False
    doubtful = trust(DENY_UNKNOWN, ALLOW | {"Condition": {"StringEquals": {"sts:ExternalId": "x"}}})
    assert doubtful.is_trusted is None
    assert "sts:ExternalId" in doubtful.why
    assert "aws:ViaAWSService" in doubtful.why


def test_a_denial_that_does_not_hold_for_the_jobs_does_no_harm():
    elsewhere = {"StringEquals": {"aws:SourceAccount": "210987654321"}}
    assert trust(ALLOW, ALLOW | {"Effect": "Deny", "Condition": elsewhere}).is_trusted is True


def test_one_statement_need_not_be_in_a_list():
    assert read_trust({"Statement": ALLOW}, account=ACCOUNT, region="eu-west-1").is_trusted is True
