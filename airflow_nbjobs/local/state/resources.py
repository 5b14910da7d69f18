"""
Models, transform jobs and processing jobs that exist, each as its current value: the state shared by requests and job threads.

Used by ``batch_operations.py`` (requests) and ``batch/runner.py`` (events). Training jobs are in ``registry.py``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from airflow_nbjobs.local.wire.formats import ServiceError
from airflow_nbjobs.local.wire.paging import take_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_nbjobs.local.state.jobs import Document

DEFAULT_PAGE = 10  # Source: MaxResults of ListTransformJobs, ListProcessingJobs and ListModels, API reference


class Resource(Protocol):
    """What has a name, an ARN, tags and a time of creation."""

    @property
    def name(self) -> str: ...
    @property
    def arn(self) -> str: ...
    @property
    def tags(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def created(self) -> float: ...
    def summary(self) -> Document: ...


R = TypeVar("R", bound=Resource)


class Resources(Generic[R]):
    """
    The resources of one kind.

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

        :raises ServiceError: the name is taken. A job's stays taken when the job has ended.
        """
        with self._lock:
            if item.name in self._items:
                code, text = self._taken
                raise ServiceError(code, text.format(arn=self._items[item.name].arn))
            self._items[item.name] = item

    def get(self, name: str) -> R:
        """
        Return the resource.

        :raises ServiceError: unknown name.
        """
        with self._lock:
            return self._find(name)

    def remove(self, name: str) -> None:
        """
        Forget the resource.

        :raises ServiceError: unknown name.
        """
        with self._lock:
            del self._items[self._find(name).name]

    def by_arn(self, arn: str) -> R | None:
        with self._lock:
            return next((item for item in self._items.values() if item.arn == arn), None)

    def change(self, name: str, change: Callable[[R], R]) -> R:
        """Replace a resource by ``change(resource)``, atomically, and return the new value; what ``change`` raises leaves it as it is."""
        with self._lock:
            self._items[name] = change(self._find(name))
            return self._items[name]

    def page(self, request: Mapping[str, Any], *, list_name: str, default_order: str) -> Document:
        """
        Return one page of summaries, after all filters: whether AWS filters these lists before paging is not documented.

        :param default_order: ``Ascending`` or ``Descending`` by creation time, which differs between the List operations.
        """
        with self._lock:
            items = [item for item in self._items.values() if _is_wanted(item, request)]
        sort_by = request.get("SortBy", "CreationTime")
        page, token = take_page(
            items,
            request,
            key=lambda item: _sort_value(item, sort_by),
            descending=request.get("SortOrder", default_order) == "Descending",
            default_size=DEFAULT_PAGE,
        )
        response: Document = {list_name: [item.summary() for item in page]}
        return {**response, "NextToken": token} if token else response

    def _find(self, name: str) -> R:
        if name not in self._items:
            raise ServiceError("ValidationException", self._unknown.format(name=name, arn=self.arn(name)))
        return self._items[name]


def _sort_value(item: Resource, sort_by: str) -> Any:
    if sort_by == "Name":
        return item.name
    return item.created if sort_by == "CreationTime" else _status(item.summary())


def _status(summary: Document) -> str | None:
    return next((value for name, value in summary.items() if name.endswith("JobStatus")), None)


def _is_wanted(item: Resource, request: Mapping[str, Any]) -> bool:
    summary = item.summary()
    modified = summary.get("LastModifiedTime", item.created)
    return (
        request.get("NameContains", "") in item.name
        and request.get("StatusEquals", _status(summary)) == _status(summary)
        and _is_between(item.created, request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
        and _is_between(modified, request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore"))
    )


def _is_between(time: float, after: float | None, before: float | None) -> bool:
    return (after is None or time > after) and (before is None or time < before)
