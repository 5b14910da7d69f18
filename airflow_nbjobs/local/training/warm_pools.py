"""
Warm pools: which job gets which machine, and how long an idle one is kept.

Called by ``api/operations.py`` around every operation that shows or makes training jobs; tests set quotas and the start-up delay through ``faults/http.py``.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.pools import AVAILABLE, IN_USE, Pool, keep_seconds_of, machine_of
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_nbjobs.local.state.jobs import TrainingJob
    from airflow_nbjobs.local.state.registry import Registry

_HOLDING = frozenset({IN_USE, AVAILABLE})


class WarmPools:
    """
    The pools of all training jobs.

    :param quota: how many instances of each type may be in pools; 0 is what a new AWS account has, where a job that asks for a pool runs and keeps
        nothing, without a word.
    :param start_seconds: how long a job that finds no machine in a pool stays in ``Starting``; a setting, not a measurement: nothing that it makes
        faster or slower says anything about AWS.
    """

    def __init__(self, registry: Registry[TrainingJob], *, quota: int = 0, start_seconds: float = 0.0) -> None:
        self._registry = registry
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._defaults = quota, start_seconds
        self._quotas: dict[str, int] = {}
        self.start_seconds = start_seconds

    def actions(self) -> dict[Any, Callable[..., Any]]:
        return {"warm_pool_quota": self.set_quota, "start_delay": self.set_start_seconds}

    def set_quota(self, instance_type: str, limit: int | None) -> None:
        """Set how many instances of a type may be in pools; None: what the server was started with."""
        with self._lock:
            if limit is None:
                self._quotas.pop(instance_type, None)
            else:
                self._quotas[instance_type] = int(limit)

    def set_start_seconds(self, seconds: float) -> None:
        self.start_seconds = float(seconds)

    def clear(self) -> None:
        """Forget what a test has set, and give back every idle machine: the next test begins with none."""
        with self._lock:
            self._quotas.clear()
        self.start_seconds = self._defaults[1]
        self.settle(all_of_them=True)

    def settle(self, *, all_of_them: bool = False) -> None:
        """Give back the machines whose time is over."""
        now = time.time()
        with self._lock:
            for name in sorted(self._names):
                try:
                    job = self._registry.change(name, lambda one: _settled(one, now=now, is_over=all_of_them))
                except ValidationError:  # deleted
                    job = None
                if job is None or job.pool is None or job.pool.status not in _HOLDING:
                    self._names.discard(name)

    @contextmanager
    def furnishing(self, job: TrainingJob) -> Iterator[TrainingJob]:
        """
        Give a new job the machine that it matches, or let it found a pool where it asks for one and the quota allows it.

        The block registers the job; what it raises leaves all pools as they are.
        """
        self.settle()
        with self._lock:
            held = self._held()
            found = next(
                (one for one in held if _is_free(one) and machine_of(one.request) == machine_of(job.request)), None
            )
            is_granted = found is not None or (keep_seconds_of(job.request) > 0 and self._has_room(job, held))
            yield replace(job, pool=Pool(is_taken_over=found is not None)) if is_granted else job
            if is_granted:
                self._names.add(job.name)
            if found is not None:
                self._registry.change(found.name, lambda one: _handed_over(one, job.name))
                self._names.discard(found.name)

    def _held(self) -> list[TrainingJob]:
        jobs = {job.name: job for job in self._registry.all()} if self._names else {}
        return [jobs[name] for name in sorted(self._names & jobs.keys()) if jobs[name].pool is not None]

    def _has_room(self, job: TrainingJob, held: list[TrainingJob]) -> bool:
        resources = job.request.get("ResourceConfig", {})
        instance_type = str(resources.get("InstanceType", ""))
        used = sum(
            one.request["ResourceConfig"].get("InstanceCount", 1)
            for one in held
            if one.request["ResourceConfig"].get("InstanceType") == instance_type
        )
        return bool(used + resources.get("InstanceCount", 1) <= self._quotas.get(instance_type, self._defaults[0]))


def _is_free(job: TrainingJob) -> bool:
    return job.pool is not None and job.pool.status == AVAILABLE


def _settled(job: TrainingJob, *, now: float, is_over: bool) -> TrainingJob:
    if job.pool is None:
        return job
    pool = job.pool.settled(now=now)
    if is_over and pool.status == AVAILABLE:
        pool = pool.kept_for(0, now=now)
    return job if pool == job.pool else replace(job, pool=pool)


def _handed_over(job: TrainingJob, to: str) -> TrainingJob:
    return job if job.pool is None else replace(job, pool=job.pool.handed_to(to, now=time.time()))
