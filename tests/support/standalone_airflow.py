"""A real Airflow for tests, ``airflow standalone`` on loopback: scheduler, DAG processor, triggerer and API server as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

# Twenty processes import Airflow at the same time; on a machine that has other work to do, that takes minutes.
START_SECONDS = 400.0
COMMAND_SECONDS = 180.0
STOP_SECONDS = 20.0
# For tests that ask its API, or look at its UI: nobody has to sign in.
ALL_ADMINS = {"AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True"}


class StandaloneAirflow:
    """
    Running from ``with`` to the end of its block; DAGs are not paused when they are first seen.

    :param home: an empty folder, which becomes ``AIRFLOW_HOME``.
    :param dags: the one folder that DAGs are read from.
    :param environment: added to the processes' own, from which everything of Airflow and AWS has been removed.
    :ivar root: address of its API and UI.
    :param database_url: of an empty database; SQLite in ``home`` unless given.
    """

    def __init__(self, home: Path, *, dags: Path, environment: Mapping[str, str], database_url: str = "") -> None:
        self.home = home
        database_url = database_url or f"sqlite:///{home / 'airflow.db'}"
        self._engine = create_engine(database_url, poolclass=NullPool)
        port, *log_ports = (_free_port() for _ in range(3))
        self.root = f"http://127.0.0.1:{port}"
        own = {
            name: value
            for name, value in os.environ.items()
            # PYTHONDONTWRITEBYTECODE would make each process compile Airflow anew.
            if not name.startswith(("AIRFLOW", "AWS_", "NBJOBS_")) and name != "PYTHONDONTWRITEBYTECODE"
        }
        self._environment = (
            own
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
                "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
                "AIRFLOW__CORE__PARALLELISM": "4",
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
                "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",  # seconds; its 5 are few where one server answers all on a busy machine
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__PORT": str(port),
                "AIRFLOW__API__BASE_URL": self.root,
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
                "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
                "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_ports[0]),
                "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(log_ports[1]),
                "AWS_CONFIG_FILE": os.devnull,
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                **environment,
            }
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    def __enter__(self) -> Self:
        with (self.home / "standalone.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "standalone"],
                env=self._environment,
                cwd=self.home,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        # It ends its components on SIGINT only; whatever is left after that is of its process group.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                if number == signal.SIGINT:
                    self._process.send_signal(number)
                else:
                    os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)

    def command(self, *arguments: str) -> str:
        """Return what an ``airflow`` command prints; it must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *arguments],
            env=self._environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout

    def api(self, path: str, body: Any = None, *, method: str = "") -> Any:
        """
        Ask its REST API as its UI does; with ``ALL_ADMINS``.

        :raises urllib.error.HTTPError: it refuses.
        """
        if not self._token and path != "/auth/token":
            self.wait(self._is_answering, what="no answer of the API")
        request = urllib.request.Request(
            self.root + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
            method=method or None,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def _is_answering(self) -> bool:
        try:
            self._token = self.api("/auth/token")["access_token"]
        except OSError:
            return False
        return True

    def query(self, sql: str, **values: Any) -> list[Any]:
        """Return the rows of a statement; none while the database is not migrated yet."""
        try:
            with self._engine.connect() as connection:
                return list(connection.execute(text(sql), values))
        except (OperationalError, ProgrammingError):
            return []

    def wait(
        self, is_met: Callable[[], Any], *, seconds: float = START_SECONDS, what: Callable[[], Any] | str = ""
    ) -> Any:
        """Poll until the condition holds; the first true value is returned."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not (value := is_met()):
            assert self._process.poll() is None, self.log()[-3000:]
            assert time.monotonic() < deadline, (what() if callable(what) else what, self.log()[-3000:])
            time.sleep(0.2)
        return value

    def wait_for_dag(self, dag_id: str) -> None:
        sql = "SELECT 1 FROM serialized_dag WHERE dag_id = :dag_id"
        self.wait(lambda: self.query(sql, dag_id=dag_id), what=f"DAG {dag_id!r} has not been parsed")

    def log(self) -> str:
        return (self.home / "standalone.log").read_text(errors="replace")

    def task_logs(self, task_id: str = "") -> str:
        """Return the logs of one task or of all; what a trigger logs is in a file beside its task's."""
        pattern = f"task_id={task_id or '*'}"
        files = sorted(file for folder in (self.home / "logs").rglob(pattern) for file in folder.rglob("attempt=*"))
        return "\n".join(f"== {file}\n{file.read_text(errors='replace')}" for file in files if file.is_file())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
