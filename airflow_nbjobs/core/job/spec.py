"""
One notebook job as a value, and its validation against the service's real limits.

``parse_spec`` is called by ``aws/submit/prepare.py`` with the task's arguments; pure. botocore checks types and minimums only, so what
the service would refuse (maxima, patterns) is checked here, before anything is uploaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping  # noqa: TC003 - the annotations are read
from typing import Annotated, Any, get_type_hints

import msgspec

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.job import aws_parsers as aws
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.job.arguments import REQUIRED, JobArguments

_RUNTIME = parse.whole_seconds(minimum=1, maximum=28 * 86_400)
_MOST_PREFERENCES = 5
# What an `extra_request` may say about instances beside, or instead of, `instance_type`.
_OTHER_INSTANCES = frozenset(
    {"InstanceType", "InstanceGroups", "InstancePreferences", "InstancePlacementConfig", "TrainingPlanArn"}
)


class NotebookJobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a notebook job is made of, in the words of ``NotebookJobStep``; valid by construction through ``parse_spec``.

    Each field names the parser of its argument.

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

    image_uri: Annotated[str, aws.image_uri]
    kernel_name: Annotated[str, parse.text]
    role: Annotated[str, aws.role]
    s3_root_uri: Annotated[str, aws.s3_root_uri]
    region: Annotated[str, aws.region]
    notebook_job_name: Annotated[str | None, aws.notebook_job_name] = None
    name: Annotated[str | None, parse.text] = None
    environment_variables: Annotated[Mapping[str, str], aws.environment_variables] = msgspec.field(default_factory=dict)
    s3_kms_key: Annotated[str | None, aws.kms_key] = None
    instance_type: Annotated[tuple[str, ...], aws.instance_types] = (defaults.INSTANCE_TYPE,)
    volume_size: Annotated[int, parse.whole_number(minimum=1, maximum=16_384)] = defaults.VOLUME_SIZE
    volume_kms_key: Annotated[str | None, aws.kms_key] = None
    encrypt_inter_container_traffic: Annotated[bool, parse.boolean] = defaults.ENCRYPT_INTER_CONTAINER_TRAFFIC
    security_group_ids: Annotated[tuple[str, ...], aws.identifiers(most=5, prefix="sg-")] = ()
    subnets: Annotated[tuple[str, ...], aws.identifiers(most=16, prefix="subnet-")] = ()
    max_retry_attempts: Annotated[int, parse.whole_number(minimum=0, maximum=30)] = defaults.MAX_RETRY_ATTEMPTS
    max_runtime_in_seconds: Annotated[int, _RUNTIME] = defaults.MAX_RUNTIME_IN_SECONDS
    tags: Annotated[Mapping[str, str], aws.tags] = msgspec.field(default_factory=dict)
    keep_alive_period_in_seconds: Annotated[int | None, parse.whole_seconds(minimum=0, maximum=3_600)] = None
    enable_managed_spot_training: Annotated[bool, parse.boolean] = False
    max_wait_time_in_seconds: Annotated[int | None, _RUNTIME] = None
    enable_network_isolation: Annotated[bool, parse.boolean] = False
    output_formats: Annotated[tuple[str, ...], aws.output_formats] = ()
    studio_domain_arn: Annotated[str | None, aws.studio_domain_arn] = None
    studio_user_profile: Annotated[str | None, aws.studio_name] = None
    studio_space: Annotated[str | None, aws.studio_name] = None
    unified_studio_domain_id: Annotated[str | None, aws.unified_studio_domain_id] = None
    unified_studio_project_id: Annotated[str | None, aws.unified_studio_project_id] = None
    install_driver: Annotated[bool, parse.boolean] = False
    live_notebook: Annotated[bool, parse.boolean] = False
    cell_output_in_logs: Annotated[bool, parse.boolean] = False
    extra_request: Annotated[Mapping[str, Any], parse.json_object] = msgspec.field(default_factory=dict)

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


class ParsedSpec(msgspec.Struct, frozen=True):
    """A spec, or None where ``problems`` says why there is none; ``warnings`` go to the task log."""

    spec: NotebookJobSpec | None
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


_PARSERS: Mapping[str, Callable[[object], Any]] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(NotebookJobSpec, include_extras=True).items()
}
_NAMES_OF_ARGUMENTS = {"region": "region_name"}


def parse_spec(arguments: JobArguments, *, region: str | None) -> ParsedSpec:
    """
    Build a spec, collecting every problem.

    :param arguments: each may be a text that says its value, as Jinja renders it.
    :return: the spec, or all problems, each beginning with the argument's name and saying what to do.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, parser in _PARSERS.items():
        value = region if name == "region" else getattr(arguments, name)
        if value is None or (name in REQUIRED and parse.is_absent(value)):
            if name in REQUIRED:
                problems.append(_missing(name))
            continue
        try:
            values[name] = parser(value)
        except ValueError as error:
            problems.append(f"{_NAMES_OF_ARGUMENTS.get(name, name)}: {error}")
    problems += _conflicts(values, arguments)
    # A missing kernel or region is reported by who looked for it (the notebook, the connection).
    complete = all(values.get(name) for name in (*REQUIRED, "kernel_name", "region"))
    spec = NotebookJobSpec(**values) if complete and not problems else None
    return ParsedSpec(spec, tuple(problems), tuple(_warnings(values)))


