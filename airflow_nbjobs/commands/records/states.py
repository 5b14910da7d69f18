"""
What states of a run and its tasks mean, and the words for a run that is not there; of both ways to an Airflow. Pure.

Called by ``database.py`` and ``rest.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.commands.records.port import RUN_ENDED, NoSuchRunError
from airflow_nbjobs.ui.data.task_instance import FINISHED

if TYPE_CHECKING:
    from collections.abc import Iterable


def goes_on(state: str | None) -> bool:
    """Say whether somebody goes on with a task instance of this state."""
    return state is not None and state not in FINISHED


def is_under_way(state: str | None, of_tasks: Iterable[str | None]) -> bool:
    """Say the same of states; a run that is not there any more counts as under way: nothing is known of it."""
    return state not in RUN_ENDED or any(goes_on(each) for each in of_tasks)


def no_such_run(dag_id: str, run_id: str, known: Iterable[str] = ()) -> NoSuchRunError:
    newest = [f"'{each}'" for each in known]
    advice = f"the newest runs of '{dag_id}' are {', '.join(newest)}" if newest else f"it shows no run of '{dag_id}'"
    return NoSuchRunError(f"Airflow has no run '{run_id}' of DAG '{dag_id}'", details={"next": advice})
