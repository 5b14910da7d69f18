"""What the pages read of one task instance, from Airflow's own tables and a serialized DAG."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime

import pytest
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG, BaseOperator
from airflow.serialization import serialized_objects
from job_rows import StoredXCom, add_jobs, add_xcoms, job, open_database
from sqlalchemy import delete, insert, select, update

from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data.task_instance import Kind

try:
    from airflow.models.task_state_store import TaskStateStoreModel
except ImportError:  # Airflow < 3.3
    TaskStateStoreModel = None
SERIALIZER = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG  # 3.2 renamed it
TASKS = ("train", "mapped", "wait", "plain")


class OwnOperator(SageMakerNotebookJobOperator):
    """A user's own subclass, under a name of its own."""


def make_dag():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        OwnOperator(task_id="train", input_notebook="{{ ds }}.ipynb", s3_root_uri="s3://b/x")
        SageMakerNotebookJobOperator.partial(task_id="mapped", s3_root_uri="s3://b/y", retries=3).expand(
            input_notebook=["a.ipynb", "b.ipynb"]
        )
        SageMakerNotebookJobSensor(task_id="wait", job_name="some-job")
        BaseOperator(task_id="plain")
    return dag


@pytest.fixture(scope="module")
def database():
    """One run of a DAG with a task of each kind."""
    models = [SerializedDagModel, DagVersion, DagModel, RenderedTaskInstanceFields]
    session = open_database("sqlite://", *models, *([TaskStateStoreModel] if TaskStateStoreModel else []))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    version = DagVersion(dag_id="d", version_number=1, bundle_name="b")
    session.add(version)
    session.flush()
    serialized = SerializedDagModel(serialized_objects.LazyDeserializedDAG(data=SERIALIZER.to_dict(make_dag())))
    serialized.dag_version = version
    session.add(serialized)
    rows = [job(number) | {"dag_id": "d", "run_id": "r", "task_id": task} for number, task in enumerate(TASKS)]
    add_jobs(session, [*rows, rows[0] | {"run_id": "other"}, rows[1] | {"map_index": 0}])
    session.execute(update(TaskInstance).values(dag_version_id=version.id, end_date=now))
    session.commit()
    queries._tasks.clear()
    yield session
    session.close()
    session.bind.dispose()


def read(database, task_id="train", *, run_id="r", map_index=-1, dag_id="d"):
    return queries.read_task_instance(database, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)


def put(database, key, value, task_id="train", run_id="r"):
    run = 1 if run_id == "r" else 5
    name = {"dag_id": "d", "run_id": run_id, "task_id": task_id, "map_index": -1}
    add_xcoms(database, [name | {"dag_run_id": run, "key": key, "value": value}])


def test_what_the_api_server_reads_keeps_its_links(database, monkeypatch):
    """Whether links are read is a switch of the whole process: a DAG that Airflow reads and keeps meanwhile would be without its own."""
    monkeypatch.setattr(queries, "_tasks", OrderedDict())
    assert read(database).kind is Kind.OPERATOR
    assert SERIALIZER._load_operator_extra_links is True


@pytest.mark.parametrize(
    ("task_id", "kind"),
    [("train", Kind.OPERATOR), ("mapped", Kind.OPERATOR), ("wait", Kind.SENSOR), ("plain", Kind.OTHER)],
)
def test_a_task_is_known_by_its_fields_in_the_serialized_dag(database, task_id, kind):
    found = read(database, task_id)
    assert found.kind is kind
    # Nothing of a task of another kind is read.
    assert (found.job is not None, found.end is not None) == ((kind is not Kind.OTHER,) * 2)


def test_a_task_instance_is_read_with_what_airflow_has_of_it(database):
    found = read(database)
    assert (found.state, found.try_number, found.max_tries, found.is_finished) == ("success", 1, 0, True)
    assert found.job["job_name"] == "job-0"
    assert found.end["billable_seconds"] == 3600
    assert found.started is not None
    assert found.run_started is not None
    assert (found.error, dict(found.rendered), found.attempts) == (None, {}, ())


@pytest.mark.parametrize(
    "wrong", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 3}], ids=lambda wrong: next(iter(wrong))
)
def test_another_name_is_no_task_instance(database, wrong):
    assert read(database, **wrong) is None


def test_another_runs_job_is_not_this_ones(database):
    later = datetime(2026, 2, 1, tzinfo=UTC)
    database.execute(update(DagRun).where(DagRun.run_id == "other").values(start_date=later))
    mine, other = read(database), read(database, run_id="other")
    assert (mine.job["job_name"], other.job["job_name"]) == ("job-0", "job-4")
    assert (mine.run_started != later, other.run_started) == (True, later)
    database.rollback()


