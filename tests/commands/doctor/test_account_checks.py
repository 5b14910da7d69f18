"""``nbjobs doctor`` on the embedded SageMaker: each fault that can be switched on is found and named, or is listed as one that a doctor cannot see."""

from __future__ import annotations

import json
import os
import uuid
from base64 import b64encode

import boto3
import msgspec
import pytest
from fakes import archive
from local_jobs import LOG_GROUP, Jobs

from airflow_nbjobs.aws import clients
from airflow_nbjobs.commands.doctor import account_checks, connection, trial
from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
from airflow_nbjobs.commands.doctor.examination import Mark, examine
from airflow_nbjobs.commands.doctor.patient import Asked, Patient
from airflow_nbjobs.core.job import trouble
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.testing.faults import Faults

pytestmark = pytest.mark.local

ALWAYS = {"connection", "region", "credentials", "arguments"}
BEFORE = {
    "encryption": {"bucket"},
    "files": {"bucket"},
    "keys": {"bucket", "encryption"},
    "trust": {"role"},
    "role's permissions": {"role"},
    "driver": {"image"},
    "kernel": {"image"},
    "logs": {"jobs"},
}
# What a doctor cannot see, and why.
UNSEEN = {
    "deletion_delay": "how long SageMaker takes to delete a job keeps no other job from running",
    "delay": "a slow answer is an answer; how long each check took is in the JSON report",
    "search_delay": "neither tasks nor the doctor use Search",
    "start_delay": "how long machines take to start is nobody's mistake; --run waits for one",
    "warm_pool_quota": "without one nothing fails: the machine is not kept, and the group of tasks says so",
}
# Of the switches' client, what switches nothing on.
NO_FAULTS = {"add", "calls", "held_jobs", "move_job", "end_job", "clear", "request"}


_opened = {}


def open_session(conn_id):
    """As ``connection.open_session``; clients are kept, for they take most of a check's time."""
    key = conn_id, os.environ.get("AIRFLOW_CONN_AWS_DEFAULT")
    if key not in _opened:
        _opened[key] = connection.open_session(conn_id)
    settings = read_settings(_opened[key].hook.connection_extra)
    return msgspec.structs.replace(_opened[key], settings=settings)


@pytest.fixture
def look(nbjobs_sagemaker, monkeypatch):
    """Makes some checks, and those that they need; returns the findings of the named ones."""
    monkeypatch.setattr(connection, "_ATTEMPTS", 1)
    monkeypatch.setattr(account_checks, "open_session", open_session)
    monkeypatch.setattr(clients, "_distribution_accounts", {})

    def run(*names, **asked):
        wanted = ALWAYS.union(names, *(BEFORE.get(name, ()) for name in names))
        checks = [check for check in (*account_checks.CHECKS, trial.CHECK) if check.name in wanted]
        patient = Patient(asked=Asked(**{"aws_conn_id": "aws_default"} | asked), airflow=AirflowSide())
        return [
            finding for outcome in examine(checks, patient) if outcome.name in names for finding in outcome.findings
        ]

    return run


def marks(findings):
    return [finding.mark for finding in findings]


def only(findings, mark):
    (found,) = [finding for finding in findings if finding.mark is mark]
    return found


def test_every_fault_that_can_be_switched_on_is_found_or_listed_as_unseen():
    switches = {name for name, value in vars(Faults).items() if callable(value) and not name.startswith("_")}
    found = {"throttle", "internal_error", "reset", "deny", "refuse", "script_jobs", "lack_capacity", "quota"}
    assert switches == found | set(UNSEEN) | NO_FAULTS


