"""
What was found of a run, written into a folder: nothing there is overwritten unasked, and no file is ever half there under its name.

Called by ``nbjobs outputs``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.aws.results.archive import Wanted, read_archive
from airflow_nbjobs.aws.results.output import LOG_NAME
from airflow_nbjobs.commands.fetch.jobs import ARCHIVE, EXECUTED, HTML, LIVE, LOG
from airflow_nbjobs.commands.fetch.manifest import Manifest, write_whole
from airflow_nbjobs.commands.fetch.transfer import Transfer, part_file
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobError
from airflow_nbjobs.core.job.naming import LOG_GROUP
from airflow_nbjobs.ui.notebook.problems import INSTALL_COMMAND
from airflow_nbjobs.ui.notebook.renderer import BusyError, Renderer, RenderRequest, has_renderer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_nbjobs.commands.fetch.jobs import FoundJob, Stored
    from airflow_nbjobs.commands.fetch.progress import Progress

_NOTEBOOK_BYTES = 128 * 1024 * 1024
_HTML_BYTES = 256 * 1024 * 1024
_LOG_BYTES = 64 * 1024 * 1024
_MOST_SHOWN = 10


class Saved(msgspec.Struct, kw_only=True):
    """
    What became of one job's files.

    :param files: name -> bytes.
    :param kept: names of those that were there already, the same.
    """

    found: FoundJob
    files: dict[str, int] = msgspec.field(default_factory=dict)
    kept: set[str] = msgspec.field(default_factory=set)
    notes: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


class OutputFolder:
    """
    The folder that a run's files go to; one process at a time.

    :param force: overwrite what is not the same, and check by its hash what is.
    :raises NotebookJobConfigError: it holds another run's files, or other files in the place of ours, and ``force`` is not given; or it cannot be written.
    """

    def __init__(self, path: Path, *, dag_id: str, run_id: str, force: bool) -> None:
        self.path = path
        self._force = force
        if path.exists() and not path.is_dir():
            raise NotebookJobConfigError(f"--to '{path}' is a file; name a folder")
        self._manifest = Manifest(path, dag_id=dag_id, run_id=run_id)
        if self._manifest.other_run is not None and not force:
            raise NotebookJobConfigError(
                f"--to '{path}' holds the files of another run ({self._manifest.other_run}); name another folder, or --force"
            )

    def check(self, jobs: Sequence[FoundJob]) -> None:
        """
        Refuse to overwrite what this command has not written, or somebody has changed since.

        What it has written may be another by now: of a job that has gone on meanwhile.

        :raises NotebookJobConfigError: such a file is in the place of one of ours.
        """
        if self._force:
            return
        names = [(found, name) for found in jobs for name in _names(found)]
        taken = [
            self._path(found, name)
            for found, name in names
            if os.path.lexists(self._path(found, name))
            and not self._is_same(found, name)
            and not self._is_ours(found, name)
        ]
        if not taken:
            return
        shown = [f"'{path}'" for path in taken[:_MOST_SHOWN]]
        more = [f"{len(taken) - _MOST_SHOWN} more"] if len(taken) > _MOST_SHOWN else []
        raise NotebookJobConfigError(
            "files are there already, and would be overwritten; nothing was fetched",
            problems=[*shown, *more],
            details={"next": "name another folder with --to, or overwrite them with --force"},
        )

    def _path(self, found: FoundJob, name: str) -> Path:
        return self.path / found.folder / name

    def _is_same(self, found: FoundJob, name: str) -> bool:
        path = self._path(found, name)
        if path.is_symlink() or not path.is_file():
            return False
        if name in found.documents:
            return path.read_bytes() == found.documents[name]
        return self._manifest.has(str(found.folder / name), _source(found, name), path.stat().st_size)

    def _is_ours(self, found: FoundJob, name: str) -> bool:
        path = self._path(found, name)
        return not path.is_symlink() and path.is_file() and self._manifest.is_as_written(str(found.folder / name), path)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder, and keep other processes of this command out of it."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise NotebookJobConfigError(f"--to '{self.path}' cannot be made: {error.strerror}") from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise NotebookJobConfigError(
                    f"another nbjobs outputs is writing into '{self.path}'; let it end first"
                ) from error
            yield
        finally:
            os.close(handle)

    def save(self, found: FoundJob, progress: Progress, renderer: Renderer) -> Saved:
        """
        Write one job's files; what of it cannot be had is said, and leaves out no other.

        :raises OSError: the disk is full, or the folder cannot be written any more.
        """
        (self.path / found.folder).mkdir(parents=True, exist_ok=True)
        saved = Saved(found=found, notes=list(found.notes))
        for name, body in found.documents.items():
            self._put(saved, name, body)
        for stored in found.objects:
            self._fetch(saved, stored, progress)
        self._unpack(saved)
        self._log(saved)
        self._page(saved, renderer)
        return saved

    def _put(self, saved: Saved, name: str, body: bytes) -> None:
        path = self._path(saved.found, name)
        if self._is_same(saved.found, name):
            saved.kept.add(name)
        else:
            write_whole(path, body)
        self._note(saved, name)

    def _note(self, saved: Saved, name: str) -> None:
        path, source = self._path(saved.found, name), _source(saved.found, name)
        saved.files[name] = path.stat().st_size
        self._manifest.note(str(saved.found.folder / name), source, path)

    def _is_there(self, saved: Saved, name: str) -> bool:
        """Say whether a file need not be written, and count it then."""
        if name in saved.files:
            return True
        if not self._is_same(saved.found, name):
            return False
        if self._force and not self._is_ours(saved.found, name):  # of the same size, and yet another
            return False
        saved.kept.add(name)
        saved.files[name] = self._path(saved.found, name).stat().st_size
        return True

    def _fetch(self, saved: Saved, stored: Stored, progress: Progress) -> None:
        if self._is_there(saved, stored.name):
            return
        path = self._path(saved.found, stored.name)
        keep = part_file(path, stored.uri, stored.stored)
        for other in path.parent.glob(f".{path.name}.*.part"):  # the beginning of an object that is another now
            if other != keep:
                other.unlink()
        label = str(saved.found.folder / stored.name)
        with progress.file(label, stored.stored.size_bytes) as advance:
            try:
                Transfer(stored.uri, stored.stored, saved.found.clients, advance=advance, say=progress.say).into(path)
            except NotebookJobError as error:
                saved.problems.append(f"{label}: {_said(error)}")
                return
        self._note(saved, stored.name)

    def _unpack(self, saved: Saved) -> None:
        """Take the notebook, its HTML and the driver's log out of the archive, where they are not there otherwise."""
        found = saved.found
        if ARCHIVE not in saved.files:
            return
        members = {
            found.notebook_name: (EXECUTED, Wanted(found.notebook_name, _NOTEBOOK_BYTES)),
            _html_name(found): (HTML, Wanted(_html_name(found), _HTML_BYTES)),
        }
        wanted = {member: pair for member, pair in members.items() if not self._is_there(saved, pair[0])}
        if not wanted:
            return
        with self._path(found, ARCHIVE).open("rb") as archive:
            content = read_archive(archive, tuple(item for _, item in wanted.values()))
        for member, (name, _) in wanted.items():
            if member in content.members:
                write_whole(self._path(found, name), content.members[member])
                self._note(saved, name)
        saved.notes += content.problems

    def _log(self, saved: Saved) -> None:
        found = saved.found
        if found.has_ended and self._is_there(saved, LOG):
            return
        lines = None
        try:
            lines = _streamed(found)
        except NotebookJobError as error:
            saved.notes.append(f"{LOG}: CloudWatch was not read: {_said(error)}")
        if lines is None and ARCHIVE in saved.files:
            with self._path(found, ARCHIVE).open("rb") as archive:
                content = read_archive(archive, (Wanted(LOG_NAME, _LOG_BYTES, keeps_end=True),))
            lines = content.members.get(LOG_NAME)
        if lines is None:
            saved.notes.append(f"{LOG}: there is none, neither in CloudWatch nor in {ARCHIVE}")
            return
        write_whole(self._path(found, LOG), lines)
        self._note(saved, LOG)

    def _page(self, saved: Saved, renderer: Renderer) -> None:
        """Render the notebook where the job has made no HTML of it: by the same sandboxed process as Airflow's tab."""
        found = saved.found
        if EXECUTED not in saved.files or self._is_there(saved, HTML):
            return
        if not has_renderer():
            saved.notes.append(
                f"{HTML}: the job has made none, and to render it here the extra is missing: {INSTALL_COMMAND}"
            )
            return
        with tempfile.TemporaryDirectory(prefix="nbjobs-") as folder:
            request = RenderRequest(
                source=self._path(found, EXECUTED),
                folder=Path(folder),
                title=found.job.name,
                has_failed=found.job.snapshot.has_failed,
            )
            try:
                outcome = renderer.render(request)
            except BusyError:
                outcome = None
            if outcome is None or outcome.status != "ok":
                why = outcome.text or outcome.status if outcome is not None else "busy"
                saved.notes.append(f"{HTML}: the notebook could not be rendered ({why})")
                return
            write_whole(self._path(found, HTML), (Path(folder) / "document.html").read_bytes())
        self._note(saved, HTML)

    def remove_parts(self, saved: Saved) -> None:
        """Remove beginnings that nothing goes on with: of a job whose files are all there."""
        for part in (self.path / saved.found.folder).glob(".*.part"):
            part.unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        """How much fits on the disk of the folder, or of the one that it will be made in."""
        place = self.path
        while not place.exists():
            place = place.absolute().parent
        return shutil.disk_usage(place).free