def test_arguments_are_those_of_the_serialized_operator(database):
    found = read(database).arguments
    assert found.values["s3_root_uri"] == "s3://b/x"
    assert found.values["input_notebook"] == "{{ ds }}.ipynb"
    assert "retries" not in found.values
    assert found.mapped == frozenset()


def test_of_a_mapped_task_only_what_partial_was_given_is_for_every_instance(database):
    found = read(database, "mapped", map_index=0).arguments
    assert found.values["s3_root_uri"] == "s3://b/y"
    assert "input_notebook" in found.mapped
    assert not found.mapped & set(found.values)
    assert "retries" not in found.values


def test_a_task_whose_dag_version_is_gone_is_of_no_kind(database):
    version = database.scalar(select(DagVersion.id))
    database.execute(update(TaskInstance).where(TaskInstance.run_id == "other").values(dag_version_id=None))
    assert read(database, run_id="other").kind is Kind.OTHER
    database.execute(update(TaskInstance).values(dag_version_id=version))
    assert queries._arguments(database, version, "gone")[0] is Kind.OTHER
    database.rollback()


def test_a_serialized_dag_is_read_once_until_it_changes(database):
    version = database.scalar(select(DagVersion.id))
    first = queries._task(database, version, "train")
    assert queries._task(database, version, "train") is first
    database.execute(update(SerializedDagModel).values(dag_hash="changed"))
    assert queries._task(database, version, "train") is not first
    database.rollback()
    for number in range(queries._DAGS_KEPT):
        queries._tasks[number, ""] = {}
    queries._task(database, version, "train")
    assert len(queries._tasks) == queries._DAGS_KEPT + 2  # in place of the oldest only once another is read
    database.execute(update(SerializedDagModel).values(dag_hash="again"))
    queries._task(database, version, "train")
    assert len(queries._tasks) == queries._DAGS_KEPT
    database.rollback()


def test_what_the_last_try_failed_with_is_read_where_it_is_a_record(database):
    record = {"version": 1, "try_number": 1, "type": "X", "headline": "no role", "problems": ["role"], "job_name": None}
    put(database, "nbjobs_error", record)
    database.execute(update(TaskInstance).where(TaskInstance.task_id == "train").values(state="failed"))
    assert read(database).last_error.headline == "no role"
    database.execute(update(StoredXCom).where(StoredXCom.key == "nbjobs_error").values(value="no mapping"))
    assert read(database).error is None
    database.rollback()


def test_the_fields_that_airflow_rendered_are_this_instances(database):
    fields = RenderedTaskInstanceFields
    if hasattr(fields, "task_instance_id"):  # Airflow >= 3.4
        where = (TaskInstance.run_id == "r", TaskInstance.task_id == "train")
        whose = {"task_instance_id": database.scalar(select(TaskInstance.id).where(*where))}
    else:
        whose = {"dag_id": "d", "run_id": "r", "task_id": "train", "map_index": -1}
    database.execute(insert(fields).values(**whose, rendered_fields={"parameters": {"day": "1"}}))
    assert read(database).rendered == {"parameters": {"day": "1"}}
    assert read(database, run_id="other").rendered == {}
    database.execute(update(fields).values(rendered_fields=["no mapping"]))
    assert read(database).rendered == {}
    database.rollback()


def test_outputs_are_what_the_notebook_returned_and_nothing_of_ours(database):
    for key in ("accuracy", "nbjobs_results", "_link_x", "skipmixin_key"):
        put(database, key, {"of": key})
    put(database, "accuracy", 0.25, run_id="other")
    assert queries.read_outputs(database, read(database)) == ({"accuracy": {"of": "accuracy"}}, 1)
    assert queries.read_outputs(database, read(database, "wait")) == ({}, 0)
    database.rollback()


@pytest.mark.skipif(TaskStateStoreModel is None, reason="Airflow < 3.3 keeps no attempts")
def test_the_remembered_jobs_are_read_where_airflow_keeps_them(database):
    where = (TaskInstance.run_id == "r", TaskInstance.task_id == "train")
    names = {"dag_run_id": 1, "dag_id": "d", "run_id": "r", "task_id": "train", "map_index": -1}
    if hasattr(TaskStateStoreModel, "task_instance_id"):  # Airflow >= 3.4
        names = {"task_instance_id": database.scalar(select(TaskInstance.id).where(*where))}
    elif hasattr(TaskStateStoreModel, "region_id"):  # so has 3.4, for a loop's iteration
        region = database.execute(select(TaskInstance.region_id, TaskInstance.region_index).where(*where)).one()
        del names["map_index"]
        names |= {"region_id": region[0], "region_index": region[1]}
    remembered = [{"job_name": "a", "attempt": 0}, "no mapping", {"attempt": 2}, {"job_name": "b", "attempt": 1}]
    row = names | {
        "key": "nbjobs_attempts",
        "value": json.dumps(remembered),
        "updated_at": datetime(2026, 1, 1, tzinfo=UTC),
    }
    database.execute(insert(TaskStateStoreModel).values(**row))
    assert read(database).attempts == ({"job_name": "a", "attempt": 0}, {"job_name": "b", "attempt": 1})
    assert read(database, run_id="other").attempts == ()
    database.execute(update(TaskStateStoreModel).values(key="another"))
    assert read(database).attempts == ()
    database.execute(update(TaskStateStoreModel).values(key="nbjobs_attempts", value='{"no": "list"}'))
    assert read(database).attempts == ()
    database.execute(delete(TaskStateStoreModel))
    database.rollback()


