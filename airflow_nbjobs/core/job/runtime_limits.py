"""
How long a job may take, in whatever form it is asked for, within what is left of its task's own time.

Called by ``task/prepare.py``; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core import defaults, texts
from airflow_nbjobs.core.job import parsers as parse

if TYPE_CHECKING:
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.core.job.spec import NotebookJobSpec

_CONDITION = "StoppingCondition"
_LIMITS = ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds")


def lowered_limits(job: JobArguments | NotebookJobSpec, left_seconds: float) -> dict[str, Any]:
    """
    Return the arguments that ask for more time than is left, each with what is left in its place; none of those that ask for less, or are wrong.

    A spot job's time to wait counts its run as well, and ``extra_request`` may ask for both.
    """
    left = max(1, int(left_seconds))
    runtime = job.max_runtime_in_seconds
    asked = {
        "max_runtime_in_seconds": defaults.MAX_RUNTIME_IN_SECONDS if parse.is_absent(runtime) else runtime,
        "max_wait_time_in_seconds": job.max_wait_time_in_seconds,
    }
    changed: dict[str, Any] = {
        name: left
        for name, value in asked.items()
        if (seconds := _seconds(value)) is not None and seconds > left_seconds
    }
    extra = _mapping(job.extra_request)
    condition = _mapping(extra.get(_CONDITION))
    limits = {
        name: left for name in _LIMITS if (seconds := texts.number(condition.get(name))) is not None and seconds > left
    }
    if limits:
        changed["extra_request"] = {**extra, _CONDITION: {**condition, **limits}}
    return changed


def _seconds(value: object) -> float | None:
    try:
        return None if parse.is_absent(value) else parse.seconds(value)
    except ValueError:
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    found = texts.structure(value) if isinstance(value, str) else value
    return found if isinstance(found, Mapping) else {}
