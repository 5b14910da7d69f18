"""
A command of Airflow, and then what it has left of a DAG's run, as JSON in a file: ``python -m airflow_nbjobs.testing.records FILE DAG_ID COMMAND …``.

A process of its own, in the ``AIRFLOW_HOME`` of the run: a test's own process may hold another Airflow. One for both: to import Airflow takes seconds.
Airflow's models, not its tables: these are others in Airflow 3.4.
"""

from __future__ import annotations

import json
import runpy
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def newest_run(dag_id: str, since: datetime) -> dict[str, Any] | None:
    """
    Return state, tasks and XComs of the run that was changed last; None if none has been since then.

    Not by its start: ``airflow dags test`` sets that to the logical date.
    """
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        run = session.execute(
            select(DagRun.run_id, DagRun.state)
            .where(DagRun.dag_id == dag_id, DagRun.updated_at >= since)
            .order_by(DagRun.updated_at.desc())
            .limit(1)
        ).first()
        if run is None:
            return None
        run_id, state = run
        instances = session.execute(
            select(TaskInstance.task_id, TaskInstance.map_index, TaskInstance.state)
            .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
            .order_by(TaskInstance.id)
        )
        xcoms = session.execute(
            select(XComModel.task_id, XComModel.map_index, XComModel.key, XComModel.value)
            .where(XComModel.dag_id == dag_id, XComModel.run_id == run_id)
            .order_by(XComModel.timestamp)
        )
        return {
            "state": _text(state),
            "tasks": [[task_id, index, _text(task_state)] for task_id, index, task_state in instances],
            "xcoms": [list(row) for row in xcoms],
        }


def _text(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))


def _main(file: str, dag_id: str, *command: str) -> None:
    began = datetime.now(tz=UTC)
    sys.argv = ["airflow", *command]
    try:
        runpy.run_module("airflow", run_name="__main__")
    finally:  # a command that fails, or exits, may have made a run
        Path(file).write_text(json.dumps(newest_run(dag_id, began)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
