"""What is read of an XCom that another version wrote, or that somebody edited."""

import pytest

from airflow_nbjobs.core.job.submission_state import Step, SubmissionState
from airflow_nbjobs.core.job.xcoms import (
    ATTEMPTS_KEY,
    END_KEY,
    ERROR_KEY,
    JOB_KEY,
    MACHINE_KEY,
    PARAMETERS_KEY,
    PROGRESS_KEY,
    billed_seconds,
    instances_of,
    is_output,
    progress_record,
    read_attempts,
    read_event,
    read_record,
    stored_attempts,
)

KEYS = [JOB_KEY, END_KEY, ERROR_KEY, PROGRESS_KEY, ATTEMPTS_KEY, MACHINE_KEY]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [None, "x", 3, [], ["job_name"], {}, {"version": 2, "job_name": "j"}], ids=repr)
def test_what_is_no_record_of_this_version_says_nothing(key, value):
    assert read_record(key, value) == read_event(value) == {}


@pytest.mark.parametrize("key", KEYS)
def test_a_field_of_another_type_is_left_out_and_the_others_stay(key):
    assert read_record(key, {"job_name": "j", "attempt": True, "done": "3", "cell": [], "more": 1}) == {"job_name": "j"}


def test_what_was_written_before_there_were_versions_is_read():
    assert read_record(JOB_KEY, {"job_name": "j", "attempt": 0}) == {"job_name": "j", "attempt": 0}


def test_of_a_list_of_jobs_those_that_name_one_are_read():
    stored = [None, "j", {}, {"job_name": ""}, {"job_name": 3}, {"job_name": "j", "attempt": "1"}]
    assert read_attempts(stored) == [{"job_name": "j"}]
    assert read_attempts({"job_name": "j"}) == read_attempts(None) == []


def test_a_list_of_jobs_that_is_written_back_keeps_what_a_later_version_has_said():
    """Two versions of the package work on one task while an upgrade is rolled out, or taken back."""
    stored = [{"job_name": "j", "attempt": 0, "cost": 3}, {"version": 2, "job": {"name": "k"}}]
    assert stored_attempts([*stored, None, "j"]) == stored
    assert stored_attempts(stored) is not stored
    assert stored_attempts({"job_name": "j"}) == stored_attempts(None) == []


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        {"step": "sleep"},
        {"cause": None},
        {"since": 3},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"attempt": "1"},
        {"attempt": -1},
        {"rounds": True},
        {"may_exist": "no"},
        {"staged_attempt": 1.5},
        {"staged_sha256": None},
    ],
    ids=repr,
)
def test_a_state_of_another_form_is_refused(stored):
    with pytest.raises(ValueError):  # noqa: PT011 - any text
        SubmissionState.from_json(stored)


def test_a_state_of_an_earlier_version_is_read():
    """As a trigger of a release before this one has it in Airflow's database."""
    stored = {
        "step": "finish",
        "cause": "trouble",
        "since": "2026-11-22T03:00:00+00:00",
        "trouble_since": None,
        "rounds": 2,
        "trouble_rounds": 0,
        "attempt": 1,
        "choice": 0,
        "may_exist": True,
        "staged_attempt": 1,
        "staged_sha256": "ab",
    }
    state = SubmissionState.from_json(stored)
    assert (state.step, state.attempt) == (Step.FINISH, 1)
    assert state.to_json() == stored | {"was_asked": False}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("accuracy", True),
        ("return_values", True),  # only the whole name is Airflow's
        ("return_value", False),
        ("skipmixin_key", False),
        ("nbjobs_job", False),
        ("_link_nbjobs_logs", False),
    ],
)
def test_which_xcoms_are_outputs(key, expected):
    assert is_output(key) is expected


