"""
What an asset event says of the notebook job that has updated the asset, and what an asset's URI must not be.

Called by ``task/asset_events.py``, also while a DAG file is parsed if a task of it has outlets: the standard library only; pure.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

# Airflow gives all events of an asset at once to the run that they start, to its tasks' contexts, and to the pages that list them.
EXTRA_LIMIT_BYTES = 32 * 1024
LEFT_OUT = "left_out"
_FACTS = (
    "job_name",
    "job_arn",
    "status",
    "input_notebook",
    "notebook_sha256",
    "executed_notebook_uri",
    "instance_type",
    "started_at",
    "ended_at",
    "billable_seconds",
)
_FACT_CHARACTERS = 1024  # S3's longest key
_VALUES = ("outputs", "parameters")
# Airflow: `manual__2026-11-30T…`. Jobs: ours and Studio's end in a hash, those of SageMaker's SDK in a time.
_DIFFERS = re.compile(r"__\d{4}-\d\d-\d\d|-[0-9a-f]{8,}$|\d{4}-\d\d-\d\d-\d\d-\d\d")
_DAY_FORMATS = ("%Y-%m-%d", "%Y%m%d", "%Y/%m/%d")
_NAMING_BYTES = 1024  # kept for the names of what is left out
_MORE_BYTES = 24  # "12345 more"
_SHOWN_CHARACTERS = 120


def event_extra(
    facts: Mapping[str, Any],
    *,
    outputs: Mapping[str, Any],
    parameters: Mapping[str, Any],
    executed_notebook_sha256: str | None,
) -> dict[str, Any]:
    """
    Return an event's ``extra``: JSON of at most 32 KiB, whatever the notebook returns.

    Values that would make it longer are left out, the largest first, parameters before outputs, and named under ``left_out``.

    :param facts: of the job, as in ``return_value``; what is not known, as of a job that still runs, is None.
    :param parameters: without secrets; what is no JSON becomes its text.
    """
    extra: dict[str, Any] = {name: _fact(facts.get(name)) for name in _FACTS}
    extra["executed_notebook_sha256"] = executed_notebook_sha256
    given = {"outputs": outputs, "parameters": {name: _plain(value) for name, value in parameters.items()}}
    kept: dict[str, set[str]] = {kind: set() for kind in _VALUES}
    left_out: list[str] = []
    room = EXTRA_LIMIT_BYTES - _size(extra | {kind: {} for kind in _VALUES} | {LEFT_OUT: []}) - _NAMING_BYTES
    for kind in _VALUES:
        for name, value in sorted(given[kind].items(), key=lambda item: _size(item[1])):
            size = _size({name: value})
            if size <= room:
                kept[kind].add(name)
                room -= size
            else:
                left_out.append(f"{kind}.{name}")
    for kind in _VALUES:
        extra[kind] = {name: value for name, value in given[kind].items() if name in kept[kind]}
    if left_out:
        extra[LEFT_OUT] = _shown(left_out, room + _NAMING_BYTES)
    return extra


def _shown(names: list[str], room: int) -> list[str]:
    """Return the names in so many bytes of JSON; of the last ones, where they are too many, the number."""
    shown: list[str] = []
    for position, name in enumerate(names):
        size = _size(name[:_SHOWN_CHARACTERS]) + 2
        if size > room - _MORE_BYTES:
            return [*shown, f"{len(names) - position} more"]
        shown.append(name[:_SHOWN_CHARACTERS])
        room -= size
    return shown


def _fact(value: object) -> object:
    return value[:_FACT_CHARACTERS] if isinstance(value, str) else value


def _plain(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)[:_FACT_CHARACTERS]
    return value


def _size(value: object) -> int:
    return len(json.dumps(value).encode())


# -- URIs ---------------------------------------------------------------------------------------------------------------


def uris_of(value: object) -> list[str] | None:
    """Return the URIs that an output holds, as a text or as a list of texts; None where it holds anything else, or nothing."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(uri, str) and is_uri(uri) for uri in found):
        return None
    return found


def is_uri(text: str) -> bool:
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s]", text) is not None


def run_part(uri: str, texts: Collection[str], moments: Iterable[datetime | None]) -> str | None:
    """
    Return what in a URI is of one run alone: one of the texts, or one of the days; None where nothing is.

    :param texts: the run's id, the job's name. One counts if it is made anew for each run: an id with Airflow's date, a name with a hash or a time.
        Whoever triggers a run with an id of their own, or waits for somebody else's job, may call it ``prod``, as a folder is called.
    :param moments: of the run; each counts as a day, as ``2026-11-30``, ``20261130`` or ``2026/11/30``.
    """
    for text in texts:
        if _DIFFERS.search(text) and text in uri:
            return text
    days = (moment.strftime(form) for moment in moments if moment is not None for form in _DAY_FORMATS)
    return next((day for day in days if day in uri), None)