def test_instances_of_a_mapped_task_are_read_with_its_kind(database):
    kind, (instance,) = queries.read_instances(database, dag_id="d", run_id="r", task_id="mapped")
    assert kind is Kind.OPERATOR
    assert (instance.map_index, instance.label, instance.parameters) == (0, None, None)
    assert instance.job["job_name"] == "job-5"
    assert queries.read_instances(database, dag_id="d", run_id="r", task_id="train") == (Kind.OTHER, [])


def record_fields(database, fields, *, run_id="r", task_id="train"):
    where = (TaskInstance.run_id == run_id, TaskInstance.task_id == task_id)
    table = RenderedTaskInstanceFields
    whose = (
        {"task_instance_id": database.scalar(select(TaskInstance.id).where(*where))}
        if hasattr(table, "task_instance_id")  # Airflow >= 3.4
        else {"dag_id": "d", "run_id": run_id, "task_id": task_id, "map_index": -1}
    )
    database.execute(insert(table).values(**whose, rendered_fields=fields))


def test_the_jobs_of_all_runs_of_a_dag_are_read_with_their_fields(database):
    record_fields(database, {"parameters": {"day": "1"}}, run_id="other")
    found = {(each.run_id, each.task_id, each.map_index): each for each in queries.read_task_instances(database, {"d"})}
    assert sorted(found) == [("other", "train", -1), ("r", "mapped", -1), ("r", "mapped", 0), ("r", "train", -1)]
    assert found["other", "train", -1].rendered == {"parameters": {"day": "1"}}
    assert found["r", "train", -1].rendered == {}
    assert {each.dag_id for each in found.values()} == {"d"}
    assert {each.kind for each in found.values()} == {Kind.OPERATOR}
    assert found["r", "train", -1].argument("s3_root_uri") == "s3://b/x"
    assert found["r", "mapped", 0].argument("s3_root_uri") == "s3://b/y"
    assert list(queries.read_task_instances(database, {"e"})) == []
    database.rollback()


@pytest.mark.parametrize(("task_id", "has_one"), [("train", True), ("mapped", True), ("wait", True), ("plain", True)])
def test_a_task_that_has_left_a_job_runs_notebooks(database, task_id, has_one):
    assert queries.has_notebook_task(database, "d", task_id) is has_one


@pytest.mark.parametrize(("task_id", "has_one"), [("train", True), ("mapped", True), ("wait", True), ("plain", False)])
def test_a_task_that_has_left_nothing_is_what_its_dag_says(database, task_id, has_one):
    for key in ("nbjobs_job", "nbjobs_end", "nbjobs_error"):
        database.execute(delete(StoredXCom).where(StoredXCom.key == key))
    assert queries.has_notebook_task(database, "d", task_id) is has_one
    assert queries.has_notebook_task(database, "d", "nothing") is None
    assert queries.has_notebook_task(database, "e", task_id) is None
    database.rollback()


@pytest.mark.parametrize("key", ["nbjobs_job", "nbjobs_end", "nbjobs_error"])
def test_any_record_of_ours_tells_a_notebook_task_whose_dag_is_gone(database, key):
    for each in ("nbjobs_job", "nbjobs_end", "nbjobs_error"):
        database.execute(delete(StoredXCom).where(StoredXCom.key == each))
    database.execute(update(TaskInstance).values(dag_version_id=None))
    assert queries.has_notebook_task(database, "d", "plain") is False
    put(database, "accuracy", 1, "plain")
    assert queries.has_notebook_task(database, "d", "plain") is False
    put(database, key, {}, "plain")
    assert queries.has_notebook_task(database, "d", "plain") is True
    database.rollback()


