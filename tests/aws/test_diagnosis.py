"""What an account says of itself, by botocore's own clients with scripted answers: for what the embedded SageMaker does not play."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from botocore.stub import ANY
from stubs import stubbed

from airflow_nbjobs.aws.diagnosis import Account, Decision, Key
from airflow_nbjobs.core.errors import NotebookJobServiceError

ROLE = "arn:aws:iam::123456789012:role/Airflow"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def scripted():
    """One service's client, whose answers come from the test; unasked answers are an error."""
    with ExitStack() as opened:

        def make(service):
            stub = opened.enter_context(stubbed(service))
            return Account(lambda _: stub.client), stub

        yield make


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
    assert decisions == {"iam:PassRole": Decision("allowed"), "kms:CreateGrant": Decision("implicitDeny")}


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        (("allowed", "allowed"), "allowed"),
        (("allowed", "explicitDeny"), "explicitDeny"),
        (("implicitDeny", "allowed"), "implicitDeny"),
        (("implicitDeny", "explicitDeny"), "explicitDeny"),
        (("allowed", "aVerdictOfNextYear"), "aVerdictOfNextYear"),
    ],
)
@pytest.mark.parametrize("is_one_result", [True, False], ids=["one result", "a result each"])
def test_an_action_that_one_resource_denies_is_denied(scripted, decisions, expected, is_one_result):
    account, stub = scripted("iam")
    each = [result("s3:GetObject", decision) for decision in decisions]
    answer = {"EvaluationResults": [result("s3:GetObject", "allowed", *decisions)] if is_one_result else each}
    stub.add_response("simulate_principal_policy", answer, {"PolicySourceArn": ROLE, "ActionNames": ["s3:GetObject"]})
    found = account.simulated(ROLE, ["s3:GetObject"])
    assert found == {"s3:GetObject": Decision(expected)}
    assert found["s3:GetObject"].is_allowed is (expected == "allowed")


BOUNDARY = {"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}


@pytest.mark.parametrize(
    ("of_action", "of_resource", "expected"),
    [
        ({}, {}, Decision("allowed")),
        (BOUNDARY, {}, Decision("allowed", is_within_boundary=False)),
        ({}, BOUNDARY, Decision("allowed", is_within_boundary=False)),
        (
            {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
            {},
            Decision("allowed", is_within_organization=False),
        ),
        ({"MissingContextValues": ["aws:SourceIp"]}, {}, Decision("allowed", missing=("aws:SourceIp",))),
        (
            {"MissingContextValues": ["aws:SourceIp"]},
            {"MissingContextValues": ["aws:SourceIp", "aws:SourceVpce"]},
            Decision("allowed", missing=("aws:SourceIp", "aws:SourceVpce")),
        ),
    ],
)
def test_boundaries_organisations_and_missing_keys_are_read_wherever_iam_says_them(
    scripted, of_action, of_resource, expected
):
    account, stub = scripted("iam")
    one = result("s3:GetObject", "allowed", "allowed") | of_action
    one["ResourceSpecificResults"][0] |= of_resource
    stub.add_response(
        "simulate_principal_policy", {"EvaluationResults": [one]}, {"PolicySourceArn": ROLE, "ActionNames": ANY}
    )
    decisions = account.simulated(ROLE, ["s3:GetObject", "s3:PutObject"])
    assert decisions == {"s3:GetObject": expected}  # of the other one, it says nothing
    within = expected.is_within_boundary and expected.is_within_organization
    assert decisions["s3:GetObject"].is_allowed is within


def test_quotas_are_looked_for_by_their_whole_names_on_every_page_that_is_needed(scripted):
    account, stub = scripted("service-quotas")
    name = "ml.m5.large for training job usage"
    first = {
        "Quotas": [{"QuotaName": f"x{name}", "Value": 1.0}, {"QuotaName": "other", "Value": 2.0}],
        "NextToken": "t",
    }
    stub.add_response("list_service_quotas", first, {"ServiceCode": "sagemaker", "MaxResults": 100})
    second = {"Quotas": [{"QuotaName": name, "Value": 15.0}], "NextToken": "u"}
    stub.add_response("list_service_quotas", second, {"ServiceCode": "sagemaker", "MaxResults": 100, "NextToken": "t"})
    assert account.quotas({name, "other"}) == {name: 15, "other": 2}


def test_a_quota_that_is_not_listed_is_not_there(scripted):
    account, stub = scripted("service-quotas")
    stub.add_response("list_service_quotas", {"Quotas": []}, {"ServiceCode": "sagemaker", "MaxResults": 100})
    assert account.quotas({"x"}) == {}


def test_a_keys_state_and_whose_it_is(scripted):
    account, stub = scripted("kms")
    own = {"KeyId": "k", "Arn": KEY, "KeyState": "PendingDeletion", "KeyManager": "CUSTOMER"}
    stub.add_response("describe_key", {"KeyMetadata": own}, {"KeyId": "alias/mine"})
    assert account.key("alias/mine") == Key(KEY, "PendingDeletion")
    of_aws = own | {"KeyManager": "AWS", "KeyState": "Enabled"}
    stub.add_response("describe_key", {"KeyMetadata": of_aws}, {"KeyId": "alias/aws/s3"})
    assert account.key("alias/aws/s3") == Key(KEY, "Enabled", is_of_aws=True)


def test_a_key_that_is_not_there_is_no_denial(scripted):
    account, stub = scripted("kms")
    stub.add_client_error("describe_key", "NotFoundException", "Alias alias/x is not found.")
    assert account.key("alias/x") is None
    stub.add_client_error("describe_key", "AccessDeniedException", "no")
    with pytest.raises(NotebookJobServiceError, match="kms:DescribeKey"):
        account.key("k")


def test_an_image_that_ecr_fails_to_give_is_told_with_its_reason(scripted):
    account, stub = scripted("ecr")
    failure = {"failureCode": "KmsError", "failureReason": "key is disabled", "imageId": {"imageTag": "1"}}
    asked = {"registryId": "123456789012", "repositoryName": "mine", "imageIds": [{"imageTag": "1"}]}
    stub.add_response("batch_get_image", {"images": [], "failures": [failure]}, asked)
    assert "KmsError" in account.image_problem("123456789012", "mine", {"imageTag": "1"})
