"""What both ways to an Airflow, its database and its REST API, say of the same runs: the contract that ``nbjobs clean`` deletes by."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.asset import AssetEvent, association_table
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.bases.xcom import BaseXCom
from airflow.sdk.execution_time import xcom
from airflow.serialization import serialized_objects
from airflow_api import AirflowApi
from job_rows import StoredXCom, add_jobs, add_xcoms, job, open_database
from sqlalchemy import delete, insert, select, update

from airflow_nbjobs.commands.records.database import DatabaseRecords
from airflow_nbjobs.commands.records.port import CUT, FORGOTTEN, UNASKED, UNREAD, NoSuchRunError
from airflow_nbjobs.commands.records.rest import RestRecords
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.ui.data import queries

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow < 3.3
    TaskStateStoreModel = None
SERIALIZER = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG  # 3.2 renamed it
START = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = list(SageMakerNotebookJobOperator.template_fields)
TASKS = {
    "d": [
        {"task_id": "train", "template_fields": FIELDS, "operator_name": "SageMakerNotebookJobOperator"},
        {"task_id": "plain", "template_fields": [], "operator_name": "BaseOperator"},
    ]
}
STARTED = 1767323045678901


@pytest.fixture(scope="module")
def database():
    """Runs r0 to r2 of a DAG with a notebook task and a plain one, all ended."""
    models = [SerializedDagModel, DagVersion, DagModel, RenderedTaskInstanceFields, AssetEvent]
    session = open_database("sqlite://", *models, *([TaskStateStoreModel] if TaskStateStoreModel else []))
    association_table.create(session.get_bind(), checkfirst=True)
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
        job(number)
        | {"dag_id": "d", "run_id": f"r{number}", "task_id": task_id, "started": START + timedelta(days=number)}
        for number in range(3)
        for task_id in ("train", "plain")
    ]
    add_jobs(session, rows)
    session.execute(update(TaskInstance).values(dag_version_id=version.id, state="success", operator="BaseOperator"))
    session.execute(
        update(TaskInstance).where(TaskInstance.task_id == "train").values(operator="SageMakerNotebookJobOperator")
    )
    session.execute(update(DagRun).values(state="success"))
    for run_id in ("r0", "r1", "r2"):
        add_fields(session, run_id, "train", dict.fromkeys(FIELDS) | {"s3_root_uri": "s3://b/x"})
        add_fields(session, run_id, "plain", {"model": f"s3://b/x/given-{run_id}"})
    session.commit()
    yield session
    session.close()
    session.bind.dispose()


@pytest.fixture
def session(database):
    """A test's own changes are taken back."""
    queries._tasks.clear()
    yield database
    database.rollback()


def instance_of(session, run_id, task_id):
    return session.scalar(select(TaskInstance).where(TaskInstance.run_id == run_id, TaskInstance.task_id == task_id))


def key_of(session, run_id, task_id):
    """What names a task instance in the table of rendered fields: its id from Airflow 3.4 on."""
    columns = set(RenderedTaskInstanceFields.__table__.columns.keys())
    if "task_instance_id" in columns:
        return {"task_instance_id": instance_of(session, run_id, task_id).id}
    return {"dag_id": "d", "run_id": run_id, "task_id": task_id, "map_index": -1}


def add_fields(session, run_id, task_id, fields):
    values = key_of(session, run_id, task_id)
    session.execute(insert(RenderedTaskInstanceFields).values(**values, rendered_fields=fields))


def forget_fields(session, run_id, task_id):
    session.execute(delete(RenderedTaskInstanceFields).filter_by(**key_of(session, run_id, task_id)))


@pytest.fixture(params=["database", "rest"])
def records(request, session):
    @contextmanager
    def make_session():
        yield session

    if request.param == "database":
        return DatabaseRecords(make_session)
    return RestRecords(AirflowApi(session, TASKS).client())


def said(records, *run_ids, in_use=None):
    """What texts are of these runs, which all go on unless it is said, and what gaps, by run."""
    in_use = {("d", run_id) for run_id in run_ids} if in_use is None else in_use
    found = list(records.texts([records.run("d", run_id) for run_id in run_ids], in_use=in_use))
    return {run_id: "\n".join(each.text for each in found if each.run.run_id == run_id) for run_id in run_ids}, Counter(
        (each.run.run_id, each.gap) for each in found if each.gap
    )


def test_runs_are_the_same(records, session):
    runs = records.runs()
    assert [(run.dag_id, run.run_id, run.state) for run in runs] == [("d", f"r{n}", "success") for n in range(3)]
    assert [run.run_after for run in runs] == [START + timedelta(days=number) for number in range(3)]
    assert records.run("d", "r1") == runs[1]


