"""
What each Airflow has of what the package can use, and how the fast tests ended there: README.md's table of versions.

Usage: python tests/support/versions.py REPORT.xml — keeps what this Python's environment is and has, and what pytest reports, in ``versions.json``.
Called by ``.ci/versions``; ``readme_tables.py`` makes the table, ``tests/test_versions.py`` compares it with the Airflow that runs.
"""

from __future__ import annotations

import json
import platform
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import Version

from airflow_nbjobs import _compat

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = Path(__file__).with_name("versions.json")


def _answers_callbacks() -> bool:
    from airflow.dag_processing import processor

    return _compat.answers_for_xcoms(processor)


def _has_partitions() -> bool:
    from airflow.sdk.api.datamodels._generated import DagRun

    return "partition_key" in DagRun.model_fields


def _has_retry_policies() -> bool:
    from inspect import signature

    from airflow.sdk import BaseOperator

    return "retry_policy" in signature(BaseOperator.__init__).parameters


def _has_loops() -> bool:
    from airflow.sdk.api.datamodels._generated import TaskInstance

    return "region_id" in TaskInstance.model_fields


CAPABILITIES: dict[str, Callable[[], bool]] = {
    "tab and page": _compat.has_tabs,
    "failed tasks in a DAG's callback": _answers_callbacks,
    "partitions": _has_partitions,
    "progress while deferred": _compat.may_push_from_trigger,
    "triggers' `on_kill`, sensors without a worker": _compat.has_on_kill,
    "earlier jobs listed": _compat.keeps_task_state,
    "`retry_policy`": _has_retry_policies,
    "loops": _has_loops,
}


def capabilities() -> dict[str, bool]:
    """Return what the Airflow of this environment has."""
    return {name: has() for name, has in CAPABILITIES.items()}


def records() -> list[dict[str, Any]]:
    """Return what was kept of each environment, the oldest Airflow first."""
    return list(json.loads(RECORDS.read_text(encoding="utf-8")))


def table() -> list[str]:
    """Return the table: a line for each environment."""
    rows = [
        f"| Airflow | Python | amazon's provider | boto3 | {' | '.join(CAPABILITIES)} | fast tests |",
        f"|---|---|---|---|{'---|' * len(CAPABILITIES)}---|",
    ]
    for each in records():
        has = " | ".join("✔" if each["capabilities"].get(name) else "" for name in CAPABILITIES)
        rows.append(
            f"| {each['airflow']} | {each['python']} | {each['amazon']} | {each['boto3']} | {has} | {_words(each['tests'])} |"
        )
    return rows


def _words(tests: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in tests.items() if number or what == "passed")


def _reported(report: Path) -> dict[str, int]:
    """Return how many tests have passed, failed and been skipped, of pytest's JUnit report."""
    suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest's own
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in suites:
        for name in totals:
            totals[name] += int(suite.get(name, "0"))
    failed = totals["failures"] + totals["errors"]
    return {
        "passed": totals["tests"] - failed - totals["skipped"],
        "failed": failed,
        "skipped": totals["skipped"],
    }


def keep(report: Path) -> None:
    """Keep this environment's record in place of that of the same Airflow, pre-releases counting as their release, and Python."""
    this = {
        "airflow": version("apache-airflow"),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "amazon": version("apache-airflow-providers-amazon"),
        "boto3": version("boto3"),
        "capabilities": capabilities(),
        "tests": _reported(report),
    }

    def place(record: dict[str, Any]) -> tuple[Version, Version]:
        return Version(Version(record["airflow"]).base_version), Version(record["python"])

    others = [each for each in records() if place(each) != place(this)]
    text = json.dumps(sorted([*others, this], key=place), indent=1, ensure_ascii=False)
    RECORDS.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
