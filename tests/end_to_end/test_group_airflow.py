"""A group's warm pool in a real Airflow: used from task to task, given back after a failure, and never the reason that a run fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from local_jobs import notebook
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
DONE = {"success", "failed"}
DAG_FILE = """
from datetime import datetime, timedelta, UTC

from airflow.sdk import DAG

from airflow_nbjobs import NotebookTaskGroup, SageMakerNotebookJobOperator as Operator

for name, keep_last in (("three", {}), ("fails", {}), ("refused", {"keep_alive_period_in_seconds": 900})):
    # A worker that an API server on a busy machine does not answer is tried again; a cell that fails is not.
    patience = {"retries": 3, "retry_delay": timedelta(seconds=1)}
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args=patience):
        with NotebookTaskGroup(
            "g",
            input_notebook="report.ipynb",
            keep_alive_period_in_seconds=900,
            volume_size=30 + ["three", "fails", "refused"].index(name),
            retry_on_cell_error=False,
            waiter_delay=1,
        ):
            first = Operator(task_id="first")
            second = Operator(task_id="second", parameters={"epochs": 2})
            last = Operator(task_id="last", **keep_last)
        first >> second >> last
"""


@pytest.fixture
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2) as server:
        faults = Faults(server.facts)
        faults.warm_pool_quota("ml.m5.large", 5)
        faults.script_jobs(after_seconds=1, outputs={})
        faults.script_jobs(
            environment={"NBJOBS_DAG_ID": "fails", "NBJOBS_TASK_ID": "g.second"},
            cell=1,
            error=("ValueError", "no rows"),
        )
        faults.deny("UpdateTrainingJob", resource="refused-*")
        yield server


@pytest.fixture
def airflow(tmp_path: Path, sagemaker: EmbeddedSageMaker) -> Iterator[StandaloneAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "groups.py").write_text(DAG_FILE)
    (dags / "report.ipynb").write_bytes(notebook("print(epochs)", parameters="epochs = 1"))
    environment = {"AIRFLOW_CONN_AWS_DEFAULT": sagemaker.facts.airflow_connection(with_job_defaults=True)}
    with StandaloneAirflow(tmp_path, dags=dags, environment=environment) as standalone:
        yield standalone


def jobs_of(sagemaker: EmbeddedSageMaker) -> dict[tuple[str, str], dict[str, Any]]:
    client = sagemaker.client("sagemaker")
    names = [job["TrainingJobName"] for job in client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]]
    found = [client.describe_training_job(TrainingJobName=name) for name in names]
    return {(job["Environment"]["NBJOBS_DAG_ID"], job["Environment"]["NBJOBS_TASK_ID"][2:]): job for job in found}


def test_a_group_uses_one_machine_and_gives_it_back(airflow: StandaloneAirflow, sagemaker: EmbeddedSageMaker) -> None:
    def runs() -> dict[str, str]:
        return dict(map(tuple, airflow.query("SELECT dag_id, state FROM dag_run")))

    def states(dag_id: str) -> dict[str, str]:
        sql = "SELECT task_id, state FROM task_instance WHERE dag_id = :dag_id"
        return {task_id[2:]: state for task_id, state in airflow.query(sql, dag_id=dag_id)}

    for dag_id in ("three", "fails", "refused"):
        airflow.wait_for_dag(dag_id)
        airflow.command("dags", "trigger", dag_id)

    def are_over() -> bool:
        ended = [states(dag_id).get("release_warm_pool") for dag_id in runs()]
        return len(runs()) == 3 and set(runs().values()) <= DONE and set(ended) <= DONE

    airflow.wait(are_over, seconds=RUN_SECONDS, what=lambda: (runs(), [states(each) for each in runs()]))
    assert runs() == {"three": "success", "fails": "failed", "refused": "success"}, airflow.task_logs()
    green = dict.fromkeys(("first", "second", "last", "release_warm_pool"), "success")
    assert states("three") == green
    assert states("fails") == {**green, "second": "failed", "last": "upstream_failed"}
    assert states("refused") == {**green, "release_warm_pool": "failed"}

    jobs = jobs_of(sagemaker)
    assert len(jobs) == 8
    pools = {key: job["WarmPoolStatus"]["Status"] for key, job in jobs.items()}
    three = {("three", "first"): "Reused", ("three", "second"): "Reused", ("three", "last"): "Terminated"}
    fails = {("fails", "first"): "Reused", ("fails", "second"): "Terminated"}
    refused = {("refused", "first"): "Reused", ("refused", "second"): "Reused", ("refused", "last"): "Available"}
    assert pools == three | fails | refused
    for dag_id in ("three", "refused"):
        chain = [jobs[dag_id, task] for task in ("first", "second", "last")]
        assert [job["WarmPoolStatus"].get("ReusedByJob") for job in chain[:2]] == [
            job["TrainingJobName"] for job in chain[1:]
        ]
    assert "KeepAlivePeriodInSeconds" not in jobs["three", "last"]["ResourceConfig"]
    shown = dict(
        map(
            tuple,
            airflow.query(
                "SELECT task_id, CAST(rendered_fields AS TEXT) FROM rendered_task_instance_fields WHERE dag_id = 'three'"
            ),
        )
    )
    assert (
        "keep_alive_period_in_seconds" not in shown["g.last"]
        or '"keep_alive_period_in_seconds": null' in shown["g.last"]
    )
    assert "900" in shown["g.first"]

    log = airflow.task_logs("g.second")
    first = jobs["three", "first"]["TrainingJobName"]
    assert f"Ran on the machine of '{first}'" in log
    assert "billed as" in log
    log = airflow.task_logs("g.release_warm_pool")
    assert f"Released the machine that was kept after '{jobs['fails', 'second']['TrainingJobName']}'" in log
    assert "sagemaker:UpdateTrainingJob" in log
