"""When a task that was refused asks again, and when it gives up."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_nbjobs.core.job import submission_state
from airflow_nbjobs.core.job.submission_state import TROUBLE_SECONDS, Cause, Step, SubmissionState, next_sleep

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOURS_6 = 6 * 3600.0


def asked(state, now=NOW, cause=Cause.CAPACITY, *, timeout=HOURS_6, first=30, key="job"):
    return next_sleep(state, cause, now=now, capacity_timeout_seconds=timeout, first_delay_seconds=first, key=key)


def walk(cause=Cause.CAPACITY, **options):
    """Every sleep of one wait, each process taking no time."""
    state, now, sleeps = SubmissionState(), NOW, []
    while (sleep := asked(state, now, cause, **options)) is not None:
        sleeps.append((sleep.until - now).total_seconds())
        state, now = sleep.state, sleep.until
    return sleeps


def test_a_full_quota_is_asked_for_ever_less_often_at_least_every_five_minutes():
    sleeps = walk()
    assert 15 < sleeps[0] <= 30
    assert 30 < sleeps[1] <= 60
    assert 60 < sleeps[2] <= 120
    assert all(150 < seconds <= 300 for seconds in sleeps[5:-1])


def test_the_last_try_is_at_the_deadline_itself():
    assert sum(walk()) == pytest.approx(HOURS_6)
    assert sum(walk(Cause.TROUBLE)) == pytest.approx(TROUBLE_SECONDS)


def test_no_waiting_was_asked_for():
    assert walk(timeout=0.0) == []


def test_trouble_is_asked_about_sooner_and_given_up_earlier_whatever_the_capacity_timeout():
    sleeps = walk(Cause.TROUBLE, timeout=0.0)
    assert sleeps[0] <= 5
    assert max(sleeps) <= 60
    assert sum(sleeps) == pytest.approx(TROUBLE_SECONDS)


def test_tasks_that_are_refused_together_do_not_come_back_together():
    firsts = {asked(SubmissionState(), key=f"job-{n}").until for n in range(100)}
    assert len(firsts) > 95
    spread = max(firsts) - min(firsts)
    assert spread > timedelta(seconds=12)


def test_no_wait_is_shorter_than_the_shortest_not_even_the_last():
    sleep = next_sleep(
        SubmissionState(trouble_since=NOW - timedelta(seconds=TROUBLE_SECONDS - 1), cause=Cause.TROUBLE),
        Cause.TROUBLE,
        now=NOW,
        capacity_timeout_seconds=0.0,
        first_delay_seconds=1.0,
        key="job",
        shortest_delay_seconds=10.0,
    )
    assert sleep.until == NOW + timedelta(seconds=10)


def test_equal_jobs_and_rounds_wait_equally_long():
    """No process depends on another's luck: what is planned can be planned again."""
    assert asked(SubmissionState(), key="job") == asked(SubmissionState(), key="job")


def test_trouble_in_between_does_not_begin_the_wait_for_capacity_anew():
    waiting = asked(SubmissionState()).state
    troubled = asked(waiting, NOW + timedelta(hours=3), Cause.TROUBLE).state
    assert (troubled.since, troubled.trouble_since) == (NOW, NOW + timedelta(hours=3))
    again = asked(troubled, NOW + timedelta(hours=3, minutes=1)).state
    assert (again.since, again.trouble_since) == (NOW, None)
    assert asked(again, NOW + timedelta(hours=6)) is None


@pytest.mark.parametrize("first", [0, 30])
def test_causes_that_alternate_are_asked_about_ever_less_often_too(first):
    state, now, sleeps = SubmissionState(), NOW, []
    for n in range(24):
        sleep = asked(state, now, (Cause.CAPACITY, Cause.TROUBLE)[n % 2], first=first)
        sleeps.append((sleep.until - now).total_seconds())
        state, now = sleep.state, sleep.until
    assert all(seconds >= 150 for seconds in sleeps[20::2])
    assert all(seconds >= 30 for seconds in sleeps[15::2])


def test_a_short_delay_is_a_second_and_a_long_one_stays():
    assert 0.5 <= walk(first=0)[0] <= 1
    assert 300 < walk(first=600)[0] <= 600


@given(st.integers(0, 10**6), st.floats(0, 86_400), st.sampled_from(Cause))
def test_no_wait_is_endless_or_hectic(rounds, first, cause):
    state = SubmissionState(cause=cause, since=NOW, trouble_since=NOW, rounds=rounds, trouble_rounds=rounds)
    sleep = asked(state, NOW + timedelta(seconds=1), cause, first=first)
    seconds = (sleep.until - NOW).total_seconds() - 1
    assert 0.5 <= seconds <= HOURS_6
    assert sleep.state.waits == rounds + 1


