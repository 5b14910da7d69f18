"""Notebook jobs in a database with Airflow's own tables: what tasks leave there, without running them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

START = datetime(2026, 1, 1, tzinfo=UTC)
STATES = ("success", "success", "success", "failed", "running")


def open_database(url: str = "sqlite://", *further_models: Any) -> Session:
    """Return a session of a database with Airflow's tables; ``url`` is of an empty one."""
    import_all_models()
    engine = create_engine(url)
    needed = {model.__table__ for model in (DagRun, TaskInstance, XComModel, *further_models)}
    while further := {key.column.table for table in needed for key in table.foreign_keys} - needed:
        needed |= further
    Base.metadata.create_all(engine, tables=list(needed))
    return Session(engine)


def job(number: int, *, dags: int = 20) -> dict[str, Any]:
    """Return the n-th of many jobs: a minute after the one before it, every fifth failed or running."""
    state = STATES[number % len(STATES)]
    return {
        "dag_id": f"dag_{number % dags:02d}",
        "run_id": f"manual__{number}",
        "task_id": "train",
        "state": state,
        "started": START + timedelta(minutes=number),
        "seconds": None if state == "running" else 60.0 + number % 100,
        "notebook": f"notebooks/report_{number % 7}.ipynb",
        "done": (4 if state == "success" else 3),
        "error": f"Notebook job 'job-{number}' failed in cell {number % 9}: ValueError: row {number}"
        if state == "failed"
        else None,
    }


def add_jobs(session: Session, jobs: Iterable[dict[str, Any]]) -> None:
    runs, instances, xcoms = [], [], []
    for number, each in enumerate(jobs, 1):
        key = {
            "dag_id": each["dag_id"],
            "run_id": each["run_id"],
            "task_id": each["task_id"],
            "map_index": each.get("map_index", -1),
        }
        runs.append(
            {
                "id": number,
                "dag_id": key["dag_id"],
                "run_id": key["run_id"],
                "run_type": "manual",
                "run_after": each["started"],
                "state": "success",
            }
        )
        instances.append(
            key
            | {
                "id": uuid.uuid4(),
                "state": each["state"],
                "start_date": each["started"],
                "duration": each["seconds"],
                "try_number": each.get("try_number", 1),
                "max_tries": 0,
                "pool": "default_pool",
                "pool_slots": 1,
                "executor_config": {},
            }
        )
        xcom = key | {"dag_run_id": number}
        facts = {
            "job_name": f"job-{number - 1}",
            "instance_type": "ml.m5.large",
            "input_notebook": each["notebook"],
            "try_number": 1,
        } | each.get("facts", {})
        if each.get("refused"):
            xcoms.append(xcom | {"key": "nbjobs_error", "value": each["refused"]})
            continue
        xcoms.append(xcom | {"key": "nbjobs_job", "value": facts})
        progress = {"job_name": facts["job_name"], "done": each["done"], "total": 4}
        if each["seconds"] is None:
            xcoms.append(xcom | {"key": "nbjobs_progress", "value": progress})
        else:
            end = {
                "started_at": each["started"].isoformat(),
                "duration_seconds": each["seconds"],
                "billable_seconds": 3600,
                "progress": progress,
            }
            end |= each.get("end", {})
            if each["error"]:
                end["error"] = {"type": "NotebookCellError", "headline": each["error"], "cell": 3}
            xcoms.append(xcom | {"key": "nbjobs_end", "value": end})
        xcoms.append(xcom | {"key": "return_value", "value": {"outputs": {"accuracy": 0.5}}})
    for model, rows in ((DagRun, runs), (TaskInstance, instances), (XComModel, xcoms)):
        session.execute(insert(model), rows)
    session.commit()
