"""
The arguments of a notebook task as types, for a type checker: the operator's own, and Airflow's of every task.

Imported for annotations alone, by ``decorators.py`` and ``task_groups.py``; a test holds it against the signatures.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from airflow.sdk import DAG, Context, TaskGroup

if TYPE_CHECKING:
    from datetime import datetime, timedelta

Callback: TypeAlias = Callable[[Context], Any] | Collection[Callable[[Context], Any]] | None


class TaskArguments(TypedDict, total=False):
    """What every task of Airflow takes."""

    task_id: str
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: Any  # Airflow >= 3.3
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Callback
    on_failure_callback: Callback
    on_success_callback: Callback
    on_retry_callback: Callback
    on_skipped_callback: Callback
    pre_execute: Callable[[Context], None] | None
    post_execute: Callable[[Context, Any], None] | None
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    inlets: Any
    outlets: Any
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None  # Airflow >= 3.2
    on_failure_fail_dagrun: bool


class NotebookArguments(TypedDict, total=False):
    """What ``SageMakerNotebookJobOperator`` takes beside ``input_notebook`` and the words for one task."""

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
    lineage_parent: bool
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


class OptionalArguments(NotebookArguments, TaskArguments, total=False):
    """What ``SageMakerNotebookJobOperator`` takes beside ``input_notebook``."""

    display_name: str | None
    description: str | None


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


class DecoratorArguments(OptionalArguments):
    """What a notebook task is made with."""

    input_notebook: str


class OverrideArguments(OptionalArguments, total=False):
    """What may be given anew."""

    input_notebook: str
