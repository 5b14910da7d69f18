"""
Every XCom of a notebook task: its key, what it holds, and how a value is read that another version wrote or somebody edited.

Called by the tasks, triggers and links that write and read them, by the pages, and while DAGs are parsed: nothing but the standard library; pure.
Outputs have their own names as keys, ``return_value`` holds the job's facts (README), and with ``return_output`` they lie under ``RESULT_KEY``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_KEY = "nbjobs_job"  # which job the task has or waits for, pushed before the task defers; version 1
END_KEY = "nbjobs_end"  # how the job ended, small, and there for a failure too
ERROR_KEY = "nbjobs_error"  # what a try failed with, also where it had no job: ``core/error_record.py``; version 1
PROGRESS_KEY = "nbjobs_progress"  # how far a running job's notebook has come, and how far its log was written
PARAMETERS_KEY = (
    "nbjobs_parameters"  # what a decorated function has returned, for the process that resumes its try; version 1
)
MACHINE_KEY = "nbjobs_machine"  # what the job used of its machine, where [nbjobs] machine_metrics is on: ``core/job/metrics.py``; version 1
RESULT_KEY = "nbjobs_result"  # the job's facts of a task with ``return_output``
ATTEMPTS_KEY = "nbjobs_attempts"  # in Airflow's task state store: the task's jobs, oldest first
# Airflow stores a link's address as an XCom, too.
CONSOLE_LINK_KEY = "_link_nbjobs_console"
LOGS_LINK_KEY = "_link_nbjobs_logs"
NOTEBOOK_LINK_KEY = "_link_nbjobs_executed_notebook"
STUDIO_LINK_KEY = "_link_nbjobs_studio"

OWN_PREFIXES = ("nbjobs_", "_link_")  # of keys that no output may have
AIRFLOWS_KEYS = frozenset({"return_value", "skipmixin_key"})

VERSION = 1
EVENT_VERSION = 1
# More of them says nobody but who has edited an XCom.
MOST_SECONDS = 1e10  # as the pages show a duration
MOST_INSTANCES = 100_000


def _each(kind: type, *names: str) -> dict[str, tuple[type, ...]]:
    return dict.fromkeys(names, (kind,))


_IDENTITY = _each(str, "job_name") | _each(int, "generation", "run_started_microseconds", "attempt")
ATTEMPT_FACTS = tuple(_IDENTITY)
_TYPES: dict[str, Mapping[str, tuple[type, ...]]] = {
    JOB_KEY: _IDENTITY
    | _each(int, "version", "try_number")
    | _each(str, "console_url", "logs_url", "executed_notebook_url", "studio_url", "job_arn", "region")
    | _each(str, "instance_type", "input_notebook", "notebook_sha256", "executed_notebook_uri")
    | _each(bool, "was_adopted")
    | _each(list, "added_cells")
    | _each(dict, "waiting", "turn"),
    END_KEY: _each(str, "job_name", "status", "started_at", "ended_at")
    | _each(str, "instance_type")
    | _each(int, "instance_count", "try_number")
    | _each(bool, "is_spot")
    | dict.fromkeys(("duration_seconds", "billable_seconds", "training_seconds", "retained_seconds"), (int, float))
    | _each(list, "outputs")
    | _each(dict, "progress", "error"),
    ERROR_KEY: _each(int, "version", "try_number", "cell")
    | _each(str, "type", "headline", "next", "text", "job_name")
    | _each(list, "problems"),
    PROGRESS_KEY: _each(str, "job_name") | _each(int, "done", "total") | _each(dict, "log_place"),
    ATTEMPTS_KEY: _IDENTITY | _each(dict, "error"),
    MACHINE_KEY: _each(int, "version", "period_seconds")
    | _each(str, "job_name", "instance_type", "until")
    | _each(bool, "was_killed")
    | _each(dict, "figures", "points"),
    PARAMETERS_KEY: _each(int, "version", "try_number") | _each(str, "parameters", "index_name"),
}
# A trigger's event, or in its place the task's ``nbjobs_job``.
_EVENT_TYPES = {**_TYPES[JOB_KEY], **_each(str, "status", "error", "error_code"), **_each(dict, "log_place")}


def read_record(key: str, value: object) -> dict[str, Any]:
    """
    Return the fields of a stored record that are of their type; a value of another form, or of a version of later, has none.

    The others are None or missing, also in what we write: whoever reads asks with ``get``.
    """
    return _fields(value, _TYPES[key], VERSION)


def read_attempts(value: object) -> list[dict[str, Any]]:
    """Return the entries of a stored list of the task's jobs that name a job, oldest first."""
    entries = [read_record(ATTEMPTS_KEY, each) for each in stored_attempts(value)]
    return [each for each in entries if each.get("job_name")]


def stored_attempts(value: object) -> list[dict[str, Any]]:
    """Return the entries of that list as they are stored, to be written back: what a later version has said of a job stays."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def read_event(value: object) -> dict[str, Any]:
    """Return the fields of a trigger's event, or of an ``nbjobs_job`` in its place, as ``read_record``."""
    return _fields(value, _EVENT_TYPES, EVENT_VERSION)


def instances_of(end: Mapping[str, Any]) -> int:
    """Return how many instances a job that has ended had; 1 where ``nbjobs_end`` does not say it, as of an earlier version."""
    count = end.get("instance_count")
    return count if type(count) is int and 0 < count < MOST_INSTANCES else 1


def billed_seconds(end: Mapping[str, Any]) -> float | None:
    """Return what is billed of all instances of a job that has ended: SageMaker says it of one. None where that is not known, or is no time."""
    seconds = end.get("billable_seconds")
    return seconds * instances_of(end) if is_number(seconds) and 0 <= seconds < MOST_SECONDS else None


def is_output(key: str) -> bool:
    """Say whether an XCom of a notebook task is one of its notebook's outputs."""
    return key not in AIRFLOWS_KEYS and not key.startswith(OWN_PREFIXES)


def progress_record(job_name: str, done: int, total: int) -> dict[str, Any]:
    """Return what ``nbjobs_progress`` holds of a running job: cells of the author's file."""
    return {"job_name": job_name, "done": done, "total": total}


def _fields(value: object, types: Mapping[str, tuple[type, ...]], version: int) -> dict[str, Any]:
    # What has no version is of the first.
    if not isinstance(value, dict) or value.get("version", 1) != version:
        return {}
    # By type(): True is no number.
    return {name: value[name] for name, kinds in types.items() if type(value.get(name)) in kinds}
