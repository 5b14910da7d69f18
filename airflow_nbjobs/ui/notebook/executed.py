"""
The executed notebook of a job: read from where it lies, rendered once by another process, and kept.

Called by the routes in the API server's thread pool.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import logging
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.job.reference import is_live
from airflow_nbjobs.ui.notebook import problems
from airflow_nbjobs.ui.notebook.aws_access import access_key, as_problem
from airflow_nbjobs.ui.notebook.caches import FolderCache, TimedCache
from airflow_nbjobs.ui.notebook.jobs import Jobs
from airflow_nbjobs.ui.notebook.machine import Machines
from airflow_nbjobs.ui.notebook.problems import ProblemError
from airflow_nbjobs.ui.notebook.renderer import (
    BusyError,
    ComparedSide,
    CompareRequest,
    Outcome,
    Renderer,
    RenderRequest,
    has_renderer,
)
from airflow_nbjobs.ui.notebook.sources import Source, ended_source, live_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access
    from airflow_nbjobs.ui.notebook.jobs import Job

    Shown = tuple[NotebookTaskInstance, Job]

_log = logging.getLogger(__name__)

LONGEST_BYTES = 256 * 1024 * 1024
_CACHE_BYTES = 256 * 1024 * 1024
_OBJECT_SECONDS = 60.0  # an executed notebook is written once more where a try was repeated
_LIVE_SECONDS = 3.0  # a running job and its notebook cost one call each in this time, however many read it
_CHUNK_BYTES = 1024 * 1024
_LEFT_BY_RENDERING = ("document.html", "report.html", "texts.json", "summary.json")
_LEFT_BY_COMPARING = ("document.html", "summary.json")
_SIDE = "the {} one: "  # as the rendering process says of which of two notebooks it speaks


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
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

    :param make_access: a task instance's way to AWS; called again every minute.
    :param live_seconds: for how long one answer about a running job serves all readers.
    """

    def __init__(
        self,
        make_access: Callable[[NotebookTaskInstance], Access],
        renderer: Renderer,
        *,
        live_seconds: float = _LIVE_SECONDS,
    ) -> None:
        self.jobs = Jobs(make_access, live_seconds=live_seconds)
        self.machines = Machines(self.jobs)
        self.renderer = renderer
        self._sources = TimedCache[Source](_OBJECT_SECONDS)
        self._live = TimedCache[Source | None](live_seconds)
        self._folder = Path(tempfile.mkdtemp(prefix="nbjobs-ui-"))
        self._cache = FolderCache(self._folder, _CACHE_BYTES)
        atexit.register(self.close)

    def close(self) -> None:
        self.renderer.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def source(self, ti: NotebookTaskInstance, job: Job) -> Source:
        """
        Return where the notebook lies.

        :raises ProblemError: the job runs and nothing of it can be seen, or it left nothing.
        """
        key, objects = (*access_key(ti), job.name), self.jobs.access(ti).clients.objects
        if job.snapshot.state.is_terminal:
            is_complete = partial(self._is_complete, ti, job)
            find = partial(ended_source, job, objects, is_task_finished=ti.is_finished, is_complete=is_complete)
            return self._sources.get(key, find)
        live = self._live.get(key, lambda: live_copy(job, objects))
        if live is None:
            raise ProblemError(problems.FILLING_IN if is_live(job.snapshot.environment) else problems.RUNNING)
        return live

    def rendered(self, ti: NotebookTaskInstance, job: Job) -> Rendered:
        """
        Return the job's executed notebook as a page; the first time it is read and rendered, then kept.

        :raises ProblemError: it cannot be had, or not be shown.
        """
        source = self.source(ti, job)
        if not has_renderer():
            raise ProblemError(problems.MISSING_EXTRA)
        try:
            return self._kept_document(ti, job, source)
        except ProblemError as error:
            if error.problem.code == "render-unreadable" and not job.snapshot.state.is_terminal:
                raise ProblemError(problems.FILLING_IN) from error  # uploaded while it was being written
            raise

    def compared(self, left: Shown, right: Shown) -> Rendered:
        """
        Return the comparison of two executed notebooks; made once of the two as they are, then kept.

        :raises ProblemError: one of them cannot be had, or they cannot be compared.
        """
        sides = {"left": left, "right": right}
        if not has_renderer():
            raise ProblemError(problems.MISSING_EXTRA)
        sources = {name: self.source(*side) for name, side in sides.items()}
        tags = "\n".join(sources[name].tag(job) for name, (_, job) in sides.items())
        tag = f"compared-{hashlib.sha256(tags.encode()).hexdigest()[:32]}"

        def make(folder: Path) -> Outcome:
            for name, source in sources.items():
                if why := _too_large(source):
                    return Outcome(why.status, f"{_SIDE.format(name)}{why.text}")
            with ExitStack() as copies:
                for name in sides:  # which a child takes out of an archive, and leaves where it is ended
                    copies.callback((folder / f"{name}.ipynb").unlink, missing_ok=True)
                requests = {
                    name: ComparedSide(
                        source=copies.enter_context(self._copy(ti, sources[name], folder / name)),
                        title=job.name,
                        member=sources[name].member,
                        has_failed=job.snapshot.has_failed,
                    )
                    for name, (ti, job) in sides.items()
                }
                title = f"{left[1].name} and {right[1].name}"
                return self._asked(CompareRequest(**requests, folder=folder, title=title))

        title = f"jobs {left[1].name} and {right[1].name}"
        try:
            return self._kept(tag, title=title, make=make, parts=_LEFT_BY_COMPARING)
        except ProblemError as error:
            is_being_written = any(
                not job.snapshot.state.is_terminal and _SIDE.format(name) in error.problem.text
                for name, (_, job) in sides.items()
            )
            if error.problem.code == "render-unreadable" and is_being_written:
                raise ProblemError(problems.FILLING_IN) from error  # as ``rendered`` says
            raise

    def opened_comparison(self, left: Shown, right: Shown) -> tuple[Rendered, BinaryIO]:
        """Return the comparison and its page's file, open, as ``opened_document``."""
        return _opened(lambda: self.compared(left, right))

    def opened_document(
        self, ti: NotebookTaskInstance, job: Job, name: str = "document.html"
    ) -> tuple[Rendered, BinaryIO]:
        """
        Return the job's executed notebook and its page's file, open: it can be read to its end, whatever the cache drops meanwhile.

        :param name: ``scripted.html`` for the one with the scripts of its outputs, only there where the summary counts some; ``report.html`` for the
            one without code; ``texts.json`` for what is searched in it.
        :raises ProblemError: it cannot be had, or not be shown.
        """

        def found() -> Rendered:
            rendered = self.rendered(ti, job)
            if name == "scripted.html" and not rendered.summary["scripted"]:
                raise ProblemError(problems.NO_SCRIPTS)
            return rendered

        return _opened(found, name)

    def _is_complete(self, ti: NotebookTaskInstance, job: Job, live: Source) -> bool:
        try:
            return bool(self._kept_document(ti, job, live).summary["progress"]["is_complete"])
        except ProblemError:
            return False

    def _kept_document(self, ti: NotebookTaskInstance, job: Job, source: Source) -> Rendered:
        return self._kept(source.tag(job), title=f"job {job.name}", make=partial(self._document, ti, job, source))

    def _kept(
        self, tag: str, *, title: str, make: Callable[[Path], Outcome], parts: tuple[str, ...] = _LEFT_BY_RENDERING
    ) -> Rendered:
        """
        Return what is kept under a tag; made now where it is not there.

        :param parts: files that belong to it.
        """
        with self._cache.entry(tag) as folder:
            if not _is_whole(folder, parts):
                _keep(title, make, folder)
            status, text = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
            if status != "ok":
                raise ProblemError(problems.from_outcome(Outcome(status, text)))
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        return Rendered(tag=tag, document=folder / "document.html", summary=summary)

    def _document(self, ti: NotebookTaskInstance, job: Job, source: Source, folder: Path) -> Outcome:
        if why := _too_large(source):
            return why
        with self._copy(ti, source, folder / "source") as file:
            return self._asked(
                RenderRequest(
                    source=file, folder=folder, title=job.name, member=source.member, has_failed=job.snapshot.has_failed
                )
            )

    def _asked(self, request: RenderRequest | CompareRequest) -> Outcome:
        try:
            return self.renderer.render(request)
        except BusyError:
            raise ProblemError(problems.BUSY) from None

    @contextmanager
    def _copy(self, ti: NotebookTaskInstance, source: Source, file: Path) -> Iterator[Path]:
        """Hold a copy of the object on disk."""
        try:
            with self.opened(ti, source) as body, file.open("wb") as copy:
                shutil.copyfileobj(body, copy, _CHUNK_BYTES)
            yield file
        finally:
            file.unlink(missing_ok=True)

    @contextmanager
    def opened(self, ti: NotebookTaskInstance, source: Source) -> Iterator[BinaryIO]:
        with as_problem():
            body = self.jobs.access(ti).clients.objects.open(source.uri)
            if body is None:
                raise ProblemError(problems.GONE, source.uri)
            with body:
                yield body

    def notebook_file(self, ti: NotebookTaskInstance, job: Job) -> BinaryIO | Source:
        """Return the executed notebook itself: a file, open, where it had to be taken out of the archive, else where to read it."""
        source = self.source(ti, job)
        if source.member is None:
            return source
        with self._cache.entry(source.tag(job)) as folder:
            if not (folder / "notebook.ipynb").exists() and not (folder / "outcome.json").exists():
                _keep(f"job {job.name}", partial(self._document, ti, job, source), folder)
            if not (folder / "notebook.ipynb").exists():
                raise ProblemError(problems.GONE, source.uri)
            return (folder / "notebook.ipynb").open("rb")


