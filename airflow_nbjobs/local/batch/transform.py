"""
Batch transform: what CreateTransformJob checks, and what a transform job does before and after its container runs.

Called by ``api/operations.py`` and ``platform/runner.py``; in the container runs ``transform_worker.py``. Not like AWS: one process serves all of a job,
whatever ``InstanceCount`` and ``MaxConcurrentTransforms`` say, and a failed call is repeated only where ``InvocationsMaxRetries`` asks for it.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.batch import capture
from airflow_nbjobs.local.batch.transform_worker import Plan
from airflow_nbjobs.local.container.overlay import python_of
from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.platform.runner import JobError, Launch, Platform, Work, read_text, regular_files
from airflow_nbjobs.local.state.models import SUPPORTED_IMAGES, image_family
from airflow_nbjobs.local.state.resource import Outcome
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_nbjobs.local.container.run import WorkDir
    from airflow_nbjobs.local.state.models import Model

MEGABYTE = 1024 * 1024
DEFAULT_PAYLOAD_MB = 6  # Source: CreateTransformJob, MaxPayloadInMB, API reference; so are the limits below
MAX_PAYLOAD_MB = 100
DEFAULT_TIMEOUT_SECONDS = 600  # Source: ModelClientConfig, API reference
_WORKER = Path(__file__).with_name("transform_worker.py")


def check_transform(request: Mapping[str, Any], s3: Any) -> None:
    """Raise ServiceError for the first thing that the service finds at once in a valid request, or that cannot run here."""
    for feature in _unsupported(request):
        raise ValidationError(f"The embedded SageMaker does not support {feature}.")
    for problem in _inconsistencies(request):  # our words
        raise ValidationError(problem)
    uri = request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
    if not storage.has_objects(s3, uri):
        raise ValidationError(f"No S3 objects found under S3 URL {uri!r} given in input data source.")


def _unsupported(request: Mapping[str, Any]) -> Iterator[str]:
    source = request["TransformInput"]
    kind = source["DataSource"]["S3DataSource"]["S3DataType"]
    if kind != "S3Prefix":
        yield f"S3DataType {kind}: only S3Prefix"
    if source.get("CompressionType", "None") != "None":
        yield f"TransformInput.CompressionType {source['CompressionType']}"
    if source.get("SplitType", "None") not in {"None", "Line"}:
        yield f"SplitType {source['SplitType']}: only None and Line"
    processing = request.get("DataProcessing", {})
    for name in ("InputFilter", "OutputFilter"):
        if processing.get(name, "$") != "$":
            yield f"DataProcessing.{name}: only '$'"
    if processing.get("JoinSource", "None") != "None":
        yield f"DataProcessing.JoinSource {processing['JoinSource']}"


def _inconsistencies(request: Mapping[str, Any]) -> Iterator[str]:
    payload = request.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)
    concurrent = request.get("MaxConcurrentTransforms", 1) or 1
    if payload > MAX_PAYLOAD_MB or payload * concurrent > MAX_PAYLOAD_MB:
        yield f"MaxPayloadInMB ({payload}) times MaxConcurrentTransforms ({concurrent}) must not exceed {MAX_PAYLOAD_MB} MB"
    if request.get("BatchStrategy") == "SingleRecord" and request["TransformInput"].get("SplitType", "None") == "None":
        yield "BatchStrategy SingleRecord needs a SplitType other than None"
    accept = request["TransformOutput"].get("Accept", "application/json")
    wants_ids = request.get("DataCaptureConfig", {}).get("GenerateInferenceId", False)
    if wants_ids and accept not in capture.CSV_TYPES | capture.JSON_TYPES:
        yield f"GenerateInferenceId takes CSV, JSON and JSON lines, not TransformOutput.Accept {accept!r}"


def completed_request(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with what Describe fills in where it is silent."""
    source = {"CompressionType": "None", "SplitType": "None", **request["TransformInput"]}
    target = {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]}
    processing = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None", **request.get("DataProcessing", {})}
    return {**request, "TransformInput": source, "TransformOutput": target, "DataProcessing": processing}


