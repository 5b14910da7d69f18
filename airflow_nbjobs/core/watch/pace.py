"""
When to poll waiting jobs, from when on, and how fast; pure: no clock, no client.

Called by ``aws/watch/poller.py`` and ``call_budget.py``; which calls a poll consists of is ``plan.py``'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

# ListTrainingJobs is said to allow 2 calls a second and account (not adjustable); DescribeTrainingJob several times as many.
DESCRIBES_PER_LIST = 5.0
# Between two polls of a job, whatever waiter_delay says: at 0 the worker, or the process that watches everybody's triggers, would ask without a pause.
SHORTEST_DELAY_SECONDS = 1.0
# Changes are asked for again for this long: times are sent as whole seconds, the service's own machines differ by a little, and a list may
# lag behind what it lists. A wide overlap costs a few more entries on pages that are read anyway.
CURSOR_OVERLAP = timedelta(seconds=60)
# However the service orders and dates its changes: this often, every waiting job is polled, changed or not.
SAFETY_SECONDS = 300.0
# A policy may be corrected while the triggerer runs.
DENIED_SECONDS = 3600.0
# Of an endpoint that does not answer, the log tells this often.
TELLING_SECONDS = 600.0
# After CloudWatch Logs has refused a call, doubling: a policy may be corrected, or only have been on its way.
LOG_REFUSED_SECONDS = 60.0
LONGEST_LOG_REFUSED_SECONDS = 900.0
_SLOWEST = 64.0
_RECOVERY = 1 / 20


class Pace(msgspec.Struct, frozen=True):
    """
    How fast one process may ask.

    :param list_calls_per_second: budget of ListTrainingJobs calls, over all connections; DescribeTrainingJob gets five times as many.
    :param polling_interval_seconds: the shortest time between two polls of a job, whatever a longer ``waiter_delay`` says: one cheap call is no reason to
        let a task wait half a minute.
    """

    list_calls_per_second: float = 1.0
    polling_interval_seconds: float = 5.0


def interval_seconds(calls: int, *, waiter_delay_seconds: float, pace: Pace) -> float:
    """
    Return the seconds between the starts of two polls of all waiting jobs.

    Few calls: the polling interval. More of them stretch it to the budget, up to ``waiter_delay_seconds``. The budget itself is kept call by call, so that a
    poll whose calls do not fit into the interval takes longer.

    :param calls: what one poll costs now.
    :param waiter_delay_seconds: the shortest ``waiter_delay`` of all waiting tasks; below 1 s it counts as 1 s.
    """
    stretched = max(pace.polling_interval_seconds, calls / pace.list_calls_per_second)
    # In this order: of nan, too, the shortest delay is left.
    return min(stretched, max(SHORTEST_DELAY_SECONDS, float(waiter_delay_seconds)))


def slower(seconds_per_call: float, pace: Pace) -> float:
    """Return the seconds between two list calls after the service has refused one for its rate: double, up to 64 times the budget's."""
    return min(2 * seconds_per_call, _SLOWEST / pace.list_calls_per_second)


def faster(seconds_per_call: float, pace: Pace) -> float:
    """Return the seconds between two list calls after a success: a twentieth of the budget is won back each time."""
    budget = pace.list_calls_per_second
    return 1 / min(budget, 1 / seconds_per_call + budget * _RECOVERY)


def retry_delay_seconds(failures: int) -> float:
    """Return how long to leave an endpoint alone that did not answer: 1, 2, 4, … 32 s."""
    return float(2 ** min(failures - 1, 5))


def next_cursor(latest_modified: datetime | None, sweep_started: datetime | None) -> datetime | None:
    """
    Return from when on changes are asked for next, by the service's clock; None: from the beginning.

    Never later than the start of the sweep that was read last: a job whose page was read early may have ended while later pages were read, and those have
    shown later changes.

    :param latest_modified: the latest ``LastModifiedTime`` on any page so far.
    :param sweep_started: when the service answered the first page of the last complete sweep.
    """
    if latest_modified is None or sweep_started is None:
        return None
    return (min(latest_modified, sweep_started) - CURSOR_OVERLAP).replace(microsecond=0)


def just_before(created: datetime) -> datetime:
    """Return the latest whole second before; requests carry no fractions, and ``CreationTimeAfter`` excludes its own time."""
    whole = created.replace(microsecond=0)
    return whole if whole < created else whole - timedelta(seconds=1)


def just_after(created: datetime) -> datetime:
    """Return the earliest whole second after; ``CreationTimeBefore`` excludes its own time."""
    return created.replace(microsecond=0) + timedelta(seconds=1)
