"""
All notebook jobs that a user may see, from Airflow's own database: filtered, sorted, added up and paged there.

Called by the routes. A job is listed from the moment its task has submitted it until a new try takes its place, and so is a task that was refused before it
had one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import String, and_, case, cast, func, literal, or_, select
from sqlalchemy.orm import aliased

from airflow_nbjobs.core.job.wording import task_words
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY, PROGRESS_KEY
from airflow_nbjobs.ui.data.columns import with_columns
from airflow_nbjobs.ui.data.conditions import conditions_of, order_of
from airflow_nbjobs.ui.data.machines import machine_text
from airflow_nbjobs.ui.data.rows import Row, rows_of
from airflow_nbjobs.ui.data.sums import ENDED, NO_END, EndFacts, Sums, end_of, is_of_earlier_try, read_end
from airflow_nbjobs.ui.data.task_instance import FINISHED
from airflow_nbjobs.ui.data.xcom_values import Remembered, has_backend, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from airflow_nbjobs.core.job.prices import Prices
    from airflow_nbjobs.ui.data.filters import Filters

PAGE_SIZE = 50
MOST_SUMMED = 20_000
_MOST_DAGS = 500  # that the form offers
_MOST_READ = 1_000  # records that a backend of XComs keeps elsewhere
_CHUNK = 500
_ends = Remembered(lambda _, value: end_of(value))
# What the form offers; what each selects is in `conditions.py`.
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


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """
    One page of jobs.

    :param dag_ids: for the filter: the DAGs that have notebook jobs, the first 500; ``more_dags``: there are others.
    :param ids: of the page's task instances.
    :param sums: over all pages; ``groups``: of each group that the page shows and that is wholly added up, by ``Row.group``.
    :param summed: how many rows are added up: the first 20,000.
    """

    rows: Sequence[Row]
    total: int
    page: int
    pages: int
    dag_ids: Sequence[str]
    more_dags: bool = False
    ids: Sequence[Any] = ()
    sums: Sums = msgspec.field(default_factory=Sums)
    groups: Mapping[tuple[str, ...], Sums] = msgspec.field(default_factory=dict)
    summed: int = 0

    @property
    def is_live(self) -> bool:
        """Whether any of the page's jobs may change by itself."""
        return any(row.state not in FINISHED for row in self.rows)


class _Jobs:
    """The jobs of the DAGs that may be read, for one set of filters."""

    def __init__(self, session: Session, filters: Filters, readable: set[str], prices: Prices) -> None:
        self._session, self._filters, self._prices = session, filters, prices
        row, end, error = self._row, self._end, self._error = [aliased(XComModel) for _ in range(3)]
        self._is_postgres = session.get_bind().dialect.name == "postgresql"
        self._is_listed = (row.key.in_((JOB_KEY, ERROR_KEY)), row.dag_id.in_(readable))
        self._listed = (
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
            .where(*self._is_listed, _makes_row(row))
        )

    def wanted(self, *columns: Any) -> Any:
        """Return the statement of what the filters select, in its order. The database filters, for which it reads the values of every job."""
        return (
            self._listed.with_only_columns(*columns)
            .where(*conditions_of(self._filters, self._row, self._end, self._error, is_postgres=self._is_postgres))
            .order_by(*order_of(self._filters, self._row))
        )

    def dag_ids(self) -> Sequence[str]:
        row = self._row
        return self._session.scalars(
            select(row.dag_id).where(*self._is_listed).distinct().order_by(row.dag_id).limit(_MOST_DAGS + 1)
        ).all()

    def rows(self, ids: Sequence[Any]) -> list[Row]:
        """Return the rows of task instances, in the order of the filters, with the columns that they choose."""
        if not ids:
            return []
        row, progress = self._row, aliased(XComModel)
        found = self._session.execute(
            self._listed.join(progress, _beside(progress, row, PROGRESS_KEY), isouter=True)
            .with_only_columns(
                TaskInstance.id,
                *(*_INSTANCE_COLUMNS, row.key, row.value, self._end.value, self._error.value, progress.value),
            )
            .where(TaskInstance.id.in_(ids))
            .order_by(*order_of(self._filters, row))
        ).all()
        rows = rows_of([tuple(each)[1:] for each in found], self._prices)
        return with_columns(self._session, dict(zip([each[0] for each in found], rows, strict=True)), self._filters)

    def scan(self) -> Iterator[Any]:
        """
        Yield of each row, but for those beyond the 20,000th, what `_Adding` takes.

        Not kept: ten thousand rows that live at once cost more time in Python's garbage collector than in the database.
        """
        row, end = self._row, self._end
        stored = cast(end.value, String)
        # A stored job is a kilobyte or two: it is read where its end does not say the machine.
        says_it = or_(end.key.is_(None), stored.like("%instance\\_type%", escape="\\"))
        machine = case((says_it, literal("")), else_=machine_text(row.value, is_postgres=self._is_postgres))
        names = {"dag": (TaskInstance.dag_id,), "run": (TaskInstance.dag_id, TaskInstance.run_id)}
        columns = (
            *(cast(TaskInstance.id, String), TaskInstance.state, TaskInstance.try_number, row.key),
            *(stored, machine if self._prices.per_hour else literal(""), *names.get(self._filters.group, ())),
        )
        found = self._session.connection().execute(self.wanted(*columns).limit(MOST_SUMMED + 1))
        for rows in found.partitions(_CHUNK):
            yield from rows

    def page_beyond(self, number: int) -> tuple[list[Any], int, int]:
        """Return the ids of one page, how many rows there are, and the page's number: the last one's for a page past the end."""
        total = self._session.scalar(
            select(func.count()).select_from(self.wanted(TaskInstance.id).order_by(None).subquery())
        )
        number = min(number, _pages(total or 0))
        found = self._session.scalars(self.wanted(TaskInstance.id).limit(PAGE_SIZE).offset((number - 1) * PAGE_SIZE))
        return list(found.all()), total or 0, number


