"""No job is given more time than its task has left; one that asks for less, or for nonsense, stays as it is."""

import pytest

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.runtime_limits import lowered_limits


def of_extra(seconds, name="MaxRuntimeInSeconds"):
    return {"RetryStrategy": {}, "StoppingCondition": {"MaxPendingTimeInSeconds": 7200, name: seconds}}


@pytest.mark.parametrize(
    ("given", "lowered"),
    [
        ({}, {"max_runtime_in_seconds": 60}),
        ({"max_runtime_in_seconds": 61}, {"max_runtime_in_seconds": 60}),
        ({"max_runtime_in_seconds": 60}, {}),
        ({"max_runtime_in_seconds": "61"}, {"max_runtime_in_seconds": 60}),
        ({"max_runtime_in_seconds": 60, "max_wait_time_in_seconds": 61}, {"max_wait_time_in_seconds": 60}),
        ({"max_runtime_in_seconds": 60, "max_wait_time_in_seconds": 60}, {}),
        ({"max_runtime_in_seconds": "soon"}, {}),
        ({"max_runtime_in_seconds": 60, "extra_request": of_extra(61)}, {"extra_request": of_extra(60)}),
        ({"max_runtime_in_seconds": 60, "extra_request": of_extra(60)}, {}),
        ({"max_runtime_in_seconds": 60, "extra_request": of_extra("60")}, {}),
        (
            {"max_runtime_in_seconds": 60, "extra_request": of_extra(99, "MaxWaitTimeInSeconds")},
            {"extra_request": of_extra(60, "MaxWaitTimeInSeconds")},
        ),
        ({"max_runtime_in_seconds": 60, "extra_request": of_extra("soon")}, {}),
        ({"max_runtime_in_seconds": 60, "extra_request": {"StoppingCondition": 7}}, {}),
        ({"max_runtime_in_seconds": 60, "extra_request": "no JSON"}, {}),
    ],
)
@pytest.mark.parametrize("left", [60.0, 60.9])
def test_what_asks_for_more_than_is_left_is_lowered_to_it(given, lowered, left):
    assert lowered_limits(JobArguments(**given), left) == lowered


def test_a_text_of_extra_arguments_is_read():
    given = JobArguments(
        max_runtime_in_seconds=5, extra_request='{"StoppingCondition": {"MaxRuntimeInSeconds": 90}, "x": 1}'
    )
    assert lowered_limits(given, 9) == {"extra_request": {"StoppingCondition": {"MaxRuntimeInSeconds": 9}, "x": 1}}


def test_a_second_is_the_least_and_a_default_that_fits_is_kept():
    assert lowered_limits(JobArguments(), -3) == {"max_runtime_in_seconds": 1}
    assert lowered_limits(JobArguments(), defaults.MAX_RUNTIME_IN_SECONDS) == {}
