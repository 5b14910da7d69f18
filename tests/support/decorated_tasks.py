"""Decorated notebook tasks on the services' fakes: as a DAG file makes them, and as Airflow's worker runs them, before and after a deferral."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fakes import ACCOUNT_ID, REGION, FakeHook, code, notebook, task_context
from operator_tasks import new_dag

from airflow_nbjobs.decorators import sagemaker_notebook_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CELL = "epochs = 1\nregion = ''\nlr = 0.1\nitems = []\nday = ''\nanything = None"
JOB = {
    "input_notebook": "nb.ipynb",
    "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
    "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
    "s3_root_uri": "s3://bucket/nbjobs",
    "waiter_delay": 0,
}


def nothing() -> dict[str, Any]:
    return {}


class DecoratedTasks:
    """One DAG whose decorated tasks lead to the fakes."""

    def __init__(self, folder: Path) -> None:
        self.dag = new_dag(folder)
        (folder / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters"), "accuracy = 0.5"))
        self.hook = FakeHook()

    def decorate(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Return the decorated function, as task ``t`` of the DAG."""
        given = {**JOB, "task_id": "t", "dag": self.dag, **arguments}
        return sagemaker_notebook_job(**given)(function)

    def made(self, function: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
        """Return the operator that a call with these positional arguments makes."""
        return self.decorate(function, **arguments)(*args).operator

    def started(self, operator: Any, context: dict[str, Any]) -> Any:
        """Return the operator as a worker has it before ``execute``: a copy with rendered fields."""
        task = operator.prepare_for_execution()
        context.setdefault("task", task)
        context.setdefault("dag", self.dag)
        context["ti"].task = task
        task.render_template_fields(context, self.dag.get_template_env())
        task = context["ti"].task  # another one, if it was mapped
        task._hook = self.hook
        return task


def resumed(context: dict[str, Any], **task_instance: Any) -> dict[str, Any]:
    """Return the context of the process that goes on after a deferral, with the XComs of the one before."""
    following = task_context(try_number=context["ti"].try_number, map_index=context["ti"].map_index, **task_instance)
    following["ti"].xcoms = context["ti"].xcoms
    following["ti"]._ti_context_from_server = SimpleNamespace(next_method="execute_complete")
    return following
