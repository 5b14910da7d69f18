"""
Runs of a DAG by ``airflow dags test``, each in a process of its own, and what they leave in Airflow's database.

Used by the fixture ``run_dag`` of ``airflow_nbjobs.testing``; SQLite, in a private ``AIRFLOW_HOME``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.testing.faults import FaultError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUN_SECONDS = 600.0


class DagRun(msgspec.Struct, frozen=True):
    """
    What a run left in Airflow's database.

    :param state: ``"success"`` or ``"failed"``.
    :param tasks: states by task; mapped tasks are ``"train[0]"``, and so are the iterations of a loop (of a task mapped within one: the last iteration's).
    :param xcoms: values by (task, key).
    :param log: everything that the run printed.
    """

    state: str
    tasks: Mapping[str, str]
    xcoms: Mapping[tuple[str, str], Any]
    log: str


class RunDag(msgspec.Struct, frozen=True):
    """
    What the fixture ``run_dag`` gives.

    :param home: the runs' ``AIRFLOW_HOME``.
    :param environment: what points Airflow at the embedded SageMaker.
    """

    home: Path
    environment: Mapping[str, str]

    def __call__(
        self,
        dag_file: str | os.PathLike[str],
        dag_id: str,
        *,
        logical_date: str | None = None,
        conf: Mapping[str, Any] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> DagRun:
        """
        Run a DAG once and return what became of it; a run that fails is returned, not raised.

        :raises FaultError: there is no such DAG, or Airflow runs none.
        """
        arguments = ["dags", "test", dag_id, *([logical_date] if logical_date else [])]
        if conf:
            arguments += ["--conf", json.dumps(conf)]
        folder = str(Path(dag_file).absolute().parent)
        environment = {**self.environment, "AIRFLOW__CORE__DAGS_FOLDER": folder, **(env or {})}
        done, made = _run_and_read(dag_id, arguments, home=self.home, env=environment)
        if made is None:
            raise FaultError(f"'{dag_id}' of {dag_file} was not run:\n{done.stdout[-5000:]}")
        return made


def airflow(arguments: Sequence[str], *, home: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return _python(["-m", "airflow", *arguments], home=home, env=env)


def _python(arguments: Sequence[str], *, home: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    foreign = ("AIRFLOW", "AWS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        **env,
    }
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def _run_and_read(
    dag_id: str, command: Sequence[str], *, home: Path, env: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], DagRun | None]:
    """Run a command of Airflow; return its process, and the DAG's run that it has made or changed last, None if there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.json"
        done = _python(["-m", "airflow_nbjobs.testing.records", str(file), dag_id, *command], home=home, env=env)
        found = json.loads(file.read_text()) if file.exists() else None
    return done, None if found is None else as_dag_run(found, log=done.stdout)


def as_dag_run(found: Mapping[str, Any], *, log: str) -> DagRun:
    """Return a run as ``records.newest_run`` has read it."""
    return DagRun(
        state=found["state"],
        tasks={_label(task_id, index): state for task_id, index, state in found["tasks"]},
        xcoms={(_label(task_id, index), key): value for task_id, index, key, value in found["xcoms"]},
        log=log,
    )


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"
