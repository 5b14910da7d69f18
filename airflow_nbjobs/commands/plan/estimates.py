"""
What a task costs, from what its earlier jobs took.

Called by ``dag_plans.py``; asks Airflow's database where one can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.plan.database import earlier_seconds
from airflow_nbjobs.commands.plan.records import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_nbjobs.commands.plan.mapping import Indexes
    from airflow_nbjobs.commands.plan.tasks import PlannedTask
    from airflow_nbjobs.core.job.prices import Prices


def add_estimates(task: Any, planned: Sequence[PlannedTask], indexes: Indexes, runs: int, prices: Prices) -> None:
    """
    Give the first index of each machine the estimate of all that run on one.

    Where all machines are the same, that is of all indexes, whether there is a job of each yet or not.
    """
    machines: dict[str | None, list[PlannedTask]] = {}
    for each in planned:
        if each.job is not None:
            machine = None if "instance_type" in each.not_known else each.job.types[0]
            machines.setdefault(machine, []).append(each)
    if not machines:
        return
    seconds, earlier_jobs = earlier_seconds(task.dag_id, task.task_id)
    if indexes.count is None and len(machines) > 1:  # how many jobs each of them has is not known
        machines = {None: [each for group in machines.values() for each in group]}
    for machine, group in machines.items():
        jobs = indexes.count if len(machines) == 1 else len(group)
        total = None if seconds is None or jobs is None else seconds * jobs * runs
        group[0].plan.estimate = Estimate(
            instance_type=machine,
            jobs=jobs,
            runs=runs,
            seconds=seconds,
            earlier_jobs=earlier_jobs,
            most_seconds=max(each.job.spec.max_runtime_in_seconds for each in group if each.job is not None),
            hours=None if total is None else total / 3600,
            cost=None if total is None else prices.cost(machine, total),
        )
    left = len(planned) + indexes.left_out - sum(map(len, machines.values()))
    if left and len(machines) > 1:
        first = next(iter(machines.values()))[0].plan
        first.not_known = (
            *first.not_known,
            f"estimates: {left:,} indexes are in none, since their machines are not known",
        )
