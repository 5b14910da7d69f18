"""What the tests of the embedded SageMaker send and wait for."""

from __future__ import annotations

import io
import tarfile
import time
import uuid
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

if TYPE_CHECKING:
    from collections.abc import Callable

CHANNEL = "sagemaker_headless_execution_pipelinestep"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
TERMINAL = {"Completed", "Failed", "Stopped"}


def notebook(*sources: str, parameters: str = "") -> bytes:
    cells = [new_code_cell(source) for source in sources]
    if parameters:
        cells.insert(0, new_code_cell(parameters, metadata={"tags": ["parameters"]}))
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.writes(new_notebook(cells=cells, metadata={"kernelspec": kernelspec})).encode()


def wait_until(condition: Callable[[], Any], *, seconds: float = 60) -> Any:
    """
    Poll until the condition holds; the first true value is returned.

    Often at first and then four times a second: asking the server takes milliseconds from the job that is waited for, in both processes.
    """
    deadline = time.monotonic() + seconds
    pause = 0.02
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
        pause = min(1.2 * pause, 0.25)
    return value


class Jobs:
    """A client of one embedded SageMaker, for tests."""

    def __init__(self, server: Any) -> None:
        self.facts = server.facts
        self.sagemaker, self.s3, self.logs = (server.client(name) for name in ("sagemaker", "s3", "logs"))

    def request(self, name: str = "", **changes: Any) -> dict[str, Any]:
        """Return a minimal correct request; `changes` replace its fields."""
        name = name or f"job-{uuid.uuid4().hex[:12]}"
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://{self.facts.default_bucket}/nbjobs/{name}/input",
            "S3DataDistributionType": "FullyReplicated",
        }
        request = {
            "TrainingJobName": name,
            "RoleArn": self.facts.role_arn,
            "AlgorithmSpecification": self.algorithm("amazon_sagemaker_scheduler"),
            "InputDataConfig": [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.facts.default_bucket}/nbjobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "Environment": self.environment(name),
            "Tags": [{"Key": "sagemaker:name", "Value": "report"}],
        }
        return {**request, **changes}

    def algorithm(self, *entrypoint: str, image: str = "") -> dict[str, Any]:
        return {
            "TrainingImage": image or self.facts.image_uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": list(entrypoint),
        }

    def environment(self, name: str) -> dict[str, str]:
        return {
            "AWS_DEFAULT_REGION": self.facts.region,
            "SM_JOB_DEF_VERSION": "1.0",
            "SM_SKIP_EFS_SIMULATION": "true",
            "SM_EXECUTION_INPUT_PATH": f"/opt/ml/input/data/{CHANNEL}",
            "SM_KERNEL_NAME": "python3",
            "SM_INPUT_NOTEBOOK_NAME": "report.ipynb",
            "SM_OUTPUT_NOTEBOOK_NAME": f"{name}.ipynb",
        }

    def stage(self, name: str, files: dict[str, bytes]) -> None:
        for path, body in files.items():
            self.s3.put_object(Bucket=self.facts.default_bucket, Key=f"nbjobs/{name}/input/{path}", Body=body)

    def submit(self, files: dict[str, bytes] | None = None, **changes: Any) -> str:
        request = self.request(**changes)
        self.stage(request["TrainingJobName"], files or {"report.ipynb": notebook("1")})
        self.sagemaker.create_training_job(**request)
        return str(request["TrainingJobName"])

    def submit_script(self, script: str, **changes: Any) -> str:
        """Run a shell script as the container: what needs no notebook is quicker without one."""
        return self.submit(AlgorithmSpecification=self.algorithm("/bin/bash", "-c", script), **changes)

    def describe(self, name: str) -> dict[str, Any]:
        document: dict[str, Any] = self.sagemaker.describe_training_job(TrainingJobName=name)
        document.pop("ResponseMetadata")
        return document

    def wait(self, name: str, *, seconds: float = 60) -> dict[str, Any]:
        wait_until(lambda: self.describe(name)["TrainingJobStatus"] in TERMINAL, seconds=seconds)
        return self.describe(name)

    def run(self, files: dict[str, bytes] | None = None, **changes: Any) -> dict[str, Any]:
        return self.wait(self.submit(files, **changes))

    def archive(self, name: str, kind: str = "output") -> dict[str, bytes]:
        key = f"nbjobs/{name}/output/{kind}.tar.gz"
        body = self.s3.get_object(Bucket=self.facts.default_bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]

    def executed(self, name: str) -> Any:
        return nbformat.reads(self.archive(name)[f"{name}.ipynb"].decode(), as_version=4)

    def streams(self, name: str) -> list[str]:
        found = self.logs.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
        return [stream["logStreamName"] for stream in found["logStreams"]]

    def log(self, name: str) -> str:
        events = [
            event["message"]
            for stream in self.streams(name)
            for event in self.logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True)[
                "events"
            ]
        ]
        return "\n".join(events)


def stream_text(executed: Any) -> str:
    """Return everything that the notebook printed."""
    return "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ()))
