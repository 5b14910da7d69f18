"""
Where a notebook and its files are read from: a folder of this machine or an S3 prefix.

Called by ``content.py``; reads, never writes.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

import msgspec

from airflow_nbjobs.aws.submit.local_files import find_file, find_local
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_nbjobs.aws.ports import Objects

READ_SCRIPT_BYTES = 1024 * 1024  # of a script whose imports are read; a longer one was not written by hand


class StagedFile(msgspec.Struct, frozen=True):
    """One file of the job's input channel."""

    name: str  # path inside the channel's folder, with forward slashes
    body: bytes | Path  # the content, or the local file that holds it
    origin: str  # where it came from, for messages

    @property
    def size_bytes(self) -> int:
        return len(self.body) if isinstance(self.body, bytes) else self.body.stat().st_size

    def read(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body.read_bytes()


class Folder(Protocol):
    """The place beside a notebook."""

    def read(self, name: str) -> bytes | None: ...

    def exists(self, name: str) -> bool: ...

    def origin(self, name: str) -> str: ...


class LocalFolder(msgspec.Struct, frozen=True):
    path: Path

    def read(self, name: str) -> bytes | None:
        return (self.path / name).read_bytes() if self.exists(name) and (self.path / name).is_file() else None

    def exists(self, name: str) -> bool:
        try:
            return (self.path / name).exists()
        except (OSError, ValueError):  # no name that a file system can hold
            return False

    def origin(self, name: str) -> str:
        return str(self.path / name)

    def has_python(self, name: str) -> bool:
        """Whether a folder of that name has a Python file directly in it."""
        return self.exists(name) and next((self.path / name).glob("*.py"), None) is not None


class S3Folder(msgspec.Struct, frozen=True):
    uri: str
    objects: Objects

    def read(self, name: str) -> bytes | None:
        stream = self.objects.open(self.origin(name))
        if stream is None:
            return None
        with stream:
            return stream.read()

    def exists(self, name: str) -> bool:
        return self.objects.exists(self.origin(name))

    def origin(self, name: str) -> str:
        return f"{self.uri}/{name}"


def plain_origin(origin: str) -> str:
    """Return the path or URI without ``..``: equal for two ways to the same file, links not followed."""
    if origin.startswith("s3://"):
        return f"s3://{posixpath.normpath(origin.removeprefix('s3://'))}"
    return os.path.normpath(Path(origin).absolute())


class Located(msgspec.Struct, frozen=True):
    """A file that an argument names: the folder it lies in, and its own name."""

    folder: Folder
    name: str

    @property
    def origin(self) -> str:
        return self.folder.origin(self.name)

    def read(self, argument: str) -> bytes:
        body = self.folder.read(self.name)
        if body is None:
            raise NotebookJobConfigError(f"{argument}: '{self.origin}' has gone away while it was read")
        return body

    def notebook_instead(self) -> str:
        """Return what to do about a file that is no notebook by its name: take the one beside it, or rename it."""
        for name in (f"{PurePosixPath(self.name).stem}.ipynb", f"{self.name}.ipynb"):
            if self.folder.exists(name):
                return f"; did you mean '{name}'?"
        stem, suffix, _ = self.name.lower().partition(".ipynb")
        return f"; if it is one, rename it to '{self.name[: len(stem)]}.ipynb'" if suffix else ""


def locate(argument: str, path: object, folders: Sequence[Path], objects: Callable[[], Objects]) -> Located:
    """
    Find the file that an argument names: ``s3://…``, an absolute path, else in the first of ``folders`` that has it.

    :param argument: name of the argument, for the message.
    :param objects: gives the S3 port; called for an ``s3://`` path only, so that a local notebook needs no S3 client yet.
    :raises NotebookJobConfigError: there is no such file; names every place that was searched.
    """
    if not isinstance(path, str | os.PathLike):
        raise NotebookJobConfigError(f"{argument}: must be a path or an s3:// URI, not {path!r}")
    text = str(path)
    if text.startswith("s3://"):
        folder_uri, _, name = text.rpartition("/")
        if not name or folder_uri == "s3:/":
            raise NotebookJobConfigError(f"{argument}: '{text}' names no object; give 's3://bucket/key'")
        if not objects().exists(text):
            raise NotebookJobConfigError(f"{argument}: there is no object '{text}'")
        return Located(S3Folder(folder_uri, objects()), name)
    file = find_file(argument, text, folders, has_notebooks=argument == "input_notebook")
    return Located(LocalFolder(file.parent), file.name)


def dependency_files(path: str, folders: Sequence[Path], objects: Callable[[], Objects]) -> Iterator[StagedFile]:
    """
    Return the files of one ``additional_dependencies`` entry.

    A file lands under its own name; a folder (or an S3 prefix that ends in a slash) keeps its last path component and brings
    everything below it, hidden files included: as ``NotebookJobStep`` stages them.

    :raises NotebookJobConfigError: it does not exist, or is an empty folder.
    """
    if path.startswith("s3://"):
        yield from _s3_files(path, objects())
        return
    found = find_local("additional_dependencies", path, folders)
    if found.is_file():
        yield StagedFile(found.name, found, str(found))
        return
    files = sorted(file for file in found.rglob("*") if file.is_file())
    if not files:
        raise NotebookJobConfigError(f"additional_dependencies: folder '{found}' holds no file")
    # Not resolve(): a linked folder keeps the name under which the notebook reads it.
    root = Path(os.path.normpath(found.absolute())).name
    for file in files:
        yield StagedFile(f"{root}/{file.relative_to(found).as_posix()}", file, str(file))


def _s3_files(uri: str, objects: Objects) -> Iterator[StagedFile]:
    try:
        _, key = parse_s3_uri(uri)
    except ValueError as error:
        raise NotebookJobConfigError(f"additional_dependencies: {error}") from error
    if not uri.endswith("/"):
        folder = S3Folder(uri.rpartition("/")[0], objects)
        body = folder.read(uri.rpartition("/")[2])
        if body is None:
            raise NotebookJobConfigError(
                f"additional_dependencies: there is no object '{uri}'; end it in a slash if it is a prefix"
            )
        yield StagedFile(PurePosixPath(key).name, body, uri)
        return
    folder = S3Folder(uri.rstrip("/"), objects)
    names = objects.names_below(folder.uri)
    if not names:
        raise NotebookJobConfigError(f"additional_dependencies: there is no object below '{uri}'")
    root = PurePosixPath(key).name
    for name in names:
        body = folder.read(name)
        if body is not None:
            yield StagedFile(f"{root}/{name}" if root else name, body, folder.origin(name))
