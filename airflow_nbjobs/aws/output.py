"""
The objects that a finished job left in S3, as few bytes of them as will do.

Called by ``results.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.aws.archive import Wanted, read_archive
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.notebook import parse_notebook
from airflow_nbjobs.core.progress import progress_of
from airflow_nbjobs.core.reference import is_live

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.aws.clients import AwsClients
    from airflow_nbjobs.core.naming import JobLocation
    from airflow_nbjobs.core.status import JobSnapshot

LOG_NAME = "sagemaker_job_execution.log"
# As Python objects a notebook takes some ten times its size.
_NOTEBOOK_LIMIT_BYTES = 128 * 1024 * 1024
_LOG_LIMIT_BYTES = 256 * 1024
# A smaller archive is read sooner than a second object is asked for.
_LARGE_ARCHIVE_BYTES = 1024 * 1024


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
    if archive is None or archive.size_bytes <= _LARGE_ARCHIVE_BYTES:
        return None
    try:
        stored = clients.objects.stat(location.live_notebook_uri)
        if stored is None or stored.size_bytes > min(archive.size_bytes, _NOTEBOOK_LIMIT_BYTES):
            return None
        stream = clients.objects.open(location.live_notebook_uri)
        if stream is None:
            return None
        with stream:
            raw = stream.read()
        notebook = parse_notebook(raw, source=location.live_notebook_uri)
    except (NotebookJobServiceError, NotebookJobConfigError, RecursionError):
        return None  # it is the archive that counts
    return raw if progress_of(notebook).is_complete else None
