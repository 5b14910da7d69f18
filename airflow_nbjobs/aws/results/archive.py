"""
``output.tar.gz``, read member by member from a stream: nothing is ever unpacked to disk.

Called by ``output.py``, by ``members.py`` and by the page's renderer. The archive was written by a notebook, so nothing in it is trusted: names, types, counts, sizes and the
compression ratio are all bounded. Sizes and the ratio are measured as the stream is read: what a header declares is held against the absolute limit alone.
"""

from __future__ import annotations

import gzip
import struct
import tarfile
import time
import zlib
from collections import deque
from contextlib import contextmanager
from itertools import count
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Self, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# A million headers take a minute to read, and no memory: a notebook may unpack a data set beside itself.
MOST_MEMBERS = 1_000_000
MOST_UNPACKED_BYTES = 64 * 1024**3
# What gzip achieves on text is 3-10, on a constant 1,030. Zeros may be an honest model that was never trained, and cost nothing but time here, some 10 s up to this
# size: the notebook may lie behind them.
_HIGHEST_RATIO = 500
_RATIO_COUNTS_FROM_BYTES = 4 * 1024**3
_CHUNK_BYTES = 1024 * 1024
_BLOCK_BYTES = 64 * 1024  # of `tarfile`'s reads: half as much time as with its own 10 KiB
# Beyond the members announced so far: long names and extended headers, which `tarfile` reads into memory as long as they claim to be.
_HEADERS_BYTES = 4 * 1024 * 1024
# Of the whole archive: `tarfile` copies what global headers say for every member, and for every extended header before it. What `git archive` writes has 52.
_GLOBAL_HEADERS_BYTES = 4 * 1024
_EXTENDED = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
# What `tarfile` raises for headers that nobody wrote by accident; a lost connection is none of these.
_DAMAGE = (
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    struct.error,
    ArithmeticError,
    LookupError,
    AttributeError,
    TypeError,
    RecursionError,  # a thousand extended headers in a row
)


class ArchiveContent(msgspec.Struct, frozen=True):
    """The wanted members that the archive holds."""

    members: Mapping[str, bytes]  # content by wanted name, at most the wanted size of it
    problems: tuple[str, ...]  # what kept the rest from being read, each naming the member or the archive


class Wanted(msgspec.Struct, frozen=True):
    """One member to keep."""

    name: str
    limit_bytes: int  # largest size; a larger member is a problem, unless ``keeps_end``, then its last bytes are kept
    keeps_end: bool = False


