"""``nbjobs iam-policy``: what it prints is what the README shows, fits the options, and is refused where they mean nothing."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from iam_evaluator import Request, allows

from airflow_nbjobs import cli
from airflow_nbjobs.core.job.permissions import KINDS, TABLE

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"
PLACE = ("--bucket", "acme", "--region", "eu-west-1", "--account", ACCOUNT, "--role", "Jobs", "--prefix", "nb/daily")
# What IAM knows no resource for. Source: *Actions, resources, and condition keys* of each service.
WITHOUT_RESOURCE = {
    "sagemaker:ListTrainingJobs",
    "servicequotas:ListServiceQuotas",
    "cloudwatch:PutMetricData",
    "cloudwatch:GetMetricData",
    "pricing:GetProducts",
    "ecr:GetAuthorizationToken",
}


@pytest.fixture
def policy(capsys):
    """Runs the command; returns the policy and what is said of it."""

    def run(*arguments):
        assert cli.main(["iam-policy", *arguments]) == 0
        said = capsys.readouterr()
        return json.loads(said.out), said.err

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_the_readme_shows_what_the_command_prints(kind, capsys):
    (block,) = re.findall(rf"<!-- policy: {kind} -->\n```json\n(.*?)```", README, re.DOTALL)
    assert cli.main(["iam-policy", kind]) == 0
    assert capsys.readouterr().out == block


def test_the_readmes_example_needs_nothing_else(capsys):
    (block,) = re.findall(r"<!-- runs: nbjobs iam-policy -->\n```bash\n(.*?)```", README, re.DOTALL)
    command, *arguments = shlex.split(block)
    assert command == "nbjobs"
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert not re.search(r"BUCKET|REGION|ACCOUNT", said.out)
    assert "to be replaced" not in said.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_policy_is_one_that_iam_takes(kind, policy):
    document, _ = policy(kind, *PLACE, "--kms", KEY, "--vpc")
    assert document["Version"] == "2012-10-17"
    names = [statement["Sid"] for statement in document["Statement"]]
    assert len(set(names)) == len(names) >= (1 if kind == "prices" else 5)
    assert all(re.fullmatch(r"[A-Za-z0-9]+", name) for name in names)
    for statement in document["Statement"]:
        resources = [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
        assert statement["Action"]
        assert resources
        assert all(re.fullmatch(r"\*|arn:aws:\w+:[\w-]*:(\d{12}|\*|):[^{}]+", resource) for resource in resources)
    # A role of IAM takes 10,240 characters of policies, a user 2,048, a managed policy 6,144; blanks do not count.
    assert len(re.sub(r"\s", "", json.dumps(document))) < 2 * 2048
    assert not any("*" in action for statement in document["Statement"] for action in statement["Action"])


def test_only_what_has_no_resource_is_allowed_on_all():
    everywhere = {action for row in TABLE if row.resource == "*" for action in row.actions}
    assert {action for action in everywhere if not action.startswith("ec2:")} == WITHOUT_RESOURCE


@pytest.mark.parametrize("kind", KINDS)
def test_keys_and_a_network_cost_permissions_only_where_they_are_asked_for(kind, policy):
    plain = {action for each in policy(kind, *PLACE)[0]["Statement"] for action in each["Action"]}
    assert not any(action.startswith(("kms:", "ec2:")) for action in plain)
    more = {action for each in policy(kind, *PLACE, "--kms", KEY, "--vpc")[0]["Statement"] for action in each["Action"]}
    assert plain < more or (kind == "prices" and plain == more)
    assert any(action.startswith("ec2:") for action in more) is (kind == "job")


def test_a_role_is_passed_to_sagemaker_alone(policy):
    document, _ = policy("caller", *PLACE)
    role = f"arn:aws:iam::{ACCOUNT}:role/Jobs"
    assert allows(document, Request("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"}))
    assert not allows(document, Request("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"}))
    assert not allows(document, Request("iam:PassRole", role))


def test_a_roles_arn_gives_account_and_path(policy):
    document, said = policy(
        "caller", "--role", f"arn:aws:iam::{ACCOUNT}:role/service-role/Jobs", "--region", "eu-west-1"
    )
    assert f"arn:aws:iam::{ACCOUNT}:role/service-role/Jobs" in json.dumps(document)
    assert f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job/*" in json.dumps(document)
    assert "(--account)" not in said


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("eu-west-1", "aws", "amazonaws.com"),
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
        ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
    ],
)
def test_the_partition_is_the_regions(region, partition, suffix, policy):
    document, _ = policy("caller", "--region", region, "--account", ACCOUNT, "--kms", "1234abcd")
    resources = {each["Resource"] for each in document["Statement"]} - {"*"}
    assert {resource.split(":")[1] for resource in resources} == {partition}
    assert f'"kms:ViaService": "s3.{region}.{suffix}"' in json.dumps(document)
    assert f"arn:{partition}:kms:{region}:{ACCOUNT}:key/1234abcd" in resources


def test_the_partitions_are_botocores():
    from botocore.loaders import Loader

    from airflow_nbjobs.core.job.permission_scope import _partition_of

    known = Loader().load_data("partitions")["partitions"]
    assert len(known) >= 5
    for each in known:
        for name in (name for name in each["regions"] if not name.endswith("-global")):
            found = _partition_of(name)
            assert (found.name, found.suffix) == (each["id"], each["outputs"]["dnsSuffix"])


@pytest.mark.parametrize("prefix", ["a*b", "a?b", "a${aws:username}b"])
def test_a_prefix_is_taken_literally(prefix, policy):
    document, _ = policy("caller", *PLACE[:-1], prefix)
    assert allows(document, Request("s3:GetObject", f"arn:aws:s3:::acme/{prefix}/x"))
    assert not allows(document, Request("s3:GetObject", "arn:aws:s3:::acme/acb/x"))


@pytest.mark.parametrize("prefix", ["nb/daily", "/nb/daily/", "nb/daily/"])
def test_slashes_at_a_prefixs_ends_do_not_count(prefix, policy):
    assert policy("ui", *PLACE[:-1], prefix) == policy("ui", *PLACE)


def test_no_prefix_is_the_whole_bucket(policy):
    document, _ = policy("ui", *PLACE[:-1], "")
    assert allows(document, Request("s3:GetObject", "arn:aws:s3:::acme/x"))


def test_several_keys_are_all_named_once(policy):
    document, _ = policy("job", *PLACE, "--kms", KEY, "--kms", "5678", "--kms", KEY)
    (files,) = [each for each in document["Statement"] if each["Sid"] == "EncryptedFiles"]
    assert files["Resource"] == [KEY, f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/5678"]


# -- what is said -------------------------------------------------------------------------------------------------------


def test_it_says_what_is_to_be_replaced_what_it_assumes_and_what_may_be_left_out(policy):
    _, said = policy("caller")
    assert said.splitlines() == [
        "to be replaced: BUCKET (--bucket), REGION (--region), ACCOUNT (--account)",
        "--prefix is not given: nbjobs",
        "--role is not given: NotebookJobs",
        "'WarmPools' may be left out where no group of tasks keeps machines (keep_alive_period_in_seconds)",
        "'RoleByName' may be left out where role is given as an ARN",
        "'ImageByShortName' may be left out where image_uri is a full URI",
        "'Machine' may be left out where machine_metrics is not on",
    ]


def test_it_says_which_option_plays_no_part(policy):
    _, said = policy("ui", *PLACE, "--vpc")
    assert said.splitlines() == [
        "--role plays no part in the policy of 'ui'",
        "--vpc plays no part in the policy of 'ui'",
        "'Machine' may be left out where nobody is to see what jobs use of their machines",
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--bucket", "Acme"), "--bucket: 'Acme' is not a bucket name (3-63 characters"),
        (("--bucket", "a..b"), "--bucket: 'a..b' is not a bucket name"),
        (("--bucket", "acme/nbjobs"), "--bucket: 'acme/nbjobs' is not a bucket name"),
        (("--bucket", ""), "--bucket: "),
        (
            ("--bucket", "s3://acme/nb/"),
            "--bucket: 's3://acme/nb/' is a URI; did you mean '--bucket acme --prefix nb'?",
        ),
        (("--bucket", "s3://acme"), "did you mean '--bucket acme'?"),
        (("--bucket", "s3://"), "--bucket: 's3://' is not an S3 URI"),
        (("--bucket", "s3://Acme/nb"), "--bucket: 'Acme' is not a bucket name"),
        (("--bucket", "arn:aws:s3:::acme"), "--bucket: 'arn:aws:s3:::acme' is not a bucket name"),
        (("--prefix", "s3://acme/nb"), "--prefix: 's3://acme/nb' is no prefix; give what follows the bucket"),
        (("--prefix", "a\nb"), "--prefix: 'a\\nb' is no prefix of keys"),
        (("--prefix", "x" * 1025), "at most 1024 bytes"),
        (("--role", "arn:aws:iam::12:role/x"), "--role: 'arn:aws:iam::12:role/x' is neither a role ARN"),
        (("--role", f"arn:aws:iam::{ACCOUNT}:user/x"), "is neither a role ARN"),
        (("--role", f"arn:aws:iam::{ACCOUNT}:rolex"), "names no role; a role's ARN is"),
        (("--role", "a b"), "--role: 'a b' is neither"),
        (("--role", "Jobs*"), "--role: 'Jobs*' is neither"),
        (
            ("--role", "arn:aws:iam::210987654321:role/x", "--account", ACCOUNT),
            f"is of account 210987654321, not of --account {ACCOUNT}; only a role of the caller's own account can be passed",
        ),
        (
            ("--role", f"arn:aws:iam::{ACCOUNT}:role/x", "--region", "cn-north-1"),
            "is of partition 'aws', --region cn-north-1 of 'aws-cn'",
        ),
        (("--region", "eu-west1"), "--region: 'eu-west1' is no name of a region; did you mean 'eu-west-1'?"),
        (("--region", "eu-west-1a"), "is an availability zone; its region is 'eu-west-1'"),
        (("--account", "12"), "--account: '12' is not the id of an account: 12 digits"),
        (("--account", "١٢٣٤٥٦٧٨٩٠١٢"), "is not the id of an account"),
        (("--kms", "alias/x"), "--kms: 'alias/x' is an alias, and a policy's Resource matches keys only"),
        (("--kms", f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/x"), "is an alias"),
        (("--kms", "arn:aws:kms:x"), "--kms: 'arn:aws:kms:x' is not a KMS key"),
        (("--kms", "*"), "--kms: '*' is not a KMS key"),
        (("--kms", "1234"), "is an id, which is a key together with --region and --account; or give its ARN"),
        (("--kms", KEY, "--region", "eu-west-3"), "is of another region than --region eu-west-3"),
    ],
    ids=str,
)
def test_what_means_nothing_is_a_line_and_nothing_is_printed(arguments, problem, capsys):
    assert cli.main(["iam-policy", "caller", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert problem in said.err


def test_all_that_is_wrong_is_said_at_once(capsys):
    assert cli.main(["iam-policy", "job", "--bucket", "A", "--region", "x", "--account", "1", "--kms", "alias/x"]) == 2
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == "4 problems"
    assert [line.split(":")[0] for line in rest] == ["  - --region", "  - --account", "  - --kms", "  - --bucket"]


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("calller",), "did you mean 'caller'?"),
        (("doktor",), "did you mean 'doctor'?"),
        ((), "the following arguments are required: kind"),
        (("job", "--buckt", "x"), "did you mean '--bucket'?"),
        (("job", "--bucket", "abc", "--bucket", "abd"), "argument --bucket: given twice"),
    ],
    ids=str,
)
def test_a_slip_is_a_usage_error(arguments, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["iam-policy", *arguments])
    assert ended.value.code == 2
    assert meant in capsys.readouterr().err
