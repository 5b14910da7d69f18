"""
What ``nbjobs outputs`` has written into a folder, beside the files: by it a repeated command knows what is there already.

Called by ``save.py``.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME = "nbjobs-outputs.json"
_VERSION = 1


class Manifest:
    """
    One folder's list of files: each with where it comes from, and its size.

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
        return self._files.get(name) == {"source": source, "bytes": size_bytes}

    def note(self, name: str, source: str, size_bytes: int) -> None:
        """Add a file that is there now."""
        self._files[name] = {"source": source, "bytes": size_bytes}
        document = self._run | {"files": dict(sorted(self._files.items()))}
        write_whole(self._path, as_json(document))


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
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(body)
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