@dataclass(frozen=True, slots=True)
class TransformWork(Work):
    """
    One transform job.

    :param model: as it was when the job was made; deleting it does not touch the job.
    :param started: seconds since the epoch; labels captured data.
    """

    request: Mapping[str, Any]
    model: Model
    platform: Platform
    started: float

    def prepare(self, work: WorkDir) -> Launch:
        """Download input and model, and say how to serve it."""
        environment = {**self.model.container.get("Environment", {}), **self.request.get("Environment", {})}
        code_dir = self._fetch_model(work, environment)
        program = environment.get("SAGEMAKER_PROGRAM") or "inference.py"
        if not (code_dir / program).is_file():
            raise JobError(self._no_program(program))
        for folder in (_input_dir(work), _output_dir(work)):
            folder.mkdir(parents=True)
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        try:
            storage.download_prefix(self.platform.clients.s3, source, _input_dir(work))
        except storage.StorageError as error:
            raise JobError(f"ClientError: Data download failed: {error}") from error
        worker = _platform_dir(work) / _WORKER.name
        shutil.copyfile(_WORKER, worker)
        plan_file = _platform_dir(work) / "plan.json"
        plan_file.write_text(json.dumps(asdict(self._plan(work, code_dir, program))))
        paths = (self.platform.container_path(path, work) for path in (worker, plan_file))
        return Launch(
            argv=(python_of(self.platform.home(work)), "-u", *paths),
            environment=self.platform.environment(work, {**environment, **self._batch_variables()}),
            has_network=not self.model.request.get("EnableNetworkIsolation", False),
        )

    def deliver(self, work: WorkDir, exit_code: int) -> Outcome:
        """Upload the output of each file that was transformed as a whole, also of a job that failed on another, and the capture's manifests."""
        try:
            names = self._upload(work)
            if exit_code == 0:
                self._capture(work, names)
        except (storage.StorageError, capture.CaptureError) as error:
            return Outcome(f"ClientError: Output upload failed: {error}")
        if exit_code == 0:
            return Outcome()
        reasons = read_text(_report(work)) or f"the container ended with exit code {exit_code}"
        return Outcome(f"AlgorithmError: See job logs for more information: {reasons}")

    def _fetch_model(self, work: WorkDir, environment: Mapping[str, str]) -> Path:
        """Unpack the model, and its code where that is an archive of its own; returns the code's folder."""
        model_dir = work.opt_ml / "model"
        if url := self.model.container.get("ModelDataUrl"):
            self._fetch_archive(url, work, model_dir)
        submitted = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
        if not submitted.startswith("s3://"):
            return model_dir / "code"
        self._fetch_archive(submitted, work, work.opt_ml / "code")
        return work.opt_ml / "code"

    def _fetch_archive(self, uri: str, work: WorkDir, folder: Path) -> None:
        archive = work.path / "archive.tar.gz"
        try:
            storage.download(self.platform.clients.s3, uri, archive)
            storage.unpack(archive, folder)
        except storage.StorageError as error:
            raise JobError(f"ClientError: Model download failed: {error}") from error
        except storage.ArchiveError as error:
            raise JobError(f"ClientError: Model archive {uri} cannot be unpacked: {error}") from error
        archive.unlink()

    def _no_program(self, program: str) -> str:
        return (
            f"ClientError: the model '{self.model.name}' ({self.model.container.get('ModelDataUrl', 'without ModelDataUrl')}) has no code/{program}. The "
            f"embedded SageMaker serves {SUPPORTED_IMAGES}; it downloads no model by HF_MODEL_ID"
        )

    def _plan(self, work: WorkDir, code_dir: Path, program: str) -> Plan:
        def seen(path: Path) -> str:
            return self.platform.container_path(path, work)

        source, client = self.request["TransformInput"], self.request.get("ModelClientConfig", {})
        family = image_family(self.model.container["Image"])
        if family is None:
            raise JobError(f"ClientError: the model's image is not supported here: only {SUPPORTED_IMAGES}")
        return Plan(
            model_dir=seen(work.opt_ml / "model"),
            code_dir=seen(code_dir),
            program=program,
            family=family,
            input_dir=seen(_input_dir(work)),
            output_dir=seen(_output_dir(work)),
            report=seen(_report(work)),
            content_type=source.get("ContentType", "application/json"),
            accept=self.request["TransformOutput"].get("Accept", ""),
            is_split=source.get("SplitType", "None") == "Line",
            is_single=self.request.get("BatchStrategy", "MultiRecord") == "SingleRecord",
            max_payload_bytes=self.request.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB) * MEGABYTE,
            timeout_seconds=client.get("InvocationsTimeoutInSeconds", DEFAULT_TIMEOUT_SECONDS),
            max_retries=client.get("InvocationsMaxRetries", 0),
            is_assembled_by_line=self.request["TransformOutput"].get("AssembleWith", "None") == "Line",
        )

    def _batch_variables(self) -> dict[str, str]:
        """Source: developer guide, "Use Your Own Inference Code with Batch Transform"."""
        return {
            "SAGEMAKER_BATCH": "true",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(self.request.get("MaxPayloadInMB", DEFAULT_PAYLOAD_MB)),
            "SAGEMAKER_BATCH_STRATEGY": _snake_case(self.request.get("BatchStrategy", "MultiRecord")),
            "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS": str(self.request.get("MaxConcurrentTransforms", 1)),
        }

    def _upload(self, work: WorkDir) -> list[str]:
        target = self.request["TransformOutput"]
        capture_config = self.request.get("DataCaptureConfig", {})
        files = regular_files(_output_dir(work))
        for name, file in files.items():
            if capture_config.get("GenerateInferenceId"):
                accept = target.get("Accept", "application/json")
                with_ids = capture.append_inference_ids(
                    file.read_bytes(), content_type=accept, started=self.started, new_id=lambda: str(uuid.uuid4())
                )
                file.write_bytes(with_ids)
            uri = f"{target['S3OutputPath'].rstrip('/')}/{name}"
            storage.upload(self.platform.clients.s3, file, uri, kms_key_id=target.get("KmsKeyId", ""))
        return list(files)

    def _capture(self, work: WorkDir, names: list[str]) -> None:
        config = self.request.get("DataCaptureConfig")
        if not config:
            return
        source = self.request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        input_names = [name.removesuffix(".out") for name in names]
        # A prefix that is one object's key: the manifest's prefix is the folder that holds it.
        is_key = input_names == [source.rpartition("/")[2]]
        prefixes = {
            "input": (source.rpartition("/")[0] if is_key else source, input_names),
            "output": (self.request["TransformOutput"]["S3OutputPath"], names),
        }
        for folder, (prefix, listed) in prefixes.items():
            uri = capture.manifest_uri(
                config["DestinationS3Uri"], folder, job_name=self.request["TransformJobName"], started=self.started
            )
            manifest = work.path / "manifest.json"
            manifest.write_bytes(capture.build_manifest(prefix, listed))
            storage.upload(self.platform.clients.s3, manifest, uri, kms_key_id=config.get("KmsKeyId", ""))


def _platform_dir(work: WorkDir) -> Path:
    return work.opt_ml / "transform"


def _input_dir(work: WorkDir) -> Path:
    return _platform_dir(work) / "input"


def _output_dir(work: WorkDir) -> Path:
    return _platform_dir(work) / "output"


def _report(work: WorkDir) -> Path:
    return _platform_dir(work) / "report.txt"


def _snake_case(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() and index else letter for index, letter in enumerate(name)).upper()
