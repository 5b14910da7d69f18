"""Which runs of a task are offered to be compared with one of it: the last before it that succeeded, and those around it."""

from datetime import timedelta

import pytest
from airflow.models.dagrun import DagRun
from job_rows import START, add_jobs, job, open_database
from sqlalchemy import select, update
from ui_account import task_instance

from airflow_nbjobs.ui.data.other_runs import read_other_runs

STATES = ("success", "failed", "success", "failed", "failed", "running")


def rows(states=STATES, *, dag_id="d", task_id="train", map_index=-1):
    return [
        job(number)
        | {
            "dag_id": dag_id,
            "run_id": f"run{number}",
            "task_id": task_id,
            "map_index": map_index,
            "state": state,
            "started": START + timedelta(days=number),
        }
        for number, state in enumerate(states)
    ]


@pytest.fixture
def session():
    with open_database() as made:
        add_jobs(made, rows())
        yield made


def found(session, run_id, **fields):
    runs = read_other_runs(session, task_instance(**{"dag_id": "d", "run_id": run_id, "task_id": "train"} | fields))
    last = runs.last_success.run_id if runs.last_success else None
    return last, [(run.run_id, run.is_before) for run in runs.nearest]


def test_the_last_run_before_it_that_succeeded_comes_first(session):
    assert found(session, "run4") == (
        "run2",
        [("run5", False), ("run3", True), ("run2", True), ("run1", True), ("run0", True)],
    )
    assert found(session, "run2")[0] == "run0"
    assert found(session, "run0") == (None, [(f"run{number}", False) for number in (5, 4, 3, 2, 1)])
    assert found(session, "no such run") == (None, [])


def test_runs_are_in_the_order_of_their_logical_dates_where_they_have_some(session):
    """A backfill runs now what belongs before what has run."""
    session.execute(
        update(DagRun).where(DagRun.run_id == "run0").values(logical_date=START + timedelta(days=3, hours=1))
    )
    assert found(session, "run4")[0] == "run0"
    session.execute(update(DagRun).where(DagRun.run_id == "run4").values(logical_date=START - timedelta(days=1)))
    assert found(session, "run4")[0] is None


def test_of_runs_for_one_moment_the_one_that_was_made_first_is_before(session):
    session.execute(update(DagRun).values(run_after=START, logical_date=None))
    first, second = session.scalars(
        select(DagRun.run_id).where(DagRun.run_id.in_(["run0", "run2"])).order_by(DagRun.id)
    ).all()
    assert found(session, second)[0] == first
    assert found(session, first)[0] is None


def test_another_task_another_instance_and_a_run_without_a_job_are_not_offered():
    with open_database() as session:
        add_jobs(
            session,
            [
                *rows(("success",), dag_id="other"),
                *rows(("success", "success")),
                *rows(("success",), task_id="mapped", map_index=3),
            ],
        )
        assert found(session, "run1") == ("run0", [("run0", True)])
        assert found(session, "run1", map_index=3) == (None, [])
        assert found(session, "run1", task_id="mapped", map_index=3)[0] == "run0"
        assert found(session, "run1", task_id="mapped", map_index=0) == (None, [])


def test_a_task_that_somebody_marked_as_successful_has_had_no_job():
    with open_database() as session:
        refused = {"version": 1, "try_number": 1, "type": "X", "headline": "no", "problems": [], "job_name": None}
        first, second = rows(("success", "failed"))
        add_jobs(session, [first | {"refused": refused}, second])
        assert found(session, "run1") == (None, [])


def test_of_many_runs_those_around_it_are_offered_and_the_last_success_however_long_ago():
    with open_database() as many:
        add_jobs(many, rows(("success", *["failed"] * 40)))
        last, nearest = found(many, "run30")
        assert last == "run0"
        assert [run_id for run_id, is_before in nearest if not is_before] == [f"run{n}" for n in (35, 34, 33, 32, 31)]
        assert [run_id for run_id, is_before in nearest if is_before] == [f"run{n}" for n in range(29, 19, -1)]


def test_ten_runs_before_and_five_after_are_offered(session):
    add_many = rows(["success"] * 20, dag_id="many")
    with open_database() as made:
        add_jobs(made, add_many)
        last, nearest = found(made, "run12", dag_id="many")
        assert last == "run11"
        assert [run for run, is_before in nearest if not is_before] == [f"run{n}" for n in (17, 16, 15, 14, 13)]
        assert [run for run, is_before in nearest if is_before] == [f"run{n}" for n in range(11, 1, -1)]
    assert found(session, "gone") == (None, [])


def test_a_run_that_is_offered_says_when_it_was_and_how_it_went(session):
    runs = read_other_runs(session, task_instance(dag_id="d", run_id="run1", task_id="train"))
    after = next(run for run in runs.nearest if run.run_id == "run3")
    assert (after.state, after.is_before) == ("failed", False)
    assert after.moment.replace(tzinfo=START.tzinfo) == START + timedelta(days=3)
    assert (runs.last_success.run_id, runs.last_success.state, runs.last_success.is_before) == ("run0", "success", True)
