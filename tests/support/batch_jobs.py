"""What the tests of transform and processing jobs send and wait for."""

from __future__ import annotations

import io
import json
import tarfile
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from local_jobs import TERMINAL, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_jobs import Jobs

ACCOUNT = "763104351884"
# A model that answers each record with what it was given, so that a test sees how the service cut and labelled it.
ECHO = """
import json

def model_fn(model_dir):
    with open(f"{model_dir}/weights.json") as file:
        return json.load(file)

def input_fn(body, content_type):
    return [json.loads(line) for line in body.splitlines()]

def predict_fn(data, model):
    return [{"double": model["factor"] * record["x"], "of": len(data)} for record in data]

def output_fn(prediction, accept):
    return "\\n".join(json.dumps(record) for record in prediction)
"""


def archive(files: dict[str, str | bytes]) -> bytes:
    """Return a tar.gz of regular files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def json_lines(count: int) -> bytes:
    return b"".join(b'{"x": %d}\n' % number for number in range(count))


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """Return code and message of the error that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class BatchJobs:
    """A client of one embedded SageMaker for models, transform and processing jobs; each test has a prefix of its own."""

    def __init__(self, jobs: Jobs) -> None:
        self.facts, self.sagemaker, self.s3, self.logs = jobs.facts, jobs.sagemaker, jobs.s3, jobs.logs
        self.name = f"batch-{uuid.uuid4().hex[:12]}"

    @property
    def bucket(self) -> str:
        return str(self.facts.default_bucket)

    def uri(self, path: str) -> str:
        return f"s3://{self.bucket}/{self.name}/{path}"

    def put(self, path: str, body: bytes) -> str:
        self.s3.put_object(Bucket=self.bucket, Key=f"{self.name}/{path}", Body=body)
        return self.uri(path)

    def files(self, path: str) -> dict[str, bytes]:
        """Return every object below a path, by its name there."""
        prefix = f"{self.name}/{path}/"
        found = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", ())
        return {
            item["Key"].removeprefix(prefix): self.s3.get_object(Bucket=self.bucket, Key=item["Key"])["Body"].read()
            for item in found
        }

    def image(self, repository: str, account: str = ACCOUNT) -> str:
        return f"{account}.dkr.ecr.{self.facts.region}.amazonaws.com/{repository}"

    def model_request(
        self, files: dict[str, str | bytes] | None = None, *, repository: str = "huggingface-pytorch-inference:2.6-cpu"
    ) -> dict[str, Any]:
        container: dict[str, Any] = {"Image": self.image(repository), "Environment": {}}
        if files is not None:
            container["ModelDataUrl"] = self.put("model.tar.gz", archive(files))
        return {"ModelName": self.name, "PrimaryContainer": container, "ExecutionRoleArn": self.facts.role_arn}

    def create_model(self, code: str = ECHO, **arguments: Any) -> str:
        files = {"code/inference.py": code, "weights.json": '{"factor": 2}'}
        self.sagemaker.create_model(**self.model_request(files, **arguments))
        return self.name

    def transform_request(self, **changes: Any) -> dict[str, Any]:
        """Return a correct request over the objects below ``in/``; ``changes`` replace its fields, those of a structure one by one."""
        source = {"S3DataType": "S3Prefix", "S3Uri": self.uri("in/")}
        request: dict[str, Any] = {
            "TransformJobName": self.name,
            "ModelName": self.name,
            "TransformInput": {
                "DataSource": {"S3DataSource": source},
                "ContentType": "application/json",
                "SplitType": "Line",
            },
            "TransformOutput": {"S3OutputPath": self.uri("out"), "Accept": "application/json", "AssembleWith": "Line"},
            "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
            "BatchStrategy": "SingleRecord",
        }
        for name, value in changes.items():
            request[name] = {**request[name], **value} if isinstance(request.get(name), dict) else value
        return {name: value for name, value in request.items() if value is not None}

    def transform(self, **changes: Any) -> dict[str, Any]:
        self.sagemaker.create_transform_job(**self.transform_request(**changes))
        return self.wait_transform()

    def describe_transform(self) -> dict[str, Any]:
        document: dict[str, Any] = self.sagemaker.describe_transform_job(TransformJobName=self.name)
        return document

    def wait_transform(self) -> dict[str, Any]:
        wait_until(lambda: self.describe_transform()["TransformJobStatus"] in TERMINAL)
        return self.describe_transform()

    def processing_request(self, **changes: Any) -> dict[str, Any]:
        """Return what the SageMaker SDK's ``suggest_baseline`` sends for ``train.csv``."""
        place = "/opt/ml/processing/input/baseline_dataset_input"
        source = {"S3Uri": self.uri("train.csv"), "LocalPath": place, "S3DataType": "S3Prefix", "S3InputMode": "File"}
        target = {"S3Uri": self.uri("baseline"), "LocalPath": "/opt/ml/processing/output", "S3UploadMode": "EndOfJob"}
        request = {
            "ProcessingJobName": self.name,
            "RoleArn": self.facts.role_arn,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 20}
            },
            "AppSpecification": {"ImageUri": self.image("sagemaker-model-monitor-analyzer", account="468650794304")},
            "ProcessingInputs": [{"InputName": "baseline_dataset_input", "S3Input": source}],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "monitoring_output", "S3Output": target}]},
            "Environment": {
                "dataset_format": '{"csv": {"header": true, "output_columns_position": "START"}}',
                "dataset_source": place,
                "output_path": "/opt/ml/processing/output",
                "publish_cloudwatch_metrics": "Disabled",
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        }
        return {**request, **changes}

    def process(self, **changes: Any) -> dict[str, Any]:
        request = self.processing_request(**changes)
        self.sagemaker.create_processing_job(**request)
        return self.wait_processing(request["ProcessingJobName"])

    def describe_processing(self, name: str = "") -> dict[str, Any]:
        document: dict[str, Any] = self.sagemaker.describe_processing_job(ProcessingJobName=name or self.name)
        return document

    def wait_processing(self, name: str = "") -> dict[str, Any]:
        wait_until(lambda: self.describe_processing(name)["ProcessingJobStatus"] in TERMINAL)
        return self.describe_processing(name)

    def baseline(self, path: str = "baseline") -> dict[str, Any]:
        return {name: json.loads(body) for name, body in self.files(path).items()}

    def log(self, kind: str) -> str:
        """Return the job's log; ``kind`` is ``TransformJobs`` or ``ProcessingJobs``."""
        group = f"/aws/sagemaker/{kind}"
        streams = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{self.name}/")["logStreams"]
        return "\n".join(
            event["message"]
            for stream in streams
            for event in self.logs.get_log_events(
                logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
            )["events"]
        )
