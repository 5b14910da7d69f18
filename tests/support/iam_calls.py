"""
The IAM requests that a call of the embedded SageMaker's record is on AWS: its own action, and those that AWS checks along with it.

The embedded server checks no permission and calls neither KMS, ECR, EC2 nor CloudWatch's metrics. What those calls need is taken from AWS's documentation:
here, for what a recorded call entails, and in ``DOCUMENTED``, for what SageMaker does with a job's role and nobody here can record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from iam_evaluator import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_nbjobs.testing import Call, LocalSageMaker

_TO_S3 = {
    "s3:PutObject": "s3:PutObject",
    "s3:MultipartUpload": "s3:PutObject",
    "s3:GetObject": "s3:GetObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:AbortMultipartUpload": "s3:AbortMultipartUpload",
    "s3:DeleteObject": "s3:DeleteObject",
}
_MARKER = "nbjobs-doctor/0"  # the one object that is deleted with s3:DeleteObjects, whose record has no keys
_OF_BUCKET = {
    "s3:ListObjects": "s3:ListBucket",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
}
_RESOURCES = {
    "ListTrainingJobs": "*",
    "iam:GetRole": "arn:aws:iam::{account}:role/{resource}",
    "iam:SimulatePrincipalPolicy": "{resource}",
    "kms:DescribeKey": "{resource}",
    "servicequotas:ListServiceQuotas": "*",
    "ssm:GetParameter": "arn:aws:ssm:{region}::parameter{resource}",
}
# Source: STS, API reference: "No permissions are required to perform this operation."
_FREE = ("sts:GetCallerIdentity",)
_LOGS = (
    "logs:DescribeLogStreams",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
)
_JOBS = ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "UpdateTrainingJob")


class Translation:
    """From recorded calls to IAM requests; asks the server what it knows of the jobs and objects that they name."""

    def __init__(self, sagemaker: LocalSageMaker) -> None:
        facts = sagemaker.facts
        self._region, self._account = facts.region, facts.account_id
        self._root = f"arn:aws:s3:::{sagemaker.s3_root_uri.removeprefix('s3://')}"
        self._sagemaker, self._s3 = sagemaker.client("sagemaker"), sagemaker.client("s3")

    def requests(self, calls: Iterable[Call]) -> set[Request]:
        return {request for call in calls for request in self._requests(call)}

    def _requests(self, call: Call) -> Iterator[Request]:
        operation, resource = call.operation, call.resource
        if operation in _JOBS:
            yield from self._of_job(call)
        elif operation in _OF_BUCKET:
            yield Request(_OF_BUCKET[operation], f"arn:aws:s3:::{resource}")
        elif operation == "s3:DeleteObjects":
            yield Request("s3:DeleteObject", f"{self._root}/{_MARKER}")
        elif operation in _TO_S3:
            yield from self._of_object(call)
        elif operation in _LOGS:
            group, _, stream = resource.partition(":")
            assert group, call
            yield Request(
                operation, f"arn:aws:logs:{self._region}:{self._account}:log-group:{group}:log-stream:{stream}"
            )
        elif operation == "ecr:BatchGetImage":
            registry, _, repository = resource.partition(":")
            yield Request(operation, f"arn:aws:ecr:{self._region}:{registry}:repository/{repository}")
        elif operation in _RESOURCES:
            arn = _RESOURCES[operation].format(region=self._region, account=self._account, resource=resource)
            yield Request(operation if ":" in operation else f"sagemaker:{operation}", arn)
        else:
            assert operation in _FREE, f"which IAM action is {call}?"

    def _of_job(self, call: Call) -> Iterator[Request]:
        assert call.resource, call
        arn = f"arn:aws:sagemaker:{self._region}:{self._account}:training-job/{call.resource}"
        yield Request(f"sagemaker:{call.operation}", arn)
        if call.operation == "CreateTrainingJob" and call.answer == "200":
            yield from self._of_new_job(call.resource, arn)

    def _of_new_job(self, name: str, arn: str) -> Iterator[Request]:
        """Source: *Amazon SageMaker API permissions*: a role is passed, tags are added, a volume's key is granted to SageMaker."""
        job: dict[str, Any] = self._sagemaker.describe_training_job(TrainingJobName=name)
        yield Request("iam:PassRole", job["RoleArn"], {"iam:PassedToService": "sagemaker.amazonaws.com"})
        if self._sagemaker.list_tags(ResourceArn=arn)["Tags"]:
            yield Request("sagemaker:AddTags", arn)
        if key := job["ResourceConfig"].get("VolumeKmsKeyId"):
            yield Request("kms:CreateGrant", key, {"kms:ViaService": f"sagemaker.{self._region}.amazonaws.com"})

    def _of_object(self, call: Call) -> Iterator[Request]:
        """
        Source: *Actions, resources, and condition keys for Amazon S3*; *Protecting data with SSE-KMS*.

        S3 answers 404 for an object only to those who may list its bucket, otherwise 403; parts of an upload are decrypted to be put together.
        """
        bucket, _, key = call.resource.partition("/")
        yield Request(_TO_S3[call.operation], f"arn:aws:s3:::{call.resource}")
        if call.answer.startswith("404"):
            yield Request("s3:ListBucket", f"arn:aws:s3:::{bucket}")
        kms_key = self._kms_key(bucket, key)
        if kms_key is None:
            return
        via = {"kms:ViaService": f"s3.{self._region}.amazonaws.com"}
        if _TO_S3[call.operation] == "s3:PutObject":
            yield Request("kms:GenerateDataKey", kms_key, via)
        if call.operation in ("s3:GetObject", "s3:MultipartUpload"):
            yield Request("kms:Decrypt", kms_key, via)

    def _kms_key(self, bucket: str, key: str) -> str | None:
        try:
            found: str | None = self._s3.head_object(Bucket=bucket, Key=key).get("SSEKMSKeyId")
        except ClientError:
            return None
        return found


