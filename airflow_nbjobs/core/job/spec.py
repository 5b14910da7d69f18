"""
One notebook job as a value, and its validation against the service's real limits.

``parse_spec`` is called by ``aws/submit/prepare.py`` with the operator's rendered arguments; pure. botocore checks types and minimums only, so what
the service would refuse (maxima, patterns) is checked here, before anything is uploaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job import arguments as parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Variables that the driver reads and this package sets, and the argument that says their value, if one does; a user's own would break the job or be
# overwritten in silence.
RESERVED_VARIABLES: Mapping[str, str] = {
    "AWS_DEFAULT_REGION": "region_name",
    "SM_JOB_DEF_VERSION": "",
    "SM_ENV_NAME": "",
    "SM_SKIP_EFS_SIMULATION": "",
    "SM_EXECUTION_INPUT_PATH": "",
    "SM_KERNEL_NAME": "kernel_name",
    "SM_INPUT_NOTEBOOK_NAME": "input_notebook",
    "SM_OUTPUT_NOTEBOOK_NAME": "",
    "SM_INIT_SCRIPT": "initialization_script",
    "SM_OUTPUT_FORMATS": "output_formats",
}
RESERVED_VARIABLE_PREFIX = "NBJOBS_"
_MOST_PREFERENCES = 5
# What an `extra_request` may say about instances beside, or instead of, `instance_type`.
_OTHER_INSTANCES = frozenset(
    {"InstanceType", "InstanceGroups", "InstancePreferences", "InstancePlacementConfig", "TrainingPlanArn"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookJobSpec:
    """
    What a notebook job is made of, in the words of ``NotebookJobStep``; valid by construction through ``parse_spec``.

    :param image_uri: registry URI, or a short name such as ``sagemaker-distribution:4-cpu`` that is yet to be resolved.
    :param role: ARN, or the name of a role that is yet to be expanded.
    :param s3_root_uri: ``s3://bucket/prefix`` without a trailing slash.
    :param kernel_name: name of the kernelspec in the image.
    :param instance_type: one or more, in order of preference: the next is taken where one has no capacity or no quota left.
    :param max_retry_attempts: 0-30 restarts by the platform after an InternalServerError; 0 sends no RetryStrategy.
    :param max_runtime_in_seconds: 1 s to 28 days, over all attempts of the platform together.
    :param max_wait_time_in_seconds: spot only: waiting and running together.
    :param keep_alive_period_in_seconds: warm pool: 0-3600 s that the instance is kept (and billed) after the job.
    :param live_notebook: have the notebook copied to S3 as it runs.
    :param cell_output_in_logs: have what cells print written to the container's log as well.
    :param extra_request: merged into the request last, so that a field AWS adds needs no release of this package.
    """

    image_uri: str
    kernel_name: str
    role: str
    s3_root_uri: str
    region: str
    notebook_job_name: str | None = None
    name: str | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    s3_kms_key: str | None = None
    instance_type: tuple[str, ...] = (defaults.INSTANCE_TYPE,)
    volume_size: int = defaults.VOLUME_SIZE
    volume_kms_key: str | None = None
    encrypt_inter_container_traffic: bool = defaults.ENCRYPT_INTER_CONTAINER_TRAFFIC
    security_group_ids: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    max_retry_attempts: int = defaults.MAX_RETRY_ATTEMPTS
    max_runtime_in_seconds: int = defaults.MAX_RUNTIME_IN_SECONDS
    tags: Mapping[str, str] = field(default_factory=dict)
    keep_alive_period_in_seconds: int | None = None
    enable_managed_spot_training: bool = False
    max_wait_time_in_seconds: int | None = None
    enable_network_isolation: bool = False
    output_formats: tuple[str, ...] = ()
    studio_domain_arn: str | None = None
    studio_user_profile: str | None = None
    studio_space: str | None = None
    unified_studio_domain_id: str | None = None
    unified_studio_project_id: str | None = None
    install_driver: bool = False
    live_notebook: bool = False
    cell_output_in_logs: bool = False
    extra_request: Mapping[str, Any] = field(default_factory=dict)

    @property
    def displayed_name(self) -> str | None:
        """What Studio shows as the job's name, where the user gave one."""
        return self.notebook_job_name or self.name

    @property
    def extra_resources(self) -> Mapping[str, Any]:
        """What ``extra_request`` says of the instances; nothing where it says it wrongly, which is reported elsewhere."""
        resources = self.extra_request.get("ResourceConfig")
        return resources if isinstance(resources, dict) else {}

    @property
    def may_state_preferences(self) -> bool:
        """
        Say whether SageMaker itself can choose among the instance types of this job.

        Source: ``ResourceConfig$InstancePreferences``: up to 5, each once; not with spot, InstanceGroups, InstancePlacementConfig.
        Of warm pools its page says nothing, so a job that asks for one names its type.
        """
        is_chosen = not _OTHER_INSTANCES.isdisjoint(self.extra_resources)
        return (
            2 <= len(self.instance_type) <= _MOST_PREFERENCES
            and not self.enable_managed_spot_training
            and not self.keep_alive_period_in_seconds
            and not is_chosen
        )


