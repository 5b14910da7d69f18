"""
A task's Airflow context as the values that a job needs: its identity, what its notebook gets to know, how long it may take.

Called by the others of this room; reads the context, changes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core import texts
from airflow_nbjobs.core.job.naming import RunKey, microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_nbjobs.task.view import TaskView

_MOST_EARLIER = 8
_SHOWN_CHARACTERS = 200  # of each parameter in an error text


def run_of(context: Context, *, deployment: str) -> Run:
    """
    Return whose job a task instance's try would submit.

    Variables and tags of a run without a data interval (triggered by hand, or by an asset) leave the interval out, those of a task in no loop the region.
    """
    ti: Any = context["ti"]
    dag_run: Any = context["dag_run"]
    started: datetime = dag_run.start_date or dag_run.run_after
    facts = {
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": str(ti.map_index),
        "try_number": str(ti.try_number),
    }
    region_id, region_index = _iteration(ti)
    if region_id:
        facts |= {"region_id": region_id, "region_index": str(region_index)}
    partition_key = getattr(dag_run, "partition_key", None)  # Airflow >= 3.2
    if isinstance(partition_key, str) and partition_key:
        facts["partition_key"] = partition_key
    for name in ("data_interval_start", "data_interval_end"):
        moment = getattr(dag_run, name, None)
        if moment is not None:
            facts[name] = moment.isoformat()
    return Run(
        label=f"{ti.dag_id}.{ti.task_id}",
        readable=f"{ti.dag_id}-{ti.task_id}",
        key=RunKey(
            deployment=deployment,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            run_started_microseconds=microseconds(started),
            task_id=ti.task_id,
            map_index=ti.map_index,
            generation=generation(ti),
            region_id=region_id,
            region_index=region_index,
        ),
        variables={f"NBJOBS_{name.upper()}": value for name, value in facts.items()},
        tags={f"airflow:{name}": value for name, value in facts.items()},
    )


def _iteration(ti: Any) -> tuple[str, int]:
    """
    Return the region that tells a task in a loop from its other iterations, and the place in it; an empty text outside loops.

    Airflow 3.4 gives mapped tasks a region as well, with the map index as their place. Outside a loop it adds nothing to the map index, and left in the
    name it would orphan the jobs of an Airflow that is upgraded while they run.
    """
    region_id, region_index = getattr(ti, "region_id", None), getattr(ti, "region_index", None)
    if region_id is None or region_index is None or UUID(str(region_id)).int == 0:
        return "", -1
    # A task directly in a loop has the iteration as its place, and no map index.
    is_in_loop = region_index != ti.map_index or _has_loop_around(getattr(ti, "task", None))
    return (str(region_id), int(region_index)) if is_in_loop else ("", -1)


def _has_loop_around(task: Any) -> bool:
    group = getattr(task, "task_group", None)
    while group is not None:
        if getattr(group, "max_iterations", None) is not None:  # the class is Airflow's own business
            return True
        group = getattr(group, "parent_group", None)
    return False


def generation(ti: Any) -> int:
    """
    Return what tells the tries since the task instance's last clear from those before it: ``max_tries``.

    A clear sets it to ``try_number + retries``; a retry leaves it alone, also where ``retries`` was edited in between (``max_tries - retries``
    would change with the edit, and a job that runs would be left alone and paid twice). Where ``retries`` was *lowered* before the clear, two generations
    may have one number: then what became of the earlier jobs decides, as for a retry.
    """
    return int(ti.max_tries)


def was_cleared(ti: Any, dag_run: Any, retries: int) -> bool:
    """
    Say whether the task, or its whole run, was cleared before this try, as far as Airflow tells a worker.

    A clear sets ``max_tries`` to ``try_number + retries``, above ``retries``; where ``retries`` was raised since, the run's own count of clears may tell.
    """
    return generation(ti) > retries or bool(getattr(dag_run, "clear_number", 0))


def earlier_generations(ti: Any, retries: int) -> list[int]:
    """
    Return the generations that the task may have had before its last clear, newest first, at most 8; none where it was never cleared.

    Counted with the ``retries`` of now: of generations under others some are missed. Names that were never used are asked for in vain.
    """
    return list(range(generation(ti) - 1, retries - 1, -1))[:_MOST_EARLIER]


def search_folders(task: TaskView, context: Context) -> list[Path]:
    """Return where relative paths are looked up: beside the DAG file (in the versioned bundle's checkout), then the DAG's ``template_searchpath``, then the bundle's root."""
    dag: Any = task.dag
    folders = [Path(dag.fileloc).parent]
    searchpath = dag.template_searchpath or ()
    folders += [Path(path) for path in ([searchpath] if isinstance(searchpath, str) else searchpath)]
    # Absent in `dag.test()` of some versions.
    bundle = getattr(context["ti"], "bundle_instance", None)
    if bundle is not None and getattr(bundle, "path", None):
        folders.append(Path(bundle.path))
    return list(dict.fromkeys(folders))


def seconds_left(task: TaskView, context: Context) -> float | None:
    """Return what is left of ``execution_timeout``, counted from the first start of this try; None where the task has none."""
    timeout = task.execution_timeout
    ti: Any = context["ti"]
    if timeout is None or ti.start_date is None:
        return None
    return float((timeout - (datetime.now(tz=UTC) - ti.start_date)).total_seconds())


def parameters_text(parameters: Mapping[str, Any] | None) -> str:
    """Return the parameters for an error text: masked as Airflow masks its logs, each cut to 200 characters."""
    from airflow_nbjobs._compat import redact

    masked = redact(dict(parameters or {}))
    shown = {name: shortened(value) for name, value in masked.items()}
    return "{" + ", ".join(f"{name!r}: {value}" for name, value in shown.items()) + "}"


def shortened(value: object) -> str:
    """Return a value for a log line or an error text, cut to 200 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no integer of more than 4,300 digits
        text = f"a {type(value).__name__} too large to be shown"
    return texts.shortened(text, _SHOWN_CHARACTERS)
