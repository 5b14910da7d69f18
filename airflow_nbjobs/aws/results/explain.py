"""
The error that says most about why a job did not complete.

Called by ``results/read.py`` with what it has read; reads nothing itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
)
from airflow_nbjobs.core.job.formats import failed_format
from airflow_nbjobs.core.job.status import FailureKind
from airflow_nbjobs.core.notebook import causes
from airflow_nbjobs.core.notebook import failing_cell as failure
from airflow_nbjobs.core.notebook.papermill import RAISES_EXCEPTION
from airflow_nbjobs.core.notebook.progress import progress_of
from airflow_nbjobs.core.notebook.tracebacks import short
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.outputs import has_record
from airflow_nbjobs.core.watch.log_text import readable_lines, readable_tail

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbformat import NotebookNode

    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.core.values.outputs import DeclaredOutputs

_Error = TypeVar("_Error", bound=NotebookJobError)
_SOURCE_LINES = 12
_STDERR_LINES = 8
_SHOWN_LOG_LINES = 40
_REASON_CHARACTERS = 600
# What the driver and papermill say of failures that no cell shows; of the reason only its first 1,024 characters are kept.
_NO_KERNEL = re.compile(r"No such kernel named (\S+)")
_NO_TRANSLATOR = re.compile(r"No parameter translator functions specified for (kernel .+)")
_DEAD_KERNEL = re.compile(r"DeadKernelError|Kernel died|exit code: 137")
_QUIT = (
    "if a cell calls quit() or exit(), remove it: they end the kernel, which the driver asks once more after the last cell; "
    "to end a notebook early, call sys.exit(0)"
)
_NO_ANSWER = re.compile(r"Kernel didn't respond in \d+ seconds|Kernel died before replying")
_INIT_SCRIPT = re.compile(r"Error with running (?:init|LCC) script")
# The driver converts nothing of a notebook that has failed before it says so.
_CONVERTING = re.compile(r"Papermill process complete|Unknown exporter")
# Of an image without the driver, SageMaker says "Artifact upload failed: … exec: "amazon_sagemaker_scheduler": executable file not found in $PATH".
_NO_DRIVER = '"amazon_sagemaker_scheduler": executable file not found'
_KILLED = "the container was killed, most likely for want of memory: use a larger instance type"
_OUT_OF_MEMORY = "the kernel was killed, most likely for want of memory: use a larger instance_type; or the notebook ended it itself (quit(), exit(), os._exit, a crash in native code)"


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What the task that finishes the job knows about it."""

    label: str
    input_notebook: str
    declared: DeclaredOutputs
    parameters_text: str = "{}"
    # where to say that the executed notebook is; None: under its own key, where the submitting task puts it
    executed_notebook_uri: str | None = None
    is_notebook_job: bool = (
        True  # False for a training job of another kind, of which there is neither notebook nor output
    )
    is_awaited: bool = False  # the task did not start the job, and cannot run it again

    @property
    def noun(self) -> str:
        return "Notebook job" if self.is_notebook_job else "Training job"

    def advice(self, text: str) -> dict[str, str]:
        """Return what to do about the job, addressed to whoever started it."""
        return {
            "next": f"where the job was started, since this task only waits for it: {text}" if self.is_awaited else text
        }


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of a job that did not complete."""

    snapshot: JobSnapshot
    expected: Expectation
    executed: NotebookNode | None  # the executed notebook, as far as it came and could be read
    places: dict[str, str]  # where to look, by label
    log: Sequence[str]  # the end of the container's log, as the container wrote it

    @property
    def name(self) -> str:
        return self.snapshot.job_name

    @property
    def job(self) -> str:
        return f"{self.expected.noun} '{self.name}'"

    def error(
        self, make: Callable[..., _Error], headline: str, advice: str, more: dict[str, str] | None = None, **fields: Any
    ) -> _Error:
        """Return an error that also says where to look and what to do."""
        details = self.places | (more or {}) | self.expected.advice(advice)
        return make(f"{self.job} {headline}", details=details, job_name=self.name, **fields)

    @property
    def has_run_to_its_end(self) -> bool:
        return self.executed is not None and (has_record(self.executed) or progress_of(self.executed).is_complete)


def explain(remains: Remains) -> NotebookJobError:
    """Return the error; its type says whether a retry may help."""
    of_service = _of_service(remains)
    if of_service is not None:
        if remains.has_run_to_its_end:
            of_service.details["notebook ran"] = "the notebook itself has run to its end"
        return of_service
    if remains.executed is not None:
        cell = failure.find_failing_cell(remains.executed, has_run_to_its_end=remains.has_run_to_its_end)
        if cell is not None:
            return _of_cell(remains, cell, remains.executed)
    if remains.snapshot.failure_kind is FailureKind.DELETED:
        return _of_deleted(remains)
    if remains.snapshot.failure_kind is not FailureKind.ALGORITHM:
        return _of_request(remains)
    return _of_notebook_job(remains) or _outside_cells(remains)


def _of_service(remains: Remains) -> NotebookJobError | None:
    """Return the error of an end that SageMaker or a person made."""
    snapshot, expected = remains.snapshot, remains.expected
    what = "notebook" if expected.is_notebook_job else "job"
    match snapshot.failure_kind:
        case FailureKind.TIMEOUT:
            limit = "max_runtime_in_seconds" if expected.is_notebook_job else "MaxRuntimeInSeconds"
            return remains.error(
                NotebookJobTimeoutError,
                f"was stopped after its time was used up ({snapshot.secondary_status})",
                f"raise {limit}, or give the {what} less to do",
                _parameters(remains),
            )
        case FailureKind.STOPPED:
            return remains.error(
                NotebookJobStoppedError,
                "was stopped by somebody, not by this task",
                "run it again" if expected.is_awaited else "clear the task to run it again",
            )
        case FailureKind.CAPACITY:
            return remains.error(
                NotebookJobCapacityError,
                f"got no instance: {snapshot.failure_reason}",
                "retry later, or use another instance type",
            )
        case FailureKind.PLATFORM:
            return remains.error(
                NotebookJobServiceError,
                f"failed in SageMaker itself: {snapshot.failure_reason}",
                f"retry; nothing in the {what} caused this",
                code="InternalServerError",
                is_retryable=True,
            )
        case _:
            return None


def _of_deleted(remains: Remains) -> NotebookJobServiceError:
    again = "run its task again" if remains.expected.is_awaited else "a retry of this task runs the notebook again"
    return remains.error(
        NotebookJobServiceError,
        "is being deleted, and SageMaker does not say any more how it ended",
        f"{again}; what the job left in S3 stays",
        {"notebook ran": "the notebook itself has run to its end"} if remains.has_run_to_its_end else {},
        code="Deleting",
        is_retryable=True,
    )


def _of_request(remains: Remains) -> NotebookJobConfigError:
    reason = remains.snapshot.failure_reason
    return remains.error(
        NotebookJobConfigError,
        f"could not run: {reason or remains.snapshot.ended_as}",
        "set install_driver=True, or use an image that has the notebook-job driver"
        if _NO_DRIVER in reason
        else "check the image, the role's permissions and the job's data",
    )


def _of_notebook_job(remains: Remains) -> NotebookJobError | None:
    """Return the error of a failure that no cell shows and the driver's log explains; None where it does not."""
    if not remains.expected.is_notebook_job:
        return None
    text = _text(remains)
    if remains.has_run_to_its_end or (remains.executed is None and _CONVERTING.search(text)):
        return _of_format(remains)
    if remains.executed is None or failure.last_cell_run(remains.executed) is None:
        return _of_start(remains, text)
    quiet = causes.unrendered_failure(remains.executed, text)
    if quiet is None:
        return None
    error = _of_cell(remains, quiet, remains.executed)
    if not isinstance(error, NotebookSkippedError):
        error.details |= remains.expected.advice(
            "the exception's _render_traceback_ returns no list, on which the driver breaks: have it return []; "
            f"to end a notebook early as a success, call sys.exit(0); to have its task skipped, raise a class {causes.SKIP}"
        )
    return error


