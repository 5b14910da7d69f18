"""What ``nbjobs plan`` says a task costs: from what Airflow's database has of earlier jobs, where there is one."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.connection import Connection
from fakes import code, notebook
from job_rows import StoredXCom, add_jobs, job, open_database
from sqlalchemy import select

from airflow_nbjobs import cli
from airflow_nbjobs.commands.plan import database
from airflow_nbjobs.core.job.xcoms import END_KEY
from airflow_nbjobs.ui.data.xcom_values import plain

DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("dag_00", schedule=CronDataIntervalTimetable("@daily", timezone="UTC"), start_date=datetime(2026, 1, 1), catchup=False):
    SageMakerNotebookJobOperator(task_id="train", input_notebook="nb.ipynb", image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1")
"""


@pytest.fixture
def database_of(monkeypatch):
    """Makes a database of Airflow's with jobs of these ends, by run."""

    def make(ends):
        session = open_database("sqlite://", Connection)
        add_jobs(session, [{**job(0, dags=1), "run_id": run_id, "end": end} for run_id, end in ends.items()])

        @contextmanager
        def create_session():
            yield session

        monkeypatch.setattr("airflow.utils.session.create_session", create_session)
        monkeypatch.setattr(database, "_is_there", lambda: True)
        return session

    return make


@pytest.fixture
def stored(database_of):
    """Three earlier jobs that completed and one that failed."""
    ends = {"a": (60, "Completed"), "b": (120, "Completed"), "c": (3600, "Completed"), "d": (1, "Failed")}
    return database_of(
        {run_id: {"billable_seconds": seconds, "status": status} for run_id, (seconds, status) in ends.items()}
    )


@pytest.fixture
def plan(tmp_path, capsys):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code("day = ''", "parameters")))
    (tmp_path / "dag.py").write_text(DAG_FILE)

    def run(*options, text=False, whole=False):
        code_ = cli.main(["plan", str(tmp_path / "dag.py"), *options, *([] if text else ["-o", "json"])])
        said = capsys.readouterr().out
        assert code_ == 0 or whole
        if text:
            return said
        tasks = json.loads(said)["dags"][0]["tasks"]
        return tasks if whole else tasks[0]

    return run


def test_the_newest_20_jobs_count_and_one_without_a_bill_by_its_duration(plan, database_of):
    """A job that SageMaker has not billed took its time all the same."""
    ends = {
        f"r{number}": {"billable_seconds": 1000 + number, "duration_seconds": 1, "status": "Completed"}
        for number in reversed(range(25))
    }
    ends["r24"] |= {"billable_seconds": 0, "duration_seconds": 5000}
    session = database_of(ends)
    for row in session.scalars(select(StoredXCom).where(StoredXCom.key == END_KEY)):
        billed = plain(row.value)["billable_seconds"]
        row.timestamp = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=billed - 1000 if billed else 24)
    session.commit()
    estimate = plan()["estimate"]
    assert (estimate["earlier_jobs"], estimate["seconds"]) == (20, 1014.5)  # of 1005 to 1023, and 5000


@pytest.mark.parametrize("end", [{"billable_seconds": 60}, {"billable_seconds": None, "duration_seconds": 60}])
def test_a_job_is_billed_for_all_its_instances(plan, database_of, end):
    database_of({"a": end | {"status": "Completed", "instance_count": 3}})
    assert plan()["estimate"]["seconds"] == 180


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


@pytest.fixture
def mapped(tmp_path, plan):
    """Plans the task mapped over what is given; returns its indexes."""

    def run(expand, *options):
        text = DAG_FILE.replace("JobOperator(task_id", "JobOperator.partial(task_id").rstrip() + f".{expand}\n"
        (tmp_path / "dag.py").write_text(text)
        return plan(*options, whole=True)

    return run


@pytest.mark.usefixtures("stored")
def test_indexes_on_other_machines_have_estimates_of_their_own(mapped, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", '{"ml.m5.large": 3.0, "ml.p3.2xlarge": 30.0}')
    machines = ["ml.m5.large", "ml.p3.2xlarge", "ml.m5.large", "ml.m5.lage-", "ml.p3.2xlarge", "ml.p3.2xlarge"]
    tasks = mapped(f"expand(instance_type={machines})", "--backfill", "2026-01-01", "2026-01-02")
    found = [
        task["estimate"] and tuple(task["estimate"][name] for name in ("instance_type", "jobs", "cost"))
        for task in tasks
    ]
    assert found == [("ml.m5.large", 2, "$0.4000"), ("ml.p3.2xlarge", 3, "$6.0000"), None, None, None, None]
    assert "estimates: 1 indexes are in none, since their machines are not known" in tasks[0]["not_known"]


@pytest.mark.usefixtures("stored")
def test_a_problem_of_the_first_index_takes_no_estimate_from_the_others(mapped):
    tasks = mapped("expand(volume_size=[0, 1, 2])")
    assert [task["estimate"] and task["estimate"]["jobs"] for task in tasks] == [None, 3, None]


@pytest.mark.usefixtures("stored")
def test_a_machine_that_varies_beside_what_a_run_gives_is_none(mapped):
    other = "SageMakerNotebookJobOperator(task_id='other', input_notebook='nb.ipynb').output"
    tasks = mapped(f"expand(instance_type=['ml.m5.large', 'ml.p3.2xlarge'], parameters={other})")
    (task,) = [each for each in tasks if each["task_id"] == "train"]
    assert (task["estimate"]["instance_type"], task["estimate"]["jobs"]) == (None, None)


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
