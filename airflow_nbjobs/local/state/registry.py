"""
The resources of one kind that exist, each as its current value: the state that requests and job threads share.

Used by ``api/operations.py`` (requests), ``platform/runner.py`` (events) and ``faults/jobs.py`` (scripted jobs).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from airflow_nbjobs.local.state.resource import Resource
from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R", bound=Resource)


class Registry(Generic[R]):
    """
    The resources of one kind. A name that is not there is a ``ServiceError``, as is one whose resource was to be gone by now.

    :param unknown: error text for a name that is not there; ``{name}`` and ``{arn}`` are filled in.
    :param taken: error code and text for a name that is there already; ``{arn}`` is filled in.
    :param arn_prefix: what a name's ARN has before the name.
    """

    def __init__(self, *, arn_prefix: str, unknown: str, taken: tuple[str, str]) -> None:
        self._arn_prefix = arn_prefix
        self._unknown = unknown
        self._taken = taken
        self._lock = threading.Lock()
        self._items: dict[str, R] = {}

    def arn(self, name: str) -> str:
        return f"{self._arn_prefix}{name}"

    def add(self, item: R) -> None:
        """
        Register a new resource; of two with one name, exactly one gets in.

        :raises ServiceError: the name is taken. A job's stays taken when the job has ended, until somebody deletes it.
        """
        with self._lock:
            self._forget_gone()
            if item.name in self._items:
                code, text = self._taken
                raise ServiceError(code, text.format(arn=self._items[item.name].arn))
            self._items[item.name] = item

    def get(self, name: str) -> R:
        with self._lock:
            return self._find(name)

    def remove(self, name: str) -> None:
        """Forget the resource: its name is free again."""
        with self._lock:
            del self._items[self._find(name).name]

    def by_arn(self, arn: str) -> R | None:
        return next((item for item in self.all() if item.arn == arn), None)

    def all(self) -> list[R]:
        with self._lock:
            self._forget_gone()
            return list(self._items.values())

    def change(self, name: str, change: Callable[[R], R]) -> R:
        """Replace a resource by ``change(resource)``, atomically, and return the new value; what ``change`` raises leaves it as it is."""
        with self._lock:
            self._items[name] = change(self._find(name))
            return self._items[name]

    def _forget_gone(self) -> None:
        now = time.time()
        for item in [one for one in self._items.values() if one.gone_at is not None and one.gone_at <= now]:
            del self._items[item.name]

    def _find(self, name: str) -> R:
        self._forget_gone()
        if name not in self._items:
            raise ValidationError(self._unknown.format(name=name, arn=self.arn(name)))
        return self._items[name]
