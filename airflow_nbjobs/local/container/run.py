"""
A container: its folders, its environment, its process.

Used by ``platform/runner.py``, and by ``probe.py`` to find out which way of isolation works; the process tree itself is made by ``isolation.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.container.image import system_environment
from airflow_nbjobs.local.state.jobs import selected_instance_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.local.container.image import Image
    from airflow_nbjobs.local.state.facts import ServerFacts

DIRECT_OPT_ML, DIRECT_HOME = Path("/opt/ml"), Path("/home/sagemaker-user")
_CLAIM = ".nbjobs-local"  # in a folder of the two: its content is a job's, and goes
_SCRIPT = Path(__file__).with_name("isolation.py")


@dataclass(frozen=True, slots=True)
class WorkDir:
    """
    A job's folders on the host.

    :param is_direct: the container's places are the host's own of these names, which one job at a time may have; others lie below ``path``.
    """

    path: Path
    is_direct: bool = False

    @property
    def opt_ml(self) -> Path:
        return DIRECT_OPT_ML if self.is_direct else self.path / "ml"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    @property
    def home(self) -> Path:
        return DIRECT_HOME if self.is_direct else self.path / "home"

    @property
    def root(self) -> Path:
        return self.path / "root"

    @property
    def bin(self) -> Path:
        """Where the way ``none`` puts its own copy of the driver."""
        return self.path / "bin"

    def make(self) -> None:
        if self.is_direct:
            empty_direct_folders()
        for folder in ("input/config", "input/data", "output/data", "model", "code"):
            (self.opt_ml / folder).mkdir(parents=True)
        for path in (self.tmp, self.home, self.root, self.bin):
            path.mkdir(exist_ok=self.is_direct)
        self.tmp.chmod(0o1777)

    def remove(self) -> None:
        if self.is_direct:
            empty_direct_folders()
        shutil.rmtree(self.path, ignore_errors=True)


def claim_direct_folders() -> str | None:
    """
    Take the host's ``/opt/ml`` and ``/home/sagemaker-user`` for jobs, which empties them; returns why that may not be.

    They must be missing, empty, or marked as taken by a server before: nobody's files are removed.
    """
    for folder in (DIRECT_OPT_ML, DIRECT_HOME):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()) and not (folder / _CLAIM).exists():
                return f"{folder} holds files that are not the embedded SageMaker's own"
            (folder / _CLAIM).touch()
        except OSError as error:
            return f"{folder} cannot be used: {error.strerror}"
    empty_direct_folders()
    return None


def empty_direct_folders() -> None:
    for folder in (DIRECT_OPT_ML, DIRECT_HOME):
        for path in folder.iterdir():
            if path.name == _CLAIM:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Why nothing runs.

    :param stage: ``setup`` (the isolation failed: our fault) or ``exec`` (the entrypoint is not there: the image's).
    """

    stage: str
    errno: int
    text: str


class Container:
    """A started container. Its output must be read to the end; all of it ends with ``kill``, or when this process ends."""

    def __init__(self, process: subprocess.Popen[bytes], control: int, status: int) -> None:
        self._process = process
        self._control = control
        self._lock = threading.Lock()
        self._status = status

    @property
    def pid(self) -> int:
        """The outermost process: all others are below it."""
        return self._process.pid

    def wait_started(self) -> Failure | None:
        """Return when the entrypoint runs (nothing), or why it does not."""
        with os.fdopen(self._status, "rb") as status:
            report = status.read()
        return Failure(**json.loads(report)) if report else None

    def read(self) -> bytes:
        """Return output as it comes, stdout and stderr as one; empty at the end."""
        assert self._process.stdout is not None  # noqa: S101 - Popen was given a pipe
        return os.read(self._process.stdout.fileno(), 1 << 16)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill every process of the container, at once."""
        with self._lock:  # a descriptor closed twice would close somebody else's
            if self._control >= 0:
                os.close(self._control)
                self._control = -1

    def wait(self) -> int:
        """Return the exit code when every process is gone; 128 + n for a signal."""
        code = self._process.wait()
        self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code if code >= 0 else 128 - code


def start_container(
    work: WorkDir,
    *,
    way: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    cwd: str,
    keep: Sequence[str],
    has_network: bool = True,
) -> Container:
    """
    Start ``argv`` in its own container and return at once.

    Must be called by a thread that outlives the container: Linux sends the parent-death signal when the *thread* that forked ends.

    :raises OSError: the isolation script cannot be started.
    """
    control_read, control_write = os.pipe()
    status_read, status_write = os.pipe()
    spec: dict[str, Any] = {
        "way": way,
        "root": str(work.root),
        "opt_ml": str(work.opt_ml),
        "tmp": str(work.tmp),
        "home": str(work.home),
        "keep": [path for path in keep if path.startswith("/tmp/")],  # noqa: S108 - the folder that the container replaces
        "argv": list(argv),
        "cwd": cwd,
        "has_network": has_network,
        "environment": dict(environment),
        "server_pid": os.getpid(),
        "control_fd": control_read,
        "status_fd": status_write,
    }
    spec_file = work.path / "container.json"
    spec_file.write_text(json.dumps(spec))
    spec_file.chmod(0o600)  # it holds the key
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SCRIPT), str(spec_file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            pass_fds=(control_read, status_write),
            start_new_session=True,  # Ctrl-C in the server's terminal is the server's to handle
        )
    finally:
        os.close(control_read)
        os.close(status_write)
    return Container(process, control_write, status_read)


def build_environment(
    requested: Mapping[str, str], own: Mapping[str, str], *, facts: ServerFacts, image: Image, home: str
) -> dict[str, str]:
    """
    Return all of a container's environment: the image's, the request's over it, the platform's over both. Nothing of the server's own.

    :param own: what the platform says of this kind of job.
    """
    of_platform = {**facts.environment(), "AWS_REGION": facts.region, "AWS_EC2_METADATA_DISABLED": "true", **own}
    return {**system_environment(image.prefix, home), **requested, **of_platform}


def write_config(work: WorkDir, request: Mapping[str, Any]) -> None:
    """
    Write the files that the platform puts into ``/opt/ml/input/config``.

    Source: SageMaker developer guide, "How Amazon SageMaker Provides Training Information".
    """
    instance_type = selected_instance_type(request["ResourceConfig"])
    group = {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": ["algo-1"]}
    files = {
        "hyperparameters.json": request.get("HyperParameters", {}),
        "resourceconfig.json": {
            "current_host": "algo-1",
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [group],
            "network_interface_name": "lo",
        },
        "inputdataconfig.json": {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", request["AlgorithmSpecification"]["TrainingInputMode"]),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
            for channel in request.get("InputDataConfig", ())
        },
    }
    for name, content in files.items():
        (work.opt_ml / "input" / "config" / name).write_text(json.dumps(content))
