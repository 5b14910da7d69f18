"""The schedule of looks at running jobs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_nbjobs.core import polling
from airflow_nbjobs.core.polling import cycle_delay_seconds, slowed_delay_seconds, slower


@pytest.mark.parametrize(
    ("jobs", "waiter_delay", "expected"),
    [(1, 30, 5), (5, 30, 5), (20, 30, 20), (100, 30, 30), (1000, 30, 30), (1, 2, 2), (1, 0, 1), (1000, 3600, 1000)],
)
def test_few_jobs_are_looked_at_quickly_and_many_at_one_call_a_second(jobs, waiter_delay, expected):
    assert cycle_delay_seconds(jobs, waiter_delay_seconds=waiter_delay) == expected


@given(jobs=st.integers(1, 10_000), waiter_delay=st.integers(0, 86_400))
def test_no_job_waits_longer_than_its_waiter_delay_and_none_is_asked_for_without_a_pause(jobs, waiter_delay):
    assert 1 <= cycle_delay_seconds(jobs, waiter_delay_seconds=waiter_delay) <= max(waiter_delay, 1)


def test_each_refusal_doubles_the_delay_up_to_a_limit():
    factors = [1.0]
    for _ in range(8):
        factors.append(slower(factors[-1]))
    assert factors == [1, 2, 4, 8, 16, 32, 32, 32, 32]


@pytest.mark.parametrize(
    ("delay", "slowdown", "expected"), [(5, 1, 5), (5, 4, 20), (30, 32, 300), (600, 1, 600), (600, 32, 600)]
)
def test_a_slowed_delay_stays_below_five_minutes_unless_it_was_asked_for(delay, slowdown, expected):
    assert slowed_delay_seconds(delay, slowdown) == expected


def test_a_thousand_waiting_jobs_stay_below_the_budget():
    calls = 1000 / cycle_delay_seconds(1000, waiter_delay_seconds=3600)
    assert calls <= polling.BUDGET_CALLS_PER_SECOND