def _of_format(remains: Remains) -> NotebookOutputError | None:
    asked = [name for name in remains.snapshot.environment.get("SM_OUTPUT_FORMATS", "").split(",") if name]
    found = failed_format(_text(remains).splitlines(), asked)
    if found is None:
        return None
    untried = {"not tried": f"formats {', '.join(found.untried)}"} if found.untried else {}
    return remains.error(
        NotebookOutputError,
        "failed after its notebook: the notebook has run to its end; "
        f"format '{found.name}' could not be written: {found.cause or 'the log does not say why'}",
        found.advice,
        untried,
    )


def _of_start(remains: Remains, text: str) -> NotebookJobConfigError | None:
    no_kernel, no_translator = _NO_KERNEL.search(text), _NO_TRANSLATOR.search(text)
    if no_kernel:
        kernel = remains.snapshot.environment.get("SM_KERNEL_NAME") or no_kernel[1]
        what = f"the image has no kernel '{kernel}'"
        advice = "set kernel_name to a kernel that the image has; most have 'python3', and 'jupyter kernelspec list' in the image names all"
    elif no_translator:
        what = f"papermill cannot pass parameters to {no_translator[1].rstrip('.')}"
        advice = "leave parameters out, or set kernel_name to another kernel"
    else:
        return None
    return remains.error(NotebookJobConfigError, f"could not start: {what}", advice)


