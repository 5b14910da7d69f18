"""
All notebook jobs that a user may see, from Airflow's own database: filtered, sorted and paged there.

Called by the routes. A job is listed from the moment its task has submitted it until a new try takes its place, and so is a task that was refused before it
had one.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from pydantic import BaseModel, Field, ValidationError, field_validator
from sqlalchemy import String, and_, case, cast, collate, false, func, not_, nulls_last, or_, select
from sqlalchemy.orm import aliased

from airflow_nbjobs.core.job.wording import UNDER_WAY, task_words
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY, PROGRESS_KEY, read_record
from airflow_nbjobs.core.notebook.progress import done_share
from airflow_nbjobs.links import tab_path
from airflow_nbjobs.ui.data.queries import mapping, state_text
from airflow_nbjobs.ui.data.xcom_values import backend_values, plain
from airflow_nbjobs.ui.times import checked_duration, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from airflow_nbjobs.core.job.prices import Prices

PAGE_SIZE = 50
# What the form offers; what each selects is in `_is_in`.
STATES = {
    "running": "running",
    "waiting": "waiting",
    "success": "success",
    "failed": "failed",
    "up_for_retry": task_words("up_for_retry"),
}
_INSTANCE_COLUMNS = (
    *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index),
    *(TaskInstance.state, TaskInstance.try_number, TaskInstance.start_date, TaskInstance.duration),
)
_ERROR_CHARACTERS = 240
_TEXT_CHARACTERS = 1000  # as long as the longest headline that is kept


class Filters(BaseModel):
    """The page's query: what is absent does not filter."""

    dag_id: str = Field("", max_length=250)
    state: Literal["", "running", "waiting", "deferred", "success", "failed", "up_for_retry"] = ""
    since: date | None = None
    until: date | None = None
    text: str = Field("", max_length=_TEXT_CHARACTERS)
    sort: Literal["started", "-started", "dag", "-dag", "state", "-state", "duration", "-duration"] = "-started"
    page: int = Field(1, ge=1, le=100_000)

    @field_validator("since", "until", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value  # what a form sends for a field left empty

    @field_validator("state")
    @classmethod
    def _one_word(cls, value: str) -> str:
        return "running" if value == "deferred" else value  # of an address that somebody has kept

    @field_validator("dag_id", "text")
    @classmethod
    def _storable(cls, value: str) -> str:
        if "\0" in value:
            raise ValueError("no database holds a NUL")
        return value.strip()

    @property
    def is_empty(self) -> bool:
        return not self.query(sort="-started", page=1)

    def query(self, **changes: Any) -> dict[str, str]:
        """Return the query's parameters, with changes, without what is at its default."""
        fields = self.model_copy(update=changes).model_dump(mode="json", exclude_defaults=True)
        return {name: str(value) for name, value in fields.items() if value not in ("", None)}


def read_filters(query: Mapping[str, str]) -> tuple[Filters, dict[str, str]]:
    """Return what an address asks for, and what of it says nothing and is left out."""
    parameters = {name: value for name, value in query.items() if name in Filters.model_fields}
    try:
        return Filters(**parameters), {}  # type: ignore[arg-type] # texts, which the model reads
    except ValidationError as error:
        wrong = {str(each["loc"][0]) for each in error.errors()}
    rest = {name: value for name, value in parameters.items() if name not in wrong}
    return Filters(**rest), {name: parameters[name][:60] for name in parameters if name in wrong}  # type: ignore[arg-type] # as above


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """
    One job, or one task that was refused before it had one, in texts.

    :param state: Airflow's; ``words`` are the user's.
    :param cells: how far the notebook has come.
    :param progress: the same in percent; None where a bar would say something else than the words do.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str
    words: str
    notebook: str
    started: str | None
    duration: str | None
    cost: str | None
    cells: str
    progress: int | None
    error: str

    @property
    def path(self) -> str:
        """The tab's address in Airflow's UI, relative to its root."""
        return tab_path(self.dag_id, self.run_id, self.task_id, self.map_index)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """
    One page of jobs.

    :param dag_ids: for the filter: the DAGs that have notebook jobs.
    """

    rows: Sequence[Row]
    total: int
    page: int
    pages: int
    dag_ids: Sequence[str]

    @property
    def is_live(self) -> bool:
        """Whether any of the page's jobs may change by itself."""
        return any(row.state not in ("success", "failed") for row in self.rows)


def list_jobs(session: Session, filters: Filters, *, readable: set[str], prices: Prices) -> Listing:
    """
    Return one page of the notebook jobs of the DAGs that may be read.

    :param readable: ids of those DAGs; no other DAG's job is counted either.
    """
    row, end, error, progress = (aliased(XComModel) for _ in range(4))
    is_listed = (row.key.in_((JOB_KEY, ERROR_KEY)), row.dag_id.in_(readable))
    listed = (
        select()
        .select_from(row)
        .join(
            TaskInstance,
            and_(
                TaskInstance.dag_id == row.dag_id,
                TaskInstance.run_id == row.run_id,
                TaskInstance.task_id == row.task_id,
                TaskInstance.map_index == row.map_index,
            ),
        )
        .join(end, _beside(end, row, END_KEY), isouter=True)
        .join(error, _beside(error, row, ERROR_KEY), isouter=True)
        .where(*is_listed, _makes_row(row))
    )
    # The database filters and counts here, for which it reads the values of every job; the values of one page are read after that.
    is_postgres = session.get_bind().dialect.name == "postgresql"
    wanted = (
        listed.with_only_columns(TaskInstance.id, func.count().over())
        .where(*_conditions(filters, row, end, error, is_postgres=is_postgres))
        .order_by(*_order(filters.sort))
    )
    ids, total, number = _page_of(session, wanted, filters.page)
    found = session.execute(
        listed.join(progress, _beside(progress, row, PROGRESS_KEY), isouter=True)
        .with_only_columns(*_INSTANCE_COLUMNS, row.key, row.value, end.value, error.value, progress.value)
        .where(TaskInstance.id.in_(ids))
        .order_by(*_order(filters.sort))
    ).all()
    dag_ids = session.scalars(select(row.dag_id).where(*is_listed).distinct().order_by(row.dag_id).limit(500)).all()
    return Listing(
        rows=_rows([tuple(each) for each in found], prices),
        total=total,
        page=number,
        pages=max(-(-total // PAGE_SIZE), 1),
        dag_ids=dag_ids,
    )


def _makes_row(row: Any) -> ColumnElement[bool]:
    """Return which XCom makes a row: of a task instance with a job that job's, of one without what it failed with."""
    job = aliased(XComModel)
    has_job = select(job.key).where(_beside(job, row, JOB_KEY)).exists()
    return or_(row.key == JOB_KEY, and_(row.key == ERROR_KEY, ~has_job))


def _page_of(session: Session, wanted: Any, number: int) -> tuple[list[Any], int, int]:
    """Return the ids of one page, how many there are on all pages, and the page's number: the last one's for a page past the end."""
    wanted = wanted.limit(PAGE_SIZE)
    found = session.execute(wanted.offset((number - 1) * PAGE_SIZE)).all()
    if not found and number > 1:
        first = session.execute(wanted).all()
        number = -(-first[0][1] // PAGE_SIZE) if first else 1
        found = session.execute(wanted.offset((number - 1) * PAGE_SIZE)).all()
    return [task_id for task_id, _ in found], found[0][1] if found else 0, number


def _beside(other: Any, job: Any, key: str) -> ColumnElement[bool]:
    """Return what joins the XCom of another key of the same task instance."""
    return and_(
        other.dag_run_id == job.dag_run_id,
        other.task_id == job.task_id,
        other.map_index == job.map_index,
        other.key == key,
    )


def _conditions(filters: Filters, row: Any, end: Any, error: Any, *, is_postgres: bool) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.dag_id:
        conditions.append(row.dag_id == filters.dag_id)
    if filters.state:
        conditions.append(_is_in(filters.state, row))
    if filters.since:
        conditions.append(TaskInstance.start_date >= _midnight(filters.since))
    if filters.until and filters.until < date.max:
        conditions.append(TaskInstance.start_date < _midnight(filters.until + timedelta(days=1)))
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


def _rows(found: list[tuple[Any, ...]], prices: Prices) -> list[Row]:
    """Return the rows; their XComs' values are read together, through the configured backend."""
    keys = (END_KEY, ERROR_KEY, PROGRESS_KEY)
    stored = [
        pair
        for *_, key, own, end, error, done in found
        for pair in zip((key, *keys), (own, end, error, done), strict=True)
    ]
    values = iter(backend_values(stored))
    return [_row(each, [next(values) for _ in range(4)], prices) for each in found]


def _row(found: tuple[Any, ...], values: list[Any], prices: Prices) -> Row:
    dag_id, run_id, task_id, map_index, state, try_number, started, seconds, key, *_ = found
    keys = (key, END_KEY, ERROR_KEY, PROGRESS_KEY)
    own, end, error, progress = (read_record(of, plain(value)) for of, value in zip(keys, values, strict=True))
    state = state_text(state)
    job = own if key == JOB_KEY else {}
    of_try = (job or error).get("try_number")
    # A task that is to be run again still has the XComs of its last try.
    is_past = state is None or (isinstance(of_try, int) and of_try != try_number)
    if is_past or end.get("job_name", job.get("job_name")) != job.get("job_name"):
        end = {}
    waiting = mapping(job.get("waiting")) if state in UNDER_WAY else None
    if is_past:
        error = progress = {}
    if waiting:
        progress = {}  # of the job before the one that it waits for
    error = mapping(end.get("error")) or error
    cells, percent = _cells(state, job, mapping(end.get("progress")) or progress, error.get("cell"))
    return Row(
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        map_index=map_index,
        state=state or "none",
        words=task_words(state, job),
        notebook=str(job.get("input_notebook") or "").rpartition("/")[2],
        started=time_text(end.get("started_at")) or (None if is_past else time_text(started)),
        duration=checked_duration(end.get("duration_seconds")) or (None if is_past else checked_duration(seconds)),
        cost=prices.cost(job.get("instance_type"), end.get("billable_seconds")),
        cells=cells,
        progress=percent,
        error=_error(job, error, waiting=waiting),
    )


def _cells(
    state: str | None, job: Mapping[str, Any], progress: Mapping[str, Any], failed_cell: object
) -> tuple[str, int | None]:
    """Return how far the job's notebook has come; a late word of another job of the task does not count, nor one that cannot be."""
    share = done_share(progress) if progress.get("job_name") == job.get("job_name") else None
    if share is None:
        return (f"cell {failed_cell}" if isinstance(failed_cell, int) else ""), None
    if state in UNDER_WAY or state == "success":
        return f"{progress['done']} of {progress['total']}", int(share * 100)
    done = failed_cell if isinstance(failed_cell, int) and failed_cell <= progress["total"] else progress["done"]
    return f"{done} of {progress['total']}", None


def _error(job: Mapping[str, Any], error: Mapping[str, Any], waiting: Mapping[str, Any] | None) -> str:
    problems = error.get("problems")
    texts = [each for each in problems if isinstance(each, str)] if isinstance(problems, list) else []
    if job or not error:
        return _one_line(error.get("headline") or (waiting or {}).get("reason"), job.get("job_name"))
    # What was refused lists what is wrong with it; that it was refused, and that nothing is billed, is said once here.
    return _one_line(f"not submitted: {'; '.join(texts) or error.get('headline')}", None)


def _one_line(headline: object, job_name: object) -> str:
    text = " ".join(headline.split()) if isinstance(headline, str) else ""
    # The row says which job it is; what remains is what went wrong.
    text = text.removeprefix(f"Notebook job '{job_name}' ")
    return text if len(text) <= _ERROR_CHARACTERS else f"{text[:_ERROR_CHARACTERS]}…"
