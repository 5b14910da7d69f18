"""
Warm pools around a task: what its log says of the machine, and the release of what a group has left.

Called by ``results.py`` when a job has ended, and by the teardown of a ``NotebookTaskGroup``; decided in ``core/job/warm_pool.py``.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError, NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.warm_pool import AVAILABLE, Release, billed, own_pool, release_step, taken_over
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_record
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.settings import read_settings
from airflow_nbjobs.task import groups, identity
from airflow_nbjobs.task.retryable import as_airflow_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow.sdk import Context

    from airflow_nbjobs.aws.ports import TrainingJobs
    from airflow_nbjobs.core.job.naming import RunKey
    from airflow_nbjobs.core.job.status import JobSnapshot

WAIT_SECONDS = 900.0  # a job that is stopped has 2 minutes for SIGTERM, then its upload
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 2.0, 30.0
_MOST_BEFORE = 10


def log_machine(task: Any, ti: Any, snapshot: JobSnapshot) -> int | None:
    """
    Say in the task's log whether the job ran on a machine of a job before it, what keeping that has cost, and whether its own is kept.

    :return: for how many seconds the machine had been kept that it took over; None where it took none over, and where SageMaker does not say.
    """
    retained_seconds = None
    try:
        if groups.is_pool_member(task):
            before = _jobs_before(task, ti) if groups.nearest_before(task) else []
            reused = [one for one in before if one.warm_pool and one.warm_pool.reused_by == snapshot.job_name]
            retained_seconds = next((one.warm_pool.retained_seconds for one in reused if one.warm_pool), None)
            said = [taken_over(snapshot, one) for one in reused or before]
            for line in said if groups.nearest_before(task) else _alone(task):
                task.log.info("%s", line)
    except Exception as error:  # noqa: BLE001 - a comfort: neither AWS nor Airflow may fail a job's results over it
        task.log.warning("Whether the job ran on a machine of a warm pool is not known: %s", error)
    if snapshot.keep_alive_seconds:
        line, is_warning = own_pool(snapshot)
        (task.log.warning if is_warning else task.log.info)("%s", line)
    return retained_seconds


def _jobs_before(task: Any, ti: Any) -> list[JobSnapshot]:
    names = [name for before in groups.nearest_before(task) for name in _job_names(before, ti)]
    return [found for name in names[:_MOST_BEFORE] if (found := task.hook.clients.jobs.describe(name)) is not None]


def _alone(task: Any) -> Iterator[str]:
    if groups.is_last_of_pool(task):
        yield "keep_alive_period_in_seconds of the group is without effect: none of its notebooks runs before or after this one"


def _job_names(task: Any, ti: Any) -> list[str]:
    """Return the jobs that a task of this run follows or has followed last: one, or one for each instance; of this instance's mapped group, its own."""
    of_group = ti.map_index >= 0 and _is_in_mapped_group(task)
    indexes: Any = {"map_indexes": [ti.map_index]} if of_group else {}
    records = ti.xcom_pull(task_ids=[task.task_id], key=JOB_KEY, **indexes)
    return [name for record in records or () if (name := read_record(JOB_KEY, record).get("job_name"))]


def _is_in_mapped_group(task: Any) -> bool:
    return task.get_closest_mapped_task_group() is not None


def release_machines(task: Any, context: Context, *, pause: Callable[[float], object] = time.sleep) -> None:
    """
    Give back every machine that the notebooks of a group have left in a warm pool in this run.

    :param task: the teardown.
    :raises NotebookJobServiceError: one is kept still after 15 minutes, or AWS has refused; those of the others are given back.
    """
    with as_airflow_errors():
        _Releases(task, context).finish(pause)


