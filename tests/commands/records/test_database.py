"""What the commands read from Airflow's own tables."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG, BaseOperator
from airflow.serialization import serialized_objects
from job_rows import add_jobs, job, open_database
from sqlalchemy import update

from airflow_nbjobs.commands.records.database import DatabaseRecords
from airflow_nbjobs.commands.records.port import NoSuchRunError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.ui.data import queries

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow < 3.3
    TaskStateStoreModel = None
SERIALIZER = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG  # 3.2 renamed it
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def session():
    """Two runs of a DAG with a notebook task and a plain one."""
    models = [SerializedDagModel, DagVersion, DagModel, RenderedTaskInstanceFields]
    session = open_database("sqlite://", *models, *([TaskStateStoreModel] if TaskStateStoreModel else []))
    with DAG("d", schedule=None, start_date=START) as dag:
        SageMakerNotebookJobOperator(task_id="train", input_notebook="a.ipynb", s3_root_uri="s3://b/x")
        BaseOperator(task_id="plain")
    version = DagVersion(dag_id="d", version_number=1, bundle_name="b")
    session.add(version)
    session.flush()
    serialized = SerializedDagModel(serialized_objects.LazyDeserializedDAG(data=SERIALIZER.to_dict(dag)))
    serialized.dag_version = version
    session.add(serialized)
    rows = [
        job(number) | {"dag_id": "d", "run_id": run_id, "task_id": task_id, "started": START + timedelta(days=number)}
        for number, run_id in enumerate(("r0", "r1"))
        for task_id in ("train", "plain")
    ]
    add_jobs(session, rows)
    session.execute(update(TaskInstance).values(dag_version_id=version.id))
    session.execute(update(DagRun).values(state="success"))
    session.commit()
    queries._tasks.clear()
    yield session
    session.close()
    session.bind.dispose()


@pytest.fixture
def records(session):
    @contextmanager
    def make_session():
        yield session

    return DatabaseRecords(make_session)


def test_runs_are_read_with_what_names_and_dates_them(records):
    runs = records.runs()
    assert [(run.dag_id, run.run_id, run.state, run.has_ended) for run in runs] == [
        ("d", "r0", "success", True),
        ("d", "r1", "success", True),
    ]
    assert records.run("d", "r1") == runs[1]
    assert runs[1].run_after == START + timedelta(days=1)


def test_a_run_that_is_not_there_is_said_with_the_newest_that_are(records):
    with pytest.raises(NoSuchRunError) as caught:
        records.run("d", "r9")
    assert "'r1', 'r0'" in str(caught.value)
    with pytest.raises(NoSuchRunError, match="no run 'r0' of DAG 'e'"):
        records.run("e", "r0")


def test_only_notebook_tasks_are_read_one_run_or_all(records):
    assert [ti.task_id for ti in records.task_instances(records.run("d", "r0"))] == ["train"]
    (first, second) = sorted(records.all_task_instances(["d"]), key=lambda ti: ti.run_id)
    alone = records.task_instances(records.run("d", "r0"))[0]
    assert (first.run_id, second.run_id, first.job) == ("r0", "r1", None)
    for name in ("run_started", "max_tries", "kind", "map_index", "state", "try_number"):
        assert getattr(first, name) == getattr(alone, name)
    assert first.argument("s3_root_uri") == "s3://b/x"
    assert list(records.all_task_instances(["e"])) == []


def test_what_the_tasks_of_a_run_pushed_is_searched_for_names(records):
    texts = [text for run, text in records.texts([records.run("d", "r1")]) if run.run_id == "r1"]
    assert any("job-1" in text or "job-2" in text for text in texts)
    assert not any("job-0" in text for text in texts)


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", "scheduled", "restarting"])
def test_a_task_that_goes_on_keeps_its_run_under_way(records, session, state):
    run = records.run("d", "r0")
    session.execute(update(TaskInstance).where(TaskInstance.task_id == "train").values(state="failed"))
    assert records.is_under_way(run) is False
    session.execute(update(TaskInstance).where(TaskInstance.run_id == "r0").values(state=state))
    assert records.is_under_way(run) is True
    session.rollback()


def test_a_run_that_was_cleared_or_deleted_counts_as_under_way(records, session):
    run = records.run("d", "r0")
    session.execute(update(DagRun).where(DagRun.run_id == "r0").values(state="queued"))
    assert records.is_under_way(run) is True
    session.rollback()
    session.execute(update(DagRun).where(DagRun.run_id == "r0").values(run_id="gone"))
    assert records.is_under_way(run) is True
    session.rollback()
