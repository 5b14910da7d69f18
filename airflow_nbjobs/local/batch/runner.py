"""
Runs transform and processing jobs: the platform's side of a job, from the queue to its last status.

Fed by ``batch_operations.py``; what a job does is a ``Work``, made by ``transform.py`` or ``processing.py``. Its slots are apart from those of
training jobs: a notebook that waits for the transform job it has started would otherwise wait for a slot that it holds itself.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_nbjobs.local.container.image import system_environment
from airflow_nbjobs.local.container.overlay import activated, make_overlay, python_of
from airflow_nbjobs.local.container.run import Failure, start_container
from airflow_nbjobs.local.platform.logs import LogStream
from airflow_nbjobs.local.platform.slots import Run, Slots
from airflow_nbjobs.local.state.batch_jobs import BatchJob, BatchOutcome
from airflow_nbjobs.local.state.jobs import IN_PROGRESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_nbjobs.local.container.image import Image
    from airflow_nbjobs.local.container.run import WorkDir
    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts
    from airflow_nbjobs.local.state.resources import Resources
    from airflow_nbjobs.local.training.runner import RunnerSettings

LOG = logging.getLogger(__name__)

INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


class JobError(Exception):
    """The job cannot go on; the text is its FailureReason."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What every job is run with."""

    settings: RunnerSettings
    facts: ServerFacts
    image: Image
    clients: ServiceClients

    def home(self, work: WorkDir) -> str:
        """Return the home folder, by the container's path."""
        return str(work.home) if self.settings.way == "none" else "/home/sagemaker-user"

    def python(self, work: WorkDir) -> str:
        """Return the job's interpreter, by the container's path."""
        return python_of(self.home(work))

    def container_path(self, path: Path, work: WorkDir) -> str:
        """Return where the container sees a file of its ``/opt/ml``; without namespaces that is where it is."""
        return str(path) if self.settings.way == "none" else f"/opt/ml/{path.relative_to(work.opt_ml)}"

    def environment(self, work: WorkDir, requested: Mapping[str, str]) -> dict[str, str]:
        """Return all of a container's environment: the image's, the request's over it, the platform's over both."""
        home = self.home(work)
        of_image = system_environment(self.image.prefix, home)
        of_platform = {
            **self.facts.environment(),
            "AWS_REGION": self.facts.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({"TMPDIR": str(work.tmp)} if self.settings.way == "none" else {}),
        }
        return activated({**of_image, **requested, **of_platform}, self.image, home)


@dataclass(frozen=True, slots=True)
class Launch:
    """
    What runs in the container.

    :param argv: paths as the container sees them.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    has_network: bool = True


class Work(Protocol):
    """What one job does."""

    @property
    def max_runtime_seconds(self) -> float | None: ...

    def prepare(self, work: WorkDir) -> Launch:
        """
        Fill the job's folders.

        :raises JobError: something that it needs is not there.
        """

    def deliver(self, work: WorkDir, exit_code: int) -> BatchOutcome:
        """Upload what the container left, and judge it."""


@dataclass(slots=True)
class _Run(Run):
    job: BatchJob
    work: Work
    registry: Resources[BatchJob]

    def change(self, change: Callable[[BatchJob], BatchJob]) -> BatchJob:
        return self.registry.change(self.job.name, change)


class BatchRunner:
    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._slots = Slots(platform.settings.parallel_jobs, name="batch job", work=self._run)

    def submit(self, job: BatchJob, work: Work, registry: Resources[BatchJob]) -> None:
        self._slots.add(job.arn, _Run(job, work, registry))

    def stop(self, arn: str) -> None:
        """Make a job stop that its registry already shows as Stopping; returns at once."""
        if run := self._slots.stop(arn):
            run.change(lambda job: job.concluded(BatchOutcome(), now=time.time()))

    def close(self) -> None:
        """Kill every job, at once, and return when their processes are gone."""
        self._slots.close()

    def _run(self, run: _Run) -> None:
        settings = self._platform.settings
        work = settings.work_dir(run.job.name)
        try:
            outcome = self._execute(run, work)
        except JobError as error:
            outcome = BatchOutcome(str(error))
        except Exception:
            LOG.exception("%s: the embedded SageMaker itself failed", run.job.arn)
            outcome = BatchOutcome(INTERNAL_ERROR)
        if self._slots.is_closing:
            return
        ended = run.change(lambda job: job.concluded(outcome, now=time.time()))
        LOG.info("%s %s %s in %.1f s", run.job.kind.words, ended.name, ended.status, time.time() - ended.created)
        if not settings.keep_work:
            work.remove()

    def _execute(self, run: _Run, work: WorkDir) -> BatchOutcome:
        if run.stop.is_set():
            return BatchOutcome()
        work.make()
        make_overlay(self._platform.image, work.home)
        launch = run.work.prepare(work)
        if run.stop.is_set():
            return BatchOutcome()
        run.change(lambda job: job.running(now=time.time()))
        log = LogStream(
            self._platform.clients.logs, f"{run.job.name}/algo-1-{int(time.time())}", run.job.kind.log_group
        )
        try:
            exit_code = self._run_container(run, work, launch, log)
        finally:
            log.end()
        log.join()
        if run.stop.is_set():
            return BatchOutcome()
        return run.work.deliver(work, exit_code)

    def _run_container(self, run: _Run, work: WorkDir, launch: Launch, log: LogStream) -> int:
        container = start_container(
            work,
            way=self._platform.settings.way,
            argv=launch.argv,
            environment=launch.environment,
            cwd=launch.environment["HOME"],
            keep=self._platform.image.keep,
            has_network=launch.has_network,
        )
        exit_code, failure = self._slots.supervise(
            run,
            container,
            write=log.write,
            max_runtime_seconds=run.work.max_runtime_seconds,
            on_time_over=lambda: _end_time(run),
            grace_seconds=self._platform.settings.stop_grace_seconds,
        )
        if failure:
            raise _start_error(failure)
        return exit_code


def _end_time(run: _Run) -> None:
    run.change(lambda job: job.stopping(now=time.time()) if job.status == IN_PROGRESS else job)
    run.stop.set()


def _start_error(failure: Failure) -> Exception:
    if failure.stage == "exec":
        return JobError(f"ClientError: the container's Python cannot be executed: {failure.text}")
    return RuntimeError(f"the container could not be made: {failure.text}")


def regular_files(folder: Path) -> dict[str, Path]:
    """Return what a container left below a folder, by name; no links, which would mean other files out here than in there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in paths}


def read_text(path: Path, limit_bytes: int = 8192) -> str:
    """Return the beginning of a file that a container may have written; empty if it has not."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(limit_bytes).decode(errors="replace")


def merged_environment(*layers: Mapping[str, Any] | None) -> dict[str, str]:
    """Return one environment; later layers win."""
    return {name: str(value) for layer in layers if layer for name, value in layer.items()}
