"""
A spec as a CreateTrainingJob request, in the notebook-job protocol; pure apart from reading botocore's own model.

Called by ``prepare.py``. The fields, their order of precedence and the constants are ``NotebookJobStep``'s (sagemaker 2.257,
``workflow/notebook_job_step.py``), with the driver's own rules (``sagemaker-headless-execution-driver`` 0.0.13).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.arguments import tag_text, tags
from airflow_nbjobs.core.job.formats import formats_variable
from airflow_nbjobs.core.job.init_script import CHECKPOINT_FOLDER
from airflow_nbjobs.core.job.reference import LIVE_VARIABLE
from airflow_nbjobs.core.job.spec import RESERVED_VARIABLE_PREFIX, RESERVED_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.spec import NotebookJobSpec

CHANNEL = "sagemaker_headless_execution_pipelinestep"
_ENTRYPOINT = ["amazon_sagemaker_scheduler"]
# The image lacks the driver: install it, then become it (AWS's own integration tests do the same).
_INSTALLING_ENTRYPOINT = ["/bin/bash"]
_INSTALLING_ARGUMENTS = [
    "-l",
    "-c",
    "pip install sagemaker-headless-execution-driver==0.0.13 && exec amazon_sagemaker_scheduler",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedNames:
    """
    What the driver is told about the staged input, and the strings it injects.

    :param notebook: its name in the folder, as that of the init script.
    :param folder: of the channel's folder, in which both lie; empty: that folder itself.
    """

    notebook: str
    folder: str = ""
    initialization_script: str | None = None
    hyperparameters: Mapping[str, str] = field(default_factory=dict)


def build_create_training_job(
    spec: NotebookJobSpec,
    *,
    location: JobLocation,
    staged: StagedNames,
    owner: str,
    run_variables: Mapping[str, str],
    run_tags: Mapping[str, str],
    displayed_name: str,
    instance_types: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Return the keyword arguments of one CreateTrainingJob call.

    :param instance_types: one, or several in order of preference; none: the spec's first.
    :param owner: ``RunKey.owner()``; travels in the environment, so that a later try knows the job as its own.
    :param run_variables: ``NBJOBS_*`` variables that tell the notebook where it runs.
    :param run_tags: ``airflow:*`` tags; a user's tag of the same key wins over these and over the system's.
    :param displayed_name: what Studio shows as the job's name.
    """
    request: dict[str, Any] = {
        "TrainingJobName": location.job_name,
        "RoleArn": spec.role,
        "AlgorithmSpecification": _algorithm(spec),
        "InputDataConfig": [
            {
                "ChannelName": CHANNEL,
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": location.input_uri,
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": location.root} | _given(KmsKeyId=spec.s3_kms_key),
        "ResourceConfig": _instances(instance_types or spec.instance_type[:1])
        | {"InstanceCount": 1, "VolumeSizeInGB": spec.volume_size}
        | _given(VolumeKmsKeyId=spec.volume_kms_key, KeepAlivePeriodInSeconds=spec.keep_alive_period_in_seconds),
        "StoppingCondition": {"MaxRuntimeInSeconds": spec.max_runtime_in_seconds}
        | _given(MaxWaitTimeInSeconds=spec.max_wait_time_in_seconds),
        "EnableInterContainerTrafficEncryption": spec.encrypt_inter_container_traffic,
        "Environment": _environment(spec, location, staged, owner, run_variables),
        "Tags": [
            {"Key": key, "Value": tag_text(value)}
            for key, value in _tags(spec, staged, run_tags, displayed_name).items()
        ],
    }
    if spec.max_retry_attempts:
        request["RetryStrategy"] = {"MaximumRetryAttempts": spec.max_retry_attempts}
    if spec.subnets:
        request["VpcConfig"] = {"Subnets": list(spec.subnets), "SecurityGroupIds": list(spec.security_group_ids)}
    if staged.hyperparameters:
        request["HyperParameters"] = dict(staged.hyperparameters)
    if spec.enable_managed_spot_training:
        request["EnableManagedSpotTraining"] = True
    if spec.enable_network_isolation:
        request["EnableNetworkIsolation"] = True
    if spec.live_notebook:
        request["CheckpointConfig"] = {"S3Uri": location.live_prefix_uri, "LocalPath": CHECKPOINT_FOLDER}
    return merge_extra(request, spec.extra_request)


def _instances(instance_types: Sequence[str]) -> dict[str, Any]:
    if len(instance_types) == 1:
        return {"InstanceType": instance_types[0]}
    return {"InstancePreferences": [{"InstanceType": instance_type} for instance_type in instance_types]}


def _algorithm(spec: NotebookJobSpec) -> dict[str, Any]:
    algorithm: dict[str, Any] = {"TrainingImage": spec.image_uri, "TrainingInputMode": "File"}
    if spec.install_driver:
        return algorithm | {
            "ContainerEntrypoint": list(_INSTALLING_ENTRYPOINT),
            "ContainerArguments": list(_INSTALLING_ARGUMENTS),
        }
    return algorithm | {"ContainerEntrypoint": list(_ENTRYPOINT)}


def _environment(
    spec: NotebookJobSpec, location: JobLocation, staged: StagedNames, owner: str, run_variables: Mapping[str, str]
) -> dict[str, str]:
    return (
        dict(spec.environment_variables)
        | {
            "AWS_DEFAULT_REGION": spec.region,
            "SM_JOB_DEF_VERSION": "1.0",
            "SM_ENV_NAME": "sagemaker-default-env",
            "SM_SKIP_EFS_SIMULATION": "true",
            # The driver and Studio look for the input by the notebook's name alone, in the archive's root.
            "SM_EXECUTION_INPUT_PATH": "/".join(("/opt/ml/input/data", CHANNEL, *filter(None, (staged.folder,)))),
            "SM_KERNEL_NAME": spec.kernel_name,
            "SM_INPUT_NOTEBOOK_NAME": staged.notebook,
            "SM_OUTPUT_NOTEBOOK_NAME": location.executed_notebook_name,
        }
        | _given(SM_INIT_SCRIPT=staged.initialization_script, SM_OUTPUT_FORMATS=formats_variable(spec.output_formats))
        | dict(run_variables)
        | ({LIVE_VARIABLE: "1"} if spec.live_notebook else {})
        | {OWNER_VARIABLE: owner}
    )


def _tags(
    spec: NotebookJobSpec, staged: StagedNames, run_tags: Mapping[str, str], displayed_name: str
) -> dict[str, str]:
    system = {
        "sagemaker:name": displayed_name,
        "sagemaker:notebook-name": staged.notebook,
        "sagemaker:notebook-job-origin": "PIPELINE_STEP",
        "sagemaker:is-scheduling-notebook-job": "true",
        "sagemaker:is-studio-archived": "false",
    } | _given(
        **{
            "sagemaker:domain-arn": spec.studio_domain_arn,
            "sagemaker:user-profile-name": spec.studio_user_profile,
            "sagemaker:shared-space-name": spec.studio_space,
            # Unified Studio's own client, sagemaker_studio 1.0, finds executions by these three together.
            "sagemaker-notebook-execution": "TRUE" if spec.unified_studio_project_id else None,
            "AmazonDataZoneDomain": spec.unified_studio_domain_id,
            "AmazonDataZoneProject": spec.unified_studio_project_id,
        }
    )
    return system | dict(run_tags) | dict(spec.tags)


def rewritten_tags(request: Mapping[str, Any], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Say which tags do not hold what they should, since AWS takes other characters, or fewer of them."""
    sent = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    return tuple(
        f"tag {key!r} is {sent[key]!r} and not {value!r}: a tag holds at most 256 letters, digits, blanks and _ . : / = + - @"
        for key, value in wanted.items()
        if sent.get(key) == tag_text(value) != value
    )


def merge_extra(request: dict[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the request with ``extra_request`` merged in: mappings key by key, ``InputDataConfig`` and ``Tags`` by adding entries, all else by replacing.

    Does not check that the extra leaves alone what is ours: see ``extra_problems``.
    """
    merged = dict(request)
    for key, value in extra.items():
        present = merged.get(key)
        if key in ("InputDataConfig", "Tags") and isinstance(present, list) and isinstance(value, list):
            merged[key] = _added(present, value)
        elif isinstance(present, dict) and isinstance(value, dict):
            merged[key] = merge_extra(present, value)
        else:
            merged[key] = value
    return merged


def _added(present: list[Any], more: list[Any]) -> list[Any]:
    """Add entries; of two tags with one key the later counts, since SageMaker refuses duplicates."""
    more_keys = {entry.get("Key") for entry in more if isinstance(entry, dict) and "Key" in entry}
    return [entry for entry in present if entry.get("Key") not in more_keys or "Key" not in entry] + more


def extra_problems(extra: Mapping[str, Any]) -> list[str]:
    """Return what ``extra_request`` may not set, since the job could then not be found, adopted or read."""
    problems: list[str] = []
    if "TrainingJobName" in extra:
        problems.append(
            "extra_request: TrainingJobName is derived from the run, so that a retry finds its job; use notebook_job_name for a readable prefix"
        )
    output = extra.get("OutputDataConfig")
    if isinstance(output, dict) and "S3OutputPath" in output:
        problems.append("extra_request: OutputDataConfig.S3OutputPath follows from s3_root_uri; set that instead")
    if isinstance(output, dict) and output.get("CompressionType", "GZIP") != "GZIP":
        problems.append(
            "extra_request: OutputDataConfig.CompressionType must stay GZIP: the executed notebook and the outputs are read from output.tar.gz"
        )
    channels = extra.get("InputDataConfig", [])
    if not isinstance(channels, list):
        problems.append(
            "extra_request: InputDataConfig must be a list of channels, which are added to the notebook's own"
        )
    elif any(isinstance(channel, dict) and channel.get("ChannelName") == CHANNEL for channel in channels):
        problems.append(
            f"extra_request: InputDataConfig: the channel '{CHANNEL}' holds the staged notebook; give another ChannelName"
        )
    problems += _environment_problems(extra.get("Environment"))
    if "Tags" in extra:
        try:
            tags(extra["Tags"])
        except ValueError as error:
            problems.append(f"extra_request: Tags: {error}")
    return problems


def _environment_problems(environment: object) -> list[str]:
    if not isinstance(environment, dict):
        return []
    problems: list[str] = []
    reserved = sorted(name for name in environment if str(name).startswith(RESERVED_VARIABLE_PREFIX))
    if reserved:
        problems.append(
            f"extra_request: Environment: {', '.join(reserved)} tell whose job it is; names beginning with NBJOBS_ are the operator's"
        )
    for_driver = sorted(name for name in environment if name in RESERVED_VARIABLES)
    if for_driver:
        problems.append(f"extra_request: Environment: {', '.join(for_driver)} are set by the operator for the driver")
    return problems


def request_problems(request: Mapping[str, Any], shape: Any) -> list[str]:
    """
    Return everything in a finished request that SageMaker would refuse by its own model.

    botocore's validator checks names, types and minimums; the maxima and patterns that its model also holds are checked here. Enums are not:
    they grow, and the service knows best.

    :param shape: botocore's input shape of CreateTrainingJob.
    """
    from botocore import __version__
    from botocore.validate import ParamValidator

    newer = f" by the installed botocore {__version__} (if AWS allows it, upgrade boto3)"
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        lines = report.generate_report().splitlines()
        return [f"CreateTrainingJob request: {line}{newer if 'valid min ' in line else ''}" for line in lines]
    return [f"CreateTrainingJob request: {text}{newer}" for text in _limit_problems(request, shape, "")]


def _limit_problems(value: Any, shape: Any, path: str) -> list[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            text
            for key, member in value.items()
            for text in _limit_problems(member, shape.members[key], f"{path}.{key}".lstrip("."))
        ]
    if shape.type_name == "list":
        return _count_problems(value, shape, path) + [
            text
            for index, member in enumerate(value)
            for text in _limit_problems(member, shape.member, f"{path}[{index}]")
        ]
    if shape.type_name == "map":
        return _count_problems(value, shape, path) + [
            text
            for key, member in value.items()
            for text in (
                *_limit_problems(key, shape.key, f"{path}: the name {key[:80]!r}"),
                *_limit_problems(member, shape.value, f"{path}[{key!r}]"),
            )
        ]
    most, pattern = shape.metadata.get("max"), shape.metadata.get("pattern")
    if isinstance(value, str):
        if most is not None and len(value) > most:
            return [f"{path} has {len(value)} characters; at most {most} are allowed"]
        # \p{…} classes are Java's; tags, the only fields that have them, are checked with their argument.
        if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value):
            return [f"{path}: {value!r} does not match {pattern}"]
    elif isinstance(value, int) and not isinstance(value, bool) and most is not None and value > most:
        return [f"{path} is {value}; at most {most} is allowed"]
    return []


def _count_problems(value: Collection[Any], shape: Any, path: str) -> list[str]:
    most = shape.metadata.get("max")
    if most is None or len(value) <= most:
        return []
    return [f"{path} has {len(value)} entries; at most {most} are allowed, the operator's own included"]


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
