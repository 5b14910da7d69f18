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
from typing import TYPE_CHECKING, Any, Self

from airflow_nbjobs.testing.runs import as_dag_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_nbjobs.testing.runs import DagRun

# One command of Airflow a line, [file of its output, DAG whose newest run is read, argument, …]; the answer is its exit code and that run.
COMMANDS = """
import json, os, sys, traceback
from datetime import UTC, datetime
from airflow.cli.cli_parser import get_parser
answers = os.fdopen(os.dup(1), "w", buffering=1)
for line in sys.stdin:
    path, dag_id, *arguments = json.loads(line)
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    os.dup2(file, 1), os.dup2(file, 2), os.close(file)
    code, run, began = 0, None, datetime.now(tz=UTC)
    try:
        parsed = get_parser().parse_args(arguments)
        parsed.func(parsed)
    except SystemExit as end:
        code = end.code
        print(code)
    except Exception:
        code = 1
        traceback.print_exc()
    if dag_id:
        from airflow_nbjobs.testing.records import newest_run
        run = newest_run(dag_id, began)
    sys.stdout.flush(), sys.stderr.flush()
    print(json.dumps([code, run]), file=answers)
"""


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
        conf_arguments = ["--conf", json.dumps(conf)] if conf else []
        _, made, log = self._command(dag_id, "dags", "test", dag_id, *arguments, *conf_arguments)
        assert made is not None, log[-5000:]
        return as_dag_run(made, log=log)

    def command(self, *arguments: str) -> tuple[Any, str]:
        """Run a command of Airflow; return its exit code and what it has written."""
        code, _, log = self._command("", *arguments)
        return code, log

    def _command(self, dag_id: str, *arguments: str) -> tuple[Any, Any, str]:
        file = self._home / "command.log"
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([str(file), dag_id, *arguments]), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        log = file.read_text(errors="replace") if file.exists() else ""
        assert answer, f"Airflow's process has ended: {log[-5000:]}"
        code, made = json.loads(answer)
        return code, made, log

    def query(self, sql: str, *values: str) -> list[tuple[Any, ...]]:
        """Return rows of Airflow's database."""
        with closing(sqlite3.connect(self._home / "airflow.db", timeout=60)) as connection:
            return connection.execute(sql, values).fetchall()
