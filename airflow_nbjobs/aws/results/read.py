"""
What a finished job left behind: executed notebook, outputs, log tail, and the error that explains a failure.

Called by ``task/results.py`` and by ``nbjobs run`` once a job is in a terminal state. What can be read is returned beside the error; only a failed
*read* raises, since a retry of the task can mend that without running the notebook again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.results.explain import Expectation, Remains, explain, was_killed
from airflow_nbjobs.aws.results.output import LOG_NAME, read_live_copy, read_members
from airflow_nbjobs.core.errors import (
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookOutputError,
)
from airflow_nbjobs.core.job.naming import LOG_GROUP
from airflow_nbjobs.core.job.reference import executed_notebook_name
from airflow_nbjobs.core.job.status import JobSnapshot, JobState
from airflow_nbjobs.core.job.variables import NOTEBOOK_DIGEST_VARIABLE
from airflow_nbjobs.core.notebook import failing_cell as failure
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.notebook.progress import Progress, progress_of
from airflow_nbjobs.core.values.outputs import OutputRecord, read_outputs
from airflow_nbjobs.core.watch.log_text import readable_tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.core.job.naming import JobLocation

__all__ = ["Expectation", "JobResult", "read_result"]

_LATE_SECONDS = 60.0
_RAW_LOG_LINES = 500
_SHOWN_LOG_LINES, _SHOWN_LOG_LINES_OF_FAILURE = 8, 40
_WRONG_OUTPUTS = "mend the notebook or outputs=, then clear the task: the results of a completed job do not change"


class JobResult(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a finished job gives to its task."""

    facts: Mapping[str, Any]  # JSON-like facts of the job, without outputs
    # the declared outputs that are right, also where others are wrong, and where the job failed after they were recorded
    outputs: Mapping[str, Any] = msgspec.field(default_factory=dict)
    error: NotebookJobError | None = None  # why the task must fail, or be skipped; None for a success
    executed_notebook: bytes | None = None  # the executed notebook's bytes, where there are any
    progress: Progress | None = None  # how many of its cells have run, where it could be read
    was_killed: bool = False  # its kernel or container was, most likely for want of memory
    log_tail: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def read_result(
    snapshot: JobSnapshot,
    location: JobLocation,
    expected: Expectation,
    clients: AwsClients,
    *,
    now: datetime | None = None,
) -> JobResult:
    """
    Read what a job in a terminal state left behind.

    :param now: an archive that is not there yet, a minute after the job's end or less, may still arrive; None: what is not there now is missing.
    :raises NotebookJobServiceError: S3 could not be read, or the archive may still arrive; nothing is lost, the next try reads again.
    """
    warnings: list[str] = []
    is_success = snapshot.state is JobState.SUCCEEDED
    if snapshot.is_being_deleted:
        warnings.append(
            f"training job '{snapshot.job_name}' is being deleted: SageMaker will not know it, what it left in S3 stays"
        )
    streamed = _streamed_log(snapshot, clients, warnings)
    notebook_name = executed_notebook_name(snapshot.environment) or location.executed_notebook_name
    members = (
        read_members(snapshot, location, notebook_name, clients, warnings, with_log=streamed is None)
        if expected.is_notebook_job
        else {}
    )
    if not members and _may_still_arrive(snapshot, location, expected, clients, now):
        raise NotebookJobServiceError(
            f"the output of '{snapshot.job_name}' is not in S3 yet: {location.output_archive_uri}",
            code="NoSuchKey",
            is_retryable=True,
            job_name=snapshot.job_name,
        )
    lines = _log_lines(streamed, members.get(LOG_NAME), warnings)
    archived = raw = members.get(notebook_name)
    executed = _parsed(raw, notebook_name, warnings)
    live = (
        read_live_copy(snapshot, location, clients, warnings) if executed is None and expected.is_notebook_job else None
    )
    if live is not None:
        raw, executed = live.raw, live.notebook

    read = JobResult(
        facts=_facts(snapshot, location, expected, has_notebook=raw is not None),
        executed_notebook=raw,
        progress=progress_of(executed) if executed is not None else None,
        log_tail=tuple(readable_tail(lines, limit=_SHOWN_LOG_LINES if is_success else _SHOWN_LOG_LINES_OF_FAILURE)),
        warnings=tuple(warnings),
    )
    places = _places(snapshot, location, expected, has_notebook=raw is not None)
    remains = Remains(snapshot=snapshot, expected=expected, executed=executed, places=places, log=lines)
    if not is_success:
        failed = explain(remains)
        return replace(_with_outputs(read, _known_outputs(remains, failed), failed), was_killed=was_killed(failed))
    if not expected.is_notebook_job:
        return replace(read, error=_without_outputs(remains))
    if executed is None or (live is not None and not _is_whole(executed)):
        missing = _without_notebook(remains, location, notebook_name, archived, warnings)
        if executed is None:
            return replace(read, error=missing)
        return _with_outputs(read, _known_outputs(remains, missing), missing)
    record = read_outputs(executed, expected.declared)
    return _with_outputs(read, record, _wrong_outputs(remains, record), *_ended_itself(executed))


