"""How far a job has come and how far its log was written, between two processes that follow it."""

import logging

import pytest

from airflow_nbjobs import _compat
from airflow_nbjobs.core.job.xcoms import PROGRESS_KEY
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPlace
from airflow_nbjobs.triggers.kept_progress import keep, kept_form, recall

TASK = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}


@pytest.fixture
def xcoms(monkeypatch):
    """Airflow's XComs of one task."""
    stored = {}

    def push(key, value, **identity):
        assert identity == TASK
        stored[key] = value

    def pull(key, **identity):
        assert identity == TASK
        return stored.get(key)

    monkeypatch.setattr(_compat, "push_job_xcom", push)
    monkeypatch.setattr(_compat, "job_xcom", pull)
    return stored


def test_what_was_kept_is_recalled_and_pages_read_the_cells_beside_it(xcoms):
    place = kept_form(LogPlace(cell=2, cells=5, floor=7))
    keep("job-1", place, TASK)
    assert recall("job-1", TASK) == place
    assert {name: xcoms[PROGRESS_KEY][name] for name in ("job_name", "done", "total")} == {
        "job_name": "job-1",
        "done": 2,
        "total": 5,
    }


def test_the_place_of_another_job_is_none(xcoms):
    """A task that was cleared follows a new job, whose log begins anew."""
    keep("job-1", kept_form(LogPlace(cell=2, cells=5)), TASK)
    assert recall("job-2", TASK) is None


@pytest.mark.parametrize("stored", [None, "x", {}, {"job_name": "job-1"}, {"job_name": "job-1", "log_place": 3}])
def test_where_no_place_was_kept_there_is_none(xcoms, stored):
    xcoms[PROGRESS_KEY] = stored
    assert recall("job-1", TASK) is None


def test_an_airflow_that_does_not_answer_ends_no_wait(monkeypatch, caplog):
    def refuse(*_, **__):
        raise RuntimeError("the API server is away")

    monkeypatch.setattr(_compat, "job_xcom", refuse)
    with caplog.at_level(logging.WARNING):
        assert recall("job-1", TASK) is None
    assert "How far the log of 'job-1' was written is not known: the API server is away" in caplog.text


def test_what_is_written_every_few_seconds_is_small():
    place = LogPlace()
    place.take([LogEvent(id=f"{n}", stream="s", at=n, message="x") for n in range(500)])
    assert len(kept_form(place)["seen"]) < 50 < len(place.to_json()["seen"])
