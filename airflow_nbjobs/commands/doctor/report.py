"""How the findings are shown: lines for people, or one JSON document of a stable form."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

from airflow_nbjobs.commands.doctor.examination import Mark
from airflow_nbjobs.core.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_nbjobs.commands.doctor.examination import Finding, Outcome

FORM = 1  # of the JSON document; a field may be added to a form, none changes or goes
_SIGNS = {Mark.RIGHT: "✔", Mark.WRONG: "✘", Mark.UNKNOWN: "?"}
_PLAIN_SIGNS = {Mark.RIGHT: "ok", Mark.WRONG: "!!", Mark.UNKNOWN: "??"}
_WIDTH = 18


def signs_of(stream: TextIO) -> dict[Mark, str]:
    """Return the signs that a stream can show."""
    try:
        "".join(_SIGNS.values()).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return _PLAIN_SIGNS
    return _SIGNS


def lines_of(outcome: Outcome, signs: dict[Mark, str]) -> Iterator[str]:
    """Yield one check's part of the report."""
    for finding in outcome.findings:
        yield visible(f"{signs[finding.mark]} {outcome.name:<{_WIDTH}} {finding.text}")
        indent = " " * (len(signs[finding.mark]) + _WIDTH + 2)
        if finding.fix:
            yield visible(f"{indent}-> {finding.fix}")
        if finding.statement is not None:
            yield f"{indent}   {json.dumps(finding.statement)}"


def summary(outcomes: Sequence[Outcome]) -> str:
    counted = counts(outcomes)
    return f"{counted[Mark.WRONG]} wrong, {counted[Mark.UNKNOWN]} not known, {counted[Mark.RIGHT]} right"


def counts(outcomes: Iterable[Outcome]) -> Counter[Mark]:
    return Counter(finding.mark for outcome in outcomes for finding in outcome.findings)


def document(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the report as JSON-like values."""
    return {
        "version": FORM,
        "wrong": counts(outcomes)[Mark.WRONG],
        "checks": [
            {
                "check": outcome.name,
                "seconds": round(outcome.seconds, 3),
                "findings": [_finding(finding) for finding in outcome.findings],
            }
            for outcome in outcomes
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "mark": str(finding.mark),
        "text": finding.text,
        "fix": finding.fix or None,
        "statement": finding.statement,
    }
