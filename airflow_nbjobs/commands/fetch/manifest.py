"""
What ``nbjobs outputs`` has written into a folder, beside the files: by it a repeated command knows what is there already.

Called by ``save.py``.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.commands.whole_file import whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NAME = "nbjobs-outputs.json"
_VERSION = 1


class Manifest:
    """
    One folder's list of files: each with where it comes from, its size, and the hash of what was written.

    :param folder: may not be there yet.
    """

    def __init__(self, folder: Path, *, dag_id: str, run_id: str) -> None:
        self._path = folder / NAME
        self._run = {"version": _VERSION, "dag_id": dag_id, "run_id": run_id}
        stored = _read(self._path)
        self.other_run = None
        if stored and any(stored.get(name) != value for name, value in self._run.items()):
            self.other_run = f"{stored.get('dag_id')}, {stored.get('run_id')}"
        files = stored.get("files")
        self._files: dict[str, Any] = dict(files) if isinstance(files, dict) and self.other_run is None else {}

    def has(self, name: str, source: str, size_bytes: int) -> bool:
        """Say whether a file of this size is the one that was written from this source."""
        noted = self._noted(name)
        return (noted.get("source"), noted.get("bytes")) == (source, size_bytes)

    def is_as_written(self, name: str, path: Path) -> bool:
        """Say whether a file, whatever it was written from, has been left as it was written."""
        noted = self._noted(name)
        return noted.get("bytes") == path.stat().st_size and noted.get("sha256") == _digest(path)

    def _noted(self, name: str) -> Mapping[str, Any]:
        noted = self._files.get(name)
        return noted if isinstance(noted, dict) else {}

    def note(self, name: str, source: str, path: Path) -> None:
        """Add a file that is there now."""
        self._files[name] = {"source": source, "bytes": path.stat().st_size, "sha256": _digest(path)}
        document = self._run | {"files": dict(sorted(self._files.items()))}
        write_whole(self._path, as_json(document))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def as_json(value: object) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def write_whole(path: Path, body: bytes) -> None:
    """Write a file so that nobody ever finds half of it; a failure leaves what was there."""
    with whole_file(path) as file:
        file.write(body)