def needed_bytes(folder: OutputFolder, jobs: Sequence[FoundJob]) -> int:
    """Return how many bytes of objects are not there yet, nor begun."""
    total = 0
    for found in jobs:
        for stored in found.objects:
            path = folder.path / found.folder / stored.name
            part = part_file(path, stored.uri, stored.stored)
            have = path.stat().st_size if path.is_file() else part.stat().st_size if part.is_file() else 0
            total += max(stored.stored.size_bytes - have, 0)
    return total


def _names(found: FoundJob) -> Iterator[str]:
    """Yield all files that may be written."""
    objects = {stored.name for stored in found.objects}
    yield from found.documents
    yield from objects
    yield LOG
    if ARCHIVE in objects or EXECUTED in objects:
        yield HTML
    if ARCHIVE in objects and EXECUTED not in objects:
        yield EXECUTED


def _source(found: FoundJob, name: str) -> str:
    """Return what a file is made of, so that equal sources mean equal files."""
    for stored in found.objects:
        if stored.name == name:
            return stored.source
    if name in found.documents:
        return "Airflow and SageMaker"
    made_of = " ".join(stored.source for stored in found.objects if stored.name in (EXECUTED, ARCHIVE, LIVE))
    return f"{found.job.name} ({found.job.snapshot.status}) {made_of}".strip()


def _html_name(found: FoundJob) -> str:
    return f"{found.notebook_name.removesuffix('.ipynb')}.html"


def _streamed(found: FoundJob) -> bytes | None:
    """Return the container's whole log as CloudWatch has it; None where it has none."""
    lines: list[str] = []
    size, token = 0, None
    while True:
        page = found.clients.logs.events(since=0, prefix=f"{found.job.name}/", next_token=token)
        for event in page.events:
            lines.append(event.message)
            size += len(event.message)
        token = page.next_token
        if token is None:
            break
        if size > _LOG_BYTES:
            lines.append(f"… more is in CloudWatch, {LOG_GROUP} {found.job.name}/")
            break
    return ("\n".join(lines) + "\n").encode(errors="backslashreplace") if lines else None


def _said(error: NotebookJobError) -> str:
    advice = error.details.get("next")
    return f"{error.headline}; {advice}" if advice else error.headline
