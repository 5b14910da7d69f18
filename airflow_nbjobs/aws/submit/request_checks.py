"""
What SageMaker would refuse, or rewrite, of a finished CreateTrainingJob request; pure apart from reading botocore's own model.

Called by ``prepare.py``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.aws_parsers import tag_text
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def request_problems(request: Mapping[str, Any], shape: Any) -> list[str]:
    """
    Return everything in a finished request that SageMaker would refuse by its own model.

    botocore's validator checks names, types and minimums; the maxima and patterns that its model also holds are checked here. Enums are not:
    they grow, and the service knows best.

    :param shape: botocore's input shape of CreateTrainingJob.
    """
    from botocore import __version__
    from botocore.validate import ParamValidator

    newer = f" by the installed botocore {__version__} (if AWS allows it, upgrade boto3)"
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        lines = report.generate_report().splitlines()
        return [f"CreateTrainingJob request: {line}{newer if 'valid min ' in line else ''}" for line in lines]
    return [f"CreateTrainingJob request: {text}{newer}" for text in _limit_problems(request, shape, "")]


def _limit_problems(value: Any, shape: Any, path: str) -> list[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        return [
            text
            for key, member in value.items()
            for text in _limit_problems(member, shape.members[key], f"{path}.{key}".lstrip("."))
        ]
    if shape.type_name == "list":
        return _count_problems(value, shape, path) + [
            text
            for index, member in enumerate(value)
            for text in _limit_problems(member, shape.member, f"{path}[{index}]")
        ]
    if shape.type_name == "map":
        return _count_problems(value, shape, path) + [
            text
            for key, member in value.items()
            for text in (
                *_limit_problems(key, shape.key, f"{path}: the name {shortened(key)!r}"),
                *_limit_problems(member, shape.value, f"{path}[{key!r}]"),
            )
        ]
    most, pattern = shape.metadata.get("max"), shape.metadata.get("pattern")
    if isinstance(value, str):
        if most is not None and len(value) > most:
            return [f"{path} has {len(value)} characters; at most {most} are allowed"]
        # \p{…} classes are Java's; tags, the only fields that have them, are checked with their argument.
        if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value):
            return [f"{path}: {value!r} does not match {pattern}"]
    elif isinstance(value, int) and not isinstance(value, bool) and most is not None and value > most:
        return [f"{path} is {value}; at most {most} is allowed"]
    return []


def _count_problems(value: Collection[Any], shape: Any, path: str) -> list[str]:
    most = shape.metadata.get("max")
    if most is None or len(value) <= most:
        return []
    return [f"{path} has {len(value)} entries; at most {most} are allowed, the operator's own included"]


def rewritten_tags(request: Mapping[str, Any], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Say which tags do not hold what they should, since AWS takes other characters, or fewer of them."""
    sent = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    return tuple(
        f"tag {key!r} is {sent[key]!r} and not {value!r}: a tag holds at most 256 letters, digits, blanks and _ . : / = + - @"
        for key, value in wanted.items()
        if sent.get(key) == tag_text(value) != value
    )
