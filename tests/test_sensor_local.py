"""The sensor on the embedded SageMaker: real jobs that no operator of ours started."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from airflow_names import TaskDeferred
from fakes import notebook, task_context
from local_jobs import wait_until

from airflow_nbjobs.core.errors import NotebookCellError, NotebookJobServiceError
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
from airflow_nbjobs.task import sensor as watching

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = pytest.mark.local

CHANNEL = "sagemaker_headless_execution_jupyterlab"


@pytest.fixture
def sagemaker(embedded_sagemaker: EmbeddedSageMaker) -> EmbeddedSageMaker:
    return embedded_sagemaker


@pytest.fixture
def wait(sagemaker, monkeypatch):
    """Waits for a job in poke mode; returns the result and the task's XComs."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", sagemaker.facts.airflow_connection())

    def run(job_name: Any, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        context = task_context()
        task = SageMakerNotebookJobSensor(
            task_id="t", job_name=job_name, deferrable=False, poke_interval=0.2, timeout=60, **arguments
        )
        return task.execute(context), context["ti"].xcoms

    return run


def start(server: EmbeddedSageMaker, name: str, *, raw: bytes | None = None, **changes: Any) -> str:
    """Start a job as Studio does, without a notebook a training job of another kind; return its ARN."""
    facts = server.facts
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": facts.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": facts.image_uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["amazon_sagemaker_scheduler"],
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{facts.default_bucket}/studio"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        "StoppingCondition": {"MaxRuntimeInSeconds": 300},
    }
    if raw is not None:
        server.client("s3").put_object(
            Bucket=facts.default_bucket, Key=f"studio/{name}/input/Report v1.ipynb", Body=raw
        )
        source = {
            "S3DataType": "S3Prefix",
            "S3Uri": f"s3://{facts.default_bucket}/studio/{name}/input/",
            "S3DataDistributionType": "FullyReplicated",
        }
        request |= {
            "InputDataConfig": [{"ChannelName": CHANNEL, "DataSource": {"S3DataSource": source}}],
            "Environment": {
                "SM_JOB_DEF_VERSION": "1.0",
                "SM_SKIP_EFS_SIMULATION": "true",
                "SM_EXECUTION_INPUT_PATH": f"/opt/ml/input/data/{CHANNEL}",
                "SM_KERNEL_NAME": "python3",
                "SM_INPUT_NOTEBOOK_NAME": "Report v1.ipynb",
                "SM_OUTPUT_NOTEBOOK_NAME": "report-v1-2026-11-22T03:00:00.123Z-.ipynb",
            },
        }
    return str(server.client("sagemaker").create_training_job(**request | changes)["TrainingJobArn"])


GLUE = """
from IPython.display import display
mime = "application/scrapbook.scrap.json+json"
display({mime: {"name": "rows", "data": 3, "encoder": "json", "version": 1}}, metadata={"scrapbook": {"name": "rows", "data": True, "display": False}}, raw=True)
"""


def test_a_job_of_studio_gives_its_result_though_its_notebook_has_another_name(sagemaker, wait):
    arn = start(sagemaker, "studio-job", raw=notebook("x = 1", GLUE))
    result, xcoms = wait(arn, outputs={"rows": int})
    assert result["status"] == "Completed"
    assert result["input_notebook"] == "Report v1.ipynb"
    assert result["outputs"] == {"rows": 3}
    assert xcoms["rows"] == 3
    bucket = sagemaker.facts.default_bucket
    assert result["executed_notebook_uri"] == f"s3://{bucket}/studio/studio-job/output/output.tar.gz"
    keys = [each["Key"] for each in sagemaker.client("s3").list_objects_v2(Bucket=bucket, Prefix="studio/")["Contents"]]
    assert "studio/studio-job/studio-job.ipynb" not in keys


