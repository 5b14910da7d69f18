"""Requests against the service's model: all that is wrong with one, in the service's words. No server is needed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.local.wire.validation import RequestValidator

REQUEST: dict[str, Any] = {
    "TrainingJobName": "job",
    "RoleArn": "arn:aws:iam::123456789012:role/r",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@pytest.fixture(scope="module")
def validator() -> RequestValidator:
    return RequestValidator()


def refused(validator: RequestValidator, request: dict[str, Any], operation: str = "CreateTrainingJob") -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        validator.check(operation, request)
    return caught.value


def test_operations_are_those_of_the_model(validator: RequestValidator) -> None:
    assert validator.knows("CreateTrainingJob")
    assert not validator.knows("CreateNothing")


def test_a_right_request_is_taken(validator: RequestValidator) -> None:
    validator.check("CreateTrainingJob", REQUEST)
    validator.check("CreateTrainingJob", REQUEST | {"HyperParameters": {"a": "b"}, "Tags": []})


@pytest.mark.parametrize(
    ("member", "name", "low", "high"),
    [
        ("StoppingCondition", "MaxRuntimeInSeconds", 1, 2_419_200),
        ("ResourceConfig", "KeepAlivePeriodInSeconds", 0, 3_600),
        ("ResourceConfig", "VolumeSizeInGB", 1, 16_384),
        ("ResourceConfig", "InstanceCount", 1, 1_000_000),
    ],
)
def test_a_number_keeps_its_documented_limits(
    validator: RequestValidator, member: str, name: str, low: int, high: int
) -> None:
    for value in (low, high):
        validator.check("CreateTrainingJob", REQUEST | {member: REQUEST[member] | {name: value}})
    place = f"{member[0].lower()}{member[1:]}.{name[0].lower()}{name[1:]}"
    for value, words in ((low - 1, f"greater than or equal to {low}"), (high + 1, f"less than or equal to {high}")):
        error = refused(validator, REQUEST | {member: REQUEST[member] | {name: value}})
        assert error.code == "ValidationException"
        assert error.message == (
            f"1 validation error detected: Value '{value}' at '{place}' failed to satisfy constraint: Member must have value {words}"
        )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TrainingJobName": "a" * 64}, "at 'trainingJobName' failed to satisfy constraint: Member must have length less than or equal to 63"),
        ({"TrainingJobName": "-a"}, "Value '-a' at 'trainingJobName' failed to satisfy constraint: Member must satisfy regular expression pattern"),
        ({"TrainingJobName": None}, "Value null at 'trainingJobName' failed to satisfy constraint: Member must not be null"),
        ({"ResourceConfig": {"InstanceType": "ml.none", "InstanceCount": 1, "VolumeSizeInGB": 30}}, "Value 'ml.none' at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [ml."),
        ({"HyperParameters": {"k": "v" * 2501}}, "failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 2500"),
        ({"HyperParameters": {"k" * 257: "v"}}, "Map keys must satisfy constraint"),
        ({"Environment": {"a b": "v"}}, "Value '{a b=v}' at 'environment' failed to satisfy constraint: Map keys must"),
        ({"Tags": [{"Key": "a", "Value": "b"}, {"Key": "", "Value": "b"}]}, "at 'tags.2.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"),
        ({"Tags": [{"Key": "k"}]}, "Value null at 'tags.1.member.value'"),
    ],
    ids=["long", "pattern", "missing", "enum", "map value", "map key", "variable", "list", "nested"],
)  # fmt: skip
def test_what_breaks_a_constraint_is_told_in_the_services_words(
    validator: RequestValidator, change: dict[str, Any], words: str
) -> None:
    error = refused(validator, REQUEST | change)
    assert error.code == "ValidationException"
    assert error.message.startswith("1 validation error detected: ")
    assert words in error.message


def test_all_that_is_wrong_is_told_at_once(validator: RequestValidator) -> None:
    error = refused(validator, REQUEST | {"TrainingJobName": "-a", "RoleArn": None})
    assert error.message.startswith("2 validation errors detected: ")
    assert error.message.count("failed to satisfy constraint") == 2
    assert "; " in error.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TrainingJobName": 5}, "int can not be converted to string at 'TrainingJobName'"),
        ({"EnableNetworkIsolation": "true"}, "str can not be converted to boolean"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": True}}, "bool can not be converted to integer"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": "60"}}, "str can not be converted to integer"),
        ({"Tags": {}}, "dict can not be converted to list"),
        ({"Environment": []}, "list can not be converted to map"),
        ({"HyperParameters": {"k": 1}}, "int can not be converted to string at 'hyperParameters'"),
        ({"ResourceConfig": "x"}, "str can not be converted to structure at 'resourceConfig'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_of_another_type_cannot_be_read(
    validator: RequestValidator, change: dict[str, Any], words: str
) -> None:
    error = refused(validator, REQUEST | change)
    assert error.code == "SerializationException"
    assert words.partition(" at ")[0] in error.message


def test_a_member_that_the_model_does_not_have_is_refused(validator: RequestValidator) -> None:
    error = refused(validator, REQUEST | {"Colour": "red"})
    assert "has no 'Colour' in CreateTrainingJobRequest" in error.message
    assert "has no 'Size' in ResourceConfig" in refused(validator, REQUEST | {"ResourceConfig": {"Size": 1}}).message


def test_another_service_has_its_own_code() -> None:
    error = refused(RequestValidator("logs", "InvalidParameterException"), {"limit": 10_001}, "FilterLogEvents")
    assert error.code == "InvalidParameterException"
    assert "less than or equal to 10000" in error.message
