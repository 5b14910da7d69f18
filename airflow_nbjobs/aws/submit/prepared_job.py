"""
A job that passed every check, and its CreateTrainingJob request in the notebook-job protocol.

Made by ``prepare.py``, submitted by ``job.py``; pure. The request's fields, their order of precedence and the constants are ``NotebookJobStep``'s (sagemaker 2.257,
``workflow/notebook_job_step.py``), with the driver's own rules (``sagemaker-headless-execution-driver`` 0.0.13).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.aws.submit.extra import CHANNEL, merge_extra
from airflow_nbjobs.core.job import instances
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.aws_parsers import tag_text
from airflow_nbjobs.core.job.formats import formats_variable
from airflow_nbjobs.core.job.init_script import CHECKPOINT_FOLDER
from airflow_nbjobs.core.job.naming import JobLocation, RunKey, training_job_name
from airflow_nbjobs.core.job.variables import (
    INPUT_DIGEST_VARIABLE,
    INTERVAL_VARIABLE,
    LIVE_VARIABLE,
    NOTEBOOK_DIGEST_VARIABLE,
    OUTPUT_NOTEBOOK_VARIABLE,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.aws.submit.sources import StagedFile
    from airflow_nbjobs.core.job.spec import NotebookJobSpec
    from airflow_nbjobs.core.values.outputs import DeclaredOutputs

_ENTRYPOINT = {"ContainerEntrypoint": ["amazon_sagemaker_scheduler"]}
# The image lacks the driver: install it, then become it (AWS's own integration tests do the same).
_INSTALL = "pip install sagemaker-headless-execution-driver==0.0.13 && exec amazon_sagemaker_scheduler"
_INSTALLING_ENTRYPOINT = {"ContainerEntrypoint": ["/bin/bash"], "ContainerArguments": ["-l", "-c", _INSTALL]}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """Whose job this is."""

    label: str  # names the task in messages, ``sentiment_pipeline.training``
    readable: str  # prefix of the training-job name where ``notebook_job_name`` gives none
    key: RunKey
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)  # ``NBJOBS_*`` variables for the notebook
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)  # ``airflow:*`` tags

    @property
    def has_interval(self) -> bool:
        return INTERVAL_VARIABLE in self.variables


class PreparedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job that passed every check; submitting it needs a name and nothing else."""

    run: Run
    spec: NotebookJobSpec
    staged_notebook: str  # the notebook's name in ``staged_folder``, as ``initialization_script`` is its script's
    staged_folder: str = ""  # of the channel's folder; empty: that folder itself
    initialization_script: str | None = None
    hyperparameters: Mapping[str, str] = msgspec.field(
        default_factory=dict
    )  # the texts that the driver injects as parameters
    files: tuple[StagedFile, ...]
    declared: DeclaredOutputs
    notebook_origin: str
    notebook_sha256: str
    input_sha256: str
    added_cells: tuple[int, ...] = ()  # ``core.notebook.progress.added_cells`` of the staged notebook
    # ``volume_kms_key`` is an organisation's, not the task's: it is left out on instances that take none
    is_volume_key_default: bool = False
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def location(self, attempt: int) -> JobLocation:
        readable = self.spec.notebook_job_name or self.run.readable
        return JobLocation(self.spec.s3_root_uri, training_job_name(readable, self.run.key.with_attempt(attempt)))

    @property
    def displayed_name(self) -> str:
        """What Studio shows as the job's name; of a job that no task submits, its notebook."""
        return self.spec.displayed_name or (self.run.key.displayed_name() if self.run.key.dag_id else self.run.label)

    @property
    def types(self) -> tuple[str, ...]:
        """The instance types that may be asked for in turn."""
        return instances.asked_types(self.spec.extra_resources, self.spec.instance_type)

    @property
    def may_state_preferences(self) -> bool:
        """Say whether SageMaker may choose among the types: with a key that some of them do not take, each needs a request of its own."""
        is_mixed = 0 < len(self._keyless(self.types)) < len(self.types)
        return self.spec.may_state_preferences and not (is_mixed and self.is_volume_key_default)

    def _keyless(self, types: Sequence[str]) -> list[str]:
        asked = instances.asked_types(self.spec.extra_resources, types)
        return [each for each in asked if self.spec.volume_kms_key and instances.has_local_disk(each)]

    def key_notes(self) -> list[str]:
        """Say where an organisation's key plays no part."""
        left_out = self._keyless(self.types) if self.is_volume_key_default else []
        why = "SageMaker takes none where the disk is the instance's own, which its hardware encrypts"
        return [f"volume_kms_key, not the task's own, is left out on {', '.join(left_out)}: {why}"] if left_out else []

    def owner(self, attempt: int) -> str:
        return self.run.key.with_attempt(attempt).owner()

    def request(self, attempt: int, *, instance_types: Sequence[str] = ()) -> dict[str, Any]:
        """
        Return the CreateTrainingJob request of the k-th job of this generation.

        :param instance_types: SageMaker takes the first that it has; none: the first of the spec's alone.
        """
        spec, location = self.spec, self.location(attempt)
        wanted = instance_types or spec.instance_type[:1]
        takes_key = not (self.is_volume_key_default and self._keyless(wanted))
        source = {"S3DataType": "S3Prefix", "S3Uri": location.input_uri, "S3DataDistributionType": "FullyReplicated"}
        request: dict[str, Any] = {
            "TrainingJobName": location.job_name,
            "RoleArn": spec.role,
            "AlgorithmSpecification": {"TrainingImage": spec.image_uri, "TrainingInputMode": "File"}
            | copy.deepcopy(_INSTALLING_ENTRYPOINT if spec.install_driver else _ENTRYPOINT),
            "InputDataConfig": [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": location.root} | _present(KmsKeyId=spec.s3_kms_key),
            "ResourceConfig": _instances(wanted)
            | {"InstanceCount": 1, "VolumeSizeInGB": spec.volume_size}
            | _present(
                VolumeKmsKeyId=spec.volume_kms_key if takes_key else None,
                KeepAlivePeriodInSeconds=spec.keep_alive_period_in_seconds,
            ),
            "StoppingCondition": {"MaxRuntimeInSeconds": spec.max_runtime_in_seconds}
            | _present(MaxWaitTimeInSeconds=spec.max_wait_time_in_seconds),
            "EnableInterContainerTrafficEncryption": spec.encrypt_inter_container_traffic,
            "Environment": self._environment(location, self.owner(attempt)),
            "Tags": [{"Key": key, "Value": tag_text(value)} for key, value in self.tags.items()],
        }
        if spec.max_retry_attempts:
            request["RetryStrategy"] = {"MaximumRetryAttempts": spec.max_retry_attempts}
        if spec.subnets:
            request["VpcConfig"] = {"Subnets": list(spec.subnets), "SecurityGroupIds": list(spec.security_group_ids)}
        if self.hyperparameters:
            request["HyperParameters"] = dict(self.hyperparameters)
        if spec.enable_managed_spot_training:
            request["EnableManagedSpotTraining"] = True
        if spec.enable_network_isolation:
            request["EnableNetworkIsolation"] = True
        if spec.live_notebook:
            request["CheckpointConfig"] = {"S3Uri": location.live_prefix_uri, "LocalPath": CHECKPOINT_FOLDER}
        return merge_extra(request, spec.extra_request)

    def _environment(self, location: JobLocation, owner: str) -> dict[str, str]:
        spec = self.spec
        return (
            dict(spec.environment_variables)
            | {
                "AWS_DEFAULT_REGION": spec.region,
                "SM_JOB_DEF_VERSION": "1.0",
                "SM_ENV_NAME": "sagemaker-default-env",
                "SM_SKIP_EFS_SIMULATION": "true",
                # The driver and Studio look for the input by the notebook's name alone, in the archive's root.
                "SM_EXECUTION_INPUT_PATH": f"/opt/ml/input/data/{CHANNEL}/{self.staged_folder}".rstrip("/"),
                "SM_KERNEL_NAME": spec.kernel_name,
                "SM_INPUT_NOTEBOOK_NAME": self.staged_notebook,
                OUTPUT_NOTEBOOK_VARIABLE: location.executed_notebook_name,
            }
            | _present(
                SM_INIT_SCRIPT=self.initialization_script, SM_OUTPUT_FORMATS=formats_variable(spec.output_formats)
            )
            | dict(self.run.variables)
            | {NOTEBOOK_DIGEST_VARIABLE: self.notebook_sha256, INPUT_DIGEST_VARIABLE: self.input_sha256}
            | ({LIVE_VARIABLE: "1"} if spec.live_notebook else {})
            | {OWNER_VARIABLE: owner}
        )

    @property
    def tags(self) -> dict[str, str]:
        """The tags as they should be; a user's tag of the same key wins over Airflow's and over the system's."""
        spec = self.spec
        studio = {
            "sagemaker:name": self.displayed_name,
            "sagemaker:notebook-name": self.staged_notebook,
            "sagemaker:notebook-job-origin": "PIPELINE_STEP",
            "sagemaker:is-scheduling-notebook-job": "true",
            "sagemaker:is-studio-archived": "false",
            "sagemaker:domain-arn": spec.studio_domain_arn,
            "sagemaker:user-profile-name": spec.studio_user_profile,
            "sagemaker:shared-space-name": spec.studio_space,
            # Unified Studio's own client, sagemaker_studio 1.0, finds executions by these three together.
            "sagemaker-notebook-execution": "TRUE" if spec.unified_studio_project_id else None,
            "AmazonDataZoneDomain": spec.unified_studio_domain_id,
            "AmazonDataZoneProject": spec.unified_studio_project_id,
        }
        return _present(**studio) | dict(self.run.tags) | dict(spec.tags)


def _instances(instance_types: Sequence[str]) -> dict[str, Any]:
    if len(instance_types) == 1:
        return {"InstanceType": instance_types[0]}
    return {"InstancePreferences": [{"InstanceType": instance_type} for instance_type in instance_types]}


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
