"""
UpdateTrainingJob: what may be changed of a job, and when. Pure.

Called by ``api/operations.py``. Of a profile, what is changed is what Describe says: the embedded SageMaker collects none.
Source: botocore's documentation of UpdateTrainingJob; SageMaker developer guide, warm pools. The words are ours where the service's are not known.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.state.pools import AVAILABLE
from airflow_nbjobs.local.state.resource import IN_PROGRESS
from airflow_nbjobs.local.wire.formats import ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_nbjobs.local.state.jobs import TrainingJob

_CHANGEABLE = ("ProfilerConfig", "ProfilerRuleConfigurations", "ResourceConfig", "RemoteDebugConfig")


def updated(job: TrainingJob, update: Mapping[str, Any], *, now: float) -> TrainingJob:
    """Return the job as the update leaves it; raises ServiceError where it may not be changed so, or not now."""
    for problem in _problems(job, update):
        raise ValidationError(problem)
    changed = replace(job, request={**job.request, **dict(_changes(job.request, update))}, modified=now)
    if "ResourceConfig" not in update or job.pool is None:
        return changed
    return replace(changed, pool=job.pool.kept_for(update["ResourceConfig"]["KeepAlivePeriodInSeconds"], now=now))


def _problems(job: TrainingJob, update: Mapping[str, Any]) -> Iterator[str]:
    given = [name for name in _CHANGEABLE if name in update]
    if not given:
        yield f"UpdateTrainingJob changes nothing: give at least one of {', '.join(_CHANGEABLE)}."
    # A warm pool is there when its job has ended; everything else is the running job's.
    if given != ["ResourceConfig"] and job.status != IN_PROGRESS:
        yield f"The request was rejected because the training job is in status {job.status}."
    if "ResourceConfig" in update and (job.pool is None or job.pool.status != AVAILABLE):
        status = "has no warm pool" if job.pool is None else f"has a warm pool in status {job.pool.status}"
        yield f"Training job {job.name} {status}: KeepAlivePeriodInSeconds can be updated while the warm pool is {AVAILABLE}."


def _changes(request: Mapping[str, Any], update: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in _CHANGEABLE:
        if name not in update:
            continue
        value = update[name]
        # Members that are not given stay; a list of rules is taken as a whole.
        yield name, {**request.get(name, {}), **value} if isinstance(value, dict) else value