def test_a_sound_account_has_nothing_wrong(look, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.quota("ml.m5.large", 4)
    findings = look(*(check.name for check in account_checks.CHECKS))
    assert Mark.WRONG not in marks(findings)
    texts = [finding.text for finding in findings if finding.mark is Mark.RIGHT]
    for text in (
        f"role = {nbjobs_sagemaker.role} ([nbjobs] role)",
        "instance_type = ml.m5.large (the operator's default)",
        f"'{nbjobs_sagemaker.bucket}' is there, in eu-west-1",
        "an object was written and read",
        "sagemaker.amazonaws.com may assume it",
        "the quota 'ml.m5.large for training job usage': 0 of 4 in use",
        "ListTrainingJobs and DescribeTrainingJob answer",
    ):
        assert text in texts
    left = nbjobs_sagemaker.client("s3").list_objects_v2(
        Bucket=nbjobs_sagemaker.bucket, Prefix=nbjobs_sagemaker.s3_root_uri.split("/", 3)[3]
    )
    assert left["KeyCount"] == 0


def test_the_journal_shows_what_a_check_asks_and_nothing_is_created(look, nbjobs_sagemaker):
    before = nbjobs_sagemaker.faults.calls()[-1].number
    look(*(check.name for check in account_checks.CHECKS))
    asked = {call.operation for call in nbjobs_sagemaker.faults.calls(after=before)}
    assert {"ecr:BatchGetImage", "servicequotas:ListServiceQuotas", "s3:GetBucketEncryption", "iam:GetRole"} <= asked
    assert not any("Create" in operation for operation in asked)


# What a task does as well is wrong, what only the doctor asks is not known.
DENIALS = [
    ("s3:HeadBucket", "bucket", Mark.WRONG, "s3:ListBucket"),
    ("s3:GetBucketEncryption", "encryption", Mark.UNKNOWN, "s3:GetEncryptionConfiguration"),
    ("s3:PutObject", "files", Mark.WRONG, "s3:PutObject"),
    ("s3:GetObject", "files", Mark.WRONG, "s3:GetObject"),
    ("s3:DeleteObjects", "files", Mark.UNKNOWN, "s3:DeleteObject"),
    ("iam:GetRole", "role", Mark.UNKNOWN, "iam:GetRole"),
    ("ecr:BatchGetImage", "image", Mark.UNKNOWN, "ecr:BatchGetImage"),
    ("servicequotas:ListServiceQuotas", "quota", Mark.UNKNOWN, "servicequotas:ListServiceQuotas"),
    ("ListTrainingJobs", "jobs", Mark.WRONG, "sagemaker:ListTrainingJobs"),
    ("DescribeTrainingJob", "jobs", Mark.WRONG, "sagemaker:DescribeTrainingJob"),
    ("logs:FilterLogEvents", "logs", Mark.WRONG, "logs:FilterLogEvents"),
    ("logs:DescribeLogStreams", "logs", Mark.WRONG, "logs:DescribeLogStreams"),
]


@pytest.mark.parametrize(("operation", "check", "mark", "action"), DENIALS, ids=[each[0] for each in DENIALS])
def test_a_denial_is_named_with_the_statement_that_allows_it(look, nbjobs_sagemaker, operation, check, mark, action):  # noqa: PLR0917 - a table
    with nbjobs_sagemaker.faults.deny(operation):
        found = only(look(check), mark)
    assert found.text
    who = "tasks need it" if mark is Mark.WRONG else "only the doctor asks for it"
    assert f"allow 'arn:aws:sts::123456789012:user/moto' this ({who})" in found.fix
    assert action in found.statement["Action"]
    assert found.statement["Effect"] == "Allow"
    assert "BUCKET" not in json.dumps(found.statement)
    assert "ACCOUNT" not in json.dumps(found.statement)


@pytest.mark.parametrize(
    ("asked", "operation", "check", "action"),
    [
        ({"role": "NotebookJobs"}, "iam:GetRole", "role", "iam:GetRole"),
        ({"image_uri": "sagemaker-distribution:4-cpu"}, "ssm:GetParameter", "image", "ssm:GetParameter"),
    ],
)
def test_a_short_form_needs_a_permission_that_a_full_one_does_not(  # noqa: PLR0917 - a table
    look, nbjobs_sagemaker, asked, operation, check, action
):
    with nbjobs_sagemaker.faults.deny(operation):
        found = only(look(check, **asked), Mark.WRONG)
    assert action in found.statement["Action"]
    assert "tasks need it" in found.fix


def test_a_log_that_may_be_found_and_not_read_is_named(look, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.script_jobs()
    logs = nbjobs_sagemaker.client("logs")
    name = f"doctor-{uuid.uuid4().hex[:8]}"
    jobs = Jobs(nbjobs_sagemaker._server)
    request = jobs.request(name)
    jobs.s3.put_object(Bucket=nbjobs_sagemaker.bucket, Key=f"nbjobs/{name}/input/x.ipynb", Body=b"{}")
    jobs.sagemaker.create_training_job(**request)
    if not logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=LOG_GROUP)
    logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=f"{name}/algo-1-1")
    with nbjobs_sagemaker.faults.deny("logs:GetLogEvents"):
        found = only(look("logs"), Mark.WRONG)
    assert "logs:GetLogEvents" in found.text
    assert "logs:GetLogEvents" in found.statement["Action"]


