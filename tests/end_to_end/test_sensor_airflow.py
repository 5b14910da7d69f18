"""Sensors in a real Airflow: which of them hold a worker, and what a triggerer does with their templates."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from airflow.triggers.base import BaseTrigger
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 900  # half a minute each, where the machine has nothing else to do
DONE = {"success", "failed", "skipped", "upstream_failed"}
# Airflow renders templates in the triggerer from 3.3 on, which brought `on_kill` as well.
STARTS_IN_TRIGGERER = {"by_param"} if hasattr(BaseTrigger, "on_kill") else set()
DAG_FILE = """
from datetime import datetime, UTC

from airflow.sdk import DAG, Param, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Operator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor as Sensor

with DAG("waits", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"job": Param("", type="string")}):
    @task
    def submitted(params: dict) -> dict:
        return {"job_name": params["job"]}

    by_output = Sensor(task_id="by_output", job_name=submitted())
    Sensor(task_id="by_param", job_name="{{ params.job }}")
    Sensor(task_id="by_xcom", job_name="{{ ti.xcom_pull('submitted')['job_name'] }}") << by_output.get_direct_relatives(upstream=True)
    Sensor(task_id="by_date", job_name="{{ params.job }}{{ ds_nodash }}")
    Operator(task_id="operator_by_date", input_notebook="report.ipynb", parameters={"day": "{{ ds }}"})
    Sensor(task_id="unknown", job_name="no-such-job", soft_fail=True)
    Sensor(task_id="impatient", job_name="{{ params.job }}", timeout=1)
    Sensor.partial(task_id="mapped").expand(job_name=["{{ params.job }}"])
"""


@pytest.fixture
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=1) as server:
        yield server


@pytest.fixture
def airflow(tmp_path: Path, sagemaker: EmbeddedSageMaker) -> Iterator[StandaloneAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "waits.py").write_text(DAG_FILE)
    environment = {"AIRFLOW_CONN_AWS_DEFAULT": sagemaker.facts.airflow_connection()}
    with StandaloneAirflow(tmp_path, dags=dags, environment=environment) as standalone:
        yield standalone


def start(sagemaker: EmbeddedSageMaker, name: str, script: str) -> None:
    facts = sagemaker.facts
    sagemaker.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=facts.role_arn,
        AlgorithmSpecification={
            "TrainingImage": facts.image_uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
        },
        OutputDataConfig={"S3OutputPath": f"s3://{facts.default_bucket}/jobs"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )


def test_sensors_wait_without_a_worker_and_each_ends_as_it_should(airflow, sagemaker):
    def states() -> dict[str, str | None]:
        return dict(map(tuple, airflow.query("SELECT task_id, state FROM task_instance")))

    # The server runs one job at a time: the second waits until the test lets it go, so that every sensor has to wait.
    start(sagemaker, "in-the-way", "while :; do sleep 0.1; done")
    start(sagemaker, "waited-for", "true")
    airflow.wait_for_dag("waits")
    airflow.command("dags", "trigger", "waits", "--conf", json.dumps({"job": "waited-for"}))
    waiting = {"by_param", "by_output", "by_xcom", "mapped"}
    ended = {
        "submitted": "success",
        "by_date": "failed",
        "operator_by_date": "failed",
        "unknown": "skipped",
        "impatient": "failed",
    }
    expected = dict.fromkeys(waiting, "deferred") | ended
    airflow.wait(lambda: states() == expected, seconds=RUN_SECONDS, what=states)
    # Whom an executor was given, or a worker has begun to run, is known to Airflow; one that has begun has announced its job as well.
    queued = {name for (name,) in airflow.query("SELECT task_id FROM task_instance WHERE queued_dttm IS NOT NULL")}
    begun = {name for (name,) in airflow.query("SELECT task_id FROM task_instance WHERE pid IS NOT NULL")}
    announced = {name for (name,) in airflow.query("SELECT task_id FROM xcom WHERE key = 'nbjobs_job'")}
    assert [each & waiting for each in (queued, begun, announced)] == [waiting - STARTS_IN_TRIGGERER] * 3

    sagemaker.client("sagemaker").stop_training_job(TrainingJobName="in-the-way")
    airflow.wait(lambda: set(states().values()) <= DONE, seconds=RUN_SECONDS, what=states)
    assert states() == dict.fromkeys(waiting, "success") | ended, airflow.task_logs()
    results = dict(
        map(tuple, airflow.query("SELECT task_id, CAST(value AS TEXT) FROM xcom WHERE key = 'return_value'"))
    )
    assert {name: json.loads(results[name])["status"] for name in waiting} == dict.fromkeys(waiting, "Completed")
    # Waiting is all that a sensor does to a job.
    job = sagemaker.client("sagemaker").describe_training_job(TrainingJobName="waited-for")
    assert job["TrainingJobStatus"] == "Completed"
    for task_id in ("by_date", "operator_by_date"):
        assert "dag_run.run_after" in airflow.task_logs(task_id)
