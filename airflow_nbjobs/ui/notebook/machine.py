"""
What a job used of its machine, and what the task's other runs did: as it is kept with their results, and from CloudWatch.

Called by the route in the API server's thread pool. CloudWatch is asked when somebody looks: once for the job, and once for those runs of which nothing is kept.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job import metrics
from airflow_nbjobs.core.job.machine_advice import MOST_RUNS, Run
from airflow_nbjobs.core.job.metrics import Figures, MachineRecord
from airflow_nbjobs.core.job.status import JobState, parse_state
from airflow_nbjobs.core.job.xcoms import billed_seconds
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook.aws_access import clients_key
from airflow_nbjobs.ui.notebook.caches import TimedCache

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_nbjobs.core.job.machines import Machine
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance, TaskRun
    from airflow_nbjobs.ui.notebook.jobs import Job, Jobs

_LIVE_SECONDS = 30.0  # CloudWatch has one point a minute
_HISTORY_SECONDS = 300.0
_SILENT_SECONDS = 120.0
_LATE = timedelta(minutes=15)  # after which CloudWatch has all that it will have of a job
_HISTORY_PERIOD_SECONDS = 300  # the coarsest that still tells a peak of processors from their average
_MOST_RECORDS = 100  # of some 100 KB
_MOST_POINTS = 400  # of each metric: as many as a wide page has room for


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is known of one job's machine.

    :param record: None where neither CloudWatch nor the results have anything.
    :param is_kept: it is what the results have, not what CloudWatch says now.
    :param trouble: why CloudWatch was not asked, or did not answer; what to do.
    """

    record: MachineRecord | None = None
    is_kept: bool = False
    trouble: tuple[str, ...] = ()


