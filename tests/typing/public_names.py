"""What a type checker sees of the names that users import. ``mypy`` reads it (``pyproject.toml``); nothing runs it."""

from typing import assert_type

from airflow.sdk import Param

import airflow_nbjobs
from airflow_nbjobs import (
    FROM_PARAMS,
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
    NotebookTaskGroup,
    SageMakerNotebookJobHook,
    SageMakerNotebookJobOperator,
    SageMakerNotebookJobSensor,
    __version__,
    failure_summary,
    notebook_params,
)

ERRORS: tuple[type[NotebookJobError], ...] = (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
)


def fields(cell: NotebookCellError, service: NotebookJobServiceError, config: NotebookJobConfigError) -> None:
    assert_type(cell.cell, int | None)
    assert_type(service.is_retryable, bool)
    assert_type(config.problems, tuple[str, ...])
    assert_type(__version__, str)


def form_and_message() -> SageMakerNotebookJobOperator:
    assert_type(notebook_params("report.ipynb", only="day", titles={"day": "Day"}), dict[str, Param])
    assert_type(failure_summary({}).markdown, str)
    return SageMakerNotebookJobOperator(
        task_id="report", input_notebook="report.ipynb", parameters=FROM_PARAMS | {"day": "{{ ds }}"}
    )


def task(hook: SageMakerNotebookJobHook) -> tuple[SageMakerNotebookJobOperator, SageMakerNotebookJobSensor]:
    airflow_nbjobs.NoSuchName  # type: ignore[attr-defined]  # noqa: B018 - none of ours, and mypy has to say so
    SageMakerNotebookJobOperator(task_id="report", input_notebook=3)  # type: ignore[arg-type]
    SageMakerNotebookJobSensor(task_id="wait", job_name=3)  # type: ignore[arg-type]
    return (
        SageMakerNotebookJobOperator(task_id="report", input_notebook="report.ipynb"),
        SageMakerNotebookJobSensor(task_id="wait", job_name="report-7f3a"),
    )


def group() -> NotebookTaskGroup:
    NotebookTaskGroup("g", instance_type=3)  # type: ignore[arg-type]
    NotebookTaskGroup("g", instanse_type="ml.m5.large")  # type: ignore[call-arg]
    NotebookTaskGroup("g", display_name="of one task")  # type: ignore[call-arg]
    with NotebookTaskGroup(
        "g", instance_type=["ml.m5.large"], parameters={"a": 1}, tooltip="a group", prefix_group_id=False
    ) as made:
        assert_type(made, NotebookTaskGroup)
    return made
