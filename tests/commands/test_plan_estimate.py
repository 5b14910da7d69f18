"""What ``nbjobs plan`` says a task costs: from what Airflow's database has of earlier jobs, where there is one."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from airflow.models.connection import Connection
from fakes import code, notebook
from job_rows import add_jobs, job, open_database

from airflow_nbjobs import cli
from airflow_nbjobs.commands.plan import database

DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("dag_00", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"), start_date=datetime(2026, 1, 1), catchup=False):
    SageMakerNotebookJobOperator(task_id="train", input_notebook="nb.ipynb", image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1")
"""


@pytest.fixture
def stored(monkeypatch):
    """A database of Airflow's, with three earlier jobs that completed and one that failed."""
    session = open_database("sqlite://", Connection)
    ends = {"a": (60, "Completed"), "b": (120, "Completed"), "c": (3600, "Completed"), "d": (1, "Failed")}
    add_jobs(
        session,
        [
            {**job(0, dags=1), "run_id": run_id, "end": {"billable_seconds": seconds, "status": status}}
            for run_id, (seconds, status) in ends.items()
        ],
    )

    @contextmanager
    def create_session():
        yield session

    monkeypatch.setattr("airflow.utils.session.create_session", create_session)
    monkeypatch.setattr(database, "_is_there", lambda: True)
    return session


@pytest.fixture
def plan(tmp_path, capsys):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code("day = ''", "parameters")))
    (tmp_path / "dag.py").write_text(DAG_FILE)

    def run(*options, text=False):
        assert cli.main(["plan", str(tmp_path / "dag.py"), *options, *([] if text else ["-o", "json"])]) == 0
        said = capsys.readouterr().out
        return said if text else json.loads(said)["dags"][0]["tasks"][0]

    return run


@pytest.mark.usefixtures("stored")
def test_an_estimate_is_the_median_of_completed_jobs_times_the_runs_at_the_configured_price(plan, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", '{"ml.m5.large": 3.0}')
    estimate = plan("--backfill", "2026-01-01", "2026-01-10")["estimate"]
    assert (estimate["seconds"], estimate["earlier_jobs"], estimate["runs"]) == (120.0, 3, 10)
    assert estimate["hours"] == pytest.approx(10 * 120 / 3600)
    assert estimate["cost"] == "$1.0000"
    text = plan("--backfill", "2026-01-01", "2026-01-10", text=True)
    assert (
        "estimate: 2 min 0 s of ml.m5.large (median of 3 jobs) x 10 runs = 0.33 instance hours, $1.0000 at the configured price"
        in text
    )


@pytest.mark.usefixtures("stored")
def test_without_a_price_there_are_hours_alone(plan):
    estimate = plan()["estimate"]
    assert (estimate["runs"], estimate["cost"]) == (1, None)
    assert "[nbjobs] instance_prices has no price of it" in plan(text=True)


def test_without_a_database_there_is_no_guess(plan):
    estimate = plan()["estimate"]
    assert (estimate["seconds"], estimate["hours"], estimate["cost"], estimate["earlier_jobs"]) == (None, None, None, 0)
    assert "no earlier job is known here; at most 48 h 0 min each" in plan(text=True)


def test_the_databases_connection_counts(plan, stored):
    extra = {"region_name": "eu-west-1", "nbjobs": {"role": "Jobs", "s3_root_uri": "s3://acme/nb"}}
    stored.add(Connection(conn_id="aws_default", conn_type="aws", extra=json.dumps(extra)))
    stored.commit()
    assert plan()["not_known"] == ["role: the ARN of 'Jobs' (IAM is asked for it)"]


def test_sqlite_is_not_made_by_looking_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")
    database._is_there.cache_clear()
    try:
        assert database.ask_database(lambda session: session) is None
    finally:
        database._is_there.cache_clear()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/airflow", "nonsense"])
def test_a_database_that_does_not_answer_is_none(url, monkeypatch):
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
    database._is_there.cache_clear()
    try:
        assert database.ask_database(lambda session: session) is None
    finally:
        database._is_there.cache_clear()
