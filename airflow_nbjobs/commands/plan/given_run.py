"""
The run that a plan is made for: its dates by the DAG's own timetable, its conf, and how many runs there would be.

Called by ``dag_plans.py``. Asks Airflow's timetables, no database.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

# So many are counted: a cron schedule takes half a millisecond for each, and a backfill is asked for.
MOST_RUNS = 5_000
MOST_CATCHUP = 1_000


class GivenRun(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run, as far as it was given.

    :param logical_date: of Airflow's own datetime class; None: no date was given.
    :param run_id: None where Airflow makes one up when the run begins.
    :param conf: None: none was given.
    :param has_interval: whether runs of the schedule have a data interval; known without a date as well.
    """

    logical_date: Any = None
    interval_start: Any = None
    interval_end: Any = None
    run_after: Any = None
    run_id: str | None = None
    conf: dict[str, Any] | None = None
    has_interval: bool = False


class DateError(ValueError):
    """A date cannot be read."""


def parse_moment(text: str) -> datetime:
    """
    Read ``2026-01-31``, or an ISO 8601 instant; without a time zone it is in Airflow's default one, as on Airflow's own command line.

    :raises DateError: it is neither.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise DateError(f"{text!r} is no date; write 2026-01-31 or 2026-01-31T06:00:00+00:00") from None
    if moment.tzinfo is not None:
        return moment
    import pendulum
    from airflow.configuration import conf

    zone = conf.get("core", "default_timezone", fallback="utc")
    return moment.astimezone() if zone == "system" else moment.replace(tzinfo=pendulum.timezone(zone))


def is_day(text: str) -> bool:
    return len(text.strip()) <= len("2026-01-31")


def given_run(
    stored: Any, *, date: str | None, backfill: tuple[str, str] | None, conf: dict[str, Any] | None
) -> GivenRun:
    """
    Return the run of a date, or the first run of a backfill.

    Of a day, the first run that the schedule has on it counts; of a date that the schedule has no run for, a run by hand.

    :param stored: the DAG as the scheduler reads it.
    :raises DateError: a date cannot be read.
    """
    has_interval = bool(getattr(stored.timetable, "periodic", False)) and bool(
        getattr(stored.timetable, "can_be_scheduled", False)
    )
    if date is not None:
        first = parse_moment(date)
        last = first + timedelta(days=1, microseconds=-1) if is_day(date) else first
        found = next(_infos(stored, first, last), None)
        kind = "scheduled"
    elif backfill is not None:
        first = parse_moment(backfill[0])
        found = next(backfill_runs(stored, *backfill), None)
        kind = "backfill"
    else:
        return GivenRun(conf=conf, has_interval=has_interval)
    if found is None or found.data_interval is None:
        return _by_hand(stored, first, conf)
    return GivenRun(
        logical_date=found.logical_date,
        interval_start=found.data_interval.start,
        interval_end=found.data_interval.end,
        run_after=found.run_after,
        run_id=_run_id(stored, kind, found),
        conf=conf or {},
        has_interval=True,
    )


def _by_hand(stored: Any, moment: datetime, conf: dict[str, Any] | None) -> GivenRun:
    import pendulum

    logical_date = pendulum.instance(moment)
    interval = stored.timetable.infer_manual_data_interval(run_after=logical_date)
    return GivenRun(
        logical_date=logical_date,
        interval_start=interval and interval.start,
        interval_end=interval and interval.end,
        run_after=logical_date,
        conf=conf or {},
        has_interval=interval is not None,
    )


def _run_id(stored: Any, kind: str, info: Any) -> str | None:
    from airflow.utils.types import DagRunType

    return str(
        stored.timetable.generate_run_id(
            run_type=DagRunType(kind), run_after=info.run_after, data_interval=info.data_interval
        )
    )


def backfill_runs(stored: Any, first: str, last: str) -> Iterator[Any]:
    """
    Return the runs that a backfill makes: those of the schedule whose data interval is over.

    Source: ``_get_info_list`` of ``airflow/models/backfill.py``.

    :raises DateError: a date cannot be read.
    """
    begin, end = parse_moment(first), parse_moment(last)
    now = datetime.now(tz=UTC)
    for info in _infos(stored, begin, end):
        if info.data_interval is None or info.data_interval.end < now:
            yield info


def catchup_runs(stored: Any) -> Iterator[Any] | None:
    """Return the runs that Airflow makes as soon as it may; None where it makes the newest alone, or none."""
    if not stored.catchup or stored.start_date is None:
        return None
    now = datetime.now(tz=UTC)
    end = min(now, stored.end_date) if stored.end_date is not None else now
    return (info for info in _infos(stored, stored.start_date, end) if info.run_after <= now)


def counted(runs: Iterator[Any] | None, most: int) -> tuple[int | None, bool]:
    """Return how many runs there are, and whether there are more than are counted; None of None."""
    if runs is None:
        return None, False
    found = sum(1 for _ in islice(runs, most + 1))
    return min(found, most), found > most


def _infos(stored: Any, first: datetime, last: datetime) -> Iterator[Any]:
    # A timetable of assets, or of no schedule, has none.
    if getattr(stored.timetable, "can_be_scheduled", True):
        yield from stored.iter_dagrun_infos_between(first, last)
