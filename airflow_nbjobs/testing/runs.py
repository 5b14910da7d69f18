"""
Runs of a DAG by ``airflow dags test``, each in a process of its own, and what they leave in Airflow's database.

Used by the fixture ``run_dag`` of ``airflow_nbjobs.testing``; SQLite, in a private ``AIRFLOW_HOME``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

RUN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class DagRun:
    """
    What a run left in Airflow's database.

    :param state: ``"success"`` or ``"failed"``.
    :param tasks: states by task; mapped tasks are ``"train[0]"``.
    :param xcoms: values by (task, key).
    :param log: everything that the run printed.
    """

    state: str
    tasks: Mapping[str, str]
    xcoms: Mapping[tuple[str, str], Any]
    log: str


class RunDag(Protocol):
    """What the fixture ``run_dag`` gives."""

    def __call__(
        self,
        dag_file: str | os.PathLike[str],
        dag_id: str,
        *,
        logical_date: str | None = None,
        conf: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> DagRun:
        """Run a DAG once and return what became of it; a run that fails is returned, not raised."""


def airflow(arguments: Sequence[str], *, home: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    foreign = ("AIRFLOW", "AWS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        **env,
    }
    return subprocess.run(
        [sys.executable, "-m", "airflow", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def _query(home: Path, sql: str, *values: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(home / "airflow.db")) as connection:
        return connection.execute(sql, values).fetchall()


def runs_of(home: Path, dag_id: str) -> dict[str, str]:
    return dict(_query(home, "SELECT run_id, state FROM dag_run WHERE dag_id = ?", dag_id))


def read_run(home: Path, dag_id: str, run_id: str, state: str, log: str) -> DagRun:
    instances = _query(
        home, "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ?", dag_id, run_id
    )
    values = _query(
        home, "SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = ? AND run_id = ?", dag_id, run_id
    )
    return DagRun(
        state=state,
        tasks={_label(task_id, index): state for task_id, index, state in instances},
        xcoms={(_label(task_id, index), key): _value(value) for task_id, index, key, value in values},
        log=log,
    )


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"


def _value(value: Any) -> Any:
    # SQLite keeps the text of a bare number as a number.
    return json.loads(value) if isinstance(value, str) else value
