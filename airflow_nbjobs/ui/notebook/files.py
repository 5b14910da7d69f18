"""
The files of a job: what lies in its own folder in S3, and in its output archive; each as a stream.

Called by ``routes/files.py`` in the API server's thread pool. Which folder that is, is derived as for the executed notebook; a file is read only if that
folder's list, or the archive, has its name.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.aws.ports import ChangedObjectError
from airflow_nbjobs.aws.results.members import Members, MissingMemberError, list_members, open_member
from airflow_nbjobs.aws.results.output import LOG_NAME
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.file_names import shown_name
from airflow_nbjobs.core.job.naming import INPUT_FOLDER, OUTPUT_ARCHIVE, OUTPUT_FOLDER, parse_s3_uri
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.aws_access import access_key, as_problem
from airflow_nbjobs.ui.notebook.caches import TimedCache
from airflow_nbjobs.ui.notebook.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from airflow_nbjobs.aws.ports import AwsClients, StoredObject
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.jobs import Job, Jobs

# What is in a larger archive is not listed: it would be read from S3 to its end for that.
LONGEST_ARCHIVE_BYTES = 256 * 1024 * 1024
MOST_OBJECTS = 1_000
_LISTED_SECONDS = 15.0
_KEPT_LISTS = 64
_WALKS = 2  # archives that are read at the same time
_WAIT_SECONDS = 60.0
_CHUNK_BYTES = 256 * 1024


class JobFile(msgspec.Struct, frozen=True, kw_only=True):
    """
    One file.

    :param name: below the job's folder, as it is shown and asked for; of a file in the archive with the archive's before it.
    :param group: ``"notebook"``, ``"input"``, ``"output"``, ``"archive"`` (within it) or ``"other"``.
    :param member: its name in the archive.
    :param has_log: the container's log is in it, which needs the right to read logs.
    """

    name: str
    group: str
    size_bytes: int
    uri: str
    member: str | None = None
    has_log: bool = False


class JobFiles(msgspec.Struct, frozen=True):
    """
    The files of a job.

    :param notes: what is not among them, and why.
    """

    files: tuple[JobFile, ...]
    notes: tuple[str, ...]


class OpenedFile(msgspec.Struct, frozen=True):
    """A file, open; ``chunks`` closes it at its end."""

    file: JobFile
    chunks: Iterator[bytes]


class Files:
    """The files of the jobs that one API server process knows."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._objects = TimedCache[JobFiles](_LISTED_SECONDS, most=_KEPT_LISTS)
        self._members = TimedCache[Members](_LISTED_SECONDS, lambda _: True, most=_KEPT_LISTS)
        self._walks = BoundedSemaphore(_WALKS)

    def of(self, ti: NotebookTaskInstance, job: Job) -> JobFiles:
        """
        Return the files of a job; what lies in the archive after the archive.

        :raises ProblemError: AWS gives no answer.
        """
        found = self._listed(ti, job)
        archive = _named(found.files, OUTPUT_ARCHIVE)
        if archive is None:
            return found
        if archive.size_bytes > LONGEST_ARCHIVE_BYTES:
            note = (
                f"what lies in output.tar.gz is not listed: it has more than {LONGEST_ARCHIVE_BYTES / 1024**2:.0f} MiB"
            )
            return JobFiles(found.files, (*found.notes, note))
        members = self._members_of(ti, archive)
        inside = tuple(_in_archive(archive, each.name, each.size_bytes) for each in members.files)
        return JobFiles((*found.files, *inside), (*found.notes, *members.notes))

    def opened(self, ti: NotebookTaskInstance, file: JobFile) -> OpenedFile:
        """
        Return a file of ``find``, open.

        :raises ProblemError: it is gone, or AWS gives no answer.
        """
        clients = self._jobs.access(ti).clients
        with ExitStack() as opening, as_problem():
            stored = clients.objects.stat(file.uri)
            if stored is None:
                raise ProblemError(problems.NO_FILE, file.name)
            body = opening.enter_context(_opened(clients, file, stored))
            if file.member is None:
                size, chunks = stored.size_bytes, iter(lambda: body.read(_CHUNK_BYTES), b"")
            else:
                with self._walking():
                    try:
                        member, chunks = open_member(body, file.member)
                    except MissingMemberError as error:
                        raise ProblemError(problems.NO_FILE, str(error)) from error
                size = member.size_bytes
            held = opening.pop_all()
        return OpenedFile(replace(file, size_bytes=size), _closing(held, chunks))

    def find(self, ti: NotebookTaskInstance, job: Job, name: str) -> JobFile:
        """
        Return the file of a name.

        :raises ProblemError: the job has none of that name, or AWS gives no answer.
        """
        files = self._listed(ti, job).files
        found = _named(files, name)
        if found is not None:
            return found
        archive, member = _named(files, OUTPUT_ARCHIVE), name.removeprefix(f"{OUTPUT_ARCHIVE}/")
        is_inside = archive is not None and member != name and archive.size_bytes <= LONGEST_ARCHIVE_BYTES
        if archive is None or not is_inside or shown_name(member) != member:
            raise ProblemError(problems.NO_FILE, name[:200])
        return _in_archive(archive, member, 0)

    def _listed(self, ti: NotebookTaskInstance, job: Job) -> JobFiles:
        key = (*access_key(ti), job.location.root, job.name)
        with as_problem():
            clients = self._jobs.access(ti).clients
            return self._objects.get(key, lambda: _objects(job, clients))

    def _members_of(self, ti: NotebookTaskInstance, archive: JobFile) -> Members:
        clients = self._jobs.access(ti).clients
        with as_problem():
            stored = clients.objects.stat(archive.uri)
            if stored is None:
                return Members((), ())

            def read() -> Members:
                with self._walking(), _opened(clients, archive, stored) as body:
                    return list_members(body)

            return self._members.get((*access_key(ti), archive.uri, stored.etag), read)

    @contextmanager
    def _walking(self) -> Iterator[None]:
        if not self._walks.acquire(timeout=_WAIT_SECONDS):
            raise ProblemError(problems.BUSY)
        try:
            yield
        finally:
            self._walks.release()


