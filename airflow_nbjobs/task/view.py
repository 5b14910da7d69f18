"""
What this room needs of a task: the operator's and the sensor's attributes that it reads, as protocols.

Used for annotations alone, so that nothing here knows an operator, and a test can pass any object of this shape.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import timedelta

    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook


class ConnectionView(Protocol):
    """A task with an AWS connection and a log, whose job has outputs."""

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None
    outputs: Any
    return_output: str | None
    inlets: Any
    outlets: Any

    @property
    def log(self) -> Any: ...

    def note_lineage(self, **known: Any) -> None: ...


class TaskView(ConnectionView, Protocol):
    """A task that submits a notebook job and follows it."""

    task_id: str
    s3_kms_key: str | None
    input_notebook: str
    notebook_job_name: str | None
    parameters: Mapping[str, Any] | None
    retries: int | None
    execution_timeout: timedelta | None
    stop_on_kill: bool
    retry_on_cell_error: bool
    stream_logs: bool | str | None
    capacity_timeout: Any
    wait_for_completion: bool
    deferrable: bool
    waiter_delay: Any
    lineage_parent: bool
    dag: Any
    operator_extra_links: Collection[Any]

    @property
    def hook(self) -> SageMakerNotebookJobHook: ...

    def job_arguments(self) -> JobArguments: ...

    def defer(self, *, trigger: Any, method_name: str, timeout: Any = None) -> NoReturn: ...


class SensorView(ConnectionView, Protocol):
    """A task that waits for a job that something else started."""

    job_name: Any
