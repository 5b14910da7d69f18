"""
XComs' values as the tasks pushed them: where Airflow has an XCom backend that keeps them elsewhere, the table holds an address only.

Called by ``queries.py`` and ``listing.py``.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_READERS = 16

log = logging.getLogger(__name__)


def plain(value: Any) -> Any:
    """Return a stored value; some of Airflow's tables and versions keep JSON as text in a JSON column."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):  # whoever may edit XComs can nest a text as deep as they like
            return value
    return value


def has_backend() -> bool:
    """Say whether XComs are read through a backend that is not Airflow's own."""
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time import xcom

    return xcom.XCom is not BaseXCom


def backend_values(rows: Iterable[tuple[str, Any]], *, unread: list[int] | None = None) -> list[Any]:
    """
    Return the values of keys and stored values, in their order, read through the configured backend.

    Airflow's own, which only wraps what is no JSON, is left out: what a task has pushed makes no object in the API server. What a backend cannot read
    stays as it is stored.

    :param unread: filled in: the places of those that the backend cannot read.
    """
    from airflow.sdk.execution_time import xcom

    stored = [(key, plain(value)) for key, value in rows]
    if not has_backend() or not stored:
        return [value for _, value in stored]
    backend = xcom.XCom

    def read(row: tuple[int, tuple[str, Any]]) -> Any:
        place, (key, value) = row
        if value is None:
            return None
        try:
            return backend.deserialize_value(SimpleNamespace(key=key, value=value))
        except Exception as error:  # noqa: BLE001 - whatever a backend of somebody's raises, the page is shown
            log.warning("XCom %s could not be read through %s: %s", key, backend.__name__, error)
            if unread is not None:
                unread.append(place)
            return value

    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(read, enumerate(stored)))
