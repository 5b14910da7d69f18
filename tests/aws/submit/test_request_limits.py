"""The limits of CreateTrainingJob in the three places that know them: the tests' own list, the check before a job is sent, the embedded server."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import request_limits
from fakes import FakeClients, request_shape

from airflow_nbjobs.aws.submit.request_checks import request_problems
from airflow_nbjobs.local.training import checks
from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.local.wire.validation import RequestValidator

GPU = {"ResourceConfig.InstanceType": "ml.p3.2xlarge"}
SPOT = {"EnableManagedSpotTraining": True}


def request_with(changes: dict[str, Any]) -> dict[str, Any]:
    """Return a correct request with other values at some dotted places."""
    request: dict[str, Any] = {
        "TrainingJobName": "job-1",
        "RoleArn": "arn:aws:iam::123456789012:role/NotebookJobs",
        "AlgorithmSpecification": {
            "TrainingImage": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["amazon_sagemaker_scheduler"],
        },
        "InputDataConfig": [channel("notebook")],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/nbjobs"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    request = copy.deepcopy(request)
    for place, value in changes.items():
        *way, last = place.split(".")
        target = request
        for step in way:
            target = target.setdefault(step, {})
        target[last] = value
    return request


def channel(name: str, uri: str = "s3://bucket/nbjobs/job-1/input") -> dict[str, Any]:
    return {"ChannelName": name, "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}


def tags(*keys: str, value: str = "") -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key in keys]


def uri_of(length: int) -> str:
    return "s3://bucket/" + "x" * (length - len("s3://bucket/"))


# 1800 by the API reference; botocore of 2025 sends nothing below 7200.
LEAST_PENDING_SECONDS = max(
    1800, request_shape().members["StoppingCondition"].members["MaxPendingTimeInSeconds"].metadata["min"]
)

# What just passes, and what just does not, a limit: (field that is named, accepted, refused).
LIMITS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "name-length": ("TrainingJobName", {"TrainingJobName": "j" * 63}, {"TrainingJobName": "j" * 64}),
    "name-hyphen": ("TrainingJobName", {"TrainingJobName": "a--b"}, {"TrainingJobName": "a-"}),
    "name-character": ("TrainingJobName", {"TrainingJobName": "A1"}, {"TrainingJobName": "a_b"}),
    "role-length": ("RoleArn", {"RoleArn": "arn:aws:iam::123456789012:role/a"}, {"RoleArn": "arn:aws:iam::1:rol"}),
    "parameters": (
        "HyperParameters",
        {"HyperParameters": {f"p{n}": "" for n in range(100)}},
        {"HyperParameters": {f"p{n}": "" for n in range(101)}},
    ),
    "parameter-name": ("HyperParameters", {"HyperParameters": {"p" * 256: ""}}, {"HyperParameters": {"p" * 257: ""}}),
    "parameter-value": (
        "HyperParameters",
        {"HyperParameters": {"p": "ü" * 2500}},
        {"HyperParameters": {"p": "ü" * 2501}},
    ),
    "parameter-line": ("HyperParameters", {"HyperParameters": {"p": "a\\nb"}}, {"HyperParameters": {"p": "a\nb"}}),
    "variables": (
        "Environment",
        {"Environment": {f"V{n}": "" for n in range(100)}},
        {"Environment": {f"V{n}": "" for n in range(101)}},
    ),
    "variable-name": ("Environment", {"Environment": {"_" * 512: ""}}, {"Environment": {"_" * 513: ""}}),
    "variable-character": ("Environment", {"Environment": {"_1": ""}}, {"Environment": {"1_": ""}}),
    "variable-value": ("Environment", {"Environment": {"V": "\n" * 512}}, {"Environment": {"V": "\n" * 513}}),
    "tags": ("Tags", {"Tags": tags(*map(str, range(50)))}, {"Tags": tags(*map(str, range(51)))}),
    "tag-key": ("Tags", {"Tags": tags("k" * 128)}, {"Tags": tags("k" * 129)}),
    "tag-value": ("Tags", {"Tags": tags("k", value="v" * 256)}, {"Tags": tags("k", value="v" * 257)}),
    "tag-character": ("Tags", {"Tags": tags("k", value="é٣ _.:/=+-@")}, {"Tags": tags("k", value="a,b")}),
    "tag-twice": ("Tags", {"Tags": tags("k", "K")}, {"Tags": tags("k", "k")}),
    "tag-of-aws": ("Tags", {"Tags": tags("aws-x")}, {"Tags": tags("aws:x")}),
    "image-length": (
        "AlgorithmSpecification.TrainingImage",
        {"AlgorithmSpecification.TrainingImage": "i" * 255},
        {"AlgorithmSpecification.TrainingImage": "i" * 256},
    ),
    "entrypoint-length": (
        "AlgorithmSpecification.ContainerEntrypoint",
        {"AlgorithmSpecification.ContainerEntrypoint": ["e" * 256] * 100},
        {"AlgorithmSpecification.ContainerEntrypoint": ["e" * 257]},
    ),
    "entrypoint-count": (
        "AlgorithmSpecification.ContainerEntrypoint",
        {"AlgorithmSpecification.ContainerEntrypoint": ["e"]},
        {"AlgorithmSpecification.ContainerEntrypoint": ["e"] * 101},
    ),
    "arguments-length": (
        "AlgorithmSpecification.ContainerArguments",
        {"AlgorithmSpecification.ContainerArguments": ["a" * 256]},
        {"AlgorithmSpecification.ContainerArguments": ["a" * 257]},
    ),
    "channels": (
        "InputDataConfig",
        {"InputDataConfig": [channel(f"c{n}") for n in range(20)]},
        {"InputDataConfig": [channel(f"c{n}") for n in range(21)]},
    ),
    "channel-twice": (
        "InputDataConfig",
        {"InputDataConfig": [channel("a"), channel("A")]},
        {"InputDataConfig": [channel("a"), channel("a")]},
    ),
    "channel-name": (
        "InputDataConfig",
        {"InputDataConfig": [channel("a.b-c_" + "d" * 58)]},
        {"InputDataConfig": [channel("a/b")]},
    ),
    "input-uri": (
        "InputDataConfig",
        {"InputDataConfig": [channel("a", uri_of(1024))]},
        {"InputDataConfig": [channel("a", uri_of(1025))]},
    ),
    "output-uri": (
        "OutputDataConfig.S3OutputPath",
        {"OutputDataConfig.S3OutputPath": uri_of(1024)},
        {"OutputDataConfig.S3OutputPath": uri_of(1025)},
    ),
    "output-key": (
        "OutputDataConfig.KmsKeyId",
        {"OutputDataConfig.KmsKeyId": "k" * 2048},
        {"OutputDataConfig.KmsKeyId": "k k"},
    ),
    "volume-key": (
        "ResourceConfig.VolumeKmsKeyId",
        {"ResourceConfig.VolumeKmsKeyId": "alias/nb"},
        {"ResourceConfig.VolumeKmsKeyId": "k" * 2049},
    ),
    "groups": (
        "VpcConfig.SecurityGroupIds",
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"] * 5, "Subnets": ["subnet-1"] * 16}},
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"] * 6, "Subnets": ["subnet-1"]}},
    ),
    "subnets": (
        "VpcConfig.Subnets",
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"] * 17}},
    ),
    "half-a-vpc": (
        "VpcConfig",
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}},
        {"VpcConfig": {"SecurityGroupIds": ["sg-1"]}},
    ),
    "retries-most": (
        "RetryStrategy.MaximumRetryAttempts",
        {"RetryStrategy.MaximumRetryAttempts": 30},
        {"RetryStrategy.MaximumRetryAttempts": 31},
    ),
    "retries-none": (
        "RetryStrategy.MaximumRetryAttempts",
        {"RetryStrategy.MaximumRetryAttempts": 1},
        {"RetryStrategy.MaximumRetryAttempts": 0},
    ),
}
# Limits that are in no model: the operator's arguments and the embedded server keep them.
DOCUMENTED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "runtime": (
        "StoppingCondition.MaxRuntimeInSeconds",
        {"StoppingCondition.MaxRuntimeInSeconds": 28 * 86_400},
        {"StoppingCondition.MaxRuntimeInSeconds": 28 * 86_400 + 1},
    ),
    "keep-alive": (
        "ResourceConfig.KeepAlivePeriodInSeconds",
        {"ResourceConfig.KeepAlivePeriodInSeconds": 3600},
        {"ResourceConfig.KeepAlivePeriodInSeconds": 3601},
    ),
    "volume-key-of-a-local-disk": (
        "ResourceConfig.VolumeKmsKeyId",
        {"ResourceConfig.VolumeKmsKeyId": "k"},
        {"ResourceConfig.VolumeKmsKeyId": "k", "ResourceConfig.InstanceType": "ml.g5.xlarge"},
    ),
    "wait-without-spot": (
        "StoppingCondition.MaxWaitTimeInSeconds",
        SPOT | {"StoppingCondition.MaxWaitTimeInSeconds": 3600},
        {"StoppingCondition.MaxWaitTimeInSeconds": 3600},
    ),
    "spot-without-wait": ("StoppingCondition.MaxWaitTimeInSeconds", {}, SPOT),
    "wait-too-short": (
        "StoppingCondition.MaxWaitTimeInSeconds",
        SPOT | {"StoppingCondition.MaxWaitTimeInSeconds": 3600},
        SPOT | {"StoppingCondition.MaxWaitTimeInSeconds": 3599},
    ),
    "pending-without-accelerator": (
        "StoppingCondition.MaxPendingTimeInSeconds",
        GPU | {"StoppingCondition.MaxPendingTimeInSeconds": 7200},
        {"StoppingCondition.MaxPendingTimeInSeconds": 7200},
    ),
    "pending-too-short": (
        "StoppingCondition.MaxPendingTimeInSeconds",
        GPU | {"StoppingCondition.MaxPendingTimeInSeconds": LEAST_PENDING_SECONDS},
        GPU | {"StoppingCondition.MaxPendingTimeInSeconds": LEAST_PENDING_SECONDS - 1},
    ),
    "warm-pool-of-spot": (
        "ResourceConfig.KeepAlivePeriodInSeconds",
        {"ResourceConfig.KeepAlivePeriodInSeconds": 60},
        SPOT | {"StoppingCondition.MaxWaitTimeInSeconds": 3600, "ResourceConfig.KeepAlivePeriodInSeconds": 60},
    ),
}
EVERY = LIMITS | DOCUMENTED
# Kept by the operator's own arguments, which hold what a tag may be, before there is a request.
BY_ARGUMENT = {"tag-character", "tag-twice", "tag-of-aws", "channel-twice"}


@pytest.fixture(scope="module")
def validator() -> RequestValidator:
    return RequestValidator()


def refusal_of_the_embedded_server(validator: RequestValidator, request: dict[str, Any]) -> str:
    try:
        validator.check("CreateTrainingJob", request)
        checks.check_tags(request.get("Tags", ()))
    except ServiceError as error:
        return str(error)
    return "; ".join(checks._inconsistencies(request))


@pytest.mark.parametrize("limit", EVERY)
def test_every_limit_is_known_to_the_tests_and_to_the_embedded_server(validator: RequestValidator, limit: str) -> None:
    field, accepted, refused = (request_with(part) if isinstance(part, dict) else part for part in EVERY[limit])
    assert request_limits.violations(accepted) == []
    assert refusal_of_the_embedded_server(validator, accepted) == ""
    found = request_limits.violations(refused)
    assert found
    assert all(text.startswith(field) for text in found), found
    assert refusal_of_the_embedded_server(validator, refused) != ""


@pytest.mark.parametrize("limit", sorted(LIMITS.keys() - BY_ARGUMENT))
def test_a_limit_of_the_model_is_checked_before_anything_is_sent(limit: str) -> None:
    _, accepted, refused = LIMITS[limit]
    assert request_problems(request_with(accepted), request_shape()) == []
    assert request_problems(request_with(refused), request_shape()) != []


# -- the watch ---------------------------------------------------------------------------------------------------------


def test_the_fakes_refuse_what_the_service_would() -> None:
    with pytest.raises(request_limits.LimitBrokenError, match="TrainingJobName"):
        FakeClients().jobs.create(request_with({"TrainingJobName": "ends-in-"}))
    assert request_limits.broken
    request_limits.broken.clear()


def test_a_request_that_is_accepted_although_it_breaks_a_limit_is_found() -> None:
    import boto3
    from botocore.awsrequest import AWSResponse

    class Raw:
        def stream(self, **_: Any) -> Any:
            yield b'{"TrainingJobArn": "arn"}'

    session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
    session.events.register("before-send", lambda request, **_: AWSResponse(request.url, 200, {}, Raw()))
    client = session.client("sagemaker")
    client.create_training_job(**request_with({}))
    with pytest.raises(request_limits.LimitBrokenError, match="Tags: a key twice"):
        client.create_training_job(**request_with({"Tags": tags("k", "k")}))
    request_limits.broken.clear()
