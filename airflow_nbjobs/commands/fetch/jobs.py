"""
The jobs of a run's tasks, each shown to be the task's own, and what there is to fetch of each.

Called by ``nbjobs outputs``; asks Airflow and AWS, writes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs._compat import redact
from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.commands.fetch.manifest import as_json
from airflow_nbjobs.commands.fetch.places import task_folder, try_folders
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.reference import executed_notebook_name, is_live
from airflow_nbjobs.ui.data.task_instance import NEVER_RAN, Kind
from airflow_nbjobs.ui.notebook.jobs import Job, Jobs
from airflow_nbjobs.ui.notebook.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from airflow_nbjobs.aws.ports import AwsClients, StoredObject
    from airflow_nbjobs.commands.records.port import RunRecords
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_TRY_VARIABLE = "NBJOBS_TRY_NUMBER"
_VERSION = 1
EXECUTED, LIVE, ARCHIVE, HTML, LOG = "executed.ipynb", "live.ipynb", "output.tar.gz", "executed.html", "log.txt"


class Stored(msgspec.Struct, frozen=True):
    """An object of S3, and its file's name."""

    name: str
    uri: str
    stored: StoredObject

    @property
    def source(self) -> str:
        return f"{self.uri} {self.stored.etag}"


class FoundJob(msgspec.Struct, frozen=True, kw_only=True):
    """
    One job, and what there is of it.

    :param folder: relative.
    :param objects: to be fetched as they are.
    :param documents: small files, by name.
    :param notebook_name: the executed notebook's in the archive.
    :param notes: what is worth saying.
    """

    ti: NotebookTaskInstance
    job: Job
    clients: AwsClients
    try_number: int
    folder: PurePosixPath
    objects: tuple[Stored, ...]
    documents: Mapping[str, bytes]
    notebook_name: str
    notes: tuple[str, ...]

    @property
    def has_ended(self) -> bool:
        return self.job.snapshot.state.is_terminal