def _too_large(source: Source) -> Outcome | None:
    if source.stored.size_bytes <= LONGEST_BYTES:
        return None
    what = "its output archive" if source.member else "it"
    return Outcome("too-large", f"{what} has {source.stored.size_bytes / 1024**2:.0f} MiB")


def _keep(title: str, make: Callable[[Path], Outcome], folder: Path) -> None:
    """Render into the folder, and keep with it how that went; a crash is not kept: the next request tries again."""
    try:
        outcome = make(folder)
    except OSError as error:  # a full disk
        outcome = Outcome("crashed", str(error))
    if outcome.status != "ok":
        _log.warning("The notebook of %s is not shown: %s: %s", title, outcome.status, outcome.text)
    elif unrendered := json.loads((folder / "summary.json").read_text(encoding="utf-8"))["unrendered"]:
        _log.warning("The notebook of %s is shown in part: %s", title, "; ".join(unrendered))
    if outcome.status == "crashed":
        raise ProblemError(problems.from_outcome(outcome))
    (folder / "outcome.json").write_text(json.dumps([outcome.status, outcome.text]), encoding="utf-8")


def _opened(find: Callable[[], Rendered], name: str = "document.html") -> tuple[Rendered, BinaryIO]:
    for _ in range(2):
        rendered = find()
        with suppress(FileNotFoundError):  # dropped since
            return rendered, rendered.document.with_name(name).open("rb")
    raise ProblemError(problems.BUSY)


def _is_whole(folder: Path, parts: tuple[str, ...]) -> bool:
    """Say whether the outcome is there, and what belongs to it; systems delete files in /tmp that are read seldom."""
    outcome = folder / "outcome.json"
    if not outcome.exists():
        return False
    is_ok = json.loads(outcome.read_text(encoding="utf-8"))[0] == "ok"
    return not is_ok or all((folder / name).exists() for name in parts)
