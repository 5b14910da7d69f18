"""
Jobs that end when told, quotas and a slow search index: what a test decides about SageMaker itself.

Used by ``operations.py`` (which asks whether a job is scripted before it runs it) and ``faults/http.py`` (which passes the tester's word on).
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import tempfile
import threading
import time
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.platform import storage
from airflow_nbjobs.local.state.jobs import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    STOPPED,
    STOPPING,
    Outcome,
    TrainingJob,
    artifact_uri,
    conclude,
)
from airflow_nbjobs.local.wire.formats import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from airflow_nbjobs.local.platform.clients import ServiceClients
    from airflow_nbjobs.local.state.registry import JobRegistry

LOG = logging.getLogger(__name__)

LACK_OF_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
_TICK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """
    How a scripted job ends.

    :param status: ``Completed``, ``Failed`` or ``Stopped``.
    :param failure_reason: of a failed job.
    :param cell: 1-based position, in the staged notebook, of the last code cell that ran; absent: all ran.
    :param cell_outputs: nbformat outputs of that cell; the executed notebook is the staged one with them. ``$TRAINING_JOB_NAME`` in them becomes
        the job's name.
    :param archive: base64 of the whole ``output.tar.gz``, in place of one that is made.
    :param without_archive: leave none.
    """

    status: str = COMPLETED
    failure_reason: str | None = None
    cell: int | None = None
    cell_outputs: tuple[Mapping[str, Any], ...] = ()
    archive: str | None = None
    without_archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """
    Which jobs do not run their container, and what becomes of them instead.

    :param job_name: glob.
    :param instance_type: glob.
    :param environment: variables that the job must have; globs by name.
    :param secondary_status: where a job stays until it ends; its runtime counts from ``Training``.
    :param after_seconds: when it ends by itself; absent: when told.
    :param times: how many jobs it takes; absent: all.
    """

    job_name: str = "*"
    instance_type: str = "*"
    environment: Mapping[str, str] = field(default_factory=dict)
    secondary_status: str = "Training"
    after_seconds: float | None = None
    end: JobEnd = field(default_factory=JobEnd)
    times: int | None = None

    def matches(self, job: TrainingJob) -> bool:
        found = job.request.get("Environment", {})
        return (
            fnmatchcase(job.name, self.job_name)
            and fnmatchcase(str(job.request.get("ResourceConfig", {}).get("InstanceType", "")), self.instance_type)
            and all(name in found and fnmatchcase(found[name], glob) for name, glob in self.environment.items())
        )


@dataclass(slots=True)
class _Standing:
    id: str
    script: Script
    taken: int = 0


@dataclass(frozen=True, slots=True)
class _Due:
    at: float
    end: JobEnd
    ran_too_long: bool = False


def parse_end(document: Mapping[str, Any]) -> JobEnd:
    """
    Return the end that a control request describes.

    :raises ServiceError: it means nothing.
    """
    _check_fields(document, JobEnd)
    end = JobEnd(**{**document, "cell_outputs": tuple(document.get("cell_outputs", ()))})
    if end.status not in {COMPLETED, FAILED, STOPPED}:
        raise ServiceError("ValidationException", f"A job ends Completed, Failed or Stopped, not {end.status!r}.")
    if (end.failure_reason is not None) != (end.status == FAILED):
        raise ServiceError("ValidationException", "A Failed job, and no other, has a failure_reason.")
    return end


def parse_script(document: Mapping[str, Any]) -> Script:
    """
    Return the script that a control request describes.

    :raises ServiceError: it means nothing.
    """
    _check_fields(document, Script)
    script = Script(**{**document, "end": parse_end(document.get("end", {}))})
    if script.secondary_status not in {"Starting", "Downloading", "Training", "Uploading"}:
        raise ServiceError(
            "ValidationException", f"No job stays in the secondary status {script.secondary_status!r} until it ends."
        )
    return script


def _check_fields(document: Mapping[str, Any], kind: type[JobEnd | Script]) -> None:
    if unknown := sorted(set(document) - {known.name for known in fields(kind)}):
        raise ServiceError("ValidationException", f"A {kind.__name__} has no {', '.join(unknown)}.")


class JobScripts:
    """
    The scripts that stand, the jobs that they have taken, the quotas.

    One thread ends jobs whose time has come; it runs while there are any.
    """

    def __init__(self, registry: JobRegistry, clients: ServiceClients) -> None:
        self._registry = registry
        self._clients = clients
        self._lock = threading.RLock()
        self._scripts: dict[str, _Standing] = {}
        self._count = 0
        self._held: dict[str, _Due | None] = {}
        self._quotas: dict[str, int] = {}
        self._clock: threading.Thread | None = None
        self.search_delay_seconds = 0.0

    def actions(self) -> dict[Any, Callable[..., Any]]:
        return {
            "script": lambda script: {"id": self.add(parse_script(script))},
            "unscript": lambda id: self.remove(id),  # noqa: A006, PLW0108 - the wire's name
            "held": lambda: {"jobs": self.held()},
            "move": self.move,
            "end": lambda job_name, end: self.end(job_name, parse_end(end)),
            "quota": self.set_quota,
            "search_delay": self.set_search_delay,
        }

    def add(self, script: Script) -> str:
        with self._lock:
            self._count += 1
            standing = _Standing(f"script-{self._count}", script)
            self._scripts[standing.id] = standing
            return standing.id

    def remove(self, script_id: str) -> None:
        """Take a script away; the jobs that it has taken stay scripted."""
        with self._lock:
            if self._scripts.pop(script_id, None) is None:
                raise ServiceError("ValidationException", f"No script has the id {script_id!r}.")

    def clear(self) -> None:
        with self._lock:
            self._scripts.clear()
            self._quotas.clear()
            self.search_delay_seconds = 0.0

    def set_search_delay(self, seconds: float) -> None:
        self.search_delay_seconds = float(seconds)

    def set_quota(self, instance_type: str, limit: int | None) -> None:
        """Set how many training jobs of an instance type may exist at once; None lifts the limit."""
        with self._lock:
            if limit is None:
                self._quotas.pop(instance_type, None)
            else:
                self._quotas[instance_type] = int(limit)

    def register(self, job: TrainingJob) -> bool:
        """
        Register a new job within its quota. Returns whether it is scripted: then nobody else must run it.

        :raises ServiceError: the quota is in use, or the name is taken.
        """
        with self._lock:
            self._check_quota(job)
            self._registry.add(job)
            # The newest script first: a test's own word goes before its fixture's.
            standing = next((one for one in reversed(self._scripts.values()) if _takes(one, job)), None)
            if standing is None:
                return False
            standing.taken += 1
            script = standing.script
            due = None
            if script.after_seconds is not None:
                due = _Due(time.monotonic() + script.after_seconds, script.end)
            self._held[job.name] = due
            self._to(job.name, script.secondary_status)
            self._start_clock()
            return True

    def _check_quota(self, job: TrainingJob) -> None:
        instance_type = str(job.request.get("ResourceConfig", {}).get("InstanceType", ""))
        limit = self._quotas.get(instance_type)
        if limit is None:
            return
        used = sum(
            not one.is_terminal and one.request.get("ResourceConfig", {}).get("InstanceType") == instance_type
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
        self._registry.change(name, lambda job: conclude(job, Outcome(), now=time.time()))
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
        """
        Show a scripted job in another phase.

        :raises ServiceError: it is no scripted job, or no longer one.
        """
        with self._lock:
            self._check_held(job_name)
            self._to(job_name, secondary_status)

    def end(self, name: str, end: JobEnd) -> None:
        """
        End a scripted job: first what it leaves in S3, then its status, as the service does.

        :raises ServiceError: it is no scripted job, or no longer one.
        """
        with self._lock:
            self._check_held(name)
            del self._held[name]
        self._finish(name, end, ran_too_long=False)

    def _check_held(self, name: str) -> None:
        if name not in self._held:
            raise ServiceError("ValidationException", f"{name!r} is no scripted job that waits for its end.")

    def _to(self, name: str, secondary_status: str) -> None:
        now = time.time()

        def moved(job: TrainingJob) -> TrainingJob:
            if job.status != IN_PROGRESS or job.secondary_status == secondary_status:
                return job
            return job.training(now=now) if secondary_status == "Training" else job.moved(secondary_status, now=now)

        self._registry.change(name, moved)

    def _finish(self, name: str, end: JobEnd, *, ran_too_long: bool) -> None:
        job = self._registry.get(name)
        try:
            if not end.without_archive and (end.status != FAILED or end.cell is not None or end.archive is not None):
                self._leave_archive(job, end)
        except (storage.StorageError, ValueError, KeyError) as error:
            end = JobEnd(status=FAILED, failure_reason=f"ClientError: Artifact upload failed:{error}")
        now = time.time()

        def ended(current: TrainingJob) -> TrainingJob:
            if current.status == STOPPING:
                return conclude(current, Outcome(ran_too_long=ran_too_long), now=now)
            if ran_too_long:
                return conclude(current.stopping(now=now), Outcome(ran_too_long=True), now=now)
            if end.status == STOPPED:
                return conclude(current.stopping(now=now), Outcome(), now=now)
            return conclude(current, Outcome(end.failure_reason), now=now)

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
                ripe = dict(self._ripe())
                for name in ripe:
                    del self._held[name]
                if not self._held and not ripe:
                    self._clock = None
                    return
            for name, due in ripe.items():
                try:
                    self._finish(name, due.end, ran_too_long=due.ran_too_long)
                except Exception:  # one job's end must not keep the others from theirs
                    LOG.exception("%s: the scripted end failed", name)

    def _ripe(self) -> Iterator[tuple[str, _Due]]:
        now = time.monotonic()
        for name, due in self._held.items():
            job = self._registry.get(name)
            if job.started is not None and time.time() - job.started >= job.max_runtime_seconds:
                yield name, _Due(now, JobEnd(status=STOPPED), ran_too_long=True)
            elif due is not None and due.at <= now:
                yield name, due


def _takes(standing: _Standing, job: TrainingJob) -> bool:
    script = standing.script
    return (script.times is None or standing.taken < script.times) and script.matches(job)


def executed_notebook(staged: Mapping[str, Any], end: JobEnd, *, job_name: str) -> dict[str, Any]:
    """Return the notebook as the driver's papermill leaves it: each code cell that ran with its number, the last of them with the outputs given."""
    notebook: dict[str, Any] = json.loads(json.dumps(staged))
    cells = notebook["cells"]
    last = end.cell if end.cell is not None else len(cells)
    count = 0
    ran = None
    for position, cell in enumerate(cells, start=1):
        if cell.get("cell_type") != "code":
            continue
        is_run = position <= last
        count += is_run
        moment = "2026-01-01T00:00:00" if is_run else None
        cell["execution_count"] = count if is_run else None
        cell["outputs"] = []
        cell.setdefault("metadata", {})["papermill"] = {"start_time": moment, "exception": False if is_run else None}
        ran = cell if is_run else ran
    if ran is not None:
        ran["outputs"] = json.loads(json.dumps(end.cell_outputs).replace("$TRAINING_JOB_NAME", job_name))
        if any(output.get("output_type") == "error" for output in end.cell_outputs):
            ran["metadata"]["papermill"]["exception"] = True
    return notebook


def as_searched(job: TrainingJob, *, moment: float) -> TrainingJob | None:
    """Return a job as an index that is behind shows it: as it was at that moment; None before it was made."""
    if job.created > moment:
        return None
    seen = tuple(transition for transition in job.transitions if transition.start <= moment)
    last = seen[-1].status
    statuses = {COMPLETED: COMPLETED, FAILED: FAILED, STOPPED: STOPPED, "MaxRuntimeExceeded": STOPPED}
    status = statuses.get(last, STOPPING if last == STOPPING else IN_PROGRESS)
    is_terminal = status in {COMPLETED, FAILED, STOPPED}
    return replace(
        job,
        status=status,
        transitions=seen,
        modified=seen[-1].start,
        started=job.started if job.started is not None and job.started <= moment else None,
        ended=job.ended if is_terminal else None,
        failure_reason=job.failure_reason if is_terminal else None,
    )
