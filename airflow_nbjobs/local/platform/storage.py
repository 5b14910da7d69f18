"""
S3 and archives as the platform uses them: input channels and models down, outputs up.

Called by the jobs' work and the checks with a boto3 S3 client.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MAX_MEMBERS = 100_000
MAX_BYTES = 20 * 1024**3  # of a model archive, unpacked


class StorageError(Exception):
    """An object could not be read or written; the text is the service's and says which."""


class ArchiveError(Exception):
    """The archive cannot be read, or must not be; the text says which member and why."""


class S3Location(NamedTuple):
    bucket: str
    key: str


def parse_s3_uri(uri: str) -> S3Location:
    parts = urlsplit(uri, allow_fragments=False)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return S3Location(parts.netloc, path.removeprefix("/"))


def has_objects(s3: Any, uri: str) -> bool:
    """Say whether any key begins with the URI's key; a bucket that does not exist has none."""
    from botocore.exceptions import ClientError

    location = parse_s3_uri(uri)
    try:
        return bool(s3.list_objects_v2(Bucket=location.bucket, Prefix=location.key, MaxKeys=1)["KeyCount"])
    except ClientError:
        return False


def local_name(key: str, prefix: str) -> str:
    """
    Return the path, relative to the channel's folder, of an object found under ``prefix``.

    The prefix is one of key *names*, not a folder: ``in/a`` also finds ``in/ab/c``, which keeps what follows the prefix's last slash.

    :raises StorageError: the key would leave the folder.
    """
    folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    name = key.removeprefix(folder) if key.startswith(folder) else key[prefix.rfind("/") + 1 :]
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise StorageError(f"the key {key!r} leaves the channel's folder")
    return name


def download_prefix(s3: Any, uri: str, folder: Path) -> int:
    """Download every object under a prefix and return how many; raises StorageError."""
    from botocore.exceptions import BotoCoreError, ClientError

    location = parse_s3_uri(uri)
    count = 0
    key = location.key
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=location.bucket, Prefix=location.key):
            for key in (found["Key"] for found in page.get("Contents", ()) if not found["Key"].endswith("/")):
                target = folder / local_name(key, location.key)
                target.parent.mkdir(parents=True, exist_ok=True)
                _download(s3, location.bucket, key, target)
                count += 1
    # OSError: an object lies where another's folder does, or a name is too long for a file; ValueError: it holds a NUL.
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise StorageError(f"Unable to download object s3://{location.bucket}/{key} ({error})") from error
    return count


def _download(s3: Any, bucket: str, key: str, target: Path) -> None:
    # One GET, not `download_file`: its HEAD and its thread pool cost more than a notebook's bytes.
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    with target.open("wb") as file:
        for chunk in body.iter_chunks(1 << 20):
            file.write(chunk)


def download(s3: Any, uri: str, target: Path) -> None:
    """Download one object; raises StorageError."""
    from botocore.exceptions import BotoCoreError, ClientError

    location = parse_s3_uri(uri)
    try:
        _download(s3, location.bucket, location.key, target)
    except (BotoCoreError, ClientError) as error:
        raise StorageError(f"Unable to download object {uri} ({error})") from error


def pack(folder: Path, archive: Path) -> None:
    """Write the folder's content, at the archive's root, in a stable order."""
    with tarfile.open(archive, "w:gz", compresslevel=6) as tar:
        for entry in sorted(folder.iterdir()):
            tar.add(entry, entry.name)


def unpack(archive: Path, folder: Path, *, max_members: int = MAX_MEMBERS, max_bytes: int = MAX_BYTES) -> int:
    """
    Write the archive's regular files below ``folder``; returns how many.

    No ``extractall``: somebody else's job made the archive, and a member's name or link may point anywhere.

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


def upload(s3: Any, file: Path, uri: str, *, kms_key_id: str = "") -> None:
    """Upload one file; raises StorageError."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import ClientError

    location = parse_s3_uri(uri)
    encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
    try:
        s3.upload_file(str(file), location.bucket, location.key, ExtraArgs=encryption)
    except (ClientError, Boto3Error) as error:
        raise StorageError(f"Unable to upload to {uri} ({error})") from error
