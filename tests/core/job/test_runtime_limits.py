"""How long a job may run where its task has less time left than it asks for."""

from __future__ import annotations

import pytest

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.doubts import Doubts
from airflow_nbjobs.core.job.runtime_limits import lowered_limits


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({}, {"max_runtime_in_seconds": 100}),
        ({"max_runtime_in_seconds": "None"}, {"max_runtime_in_seconds": 100}),
        ({"max_runtime_in_seconds": 100}, {}),
        ({"max_runtime_in_seconds": "101"}, {"max_runtime_in_seconds": 100}),
        ({"max_runtime_in_seconds": "soon"}, {}),
        ({"max_runtime_in_seconds": 60, "max_wait_time_in_seconds": 3600}, {"max_wait_time_in_seconds": 100}),
        ({"max_runtime_in_seconds": 60, "max_wait_time_in_seconds": 60}, {}),
    ],
    ids=str,
)
def test_what_asks_for_more_time_than_is_left_gets_what_is_left(given, changed):
    assert lowered_limits(JobArguments(**given), 100.9) == changed


@pytest.mark.parametrize("as_text", [False, True])
def test_an_extra_requests_own_limits_are_lowered_too_and_the_rest_of_it_stays(as_text):
    condition = {"MaxRuntimeInSeconds": "500", "MaxWaitTimeInSeconds": 100, "MaxPendingTimeInSeconds": 7200}
    extra = {"StoppingCondition": condition, "Environment": {"A": "1"}}
    job = JobArguments(max_runtime_in_seconds=60, extra_request=str(extra) if as_text else extra)
    assert lowered_limits(job, 100.9) == {
        "extra_request": {**extra, "StoppingCondition": condition | {"MaxRuntimeInSeconds": 100}}
    }


@pytest.mark.parametrize(
    "extra",
    [
        *(None, {}, "x", {"StoppingCondition": "x"}),
        *({"StoppingCondition": {"MaxRuntimeInSeconds": seconds}} for seconds in ("x", 99, 100, "100")),
    ],
)
def test_an_extra_request_that_asks_for_no_more_stays_as_it_is(extra):
    assert lowered_limits(JobArguments(max_runtime_in_seconds=60, extra_request=extra), 100.0) == {}


def test_what_asks_for_just_what_is_left_stays():
    extra = {"StoppingCondition": {"MaxRuntimeInSeconds": 100}}
    assert lowered_limits(JobArguments(max_runtime_in_seconds=100, extra_request=extra), 100.0) == {}


def test_a_job_has_a_second_at_least():
    assert lowered_limits(JobArguments(), -5.0) == {"max_runtime_in_seconds": 1}


def test_a_default_that_fits_is_kept():
    assert lowered_limits(JobArguments(), defaults.MAX_RUNTIME_IN_SECONDS) == {}


def test_an_answer_is_believed_once_it_has_been_the_same_for_so_long():
    doubts = Doubts()
    assert [doubts.has_lasted("denied", 10.0, now=now) for now in (5.0, 14.9, 15.0)] == [False, False, True]
    assert doubts.has_lasted("unknown", 10.0, now=15.0) is False
    doubts.clear("denied")
    doubts.clear("never seen")
    assert [doubts.has_lasted("denied", 10.0, now=now) for now in (15.0, 25.0)] == [False, True]
