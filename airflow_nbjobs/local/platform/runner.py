"""
Runs jobs: the platform's side of a job, from the queue to its last status.

Fed by ``api/operations.py``; what differs between jobs is a ``Work``: ``training/work.py``, ``batch/transform.py``, ``batch/processing.py``. Writes
statuses to the registry, and reaches S3 and CloudWatch Logs over the wire. One thread for each job that runs.
"""

from __future__ import annotations

import logging
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.container.overlay import activated, make_overlay
from airflow_nbjobs.local.container.run import WorkDir, build_environment, start_container
from airflow_nbjobs.local.platform.logs import LogStream
from airflow_nbjobs.local.platform.slots import Run, Slots
from airflow_nbjobs.local.state.resource import IN_PROGRESS, STOPPING, Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_nbjobs.local.container.image import Image
    from airflow_nbjobs.local.container.run import Failure
    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts
    from airflow_nbjobs.local.state.registry import Registry

LOG = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 120  # between SIGTERM and SIGKILL. Source: StopTrainingJob, API reference
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


class JobError(Exception):
    """The job cannot go on; the text is its FailureReason."""


@dataclass(frozen=True, slots=True)
class Platform:
    """
    What every job is run with, and how.

    :param way: how containers are isolated, see ``isolation.py``.
    :param parallel_jobs: how many jobs run at once; the others wait, InProgress.
    :param keep_work: leave the jobs' folders in place when they have ended.
    :param metrics_seconds: between two points of a training job's metrics.
    """

    facts: ServerFacts
    image: Image
    clients: ServiceClients
    jobs_dir: Path
    way: str
    parallel_jobs: int
    keep_work: bool
    stop_grace_seconds: float = STOP_GRACE_SECONDS
    metrics_seconds: float = 60.0

    @property
    def is_bare(self) -> bool:
        """Whether the container sees its folders where they are on the host: without namespaces, and not ``direct``."""
        return self.way == "none"

    def work_dir(self, job_name: str) -> WorkDir:
        """Return a job's folders, not yet made but for the one that holds them."""
        return WorkDir(Path(tempfile.mkdtemp(prefix=f"{job_name}-", dir=self.jobs_dir)), is_direct=self.way == "direct")

    def home(self, work: WorkDir) -> str:
        """Return the home folder, by the container's path."""
        return str(work.home) if self.is_bare else "/home/sagemaker-user"

    def container_path(self, path: Path, work: WorkDir) -> str:
        """Return where the container sees a file of its ``/opt/ml``."""
        return str(path) if self.is_bare else f"/opt/ml/{path.relative_to(work.opt_ml)}"

    def environment(self, work: WorkDir, requested: Mapping[str, str], **own: str) -> dict[str, str]:
        """Return all of a container's environment; ``own``: what the platform says of this kind of job."""
        if self.is_bare:
            own["TMPDIR"] = str(work.tmp)
        home = self.home(work)
        environment = build_environment(requested, own, facts=self.facts, image=self.image, home=home)
        return activated(environment, self.image, home)


@dataclass(frozen=True, slots=True)
class Launch:
    """
    What runs in the container.

    :param argv: paths as the container sees them.
    :param alongside: entered when the container has started, left when it has ended.
    """

    argv: tuple[str, ...]
    environment: dict[str, str]
    has_network: bool = True
    alongside: AbstractContextManager[object] = field(default_factory=nullcontext)


class Work(ABC):
    """What one job does before and after its container runs."""

    uploads_when_stopped = False

    @property
    def max_runtime_seconds(self) -> float | None:
        return None  # a transform job has no StoppingCondition

    @abstractmethod
    def prepare(self, work: WorkDir) -> Launch:
        """Fill the job's folders; raises JobError where something that it needs is not there."""

    def measuring(self, pid: int, work: WorkDir) -> AbstractContextManager[object]:  # noqa: ARG002 - for those who measure
        """Return what measures the container while it runs: of training jobs only."""
        return nullcontext()

    @abstractmethod
    def deliver(self, work: WorkDir, exit_code: int) -> Outcome:
        """Upload what the container left, and judge it."""

    def start_error(self, failure: Failure) -> str:
        """Return the FailureReason of a job whose program cannot be executed."""
        return f"ClientError: the container's Python cannot be executed: {failure.text}"