@pytest.mark.parametrize(
    ("end", "instances", "seconds"),
    [
        ({}, 1, None),
        ({"billable_seconds": 60}, 1, 60),
        ({"billable_seconds": 60, "instance_count": 2}, 2, 120),
        ({"billable_seconds": 0.5, "instance_count": 99_999}, 99_999, 49_999.5),
        ({"billable_seconds": 0, "instance_count": 1}, 1, 0),
        ({"billable_seconds": 60, "instance_count": 100_000}, 1, 60),
        ({"billable_seconds": 60, "instance_count": 0}, 1, 60),
        ({"billable_seconds": 60, "instance_count": True}, 1, 60),
        ({"billable_seconds": 60, "instance_count": 2.0}, 1, 60),
        ({"billable_seconds": -1}, 1, None),
        ({"billable_seconds": 1e10}, 1, None),
        ({"billable_seconds": "60"}, 1, None),
        ({"billable_seconds": True}, 1, None),
    ],
    ids=str,
)
def test_what_is_billed_is_billed_for_each_instance(end, instances, seconds):
    assert instances_of(end) == instances
    assert billed_seconds(end) == seconds


def test_a_running_jobs_progress_is_read_as_it_was_recorded():
    assert progress_record("j", 2, 5) == {"job_name": "j", "done": 2, "total": 5}
    assert read_record(PROGRESS_KEY, progress_record("j", 2, 5)) == progress_record("j", 2, 5)


@pytest.mark.parametrize(
    ("key", "fields"),
    [
        (
            JOB_KEY,
            {
                "job_name": "j",
                "generation": 1,
                "run_started_microseconds": 5,
                "attempt": 0,
                "version": 1,
                "try_number": 2,
                "console_url": "c",
                "logs_url": "l",
                "executed_notebook_url": "e",
                "studio_url": "s",
                "job_arn": "a",
                "region": "r",
                "instance_type": "i",
                "input_notebook": "n",
                "notebook_sha256": "h",
                "executed_notebook_uri": "u",
                "was_adopted": True,
                "added_cells": [1],
                "waiting": {"for": "AWS"},
                "turn": {"step": "submit"},
            },
        ),
        (
            END_KEY,
            {
                "job_name": "j",
                "status": "Completed",
                "started_at": "s",
                "ended_at": "e",
                "instance_type": "i",
                "instance_count": 2,
                "try_number": 1,
                "is_spot": False,
                "duration_seconds": 1.5,
                "billable_seconds": 2,
                "training_seconds": 3,
                "retained_seconds": 4.0,
                "outputs": ["a"],
                "progress": {"done": 1},
                "error": {"type": "x"},
            },
        ),
        (
            ERROR_KEY,
            {
                "version": 1,
                "try_number": 1,
                "cell": 3,
                "type": "t",
                "headline": "h",
                "next": "n",
                "text": "t",
                "job_name": "j",
                "problems": ["p"],
            },
        ),
        (PROGRESS_KEY, {"job_name": "j", "done": 1, "total": 2, "log_place": {"floor": 1}}),
        (ATTEMPTS_KEY, {"job_name": "j", "generation": 1, "run_started_microseconds": 5, "attempt": 0, "error": {}}),
        (
            MACHINE_KEY,
            {
                "version": 1,
                "period_seconds": 60,
                "job_name": "j",
                "instance_type": "i",
                "until": "u",
                "was_killed": False,
                "figures": {},
                "points": {},
            },
        ),
        (PARAMETERS_KEY, {"version": 1, "try_number": 1, "parameters": "{}", "index_name": "i"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_field_of_a_record_is_read_if_it_is_of_its_type(key, fields):
    assert read_record(key, fields | {"of_tomorrow": 1}) == fields
    for name in set(fields) - {"version"}:
        assert name not in read_record(key, fields | {name: (1, 2)})


def test_an_event_says_more_than_the_tasks_record():
    event = {"job_name": "j", "attempt": 1, "status": "Failed", "error": "e", "error_code": "c", "log_place": {}}
    assert read_event(event | {"status_of_tomorrow": 1}) == event
    assert read_event(event | {"status": None, "error": None}) == {
        name: value for name, value in event.items() if name not in ("status", "error")
    }
