"""
What AWS must allow: one table of statements, and the policies that are made of it.

Called by ``commands/iam_policy.py`` and ``commands/doctor/``; pure. The README's policies are printed from here, and tests hold the table against the calls that are made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from airflow_nbjobs.core.job.naming import LOG_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.job.permission_scope import Scope

# The identity of workers and triggerers; the role of the jobs; the identity of an API server of its own; who runs ``nbjobs doctor``; who runs ``nbjobs prices``.
Kind = Literal["caller", "job", "ui", "doctor", "prices"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Statement(msgspec.Struct, frozen=True):
    """
    One row of the table.

    :param resource: with ``{names}`` of ``Scope.names``, or ``{kms_keys}``.
    :param condition: operator -> key -> value, with the same names.
    :param only_with: the option without which it is left out.
    :param unneeded: where somebody may strike it out.
    """

    kind: Kind
    sid: str
    actions: tuple[str, ...]
    resource: str
    condition: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    only_with: Literal["kms_keys", "vpc"] | None = None
    unneeded: str = ""


_JOBS = "arn:{partition}:sagemaker:{region}:{account}:training-job/*"
_ROLE = "arn:{partition}:iam::{account}:role/{role}"
_FILES = "arn:{partition}:s3:::{bucket}/{prefix}*"
_BUCKET = "arn:{partition}:s3:::{bucket}"
# CloudWatch names a group as '…:log-group:NAME:log-stream:' to those who ask about the group, and a stream behind it.
_LOGS = f"arn:{{partition}}:logs:{{region}}:{{account}}:log-group:{LOG_GROUP}:*"
_KEYS = "{kms_keys}"
_FOR_S3 = {"StringEquals": {"kms:ViaService": "s3.{region}.{suffix}"}}
# Source: AWS's managed policies for roles that SageMaker assumes, such as SageMakerStudioProjectRoleMachineLearningPolicy: they allow kms:CreateGrant via SageMaker.
_FOR_SAGEMAKER = {"StringEquals": {"kms:ViaService": "sagemaker.{region}.{suffix}"}}
_IMAGES = "arn:{partition}:ecr:{region}:*:repository/*"  # AWS's own images lie in accounts of AWS
_DISTRIBUTION_ACCOUNT = "arn:{partition}:ssm:{region}::parameter/aws/service/sagemaker-distribution/ecr-account-id"

# The bucket is listed without a condition on the prefix: S3 says that an object is not there only to those who may list the bucket. A request for an object
# has no prefix, so a condition on one would turn every 'not there yet' into a denial.
TABLE = (
    Statement(
        "caller",
        "Jobs",
        (
            "sagemaker:CreateTrainingJob",
            "sagemaker:AddTags",
            "sagemaker:DescribeTrainingJob",
            "sagemaker:StopTrainingJob",
        ),
        _JOBS,
    ),
    Statement("caller", "Waiting", ("sagemaker:ListTrainingJobs",), "*"),
    Statement(
        "caller",
        "WarmPools",
        ("sagemaker:UpdateTrainingJob",),
        _JOBS,
        unneeded="no group of tasks keeps machines (keep_alive_period_in_seconds)",
    ),
    Statement(
        "caller",
        "Role",
        ("iam:PassRole",),
        _ROLE,
        {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
    ),
    Statement("caller", "RoleByName", ("iam:GetRole",), _ROLE, unneeded="role is given as an ARN"),
    Statement("caller", "Files", ("s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"), _FILES),
    Statement("caller", "Bucket", ("s3:ListBucket",), _BUCKET),
    Statement("caller", "Logs", ("logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"), _LOGS),
    Statement(
        "caller",
        "ImageByShortName",
        ("ssm:GetParameter",),
        _DISTRIBUTION_ACCOUNT,
        unneeded="image_uri is a full URI",
    ),
    Statement("caller", "Machine", ("cloudwatch:GetMetricData",), "*", unneeded="machine_metrics is not on"),
    Statement("caller", "EncryptedFiles", ("kms:GenerateDataKey", "kms:Decrypt"), _KEYS, _FOR_S3, "kms_keys"),
    Statement(  # Source: SageMaker developer guide, *API permissions: actions, permissions and resources*.
        "caller",
        "EncryptedVolumes",
        ("kms:CreateGrant",),
        _KEYS,
        _FOR_SAGEMAKER,
        "kms_keys",
        "there is no volume_kms_key, or the role of the jobs may do this itself",
    ),
    Statement("ui", "Jobs", ("sagemaker:DescribeTrainingJob",), _JOBS),
    Statement("ui", "Files", ("s3:GetObject",), _FILES),
    Statement("ui", "Bucket", ("s3:ListBucket",), _BUCKET),
    Statement("ui", "Logs", ("logs:DescribeLogStreams", "logs:GetLogEvents"), _LOGS),
    Statement(
        "ui",
        "Machine",
        ("cloudwatch:GetMetricData",),
        "*",
        unneeded="nobody is to see what jobs use of their machines",
    ),
    Statement("ui", "EncryptedFiles", ("kms:Decrypt",), _KEYS, _FOR_S3, "kms_keys"),
    # Source: botocore, CreateTrainingJob, "permissions for all of these tasks" of a role, and the developer guide's page on execution roles.
    Statement("job", "Files", ("s3:GetObject", "s3:PutObject"), _FILES),
    Statement("job", "Bucket", ("s3:ListBucket",), _BUCKET),
    Statement(
        "job",
        "Logs",
        ("logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"),
        _LOGS,
    ),
    Statement("job", "Metrics", ("cloudwatch:PutMetricData",), "*"),
    Statement(
        "job",
        "Image",
        ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        _IMAGES,
    ),
    Statement("job", "ImageLogin", ("ecr:GetAuthorizationToken",), "*"),
    Statement("job", "EncryptedFiles", ("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"), _KEYS, {}, "kms_keys"),
    Statement(
        "job", "EncryptedVolumes", ("kms:CreateGrant",), _KEYS, _FOR_SAGEMAKER, "kms_keys", "there is no volume_kms_key"
    ),
    Statement(  # Source: SageMaker developer guide, *How to use SageMaker execution roles*, *CreateTrainingJob API*, with a private VPC.
        "job",
        "Network",
        (
            "ec2:CreateNetworkInterface",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteNetworkInterfacePermission",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVpcs",
        ),
        "*",
        only_with="vpc",
    ),
    Statement("doctor", "Jobs", ("sagemaker:DescribeTrainingJob",), _JOBS),
    Statement("doctor", "Waiting", ("sagemaker:ListTrainingJobs",), "*"),
    # The identity that the doctor runs as may be any of the account, and its own role is among those that are looked at.
    Statement("doctor", "Roles", ("iam:GetRole", "iam:SimulatePrincipalPolicy"), "arn:{partition}:iam::{account}:*"),
    Statement(
        "doctor",
        "Marker",
        ("s3:PutObject", "s3:GetObject", "s3:DeleteObject"),
        "arn:{partition}:s3:::{bucket}/{prefix}nbjobs-doctor/*",
    ),
    Statement("doctor", "Bucket", ("s3:ListBucket", "s3:GetEncryptionConfiguration"), _BUCKET),
    Statement("doctor", "Logs", ("logs:DescribeLogStreams", "logs:GetLogEvents", "logs:FilterLogEvents"), _LOGS),
    Statement("doctor", "Image", ("ecr:BatchGetImage",), _IMAGES),
    Statement(
        "doctor", "ImageByShortName", ("ssm:GetParameter",), _DISTRIBUTION_ACCOUNT, unneeded="image_uri is a full URI"
    ),
    Statement("doctor", "Quota", ("servicequotas:ListServiceQuotas",), "*"),
    Statement("doctor", "EncryptedFiles", ("kms:GenerateDataKey", "kms:Decrypt"), _KEYS, _FOR_S3, "kms_keys"),
    Statement("doctor", "Keys", ("kms:DescribeKey",), _KEYS, only_with="kms_keys"),
    Statement("prices", "PriceList", ("pricing:GetProducts",), "*"),
)


def statements(kind: Kind, scope: Scope) -> list[Statement]:
    """Return the rows of the table that a policy is made of."""
    return [row for row in TABLE if row.kind == kind and (row.only_with is None or getattr(scope, row.only_with))]


def statement_with(action: str, kind: Kind, scope: Scope) -> dict[str, Any] | None:
    """Return the statement of a policy that allows an action, None if the policy has none."""
    return next((document(row, scope) for row in statements(kind, scope) if action in row.actions), None)


def build_policy(kind: Kind, scope: Scope) -> dict[str, Any]:
    """Return the least that one identity must be allowed, as an IAM policy document."""
    return {"Version": "2012-10-17", "Statement": [document(row, scope) for row in statements(kind, scope)]}


def document(row: Statement, scope: Scope) -> dict[str, Any]:
    """Return one row of the table as a statement of an IAM policy."""
    names = scope.names()
    keys = list(scope.kms_keys)
    resource: Any = (keys[0] if len(keys) == 1 else keys) if row.resource == _KEYS else row.resource.format_map(names)
    condition = {
        operator: {key: value.format_map(names) for key, value in pairs.items()}
        for operator, pairs in row.condition.items()
    }
    written = {"Sid": row.sid, "Effect": "Allow", "Action": list(row.actions), "Resource": resource}
    return written | ({"Condition": condition} if condition else {})


def policy_text(policy: Mapping[str, Any]) -> str:
    """Return a policy as JSON, a member of a statement a line."""
    written = []
    for statement in policy["Statement"]:
        start = ", ".join(f"{json.dumps(key)}: {json.dumps(statement[key])}" for key in ("Sid", "Effect"))
        rest = [f"{json.dumps(key)}: {json.dumps(statement[key])}" for key in list(statement)[2:]]
        written.append("  {" + ",\n   ".join((start, *rest)) + "}")
    return f'{{"Version": {json.dumps(policy["Version"])}, "Statement": [\n' + ",\n".join(written) + "\n]}"
