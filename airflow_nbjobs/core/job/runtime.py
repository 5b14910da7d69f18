"""
How long a job may take, in whatever form it is asked for, within what is left of its task's own time.

Called by ``task/prepare.py``; pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_nbjobs.core import defaults, texts
from airflow_nbjobs.core.job import arguments as parse

_CONDITION = "StoppingCondition"
_LIMITS = ("MaxRuntimeInSeconds", "MaxWaitTimeInSeconds")


def bounded(arguments: Mapping[str, Any], left_seconds: float) -> dict[str, Any]:
    """
    Return the arguments that ask for more time than is left, each with what is left in its place; none of those that ask for less, or are wrong.

    A spot job's time to wait counts its run as well, and ``extra_request`` may ask for both.
    """
    left = max(1, int(left_seconds))
    changed: dict[str, Any] = {}
    for name in ("max_runtime_in_seconds", "max_wait_time_in_seconds"):
        given = arguments.get(name)
        asked = _seconds(
            defaults.MAX_RUNTIME_IN_SECONDS if name == "max_runtime_in_seconds" and parse.is_absent(given) else given
        )
        if asked is not None and asked > left_seconds:
            changed[name] = left
    extra = _mapping(arguments.get("extra_request"))
    condition = _mapping(extra.get(_CONDITION))
    limits = {
        name: left for name in _LIMITS if (asked := texts.number(condition.get(name))) is not None and asked > left
    }
    if limits:
        changed["extra_request"] = {**extra, _CONDITION: {**condition, **limits}}
    return changed


def _seconds(given: object) -> float | None:
    try:
        return None if parse.is_absent(given) else parse.seconds(given)
    except ValueError:
        return None


def _mapping(given: object) -> Mapping[str, Any]:
    said = texts.structure(given) if isinstance(given, str) else given
    return said if isinstance(said, Mapping) else {}
