"""
Which arguments of the operator go to the job, and which are templates.

Imported whenever a DAG file is parsed: the standard library only.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What goes to the job as it stands; everything else in the signature is about waiting, or about Airflow.
JOB_ARGUMENTS = (
    "input_notebook",
    "image_uri",
    "kernel_name",
    "notebook_job_name",
    "name",
    "role",
    "s3_root_uri",
    "parameters",
    "environment_variables",
    "initialization_script",
    "s3_kms_key",
    "instance_type",
    "volume_size",
    "volume_kms_key",
    "encrypt_inter_container_traffic",
    "security_group_ids",
    "subnets",
    "max_retry_attempts",
    "max_runtime_in_seconds",
    "tags",
    "additional_dependencies",
    "keep_alive_period_in_seconds",
    "enable_managed_spot_training",
    "max_wait_time_in_seconds",
    "enable_network_isolation",
    "output_formats",
    "studio_domain_arn",
    "studio_user_profile",
    "studio_space",
    "unified_studio_domain_id",
    "unified_studio_project_id",
    "install_driver",
    "unknown_parameters",
    "missing_dependencies",
    "live_notebook",
    "cell_output_in_logs",
    "extra_request",
)

_TEMPLATE_FIELDS = (*JOB_ARGUMENTS, "stream_logs", "capacity_timeout", "aws_conn_id", "region_name", "verify")
# Kept in every serialized task: the API server knows a notebook task by them, and reads there which connection and which place in S3 are its own.
_ALWAYS_SHOWN = frozenset(
    {"input_notebook", "initialization_script", "s3_root_uri", "aws_conn_id", "region_name", "verify"}
)
_EQUAL_TO_NOTHING = object()


class TemplateFields:
    """
    Every template field, of the class; of one operator, those that differ from their default: a task that has the default has nothing to render there.

    For each template field of each task, every parse of a DAG file pays once more: Airflow stores its name, looks for XComs in it, and where it
    has a value reads its own configuration to cut it (``tests/bench/parsing.py`` measures a file of 500 tasks).
    """

    _defaults: ClassVar[tuple[tuple[str, Any], ...]] = ()

    @classmethod
    def read_defaults(cls, init: Callable[..., None]) -> None:
        """Take the fields' defaults from the operator's signature."""
        arguments = inspect.signature(init).parameters
        cls._defaults = tuple(
            (name, _EQUAL_TO_NOTHING if name in _ALWAYS_SHOWN else arguments[name].default) for name in _TEMPLATE_FIELDS
        )

    def __get__(self, operator: Any, owner: type) -> Sequence[str]:
        if operator is None:
            return _TEMPLATE_FIELDS
        # Looked up anew: an attribute that is set after `__init__` is rendered as well, and an XCom in it makes a dependency.
        value_of = vars(operator).get
        return tuple([name for name, default in self._defaults if value_of(name) != default])
