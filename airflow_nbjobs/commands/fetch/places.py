"""
Where on disk the files of a run go: a folder a task, a mapped index and a try. Pure.

Called by ``jobs.py``.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_BYTES = 200  # a file system takes 255, and a part has a longer name


def folder_name(identifier: str) -> str:
    """
    Return an identifier of Airflow as the name of one folder, wherever it comes from: none that leads elsewhere, is hidden, or is too long.

    What Airflow itself lets be a task's id stays as it is, but for dots at the beginning and ids of more than 200 bytes.
    """
    name = re.sub(r"[^\w.-]", lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), identifier)
    name = re.sub(r"^\.+", lambda found: "%2E" * len(found[0]), name) or "%"
    if len(name.encode()) > _MOST_BYTES:
        digest = hashlib.sha256(identifier.encode()).hexdigest()[:16]
        name = f"{name.encode()[: _MOST_BYTES - 17].decode(errors='ignore')}-{digest}"
    return name


def task_folder(task_id: str, map_index: int) -> PurePosixPath:
    folder = PurePosixPath(folder_name(task_id))
    return folder / str(map_index) if map_index >= 0 else folder


def try_folders(jobs: Iterable[tuple[int, int]]) -> list[str]:
    """
    Return the folder's name for each job, given as (try, attempt).

    One try may have several jobs: where an instance was not to be had, the next is asked for. The first of them has the try's name alone, also once others
    have come.
    """
    jobs = list(jobs)
    first = {number: min(attempt for other, attempt in jobs if other == number) for number, _ in jobs}
    return [
        f"try-{number}" if attempt == first[number] else f"try-{number}.attempt-{attempt}" for number, attempt in jobs
    ]
