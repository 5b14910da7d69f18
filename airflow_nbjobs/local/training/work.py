"""
A training job's work: what it does before and after its container runs.

Made by ``api/operations.py``, called by ``platform/runner.py``.
"""

from __future__ import annotations

import errno
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from airflow_nbjobs.local.container.driver_copy import install_copy
from airflow_nbjobs.local.container.image import is_pullable
from airflow_nbjobs.local.container.run import write_config
from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.platform.checkpoints import Checkpoints
from airflow_nbjobs.local.platform.runner import JobError, Launch, Platform, Work, read_text
from airflow_nbjobs.local.state.jobs import TrainingJob, artifact_uri
from airflow_nbjobs.local.state.resource import IN_PROGRESS, Outcome
from airflow_nbjobs.local.training.meter import Meter

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from airflow_nbjobs.local.container.run import Failure, WorkDir
    from airflow_nbjobs.local.state.registry import Registry

_TICK_SECONDS = 0.05
_INPUT_PATH = "SM_EXECUTION_INPUT_PATH"


class TrainingWork(Work):
    uploads_when_stopped = True

    """:param start_seconds: how long the job stays in ``Starting``."""

    def __init__(
        self, job: TrainingJob, registry: Registry[TrainingJob], platform: Platform, *, start_seconds: float = 0.0
    ) -> None:
        self._start_seconds = start_seconds
        self._job = job
        self._request = job.request
        self._registry = registry
        self._platform = platform
        self._checkpoints: Checkpoints | None = None
        algorithm = job.request["AlgorithmSpecification"]
        # Without an entrypoint SageMaker runs `docker run IMAGE train`.
        self._argv = (*algorithm.get("ContainerEntrypoint", ["train"]), *algorithm.get("ContainerArguments", ()))

    @property
    def max_runtime_seconds(self) -> float:
        return self._job.max_runtime_seconds

    def prepare(self, work: WorkDir) -> Launch:
        self._await_machine()
        self._move("Downloading")
        write_config(work, self._request)
        try:
            self._download(work)
        except storage.StorageError as error:
            raise JobError(f"ClientError: Data download failed:{error}") from error
        if not is_pullable(self._request["AlgorithmSpecification"]["TrainingImage"], self._platform.facts.region):
            raise JobError(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions are incorrect."
            )
        environment = self._environment(work)
        # A login shell (install_driver's `bash -l`) takes its PATH from the system's profile, which knows nothing of the environment.
        (work.home / ".bash_profile").write_text(f'export PATH="{environment["PATH"]}"\n')
        has_network = not self._request.get("EnableNetworkIsolation", False)
        return Launch(self._argv, environment, has_network, self._checkpoints or nullcontext())

    def measuring(self, pid: int, work: WorkDir) -> AbstractContextManager[object]:
        folders = (work.opt_ml, work.tmp, work.home)
        return Meter(
            self._platform.clients.cloudwatch,
            job_name=self._job.name,
            request=self._request,
            pid=pid,
            folders=folders,
            seconds=self._platform.metrics_seconds,
        ).measuring()

    def deliver(self, work: WorkDir, exit_code: int) -> Outcome:
        if self._checkpoints is not None:
            self._checkpoints.finish()
        self._move("Uploading")
        upload_problem = self._upload(work)
        if exit_code:
            failure = read_text(work.opt_ml / "output" / "failure")
            return Outcome(f"AlgorithmError: {failure}, exit code: {exit_code}")
        return Outcome(upload_problem)

    def start_error(self, failure: Failure) -> str:
        """Return the container runtime's words for an entrypoint that cannot be executed. The prefix misleads on AWS, too."""
        command = self._argv[0]
        if failure.errno != errno.ENOENT:
            problem = f'"{command}": permission denied'
        elif "/" in command:
            problem = f'"{command}": stat {command}: no such file or directory'
        else:
            problem = f'"{command}": executable file not found in $PATH'
        return f"ClientError: Artifact upload failed:API error (400): OCI runtime create failed: starting container process caused: exec: {problem}: unknown"

    def _await_machine(self) -> None:
        ready = time.monotonic() + self._start_seconds
        while (left := ready - time.monotonic()) > 0 and self._registry.get(self._job.name).status == IN_PROGRESS:
            time.sleep(min(left, _TICK_SECONDS))

    def _download(self, work: WorkDir) -> None:
        s3 = self._platform.clients.s3
        for channel in self._request.get("InputDataConfig", ()):
            folder = work.opt_ml / "input" / "data" / channel["ChannelName"]
            folder.mkdir()
            storage.download_prefix(s3, channel["DataSource"]["S3DataSource"]["S3Uri"], folder)
        if "CheckpointConfig" in self._request:
            self._checkpoints = Checkpoints(s3, self._request["CheckpointConfig"], work.opt_ml)
            self._checkpoints.restore()

    def _environment(self, work: WorkDir) -> dict[str, str]:
        environment = self._platform.environment(
            work, self._request.get("Environment", {}), TRAINING_JOB_NAME=self._job.name, TRAINING_JOB_ARN=self._job.arn
        )
        if not self._platform.is_bare:
            return environment
        if self._platform.image.driver_script:
            install_copy(self._platform.image.driver_script, work)
        environment["PATH"] = f"{work.bin}:{environment['PATH']}"
        if _INPUT_PATH in environment:
            environment[_INPUT_PATH] = environment[_INPUT_PATH].replace("/opt/ml", str(work.opt_ml), 1)
        return environment

    def _upload(self, work: WorkDir) -> str | None:
        """Upload what the container left; returns the FailureReason if that fails."""
        kms_key_id = self._request["OutputDataConfig"].get("KmsKeyId", "")
        for folder, name, always in (("output/data", "output.tar.gz", True), ("model", "model.tar.gz", False)):
            source = work.opt_ml / folder
            if not always and not any(source.iterdir()):
                continue
            try:
                storage.pack(source, work.path / name)
                uri = f"{artifact_uri(self._job)}/{name}"
                storage.upload(self._platform.clients.s3, work.path / name, uri, kms_key_id=kms_key_id)
            except (OSError, storage.StorageError) as error:
                return f"ClientError: Artifact upload failed:{error}"
        return None

    def _move(self, secondary_status: str) -> None:
        """Show progress, unless the job is Stopping, which stays until its end."""
        self._registry.change(
            self._job.name,
            lambda job: job.moved(secondary_status, now=time.time()) if job.status == IN_PROGRESS else job,
        )
