"""An Airflow in parts, as in production: API server, scheduler, DAG processor, triggerers, each a process that can be stopped, killed and started again."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import psutil

from airflow_nbjobs.commands.demo.api import AirflowApi, ApiRefusedError, ApiUnavailableError
from airflow_nbjobs.commands.demo.processes import check_port
from airflow_nbjobs.commands.demo.settings import Secrets, airflow_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_nbjobs.local.state.facts import ServerFacts

PACKAGE = Path(__file__).parents[2]
START_SECONDS = 400.0
LOOK_SECONDS = 1.5
# Airflow's own are 300, 30, 30 and 15 s; shorter ones mean the same sooner. A crowded machine must not make a living process seem dead, though.
# ``NBJOBS_FAULTS_PATIENCE=3`` makes all of it three times as long.
PATIENCE = float(os.environ.get("NBJOBS_FAULTS_PATIENCE", "1"))
HEARTBEAT_SECONDS = round(40 * PATIENCE)
TRIGGERER_SECONDS = round(20 * PATIENCE)
OPTIONS = {
    "scheduler": {
        "scheduler_idle_sleep_time": "0.5",
        "job_heartbeat_sec": "2",
        "scheduler_health_check_threshold": str(round(90 * PATIENCE)),
        "task_instance_heartbeat_timeout": str(HEARTBEAT_SECONDS),
        "task_instance_heartbeat_timeout_detection_interval": "3",
        "trigger_timeout_check_interval": "2",
        "orphaned_tasks_check_interval": "15",
        "use_job_schedule": "False",
    },
    "triggerer": {"job_heartbeat_sec": "2", "triggerer_health_check_threshold": str(TRIGGERER_SECONDS)},
    "workers": {"min_heartbeat_interval": "2"},
    "dag_processor": {
        "min_file_process_interval": "10",
        "parsing_processes": "1",
        "bundle_refresh_check_interval": "1",
    },
    "core": {"parallelism": "8", "simple_auth_manager_all_admins": "False"},
}


ABANDONED = threading.Event()  # the session ends: nobody waits any more

# Each task is forked from the scheduler; what that has imported, none of them has to: a second or two of CPU for each leg.
PRELOAD = """
import sys
if "scheduler" in sys.argv:
    import airflow.providers.amazon.aws.hooks.base_aws
    import airflow.sdk.execution_time.task_runner
    import airflow_nbjobs.task.run
    import airflow_nbjobs.hooks
    import airflow_nbjobs.operators
    import boto3
    import nbformat
