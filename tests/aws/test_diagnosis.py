"""What an account says of itself, by botocore's own clients with scripted answers: for what the embedded SageMaker does not play."""

from __future__ import annotations

from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import ANY, Stubber

from airflow_nbjobs.aws.diagnosis import Account
from airflow_nbjobs.core.errors import NotebookJobServiceError

ROLE = "arn:aws:iam::123456789012:role/Airflow"
NOW = datetime(2026, 1, 29, tzinfo=UTC)


@pytest.fixture
def scripted():
    """One service's client, whose answers come from the test; unasked answers are an error."""
    opened = []

    def make(service):
        client = boto3.client(service, region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s")
        stub = Stubber(client)
        stub.activate()
        opened.append(stub)
        return Account(lambda _: client), stub

    yield make
    for stub in opened:
        stub.assert_no_pending_responses()


def result(action, decision, *of_resources):
    specific = [{"EvalResourceName": "x", "EvalResourceDecision": each} for each in of_resources]
    found = {"EvalActionName": action, "EvalDecision": decision}
    return found | ({"ResourceSpecificResults": specific} if specific else {})


def test_a_simulation_is_asked_for_page_by_page_with_its_context(scripted):
    account, stub = scripted("iam")
    asked = {
        "PolicySourceArn": ROLE,
        "ActionNames": ["iam:PassRole", "kms:CreateGrant"],
        "ResourceArns": ["arn:aws:iam::123456789012:role/Jobs"],
        "ContextEntries": [
            {
                "ContextKeyName": "iam:PassedToService",
                "ContextKeyValues": ["sagemaker.amazonaws.com"],
                "ContextKeyType": "string",
            },
            {"ContextKeyName": "aws:SecureTransport", "ContextKeyValues": ["true"], "ContextKeyType": "boolean"},
        ],
    }
    first = {"EvaluationResults": [result("iam:PassRole", "allowed")], "IsTruncated": True, "Marker": "m"}
    stub.add_response("simulate_principal_policy", first, asked)
    second = {"EvaluationResults": [result("kms:CreateGrant", "implicitDeny")], "IsTruncated": False}
    stub.add_response("simulate_principal_policy", second, asked | {"Marker": "m"})
    decisions = account.simulated(
        ROLE,
        asked["ActionNames"],
        resources=asked["ResourceArns"],
        context={"iam:PassedToService": "sagemaker.amazonaws.com", "aws:SecureTransport": "true"},
    )
    assert decisions == {"iam:PassRole": "allowed", "kms:CreateGrant": "implicitDeny"}


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (("allowed", "allowed"), "allowed"),
        (("allowed", "explicitDeny"), "explicitDeny"),
        (("implicitDeny", "allowed"), "implicitDeny"),
    ],
)
def test_an_action_that_one_resource_denies_is_denied(scripted, decisions, expected):
    account, stub = scripted("iam")
    answer = {"EvaluationResults": [result("s3:GetObject", "allowed", *decisions)]}
    stub.add_response("simulate_principal_policy", answer, {"PolicySourceArn": ROLE, "ActionNames": ["s3:GetObject"]})
    assert account.simulated(ROLE, ["s3:GetObject"]) == {"s3:GetObject": expected}


def test_a_quota_is_looked_for_by_its_whole_name_on_every_page(scripted):
    account, stub = scripted("service-quotas")
    name = "ml.m5.large for training job usage"
    first = {
        "Quotas": [{"QuotaName": f"x{name}", "Value": 1.0}, {"QuotaName": "other", "Value": 2.0}],
        "NextToken": "t",
    }
    stub.add_response("list_service_quotas", first, {"ServiceCode": "sagemaker", "MaxResults": 100})
    second = {"Quotas": [{"QuotaName": name, "Value": 15.0}], "NextToken": "u"}
    stub.add_response("list_service_quotas", second, {"ServiceCode": "sagemaker", "MaxResults": 100, "NextToken": "t"})
    assert account.quota(name) == 15


