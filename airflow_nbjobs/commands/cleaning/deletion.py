"""
Deletes what a survey found that nobody needs, job by job, in an order that may be broken off anywhere and begun again.

Called by ``nbjobs clean --yes``. Of a job, its files go first and SageMaker's record last: as long as there is a file, the record tells whose it is. What has
changed since the survey is asked for again: what all runs need right before the first deletion, each run's state before its own, and each job's.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.aws.ports import MOST_DELETED
from airflow_nbjobs.commands.cleaning.remains import Amount, Fate, Part, part_of
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_nbjobs.aws.ports import ListedObject, Storage
    from airflow_nbjobs.commands.cleaning.needs import Needs
    from airflow_nbjobs.commands.cleaning.remains import Finding
    from airflow_nbjobs.commands.records.port import AllRecords, Run

NO_DELETION = "SageMaker's records stay: this boto3 does not know DeleteTrainingJob (boto3 of 2026 does)"
_MOST_PROBLEMS = 5  # of one job that are shown


class Deleted(msgspec.Struct, kw_only=True):
    """What was deleted, and what was not."""

    jobs: int = 0
    amount: Amount = Amount()
    records: int = 0
    notes: list[str] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)


def delete(
    findings: Sequence[Finding], needs: Needs, records: AllRecords, deleted: Deleted, *, say: Callable[[str], object]
) -> None:
    """
    Delete the jobs that are to be removed; what fails is noted, and leaves out no other job.

    :param deleted: filled in as it goes, call by call, so that it is true wherever this ends between two.
    """
    if not any(each.fate is Fate.REMOVE for each in findings):
        return
    say("asking Airflow once more what its runs need")
    try:
        findings, notes = needs.keep_again(findings)
    except NotebookJobError as error:
        deleted.problems.append(f"nothing was deleted, what runs need by now is not known: {error.headline}")
        return
    deleted.notes += notes
    wanted = [(each.run, each) for each in findings if each.fate is Fate.REMOVE and each.run is not None]
    wanted.sort(key=lambda pair: (pair[0].moment, pair[0].name, pair[1].folder.name))
    for run, pairs in groupby(wanted, key=lambda pair: pair[0]):
        if _is_needed(run, records, deleted):
            continue
        say(f"deleting what '{run.run_id}' of DAG '{run.dag_id}' left")
        for _, finding in pairs:
            try:
                _delete_job(finding, deleted)
            except NotebookJobError as error:
                deleted.problems.append(f"{finding.folder.root}/{finding.folder.name}: {error.headline}")


def _is_needed(run: Run, records: AllRecords, deleted: Deleted) -> bool:
    try:
        is_under_way = records.is_under_way(run)
    except NotebookJobError as error:
        deleted.problems.append(f"run '{run.run_id}' of DAG '{run.dag_id}' is left: {error.headline}")
        return True
    if is_under_way:
        deleted.notes.append(f"run '{run.run_id}' of DAG '{run.dag_id}' is left: it is under way again, or gone")
    return is_under_way


def _delete_job(finding: Finding, deleted: Deleted) -> None:
    folder, clients = finding.folder, finding.clients
    uri = f"{folder.root}/{folder.name}"
    snapshot = clients.jobs.describe(folder.name)
    if snapshot is not None and not snapshot.state.is_terminal:
        deleted.notes.append(f"{uri} is left: its job has not ended ({snapshot.doing})")
        return
    bucket, prefix = parse_s3_uri(f"{uri}/")
    stored = [
        (part, each)
        for each in clients.storage.list_below(uri)
        if (part := part_of(folder.name, each.key.removeprefix(prefix))) is not None
    ]
    for files in (
        [each for part, each in stored if part is not Part.NOTEBOOK],
        [each for part, each in stored if part is Part.NOTEBOOK],
    ):
        refused = _delete_files(files, bucket, clients.storage, deleted)
        if refused:
            shown = [f"{key}: {why}" for key, why in list(refused.items())[:_MOST_PROBLEMS]]
            more = [f"and {len(refused) - _MOST_PROBLEMS} more"] if len(refused) > _MOST_PROBLEMS else []
            deleted.problems.append(f"s3://{bucket}: not deleted: {'; '.join([*shown, *more])}")
            return
    if snapshot is not None and not snapshot.is_being_deleted:
        if not clients.jobs.can_delete:
            _note_once(deleted, NO_DELETION)
        elif why := clients.jobs.delete(folder.name):
            deleted.problems.append(f"SageMaker keeps its record of '{folder.name}': {why}")
            return
        else:
            deleted.records += 1
    deleted.jobs += 1


def _delete_files(files: Sequence[ListedObject], bucket: str, storage: Storage, deleted: Deleted) -> dict[str, str]:
    """Return why not, for each key that S3 would not delete; what is gone is counted call by call."""
    refused: dict[str, str] = {}
    for begin in range(0, len(files), MOST_DELETED):
        batch = files[begin : begin + MOST_DELETED]
        refused |= storage.delete(bucket, [each.key for each in batch])
        gone = [each for each in batch if each.key not in refused]
        deleted.amount += Amount(len(gone), sum(each.size_bytes for each in gone))
    return refused


def _note_once(deleted: Deleted, text: str) -> None:
    if text not in deleted.notes:
        deleted.notes.append(text)