"""


def until(condition: Callable[[], Any], *, seconds: float, what: str | Callable[[], str]) -> Any:
    """Poll until the condition holds, and return its value; an API server that is busy or down for a moment does not count."""
    deadline = time.monotonic() + seconds
    while True:
        value = None
        with contextlib.suppress(ApiUnavailableError):
            value = condition()
        if value:
            return value
        if ABANDONED.is_set():
            raise AssertionError("abandoned")
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(LOOK_SECONDS)


class Api(AirflowApi):
    """The REST API as a person's clicks use it."""

    def create_run(self, dag_id: str, run_id: str) -> None:
        self._call("PATCH", self._dag(dag_id), {"is_paused": False})
        self._call("POST", f"{self._dag(dag_id)}/dagRuns", {"dag_run_id": run_id, "logical_date": None})

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return dict(self._call("GET", self._run(dag_id, run_id)))

    def delete_run(self, dag_id: str, run_id: str) -> None:
        with contextlib.suppress(ApiUnavailableError):  # 204, which has no JSON
            self._call("DELETE", self._run(dag_id, run_id))

    def delete_dag(self, dag_id: str) -> None:
        with contextlib.suppress(ApiUnavailableError):  # as above
            self._call("DELETE", self._dag(dag_id))

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        self._call("PATCH", self._run(dag_id, run_id), {"state": state})

    def set_state(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        self._call("PATCH", f"{self._run(dag_id, run_id)}/taskInstances/{quote(task_id)}", {"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        self._call("POST", f"{self._dag(dag_id)}/clearTaskInstances", body)

    def set_pool(self, name: str, slots: int) -> None:
        """Make a pool, or change it."""
        body = {"name": name, "slots": slots}
        try:
            self._call("POST", "/api/v2/pools", body)
        except ApiRefusedError as error:
            if error.status != http.client.CONFLICT:
                raise
            changed = {"pool": name, "slots": slots, "include_deferred": False}
            self._call("PATCH", f"/api/v2/pools/{quote(name)}?update_mask=slots", changed)

    def has_dags(self, dag_ids: Iterable[str]) -> bool:
        return all(self.has_dag(dag_id) for dag_id in dag_ids)

    @staticmethod
    def _dag(dag_id: str) -> str:
        return f"/api/v2/dags/{quote(dag_id, safe='')}"

    def _run(self, dag_id: str, run_id: str) -> str:
        return f"{self._dag(dag_id)}/dagRuns/{quote(run_id, safe='')}"


class Stand:
    """
    One Airflow.

    :param python: of the environment that has the Airflow to test.
    :param triggerers: how many.
    """

    def __init__(
        self, home: Path, *, python: str, dags: Path, database_url: str, facts: ServerFacts, triggerers: int = 2
    ) -> None:
        self.home = home
        self._python = python
        self._keys = Secrets.generate()
        self.api = Api(check_port(0))
        self.environment = airflow_environment(
            os.environ, home=home, dags=dags, port=self.api.port, server=facts, keys=self._keys
        )
        for section, options in OPTIONS.items():
            for option, value in options.items():
                self.environment[f"AIRFLOW__{section}__{option}".upper()] = value
        self.environment |= {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database_url,
            "PYTHONPATH": str(PACKAGE),
            "PATH": os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", os.defpath)]),
            "SPT_NOENV": "1",
        }
        self._commands = {
            "api-server": ["api-server"],
            "scheduler": ["scheduler", "--skip-serve-logs"],
            "dag-processor": ["dag-processor"],
            **{f"triggerer-{n}": ["triggerer", "--skip-serve-logs"] for n in range(triggerers)},
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def triggerers(self) -> list[str]:
        return [name for name in self._commands if name.startswith("triggerer")]

    def start(self) -> None:
        (self.home / "passwords.json").write_text(json.dumps({"admin": self._keys.password}))
        (self.home / "config").mkdir()
        (self.home / "config" / "airflow_local_settings.py").write_text(PRELOAD)
        done = subprocess.run(
            [self._python, "-m", "airflow", "db", "migrate"],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        for name in self._commands:
            self.launch(name)

    def await_ready(self, dag_ids: Iterable[str]) -> None:
        wanted = list(dag_ids)
        until(self._is_ready, seconds=START_SECONDS, what=self.tails)
        until(lambda: self.api.has_dags(wanted), seconds=START_SECONDS, what=lambda: str(self.api.import_errors()))

    def _is_ready(self) -> bool:
        try:
            self.api.log_in(password=self._keys.password, jwt_secret=self._keys.jwt_secret)
            return not self.api.unhealthy()
        except ApiRefusedError:
            return False

    def launch(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [self._python, "-m", "airflow", *self._commands[name]],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.home,
            )

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def signal(self, name: str, number: int, *, with_children: bool = False) -> None:
        """Send a signal to a component; with its children, as SIGSTOP of a whole container would reach them."""
        process = self._processes[name]
        if with_children:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)

    def revive(self) -> None:
        """Start again what has ended."""
        for name in [name for name, process in self._processes.items() if process.poll() is not None]:
            self.launch(name)

    def kill(self, name: str) -> None:
        """End a component and all its processes at once, as a machine that fails does."""
        self.signal(name, signal.SIGKILL, with_children=True)
        self._processes[name].wait()

    def terminate(self, name: str) -> None:
        """End a component as a deploy does."""
        self.signal(name, signal.SIGTERM)
        try:
            self._processes[name].wait(60)
        except subprocess.TimeoutExpired:
            self.kill(name)

    def tails(self) -> str:
        return "\n".join(f"== {log.stem}\n{log.read_text(errors='replace')[-1500:]}" for log in self.home.glob("*.log"))

    def stop(self) -> None:
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
            process.terminate()
        deadline = time.monotonic() + 20
        for process in self._processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # A task's process leads a session of its own.
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("AIRFLOW_HOME") == str(self.home):
                    process.kill()


def airflow_version(python: str) -> tuple[int, int]:
    code = "from importlib.metadata import version; print(version('apache-airflow'))"
    text = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def python_to_test(environ: Mapping[str, str]) -> str:
    """Return the Python whose Airflow is tested: this one, unless ``NBJOBS_FAULTS_PYTHON`` names another."""
    return environ.get("NBJOBS_FAULTS_PYTHON") or sys.executable
