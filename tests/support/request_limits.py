"""
What CreateTrainingJob takes, written down a second time: no request of any test may break it.

Apart from the package on purpose: neither its own check before a job is sent (``aws/submit/request_checks.py``) nor the embedded server's
(``local/wire/validation.py``) is asked. ``conftest.py`` and ``fakes.py`` put it in every request's way.

Source: CreateTrainingJob, API reference; botocore ``sagemaker/2017-07-24/service-2``; SageMaker developer guide (warm pools, spot training).
"""

from __future__ import annotations

import contextlib
import functools
import re
import unicodedata
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

DAY_SECONDS = 86_400
ACCELERATED = re.compile(r"ml\.(p|g|trn)\d")
LOCAL_DISK = re.compile(r"ml\.(p4d|p4de|p5\w*|p6\w*|g4dn|g5|g6\w*|trn1n?|trn2)\.")  # NVMe instance storage
S3_URI = re.compile(r"(https|s3)://([^/]+)/?(.*)")


def violations(request: Mapping[str, Any]) -> list[str]:
    """
    Return everything for which the service would refuse a request, each beginning with the field's name.

    Values that are no strings (a pipeline's expressions) are botocore's to judge: it takes none.
    """
    return [
        *_model_violations(request),
        *(text for check in _CHECKS for text in check(request)),
    ]


class LimitBrokenError(AssertionError):
    """A test, or the package in it, has sent a request that the service would refuse."""


# What was sent against a limit in the current test, also where the error itself was swallowed or raised in a thread.
broken: list[str] = []


