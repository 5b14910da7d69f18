"""
UpdateTrainingJob: what may be changed of a job, and when. Pure.

Called by ``api/operations.py``. What is changed is what Describe says: the embedded SageMaker keeps no warm pool and collects no profile.
Source: botocore's documentation of UpdateTrainingJob; SageMaker developer guide, warm pools. The words are ours where the service's are not known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.resource import COMPLETED, IN_PROGRESS
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_nbjobs.local.state.jobs import TrainingJob

_CHANGEABLE = ("ProfilerConfig", "ProfilerRuleConfigurations", "ResourceConfig", "RemoteDebugConfig")


def updated(job: TrainingJob, update: Mapping[str, Any], *, now: float) -> TrainingJob:
    """Return the job as the update leaves it; raises ServiceError where it may not be changed so, or not now."""
    for problem in _problems(job, update):
        raise ValidationError(problem)
    return replace(job, request={**job.request, **dict(_changes(job.request, update))}, modified=now)


def _problems(job: TrainingJob, update: Mapping[str, Any]) -> Iterator[str]:
    given = [name for name in _CHANGEABLE if name in update]
    if not given:
        yield f"UpdateTrainingJob changes nothing: give at least one of {', '.join(_CHANGEABLE)}."
    # A warm pool is there when its job has completed; everything else is the running job's.
    allowed = {IN_PROGRESS, COMPLETED} if given == ["ResourceConfig"] else {IN_PROGRESS}
    if job.status not in allowed:
        yield f"The request was rejected because the training job is in status {job.status}."
    if "ResourceConfig" in update and not job.request["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
        yield (
            f"Training job {job.name} has no warm pool: KeepAlivePeriodInSeconds can be updated where the job was created with one."
        )


def _changes(request: Mapping[str, Any], update: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _CHANGEABLE:
        if name not in update:
            continue
        value = update[name]
        # Members that are not given stay; a list of rules is taken as a whole.
        yield name, {**request.get(name, {}), **value} if isinstance(value, dict) else value
