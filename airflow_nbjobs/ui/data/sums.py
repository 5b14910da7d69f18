"""
What many jobs have come to: how long they were billed, at list price, what spot instances saved, and of how many that is not known.

Called by ``listing.py`` with what the tasks have stored, ten thousand records at a time. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.job.xcoms import MOST_INSTANCES, MOST_SECONDS, VERSION
from airflow_nbjobs.ui.data.machines import machine_of
from airflow_nbjobs.ui.data.xcom_values import plain
from airflow_nbjobs.ui.times import duration_text

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.prices import Prices

_NUMBERS = (int, float)
ENDED = ("success", "failed", "skipped")  # states of tasks whose XComs stay as they are


class EndFacts(msgspec.Struct):
    """Of XCom ``nbjobs_end`` what is added up; whoever may edit XComs can have written anything there."""

    version: Any = VERSION
    job_name: Any = None
    try_number: Any = None
    billable_seconds: Any = None
    duration_seconds: Any = None
    training_seconds: Any = None
    retained_seconds: Any = None
    is_spot: Any = False
    instance_type: Any = None
    instance_count: Any = 1


_text = msgspec.json.Decoder(str)
_end = msgspec.json.Decoder(EndFacts)
_FIELDS = EndFacts.__struct_fields__
NO_END = EndFacts()


def is_of_earlier_try(state: Any, try_number: int, end: EndFacts) -> bool:
    """Say whether a task's XComs are of a try before this one: what is to be run again still has them, also where it fails before it starts."""
    return state is None or (type(end.try_number) is int and end.try_number != try_number)


def read_end(stored: str | None) -> EndFacts:
    """:param stored: JSON, or JSON within JSON, which Airflow makes of what a task pushes; ten times as fast as ``read_record``."""
    if not stored:
        return NO_END
    try:
        found = _end.decode(_text.decode(stored) if stored.startswith('"') else stored)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return end_of(plain(plain(stored)))
    return found if found.version == VERSION else NO_END


def end_of(value: object) -> EndFacts:
    """Return the same of a value that has been read."""
    if not isinstance(value, dict) or value.get("version", VERSION) != VERSION:
        return NO_END
    return EndFacts(**{name: value[name] for name in _FIELDS if name in value})


def seconds_of(value: Any) -> float | None:
    """Return a number of seconds; None for what is none."""
    # By type(), and no is_number: it is asked for ten thousand jobs.
    return value if type(value) in _NUMBERS and 0 <= value < MOST_SECONDS else None


class Sums:
    """
    Sums of jobs.

    :ivar jobs: rows of jobs; ``refused``: rows of tasks that never had one; ``again``: those of a job that another row has counted, as a sensor's.
    :ivar unbilled: jobs that run, or of which it is not known yet; ``unread``: those whose record lies in an XCom backend and was not read.
    """

    __slots__ = (
        *("_machines", "_retained", "_seen", "again", "billed", "jobs", "refused", "retained"),
        *("spot", "spot_billed", "spot_training", "unbilled", "unread"),
    )

    def __init__(self) -> None:
        self.jobs = self.refused = self.again = self.unbilled = self.unread = self.spot = 0
        self.billed = self.retained = self.spot_billed = self.spot_training = 0.0
        self._seen: set[str] = set()
        # By instance type, or by the text that says it: instance seconds, and of how many jobs. Prices are asked once for each.
        self._machines: dict[str | None, list[float]] = {}
        self._retained: dict[str | None, float] = {}

    def add(self, end: EndFacts, said: str | None) -> None:
        """:param said: of ``machines.machine_text``, for an end that does not say its instance type."""
        self.jobs += 1
        seconds = seconds_of(end.billable_seconds)
        if seconds is None:
            self.unbilled += 1
            return
        name = end.job_name
        if type(name) is str:
            if name in self._seen:
                self.again += 1
                return
            self._seen.add(name)
        count = instances_of(end)
        machine = end.instance_type if type(end.instance_type) is str else said
        self.billed += seconds * count
        own = self._machines.setdefault(machine, [0.0, 0])
        own[0] += seconds * count
        own[1] += 1
        if end.retained_seconds is not None and (retained := seconds_of(end.retained_seconds)):
            self.retained += retained * count
            self._retained[machine] = self._retained.get(machine, 0.0) + retained * count
        if end.is_spot is True and (training := seconds_of(end.training_seconds)):
            self.spot += 1
            self.spot_training += training * count
            self.spot_billed += min(seconds, training) * count

    def cost(self, prices: Prices) -> tuple[float, int]:
        """Return what the jobs cost at list price, and how many of them have no price."""
        amount, unpriced = 0.0, 0
        for said, (seconds, jobs) in self._machines.items():
            own = prices.amount(_machine(said), seconds)
            amount += own or 0.0
            unpriced += 0 if own is not None else int(jobs)
        return amount, unpriced

    def leave_out(self, *, is_job: bool) -> None:
        """Count a task that never had a job, or a job whose record is not read."""
        self.jobs += is_job
        self.unread += is_job
        self.refused += not is_job

    def facts(self, prices: Prices) -> list[tuple[str, str]]:
        """Return what is known as pairs of a label and a text, and what is not as well."""
        found = [("Jobs", f"{self.jobs:,}"), ("Billed", duration_text(self.billed))]
        if prices.per_hour:
            amount, unpriced = self.cost(prices)
            is_known = not self._machines or unpriced < sum(jobs for _, jobs in self._machines.values())
            found.append(("Cost, list price", prices.text(amount) if is_known else "not known"))
        if self.spot:
            saved = 1 - self.spot_billed / self.spot_training
            found.append(
                ("Saved by spot", f"{saved:.0%} of {duration_text(self.spot_training)} ({_count(self.spot, 'job')})")
            )
        if self.retained:
            amounts = [prices.amount(_machine(said), seconds) for said, seconds in self._retained.items()]
            amount = sum(each or 0.0 for each in amounts)
            more = f", {'at least ' if None in amounts else ''}{prices.text(amount)}" if amount else ""
            found.append(("Warm pools idle", f"{duration_text(self.retained)}{more}"))
        return found

    def gaps(self, prices: Prices) -> list[str]:
        """Return in words what is not in the sums."""
        texts = (
            (self.unbilled, "not billed yet, or not known to be"),
            (self.cost(prices)[1] if prices.per_hour else 0, "without a price"),
            (self.again, "shown by another task as well, and counted once"),
            (self.refused, "refused before it was submitted"),
            (self.unread, "not read from the XCom backend"),
        )
        return [f"{count:,} {text}" for count, text in texts if count > 0]


def _machine(said: str | None) -> str | None:
    return machine_of(said) if said and said.startswith('"') else said


def instances_of(end: EndFacts) -> int:
    count = end.instance_count
    return count if type(count) is int and 0 < count < MOST_INSTANCES else 1


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
