"""ListTrainingJobs with the traps that it has on AWS. Pure; called by ``operations.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.wire.paging import take_page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_nbjobs.local.state.jobs import Document, TrainingJob

DEFAULT_PAGE = 10  # Source: protocol of ListTrainingJobs: 10 unless MaxResults says otherwise, at most 100

_SORT_KEYS: dict[str, Callable[[TrainingJob], Any]] = {
    "Name": lambda job: job.name,
    "CreationTime": lambda job: job.created,
    "Status": lambda job: job.status,
}


def list_training_jobs(jobs: Sequence[TrainingJob], request: Mapping[str, Any]) -> Document:
    """
    Return one page of summaries.

    ``StatusEquals`` and ``LastModifiedTime*`` filter what is on the page, as on AWS: a page may come out short, or empty, and still have a token.
    """
    candidates = [job for job in jobs if _is_candidate(job, request)]
    page, token = take_page(
        candidates,
        request,
        key=_SORT_KEYS[request.get("SortBy", "CreationTime")],
        descending=request.get("SortOrder", "Ascending") == "Descending",
        default_size=DEFAULT_PAGE,
    )
    response: Document = {"TrainingJobSummaries": [job.summary() for job in page if _is_shown(job, request)]}
    return {**response, "NextToken": token} if token else response


def _is_candidate(job: TrainingJob, request: Mapping[str, Any]) -> bool:
    return request.get("NameContains", "") in job.name and _is_between(
        job.created, request.get("CreationTimeAfter"), request.get("CreationTimeBefore")
    )


def _is_shown(job: TrainingJob, request: Mapping[str, Any]) -> bool:
    if "WarmPoolStatusEquals" in request or "TrainingPlanArnEquals" in request:
        return False  # no job here has either
    return request.get("StatusEquals", job.status) == job.status and _is_between(
        job.modified, request.get("LastModifiedTimeAfter"), request.get("LastModifiedTimeBefore")
    )


def _is_between(time: float, after: float | None, before: float | None) -> bool:
    return (after is None or time > after) and (before is None or time < before)
