"""
The services of ``docker-compose.yaml`` as processes of this machine: the file's own commands, environments, health checks and order.

What Docker would do is done by other means: a named volume is a folder, a host name is 127.0.0.1 with a free port, the PostgreSQL image is Debian's
package as Redis is, and the embedded SageMaker gets its private file system from namespaces. Everything that is put in a container's place is in
``_Mapping``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
from compose_file import ROOT, load
from machine import Machine
from postgres import PostgresServer

from airflow_nbjobs.commands.demo.api import AirflowApi, ApiUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEALTHY_SECONDS = 400.0  # on two busy cores; a quiet laptop needs a tenth
ONCE_SECONDS = 400.0
STOP_SECONDS = 60.0
# What the images set themselves. Source: apache/airflow's Dockerfile.
_IMAGE = {"AIRFLOW_HOME": "/opt/airflow"}
_ENDED = "service_completed_successfully"
# Each container has a host name of its own, by which Airflow tells workers and triggerers apart.
_HOST_NAMES = "import os\n\n\ndef of_service():\n    return os.environ['NBJOBS_TEST_SERVICE']\n"


@dataclass
class _Mapping:
    """Texts of the file, and what stands for them here; longer ones first."""

    folder: Path
    environ: Mapping[str, str]
    texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        home = self.folder / "airflow"
        home.mkdir()
        for service in load(self.environ)["services"].values():
            for volume in service.get("volumes", ()):
                source, target = volume.split(":")[:2]
                here = ROOT / source if source.startswith(".") else self.folder / "volumes" / source
                here.mkdir(parents=True, exist_ok=True)
                if target.startswith(f"{_IMAGE['AIRFLOW_HOME']}/"):  # Airflow builds these paths itself
                    with contextlib.suppress(FileExistsError):
                        home.joinpath(Path(target).name).symlink_to(here)
                else:
                    self.texts[target] = str(here)
        self.texts[_IMAGE["AIRFLOW_HOME"]] = str(home)

    def host(self, name: str, port: int, here: int) -> None:
        self.texts[f"{name}:{port}"] = f"127.0.0.1:{here}"

    def __call__(self, text: str) -> str:
        for found in sorted(self.texts, key=len, reverse=True):
            text = text.replace(found, self.texts[found])
        return text

    def all(self, words: Any) -> list[str]:
        return [self(str(word)) for word in ([words] if isinstance(words, str) else words)]


class Stack:
    """
    ``docker compose up --wait``, from ``with`` to the end of its block.

    :param folder: becomes home, volumes and logs; must be empty.
    :param environ: the variables of the file.
    :param settings: of Airflow, over those of the file.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self._environ = {"AIRFLOW_UID": str(os.getuid()), **environ}
        self.services: dict[str, Any] = load(self._environ)["services"]
        self.mapping = _Mapping(folder, self._environ)
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.sagemaker: Machine | None = None
        self.api_port, self.sagemaker_port = _free_port(), _free_port()
        self.mapping.host("api-server", 8080, self.api_port)
        self.mapping.host("127.0.0.1", 8080, self.api_port)
        self.mapping.host("sagemaker", 4599, self.sagemaker_port)
        self._redis_port = _free_port()
        (folder / "host_names.py").write_text(_HOST_NAMES)
        self._stack = contextlib.ExitStack()
        self._done: set[str] = set()

    def volume(self, name: str) -> Path:
        return self.folder / "volumes" / name

    def api(self) -> AirflowApi:
        """Log in at the API server."""
        secrets = self.volume("secrets")
        client = AirflowApi(self.api_port)
        client.log_in(
            password=json.loads((secrets / "passwords.json").read_text())["admin"],
            jwt_secret=(secrets / "jwt-secret").read_text(),
        )
        return client

    def output(self, name: str) -> str:
        if name == "sagemaker" and self.sagemaker:
            return self.sagemaker.output
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self) -> Self:
        try:
            for name in self.services:
                self._up(name)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _up(self, name: str) -> None:
        if name in self._done:
            return
        self._done.add(name)
        service = self.services[name]
        for other, dependency in service.get("depends_on", {}).items():
            self._up(other)
            if dependency["condition"] == _ENDED:
                assert self.processes[other].wait(ONCE_SECONDS) == 0, self.output(other)
            else:
                self.wait_healthy(other)
        starter: Callable[[str], None] = {"postgres": self._start_postgres, "sagemaker": self._start_sagemaker}.get(
            name, self._start_process
        )
        if name == "redis":
            self._move("broker-url", "@redis:6379/", self._redis_port)
        starter(name)

    def _start_postgres(self, name: str) -> None:
        environment = self.services[name]["environment"]
        password = Path(self.mapping(environment["POSTGRES_PASSWORD_FILE"])).read_text()
        server = self._stack.enter_context(PostgresServer(environment["POSTGRES_DB"], password=password))
        self._move("database-url", "@postgres:5432/", server.port)
        self._postgres = server

    def _move(self, name: str, place: str, port: int) -> None:
        """Have a secret's address lead to another port: the file is written before the server runs, and Docker's DNS is not here."""
        url = self.volume("secrets") / name
        assert place in url.read_text()
        url.chmod(0o600)
        url.write_text(url.read_text().replace(place, f"@127.0.0.1:{port}/"))

    def _start_sagemaker(self, name: str) -> None:
        command = [
            word.replace("--bind=0.0.0.0", "--bind=127.0.0.1").replace("--port=4599", f"--port={self.sagemaker_port}")
            for word in self.mapping.all(self.services[name]["command"])
        ]
        self.sagemaker = Machine(
            self.folder, command, {"PYTHONPATH": str(ROOT)}, keep=[str(ROOT), str(self.volume("sagemaker-key"))]
        )
        self._stack.callback(self.sagemaker.stop)

    def _start_process(self, name: str) -> None:
        service = self.services[name]
        argv = (
            [*service["entrypoint"], *service["command"]]
            if "entrypoint" in service
            else service["command"]
            if name == "redis"
            else ["airflow", *service["command"]]
        )
        if name == "redis":
            argv = [*argv, "--port", str(self._redis_port), "--bind", "127.0.0.1"]
        self.processes[name] = self._run(name, self.mapping.all(argv))
        self._stack.callback(self._end, name)

    def _run(self, name: str, argv: list[str]) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                env=self.environment(name),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def environment(self, name: str) -> dict[str, str]:
        """Return a container's environment: the image's, the service's, and what makes it listen on loopback here."""
        of_service = {
            key: self.mapping(str(value)) for key, value in self.services[name].get("environment", {}).items()
        }
        return {
            "PATH": f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{self.folder}",
            **{key: self.mapping(value) for key, value in _IMAGE.items()},
            **of_service,
            "NBJOBS_TEST_SERVICE": name,
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "host_names.of_service",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.api_port),
            # The sample's schedule would start a second run beside the test's own.
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
            **self._settings,
        }

    def wait_healthy(self, name: str) -> None:
        """Run the service's own health check until it succeeds, as Docker does."""
        deadline = time.monotonic() + HEALTHY_SECONDS
        while (problem := self.unhealthy(name)) is not None:
            process = self.processes.get(name)
            assert process is None or process.poll() is None, f"{name} has ended: {self.output(name)[-4000:]}"
            assert time.monotonic() < deadline, f"{name} is not healthy: {problem}\n{self.output(name)[-4000:]}"
            time.sleep(1)

    def unhealthy(self, name: str) -> str | None:
        """Return what the service's health check says, None if it succeeds."""
        kind, *argv = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        environment = self.environment(name)
        if name == "postgres":
            argv = [str(self._postgres.bin / argv[0]), *argv[1:]]
            environment["PGPORT"] = str(self._postgres.port)
        argv = self.mapping.all(argv)
        if name == "redis":
            argv = [word.replace("-p 6379", f"-p {self._redis_port}") for word in argv]
        if name == "sagemaker" and self.sagemaker:
            host = f'"127.0.0.1", {self.sagemaker_port}'
            argv = [word.replace('"127.0.0.1", 4599', host) for word in argv]
            argv = [word.replace("/tmp/ready.json", str(self.sagemaker.tmp("ready.json"))) for word in argv]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
        return None if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr[-1000:]}"

    def kill(self, name: str) -> None:
        """``docker kill``: SIGKILL to every process of the container, which is not started again."""
        tree = psutil.Process(self.processes[name].pid)
        for process in [tree, *tree.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.processes[name].wait()

    def _end(self, name: str) -> None:
        """SIGTERM, as Docker sends it to a container's first process; what does not end then is killed with its session."""
        process = self.processes[name]
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition: Callable[[], Any], *, seconds: float, what: Callable[[], str], pause_seconds: float = 1.0) -> Any:
    """Return what the condition gives, once it is something; an API server that is busy is asked again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if found := condition():
                return found
        except ApiUnavailableError:
            pass  # busy; the deadline decides
        assert time.monotonic() < deadline, f"not within {seconds} s: {what()}"
        time.sleep(pause_seconds)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
