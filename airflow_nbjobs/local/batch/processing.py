"""
Processing jobs: what CreateProcessingJob checks, and what such a job does before and after its container runs.

Called by ``api/operations.py`` and ``platform/runner.py``. One image is supported, Model Monitor's analyzer, in whose place ``analyzer/`` runs.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.container.overlay import python_of
from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.platform.runner import JobError, Launch, Platform, Work, read_text, regular_files
from airflow_nbjobs.local.state.facts import NAMESPACE_WAYS
from airflow_nbjobs.local.state.models import check_region, repository
from airflow_nbjobs.local.state.resource import Outcome
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_nbjobs.local.container.run import WorkDir

ANALYZER = "sagemaker-model-monitor-analyzer"
SUPPORTED = f"'{ANALYZER}' (Model Monitor's data-quality baseline and check)"
DEFAULT_MAX_RUNTIME_SECONDS = 86_400
PROCESSING_ROOT = PurePosixPath("/opt/ml/processing")
_PACKAGE = Path(__file__).with_name("analyzer")


def check_processing(request: Mapping[str, Any], platform: Platform) -> None:
    """Raise ServiceError for the first thing that the service finds at once in a valid request, or that cannot run here."""
    image = request["AppSpecification"]["ImageUri"]
    if repository(image) != ANALYZER:
        raise ValidationError(
            f"The embedded SageMaker does not run processing jobs of the image '{image}'; it supports {SUPPORTED}. "
            "Code of your own runs as a notebook job."
        )
    check_region(image, platform.facts.region)
    for feature in _unsupported(request, platform.way):
        raise ValidationError(f"The embedded SageMaker does not support {feature}.")
    for problem in _inconsistencies(request):  # our words
        raise ValidationError(problem)


def _unsupported(request: Mapping[str, Any], way: str) -> Iterator[str]:
    cluster = request["ProcessingResources"]["ClusterConfig"]
    if cluster.get("InstanceCount", 1) > 1:
        yield "more than one instance for a job"
    if "InstancePreferences" in cluster:
        yield "ProcessingResources.ClusterConfig.InstancePreferences"
    yield from (
        f"AppSpecification.{name} with {ANALYZER}"
        for name in ("ContainerEntrypoint", "ContainerArguments")
        if name in request["AppSpecification"]
    )
    if request.get("NetworkConfig", {}).get("EnableNetworkIsolation") and way not in NAMESPACE_WAYS:
        yield "NetworkConfig.EnableNetworkIsolation without namespaces"
    for source in request.get("ProcessingInputs", ()):
        yield from _unsupported_in_input(source)
    for target in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        if "S3Output" not in target:
            yield f"the output {target['OutputName']!r} without S3Output"


def _unsupported_in_input(source: Mapping[str, Any]) -> Iterator[str]:
    if "S3Input" not in source:
        yield f"the input {source['InputName']!r} without S3Input"
        return
    supported = {"S3DataType": "S3Prefix", "S3InputMode": "File", "S3CompressionType": "None"}
    for name, value in supported.items():
        if source["S3Input"].get(name, value) != value:
            yield f"{name} {source['S3Input'][name]} of the input {source['InputName']!r}: only {value}"


def _inconsistencies(request: Mapping[str, Any]) -> Iterator[str]:
    cluster = request["ProcessingResources"]["ClusterConfig"]
    for name in ("InstanceCount", "InstanceType"):
        # Optional in the model since InstancePreferences exists.
        if name not in cluster:
            yield f"ProcessingResources.ClusterConfig.{name} is missing"
    for name, place in _places(request):
        path = PurePosixPath(place.get("LocalPath", ""))
        if not path.is_relative_to(PROCESSING_ROOT) or ".." in path.parts:
            yield f"LocalPath of {name!r} must lie below {PROCESSING_ROOT}, not {str(path)!r}"
    names = [name for name, _ in _places(request)]
    if len(set(names)) < len(names):
        yield f"Names of inputs and outputs must be unique: {', '.join(names)}"


def _places(request: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for source in request.get("ProcessingInputs", ()):
        yield source["InputName"], source["S3Input"]
    for target in request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
        yield target["OutputName"], target["S3Output"]


def completed_processing_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with what Describe fills in where it is silent."""
    condition = request.get("StoppingCondition", {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS})
    return {**request, "StoppingCondition": condition}


