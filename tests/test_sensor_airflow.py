"""Sensors in a real Airflow: which of them hold a worker, and what a triggerer does with their templates."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.triggers.base import BaseTrigger

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.demo,
    pytest.mark.skipif(
        not hasattr(BaseTrigger, "on_kill"), reason="Airflow < 3.3 renders no templates in the triggerer"
    ),
]

START_SECONDS = 120
RUN_SECONDS = 120
DONE = {"success", "failed", "skipped", "upstream_failed"}
DAG_FILE = """
from datetime import datetime, UTC

from airflow.sdk import DAG, Param, task

from airflow_nbjobs.sensors import SageMakerNotebookJobSensor as Sensor

with DAG("waits", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"job": Param("", type="string")}):
    @task
    def submitted(params: dict) -> dict:
        return {"job_name": params["job"]}

    by_output = Sensor(task_id="by_output", job_name=submitted())
    Sensor(task_id="by_param", job_name="{{ params.job }}")
    Sensor(task_id="by_xcom", job_name="{{ ti.xcom_pull('submitted')['job_name'] }}") << by_output.get_direct_relatives(upstream=True)
    Sensor(task_id="by_date", job_name="{{ params.job }}{{ ds_nodash }}")
    Sensor(task_id="unknown", job_name="no-such-job", soft_fail=True)
    Sensor(task_id="impatient", job_name="{{ params.job }}", timeout=1)
    Sensor.partial(task_id="mapped").expand(job_name=["{{ params.job }}"])
"""


class Standalone:
    """A real Airflow of its own, ended by its process group."""

    def __init__(self, home: Path, sagemaker: EmbeddedSageMaker) -> None:
        (home / "dags").mkdir()
        (home / "dags" / "waits.py").write_text(DAG_FILE)
        port, *log_ports = (_free_port() for _ in range(3))
        self._home = home
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
            "AIRFLOW_CONN_AWS_DEFAULT": sagemaker.facts.airflow_connection(),
        }
        with (home / "standalone.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command("standalone"),
                env=self._environment,
                cwd=home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "airflow", *arguments]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            with closing(sqlite3.connect(self._home / "airflow.db", timeout=10)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:  # not migrated yet
            return []

    def wait(self, is_met: Any, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not is_met():
            log = (self._home / "standalone.log").read_text(errors="replace")
            assert self._process.poll() is None, log[-3000:]
            assert time.monotonic() < deadline, self.states()
            time.sleep(0.2)

    def trigger(self, **conf: Any) -> None:
        self.wait(lambda: self.query("SELECT 1 FROM serialized_dag WHERE dag_id = 'waits'"), START_SECONDS)
        command = self._command("dags", "trigger", "waits", "--conf", json.dumps(conf))
        subprocess.run(command, env=self._environment, cwd=self._home, check=True, capture_output=True, timeout=60)

    def states(self) -> dict[str, str | None]:
        return dict(self.query("SELECT task_id, state FROM task_instance"))

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker() as server:
        yield server


@pytest.fixture
def airflow(tmp_path, sagemaker) -> Iterator[Standalone]:
    standalone = Standalone(tmp_path, sagemaker)
    try:
        yield standalone
    finally:
        standalone.stop()


def test_sensors_wait_without_a_worker_and_each_ends_as_it_should(airflow, sagemaker):
    facts, client = sagemaker.facts, sagemaker.client("sagemaker")
    # Runs until the test lets it go, so that every sensor has to wait.
    gate = f"s3://{facts.default_bucket}/gate"
    script = f"until python -c \"import boto3; boto3.client('s3').head_object(Bucket='{facts.default_bucket}', Key='gate')\" 2> /dev/null; do sleep 0.5; done"
    client.create_training_job(
        TrainingJobName="waited-for",
        RoleArn=facts.role_arn,
        AlgorithmSpecification={
            "TrainingImage": facts.image_uri,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
        },
        OutputDataConfig={"S3OutputPath": gate},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    airflow.trigger(job="waited-for")
    waiting = {"by_param", "by_output", "by_xcom", "mapped"}
    ended = {"submitted": "success", "by_date": "failed", "unknown": "skipped", "impatient": "failed"}
    airflow.wait(
        lambda: airflow.states() == dict.fromkeys(waiting, "deferred") | ended,
        RUN_SECONDS,
    )
    # Nothing was pushed by a sensor that no worker has seen yet.
    announced = {task_id for (task_id,) in airflow.query("SELECT task_id FROM xcom WHERE key = 'nbjobs_job'")}
    assert announced & waiting == {"by_output", "by_xcom", "mapped"}

    sagemaker.client("s3").put_object(Bucket=facts.default_bucket, Key="gate", Body=b"")
    airflow.wait(lambda: set(airflow.states().values()) <= DONE, RUN_SECONDS)
    assert airflow.states() == dict.fromkeys(waiting, "success") | ended
    results = dict(airflow.query("SELECT task_id, value FROM xcom WHERE key = 'return_value'"))
    assert {name: json.loads(results[name])["status"] for name in waiting} == dict.fromkeys(waiting, "Completed")
    assert client.describe_training_job(TrainingJobName="waited-for")["TrainingJobStatus"] == "Completed"
