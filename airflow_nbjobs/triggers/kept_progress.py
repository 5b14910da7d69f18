"""
How far a deferred task's job has come and how far its log was written, kept together in the XCom ``nbjobs_progress``.

Called by this package's triggers and by ``task/resume.py``: pages show the first, and whatever takes over from a triggerer or a trigger that has died goes on
from the second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.xcoms import PROGRESS_KEY, progress_record, read_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.watch.log_lines import LogPlace

_MOST_SEEN = 20  # what is kept is written every few seconds
_PLACE = "log_place"

log = logging.getLogger(__name__)


def keep(job_name: str, place: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """:param place: from ``kept_form``."""
    from airflow_nbjobs._compat import push_job_xcom

    facts = progress_record(job_name, place["cell"], place["cells"])
    push_job_xcom(PROGRESS_KEY, facts | {_PLACE: dict(place)}, **identity)


def kept_form(place: LogPlace) -> dict[str, Any]:
    return place.to_json(most_seen=_MOST_SEEN)


def recall(job_name: str, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the place that was kept last; None where there is none, or Airflow does not say."""
    from airflow_nbjobs._compat import job_xcom

    try:
        kept = job_xcom(PROGRESS_KEY, **identity)
    except Exception as error:  # noqa: BLE001 - a log must not end a wait
        log.warning("How far the log of '%s' was written is not known: %s", job_name, error)
        return None
    facts = read_record(PROGRESS_KEY, kept)
    return facts.get(_PLACE) if facts.get("job_name") == job_name else None
