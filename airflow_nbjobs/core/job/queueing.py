"""
A full quota, missing capacity and a service in trouble as a queue: when a task tries again, and when it gives up.

Called by ``task/run.py`` with what the last leg met; pure: ``now`` and a key for the jitter are passed in.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# A service that does not answer for longer than this is no passing trouble: Airflow's own retries go on from there.
TROUBLE_SECONDS = 600.0
# A task that is back before the scheduler has read the end of its last leg is failed by it ("finished with state success, but …").
SHORTEST_DEFERRAL_SECONDS = 10.0
_LONGEST_DELAY_SECONDS = {"capacity": 300.0, "trouble": 60.0}
_FIRST_TROUBLE_SECONDS = 5.0


class Cause(enum.Enum):
    """Why a task waits without a running job."""

    CAPACITY = "capacity"  # no instance, the quota in use, or CreateTrainingJob throttled
    TROUBLE = "trouble"  # AWS gives no answer, or a 5xx


class Step(enum.Enum):
    """What the next leg does."""

    SUBMIT = "submit"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """
    Where the next leg of a waiting task begins; travels in the trigger's arguments and its event, and so holds names only.

    :param cause: why the last leg was refused.
    :param since: when the wait for capacity began; None while none was refused. Trouble in between does not begin it anew.
    :param trouble_since: when the trouble began that the last leg met; None where it met none.
    :param rounds: how many sleeps there were for capacity.
    :param trouble_rounds: how many there were through trouble, or since a trigger has said what is not so, without anything better in between. Counted apart:
        where both alternate, each has its own delays, and they grow.
    :param attempt: the k-th job of the generation is the first whose name may be free.
    :param choice: position in the list of instance types (or lists of them) that are asked for in turn.
    :param may_exist: whether the last request may have made a job of that name although its answer says nothing of it.
    :param staged_attempt: the attempt under whose name the input lies; None where nothing was staged yet.
    :param staged_sha256: digest of that input: a notebook edited meanwhile is staged anew.
    """

    step: Step = Step.SUBMIT
    cause: Cause = Cause.CAPACITY
    since: datetime | None = None
    trouble_since: datetime | None = None
    rounds: int = 0
    trouble_rounds: int = 0
    attempt: int = 0
    choice: int = 0
    may_exist: bool = True
    staged_attempt: int | None = None
    staged_sha256: str = ""

    @property
    def waits(self) -> int:
        """How many sleeps there were for the cause."""
        return self.rounds if self.cause is Cause.CAPACITY else self.trouble_rounds

    def to_json(self) -> dict[str, Any]:
        return {
            "step": self.step.value,
            "cause": self.cause.value,
            "since": _text(self.since),
            "trouble_since": _text(self.trouble_since),
            "rounds": self.rounds,
            "trouble_rounds": self.trouble_rounds,
            "attempt": self.attempt,
            "choice": self.choice,
            "may_exist": self.may_exist,
            "staged_attempt": self.staged_attempt,
            "staged_sha256": self.staged_sha256,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Turn:
        """Read what ``to_json`` wrote; what another version wrote beside it is left out."""
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(
            **known
            | {
                "step": Step(known.get("step", Step.SUBMIT.value)),
                "cause": Cause(known.get("cause", Cause.CAPACITY.value)),
                "since": _moment(known.get("since")),
                "trouble_since": _moment(known.get("trouble_since")),
            }
        )


@dataclass(frozen=True, slots=True)
class Sleep:
    """Try again at ``until``, with ``turn``."""

    until: datetime
    turn: Turn


def next_turn(
    turn: Turn,
    cause: Cause,
    *,
    now: datetime,
    capacity_timeout_seconds: float,
    first_delay_seconds: float,
    key: str,
    shortest_delay_seconds: float = 1.0,
) -> Sleep | None:
    """
    Return how long to sleep before the next leg, None where it is time to give up.

    Delays double from ``first_delay_seconds`` up to 5 minutes (trouble: from at most 5 s up to 1 minute), each shortened by up to a half, so that
    tasks refused together do not come back together. The last try is at the deadline itself, or by less than the shortest delay later.

    :param turn: what the leg that was refused began with, its attempt, choice and staged input brought up to date.
    :param cause: why it was refused.
    :param capacity_timeout_seconds: longest wait for capacity; 0: none.
    :param key: names the job; equal keys and rounds give equal delays.
    """
    is_capacity = cause is Cause.CAPACITY
    turn = replace(
        turn,
        cause=cause,
        since=turn.since or now if is_capacity else turn.since,
        trouble_since=None if is_capacity else turn.trouble_since or now,
    )
    began = (turn.since if is_capacity else turn.trouble_since) or now
    left = (capacity_timeout_seconds if is_capacity else TROUBLE_SECONDS) - (now - began).total_seconds()
    if left <= 0:
        return None
    # Nothing doubled is nothing.
    first = max(first_delay_seconds if is_capacity else min(first_delay_seconds, _FIRST_TROUBLE_SECONDS), 1.0)
    longest = max(_LONGEST_DELAY_SECONDS[cause.value], first)
    # 2 ** 20 is far beyond every longest delay, and no float overflows.
    delay = min(first * 2.0 ** min(turn.waits, 20), longest) * (1 - _fraction(f"{key}:{turn.waits}") / 2)
    delay = max(min(delay, left), shortest_delay_seconds)
    counted = (
        replace(turn, rounds=turn.rounds + 1) if is_capacity else replace(turn, trouble_rounds=turn.trouble_rounds + 1)
    )
    return Sleep(now + timedelta(seconds=delay), counted)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _fraction(text: str) -> float:
    """Return a number from 0 to below 1 that differs from text to text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
