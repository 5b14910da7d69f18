"""What the embedded SageMaker refuses of a job at once: what it cannot run, and what SageMaker itself does not take. No server is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.local.state.facts import NAMESPACE_WAYS
from airflow_nbjobs.local.training import checks
from airflow_nbjobs.local.training.checks import _inconsistencies, check_features, check_role, check_tags
from airflow_nbjobs.local.training.updates import updated
from airflow_nbjobs.local.wire.formats import ValidationError

S3 = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/x"}}
CHANNEL = {"ChannelName": "c", "DataSource": S3}
REQUEST: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b/o", "CompressionType": "GZIP"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "InputDataConfig": [CHANNEL],
    "CheckpointConfig": {"LocalPath": "/opt/ml/checkpoints"},
}


def with_(**parts: Any) -> dict[str, Any]:
    """Return the request with members of its parts changed, and left out where they are None."""
    found = {}
    for name, value in {**REQUEST, **parts}.items():
        if isinstance(value, dict):
            merged = {**REQUEST.get(name, {}), **value}
            found[name] = {key: each for key, each in merged.items() if each is not None}
        else:
            found[name] = value
    return found


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"ServerlessJobConfig": {}}, "ServerlessJobConfig"),
        ({"MlflowConfig": {}}, "MlflowConfig"),
        ({"ModelPackageConfig": {}}, "ModelPackageConfig"),
        ({"ResourceConfig": {"InstanceGroups": []}}, "ResourceConfig.InstanceGroups"),
        ({"ResourceConfig": {"TrainingPlanArn": "a"}}, "ResourceConfig.TrainingPlanArn"),
        ({"CheckpointConfig": {"LocalPath": "/opt/ml/input"}}, "CheckpointConfig.LocalPath"),
        ({"AlgorithmSpecification": {"AlgorithmName": "xgboost"}}, "AlgorithmName"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe"}}, "the input mode Pipe"),
        ({"ResourceConfig": {"InstanceCount": 2}}, "more than one instance"),
        ({"OutputDataConfig": {"CompressionType": "NONE"}}, "CompressionType NONE"),
        ({"InputDataConfig": [{"ChannelName": "c", "DataSource": {}}]}, "the data source of channel 'c'"),
        (
            {"InputDataConfig": [CHANNEL | {"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile"}}}]},
            "S3DataType ManifestFile",
        ),
        ({"InputDataConfig": [CHANNEL | {"InputMode": "Pipe"}]}, "the input mode Pipe"),
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation"),
    ],
    ids=str,
)
def test_what_cannot_run_here_is_refused_and_not_let_seem_to_work(parts, words):
    with pytest.raises(ValidationError) as caught:
        check_features(with_(**parts), way="none")
    assert words in caught.value.message


def test_an_ordinary_job_runs_here():
    check_features(with_(InputDataConfig=[CHANNEL | {"InputMode": "File"}]), way="none")
    check_features({"OutputDataConfig": {}}, way="none")
    check_features(with_(EnableNetworkIsolation=True), way=next(iter(NAMESPACE_WAYS)))
    assert list(_inconsistencies(REQUEST)) == []


A = {"InstanceType": "ml.m5.large"}
PREFERENCES = {"InstanceType": None, "InstancePreferences": [A, {"InstanceType": "ml.m5.xlarge"}]}
SPOT = {"EnableManagedSpotTraining": True, "StoppingCondition": {"MaxWaitTimeInSeconds": 60}}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"InputDataConfig": [CHANNEL, CHANNEL]}, "Channel names must be unique: c, c"),
        ({"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "VolumeKmsKeyId": "k"}}, "encrypted by the instance"),
        ({"StoppingCondition": {"MaxWaitTimeInSeconds": 60}}, "EnableManagedSpotTraining is set to true"),
        (SPOT | {"StoppingCondition": {"MaxWaitTimeInSeconds": 59}}, "greater than or equal to MaxRuntimeInSeconds"),
        ({"EnableManagedSpotTraining": True}, "greater than or equal to MaxRuntimeInSeconds"),
        (SPOT | {"ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}, "KeepAlivePeriodInSeconds is not supported"),
        ({"StoppingCondition": {"MaxPendingTimeInSeconds": 7200}}, "accelerated instance types, not for ml.m5.large"),
        ({"ResourceConfig": {"InstancePreferences": [A]}}, "InstancePreferences and InstanceType are mutually"),
        (SPOT | {"ResourceConfig": PREFERENCES}, "InstancePreferences and EnableManagedSpotTraining are mutually"),
        ({"ResourceConfig": PREFERENCES | {"InstancePreferences": [A, A]}}, "can appear only once"),
        (
            {"ResourceConfig": PREFERENCES | {"InstancePreferences": [A | {"InstanceCount": 1}]}},
            "InstanceCount is given for the job and for its InstancePreferences",
        ),
    ],
    ids=str,
)
def test_what_sagemaker_does_not_take_is_said_once(parts, words):
    (problem,) = _inconsistencies(with_(**parts))
    assert words in problem


@pytest.mark.parametrize(
    "parts",
    [
        SPOT,
        {"ResourceConfig": PREFERENCES},
        {"ResourceConfig": {"VolumeKmsKeyId": "k"}},
        {"ResourceConfig": {"InstanceType": "ml.g5.xlarge"}, "StoppingCondition": {"MaxPendingTimeInSeconds": 7200}},
    ],
    ids=str,
)
def test_what_it_takes_is_no_problem(parts):
    assert list(_inconsistencies(with_(**parts))) == []


@pytest.mark.parametrize("place", ["AlgorithmSpecification", "ResourceConfig", "StoppingCondition"])
def test_what_every_job_needs_is_missed(place):
    request = {name: value for name, value in REQUEST.items() if name != place}
    problems = list(_inconsistencies(request))
    assert f"Value null at '{place[0].lower()}{place[1:]}'" in problems[0]


@pytest.mark.parametrize(("keys", "words"), [(["a", "a"], "Duplicate"), (["AWS:x"], "reserved prefix")])
def test_tags_are_checked_together(keys, words):
    with pytest.raises(ValidationError) as caught:
        check_tags([{"Key": key, "Value": ""} for key in keys])
    assert words in caught.value.message
    check_tags([{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}])


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (None, "Training job j has no warm pool"),
        (SimpleNamespace(status="Terminated"), "a warm pool in status Terminated"),
    ],
)
def test_a_warm_pool_that_is_not_there_is_not_prolonged(pool, words):
    job: Any = SimpleNamespace(name="j", status="Completed", pool=pool, request={})
    with pytest.raises(ValidationError) as caught:
        updated(job, {"ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}, now=1.0)
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ({}, "changes nothing"),
        ({"ProfilerConfig": {}}, "in status Completed"),
        ({"RemoteDebugConfig": {}}, "in status"),
    ],
)
def test_a_job_that_has_ended_is_not_changed(update, words):
    job: Any = SimpleNamespace(name="j", status="Completed", pool=None, request={})
    with pytest.raises(ValidationError) as caught:
        updated(job, update, now=1.0)
    assert words in caught.value.message


ROLE = "arn:aws:iam::123456789012:role/path/Jobs"


class Iam:
    """An IAM with one role, or none."""

    class exceptions:  # noqa: N801 - as a client has them
        class NoSuchEntityException(Exception):  # noqa: N818
            pass

    def __init__(self, arn=ROLE, service="sagemaker.amazonaws.com"):
        self.arn = arn
        self.policy = {"Statement": [{"Principal": {"Service": service}}]}

    def get_role(self, *, RoleName):  # noqa: N803
        if RoleName != "Jobs":
            raise self.exceptions.NoSuchEntityException
        return {"Role": {"Arn": self.arn, "AssumeRolePolicyDocument": self.policy}}


def test_a_role_that_trusts_sagemaker_is_taken():
    check_role(ROLE, Iam())


@pytest.mark.parametrize(
    ("arn", "iam"),
    [(ROLE.replace("Jobs", "Other"), Iam()), (ROLE, Iam(arn="arn:aws:iam::1:role/Jobs")), (ROLE, Iam(service="ec2"))],
)
def test_any_other_role_cannot_be_assumed(arn, iam):
    with pytest.raises(ValidationError, match="Could not assume role"):
        check_role(arn, iam)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"InputDataConfig": [CHANNEL, CHANNEL]}, "must be unique"),
        ({"Tags": [{"Key": "a"}, {"Key": "a"}]}, "Duplicate tag key"),
        ({"RoleArn": ROLE.replace("Jobs", "Other")}, "Could not assume role"),
        (
            {"InputDataConfig": [CHANNEL | {"DataSource": {"S3DataSource": {"S3Uri": "s3://b/none"}}}]},
            'No S3 objects found under S3 URL "s3://b/none"',
        ),
        ({}, None),
    ],
    ids=str,
)
def test_a_valid_request_is_checked_against_what_there_is(monkeypatch, parts, words):
    monkeypatch.setattr(checks, "has_objects", lambda _, uri: uri == "s3://b/x")
    request = {**REQUEST, "RoleArn": ROLE, **parts}
    facts: Any = SimpleNamespace(region="eu-west-1")
    clients: Any = SimpleNamespace(iam=Iam(), s3=None)
    if words is None:
        checks.check_create(request, facts=facts, clients=clients)
        return
    with pytest.raises(ValidationError) as caught:
        checks.check_create(request, facts=facts, clients=clients)
    assert words in caught.value.message
