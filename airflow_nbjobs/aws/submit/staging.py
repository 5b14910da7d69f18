"""
The input channel's files: no two under one name, and up to S3 in parallel.

Called by ``prepare.py`` (names) and ``job.py`` (upload).
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.ports import UPLOAD_THREADS
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_nbjobs.aws.ports import Objects
    from airflow_nbjobs.aws.submit.sources import StagedFile

_KEY_LIMIT_BYTES = 1024  # of an S3 object key, UTF-8
_HASH_CHUNK_BYTES = 1024 * 1024


def merge_files(files: Iterable[StagedFile]) -> tuple[tuple[StagedFile, ...], list[str]]:
    """
    Return the files to stage and a problem for each name that two different files claim.

    The same file named twice (a ``%run`` target that is also listed) is one file. The SDK lets the second overwrite the first in silence.
    """
    by_name: dict[str, StagedFile] = {}
    problems: list[str] = []
    for file in files:
        present = by_name.setdefault(file.name, file)
        if present.origin != file.origin:
            problems.append(
                f"'{present.origin}' and '{file.origin}' would both be staged as '{file.name}'; rename one, or put it into a folder and list the folder"
            )
    folders = {str(parent) for name in by_name for parent in PurePosixPath(name).parents}
    problems += [
        f"'{file.origin}' would be staged as '{name}', which is also a folder of other files; rename one of them"
        for name, file in by_name.items()
        if name in folders
    ]
    return tuple(by_name.values()), problems


def input_digest(files: Sequence[StagedFile]) -> str:
    """Return one sha256 over names and contents, whatever the order; tells a later try whether the adopted job ran on the same input."""
    total = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        total.update(file.name.encode() + b"\0" + file_digest(file).encode() + b"\n")
    return total.hexdigest()


def file_digest(file: StagedFile) -> str:
    digest = hashlib.sha256()
    if isinstance(file.body, bytes):
        digest.update(file.body)
    else:
        with Path(file.body).open("rb") as stream:
            while chunk := stream.read(_HASH_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def upload(files: Sequence[StagedFile], *, to_uri: str, objects: Objects, kms_key: str | None) -> None:
    """
    Put every file below ``to_uri``, up to 16 at a time; the first failure is raised once no upload runs any more.

    :raises NotebookJobServiceError: S3 refused an object; the text names it and the permission.
    """
    with ThreadPoolExecutor(max_workers=min(UPLOAD_THREADS, len(files))) as pool:
        uploads = [pool.submit(objects.put, f"{to_uri}/{file.name}", file.body, kms_key=kms_key) for file in files]
        try:
            for upload_ in uploads:
                upload_.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def key_problems(files: Sequence[StagedFile], *, to_uri: str) -> list[str]:
    """Return a problem for every name that makes an S3 key longer than 1,024 bytes."""
    _, prefix = parse_s3_uri(to_uri)
    return [
        f"'{file.origin}': its S3 key would have more than {_KEY_LIMIT_BYTES} bytes; shorten its path or s3_root_uri"
        for file in files
        if len(f"{prefix}/{file.name}".encode()) > _KEY_LIMIT_BYTES
    ]
