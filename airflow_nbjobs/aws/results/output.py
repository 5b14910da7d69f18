"""
The objects that a finished job left in S3, as few bytes of them as will do.

Called by ``results/read.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.aws.results.archive import Wanted, read_archive
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.reference import is_live, may_spare_archive
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.notebook.progress import progress_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.core.job.naming import JobLocation
    from airflow_nbjobs.core.job.status import JobSnapshot

LOG_NAME = "sagemaker_job_execution.log"
# As Python objects a notebook takes some ten times its size.
_NOTEBOOK_LIMIT_BYTES = 128 * 1024 * 1024
_LOG_LIMIT_BYTES = 256 * 1024


def read_members(
    snapshot: JobSnapshot,
    location: JobLocation,
    notebook_name: str,
    clients: AwsClients,
    warnings: list[str],
    *,
    with_log: bool,
) -> Mapping[str, bytes]:
    """
    Return the executed notebook, and the driver's log where it is asked for, by their names in ``output.tar.gz``; what is missing is in ``warnings``.

    Of a job with ``live_notebook`` the copy that was made as it ran will do, if its last cell has run: a large archive is then not read at all.

    :raises NotebookJobServiceError: S3 cannot be read.
    """
    live = None if with_log else _complete_live_notebook(snapshot, location, clients)
    if live is not None:
        return {notebook_name: live}
    stream = clients.objects.open(location.output_archive_uri)
    if stream is None:
        warnings.append(
            f"there is no {location.output_archive_uri}: the job ended before its container could upload it"
        )
        return {}
    # The driver writes the log last, so it lies at the archive's end: it is asked for only where CloudWatch has none.
    wanted = [Wanted(notebook_name, _NOTEBOOK_LIMIT_BYTES)]
    if with_log:
        wanted.append(Wanted(LOG_NAME, _LOG_LIMIT_BYTES, keeps_end=True))
    with stream:
        content = read_archive(stream, tuple(wanted))
    warnings += content.problems
    return content.members


def _complete_live_notebook(snapshot: JobSnapshot, location: JobLocation, clients: AwsClients) -> bytes | None:
    if not is_live(snapshot.environment):
        return None
    archive = clients.objects.stat(location.output_archive_uri)
    if archive is None or not may_spare_archive(snapshot.environment, archive.size_bytes):
        return None
    try:
        stored = clients.objects.stat(location.live_notebook_uri)
        if stored is None or stored.size_bytes > min(archive.size_bytes, _NOTEBOOK_LIMIT_BYTES):
            return None
        copy = _live_copy(location, clients)
    except (NotebookJobServiceError, NotebookJobConfigError):
        return None  # it is the archive that counts
    return copy.raw if copy is not None and not copy.notes and progress_of(copy.notebook).is_complete else None


class LiveCopy(msgspec.Struct, frozen=True):
    """The notebook as far as a job with ``live_notebook`` has copied it."""

    raw: bytes
    notebook: NotebookNode
    notes: tuple[str, ...] = ()  # what is malformed in it, in words


def read_live_copy(
    snapshot: JobSnapshot, location: JobLocation, clients: AwsClients, warnings: list[str]
) -> LiveCopy | None:
    """
    Return the copy of a job whose archive gave no notebook; None where the job made none, or none can be read, which is in ``warnings``.

    :raises NotebookJobServiceError: S3 cannot be read now.
    """
    if not is_live(snapshot.environment):
        return None
    uri = location.live_notebook_uri
    try:
        copy = _live_copy(location, clients)
    except NotebookJobServiceError as error:
        if error.is_retryable:
            raise
        warnings.append(f"the copy that the job made as it ran was not read: {error.headline}")
        return None
    except NotebookJobConfigError as error:
        warnings.append(f"the copy that the job made as it ran, {uri}, cannot be read: {error}")
        return None
    if copy is not None:
        warnings.append(
            f"the notebook shown is {uri}, the copy that the job made as it ran, as far as it had come; the archive has none that can be read"
        )
        warnings += copy.notes
    return copy


def _live_copy(location: JobLocation, clients: AwsClients) -> LiveCopy | None:
    """:raises NotebookJobConfigError: it is larger than is read, or no notebook."""
    stream = clients.objects.open(location.live_notebook_uri)
    if stream is None:
        return None
    with stream:
        raw = stream.read(_NOTEBOOK_LIMIT_BYTES + 1)
    if len(raw) > _NOTEBOOK_LIMIT_BYTES:
        raise NotebookJobConfigError(f"it has more than {_NOTEBOOK_LIMIT_BYTES} bytes")
    return LiveCopy(raw, *parse_executed(raw, source=location.live_notebook_uri))
