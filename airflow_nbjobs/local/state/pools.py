"""
The warm pool of a training job, as a value: what keeps its machine, and until when. Pure; kept in ``state/jobs.py``, decided in ``training/warm_pools.py``.

Source: SageMaker developer guide, warm pools; API reference, ``WarmPoolStatus``. Where they say nothing, this does: a pool that SageMaker grants is
``InUse`` from the job's creation on, and one that the quota does not allow is not there at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_USE, AVAILABLE, REUSED, TERMINATED = "InUse", "Available", "Reused", "Terminated"
# After these the machine itself is in doubt, or there is none.
_NOTHING_TO_KEEP = ("InternalServerError", "CapacityError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """
    :param since: when the machine began to idle, in seconds since the epoch; with ``until``, when it is given back.
    :param reused_by: the job that has taken it over.
    :param is_taken_over: whether the job found its machine in a pool.
    """

    status: str = IN_USE
    since: float | None = None
    until: float | None = None
    ended: float | None = None
    reused_by: str | None = None
    is_taken_over: bool = False

    def idling(self, keep_seconds: int, *, now: float) -> Pool:
        """Return the pool as its job's end leaves it."""
        if keep_seconds <= 0:
            return replace(self, status=TERMINATED, since=now, ended=now)
        return replace(self, status=AVAILABLE, since=now, until=now + keep_seconds)

    def handed_to(self, job_name: str, *, now: float) -> Pool:
        return replace(self, status=REUSED, ended=now, reused_by=job_name)

    def kept_for(self, keep_seconds: int, *, now: float) -> Pool:
        """Return an idle pool that is to be kept for so long from its job's end on; over is over."""
        changed = replace(self, until=(self.since or now) + keep_seconds)
        return changed.settled(now=now) if keep_seconds else replace(changed, status=TERMINATED, ended=now)

    def settled(self, *, now: float) -> Pool:
        """Return the pool as it is now: given back when its time is over."""
        is_over = self.status == AVAILABLE and self.until is not None and self.until <= now
        return replace(self, status=TERMINATED, ended=self.until) if is_over else self

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"Status": self.status}
        if self.since is not None and self.ended is not None:
            document["ResourceRetainedBillableTimeInSeconds"] = round(self.ended - self.since)
        if self.reused_by is not None:
            document["ReusedByJob"] = self.reused_by
        return document


def keep_seconds_of(request: Mapping[str, Any]) -> int:
    return int(request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds") or 0)


def keeps_machine(failure_reason: str | None, *, has_started: bool) -> bool:
    """Say whether a job's end leaves a machine: also after a stop and after an error of its own, not after one of the platform's."""
    return has_started and not (failure_reason or "").startswith(_NOTHING_TO_KEEP)


def machine_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two jobs must have in common to share a machine; image, input, environment and tags are not in it."""
    resources, vpc = request.get("ResourceConfig", {}), request.get("VpcConfig", {})
    return {
        "RoleArn": request.get("RoleArn"),
        **{name: resources.get(name) for name in ("InstanceCount", "InstanceType", "VolumeKmsKeyId", "VolumeSizeInGB")},
        **{name: sorted(vpc.get(name, ())) for name in ("SecurityGroupIds", "Subnets")},
        **{
            name: request.get(name, False)
            for name in ("EnableInterContainerTrafficEncryption", "EnableNetworkIsolation")
        },
    }