def _with_outputs(read: JobResult, record: OutputRecord, error: NotebookJobError | None, *warnings: str) -> JobResult:
    return replace(read, outputs=record.values, error=error, warnings=(*read.warnings, *record.warnings, *warnings))


def _wrong_outputs(remains: Remains, record: OutputRecord) -> NotebookOutputError | None:
    if not record.problems:
        return None
    return NotebookOutputError(
        f"{remains.job} completed, but {'an output is' if len(record.problems) == 1 else f'{len(record.problems)} outputs are'} wrong",
        problems=record.problems,
        details=remains.places | {"next": _WRONG_OUTPUTS},
        job_name=remains.name,
    )


def _ended_itself(executed: NotebookNode) -> tuple[str, ...]:
    cell = failure.clean_exit(executed)
    if cell is None:
        return ()
    return (
        f"the notebook ended itself in cell {cell} (SystemExit), which is a success: the cells after it have not run",
    )


def _is_whole(live: NotebookNode) -> bool:
    """Say whether a live copy of a completed job was made after the last cell that ran."""
    return progress_of(live).is_complete or failure.clean_exit(live) is not None


def _may_still_arrive(
    snapshot: JobSnapshot, location: JobLocation, expected: Expectation, clients: AwsClients, now: datetime | None
) -> bool:
    """Say whether the archive of a container that was not stopped is missing, and it ended less than a minute ago."""
    if now is None or snapshot.started is None or snapshot.ended is None or not expected.is_notebook_job:
        return False
    if snapshot.state in (JobState.STOPPED, JobState.DELETED):
        return False
    is_recent = (now - snapshot.ended).total_seconds() < _LATE_SECONDS
    return is_recent and not clients.objects.exists(location.output_archive_uri)


def _parsed(raw: bytes | None, name: str, warnings: list[str]) -> NotebookNode | None:
    if raw is None:
        return None
    try:
        notebook, said = parse_executed(raw, source=name)
    except NotebookJobConfigError as error:
        warnings.append(f"the executed notebook cannot be read: {error}")
        return None
    warnings += said
    return notebook


def _without_notebook(
    remains: Remains, location: JobLocation, name: str, raw: bytes | None, warnings: list[str]
) -> NotebookOutputError:
    if raw is None:
        headline = f"{remains.job} completed without an executed notebook"
        problems = [
            f"'{name}' is not in {location.output_archive_uri}",
            *warnings,
            "an init script that exits with 0 ends the job as Completed before the notebook has run",
        ]
        saved = {}
    else:
        headline = f"{remains.job} completed, but its executed notebook is none"
        problems = list(warnings)
        saved = {"saved": f"its {len(raw)} bytes as they are, under the address above; no output could be read"}
    advice = {"next": "read the log of the job; what it has left cannot change, so a clear runs it anew"}
    return NotebookOutputError(
        headline, problems=problems, details=remains.places | saved | advice, job_name=remains.name
    )


