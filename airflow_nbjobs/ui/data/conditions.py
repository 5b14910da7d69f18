"""
What the filters of the page of all jobs mean to the database, and the order of its rows.

Called by ``listing.py``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.models.taskinstance import TaskInstance
from sqlalchemy import String, and_, case, cast, collate, false, not_, nulls_last, or_

from airflow_nbjobs.core.job.wording import UNDER_WAY

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from airflow_nbjobs.ui.data.filters import Filters


def conditions_of(filters: Filters, row: Any, end: Any, error: Any, *, is_postgres: bool) -> list[ColumnElement[bool]]:
    """Return what the filters select."""
    conditions: list[ColumnElement[bool]] = []
    if filters.dag_id:
        conditions.append(row.dag_id == filters.dag_id)
    if filters.state:
        conditions.append(_is_in(filters.state, row))
    if filters.first:
        conditions.append(TaskInstance.start_date >= filters.first)
    if filters.end:
        conditions.append(TaskInstance.start_date < filters.end)
    if filters.text:
        ids = [(column, {filters.text}) for column in (row.dag_id, row.task_id, row.run_id)]
        values = [(cast(each.value, String), _stored_forms(filters.text)) for each in (row, end, error)]
        found = (
            _contains(column, form, is_postgres=is_postgres) for column, forms in ids + values for form in sorted(forms)
        )
        conditions.append(or_(*found))
    return conditions


def _is_in(state: str, row: Any) -> ColumnElement[bool]:
    if state not in ("running", "waiting"):
        return TaskInstance.state == state
    # A key of ours with an object: in no text of a value do its quotes stand unescaped.
    key = '"waiting": {'
    forms = (key, json.dumps(key)[1:-1])
    waits = or_(*(cast(row.value, String).like(_pattern(form), escape="\\") for form in forms))
    is_under_way = TaskInstance.state.in_(UNDER_WAY)
    # The case has the database read the values of those tasks only, not of all.
    return and_(is_under_way, case((is_under_way, waits if state == "waiting" else not_(waits)), else_=false()))


def _contains(column: Any, text: str, *, is_postgres: bool) -> ColumnElement[bool]:
    # PostgreSQL folds the case of all letters there are, three times as slowly as of those in ASCII.
    folded = collate(column, "C") if is_postgres and text.isascii() else column
    condition: ColumnElement[bool] = folded.ilike(_pattern(text), escape="\\")
    return condition


def _pattern(text: str) -> str:
    return "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"


def _stored_forms(text: str) -> set[str]:
    """Return how a stored value can hold a text: as JSON writes it, and as JSON within JSON, which Airflow makes of what a task pushes."""
    once = {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return once | {json.dumps(each, ensure_ascii=False)[1:-1] for each in once}


def order_of(filters: Filters, row: Any) -> tuple[Any, ...]:
    """Return the order of the rows: those of a group together, the newest run first."""
    sort = filters.sort
    column: Any = {
        "started": TaskInstance.start_date,
        "dag": TaskInstance.dag_id,
        "state": TaskInstance.state,
        "duration": TaskInstance.duration,
    }[sort.removeprefix("-")]
    first = nulls_last(column.desc() if sort.startswith("-") else column.asc())
    # One order for equal rows, or a job could be on two pages and another on none.
    groups = {"dag": (TaskInstance.dag_id,), "run": (row.dag_run_id.desc(),)}.get(filters.group, ())
    return (*groups, first, TaskInstance.start_date.desc(), TaskInstance.id)
