"""
What an account says of itself: who calls, a bucket, a role, an image, a quota, a key; reads only.

Called by ``commands/doctor/`` with the clients of a connection. Raises what ``aws/errors.py`` says, never a botocore exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from airflow_nbjobs.aws.errors import error_code, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

_SEVERITY = {"allowed": 0, "implicitDeny": 1, "explicitDeny": 2}
_PAGE_SIZE = 100


class Identity(msgspec.Struct, frozen=True):
    """Who AWS takes the caller for."""

    arn: str
    account: str


class Encryption(msgspec.Struct, frozen=True):
    """How a bucket encrypts what is put into it without a word; ``key`` is empty where AWS's own is used."""

    algorithm: str
    key: str = ""


class Role(msgspec.Struct, frozen=True):
    """A role of IAM; ``trust`` is its trust policy."""

    arn: str
    trust: Mapping[str, Any]


class Decision(msgspec.Struct, frozen=True):
    """
    What IAM's simulation says of one action: of several resources, what the worst-off gets.

    :param verdict: ``allowed``, ``implicitDeny`` or ``explicitDeny``.
    :param is_within_boundary: False: the identity's permissions boundary does not allow it, whatever its policies say.
    :param is_within_organization: False: a service control policy does not.
    :param missing: condition keys that its policies ask for and that the simulation was not told, so that the verdict may be another.
    """

    verdict: str
    is_within_boundary: bool = True
    is_within_organization: bool = True
    missing: tuple[str, ...] = ()

    @property
    def is_allowed(self) -> bool:
        return self.verdict == "allowed" and self.is_within_boundary and self.is_within_organization

    def joined(self, other: Decision) -> Decision:
        """Return what both say of one action, on different resources."""
        return Decision(
            max(self.verdict, other.verdict, key=lambda verdict: _SEVERITY.get(verdict, 1)),
            is_within_boundary=self.is_within_boundary and other.is_within_boundary,
            is_within_organization=self.is_within_organization and other.is_within_organization,
            missing=tuple(dict.fromkeys((*self.missing, *other.missing))),
        )


class Key(msgspec.Struct, frozen=True):
    """
    A key of KMS.

    :param state: ``Enabled`` if it can be used.
    :param is_of_aws: made by AWS for one service, such as ``aws/s3``: identities need no permission of their own.
    """

    arn: str
    state: str
    is_of_aws: bool = False