class NoJob(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task of which there is nothing to fetch, and why.

    :param is_problem: nobody would expect that of a task in its state.
    """

    task_id: str
    map_index: int
    reason: str
    is_problem: bool


class Finder:
    """Looks for the jobs of one run."""

    def __init__(self, records: RunRecords) -> None:
        self._records = records
        self._jobs = Jobs(records.access, live_seconds=0.0)

    def find(self, ti: NotebookTaskInstance) -> Iterator[FoundJob | NoJob]:
        """Yield every job of the task instance that is known, the newest first; else why there is none."""
        if ti.job is None and not ti.attempts and ti.state in NEVER_RAN and ti.kind is Kind.OPERATOR:
            yield self._none(ti, f"it has no job: its state is {ti.state or 'none yet'}", is_problem=False)
            return
        found: list[tuple[Job, int]] = []
        for job, attempt, problem in self._each(ti):
            if job is not None:
                found.append((job, attempt))
            elif problem is not None:
                yield problem
        tries = [_try_number(job, ti) for job, _ in found]
        names = try_folders((number, attempt) for number, (_, attempt) in zip(tries, found, strict=True))
        for (job, _), number, name in zip(found, tries, names, strict=True):
            yield self._content(ti, job, number, task_folder(ti.task_id, ti.map_index) / name)

    def _each(self, ti: NotebookTaskInstance) -> Iterator[tuple[Job | None, int, NoJob | None]]:
        try:
            if ti.kind is Kind.SENSOR:
                yield self._jobs.find(ti, None), 0, None
                return
            ti = _with_earlier_attempts(ti)
            names = self._jobs.names(ti)
        except ProblemError as error:
            yield None, 0, self._none(ti, _words(error), is_problem=True)
            return
        for name, key in names:
            try:
                yield self._jobs.find(ti, name), key.attempt, None
            except ProblemError as error:
                is_newest = name == names[0][0]
                # Of an earlier attempt that SageMaker does not know there may never have been a job.
                if is_newest or error.problem.code != "unknown-job":
                    is_problem = not (is_newest and error.problem.is_passing)
                    yield None, 0, self._none(ti, f"job '{name}': {_words(error)}", is_problem=is_problem)

    def _none(self, ti: NotebookTaskInstance, reason: str, *, is_problem: bool) -> NoJob:
        return NoJob(task_id=ti.task_id, map_index=ti.map_index, reason=reason, is_problem=is_problem)

    def _content(self, ti: NotebookTaskInstance, job: Job, number: int, folder: PurePosixPath) -> FoundJob | NoJob:
        clients = self._jobs.access(ti).clients
        try:
            objects, notes = _objects(ti, job, clients)
        except NotebookJobServiceError as error:
            why = f"{error.headline}{'; ' + error.details['next'] if is_denied(error) else ''}"
            return self._none(ti, f"job '{job.name}': {why}", is_problem=True)
        documents = {
            "job.json": as_json(_facts(ti, job, number)),
            "parameters.json": as_json(_parameters(ti, job)),
        }
        if not job.is_earlier and ti.kind is Kind.OPERATOR:
            documents["outputs.json"] = as_json(self._records.outputs(ti))
        return FoundJob(
            ti=ti,
            job=job,
            clients=clients,
            try_number=number,
            folder=folder,
            objects=objects,
            documents=documents,
            notebook_name=executed_notebook_name(job.snapshot.environment) or job.location.executed_notebook_name,
            notes=notes,
        )


def _with_earlier_attempts(ti: NotebookTaskInstance) -> NotebookTaskInstance:
    """Return the task instance with the attempts before its job's, which an Airflow before 3.3 does not remember: the naming rule tells them."""
    attempt = (ti.job or {}).get("attempt")
    if type(attempt) is not int or not 0 < attempt < 1000:
        return ti
    earlier = tuple({**(ti.job or {}), "attempt": number} for number in range(attempt))
    return replace(ti, attempts=(*earlier, *ti.attempts))


def _try_number(job: Job, ti: NotebookTaskInstance) -> int:
    told = job.snapshot.environment.get(_TRY_VARIABLE, "")
    return int(told) if ti.kind is Kind.OPERATOR and re.fullmatch(r"[1-9]\d{0,5}", told) else ti.try_number


def _objects(ti: NotebookTaskInstance, job: Job, clients: AwsClients) -> tuple[tuple[Stored, ...], tuple[str, ...]]:
    location, has_ended = job.location, job.snapshot.state.is_terminal
    wanted = [(ARCHIVE, location.output_archive_uri)] if has_ended else []
    if ti.kind is Kind.OPERATOR:
        wanted.insert(0, (EXECUTED, location.executed_notebook_uri))
    found = [Stored(name, uri, stored) for name, uri in wanted if (stored := clients.objects.stat(uri)) is not None]
    notes = [] if has_ended else [f"job '{job.name}' has not ended ({job.snapshot.doing})"]
    if not found and is_live(job.snapshot.environment):
        live = clients.objects.stat(location.live_notebook_uri)
        if live is not None:
            found.append(Stored(LIVE, location.live_notebook_uri, live))
    if not found and has_ended:
        notes.append(f"job '{job.name}' has left nothing in S3, or it was removed since")
    return tuple(found), tuple(notes)


def _facts(ti: NotebookTaskInstance, job: Job, number: int) -> dict[str, Any]:
    snapshot = job.snapshot
    return {
        "version": _VERSION,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": number,
        "job_name": job.name,
        "job_arn": snapshot.arn,
        "status": snapshot.ended_as,
        "failure_reason": snapshot.failure_reason or None,
        "instance_type": snapshot.instance_type,
        "started_at": snapshot.started.isoformat() if snapshot.started else None,
        "ended_at": snapshot.ended.isoformat() if snapshot.ended else None,
        "billable_seconds": snapshot.billable_seconds,
        "s3_uri": f"{job.location.root}/{job.name}",
    }


def _parameters(ti: NotebookTaskInstance, job: Job) -> Any:
    """Return the parameters as Airflow has recorded them, secrets masked; of an earlier job the texts that SageMaker has, masked by name."""
    rendered = ti.rendered.get("parameters")
    if not job.is_earlier and isinstance(rendered, dict):
        return rendered
    return redact(dict(job.snapshot.hyperparameters))


def _words(error: ProblemError) -> str:
    problem = error.problem
    return " ".join([f"{problem.title}: {problem.text}", *problem.details])