PASSING = [
    ("throttle", "ListTrainingJobs", "jobs"),
    ("throttle", "s3:PutObject", "files"),
    ("internal_error", "ListTrainingJobs", "jobs"),
    ("internal_error", "s3:GetObject", "files"),
    ("internal_error", "servicequotas:*", "quota"),
    ("throttle", "iam:GetRole", "role"),
]


@pytest.mark.parametrize(("fault", "operation", "check"), PASSING)
def test_trouble_that_passes_is_no_fault_of_the_account(look, nbjobs_sagemaker, fault, operation, check):
    with getattr(nbjobs_sagemaker.faults, fault)(operation):
        found = only(look(check), Mark.UNKNOWN)
    assert "could not be checked now: " in found.text
    assert "run the doctor again" in found.fix


@pytest.mark.parametrize(
    ("operation", "check", "mark"),
    [
        ("s3:PutObject", "files", Mark.WRONG),
        ("ListTrainingJobs", "jobs", Mark.WRONG),
        ("ecr:*", "image", Mark.UNKNOWN),
        ("servicequotas:*", "quota", Mark.UNKNOWN),
    ],
)
def test_an_endpoint_that_does_not_answer_is_the_networks_fault(look, nbjobs_sagemaker, operation, check, mark):
    with nbjobs_sagemaker.faults.reset(operation):
        found = only(look(check), mark)
    assert "got no answer" in found.text
    assert "VPC endpoint" in found.fix


def test_an_error_that_nobody_knows_is_told_as_it_is(look, nbjobs_sagemaker):
    with nbjobs_sagemaker.faults.refuse("ListTrainingJobs", code="OptInRequired", message="Sign up first"):
        found = only(look("jobs"), Mark.WRONG)
    assert "OptInRequired: Sign up first" in found.text


def interrupted(*_, **__):
    raise KeyboardInterrupt


def interrupted_once_it_is_written(self, uri, body, *, kms_key):
    put(self, uri, body, kms_key=kms_key)
    raise KeyboardInterrupt


put = clients.Boto3Objects.put
INTERRUPTED = [
    (clients.Boto3Objects, "put", interrupted_once_it_is_written),
    (account_checks, "_read_back", interrupted),
    (clients.Boto3Objects, "open", interrupted),
]


@pytest.mark.parametrize(("owner", "name", "instead"), INTERRUPTED, ids=[each[1] for each in INTERRUPTED])
def test_ctrl_c_leaves_no_object_behind(look, nbjobs_sagemaker, monkeypatch, owner, name, instead):  # noqa: PLR0917 - a table
    monkeypatch.setattr(owner, name, instead)
    with pytest.raises(KeyboardInterrupt):
        look("files")
    prefix = nbjobs_sagemaker.s3_root_uri.split("/", 3)[3]
    assert nbjobs_sagemaker.faults.calls("s3:PutObject", resource=f"*{prefix}*")
    left = nbjobs_sagemaker.client("s3").list_objects_v2(Bucket=nbjobs_sagemaker.bucket, Prefix=prefix)
    assert left["KeyCount"] == 0


