"""
What CreateTrainingJob checks beyond the shapes, before it answers: fields against each other, the role, the inputs.

Called by ``api/operations.py``. Texts in the service's words where they are known (observed in public reports); ours say so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.platform.checkpoints import DEFAULT_FOLDER, is_checkpoint_folder
from airflow_nbjobs.local.platform.storage import has_objects, parse_s3_uri
from airflow_nbjobs.local.state.facts import NAMESPACE_WAYS
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts

_ACCELERATED = re.compile(r"^ml\.(p|g|trn)\d")
_LOCAL_DISK = re.compile(r"^ml\.(p4d|p4de|p5\w*|p6\w*|g4dn|g5|g6\w*|trn1n?|trn2)\.")  # NVMe instance storage


def check_features(request: Mapping[str, Any], *, way: str) -> None:
    """Refuse what cannot run here, rather than let it seem to work; the ServiceError names the field."""
    if request.get("EnableNetworkIsolation") and way not in NAMESPACE_WAYS:
        raise ValidationError("The embedded SageMaker has no namespaces here, and so no EnableNetworkIsolation.")
    for feature in _unsupported(request):
        raise ValidationError(f"The embedded SageMaker does not support {feature}.")


def _unsupported(request: Mapping[str, Any]) -> Iterator[str]:
    resources = request.get("ResourceConfig", {})
    algorithm = request.get("AlgorithmSpecification", {})
    yield from (name for name in ("ServerlessJobConfig", "MlflowConfig", "ModelPackageConfig") if name in request)
    yield from (
        f"ResourceConfig.{name}"
        for name in ("InstanceGroups", "InstancePlacementConfig", "TrainingPlanArn")
        if name in resources
    )
    if not is_checkpoint_folder(request.get("CheckpointConfig", {}).get("LocalPath", DEFAULT_FOLDER)):
        yield "a CheckpointConfig.LocalPath that is not a folder of its own in /opt/ml"
    if "AlgorithmName" in algorithm:
        yield "AlgorithmSpecification.AlgorithmName (built-in or Marketplace algorithms)"
    if resources.get("InstanceCount", 1) > 1:
        yield "more than one instance for a job"
    if request["OutputDataConfig"].get("CompressionType", "GZIP") != "GZIP":
        yield "OutputDataConfig.CompressionType NONE"
    for channel in request.get("InputDataConfig", ()):
        yield from _unsupported_in_channel(channel, algorithm.get("TrainingInputMode", "File"))


def _unsupported_in_channel(channel: Mapping[str, Any], default_mode: str) -> Iterator[str]:
    source = channel["DataSource"].get("S3DataSource")
    if source is None:
        yield f"the data source of channel {channel['ChannelName']!r}: only S3DataSource"
    elif source["S3DataType"] != "S3Prefix":
        yield f"S3DataType {source['S3DataType']}"
    if channel.get("InputMode", default_mode) == "Pipe":
        yield "the input mode Pipe"


def check_create(request: Mapping[str, Any], *, facts: ServerFacts, clients: ServiceClients) -> None:
    """Raise ServiceError for the first thing that the service finds at once in a request which is valid by the model."""
    for problem in _inconsistencies(request):
        raise ValidationError(problem)
    check_tags(request.get("Tags", ()))
    check_role(request["RoleArn"], clients.iam)
    for channel in request.get("InputDataConfig", ()):
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        if not has_objects(clients.s3, uri):
            raise ValidationError(
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket exists in the selected region '
                f'({facts.region}), that objects exist under that S3 prefix, and that the role "{request["RoleArn"]}" has "s3:ListBucket" permissions '
                f'on bucket "{parse_s3_uri(uri).bucket}".'
            )


def check_tags(tags: Sequence[Mapping[str, str]]) -> None:
    """Raise ServiceError for a key that comes twice and for one of AWS' own, though each tag is well formed."""
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) < len(keys):
        raise ValidationError("Duplicate tag key")
    for key in keys:
        if key.lower().startswith("aws:"):
            raise ValidationError(f"Tag keys must not start with the reserved prefix 'aws:': {key!r}")  # our words


