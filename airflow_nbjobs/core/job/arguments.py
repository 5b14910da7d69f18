"""
A job's arguments as its task has rendered them: each a value, or the text of one.

Made by the operator and by ``nbjobs run``, completed by the settings, validated by ``spec.py``. Never imported while DAGs are parsed.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec.structs import fields, replace

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job.parsers import is_absent

# Without them a job is less protected than its author meant: an empty text is no way to say so.
_PROTECTING = frozenset({"s3_kms_key", "volume_kms_key", "enable_network_isolation"})
# Without these there is no job, and `parse_spec` says so.
REQUIRED = ("image_uri", "role", "s3_root_uri")
# Whoever reads these checks an empty text as well.
_CHECKED_ELSEWHERE = frozenset({"input_notebook", "outputs", "return_output"})


class JobArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What a job is asked to be, in the words of ``NotebookJobStep``; None is the default. ``NotebookJobSpec`` says what each means."""

    input_notebook: Any = None
    image_uri: Any = None
    kernel_name: Any = None
    notebook_job_name: Any = None
    name: Any = None
    role: Any = None
    s3_root_uri: Any = None
    parameters: Any = None
    environment_variables: Any = None
    initialization_script: Any = None
    s3_kms_key: Any = None
    instance_type: Any = None
    volume_size: Any = None
    volume_kms_key: Any = None
    encrypt_inter_container_traffic: Any = None
    security_group_ids: Any = None
    subnets: Any = None
    max_retry_attempts: Any = None
    max_runtime_in_seconds: Any = None
    tags: Any = None
    additional_dependencies: Any = None
    keep_alive_period_in_seconds: Any = None
    enable_managed_spot_training: Any = None
    max_wait_time_in_seconds: Any = None
    enable_network_isolation: Any = None
    output_formats: Any = None
    studio_domain_arn: Any = None
    studio_user_profile: Any = None
    studio_space: Any = None
    unified_studio_domain_id: Any = None
    unified_studio_project_id: Any = None
    install_driver: Any = None
    unknown_parameters: Any = None
    missing_dependencies: Any = None
    live_notebook: Any = None
    cell_output_in_logs: Any = None
    extra_request: Any = None
    outputs: Any = None
    return_output: Any = None

    def severity(
        self, name: Literal["unknown_parameters", "missing_dependencies"], problems: list[str]
    ) -> Literal["error", "warn"]:
        """Return what the argument says that a finding is; what says neither counts as an error, and is a problem."""
        value = getattr(self, name)
        value = getattr(defaults, name.upper()) if value is None else value
        if value not in ("error", "warn"):
            problems.append(f"{name} must be 'error' or 'warn', not {value!r}")
        return "warn" if value == "warn" else "error"

    def without_absent(self) -> tuple[JobArguments, list[str], list[str]]:
        """
        Take an empty text, and the ``None`` or ``null`` that a template writes for a value that is not there, for no argument at all.

        :return: the arguments with None in their place; the problems where the job would be less protected; a warning for each of the others.
        """
        absent: list[str] = []
        problems: list[str] = []
        warnings: list[str] = []
        for each in fields(self):
            name, value = each.name, getattr(self, each.name)
            if value is None or name in _CHECKED_ELSEWHERE or not is_absent(value):
                continue
            absent.append(name)
            if name in _PROTECTING:
                problems.append(
                    f"{name} is {value!r}, as a template writes it for a value that is not there; leave the argument out (None) if the job is to run without"
                )
            elif name not in REQUIRED:
                warnings.append(
                    f"{name} is {value!r}, as a template writes it for a value that is not there: it counts as not given"
                )
        return replace(self, **dict.fromkeys(absent)), problems, warnings
