"""
How far a deferred task's job has come and how far its log was written, kept in Airflow's database beside each other.

Called by ``triggers.py``, in whose event loop it runs, and by ``task/run.py``: pages show the first, and who takes over from a triggerer or a trigger that has
died goes on from the second.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.notebook.progress import progress_facts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.watch.log_place import LogPlace

_MOST_SEEN = 20  # what is kept is written every few seconds
_PLACE = "log_place"

log = logging.getLogger(__name__)


def keep(job_name: str, place: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """:param place: from ``kept_form``."""
    from airflow_nbjobs._compat import push_job_xcom
    from airflow_nbjobs.links import PROGRESS_KEY

    facts = progress_facts(job_name, place["cell"], place["cells"])
    push_job_xcom(PROGRESS_KEY, facts | {_PLACE: dict(place)}, **identity)


def kept_form(place: LogPlace) -> dict[str, Any]:
    return place.to_json(most_seen=_MOST_SEEN)


def recall(job_name: str, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the place that was kept last; None where there is none, or Airflow does not say."""
    from airflow_nbjobs._compat import job_xcom
    from airflow_nbjobs.links import PROGRESS_KEY

    try:
        kept = job_xcom(PROGRESS_KEY, **identity)
    except Exception as error:  # noqa: BLE001 - a log must not end a wait
        log.warning("How far the log of '%s' was written is not known: %s", job_name, error)
        return None
    if not isinstance(kept, dict) or kept.get("job_name") != job_name or not isinstance(kept.get(_PLACE), dict):
        return None
    return dict(kept[_PLACE])
