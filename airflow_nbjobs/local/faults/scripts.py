"""
Jobs that end when told, as values: which jobs a script takes, how they end, and the notebook that they leave. Pure.

Read by ``faults/jobs.py``, which plays them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.faults.switches import check_members
from airflow_nbjobs.local.state.resource import COMPLETED, FAILED, STOPPED
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.local.state.jobs import TrainingJob

LACK_OF_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)


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


def parse_end(document: Mapping[str, Any]) -> JobEnd:
    """Return the end that a control request describes, or refuse one that means nothing."""
    check_members(document, JobEnd, "JobEnd")
    end = JobEnd(**{**document, "cell_outputs": tuple(document.get("cell_outputs", ()))})
    if end.status not in {COMPLETED, FAILED, STOPPED}:
        raise ValidationError(f"A job ends Completed, Failed or Stopped, not {end.status!r}.")
    if (end.failure_reason is not None) != (end.status == FAILED):
        raise ValidationError("A Failed job, and no other, has a failure_reason.")
    return end


def parse_script(document: Mapping[str, Any]) -> Script:
    """Return the script that a control request describes, or refuse one that means nothing."""
    check_members(document, Script, "Script")
    script = Script(**{**document, "end": parse_end(document.get("end", {}))})
    if script.secondary_status not in {"Starting", "Downloading", "Training", "Uploading"}:
        raise ValidationError(f"No job stays in the secondary status {script.secondary_status!r} until it ends.")
    return script


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