@given(
    st.builds(
        SubmissionState,
        step=st.sampled_from(Step),
        cause=st.sampled_from(Cause),
        since=st.none() | st.datetimes(timezones=st.just(UTC)),
        trouble_since=st.none() | st.datetimes(timezones=st.just(UTC)),
        rounds=st.integers(0, 1000),
        trouble_rounds=st.integers(0, 1000),
        attempt=st.integers(0, 1000),
        choice=st.integers(0, 10),
        may_exist=st.booleans(),
        staged_attempt=st.none() | st.integers(0, 1000),
        staged_sha256=st.text("0123456789abcdef"),
    )
)
def test_a_state_survives_the_database(state):
    assert SubmissionState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        ([], "no mapping"),
        ({"since": "2026-11-22T03:00:00"}, "has no offset"),
        ({"trouble_since": 5}, "5 is no text"),
        ({"rounds": -1}, "-1 is no count"),
        ({"attempt": True}, "True is no count"),
        ({"staged_attempt": "1"}, "'1' is no count"),
        ({"may_exist": 1}, "1 is neither true nor false"),
        ({"staged_sha256": None}, "None is no text"),
        ({"cause": "boredom"}, "boredom"),
    ],
)
def test_a_stored_state_of_another_form_is_refused_before_anything_is_asked_by_it(stored, words):
    with pytest.raises(ValueError, match=words):
        SubmissionState.from_json(stored)


def test_a_count_of_zero_is_one():
    assert SubmissionState.from_json({"rounds": 0, "staged_attempt": 0, "since": None}).staged_attempt == 0


def test_what_a_later_version_wrote_beside_it_is_left_out_and_what_it_left_out_has_its_default():
    assert SubmissionState.from_json({"attempt": 3, "new": 1}) == SubmissionState(attempt=3)


def jitterless(monkeypatch):
    monkeypatch.setattr(submission_state, "_fraction", lambda _: 0.0)


def test_delays_double_up_to_five_minutes_and_through_trouble_up_to_one(monkeypatch):
    jitterless(monkeypatch)
    assert walk()[:7] == [30, 60, 120, 240, 300, 300, 300]
    assert walk(Cause.TROUBLE)[:7] == [5, 10, 20, 40, 60, 60, 60]
    assert walk(Cause.TROUBLE, first=2)[:3] == [2, 4, 8]
    assert walk(first=0.2)[:3] == [1, 2, 4]
    assert walk(first=400)[:2] == [400, 400]


def test_jitter_takes_away_a_half_at_most(monkeypatch):
    monkeypatch.setattr(submission_state, "_fraction", lambda _: 1.0)
    assert walk()[:3] == [15, 30, 60]


def test_the_next_wait_remembers_why_since_when_and_how_often():
    state = SubmissionState(attempt=2, choice=1, staged_attempt=2, staged_sha256="ab", may_exist=False)
    first = asked(state).state
    assert (first.cause, first.since, first.trouble_since) == (Cause.CAPACITY, NOW, None)
    assert (first.rounds, first.trouble_rounds, first.waits) == (1, 0, 1)
    assert (first.attempt, first.choice, first.staged_attempt, first.staged_sha256) == (2, 1, 2, "ab")
    assert first.may_exist is False
    second = asked(first, NOW + timedelta(minutes=1), Cause.TROUBLE).state
    assert (second.cause, second.since, second.trouble_since) == (Cause.TROUBLE, NOW, NOW + timedelta(minutes=1))
    assert (second.rounds, second.trouble_rounds, second.waits) == (1, 1, 1)


@pytest.mark.parametrize(("cause", "limit"), [(Cause.CAPACITY, 3600.0), (Cause.TROUBLE, TROUBLE_SECONDS)])
def test_it_is_given_up_when_the_time_has_passed_and_not_before(cause, limit):
    state = SubmissionState(since=NOW, trouble_since=NOW, cause=cause)
    assert asked(state, NOW + timedelta(seconds=limit), cause, timeout=3600.0) is None
    last = asked(state, NOW + timedelta(seconds=limit - 1), cause, timeout=3600.0)
    assert last.until == NOW + timedelta(seconds=limit)


def test_the_shortest_delay_is_a_second_unless_it_is_said_otherwise():
    state = SubmissionState(since=NOW)
    at = NOW + timedelta(seconds=3599.9)
    assert asked(state, at, timeout=3600.0).until == at + timedelta(seconds=1)


def test_a_task_that_has_asked_for_nothing_yet_submits_its_first_job():
    state = SubmissionState.from_json({})
    assert (state.step, state.cause, state.since, state.trouble_since) == (Step.SUBMIT, Cause.CAPACITY, None, None)
    assert (state.rounds, state.trouble_rounds, state.attempt, state.choice, state.waits) == (0, 0, 0, 0, 0)
    assert (state.may_exist, state.was_asked, state.staged_attempt, state.staged_sha256) == (True, False, None, "")


@pytest.mark.parametrize("name", ["rounds", "trouble_rounds", "attempt", "choice", "staged_attempt"])
def test_each_count_is_stored_and_checked(name):
    assert getattr(SubmissionState.from_json({name: 7}), name) == 7
    for wrong in (-1, 1.0, True, "1"):
        with pytest.raises(ValueError, match="is no count"):
            SubmissionState.from_json({name: wrong})


@pytest.mark.parametrize("name", ["may_exist", "was_asked"])
def test_each_flag_is_stored_and_checked(name):
    for value in (True, False):
        assert getattr(SubmissionState.from_json({name: value}), name) is value
    with pytest.raises(ValueError, match="is neither true nor false"):
        SubmissionState.from_json({name: None})
