"""
The plan of a sensor: it starts no job, so its own arguments are all that can be wrong.

Called by ``dag_plans.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.plan.context import template_context
from airflow_nbjobs.commands.plan.records import Output, TaskPlan
from airflow_nbjobs.commands.plan.rendering import RenderedTask
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.reference import SENSOR_TYPE, parse_job_reference
from airflow_nbjobs.core.values.outputs import declare_outputs

if TYPE_CHECKING:
    from airflow_nbjobs.commands.plan.given_run import GivenRun


def is_sensor(task: Any) -> bool:
    return any(each.__name__ == SENSOR_TYPE for each in getattr(task, "operator_class", type(task)).__mro__)


def plan_sensor(task: Any, run: GivenRun, params: Any) -> TaskPlan:
    """Return the plan of a ``SageMakerNotebookJobSensor``; of a mapped one, that what it waits for is not known."""
    plan = TaskPlan(task_id=task.task_id, kind="sensor")
    if hasattr(task, "partial_kwargs"):
        plan.not_known = ("job_name: the sensor is mapped; each index waits for a job of its own",)
        return plan
    rendered = RenderedTask(task.prepare_for_execution(), template_context(task, run, params, map_index=-1))
    sensor, not_known = rendered.task, rendered.not_known
    problems = [*rendered.problems]
    if "job_name" not in not_known:
        try:
            region = None if "region_name" in not_known else sensor.region_name
            parse_job_reference(sensor.job_name, region_name=region)
        except NotebookJobConfigError as error:
            problems.append(str(error))
    declared = declare_outputs(sensor.outputs, sensor.return_output)
    problems += declared.problems
    plan.problems = tuple(problems)
    plan.not_known = tuple(f"{name}: {text}" for name, text in not_known.items())
    plan.outputs = tuple(
        Output(name=name, type=None if kind is None else kind.__name__, cell=None, notebook=None)
        for name, kind in declared.types.items()
    )
    return plan
