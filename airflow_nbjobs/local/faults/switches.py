"""
The faults that the embedded SageMaker can be told to have, as values, and the switches that decide which call they hit.

Used by ``faults/http.py``, which strikes; nothing is switched on until somebody who has the key asks for it. No I/O.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Effect = Literal["error", "reset", "delay"]
When = Literal["before", "after"]

KEPT_CALLS = 20_000  # the newest; a day of one poller
LONGEST_DELAY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """
    What happens to which calls.

    :param effect: answer with an error, reset the connection (RST, no answer), or let the caller wait.
    :param operations: globs of ``CreateTrainingJob`` for SageMaker's, ``s3:PutObject`` for others' operations; none: every call.
    :param resource: glob of the training job's name, of ``bucket/key``, or of what else ``identify`` of ``http.py`` names.
    :param when: ``before`` the service has done anything, or ``after`` it has committed and before it answers.
    :param code: of an error; as AWS sends it.
    :param status: of HTTP.
    :param seconds: of a delay; it ends sooner when the fault is switched off.
    :param times: how many calls it hits; absent: all.
    :param for_seconds: how long it stands; absent: until it is switched off.
    :param probability: that a call which matches is hit; drawn from ``seed``, so that a run can be repeated.
    """

    effect: Effect
    operations: tuple[str, ...] = ()
    resource: str = "*"
    when: When = "before"
    code: str = "InternalFailure"
    message: str = "The request processing has failed because of an unknown error, exception or failure."
    status: int = 500
    seconds: float = 0.0
    times: int | None = None
    for_seconds: float | None = None
    probability: float = 1.0
    seed: int = 0

    def matches(self, operation: str, resource: str) -> bool:
        is_operation = not self.operations or any(fnmatchcase(operation, glob) for glob in self.operations)
        return is_operation and fnmatchcase(resource, self.resource)


def parse_fault(document: Mapping[str, Any]) -> Fault:
    """Return the fault that a control request describes; raises ServiceError for an unknown field or a value that means nothing."""
    check_members(document, Fault, "fault")
    operations = document.get("operations", ())
    if isinstance(operations, str) or not all(isinstance(name, str) for name in operations):
        raise ValidationError("operations is a list of names.")
    try:
        fault = Fault(**{**document, "operations": tuple(operations)})
    except TypeError as error:
        raise ValidationError(f"A fault needs its effect: {error}") from error
    for problem in _problems(fault):
        raise ValidationError(problem)
    return fault


def check_members(document: Mapping[str, Any], kind: type[Any], name: str) -> None:
    """Raise ServiceError for a member of a control request that the dataclass does not have."""
    if unknown := sorted(set(document) - {known.name for known in fields(kind)}):
        raise ValidationError(f"A {name} has no {', '.join(unknown)}.")


def _problems(fault: Fault) -> Iterator[str]:
    if fault.effect not in get_args(Effect):
        yield f"The effect is one of {', '.join(get_args(Effect))}, not {fault.effect!r}."
    if fault.when not in get_args(When):
        yield f"A fault strikes before or after, not {fault.when!r}."
    if not 0 <= fault.seconds <= LONGEST_DELAY_SECONDS:
        yield f"A delay lasts 0 to {LONGEST_DELAY_SECONDS:g} seconds, not {fault.seconds!r}."
    if not 0 <= fault.probability <= 1:
        yield f"A probability lies between 0 and 1, not at {fault.probability!r}."
    if not 400 <= fault.status <= 599:
        yield f"The HTTP status of an error is 400 to 599, not {fault.status!r}."


@dataclass(slots=True)
class Switch:
    """A fault that is switched on, and how often it has hit."""

    id: str
    fault: Fault
    since: float
    draws: random.Random
    hits: int = 0
    is_off: threading.Event = field(default_factory=threading.Event)

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "hits": self.hits, "fault": asdict(self.fault)}

    def is_spent(self, now: float) -> bool:
        fault = self.fault
        return (fault.times is not None and self.hits >= fault.times) or (
            fault.for_seconds is not None and now - self.since >= fault.for_seconds
        )


class FaultSwitches:
    """The faults that are on now; used from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._switches: dict[str, Switch] = {}
        self._numbers = count(1)

    def add(self, fault: Fault) -> Switch:
        with self._lock:
            switch = Switch(f"fault-{next(self._numbers)}", fault, time.monotonic(), random.Random(fault.seed))  # noqa: S311 - to be repeatable
            self._switches[switch.id] = switch
            return switch

    def remove(self, switch_id: str) -> Switch:
        """Switch a fault off; calls that it delays go on at once."""
        switch = self.get(switch_id)
        with self._lock:
            self._switches.pop(switch_id, None)
        switch.is_off.set()
        return switch

    def clear(self) -> None:
        for switch in self.all():
            self.remove(switch.id)

    def get(self, switch_id: str) -> Switch:
        """Return a fault, also one that is spent."""
        with self._lock:
            if switch_id not in self._switches:
                raise ValidationError(f"No fault has the id {switch_id!r}.")
            return self._switches[switch_id]

    def all(self) -> list[Switch]:
        with self._lock:
            return list(self._switches.values())

    def hitting(self, operation: str, resource: str) -> list[Switch]:
        """Return, and count, the faults that hit this call, in the order in which they were switched on."""
        now = time.monotonic()
        with self._lock:
            hit = [
                switch
                for switch in self._switches.values()
                if switch.fault.matches(operation, resource)
                and not switch.is_spent(now)
                and switch.draws.random() < switch.fault.probability
            ]
            for switch in hit:
                switch.hits += 1
            return hit


@dataclass(slots=True)
class Call:
    """
    One call as the server saw it.

    :param answer: HTTP status, with the error's code where the server knows it; empty while it is not answered.
    :param faults: ids of the faults that hit it.
    """

    number: int
    at: float
    operation: str
    resource: str
    faults: tuple[str, ...] = ()
    answer: str = ""


class Journal:
    """The newest calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: deque[Call] = deque(maxlen=KEPT_CALLS)
        self._numbers = count(1)

    @contextmanager
    def noting(self, operation: str, resource: str, faults: tuple[str, ...]) -> Iterator[Call]:
        with self._lock:
            call = Call(next(self._numbers), time.time(), operation, resource, faults)
            self._calls.append(call)
        try:
            yield call
        except ServiceError as error:
            call.answer = f"{error.status} {error.code}"
            raise
        except ConnectionResetError:
            call.answer = "reset"
            raise

    def calls(self, *, operation: str = "*", resource: str = "*", after: int = 0) -> list[dict[str, Any]]:
        """Return the calls of these globs whose number is above ``after``."""
        with self._lock:
            calls = list(self._calls)
        return [
            asdict(call)
            for call in calls
            if call.number > after and fnmatchcase(call.operation, operation) and fnmatchcase(call.resource, resource)
        ]