def test_a_run_that_is_not_there_is_said_with_the_newest_that_are(records):
    with pytest.raises(NoSuchRunError, match="'r2', 'r1', 'r0'"):
        records.run("d", "r9")
    with pytest.raises(NoSuchRunError, match="no run 'r0' of DAG 'e'"):
        records.run("e", "r0")


def test_notebook_tasks_are_the_same(records):
    unknown = Counter()
    found = list(records.all_task_instances(["d"], unknown=unknown))
    assert sorted((ti.task_id, ti.run_id, ti.argument("s3_root_uri")) for ti in found) == [
        ("train", f"r{number}", "s3://b/x") for number in range(3)
    ]
    assert not unknown
    assert [ti.task_id for ti in records.task_instances(records.run("d", "r2"))] == ["train"]


def test_a_plain_task_whose_name_a_notebook_has_by_now_is_none(session):
    """What Airflow has rendered tells what ran, not what the DAG has today."""
    train, plain = TASKS["d"]
    records = RestRecords(AirflowApi(session, {"d": [train, train | {"task_id": plain["task_id"]}]}).client())
    assert [ti.task_id for ti in records.task_instances(records.run("d", "r2"))] == ["train"]


def test_outputs_are_those_of_the_task_instance(records, session):
    run = session.scalar(select(DagRun).where(DagRun.run_id == "r1"))
    of_run = {"dag_id": "d", "run_id": "r1", "map_index": -1, "dag_run_id": run.id}
    pushed = {("train", "accuracy"): 0.5, ("train", "rows"): [1, 2], ("plain", "loss"): 2, ("train", "a b"): None}
    add_xcoms(session, [of_run | {"task_id": task, "key": key, "value": it} for (task, key), it in pushed.items()])
    session.expire_all()
    (ti,) = records.task_instances(records.run("d", "r1"))
    assert records.outputs(ti) == {"accuracy": 0.5, "rows": [1, 2], "a b": None}
    (other,) = records.task_instances(records.run("d", "r2"))
    assert records.outputs(other) == {}


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", "scheduled", "restarting", "newer"])
def test_a_run_of_which_a_task_goes_on_is_under_way_whatever_its_own_state(records, session, state):
    run = records.run("d", "r0")
    assert (records.under_way(), records.is_under_way(run)) == (set(), False)
    instance = instance_of(session, "r0", "plain")
    session.execute(update(TaskInstance).where(TaskInstance.id == instance.id).values(state=state))
    session.expire_all()
    assert (records.under_way(), records.is_under_way(run)) == ({("d", "r0")}, True)


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "upstream_failed", "removed", None])
def test_a_run_of_which_all_tasks_have_ended_is_not(records, session, state):
    session.execute(update(TaskInstance).where(TaskInstance.run_id == "r0").values(state=state))
    session.expire_all()
    assert (records.under_way(), records.is_under_way(records.run("d", "r0"))) == (set(), False)


@pytest.mark.parametrize("change", [{"state": "queued"}, {"state": "running"}, {"run_id": "gone"}])
def test_a_run_that_was_cleared_or_deleted_counts_as_under_way(records, session, change):
    run = records.run("d", "r0")
    session.execute(update(DagRun).where(DagRun.run_id == "r0").values(**change))
    session.expire_all()
    assert records.is_under_way(run) is True


def test_what_tasks_were_given_is_read(records):
    texts, gaps = said(records, "r0", "r1")
    assert ("given-r0" in texts["r0"], "given-r1" in texts["r0"]) == (True, False)
    assert "given-r1" in texts["r1"]
    assert not gaps


def test_what_tasks_have_pushed_is_read_of_runs_that_may_use_it(records):
    texts, gaps = said(records, "r1", "r2", in_use={("d", "r1")})
    assert "job-2" in texts["r1"]
    assert "job-0" not in texts["r1"]
    by_rest = isinstance(records, RestRecords)
    assert ("job-4" in texts["r2"]) is not by_rest, "by REST each value is a call"
    assert gaps == ({("r2", UNASKED): 1} if by_rest else {})


def test_what_whoever_triggered_a_run_has_given_is_read(records, session):
    session.execute(update(DagRun).where(DagRun.run_id == "r1").values(conf={"model": "s3://b/x/in-conf"}))
    session.expire_all()
    texts, _ = said(records, "r0", "r1")
    assert ("in-conf" in texts["r0"], "in-conf" in texts["r1"]) == (False, True)


def test_what_the_events_say_that_triggered_a_run_is_read(records, session):
    session.execute(update(DagRun).where(DagRun.run_id == "r1").values(run_type="asset_triggered"))
    event = AssetEvent(asset_id=1, extra={"executed_notebook_uri": "s3://b/x/in-event"}, timestamp=START)
    session.add(event)
    session.flush()
    run = session.scalar(select(DagRun.id).where(DagRun.run_id == "r1"))
    session.execute(insert(association_table).values(dag_run_id=run, event_id=event.id))
    session.expire_all()
    texts, _ = said(records, "r0", "r1")
    assert ("in-event" in texts["r0"], "in-event" in texts["r1"]) == (False, True)


