"""What a run was given, out of Airflow's own tables."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from job_rows import add_jobs, job, open_database
from sqlalchemy import insert, update

from airflow_nbjobs.ui.data import run_conf
from airflow_nbjobs.ui.data.run_conf import RunConf, read_run_conf

RUN = {"dag_id": "dag_00", "run_id": "manual__0"}


@pytest.fixture
def session():
    with open_database("sqlite://", SerializedDagModel) as made:
        add_jobs(made, [job(0), job(1)])
        yield made


def serialize(session, *params, day):
    moment = datetime(2026, 1, day, tzinfo=UTC)
    row = {
        "id": uuid4(),
        "dag_id": RUN["dag_id"],
        "data": {"__version": 3, "dag": {"params": [[name, {}] for name in params]}},
        "dag_hash": str(day),
        "created_at": moment,
        "last_updated": moment,
        "dag_version_id": uuid4(),
    }
    session.execute(insert(SerializedDagModel.__table__).values(**row))


def test_the_conf_is_the_runs_and_the_dag_is_not_read_for_it(session, monkeypatch):
    serialize(session, "new", day=1)
    monkeypatch.setattr(run_conf, "_has_params", None)
    session.execute(update(DagRun).where(DagRun.run_id == "manual__0").values(conf={"old": [1, {"a": None}]}))
    assert read_run_conf(session, **RUN) == RunConf({"old": [1, {"a": None}]})


def test_the_params_are_those_that_the_dag_has_now_and_a_dag_is_read_once(session, monkeypatch):
    read = []
    are_params = run_conf._are_params
    monkeypatch.setattr(run_conf, "_are_params", lambda data: read.append(data) or are_params(data))
    serialize(session, "old", day=1)
    assert [read_run_conf(session, **RUN) for _ in range(3)] == [RunConf({}, has_params=True)] * 3
    assert len(read) == 1
    serialize(session, day=2)
    assert read_run_conf(session, **RUN) == RunConf({}, has_params=False)
    session.execute(
        update(SerializedDagModel.__table__)
        .where(SerializedDagModel.dag_hash == "2")
        .values(data={"dag": {"params": [["a", {}]]}}, dag_hash="3")
    )
    assert read_run_conf(session, **RUN) == RunConf({}, has_params=True)


@pytest.mark.parametrize("conf", [None, {}])
def test_a_run_that_was_given_nothing_has_an_empty_conf(session, conf):
    session.execute(update(DagRun).values(conf=conf))
    assert read_run_conf(session, **RUN) == RunConf({}, has_params=False)


def test_a_run_or_a_dag_that_is_gone_has_none(session):
    assert read_run_conf(session, dag_id="gone", run_id="gone") == RunConf({}, has_params=False)


@pytest.mark.parametrize(
    ("data", "has_params"),
    [
        ({"dag": {"params": [["a", {}]]}}, True),
        ({"dag": {"params": {"a": {}}}}, True),
        ({"dag": {"params": {}}}, False),
        ({"dag": {"params": []}}, False),
        ({"dag": {"params": [[]]}}, False),
        ({"dag": {"params": [[], "a", [3, {}], ["b", {}]]}}, True),
        ({"dag": {"params": [[3, {}]]}}, False),
        ({"dag": {"params": "a"}}, False),
        ({"dag": {}}, False),
        ({"dag": []}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_dag_has_params_in_either_form_that_airflow_serializes(data, has_params):
    assert run_conf._are_params(data) is has_params


def test_of_many_dags_the_newest_are_remembered(session, monkeypatch):
    monkeypatch.setattr(run_conf, "_MOST_KNOWN", 2)
    run_conf._known.clear()
    for day in (1, 2, 3):
        serialize(session, "a", day=day)
        assert read_run_conf(session, **RUN).has_params
        assert len(run_conf._known) == min(day, 2)