def test_ctrl_c_says_which_object_may_be_left(look, nbjobs_sagemaker, monkeypatch, caplog):
    monkeypatch.setattr(clients.Boto3Objects, "put", interrupted_once_it_is_written)
    with nbjobs_sagemaker.faults.deny("s3:DeleteObjects"), pytest.raises(KeyboardInterrupt), caplog.at_level("INFO"):
        look("files")
    assert f"the doctor's object may stay, {nbjobs_sagemaker.s3_root_uri}/nbjobs-doctor/" in caplog.text


def test_an_object_whose_answer_was_lost_is_deleted_or_said(look, nbjobs_sagemaker):
    faults = nbjobs_sagemaker.faults
    with faults.throttle("s3:PutObject"), faults.deny("s3:DeleteObjects"):
        assert len(look("files")) == 1  # it was not written
    begun = faults.calls()[-1].number
    with faults.reset("s3:PutObject"):
        assert marks(look("files")) == [Mark.WRONG]
        assert faults.calls("s3:DeleteObjects", after=begun)
        with faults.deny("s3:DeleteObjects"):
            found = look("files")
    assert marks(found) == [Mark.WRONG, Mark.UNKNOWN]
    assert "the doctor's object may have been written, and may stay, s3://" in found[1].text


def test_what_depends_on_a_fault_says_so_and_all_else_is_looked_at(look, nbjobs_sagemaker):
    with nbjobs_sagemaker.faults.deny("s3:HeadBucket"):
        assert marks(look("encryption", "files")) == [Mark.UNKNOWN, Mark.UNKNOWN]
        (found, _) = look("encryption", "files")
        assert found.text == "not checked: the bucket must be right first"
        assert Mark.WRONG not in marks(look("role", "jobs", "logs"))


# -- what is there but wrong --------------------------------------------------------------------------------------------


