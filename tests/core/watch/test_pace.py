"""The schedule of looks at waiting jobs."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_nbjobs.core.watch.pace import (
    CURSOR_OVERLAP,
    Pace,
    faster,
    interval_seconds,
    just_after,
    just_before,
    next_cursor,
    retry_delay_seconds,
    slower,
)

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
times = st.timedeltas(timedelta(0), timedelta(days=3650)).map(lambda since: NOON + since)


@pytest.mark.parametrize(
    ("calls", "waiter_delay", "expected"),
    [(1, 30, 5), (5, 30, 5), (10, 30, 10), (100, 30, 30), (1, 2, 2), (1, 0, 1), (1000, 3600, 1000)],
)
def test_few_calls_are_made_every_5_seconds_and_many_at_the_budget(calls, waiter_delay, expected):
    assert interval_seconds(calls, waiter_delay_seconds=waiter_delay, pace=Pace()) == expected


def test_the_polling_interval_and_the_budget_can_be_set():
    assert interval_seconds(1, waiter_delay_seconds=float("nan"), pace=Pace()) == 1
    assert interval_seconds(1, waiter_delay_seconds=30, pace=Pace(polling_interval_seconds=30)) == 30
    assert interval_seconds(10, waiter_delay_seconds=60, pace=Pace(list_calls_per_second=0.5)) == 20


@given(calls=st.integers(1, 10_000), waiter_delay=st.integers(0, 86_400), interval=st.floats(0.1, 100))
def test_a_waiter_delay_is_never_exceeded_and_there_is_always_a_pause(calls, waiter_delay, interval):
    seconds = interval_seconds(calls, waiter_delay_seconds=waiter_delay, pace=Pace(polling_interval_seconds=interval))
    assert min(interval, 1) <= seconds <= max(waiter_delay, 1)


def test_each_refusal_halves_the_pace_and_successes_win_it_back():
    pace = Pace(list_calls_per_second=0.5)
    refused = [2.0]
    for _ in range(8):
        refused.append(slower(refused[-1], pace))
    assert refused == [2, 4, 8, 16, 32, 64, 128, 128, 128]
    seconds, won = refused[-1], []
    while seconds > 2.0:
        seconds = faster(seconds, pace)
        won.append(seconds)
    assert len(won) == 20
    assert won == sorted(won, reverse=True)
    assert faster(seconds, pace) == seconds == 2.0


def test_an_endpoint_that_is_away_is_asked_less_and_less():
    assert [retry_delay_seconds(failures) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 32, 32, 32]


# -- cursor ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latest", "started", "expected"),
    [
        (NOON, NOON + timedelta(seconds=10), NOON - CURSOR_OVERLAP),
        (
            NOON + timedelta(seconds=10),
            NOON,
            NOON - CURSOR_OVERLAP,
        ),  # a slow sweep: its last page has shown later changes
        (NOON + timedelta(seconds=0.9), NOON + timedelta(seconds=0.9), NOON - CURSOR_OVERLAP),  # whole seconds
        (None, NOON, None),
        (NOON, None, None),
    ],
)
def test_the_cursor_never_passes_the_start_of_the_sweep_nor_what_was_seen(latest, started, expected):
    assert next_cursor(latest, started) == expected


@given(times)
def test_exclusive_bounds_in_whole_seconds_leave_no_job_out(created):
    before, after = just_before(created), just_after(created)
    assert before < created < after
    assert before.microsecond == after.microsecond == 0
    assert after - before <= timedelta(seconds=2)


def test_a_budget_is_won_back_by_a_twentieth_of_itself_each_time():
    pace = Pace(list_calls_per_second=1.0)
    assert faster(2.0, pace) == pytest.approx(1 / 0.55)
    assert faster(1.0, pace) == 1.0
    assert faster(0.5, pace) == 1.0


def test_the_pace_never_falls_below_a_64th_of_the_budget():
    assert slower(20.0, Pace()) == 40.0
    assert slower(40.0, Pace()) == 64.0
    assert slower(400.0, Pace(list_calls_per_second=0.1)) == 640.0


def test_a_budget_that_nobody_has_set_is_one_list_a_second_and_a_poll_every_five():
    assert (Pace().list_calls_per_second, Pace().polling_interval_seconds) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("created", "before", "after"),
    [
        (NOON, NOON - timedelta(seconds=1), NOON + timedelta(seconds=1)),
        (NOON + timedelta(microseconds=1), NOON, NOON + timedelta(seconds=1)),
        (NOON + timedelta(seconds=0.999), NOON, NOON + timedelta(seconds=1)),
    ],
)
def test_bounds_are_the_nearest_whole_seconds(created, before, after):
    assert (just_before(created), just_after(created)) == (before, after)


def test_the_cursor_is_a_whole_second():
    assert next_cursor(NOON + timedelta(seconds=5.7), NOON + timedelta(seconds=9)) == NOON - timedelta(seconds=55)
