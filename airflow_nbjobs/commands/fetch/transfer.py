"""
One object of S3 into one file: streamed, gone on with where the connection broke, and under its own name only once it is whole.

Called by ``save.py``.
"""

from __future__ import annotations

import hashlib
import os
import time
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.ports import ChangedObjectError
from airflow_nbjobs.core.errors import NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_nbjobs.aws.ports import AwsClients, StoredObject

# A connection that breaks loses what of a chunk has come: small ones lose little.
_CHUNK_BYTES = 64 * 1024
_PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 20.0)  # in a row without a byte; any progress begins anew
_MOST_CHANGES = 3


def part_file(path: Path, uri: str, stored: StoredObject) -> Path:
    """Return where the beginning of a file is kept: its name tells the object and its version, so that no other is gone on with."""
    digest = hashlib.sha256(f"{uri} {stored.etag} {stored.size_bytes}".encode()).hexdigest()[:12]
    return path.with_name(f".{path.name}.{digest}.part")


class Transfer:
    """
    The download of one object.

    :param stored: as S3 described the object when the download was planned.
    :param advance: told each number of bytes, and at once what was there; what is lost again is told as a negative one.
    :param say: told what goes wrong and is gone on with.
    """

    def __init__(
        self,
        uri: str,
        stored: StoredObject,
        clients: AwsClients,
        *,
        advance: Callable[[int], object] = lambda _bytes: None,
        say: Callable[[str], object] = lambda _text: None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._uri = uri
        self._stored = stored
        self._clients = clients
        self._advance = advance
        self._say = say
        self._sleep = sleep

    def into(self, path: Path) -> None:
        """
        Write the object to a file, in place of one that may be there.

        What was fetched before, by this process or by another that has ended, is not fetched again as long as the object is the same.

        :raises NotebookJobServiceError: S3 cannot be read; the beginning is kept. Code ``NoSuchKey``: the object has gone.
        :raises OSError: the file cannot be written.
        """
        for _ in range(_MOST_CHANGES):
            part = part_file(path, self._uri, self._stored)
            try:
                self._fill(part)
            except ChangedObjectError:
                self._advance(-part.stat().st_size)
                part.unlink(missing_ok=True)
                now = self._clients.objects.stat(self._uri)
                if now is None:
                    raise NotebookJobServiceError(f"{self._uri} has gone meanwhile", code="NoSuchKey") from None
                self._say(f"{self._uri} has changed meanwhile; beginning anew")
                self._stored = now
            else:
                part.replace(path)
                return
        raise NotebookJobServiceError(
            f"{self._uri} changes again and again while it is fetched", code="PreconditionFailed"
        )

    def _fill(self, part: Path) -> None:
        size = self._stored.size_bytes
        with part.open("ab") as file:
            done = file.tell()
            if done > size:  # nobody's beginning
                file.truncate(0)
                done = 0
            self._advance(done)
            failures = 0
            while done < size:
                before = done
                try:
                    with self._clients.storage.open_from(self._uri, self._stored, start=done) as body:
                        while done < size and (chunk := body.read(_CHUNK_BYTES)):
                            file.write(chunk)
                            done += len(chunk)
                            self._advance(len(chunk))
                except NotebookJobServiceError as error:
                    failures = 1 if done > before else failures + 1
                    if not error.is_retryable or failures > len(_PAUSES_SECONDS):
                        raise
                    self._say(f"{error.headline}; going on after {done} of {size} bytes")
                    self._sleep(_PAUSES_SECONDS[failures - 1])
            file.flush()
            os.fsync(file.fileno())
