"""
The demo from its checks to its report.

Called by ``run`` of this package. Uses the REST API and the job's log only, as a user would; imports no airflow, and boto3 when it reads a log.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import sysconfig
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import airflow_nbjobs
from airflow_nbjobs.aws.submit.path_guesses import near_folder
from airflow_nbjobs.commands.demo.api import AirflowApi, ApiRefusedError, ApiUnavailableError
from airflow_nbjobs.commands.demo.logs import CellProgress
from airflow_nbjobs.commands.demo.processes import (
    DemoError,
    StoppedBySignal,
    Supervised,
    check_port,
    is_running,
    signals_as_exceptions,
)
from airflow_nbjobs.commands.demo.settings import (
    LOGIN_PREFIX,
    LOOPBACK,
    USER,
    Secrets,
    airflow_environment,
    base_environment,
    launcher_script,
)
from airflow_nbjobs.commands.demo.view import (
    Display,
    TaskResult,
    build_rows,
    error_lines,
    label,
    report,
    worth_opening,
)
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.xcoms import JOB_KEY, NOTEBOOK_LINK_KEY
from airflow_nbjobs.local.state.facts import read_ready_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterator

    from airflow_nbjobs.local.state.facts import ServerFacts

SERVER = "sagemaker"
AIRFLOW = "airflow"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
START_SECONDS = 300.0  # at least, or a third of --timeout; never more than all of it
POLL_SECONDS = 0.5
PLUGIN_FILE = "from airflow_nbjobs.commands.demo.login import DemoLoginPlugin  # noqa: F401 - Airflow looks for it\n"
# A file is imported within a second or two of Airflow's first sight of it; an error that is still there after this is the reason why the DAG is not.
IMPORT_ERROR_SECONDS = 3.0
SETTLED_SECONDS = 30.0  # without a further DAG: Airflow has been through the folder
_NEEDED = ("moto", "flask", "flask_cors", "werkzeug", "papermill", "sagemaker_headless_execution_driver")
_FINAL = frozenset({"success", "failed"})


def run_demo(args: argparse.Namespace) -> int:
    """Run the demo as ``airflow_nbjobs.commands.demo.add_arguments`` has read it; exit codes as its ``run`` says."""
    try:
        check_installation(platform=sys.platform)
        airflow = airflow_executable()
        dags = dags_folder(args.dags)
        port = check_port(args.port or 0)
        with signals_as_exceptions(), Supervised(base_environment(os.environ)) as processes:
            return _Demo(args, processes, airflow=airflow, dags=dags, port=port).run()
    except DemoError as error:
        print(f"nbjobs demo: {error}", file=sys.stderr)
        return error.exit_code
    except (ApiUnavailableError, ApiRefusedError) as error:
        print(f"nbjobs demo: Airflow does not answer as it should: {error}", file=sys.stderr)
        return 1
    except StoppedBySignal as stopped:
        return stopped.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


class _Demo:
    def __init__(
        self, args: argparse.Namespace, processes: Supervised, *, airflow: Path, dags: Path, port: int
    ) -> None:
        self._dag_id: str = args.dag_id
        self._conf: dict[str, Any] = args.conf
        self._timeout_seconds: float = args.timeout
        self._exits_after_run: bool = args.exit
        self._processes = processes
        self._airflow = airflow
        self._dags = dags
        self._api = AirflowApi(port)
        self._keys = Secrets.generate()
        self._begun = time.monotonic()
        self._deadline = self._begun + args.timeout
        self._waiting_for = ""
        self._has_started = False
        self._found: frozenset[str] = frozenset()  # ids of DAGs
        self._found_since = self._begun
        self._to_open: tuple[str, str] | None = None  # after the run: an address's path, and what it shows
        self._start_deadline = self._begun + start_seconds(args.timeout)

    def run(self) -> int:
        server = self._start_server()
        self._start_airflow(server)
        run_id = self._trigger()
        path = f"/dags/{quote(self._dag_id)}/runs/{quote(run_id)}"
        print(self._addresses(path, "the run"), flush=True)
        exit_code = self._follow(run_id, server)
        if not self._exits_after_run:
            print(f"\n{self._addresses(*(self._to_open or (path, 'the run')))}", flush=True)
            print("Ctrl-C ends the demo and removes all that it made.", flush=True)
            self._stay()
        return exit_code

    def _addresses(self, path: str, what: str) -> str:
        """Return what to open first, and how else to get in: the first address logs in, and says the password to nobody but its reader."""
        url = f"http://{LOOPBACK}:{self._api.port}"
        return (
            f"Open first, already logged in ({what}):\n  {url}{LOGIN_PREFIX}/{self._keys.password}{path}\n"
            f"Airflow: {url}{path}\n  user {USER}   password {self._keys.password}"
        )

    def _start_server(self) -> ServerFacts:
        self._say("starting the embedded SageMaker")
        ready_file = self._processes.home / f"{SERVER}.json"
        command = [sys.executable, "-m", "airflow_nbjobs.local", "--port", "0"]
        command += ["--data", str(self._processes.home / SERVER), "--ready-file", str(ready_file)]
        # CloudWatch has a point a minute; the demo's jobs are over sooner.
        command += ["--metrics-period", "1"]
        self._processes.start(SERVER, command, environment=base_environment(os.environ))
        for _ in self._while_starting("the embedded SageMaker does not start", log=SERVER):
            if ready_file.exists():
                server = read_ready_file(ready_file)
                self._say(f"embedded SageMaker ready at {server.endpoint_url}")
                return server
        raise AssertionError  # `_while_starting` does not end but by an error

    def _start_airflow(self, server: ServerFacts) -> None:
        home = self._processes.home
        write_private(home / "passwords.json", json.dumps({USER: self._keys.password}))
        (home / "bin").mkdir()
        (home / "plugins").mkdir()
        (home / "plugins" / "nbjobs_demo_login.py").write_text(PLUGIN_FILE)
        write_private(home / "bin" / "airflow", launcher_script(self._airflow)).chmod(0o700)
        environment = airflow_environment(
            os.environ, home=home, dags=self._dags, port=self._api.port, server=server, keys=self._keys
        )
        self._say("starting Airflow (half a minute on most machines)")
        self._processes.start(
            AIRFLOW,
            [str(self._airflow), "standalone"],
            environment=environment,
            signal_on_orphan=signal.SIGINT,  # the one signal on which standalone stops its components
        )
        for _ in self._while_starting("Airflow does not get ready"):
            try:
                self._api.log_in(password=self._keys.password, jwt_secret=self._keys.jwt_secret)
                if not (unhealthy := self._api.unhealthy()):
                    break
                self._waiting_for = f"no heartbeat yet of {', '.join(unhealthy)}"
            except (ApiUnavailableError, ApiRefusedError) as error:
                self._waiting_for = str(error)
        self._say(f"Airflow ready at http://{LOOPBACK}:{self._api.port}")

    def _trigger(self) -> str:
        dag_id = self._dag_id
        error_since: float | None = None
        for _ in self._while_starting(f"no DAG '{dag_id}' in {self._dags}"):
            with contextlib.suppress(ApiUnavailableError):
                if self._api.has_dag(dag_id):
                    break
                errors = self._api.import_errors()
                if not errors:
                    error_since = None
                    self._check_found(frozenset(self._api.dag_ids()))
                elif error_since is None:
                    error_since = time.monotonic()
                elif time.monotonic() - error_since > IMPORT_ERROR_SECONDS:
                    texts = "\n".join(f"{name}:\n{text}" for name, text in errors.items())
                    raise DemoError(f"no DAG '{dag_id}' in {self._dags}: a file there cannot be imported\n{texts}")
        try:
            run_id = self._api.trigger(dag_id, self._conf)
        except ApiRefusedError as error:
            raise DemoError(f"Airflow refuses a run of '{dag_id}' with {json.dumps(self._conf)}: {error}") from error
        self._has_started = True
        self._say(f"triggered {dag_id}")
        return run_id

    def _check_found(self, known: frozenset[str]) -> None:
        """Give up on a DAG when Airflow has found others, and no more for a while."""
        if known != self._found:
            self._found, self._found_since = known, time.monotonic()
        elif known and time.monotonic() - self._found_since > SETTLED_SECONDS:
            raise DemoError(missing_dag(self._dag_id, known, self._dags))

    def _follow(self, run_id: str, server: ServerFacts) -> int:
        """Show the run until it ends, then report. Returns the demo's exit code."""
        begun = time.monotonic()
        progress = CellProgress(self._api, server)
        display = Display()
        state, instances = "queued", list[dict[str, Any]]()
        while time.monotonic() < self._deadline:
            # A busy Airflow may miss an answer; the run itself goes on.
            with contextlib.suppress(ApiUnavailableError):
                state = self._api.run_state(self._dag_id, run_id)
                instances = self._api.task_instances(self._dag_id, run_id)
                display.update(build_rows(instances, progress.cells(instances), now=datetime.now(UTC)))
            if state in _FINAL:
                break
            self._check_processes()
            time.sleep(POLL_SECONDS)
        rows = {row.task: row for row in build_rows(instances, progress.cells(()), now=datetime.now(UTC))}
        by_task = {label(instance): instance for instance in instances}
        results = [
            TaskResult(
                row=row,
                facts=self._api.xcom(by_task[task], JOB_KEY) or {},
                returned=self._api.xcom(by_task[task], "return_value"),
                error=error_lines(self._api.log_events(by_task[task])) if row.state == "failed" else (),
            )
            for task, row in rows.items()
        ]
        print("\n" + report(results, run_state=state, seconds=time.monotonic() - begun), flush=True)
        if (shown := worth_opening(results)) is not None:
            address = self._api.xcom(by_task[shown.row.task], NOTEBOOK_LINK_KEY) or ""
            root = f"http://{LOOPBACK}:{self._api.port}"
            if str(address).startswith(f"{root}/"):  # the task's tab; Airflow 3.0 has none
                self._to_open = str(address).removeprefix(root), f"the notebook of '{shown.row.task}'"
        self._say("done")
        if state not in _FINAL:
            print(f"nbjobs demo: gave up after --timeout {self._timeout_seconds:g} s", file=sys.stderr)
        return 0 if state == "success" and all(row.state == "success" for row in rows.values()) else 1

    def _stay(self) -> None:
        with contextlib.suppress(KeyboardInterrupt, StoppedBySignal):
            while True:
                self._check_processes()
                time.sleep(POLL_SECONDS)
        print("stopping…", flush=True)

    def _while_starting(self, problem: str, *, log: str = AIRFLOW) -> Iterator[None]:
        """
        Yield every half second.

        :param problem: what to say when the time for the start is over.
        :param log: the program whose last lines to show then.
        :raises DemoError: it is over, or a process has died.
        """
        while time.monotonic() < self._start_deadline:
            self._check_processes()
            yield
            time.sleep(POLL_SECONDS)
        seconds = self._start_deadline - self._begun
        why = f": {self._waiting_for}" if self._waiting_for else ""
        advice = f"next: on a slow or busy machine give it longer, as in --timeout {2 * self._timeout_seconds:g}"
        raise DemoError("\n".join([f"{problem} within {seconds:.3g} s{why}", *self._processes.log_tail(log), advice]))

    def _check_processes(self) -> None:
        if self._processes.has_ended():
            raise self._death("the demo's supervisor process was killed")
        for name in (SERVER, AIRFLOW):
            if (code := self._processes.exit_code(name)) is not None:
                raise self._death(f"{name} ended with exit code {code}:", *self._processes.log_tail(name))
        for name in COMPONENTS:  # `airflow standalone` goes on when one of them dies
            with contextlib.suppress(OSError, ValueError):
                if not is_running(int((self._processes.home / f"{name}.pid").read_text())):
                    raise self._death(f"Airflow's {name} has ended:", *self._processes.log_tail(AIRFLOW, only=name))

    def _death(self, *lines: str) -> DemoError:
        return DemoError("\n".join(lines), exit_code=1 if self._has_started else 2)

    def _say(self, text: str) -> None:
        print(f"[{time.monotonic() - self._begun:6.1f} s] {text}", flush=True)


