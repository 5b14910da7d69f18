"""
When to look at running jobs again; pure schedule, no clock.

Called by ``aws/poller.py``.
"""

from __future__ import annotations

# A job's end is known this soon where few jobs wait, whatever a longer ``waiter_delay`` says: one cheap call is no reason to let a task wait half a minute.
QUICK_DELAY_SECONDS = 5.0
BUDGET_CALLS_PER_SECOND = 1.0
_THROTTLED_FACTOR = 2.0
_MOST_SLOWDOWN = 32.0
_LONGEST_DELAY_SECONDS = 300.0


def cycle_delay_seconds(waiting_jobs: int, *, waiter_delay_seconds: float) -> float:
    """
    Return the seconds between the starts of two cycles that describe every waiting job.

    Few jobs are looked at every 5 s; more of them stretch the cycle to one call a second, up to ``waiter_delay_seconds``.

    :param waiting_jobs: how many jobs one cycle describes.
    :param waiter_delay_seconds: the operator's ``waiter_delay``: the longest time between two looks at one job; below 1 s it counts as 1 s, since
        at 0 the poller would ask without a pause, in the process that watches everybody's triggers.
    """
    stretched = max(QUICK_DELAY_SECONDS, waiting_jobs / BUDGET_CALLS_PER_SECOND)
    return min(max(float(waiter_delay_seconds), 1 / BUDGET_CALLS_PER_SECOND), stretched)


def slower(slowdown: float) -> float:
    """Return the factor on every delay after the service has refused a call for its rate: double, up to 32."""
    return min(slowdown * _THROTTLED_FACTOR, _MOST_SLOWDOWN)


def slowed_delay_seconds(delay_seconds: float, slowdown: float) -> float:
    """Return a delay under a slowdown; at most 5 minutes, unless the delay alone is longer."""
    return min(delay_seconds * slowdown, max(_LONGEST_DELAY_SECONDS, delay_seconds))
