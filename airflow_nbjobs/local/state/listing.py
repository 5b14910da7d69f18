"""The List operations, with the traps that they have on AWS. Pure; called by ``api/operations.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.resource import timestamp
from airflow_nbjobs.local.wire.paging import take_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_nbjobs.local.state.jobs import TrainingJob
    from airflow_nbjobs.local.state.resource import Document, Resource

_SORT_KEYS: dict[str, Callable[[Resource], Any]] = {
    "Name": lambda item: item.name,
    "CreationTime": lambda item: item.created,
    "Status": lambda item: item.status,
}


def list_training_jobs(jobs: Sequence[TrainingJob], request: Mapping[str, Any]) -> Document:
    """
    Return one page of summaries.

    ``StatusEquals`` and ``LastModifiedTime*`` filter what is on the page, as on AWS: a page may come out short, or empty, and still have a token.
    Of ``WarmPoolStatusEquals`` nobody says; the worse is played.
    """
    candidates = [job for job in jobs if _is_named_and_created(job, request)]
    page, token = take_page(candidates, request, key=_sort_key(request), default_order="Ascending")
    # No job here has a training plan.
    is_empty = "TrainingPlanArnEquals" in request
    shown = [] if is_empty else [job.summary() for job in page if _is_in_state(job, request) and _is_kept(job, request)]
    return {"TrainingJobSummaries": shown, **token}


def list_resources(
    items: Sequence[Resource], request: Mapping[str, Any], *, list_name: str, default_order: str
) -> Document:
    """
    Return one page of summaries, after all filters: whether AWS filters these lists before paging is not documented.

    :param default_order: ``Ascending`` or ``Descending`` by creation time, which differs between the List operations.
    """
    found = [item for item in items if _is_named_and_created(item, request) and _is_in_state(item, request)]
    page, token = take_page(found, request, key=_sort_key(request), default_order=default_order)
    return {list_name: [item.summary() for item in page], **token}


def _sort_key(request: Mapping[str, Any]) -> Callable[[Resource], list[Any]]:
    key = _SORT_KEYS[request.get("SortBy", "CreationTime")]
    return lambda item: [key(item), item.name]


def _is_named_and_created(item: Resource, request: Mapping[str, Any]) -> bool:
    return request.get("NameContains", "") in item.name and _is_between(item.created, request, "CreationTime")


def _is_in_state(item: Resource, request: Mapping[str, Any]) -> bool:
    has_status = request.get("StatusEquals", item.status) == item.status
    return has_status and _is_between(item.modified, request, "LastModifiedTime")


def _is_kept(job: TrainingJob, request: Mapping[str, Any]) -> bool:
    wanted = request.get("WarmPoolStatusEquals")
    return wanted is None or (job.pool is not None and job.pool.status == wanted)


def _is_between(seconds: float, request: Mapping[str, Any], name: str) -> bool:
    time = timestamp(seconds)  # as it is shown
    after, before = request.get(f"{name}After"), request.get(f"{name}Before")
    return (after is None or time > after) and (before is None or time < before)
