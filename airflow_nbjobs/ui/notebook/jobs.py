"""
The training jobs of a task instance, as SageMaker describes them: each is shown to be the task's own before anything of it is opened.

Used by the routes and ``executed.py`` in the API server's thread pool. Calls AWS with the connection that the serialized operator names, and remembers
what it answers about ended jobs, so that a page that is opened again costs no call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.naming import JobLocation, RunKey
from airflow_nbjobs.core.job.reference import executed_notebook_name, parse_job_reference
from airflow_nbjobs.core.job.status import JobSnapshot
from airflow_nbjobs.links import job_urls
from airflow_nbjobs.ui.data.task_instance import Kind
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.aws_access import Access, access_key, as_problem
from airflow_nbjobs.ui.notebook.caches import TimedCache
from airflow_nbjobs.ui.notebook.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance

_ACCESS_SECONDS = 60.0  # a connection that was edited, a role that was allowed something
_LINK_LABELS = {
    "console_url": "SageMaker",
    "logs_url": "CloudWatch",
    "executed_notebook_url": "S3",
    "studio_url": "Studio",
}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """
    A job that was shown to be the task's own.

    :param is_earlier: not the one that the task's last try follows, or has followed.
    """

    name: str
    snapshot: JobSnapshot
    location: JobLocation
    is_earlier: bool = False


class Jobs:
    """
    The jobs that one API server process knows.

    :param make_access: a task instance's way to AWS; called again every minute.
    :param live_seconds: for how long one description of a running job serves all readers.
    """

    def __init__(self, make_access: Callable[[NotebookTaskInstance], Access], *, live_seconds: float) -> None:
        self._make_access = make_access
        self._accesses = TimedCache[Access](_ACCESS_SECONDS)
        self._snapshots = TimedCache[JobSnapshot | None](live_seconds, _stays)

    def access(self, ti: NotebookTaskInstance) -> Access:
        with as_problem():
            return self._accesses.get(access_key(ti), lambda: self._make_access(ti))

    def names(self, ti: NotebookTaskInstance) -> list[tuple[str, RunKey]]:
        """Return the names of the task instance's jobs, newest first."""
        deployment = self.access(ti).deployment
        with as_problem():
            return [(ti.job_name(key), key) for key in ti.run_keys(deployment=deployment)]

    def find(self, ti: NotebookTaskInstance, requested: str | None) -> Job:
        """
        Return the task instance's job, shown to be its own.

        :param requested: name of an earlier one; a name that cannot be this task instance's is as good as none.
        :raises ProblemError: there is none, or it is not the task's, or AWS gives no answer.
        """
        access = self.access(ti)
        if ti.kind is Kind.SENSOR:
            return self._job_of_sensor(ti, access)
        names = self.names(ti)
        name, key = next((each for each in names if each[0] == requested), names[0])
        is_earlier = ti.job is None or name != names[0][0]
        if not is_earlier and ti.waiting is not None and not ti.is_finished:
            raise ProblemError(problems.waiting(*(ti.waiting.get(key) for key in ("for", "reason", "until"))))
        try:
            snapshot = self._describe(ti, name, access)
        except ProblemError as error:
            if error.problem.code == "unknown-job" and not is_earlier and ti.waiting is not None:
                raise ProblemError(problems.no_job(ti.state, has_error=ti.last_error is not None)) from error
            raise
        if snapshot.environment.get(OWNER_VARIABLE) != key.owner():
            raise ProblemError(problems.NOT_OURS, name)
        root = (snapshot.output_root or "").rstrip("/")
        if access.root is None or root != access.root:
            raise ProblemError(problems.MOVED, root)
        return Job(name=name, snapshot=snapshot, location=JobLocation(access.root, name), is_earlier=is_earlier)

    def _job_of_sensor(self, ti: NotebookTaskInstance, access: Access) -> Job:
        with as_problem():
            name = parse_job_reference(ti.argument("job_name"), region_name=ti.argument("region_name")).job_name
        snapshot = self._describe(ti, name, access)
        if executed_notebook_name(snapshot.environment) is None:
            raise ProblemError(problems.NO_NOTEBOOK_JOB, name)
        root = (snapshot.output_root or "").rstrip("/")
        return Job(name=name, snapshot=snapshot, location=JobLocation(root, name))

    def _describe(self, ti: NotebookTaskInstance, name: str, access: Access) -> JobSnapshot:
        with as_problem():
            # A name is free again once its job is deleted: then the next try may have another job of that name.
            key = (*access_key(ti), name, ti.try_number)
            snapshot = self._snapshots.get(key, lambda: access.clients.jobs.describe(name))
        if snapshot is None:
            raise ProblemError(problems.UNKNOWN_JOB, name)
        return snapshot

    def links(self, ti: NotebookTaskInstance, job: Job) -> dict[str, str]:
        """Return the job's addresses in AWS's consoles, by label, made from SageMaker's own description; none where there are no consoles."""
        access = self.access(ti)
        region = job.snapshot.arn.split(":")[3:4]
        if not access.has_console or not region:
            return {}
        # Only a task of ours writes the copy; what another job left is its archive.
        is_ours = ti.kind is not Kind.SENSOR
        result = job.location.executed_notebook_uri if is_ours else job.location.output_archive_uri
        urls = job_urls(region[0], job.name, result, studio_domain_arn=access.studio_domain_arn)
        return {label: urls[field] for field, label in _LINK_LABELS.items() if urls[field]}

    def log_lines(self, ti: NotebookTaskInstance, job: Job, *, limit: int) -> list[str] | None:
        """Return the end of the container's log in CloudWatch; None where it has none."""
        with as_problem():
            return self.access(ti).clients.logs.tail(job.name, limit=limit)


def _stays(snapshot: JobSnapshot | None) -> bool:
    """Say whether SageMaker's answer stays as it is."""
    return snapshot is not None and snapshot.state.is_terminal and not snapshot.is_being_deleted
