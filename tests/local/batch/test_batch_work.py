"""What a transform or processing job refuses, downloads, runs and delivers, on folders and objects of this process: no server, no container."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from memory_s3 import MemoryS3

from airflow_nbjobs.local.batch.processing import (
    ProcessingWork,
    check_processing,
    completed_processing_request,
)
from airflow_nbjobs.local.batch.transform import TransformWork, check_transform, completed_request
from airflow_nbjobs.local.container.run import WorkDir
from airflow_nbjobs.local.platform.runner import JobError, Platform
from airflow_nbjobs.local.state.facts import build_facts
from airflow_nbjobs.local.state.models import new_model
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

FACTS = build_facts(port=1, region="eu-west-1", access_key_id="A", secret_access_key="s", isolation="userns")
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def s3() -> MemoryS3:
    return MemoryS3()


@pytest.fixture
def platform(s3: MemoryS3, tmp_path: Path) -> Callable[..., Platform]:
    image: Any = SimpleNamespace(prefix=Path(sys.prefix))

    def make(way: str = "userns") -> Platform:
        return Platform(FACTS, image, SimpleNamespace(s3=s3), tmp_path, way, 1, False)  # type: ignore[arg-type]

    return make


@pytest.fixture
def work(tmp_path: Path) -> WorkDir:
    folders = WorkDir(tmp_path / "work")
    folders.make()
    return folders


# -- transform: the request --------------------------------------------------------------------------------------------


def transform(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "TransformJobName": "job",
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in/"}}},
        "TransformOutput": {"S3OutputPath": "s3://b/out/"},
    }
    for name, value in changes.items():
        request[name] = {**request[name], **value} if isinstance(request.get(name), dict) else value
    return request


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"TransformInput": {"CompressionType": "None", "SplitType": "None"}},
        {"TransformInput": {"SplitType": "Line"}, "BatchStrategy": "SingleRecord"},
        {"DataProcessing": {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}},
        {"MaxPayloadInMB": 50, "MaxConcurrentTransforms": 2},
        {"MaxPayloadInMB": 100},
        {"MaxPayloadInMB": 100, "MaxConcurrentTransforms": 0},
        {"MaxConcurrentTransforms": 16},
        {"DataCaptureConfig": {"GenerateInferenceId": True}},
        {"TransformOutput": {"Accept": "text/csv"}, "DataCaptureConfig": {"GenerateInferenceId": True}},
        {"TransformOutput": {"Accept": "image/png"}, "DataCaptureConfig": {}},
    ],
    ids=str,
)
def test_what_can_run_is_taken(s3: MemoryS3, changes: dict[str, Any]) -> None:
    s3.objects["s3://b/in/a"] = b""
    check_transform(transform(**changes), s3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "ManifestFile"}}}}, "S3DataType ManifestFile: only S3Prefix"),
        ({"TransformInput": {"CompressionType": "Gzip"}}, "TransformInput.CompressionType Gzip"),
        ({"TransformInput": {"SplitType": "TFRecord"}}, "SplitType TFRecord: only None and Line"),
        ({"DataProcessing": {"OutputFilter": "$.x"}}, "DataProcessing.OutputFilter: only '$'"),
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "DataProcessing.InputFilter: only '$'"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "DataProcessing.JoinSource Input"),
        ({"MaxPayloadInMB": 101}, "MaxPayloadInMB (101) times MaxConcurrentTransforms (1) must not exceed 100 MB"),
        ({"MaxConcurrentTransforms": 17}, "MaxPayloadInMB (6) times MaxConcurrentTransforms (17) must not exceed 100 MB"),
        ({"BatchStrategy": "SingleRecord"}, "BatchStrategy SingleRecord needs a SplitType"),
        ({"TransformOutput": {"Accept": "image/png"}, "DataCaptureConfig": {"GenerateInferenceId": True}}, "not TransformOutput.Accept 'image/png'"),
        ({"TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/no"}}}}, "No S3 objects found under S3 URL 's3://b/no'"),
        ({"TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://none/x"}}}}, "No S3 objects found"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)  # fmt: skip
def test_what_cannot_run_is_refused(s3: MemoryS3, changes: dict[str, Any], words: str) -> None:
    s3.objects["s3://b/in/a"] = b""
    with pytest.raises(ValidationError) as caught:
        check_transform(transform(**changes), s3)
    assert words in caught.value.message


def test_describe_fills_in_what_a_transform_request_left_out() -> None:
    completed = completed_request(transform())
    assert completed["TransformInput"]["CompressionType"] == completed["TransformInput"]["SplitType"] == "None"
    assert completed["TransformOutput"] == {"AssembleWith": "None", "KmsKeyId": "", "S3OutputPath": "s3://b/out/"}
    assert completed["DataProcessing"] == {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    asked = completed_request(transform(TransformInput={"SplitType": "Line"}, TransformOutput={"AssembleWith": "Line"}))
    assert asked["TransformInput"]["SplitType"] == asked["TransformOutput"]["AssembleWith"] == "Line"


# -- transform: the work -----------------------------------------------------------------------------------------------


def archive(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, body in files.items():
            info = tarfile.TarInfo(name.replace("__", "/") + ".py")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    return buffer.getvalue()


def serving(platform: Platform, request: dict[str, Any], **container: Any) -> TransformWork:
    model = new_model(
        {"ModelName": "model", "PrimaryContainer": {"Image": f"{ECR}/pytorch-inference:2", **container}}, arn="a", now=0
    )
    return TransformWork(request, model, platform, started=1_795_316_400.0)


def plan_of(work: WorkDir) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads((work.opt_ml / "transform" / "plan.json").read_text())
    return plan


@pytest.fixture
def model_data(s3: MemoryS3) -> str:
    s3.objects["s3://b/model.tar.gz"] = archive(code__inference=b"# code")
    s3.objects |= {"s3://b/in/a.json": b"1", "s3://b/in/deep/b.json": b"2"}
    return "s3://b/model.tar.gz"


def test_a_job_finds_its_input_its_model_and_what_is_asked_of_it(
    platform: Callable[..., Platform], work: WorkDir, model_data: str
) -> None:
    request = transform(
        Environment={"A": "of the job", "B": "2"},
        TransformInput={"ContentType": "text/csv", "SplitType": "Line"},
        TransformOutput={"Accept": "text/csv", "AssembleWith": "Line"},
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=2,
        MaxConcurrentTransforms=3,
        ModelClientConfig={"InvocationsTimeoutInSeconds": 9, "InvocationsMaxRetries": 1},
    )
    launch = serving(platform(), request, ModelDataUrl=model_data, Environment={"A": "of the model"}).prepare(work)
    assert (work.opt_ml / "transform" / "input" / "deep" / "b.json").read_bytes() == b"2"
    assert (work.opt_ml / "model" / "code" / "inference.py").read_bytes() == b"# code"
    assert not (work.path / "archive.tar.gz").exists()
    assert launch.argv[0].endswith("/bin/python")
    assert launch.argv[1:] == ("-u", "/opt/ml/transform/transform_worker.py", "/opt/ml/transform/plan.json")
    assert launch.has_network
    variables = ("A", "B", "SAGEMAKER_BATCH", "SAGEMAKER_MAX_PAYLOAD_IN_MB", "SAGEMAKER_BATCH_STRATEGY")
    assert [launch.environment[name] for name in variables] == ["of the job", "2", "true", "2", "SINGLE_RECORD"]
    assert launch.environment["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "3"
    assert plan_of(work) == {
        "model_dir": "/opt/ml/model",
        "code_dir": "/opt/ml/model/code",
        "program": "inference.py",
        "family": "pytorch",
        "input_dir": "/opt/ml/transform/input",
        "output_dir": "/opt/ml/transform/output",
        "report": "/opt/ml/transform/report.txt",
        "content_type": "text/csv",
        "accept": "text/csv",
        "is_split": True,
        "is_single": True,
        "max_payload_bytes": 2 * 1024 * 1024,
        "timeout_seconds": 9,
        "max_retries": 1,
        "is_assembled_by_line": True,
    }


def test_a_job_that_asks_for_nothing_has_the_services_defaults(
    platform: Callable[..., Platform], work: WorkDir, model_data: str
) -> None:
    launch = serving(platform("none"), transform(), ModelDataUrl=model_data).prepare(work)
    plan = plan_of(work)
    defaults = {
        "content_type": "application/json",
        "accept": "",
        "is_split": False,
        "is_single": False,
        "max_payload_bytes": 6 * 1024 * 1024,
        "timeout_seconds": 600,
        "max_retries": 0,
        "is_assembled_by_line": False,
    }
    assert plan | defaults == plan
    assert plan["model_dir"] == str(work.opt_ml / "model"), "without namespaces the folders are where they are"
    assert launch.environment["SAGEMAKER_BATCH_STRATEGY"] == "MULTI_RECORD"
    assert launch.environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "6"
    assert launch.environment["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "1"


def test_code_of_its_own_archive_and_name_is_found(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3, model_data: str
) -> None:
    s3.objects["s3://b/code.tar.gz"] = archive(mine=b"# mine")
    environment = {"SAGEMAKER_SUBMIT_DIRECTORY": "s3://b/code.tar.gz", "SAGEMAKER_PROGRAM": "mine.py"}
    serving(platform(), transform(), ModelDataUrl=model_data, Environment=environment).prepare(work)
    assert (plan_of(work)["code_dir"], plan_of(work)["program"]) == ("/opt/ml/code", "mine.py")
    assert (work.opt_ml / "code" / "mine.py").read_bytes() == b"# mine"


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"ModelDataUrl": "s3://b/no.tar.gz"}, "ClientError: Model download failed: Unable to download object s3://b/no.tar.gz"),
        ({"ModelDataUrl": "s3://b/in/a.json"}, "ClientError: Model archive s3://b/in/a.json cannot be unpacked: not a readable .tar.gz"),
        ({"ModelDataUrl": "s3://b/model.tar.gz", "Environment": {"SAGEMAKER_PROGRAM": "no.py"}}, "the model 'model' (s3://b/model.tar.gz) has no code/no.py"),
        ({}, "the model 'model' (without ModelDataUrl) has no code/inference.py"),
        ({"ModelDataUrl": "s3://b/model.tar.gz", "Image": f"{ECR}/mine:1"}, "the model's image is not supported here"),
    ],
)  # fmt: skip
def test_a_model_that_cannot_be_served_fails_the_job(
    platform: Callable[..., Platform], work: WorkDir, model_data: str, container: dict[str, Any], words: str
) -> None:
    with pytest.raises(JobError) as caught:
        serving(platform(), transform(), **container).prepare(work)
    assert words in str(caught.value)


def test_what_was_transformed_is_delivered_beside_its_name(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3
) -> None:
    output = work.opt_ml / "transform" / "output"
    (output / "deep").mkdir(parents=True)
    (output / "a.json.out").write_bytes(b"1")
    (output / "deep" / "b.json.out").write_bytes(b"2")
    (output / "link").symlink_to("/etc/hostname")
    job = serving(platform(), transform(TransformOutput={"KmsKeyId": "key"}))
    assert job.deliver(work, 0).failure_reason is None
    assert s3.objects == {"s3://b/out/a.json.out": b"1", "s3://b/out/deep/b.json.out": b"2"}
    assert set(s3.keys.values()) == {"key"}


@pytest.mark.parametrize(
    ("report", "words"), [("'a', record 2: no", "'a', record 2: no"), (None, "the container ended with exit code 3")]
)
def test_a_job_that_failed_says_why_and_delivers_what_it_has(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3, report: str | None, words: str
) -> None:
    (work.opt_ml / "transform" / "output").mkdir(parents=True)
    (work.opt_ml / "transform" / "output" / "a.out").write_bytes(b"1")
    if report:
        (work.opt_ml / "transform" / "report.txt").write_text(report)
    job = serving(platform(), transform(DataCaptureConfig={"DestinationS3Uri": "s3://b/capture"}))
    assert job.deliver(work, 3).failure_reason == f"AlgorithmError: See job logs for more information: {words}"
    assert list(s3.objects) == ["s3://b/out/a.out"], "nothing is captured of a failed job"


def test_an_output_that_cannot_be_written_fails_the_job(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3
) -> None:
    (work.opt_ml / "transform" / "output").mkdir(parents=True)
    (work.opt_ml / "transform" / "output" / "a.out").write_bytes(b"1")
    s3.refused.add("s3://b/out/a.out")
    reason = serving(platform(), transform()).deliver(work, 0).failure_reason
    assert reason is not None
    assert reason.startswith("ClientError: Output upload failed: Unable to upload to s3://b/out/a.out")


@pytest.mark.parametrize(
    ("source", "prefix", "names"),
    [("s3://b/in/", "s3://b/in/", ["a.json"]), ("s3://b/in/a.json", "s3://b/in/", ["a.json"])],
    ids=["folder", "one object"],
)
def test_input_and_output_are_captured_as_manifests_with_ids_in_the_output(  # noqa: PLR0917 - fixtures and cases
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3, source: str, prefix: str, names: list[str]
) -> None:
    (work.opt_ml / "transform" / "output").mkdir(parents=True)
    (work.opt_ml / "transform" / "output" / "a.json.out").write_bytes(b'{"x": 1}\n')
    data = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}}
    config = {"DestinationS3Uri": "s3://b/capture/", "KmsKeyId": "k2", "GenerateInferenceId": True}
    job = serving(platform(), transform(TransformInput={"DataSource": data}, DataCaptureConfig=config))
    assert job.deliver(work, 0).failure_reason is None
    place = "2026/11/22/03/job.json"
    captured = {uri: json.loads(body) for uri, body in s3.objects.items() if uri.startswith("s3://b/capture")}
    assert captured == {
        f"s3://b/capture/input/{place}": [{"prefix": prefix}, *names],
        f"s3://b/capture/output/{place}": [{"prefix": "s3://b/out/"}, "a.json.out"],
    }
    assert {s3.keys[uri] for uri in captured} == {"k2"}
    record = json.loads(s3.objects["s3://b/out/a.json.out"])
    assert (record["x"], record["SageMakerInferenceTime"]) == (1, "2026-11-22T03:00:00Z")
    assert len(record["SageMakerInferenceId"]) == 36


# -- processing --------------------------------------------------------------------------------------------------------

ANALYZER = f"{ECR}/sagemaker-model-monitor-analyzer"


def processing(**changes: Any) -> dict[str, Any]:
    request: dict[str, Any] = {
        "ProcessingJobName": "check",
        "AppSpecification": {"ImageUri": ANALYZER},
        "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large"}},
        "ProcessingInputs": [source("data")],
        "ProcessingOutputConfig": {"Outputs": [target("report")]},
        "Environment": {"dataset_source": "/opt/ml/processing/data"},
    }
    return {name: value for name, value in {**request, **changes}.items() if value is not None}


def source(name: str, **changes: Any) -> dict[str, Any]:
    place = {"S3Uri": f"s3://b/{name}", "LocalPath": f"/opt/ml/processing/{name}", "S3DataType": "S3Prefix"}
    return {"InputName": name, "S3Input": {**place, **changes}}


def target(name: str, **changes: Any) -> dict[str, Any]:
    place = {"S3Uri": f"s3://b/{name}/", "LocalPath": f"/opt/ml/processing/{name}"}
    return {"OutputName": name, "S3Output": {**place, **changes}}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ProcessingInputs": None, "ProcessingOutputConfig": None},
        {"ProcessingInputs": [source("x", S3InputMode="File", S3CompressionType="None")]},
        {"NetworkConfig": {"EnableNetworkIsolation": True}},
        {"ProcessingInputs": [source("x", LocalPath="/opt/ml/processing")]},
    ],
    ids=str,
)
def test_a_processing_job_that_can_run_is_taken(platform: Callable[..., Platform], changes: dict[str, Any]) -> None:
    check_processing(processing(**changes), platform())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"AppSpecification": {"ImageUri": f"{ECR}/mine"}}, "does not run processing jobs of the image"),
        ({"AppSpecification": {"ImageUri": ANALYZER.replace("eu-west-1", "eu-west-3")}}, "of another region"),
        ({"AppSpecification": {"ImageUri": ANALYZER, "ContainerArguments": ["x"]}}, "AppSpecification.ContainerArguments with"),
        ({"AppSpecification": {"ImageUri": ANALYZER, "ContainerEntrypoint": ["x"]}}, "AppSpecification.ContainerEntrypoint with"),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceCount": 2, "InstanceType": "x"}}}, "more than one instance"),
        ({"ProcessingResources": {"ClusterConfig": {"InstancePreferences": []}}}, "ClusterConfig.InstancePreferences"),
        ({"ProcessingResources": {"ClusterConfig": {"InstanceType": "x"}}}, "ClusterConfig.InstanceCount is missing"),
        ({"ProcessingInputs": [{"InputName": "x"}]}, "the input 'x' without S3Input"),
        ({"ProcessingInputs": [source("x", S3DataType="ManifestFile")]}, "S3DataType ManifestFile of the input 'x': only S3Prefix"),
        ({"ProcessingInputs": [source("x", S3InputMode="Pipe")]}, "S3InputMode Pipe of the input 'x': only File"),
        ({"ProcessingInputs": [source("x", S3CompressionType="Gzip")]}, "S3CompressionType Gzip of the input 'x': only None"),
        ({"ProcessingInputs": [source("x", LocalPath="/opt/ml/processing/../code")]}, "LocalPath of 'x' must lie below /opt/ml/processing"),
        ({"ProcessingOutputConfig": {"Outputs": [{"OutputName": "y"}]}}, "the output 'y' without S3Output"),
        ({"ProcessingOutputConfig": {"Outputs": [target("y", LocalPath="/tmp")]}}, "LocalPath of 'y' must lie below"),
        ({"ProcessingInputs": [source("x")], "ProcessingOutputConfig": {"Outputs": [target("x")]}}, "must be unique: x, x"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)  # fmt: skip
def test_a_processing_job_that_cannot_run_is_refused(
    platform: Callable[..., Platform], changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        check_processing(processing(**changes), platform())
    assert words in caught.value.message


def test_without_namespaces_a_processing_job_cannot_be_kept_off_the_network(platform: Callable[..., Platform]) -> None:
    with pytest.raises(ValidationError, match="EnableNetworkIsolation without namespaces"):
        check_processing(processing(NetworkConfig={"EnableNetworkIsolation": True}), platform("none"))
    check_processing(processing(NetworkConfig={"EnableNetworkIsolation": False}), platform("none"))


def test_a_processing_job_without_a_limit_runs_for_a_day(platform: Callable[..., Platform]) -> None:
    completed = completed_processing_request(processing())
    assert ProcessingWork(completed, "arn", platform()).max_runtime_seconds == 86_400
    asked = completed_processing_request(processing(StoppingCondition={"MaxRuntimeInSeconds": 60}))
    assert ProcessingWork(asked, "arn", platform()).max_runtime_seconds == 60


@pytest.mark.parametrize("way", ["userns", "none"])
def test_a_processing_job_finds_its_inputs_at_their_places(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3, way: str
) -> None:
    s3.objects["s3://b/data/deep/a.csv"] = b"1"
    request = processing(NetworkConfig={"EnableNetworkIsolation": True})
    launch = ProcessingWork(request, "arn:check", platform(way)).prepare(work)
    folder = work.opt_ml / "processing"
    assert (folder / "data" / "deep" / "a.csv").read_bytes() == b"1"
    assert (folder / "report").is_dir()
    assert (work.opt_ml / "code" / "analyzer" / "__main__.py").is_file()
    config = json.loads((work.opt_ml / "config" / "processingjobconfig.json").read_text())
    assert config == {"ProcessingJobArn": "arn:check", **request}
    assert json.loads((work.opt_ml / "config" / "resourceconfig.json").read_text()) == {
        "current_host": "algo-1",
        "hosts": ["algo-1"],
    }
    root = str(work.opt_ml) if way == "none" else "/opt/ml"
    assert launch.argv[1:] == ("-u", "-m", "analyzer", f"{root}/output/message")
    assert launch.environment["dataset_source"] == f"{root}/processing/data"
    assert launch.environment["PYTHONPATH"] == f"{root}/code"
    assert launch.environment["PROCESSING_JOB_NAME"] == "check"
    assert launch.has_network is False
    assert ("TMPDIR" in launch.environment) is (way == "none")


def test_an_input_without_objects_fails_the_job(platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3) -> None:
    with pytest.raises(JobError, match="No S3 objects found under S3 URL 's3://b/data' given in the input 'data'"):
        ProcessingWork(processing(), "arn", platform()).prepare(work)
    s3.objects["s3://b/data/../x"] = b""
    with pytest.raises(JobError, match=r"ClientError: Data download failed: the key '.*' leaves the channel's folder"):
        ProcessingWork(processing(), "arn", platform()).prepare(work)


def test_outputs_of_a_processing_job_are_delivered_with_its_message(
    platform: Callable[..., Platform], work: WorkDir, s3: MemoryS3
) -> None:
    report = work.opt_ml / "processing" / "report"
    report.mkdir(parents=True)
    (report / "statistics.json").write_bytes(b"{}")
    (work.opt_ml / "output" / "message").write_text("Completed: all is well")
    config = {"KmsKeyId": "key", "Outputs": [target("report")]}
    job = ProcessingWork(processing(ProcessingOutputConfig=config), "arn", platform())
    outcome = job.deliver(work, 0)
    assert (outcome.failure_reason, outcome.exit_message) == (None, "Completed: all is well")
    assert s3.objects == {"s3://b/report/statistics.json": b"{}"}
    assert s3.keys == {"s3://b/report/statistics.json": "key"}
    s3.objects.clear()
    failed = job.deliver(work, 255)
    assert failed.failure_reason == "AlgorithmError: Completed: all is well, exit code: 255"
    assert failed.exit_message == "Completed: all is well"
    assert s3.objects == {}
    s3.refused.add("s3://b/report/statistics.json")
    refused = job.deliver(work, 0)
    assert str(refused.failure_reason).startswith("ClientError: Output upload failed: Unable to upload")
    assert refused.exit_message == "Completed: all is well"
    (work.opt_ml / "output" / "message").unlink()
    silent = job.deliver(work, 1)
    assert silent.failure_reason == "AlgorithmError: See job logs for more information, exit code: 1"
