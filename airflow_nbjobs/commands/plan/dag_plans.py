"""
The plan of one DAG: its run, its notebook tasks, their number and what they cost.

Called by ``__init__.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.commands.plan.database import stored_prices
from airflow_nbjobs.commands.plan.estimates import add_estimates
from airflow_nbjobs.commands.plan.given_run import (
    MOST_CATCHUP,
    MOST_RUNS,
    GivenRun,
    backfill_runs,
    catchup_runs,
    counted,
    given_run,
)
from airflow_nbjobs.commands.plan.mapping import Index, Indexes, indexes_of, label_of
from airflow_nbjobs.commands.plan.records import DagPlan, RunPlan, TaskPlan
from airflow_nbjobs.commands.plan.sensors import is_sensor
from airflow_nbjobs.commands.plan.tasks import PlannedTask, Wanted, plan_task
from airflow_nbjobs.settings import read_prices
from airflow_nbjobs.task.groups import is_notebook_task
from airflow_nbjobs.task.masking import masked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from airflow_nbjobs.commands.plan.dags import LoadedDag
    from airflow_nbjobs.core.job.prices import Prices


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """
    What the command was asked.

    :param task_ids: none: all notebook tasks.
    """

    task_ids: Collection[str] = ()
    conf: dict[str, Any] | None = None
    date: str | None = None
    backfill: tuple[str, str] | None = None
    shows_request: bool = False


def plan_dag(loaded: LoadedDag, question: Question, warnings: Collection[str]) -> DagPlan:
    """
    Return the plan of one DAG.

    :param warnings: of its file.
    :raises DateError: a date of the question cannot be read.
    """
    dag, stored = loaded.dag, loaded.stored
    run = given_run(stored, date=question.date, backfill=question.backfill, conf=question.conf)
    planned = DagPlan(
        dag_id=dag.dag_id,
        file=str(loaded.file),
        run=_run_plan(run),
        tasks=[],
        warnings=tuple(warnings),
    )
    planned.catchup_runs, planned.has_more_catchup_runs = counted(catchup_runs(stored), MOST_CATCHUP)
    if question.backfill is not None:
        planned.backfill_runs, planned.has_more_backfill_runs = counted(
            backfill_runs(stored, *question.backfill), MOST_RUNS
        )
        if not planned.backfill_runs:
            planned.warnings = (*planned.warnings, _no_runs(question.backfill))
        elif planned.has_more_backfill_runs:
            planned.warnings = (*planned.warnings, _more_runs(question.backfill))
    runs = planned.backfill_runs if planned.backfill_runs is not None else 1
    prices = read_prices(stored_prices())
    for task in dag.tasks:
        if not (is_notebook_task(task) or is_sensor(task)):
            planned.other_tasks += 1
        elif not question.task_ids or task.task_id in question.task_ids:
            planned.tasks += _plans_of(task, loaded, run, question, runs=runs, prices=prices)
    return planned


def _no_runs(backfill: tuple[str, str]) -> str:
    return f"--backfill {' '.join(backfill)}: the schedule has no run there whose data interval is over"


def _more_runs(backfill: tuple[str, str]) -> str:
    return f"--backfill {' '.join(backfill)}: that is more than {MOST_RUNS:,} runs; an estimate counts as many"


def _run_plan(run: GivenRun) -> RunPlan:
    moments = {
        "logical_date": run.logical_date,
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
    }
    texts = {name: None if moment is None else moment.isoformat() for name, moment in moments.items()}
    return RunPlan(run_id=run.run_id, conf=masked(run.conf), **texts)


def _plans_of(
    task: Any, loaded: LoadedDag, run: GivenRun, question: Question, *, runs: int, prices: Prices
) -> list[TaskPlan]:
    """Return the plan of each index of a task; the first of each machine has the estimate of all that run on one."""
    kind = "sensor" if is_sensor(task) else "notebook"
    try:
        params = _params(loaded.dag, task, question.conf)
    except Exception as error:  # noqa: BLE001 - Airflow's validation raises whatever its schema library does
        said = f"params: {' '.join(str(error).split())}"
        return [TaskPlan(task_id=task.task_id, kind=kind, problems=(said,))]
    try:
        if kind == "sensor":
            from airflow_nbjobs.commands.plan.sensors import plan_sensor

            return [plan_sensor(task, run, params)]
        indexes = indexes_of(task)
    except Exception as error:  # noqa: BLE001 - as below
        return [_failed(task, None, error, kind=kind)]
    if not indexes.looked_at:
        said = "the task is mapped over nothing; Airflow skips it"
        return [TaskPlan(task_id=task.task_id, warnings=(said,))]
    wanted = Wanted(run=run, params=params, bundle=loaded.bundle, shows_request=question.shows_request)
    planned = [_planned(task, index, wanted) for index in indexes.looked_at]
    plans = [each.plan for each in planned]
    add_estimates(task, planned, indexes, runs, prices)
    if indexes.count is None:
        if len(plans) > 1:
            plans = [_as_one(plans, indexes)]
        plans[0].not_known = (*plans[0].not_known, _unknown_number(task))
    if indexes.left_out:
        said = f"its first {len(indexes.looked_at):,} indexes are looked at, and {indexes.left_out:,} more are not"
        plans[0].not_known = (*plans[0].not_known, said)
    return plans


def _planned(task: Any, index: Index, wanted: Wanted) -> PlannedTask:
    try:
        return plan_task(_operator(task, index), index, wanted)
    except Exception as error:  # noqa: BLE001 - whatever an author's own class, macro or filter raises
        return PlannedTask(_failed(task, index.map_index, error), None, {})


def _failed(task: Any, map_index: int | None, error: Exception, *, kind: str = "notebook") -> TaskPlan:
    said = f"the task cannot be looked at: {type(error).__name__}: {error}"
    return TaskPlan(task_id=task.task_id, kind=kind, map_index=map_index, problems=(said,))


def _operator(task: Any, index: Index) -> Any:
    """Return the plan's own copy of a task, as a worker has it."""
    if not hasattr(task, "partial_kwargs"):
        return task.prepare_for_execution()
    needs_notebook = index.whole is not None and "input_notebook" not in task.partial_kwargs
    return task.unmap(index.given | ({"input_notebook": index.whole} if needs_notebook else {}))


