"""
What a finished job left behind: executed notebook, outputs, log tail, and the error that explains a failure.

Called by the operator and by ``nbjobs run`` once a job is in a terminal state. What can be read is returned beside the error; only a failed
*read* raises, since a retry of the task can mend that without running the notebook again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.output import LOG_NAME, read_members
from airflow_nbjobs.aws.prepare import NOTEBOOK_DIGEST_VARIABLE
from airflow_nbjobs.core import failure
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
)
from airflow_nbjobs.core.logtail import readable_tail
from airflow_nbjobs.core.notebook import NotebookNode, parse_notebook
from airflow_nbjobs.core.outputs import DeclaredOutputs, read_outputs
from airflow_nbjobs.core.progress import Progress, progress_of
from airflow_nbjobs.core.reference import executed_notebook_name
from airflow_nbjobs.core.scraps import read_scraps
from airflow_nbjobs.core.status import FailureKind, JobSnapshot, JobState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_nbjobs.aws.clients import AwsClients
    from airflow_nbjobs.core.naming import JobLocation

LOG_GROUP_TEXT = "/aws/sagemaker/TrainingJobs"
_LATE_SECONDS = 60.0
_RAW_LOG_LINES = 500
_SHOWN_LOG_LINES = {JobState.SUCCEEDED: 8}
_SHOWN_LOG_LINES_OF_FAILURE = 40
_SOURCE_LINES = 12
# Of an image without the driver, SageMaker says "Artifact upload failed: … exec: "amazon_sagemaker_scheduler": executable file not found in $PATH".
# What the driver and papermill say of failures that no cell shows; of the reason only its first 1,024 characters are kept.
_ADVICE = (
    (
        re.compile(r"Unknown exporter|ExporterNameError"),
        "the notebook itself has run to its end: output_formats names a format that the image's nbconvert lacks",
    ),
    (re.compile(r"NoSuchKernel|No such kernel"), "set kernel_name to a kernel that the image has"),
    (
        re.compile(r"DeadKernelError|Kernel died|exit code: 137"),
        "the kernel was killed, most likely for want of memory: use a larger instance_type",
    ),
    (re.compile(r"Error with running (?:init|LCC) script"), "read the log above: the initialization_script failed"),
)
_NO_DRIVER = '"amazon_sagemaker_scheduler": executable file not found'


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """
    What the task that finishes the job knows about it.

    :param executed_notebook_uri: where to say that the executed notebook is; None: under its own key, where the submitting task puts it.
    :param is_notebook_job: False for a training job of another kind, of which there is neither notebook nor output.
    """

    label: str
    input_notebook: str
    declared: DeclaredOutputs
    parameters_text: str = "{}"
    executed_notebook_uri: str | None = None
    is_notebook_job: bool = True

    @property
    def noun(self) -> str:
        return "Notebook job" if self.is_notebook_job else "Training job"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """
    Everything that a finished job gives to its task.

    :param facts: JSON-like facts of the job, without outputs.
    :param outputs: the declared outputs that are right, also where others are wrong.
    :param error: why the task must fail; None for a success.
    :param executed_notebook: the executed notebook's bytes, where there are any.
    :param progress: how many of its cells have run, where it could be read.
    """

    facts: Mapping[str, Any]
    outputs: Mapping[str, Any] = field(default_factory=dict)
    error: NotebookJobError | None = None
    executed_notebook: bytes | None = None
    progress: Progress | None = None
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
    tail = _log_tail(snapshot, streamed, members.get(LOG_NAME), warnings)
    raw = members.get(notebook_name)
    executed = _parsed(raw, notebook_name, warnings)

    read = JobResult(
        facts=_facts(snapshot, location, expected, has_notebook=raw is not None),
        executed_notebook=raw,
        progress=progress_of(executed) if executed is not None else None,
        log_tail=tail,
        warnings=tuple(warnings),
    )
    places = _places(snapshot, location, expected, has_notebook=raw is not None)
    if snapshot.state is not JobState.SUCCEEDED:
        failed = _failure(snapshot, executed, expected, places, tail)
        return replace(read, outputs=_glued_before(executed, expected.declared, failed), error=failed)
    if not expected.is_notebook_job:
        return replace(read, error=_without_outputs(snapshot, expected, places))
    if executed is None:
        return replace(read, error=_without_notebook(snapshot, location, notebook_name, raw, warnings, places))
    record = read_outputs(executed, expected.declared)
    wrong = (
        NotebookOutputError(
            f"Notebook job '{snapshot.job_name}' completed, but {'an output is' if len(record.problems) == 1 else f'{len(record.problems)} outputs are'} wrong",
            problems=record.problems,
            details=places,
            job_name=snapshot.job_name,
        )
        if record.problems
        else None
    )
    return replace(read, outputs=record.values, error=wrong, warnings=(*warnings, *record.warnings))


def _may_still_arrive(
    snapshot: JobSnapshot, location: JobLocation, expected: Expectation, clients: AwsClients, now: datetime | None
) -> bool:
    """Say whether a container ran to its own end and has left nothing, so little ago that S3 may only be late; one that was stopped may leave nothing."""
    if now is None or snapshot.started is None or snapshot.ended is None or not expected.is_notebook_job:
        return False
    if snapshot.state is JobState.STOPPED:
        return False
    is_recent = (now - snapshot.ended).total_seconds() < _LATE_SECONDS
    return is_recent and not clients.objects.exists(location.output_archive_uri)


def _parsed(raw: bytes | None, name: str, warnings: list[str]) -> NotebookNode | None:
    if raw is None:
        return None
    try:
        return parse_notebook(raw, source=name)
    except NotebookJobConfigError as error:
        warnings.append(f"the executed notebook cannot be read: {error}")
    except RecursionError:
        warnings.append(f"the executed notebook cannot be read: '{name}' is nested too deep")
    return None


def _without_notebook(  # noqa: PLR0917 - the parts of one text
    snapshot: JobSnapshot,
    location: JobLocation,
    name: str,
    raw: bytes | None,
    warnings: list[str],
    places: dict[str, str],
) -> NotebookOutputError:
    if raw is None:
        headline = f"Notebook job '{snapshot.job_name}' completed without an executed notebook"
        problems = [
            f"'{name}' is not in {location.output_archive_uri}",
            *warnings,
            "an init script that exits with 0 ends the job as Completed before the notebook has run",
        ]
        saved = {}
    else:
        headline = f"Notebook job '{snapshot.job_name}' completed, but its executed notebook is none"
        problems = list(warnings)
        saved = {"saved": f"its {len(raw)} bytes as they are, under the address above; no output could be read"}
    return NotebookOutputError(headline, problems=problems, details=places | saved, job_name=snapshot.job_name)


def _glued_before(
    executed: NotebookNode | None, declared: DeclaredOutputs, failed: NotebookJobError
) -> Mapping[str, object]:
    """Return the declared outputs that the notebook glued before it ended, and say in the error which are known and which are not."""
    if not declared.types:
        return {}
    glued: Mapping[str, object] = {}
    if executed is not None:
        scraps = read_scraps(executed)
        of_scraps = DeclaredOutputs({name: kind for name, kind in declared.types.items() if name in scraps}, ())
        glued = read_outputs(executed, of_scraps).values
    unknown = [name for name in declared.types if name not in glued]
    known = f"{', '.join(glued)}: glued before the end, pushed; " if glued else ""
    rest = f"{', '.join(unknown)}: not known, since variables are recorded after the last cell" if unknown else ""
    failed.details["outputs"] = f"{known}{rest}".removesuffix("; ")
    return glued


def _without_outputs(
    snapshot: JobSnapshot, expected: Expectation, places: dict[str, str]
) -> NotebookOutputError | None:
    if not expected.declared.types:
        return None
    return NotebookOutputError(
        f"Training job '{snapshot.job_name}' completed, but it is no notebook job and has no outputs",
        problems=[f"output '{name}' is declared; leave outputs out" for name in expected.declared.types],
        details=places,
        job_name=snapshot.job_name,
    )


def _streamed_log(snapshot: JobSnapshot, clients: AwsClients, warnings: list[str]) -> list[str] | None:
    try:
        return clients.logs.tail(snapshot.job_name, limit=_RAW_LOG_LINES)
    except (NotebookJobServiceError, NotebookJobConfigError) as error:
        # The log is a comfort; a denied read of it must not fail a job that succeeded.
        warnings.append(f"CloudWatch log not read: {error.headline}")
        return None


def _log_tail(
    snapshot: JobSnapshot, streamed: list[str] | None, archived: bytes | None, warnings: list[str]
) -> tuple[str, ...]:
    lines = streamed
    if lines is None and archived is not None:
        warnings.append("the log shown is the one in output.tar.gz, since CloudWatch has none of this job")
        lines = archived.decode(errors="replace").splitlines()
    return tuple(readable_tail(lines or (), limit=_SHOWN_LOG_LINES.get(snapshot.state, _SHOWN_LOG_LINES_OF_FAILURE)))


def _facts(
    snapshot: JobSnapshot, location: JobLocation, expected: Expectation, *, has_notebook: bool
) -> dict[str, Any]:
    duration = (snapshot.ended - snapshot.started).total_seconds() if snapshot.started and snapshot.ended else None
    return {
        "job_name": snapshot.job_name,
        "job_arn": snapshot.arn,
        "status": snapshot.status,
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
    executed = {"executed": expected.executed_notebook_uri or location.executed_notebook_uri} if has_notebook else {}
    notebook = {"notebook": expected.input_notebook} if expected.is_notebook_job else {}
    return notebook | executed | {"logs": f"{LOG_GROUP_TEXT} {snapshot.job_name}/algo-1"}


def _failure(
    snapshot: JobSnapshot,
    executed: NotebookNode | None,
    expected: Expectation,
    places: dict[str, str],
    tail: tuple[str, ...],
) -> NotebookJobError:
    """Return the error that says most about why the job did not complete."""
    name, kind = snapshot.job_name, snapshot.failure_kind
    parameters = {"parameters": expected.parameters_text}
    reason = {"reason": snapshot.failure_reason or "none given"}
    if kind is FailureKind.TIMEOUT:
        return NotebookJobTimeoutError(
            f"{expected.noun} '{name}' was stopped after its time was used up ({snapshot.secondary_status})",
            details=places | parameters | {"next": "raise max_runtime_in_seconds, or give the notebook less to do"},
            job_name=name,
        )
    if kind is FailureKind.STOPPED:
        return NotebookJobStoppedError(
            f"{expected.noun} '{name}' was stopped by somebody, not by this task",
            details=places | {"next": "clear the task to run it again"},
            job_name=name,
        )
    if kind is FailureKind.CAPACITY:
        return NotebookJobCapacityError(
            f"{expected.noun} '{name}' got no instance: {snapshot.failure_reason}",
            details=places | {"next": "retry later, or use another instance_type"},
            job_name=name,
        )
    if kind is FailureKind.PLATFORM:
        return NotebookJobServiceError(
            f"{expected.noun} '{name}' failed in SageMaker itself: {snapshot.failure_reason}",
            code="InternalServerError",
            is_retryable=True,
            details=places | {"next": "retry; nothing in the notebook caused this"},
            job_name=name,
        )
    cell = failure.find_failing_cell(executed) if executed is not None else None
    if cell is not None:
        return _cell_error(name, cell, places, parameters)
    last = failure.last_cell_run(executed) if executed is not None else None
    ran = {"last cell": f"cell {last} was the last that ran"} if last is not None else {}
    if kind is FailureKind.ALGORITHM:
        return NotebookJobError(
            f"{expected.noun} '{name}' failed{' outside its cells' if expected.is_notebook_job else ''}",
            details=places
            | reason
            | ran
            | parameters
            | {"log": "\n    ".join(("", *tail))}
            | {"next": _advice(snapshot.failure_reason, tail, expected)},
            job_name=name,
        )
    return NotebookJobConfigError(
        f"{expected.noun} '{name}' could not run: {snapshot.failure_reason or snapshot.status}",
        details=places
        | {
            "next": "set install_driver=True, or use an image that has the notebook-job driver"
            if _NO_DRIVER in snapshot.failure_reason
            else "check the image, the role's permissions and the job's data"
        },
        job_name=name,
    )


def _advice(reason: str, tail: tuple[str, ...], expected: Expectation) -> str:
    text = "\n".join((reason, *tail))
    found = (advice for pattern, advice in _ADVICE if pattern.search(text))
    return next(found, f"read the log above{': kernel, init script or image' if expected.is_notebook_job else ''}")


def _cell_error(
    name: str, cell: failure.FailedCell, places: dict[str, str], parameters: dict[str, str]
) -> NotebookCellError:
    at = f"cell {cell.index}" if cell.index is not None else "a cell that is not the author's"
    tags = {"tags": ", ".join(cell.tags)} if cell.tags else {}
    lines = cell.source.splitlines()
    shown = lines if len(lines) <= _SOURCE_LINES else [*lines[: _SOURCE_LINES // 2], "…", *lines[-_SOURCE_LINES // 2 :]]
    return NotebookCellError(
        f"Notebook job '{name}' failed in {at}: {cell.ename}: {cell.evalue}",
        cell=cell.index,
        ename=cell.ename,
        evalue=cell.evalue,
        details=places
        | parameters
        | tags
        | {
            "source": "\n    ".join(("", *shown)),
            "traceback": "\n    ".join(("", *cell.traceback.splitlines())),
            "next": f"open the executed notebook at {at}",
        },
        job_name=name,
    )
