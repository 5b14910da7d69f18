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
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access


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
        return self.state in ("success", "failed")

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

    def all_task_instances(self, dag_ids: Iterable[str]) -> Iterator[NotebookTaskInstance]:
        """Yield the notebook jobs of all runs of these DAGs, without what they have pushed."""

    def remembered_starts(self, dag_id: str, run_id: str, task_id: str, map_index: int) -> set[int]:
        """Return the starts of the run, in microseconds, of which the task instance had jobs: a clear of an ended run gives it another."""

    def texts(self, runs: Iterable[Run]) -> Iterator[tuple[Run, str]]:
        """Yield what task instances of these runs were given and have pushed, as text: a job's name may be in it."""

    def is_under_way(self, run: Run) -> bool:
        """Say whether the run, or any of its task instances, has not ended."""