def _as_one(plans: list[TaskPlan], indexes: Indexes) -> TaskPlan:
    """Return the first of some plans with what is said of the others alone; a run makes more indexes of each."""
    labels = [label_of(index, indexes.varying) for index in indexes.looked_at]
    first = plans[0]
    said = [f"what is shown is for {labels[0]}; the other values in the DAG file are checked as well"]
    first.not_known = (*_of_all([plan.not_known for plan in plans], labels), *said)
    first.problems = tuple(_of_all([plan.problems for plan in plans], labels))
    first.warnings = tuple(_of_all([plan.warnings for plan in plans], labels))
    first.estimate = next((plan.estimate for plan in plans if plan.estimate is not None), None)
    return first


def _of_all(texts: Sequence[Collection[str]], labels: Sequence[str]) -> Iterator[str]:
    """Return the texts, with its label what is not said of each."""
    everywhere = [text for text in texts[0] if all(text in each for each in texts)]
    yield from everywhere
    for each, label in zip(texts, labels, strict=True):
        yield from (f"with {label}: {text}" for text in each if text not in everywhere)


def _unknown_number(task: Any) -> str:
    return f"how many jobs '{task.task_id}' makes: what it is mapped over is another task's output"


def _params(dag: Any, task: Any, conf: dict[str, Any] | None) -> Any:
    """Return the run's params, checked as Airflow checks them when it makes the run and when the task begins."""
    from airflow.sdk.definitions.param import process_params

    return process_params(dag, task, conf, suppress_exception=False)