def test_instances_of_which_nothing_tells_what_they_are_are_counted(database):
    assert queries.count_unknown(database, {"d"}) == {}
    database.execute(update(TaskInstance).values(dag_version_id=None))
    assert queries.count_unknown(database, {"d"}) == {"d": 6}
    assert queries.count_unknown(database, {"e"}) == {}
    # One that has never run is none; one that has run once is, whatever it waits for now.
    where = (TaskInstance.run_id == "r", TaskInstance.task_id == "train")
    database.execute(update(TaskInstance).where(*where).values(try_number=0, state="queued"))
    assert queries.count_unknown(database, {"d"}) == {"d": 5}
    database.execute(update(TaskInstance).where(*where).values(try_number=1, state="queued"))
    assert queries.count_unknown(database, {"d"}) == {"d": 6}
    database.execute(update(TaskInstance).where(*where).values(try_number=0, state="running"))
    assert queries.count_unknown(database, {"d"}) == {"d": 6}
    database.rollback()


def test_what_nobody_sees_of_a_task_is_not_read(database, monkeypatch):
    """A task of another kind may have pushed megabytes under our names; a sensor has no jobs of its own to remember."""
    asked = []
    monkeypatch.setattr(queries, "_attempts", lambda *_, **identity: asked.append(identity["task_id"]) or ())
    assert [read(database, task).kind for task in ("plain", "wait", "train")] == [
        Kind.OTHER,
        Kind.SENSOR,
        Kind.OPERATOR,
    ]
    assert asked == ["train"]
    assert (read(database, "plain").job, read(database, "plain").end) == (None, None)
    assert read(database, "wait").job["job_name"] == "job-2"


def test_so_many_outputs_are_read_and_all_are_counted(database):
    for number in (3, 1, 2):
        put(database, f"x{number}", number)
    ti = read(database)
    assert queries.read_outputs(database, ti, most=2) == ({"x1": 1, "x2": 2}, 3)
    assert queries.read_outputs(database, ti, most=None) == ({"x1": 1, "x2": 2, "x3": 3}, 3)
    database.rollback()


def test_facts_of_a_task_instance_are_airflows(database):
    where = (TaskInstance.run_id == "r", TaskInstance.task_id == "train")
    began = datetime(2026, 5, 1, tzinfo=UTC)
    due = read(database).run_started
    database.execute(update(DagRun).where(DagRun.run_id == "r").values(start_date=began))
    database.execute(update(TaskInstance).where(*where).values(state=None, try_number=4, max_tries=7))
    found = read(database)
    assert (found.state, found.try_number, found.max_tries) == (None, 4, 7)
    assert (found.run_started, found.ended) == (began, datetime(2026, 1, 1, tzinfo=UTC))
    assert due == found.started
    database.rollback()


def test_a_label_of_an_instance_is_its_name_unless_it_is_its_index(database):
    where = (TaskInstance.task_id == "mapped", TaskInstance.map_index == 0)
    for label, shown in (("eu", "eu"), ("0", None), ("1", "1")):
        database.execute(update(TaskInstance).where(*where).values(_rendered_map_index=label))
        _, (instance,) = queries.read_instances(database, dag_id="d", run_id="r", task_id="mapped")
        assert (instance.label, instance.state) == (shown, "success")
    assert queries.read_instances(database, dag_id="d", run_id="other", task_id="mapped") == (Kind.OTHER, [])
    database.rollback()


def test_what_is_kept_of_a_machine_is_read_of_this_instance(database):
    kept = {"version": 1, "job_name": "j", "instance_type": "t", "period_seconds": 60, "figures": {}, "points": {}}
    put(database, "nbjobs_machine", kept)
    assert queries.read_kept_machine(database, read(database)) == kept
    assert queries.read_kept_machine(database, read(database, run_id="other")) == {}
    assert queries.read_kept_machine(database, read(database, "wait")) == {}
    database.rollback()


def test_the_newest_runs_come_first_and_each_has_its_own_records(database):
    kept = {"version": 1, "job_name": "j", "instance_type": "t", "period_seconds": 60, "figures": {}, "points": {}}
    put(database, "nbjobs_machine", kept, run_id="other")
    where = (TaskInstance.run_id == "other", TaskInstance.task_id == "train")
    database.execute(update(TaskInstance).where(*where).values(start_date=datetime(2027, 1, 1, tzinfo=UTC)))
    record_fields(database, {"parameters": {"day": "1"}}, run_id="other")
    found = queries.read_runs(database, read(database), most=9)
    assert [each.ti.run_id for each in found] == ["other", "r"]
    assert [each.machine for each in found] == [kept, None]
    assert [each.ti.rendered for each in found] == [{"parameters": {"day": "1"}}, {}]
    assert {each.ti.job["job_name"] for each in found} == {"job-0", "job-4"}
    assert [each.ti.end["billable_seconds"] for each in found] == [3600, 3600]
    assert [each.ti.run_id for each in queries.read_runs(database, read(database), most=1)] == ["other"]
    assert queries.read_runs(database, read(database, "wait"), most=9) == []
    database.execute(update(TaskInstance).where(*where).values(start_date=None))
    assert [each.ti.run_id for each in queries.read_runs(database, read(database), most=9)] == ["r"]
    database.rollback()