def _outside_cells(remains: Remains) -> NotebookJobError:
    """Return the error that shows the log, since nothing else says why."""
    text = _text(remains)
    last = failure.last_cell_run(remains.executed) if remains.executed is not None else None
    ran = {"last cell": f"cell {last} was the last that ran"} if last is not None else {}
    advice = f"read the log above{': kernel, init script or image' if remains.expected.is_notebook_job else ''}"
    where = " outside its cells" if remains.expected.is_notebook_job else ""
    if not remains.expected.is_notebook_job:
        advice = _KILLED if _DEAD_KERNEL.search(text) else advice
    elif _NO_ANSWER.search(text):
        where, advice = (
            " before its first cell: its kernel did not start",
            "check that the kernel starts in the image; read the log above",
        )
    elif causes.NO_SPACE.search(text):
        where, advice = f"{where}: {causes.FULL_DISK}", "raise volume_size (GB)"
    elif _DEAD_KERNEL.search(text):
        advice = _OUT_OF_MEMORY
        where = f" in cell {last}: its kernel died" if last is not None else where
    elif _INIT_SCRIPT.search(text):
        where, advice = " before its first cell", "read the log above: the initialization_script failed"
    if remains.has_run_to_its_end:
        where = " outside its cells: the notebook has run to its end"
        if _DEAD_KERNEL.search(text) and "exit code: 137" not in text:
            where, advice = f"{where}, then its kernel died", _QUIT
    reason = " ".join(line for line, _ in readable_lines(remains.snapshot.failure_reason)) or "none given"
    tail = readable_tail(remains.log, limit=_SHOWN_LOG_LINES)
    shown = {"reason": shortened(reason, _REASON_CHARACTERS)}
    log = {"log": "\n    ".join(("", *tail))}
    return remains.error(NotebookJobError, f"failed{where}", advice, shown | ran | _parameters(remains) | log)


def was_killed(error: NotebookJobError) -> bool:
    """Say whether ``explain`` has found that the kernel or the container was killed, most likely for want of memory."""
    return error.details.get("next", "").endswith((_KILLED, _OUT_OF_MEMORY))


def _of_cell(remains: Remains, cell: failure.FailedCell, executed: NotebookNode) -> NotebookJobError:
    at = f"cell {cell.index}" if cell.index is not None else "a cell that is not the author's"
    evalue = short(cell.evalue)
    if cell.ename == causes.SKIP:
        return NotebookSkippedError(
            f"{remains.job} asks in {at} to be skipped{f': {evalue}' if evalue else ''}",
            cell=cell.index,
            reason=cell.evalue,
            details=dict(remains.places),
            job_name=remains.name,
        )
    raised = f"{cell.ename}: {evalue}" if evalue else cell.ename
    is_expected = remains.has_run_to_its_end and RAISES_EXCEPTION in cell.tags
    cause = causes.advice_on(cell)
    if is_expected:
        cause = (
            "catch the exception in the cell, with try/except: the tag lets the notebook run on, but the driver fails every job "
            "whose executed notebook shows an error"
        )
    return NotebookCellError(
        f"{remains.job} has run to its end, but {at} shows an error: {raised}"
        if remains.has_run_to_its_end
        else f"{remains.job} failed in {at}: {raised}",
        cell=cell.index,
        ename=cell.ename,
        evalue=cell.evalue,
        is_retryable=not is_expected,
        details=remains.places
        | _parameters(remains)
        | _shown(cell, executed)
        | (remains.expected.advice(cause) if cause else {"next": f"open the executed notebook at {at}"}),
        job_name=remains.name,
    )


def _shown(cell: failure.FailedCell, executed: NotebookNode) -> dict[str, str]:
    lines = cell.source.splitlines()
    source = (
        lines if len(lines) <= _SOURCE_LINES else [*lines[: _SOURCE_LINES // 2], "…", *lines[-_SOURCE_LINES // 2 :]]
    )
    parts = {"source": source, "traceback": cell.traceback.splitlines()}
    if cell.ename == "CalledProcessError":
        parts["stderr"] = cell.stderr.rstrip().splitlines()[-_STDERR_LINES:]
    installs = causes.failed_installs(executed, cell) if cell.ename in causes.IMPORT_ERRORS else None
    return (
        ({"tags": ", ".join(cell.tags)} if cell.tags else {})
        | {label: "\n    ".join(("", *shown)) for label, shown in parts.items() if "".join(shown).strip()}
        | ({"not installed": installs} if installs else {})
    )


def _parameters(remains: Remains) -> dict[str, str]:
    return {"parameters": remains.expected.parameters_text}


def _text(remains: Remains) -> str:
    """Return what the driver said: the reason first, of which SageMaker keeps the beginning, then the log, of which we have the end."""
    return "\n".join(
        [remains.snapshot.failure_reason, *(line for raw in remains.log for line, _ in readable_lines(raw))]
    )
