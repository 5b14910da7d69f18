"""
How far a task has come with submitting its job, and when it asks again after a full quota, missing capacity or trouble of AWS.

Called by ``aws/submit/job.py`` and ``task/``; pure: ``now`` and a key for the jitter are passed in.
"""

from __future__ import annotations

import enum
import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import fields, replace

if TYPE_CHECKING:
    from collections.abc import Callable

# A service that does not answer for longer than this is no passing trouble: Airflow's own retries go on from there.
TROUBLE_SECONDS = 600.0
# The scheduler fails a task that is back before it has read the end of its last process ("finished with state success, but …").
SHORTEST_DEFERRAL_SECONDS = 10.0
_LONGEST_DELAY_SECONDS = {"capacity": 300.0, "trouble": 60.0}
_FIRST_TROUBLE_SECONDS = 5.0


class Cause(enum.Enum):
    """Why a task waits without a running job."""

    CAPACITY = "capacity"  # no instance, the quota in use, or CreateTrainingJob throttled
    TROUBLE = "trouble"  # AWS gives no answer, or a 5xx


class Step(enum.Enum):
    """What the task does after its wait."""

    SUBMIT = "submit"
    FINISH = "finish"


class SubmissionState(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where the next request for a job begins.

    Stored as ``turn`` in triggers' arguments, in their events and in the XCom ``nbjobs_job``, and so it holds names only.

    :param cause: why the last request was refused.
    :param since: when the wait for capacity began; None while no request was refused. Trouble in between does not begin it anew.
    :param trouble_since: when the trouble began that the last request met; None where it met none.
    :param rounds: how many waits there were for capacity.
    :param trouble_rounds: how many waits there were through trouble, or since a trigger has said what is not so, without anything better in between.
        Counted apart: where both causes alternate, each has its own delays, and they grow.
    :param attempt: the k-th job of the generation is the first whose name may be free.
    :param choice: position in the list of instance types (or lists of them) that are asked for in turn.
    :param may_exist: whether a job of that name may exist already: it is asked for before the next request.
    :param was_asked: this try has asked for a job of that name, which was free, and does not know what became of it: one that exists is the try's own.
    :param staged_attempt: the attempt under whose name the input lies in S3; None where nothing was staged yet.
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
    was_asked: bool = False
    staged_attempt: int | None = None
    staged_sha256: str = ""

    @property
    def waits(self) -> int:
        """How many waits there were for the cause."""
        return self.rounds if self.cause is Cause.CAPACITY else self.trouble_rounds

    def to_json(self) -> dict[str, Any]:
        return {field.name: _stored(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_json(cls, stored: object) -> SubmissionState:
        """
        Read what ``to_json`` wrote; what another version wrote beside it is left out, what is missing has its default.

        :raises ValueError: it is no such mapping, or a value of it is of another form.
        """
        if not isinstance(stored, dict):
            raise ValueError("no mapping")  # noqa: TRY004 - one error for all that was stored
        return cls(**{name: parse(stored[name]) for name, parse in _PARSERS.items() if name in stored})


class Sleep(msgspec.Struct, frozen=True):
    """Ask again at ``until``, with ``state``."""

    until: datetime
    state: SubmissionState


def next_sleep(
    state: SubmissionState,
    cause: Cause,
    *,
    now: datetime,
    capacity_timeout_seconds: float,
    first_delay_seconds: float,
    key: str,
    shortest_delay_seconds: float = 1.0,
) -> Sleep | None:
    """
    Return how long to wait before the next request, None where it is time to give up.

    Delays double from ``first_delay_seconds`` up to 5 minutes (trouble: from at most 5 s up to 1 minute), each shortened by up to a half, so that
    tasks refused together do not come back together. The last request is at the deadline itself, or by less than the shortest delay later.

    :param state: of the request that was refused, its attempt, choice and staged input brought up to date.
    :param cause: why it was refused.
    :param capacity_timeout_seconds: longest wait for capacity; 0: none.
    :param key: names the job; equal keys and rounds give equal delays.
    """
    is_capacity = cause is Cause.CAPACITY
    state = replace(
        state,
        cause=cause,
        since=state.since or now if is_capacity else state.since,
        trouble_since=None if is_capacity else state.trouble_since or now,
    )
    began = (state.since if is_capacity else state.trouble_since) or now
    left = (capacity_timeout_seconds if is_capacity else TROUBLE_SECONDS) - (now - began).total_seconds()
    if left <= 0:
        return None
    # Nothing doubled is nothing.
    first = max(first_delay_seconds if is_capacity else min(first_delay_seconds, _FIRST_TROUBLE_SECONDS), 1.0)
    longest = max(_LONGEST_DELAY_SECONDS[cause.value], first)
    # 2 ** 20 is far beyond every longest delay, and no float overflows.
    delay = min(first * 2.0 ** min(state.waits, 20), longest) * (1 - _fraction(f"{key}:{state.waits}") / 2)
    delay = max(min(delay, left), shortest_delay_seconds)
    counter = "rounds" if is_capacity else "trouble_rounds"
    counted: Any = {counter: state.waits + 1}
    return Sleep(now + timedelta(seconds=delay), replace(state, **counted))


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value.value if isinstance(value, enum.Enum) else value


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no offset")
    return moment


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"{value!r} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{value!r} is no text")
    return value


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "step": Step,
    "cause": Cause,
    "since": _moment,
    "trouble_since": _moment,
    "rounds": _count,
    "trouble_rounds": _count,
    "attempt": _count,
    "choice": _count,
    "may_exist": _flag,
    "was_asked": _flag,
    "staged_attempt": lambda value: None if value is None else _count(value),
    "staged_sha256": _text,
}


def _fraction(text: str) -> float:
    """Return a number from 0 to below 1 that differs from text to text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") / 2**32
