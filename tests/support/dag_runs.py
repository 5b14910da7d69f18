"""
Runs of DAGs by ``airflow dags test``, many in one process: Airflow takes six seconds of CPU to be imported and to build its API, and one for a task.

That a process for each run does as well is shown by the fixture ``run_dag``, in ``tests/testing``.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# One command of Airflow a line, [file of its output, argument, …]; its exit code is the answer.
COMMANDS = """
import json, os, sys, traceback
from airflow.cli.cli_parser import get_parser
answers = os.fdopen(os.dup(1), "w", buffering=1)
for line in sys.stdin:
    path, *arguments = json.loads(line)
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1), os.dup2(file, 2), os.close(file)
    code = 0
    try:
        parsed = get_parser().parse_args(arguments)
        parsed.func(parsed)
    except SystemExit as end:
        code = end.code
        print(code)
    except Exception:
        code = 1
        traceback.print_exc()
    sys.stdout.flush(), sys.stderr.flush()
    print(json.dumps(code), file=answers)
"""


@dataclass(frozen=True, slots=True)
class DagRun:
    """What a run left in Airflow's database; mapped tasks are ``task[0]``."""

    state: str
    tasks: dict[str, str]
    xcoms: dict[tuple[str, str], Any]
    log: str


class DagRuns:
    """
    An Airflow of its own, on SQLite.

    :param home: an empty folder.
    :param environment: beside Airflow's own; nothing of this machine's Airflow reaches it.
    """

    def __init__(self, home: Path, *, dags: Path, environment: Mapping[str, str]) -> None:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))}
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, "-c", COMMANDS],
            env=own
            | {
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AWS_EC2_METADATA_DISABLED": "true",
                "TMPDIR": str(home),
            }
            | dict(environment),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        code, log = self.command("db", "migrate")
        assert code is None or code == 0, log[-5000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input

    def run(self, dag_id: str, *arguments: str, **conf: Any) -> DagRun:
        """Run a DAG once and return what became of it; a run that fails is returned, not raised."""
        before = {run_id for run_id, _ in self.query("SELECT run_id, state FROM dag_run WHERE dag_id = ?", dag_id)}
        _, log = self.command("dags", "test", dag_id, *arguments, *(["--conf", json.dumps(conf)] if conf else []))
        runs = dict(self.query("SELECT run_id, state FROM dag_run WHERE dag_id = ?", dag_id))
        assert runs.keys() - before, log[-5000:]
        (run_id,) = runs.keys() - before
        instances = self.query(
            "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ?", dag_id, run_id
        )
        values = self.query(
            "SELECT task_id, map_index, key, value FROM xcom WHERE dag_id = ? AND run_id = ?", dag_id, run_id
        )
        return DagRun(
            state=runs[run_id],
            tasks={_label(task_id, index): state for task_id, index, state in instances},
            xcoms={(_label(task_id, index), key): _from_json(value) for task_id, index, key, value in values},
            log=log,
        )

    def command(self, *arguments: str) -> tuple[Any, str]:
        """Run a command of Airflow; return its exit code and what it has written."""
        log = self._home / "command.log"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(log), *arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        assert answer, f"Airflow's process has ended: {log.read_text(errors='replace')[-5000:] if log.exists() else ''}"
        return json.loads(answer), log.read_text(errors="replace")

    def query(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        """Return rows of Airflow's database."""
        with closing(sqlite3.connect(self._home / "airflow.db", timeout=60)) as connection:
            return connection.execute(sql, values).fetchall()


def _from_json(value: str | float) -> Any:
    # SQLite keeps the text of a bare number as a number.
    return json.loads(value) if isinstance(value, str) else value


def _label(task_id: str, map_index: int) -> str:
    return task_id if map_index < 0 else f"{task_id}[{map_index}]"
