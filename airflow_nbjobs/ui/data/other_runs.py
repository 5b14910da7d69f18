"""
The runs of a task beside one of it: those that a reader may compare it with.

Called by ``routes/compare.py`` with the API server's session; reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, func, or_, select

from airflow_nbjobs._compat import of_task_instance
from airflow_nbjobs.core.job.xcoms import JOB_KEY
from airflow_nbjobs.ui.data.queries import state_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_BEFORE, _AFTER = 10, 5


class OtherRun(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task instance of the same task, and map index, in another run, that has had a job.

    :param moment: the run's logical date; of one that has none, when it was to run.
    """

    run_id: str
    state: str | None
    moment: datetime
    is_before: bool


class OtherRuns(msgspec.Struct, frozen=True, kw_only=True):
    """
    The runs next to one.

    :param last_success: the last one before it that succeeded, however long ago.
    :param nearest: some before it and some after it, newest first.
    """

    last_success: OtherRun | None
    nearest: tuple[OtherRun, ...]


def read_other_runs(session: Session, ti: NotebookTaskInstance) -> OtherRuns:
    """Return the runs before and after the task instance's own, by logical date, in which its task has had a job."""
    moment: Any = func.coalesce(DagRun.logical_date, DagRun.run_after)
    own = session.execute(
        select(moment, DagRun.id).where(DagRun.dag_id == ti.dag_id, DagRun.run_id == ti.run_id)
    ).first()
    if own is None:
        return OtherRuns(last_success=None, nearest=())
    has_job = select(XComModel.key).where(XComModel.key == JOB_KEY, of_task_instance(XComModel)).exists()
    runs = (
        select(TaskInstance.run_id, TaskInstance.state, moment)
        .join(DagRun, and_(DagRun.dag_id == TaskInstance.dag_id, DagRun.run_id == TaskInstance.run_id))
        .where(
            TaskInstance.dag_id == ti.dag_id,
            TaskInstance.task_id == ti.task_id,
            TaskInstance.map_index == ti.map_index,
            has_job,
        )
    )
    is_before = or_(moment < own[0], and_(moment == own[0], DagRun.id < own[1]))
    is_after = or_(moment > own[0], and_(moment == own[0], DagRun.id > own[1]))
    before = runs.where(is_before).order_by(moment.desc(), DagRun.id.desc())
    after = runs.where(is_after).order_by(moment, DagRun.id)
    success = session.execute(before.where(TaskInstance.state == "success").limit(1)).first()
    later = [_run(row, is_before=False) for row in session.execute(after.limit(_AFTER))]
    earlier = [_run(row, is_before=True) for row in session.execute(before.limit(_BEFORE))]
    return OtherRuns(
        last_success=_run(success, is_before=True) if success is not None else None,
        nearest=(*reversed(later), *earlier),
    )


def _run(row: Any, *, is_before: bool) -> OtherRun:
    run_id, state, moment = row
    return OtherRun(run_id=run_id, state=state_text(state), moment=moment, is_before=is_before)