@contextmanager
def _opened(clients: AwsClients, file: JobFile, stored: StoredObject) -> Iterator[BinaryIO]:
    try:
        body = clients.storage.open_from(file.uri, stored, start=0)
    except ChangedObjectError as error:
        raise ProblemError(problems.NO_FILE, file.name) from error
    with body:
        yield body


def _closing(held: ExitStack, chunks: Iterator[bytes]) -> Iterator[bytes]:
    with held:
        yield from chunks


def _named(files: tuple[JobFile, ...], name: str) -> JobFile | None:
    return next((file for file in files if file.name == name), None)


def _in_archive(archive: JobFile, member: str, size_bytes: int) -> JobFile:
    return JobFile(
        name=f"{archive.name}/{member}",
        group="archive",
        size_bytes=size_bytes,
        uri=archive.uri,
        member=member,
        has_log=_has_log(member),
    )


def _has_log(name: str) -> bool:
    """Say whether a file is the driver's log, or the archive that it goes into; where a job packs nothing, the log lies in its folder."""
    return name.rpartition("/")[2] in (LOG_NAME, OUTPUT_ARCHIVE.rpartition("/")[2])


def _objects(job: Job, clients: AwsClients) -> JobFiles:
    """Return what lies in the job's folder; where that may not be listed, what is known to be there."""
    folder = f"{job.location.root}/{job.name}"
    try:
        listed = list(islice(clients.storage.list_below(folder), MOST_OBJECTS + 1))
    except NotebookJobServiceError as error:
        if not is_denied(error):
            raise
        note = f"only what is known by name is listed: {error.details.get('next', error.headline)}"
        return JobFiles(tuple(_known(job, clients)), (note,))
    bucket, prefix = parse_s3_uri(f"{folder}/")
    files: dict[str, JobFile] = {}
    refused = 0
    for each in listed[:MOST_OBJECTS]:
        name = shown_name(each.key.removeprefix(prefix))
        if each.key.endswith("/"):
            continue
        if name is None or name in files:
            refused += 1
            continue
        files[name] = _file(job, name, each.size_bytes, f"s3://{bucket}/{each.key}")
    notes = (
        [f"{refused} objects are not offered: their names lead elsewhere, or look like another's"] if refused else []
    )
    if len(listed) > MOST_OBJECTS:
        notes.append(f"the first {MOST_OBJECTS:,} objects are listed; S3 has more of them")
    return JobFiles(tuple(files.values()), tuple(notes))


def _known(job: Job, clients: AwsClients) -> Iterator[JobFile]:
    places = {f"{job.name}.ipynb": job.location.executed_notebook_uri, OUTPUT_ARCHIVE: job.location.output_archive_uri}
    for name, uri in places.items():
        stored = clients.objects.stat(uri)
        if stored is not None:
            yield _file(job, name, stored.size_bytes, uri)


def _file(job: Job, name: str, size_bytes: int, uri: str) -> JobFile:
    groups = {INPUT_FOLDER: "input", OUTPUT_FOLDER: "output", f"{job.name}.ipynb": "notebook"}
    return JobFile(
        name=name,
        group=groups.get(name.partition("/")[0], "other"),
        size_bytes=size_bytes,
        uri=uri,
        has_log=_has_log(name),
    )
