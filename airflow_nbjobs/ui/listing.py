"""
All notebook jobs that a user may see, from Airflow's own database: filtered, sorted and paged there.

Called by ``app.py``. A job is listed from the moment its task has submitted it until a new try takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from pydantic import BaseModel, Field, field_validator
from sqlalchemy import String, and_, cast, func, nulls_last, or_, select
from sqlalchemy.orm import aliased

from airflow_nbjobs.core.progress import done_share
from airflow_nbjobs.links import END_KEY, JOB_KEY, PROGRESS_KEY, tab_path
from airflow_nbjobs.ui.records import mapping
from airflow_nbjobs.ui.views import duration_text, time_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from airflow_nbjobs.ui.views import Prices

PAGE_SIZE = 50
STATES = ("running", "deferred", "success", "failed", "up_for_retry")
_ERROR_CHARACTERS = 240


class Filters(BaseModel):
    """The page's query: what is not given does not filter."""

    dag_id: str = Field("", max_length=250)
    state: Literal["", "running", "deferred", "success", "failed", "up_for_retry"] = ""
    since: date | None = None
    until: date | None = None
    text: str = Field("", max_length=200)
    sort: Literal["started", "-started", "dag", "-dag", "state", "-state", "duration", "-duration"] = "-started"
    page: int = Field(1, ge=1, le=100_000)

    @field_validator("since", "until", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value  # what a form sends for a field left empty

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the query's parameters, with changes, without what is at its default."""
        fields = self.model_copy(update=changes).model_dump(mode="json", exclude_defaults=True)
        return {name: str(value) for name, value in fields.items() if value not in ("", None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One job, in texts.

    :param progress: percent of the notebook's cells that have run.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    notebook: str
    started: str | None
    duration: str | None
    cost: str | None
    progress: int | None
    error: str
    cell: int | None

    @property
    def path(self) -> str:
        """The tab's address in Airflow's UI, relative to its root."""
        return tab_path(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """
    One page of jobs.

    :param dag_ids: for the filter: the DAGs that have notebook jobs.
    """

    rows: Sequence[Row]
    total: int
    page: int
    pages: int
    dag_ids: Sequence[str]


def list_jobs(session: Session, filters: Filters, *, readable: set[str], prices: Prices) -> Listing:
    """
    Return one page of the notebook jobs of the DAGs that may be read.

    :param readable: ids of those DAGs; no other DAG's job is counted either.
    """
    job, end, progress = aliased(XComModel), aliased(XComModel), aliased(XComModel)
    joined = (
        select()
        .select_from(job)
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == job.dag_id,
                TaskInstance.run_id == job.run_id,
                TaskInstance.task_id == job.task_id,
                TaskInstance.map_index == job.map_index,
            ),
        )
        .join(end, _beside(end, job, END_KEY), isouter=True)
        .where(job.key == JOB_KEY, job.dag_id.in_(readable), *_conditions(filters, job, end))
    )
    total = session.scalar(joined.with_only_columns(func.count())) or 0
    pages = max(-(-total // PAGE_SIZE), 1)
    number = min(filters.page, pages)
    found = session.execute(
        joined.join(progress, _beside(progress, job, PROGRESS_KEY), isouter=True)
        .with_only_columns(
            TaskInstance.dag_id,
            TaskInstance.run_id,
            TaskInstance.task_id,
            TaskInstance.map_index,
            TaskInstance.state,
            TaskInstance.start_date,
            TaskInstance.duration,
            job.value,
            end.value,
            progress.value,
        )
        .order_by(*_order(filters.sort))
        .limit(PAGE_SIZE)
        .offset((number - 1) * PAGE_SIZE)
    ).all()
    dag_ids = session.scalars(
        select(job.dag_id)
        .where(job.key == JOB_KEY, job.dag_id.in_(readable))
        .distinct()
        .order_by(job.dag_id)
        .limit(500)
    ).all()
    rows = [_row(tuple(each), prices) for each in found]
    return Listing(rows=rows, total=total, page=number, pages=pages, dag_ids=dag_ids)


def _beside(other: Any, job: Any, key: str) -> ColumnElement[bool]:
    """Return what joins the XCom of another key of the same task instance."""
    return and_(
        other.dag_run_id == job.dag_run_id,
        other.task_id == job.task_id,
        other.map_index == job.map_index,
        other.key == key,
    )


def _conditions(filters: Filters, job: Any, end: Any) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.dag_id:
        conditions.append(job.dag_id == filters.dag_id)
    if filters.state:
        conditions.append(TaskInstance.state == filters.state)
    if filters.since:
        conditions.append(TaskInstance.start_date >= _midnight(filters.since))
    if filters.until:
        conditions.append(TaskInstance.start_date < _midnight(filters.until + timedelta(days=1)))
    if filters.text:
        text = "%" + filters.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        columns = (job.dag_id, job.task_id, job.run_id, cast(job.value, String), cast(end.value, String))
        conditions.append(or_(*(column.ilike(text, escape="\\") for column in columns)))
    return conditions


def _order(sort: str) -> tuple[Any, ...]:
    column: Any = {
        "started": TaskInstance.start_date,
        "dag": TaskInstance.dag_id,
        "state": TaskInstance.state,
        "duration": TaskInstance.duration,
    }[sort.removeprefix("-")]
    first = nulls_last(column.desc() if sort.startswith("-") else column.asc())
    # One order for equal rows, or a job could be on two pages and another on none.
    return (first, TaskInstance.start_date.desc(), TaskInstance.id)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _row(found: tuple[Any, ...], prices: Prices) -> Row:
    dag_id, run_id, task_id, map_index, state, started, seconds, *xcoms = found
    job, end, progress = (mapping(value) or {} for value in xcoms)
    error = mapping(end.get("error")) or {}
    cell = error.get("cell")
    return Row(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        state=str(getattr(state, "value", state) or "none"),
        notebook=str(job.get("input_notebook") or "").rpartition("/")[2],
        started=time_text(end.get("started_at")) or time_text(started),
        duration=duration_text(end.get("duration_seconds")) or duration_text(seconds),
        cost=prices.cost(job.get("instance_type"), end.get("billable_seconds")),
        progress=_percent(mapping(end.get("progress")) or progress, job.get("job_name")),
        error=_one_line(error.get("headline"), job.get("job_name")),
        cell=cell if isinstance(cell, int) else None,
    )


def _percent(progress: dict[str, Any], job_name: object) -> int | None:
    """Return how much of the job's notebook has run; a late word of another job of the task does not count."""
    share = done_share(progress) if progress.get("job_name") == job_name else None
    return None if share is None else int(share * 100)


def _one_line(headline: object, job_name: object) -> str:
    text = " ".join(headline.split()) if isinstance(headline, str) else ""
    # The row says which job it is; what remains is what went wrong.
    text = text.removeprefix(f"Notebook job '{job_name}' ")
    return text if len(text) <= _ERROR_CHARACTERS else f"{text[:_ERROR_CHARACTERS]}…"
