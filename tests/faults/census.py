"""What a fault event left behind, counted. Pure: takes what SageMaker, S3 and Airflow say, knows neither."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields

FINAL = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_LIVE = frozenset({"InProgress", "Completed"})


@dataclass(frozen=True, slots=True)
class Job:
    """
    A training job, as Describe shows it.

    :param owner: ``NBJOBS_OWNER``.
    :param created: its place in the order of creation.
    """

    name: str
    owner: str
    status: str
    secondary_status: str
    created: int

    @property
    def identity(self) -> list[object]:
        return list(json.loads(self.owner))

    @property
    def generation(self) -> str:
        """Deployment, DAG, run, its start, task, map index, generation: everything but the attempt."""
        return json.dumps(self.identity[:7])

    @property
    def run_started(self) -> object:
        return self.identity[3]

    @property
    def map_index(self) -> object:
        return self.identity[5]

    @property
    def is_stopped(self) -> bool:
        """By a StopTrainingJob, not by its own MaxRuntime."""
        return self.status in ("Stopping", "Stopped") and self.secondary_status != "MaxRuntimeExceeded"


@dataclass(frozen=True, slots=True)
class Instance:
    """
    A task instance at the end.

    :param token: the output that names the job it came from.
    :param announced: the job that the task says it follows: what links, tabs and a triggerer's checks go by.
    :param has_executed_notebook: whether the copy of that job's executed notebook is there.
    :param was_marked: a user said how it ended, so there need be no outputs.
    """

    map_index: int
    state: str | None
    token: str | None
    has_executed_notebook: bool
    run_started: int
    was_marked: bool = False
    announced: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The seven numbers that must be 0."""

    billed_twice: int = 0
    unawaited: int = 0
    healthy_stopped: int = 0
    others_touched: int = 0
    outputs_lost: int = 0
    stale: int = 0
    hanging: int = 0

    def problems(self) -> list[str]:
        return [f"{each.name}={getattr(self, each.name)}" for each in fields(self) if getattr(self, each.name)]


def count(
    jobs: list[Job], instances: list[Instance], *, jobs_allowed: int, stops_wanted: int, others_touched: int
) -> Counts:
    """
    Count.

    :param jobs_allowed: of one generation that did not fail.
    :param stops_wanted: how many jobs a user's word, or the task's time, ends.
    """
    by_generation = Counter(job.generation for job in jobs if job.status in _LIVE)
    waiting = {one.map_index for one in instances if one.state in ("deferred", "running")}
    return Counts(
        billed_twice=sum(max(0, number - jobs_allowed) for number in by_generation.values()),
        unawaited=sum(job.status == "InProgress" and job.map_index not in waiting for job in jobs),
        healthy_stopped=max(0, sum(job.is_stopped for job in jobs) - stops_wanted),
        others_touched=others_touched,
        outputs_lost=sum(_has_lost_outputs(one) for one in instances),
        stale=sum(_is_stale(one, jobs) for one in instances),
        hanging=sum(one.state not in FINAL for one in instances),
    )


def _has_lost_outputs(instance: Instance) -> bool:
    if instance.state != "success" or instance.was_marked:
        return False
    return instance.token is None or not instance.has_executed_notebook


def _is_stale(instance: Instance, jobs: list[Job]) -> bool:
    """Whether the outputs are those of another run, of another task, or of a job before the newest that completed; or the task names another job than theirs."""
    if instance.token is None or instance.state != "success":
        return False
    if instance.announced not in (None, instance.token):
        return True
    own = [
        job
        for job in jobs
        if job.run_started == instance.run_started and job.map_index == instance.map_index and job.status == "Completed"
    ]
    newest = max(own, key=lambda job: job.created, default=None)
    return newest is None or newest.name != instance.token
