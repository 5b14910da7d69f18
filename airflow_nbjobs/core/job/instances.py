"""
Instance types of training jobs, and what SageMaker refuses of a finished request for their sake.

Called by ``aws/submit/prepare.py`` and ``aws/errors.py``; pure. Source: botocore's documentation of ``ResourceConfig`` and ``StoppingCondition``, EC2's of instance store.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.guesses import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_TYPE = re.compile(r"ml\.(?P<family>[a-z0-9-]+)\.(?P<size>[a-z0-9-]+)")
_ACCELERATED = re.compile(r"(?:p|g|gr|trn|dl)\d")
# Families whose data lies on NVMe disks of the instance: a "d" after the generation's number says so, or the family has them; one that is not known here is SageMaker's to refuse.
_LOCAL_DISK = re.compile(r"[a-z]+\d+[a-z]*d[a-z]*(?:-.*)?|p[56].*|g[5-7][ef]?|gr6f?|trn\d.*|dl1|i[ms]?\d.*")
# AWS adds sizes to a family while it is new; of one that has this many, no other is to come.
_SETTLED_SIZES = 4
_SIZE = re.compile(r"nano|micro|small|medium|large|\d*xlarge|metal(?:-.+)?")
# What people write for "ml.m5.large": without its dots or its "ml", with hyphens, in capitals.
_LOOSE = re.compile(
    r"(?:ml[^a-z0-9]*)?(?P<family>[a-z]{1,3}\d[a-z]*(?:-flex)?)[^a-z0-9]*(?P<size>\d*[^a-z0-9]*(?:nano|micro|small|medium|x?large|metal))"
)


def has_local_disk(instance_type: str) -> bool:
    """Say whether the instance's storage is its own, which neither takes a KMS key nor has a size to choose."""
    match = _TYPE.fullmatch(instance_type)
    return match is not None and _LOCAL_DISK.fullmatch(match["family"]) is not None


def meant_type(text: str) -> str | None:
    """Return the instance type that a text spells in another way, as far as its form tells."""
    match = _LOOSE.fullmatch(text.strip(" .,;'\"").lower())
    return None if match is None else f"ml.{match['family']}.{re.sub('[^a-z0-9]', '', match['size'])}"


def asked_types(extra_resources: Mapping[str, Any], instance_types: Sequence[str]) -> tuple[str, ...]:
    """Return the types that a job asks for in turn: that of ``extra_request``, which replaces them, or the argument's."""
    replaced_by = extra_resources.get("InstanceType")
    return (replaced_by,) if isinstance(replaced_by, str) else tuple(instance_types)


def type_problems(
    instance_types: Sequence[str], known: Collection[str], *, argument: str = "instance_type"
) -> tuple[list[str], list[str]]:
    """
    Return what cannot be an instance type, and what the installed botocore does not know but may have been added since.

    :param known: the types that botocore knows.
    :param argument: the argument that names them.
    """
    problems, warnings = [], []
    sizes: dict[str, list[str]] = {}
    for each in known:
        if match := _TYPE.fullmatch(each):
            sizes.setdefault(match["family"], []).append(match["size"])
    for unknown in (each for each in instance_types if each not in known):
        match = _TYPE.fullmatch(unknown)
        family, size = match.groups() if match is not None else ("", "")
        its_sizes = sizes.get(family, [])
        hint = did_you_mean(meant_type(unknown) or unknown, known, most=3, cutoff=0.85) or (
            f"; ml.{family} has {', '.join(its_sizes)}" if its_sizes else ""
        )
        if len(its_sizes) >= _SETTLED_SIZES:
            problems.append(f"{argument}: {unknown!r} is no size of ml.{family} for training jobs{hint}")
        elif hint and not _SIZE.fullmatch(size):
            problems.append(f"{argument}: {unknown!r} is no instance type{hint}")
        else:
            warnings.append(
                f"{argument}: {unknown!r} is unknown to the installed botocore, and for SageMaker to decide{hint}"
            )
    return problems, warnings


