"""
Checks, what they find, and the order in which they are made.

A check that fails, or cannot be asked, hides no other: what depends on it says that it was not made, and why.
"""

from __future__ import annotations

import logging
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.errors import NotebookJobError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_nbjobs.commands.doctor.patient import Patient

log = logging.getLogger("nbjobs")


class Mark(StrEnum):
    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "unknown"  # could not be checked, or is for a person to judge


class Finding(msgspec.Struct, frozen=True):
    """
    One thing that was found.

    :param text: what is right or wrong, or why it could not be checked.
    :param fix: what to change: an argument, a field of the connection, a command.
    :param statement: of an IAM policy, to be added.
    """

    mark: Mark
    text: str
    fix: str = ""
    statement: Mapping[str, Any] | None = None


class Check(msgspec.Struct, frozen=True):
    """
    One look at one thing.

    :param name: in the report.
    :param look: yields findings, and leaves facts with the patient that later checks need.
    :param needs: names of facts without which it cannot be made.
    """

    name: str
    look: Callable[[Patient], Iterable[Finding]]
    needs: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What one check found, and how long it took."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float


def right(text: str) -> Finding:
    return Finding(Mark.RIGHT, text)


def wrong(text: str, fix: str = "", statement: Mapping[str, Any] | None = None) -> Finding:
    return Finding(Mark.WRONG, text, fix, statement)


def unknown(text: str, fix: str = "", statement: Mapping[str, Any] | None = None) -> Finding:
    return Finding(Mark.UNKNOWN, text, fix, statement)


def examine(checks: Sequence[Check], patient: Patient) -> Iterator[Outcome]:
    """Make one check after the other."""
    for check in checks:
        begun = time.monotonic()
        missing = [name for name in check.needs if not patient.knows(name)]
        findings = (
            [unknown(f"not checked: {' and '.join(patient.words(name) for name in missing)} must be right first")]
            if missing
            else list(_looked(check, patient))
        )
        yield Outcome(check.name, tuple(findings), time.monotonic() - begun)


def _looked(check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check.look(patient)
    except NotebookJobError as error:
        yield patient.finding_of(error)
    except Exception as error:
        log.debug("%s", check.name, exc_info=True)
        yield unknown(f"could not be checked: {type(error).__name__}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """Return the beginning of what an exception says."""
    return (str(error).strip().splitlines() or [""])[0]
