"""
What states of a run and its tasks mean, and the words for a run that is not there; of both ways to an Airflow. Pure.

Called by ``database.py`` and ``rest.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.commands.records.port import NoSuchRunError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Of a task instance that nobody goes on with. One without a state has not been scheduled: in a run that has ended, it never is.
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


def is_under_way(state: str | None, of_tasks: Iterable[str | None]) -> bool:
    """Say the same of states; a run that is not there any more counts as under way: nothing is known of it."""
    return state not in ("success", "failed") or any(each is not None and each not in _ENDED for each in of_tasks)


def no_such_run(dag_id: str, run_id: str, known: Iterable[str] = ()) -> NoSuchRunError:
    newest = [f"'{each}'" for each in known]
    advice = f"the newest runs of '{dag_id}' are {', '.join(newest)}" if newest else f"it shows no run of '{dag_id}'"
    return NoSuchRunError(f"Airflow has no run '{run_id}' of DAG '{dag_id}'", details={"next": advice})
