"""
What somebody may have meant who names a file that is not there, or is not what it should be.

Called by ``sources.py`` and the commands once a file is missing; lists a few folders, reads no file.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_nbjobs.core.guesses import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEVELS = 3  # of folders below the one that was searched
_MOST_ENTRIES = 2_000  # of all folders together: a folder of DAGs may lie in a home directory
_SHOWN = 10  # notebooks of a folder in a message


def near_name(path: str, folders: Sequence[Path]) -> str | None:
    """
    Return a path that exists and that the text of one that does not exist may have meant.

    In this order: written with other slashes or blanks, without its suffix, in other letters' case, in another folder below, misspelt.

    :param folders: in which the path was searched; hidden files and folders are left out.
    """
    wanted = PurePosixPath(path.strip().replace("\\", "/"))
    if not wanted.name or len(path) > 255 or "\0" in path:  # no name that a file system can hold
        return None
    is_absolute = wanted.is_absolute()
    for folder in [Path(wanted.parent)] if is_absolute else folders:
        found = _nearest(PurePosixPath(wanted.name) if is_absolute else wanted, list(_files(folder)))
        if found is not None:
            return str(wanted.parent / found if is_absolute else found)
    return None


def notebooks_in(folder: Path) -> str:
    """Return the notebooks in a folder and below it as the end of a message that refuses the folder; those that a run has left are left out."""
    found = [
        f"'{folder / name}'"
        for name in _files(folder)
        if name.suffix == ".ipynb" and not name.name.endswith((".executed.ipynb", "-checkpoint.ipynb"))
    ]
    if not found:
        return "; there is none in it"
    rest = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"; in it: {', '.join(found[:_SHOWN])}{rest}"


def near_folder(path: Path) -> str:
    """Return the folder beside that was probably meant, as the end of a message; empty where none is near."""
    try:
        beside = [entry.name for entry in os.scandir(path.parent) if entry.is_dir()]
    except (OSError, ValueError):
        return ""
    hint = did_you_mean(path.name, beside)
    return hint.replace("'", f"'{path.parent}{os.sep}", 1) if hint and path.parent != Path() else hint


def _nearest(wanted: PurePosixPath, there: Sequence[PurePosixPath]) -> PurePosixPath | None:
    lowered = str(wanted).lower()
    name = wanted.name.lower()
    for near in (
        [file for file in there if str(file).lower() in (lowered, f"{lowered}.ipynb")],
        [file for file in there if file.name.lower() in (name, f"{name}.ipynb")],
    ):
        if near:
            return min(near, key=lambda file: (len(file.parts), str(file)))
    alike = {str(file): file for file in there if file.suffix == wanted.suffix}
    close = difflib.get_close_matches(str(wanted), alike, n=1, cutoff=0.8)
    return alike[close[0]] if close else None


def _files(folder: Path) -> Iterator[PurePosixPath]:
    """Return the files of a folder and of those below it, nearest first."""
    left, levels = _MOST_ENTRIES, [(folder, PurePosixPath())]
    for _ in range(_LEVELS):
        below: list[tuple[Path, PurePosixPath]] = []
        for path, name in levels:
            try:
                entries = sorted(os.scandir(path), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                if entry.name.startswith(".") or entry.name == "__pycache__":
                    continue
                if entry.is_dir(follow_symlinks=False):
                    below.append((Path(entry.path), name / entry.name))
                else:
                    yield name / entry.name
        levels = below
