"""
Where a path that a DAG names lies on this machine.

Called by ``sources.py``, and while DAGs are parsed (``task/notebook_cell.py``): stays small.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.submit.path_guesses import near_name, notebooks_in
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_CHARACTERS = 300  # of a path in a message
_URI = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<rest>.*)")


def find_file(argument: str, path: str, folders: Sequence[Path], *, has_notebooks: bool) -> Path:
    """
    Return the existing file of that path.

    :param argument: names it in errors.
    :param has_notebooks: a notebook is wanted, so a folder is refused with the notebooks that lie in it.
    :raises NotebookJobConfigError: there is none, or it is a folder.
    """
    file = find_local(argument, path, folders)
    if not file.is_file():
        there = notebooks_in(file) if has_notebooks else ""
        raise NotebookJobConfigError(f"{argument}: '{path}' is a folder, a file is needed{there}")
    return file


def find_local(argument: str, path: str, folders: Sequence[Path]) -> Path:
    """Return the existing file or folder of that path; raises NotebookJobConfigError naming the places searched."""
    uri = _URI.match(path)
    if uri is not None:
        raise NotebookJobConfigError(
            f"{argument}: '{_cut(path)}' is no path; of URIs, 's3://bucket/key' is taken: {_instead(uri['scheme'].lower(), uri['rest'])}"
        )
    wanted = Path(path).expanduser()
    candidates = [wanted] if wanted.is_absolute() else [folder / wanted for folder in folders]
    for candidate in candidates:
        try:
            if candidate.exists():
                return candidate
        except OSError:  # too long for a file name: a notebook's text given in place of its path
            continue
    searched = ", ".join(f"'{_cut(candidate)}'" for candidate in candidates) or "no folder"
    meant = near_name(path, folders)
    hint = f"; did you mean '{meant}'?" if meant is not None else ""
    raise NotebookJobConfigError(f"{argument}: there is no '{_cut(path)}'; searched {searched}{hint}")


def _instead(scheme: str, rest: str) -> str:
    if scheme in ("s3", "s3a", "s3n"):
        return f"give 's3://{_cut(rest)}'"
    return f"give '{_cut(rest)}'" if scheme == "file" else "put the file there"


def _cut(path: object) -> str:
    return shortened(str(path), _SHOWN_CHARACTERS)
