"""
The arguments of a notebook task as types, for a type checker: the operator's own, and Airflow's of every task.

Imported for annotations alone, by ``decorators.py`` and ``task_groups.py``; a test holds it against the signatures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.sdk import DAG, TaskGroup


class NotebookArguments(TypedDict, total=False):
    """What ``SageMakerNotebookJobOperator`` takes beside ``input_notebook``, ``display_name`` and ``description``."""

    image_uri: str | None
    kernel_name: str | None
    notebook_job_name: str | None
    name: str | None
    role: str | None
    s3_root_uri: str | None
    parameters: Mapping[str, Any] | None
    environment_variables: Mapping[str, str | float] | None
    initialization_script: str | None
    s3_kms_key: str | None
    instance_type: str | Sequence[str]
    volume_size: int | str
    volume_kms_key: str | None
    encrypt_inter_container_traffic: bool | str
    security_group_ids: str | Sequence[str] | None
    subnets: str | Sequence[str] | None
    max_retry_attempts: int | str
    max_runtime_in_seconds: timedelta | float | str
    tags: Mapping[str, str | float] | Sequence[Mapping[str, str | float]] | None
    additional_dependencies: str | Sequence[str] | None
    outputs: Sequence[str] | Mapping[str, type | str] | None
    return_output: str | None
    keep_alive_period_in_seconds: timedelta | float | str | None
    enable_managed_spot_training: bool | str
    max_wait_time_in_seconds: timedelta | float | str | None
    enable_network_isolation: bool | str
    output_formats: str | Sequence[str] | None
    studio_domain_arn: str | None
    studio_user_profile: str | None
    studio_space: str | None
    unified_studio_domain_id: str | None
    unified_studio_project_id: str | None
    install_driver: bool | str
    unknown_parameters: str
    missing_dependencies: str
    stop_on_kill: bool
    retry_on_cell_error: bool
    live_notebook: bool | str | None
    stream_logs: bool | str | None
    cell_output_in_logs: bool | str | None
    extra_request: Mapping[str, Any] | None
    capacity_timeout: timedelta | float | str
    wait_for_completion: bool
    deferrable: bool
    waiter_delay: timedelta | float | str
    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None


class GroupArguments(NotebookArguments, total=False):
    """What ``NotebookTaskGroup`` takes: the notebooks' arguments, and ``TaskGroup``'s."""

    input_notebook: str
    group_display_name: str
    prefix_group_id: bool
    parent_group: TaskGroup | None
    dag: DAG
    default_args: dict[str, Any]
    tooltip: str
    doc_md: str | None  # Airflow >= 3.3
    ui_color: str
    ui_fgcolor: str
    add_suffix_on_collision: bool