def actions(calls: Iterable[Call]) -> set[str]:
    """Return the IAM actions that recorded calls themselves are, without what AWS checks along with them."""
    names = _OF_BUCKET | _TO_S3
    operations = {call.operation for call in calls} - set(_FREE)
    return {names.get(each) or (each if ":" in each else f"sagemaker:{each}") for each in operations}


def documented_for_doctor(*, region: str, kms_key: str) -> set[Request]:
    """Return what S3 asks of KMS for the doctor's object, which is gone when its calls are read; source: *Protecting data with SSE-KMS*."""
    via = {"kms:ViaService": f"s3.{region}.amazonaws.com"}
    return {Request(f"kms:{action}", kms_key, via) for action in ("GenerateDataKey", "Decrypt")}


def documented_for_job(*, region: str, account: str, kms_key: str) -> set[Request]:
    """
    Return what SageMaker does with a job's role on AWS and the embedded server does not.

    Source: SageMaker developer guide, *How to use SageMaker execution roles*, *CreateTrainingJob API*: with a private image, metrics, KMS keys, a VPC; botocore,
    ``OutputDataConfig.KmsKeyId``. How a grant is asked for: AWS's managed policies for roles that SageMaker assumes allow it via SageMaker.
    """
    image = f"arn:aws:ecr:{region}:885854791233:repository/sagemaker-distribution-prod"
    logs = f"arn:aws:logs:{region}:{account}:log-group:/aws/sagemaker/TrainingJobs:log-stream:"
    network = ("CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface")
    network += ("DeleteNetworkInterfacePermission", "DescribeNetworkInterfaces", "DescribeVpcs")
    network += ("DescribeDhcpOptions", "DescribeSubnets", "DescribeSecurityGroups")
    return {
        Request("ecr:GetAuthorizationToken"),
        *(Request(f"ecr:{action}", image) for action in ("BatchCheckLayerAvailability", "GetDownloadUrlForLayer")),
        Request("ecr:BatchGetImage", image),
        Request("cloudwatch:PutMetricData"),
        Request("logs:DescribeLogStreams", logs),
        *(Request(f"kms:{action}", kms_key) for action in ("Decrypt", "Encrypt", "GenerateDataKey")),
        Request("kms:CreateGrant", kms_key, {"kms:ViaService": f"sagemaker.{region}.amazonaws.com"}),
        *(Request(f"ec2:{action}") for action in network),
    }