class Account:
    """:param make_client: service name -> boto3 client."""

    def __init__(self, make_client: Callable[[str], Any]) -> None:
        self._make_client = make_client
        self._clients: dict[str, Any] = {}

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._make_client(service)
        return self._clients[service]

    def identity(self) -> Identity:
        """Ask who calls; needs no permission."""
        with translated("sts:GetCallerIdentity", on="the credentials"):
            answer = self._client("sts").get_caller_identity()
        return Identity(arn=str(answer["Arn"]), account=str(answer["Account"]))

    def bucket_region(self, bucket: str) -> str | None:
        """
        Return where a bucket lies; None where S3 does not say.

        :raises NotebookJobConfigError: there is no such bucket.
        """
        with translated("s3:ListBucket", on=f"s3://{bucket}"):
            answer = self._client("s3").head_bucket(Bucket=bucket)
        found = answer.get("BucketRegion") or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        return str(found) if found else None

    def encryption(self, bucket: str) -> Encryption | None:
        """Return a bucket's default encryption, None if it has none of its own."""
        with translated("s3:GetEncryptionConfiguration", on=f"s3://{bucket}"):
            try:
                answer = self._client("s3").get_bucket_encryption(Bucket=bucket)
            except ClientError as error:
                if error_code(error) == "ServerSideEncryptionConfigurationNotFoundError":
                    return None
                raise
        for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
            if default := rule.get("ApplyServerSideEncryptionByDefault"):
                return Encryption(str(default["SSEAlgorithm"]), str(default.get("KMSMasterKeyID", "")))
        return None

    def role(self, name: str) -> Role | None:
        """Return a role by its name, without a path; None if there is none."""
        with translated("iam:GetRole", on=name):
            try:
                found = self._client("iam").get_role(RoleName=name)["Role"]
            except ClientError as error:
                if error_code(error) in ("NoSuchEntity", "NoSuchEntityException"):
                    return None
                raise
        return Role(str(found["Arn"]), found.get("AssumeRolePolicyDocument") or {})

    def simulated(
        self,
        principal: str,
        actions: Sequence[str],
        *,
        resources: Sequence[str] = (),
        context: Mapping[str, str] | None = None,
    ) -> dict[str, Decision]:
        """
        Ask IAM what its policies would say; nothing is done.

        :param principal: ARN of a user or a role.
        :param context: condition keys and their values; ``true`` and ``false`` are booleans.
        :return: by action; one that IAM says nothing of is not there. Source: API reference, *EvaluationResult*.
        """
        request: dict[str, Any] = {"PolicySourceArn": principal, "ActionNames": list(actions)}
        if resources:
            request["ResourceArns"] = list(resources)
        if context:
            request["ContextEntries"] = [
                {
                    "ContextKeyName": key,
                    "ContextKeyValues": [value],
                    "ContextKeyType": "boolean" if value in ("true", "false") else "string",
                }
                for key, value in context.items()
            ]
        decisions: dict[str, Decision] = {}
        with translated("iam:SimulatePrincipalPolicy", on=principal):
            while True:
                answer = self._client("iam").simulate_principal_policy(**request)
                for result in answer["EvaluationResults"]:
                    action, decision = str(result["EvalActionName"]), _decision(result)
                    # One result an action, or as IAM had it, one a resource.
                    decisions[action] = decisions[action].joined(decision) if action in decisions else decision
                if not answer.get("IsTruncated"):
                    return decisions
                request["Marker"] = answer["Marker"]

    def image_problem(self, registry: str, repository: str, image_id: Mapping[str, str]) -> str | None:
        """
        Say why ECR cannot give an image; None if it can.

        Asks what a pull asks first, which AWS lets other accounts do with its own images.

        :param image_id: ``imageTag`` or ``imageDigest``.
        """
        where = f"{registry}/{repository}"
        with translated("ecr:BatchGetImage", on=where):
            try:
                answer = self._client("ecr").batch_get_image(
                    registryId=registry, repositoryName=repository, imageIds=[dict(image_id)]
                )
            except ClientError as error:
                if error_code(error) != "RepositoryNotFoundException":
                    raise
                return f"registry {registry} has no repository '{repository}' in this region"
        if answer.get("images"):
            return None
        failures = [str(each.get("failureCode", "")) for each in answer.get("failures", [])]
        (name,) = image_id.values()
        if failures in ([], ["ImageNotFound"], ["ImageTagDoesNotMatchDigest"]):
            return f"repository '{repository}' of registry {registry} has no image '{name}'"
        return f"ECR does not give image '{name}' of '{repository}': {', '.join(failures)}"

    def quotas(self, names: Collection[str]) -> dict[str, float]:
        """Return the account's values of some of SageMaker's quotas, by name; what Service Quotas does not list is not there."""
        found: dict[str, float] = {}
        with translated("servicequotas:ListServiceQuotas", on="sagemaker"):
            # Names are all that is known: each instance type has a code of its own.
            pages = (
                self._client("service-quotas")
                .get_paginator("list_service_quotas")
                .paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": _PAGE_SIZE})
            )
            for page in pages:
                found |= {
                    each["QuotaName"]: float(each["Value"]) for each in page["Quotas"] if each["QuotaName"] in names
                }
                if len(found) == len(names):
                    break
        return found

    def key(self, name: str) -> Key | None:
        """
        Return a KMS key, None if there is none.

        :param name: its id, its ARN, or an alias.
        """
        with translated("kms:DescribeKey", on=name):
            try:
                found = self._client("kms").describe_key(KeyId=name)["KeyMetadata"]
            except ClientError as error:
                if error_code(error) == "NotFoundException":
                    return None
                raise
        return Key(str(found["Arn"]), str(found["KeyState"]), is_of_aws=found.get("KeyManager") == "AWS")


def _decision(result: Mapping[str, Any]) -> Decision:
    decision = Decision(
        str(result["EvalDecision"]),
        is_within_boundary=_is_within(result, "PermissionsBoundary"),
        is_within_organization=_is_within(result, "Organizations"),
        missing=_missing(result),
    )
    for each in result.get("ResourceSpecificResults") or ():
        decision = decision.joined(
            Decision(
                str(each["EvalResourceDecision"]),
                is_within_boundary=_is_within(each, "PermissionsBoundary"),
                missing=_missing(each),
            )
        )
    return decision


def _is_within(result: Mapping[str, Any], what: str) -> bool:
    return bool((result.get(f"{what}DecisionDetail") or {}).get(f"AllowedBy{what}", True))


def _missing(result: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(key) for key in result.get("MissingContextValues") or ())
