"""Notebook jobs in a database with Airflow's own tables: what tasks leave there, without running them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import create_engine, insert, select
from sqlalchemy.orm import Session

try:  # Airflow >= 3.4: XCom's own model is for reading; what is written has the task instance's id in place of its name
    from airflow.models.xcom import XComModelV2 as StoredXCom
except ImportError:
    from airflow.models.xcom import XComModel as StoredXCom

if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = ("dag_id", "run_id", "task_id", "map_index")
READ_AS_WELL = ("xcom_v1", "legacy_task_data_owner", "dynamic_region")  # of Airflow >= 3.4, by its own queries
INDEX = (
    "region_index" if hasattr(TaskInstance, "region_index") else "map_index"
)  # Airflow >= 3.4 has the one for the other
START = datetime(2026, 1, 1, tzinfo=UTC)
STATES = ("success", "success", "success", "failed", "running")


def open_database(url: str = "sqlite://", *further_models: Any) -> Session:
    """Return a session of a database with Airflow's tables; ``url`` is of an empty one."""
    import_all_models()
    engine = create_engine(url)
    needed = {model.__table__ for model in (DagRun, TaskInstance, StoredXCom, *further_models)}
    needed |= {table for name, table in Base.metadata.tables.items() if name in READ_AS_WELL}
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
    runs, instances, xcoms = {}, [], []
    for number, each in enumerate(jobs, 1):
        key = {
            "dag_id": each["dag_id"],
            "run_id": each["run_id"],
            "task_id": each["task_id"],
            "map_index": each.get("map_index", -1),
        }
        run = runs.setdefault(
            (key["dag_id"], key["run_id"]),
            {
                "id": number,
                "dag_id": key["dag_id"],
                "run_id": key["run_id"],
                "run_type": "manual",
                "run_after": each["started"],
                "state": "success",
            },
        )
        instances.append(
            key
            | {
                INDEX: key["map_index"],
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
        xcom = key | {"dag_run_id": run["id"]}
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
    session.execute(insert(DagRun), list(runs.values()))
    session.execute(insert(TaskInstance), instances)
    add_xcoms(session, xcoms)
    session.commit()


def add_xcoms(session: Session, xcoms: Iterable[dict[str, Any]]) -> None:
    """Write XComs, each with its task instance's name and ``dag_run_id``."""
    if not hasattr(StoredXCom, "task_instance_id"):
        session.execute(insert(StoredXCom), list(xcoms))
        return
    instances = session.execute(select(*(getattr(TaskInstance, part) for part in NAME), TaskInstance.id))
    ids = {tuple(name): instance for *name, instance in instances}
    session.execute(
        insert(StoredXCom),
        [
            {
                "task_instance_id": ids[tuple(each[part] for part in NAME)],
                "key": each["key"],
                "value": each["value"],
            }
            for each in xcoms
        ],
    )