def test_a_bucket_that_is_not_there(look, nbjobs_sagemaker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", "s3://nobody-has-this/x")
    found = only(look("bucket"), Mark.WRONG)
    assert "the bucket of 's3://nobody-has-this' does not exist" in found.text
    assert "s3_root_uri" in found.fix


def test_an_object_that_comes_back_as_another_is_wrong(look, monkeypatch):
    def another(self, uri, body, *, kms_key):
        put(self, uri, b"not it", kms_key=kms_key)

    monkeypatch.setattr(clients.Boto3Objects, "put", another)
    assert "is not what was written" in only(look("files"), Mark.WRONG).text
    monkeypatch.setattr(clients.Boto3Objects, "put", lambda *_, **__: None)
    assert "S3 does not have it" in only(look("files"), Mark.WRONG).text


def test_a_network_is_left_to_a_job(look, monkeypatch):
    assert look("network") == []
    extra = {"nbjobs": {"subnets": ["subnet-0a"], "security_group_ids": ["sg-0a"]}}
    connection_ = json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"])
    monkeypatch.setenv(
        "AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection_ | {"extra": {**connection_.get("extra", {}), **extra}})
    )
    found = only(look("network"), Mark.UNKNOWN)
    assert "whether jobs in subnet-0a reach S3" in found.text


def test_a_bucket_of_another_region(look, nbjobs_sagemaker, monkeypatch):
    name = f"elsewhere-{uuid.uuid4().hex[:8]}"
    facts = nbjobs_sagemaker.facts
    key = {"aws_access_key_id": facts.access_key_id, "aws_secret_access_key": facts.secret_access_key}
    s3 = boto3.client("s3", region_name="us-west-2", endpoint_url=facts.endpoint_url, **key)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", f"s3://{name}/x")
    found = only(look("bucket"), Mark.WRONG)
    assert f"'{name}' lies in us-west-2, the jobs run in eu-west-1" in found.text


def test_a_bucket_with_a_key_of_its_own_needs_the_key_in_the_policies(look, nbjobs_sagemaker, monkeypatch):
    name = f"keyed-{uuid.uuid4().hex[:8]}"
    s3 = nbjobs_sagemaker.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:eu-west-1:123456789012:key/1"}
    s3.put_bucket_encryption(
        Bucket=name,
        ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": default}]},
    )
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", f"s3://{name}/x")
    found = only(look("encryption"), Mark.RIGHT)
    assert "--kms arn:aws:kms:eu-west-1:123456789012:key/1" in found.text
    with nbjobs_sagemaker.faults.refuse(
        "s3:PutObject", code="AccessDenied", message="not authorized to perform: kms:GenerateDataKey"
    ):
        denied = only(look("encryption", "files"), Mark.WRONG)
    assert denied.statement["Resource"] == "arn:aws:kms:eu-west-1:123456789012:key/1"


def test_with_a_key_of_the_task_the_buckets_own_way_is_not_asked_for(look, nbjobs_sagemaker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_KMS_KEY", "alias/mine")
    with nbjobs_sagemaker.faults.deny("s3:GetBucketEncryption"):
        assert only(look("encryption"), Mark.RIGHT).text == "files are encrypted with s3_kms_key, alias/mine"


@pytest.mark.parametrize(
    ("role", "text"),
    [
        ("arn:aws:iam::123456789012:role/Nobody", "there is no role 'arn:aws:iam::123456789012:role/Nobody'"),
        ("Nobody", "there is no role 'Nobody'"),
        (
            "arn:aws:iam::123456789012:role/path/NotebookJobs",
            "the role of that name is 'arn:aws:iam::123456789012:role/NotebookJobs'",
        ),
    ],
)
def test_a_role_that_is_not_there(look, role, text):
    found = only(look("role", role=role), Mark.WRONG)
    assert text in found.text
    assert "set role" in found.fix


def test_a_role_of_another_account_is_told_once_and_no_policy_is_made_up_for_it(look, nbjobs_sagemaker):
    role = "arn:aws:iam::210987654321:role/NotebookJobs"
    found = look("arguments", "role", "trust", "permissions", "role's permissions", role=role)
    (wrong,) = [each for each in found if each.mark is Mark.WRONG]
    assert wrong.text == (
        f"role: '{role}' is of account 210987654321, not of the caller's account 123456789012; only a role of the caller's own account can be passed"
    )
    assert "aws_conn_id" in wrong.fix
    texts = {each.text for each in found if each.mark is Mark.UNKNOWN}
    assert "not checked: the account and region of what the arguments name must be right first" in texts
    with nbjobs_sagemaker.faults.deny("s3:PutObject"):
        denied = only(look("files", role=role), Mark.WRONG)
    assert denied.statement is None
    assert "s3:PutObject on 's3://" in denied.fix


def test_a_role_of_another_partition_is_told_in_the_words_of_a_task(look):
    found = [each for each in look("arguments", role="arn:aws-cn:iam::123456789012:role/x") if each.mark is Mark.WRONG]
    assert len(found) == 1
    assert "is of partition 'aws-cn', region eu-west-1 of 'aws'" in found[0].text
    assert "--" not in found[0].text


def test_without_the_callers_account_a_key_by_its_id_is_no_fault(look, nbjobs_sagemaker, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_KMS_KEY", "1234abcd-12ab-34cd-56ef-1234567890ab")
    with nbjobs_sagemaker.faults.throttle("sts:GetCallerIdentity"):
        found = look("credentials", "arguments", "permissions", role="NotebookJobs")
    assert Mark.WRONG not in marks(found)
    texts = [each.text for each in found if each.mark is Mark.UNKNOWN]
    assert texts[0].startswith("could not be checked now: ")
    assert texts[1].startswith("not checked: the credentials and ")


@pytest.mark.parametrize(
    ("service", "condition", "mark", "text"),
    [
        ("ec2.amazonaws.com", {}, Mark.WRONG, "no statement names the service sagemaker.amazonaws.com"),
        (
            "sagemaker.amazonaws.com",
            {"StringEquals": {"aws:SourceAccount": "210987654321"}},
            Mark.WRONG,
            "a condition excludes the jobs: StringEquals aws:SourceAccount = 210987654321",
        ),
        (
            "sagemaker.amazonaws.com",
            {"StringEquals": {"aws:PrincipalOrgID": "o-1"}},
            Mark.UNKNOWN,
            "a condition that is not known here",
        ),
    ],
)
def test_a_role_that_sagemaker_may_not_assume(look, nbjobs_sagemaker, service, condition, mark, text):  # noqa: PLR0917 - a table
    name = f"Role{uuid.uuid4().hex[:8]}"
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    policy = {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}
    nbjobs_sagemaker.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(policy))
    found = only(look("trust", role=name), mark)
    assert text in found.text
    if mark is Mark.WRONG:
        assert '"Principal": {"Service": "sagemaker.amazonaws.com"}' in found.fix


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (
            "sagemaker-distribution:nope",
            "repository 'sagemaker-distribution-prod' of registry 819792524951 has no image 'nope'",
        ),
        (
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mine:1",
            "registry 123456789012 has no repository 'mine'",
        ),
        ("210987654321.dkr.ecr.eu-west-1.amazonaws.com/theirs", "registry 210987654321 has no repository 'theirs'"),
    ],
)
def test_an_image_that_is_not_there(look, image, text):
    found = only(look("image", image_uri=image), Mark.WRONG)
    assert text in found.text
    assert "image_uri" in found.fix


