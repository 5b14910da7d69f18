"""
The plan of one DAG: its run, its notebook tasks, their number and what they cost.

Called by ``__init__.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.commands.plan.dags import shown_path
from airflow_nbjobs.commands.plan.database import earlier_seconds
from airflow_nbjobs.commands.plan.given_run import GivenRun, backfill_runs, catchup_runs, given_run
from airflow_nbjobs.commands.plan.mapping import indexes_of
from airflow_nbjobs.commands.plan.records import DagPlan, Estimate, RunPlan, TaskPlan
from airflow_nbjobs.commands.plan.tasks import PlannedTask, Wanted, plan_task
from airflow_nbjobs.settings import read_prices
from airflow_nbjobs.task.groups import is_notebook_task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_nbjobs.commands.plan.dags import LoadedDag
    from airflow_nbjobs.core.job.prices import Prices

_SENSOR = "SageMakerNotebookJobSensor"


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
        file=shown_path(loaded.file),
        run=_run_plan(run),
        tasks=[],
        catchup_runs=catchup_runs(stored),
        warnings=tuple(warnings),
    )
    if question.backfill is not None:
        planned.backfill_runs = sum(1 for _ in backfill_runs(stored, *question.backfill))
        if not planned.backfill_runs:
            planned.warnings = (*planned.warnings, _no_runs(question.backfill))
    runs = planned.backfill_runs if planned.backfill_runs is not None else 1
    prices = read_prices()
    for task in dag.tasks:
        if not (is_notebook_task(task) or _is_sensor(task)):
            planned.other_tasks += 1
        elif not question.task_ids or task.task_id in question.task_ids:
            planned.tasks += _plans_of(task, loaded, run, question, runs=runs, prices=prices)
    return planned


def _no_runs(backfill: tuple[str, str]) -> str:
    return f"--backfill {' '.join(backfill)}: the schedule has no run there whose data interval is over"


def _run_plan(run: GivenRun) -> RunPlan:
    moments = {
        "logical_date": run.logical_date,
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
    }
    texts = {name: None if moment is None else moment.isoformat() for name, moment in moments.items()}
    return RunPlan(run_id=run.run_id, conf=run.conf, **texts)


def _is_sensor(task: Any) -> bool:
    return any(each.__name__ == _SENSOR for each in getattr(task, "operator_class", type(task)).__mro__)


def _plans_of(
    task: Any, loaded: LoadedDag, run: GivenRun, question: Question, *, runs: int, prices: Prices
) -> Iterator[TaskPlan]:
    """Return the plan of each index of a task; the first has the estimate of all."""
    try:
        params = _params(loaded.dag, task, question.conf)
    except Exception as error:  # noqa: BLE001 - Airflow's validation raises whatever its schema library does
        kind = "sensor" if _is_sensor(task) else "notebook"
        said = f"params: {' '.join(str(error).split())}"
        yield TaskPlan(task_id=task.task_id, kind=kind, problems=(said,))
        return
    if _is_sensor(task):
        from airflow_nbjobs.commands.plan.sensors import plan_sensor

        yield plan_sensor(task, run, params)
        return
    indexes = indexes_of(task)
    if not indexes.looked_at:
        said = "the task is mapped over nothing; Airflow skips it"
        yield TaskPlan(task_id=task.task_id, warnings=(said,))
    wanted = Wanted(run=run, params=params, bundle=loaded.bundle, shows_request=question.shows_request)
    for number, index in enumerate(indexes.looked_at):
        try:
            planned = plan_task(_operator(task, index.given), index, wanted)
        except Exception as error:  # noqa: BLE001 - whatever an author's own class, macro or filter raises
            said = f"the task cannot be looked at: {type(error).__name__}: {error}"
            yield TaskPlan(task_id=task.task_id, map_index=index.map_index, problems=(said,))
            continue
        if indexes.count is None:
            planned.plan.not_known = (*planned.plan.not_known, _unknown_number(task))
        if number == 0 and planned.job is not None:
            planned.plan.estimate = _estimate(task, planned, indexes.count, runs, prices)
        yield planned.plan


def _operator(task: Any, given: dict[str, Any]) -> Any:
    """Return the plan's own copy of a task, as a worker has it."""
    if not hasattr(task, "partial_kwargs"):
        return task.prepare_for_execution()
    return task.unmap(given)


def _unknown_number(task: Any) -> str:
    return f"how many jobs '{task.task_id}' makes: what it is mapped over is another task's output"


def _params(dag: Any, task: Any, conf: dict[str, Any] | None) -> Any:
    """Return the run's params, checked as Airflow checks them when it makes the run and when the task begins."""
    from airflow.sdk.definitions.param import process_params

    return process_params(dag, task, conf, suppress_exception=False)


def _estimate(task: Any, planned: PlannedTask, jobs: int | None, runs: int, prices: Prices) -> Estimate:
    seconds, earlier_jobs = earlier_seconds(task.dag_id, task.task_id)
    job = planned.job
    instance_type = None if job is None or "instance_type" in planned.not_known else job.types[0]
    total = None if seconds is None or jobs is None else seconds * jobs * runs
    return Estimate(
        instance_type=instance_type,
        jobs=jobs,
        runs=runs,
        seconds=seconds,
        earlier_jobs=earlier_jobs,
        most_seconds=None if job is None else job.spec.max_runtime_in_seconds,
        hours=None if total is None else total / 3600,
        cost=None if total is None else prices.cost(instance_type, total),
    )