@dataclass(slots=True)
class _Run(Run):
    job: Job
    work: Work
    registry: Registry[Any]
    ran_too_long: bool = False

    def change(self, change: Callable[[Any], Job]) -> Job:
        changed: Job = self.registry.change(self.job.name, change)
        return changed

    def end_time(self) -> None:
        def exceed(job: Job) -> Job:
            # A stop by hand at the same moment is a stop by hand: only the change that makes the job Stopping counts.
            self.ran_too_long = job.status == IN_PROGRESS
            return job.stopping(now=time.time()) if self.ran_too_long else job

        self.change(exceed)


class JobRunner:
    def __init__(self, platform: Platform, *, name: str) -> None:
        self.platform = platform
        self._slots = Slots(platform.parallel_jobs, name=name, work=self._run)

    def submit(self, job: Job, work: Work, registry: Registry[Any]) -> None:
        run = _Run(job, work, registry)
        text = f"Pending: the embedded SageMaker runs {self.platform.parallel_jobs} jobs at once"
        self._slots.add(
            job.arn, run, on_full=lambda: run.change(lambda waiting: waiting.waiting(text, now=time.time()))
        )

    def stop(self, arn: str) -> None:
        """Make a job stop that its registry already shows as Stopping; returns at once."""
        if run := self._slots.stop(arn):
            run.change(lambda job: job.concluded(Outcome(), now=time.time()))

    def close(self) -> None:
        """Kill every job, at once, and return when their processes are gone."""
        self._slots.close()

    def _run(self, run: _Run) -> None:
        work = self.platform.work_dir(run.job.name)
        try:
            outcome = self._execute(run, work)
        except JobError as error:
            outcome = Outcome(str(error))
        except Exception:
            LOG.exception("%s: the embedded SageMaker itself failed", run.job.arn)
            outcome = Outcome(INTERNAL_ERROR)
        if self._slots.is_closing:
            return
        outcome = replace(outcome, ran_too_long=run.ran_too_long)
        ended = run.change(lambda job: job.concluded(outcome, now=time.time()))
        LOG.info("%s in %.1f s", ended.headline, (ended.ended or 0) - ended.created)
        if not self.platform.keep_work:
            work.remove()

    def _execute(self, run: _Run, work: WorkDir) -> Outcome:
        if run.stop.is_set():
            return Outcome()
        work.make()
        make_overlay(self.platform.image, work.home)
        launch = run.work.prepare(work)
        if run.stop.is_set():
            return Outcome()
        run.change(lambda job: job.running(now=time.time()))
        stream = f"{run.job.name}/algo-1-{int(time.time())}"
        log = LogStream(self.platform.clients.logs, stream, run.job.kind.log_group)
        try:
            exit_code, failure = self._run_container(run, work, launch, log)
        finally:
            log.end()
        if self._slots.is_closing:
            return Outcome()
        outcome = self._judge(run, work, exit_code, failure)
        log.join()
        return outcome

    def _run_container(self, run: _Run, work: WorkDir, launch: Launch, log: LogStream) -> tuple[int, Failure | None]:
        container = start_container(
            work,
            way=self.platform.way,
            argv=launch.argv,
            environment=launch.environment,
            cwd=self.platform.home(work),
            keep=self.platform.image.keep,
            has_network=launch.has_network,
        )
        with launch.alongside, run.work.measuring(container.pid, work):
            return self._slots.supervise(
                run,
                container,
                write=log.write,
                max_runtime_seconds=run.work.max_runtime_seconds,
                on_time_over=run.end_time,
                grace_seconds=self.platform.stop_grace_seconds,
            )

    def _judge(self, run: _Run, work: WorkDir, exit_code: int, failure: Failure | None) -> Outcome:
        if failure and failure.stage != "exec":
            LOG.error("%s: the container could not be made: %s", run.job.arn, failure.text)
            return Outcome(INTERNAL_ERROR)
        if failure:
            return Outcome(run.work.start_error(failure))
        if not run.work.uploads_when_stopped and run.registry.get(run.job.name).status == STOPPING:
            return Outcome()
        return run.work.deliver(work, exit_code)


def regular_files(folder: Path) -> dict[str, Path]:
    """Return what a container left below a folder, by name; no links, which would mean other files out here than in there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in paths}


def read_text(path: Path, limit_bytes: int = 8192) -> str:
    """Return the beginning of a file that a container may have written, more than the service shows of it; empty if it has not."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(limit_bytes).decode(errors="replace")