def list_jobs(session: Session, filters: Filters, *, readable: set[str], prices: Prices) -> Listing:
    """
    Return one page of the notebook jobs of the DAGs that may be read, and the sums over all pages.

    :param readable: ids of those DAGs; no other DAG's job is counted either.
    """
    jobs = _Jobs(session, filters, readable, prices)
    adding = _Adding()
    ids: list[str] = []
    is_cut, cut_group = False, None
    for found in jobs.scan():
        if is_cut := len(ids) == MOST_SUMMED:
            cut_group = tuple(found[6:])
            break
        ids.append(found[0])
        adding.take(found)
    adding.finish()
    if is_cut:
        page_ids, total, number = jobs.page_beyond(filters.page)
    else:
        total, number = len(ids), min(filters.page, _pages(len(ids)))
        page_ids = [_id_of(each) for each in ids[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]]
    rows, dag_ids = jobs.rows(page_ids), jobs.dag_ids()
    shown = {row.group(filters.group) for row in rows} if filters.group else set()
    return Listing(
        rows=rows,
        total=total,
        page=number,
        pages=_pages(total),
        dag_ids=dag_ids[:_MOST_DAGS],
        more_dags=len(dag_ids) > _MOST_DAGS,
        ids=page_ids,
        sums=adding.total,
        # Without those that are not added up, or not to their end: a part would be taken for the whole.
        groups={group: adding.groups[group] for group in shown & adding.groups.keys() if group != cut_group},
        summed=len(ids),
    )


def _id_of(text: str) -> Any:
    """Return a task instance's id as Airflow's model has it: a UUID, or its text."""
    try:
        kind = TaskInstance.id.type.python_type
    except NotImplementedError:  # Airflow 3.0 on some versions of SQLAlchemy
        kind = str
    return text if kind is str else kind(text)


class AllJobs:
    """
    All jobs that the filters select: which they are is read at once, each job when it is asked for.

    :param new_session: opens a session of the database: one a chunk, closed before the chunk is handed out, since whoever reads may take their time.
    :ivar unread: how many are left out, since their records lie in an XCom backend.
    """

    def __init__(
        self,
        new_session: Callable[[], AbstractContextManager[Session]],
        filters: Filters,
        *,
        readable: set[str],
        prices: Prices,
    ) -> None:
        self._new_session, self._filters, self._readable, self._prices = new_session, filters, readable, prices
        with new_session() as session:
            ids = session.scalars(_Jobs(session, filters, readable, prices).wanted(TaskInstance.id)).all()
        self._ids = ids[:_MOST_READ] if has_backend() else ids
        self.unread = len(ids) - len(self._ids)

    def chunks(self) -> Iterator[list[Row]]:
        """Yield the jobs, some hundred at a time."""
        for first in range(0, len(self._ids), _CHUNK):
            with self._new_session() as session:
                jobs = _Jobs(session, self._filters, self._readable, self._prices)
                rows = jobs.rows(self._ids[first : first + _CHUNK])
            yield rows


def _pages(total: int) -> int:
    return max(-(-total // PAGE_SIZE), 1)


class _Adding:
    """The sums of all rows, and of each group."""

    def __init__(self) -> None:
        self._has_backend = has_backend()
        self._elsewhere: list[tuple[Any, ...]] = []
        self.total = Sums()
        self.groups: dict[tuple[str, ...], Sums] = {}

    def take(self, found: Any) -> None:
        """:param found: a row of ``scan``: the task instance, the job's end as it is stored, ``machine_text``, the group."""
        which, state, try_number, key, stored, machine, *names = found
        group = tuple(names)
        into = (self.total, self.groups.setdefault(group, Sums())) if group else (self.total,)
        if self._has_backend and stored and key == JOB_KEY:
            if len(self._elsewhere) < _MOST_READ:
                self._elsewhere.append((into, which, state, try_number, stored, machine))
                return
            for sums in into:
                sums.leave_out(is_job=True)
        elif key != JOB_KEY:
            for sums in into:
                sums.leave_out(is_job=False)
        else:
            self._add(into, state, try_number, read_end(stored), machine)

    def finish(self) -> None:
        """Add the first thousand that a backend of XComs keeps."""
        ends = _ends.read(
            [
                ((which, try_number, hash(stored)) if state in ENDED else None, END_KEY, plain(stored))
                for _, which, state, try_number, stored, _ in self._elsewhere
            ]
        )
        for (into, _, state, try_number, _, machine), end in zip(self._elsewhere, ends, strict=True):
            self._add(into, state, try_number, end, machine)

    def _add(self, into: Sequence[Sums], state: Any, try_number: int, end: EndFacts, machine: str | None) -> None:
        if is_of_earlier_try(state, try_number, end):
            end = NO_END
        for sums in into:
            sums.add(end, machine)


def _makes_row(row: Any) -> ColumnElement[bool]:
    """Return which XCom makes a row: of a task instance with a job that job's, of one without what it failed with."""
    job = aliased(XComModel)
    has_job = select(job.key).where(_beside(job, row, JOB_KEY)).exists()
    return or_(row.key == JOB_KEY, and_(row.key == ERROR_KEY, ~has_job))


def _beside(other: Any, job: Any, key: str) -> ColumnElement[bool]:
    """Return what joins the XCom of another key of the same task instance."""
    return and_(
        other.dag_run_id == job.dag_run_id,
        other.task_id == job.task_id,
        other.map_index == job.map_index,
        other.key == key,
    )