def test_an_image_of_ones_own_is_found_and_only_a_job_tells_what_is_in_it(look, nbjobs_sagemaker):
    ecr = nbjobs_sagemaker.client("ecr")
    name = f"own-{uuid.uuid4().hex[:8]}"
    ecr.create_repository(repositoryName=name)
    media_type = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {"schemaVersion": 2, "mediaType": media_type, "config": {"digest": f"sha256:{64 * '0'}"}, "layers": []}
    ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1")
    uri = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/{name}"
    assert only(look("image", image_uri=f"{uri}:1"), Mark.RIGHT).text == f"ECR has '{uri}:1'"
    assert "has no image '2'" in only(look("image", image_uri=f"{uri}:2"), Mark.WRONG).text
    findings = look("driver", "kernel", image_uri=f"{uri}:1")
    assert marks(findings) == [Mark.UNKNOWN, Mark.UNKNOWN]
    assert all("--run" in finding.fix for finding in findings)


def test_an_image_that_is_older_than_the_driver(look):
    found = only(look("driver", image_uri="sagemaker-distribution:0.8-cpu"), Mark.WRONG)
    assert "install_driver=True" in found.fix


def test_a_quota_of_zero_and_one_that_is_used_up(look, nbjobs_sagemaker):
    faults = nbjobs_sagemaker.faults
    faults.quota("ml.p3.2xlarge", 0)
    found = only(look("quota", instance_type="ml.p3.2xlarge"), Mark.WRONG)
    assert "the quota 'ml.p3.2xlarge for training job usage' is 0: every job of this type is refused" in found.text

    faults.quota("ml.c5.xlarge", 1)
    faults.script_jobs(after_seconds=None)
    jobs = Jobs(nbjobs_sagemaker._server)
    name = f"holds-{uuid.uuid4().hex[:8]}"
    jobs.s3.put_object(Bucket=nbjobs_sagemaker.bucket, Key=f"nbjobs/{name}/input/x.ipynb", Body=b"{}")
    request = jobs.request(name)
    request["ResourceConfig"]["InstanceType"] = "ml.c5.xlarge"
    jobs.sagemaker.create_training_job(**request)
    try:
        found = only(look("quota", instance_type="ml.c5.xlarge"), Mark.WRONG)
    finally:
        jobs.sagemaker.stop_training_job(TrainingJobName=name)
    assert "1 of 1 in use: new jobs wait until others have ended" in found.text


def test_a_key_that_aws_does_not_accept(look, nbjobs_sagemaker, monkeypatch):
    extra = {"endpoint_url": nbjobs_sagemaker.facts.endpoint_url, "region_name": "eu-west-1"}
    wrong = {"conn_type": "aws", "login": "AKIANOBODY", "password": "x", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(wrong))
    found = only(look("credentials"), Mark.WRONG)
    assert "AWS does not accept the credentials" in found.text
    assert "connection" in found.fix
    assert only(look("bucket"), Mark.UNKNOWN).text == "not checked: the credentials must be right first"


