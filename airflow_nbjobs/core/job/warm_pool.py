"""
Warm pools: what jobs must have in common to share a machine, what SageMaker says of a pool, and when it can be given back. Pure.

Called by ``status.py``, which reads descriptions, and by the tasks that report on a pool or release it.
Source: SageMaker developer guide, warm pools; API reference, ``WarmPoolStatus`` and ``UpdateTrainingJob``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_nbjobs.core.job.status import JobSnapshot

KEEP_ARGUMENT = "keep_alive_period_in_seconds"
IN_USE, AVAILABLE, REUSED, TERMINATED = "InUse", "Available", "Reused", "Terminated"
# How long after a job's end its pool may not be shown yet; where the quota is zero there never is one.
SETTLING_SECONDS = 30.0

# What SageMaker matches on: the argument that says it, and where a request and a description have it. Not the image, the input, the environment, the tags.
MATCHED = {
    "role": ("RoleArn",),
    "instance_type": ("ResourceConfig", "InstanceType"),
    "instance_count": ("ResourceConfig", "InstanceCount"),  # no argument: of `extra_request`
    "volume_size": ("ResourceConfig", "VolumeSizeInGB"),
    "volume_kms_key": ("ResourceConfig", "VolumeKmsKeyId"),
    "security_group_ids": ("VpcConfig", "SecurityGroupIds"),
    "subnets": ("VpcConfig", "Subnets"),
    "encrypt_inter_container_traffic": ("EnableInterContainerTrafficEncryption",),
    "enable_network_isolation": ("EnableNetworkIsolation",),
}
_SETS = frozenset({"security_group_ids", "subnets"})
_FLAGS = frozenset({"encrypt_inter_container_traffic", "enable_network_isolation"})


class WarmPool(msgspec.Struct, frozen=True):
    """
    ``WarmPoolStatus``.

    :param status: ``InUse``, ``Available``, ``Reused``, ``Terminated``, or what AWS adds later.
    :param retained_seconds: how long each instance has idled, which is billed; None while that is not told.
    :param reused_by: the job that took the machine over.
    """

    status: str
    retained_seconds: int | None = None
    reused_by: str | None = None


def parse_warm_pool(answer: Mapping[str, Any]) -> WarmPool | None:
    """Read the ``WarmPoolStatus`` of a description; None where SageMaker keeps nothing for the job."""
    found = answer.get("WarmPoolStatus") or {}
    if "Status" not in found:
        return None
    return WarmPool(found["Status"], found.get("ResourceRetainedBillableTimeInSeconds"), found.get("ReusedByJob"))


def machine_of(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return what SageMaker matches on, by argument, of a description or a request."""
    found: dict[str, Any] = {}
    for name, path in MATCHED.items():
        value: Any = described
        for part in path:
            value = (value or {}).get(part)
        found[name] = sorted(value or ()) if name in _SETS else bool(value) if name in _FLAGS else value
    return found


def differences(machine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in words why two machines of ``machine_of`` cannot be one, in the order of ``MATCHED``; nothing where they can."""
    return [
        f"{name} is {machine[name]!r} here and {other[name]!r} there"
        for name in MATCHED
        if machine[name] != other[name]
    ]


class Release(enum.Enum):
    """What is to be done about the machine of one job."""

    NOW = "it idles"
    LATER = "it works, or its end is not shown yet"
    NEVER = "nothing is kept, or another job has it"


def release_step(snapshot: JobSnapshot | None, *, now: datetime) -> Release:
    """:param snapshot: of the job; None where SageMaker does not know it. One with an ``Available`` pool is not deleted. Source: DeleteTrainingJob."""
    if snapshot is None or not snapshot.keep_alive_seconds or snapshot.is_being_deleted:
        return Release.NEVER
    if not snapshot.state.is_terminal:
        return Release.LATER
    if snapshot.warm_pool is None:
        is_recent = snapshot.ended is not None and (now - snapshot.ended).total_seconds() < SETTLING_SECONDS
        return Release.LATER if is_recent else Release.NEVER
    if snapshot.warm_pool.status in (REUSED, TERMINATED):
        return Release.NEVER
    return Release.NOW if snapshot.warm_pool.status == AVAILABLE else Release.LATER


def billed(snapshot: JobSnapshot) -> str:
    """Return in words what idling has cost: ``34 s kept, billed as 34 s x 1 instance``."""
    seconds = snapshot.warm_pool.retained_seconds if snapshot.warm_pool else None
    if seconds is None:
        return "SageMaker does not say yet how long it was kept"
    count = snapshot.instance_count
    return f"{seconds} s kept, billed as {seconds} s x {count} instance{'s' * (count != 1)}"


def own_pool(snapshot: JobSnapshot) -> tuple[str, bool]:
    """
    Say what becomes of the machine of a job that has ended and asked for a pool.

    :return: the sentence, and whether it is a warning.
    """
    pool = snapshot.warm_pool
    if pool is not None and pool.status != TERMINATED:
        return f"The machine is kept for the next job, at most {snapshot.keep_alive_seconds} s ({pool.status})", False
    shown = "absent" if pool is None else pool.status
    text = (
        f"SageMaker keeps no machine after this job, though {KEEP_ARGUMENT} asks for {snapshot.keep_alive_seconds} s (WarmPoolStatus: {shown}). "
        f"Where that stays so, the quota '{snapshot.instance_type} for training warm pool usage' is zero, as in every new account: "
        "ask for more in Service Quotas"
    )
    return text, True


def taken_over(snapshot: JobSnapshot, before: JobSnapshot) -> str:
    """Say whether a job ran on the machine of the job before it, and what keeping that has cost."""
    pool, name = before.warm_pool, before.job_name
    if pool is not None and pool.reused_by == snapshot.job_name:
        return f"Ran on the machine of '{name}': {billed(before)}"
    found = differences(snapshot.machine, before.machine)
    if found:
        return f"Did not run on the machine of '{name}', which it does not match: {'; '.join(found)}"
    if not before.keep_alive_seconds:
        return f"Did not run on the machine of '{name}', which asked for no warm pool"
    if pool is None:
        return f"Did not run on the machine of '{name}', which was not kept (WarmPoolStatus: absent)"
    whose = f" by '{pool.reused_by}'" if pool.reused_by else ""
    cost = f": {billed(before)}" if pool.status in (REUSED, TERMINATED) else ""
    return f"Did not run on the machine of '{name}' ({pool.status}{whose}{cost})"
