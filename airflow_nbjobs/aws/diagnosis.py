"""
What an account says of itself: who calls, a bucket, a role, an image, a quota, a key; nothing is changed but the doctor's own marker.

Called by ``commands/doctor/`` with the clients of a connection. Raises what ``aws/errors.py`` says, never a botocore exception.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from airflow_nbjobs.aws.errors import error_code, translated
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_LONGEST_JOB = timedelta(days=28)
_MOST_PAGES = 5  # of running jobs: ListTrainingJobs has two calls a second for a whole account
_MOST_DESCRIBED = 100
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


class Running(msgspec.Struct, frozen=True):
    """
    Instances of one type that training jobs use now.

    :param is_whole: whether every running job was looked at.
    """

    instances: int
    jobs: int
    is_whole: bool


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

    def delete(self, uri: str) -> None:
        bucket, key = parse_s3_uri(uri)
        with translated("s3:DeleteObject", on=uri):
            self._client("s3").delete_object(Bucket=bucket, Key=key)

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
    ) -> dict[str, str]:
        """
        Ask IAM what its policies would say; nothing is done.

        :param principal: ARN of a user or a role.
        :param context: condition keys and their values; ``true`` and ``false`` are booleans.
        :return: by action ``allowed``, ``implicitDeny`` or ``explicitDeny``: of several resources, the first that is no ``allowed``.
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
        decisions: dict[str, str] = {}
        with translated("iam:SimulatePrincipalPolicy", on=principal):
            while True:
                answer = self._client("iam").simulate_principal_policy(**request)
                for result in answer["EvaluationResults"]:
                    for decision in _decisions(result):
                        if decisions.get(result["EvalActionName"], "allowed") == "allowed":
                            decisions[result["EvalActionName"]] = decision
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

    def quota(self, name: str) -> float | None:
        """Return the account's value of one of SageMaker's quotas, None if Service Quotas does not list it."""
        with translated("servicequotas:ListServiceQuotas", on="sagemaker"):
            # Names are all that is known: each instance type has a code of its own.
            pages = (
                self._client("service-quotas")
                .get_paginator("list_service_quotas")
                .paginate(ServiceCode="sagemaker", PaginationConfig={"PageSize": _PAGE_SIZE})
            )
            for page in pages:
                for quota in page["Quotas"]:
                    if quota["QuotaName"] == name:
                        return float(quota["Value"])
        return None

    def running(self, instance_type: str, *, now: datetime | None = None) -> Running:
        """Count the instances of a type that training jobs use, by looking at the running jobs one by one."""
        sagemaker = self._client("sagemaker")
        names, is_whole = self._running_jobs((now or datetime.now(tz=UTC)) - _LONGEST_JOB)
        used = 0
        for name in names:
            with translated("sagemaker:DescribeTrainingJob", on=name, job_name=name):
                resources = sagemaker.describe_training_job(TrainingJobName=name).get("ResourceConfig", {})
            taken = resources.get("SelectedInstanceType") or resources.get("InstanceType")
            if taken == instance_type:
                used += int(resources.get("InstanceCount", 1))
        return Running(used, len(names), is_whole)

    def _running_jobs(self, since: datetime) -> tuple[list[str], bool]:
        """Return the names of running jobs, and whether those are all."""
        names: list[str] = []
        request: dict[str, Any] = {"StatusEquals": "InProgress", "MaxResults": _PAGE_SIZE, "CreationTimeAfter": since}
        for _ in range(_MOST_PAGES):
            with translated("sagemaker:ListTrainingJobs", on="*"):
                answer = self._client("sagemaker").list_training_jobs(**request)
            names += [str(summary["TrainingJobName"]) for summary in answer["TrainingJobSummaries"]]
            if not answer.get("NextToken"):
                return names[:_MOST_DESCRIBED], len(names) <= _MOST_DESCRIBED
            request["NextToken"] = answer["NextToken"]
        return names[:_MOST_DESCRIBED], False

    def key_state(self, key: str) -> str:
        """Return a KMS key's state, ``Enabled`` if it can be used."""
        with translated("kms:DescribeKey", on=key):
            return str(self._client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"])


def _decisions(result: Mapping[str, Any]) -> Iterator[str]:
    by_resource = [str(each["EvalResourceDecision"]) for each in result.get("ResourceSpecificResults") or ()]
    yield from by_resource or [str(result["EvalDecision"])]