def _inconsistencies(request: Mapping[str, Any]) -> Iterator[str]:
    resources = request.get("ResourceConfig", {})
    algorithm = request.get("AlgorithmSpecification", {})
    for place, value in (
        ("algorithmSpecification", request.get("AlgorithmSpecification")),
        ("algorithmSpecification.trainingImage", algorithm.get("TrainingImage")),
        ("resourceConfig", request.get("ResourceConfig")),
        ("resourceConfig.instanceType", resources.get("InstanceType") or resources.get("InstancePreferences")),
        ("resourceConfig.instanceCount", resources.get("InstanceCount")),
        ("stoppingCondition", request.get("StoppingCondition")),
    ):
        # Optional in the model since serverless jobs exist; every other job needs them.
        if value is None:
            yield f"1 validation error detected: Value null at '{place}' failed to satisfy constraint: Member must not be null"
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", ())]
    if len(set(channels)) < len(channels):
        yield f"Channel names must be unique: {', '.join(channels)}"  # our words
    if "InstancePreferences" in resources:
        yield from _preference_problems(request, resources)
    instance_type = resources.get("InstanceType", "")
    if "VolumeKmsKeyId" in resources and _LOCAL_DISK.match(instance_type):
        yield f"VolumeKmsKeyId cannot be used with {instance_type}, whose volume is encrypted by the instance itself"  # our words
    yield from _stopping_condition_problems(request, instance_type)


def _preference_problems(request: Mapping[str, Any], resources: Mapping[str, Any]) -> Iterator[str]:
    """Source: botocore's own documentation of ``InstancePreferences`` and its ``InstanceCount``; the words are ours."""
    types = [preference["InstanceType"] for preference in resources["InstancePreferences"]]
    if "InstanceType" in resources:
        yield "InstancePreferences and InstanceType are mutually exclusive"
    if request.get("EnableManagedSpotTraining"):
        yield "InstancePreferences and EnableManagedSpotTraining are mutually exclusive"
    if len(set(types)) < len(types):
        yield f"An instance type can appear only once in InstancePreferences: {', '.join(types)}"
    if any("InstanceCount" in preference for preference in resources["InstancePreferences"]):
        yield "InstanceCount is given for the job and for its InstancePreferences"


def _stopping_condition_problems(request: Mapping[str, Any], instance_type: str) -> Iterator[str]:
    condition = request.get("StoppingCondition", {})
    if "MaxWaitTimeInSeconds" in condition:
        if not request.get("EnableManagedSpotTraining"):
            yield "Invalid MaxWaitTimeInSeconds. It is only supported when EnableManagedSpotTraining is set to true"
        if condition["MaxWaitTimeInSeconds"] < condition.get("MaxRuntimeInSeconds", 0):
            yield "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
    elif request.get("EnableManagedSpotTraining"):
        yield "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
    if "MaxPendingTimeInSeconds" in condition and not _ACCELERATED.match(instance_type):
        yield f"MaxPendingTimeInSeconds is only supported for accelerated instance types, not for {instance_type}"  # our words
    if request.get("EnableManagedSpotTraining") and request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds"):
        yield "KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is set to true"  # our words


def check_role(role_arn: str, iam: Any) -> None:
    """Raise ServiceError unless IAM has the role and it trusts SageMaker. What its policies allow is not checked here."""
    try:
        role = iam.get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    except iam.exceptions.NoSuchEntityException:
        role = {}
    trusts = "sagemaker.amazonaws.com" in str(role.get("AssumeRolePolicyDocument", ""))
    if role.get("Arn") != role_arn or not trusts:
        raise ValidationError(
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal 'sagemaker.amazonaws.com' to assume the role."
        )
