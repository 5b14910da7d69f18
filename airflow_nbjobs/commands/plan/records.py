"""
What ``nbjobs plan`` says, as values: the text and the JSON are made of them.

Made by the others of this package; imports nothing of it. Fields are added to the JSON, never renamed or taken away, without another ``VERSION``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from airflow_nbjobs._compat import masked_text

VERSION = 1


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """
    One parameter of a notebook.

    :param type: as a person would annotate it; None: the cell does not tell.
    :param default: the notebook's, as its cell has it; None: it has none, and somebody must give it.
    :param given: what the task gives, as Python writes it, or the template, XCom or function that will; None: nothing.
    :param is_known: False: ``given`` says where the value comes from, which only a run can tell, or is what counts unless a function or a mapping gives another.
    """

    name: str
    type: str | None
    default: str | None
    given: str | None
    is_known: bool = True


class File(msgspec.Struct, frozen=True, kw_only=True):
    """
    One file that the job gets.

    :param bytes: None: it lies in S3, which is not asked.
    """

    name: str
    origin: str
    bytes: int | None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """
    One declared output.

    :param cell: the last cell that assigns it in plain Python, counted from 1; None: none does.
    :param notebook: the file of that cell.
    """

    name: str
    type: str | None
    cell: int | None
    notebook: str | None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a task costs, or those of its indexes that run on one machine.

    :param jobs: of one run; None: only the run can tell.
    :param runs: how many runs are counted.
    :param seconds: of one job, all its instances, the median of what earlier ones were billed; None: none can be read.
    :param earlier_jobs: of how many that is the median.
    :param most_seconds: of one job: its ``max_runtime_in_seconds``.
    :param hours: of the instance, over all runs; None where jobs or seconds are not known.
    :param cost: of these at the configured price, which is no bill: storage and transfer come on top.
    """

    instance_type: str | None
    jobs: int | None
    runs: int
    seconds: float | None
    earlier_jobs: int
    most_seconds: int | None
    hours: float | None
    cost: str | None


class TaskPlan(msgspec.Struct, kw_only=True):
    """
    One notebook task, one index of a mapped one, a sensor, or a notebook without a task.

    :param kind: ``notebook`` or ``sensor``.
    :param map_index: of a mapped task whose values stand in the DAG file.
    :param notebook: where the file was found; None where it was not, or is not looked for.
    :param not_known: what only a run or AWS can tell, each as a sentence.
    :param request: of CreateTrainingJob, with ``<…>`` in place of what is not known; None where it was not asked for or cannot be made.
    """

    task_id: str
    kind: str = "notebook"
    map_index: int | None = None
    is_decorated: bool = False
    notebook: str | None = None
    kernel: str | None = None
    parameters: tuple[Parameter, ...] = ()
    files: tuple[File, ...] = ()
    outputs: tuple[Output, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    not_known: tuple[str, ...] = ()
    estimate: Estimate | None = None
    request: dict[str, Any] | None = None


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    The run for which templates are rendered.

    :param logical_date: ISO 8601; None: no date was given.
    """

    logical_date: str | None = None
    data_interval_start: str | None = None
    data_interval_end: str | None = None
    run_id: str | None = None
    conf: dict[str, Any] | None = None


class DagPlan(msgspec.Struct, kw_only=True):
    """
    One DAG.

    :param file: absolute, as everywhere.
    :param other_tasks: how many tasks run no notebook.
    :param catchup_runs: how many runs Airflow makes as soon as the DAG is unpaused, as it is now; None: no more than the newest.
    :param backfill_runs: how many ``--backfill`` makes; None: it was not asked for.
    :param has_more_catchup_runs: that there are more than the 1,000 that were counted; ``has_more_backfill_runs``: than 5,000.
    """

    dag_id: str
    file: str
    run: RunPlan
    tasks: list[TaskPlan]
    other_tasks: int = 0
    catchup_runs: int | None = None
    backfill_runs: int | None = None
    has_more_catchup_runs: bool = False
    has_more_backfill_runs: bool = False
    warnings: tuple[str, ...] = ()


class FileProblem(msgspec.Struct, frozen=True, kw_only=True):
    """
    A file of which nothing can be said.

    :param text: Airflow's import error, or ours.
    """

    file: str
    text: str


class Plan(msgspec.Struct, kw_only=True):
    """All that was looked at."""

    version: int = VERSION
    dags: list[DagPlan] = []
    notebooks: list[TaskPlan] = []
    file_problems: list[FileProblem] = []

    @property
    def tasks(self) -> list[TaskPlan]:
        return [task for dag in self.dags for task in dag.tasks] + self.notebooks

    @property
    def problem_count(self) -> int:
        of_tasks = sum(len(task.problems) for task in self.tasks)
        return len(self.file_problems) + of_tasks

    @property
    def warning_count(self) -> int:
        return sum(len(dag.warnings) for dag in self.dags) + sum(len(task.warnings) for task in self.tasks)

    def masked(self) -> Plan:
        """Return the plan without the secrets that Airflow's masker knows, which an error's text may have as well."""
        return msgspec.convert(_masked(msgspec.to_builtins(self)), Plan)

    def to_json(self) -> bytes:
        """Return the plan as JSON, indented, with the counts that a gate asks for."""
        document = msgspec.to_builtins(self)
        document |= {"problem_count": self.problem_count, "warning_count": self.warning_count}
        return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _masked(value: Any) -> Any:
    """As ``redact`` of Airflow, which looks five levels deep."""
    if isinstance(value, dict):
        return {key: _masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(each) for each in value]
    if not isinstance(value, str):
        return value
    # Half a surrogate pair is no text that can be printed.
    return masked_text(value).encode("utf-8", "backslashreplace").decode()