def _known_outputs(remains: Remains, failed: NotebookJobError) -> OutputRecord:
    """Return the declared outputs that the notebook recorded or glued, though its job failed; the error says which are known and which are not."""
    executed, declared = remains.executed, remains.expected.declared
    if executed is None or not declared.types:
        record = OutputRecord({}, (), (), was_recorded=False, unknown=tuple(declared.types))
    else:
        record = read_outputs(executed, declared)
    # A variable comes before what is glued under its name: of a wrong glued value, too, the variable is not known.
    unknown = () if record.was_recorded else [name for name in declared.types if name not in record.values]
    how = "recorded after the last cell" if record.was_recorded else "glued before the end"
    parts = [
        *([f"{', '.join(record.values)}: {how}, pushed"] if record.values else ()),
        *([f"{', '.join(unknown)}: not known, since variables are recorded after the last cell"] if unknown else ()),
        *record.known_problems,
    ]
    if parts:
        failed.details["outputs"] = "; ".join(parts)
    return record


def _without_outputs(remains: Remains) -> NotebookOutputError | None:
    declared = remains.expected.declared.types
    if not declared:
        return None
    return NotebookOutputError(
        f"{remains.job} completed, but it is no notebook job and has no outputs",
        problems=[f"output '{name}' is declared; leave outputs out" for name in declared],
        details=remains.places,
        job_name=remains.name,
    )


def _streamed_log(snapshot: JobSnapshot, clients: AwsClients, warnings: list[str]) -> list[str] | None:
    try:
        return clients.logs.tail(snapshot.job_name, limit=_RAW_LOG_LINES)
    except (NotebookJobServiceError, NotebookJobConfigError) as error:
        # The log is a comfort; a denied read of it must not fail a job that succeeded.
        warnings.append(f"CloudWatch log not read: {error.headline}")
        return None


def _log_lines(streamed: list[str] | None, archived: bytes | None, warnings: list[str]) -> list[str]:
    if streamed is None and archived is not None:
        warnings.append("the log shown is the one in output.tar.gz, since CloudWatch has none of this job")
        return archived.decode(errors="replace").splitlines()
    return streamed or []


def _facts(
    snapshot: JobSnapshot, location: JobLocation, expected: Expectation, *, has_notebook: bool
) -> dict[str, Any]:
    duration = (snapshot.ended - snapshot.started).total_seconds() if snapshot.started and snapshot.ended else None
    return {
        "job_name": snapshot.job_name,
        "job_arn": snapshot.arn,
        "status": snapshot.ended_as,
        "input_notebook": expected.input_notebook,
        "notebook_sha256": snapshot.environment.get(NOTEBOOK_DIGEST_VARIABLE),
        "executed_notebook_uri": (expected.executed_notebook_uri or location.executed_notebook_uri)
        if has_notebook
        else None,
        "output_archive_uri": location.output_archive_uri if expected.is_notebook_job else None,
        "instance_type": snapshot.instance_type,
        "started_at": snapshot.started.isoformat() if snapshot.started else None,
        "ended_at": snapshot.ended.isoformat() if snapshot.ended else None,
        "duration_seconds": duration,
        "billable_seconds": snapshot.billable_seconds,
    }


def _places(
    snapshot: JobSnapshot, location: JobLocation, expected: Expectation, *, has_notebook: bool
) -> dict[str, str]:
    uri = expected.executed_notebook_uri or location.executed_notebook_uri
    inside = f" ({executed_notebook_name(snapshot.environment)} in it)" if uri == location.output_archive_uri else ""
    executed = {"executed": f"{uri}{inside}"} if has_notebook else {}
    notebook = {"notebook": expected.input_notebook} if expected.is_notebook_job else {}
    return notebook | executed | {"logs": f"{LOG_GROUP} {snapshot.job_name}/algo-1"}
