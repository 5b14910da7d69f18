"""
What lies in ``output.tar.gz`` by name and size, and one member of it as a stream: nothing is unpacked, neither to memory nor to disk.

Called by the pages. The archive was written by a notebook: only regular files whose names a person can read and no system takes for a place elsewhere
are offered; the limits are those of ``archive.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.aws.results.archive import ArchiveError, ArchiveReader
from airflow_nbjobs.core.job.file_names import shown_name

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from typing import BinaryIO

MOST_LISTED = 2_000
# The API server reads, while somebody waits: less than a worker would.
_MOST_LOOKED_AT = 50_000
_MOST_UNPACKED_BYTES = 8 * 1024**3
_MOST_HEADER_BYTES = 16 * 1024  # a path has at most 4 KiB
_MOST_SECONDS = 20.0  # of processor time: unpacking so much takes some ten, a search for names holds up others


class Member(msgspec.Struct, frozen=True):
    """:param name: as it is shown, and asked for by."""

    name: str
    size_bytes: int


class Members(msgspec.Struct, frozen=True):
    """
    The files of an archive.

    :param notes: what of it is not among them, and why.
    """

    files: tuple[Member, ...]
    notes: tuple[str, ...]


class MissingMemberError(Exception):
    """The archive holds no such file; the text says what is known."""


def list_members(stream: BinaryIO) -> Members:
    """
    Return the files of an archive, which is read to its end, or until two thousand are found.

    :param stream: not closed here.
    """
    reader = _reader(stream)
    found: dict[str, int] = {}
    notes: list[str] = []
    refused = repeated = 0
    try:
        for member in reader:
            if member.isdir():
                continue
            name = _name_of(member)
            if name is None:
                refused += 1
            elif name in found:
                repeated += 1
            elif len(found) == MOST_LISTED:
                notes.append(f"output.tar.gz holds more than {MOST_LISTED:,} files; the archive has them all")
                break
            else:
                found[name] = member.size
        notes += [reader.damage(end) for end in reader.ends[:1]]
    except ArchiveError as error:
        notes.append(str(error))
    if refused:
        what = "links, devices, or files with holes or with names that lead elsewhere"
        which = "1 entry of output.tar.gz is" if refused == 1 else f"{refused:,} entries of output.tar.gz are"
        notes.append(f"{which} not offered: {what}")
    if repeated:
        more = f"{repeated:,} entries of output.tar.gz have names of others before them, which are offered"
        notes.append(
            "1 entry of output.tar.gz has the name of one before it, which is offered" if repeated == 1 else more
        )
    return Members(tuple(Member(name, size) for name, size in found.items()), tuple(notes))


def open_member(stream: BinaryIO, name: str) -> tuple[Member, Iterator[bytes]]:
    """
    Return one file of an archive and its content, in chunks; the archive is read up to it, and on as the content is asked for.

    :param name: as ``list_members`` has it.
    :raises MissingMemberError: it is not there, or what lies before it cannot be read.
    """
    reader = _reader(stream)
    try:
        for member in reader:
            if _name_of(member) == name:
                reader.take_time()
                return Member(name, member.size), reader.read(member)
    except ArchiveError as error:
        raise MissingMemberError(str(error)) from error
    raise MissingMemberError(f"output.tar.gz holds no '{name}'")


def _reader(stream: BinaryIO) -> ArchiveReader:
    return ArchiveReader(
        stream,
        most_members=_MOST_LOOKED_AT,
        most_bytes=_MOST_UNPACKED_BYTES,
        most_header_bytes=_MOST_HEADER_BYTES,
        seconds=_MOST_SECONDS,
    )


def _name_of(member: tarfile.TarInfo) -> str | None:
    """Return the name by which a member is offered; None for what is no plain file. Of one with holes the size is a claim that costs nothing."""
    if not member.isfile() or member.issparse() or not 0 <= member.size <= _MOST_UNPACKED_BYTES:
        return None
    return shown_name(member.name)
