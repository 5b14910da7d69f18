"""
XComs' values as the tasks pushed them: where Airflow has an XCom backend that keeps them elsewhere, the table holds an address only.

Called by ``queries.py`` and ``listing.py``.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

_READERS = 16
_MOST_REMEMBERED = 20_000

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


class Remembered:
    """
    What the pages show of values that a backend keeps elsewhere: each is read once a process, since a page of many jobs refreshes itself every few seconds.

    :param fact_of: makes of a key and its value what is shown, which is small.
    """

    def __init__(self, fact_of: Callable[[str, Any], Any]) -> None:
        self._fact_of = fact_of
        self._facts: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, rows: Sequence[tuple[Hashable, str, Any]]) -> list[Any]:
        """
        Return the facts of rows, in their order.

        :param rows: what a value stays the same for, None where it may change; its key; what is stored. What cannot be read is asked for anew the next time.
        """
        with self._lock:
            known = {name: self._facts[name] for name, _, _ in rows if name is not None and name in self._facts}
        missing = [row for row in rows if row[0] not in known]
        unread: list[int] = []
        values = backend_values(((key, stored) for _, key, stored in missing), unread=unread)
        made = [self._fact_of(key, value) for (_, key, _), value in zip(missing, values, strict=True)]
        failed = set(unread)
        with self._lock:
            for place, (name, _, _) in enumerate(missing):
                if name is not None and place not in failed:
                    self._facts[name] = made[place]
            while len(self._facts) > _MOST_REMEMBERED:
                self._facts.popitem(last=False)
        fresh = iter(made)
        return [known[name] if name in known else next(fresh) for name, _, _ in rows]
