"""What a task has put out over its runs: a page of charts, and the same as JSON and CSV."""

# No `from __future__ import annotations`: FastAPI reads the routes' annotations when they are declared.
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from markupsafe import Markup

from airflow_nbjobs.core.chart.drawing import swatch
from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.ui.access import may_read_results, new_session
from airflow_nbjobs.ui.data.filters import TrendFilters, read_query
from airflow_nbjobs.ui.data.prices import read_prices
from airflow_nbjobs.ui.data.queries import has_notebook_task
from airflow_nbjobs.ui.data.trend import Instance, Trend, path_of, read_trend
from airflow_nbjobs.ui.error_pages import root_of
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.pages import UNSTORED, VisibleJSONResponse, page
from airflow_nbjobs.ui.routes.dependencies import csv_answer, refuse_left_out
from airflow_nbjobs.ui.times import checked_duration, time_text
from airflow_nbjobs.ui.trend_charts import Charts, as_json, table_heads, table_notes, table_row, value_words

# A task's id may end in ".csv" (a task of that name in a group), so the files lie beneath the page.
TREND = "/trend/{dag_id}/{task_id}"
_TABLE_ROWS = 100
_VERSION = 1

router = APIRouter()


class _Asked:
    """What an address asks for, and what there is of it."""

    def __init__(self, dag_id: str, task_id: str, request: Request) -> None:
        self.dag_id, self.task_id, self.root = dag_id, task_id, root_of(request)
        self.filters, self.left_out = read_query(TrendFilters, request.query_params)
        self.prices = read_prices()
        if "\0" in dag_id + task_id:  # PostgreSQL's driver refuses to send it
            raise ProblemError(problems.NO_TASK)
        with new_session() as session:
            self.trend: Trend = read_trend(session, dag_id, task_id, self.filters, self.prices)
            # What was billed has an end of ours, and is a notebook job; of all else Airflow's own record of the DAG is asked.
            is_known = any(each.billed is not None for each in self.trend.instances)
            found = True if is_known else has_notebook_task(session, dag_id, task_id)
        if found is None:
            raise ProblemError(problems.NO_TASK)
        if not found:
            raise ProblemError(problems.NOT_A_NOTEBOOK)

    def row(self, each: Instance) -> dict[str, Any]:
        return {
            "path": self.root + path_of(self.dag_id, self.task_id, each),
            "run_id": each.run_id,
            "index": (each.label or str(each.map_index)) if each.map_index >= 0 else "",
            "when": time_text(
                each.logical_date if each.logical_date and self.filters.by != "run_after" else each.run_after
            ),
            "state": each.state or "none",
            "words": task_words(each.state),
            "values": [value_words(each.values.get(name)) for name in self.trend.outputs],
            "duration": checked_duration(each.duration) or "",
            "billed": checked_duration(each.billed) or "",
            "cost": "" if each.cost is None else self.prices.text(each.cost),
        }


AskedDep = Annotated[_Asked, Depends(_Asked)]


@router.get(TREND, dependencies=[may_read_results])
def trend(asked: AskedDep) -> Response:
    found, filters = asked.trend, asked.filters
    charts = Charts(
        found, dag_id=asked.dag_id, task_id=asked.task_id, root=asked.root, by=filters.by, prices=asked.prices
    )
    drawn, undrawn, others = charts.drawn()
    pages = max(-(-len(found.instances) // _TABLE_ROWS), 1)
    number = min(filters.page, pages)
    newest = list(reversed(found.instances))[(number - 1) * _TABLE_ROWS : number * _TABLE_ROWS]
    return page(
        "trend.html",
        "refresh.js",
        "trend.js",
        asked=asked,
        filters=filters,
        trend=found,
        charts=[(each, Markup(each.svg)) for each in drawn],  # noqa: S704 - `core/chart/drawing.py` escapes what it is given
        legend=[(Markup(swatch(style)), name) for style, name in charts.legend.entries],  # noqa: S704 - as above
        more_series=charts.legend.more,
        undrawn=undrawn,
        others=others,
        notes=table_notes(found),
        rows=[asked.row(each) for each in newest],
        page=number,
        pages=pages,
        has_costs=bool(asked.prices.per_hour),
        own=f"{asked.root}/nbjobs",
    )


@router.get(TREND + "/trend.json", dependencies=[may_read_results])
def trend_json(asked: AskedDep) -> Response:
    answer = {
        "status": "ok",
        "version": _VERSION,
        "dag_id": asked.dag_id,
        "task_id": asked.task_id,
        "currency": asked.prices.currency,
        "outputs": list(asked.trend.outputs),
        "is_live": asked.trend.is_live,
        "unread": asked.trend.unread,
        "runs_asked": asked.filters.runs,
        "is_cut": asked.trend.left_out,
        "has_more_outputs": asked.trend.more_outputs,
        "not_understood": asked.left_out,
        "runs": [as_json(each) for each in asked.trend.instances],
    }
    return VisibleJSONResponse(answer, headers=UNSTORED)


@router.get(TREND + "/trend.csv", dependencies=[may_read_results])
def trend_csv(asked: AskedDep) -> Response:
    refuse_left_out(asked.left_out)
    rows = (table_row(each, asked.trend, asked.prices) for each in asked.trend.instances)
    notes = ([text] for text in table_notes(asked.trend))
    return csv_answer(f"{asked.dag_id}.{asked.task_id}.csv", table_heads(asked.trend, asked.prices), chain(rows, notes))
