"""
Plays scripted jobs, quotas and a slow search index: what a test decides about SageMaker itself.

Used by ``api/operations.py`` (which asks whether a job is scripted before it runs it) and ``faults/http.py`` (which passes the tester's word on).
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import tempfile
import threading
import time
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.faults.scripts import JobEnd, Script, executed_notebook, parse_end, parse_script
from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.state.jobs import TrainingJob, artifact_uri
from airflow_nbjobs.local.state.resource import FAILED, IN_PROGRESS, STOPPED, STOPPING, Outcome
from airflow_nbjobs.local.wire.formats import ServiceError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.registry import Registry

LOG = logging.getLogger(__name__)

_TICK_SECONDS = 0.05
_DELETION_SECONDS = 1.0  # AWS does not say how long it takes


@dataclass(slots=True)
class _ActiveScript:
    script: Script
    taken: int = 0


@dataclass(frozen=True, slots=True)
class _End:
    """When and how a job ends."""

    at: float
    end: JobEnd
    ran_too_long: bool = False


class JobScripts:
    """
    The active scripts, the jobs that they have taken, the quotas.

    One thread ends jobs whose time has come; it runs while there are any.
    """

    def __init__(self, registry: Registry[TrainingJob], clients: ServiceClients) -> None:
        self._registry = registry
        self._clients = clients
        self._lock = threading.RLock()
        self._scripts: dict[str, _ActiveScript] = {}
        self._numbers = count(1)
        self._held: dict[str, _End | None] = {}
        self._quotas: dict[str, int] = {}
        self._clock: threading.Thread | None = None
        self.search_delay_seconds = 0.0
        self.deletion_seconds = _DELETION_SECONDS

    def actions(self) -> dict[Any, Callable[..., Any]]:
        return {
            "script": lambda script: {"id": self.add(parse_script(script))},
            "unscript": lambda id: self.remove(id),  # noqa: A006, PLW0108 - the wire's name
            "held": lambda: {"jobs": self.held()},
            "move": self.move,
            "end": lambda job_name, end: self.end(job_name, parse_end(end)),
            "quota": self.set_quota,
            "search_delay": self.set_search_delay,
            "deletion_delay": self.set_deletion_delay,
        }

    def add(self, script: Script) -> str:
        with self._lock:
            script_id = f"script-{next(self._numbers)}"
            self._scripts[script_id] = _ActiveScript(script)
            return script_id

    def remove(self, script_id: str) -> None:
        """Take a script away; the jobs that it has taken stay scripted."""
        with self._lock:
            if self._scripts.pop(script_id, None) is None:
                raise ValidationError(f"No script has the id {script_id!r}.")

    def clear(self) -> None:
        with self._lock:
            self._scripts.clear()
            self._quotas.clear()
            self.search_delay_seconds = 0.0
            self.deletion_seconds = _DELETION_SECONDS

    def set_search_delay(self, seconds: float) -> None:
        self.search_delay_seconds = float(seconds)

    def set_deletion_delay(self, seconds: float) -> None:
        self.deletion_seconds = float(seconds)

    def set_quota(self, instance_type: str, limit: int | None) -> None:
        """Set how many training jobs of an instance type may exist at once; None lifts the limit."""
        with self._lock:
            if limit is None:
                self._quotas.pop(instance_type, None)
            else:
                self._quotas[instance_type] = int(limit)

    def quotas(self) -> dict[str, int]:
        """Return the limits that are set, by instance type."""
        with self._lock:
            return dict(self._quotas)

    def register(self, job: TrainingJob) -> bool:
        """
        Register a new job within its quota. Returns whether it is scripted: then nobody else must run it.

        :raises ServiceError: the quota is in use, or the name is taken.
        """
        with self._lock:
            self._check_quota(job)
            self._registry.add(job)
            # The newest script first: a test's own word goes before its fixture's.
            active = next((one for one in reversed(self._scripts.values()) if _takes(one, job)), None)
            if active is None:
                return False
            active.taken += 1
            script = active.script
            due = None
            if script.after_seconds is not None:
                due = _End(time.monotonic() + script.after_seconds, script.end)
            self._held[job.name] = due
            self._move(job.name, script.secondary_status)
            self._start_clock()
            return True

    def _check_quota(self, job: TrainingJob) -> None:
        instance_type = str(job.request.get("ResourceConfig", {}).get("InstanceType", ""))
        limit = self._quotas.get(instance_type)
        if limit is None:
            return
        used = sum(
            not one.has_ended and one.request.get("ResourceConfig", {}).get("InstanceType") == instance_type
            for one in self._registry.all()
        )
        if used >= limit:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{instance_type} for training job usage' is {limit} Instances, with current utilization of {used} "
                "Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota. If AWS Service "
                "Quotas is not available, contact AWS support to request an increase for this quota.",
            )

    def stop(self, name: str) -> bool:
        """Let a scripted job that the registry shows as Stopping end. Returns False for a job that is none of ours."""
        with self._lock:
            if name not in self._held:
                return False
            del self._held[name]
        self._registry.change(name, lambda job: job.concluded(Outcome(), now=time.time()))
        return True

    def held(self) -> list[dict[str, Any]]:
        with self._lock:
            names = list(self._held)
        jobs = [self._registry.get(name) for name in names]
        return [
            {
                "job_name": job.name,
                "secondary_status": job.secondary_status,
                "environment": dict(job.request.get("Environment", {})),
            }
            for job in jobs
        ]

    def move(self, job_name: str, secondary_status: str) -> None:
        """Show a scripted job that has not ended in another phase."""
        with self._lock:
            self._check_held(job_name)
            self._move(job_name, secondary_status)

    def end(self, name: str, end: JobEnd) -> None:
        """End a scripted job that has not ended: first what it leaves in S3, then its status, as the service does."""
        with self._lock:
            self._check_held(name)
            del self._held[name]
        self._finish(name, end, ran_too_long=False)

    def _check_held(self, name: str) -> None:
        if name not in self._held:
            raise ValidationError(f"{name!r} is no scripted job that waits for its end.")

    def _move(self, name: str, secondary_status: str) -> None:
        now = time.time()

        def moved(job: TrainingJob) -> TrainingJob:
            if job.status != IN_PROGRESS or job.secondary_status == secondary_status:
                return job
            return job.running(now=now) if secondary_status == "Training" else job.moved(secondary_status, now=now)

        self._registry.change(name, moved)

    def _finish(self, name: str, end: JobEnd, *, ran_too_long: bool) -> None:
        job = self._registry.get(name)
        try:
            if not end.without_archive and (end.status != FAILED or end.cell is not None or end.archive is not None):
                self._leave_archive(job, end)
        except (storage.StorageError, ValueError, KeyError) as error:
            end = JobEnd(status=FAILED, failure_reason=f"ClientError: Artifact upload failed:{error}")
        now = time.time()

        def ended(job: TrainingJob) -> TrainingJob:
            if job.status != STOPPING and (ran_too_long or end.status == STOPPED):
                job = job.stopping(now=now)
            return job.concluded(Outcome(end.failure_reason, ran_too_long), now=now)

        self._registry.change(name, ended)

    def _leave_archive(self, job: TrainingJob, end: JobEnd) -> None:
        with tempfile.TemporaryDirectory(prefix="nbjobs-scripted-") as folder:
            archive = Path(folder, "output.tar.gz")
            if end.archive is not None:
                try:
                    archive.write_bytes(base64.b64decode(end.archive, validate=True))
                except binascii.Error as error:
                    raise ValueError(f"archive is no base64: {error}") from error
            else:
                content = Path(folder, "content")
                content.mkdir()
                environment = job.request.get("Environment", {})
                staged = Path(folder, "staged.ipynb")
                source = job.request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"].rstrip("/")
                storage.download(self._clients.s3, f"{source}/{environment['SM_INPUT_NOTEBOOK_NAME']}", staged)
                notebook = executed_notebook(json.loads(staged.read_bytes()), end, job_name=job.name)
                (content / environment["SM_OUTPUT_NOTEBOOK_NAME"]).write_text(json.dumps(notebook))
                storage.pack(content, archive)
            storage.upload(self._clients.s3, archive, f"{artifact_uri(job)}/output.tar.gz")

    def _start_clock(self) -> None:
        if self._clock is None or not self._clock.is_alive():
            self._clock = threading.Thread(target=self._tick, name="scripted jobs", daemon=True)
            self._clock.start()

    def _tick(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            with self._lock:
                due_jobs = dict(self._due_jobs())
                for name in due_jobs:
                    del self._held[name]
                if not self._held and not due_jobs:
                    self._clock = None
                    return
            for name, due in due_jobs.items():
                try:
                    self._finish(name, due.end, ran_too_long=due.ran_too_long)
                except Exception:  # one job's end must not keep the others from theirs
                    LOG.exception("%s: the scripted end failed", name)

    def _due_jobs(self) -> Iterator[tuple[str, _End]]:
        now = time.monotonic()
        for name, due in self._held.items():
            job = self._registry.get(name)
            if job.started is not None and time.time() - job.started >= job.max_runtime_seconds:
                yield name, _End(now, JobEnd(status=STOPPED), ran_too_long=True)
            elif due is not None and due.at <= now:
                yield name, due


def _takes(active: _ActiveScript, job: TrainingJob) -> bool:
    script = active.script
    return (script.times is None or active.taken < script.times) and script.matches(job)
