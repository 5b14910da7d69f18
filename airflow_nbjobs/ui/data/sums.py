"""
What many jobs have come to: how long they were billed, at list price, what spot instances saved, and of how many that is not known.

Called by ``listing.py`` with what the tasks have stored, ten thousand records at a time. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.job.xcoms import VERSION
from airflow_nbjobs.core.numbers import is_number
from airflow_nbjobs.ui.data.machines import machine_of
from airflow_nbjobs.ui.data.xcom_values import plain
from airflow_nbjobs.ui.times import duration_text

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.prices import Prices

_MOST_SECONDS = 1e10  # as the pages show a duration
_MOST_INSTANCES = 100_000


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


def read_end(stored: str | None) -> EndFacts:
    """:param stored: JSON, or JSON within JSON, which Airflow makes of what a task pushes; ten times as fast as ``read_record``."""
    if not stored:
        return NO_END
    try:
        found = _end.decode(_text.decode(stored) if stored.startswith('"') else stored)
    except (msgspec.DecodeError, ValueError):
        return end_of(plain(plain(stored)))
    return found if found.version == VERSION else NO_END


def end_of(value: object) -> EndFacts:
    """Return the same of a value that has been read."""
    if not isinstance(value, dict) or value.get("version", VERSION) != VERSION:
        return NO_END
    return EndFacts(**{name: value[name] for name in _FIELDS if name in value})


def seconds_of(value: object) -> float | None:
    """Return a number of seconds; None for what is none."""
    return value if is_number(value) and 0 <= value < _MOST_SECONDS else None


class Sums:
    """
    Sums of jobs.

    :ivar jobs: rows of jobs; ``refused``: rows of tasks that never had one; ``again``: those of a job that another row has counted, as a sensor's.
    :ivar unbilled: jobs that run, or of which it is not known yet; ``unpriced``: billed, of an instance that has no price.
    :ivar unread: jobs whose record was not read, since it lies in an XCom backend elsewhere.
    """

    __slots__ = ("_seen", "again", "billed", "cost", "jobs", "priced", "refused", "retained", "retained_cost", "spot", "spot_billed", "spot_training", "unbilled", "unpriced", "unread")  # fmt: skip

    def __init__(self) -> None:
        self.jobs = self.refused = self.again = self.unbilled = self.unpriced = self.unread = self.priced = self.spot = 0
        self.billed = self.cost = self.retained = self.retained_cost = self.spot_billed = self.spot_training = 0.0
        self._seen: set[str] = set()

    def add(self, end: EndFacts, said: str | None, prices: Prices) -> None:
        """:param said: of ``machines.machine_text``, for an end that does not say its instance type."""
        self.jobs += 1
        seconds = seconds_of(end.billable_seconds)
        if seconds is None:
            self.unbilled += 1
            return
        name = end.job_name
        if isinstance(name, str):
            if name in self._seen:
                self.again += 1
                return
            self._seen.add(name)
        count = instances_of(end)
        machine = end.instance_type if isinstance(end.instance_type, str) else machine_of(said)
        self.billed += seconds * count
        amount = prices.amount(machine, seconds)
        if amount is None:
            self.unpriced += 1
        else:
            self.priced += 1
            self.cost += amount * count
        retained = seconds_of(end.retained_seconds)
        if retained:
            self.retained += retained * count
            self.retained_cost += (prices.amount(machine, retained) or 0.0) * count
        training = seconds_of(end.training_seconds)
        if end.is_spot is True and training:
            self.spot += 1
            self.spot_training += training * count
            self.spot_billed += min(seconds, training) * count

    def leave_out(self, *, is_job: bool) -> None:
        """Count a task that never had a job, or a job whose record is not read."""
        self.jobs += is_job
        self.unread += is_job
        self.refused += not is_job

    def facts(self, prices: Prices) -> list[tuple[str, str]]:
        """Return what is known as pairs of a label and a text, and what is not as well."""
        found = [("Jobs", f"{self.jobs:,}"), ("Billed", duration_text(self.billed))]
        if prices.per_hour:
            found.append(("Cost, list price", prices.text(self.cost) if self.priced or not self.billed else "not known"))
        if self.spot:
            saved = 1 - self.spot_billed / self.spot_training
            found.append(("Saved by spot", f"{saved:.0%} of {duration_text(self.spot_training)} ({_count(self.spot, 'job')})"))
        if self.retained:
            more = f", {prices.text(self.retained_cost)}" if self.retained_cost else ""
            found.append(("Warm pools idle", f"{duration_text(self.retained)}{more}"))
        return found

    def gaps(self, prices: Prices) -> list[str]:
        """Return in words what is not in the sums."""
        texts = (
            (self.unbilled, "not billed yet, or not known to be"),
            (self.unpriced if prices.per_hour else 0, "without a price"),
            (self.again, "shown by another task as well, and counted once"),
            (self.refused, "refused before it was submitted"),
            (self.unread, "not read from the XCom backend"),
        )
        return [f"{count:,} {text}" for count, text in texts if count > 0]


def instances_of(end: EndFacts) -> int:
    count = end.instance_count
    return count if type(count) is int and 0 < count < _MOST_INSTANCES else 1


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"
