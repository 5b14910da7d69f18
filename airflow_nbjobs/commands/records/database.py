"""
What an Airflow knows, from its metadata database: for a machine on which Airflow is configured.

Called by ``choice.py``; reads only. One session for each answer, so that no transaction stays open while files are fetched.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow.models.asset import AssetEvent, association_table
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import String, cast, select
from sqlalchemy.exc import DatabaseError

from airflow_nbjobs._compat import of_task_instance
from airflow_nbjobs.commands.records.port import FORGOTTEN, UNREAD, AirflowError, Run, Said, said_in_fields
from airflow_nbjobs.commands.records.states import is_under_way, no_such_run
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data.task_instance import FINISHED, NEVER_RAN, Kind
from airflow_nbjobs.ui.data.xcom_values import backend_values, has_backend
from airflow_nbjobs.ui.notebook.aws_access import airflow_access

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Container, Iterable, Iterator

    from sqlalchemy.orm import Session

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access

_ROWS = 500
_RUN_COLUMNS = (DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.run_after, DagRun.start_date, DagRun.end_date)


class DatabaseRecords:
    """:param make_session: a context manager of a session; default: Airflow's own."""

    def __init__(self, make_session: Any = create_session) -> None:
        self._make_session = make_session

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with self._make_session() as session:
                yield session
        except DatabaseError as error:
            raise AirflowError(
                f"Airflow's database cannot be read: {str(error.orig).strip() or type(error).__name__}",
                details={
                    "next": "run the command where Airflow is configured and its database migrated (AIRFLOW_HOME), or reach a remote Airflow with --airflow-url"
                },
            ) from error

    def run(self, dag_id: str, run_id: str) -> Run:
        with self._session() as session:
            row = session.execute(select(*_RUN_COLUMNS).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).first()
            if row is not None:
                return _run(row)
            known = session.scalars(
                select(DagRun.run_id).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after.desc()).limit(3)
            ).all()
        raise no_such_run(dag_id, run_id, known)

    def runs(self) -> list[Run]:
        with self._session() as session:
            return [_run(row) for row in session.execute(select(*_RUN_COLUMNS).order_by(DagRun.id))]

    def task_instances(self, run: Run) -> list[NotebookTaskInstance]:
        with self._session() as session:
            names = session.execute(
                select(TaskInstance.task_id, TaskInstance.map_index)
                .where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
                .order_by(TaskInstance.task_id, TaskInstance.map_index)
            ).all()
            found = [
                queries.read_task_instance(
                    session, dag_id=run.dag_id, run_id=run.run_id, task_id=task_id, map_index=map_index
                )
                for task_id, map_index in names
            ]
        return [ti for ti in found if ti is not None and ti.kind is not Kind.OTHER]

    def all_task_instances(self, dag_ids: Iterable[str], *, unknown: Counter[str]) -> Iterator[NotebookTaskInstance]:
        wanted = set(dag_ids)
        with self._session() as session:
            unknown.update(queries.count_unknown(session, wanted))
            yield from queries.read_task_instances(session, wanted)

    def outputs(self, ti: NotebookTaskInstance) -> dict[str, Any]:
        with self._session() as session:
            return queries.read_outputs(session, ti, most=None)[0]

    def access(self, ti: NotebookTaskInstance) -> Access:
        return airflow_access(ti)

    def remembered_starts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> set[int]:
        with self._session() as session:
            ti = queries.read_task_instance(session, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
        hints = () if ti is None else ti.attempts
        return {start for hint in hints if type(start := hint.get("run_started_microseconds")) is int}

    def under_way(self) -> set[tuple[str, str]]:
        goes_on = TaskInstance.state.not_in(FINISHED)  # one without a state is none
        with self._session() as session:
            found = session.execute(select(TaskInstance.dag_id, TaskInstance.run_id).where(goes_on).distinct())
            return {(dag_id, run_id) for dag_id, run_id in found}

    def texts(self, runs: Iterable[Run], *, in_use: Collection[tuple[str, str]]) -> Iterator[Said]:  # noqa: ARG002 - all are read
        by_name = {run.name: run for run in runs}
        with self._session() as session:
            for name, text in _triggers(session):
                if name in by_name:
                    yield Said(by_name[name], text)
            for name, fields in _fields(session):
                if name in by_name:
                    run = by_name[name]
                    yield Said(run, "", FORGOTTEN) if fields is None else said_in_fields(run, fields)
            for name, text, is_read in _pushed(session, by_name):
                yield Said(by_name[name], text, "" if is_read else UNREAD)

    def is_under_way(self, run: Run) -> bool:
        with self._session() as session:
            state = session.scalar(select(DagRun.state).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id))
            states = session.scalars(
                select(TaskInstance.state)
                .where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
                .distinct()
            ).all()
        return is_under_way(queries.state_text(state), [queries.state_text(each) for each in states])


def _read(session: Session, statement: Any) -> Iterator[Any]:
    return iter(session.execute(statement.execution_options(yield_per=_ROWS)))


def _triggers(session: Session) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield what runs were given by who triggered them, and by the events of assets that did."""
    of_run = select(DagRun.dag_id, DagRun.run_id)
    events = (
        of_run.add_columns(cast(AssetEvent.extra, String))
        .join(association_table, association_table.c.dag_run_id == DagRun.id)
        .join(AssetEvent, association_table.c.event_id == AssetEvent.id)
    )
    for statement in (of_run.add_columns(cast(DagRun.conf, String)), events):
        for dag_id, run_id, text in _read(session, statement):
            yield (dag_id, run_id), text or ""


def _fields(session: Session) -> Iterator[tuple[tuple[str, str], str | None]]:
    """Yield what tasks that have run were given; None where Airflow keeps it no more."""
    fields: Any = RenderedTaskInstanceFields
    statement = (
        select(
            *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.state, TaskInstance.try_number),
            cast(fields.rendered_fields, String),
        )
        .select_from(TaskInstance)
        .join(fields, of_task_instance(fields), isouter=True)
    )
    for dag_id, run_id, state, try_number, text in _read(session, statement):
        if text is not None or (try_number and queries.state_text(state) not in NEVER_RAN):
            yield (dag_id, run_id), text


def _pushed(session: Session, wanted: Container[tuple[str, str]]) -> Iterator[tuple[tuple[str, str], str, bool]]:
    """
    Yield what tasks have pushed, as it is stored and as a backend of XComs reads it; and whether it does.

    A backend may keep a value elsewhere: what is stored is an address then.
    """
    is_elsewhere = has_backend()
    stored: Any = select(XComModel.dag_id, XComModel.run_id, cast(XComModel.value, String))
    if is_elsewhere:
        stored = stored.add_columns(XComModel.key, XComModel.value)
    found = _read(session, stored)
    rows = ((row[:2], *row[2:]) for row in map(tuple, found) if row[:2] in wanted)
    while batch := list(islice(rows, _ROWS)):
        for name, text, *_ in batch:
            yield name, text or "", True
        if is_elsewhere:
            unread: list[int] = []
            values = backend_values(((key, value) for _, _, key, value in batch), unread=unread)
            for place, ((name, *_), value) in enumerate(zip(batch, values, strict=True)):
                yield name, json.dumps(value, default=str), place not in unread


def _run(row: Any) -> Run:
    dag_id, run_id, state, run_after, started, ended = row
    return Run(
        dag_id=dag_id,
        run_id=run_id,
        state=queries.state_text(state) or "",
        run_after=run_after,
        started=started,
        ended=ended,
    )