@dataclass(frozen=True, slots=True)
class ParsedSpec:
    """A spec, or None where ``problems`` says why there is none; ``warnings`` go to the task log."""

    spec: NotebookJobSpec | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


# Arguments without which there is no job; each may come from the places that `_missing` names.
_REQUIRED = ("image_uri", "role", "s3_root_uri")

# Without them a job is less protected than its author meant: an empty text is no way to say so.
_PROTECTING = frozenset({"s3_kms_key", "volume_kms_key", "enable_network_isolation"})
# What is no argument of a single value; each is checked, and reported, by who reads it.
_NOT_OURS = frozenset({"input_notebook", "outputs", "return_output"})

# As it is called where it is given.
_SPOKEN = {"region": "region_name"}

_PARSERS: dict[str, Callable[[object], Any]] = {
    "image_uri": parse.image_uri,
    "kernel_name": parse.text,
    "role": parse.role,
    "s3_root_uri": parse.s3_root_uri,
    "region": parse.region,
    "notebook_job_name": parse.notebook_job_name,
    "name": parse.text,
    "environment_variables": parse.environment_variables,
    "s3_kms_key": parse.kms_key,
    "instance_type": parse.instance_types,
    "volume_size": parse.whole_number(minimum=1, maximum=16_384),
    "volume_kms_key": parse.kms_key,
    "encrypt_inter_container_traffic": parse.boolean,
    "security_group_ids": parse.identifiers(most=5, prefix="sg-"),
    "subnets": parse.identifiers(most=16, prefix="subnet-"),
    "max_retry_attempts": parse.whole_number(minimum=0, maximum=30),
    "max_runtime_in_seconds": parse.whole_seconds(minimum=1, maximum=28 * 86_400),
    "tags": parse.tags,
    "keep_alive_period_in_seconds": parse.whole_seconds(minimum=0, maximum=3_600),
    "enable_managed_spot_training": parse.boolean,
    "max_wait_time_in_seconds": parse.whole_seconds(minimum=1, maximum=28 * 86_400),
    "enable_network_isolation": parse.boolean,
    "output_formats": parse.output_formats,
    "studio_domain_arn": parse.studio_domain_arn,
    "studio_user_profile": parse.studio_name,
    "studio_space": parse.studio_name,
    "unified_studio_domain_id": parse.data_zone_id(beginning="dzd"),
    "unified_studio_project_id": parse.data_zone_id(),
    "install_driver": parse.boolean,
    "live_notebook": parse.boolean,
    "cell_output_in_logs": parse.boolean,
    "extra_request": parse.json_object,
}


@dataclass(frozen=True, slots=True)
class GivenArguments:
    """Arguments without those that stand for no value, and what is to be said of these."""

    values: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def given_arguments(arguments: Mapping[str, Any]) -> GivenArguments:
    """
    Take an empty text, and the ``None`` or ``null`` that a template writes for a value that is not there, for no argument at all.

    :return: the others; a warning for each that is left out, or a problem where the job would be less protected without it. Those without which there is
        no job are left to ``parse_spec``.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    warnings: list[str] = []
    for name, value in arguments.items():
        if name in _NOT_OURS or not parse.is_absent(value):
            values[name] = value
        elif value is None or name in _REQUIRED:
            continue
        elif name in _PROTECTING:
            problems.append(
                f"{name} is {value!r}, as a template writes it for a value that is not there; leave the argument out (None) if the job is to run without"
            )
        else:
            warnings.append(
                f"{name} is {value!r}, as a template writes it for a value that is not there: it counts as not given"
            )
    return GivenArguments(values, tuple(problems), tuple(warnings))


def parse_spec(arguments: Mapping[str, object]) -> ParsedSpec:
    """
    Build a spec from rendered arguments, collecting every problem.

    :param arguments: values by field name; None and missing mean the default. Each may be a text that says its value, as Jinja renders it.
    :return: the spec, or all problems, each beginning with the argument's name and saying what to do.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for spec_field in fields(NotebookJobSpec):
        raw = arguments.get(spec_field.name)
        if raw is None or (parse.is_absent(raw) and spec_field.name in _REQUIRED):
            if spec_field.name in _REQUIRED:
                problems.append(_missing(spec_field.name))
            continue
        try:
            values[spec_field.name] = _PARSERS[spec_field.name](raw)
        except ValueError as error:
            problems.append(f"{_SPOKEN.get(spec_field.name, spec_field.name)}: {error}")
    problems += [*_conflicts(values, arguments), *_checkpoint_conflicts(values)]
    # A missing kernel or region is reported by who looked for it (the notebook, the connection).
    complete = all(values.get(name) for name in (*_REQUIRED, "kernel_name", "region"))
    spec = NotebookJobSpec(**values) if complete and not problems else None
    return ParsedSpec(spec, tuple(problems), tuple(_warnings(values)))


