"""
Who needs what is left: each folder under the roots of this Airflow's tasks is attributed to a run, or left alone.

Called by ``nbjobs clean``; asks Airflow and AWS, changes nothing. A run is found by the naming rule, forwards: the names that its tasks' jobs can have; and
backwards: by ``NBJOBS_OWNER`` of the job, as SageMaker has it. An XCom decides nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.commands.cleaning.remains import (
    Amount,
    Fate,
    Finding,
    Folder,
    digest_of,
    kept_runs,
    may_live_unseen,
    named_digests,
    read_folders,
    refusal_of_owner,
)
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.naming import RunKey, name_digest, parse_owner, parse_s3_uri
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.ui.notebook.aws_access import access_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.commands.cleaning.remains import Rules
    from airflow_nbjobs.commands.records.port import AllRecords
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access

_ATTEMPTS = 10  # whose names are computed; of later ones SageMaker tells the owner
_THREADS = 4  # that describe jobs: DescribeTrainingJob is for the whole account
_SKEW = timedelta(minutes=10)  # the service's clock and Airflow's
_NEVER_HAD_A_JOB = {None, "skipped", "upstream_failed", "removed", "scheduled", "queued"}


class Survey(msgspec.Struct, kw_only=True):
    """
    Everything that was found.

    :param elsewhere: objects under the roots that lie in no folder of a job.
    :param versioned: buckets that keep what is deleted as older versions.
    :param problems: what could not be asked.
    """

    findings: list[Finding]
    elsewhere: Amount
    versioned: list[str]
    notes: list[str]
    problems: list[str]


class Surveyor:
    """
    :param dag_ids: only these; empty: all.
    :param say: told how far it has come.
    """

    def __init__(
        self,
        records: AllRecords,
        rules: Rules,
        *,
        dag_ids: frozenset[str],
        now: datetime,
        say: Callable[[str], object],
    ) -> None:
        self._records = records
        self._dag_ids = dag_ids
        self._say = say
        self._runs = {run.name: run for run in records.runs()}
        self._kept = kept_runs(self._runs.values(), rules, now=now)
        self._now = now
        self._digests: dict[str, tuple[tuple[str, str], str]] = {}  # -> the run, and SageMaker's endpoint
        self._starts: dict[RunKey, set[int]] = {}
        self._survey = Survey(findings=[], elsewhere=Amount(), versioned=[], notes=[], problems=[])

    @property
    def known_dags(self) -> set[str]:
        return {dag_id for dag_id, _ in self._runs}

    def survey(self) -> Survey:
        """:raises AirflowError: Airflow gives no answer."""
        for root, accesses in self._places().items():
            try:
                self._look_at(root, list(accesses.values()))
            except (NotebookJobServiceError, NotebookJobConfigError) as error:
                self._survey.problems.append(f"{root}: {error.headline}; nothing of it is deleted")
        self._keep_what_kept_runs_name()
        self._survey.findings.sort(key=lambda each: (each.folder.root, each.folder.name))
        return self._survey

    def _places(self) -> dict[str, dict[str, Access]]:
        """Return the roots to which jobs write, and of each the ways to AWS by SageMaker's endpoint: tasks of two regions may share a bucket."""
        wanted = {dag_id for dag_id in self.known_dags if not self._dag_ids or dag_id in self._dag_ids}
        known: dict[tuple[object, ...], Access | None] = {}
        places: dict[str, dict[str, Access]] = {}
        for ti in self._records.all_task_instances(wanted):
            key = access_key(ti)
            if key not in known:
                known[key] = self._access(ti)
            access = known[key]
            if access is None or access.root is None:
                continue
            self._add_digests(ti, access)
            places.setdefault(access.root, {}).setdefault(access.clients.jobs.endpoint_url, access)
        return places

    def _access(self, ti: NotebookTaskInstance) -> Access | None:
        try:
            return self._records.access(ti)
        except (NotebookJobServiceError, NotebookJobConfigError) as error:
            self._survey.problems.append(f"{ti.dag_id}.{ti.task_id}: {error.headline}; nothing of it is deleted")
            return None

    def _add_digests(self, ti: NotebookTaskInstance, access: Access) -> None:
        if ti.state in _NEVER_HAD_A_JOB and not ti.try_number:
            return
        (first, *_) = replace(ti, job=None, attempts=()).run_keys(deployment=access.deployment)
        for generation in range(ti.max_tries + 1):
            for attempt in range(_ATTEMPTS):
                key = replace(first, generation=generation, attempt=attempt)
                self._digests[name_digest(key)] = (ti.dag_id, ti.run_id), access.clients.jobs.endpoint_url

    def _look_at(self, root: str, accesses: list[Access]) -> None:
        bucket, prefix = parse_s3_uri(root)
        self._say(f"looking through {root}/")
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        storage = accesses[0].clients.storage
        folders, elsewhere = read_folders(root, storage.list_below(root), prefix)
        self._survey.elsewhere += elsewhere
        self._note_versions(bucket, accesses[0].clients)
        folders += self._without_files(root, {folder.name for folder in folders}, accesses)
        self._say(f"{root}/: {len(folders)} jobs; asking SageMaker for those that no kept run has")
        with ThreadPoolExecutor(_THREADS) as threads:
            found = threads.map(lambda folder: self._described(folder, accesses), folders)
            for folder, (snapshot, access) in zip(folders, found, strict=True):
                finding = self._finding(folder, snapshot, access)
                if finding is not None and (folder.parts or finding.has_record):
                    self._survey.findings.append(finding)

    def _described(self, folder: Folder, accesses: list[Access]) -> tuple[JobSnapshot | None, Access]:
        """Ask the region in which the job's task runs jobs; where its task is not known, all that write to this root."""
        if self._is_kept_by_name(folder):
            return None, accesses[0]
        _, endpoint = self._digests.get(digest_of(folder.name) or "", (None, None))
        asked = [each for each in accesses if endpoint in (None, each.clients.jobs.endpoint_url)] or accesses
        for access in asked:
            snapshot = access.clients.jobs.describe(folder.name)
            if snapshot is not None:
                return snapshot, access
        return None, asked[0]

    def _without_files(self, root: str, known: set[str], accesses: list[Access]) -> Iterator[Folder]:
        """Yield the jobs of ended runs whose files are gone, and of which SageMaker still has a record."""
        starts = [run.started or run.run_after for name, run in self._runs.items() if name not in self._kept]
        if not starts:
            return
        for access in accesses:
            token: str | None = None
            while access.clients.jobs.can_delete:
                call = ListJobs(created_after=min(starts).replace(microsecond=0) - _SKEW, next_token=token)
                try:
                    page = access.clients.jobs.list_page(call)
                except NotebookJobServiceError as error:
                    if not is_denied(error):
                        raise
                    self._survey.notes.append(f"records of jobs whose files are gone are not found: {error.headline}")
                    break
                for summary in page.summaries:
                    named = self._digests.get(digest_of(summary.job_name) or "")
                    if named and named[0] not in self._kept and summary.job_name not in known:
                        yield Folder(root=root, name=summary.job_name, parts={})
                token = page.next_token
                if token is None:
                    break

    def _is_kept_by_name(self, folder: Folder) -> bool:
        found = self._digests.get(digest_of(folder.name) or "")
        return found is not None and found[0] in self._kept

    def _note_versions(self, bucket: str, clients: AwsClients) -> None:
        try:
            if clients.storage.keeps_versions(bucket) and bucket not in self._survey.versioned:
                self._survey.versioned.append(bucket)
        except (NotebookJobServiceError, NotebookJobConfigError) as error:
            self._survey.notes.append(f"whether bucket '{bucket}' keeps versions is not known: {error.headline}")

    def _finding(self, folder: Folder, snapshot: JobSnapshot | None, access: Access) -> Finding | None:
        """Return what becomes of a job; None for one of a DAG that is not asked for."""
        name, why = self._run_of(folder, snapshot, access.deployment)
        run = self._runs.get(name) if name else None
        if name is not None and self._dag_ids and name[0] not in self._dag_ids:
            return None
        fate = Fate.REMOVE
        if name is None or run is None:
            fate = Fate.LEAVE
            if name is not None:
                why = f"Airflow has no run '{name[1]}' of DAG '{name[0]}', or does not show it"
        elif snapshot is not None and not snapshot.state.is_terminal:
            fate, why = Fate.KEEP, f"its job has not ended ({snapshot.doing})"
        elif run.name in self._kept:
            fate, why = Fate.KEEP, self._kept[run.name]
        return Finding(
            folder=folder,
            fate=fate,
            why=why,
            run=run,
            has_record=snapshot is not None and not snapshot.is_being_deleted,
            clients=access.clients,
        )

    def _run_of(
        self, folder: Folder, snapshot: JobSnapshot | None, deployment: str
    ) -> tuple[tuple[str, str] | None, str]:
        """Return the run that a job belongs to, or why that cannot be told."""
        by_name, _ = self._digests.get(digest_of(folder.name) or "", (None, None))
        if snapshot is None:
            if by_name is None:
                return None, "SageMaker knows no such job, and no task here has one of that name"
            if by_name not in self._kept and may_live_unseen(folder, now=self._now):
                return None, "SageMaker knows no such job here, and it may still run in another region"
            return by_name, ""
        if (snapshot.output_root or "").rstrip("/") != folder.root:
            return None, f"its job writes elsewhere ({snapshot.output_root})"
        owner = snapshot.environment.get(OWNER_VARIABLE, "")
        if not owner:
            return None, "it has no NBJOBS_OWNER: a job of Studio, the SDK, or another program"
        key = parse_owner(owner)
        if key is None:  # cut for its length; then the name, a hash of the whole, has to tell
            return by_name, "" if by_name else "its NBJOBS_OWNER does not tell the run"
        if why := refusal_of_owner(key, folder.name, deployment=deployment):
            return None, why
        run = self._runs.get((key.dag_id, key.run_id))
        if run is not None and run.started_microseconds != key.run_started_microseconds and not self._remembers(key):
            return None, "it belongs to another start of that run: of before a clear, or of another Airflow"
        return (key.dag_id, key.run_id), ""

    def _remembers(self, key: RunKey) -> bool:
        task = replace(key, run_started_microseconds=0, generation=0, attempt=0)
        if task not in self._starts:
            self._starts[task] = self._records.remembered_starts(key.dag_id, key.run_id, key.task_id, key.map_index)
        return key.run_started_microseconds in self._starts[task]

    def _keep_what_kept_runs_name(self) -> None:
        """Keep the jobs that a kept run was given, or has pushed: a sensor's, or an artifact that is read from where it lies."""
        candidates = {
            digest_of(each.folder.name): index
            for index, each in enumerate(self._survey.findings)
            if each.fate is Fate.REMOVE
        }
        if not candidates:
            return
        kept = [run for name, run in self._runs.items() if name in self._kept]
        for run, text in self._records.texts(kept):
            for digest in named_digests(text) & candidates.keys():
                index = candidates.pop(digest)
                self._survey.findings[index] = msgspec.structs.replace(
                    self._survey.findings[index],
                    fate=Fate.KEEP,
                    why=f"run '{run.run_id}' of DAG '{run.dag_id}', which is kept, names it",
                )
