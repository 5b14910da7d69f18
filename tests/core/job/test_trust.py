"""Whether SageMaker may assume a role, by the role's trust policy."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core.job.trust import Trust, read_trust

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


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_the_jobs_own_arn_is_of_their_partition_region_and_account(partition):
    own = f"arn:{partition}:sagemaker:eu-west-1:{ACCOUNT}:training-job/*"
    found = read_trust(
        {"Statement": ALLOW | {"Condition": {"ArnLike": {"aws:SourceArn": own}}}},
        account=ACCOUNT,
        region="eu-west-1",
        partition=partition,
    )
    assert found == Trust(True)


@pytest.mark.parametrize(
    ("condition", "is_trusted"),
    [
        ({"StringLike": {"aws:SourceAccount": "1234*"}}, True),
        ({"StringEquals": {"aws:SourceAccount": "1234*"}}, False),
        ({"ArnEquals": {"aws:SourceArn": f"{JOBS}/*"}}, True),
        ({"StringEquals": {"aws:SourceArn": f"{JOBS}/*"}}, None),
        ({"StringEqualsIfExists": {"aws:SourceAccount": ACCOUNT}}, True),
        ({"StringEquals": {"aws:SourceAccount": [ACCOUNT], "sts:ExternalId": "x"}}, None),
        ({"StringEquals": {"sts:ExternalId": "x", "aws:SourceAccount": "210987654321"}}, False),
        ({"ArnLike": {"aws:SourceArn": f"{JOBS}/"}}, False),
        ({"ArnLike": {"aws:SourceArn": ["arn:aws:s3:::x", f"{JOBS}/x"]}}, None),
        ({}, True),
    ],
    ids=str,
)
def test_a_condition_holds_does_not_or_is_not_known(condition, is_trusted):
    assert trust(ALLOW | {"Condition": condition}).is_trusted is is_trusted


def test_a_yes_needs_no_reason_and_each_other_answer_has_all_of_them():
    assert trust(ALLOW) == Trust(True)
    assert trust() == Trust(False, "no statement names the service sagemaker.amazonaws.com")
    unknown = [ALLOW | {"Condition": {"StringEquals": {key: "x"}}} for key in ("sts:ExternalId", "aws:ViaAWSService")]
    assert trust(*unknown).why == (
        "it is trusted on a condition that is not known here: StringEquals sts:ExternalId = x; StringEquals aws:ViaAWSService = x"
    )
    assert trust(ALLOW, DENY_UNKNOWN).why == (
        "a statement denies it on a condition that is not known here: Bool aws:ViaAWSService = false"
    )
    elsewhere = ALLOW | {"Condition": {"StringEquals": {"aws:SourceAccount": ["1", "2"]}}}
    assert trust(elsewhere).why == "a condition excludes the jobs: StringEquals aws:SourceAccount = 1, 2"
    assert trust(elsewhere, ALLOW) == Trust(True)


@pytest.mark.parametrize(
    "statement",
    [
        ALLOW | {"Principal": {"AWS": "sagemaker.amazonaws.com"}},
        ALLOW | {"Principal": {}},
        {"Effect": "Allow", "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": "*"},
        ALLOW | {"Action": "sts:AssumeRoleWithSAML"},
        ALLOW | {"Action": []},
    ],
    ids=str,
)
def test_a_statement_about_somebody_or_something_else_says_nothing(statement):
    assert trust(statement).why.startswith("no statement names the service")
    assert trust(statement | {"Effect": "Deny"}, ALLOW) == Trust(True)


@pytest.mark.parametrize("principal", [{"Service": "*"}, ["*"], {"Service": ["x", "*"]}], ids=str)
def test_everybody_is_sagemaker_too(principal):
    assert trust(ALLOW | {"Principal": principal}) == Trust(True)
