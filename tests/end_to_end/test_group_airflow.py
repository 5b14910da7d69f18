"""A group's warm pool in a real Airflow: used from task to task, given back after a failure or a kill, and never the reason that a run fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from local_jobs import notebook
from postgres import PostgresServer
from standalone_airflow import ALL_ADMINS, StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
DONE = {"success", "failed"}
ENDING = ("three", "fails", "refused")
KILLED = ("killed", "in_worker", "whole_run")
DAG_FILE = """
from datetime import datetime, timedelta, UTC

from airflow.sdk import DAG

from airflow_nbjobs import NotebookTaskGroup, SageMakerNotebookJobOperator as Operator

DAGS = ("three", "fails", "refused", "killed", "in_worker", "whole_run")

for name in DAGS:
    # A worker that an API server on a busy machine does not answer is tried again; a cell that fails is not.
    patience = {"retries": 3, "retry_delay": timedelta(seconds=1)}
    keep_last = {"keep_alive_period_in_seconds": 900} if name == "refused" else {}
    with DAG(name, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args=patience):
        with NotebookTaskGroup(
            "g",
            input_notebook="report.ipynb",
            keep_alive_period_in_seconds=900,
            volume_size=30 + DAGS.index(name),
            retry_on_cell_error=False,
            waiter_delay=1,
            deferrable=name != "in_worker",
        ):
            first = Operator(task_id="first")
            second = Operator(task_id="second", parameters={"epochs": 2})
            last = Operator(task_id="last", **keep_last)
        first >> second >> last