def test_fields_that_were_cut_or_are_gone_are_said(records, session):
    cut = "Truncated. You can change this behaviour in [core]max_templated_field_length. 's3://b/x/..."
    forget_fields(session, "r0", "plain")
    add_fields(session, "r0", "plain", {"model": cut})
    forget_fields(session, "r1", "plain")
    forget_fields(session, "r2", "plain")
    never = instance_of(session, "r2", "plain")
    session.execute(update(TaskInstance).where(TaskInstance.id == never.id).values(state=None, try_number=0))
    session.expire_all()
    _, gaps = said(records, "r0", "r1", "r2")
    assert gaps == {("r0", CUT): 1, ("r1", FORGOTTEN): 1}


def test_a_task_that_nothing_tells_of_any_more_is_counted(records, session, monkeypatch):
    """Its version of the DAG is gone, or the DAG."""
    monkeypatch.setitem(TASKS, "d", [])
    session.execute(update(TaskInstance).values(dag_version_id=None))
    for task_id in ("train", "plain"):
        forget_fields(session, "r0", task_id)
        forget_fields(session, "r1", task_id)
    session.execute(update(TaskInstance).where(TaskInstance.run_id == "r1").values(state="skipped", try_number=0))
    session.execute(update(TaskInstance).where(TaskInstance.run_id == "r2").values(state="skipped", try_number=0))
    session.expire_all()
    unknown = Counter()
    list(records.all_task_instances(["d"], unknown=unknown))
    assert unknown == {"d": 2}
    unknown.clear()
    list(records.all_task_instances(["e"], unknown=unknown))
    assert not unknown


def test_a_plain_task_that_its_dag_tells_of_is_not_counted(records, session):
    forget_fields(session, "r0", "plain")
    session.expire_all()
    unknown = Counter()
    list(records.all_task_instances(["d"], unknown=unknown))
    assert not unknown


def test_a_task_instance_that_a_moving_list_gives_twice_is_one(session, monkeypatch):
    records = RestRecords(AirflowApi(session, TASKS).client())
    read = records._instances
    monkeypatch.setattr(
        records, "_instances", lambda *of: [*read(*of), *(each | {"id": "new", "try_number": 7} for each in read(*of))]
    )
    (ti,) = records.task_instances(records.run("d", "r2"))
    assert (ti.task_id, ti.try_number) == ("train", 7)


def test_a_start_that_only_an_xcom_tells_is_not_remembered(records, session):
    """Whoever may edit XComs would give another Airflow's job to a run, and have it deleted."""
    pushed = {"generation": 0, "run_started_microseconds": STARTED, "attempt": 0, "job_name": "x-0123456789ab"}
    session.execute(update(StoredXCom).where(StoredXCom.key == "nbjobs_job").values(value=pushed))
    session.expire_all()
    assert records.remembered_starts("d", "r0", "train", -1) == set()


@pytest.mark.skipif(TaskStateStoreModel is None, reason="Airflow >= 3.3 keeps a task's state")
@pytest.mark.parametrize("way", ["database", "rest"])
def test_a_start_that_the_tasks_own_state_tells_is_remembered(session, way, monkeypatch):
    attempts = [
        {"job_name": "d-train-0123456789ab", "generation": 0, "run_started_microseconds": STARTED, "attempt": 0}
    ]
    if way == "rest":
        api = AirflowApi(session, TASKS)
        api.states["d", "r0", "train"] = attempts
        records = RestRecords(api.client())
    else:

        @contextmanager
        def make_session():
            yield session

        records = DatabaseRecords(make_session)
        monkeypatch.setattr(queries, "_attempts", lambda *_, **__: tuple(attempts))
    assert records.remembered_starts("d", "r0", "train", -1) == {STARTED}


class Backend(BaseXCom):
    """Keeps values elsewhere."""

    @staticmethod
    def deserialize_value(result):
        if "job-0" in str(result.value):
            raise OSError("gone")
        return {"from elsewhere": result.key}


def test_what_an_xcom_backend_keeps_elsewhere_is_read_through_it(session, monkeypatch):
    @contextmanager
    def make_session():
        yield session

    monkeypatch.setattr(xcom, "XCom", Backend)
    texts, gaps = said(DatabaseRecords(make_session), "r0", "r1")
    assert "from elsewhere" in texts["r1"]
    assert "job-2" in texts["r1"], "what is stored is read as well"
    assert set(gaps) == {("r0", UNREAD)}