def summary(name):
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{name}"
    return {"TrainingJobName": name, "TrainingJobArn": arn, "CreationTime": NOW, "TrainingJobStatus": "InProgress"}


def described(name, **resources):
    image = {"TrainingInputMode": "File", "TrainingImage": "x"}
    more = {"TrainingJobArn": summary(name)["TrainingJobArn"], "TrainingJobName": name, "CreationTime": NOW}
    return more | {
        "ResourceConfig": {"VolumeSizeInGB": 30} | resources,
        "AlgorithmSpecification": image,
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "StoppingCondition": {},
        "ModelArtifacts": {"S3ModelArtifacts": "x"},
    }


def test_running_jobs_are_counted_by_the_type_that_they_got(scripted):
    """A page may be empty and still have a token; of several types in order of preference, the one that was taken counts."""
    account, stub = scripted("sagemaker")
    since = {"StatusEquals": "InProgress", "MaxResults": 100, "CreationTimeAfter": datetime(2026, 1, 1, tzinfo=UTC)}
    stub.add_response("list_training_jobs", {"TrainingJobSummaries": [], "NextToken": "t"}, since)
    preferences = [{"InstanceType": "ml.m5.xlarge"}, {"InstanceType": "ml.m5.large"}]
    machines = {
        "one": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
        "two": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
        "three": {"InstancePreferences": preferences, "SelectedInstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    if "SelectedInstanceType" not in stub.client.meta.service_model.shape_for("ResourceConfig").members:
        machines["three"] = {"InstanceType": "ml.m5.large", "InstanceCount": 1}  # a botocore that knows no preferences
    last = {"TrainingJobSummaries": [summary(name) for name in machines]}
    stub.add_response("list_training_jobs", last, since | {"NextToken": "t"})
    for name, resources in machines.items():
        stub.add_response("describe_training_job", described(name, **resources), {"TrainingJobName": name})
    running = account.running("ml.m5.large", now=NOW)
    assert (running.instances, running.jobs, running.is_whole) == (3, 3, True)


def test_too_many_running_jobs_are_not_all_looked_at(scripted):
    account, stub = scripted("sagemaker")
    for page in range(5):
        names = [f"job-{page}-{number}" for number in range(30)]
        answer = {"TrainingJobSummaries": [summary(name) for name in names], "NextToken": "t"}
        stub.add_response(
            "list_training_jobs",
            answer,
            {"StatusEquals": "InProgress", "MaxResults": 100, "CreationTimeAfter": ANY}
            | ({"NextToken": "t"} if page else {}),
        )
    for _ in range(100):
        stub.add_response(
            "describe_training_job",
            described("x", InstanceType="ml.m5.large", InstanceCount=1),
            {"TrainingJobName": ANY},
        )
    running = account.running("ml.m5.large", now=NOW)
    assert (running.instances, running.jobs, running.is_whole) == (100, 100, False)


def test_a_keys_state_and_its_denial(scripted):
    account, stub = scripted("kms")
    stub.add_response("describe_key", {"KeyMetadata": {"KeyId": "k", "KeyState": "PendingDeletion"}}, {"KeyId": "k"})
    assert account.key_state("k") == "PendingDeletion"
    stub.add_client_error("describe_key", "AccessDeniedException", "no")
    with pytest.raises(NotebookJobServiceError, match="kms:DescribeKey"):
        account.key_state("k")


def test_an_image_that_ecr_fails_to_give_is_told_with_its_reason(scripted):
    account, stub = scripted("ecr")
    failure = {"failureCode": "KmsError", "failureReason": "key is disabled", "imageId": {"imageTag": "1"}}
    asked = {"registryId": "123456789012", "repositoryName": "mine", "imageIds": [{"imageTag": "1"}]}
    stub.add_response("batch_get_image", {"images": [], "failures": [failure]}, asked)
    assert "KmsError" in account.image_problem("123456789012", "mine", {"imageTag": "1"})