class _Counted:
    """A stream that knows how much has been read of it, so that the compression ratio can be bounded."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


class _TooMuchError(Exception):
    """The archive holds more than is read of any."""


class _Unpacked:
    """
    The unpacked stream; an error where it goes beyond the members announced so far, or unpacks to far more than it was packed.

    :param packed: what ``stream`` reads.
    :param most_bytes: how far it is read.
    :param check: called before each piece; raises where too long has been read.
    """

    def __init__(self, stream: gzip.GzipFile, packed: _Counted, most_bytes: int, check: Callable[[], None]) -> None:
        self._stream = stream
        self._packed = packed
        self._most_bytes = most_bytes
        self._check = check
        self._count = 0
        self._allowed = _HEADERS_BYTES

    def read(self, size: int) -> bytes:
        self._check()
        # What is there, be it less: of an archive that is cut off, the last whole bytes count as well.
        data = self._stream.read1(size)
        self._count += len(data)
        if self._count > self._allowed:
            raise tarfile.ReadError(f"a header of more than {_HEADERS_BYTES} bytes")
        if self._count > _RATIO_COUNTS_FROM_BYTES and self._count > self._packed.count * _HIGHEST_RATIO:
            raise _TooMuchError(f"unpacks to more than {_HIGHEST_RATIO} times its size")
        return data

    def announce(self, end: int) -> None:
        """
        Let the stream be read up to a member's end.

        :param end: where the next header begins. A sparse member's size says nothing of it: its holes are not in the stream.
        :raises _TooMuchError: that is further than any archive is read.
        """
        if end > self._most_bytes:
            raise _TooMuchError(f"unpacks to more than {self._most_bytes} bytes")
        self._allowed = max(self._allowed, end + _HEADERS_BYTES)


class ArchiveError(Exception):
    """The archive is damaged, or holds more than is read of any; the text names it and says how."""


class ArchiveReader:
    """
    The members of a gzipped tar, read from a stream from the first to the last, once.

    Errors of the stream itself, a lost connection, are raised as they are.

    :param stream: the compressed archive; not closed here.
    :param most_members: more are not looked at; None: a million.
    :param most_bytes: of unpacked bytes more are not read; None: 64 GiB.
    :param most_header_bytes: of one extended header; None: 4 MiB. Some Pythons search it in a time that grows with its square (CVE-2024-6232).
    :param seconds: of the thread's processor time, for what is read until ``take_time``; None: as many as it takes.
    :ivar ends: what was found where a header should be, which `tarfile` takes for the archive's end.
    """

    def __init__(
        self,
        stream: BinaryIO,
        *,
        most_members: int | None = None,
        most_bytes: int | None = None,
        most_header_bytes: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._counted = _Counted(stream)
        self._most_members = MOST_MEMBERS if most_members is None else most_members
        self._most_bytes = MOST_UNPACKED_BYTES if most_bytes is None else most_bytes
        self._seconds = seconds
        self._started = time.thread_time()
        self._archive: tarfile.TarFile | None = None
        self._noting, self.ends = _noting_ends(_HEADERS_BYTES if most_header_bytes is None else most_header_bytes)

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        """
        Yield each member; its body is there until the next one.

        :raises ArchiveError: the rest cannot be read.
        """
        unpacked = gzip.GzipFile(fileobj=cast("BinaryIO", self._counted), mode="rb")
        contents = _Unpacked(unpacked, self._counted, self._most_bytes, self._check_time)
        with self.translated():
            self._archive = tarfile.open(  # noqa: SIM115 - the stream is the caller's, and nothing else is held
                fileobj=cast("BinaryIO", contents), mode="r|", bufsize=_BLOCK_BYTES, tarinfo=self._noting
            )
        headers = iter(self._archive)
        for number in count(1):
            with self.translated():
                member = next(headers, None)
                if member is None:
                    return
                self._archive.members = []  # type: ignore[attr-defined] # it keeps every one
                if number > self._most_members:
                    raise _TooMuchError(f"holds more than {self._most_members} members")
                contents.announce(self._archive.offset)
                self._check_time()
            yield member

    def read(self, member: tarfile.TarInfo) -> Iterator[bytes]:
        """
        Yield the content of the member that was yielded last, in chunks; nothing for one that is no regular file.

        :raises ArchiveError: the rest cannot be read.
        """
        with self.translated():
            body = self._archive.extractfile(member) if self._archive is not None else None
        while body is not None:
            with self.translated():
                chunk = body.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk

    def take_time(self) -> None:
        """Let the rest be read for as long as it takes: by somebody who is slow, say."""
        self._seconds = None

    def _check_time(self) -> None:
        if self._seconds is not None and time.thread_time() - self._started > self._seconds:
            raise _TooMuchError(f"takes more than {self._seconds:g} s to be looked through")

    @contextmanager
    def translated(self) -> Iterator[None]:
        try:
            yield
        except _TooMuchError as error:
            raise ArchiveError(f"output.tar.gz {error}; the rest was not read") from error
        except _DAMAGE as error:
            raise ArchiveError(self.damage(error)) from error

    def damage(self, error: Exception) -> str:
        return (
            f"output.tar.gz is damaged or cut off after {self._counted.count} bytes ({type(error).__name__}: {error})"
        )


def read_archive(stream: BinaryIO, wanted: tuple[Wanted, ...]) -> ArchiveContent:
    """
    Read the wanted members out of a gzipped tar and stop as soon as all are there.

    Never raises for what the archive holds: what could be read comes back beside the problems. Only regular files at the archive's
    root count; links, devices and names that leave the root are never followed.

    :param stream: the compressed archive; not closed here.
    """
    found: dict[str, bytes] = {}
    problems: list[str] = []
    by_name = {item.name: item for item in wanted}
    reader = ArchiveReader(stream)
    try:
        for member in reader:
            item = by_name.get(_root_name(member.name))
            if item is None or item.name in found:
                continue
            refusal = _refusal(member, item)
            if refusal:
                problems.append(refusal)
                continue
            found[item.name] = _read_end(reader.read(member), item.limit_bytes)
            if len(found) == len(wanted):
                break
        problems += [reader.damage(end) for end in reader.ends[: len(wanted) - len(found)]]
    except ArchiveError as error:
        problems.append(str(error))
    return ArchiveContent(found, tuple(problems))


def _noting_ends(most_header_bytes: int) -> tuple[type[tarfile.TarInfo], list[Exception]]:
    """
    Return a class of headers, which refuses those that are read at length, and the list of what was found where a header should be.

    Behind its first member, `tarfile` takes whatever is no header for the archive's end, and says nothing.
    """
    ends: list[Exception] = []
    global_bytes = 0

    class Noting(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
            nonlocal global_bytes
            header = super().frombuf(buf, encoding, errors)
            if header.type == tarfile.XGLTYPE:
                global_bytes += max(header.size, 1)
                if global_bytes > _GLOBAL_HEADERS_BYTES:
                    raise _TooMuchError(f"has global headers of more than {_GLOBAL_HEADERS_BYTES} bytes")
            elif header.type in _EXTENDED and header.size > most_header_bytes:
                raise _TooMuchError(f"has a header of more than {most_header_bytes} bytes")
            return header

        @classmethod
        def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
            try:
                return super().fromtarfile(archive)
            except tarfile.HeaderError as error:
                if type(error).__name__ != "EOFHeaderError":  # the end mark; the class is no public name
                    ends.append(error)
                raise

    return Noting, ends


def _refusal(member: tarfile.TarInfo, item: Wanted) -> str:
    if not member.isfile():
        return f"'{item.name}' in output.tar.gz is not a regular file; it was not followed"
    if member.size > item.limit_bytes and not item.keeps_end:
        return f"'{item.name}' in output.tar.gz has {member.size} bytes; more than {item.limit_bytes} are not read"
    return ""


def _root_name(name: str) -> str:
    """Return the member's name if it lies at the archive's root (``./x`` does), else an empty text."""
    parts = PurePosixPath(name).parts
    return parts[0] if len(parts) == 1 and parts[0] != ".." and not name.startswith("/") else ""


def _read_end(body: Iterator[bytes], limit_bytes: int) -> bytes:
    """Read all, keeping only the last ``limit_bytes`` in memory."""
    chunks: deque[bytes] = deque()
    size = 0
    for chunk in body:
        chunks.append(chunk)
        size += len(chunk)
        while size - len(chunks[0]) >= limit_bytes:
            size -= len(chunks.popleft())
    return b"".join(chunks)[-limit_bytes:]
