"""
Which object holds a job's executed notebook: the live copy, the copy that the task wrote, or the job's output archive.

The one place where the tab decides this; called by ``executed.py``, which caches the answers.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.reference import executed_notebook_name, is_live, may_spare_archive
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.aws_access import as_problem
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import has_renderer

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.aws.ports import Objects, StoredObject
    from airflow_nbjobs.ui.notebook.jobs import Job

# Rendered pages of another version of the rendering are another document to a browser.
RENDERING_VERSION = "6"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """
    The object that holds the executed notebook.

    :param member: its name in the archive, where the object is ``output.tar.gz``.
    """

    uri: str
    stored: StoredObject
    member: str | None = None

    def tag(self, job: Job) -> str:
        """Return what changes when the document does: of a job that has failed, its last cell is marked."""
        text = json.dumps([self.uri, self.stored.etag, self.member, RENDERING_VERSION])
        digest = hashlib.sha256(text.encode()).hexdigest()[:32]
        return f"{digest}-failed" if job.snapshot.has_failed else digest


def live_copy(job: Job, objects: Objects) -> Source | None:
    """Return the copy that a running job makes of its notebook; None where it has made none (yet), or is not to make any."""
    if not is_live(job.snapshot.environment):
        return None
    with as_problem():
        stored = objects.stat(job.location.live_notebook_uri)
    return None if stored is None else Source(uri=job.location.live_notebook_uri, stored=stored)


def ended_source(
    job: Job, objects: Objects, *, is_task_finished: bool, is_complete: Callable[[Source], bool]
) -> Source:
    """
    Return where the notebook of an ended job lies: under its own key once a try has pushed the results, before that in the archive.

    The live copy takes the archive's place where no archive came, or where the archive is large and the copy holds all cells.

    :param is_complete: whether all cells of the notebook in an object have run.
    :raises ProblemError: the results are not there yet, or not any more.
    """
    with as_problem():
        # Nobody writes a copy for a job of Studio or the SDK, and asking for one needs s3:ListBucket on their bucket.
        is_ours = OWNER_VARIABLE in job.snapshot.environment
        own = objects.stat(job.location.executed_notebook_uri) if is_ours else None
        if own is not None:
            return Source(uri=job.location.executed_notebook_uri, stored=own)
        archive = objects.stat(job.location.output_archive_uri)
    if archive is None:
        if not is_task_finished:
            raise ProblemError(problems.FINISHING)
        live = live_copy(job, objects)
        if live is None:
            raise ProblemError(
                problems.GONE, job.location.executed_notebook_uri if is_ours else job.location.output_archive_uri
            )
        return live
    if may_spare_archive(job.snapshot.environment, archive.size_bytes) and has_renderer():
        live = live_copy(job, objects)
        if live is not None and is_complete(live):
            return live
    member = executed_notebook_name(job.snapshot.environment) or job.location.executed_notebook_name
    return Source(uri=job.location.output_archive_uri, stored=archive, member=member)