class _Releases:
    """The jobs of one group in one run whose machines are not known to be gone."""

    def __init__(self, task: Any, context: Context) -> None:
        self._task = task
        self._ti: Any = context["ti"]
        self._jobs: TrainingJobs = task.hook.clients.jobs
        self._members = {each.task_id: each for each in groups.pool_members(task)}
        self._run = identity.run_of(context, deployment=read_settings(task.hook.connection_extra).deployment).key
        self._since: Any = context["dag_run"].start_date
        self._open: dict[str, str] = {}  # why it is not settled yet, by job
        self._failed: dict[str, NotebookJobError] = {}
        self._seen: set[str] = set()

    def finish(self, pause: Callable[[float], object]) -> None:
        self._add(name for member in self._members.values() for name in _job_names(member, self._ti))
        until, seconds = time.monotonic() + WAIT_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            for name in sorted(self._open):
                self._settle(name)
            if not self._open:
                # Jobs of earlier tries, and of tasks that were killed before they could record theirs.
                self._add(self._unrecorded())
                if not self._open:
                    break
                continue
            if time.monotonic() > until:
                break
            pause(seconds)
            seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        self._raise_for_rest()

    def _add(self, names: Iterable[str]) -> None:
        new = [name for name in names if name not in self._seen]
        self._seen.update(new)
        self._open.update(dict.fromkeys(new, ""))

    def _settle(self, name: str) -> None:
        try:
            snapshot = self._jobs.describe(name)
            step = release_step(snapshot, now=datetime.now(tz=UTC))
            if step is Release.NOW and not (refusal := self._jobs.release_machine(name)):
                self._task.log.info("Released the machine that was kept after '%s'", name)
                step = Release.NEVER
            elif step is Release.NEVER:
                self._task.log.info("%s", _settled(name, snapshot))
        except NotebookJobServiceError as error:
            self._open[name] = error.headline
            if error.is_retryable:
                return
            self._failed[name] = error
            step = Release.NEVER
        except NotebookJobConfigError as error:
            self._failed[name] = error
            step = Release.NEVER
        if step is Release.NEVER:
            del self._open[name]
        elif snapshot is not None:
            self._open[name] = refusal if step is Release.NOW else _unsettled(snapshot)

    def _unrecorded(self) -> Iterator[str]:
        """Yield the jobs of this group and run that keep a machine and that no task has recorded; none where they cannot be listed."""
        token: str | None = None
        try:
            while True:
                page = self._jobs.list_page(
                    ListJobs(created_after=self._since, warm_pool_status=AVAILABLE, next_token=token)
                )
                for summary in page.summaries:
                    if summary.job_name not in self._seen and self._is_ours(summary.job_name):
                        yield summary.job_name
                token = page.next_token
                if token is None:
                    return
        except NotebookJobError as error:
            self._task.log.warning("Machines that earlier tries may have left are not looked for: %s", error.headline)

    def _is_ours(self, name: str) -> bool:
        snapshot = self._jobs.describe(name)
        own_index = self._ti.map_index if self._ti.map_index >= 0 else None
        return snapshot is not None and is_of_run(
            snapshot.environment, self._run, task_ids=self._members, map_index=own_index
        )

    def _raise_for_rest(self) -> None:
        if not self._open and not self._failed:
            return
        kept = {**self._open, **{name: error.headline for name, error in self._failed.items()}}
        raise NotebookJobServiceError(
            "Not every machine of the group's warm pool was given back: "
            + "; ".join(f"that of '{name}': {why}" for name, why in sorted(kept.items())),
            code=next((str(getattr(error, "code", "")) for error in self._failed.values()), ""),
            is_retryable=not self._failed,
            details={
                "cost": "a machine that idles is billed for the rest of its keep_alive_period_in_seconds",
                "next": f"aws sagemaker update-training-job --training-job-name {min(kept)} --resource-config KeepAlivePeriodInSeconds=0",
            },
            job_name=min(kept),
        )


def is_of_run(
    environment: Mapping[str, str], run: RunKey, *, task_ids: Iterable[str], map_index: int | None = None
) -> bool:
    """
    Say whether a job was made by one of these tasks in this run.

    :param map_index: of the teardown where it is mapped with its group, which answers for its own instances; None: all.
    """
    try:
        owner = json.loads(environment.get(OWNER_VARIABLE, ""))
        *of_run, task_id, index = owner[:6]
    except (ValueError, TypeError):  # not ours, or ids so long that the owner is cut
        return False
    expected = [run.deployment, run.dag_id, run.run_id, run.run_started_microseconds]
    region = [run.region_id, run.region_index] if run.region_id else owner[8:]
    return of_run == expected and task_id in set(task_ids) and owner[8:] == region and map_index in (None, index)


def _settled(name: str, snapshot: JobSnapshot | None) -> str:
    if snapshot is None:
        return f"SageMaker does not know '{name}' any more"
    if not snapshot.keep_alive_seconds:
        return f"'{name}' asked for no warm pool"
    if snapshot.warm_pool is None:
        return f"Nothing was kept after '{name}'"
    by = f" by '{snapshot.warm_pool.reused_by}'" if snapshot.warm_pool.reused_by else ""
    return f"The machine of '{name}' is {snapshot.warm_pool.status}{by}: {billed(snapshot)}"


def _unsettled(snapshot: JobSnapshot) -> str:
    if not snapshot.state.is_terminal:
        return f"the job is {snapshot.status} still"
    return f"WarmPoolStatus is {snapshot.warm_pool.status if snapshot.warm_pool else 'absent'} still"
