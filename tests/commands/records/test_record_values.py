"""What a run's own fields and states mean to the commands that read an Airflow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.commands.records.port import CUT, Run, said_in_fields
from airflow_nbjobs.commands.records.states import goes_on, is_under_way, no_such_run

DUE = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = DUE + timedelta(hours=1)


def run(**fields):
    return Run(**{"dag_id": "d", "run_id": "r", "state": "success", "run_after": DUE} | fields)


@pytest.mark.parametrize(
    ("state", "has_ended"),
    [("success", True), ("failed", True), ("running", False), ("queued", False), ("newer", False)],
)
def test_a_run_has_ended_in_two_states(state, has_ended):
    assert run(state=state).has_ended is has_ended


def test_a_run_is_old_from_its_end_on_else_from_when_it_was_due():
    assert (run().moment, run(ended=LATER, started=DUE).moment) == (DUE, LATER)


def test_its_jobs_are_named_by_its_start_else_by_when_it_was_due():
    assert run().started_microseconds == 1767323045678901
    assert run(started=LATER).started_microseconds == 1767323045678901 + 3_600_000_000
    assert run().name == ("d", "r")


def test_a_field_that_airflow_has_cut_is_a_gap():
    cut = "Truncated. You can change this behaviour in [core]max_templated_field_length. 's3://b"
    assert said_in_fields(run(), f'{{"a": "{cut}"}}').gap == CUT
    assert said_in_fields(run(), '{"a": "Truncated"}').gap == ""


@pytest.mark.parametrize(
    ("state", "said"),
    [(None, False), ("success", False), ("failed", False), ("skipped", False), ("upstream_failed", False), ("removed", False), ("running", True), ("up_for_reschedule", True), ("newer", True)],
)  # fmt: skip
def test_a_task_goes_on_unless_its_state_is_known_to_be_an_end(state, said):
    assert goes_on(state) is said


@pytest.mark.parametrize(
    ("state", "of_tasks", "said"),
    [
        ("success", [], False),
        ("failed", ["success", None], False),
        ("success", ["success", "running"], True),
        ("running", [], True),
        (None, [], True),
    ],
)
def test_a_run_is_under_way_by_its_own_state_or_a_tasks(state, of_tasks, said):
    assert is_under_way(state, of_tasks) is said


@pytest.mark.parametrize(
    ("known", "advice"),
    [(["a", "b"], "the newest runs of 'd' are 'a', 'b'"), ([], "it shows no run of 'd'")],
)
def test_a_run_that_is_not_there_is_said_with_those_that_are(known, advice):
    error = no_such_run("d", "r", known)
    assert (error.headline, error.details) == ("Airflow has no run 'r' of DAG 'd'", {"next": advice})
