"""Where a policy holds, and what is made of the table for it."""

from __future__ import annotations

import json

import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.permission_scope import Scope, parse_scope
from airflow_nbjobs.core.job.permissions import KINDS, TABLE, build_policy, policy_text, statement_with, statements

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/Jobs"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"


def test_without_any_option_a_policy_has_placeholders_and_can_be_read():
    scope = parse_scope()
    assert (scope.bucket, scope.region, scope.account) == ("BUCKET", "REGION", "ACCOUNT")
    assert (scope.role, scope.prefix, scope.partition, scope.suffix) == (
        "NotebookJobs",
        "nbjobs",
        "aws",
        "amazonaws.com",
    )
    assert (scope.kms_keys, scope.vpc) == ((), False)
    assert scope == Scope()


def test_each_option_counts():
    scope = parse_scope(
        bucket="acme",
        prefix="/nb/daily/",
        role_given="Jobs",
        region_given="cn-north-1",
        account="1234-5678-9012",
        vpc=True,
    )
    assert (scope.bucket, scope.prefix, scope.role) == ("acme", "nb/daily", "Jobs")
    assert (scope.region, scope.partition, scope.suffix) == ("cn-north-1", "aws-cn", "amazonaws.com.cn")
    assert (scope.account, scope.vpc) == (ACCOUNT, True)


def test_an_empty_prefix_is_the_whole_bucket_and_none_is_the_default():
    assert parse_scope(prefix="").names()["prefix"] == ""
    assert parse_scope(prefix="/").names()["prefix"] == ""
    assert parse_scope().names()["prefix"] == "nbjobs/"


@pytest.mark.parametrize(
    ("arn", "region", "account", "partition"),
    [
        (ROLE, None, ACCOUNT, "aws"),
        (ROLE, "eu-west-1", ACCOUNT, "aws"),
        (ROLE.replace("aws", "aws-cn", 1), None, ACCOUNT, "aws-cn"),
        (ROLE.replace("aws", "aws-us-gov", 1), None, ACCOUNT, "aws-us-gov"),
        (ROLE.replace("aws", "aws-us-gov", 1), "us-gov-west-1", ACCOUNT, "aws-us-gov"),
        (ROLE.replace("aws", "aws-new", 1), None, ACCOUNT, "aws"),
    ],
)
def test_a_roles_arn_says_its_path_its_account_and_its_partition(arn, region, account, partition):
    scope = parse_scope(role_given=arn, region_given=region)
    assert (scope.role, scope.account, scope.partition) == ("service-role/Jobs", account, partition)
    assert scope.suffix == {"aws-cn": "amazonaws.com.cn"}.get(partition, "amazonaws.com")


def test_the_account_that_was_given_may_be_the_roles():
    assert parse_scope(role_given=ROLE, account=ACCOUNT).account == ACCOUNT


def test_a_key_may_be_an_id_where_region_and_account_are_given():
    scope = parse_scope(kms=("5678", KEY, "5678"), region_given="eu-west-1", account=ACCOUNT)
    assert scope.kms_keys == (KEY.replace("1234abcd", "5678"), KEY)
    for missing in ({"region_given": "eu-west-1"}, {"account": ACCOUNT}):
        assert "'5678' is an id, which is a key together with --region and --account" in str(
            refusal(kms=("5678",), **missing)
        )
    assert parse_scope(kms=(KEY,)).kms_keys == (KEY,)


def refusal(**options):
    with pytest.raises(NotebookJobConfigError) as raised:
        parse_scope(**options)
    return raised.value


@pytest.mark.parametrize(("size", "is_taken"), [(1024, True), (1025, False)])
def test_a_prefix_is_as_long_as_a_key_may_be(size, is_taken):
    if is_taken:
        assert parse_scope(prefix="x" * size).prefix == "x" * size
        assert parse_scope(prefix="ä" * (size // 2)).prefix == "ä" * (size // 2)
    else:
        assert "at most 1024 bytes" in str(refusal(prefix="x" * size))
        assert "at most 1024 bytes" in str(refusal(prefix="ä" * (size // 2 + 1)))


def test_one_problem_is_the_error_and_several_are_its_list():
    one = refusal(bucket="A")
    assert str(one).startswith("--bucket: 'A' is not a bucket name")
    several = refusal(bucket="A", account="1", words="option {}".format)
    assert several.headline == "2 problems"
    assert [problem.split(":")[0] for problem in several.problems] == ["option account", "option bucket"]


SCOPE = parse_scope(bucket="acme", prefix="nb", region_given="eu-west-1", account=ACCOUNT, role_given="Jobs")
FULL = parse_scope(
    bucket="acme",
    prefix="nb",
    region_given="eu-west-1",
    account=ACCOUNT,
    role_given="Jobs",
    kms=(KEY,),
    vpc=True,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_has_the_rows_of_its_kind_and_those_of_an_option_with_it_alone(kind):
    plain, full = ({row.sid for row in statements(kind, scope)} for scope in (SCOPE, FULL))
    of_table = {row.sid: row.only_with for row in TABLE if row.kind == kind}
    assert full == set(of_table)
    assert plain == {sid for sid, option in of_table.items() if option is None}


def test_of_keys_and_network_each_has_its_own_option():
    keys = parse_scope(region_given="eu-west-1", account=ACCOUNT, kms=(KEY,))
    assert {row.only_with for row in statements("job", keys)} == {None, "kms_keys"}
    assert {row.only_with for row in statements("job", parse_scope(vpc=True))} == {None, "vpc"}


def test_a_statement_has_a_condition_only_where_its_row_has_one():
    for kind in KINDS:
        for row, written in zip(statements(kind, FULL), build_policy(kind, FULL)["Statement"], strict=True):
            assert ("Condition" in written) is bool(row.condition)
            assert (written["Sid"], written["Effect"], written["Action"]) == (row.sid, "Allow", list(row.actions))


def test_one_key_is_a_text_and_several_are_a_list():
    one, two = (
        parse_scope(region_given="eu-west-1", account=ACCOUNT, kms=keys) for keys in ((KEY,), (KEY, "5678", KEY))
    )
    assert statement_with("kms:Decrypt", "ui", one)["Resource"] == KEY
    assert statement_with("kms:Decrypt", "ui", two)["Resource"] == [KEY, KEY.replace("1234abcd", "5678")]


def test_the_statement_of_an_action_is_the_policys_own():
    found = statement_with("iam:PassRole", "caller", SCOPE)
    assert found == {
        "Sid": "Role",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": f"arn:aws:iam::{ACCOUNT}:role/Jobs",
        "Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    }
    assert statement_with("iam:PassRole", "ui", SCOPE) is None
    assert statement_with("kms:Decrypt", "caller", SCOPE) is None


def test_keys_of_files_are_used_through_s3_and_those_of_volumes_through_sagemaker():
    files = statement_with("kms:GenerateDataKey", "caller", FULL)["Condition"]
    volumes = statement_with("kms:CreateGrant", "caller", FULL)["Condition"]
    assert files == {"StringEquals": {"kms:ViaService": "s3.eu-west-1.amazonaws.com"}}
    assert volumes == {"StringEquals": {"kms:ViaService": "sagemaker.eu-west-1.amazonaws.com"}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_text_of_a_policy_is_its_json_a_member_a_line(kind):
    text = policy_text(build_policy(kind, FULL))
    assert json.loads(text) == build_policy(kind, FULL)
    assert sum(line.startswith('  {"Sid": ') for line in text.splitlines()) == len(statements(kind, FULL))