def keep(request: Mapping[str, Any]) -> None:
    """
    Let a request pass that keeps every limit.

    :raises LimitBrokenError: with everything that is wrong.
    """
    found = violations(request)
    if found:
        broken.extend(found)
        raise LimitBrokenError(f"CreateTrainingJob of {request.get('TrainingJobName')!r}: {'; '.join(found)}")


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """
    Check, in this process, every CreateTrainingJob that a boto3 client gets accepted, by whomever.

    Tests of refusals send what is wrong on purpose; a request that is refused bills nothing.
    """
    from botocore.client import BaseClient

    call = BaseClient._make_api_call

    def checked_call(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = call(self, operation, arguments)
        if operation == "CreateTrainingJob":
            keep(arguments)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", checked_call)
        yield


@functools.cache
def _shape() -> Any:
    model = botocore.session.get_session().get_service_model("sagemaker")
    return model.operation_model("CreateTrainingJob").input_shape


def _model_violations(request: Mapping[str, Any]) -> Iterator[str]:
    report = ParamValidator().validate(dict(request), _shape())
    for line in report.generate_report().splitlines():
        inside = re.search(r'parameter in (\S+): "(\w+)"', line)  # missing, or unknown
        itself = re.search(r"for parameter (\S+),", line)
        place = f"{inside[1]}.{inside[2]}".removeprefix("input.") if inside else itself[1] if itself else "request"
        yield f"{place}: {line}"


def _text(
    field: str, value: object, *, least: int = 0, most: int, pattern: str = r"[\S\s]*", ascii_only: bool = True
) -> Iterator[str]:
    if not isinstance(value, str):
        return
    if not least <= len(value) <= most:
        yield f"{field}: {len(value)} characters, not {least} to {most}"
    if not re.fullmatch(pattern, value, re.ASCII if ascii_only else 0):
        yield f"{field}: {value!r} does not match {pattern}"


def _number(field: str, value: object, least: int, most: int) -> Iterator[str]:
    if isinstance(value, int) and not least <= value <= most:
        yield f"{field}: {value}, not {least} to {most}"


def _count(field: str, value: Any, most: int, least: int = 0) -> Iterator[str]:
    if value is not None and not least <= len(value) <= most:
        yield f"{field}: {len(value)} entries, not {least} to {most}"


def _name_and_role(request: Mapping[str, Any]) -> Iterator[str]:
    yield from _text(
        "TrainingJobName",
        request.get("TrainingJobName"),
        least=1,
        most=63,
        pattern="[a-zA-Z0-9](-*[a-zA-Z0-9])*",
    )
    yield from _text(
        "RoleArn",
        request.get("RoleArn"),
        least=20,
        most=2048,
        pattern=r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+",
    )


def _maps(request: Mapping[str, Any]) -> Iterator[str]:
    hyperparameters, environment = request.get("HyperParameters"), request.get("Environment")
    yield from _count("HyperParameters", hyperparameters, 100)
    for name, value in (hyperparameters or {}).items():
        yield from _text("HyperParameters", name, most=256, pattern=".*", ascii_only=False)
        yield from _text("HyperParameters", value, most=2500, pattern=".*", ascii_only=False)
    yield from _count("Environment", environment, 100)
    for name, value in (environment or {}).items():
        yield from _text("Environment", name, most=512, pattern="[a-zA-Z_][a-zA-Z0-9_]*")
        yield from _text("Environment", value, most=512)


def _tags(request: Mapping[str, Any]) -> Iterator[str]:
    tags = [tag for tag in request.get("Tags", ()) if isinstance(tag.get("Key"), str)]
    yield from _count("Tags", tags, 50)
    keys = [tag["Key"] for tag in tags]
    if len(set(keys)) < len(keys):
        yield "Tags: a key twice"
    for tag in tags:
        yield from _text("Tags", tag["Key"], least=1, most=128)
        yield from _text("Tags", tag["Value"], most=256)
        if not all(map(_is_tag_character, f"{tag['Key']}{tag['Value']}")):
            yield f"Tags: {tag} has characters that tags cannot hold"
        if tag["Key"].lower().startswith("aws:"):
            yield f"Tags: {tag['Key']!r} is AWS's own"


def _is_tag_character(character: str) -> bool:
    return character in "_.:/=+-@" or unicodedata.category(character)[0] in "LZN"


def _algorithm(request: Mapping[str, Any]) -> Iterator[str]:
    algorithm = request.get("AlgorithmSpecification", {})
    yield from _text("AlgorithmSpecification.TrainingImage", algorithm.get("TrainingImage"), least=1, most=255)
    for name in ("ContainerEntrypoint", "ContainerArguments"):
        entries = algorithm.get(name)
        yield from _count(f"AlgorithmSpecification.{name}", entries, 100, least=1)
        for entry in entries or ():
            yield from _text(f"AlgorithmSpecification.{name}", entry, most=256)


def _data(request: Mapping[str, Any]) -> Iterator[str]:
    channels = request.get("InputDataConfig")
    yield from _count("InputDataConfig", channels, 20, least=1)
    names = [channel.get("ChannelName") for channel in channels or ()]
    if len(set(names)) < len(names):
        yield "InputDataConfig: a channel's name twice"
    for channel in channels or ():
        yield from _text(
            "InputDataConfig.ChannelName", channel.get("ChannelName"), least=1, most=64, pattern=r"[A-Za-z0-9.\-_]+"
        )
        uri = channel.get("DataSource", {}).get("S3DataSource", {}).get("S3Uri")
        yield from _text("InputDataConfig.S3Uri", uri, most=1024, pattern=S3_URI.pattern, ascii_only=False)
    output = request.get("OutputDataConfig", {})
    yield from _text(
        "OutputDataConfig.S3OutputPath",
        output.get("S3OutputPath"),
        most=1024,
        pattern=S3_URI.pattern,
        ascii_only=False,
    )
    yield from _key("OutputDataConfig.KmsKeyId", output.get("KmsKeyId"))


def _key(field: str, value: object) -> Iterator[str]:
    yield from _text(field, value, most=2048, pattern="[a-zA-Z0-9:/_-]*")


def _resources(request: Mapping[str, Any]) -> Iterator[str]:
    resources = request.get("ResourceConfig", {})
    instance_type = resources.get("InstanceType", "")
    yield from _number("ResourceConfig.VolumeSizeInGB", resources.get("VolumeSizeInGB"), 1, 16_384)
    yield from _number("ResourceConfig.KeepAlivePeriodInSeconds", resources.get("KeepAlivePeriodInSeconds"), 0, 3_600)
    yield from _key("ResourceConfig.VolumeKmsKeyId", resources.get("VolumeKmsKeyId"))
    if resources.get("VolumeKmsKeyId") and LOCAL_DISK.match(instance_type):
        yield f"ResourceConfig.VolumeKmsKeyId: {instance_type} encrypts its own disk"
    if resources.get("KeepAlivePeriodInSeconds") and request.get("EnableManagedSpotTraining"):
        yield "ResourceConfig.KeepAlivePeriodInSeconds: not with spot training"


def _network(request: Mapping[str, Any]) -> Iterator[str]:
    vpc = request.get("VpcConfig")
    if vpc is None:
        return
    yield from _count("VpcConfig.SecurityGroupIds", vpc.get("SecurityGroupIds", ()), 5, least=1)
    yield from _count("VpcConfig.Subnets", vpc.get("Subnets", ()), 16, least=1)
    for name in ("SecurityGroupIds", "Subnets"):
        for entry in vpc.get(name, ()):
            yield from _text(f"VpcConfig.{name}", entry, most=32, pattern="[-0-9a-zA-Z]+")


def _times(request: Mapping[str, Any]) -> Iterator[str]:
    yield from _number(
        "RetryStrategy.MaximumRetryAttempts", request.get("RetryStrategy", {}).get("MaximumRetryAttempts"), 1, 30
    )
    condition = request.get("StoppingCondition", {})
    runtime, wait, pending = (condition.get(f"Max{name}InSeconds") for name in ("Runtime", "WaitTime", "PendingTime"))
    yield from _number("StoppingCondition.MaxRuntimeInSeconds", runtime, 1, 28 * DAY_SECONDS)
    is_spot = bool(request.get("EnableManagedSpotTraining"))
    if is_spot != (wait is not None):
        yield "StoppingCondition.MaxWaitTimeInSeconds: with spot training, and only with it"
    if wait is not None and wait < (runtime or DAY_SECONDS):
        yield f"StoppingCondition.MaxWaitTimeInSeconds: {wait} is less than MaxRuntimeInSeconds"
    yield from _number("StoppingCondition.MaxPendingTimeInSeconds", pending, 1_800, 28 * DAY_SECONDS)
    instance_type = request.get("ResourceConfig", {}).get("InstanceType", "")
    if pending is not None and not ACCELERATED.match(instance_type):
        yield f"StoppingCondition.MaxPendingTimeInSeconds: not for {instance_type}"


_CHECKS: tuple[Callable[[Mapping[str, Any]], Iterator[str]], ...] = (
    _name_and_role,
    _maps,
    _tags,
    _algorithm,
    _data,
    _resources,
    _network,
    _times,
)