def _missing(name: str) -> str:
    return (
        f"{name} is not set; give it as the argument {name!r}, as the key {name!r} of 'nbjobs' in the AWS connection's extra, "
        f"or as {name!r} in section [nbjobs] of the Airflow configuration"
    )


def _conflicts(values: Mapping[str, Any], arguments: JobArguments) -> list[str]:
    """Return what is wrong with arguments that are each fine alone."""
    problems = [*_region_conflicts(values), *_half_given(values, arguments), *_spot_conflicts(values)]
    if values.get("install_driver") and values.get("enable_network_isolation"):
        problems.append(
            "install_driver needs a network to install from, which enable_network_isolation takes away; use an image that has the driver"
        )
    if values.get("live_notebook") and "CheckpointConfig" in values.get("extra_request", {}):
        problems.append(
            "live_notebook takes the job's one checkpoint folder, which extra_request sets as well (CheckpointConfig); leave out one of the two"
        )
    return problems


def _region_conflicts(values: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    image, region = values.get("image_uri", ""), values.get("region")
    image_region = aws.region_of(image)
    if region and image_region not in (None, region) and "TrainingImageConfig" not in values.get("extra_request", {}):
        problems.append(
            f"image_uri: {image!r} lies in region {image_region!r} but the job runs in {region!r}; SageMaker pulls images of its own region only: "
            f"use the image's copy in {region!r} or set region_name={image_region!r}"
        )
    # A volume's key lies in the job's region, and S3 takes none of another region than the bucket's, which is the job's (shape `S3DataSource`).
    problems += [
        f"{name}: {values[name]!r} lies in region {key_region!r} but the job runs in {region!r}; give a key of {region!r}"
        for name in ("s3_kms_key", "volume_kms_key")
        if region and (key_region := aws.region_of(values.get(name, ""))) not in (None, region)
    ]
    return problems


def _half_given(values: Mapping[str, Any], arguments: JobArguments) -> list[str]:
    problems: list[str] = []
    # The SDK drops half a VPC configuration in silence, and the job then runs outside the VPC.
    # Read as parsed where that worked: a text of commas alone is an empty list.
    groups, subnets = (values.get(name, getattr(arguments, name)) for name in ("security_group_ids", "subnets"))
    if bool(groups) != bool(subnets):
        present, absent = ("security_group_ids", "subnets") if groups else ("subnets", "security_group_ids")
        problems.append(f"{present} is given without {absent}; a VPC configuration needs both, or neither")
    if (values.get("studio_user_profile") or values.get("studio_space")) and not values.get("studio_domain_arn"):
        problems.append("studio_domain_arn is missing: Studio shows a job only in the domain named in its tags")
    if bool(arguments.unified_studio_domain_id) != bool(arguments.unified_studio_project_id):
        absent = "unified_studio_domain_id" if arguments.unified_studio_project_id else "unified_studio_project_id"
        problems.append(f"{absent} is missing: Unified Studio looks for jobs by domain and project together")
    return problems


def _spot_conflicts(values: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    wait = values.get("max_wait_time_in_seconds")
    if not values.get("enable_managed_spot_training"):
        if wait is not None:
            problems.append(
                "max_wait_time_in_seconds is for spot training only; set enable_managed_spot_training=True or leave it out"
            )
        return problems
    runtime = values.get("max_runtime_in_seconds", defaults.MAX_RUNTIME_IN_SECONDS)
    if wait is None:
        problems.append(
            "enable_managed_spot_training needs max_wait_time_in_seconds (waiting and running together), at least max_runtime_in_seconds"
        )
    elif wait < runtime:
        problems.append(
            f"max_wait_time_in_seconds ({wait}) is less than max_runtime_in_seconds ({runtime}); it counts waiting and running together"
        )
    if values.get("keep_alive_period_in_seconds"):
        problems.append(
            "keep_alive_period_in_seconds: spot instances cannot be kept in a warm pool; leave out one of the two"
        )
    return problems


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
    domain_region = aws.region_of(values.get("studio_domain_arn", ""))
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
