"""
From a task instance to its rendered notebook: asks SageMaker whose job it is, reads the one object that the naming rule yields, renders it once.

Called by ``app.py`` in its thread pool. Uses the connection that the serialized operator names; what AWS answers about ended jobs is remembered, so that
a page that is looked at again costs no call.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import shutil
import tempfile
from collections import OrderedDict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.reference import executed_notebook_name, is_live, may_spare_archive, parse_job_reference
from airflow_nbjobs.core.job.status import JobSnapshot
from airflow_nbjobs.links import job_urls
from airflow_nbjobs.ui.data.subject import Kind
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.aws_access import Access, access_key
from airflow_nbjobs.ui.notebook.caches import Folders, Timed
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import BusyError, Order, Outcome, Renderer, has_renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from airflow_nbjobs.aws.ports import StoredObject
    from airflow_nbjobs.ui.data.subject import Attempt, Subject

_log = logging.getLogger(__name__)

# Rendered pages of another version of the rendering are another document to a browser.
RENDERING_VERSION = "5"
LONGEST_BYTES = 256 * 1024 * 1024
_CACHE_BYTES = 256 * 1024 * 1024
_ACCESS_SECONDS = 60.0  # a connection that was edited, a role that was allowed something
_OBJECT_SECONDS = 60.0  # an executed notebook is written once more where a try was repeated
_LIVE_SECONDS = 3.0  # however many look on, a running job and its notebook are asked for once in this time
_CHUNK_BYTES = 1024 * 1024
_JOBS_REMEMBERED = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    A job that was shown to be the task's own.

    :param is_earlier: not the one that the task's last try follows, or has followed.
    """

    name: str
    snapshot: JobSnapshot
    location: JobLocation
    is_earlier: bool = False

    def tag_of(self, source: Source) -> str:
        """Return what changes when the document does: of a job that has failed, its last cell is marked."""
        return f"{source.tag}-failed" if self.snapshot.has_failed else source.tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """
    The object that holds the executed notebook.

    :param member: its name in the archive, where the object is ``output.tar.gz``.
    """

    uri: str
    stored: StoredObject
    member: str | None = None

    @property
    def tag(self) -> str:
        text = json.dumps([self.uri, self.stored.etag, self.member, RENDERING_VERSION])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """
    A rendered notebook on disk.

    :param tag: changes when the document does; good for an ETag.
    """

    tag: str
    document: Path
    summary: dict[str, Any]


