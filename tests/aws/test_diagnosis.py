"""What an account says of itself, by botocore's own clients with scripted answers: for what the embedded SageMaker does not play."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from botocore.stub import ANY
from stubs import stubbed

from airflow_nbjobs.aws.diagnosis import Account, Decision, Encryption, Identity, Key, Role
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


IMAGE = {"registryId": "123456789012", "repositoryName": "mine", "imageIds": [{"imageTag": "1"}]}


def problem(account):
    return account.image_problem("123456789012", "mine", {"imageTag": "1"})


@pytest.mark.parametrize("code", ["ImageNotFound", "ImageTagDoesNotMatchDigest", None])
def test_an_image_that_is_not_there_is_said_by_name(scripted, code):
    account, stub = scripted("ecr")
    failures = [{"failureCode": code, "imageId": {"imageTag": "1"}}] if code else []
    stub.add_response("batch_get_image", {"images": [], "failures": failures}, IMAGE)
    assert problem(account) == "repository 'mine' of registry 123456789012 has no image '1'"


def test_an_image_that_ecr_gives_has_no_problem(scripted):
    account, stub = scripted("ecr")
    stub.add_response("batch_get_image", {"images": [{"registryId": "123456789012"}], "failures": []}, IMAGE)
    assert problem(account) is None


def test_a_repository_that_is_not_there_is_no_denial(scripted):
    account, stub = scripted("ecr")
    stub.add_client_error("batch_get_image", "RepositoryNotFoundException", "no")
    assert problem(account) == "registry 123456789012 has no repository 'mine' in this region"
    stub.add_client_error("batch_get_image", "AccessDeniedException", "no")
    with pytest.raises(NotebookJobServiceError, match="ecr:BatchGetImage"):
        problem(account)


def test_who_calls_is_what_sts_says(scripted):
    account, stub = scripted("sts")
    stub.add_response("get_caller_identity", {"Arn": ROLE, "Account": "123456789012", "UserId": "A"}, {})
    assert account.identity() == Identity(ROLE, "123456789012")


@pytest.mark.parametrize(
    ("answer", "region"),
    [
        ({"BucketRegion": "eu-west-1"}, "eu-west-1"),
        ({"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-2"}}}, "eu-west-2"),
        ({"ResponseMetadata": {"HTTPHeaders": {}}}, None),
    ],
    ids=["field", "header", "neither"],
)
def test_where_a_bucket_lies_is_said_by_field_or_by_header(scripted, answer, region):
    account, stub = scripted("s3")
    stub.add_response("head_bucket", answer, {"Bucket": "bkt"})
    assert account.bucket_region("bkt") == region


KMS_RULE = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}}
S3_RULE = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}


@pytest.mark.parametrize(
    ("rules", "encryption"),
    [
        ([S3_RULE], Encryption("AES256")),
        ([{"BucketKeyEnabled": True}, KMS_RULE, S3_RULE], Encryption("aws:kms", KEY)),
        ([{"BucketKeyEnabled": True}], None),
    ],
    ids=["S3", "KMS", "none"],
)
def test_how_a_bucket_encrypts_is_its_first_default(scripted, rules, encryption):
    account, stub = scripted("s3")
    stub.add_response(
        "get_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": rules}}, {"Bucket": "bkt"}
    )
    assert account.encryption("bkt") == encryption


def test_a_bucket_without_encryption_of_its_own_is_no_denial(scripted):
    account, stub = scripted("s3")
    stub.add_client_error("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError", "no")
    assert account.encryption("bkt") is None
    stub.add_client_error("get_bucket_encryption", "AccessDenied", "no")
    with pytest.raises(NotebookJobServiceError, match="s3:GetEncryptionConfiguration"):
        account.encryption("bkt")


def test_a_role_has_its_trust_policy_and_one_that_is_not_there_is_none(scripted):
    account, stub = scripted("iam")
    role = {"Path": "/", "RoleName": "Airflow", "RoleId": "A" * 20, "Arn": ROLE, "CreateDate": 0}
    policy = '{"Statement": []}'
    stub.add_response("get_role", {"Role": role | {"AssumeRolePolicyDocument": policy}}, {"RoleName": "Airflow"})
    assert account.role("Airflow") == Role(ROLE, {"Statement": []})
    stub.add_response("get_role", {"Role": role}, {"RoleName": "Airflow"})
    assert account.role("Airflow") == Role(ROLE, {})
    for code in ("NoSuchEntity", "NoSuchEntityException"):
        stub.add_client_error("get_role", code, "no")
        assert account.role("Airflow") is None
    stub.add_client_error("get_role", "AccessDenied", "no")
    with pytest.raises(NotebookJobServiceError, match="iam:GetRole"):
        account.role("Airflow")


def test_quotas_are_read_no_further_than_the_last_one_that_is_asked_for(scripted):
    account, stub = scripted("service-quotas")
    page = {"Quotas": [{"QuotaName": "a", "Value": 1.0}, {"QuotaName": "b", "Value": 2.0}], "NextToken": "t"}
    stub.add_response("list_service_quotas", page, {"ServiceCode": "sagemaker", "MaxResults": 100})
    assert account.quotas({"a"}) == {"a": 1.0}


def test_each_service_has_one_client():
    made = []

    class Any:
        def __init__(self, service):
            made.append(service)

        def get_caller_identity(self):
            return {"Arn": ROLE, "Account": "1"}

        def describe_key(self, **_):
            return {"KeyMetadata": {"Arn": KEY, "KeyState": "Enabled"}}

    account = Account(Any)
    for _ in range(2):
        account.identity()
        account.key("k")
    assert made == ["sts", "kms"]


def test_without_resources_and_context_a_simulation_asks_for_neither(scripted):
    account, stub = scripted("iam")
    stub.add_response(
        "simulate_principal_policy", {"EvaluationResults": []}, {"PolicySourceArn": ROLE, "ActionNames": ["a:B"]}
    )
    assert account.simulated(ROLE, ["a:B"], resources=(), context={}) == {}