@dataclass(frozen=True, slots=True)
class ProcessingWork(Work):
    """
    One processing job.

    :param request: as completed.
    """

    request: Mapping[str, Any]
    arn: str
    platform: Platform

    @property
    def max_runtime_seconds(self) -> float:
        return float(self.request["StoppingCondition"]["MaxRuntimeInSeconds"])

    def prepare(self, work: WorkDir) -> Launch:
        """Download the inputs to their places, and make those of the outputs."""
        for source in self.request.get("ProcessingInputs", ()):
            folder = _host_path(work, source["S3Input"]["LocalPath"])
            folder.mkdir(parents=True, exist_ok=True)
            uri = source["S3Input"]["S3Uri"]
            try:
                count = storage.download_prefix(self.platform.clients.s3, uri, folder)
            except storage.StorageError as error:
                raise JobError(f"ClientError: Data download failed: {error}") from error
            if count == 0:
                raise JobError(
                    f"ClientError: No S3 objects found under S3 URL {uri!r} given in the input {source['InputName']!r}"
                )
        for target in self.request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            _host_path(work, target["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
        self._write_config(work)
        shutil.copytree(_PACKAGE, work.opt_ml / "code" / "analyzer", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {
            **self.request.get("Environment", {}),
            "PYTHONPATH": self.platform.container_path(work.opt_ml / "code", work),
            "PROCESSING_JOB_NAME": self.request["ProcessingJobName"],
        }
        if self.platform.is_bare:
            root = str(work.opt_ml)
            environment = {name: value.replace("/opt/ml", root) for name, value in environment.items()}
        message = self.platform.container_path(_message(work), work)
        return Launch(
            argv=(python_of(self.platform.home(work)), "-u", "-m", "analyzer", message),
            environment=self.platform.environment(work, environment),
            has_network=not self.request.get("NetworkConfig", {}).get("EnableNetworkIsolation", False),
        )

    def deliver(self, work: WorkDir, exit_code: int) -> Outcome:
        """Upload the outputs of a container that succeeded; ``Continuous`` ones, too, only now."""
        message = read_text(_message(work))
        if exit_code:
            reason = message or "See job logs for more information"
            return Outcome(f"AlgorithmError: {reason}, exit code: {exit_code}", exit_message=message)
        config = self.request.get("ProcessingOutputConfig", {})
        try:
            for target in config.get("Outputs", ()):
                folder = _host_path(work, target["S3Output"]["LocalPath"])
                for name, file in regular_files(folder).items():
                    uri = f"{target['S3Output']['S3Uri'].rstrip('/')}/{name}"
                    storage.upload(self.platform.clients.s3, file, uri, kms_key_id=config.get("KmsKeyId", ""))
        except storage.StorageError as error:
            return Outcome(f"ClientError: Output upload failed: {error}", exit_message=message)
        return Outcome(exit_message=message)

    def _write_config(self, work: WorkDir) -> None:
        """Source: developer guide, "How Amazon SageMaker Processing Configures Your Processing Container"."""
        folder = work.opt_ml / "config"
        folder.mkdir()
        resources = {"current_host": "algo-1", "hosts": ["algo-1"]}
        (folder / "resourceconfig.json").write_text(json.dumps(resources))
        document = {"ProcessingJobArn": self.arn, **self.request}
        (folder / "processingjobconfig.json").write_text(json.dumps(document))


def _host_path(work: WorkDir, local_path: str) -> Path:
    return work.opt_ml / PurePosixPath(local_path).relative_to("/opt/ml")


def _message(work: WorkDir) -> Path:
    return work.opt_ml / "output" / "message"
