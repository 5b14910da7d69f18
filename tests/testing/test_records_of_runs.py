"""What the newest run of a DAG has left, read off Airflow's own tables; without an Airflow that runs it."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils import session as airflow_session
from job_rows import add_jobs, job, open_database
from sqlalchemy import update

from airflow_nbjobs.testing.records import newest_run

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(monkeypatch):
    """Runs r0 to r2 of a DAG, of which r1 was changed last."""
    session = open_database()
    rows = [
        job(number) | {"dag_id": "d", "run_id": f"r{number}", "task_id": task_id}
        for number in range(3)
        for task_id in ("train", "never")
    ]
    add_jobs(session, rows)
    for number, changed in enumerate((1, 9, 5)):
        moment = SINCE + timedelta(minutes=changed)
        session.execute(update(DagRun).where(DagRun.run_id == f"r{number}").values(updated_at=moment, state="success"))
    session.execute(update(TaskInstance).where(TaskInstance.task_id == "never").values(state=None))
    session.execute(update(TaskInstance).where(TaskInstance.task_id == "train").values(state="success"))
    session.commit()

    @contextmanager
    def created():
        yield session

    monkeypatch.setattr(airflow_session, "create_session", created)
    yield session
    session.close()
    session.bind.dispose()


@pytest.mark.usefixtures("database")
def test_it_is_the_run_that_was_changed_last():
    found = newest_run("d", SINCE)
    assert (found["state"], found["tasks"]) == ("success", [["train", -1, "success"], ["never", -1, None]])
    values = {(task_id, key): value for task_id, index, key, value in found["xcoms"] if index == -1}
    assert (values["train", "nbjobs_job"]["job_name"], values["never", "nbjobs_job"]["job_name"]) == ("job-2", "job-3")
    assert values["train", "return_value"] == {"outputs": {"accuracy": 0.5}}


@pytest.mark.usefixtures("database")
def test_what_was_not_changed_since_then_is_no_run_of_this_test():
    assert newest_run("d", SINCE + timedelta(minutes=9)) is not None
    assert newest_run("d", SINCE + timedelta(minutes=9, seconds=1)) is None
    assert newest_run("e", SINCE) is None


def test_a_run_without_a_state_has_none(database):
    database.execute(update(DagRun).values(state=None))
    assert newest_run("d", SINCE)["state"] is None