class Notebooks:
    """
    The executed notebooks of one API server process.

    :param make_access: a task instance's way to AWS; asked again every minute.
    :param live_seconds: how long what is known of a running job may be shown to others who look on.
    """

    def __init__(
        self, make_access: Callable[[Subject], Access], renderer: Renderer, *, live_seconds: float = _LIVE_SECONDS
    ) -> None:
        self._make_access = make_access
        self.renderer = renderer
        self._accesses = Timed[Access](_ACCESS_SECONDS)
        self._sources = Timed[Source](_OBJECT_SECONDS)
        self._running = Timed[JobSnapshot | None](live_seconds)
        self._live = Timed[Source | None](live_seconds)
        self._ended: OrderedDict[tuple[Any, ...], JobSnapshot] = OrderedDict()
        self._folder = Path(tempfile.mkdtemp(prefix="nbjobs-ui-"))
        self._cache = Folders(self._folder, _CACHE_BYTES)
        atexit.register(self.close)

    def close(self) -> None:
        self.renderer.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- whose job -------------------------------------------------------------------------------------------------

    def access(self, subject: Subject) -> Access:
        key = access_key(subject)
        with _as_problem():
            return self._accesses.get(key, lambda: self._make_access(subject))

    def job_names(self, subject: Subject) -> list[tuple[str, Attempt]]:
        """Return the names of the task instance's jobs, newest first."""
        deployment = self.access(subject).deployment
        with _as_problem():
            return [(subject.job_name(each, deployment=deployment), each) for each in subject.known_attempts()]

    def job(self, subject: Subject, asked: str | None) -> Job:
        """
        Return the task instance's job, shown to be its own.

        :param asked: name of an earlier one; a name that cannot be this task instance's is as good as none.
        :raises ProblemError: there is none, or it is not the task's, or AWS cannot be asked.
        """
        access = self.access(subject)
        if subject.kind is Kind.SENSOR:
            return self._watched_job(subject, access)
        names = self.job_names(subject)
        name, attempt = next((each for each in names if each[0] == asked), names[0])
        is_earlier = subject.job is None or name != names[0][0]
        if not is_earlier and subject.waiting is not None and not subject.is_finished:
            raise ProblemError(problems.waiting(*(subject.waiting.get(key) for key in ("for", "reason", "until"))))
        try:
            snapshot = self._described(subject, name, access)
        except ProblemError as error:
            if error.problem.code == "unknown-job" and not is_earlier and subject.waiting is not None:
                raise ProblemError(problems.no_job(subject.state, has_said_why=subject.said is not None)) from error
            raise
        if snapshot.environment.get(OWNER_VARIABLE) != subject.key(attempt, deployment=access.deployment).owner():
            raise ProblemError(problems.not_ours(name))
        root = (snapshot.output_root or "").rstrip("/")
        if access.root is None or root != access.root:
            raise ProblemError(problems.moved(root))
        return Job(name=name, snapshot=snapshot, location=JobLocation(access.root, name), is_earlier=is_earlier)

    def _watched_job(self, subject: Subject, access: Access) -> Job:
        with _as_problem():
            reference = parse_job_reference(subject.argument("job_name"), region_name=subject.argument("region_name"))
        snapshot = self._described(subject, reference.job_name, access)
        if executed_notebook_name(snapshot.environment) is None:
            raise ProblemError(problems.no_notebook_in(reference.job_name))
        root = (snapshot.output_root or "").rstrip("/")
        return Job(name=reference.job_name, snapshot=snapshot, location=JobLocation(root, reference.job_name))

    def _described(self, subject: Subject, name: str, access: Access) -> JobSnapshot:
        key = (*access_key(subject), name)
        known = self._ended.get(key)
        if known is not None:
            return known
        with _as_problem():
            snapshot = self._running.get(key, lambda: access.clients.jobs.describe(name))
        if snapshot is None:
            raise ProblemError(problems.unknown_job(name))
        if snapshot.state.is_terminal:
            self._ended[key] = snapshot
            while len(self._ended) > _JOBS_REMEMBERED:
                self._ended.popitem(last=False)
        return snapshot

    def links(self, subject: Subject, job: Job) -> dict[str, str]:
        """Return the job's addresses in AWS's consoles, by label, made from what SageMaker says of it; none where there are no consoles."""
        access = self.access(subject)
        region = job.snapshot.arn.split(":")[3:4]
        if not access.has_console or not region:
            return {}
        place = job.location
        # Only a task of ours writes the copy; what another job left is its archive.
        result = place.output_archive_uri if subject.kind is Kind.SENSOR else place.executed_notebook_uri
        urls = job_urls(region[0], job.name, result, studio_domain_arn=access.studio_domain_arn)
        labels = {
            "console_url": "SageMaker",
            "logs_url": "CloudWatch",
            "executed_notebook_url": "S3",
            "studio_url": "Studio",
        }
        return {label: urls[field] for field, label in labels.items() if urls[field]}

    # -- its notebook ----------------------------------------------------------------------------------------------

    def source(self, subject: Subject, job: Job) -> Source:
        """
        Return where the notebook lies: while the job runs, the copy of what has run; then under its own key once a try has handed it over, and before
        that in the archive.

        :raises ProblemError: the job runs and nothing of it can be seen, or it left nothing.
        """
        if not job.snapshot.state.is_terminal:
            if not is_live(job.snapshot.environment):
                raise ProblemError(problems.RUNNING)
            live = self._live.get((*access_key(subject), job.name), lambda: self._live_source(subject, job))
            if live is None:
                raise ProblemError(problems.FILLING_IN)
            return live
        return self._sources.get((*access_key(subject), job.name), lambda: self._found(subject, job))

    def _live_source(self, subject: Subject, job: Job) -> Source | None:
        with _as_problem():
            stored = self.access(subject).clients.objects.stat(job.location.live_notebook_uri)
        return None if stored is None else Source(uri=job.location.live_notebook_uri, stored=stored)

    def _found(self, subject: Subject, job: Job) -> Source:
        objects = self.access(subject).clients.objects
        with _as_problem():
            # Nobody writes a copy for a job of Studio or the SDK, and asking for one needs s3:ListBucket on their bucket.
            is_ours = OWNER_VARIABLE in job.snapshot.environment
            own = objects.stat(job.location.executed_notebook_uri) if is_ours else None
            if own is not None:
                return Source(uri=job.location.executed_notebook_uri, stored=own)
            archive = objects.stat(job.location.output_archive_uri)
        if archive is None:
            if not subject.is_finished:
                raise ProblemError(problems.FINISHING)
            live = self._live_source(subject, job) if is_live(job.snapshot.environment) else None
            if live is None:
                expected = job.location.executed_notebook_uri if is_ours else job.location.output_archive_uri
                raise ProblemError(problems.gone(expected))
            return live
        if may_spare_archive(job.snapshot.environment, archive.size_bytes) and has_renderer():
            live = self._live_source(subject, job)
            if live is not None and self._is_complete(subject, job, live):
                return live
        member = executed_notebook_name(job.snapshot.environment) or job.location.executed_notebook_name
        return Source(uri=job.location.output_archive_uri, stored=archive, member=member)

    def rendered(self, subject: Subject, job: Job) -> Rendered:
        """
        Return the job's executed notebook as a page; the first time it is read and rendered, then kept.

        :raises ProblemError: it cannot be had, or not be shown.
        """
        source = self.source(subject, job)
        if not has_renderer():
            raise ProblemError(problems.MISSING_EXTRA)
        try:
            return self._kept(subject, job, source)
        except ProblemError as error:
            if error.problem.code == "render-unreadable" and not job.snapshot.state.is_terminal:
                raise ProblemError(problems.FILLING_IN) from error  # uploaded while it was being written
            raise

    def opened_document(self, subject: Subject, job: Job, name: str = "document.html") -> tuple[Rendered, BinaryIO]:
        """
        Return the job's executed notebook and its page's file, open: it can be read to its end, whatever is thrown out of the cache meanwhile.

        :param name: ``scripted.html`` for the one with the scripts of its outputs; only there where the summary counts some.
        :raises ProblemError: it cannot be had, or not be shown.
        """
        for _ in range(2):
            rendered = self.rendered(subject, job)
            if name == "scripted.html" and not rendered.summary["scripted"]:
                raise ProblemError(problems.NO_SCRIPTS)
            with suppress(FileNotFoundError):  # thrown out since
                return rendered, rendered.document.with_name(name).open("rb")
        raise ProblemError(problems.BUSY)

    def _is_complete(self, subject: Subject, job: Job, live: Source) -> bool:
        try:
            return bool(self._kept(subject, job, live).summary["progress"]["is_complete"])
        except ProblemError:
            return False

    def _kept(self, subject: Subject, job: Job, source: Source) -> Rendered:
        with self._cache.entry(tag := job.tag_of(source)) as folder:
            if not _is_whole(folder):
                self._render(subject, job, source, folder)
            status, text = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            if status != "ok":
                raise ProblemError(problems.from_outcome(Outcome(status, text)))
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Rendered(tag=tag, document=folder / "document.html", summary=summary)

    def _render(self, subject: Subject, job: Job, source: Source, folder: Path) -> None:
        """Read and render the notebook into the folder, with how that went; a crash is not kept, the next look tries again."""
        try:
            outcome = self._outcome(subject, job, source, folder)
        except OSError as error:  # a full disk
            outcome = Outcome("crashed", str(error))
        if outcome.status != "ok":
            _log.warning("The notebook of job %s is not shown: %s: %s", job.name, outcome.status, outcome.text)
        elif unrendered := json.loads((folder / "summary.json").read_text(encoding="utf-8"))["unrendered"]:
            _log.warning("The notebook of job %s is shown in part: %s", job.name, "; ".join(unrendered))
        if outcome.status == "crashed":
            raise ProblemError(problems.from_outcome(outcome))
        (folder / "outcome.json").write_text(json.dumps([outcome.status, outcome.text]), encoding="utf-8")

    def _outcome(self, subject: Subject, job: Job, source: Source, folder: Path) -> Outcome:
        if source.stored.size_bytes > LONGEST_BYTES:
            what = "its output archive" if source.member else "it"
            return Outcome("too-large", f"{what} has {source.stored.size_bytes / 1024**2:.0f} MiB")
        file = folder / "source"
        try:
            with self.opened(subject, source) as body, file.open("wb") as copy:
                shutil.copyfileobj(body, copy, _CHUNK_BYTES)
            return self.renderer.render(
                Order(
                    source=file, folder=folder, title=job.name, member=source.member, has_failed=job.snapshot.has_failed
                )
            )
        except BusyError:
            raise ProblemError(problems.BUSY) from None
        finally:
            file.unlink(missing_ok=True)

    @contextmanager
    def opened(self, subject: Subject, source: Source) -> Iterator[BinaryIO]:
        with _as_problem():
            body = self.access(subject).clients.objects.open(source.uri)
            if body is None:
                raise ProblemError(problems.gone(source.uri))
            with body:
                yield body

    def notebook_file(self, subject: Subject, job: Job) -> BinaryIO | Source:
        """Return the executed notebook itself: a file, open, where it had to be taken out of the archive, else where to read it."""
        source = self.source(subject, job)
        if source.member is None:
            return source
        with self._cache.entry(job.tag_of(source)) as folder:
            if not (folder / "notebook.ipynb").exists() and not (folder / "outcome.json").exists():
                self._render(subject, job, source, folder)
            if not (folder / "notebook.ipynb").exists():
                raise ProblemError(problems.gone(source.uri))
            return (folder / "notebook.ipynb").open("rb")

    def log_lines(self, subject: Subject, job: Job, *, limit: int) -> list[str] | None:
        """Return the end of the container's log in CloudWatch; None where it has none."""
        with _as_problem():
            return self.access(subject).clients.logs.tail(job.name, limit=limit)


def _is_whole(folder: Path) -> bool:
    """Say whether the outcome is there, and what belongs to it; of files that are looked at seldom, /tmp may be tidied."""
    outcome = folder / "outcome.json"
    if not outcome.exists():
        return False
    is_ok = json.loads(outcome.read_text(encoding="utf-8"))[0] == "ok"
    return not is_ok or all((folder / name).exists() for name in ("document.html", "summary.json"))


@contextmanager
def _as_problem() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError

    try:
        yield
    except NotebookJobError as error:
        raise ProblemError(problems.from_error(error)) from error
    except BotoCoreError as error:  # making a client: no region, a profile that does not exist
        raise ProblemError(problems.from_error(NotebookJobConfigError(str(error)))) from error
