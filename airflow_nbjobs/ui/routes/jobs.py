"""The page of all jobs that a user may see, the same as a file, and the way from two of them to their comparison."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from airflow_nbjobs.ui.access import GetUserDep, may_read_results, new_session, readable_dag_ids
from airflow_nbjobs.ui.data.columns import offered_columns
from airflow_nbjobs.ui.data.filters import Filters, read_filters
from airflow_nbjobs.ui.data.listing import STATES, AllJobs, list_jobs
from airflow_nbjobs.ui.data.prices import read_prices
from airflow_nbjobs.ui.data.rows import Row
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.pages import UNSTORED, page
from airflow_nbjobs.ui.routes.dependencies import csv_answer, refuse_left_out
from airflow_nbjobs.ui.views import value_text

router = APIRouter()


@router.get("/jobs", dependencies=[may_read_results])
def jobs(request: Request, user: GetUserDep) -> Response:
    filters, left_out = read_filters(request.query_params)
    prices, readable = read_prices(), readable_dag_ids(user)
    with new_session() as session:
        listing = list_jobs(session, filters, readable=readable, prices=prices)
        offered = offered_columns(session, listing.ids, filters)
    return page(
        "jobs.html",
        "refresh.js",
        "jobs.js",
        listing=listing,
        filters=filters,
        left_out=left_out,
        states=STATES,
        offered=offered,
        facts=listing.sums.facts(prices),
        gaps=listing.sums.gaps(prices),
        subtotals={
            group: [*sums.facts(prices), *(("without:", gap) for gap in sums.gaps(prices))]
            for group, sums in listing.groups.items()
        },
        value_text=value_text,
        has_costs=bool(prices.per_hour),
        root=root_of(request),
        own=f"{root_of(request)}/nbjobs",
    )


@router.get("/jobs.csv", dependencies=[may_read_results])
def jobs_csv(request: Request, user: GetUserDep) -> Response:
    """Return all jobs that the filters select, not those of one page."""
    filters, left_out = read_filters(request.query_params)
    refuse_left_out(left_out)
    prices = read_prices()
    jobs = AllJobs(new_session, filters, readable=readable_dag_ids(user), prices=prices)
    heads = ["state", "dag_id", "task_id", "map_index", "run_id", "notebook", "cells", "started"]
    heads += ["duration_seconds", "billed_seconds", *(["cost"] if prices.per_hour else []), "error"]
    heads += [f"output.{name}" for name in filters.output] + [f"parameter.{name}" for name in filters.parameter]

    def rows() -> Iterator[list[Any]]:
        for chunk in jobs.chunks():
            yield from (_fields(row, filters, has_costs=bool(prices.per_hour)) for row in chunk)
        if jobs.unread:
            yield [
                f"{jobs.unread:,} more jobs are not in this file: their records lie in your XCom backend; filter for fewer"
            ]

    return csv_answer("notebook-jobs.csv", heads, rows())


def _fields(row: Row, filters: Filters, *, has_costs: bool) -> list[Any]:
    index = row.map_index if row.map_index >= 0 else None
    cost = [row.amount] if has_costs else []
    values = [row.outputs.get(name) for name in filters.output] + [
        row.parameters.get(name) for name in filters.parameter
    ]
    return [
        *(row.words, row.dag_id, row.task_id, index, row.run_id, row.notebook, row.cells, row.started),
        *(row.duration_seconds, row.billed_seconds, *cost, row.error),
        *(
            value if value is None or isinstance(value, str | bool | int | float) else value_text(value)
            for value in values
        ),
    ]


@router.get("/jobs/compare", dependencies=[may_read_results])
def two_jobs(request: Request, job: Annotated[list[str] | None, Query()] = None) -> Response:
    """
    Lead two chosen jobs to their comparison, the older one on the left; a form cannot say which is which.

    :param job: of each when it began, a space, and its name.
    """
    chosen = sorted((each.rpartition(" ")[::2] for each in set(job or ())), key=lambda each: each[0] or "~")
    if len(chosen) != 2 or not all(3 <= name.count("/") <= 4 for _, name in chosen):
        raise ProblemError(problems.NOT_TWO)
    (_, left), (_, right) = chosen
    query = urlencode({"left": left, "right": right})
    return RedirectResponse(f"{root_of(request)}/nbjobs/compare?{query}", status_code=303, headers=UNSTORED)