"""


@pytest.fixture(scope="module")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2) as server:
        faults = Faults(server.facts)
        faults.warm_pool_quota("ml.m5.large", 6)
        faults.script_jobs(after_seconds=1, outputs={})
        faults.script_jobs(
            environment={"NBJOBS_DAG_ID": "fails", "NBJOBS_TASK_ID": "g.second"},
            cell=1,
            error=("ValueError", "no rows"),
        )
        for dag_id in KILLED:
            faults.script_jobs(environment={"NBJOBS_DAG_ID": dag_id, "NBJOBS_TASK_ID": "g.second"}, after_seconds=None)
        faults.deny("UpdateTrainingJob", resource="refused-*")
        yield server


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, sagemaker: EmbeddedSageMaker) -> Iterator[StandaloneAirflow]:
    home = tmp_path_factory.mktemp("groups")
    dags = home / "dags"
    dags.mkdir()
    (dags / "groups.py").write_text(DAG_FILE)
    (dags / "report.ipynb").write_bytes(notebook("print(epochs)", parameters="epochs = 1"))
    environment = {"AIRFLOW_CONN_AWS_DEFAULT": sagemaker.facts.airflow_connection(with_job_defaults=True), **ALL_ADMINS}
    with (
        PostgresServer() as database,
        StandaloneAirflow(home, dags=dags, environment=environment, database_url=database.url) as standalone,
    ):
        for dag_id in (*ENDING, *KILLED):
            standalone.wait_for_dag(dag_id)
        yield standalone


def jobs_of(sagemaker: EmbeddedSageMaker) -> dict[tuple[str, str], dict[str, Any]]:
    client = sagemaker.client("sagemaker")
    names = [job["TrainingJobName"] for job in client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]]
    found = [client.describe_training_job(TrainingJobName=name) for name in names]
    jobs = {(job["Environment"]["NBJOBS_DAG_ID"], job["Environment"]["NBJOBS_TASK_ID"][2:]): job for job in found}
    assert len(jobs) == len(found)
    return jobs


class Runs:
    """One run of each of some DAGs."""

    def __init__(self, airflow: StandaloneAirflow, *dag_ids: str) -> None:
        self._airflow = airflow
        self._dag_ids = dag_ids
        for dag_id in dag_ids:
            airflow.command("dags", "trigger", dag_id, "--run-id", "one")

    def runs(self) -> dict[str, str]:
        found = dict(map(tuple, self._airflow.query("SELECT dag_id, state FROM dag_run")))
        return {dag_id: found[dag_id] for dag_id in self._dag_ids if dag_id in found}

    def states(self, dag_id: str) -> dict[str, str]:
        sql = "SELECT task_id, state FROM task_instance WHERE dag_id = :dag_id"
        return {task_id[2:]: state for task_id, state in self._airflow.query(sql, dag_id=dag_id)}

    def wait(self, condition: Any) -> None:
        self._airflow.wait(condition, seconds=RUN_SECONDS, what=self._said)

    def wait_for_ends(self) -> None:
        self.wait(self._are_over)

    def _are_over(self) -> bool:
        ended = [self.states(dag_id).get("release_warm_pool") for dag_id in self._dag_ids]
        return len(self.runs()) == len(self._dag_ids) and set(self.runs().values()) <= DONE and set(ended) <= DONE

    def _said(self) -> str:
        return f"{self.runs()} {[self.states(each) for each in self._dag_ids]}"


GREEN = dict.fromkeys(("first", "second", "last", "release_warm_pool"), "success")


def test_a_group_uses_one_machine_and_gives_it_back(airflow: StandaloneAirflow, sagemaker: EmbeddedSageMaker) -> None:
    played = Runs(airflow, *ENDING)
    played.wait_for_ends()
    assert played.runs() == {"three": "success", "fails": "failed", "refused": "success"}, airflow.task_logs()
    states = played.states
    assert states("three") == GREEN
    assert states("fails") == {**GREEN, "second": "failed", "last": "upstream_failed"}
    assert states("refused") == {**GREEN, "release_warm_pool": "failed"}

    jobs = {key: job for key, job in jobs_of(sagemaker).items() if key[0] in ENDING}
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


def test_a_member_that_a_user_kills_leaves_neither_its_job_nor_its_machine(
    airflow: StandaloneAirflow, sagemaker: EmbeddedSageMaker
) -> None:
    """Deferred, in its worker, and with its whole run: each marked as failed, as the UI does it, while its job runs."""
    played = Runs(airflow, *KILLED)

    def are_running() -> bool:
        found = jobs_of(sagemaker)
        waiting = {"killed": "deferred", "in_worker": "running", "whole_run": "deferred"}
        return {dag_id: played.states(dag_id).get("second") for dag_id in KILLED} == waiting and all(
            found.get((dag_id, "second"), {}).get("TrainingJobStatus") == "InProgress" for dag_id in KILLED
        )

    played.wait(are_running)
    for dag_id in ("killed", "in_worker"):
        airflow.api(
            f"/api/v2/dags/{dag_id}/dagRuns/one/taskInstances/g.second", {"new_state": "failed"}, method="PATCH"
        )
    airflow.api("/api/v2/dags/whole_run/dagRuns/one", {"state": "failed"}, method="PATCH")
    played.wait_for_ends()

    after_kill = {**GREEN, "second": "failed", "last": "upstream_failed"}
    assert {dag_id: played.states(dag_id) for dag_id in KILLED} == {
        "killed": after_kill,
        "in_worker": after_kill,
        "whole_run": {**after_kill, "last": "skipped"},
    }
    # Airflow decides about a run with a teardown by its last tasks, once that has ended, and has skipped them itself (apache/airflow#45530).
    assert played.runs() == {"killed": "failed", "in_worker": "failed", "whole_run": "success"}

    jobs = {key: job for key, job in jobs_of(sagemaker).items() if key[0] in KILLED}
    assert {key: job["TrainingJobStatus"] for key, job in jobs.items()} == {
        (dag_id, task): status for dag_id in KILLED for task, status in (("first", "Completed"), ("second", "Stopped"))
    }
    assert {key: job["WarmPoolStatus"]["Status"] for key, job in jobs.items()} == {
        (dag_id, task): status for dag_id in KILLED for task, status in (("first", "Reused"), ("second", "Terminated"))
    }
    log = airflow.task_logs("g.release_warm_pool")
    for dag_id in KILLED:
        assert f"Released the machine that was kept after '{jobs[dag_id, 'second']['TrainingJobName']}'" in log
