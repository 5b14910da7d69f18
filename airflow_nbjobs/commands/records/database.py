"""
What an Airflow knows, from its metadata database: for a machine on which Airflow is configured.

Called by ``choice.py``; reads only. One session for each answer, so that no transaction stays open while files are fetched.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import String, cast, select
from sqlalchemy.exc import DatabaseError

from airflow_nbjobs._compat import of_task_instance
from airflow_nbjobs.commands.records.port import AirflowError, Run
from airflow_nbjobs.commands.records.states import is_under_way, no_such_run
from airflow_nbjobs.ui.data import queries
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook.aws_access import airflow_access

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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

    def all_task_instances(self, dag_ids: Iterable[str]) -> Iterator[NotebookTaskInstance]:
        wanted = set(dag_ids)
        with self._session() as session:
            yield from queries.read_task_instances(session, wanted)

    def outputs(self, ti: NotebookTaskInstance) -> dict[str, Any]:
        with self._session() as session:
            return queries.read_outputs(session, ti, most=None)[0]

    def access(self, ti: NotebookTaskInstance) -> Access:
        return airflow_access(ti)

    def remembered_starts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> set[int]:
        with self._session() as session:
            ti = queries.read_task_instance(session, dag_id=dag_id, run_id=run_id, task_id=task_id, map_index=map_index)
        hints = [] if ti is None else [*ti.attempts, *([ti.job] if ti.job else [])]
        return {start for hint in hints if type(start := hint.get("run_started_microseconds")) is int}

    def texts(self, runs: Iterable[Run]) -> Iterator[tuple[Run, str]]:
        by_name = {run.name: run for run in runs}
        fields: Any = RenderedTaskInstanceFields
        with self._session() as session:
            rendered = (
                select(TaskInstance.dag_id, TaskInstance.run_id, cast(fields.rendered_fields, String))
                .select_from(TaskInstance)
                .join(fields, of_task_instance(fields))
            )
            pushed = select(XComModel.dag_id, XComModel.run_id, cast(XComModel.value, String))
            for statement in (rendered, pushed):
                for dag_id, run_id, text in session.execute(statement.execution_options(yield_per=_ROWS)):
                    run = by_name.get((dag_id, run_id))
                    if run is not None and text:
                        yield run, text

    def is_under_way(self, run: Run) -> bool:
        with self._session() as session:
            state = session.scalar(select(DagRun.state).where(DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id))
            states = session.scalars(
                select(TaskInstance.state)
                .where(TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id)
                .distinct()
            ).all()
        return is_under_way(queries.state_text(state), [queries.state_text(each) for each in states])


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
