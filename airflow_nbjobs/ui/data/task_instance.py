"""
One task instance as the pages see it, and which training jobs are its own: the naming rule decides, never an XCom.

Pure: values in, values out.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.core.job.naming import RunKey, microseconds, training_job_name
from airflow_nbjobs.core.job.reference import SENSOR_TYPE
from airflow_nbjobs.core.texts import is_template

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from airflow_nbjobs.core.error_record import ErrorRecord

# What a hint may say of a job, beyond the task instance's own names.
_NUMBERS = {"generation": range(-1, 1_000_000), "run_started_microseconds": range(1, 2**63), "attempt": range(1000)}
# Of a task instance that nobody goes on with. One without a state has not been scheduled: in a run that has ended, it never is.
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
# Of one that has had no job yet, if its try number and its records do not say otherwise.
NEVER_RAN = frozenset({None, "skipped", "upstream_failed", "removed", "scheduled", "queued"})


class Kind(enum.Enum):
    """What a task is to these pages."""

    OPERATOR = "operator"
    SENSOR = "sensor"
    OTHER = "other"


_OPERATOR_FIELDS = {"input_notebook", "s3_root_uri", "initialization_script", "aws_conn_id"}


def kind_of(template_fields: Collection[str], task_type: object) -> Kind:
    """Return what a task is: by its fields, since a subclass or a decorated task is a notebook job as well; a sensor by its name."""
    if set(template_fields) >= _OPERATOR_FIELDS:
        return Kind.OPERATOR
    return Kind.SENSOR if task_type == SENSOR_TYPE else Kind.OTHER


class TaskArguments(msgspec.Struct, frozen=True):
    """
    The serialized operator's arguments, before rendering.

    :param mapped: names of those that each mapped instance has its own value of.
    """

    values: Mapping[str, Any]
    mapped: frozenset[str] = frozenset()


class NotebookTaskInstance(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task instance.

    :param job: XCom ``nbjobs_job``: a hint only, whoever may edit XComs can have written it.
    :param end: XCom ``nbjobs_end``, a hint as well.
    :param error: XCom ``nbjobs_error``, of whichever try has left it; a hint as well.
    :param rendered: the fields as Airflow recorded them when the task ran, secrets masked.
    :param attempts: the remembered jobs, oldest first, hints too.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    max_tries: int
    started: datetime | None
    ended: datetime | None
    run_started: datetime
    kind: Kind
    arguments: TaskArguments
    rendered: Mapping[str, Any] = msgspec.field(default_factory=dict)
    job: Mapping[str, Any] | None = None
    end: Mapping[str, Any] | None = None
    error: ErrorRecord | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_finished(self) -> bool:
        return self.state in FINISHED

    @property
    def last_error(self) -> ErrorRecord | None:
        """The error of the task's last try; None for another try's, and where somebody has marked the task as successful since."""
        is_its_own = self.error is not None and self.error.try_number == self.try_number and self.state != "success"
        return self.error if is_its_own else None

    @property
    def waiting(self) -> Mapping[str, Any] | None:
        """What the task waits for instead of a job, if it does."""
        waiting = self.job.get("waiting") if self.job else None
        return waiting if isinstance(waiting, dict) else None

    def argument(self, name: str) -> Any:
        """
        Return an argument as the task had it: the serialized operator's where it is plain, else what Airflow rendered for this instance.

        A template may say something else for each run; only Airflow's own record of that run knows what.
        """
        value = self.arguments.values.get(name)
        if name in self.arguments.mapped or not _is_plain(value):
            return self.rendered.get(name)
        return value

    def run_keys(self, *, deployment: str) -> list[RunKey]:
        """Return what names the jobs that this task instance may have had, newest first; at least one."""
        first = RunKey(
            deployment=deployment,
            dag_id=self.dag_id,
            run_id=self.run_id,
            run_started_microseconds=microseconds(self.run_started),
            task_id=self.task_id,
            map_index=self.map_index,
            generation=self.max_tries,
        )
        # A hint of an earlier version says the attempt alone.
        numbers = {"generation": first.generation, "run_started_microseconds": first.run_started_microseconds}
        current = _named(first, {**numbers, **(self.job or {})}) or first
        earlier = [key for each in reversed(self.attempts) if (key := _named(first, each))]
        return list(dict.fromkeys([current, *earlier] if self.job or not earlier else earlier))

    def job_name(self, key: RunKey) -> str:
        """Return the only name that a job of this task instance can have for this key."""
        readable = self.argument("notebook_job_name") or f"{self.dag_id}-{self.task_id}"
        return training_job_name(str(readable), key)


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """
    One instance of a mapped task, as a reader chooses it.

    :param label: Airflow's ``map_index_template``, rendered; None where the task has none.
    :param parameters: as Airflow recorded them when the instance ran, secrets masked.
    :param job: XCom ``nbjobs_job``.
    """

    map_index: int
    state: str | None
    label: str | None
    parameters: Any
    job: Mapping[str, Any] | None


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """
    One run of a task whose job has ended.

    :param machine: XCom ``nbjobs_machine``, a hint as well.
    """

    ti: NotebookTaskInstance
    machine: Mapping[str, Any] | None = None


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return not is_template(value)
    return value is None or isinstance(value, bool | int | float)


def _named(first: RunKey, hint: Mapping[str, Any]) -> RunKey | None:
    """Return the key of the job that a hint names; None for numbers out of range or of another type."""
    numbers: dict[str, Any] = {name: hint.get(name) for name in _NUMBERS}
    is_known = all(type(number) is int and number in _NUMBERS[name] for name, number in numbers.items())
    return replace(first, **numbers) if is_known else None