class _Past(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the task, as its XComs tell."""

    job_name: str
    started: datetime | None
    ended: datetime | None
    record: MachineRecord | None
    was_killed: bool
    has_completed: bool
    billed_seconds: float | None


class Machines:
    """What one API server process knows of machines."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._seen = TimedCache[MachineRecord](_LIVE_SECONDS, lambda record: record.is_final, most=_MOST_RECORDS)
        self._history = TimedCache[dict[str, dict[str, Figures]]](_HISTORY_SECONDS)
        self._silent: dict[tuple[Any, ...], tuple[float, NotebookJobError]] = {}

    def look(self, ti: NotebookTaskInstance, job: Job, machine: Machine, kept: Mapping[str, object]) -> Seen:
        """
        Return what a job used of its machine.

        :param kept: XCom ``nbjobs_machine``, a hint.
        """
        known = metrics.parse_kept(kept)
        if known is not None and known.job_name != job.name:
            known = None
        ended = job.snapshot.ended
        if known is not None and ended is not None and metrics.is_whole(known, ended):
            return Seen(record=known, is_kept=True)
        try:
            record = self._record(ti, job, machine)
        except NotebookJobError as error:
            return Seen(record=known, is_kept=known is not None, trouble=_trouble(error))
        if known is not None and (record is None or not record.points):
            return Seen(record=known, is_kept=True)
        return Seen(record=record)

    def _record(self, ti: NotebookTaskInstance, job: Job, machine: Machine) -> MachineRecord | None:
        started, now = job.snapshot.started, datetime.now(tz=UTC)
        if started is None:
            return None
        access = self._jobs.access(ti)
        ended = job.snapshot.ended or now
        period = metrics.period_seconds(started, ended, now=now, is_fine=not access.has_console)
        if period is None:
            return None

        def read() -> MachineRecord:
            margin = timedelta(seconds=period)
            asked = {"started": started - margin, "ended": ended + margin}
            raw = access.clients.metrics.read([job.name], **asked, period_seconds=period)
            points = metrics.as_shares(raw.get(job.name, {}), machine)
            return metrics.MachineRecord(
                job_name=job.name,
                instance_type=machine.instance_type,
                period_seconds=period,
                until=now,
                points={key: metrics.thinned(each, _MOST_POINTS) for key, each in points.items()},
                figures=metrics.figures_of(points),
                was_killed=metrics.was_killed(job.snapshot.failure_reason),
                is_final=job.snapshot.ended is not None and now - job.snapshot.ended > _LATE,
            )

        with self._once(ti):
            return self._seen.get((*clients_key(ti), job.name, ti.try_number, period), read)

    def runs(
        self, ti: NotebookTaskInstance, seen: MachineRecord | None, machine: Machine, past: Sequence[TaskRun]
    ) -> tuple[list[Run], tuple[str, ...]]:
        """
        Return what the task's newest runs on the same type used, newest first, and why CloudWatch did not answer.

        Those of which CloudWatch is not to be asked, or does not answer, have no figures.

        :param seen: the job that is looked at, whose figures are known.
        """
        if ti.kind is not Kind.OPERATOR:
            return [], ()
        names = self._jobs.access(ti).deployment
        known = [_past(run, deployment=names, seen=seen) for run in past if _type_of(run) == machine.instance_type]
        asked = {run.job_name: run for run in known if run.record is None and run.started and run.ended}
        trouble: tuple[str, ...] = ()
        try:
            figures = self._figures(ti, machine, asked)
        except NotebookJobError as error:
            figures, trouble = {}, _trouble(error, what="the task's other runs")
        return [
            Run(
                figures=run.record.figures if run.record else figures.get(run.job_name, {}),
                was_killed=run.was_killed,
                has_completed=run.has_completed,
                billed_seconds=run.billed_seconds,
            )
            for run in known[:MOST_RUNS]
        ], trouble

    def _figures(
        self, ti: NotebookTaskInstance, machine: Machine, asked: Mapping[str, _Past]
    ) -> dict[str, dict[str, Figures]]:
        now, access = datetime.now(tz=UTC), self._jobs.access(ti)
        periods = {
            name: metrics.period_seconds(run.started, run.ended, now=now)
            for name, run in asked.items()
            if run.started and run.ended
        }
        wanted = {name: period for name, period in periods.items() if period and period <= _HISTORY_PERIOD_SECONDS}
        if not wanted:
            return {}
        period = max(wanted.values()) if access.has_console else 10
        started = min(run.started for name, run in asked.items() if name in wanted and run.started)
        ended = max(run.ended for name, run in asked.items() if name in wanted and run.ended)
        margin = timedelta(seconds=period)

        def read() -> dict[str, dict[str, Figures]]:
            moments = {"started": started - margin, "ended": ended + margin}
            raw = access.clients.metrics.read(sorted(wanted), **moments, period_seconds=period)
            return {name: metrics.figures_of(metrics.as_shares(points, machine)) for name, points in raw.items()}

        with self._once(ti):
            return self._history.get((*clients_key(ti), machine.instance_type, period, *sorted(wanted)), read)

    @contextmanager
    def _once(self, ti: NotebookTaskInstance) -> Iterator[None]:
        """
        Remember for a while that CloudWatch does not answer on this connection: each open drawer asks again and again, and would hold a thread each time.

        A denial is answered at once, and so is asked for anew: what is allowed meanwhile counts.
        """
        key = clients_key(ti)
        since, error = self._silent.get(key, (0.0, None))
        if error is not None and time.monotonic() - since < _SILENT_SECONDS:
            raise error.with_traceback(None)
        try:
            yield
        except NotebookJobError as failure:
            if not is_denied(failure):
                self._silent[key] = time.monotonic(), failure
            raise
        self._silent.pop(key, None)


def _type_of(run: TaskRun) -> object:
    # Of several types that the job may have, its end says the one that it had.
    return (run.ti.end or {}).get("instance_type") or (run.ti.job or {}).get("instance_type")


def _past(run: TaskRun, *, deployment: str, seen: MachineRecord | None) -> _Past:
    """Read one run; which job it had is told by the naming rule, not by an XCom."""
    end, record = run.ti.end or {}, metrics.parse_kept(run.machine or {})
    name = run.ti.job_name(run.ti.run_keys(deployment=deployment)[0])
    if seen is not None and seen.job_name == name and seen.points:
        record = seen
    if record is not None and record.job_name != name:
        record = None
    started, ended = _span(end)
    error = end.get("error") or {}
    return _Past(
        job_name=name,
        started=started,
        ended=ended,
        record=record if record is not None and record.figures else None,
        was_killed=(record is not None and record.was_killed) or error.get("was_killed") is True,
        has_completed=parse_state(str(end.get("status"))) is JobState.SUCCEEDED,
        billed_seconds=billed_seconds(end),
    )


def _span(end: Mapping[str, object]) -> tuple[datetime, datetime] | tuple[None, None]:
    """Return when a job ran, where that is possible."""
    started, ended = _moment(end.get("started_at")), _moment(end.get("ended_at"))
    if started is None or ended is None or not started <= ended <= datetime.now(tz=UTC) + timedelta(hours=1):
        return None, None
    return started, ended


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _trouble(error: NotebookJobError, *, what: str = "this job's machine") -> tuple[str, ...]:
    """Return why there is nothing of CloudWatch, and what to do, in words for a reader."""
    if is_denied(error):
        needed = error.details.get("next", error.headline)
        return (f"Airflow's API server may not read the metrics of {what}:", needed)
    return ("CloudWatch does not answer the API server:", error.headline)
