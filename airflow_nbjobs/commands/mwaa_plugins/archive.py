"""
plugins.zip: equal files give equal bytes, and the file is whole or not there.

Called by ``nbjobs mwaa-plugins``.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_nbjobs.commands.mwaa_plugins.requirements import CONSTRAINTS_NAME
from airflow_nbjobs.core.errors import NotebookJobConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a ZIP file can name
_MODE = 0o100644 << 16


def check_target(path: Path, *, force: bool) -> None:
    """Refuse what could not be written at the end, before minutes of work."""
    folder = path.absolute().parent
    if path.is_dir():
        raise NotebookJobConfigError(f"--to '{path}' is a folder; name the file, such as '{path / 'plugins.zip'}'")
    if path.exists() and not force:
        raise NotebookJobConfigError(
            f"--to '{path}' exists; --force overwrites it (--with FOLDER takes your own plugins along)"
        )
    if not folder.is_dir():
        raise NotebookJobConfigError(f"--to '{path}': there is no folder '{folder}'")
    if not os.access(folder, os.W_OK):
        raise NotebookJobConfigError(f"--to '{path}': the folder '{folder}' cannot be written to")


def read_plugins(folder: Path) -> dict[str, Path]:
    """Return the files of the user's own plugins, by their place in the archive."""
    if not folder.is_dir():
        raise NotebookJobConfigError(f"--with '{folder}' is no folder")
    files = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    if not files:
        raise NotebookJobConfigError(f"--with '{folder}' has no files")
    clash = next(
        (name for name in files if "/" not in name and (name.endswith(".whl") or name == CONSTRAINTS_NAME)), None
    )
    if clash:
        raise NotebookJobConfigError(
            f"--with '{folder}': '{clash}' would lie among the archive's own wheels and constraints"
        )
    return files


def write(path: Path, files: Mapping[str, Path | bytes]) -> int:
    """
    Write the archive in place of what is there; return its bytes.

    Wheels are archives already and are stored as they are.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for place, body in sorted(files.items()):
                add(
                    archive,
                    place,
                    body if isinstance(body, bytes) else body.read_bytes(),
                    stored=place.endswith(".whl"),
                )
        size = Path(name).stat().st_size
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return size


def add(archive: zipfile.ZipFile, place: str, body: bytes, *, stored: bool = False) -> None:
    """Add a file that tells nothing of when and by whom it was added."""
    info = zipfile.ZipInfo(place, _EPOCH)
    info.external_attr = _MODE
    info.create_system = 3  # Unix, on every system
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    archive.writestr(info, body)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
