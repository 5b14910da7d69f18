"""
What lies under an ``s3_root_uri``, folder by folder, and what becomes of each. Pure.

Called by ``survey.py``, ``deletion.py`` and ``report.py``.
"""

from __future__ import annotations

import enum
import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.job.naming import (
    INPUT_FOLDER,
    LIVE_FOLDER,
    OUTPUT_ARCHIVE,
    OUTPUT_FOLDER,
    JobLocation,
    name_digest,
)
from airflow_nbjobs.core.job.status import LONGEST_RUN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from airflow_nbjobs.aws.ports import AwsClients, ListedObject
    from airflow_nbjobs.commands.records.port import Run
    from airflow_nbjobs.core.job.naming import RunKey

_JOB_NAME = re.compile(r"[a-zA-Z0-9](?:-*[a-zA-Z0-9])*-(?P<digest>[0-9a-f]{12})")
# What SageMaker puts beside the output of a job, if it is asked to.
_OUTPUT_FOLDERS = (OUTPUT_FOLDER, "debug-output", "profiler-output")
_DURATION = re.compile(r"(?P<number>[0-9]{1,5})(?P<unit>[hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


class Part(enum.Enum):
    """What an object of a job is; in the order in which they are deleted: the notebook, by which a try knows that results were delivered, goes last."""

    INPUT = "input"
    LIVE = "live"
    OUTPUT = "output"
    NOTEBOOK = "notebook"


class Amount(msgspec.Struct, frozen=True):
    """How many objects, and how large together."""

    objects: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.objects + other.objects, self.size_bytes + other.size_bytes)


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """
    What lies under one job's name.

    :param other: objects in it that no notebook job makes.
    :param has_ended: there is what a job leaves at its end.
    """

    root: str
    name: str
    parts: dict[Part, Amount]
    other: Amount = Amount()
    newest: datetime | None = None
    has_ended: bool = False

    @property
    def amount(self) -> Amount:
        return sum(self.parts.values(), Amount())


def part_of(name: str, rest: str) -> Part | None:
    """
    Return what an object is, None for one that no notebook job makes.

    :param rest: its key below the folder of the job.
    """
    first, slash, _ = rest.partition("/")
    if not slash:
        return Part.NOTEBOOK if rest == JobLocation("", name).executed_notebook_name else None
    if first in _OUTPUT_FOLDERS:
        return Part.OUTPUT
    return {INPUT_FOLDER: Part.INPUT, LIVE_FOLDER: Part.LIVE}.get(first)


def read_folders(root: str, objects: Iterable[ListedObject], prefix: str) -> tuple[list[Folder], Amount]:
    """
    Return the folders of jobs, and how much else there is under the root.

    :param prefix: of the keys: the root's own, with its slash.
    """
    folders: dict[str, Folder] = {}
    elsewhere = Amount()
    for each in objects:
        name, slash, rest = each.key.removeprefix(prefix).partition("/")
        if slash and digest_of(name) is not None:
            folder = folders.get(name) or Folder(root=root, name=name, parts={})
            folders[name] = _with_object(folder, rest, each)
        else:
            elsewhere += Amount(1, each.size_bytes)
    for folder in folders.values():
        if not folder.parts:
            elsewhere += folder.other
    return [folder for folder in folders.values() if folder.parts], elsewhere


def _with_object(folder: Folder, rest: str, stored: ListedObject) -> Folder:
    one, part = Amount(1, stored.size_bytes), part_of(folder.name, rest)
    if part is None:
        return msgspec.structs.replace(folder, other=folder.other + one)
    return msgspec.structs.replace(
        folder,
        parts=folder.parts | {part: folder.parts.get(part, Amount()) + one},
        newest=max(stored.modified, folder.newest or stored.modified),
        has_ended=folder.has_ended or part is Part.NOTEBOOK or rest == OUTPUT_ARCHIVE,
    )


def digest_of(job_name: str) -> str | None:
    """Return what tells the attempt in a job's name, None where it is not in the form of ours."""
    match = _JOB_NAME.fullmatch(job_name)
    return None if match is None else match["digest"]


def named_digests(text: str) -> set[str]:
    """Return the digests of all jobs that a text may name."""
    return set(re.findall(r"(?<=-)[0-9a-f]{12}(?![0-9a-zA-Z])", text))


class Fate(enum.Enum):
    REMOVE = "remove"
    KEEP = "keep"
    LEAVE = "leave"  # whose it is cannot be told


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """
    One job of which something is left.

    :param run: whose it is; None where that cannot be told.
    :param why: it is kept or left.
    :param has_record: SageMaker knows the job; None: it was not asked, since the job's run is kept.
    :param clients: by which it was found.
    """

    folder: Folder
    fate: Fate
    why: str
    run: Run | None
    has_record: bool | None
    clients: AwsClients


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which ended runs are kept.

    :param older_than_hours: younger ones; None: no age keeps a run.
    :param keep_last: so many of each DAG, the newest of those that have ended.
    """

    older_than_hours: int | None
    keep_last: int | None

    @property
    def says_something(self) -> bool:
        return self.older_than_hours is not None or self.keep_last is not None


def kept_runs(
    runs: Iterable[Run], rules: Rules, *, under_way: Collection[tuple[str, str]], now: datetime
) -> dict[tuple[str, str], str]:
    """
    Return why a run is kept, for each that is.

    :param under_way: names of those of which a task goes on; a run that was marked as failed has such.
    """
    kept: dict[tuple[str, str], str] = {}
    ended: dict[str, list[Run]] = {}
    for run in runs:
        if not run.has_ended:
            kept[run.name] = f"its run is {run.state}"
        elif run.name in under_way:
            kept[run.name] = "a task of its run is under way"
        else:
            ended.setdefault(run.dag_id, []).append(run)
    for of_dag in ended.values():
        of_dag.sort(key=lambda run: (run.run_after, run.run_id), reverse=True)
        for run in of_dag:
            if rules.older_than_hours is not None and hours_between(run.moment, now) < rules.older_than_hours:
                kept[run.name] = "its run is younger than --older-than"
        for run in of_dag[: rules.keep_last or 0]:
            kept.setdefault(run.name, f"its run is one of the last {rules.keep_last}")
    return kept


def hours_between(then: datetime, now: datetime) -> float:
    return (now - then).total_seconds() / 3600


def parse_age(text: str) -> int:
    """Return hours; raises ValueError for anything but ``12h``, ``30d``, ``8w``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no age; write 12h, 30d or 8w")
    return int(match["number"]) * _HOURS[match["unit"]]


def may_live_unseen(folder: Folder, *, now: datetime) -> bool:
    """Say whether a job that SageMaker does not know here may run in another region: it has left nothing of its end, and is not older than any job gets."""
    return not folder.has_ended and folder.newest is not None and now - folder.newest < LONGEST_RUN


def some(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def refusal_of_owner(key: RunKey, job_name: str, *, deployment: str) -> str:
    """Return why a job's owner attributes it to no run of this Airflow, an empty text where it may be one."""
    if digest_of(job_name) != name_digest(key):
        return "its name is not that of its NBJOBS_OWNER"
    if key.deployment != deployment:
        return f"it belongs to deployment '{key.deployment}', this one is '{deployment}'"
    return ""
