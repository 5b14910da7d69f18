"""For which run ``nbjobs plan`` renders a DAG's templates, and how many runs it counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count, islice

import pytest
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_nbjobs._compat import stored_dag
from airflow_nbjobs.commands.plan import given_run as given_run_
from airflow_nbjobs.commands.plan.given_run import (
    DateError,
    GivenRun,
    backfill_runs,
    catchup_runs,
    counted,
    given_run,
    is_day,
    parse_moment,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def stored(cron="@daily", **settings):
    schedule = None if cron is None else CronDataIntervalTimetable(cron, timezone="UTC")
    given = {"start_date": START, "catchup": False} | settings
    return stored_dag(DAG("d", schedule=given.pop("schedule", schedule), **given))


def run_of(dag, *, date=None, backfill=None, conf=None):
    return given_run(dag, date=date, backfill=backfill, conf=conf)


@pytest.fixture
def today(monkeypatch):
    """Sets the time of day that the module reads."""

    def at(moment):
        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return moment.astimezone(tz)

        monkeypatch.setattr(given_run_, "datetime", Clock)

    return at


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2026-01-31", "utc", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31", "Europe/Berlin", "2026-01-31T00:00:00+01:00"),
        ("2026-07-31T06:00:00", "Europe/Berlin", "2026-07-31T06:00:00+02:00"),
        ("2026-01-31T06:00:00+05:00", "Europe/Berlin", "2026-01-31T06:00:00+05:00"),
    ],
)
def test_a_date_without_a_zone_is_in_airflows_default_one(text, zone, moment, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", zone)
    assert parse_moment(text).isoformat() == moment


def test_the_systems_zone_is_this_machines(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_TIMEZONE", "system")
    assert parse_moment("2026-01-31") == datetime(2026, 1, 31).astimezone()


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01"])
def test_what_is_no_date_is_said_to_be_none(text):
    with pytest.raises(DateError, match="is no date; write 2026-01-31 or"):
        parse_moment(text)


@pytest.mark.parametrize(("text", "said"), [("2026-01-31", True), (" 2026-01-31 ", True), ("2026-01-31T00", False)])
def test_a_day_is_no_instant(text, said):
    assert is_day(text) is said


def test_without_a_date_the_run_is_not_known():
    assert run_of(stored()) == GivenRun(has_interval=True)
    assert run_of(stored(), conf={"a": 1}) == GivenRun(conf={"a": 1}, has_interval=True)
    assert run_of(stored(None)) == GivenRun(has_interval=False)


@pytest.mark.parametrize(
    ("date", "first"),
    [
        ("2026-02-03", 0),
        ("2026-02-03T06:00:00+00:00", 6),
        ("2026-02-03T18:00:00+00:00", 18),
    ],
)
def test_of_a_day_the_first_run_counts_and_of_an_instant_the_one_at_it(date, first):
    run = run_of(stored("0 */6 * * *"), date=date, conf={"a": 1})
    start = datetime(2026, 2, 3, first, tzinfo=UTC)
    assert (run.logical_date, run.interval_start, run.interval_end) == (start, start, start + timedelta(hours=6))
    assert run.run_after == start + timedelta(hours=6)
    assert run.run_id.startswith("scheduled__2026-02-0")
    assert (run.conf, run.has_interval) == ({"a": 1}, True)


def test_a_day_ends_before_the_next_one_begins():
    """A run at midnight is the next day's."""
    dag = stored("0 0 4 * *")
    assert run_of(dag, date="2026-02-03").run_id is None
    assert run_of(dag, date="2026-02-04").run_id is not None
    assert run_of(stored("59 23 * * *"), date="2026-02-03").run_id is not None


def test_an_instant_that_the_schedule_has_no_run_at_is_a_run_by_hand_and_its_interval_the_last_that_is_over():
    run = run_of(stored(), date="2026-02-03T05:00:00+00:00")
    moment = datetime(2026, 2, 3, 5, tzinfo=UTC)
    assert (run.logical_date, run.run_after, run.run_id, run.conf) == (moment, moment, None, {})
    assert run.interval_start == datetime(2026, 2, 2, tzinfo=UTC)
    assert (run.interval_end, run.has_interval) == (datetime(2026, 2, 3, tzinfo=UTC), True)
    assert run_of(stored(), date="2026-02-03T05:00:00+00:00", conf={"a": 1}).conf == {"a": 1}


def test_a_dag_without_a_schedule_has_runs_by_hand_alone():
    run = run_of(stored(None), date="2026-02-03")
    moment = datetime(2026, 2, 3, tzinfo=UTC)
    assert (run.logical_date, run.interval_start, run.interval_end, run.run_id) == (moment, moment, moment, None)


def test_of_a_backfill_the_first_run_counts():
    run = run_of(stored(), backfill=("2026-02-03", "2026-02-05"))
    assert run.logical_date == datetime(2026, 2, 3, tzinfo=UTC)
    assert run.run_id.startswith("backfill__")
    assert run.conf == {}
    none = run_of(stored("0 0 1 1 *"), backfill=("2026-02-03", "2026-02-05"))
    assert (none.logical_date, none.run_id) == (datetime(2026, 2, 3, tzinfo=UTC), None)


@pytest.mark.parametrize(("hour", "number"), [(0, 2), (1, 3)])
def test_a_backfill_has_the_runs_whose_interval_is_over(hour, number, today):
    """The day that ends at this very moment is not over for Airflow."""
    today(datetime(2026, 2, 4, hour, tzinfo=UTC))
    days = [info.logical_date.day for info in backfill_runs(stored(), "2026-02-01", "2026-02-10")]
    assert days == [1, 2, 3][:number]
    assert list(backfill_runs(stored(None), "2026-02-01", "2026-02-10")) == []


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        ({"catchup": True}, 4),
        ({"catchup": True, "end_date": START + timedelta(days=1)}, 2),
        ({"catchup": True, "end_date": START + timedelta(days=99)}, 4),
        ({"catchup": True, "schedule": None}, 0),
        ({"catchup": False}, None),
    ],
    ids=str,
)
def test_catchup_makes_the_runs_up_to_now(settings, number, today):
    today(START + timedelta(days=4))
    assert counted(catchup_runs(stored(**settings)), 100) == (number, False)


@pytest.mark.parametrize(("runs", "said"), [(0, (0, False)), (3, (3, False)), (4, (3, True)), (5, (3, True))])
def test_only_so_many_runs_are_counted(runs, said):
    assert counted(iter(range(runs)), 3) == said
    assert counted(None, 3) == (None, False)
    assert counted(islice(count(), 10**9), 3) == (3, True)  # and no more are asked for
