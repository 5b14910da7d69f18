"""
Runs training jobs: the platform's side of a job, from the queue to its last status.

Fed by ``operations.py``; writes statuses to the registry, and reaches S3 and CloudWatch Logs over the wire. One thread for each job that runs.
"""

from __future__ import annotations

import errno
import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.container.driver_copy import install_copy
from airflow_nbjobs.local.container.image import Image, is_pullable
from airflow_nbjobs.local.container.overlay import activated, make_overlay
from airflow_nbjobs.local.container.run import (
    Container,
    Failure,
    WorkDir,
    build_environment,
    start_container,
    write_config,
)
from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.platform.checkpoints import Checkpoints
from airflow_nbjobs.local.platform.logs import LogStream
from airflow_nbjobs.local.platform.slots import Run, Slots
from airflow_nbjobs.local.state.jobs import (
    IN_PROGRESS,
    STOPPING,
    Outcome,
    TrainingJob,
    algorithm_error,
    artifact_uri,
    conclude,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.facts import ServerFacts
    from airflow_nbjobs.local.state.registry import JobRegistry

LOG = logging.getLogger(__name__)

STOP_GRACE_SECONDS = 120  # between SIGTERM and SIGKILL. Source: StopTrainingJob, API reference
FAILURE_FILE_BYTES = 8192  # more than the service shows of it
_CONTAINER_ML = "/opt/ml"
_INPUT_PATH = "SM_EXECUTION_INPUT_PATH"


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """
    How jobs are run.

    :param way: how containers are isolated, see ``isolation.py``.
    :param parallel_jobs: how many jobs run at once; the others wait, InProgress.
    :param keep_work: leave the jobs' folders in place when they have ended.
    """

    jobs_dir: Path
    way: str
    parallel_jobs: int
    keep_work: bool
    stop_grace_seconds: float = STOP_GRACE_SECONDS

    def work_dir(self, job_name: str) -> WorkDir:
        """Return a job's folders, not yet made but for the one that holds them."""
        return WorkDir(Path(tempfile.mkdtemp(prefix=f"{job_name}-", dir=self.jobs_dir)), is_direct=self.way == "direct")


@dataclass(slots=True)
class _Run(Run):
    name: str
    ran_too_long: bool = False


class Runner:
    def __init__(
        self,
        settings: RunnerSettings,
        *,
        facts: ServerFacts,
        image: Image,
        registry: JobRegistry,
        clients: ServiceClients,
    ) -> None:
        self._settings = settings
        self._facts = facts
        self._image = image
        self._registry = registry
        self._clients = clients
        self._slots = Slots(settings.parallel_jobs, name="job", work=self._run)

    def submit(self, job: TrainingJob) -> None:
        def show_waiting() -> None:
            text = f"Pending: the embedded SageMaker runs {self._settings.parallel_jobs} jobs at once"
            self._registry.change(job.name, lambda waiting: waiting.moved("Starting", now=time.time(), message=text))

        self._slots.add(job.name, _Run(job.name), on_full=show_waiting)

    def stop(self, name: str) -> None:
        """Make a job stop that the registry already shows as Stopping; returns at once."""
        if self._slots.stop(name):
            self._registry.change(name, lambda job: conclude(job, Outcome(), now=time.time()))

    def close(self) -> None:
        """Kill every job, at once, and return when their processes are gone."""
        self._slots.close()

    def _run(self, run: _Run) -> None:
        job = self._registry.get(run.name)
        work = self._settings.work_dir(run.name)
        try:
            outcome = self._execute(run, job, work)
        except Exception:
            LOG.exception("%s: the embedded SageMaker itself failed", run.name)
            outcome = Outcome("InternalServerError: We encountered an internal error. Please try again.")
        if self._slots.is_closing:
            return
        ended = self._registry.change(run.name, lambda current: conclude(current, outcome, now=time.time()))
        LOG.info(
            "%s %s/%s in %.1f s", run.name, ended.status, ended.secondary_status, (ended.ended or 0) - ended.created
        )
        if not self._settings.keep_work:
            work.remove()

    def _execute(self, run: _Run, job: TrainingJob, work: WorkDir) -> Outcome:
        if run.stop.is_set():
            return Outcome()
        self._move(run.name, "Downloading")
        work.make()
        write_config(work, job.request)
        try:
            for channel in job.request.get("InputDataConfig", ()):
                folder = work.opt_ml / "input" / "data" / channel["ChannelName"]
                folder.mkdir()
                storage.download_prefix(self._clients.s3, channel["DataSource"]["S3DataSource"]["S3Uri"], folder)
            checkpoints = self._checkpoints(job, work)
        except storage.StorageError as error:
            return Outcome(f"ClientError: Data download failed:{error}")
        if not is_pullable(job.request["AlgorithmSpecification"]["TrainingImage"], self._facts.region):
            return Outcome(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
            )
        if run.stop.is_set():
            return Outcome()
        self._registry.change(
            run.name, lambda current: current if current.status == STOPPING else current.training(now=time.time())
        )
        return self._run_container(run, job, work, checkpoints)

    def _checkpoints(self, job: TrainingJob, work: WorkDir) -> Checkpoints | None:
        if "CheckpointConfig" not in job.request:
            return None
        checkpoints = Checkpoints(self._clients.s3, job.request["CheckpointConfig"], work.opt_ml)
        checkpoints.restore()
        return checkpoints

    def _run_container(self, run: _Run, job: TrainingJob, work: WorkDir, checkpoints: Checkpoints | None) -> Outcome:
        log = LogStream(self._clients.logs, f"{job.name}/algo-1-{int(time.time())}")
        try:
            container = self._start(job, work)
            if checkpoints is not None:
                checkpoints.start()
            exit_code, failure = self._slots.supervise(
                run,
                container,
                write=log.write,
                max_runtime_seconds=job.max_runtime_seconds,
                on_time_over=lambda: self._end_time(run),
                grace_seconds=self._settings.stop_grace_seconds,
            )
        finally:
            log.end()
            if checkpoints is not None:
                checkpoints.stop()
        if self._slots.is_closing:
            return Outcome()
        if checkpoints is not None:
            checkpoints.finish()
        if failure:
            log.join()
            return Outcome(_start_failure_reason(failure, job.request))
        self._move(run.name, "Uploading")
        upload_problem = self._upload(job, work)
        log.join()
        if exit_code:
            return Outcome(algorithm_error(_read_failure(work), exit_code), ran_too_long=run.ran_too_long)
        return Outcome(upload_problem, ran_too_long=run.ran_too_long)

    def _start(self, job: TrainingJob, work: WorkDir) -> Container:
        is_bare = self._settings.way == "none"
        home = str(work.home) if is_bare else "/home/sagemaker-user"
        make_overlay(self._image, work.home)
        environment = activated(
            build_environment(job.request, job_arn=job.arn, facts=self._facts, image=self._image, home=home),
            self._image,
            home,
        )
        if is_bare:
            if self._image.driver_script:
                install_copy(self._image.driver_script, work)
            environment["PATH"] = f"{work.bin}:{environment['PATH']}"
            if _INPUT_PATH in environment:
                environment[_INPUT_PATH] = environment[_INPUT_PATH].replace(_CONTAINER_ML, str(work.opt_ml), 1)
            environment["TMPDIR"] = str(work.tmp)
        # A login shell (install_driver's `bash -l`) takes its PATH from the system's profile, which knows nothing of the environment.
        (work.home / ".bash_profile").write_text(f'export PATH="{environment["PATH"]}"\n')
        return start_container(
            work,
            way=self._settings.way,
            argv=_argv(job.request),
            environment=environment,
            cwd=home,
            keep=self._image.keep,
            has_network=not job.request.get("EnableNetworkIsolation", False),
        )

    def _end_time(self, run: _Run) -> None:
        def exceed(job: TrainingJob) -> TrainingJob:
            # A stop by hand at the same moment is a stop by hand: only the change that makes the job Stopping counts.
            run.ran_too_long = job.status == IN_PROGRESS
            return job.stopping(now=time.time()) if run.ran_too_long else job

        self._registry.change(run.name, exceed)

    def _upload(self, job: TrainingJob, work: WorkDir) -> str | None:
        """Upload what the container left; returns the FailureReason if that fails."""
        kms_key_id = job.request["OutputDataConfig"].get("KmsKeyId", "")
        for folder, name, always in (("output/data", "output.tar.gz", True), ("model", "model.tar.gz", False)):
            source = work.opt_ml / folder
            if not always and not any(source.iterdir()):
                continue
            try:
                storage.pack(source, work.path / name)
                storage.upload(self._clients.s3, work.path / name, f"{artifact_uri(job)}/{name}", kms_key_id=kms_key_id)
            except (OSError, storage.StorageError) as error:
                return f"ClientError: Artifact upload failed:{error}"
        return None

    def _move(self, name: str, secondary_status: str) -> None:
        """Show progress, unless the job is Stopping, which stays until its end."""
        self._registry.change(
            name, lambda job: job.moved(secondary_status, now=time.time()) if job.status == IN_PROGRESS else job
        )


def _argv(request: Mapping[str, Any]) -> list[str]:
    algorithm = request["AlgorithmSpecification"]
    # Without an entrypoint SageMaker runs `docker run IMAGE train`.
    return [*algorithm.get("ContainerEntrypoint", ["train"]), *algorithm.get("ContainerArguments", ())]


def _start_failure_reason(failure: Failure, request: Mapping[str, Any]) -> str:
    """Return the container runtime's words for an entrypoint that cannot be executed. The prefix misleads on AWS, too."""
    if failure.stage != "exec":
        LOG.error("the container could not be made: %s", failure.text)
        return "InternalServerError: We encountered an internal error. Please try again."
    command = _argv(request)[0]
    if failure.errno != errno.ENOENT:
        problem = f'"{command}": permission denied'
    elif "/" in command:
        problem = f'"{command}": stat {command}: no such file or directory'
    else:
        problem = f'"{command}": executable file not found in $PATH'
    return f"ClientError: Artifact upload failed:API error (400): OCI runtime create failed: starting container process caused: exec: {problem}: unknown"


def _read_failure(work: WorkDir) -> str:
    path = work.opt_ml / "output" / "failure"
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file.read(FAILURE_FILE_BYTES).decode(errors="replace")