def test_a_connection_that_is_not_there(look):
    found = only(look("connection", aws_conn_id="nobody"), Mark.WRONG)
    assert "there is no Airflow connection 'nobody'" in found.text
    assert (
        only(look("region", aws_conn_id="nobody"), Mark.UNKNOWN).text
        == "not checked: the connection must be right first"
    )


def test_arguments_that_are_missing_are_all_named_with_where_to_set_them(look, monkeypatch):
    for name in ("ROLE", "S3_ROOT_URI", "IMAGE_URI"):
        monkeypatch.delenv(f"AIRFLOW__NBJOBS__{name}")
    findings = look("arguments")
    assert marks(findings) == [Mark.WRONG] * 3
    assert all("in section [nbjobs] of the Airflow configuration" in finding.text for finding in findings)


def test_options_win_as_a_tasks_arguments_do(look):
    texts = [finding.text for finding in look("arguments", instance_type="ml.m5.xlarge", role="NotebookJobs")]
    assert "instance_type = ml.m5.xlarge (option)" in texts
    assert "role = NotebookJobs (option)" in texts


# -- with --run ---------------------------------------------------------------------------------------------------------


def test_a_job_that_runs(look, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.script_jobs(outputs={"python": "3.12.1"})
    found = only(look("run"), Mark.RIGHT)
    assert "ran its notebook on Python 3.12.1; its files are in s3://" in found.text


@pytest.mark.parametrize(
    ("message", "action"),
    [
        (
            "User: x is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/NotebookJobs",
            "iam:PassRole",
        ),
        ("User: x is not authorized to perform: sagemaker:AddTags on resource: y", "sagemaker:AddTags"),
        ("User: x is not authorized to perform: sagemaker:CreateTrainingJob", "sagemaker:CreateTrainingJob"),
    ],
)
def test_a_job_that_may_not_be_made(look, nbjobs_sagemaker, message, action):
    with nbjobs_sagemaker.faults.refuse("CreateTrainingJob", code="AccessDeniedException", message=message):
        found = only(look("run"), Mark.WRONG)
    assert "the job was refused: " in found.text
    assert action in found.statement["Action"]


LATER = [
    ("DescribeTrainingJob", "the job was made, and cannot be followed", "sagemaker:DescribeTrainingJob"),
    ("s3:GetObject", "the job has ended, and its results cannot be read", "s3:GetObject"),
]


@pytest.mark.parametrize(("operation", "what", "action"), LATER, ids=[each[0] for each in LATER])
def test_a_job_that_was_made_and_is_lost_is_not_called_refused(  # noqa: PLR0917 - a table
    look, nbjobs_sagemaker, monkeypatch, operation, what, action
):
    """What becomes of it is said, for it is billed."""
    monkeypatch.setattr(trouble, "DENIED_SECONDS", 0)
    nbjobs_sagemaker.faults.script_jobs(outputs={"python": "3.12.1"})
    with nbjobs_sagemaker.faults.deny(operation):
        found = only(look("run"), Mark.WRONG)
    assert found.text.startswith(f"{what}: ")
    assert "is left as it is; its results are in s3://" in found.text
    assert action in found.statement["Action"]


def test_a_job_beyond_the_quota(look, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.quota("ml.m5.large", 0)
    found = only(look("run"), Mark.WRONG)
    assert "never allows this job" in found.text
    assert "Service Quotas" in found.fix


def test_a_job_without_capacity(look, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.lack_capacity()
    assert "Unable to provision requested ML compute capacity" in only(look("run"), Mark.WRONG).text


def test_a_job_whose_image_has_no_driver(look, nbjobs_sagemaker):
    reason = 'Artifact upload failed: exec: "amazon_sagemaker_scheduler": executable file not found in $PATH'
    nbjobs_sagemaker.faults.script_jobs(status="Failed", failure_reason=reason, archive=b64encode(archive({})).decode())
    assert "install_driver=True" in only(look("run"), Mark.WRONG).fix
