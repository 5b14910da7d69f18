"""What is read of an XCom that another version wrote, or that somebody edited."""

import pytest

from airflow_nbjobs.core.job.submission_state import Step, SubmissionState
from airflow_nbjobs.core.job.xcoms import (
    ATTEMPTS_KEY,
    END_KEY,
    ERROR_KEY,
    JOB_KEY,
    MACHINE_KEY,
    PROGRESS_KEY,
    is_output,
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
