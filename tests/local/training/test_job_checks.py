"""What the embedded SageMaker refuses of a job at once: what it cannot run, and what SageMaker itself does not take. No server is needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.local.state.facts import NAMESPACE_WAYS
from airflow_nbjobs.local.training.checks import _inconsistencies, check_features, check_tags
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
    return {
        name: {**REQUEST.get(name, {}), **value} if isinstance(value, dict) else value
        for name, value in {**REQUEST, **parts}.items()
    }


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
        ({"ResourceConfig": {"InstancePreferences": [{"InstanceType": "a"}]}}, "mutually exclusive"),
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
