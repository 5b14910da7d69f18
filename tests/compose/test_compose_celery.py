"""The profile ``celery`` of ``docker-compose.yaml`` as local processes: the sample pipeline, with a worker and a triggerer killed on the way."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from stack import Stack, until

from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import WAYS, try_way
from airflow_nbjobs.local.embedded import make_client
from airflow_nbjobs.local.state.facts import read_ready_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("airflow.providers.celery") is None,
        reason="needs the extra celery: pip install '.[celery]'",
    ),
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs Redis: .ci/needs redis-server"),
]

DAG_ID = "sentiment_pipeline"
# Airflow's own are 300, 10, 30 and 5 s: the same, sooner.
SOONER = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if all(try_way(way, inspect_image(Path(sys.prefix))) for way in WAYS[:2]):
        pytest.skip("no namespaces for the embedded SageMaker's own file system")
    folder = tmp_path_factory.mktemp("celery")
    with Stack(folder, {"COMPOSE_PROFILES": "celery"}, SOONER) as running:
        for name, service in running.services.items():
            if "healthcheck" in service:
                running.wait_healthy(name)
        yield running


class Watched:
    """A run of the sample, asked about at the API server."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.api = stack.api()
        self.until(lambda: self.api.has_dag(DAG_ID), seconds=200)
        self.run_id = self.api.trigger(DAG_ID, {"rows": 60, "epochs": 2})

    def tasks(self) -> dict[str, dict[str, Any]]:
        return {task["task_id"]: task for task in self.api.task_instances(DAG_ID, self.run_id)}

    def jobs(self) -> list[str]:
        assert self._stack.sagemaker
        facts = read_ready_file(self._stack.sagemaker.tmp("ready.json"))
        found = make_client(facts, "sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
        return [job["TrainingJobName"] for job in found]

    def until(self, condition: Callable[[], Any], *, seconds: float) -> Any:
        return until(condition, seconds=seconds, what=self.state, pause_seconds=0.1)

    def state(self) -> str:
        outputs = {
            name: self._stack.output(name)[-1500:] for name in ("scheduler", "worker-1", "worker-2", "triggerer")
        }
        return f"{self.tasks()}\n{outputs}"


def test_a_run_survives_the_loss_of_a_worker_and_of_a_triggerer_and_creates_each_job_once(stack: Stack) -> None:
    run = Watched(stack)

    def where(task_id: str, state: str) -> str:
        task = run.tasks()[task_id]
        if task["state"] != state:
            return ""
        return str(task["hostname"] if state == "running" else (task["triggerer_job"] or {}).get("hostname", ""))

    worker = run.until(lambda: where("preprocess", "running"), seconds=300)
    assert worker in ("worker-1", "worker-2")
    stack.kill(worker)
    other_worker = ({"worker-1", "worker-2"} - {worker}).pop()
    assert stack.unhealthy(worker) is not None
    assert stack.unhealthy(other_worker) is None

    triggerer = run.until(lambda: where("training", "deferred"), seconds=600)
    assert triggerer in ("triggerer", "triggerer-2")
    stack.kill(triggerer)

    run.until(lambda: run.api.run_state(DAG_ID, run.run_id) in ("success", "failed"), seconds=900)
    tasks = run.tasks()
    assert {task_id: task["state"] for task_id, task in tasks.items()} == dict.fromkeys(
        ("preprocess", "training", "transform-monitor"), "success"
    ), run.state()
    assert {task_id: task["try_number"] for task_id, task in tasks.items()} == {
        "preprocess": 2,  # the first was lost with its worker
        "training": 1,  # another triggerer went on with it
        "transform-monitor": 1,
    }
    assert {task["hostname"] for task in tasks.values()} == {other_worker}
    named = [run.api.xcom(task, "return_value")["job_name"] for task in tasks.values()]
    assert sorted(run.jobs()) == sorted(named)


def test_no_secret_of_the_broker_is_in_a_log(stack: Stack) -> None:
    password = (stack.volume("secrets") / "redis-password").read_text()
    logs = [path for path in (*stack.folder.glob("*.log"), *stack.volume("logs").rglob("*.log")) if path.is_file()]
    assert len(logs) > 8
    assert [path.name for path in logs if password in path.read_text(errors="replace")] == []
