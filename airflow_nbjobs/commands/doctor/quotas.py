"""
The check of quotas: how many machines of each instance type the account may have, and how many its training jobs use now.

Called by ``account_checks.py``.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.commands.doctor.examination import Finding, right, unknown, wrong
from airflow_nbjobs.commands.doctor.patient import known
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.status import LONGEST_RUN
from airflow_nbjobs.core.watch.plan import ListJobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.aws.ports import TrainingJobs
    from airflow_nbjobs.commands.doctor.patient import Patient

MOST_PAGES = 5  # ListTrainingJobs has two calls a second for a whole account
MOST_DESCRIBED = 100


class Running(msgspec.Struct, frozen=True):
    """
    Instances that training jobs use now, by type.

    :param jobs: how many jobs were looked at.
    :param is_whole: whether those are all that have not ended.
    """

    instances: Counter[str]
    jobs: int
    is_whole: bool


def quota(patient: Patient) -> Iterator[Finding]:
    types = known(patient.spec).instance_type
    names = {each: f"{each} for training job usage" for each in types}
    try:
        limits = known(patient.session).account.quotas(set(names.values()))
    except NotebookJobError as error:
        yield patient.finding_of(error, "servicequotas:ListServiceQuotas", is_needed=False)
        return
    running: Running | Finding | None = None  # asked once, and only where it tells something
    for instance_type in types:
        name = names[instance_type]
        limit = limits.get(name)
        if limit is None:
            yield unknown(
                f"Service Quotas lists no quota '{name}'",
                "look at it in the Service Quotas console; AWS's default holds",
            )
        elif limit < 1:
            yield wrong(
                f"the quota '{name}' is {limit:g}: every job of this type is refused",
                "take another instance_type, or ask for more of the quota in the Service Quotas console",
            )
        else:
            running = running or _running(patient)
            yield _used(running, instance_type, f"the quota '{name}'", limit)


def _used(running: Running | Finding, instance_type: str, quota: str, limit: float) -> Finding:
    if isinstance(running, Finding):
        text = f"{quota} is {limit:g}; how much is in use could not be asked: {running.text}"
        return unknown(text, running.fix, running.statement)
    used = running.instances[instance_type]
    least, seen = "", ""
    if not running.is_whole:
        least, seen = "at least ", f", by {running.jobs} jobs that run, and not all could be looked at"
    text = f"{quota}: {least}{used} of {limit:g} in use{seen}"
    if used >= limit:
        return wrong(
            f"{text}: new jobs wait until others have ended",
            "wait (capacity_timeout), name several instance types in order of preference, or ask for more",
        )
    return right(text) if running.is_whole else unknown(text)


def _running(patient: Patient) -> Running | Finding:
    """Return what runs, or why it could not be asked."""
    jobs = known(patient.session).clients.jobs
    try:
        names, is_whole = running_jobs(jobs, datetime.now(tz=UTC) - LONGEST_RUN)
    except NotebookJobError as error:
        return patient.finding_of(error, "sagemaker:ListTrainingJobs", is_needed=False)
    instances: Counter[str] = Counter()
    for name in names:
        try:
            snapshot = jobs.describe(name)
        except NotebookJobError as error:
            return patient.finding_of(error, "sagemaker:DescribeTrainingJob", is_needed=False)
        # Of a type that SageMaker has not chosen yet, no machine is held.
        if snapshot is not None and snapshot.instance_type and not snapshot.state.is_terminal:
            instances[snapshot.instance_type] += snapshot.instance_count
    return Running(instances, len(names), is_whole)


def running_jobs(jobs: TrainingJobs, since: datetime) -> tuple[list[str], bool]:
    """Return the names of jobs that have not ended, newest first, and whether those are all."""
    names: list[str] = []
    call = ListJobs(is_newest_first=True, created_after=since.replace(microsecond=0))
    for _ in range(MOST_PAGES):
        page = jobs.list_page(call)
        names += [summary.job_name for summary in page.summaries if not summary.state.is_terminal]
        if page.next_token is None:
            return names[:MOST_DESCRIBED], len(names) <= MOST_DESCRIBED
        call = msgspec.structs.replace(call, next_token=page.next_token)
    return names[:MOST_DESCRIBED], False
