"""What CreateTrainingJob and its neighbours refuse, in the service's words."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from fakes import needs_preferences

if TYPE_CHECKING:
    from local_jobs import Jobs

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker


@pytest.fixture(scope="module")
def unchecked(embedded_sagemaker: EmbeddedSageMaker) -> Any:
    """A client that sends what it is given: what botocore checks itself must be checked by the server, too."""
    facts = embedded_sagemaker.facts
    session = boto3.session.Session(facts.access_key_id, facts.secret_access_key, region_name=facts.region)
    config = Config(proxies={}, parameter_validation=False, retries={"total_max_attempts": 1})
    return session.client("sagemaker", endpoint_url=facts.endpoint_url, config=config)


@pytest.fixture(scope="module")
def request_(jobs: Jobs) -> dict[str, Any]:
    request = jobs.request("refused")
    jobs.stage("refused", {"report.ipynb": b"{}"})
    return request


def changed(request: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(request)
    *parents, last = path.split(".")
    place: Any = copied
    for name in parents:
        place = place[int(name)] if name.isdigit() else place.setdefault(name, {})
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copied


def refusal(client: Any, request: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        client.create_training_job(**request)
    found = error.value.response["Error"]
    return found["Code"], found["Message"]


SPACES = "Member must satisfy regular expression pattern: "


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("TrainingJobName", "ends-", "Value 'ends-' at 'trainingJobName' failed to satisfy constraint: " + SPACES),
        ("TrainingJobName", "under_score", SPACES),
        ("TrainingJobName", "x" * 64, "Member must have length less than or equal to 63"),
        (
            "TrainingJobName",
            None,
            "Value null at 'trainingJobName' failed to satisfy constraint: Member must not be null",
        ),
        ("TrainingJobName", "newline\n", SPACES),
        ("RoleArn", "NotebookJobs-role-name", "at 'roleArn' failed to satisfy constraint: " + SPACES),
        (
            "ResourceConfig.InstanceType",
            "ml.m99.large",
            "Value 'ml.m99.large' at 'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [",
        ),
        ("ResourceConfig.InstanceCount", 0, "Member must have value greater than or equal to 1"),
        ("ResourceConfig.KeepAlivePeriodInSeconds", 3601, "Member must have value less than or equal to 3600"),
        (
            "RetryStrategy",
            {"MaximumRetryAttempts": 0},
            "at 'retryStrategy.maximumRetryAttempts' failed to satisfy constraint: Member must have value greater than or equal to 1",
        ),
        ("RetryStrategy", {"MaximumRetryAttempts": 31}, "Member must have value less than or equal to 30"),
        ("StoppingCondition.MaxRuntimeInSeconds", 2419201, "Member must have value less than or equal to 2419200"),
        (
            "HyperParameters",
            {"k": "v" * 2501},
            "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must have length less than or equal to 2500",
        ),
        ("HyperParameters", {"k": "two\nlines"}, "Map value must satisfy constraint"),
        ("HyperParameters", {str(n): "" for n in range(101)}, "Member must have length less than or equal to 100"),
        ("Environment", {"1BAD": "x"}, "Map keys must satisfy constraint"),
        ("Environment", {"GOOD": "x" * 513}, "Map value must satisfy constraint"),
        ("AlgorithmSpecification.TrainingImage", "x" * 256, "Member must have length less than or equal to 255"),
        (
            "AlgorithmSpecification.ContainerEntrypoint",
            ["x" * 257],
            "at 'algorithmSpecification.containerEntrypoint.1.member' failed",
        ),
        ("AlgorithmSpecification.ContainerEntrypoint", [], "Member must have length greater than or equal to 1"),
        ("AlgorithmSpecification.TrainingImage", None, "Value null at 'algorithmSpecification.trainingImage'"),
        ("InputDataConfig.0.ChannelName", "a b", SPACES),
        ("OutputDataConfig.S3OutputPath", "/local/path", SPACES),
        (
            "VpcConfig",
            {"Subnets": ["subnet-1"]},
            "Value null at 'vpcConfig.securityGroupIds' failed to satisfy constraint: Member must not be null",
        ),
        (
            "VpcConfig",
            {"Subnets": ["subnet-1"], "SecurityGroupIds": [f"sg-{n}" for n in range(6)]},
            "Member must have length less than or equal to 5",
        ),
        ("Tags", [{"Key": "a,b", "Value": ""}], "at 'tags.1.member.key' failed to satisfy constraint: " + SPACES),
        ("Tags", [{"Key": str(n), "Value": ""} for n in range(51)], "Member must have length less than or equal to 50"),
        ("Tags", [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}], "Duplicate tag key"),
        ("Tags", [{"Key": "aws:owner", "Value": "1"}], "reserved prefix 'aws:'"),
        (
            "StoppingCondition.MaxWaitTimeInSeconds",
            7200,
            "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true",
        ),
        ("StoppingCondition.MaxPendingTimeInSeconds", 7200, "only supported for accelerated"),
        ("EnableManagedSpotTraining", True, "Invalid MaxWaitTimeInSeconds"),
        (
            "CheckpointConfig",
            {"S3Uri": "s3://b/c", "LocalPath": "/opt/ml/output/c"},
            "does not support a CheckpointConfig.LocalPath that is not a folder of its own in /opt/ml.",
        ),
        ("OutputDataConfig.CompressionType", "NONE", "does not support OutputDataConfig.CompressionType NONE"),
        ("ResourceConfig.InstanceCount", 2, "does not support more than one instance"),
        ("InputDataConfig.0.InputMode", "Pipe", "does not support the input mode Pipe"),
        (
            "RoleArn",
            "arn:aws:iam::123456789012:role/Nobody",
            "Could not assume role arn:aws:iam::123456789012:role/Nobody. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role.",
        ),
    ],
    ids=lambda value: str(value)[:32],
)
def test_a_wrong_field_is_refused(unchecked: Any, request_: dict[str, Any], path: str, value: Any, text: str) -> None:
    code, message = refusal(unchecked, changed(request_, path, value))
    assert code == "ValidationException"
    assert text in message
    if "failed to satisfy" in message:
        assert message.startswith("1 validation error detected: ")


def test_all_problems_of_form_come_in_one_error(unchecked: Any, request_: dict[str, Any]) -> None:
    request = changed(changed(request_, "TrainingJobName", "a_b"), "ResourceConfig.InstanceType", "ml.none")
    _, message = refusal(unchecked, request)
    assert message.startswith("2 validation errors detected: Value 'a_b' at 'trainingJobName'")
    assert "; Value 'ml.none' at 'resourceConfig.instanceType'" in message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("TrainingJobName", 7),
        ("ResourceConfig.InstanceCount", "1"),
        ("EnableNetworkIsolation", "yes"),
        ("HyperParameters", {"a": 1}),
        ("Tags", {}),
    ],
)
def test_a_wrong_type_is_a_serialization_error(unchecked: Any, request_: dict[str, Any], path: str, value: Any) -> None:
    # Sent as JSON by hand: botocore's own serializer would stumble over a list that is none.
    import json
    import urllib.error
    import urllib.request

    request = urllib.request.Request(
        unchecked.meta.endpoint_url, data=json.dumps(changed(request_, path, value)).encode()
    )
    key = unchecked._request_signer._credentials.access_key
    request.add_header("Authorization", f"AWS4-HMAC-SHA256 Credential={key}/20261124/eu-west-1/sagemaker/aws4_request")
    request.add_header("X-Amz-Target", "SageMaker.CreateTrainingJob")
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=10)
    with error.value as response:
        assert json.load(response)["__type"] == "SerializationException"


def test_tags_take_every_alphabet(jobs: Jobs) -> None:
    name = jobs.submit_script("true", Tags=[{"Key": "équipe:名前", "Value": "Données ½ @home"}])
    arn = jobs.describe(name)["TrainingJobArn"]
    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "équipe:名前", "Value": "Données ½ @home"}]
    jobs.wait(name)


def test_an_input_without_objects_is_refused_at_once(jobs: Jobs) -> None:
    request = jobs.request("empty-input")
    with pytest.raises(ClientError) as error:
        jobs.sagemaker.create_training_job(**request)
    bucket, role = jobs.facts.default_bucket, jobs.facts.role_arn
    assert error.value.response["Error"]["Message"] == (
        f'No S3 objects found under S3 URL "s3://{bucket}/nbjobs/empty-input/input" given in input data source. Please ensure that the bucket '
        f'exists in the selected region (eu-west-1), that objects exist under that S3 prefix, and that the role "{role}" has "s3:ListBucket" '
        f'permissions on bucket "{bucket}".'
    )


def test_a_name_stays_taken_when_its_job_has_ended(jobs: Jobs) -> None:
    name = jobs.submit_script("true")
    done = jobs.wait(name)
    with pytest.raises(ClientError) as error:
        jobs.sagemaker.create_training_job(**jobs.request(name))
    assert error.value.response["Error"] == {
        "Code": "ResourceInUse",
        "Message": "Training job names must be unique within an AWS account and region, and a training job with this name already exists "
        f"({done['TrainingJobArn']})",
    }


@pytest.mark.parametrize("operation", ["describe_training_job", "stop_training_job"])
def test_an_unknown_job_is_a_validation_error(jobs: Jobs, operation: str) -> None:
    with pytest.raises(ClientError) as error:
        getattr(jobs.sagemaker, operation)(TrainingJobName="nobody")
    assert error.value.response["Error"] == {"Code": "ValidationException", "Message": "Requested resource not found."}


def test_tags_are_added_by_key_up_to_fifty(jobs: Jobs) -> None:
    name = jobs.submit_script("true", Tags=[{"Key": "a", "Value": "1"}])
    arn = jobs.describe(name)["TrainingJobArn"]
    answer = jobs.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    assert answer["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}]
    with pytest.raises(ClientError, match="at most 50 tags"):
        jobs.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": str(n), "Value": ""} for n in range(49)])
    assert len(jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 2
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.sagemaker.list_tags(ResourceArn=arn + "x")
    jobs.wait(name)


def test_tags_are_deleted_by_key_of_everything_that_has_tags(jobs: Jobs) -> None:
    name = jobs.submit_script("true", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    arn = jobs.describe(name)["TrainingJobArn"]
    assert "Tags" not in jobs.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a", "none"])
    assert jobs.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    with pytest.raises(ClientError, match="Requested resource not found"):
        jobs.sagemaker.delete_tags(ResourceArn=arn + "x", TagKeys=["a"])
    jobs.wait(name)


def test_a_running_jobs_profile_is_updated_and_a_warm_pool_where_there_is_one(jobs: Jobs) -> None:
    update = jobs.sagemaker.update_training_job
    name = jobs.submit_script("sleep 60", ProfilerConfig={"S3OutputPath": "s3://b/p", "DisableProfiler": False})
    answer = update(TrainingJobName=name, ProfilerConfig={"DisableProfiler": True})
    described = jobs.describe(name)
    assert answer["TrainingJobArn"] == described["TrainingJobArn"]
    assert described["ProfilerConfig"] == {"S3OutputPath": "s3://b/p", "DisableProfiler": True}
    refusals = [
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 60}}, "has no warm pool"),
        ({"ResourceConfig": {"KeepAlivePeriodInSeconds": 3601}}, "less than or equal to 3600"),
        ({}, "give at least one of"),
        ({"TrainingJobName": "nobody", "RemoteDebugConfig": {}}, "Requested resource not found"),
    ]
    for given, text in refusals:
        with pytest.raises(ClientError, match=text):
            update(**{"TrainingJobName": name, **given})
    jobs.sagemaker.stop_training_job(TrainingJobName=name)
    with pytest.raises(ClientError, match="the training job is in status Stop"):
        update(TrainingJobName=name, ProfilerConfig={"DisableProfiler": False})
    jobs.wait(name)


def test_describe_returns_the_request_and_no_tags(jobs: Jobs) -> None:
    name = jobs.submit_script("true", HyperParameters={"n": "1"}, RetryStrategy={"MaximumRetryAttempts": 2})
    done = jobs.wait(name)
    assert done["Environment"] == jobs.environment(name)
    assert done["HyperParameters"] == {"n": "1"}
    assert done["RetryStrategy"] == {"MaximumRetryAttempts": 2}
    assert done["ResourceConfig"] == {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
    assert "Tags" not in done
    assert done["BillableTimeInSeconds"] == done["TrainingTimeInSeconds"]


PREFERRED = [{"InstanceType": "ml.m5.xlarge"}, {"InstanceType": "ml.m5.large"}]


@needs_preferences
@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("EnableNetworkIsolation", False, "InstancePreferences and InstanceType are mutually exclusive"),
        ("ResourceConfig.InstanceType", None, None),
        ("ResourceConfig.InstancePreferences", PREFERRED * 3, "Member must have length less than or equal to 5"),
    ],
)
def test_preferences_are_taken_in_place_of_a_type(jobs, unchecked, request_, path, value, text):  # noqa: PLR0917 - fixtures, and the columns of its table
    preferring = changed(request_, "ResourceConfig.InstancePreferences", PREFERRED)
    preferring = changed(preferring, path, value)
    if text is not None:
        assert text in refusal(unchecked, preferring)[1]
        return
    name = unchecked.create_training_job(**preferring)["TrainingJobArn"].rpartition("/")[2]
    resources = jobs.wait(name)["ResourceConfig"]
    assert (resources["SelectedInstanceType"], resources["SelectedInstanceCount"]) == ("ml.m5.xlarge", 1)
    assert resources["InstancePreferences"] == PREFERRED
