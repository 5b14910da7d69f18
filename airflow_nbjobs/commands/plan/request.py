"""
The CreateTrainingJob request of a plan, with ``<…>`` wherever only a run or AWS can tell.

Called by ``tasks.py``; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.naming import name_digest
from airflow_nbjobs.core.job.variables import INPUT_DIGEST_VARIABLE
from airflow_nbjobs.task.masking import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.aws.submit.prepared_job import PreparedJob

# Where each argument stands in the request.
_PLACES = {
    "image_uri": ("AlgorithmSpecification", "TrainingImage"),
    "role": ("RoleArn",),
    "s3_kms_key": ("OutputDataConfig", "KmsKeyId"),
    "instance_type": ("ResourceConfig", "InstanceType"),
    "volume_size": ("ResourceConfig", "VolumeSizeInGB"),
    "volume_kms_key": ("ResourceConfig", "VolumeKmsKeyId"),
    "keep_alive_period_in_seconds": ("ResourceConfig", "KeepAlivePeriodInSeconds"),
    "max_runtime_in_seconds": ("StoppingCondition", "MaxRuntimeInSeconds"),
    "max_wait_time_in_seconds": ("StoppingCondition", "MaxWaitTimeInSeconds"),
    "encrypt_inter_container_traffic": ("EnableInterContainerTrafficEncryption",),
    "enable_managed_spot_training": ("EnableManagedSpotTraining",),
    "enable_network_isolation": ("EnableNetworkIsolation",),
    "max_retry_attempts": ("RetryStrategy", "MaximumRetryAttempts"),
    "subnets": ("VpcConfig", "Subnets"),
    "security_group_ids": ("VpcConfig", "SecurityGroupIds"),
    "kernel_name": ("Environment", "SM_KERNEL_NAME"),
    "initialization_script": ("Environment", "SM_INIT_SCRIPT"),
    "output_formats": ("Environment", "SM_OUTPUT_FORMATS"),
    "region_name": ("Environment", "AWS_DEFAULT_REGION"),
    "environment_variables": ("Environment",),
    "tags": ("Tags",),
    "parameters": ("HyperParameters",),
}


def shown_request(
    job: PreparedJob,
    *,
    not_known: Mapping[str, str],
    texts: Mapping[str, str],
    parameters: Mapping[str, str],
) -> dict[str, Any]:
    """
    Return the request of the first job of a try, without what Airflow's masker knows to be secret.

    :param not_known: arguments, and what they are made of.
    :param texts: what stands for something, and for what.
    :param parameters: those of the notebook whose values are not known, and what they are made of.
    """
    request = masked(job.request(0))
    owner = job.owner(0)
    digest = name_digest(job.run.key.with_attempt(0))
    replacing = {owner: "<identity of the run>", digest: "<hash of the run>"}
    replacing |= {text: f"<{of}>" for text, of in texts.items()}
    shown: dict[str, Any] = _replaced(request, replacing)
    environment = shown["Environment"]
    if parameters:
        shown["HyperParameters"] = {**shown.get("HyperParameters", {})} | {
            name: f"<{of}>" for name, of in parameters.items()
        }
    if parameters or not_known.keys() & {"parameters", "additional_dependencies", "initialization_script"}:
        environment[INPUT_DIGEST_VARIABLE] = "<digest of the input>"
    for name, of in not_known.items():
        if name in _PLACES:
            _put(shown, _PLACES[name], f"<{of}>")
    return shown


def _put(request: dict[str, Any], place: tuple[str, ...], text: str) -> None:
    *outer, last = place
    for name in outer:
        request = request.setdefault(name, {})
    present = request.get(last)
    if isinstance(present, dict):  # of which a part is known
        present["<…>"] = text
    elif isinstance(present, list) and last == "Tags":
        present.append({"Key": "<…>", "Value": text})
    else:
        request[last] = text


def _replaced(value: Any, replacing: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for text, shown in replacing.items():
            value = value.replace(text, shown)
        return value
    if isinstance(value, dict):
        return {_replaced(key, replacing): _replaced(each, replacing) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(each, replacing) for each in value]
    return value


def replaced_text(text: str, texts: Mapping[str, str]) -> str:
    """Return a message with what the stand-ins stand for."""
    return str(_replaced(text, {stand_in: f"<{of}>" for stand_in, of in texts.items()}))
