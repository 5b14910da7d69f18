"""A notebook task on the services' fakes: made, submitted, ended, and told about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow_names import TaskDeferred
from fakes import ACCOUNT_ID, REGION, FakeClients, FakeHook, archive, code, notebook

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

if TYPE_CHECKING:
    from pathlib import Path

RAW = notebook(code("epochs = 1", "parameters"), "accuracy = 0.5", "splits = [1, 2]")


def new_dag(folder: Path) -> DAG:
    """Return a DAG whose file lies in the folder, beside ``nb.ipynb``."""
    dag = DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    dag.fileloc = str(folder / "dag.py")
    (folder / "nb.ipynb").write_bytes(RAW)
    return dag


class Tasks:
    """
    Makes tasks of one DAG whose connection leads to the fakes.

    Called with the operator's arguments; what is not given is right.
    """

    def __init__(self, folder: Path) -> None:
        self.dag = new_dag(folder)
        self.hook = FakeHook()

    @property
    def clients(self) -> FakeClients:
        return self.hook.clients

    def __call__(self, **arguments: Any) -> SageMakerNotebookJobOperator:
        given = {
            "task_id": "t",
            "dag": self.dag,
            "input_notebook": "nb.ipynb",
            "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
            "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
            "s3_root_uri": "s3://bucket/nbjobs",
            "waiter_delay": 0,
        }
        operator = SageMakerNotebookJobOperator(**given | arguments)
        operator._hook = self.hook
        return operator


def defer(operator: SageMakerNotebookJobOperator, context: dict[str, Any]) -> TaskDeferred:
    """Run the first process; return how it deferred."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def end(
    clients: FakeClients,
    status: str = "Completed",
    *,
    secondary: str | None = None,
    reason: str = "",
    ran: bytes | None = None,
) -> str:
    """Let the one job end, leaving that executed notebook behind."""
    (job_name,) = clients.jobs.descriptions
    clients.jobs.set_status(job_name, status, secondary, reason)
    if ran is not None:
        uri = f"s3://bucket/nbjobs/{job_name}/output/output.tar.gz"
        clients.objects.bodies[uri] = archive({f"{job_name}.ipynb": ran})
    return job_name


def event_of(deferred: TaskDeferred, **fields: Any) -> dict[str, Any]:
    """Return the event that the trigger of this deferral yields for a completed job."""
    trigger: Any = deferred.trigger
    return {
        "version": 1,
        "job_name": trigger.job_name,
        "attempt": trigger.attempt,
        "was_adopted": trigger.was_adopted,
        "status": "Completed",
        "secondary_status": "Completed",
        "error": None,
        "turn": trigger.turn,
    } | fields