@pytest.mark.slow  # a kernel; that a failed job names its cell is shown in test_sensor, and by a kernel in test_real_job
def test_a_failed_job_of_studio_names_its_cell(sagemaker, wait):
    start(sagemaker, "studio-fails", raw=notebook("x = 1", "x / 0"))
    with pytest.raises(NotebookCellError, match="failed in cell 2: ZeroDivisionError") as caught:
        wait("studio-fails")
    assert "x / 0" in str(caught.value)


def test_a_training_job_of_another_kind_gives_a_result_without_outputs_and_that_is_said(
    sagemaker, wait, caplog, capsys
):
    algorithm = {
        "TrainingImage": sagemaker.facts.image_uri,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["/bin/bash", "-c", "echo trained"],
    }
    start(sagemaker, "plain-job", AlgorithmSpecification=algorithm)
    result, xcoms = wait("plain-job")
    assert (result["status"], result["outputs"], result["executed_notebook_uri"]) == ("Completed", {}, None)
    assert xcoms["nbjobs_job"]["job_name"] == "plain-job"
    assert "Training job 'plain-job' is no notebook job" in caplog.text + capsys.readouterr().out


def test_a_job_that_stays_unknown_is_an_error(sagemaker, wait, monkeypatch):
    monkeypatch.setattr(watching, "UNKNOWN_SECONDS", 1.0)
    with pytest.raises(
        NotebookJobServiceError, match=f"no training job 'nowhere' in region '{sagemaker.facts.region}'"
    ):
        wait("nowhere")


def sleeping(sagemaker: EmbeddedSageMaker, name: str) -> None:
    script = ["/bin/bash", "-c", "while :; do sleep 0.1; done"]
    algorithm = {
        "TrainingImage": sagemaker.facts.image_uri,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": script,
    }
    start(sagemaker, name, AlgorithmSpecification=algorithm)


def stop_and_delete(sagemaker: EmbeddedSageMaker, name: str, meanwhile: Callable[[], Any] = lambda: None) -> Any:
    """SageMaker deletes no job that has not ended; returns what was done between its end and its deletion."""
    client = sagemaker.client("sagemaker")
    client.stop_training_job(TrainingJobName=name)
    client.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300}
    )
    done = meanwhile()
    client.delete_training_job(TrainingJobName=name)
    wait_until(lambda: not client.list_training_jobs(NameContains=name)["TrainingJobSummaries"])
    return done


@pytest.fixture
def connection(sagemaker, monkeypatch):
    """A connection, and no minute in which an unknown job may become known."""
    monkeypatch.setattr(watching, "UNKNOWN_SECONDS", 0.0)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", sagemaker.facts.airflow_connection())


@pytest.mark.usefixtures("connection")
def test_a_job_that_is_deleted_between_two_pokes_is_said_to_be(sagemaker):
    sleeping(sagemaker, "deleted-poked")
    task, context = SageMakerNotebookJobSensor(task_id="t", job_name="deleted-poked"), task_context()
    assert not task.poke(context)
    stop_and_delete(sagemaker, "deleted-poked")
    with pytest.raises(NotebookJobServiceError, match="'deleted-poked' was deleted while the task waited for it"):
        task.poke(context)


@pytest.mark.usefixtures("connection")
def test_a_job_that_is_deleted_while_the_task_is_deferred_is_said_to_be_gone(sagemaker):
    """Between the trigger's event and the worker's own look: the event says Stopped, and the worker finds nothing."""
    sleeping(sagemaker, "deleted-deferred")
    with pytest.raises(TaskDeferred) as deferred:
        SageMakerNotebookJobSensor(task_id="t", job_name="deleted-deferred").execute(task_context())
    event = stop_and_delete(sagemaker, "deleted-deferred", lambda: asyncio.run(anext(deferred.value.trigger.run())))
    assert (event.payload["status"], event.payload["error"]) == ("Stopped", None)
    resumed = SageMakerNotebookJobSensor(task_id="t", job_name="deleted-deferred")  # a worker of its own, in truth
    with pytest.raises(NotebookJobServiceError, match=r"'deleted-deferred' in region [^$]+ has been deleted since"):
        resumed.execute_complete(task_context(), event.payload)
