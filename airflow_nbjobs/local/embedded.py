"""
The embedded SageMaker for programs and tests: started as a child process, gone when the block ends.

Used by tests, pytest fixtures and the demo. The child also ends when this process dies, however it dies: it watches a pipe.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Self

from airflow_nbjobs.local.command import DEFAULT_REGION
from airflow_nbjobs.local.state.facts import ServerFacts, read_ready_file

START_SECONDS = 180  # a second or two, but for a machine that is busy with other things
STOP_SECONDS = 20.0


class EmbeddedSageMakerError(RuntimeError):
    """The server did not start, or is not running; the text holds its own output."""


class EmbeddedSageMaker:
    """
    A running embedded SageMaker::

        with EmbeddedSageMaker() as sagemaker:
            sagemaker.client("sagemaker").list_training_jobs()

    :param image_prefix: Python environment that plays the container's image; this process's own unless given.
    :param data_dir: keep the jobs' folders here; otherwise everything is removed at the end.
    :param isolation: ``auto``, ``userns``, ``root`` or ``none``.
    :param jobs: how many jobs run at once; the number of CPUs unless given.
    :param metrics_period: seconds between two points of a job's metrics; 60 unless given, as SageMaker has them.
    """

    def __init__(
        self,
        *,
        region: str = DEFAULT_REGION,
        port: int = 0,
        image_prefix: Path | None = None,
        data_dir: Path | None = None,
        isolation: str = "auto",
        jobs: int | None = None,
        metrics_period: float | None = None,
    ) -> None:
        self._arguments = ["--region", region, "--port", str(port), "--isolation", isolation, "--exit-with-stdin"]
        if image_prefix:
            self._arguments += ["--image-prefix", str(image_prefix)]
        if data_dir:
            self._arguments += ["--data", str(data_dir)]
        if jobs is not None:
            self._arguments += ["--jobs", str(jobs)]
        if metrics_period is not None:
            self._arguments += ["--metrics-period", str(metrics_period)]
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._facts: ServerFacts | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def facts(self) -> ServerFacts:
        """Return addresses, names and the key; raises EmbeddedSageMakerError where it is not running."""
        if self._facts is None:
            raise EmbeddedSageMakerError("the embedded SageMaker is not running: use `with EmbeddedSageMaker() as …`")
        return self._facts

    @property
    def endpoint_url(self) -> str:
        return self.facts.endpoint_url

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that point boto3 and Airflow's AWS hooks here."""
        return self.facts.environment()

    def client(self, service: str) -> Any:
        """Return a boto3 client of this server."""
        return make_client(self.facts, service)

    def start(self) -> None:
        """Start the server and return when it is ready; raises EmbeddedSageMakerError if it ends, or is not ready in time."""
        # The child's own temporary files go into this folder as well: what a killed server leaves is removed with it.
        self._folder = Path(tempfile.mkdtemp(prefix="nbjobs-"))
        ready_file = self._folder / "ready.json"
        output = self._folder / "output.log"
        with output.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow_nbjobs.local", *self._arguments, "--ready-file", str(ready_file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TMPDIR": str(self._folder), "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C reaches the caller first, who stops the server when it has finished with it
            )
        deadline = time.monotonic() + START_SECONDS
        while not ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = output.read_text(errors="replace").strip()
                self.stop()
                raise EmbeddedSageMakerError(f"the embedded SageMaker did not start: {text[-2000:]}")
            time.sleep(0.02)
        self._facts = read_ready_file(ready_file)

    def output(self) -> str:
        """Return what the server has printed so far."""
        return (self._folder / "output.log").read_text(errors="replace") if self._folder else ""

    def stop(self) -> None:
        """Stop the server, kill its jobs and remove its files; does nothing when it is not running."""
        process, self._process, self._facts = self._process, None, None
        if process is not None:
            try:
                process.communicate(timeout=STOP_SECONDS)  # closes its standard input, which ends it
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def make_client(facts: ServerFacts, service: str) -> Any:
    """Return a boto3 client of the server with these facts; the caller's own AWS profile, files and proxies play no part."""
    import boto3
    import botocore.session
    from botocore.config import Config

    nobodys = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = boto3.session.Session(
        facts.access_key_id,
        facts.secret_access_key,
        region_name=facts.region,
        botocore_session=botocore.session.Session(session_vars=nobodys),
    )
    return session.client(
        service, endpoint_url=facts.endpoint_url, config=Config(proxies={}, retries={"max_attempts": 1})
    )
