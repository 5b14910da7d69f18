"""The page of all jobs that a user may see."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from fastapi import APIRouter, Request
from fastapi.responses import Response

from airflow_nbjobs.settings import read_prices
from airflow_nbjobs.ui.access import GetUserDep, may_read_results, new_session, readable_dag_ids
from airflow_nbjobs.ui.data.listing import STATES, list_jobs, read_filters
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.pages import page

router = APIRouter()


@router.get("/jobs", dependencies=[may_read_results])
def jobs(request: Request, user: GetUserDep) -> Response:
    filters, left_out = read_filters(request.query_params)
    prices = read_prices()
    with new_session() as session:
        listing = list_jobs(session, filters, readable=readable_dag_ids(user), prices=prices)
    return page(
        "jobs.html",
        "jobs.js",
        listing=listing,
        filters=filters,
        left_out=left_out,
        states=STATES,
        has_costs=bool(prices.per_hour),
        root=root_of(request),
    )