def resource_problems(
    request: Mapping[str, Any], types: Sequence[str], *, is_volume_key_default: bool = False
) -> list[str]:
    """
    Return what SageMaker refuses, or would not do, though each field is right alone.

    :param request: of CreateTrainingJob, ``extra_request`` merged in.
    :param types: all that may be asked for in turn.
    :param is_volume_key_default: the volume's key is an organisation's, which is left out where a type takes none.
    """
    resources, stopping = request.get("ResourceConfig", {}), request.get("StoppingCondition", {})
    if "InstanceGroups" in resources or "InstancePreferences" in resources:
        text = (
            "extra_request: ResourceConfig.InstanceGroups and InstancePreferences exclude InstanceType, which every notebook job has; "
            "give instance_type one type, or several in order of preference"
        )
        return [text]
    problems = []
    if resources.get("InstanceCount") != 1:
        problems.append(
            f"extra_request: ResourceConfig.InstanceCount is {resources.get('InstanceCount')}, but a notebook runs on one instance: each of several would run "
            "all of it and write to the same place; leave it out, and take a larger instance_type"
        )
    local = [each for each in types if has_local_disk(each)]
    if resources.get("VolumeKmsKeyId") and local and not is_volume_key_default:
        problems.append(
            f"volume_kms_key: SageMaker takes no key for {', '.join(local)}, whose own disk the instance encrypts; "
            "leave the key out, or take a type without a disk of its own, such as ml.m5.large"
        )
    if "MaxPendingTimeInSeconds" in stopping and not any(
        _ACCELERATED.match(each.removeprefix("ml.")) for each in types
    ):
        problems.append(
            f"extra_request: StoppingCondition.MaxPendingTimeInSeconds is for accelerated instances (ml.p*, ml.g*, ml.trn*) only, not for {', '.join(types)}; "
            "capacity_timeout limits how long the task waits for an instance"
        )
    return problems + _spot_problems(request, resources, stopping) + _repeated(request)


def _spot_problems(request: Mapping[str, Any], resources: Mapping[str, Any], stopping: Mapping[str, Any]) -> list[str]:
    """Return what is wrong where ``extra_request`` makes a spot job; of the arguments alone, ``parse_spec`` has said it."""
    wait, runtime = stopping.get("MaxWaitTimeInSeconds"), stopping.get("MaxRuntimeInSeconds", 0)
    if not request.get("EnableManagedSpotTraining"):
        return (
            [] if wait is None else ["extra_request: StoppingCondition.MaxWaitTimeInSeconds is for spot training only"]
        )
    problems = []
    if wait is None or wait < runtime:
        problems.append(
            f"extra_request: spot training needs StoppingCondition.MaxWaitTimeInSeconds (it is {wait}), at least MaxRuntimeInSeconds ({runtime})"
        )
    if resources.get("KeepAlivePeriodInSeconds"):
        problems.append("extra_request: spot instances cannot be kept in a warm pool (KeepAlivePeriodInSeconds)")
    return problems


def _repeated(request: Mapping[str, Any]) -> list[str]:
    names = {
        "Tags": Counter(tag["Key"] for tag in request.get("Tags", ())),
        "InputDataConfig": Counter(channel["ChannelName"] for channel in request.get("InputDataConfig", ())),
    }
    return [
        f"extra_request: {field} has {name!r} {count} times; SageMaker takes each once"
        for field, counted in names.items()
        for name, count in counted.items()
        if count > 1
    ]


def resource_warnings(instance_types: Sequence[str], *, volume_size: int, usual_size: int) -> list[str]:
    """Say where a volume's size that was chosen plays no part."""
    local = [each for each in instance_types if has_local_disk(each)]
    if volume_size == usual_size or not local:
        return []
    return [
        f"volume_size plays no part on {', '.join(local)}: its storage is the instance's own disk, as large as it is"
    ]
