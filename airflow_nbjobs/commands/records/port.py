"""
What ``nbjobs outputs`` and ``nbjobs clean`` ask an Airflow, whichever way it is reached.

Implemented by ``database.py`` and ``rest.py``; values and protocols only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.naming import microseconds

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access


RUN_ENDED = ("success", "failed")  # states of a run


class AirflowError(NotebookJobError):
    """Airflow does not answer, or not as it should: which, where and what to do."""


class NoSuchRunError(AirflowError):
    """Airflow has no such run, or does not show it."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One DAG run."""

    dag_id: str
    run_id: str
    state: str
    run_after: datetime
    started: datetime | None = None
    ended: datetime | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in RUN_ENDED

    @property
    def name(self) -> tuple[str, str]:
        return self.dag_id, self.run_id

    @property
    def started_microseconds(self) -> int:
        """What the names of its jobs are made of."""
        return microseconds(self.started or self.run_after)

    @property
    def moment(self) -> datetime:
        """From when on it is old."""
        return self.ended or self.run_after


class Said(msgspec.Struct, frozen=True):
    """
    Something that a run was given, or has pushed.

    :param text: a job's name may be in it.
    :param gap: what of it Airflow does not show, in words; empty where the text is all of it.
    """

    run: Run
    text: str
    gap: str = ""


CUT = "fields of tasks that Airflow has cut ([core] max_templated_field_length)"
FORGOTTEN = "fields of tasks that Airflow keeps no more ([core] num_dag_runs_to_retain_rendered_fields)"
UNREAD = "XComs that their backend does not give"
UNASKED = "XComs of runs that have ended, which are not asked for by REST"
# So begins what Airflow has cut. Source: ``serialize_template_field`` in ``airflow/serialization/helpers.py``, 3.0.6 to 3.4.
_OF_CUT = "Truncated. You can change this behaviour in [core]max_templated_field_length"


def said_in_fields(run: Run, fields: str) -> Said:
    """Return what the fields of a task instance say, as text."""
    return Said(run, fields, CUT if _OF_CUT in fields else "")


class RunRecords(Protocol):
    """What is known of one run."""

    def run(self, dag_id: str, run_id: str) -> Run:
        """
        Return the run.

        :raises NoSuchRunError: there is none.
        """

    def task_instances(self, run: Run) -> list[NotebookTaskInstance]:
        """Return those of the run that are notebook jobs, or wait for one."""

    def outputs(self, ti: NotebookTaskInstance) -> dict[str, Any]:
        """Return the outputs that a task has pushed, by name."""

    def access(self, ti: NotebookTaskInstance) -> Access:
        """
        Return a task's way to AWS.

        :raises NotebookJobError: there is none.
        """


class AllRecords(RunRecords, Protocol):
    """What is known of all runs."""

    def runs(self) -> list[Run]:
        """Return every run of every DAG that may be read."""

    def all_task_instances(self, dag_ids: Iterable[str], *, unknown: Counter[str]) -> Iterator[NotebookTaskInstance]:
        """
        Yield the notebook jobs of all runs of these DAGs, without what they have pushed.

        :param unknown: filled in on the way: of each DAG, how many task instances that have run may be such, which Airflow does not tell any more.
        """

    def remembered_starts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> set[int]:
        """
        Return the starts of the run, in microseconds, of which the task instance had jobs: a clear of an ended run gives it another.

        By the task's own record of its attempts (Airflow >= 3.3) alone: whoever may edit XComs would else give a job to a run.
        """

    def under_way(self) -> set[tuple[str, str]]:
        """Return the names of the runs of which a task instance has not ended, whatever the run's own state is."""

    def texts(self, runs: Iterable[Run], *, in_use: Collection[tuple[str, str]]) -> Iterator[Said]:
        """
        Yield what these runs were given, by who or what has triggered them and in their tasks' fields, and what they have pushed.

        :param in_use: names of those whose tasks may still read what others have pushed; where each value costs a call, only theirs are read.
        """

    def is_under_way(self, run: Run) -> bool:
        """Say whether the run, or any of its task instances, has not ended."""