def start_seconds(timeout_seconds: float) -> float:
    """Return how long the start may take of what start and run may take together."""
    return min(timeout_seconds, max(START_SECONDS, timeout_seconds / 3))


def missing_dag(dag_id: str, known: Collection[str], dags: Path) -> str:
    """Say that there is no such DAG in a folder, and which there are."""
    hint = did_you_mean(dag_id, known)
    return f"no DAG '{dag_id}' in {dags}{hint}{' There' if hint else '; there'} are: {', '.join(sorted(known)[:20])}"


def check_installation(*, platform: str) -> None:
    """
    Check what the demo needs beyond this package.

    :raises DemoError: the platform is not supported, or the extra is not installed.
    """
    if platform not in {"linux", "darwin"}:
        raise DemoError(f"runs on Linux and macOS, not on {platform}; on Windows use WSL 2")
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise DemoError(f"needs the extra 'local' ({', '.join(missing)} missing): pip install 'airflow-nbjobs[local]'")


def airflow_executable() -> Path:
    """
    Return the ``airflow`` of this Python environment, whether it is activated or not.

    :raises DemoError: there is none.
    """
    # Not resolved: in a virtual environment `python` is a link to one elsewhere.
    folders = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    for folder in folders:
        if os.access(folder / "airflow", os.X_OK):
            return (folder / "airflow").absolute()
    raise DemoError(f"no program 'airflow' in {folders[0]}: pip install apache-airflow")


def dags_folder(given: Path | None) -> Path:
    """
    Return the folder of the DAGs as an absolute path.

    :raises DemoError: it is not there.
    """
    if given is not None:
        if not given.is_dir():
            raise DemoError(f"--dags {given} is no folder{near_folder(given)}")
        return given.resolve()
    package = Path(airflow_nbjobs.__file__).parent
    for folder in (package / "sample", package.parent / "dags"):  # in a wheel, in a checkout
        if (folder / "sentiment_pipeline.py").is_file():
            return folder.resolve()
    raise DemoError("the sample DAGs are not installed; give the repository's folder with --dags DIR")


def write_private(path: Path, text: str) -> Path:
    """Write a file that only this user can read; it is never readable to others, not for a moment."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - a descriptor
        file.write(text)
    return path