def _missing(name: str) -> str:
    return (
        f"{name} is not set; give it as the argument {name!r}, as the key {name!r} of 'nbjobs' in the AWS connection's extra, "
        f"or as {name!r} in section [nbjobs] of the Airflow configuration"
    )


def _conflicts(values: Mapping[str, Any], arguments: Mapping[str, object]) -> list[str]:
    """Return what is wrong with arguments that are each fine alone."""
    problems: list[str] = []
    image = values.get("image_uri", "")
    region = values.get("region")
    image_region = parse.ecr_region(image)
    if (
        image_region
        and region
        and image_region != region
        and "TrainingImageConfig" not in (values.get("extra_request") or {})
    ):
        problems.append(
            f"image_uri: {image!r} lies in region {image_region!r} but the job runs in {region!r}; SageMaker pulls images of its own region only: "
            f"use the image's copy in {region!r} or set region_name={image_region!r}"
        )
    # A volume's key lies in the job's region, and S3 takes none of another region than the bucket's, which is the job's (shape `S3DataSource`).
    problems += [
        f"{name}: {values[name]!r} lies in region {key_region!r} but the job runs in {region!r}; give a key of {region!r}"
        for name in ("s3_kms_key", "volume_kms_key")
        if region and (key_region := parse.kms_region(values.get(name, ""))) not in (None, region)
    ]
    # The SDK drops half a VPC configuration in silence, and the job then runs outside the VPC.
    # Read as parsed where that worked: a text of commas alone is an empty list.
    groups, subnets = (values.get(name, arguments.get(name)) for name in ("security_group_ids", "subnets"))
    if bool(groups) != bool(subnets):
        given, absent = ("security_group_ids", "subnets") if groups else ("subnets", "security_group_ids")
        problems.append(f"{given} is given without {absent}; a VPC configuration needs both, or neither")
    is_spot = values.get("enable_managed_spot_training", False)
    wait = values.get("max_wait_time_in_seconds")
    runtime = values.get("max_runtime_in_seconds", defaults.MAX_RUNTIME_IN_SECONDS)
    if wait is not None and not is_spot:
        problems.append(
            "max_wait_time_in_seconds is for spot training only; set enable_managed_spot_training=True or leave it out"
        )
    if is_spot and wait is None:
        problems.append(
            "enable_managed_spot_training needs max_wait_time_in_seconds (waiting and running together), at least max_runtime_in_seconds"
        )
    if is_spot and wait is not None and wait < runtime:
        problems.append(
            f"max_wait_time_in_seconds ({wait}) is less than max_runtime_in_seconds ({runtime}); it counts waiting and running together"
        )
    if is_spot and values.get("keep_alive_period_in_seconds"):
        problems.append(
            "keep_alive_period_in_seconds: spot instances cannot be kept in a warm pool; leave out one of the two"
        )
    if (values.get("studio_user_profile") or values.get("studio_space")) and not values.get("studio_domain_arn"):
        problems.append("studio_domain_arn is missing: Studio shows a job only in the domain named in its tags")
    unified = ("unified_studio_domain_id", "unified_studio_project_id")
    problems += [
        f"{name} is missing: Unified Studio looks for jobs by domain and project together"
        for name, other in (unified, unified[::-1])
        if arguments.get(other) and not arguments.get(name)
    ]
    if values.get("install_driver") and values.get("enable_network_isolation"):
        problems.append(
            "install_driver needs a network to install from, which enable_network_isolation takes away; use an image that has the driver"
        )
    return problems


def _checkpoint_conflicts(values: Mapping[str, Any]) -> list[str]:
    if not values.get("live_notebook") or "CheckpointConfig" not in (values.get("extra_request") or {}):
        return []
    return [
        "live_notebook takes the job's one checkpoint folder, which extra_request sets as well (CheckpointConfig); leave out one of the two"
    ]


def _warnings(values: Mapping[str, Any]) -> list[str]:
    warnings: list[str] = []
    if values.get("enable_managed_spot_training"):
        warnings.append(
            "spot training: an interruption runs the notebook again from its first cell, so its cells must be safe to repeat"
        )
    warnings += [
        f"{argument}: {name!r} is 'None', as a template writes it for a value that is not there"
        for argument in ("environment_variables", "tags")
        for name, text in values.get(argument, {}).items()
        if text == "None"
    ]
    domain_region = parse.studio_domain_region(values.get("studio_domain_arn", ""))
    if domain_region not in (None, values.get("region")):
        warnings.append(
            f"studio_domain_arn: the domain lies in region {domain_region!r} and the job in {values.get('region')!r}, whose jobs that Studio does not list"
        )
    root = values.get("s3_root_uri", "")
    if root and root[-1] in "/input":
        # Studio cuts the input's URI with rstrip("/input"), which takes away characters, not a suffix.
        warnings.append(
            f"s3_root_uri {root!r} ends in one of the letters of '/input': Studio's download of a job's *input* looks in the wrong place for such a root; "
            "end it in another letter, e.g. '/nbjobs', if you use that"
        )
    return warnings
