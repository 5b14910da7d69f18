"""
Read a ``tar.gz`` into a folder, member by member; used by ``transform.py`` for model archives.

No ``extractall``: a model archive is made by somebody else's job, and a member's name or link may point anywhere.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath

MAX_MEMBERS = 100_000
MAX_BYTES = 20 * 1024**3


class ArchiveError(Exception):
    """The archive cannot be read, or must not be; the text says which member and why."""


def unpack(archive: Path, folder: Path, *, max_members: int = MAX_MEMBERS, max_bytes: int = MAX_BYTES) -> int:
    """
    Write the archive's regular files below ``folder``; returns how many.

    :param max_bytes: of all files together, unpacked.
    :raises ArchiveError: it is no gzip-compressed tar, holds a link or a device, leaves the folder, or is over a limit.
    """
    count = size = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for position, member in enumerate(tar):
                target = _target(folder, member)
                size += member.size
                if position >= max_members or size > max_bytes:
                    raise ArchiveError(f"the archive holds more than {max_members} members or {max_bytes} bytes")
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                # Before extractfile, which follows a link.
                source = tar.extractfile(member) if member.isreg() else None
                if source is None:
                    raise ArchiveError(f"the member {member.name!r} is neither a file nor a folder")
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, target.open("wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                count += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ArchiveError(f"not a readable .tar.gz: {error}") from error
    return count


def _target(folder: Path, member: tarfile.TarInfo) -> Path:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ArchiveError(f"the member {member.name!r} leaves the folder")
    return folder / path
