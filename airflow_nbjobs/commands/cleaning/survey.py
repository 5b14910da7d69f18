"""
What there is under the roots of this Airflow's tasks: each folder is attributed to a run, or left alone.

Called by ``nbjobs clean``; asks Airflow and AWS, changes nothing. A run is found by the naming rule, forwards: the names that its tasks' jobs can have; and
backwards: by ``NBJOBS_OWNER`` of the job, as SageMaker has it. An XCom gives no job to a run; one that names a job keeps it, see ``needs.py``.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from airflow_nbjobs.aws.errors import is_denied
from airflow_nbjobs.commands.cleaning.remains import (
    Amount,
    Fate,
    Finding,
    Folder,
    digest_of,
    may_live_unseen,
    read_folders,
    refusal_of_owner,
    some,
)
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE
from airflow_nbjobs.core.job.naming import RunKey, name_digest, parse_owner, parse_s3_uri
from airflow_nbjobs.core.job.status import CLOCK_SKEW
from airflow_nbjobs.core.watch.plan import ListJobs
from airflow_nbjobs.ui.data.task_instance import NEVER_RAN
from airflow_nbjobs.ui.notebook.aws_access import access_key, clients_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from airflow_nbjobs.aws.ports import AwsClients
    from airflow_nbjobs.commands.cleaning.needs import Needs
    from airflow_nbjobs.commands.records.port import AllRecords
    from airflow_nbjobs.core.job.status import JobSnapshot
    from airflow_nbjobs.ui.data.task_instance import NotebookTaskInstance
    from airflow_nbjobs.ui.notebook.aws_access import Access

    Accesses = Mapping[tuple[Any, ...], Access]

_ATTEMPTS = 10  # whose names are computed; of later ones SageMaker tells the owner
_THREADS = 4  # that describe jobs: DescribeTrainingJob is for the whole account
_MOST_SHOWN = 5
_PASSING = (NotebookJobServiceError, NotebookJobConfigError)


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


class _Named(msgspec.Struct, frozen=True):
    """Whose a job is by its name, and which clients have it."""

    run: tuple[str, str]
    task_id: str
    clients: tuple[Any, ...]


class _Owner(msgspec.Struct, frozen=True):
    """
    Whose a job is.

    :param why: nothing is deleted of it, if so.
    """

    run: tuple[str, str] | None
    task_id: str = ""
    why: str = ""


class _Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a root has, complete."""

    names: set[str]
    findings: list[Finding]
    elsewhere: Amount


class _Described(msgspec.Struct, frozen=True):
    """:param was_asked: False: the job's run is kept, so that nothing depends on SageMaker's answer."""

    snapshot: JobSnapshot | None
    access: Access
    was_asked: bool = True


class Surveyor:
    """:param say: told how far it has come."""

    def __init__(self, records: AllRecords, needs: Needs, *, now: datetime, say: Callable[[str], object]) -> None:
        self._records = records
        self._needs = needs
        self._say = say
        self._now = now
        self._named: dict[str, _Named] = {}  # by the digest in a job's name
        self._runs_at: dict[str, set[tuple[str, str]]] = {}
        self._no_access: set[tuple[str, str]] = set()
        self._starts: dict[RunKey, set[int]] = {}
        self._survey = Survey(findings=[], elsewhere=Amount(), versioned=[], notes=[], problems=[])

    def survey(self) -> Survey:
        """:raises AirflowError: Airflow gives no answer."""
        places = self._places()
        known: set[str] = set()
        unseen: set[str] = set()
        for root, accesses in places.items():
            try:
                look = self._look_at(root, accesses)
            except _PASSING as error:
                unseen.add(root)
                self._survey.problems.append(f"{root}: {error.headline}; nothing of it is deleted")
                for run in self._runs_at[root]:
                    self._needs.search(run, "whose jobs could not be looked at")
            else:
                known |= look.names
                self._survey.findings += look.findings
                self._survey.elsewhere += look.elsewhere
        self._look_for_records(places, known, unseen)
        self._survey.findings, gaps = self._needs.keep_named(self._survey.findings)
        self._survey.notes += gaps
        self._survey.findings.sort(key=lambda each: (each.folder.root, each.folder.name))
        return self._survey

    # -- where to look

    def _places(self) -> dict[str, dict[tuple[Any, ...], Access]]:
        """Return the roots to which jobs write, and of each the ways to AWS: tasks of two regions, or of two accounts, may share a bucket."""
        wanted = {dag_id for dag_id in self._needs.known_dags if self._needs.is_asked_for(dag_id)}
        known: dict[tuple[object, ...], Access | None] = {}
        places: dict[str, dict[tuple[Any, ...], Access]] = {}
        without_root: set[str] = set()
        unknown: Counter[str] = Counter()
        for ti in self._records.all_task_instances(wanted, unknown=unknown):
            key = access_key(ti)
            if key not in known:
                known[key] = self._access(ti)
            access = known[key]
            if access is None:
                self._no_access.add((ti.dag_id, ti.task_id))
                self._needs.search((ti.dag_id, ti.run_id), "whose task has no way to AWS here")
            elif access.root is None:
                without_root.add(f"{ti.dag_id}.{ti.task_id}")
            else:
                self._add_name(ti, access)
                self._runs_at.setdefault(access.root, set()).add((ti.dag_id, ti.run_id))
                places.setdefault(access.root, {}).setdefault(clients_key(ti), access)
        self._note_what_is_not_looked_for(without_root, unknown)
        return places

    def _note_what_is_not_looked_for(self, without_root: set[str], unknown: Counter[str]) -> None:
        if without_root:
            names = some(sorted(without_root), _MOST_SHOWN)
            self._survey.notes.append(
                f"not looked for is what tasks without an s3_root_uri left ({len(without_root)}): {names}"
            )
        if unknown:
            dags = some([f"'{dag_id}' ({count})" for dag_id, count in sorted(unknown.items())], _MOST_SHOWN)
            self._survey.notes.append(
                f"not looked for is what task instances left whose version of the DAG Airflow has no more ({unknown.total()}): {dags}"
            )

    def _access(self, ti: NotebookTaskInstance) -> Access | None:
        try:
            return self._records.access(ti)
        except _PASSING as error:
            self._survey.problems.append(f"{ti.dag_id}.{ti.task_id}: {error.headline}; nothing of it is deleted")
            return None

    def _add_name(self, ti: NotebookTaskInstance, access: Access) -> None:
        if ti.state in NEVER_RAN and not ti.try_number:
            return
        (first, *_) = replace(ti, job=None, attempts=()).run_keys(deployment=access.deployment)
        named = _Named((ti.dag_id, ti.run_id), ti.task_id, clients_key(ti))
        for generation in range(ti.max_tries + 1):
            for attempt in range(_ATTEMPTS):
                self._named[name_digest(replace(first, generation=generation, attempt=attempt))] = named

    def _name_of(self, job_name: str) -> _Named | None:
        return self._named.get(digest_of(job_name) or "")

    # -- folders

    def _look_at(self, root: str, accesses: Accesses) -> _Look:
        """Return what a root has, all of it: a look that fails on the way gives nothing that could be deleted."""
        bucket, prefix = parse_s3_uri(root)
        self._say(f"looking through {root}/")
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        clients = next(iter(accesses.values())).clients
        folders, elsewhere = read_folders(root, clients.storage.list_below(root), prefix)
        self._note_versions(bucket, clients)
        self._say(f"{root}/: {len(folders)} jobs; asking SageMaker for those that no kept run has")
        with ThreadPoolExecutor(_THREADS) as threads:
            found = list(threads.map(lambda folder: self._described(folder, accesses), folders))
        findings = [self._finding(folder, each) for folder, each in zip(folders, found, strict=True)]
        return _Look(
            names={folder.name for folder in folders},
            findings=[each for each in findings if each is not None],
            elsewhere=elsewhere,
        )

    def _described(self, folder: Folder, accesses: Accesses) -> _Described:
        """Ask the clients of the job's task; where its task is not known, all that write to this root."""
        named = self._name_of(folder.name)
        if named is not None and named.run in self._needs.kept:
            return _Described(None, next(iter(accesses.values())), was_asked=False)
        asked = [accesses[named.clients]] if named is not None and named.clients in accesses else [*accesses.values()]
        for access in asked:
            snapshot = access.clients.jobs.describe(folder.name)
            if snapshot is not None:
                return _Described(snapshot, access)
        return _Described(None, asked[0])

    def _note_versions(self, bucket: str, clients: AwsClients) -> None:
        try:
            if clients.storage.keeps_versions(bucket) and bucket not in self._survey.versioned:
                self._survey.versioned.append(bucket)
        except _PASSING as error:
            self._survey.notes.append(f"whether bucket '{bucket}' keeps versions is not known: {error.headline}")

    # -- records without files

    def _look_for_records(self, places: Mapping[str, Accesses], known: set[str], unseen: set[str]) -> None:
        """
        Find the jobs of ended runs whose files are gone, and of which SageMaker still has a record.

        :param known: names of the jobs that have files.
        :param unseen: roots of which it is not known what they have.
        """
        starts = [run.started or run.run_after for run in self._needs.runs.values() if run.name not in self._needs.kept]
        roots: dict[tuple[Any, ...], str] = {}
        for root, accesses in places.items():
            for key in accesses:
                roots.setdefault(key, root)
        for key, root in roots.items():
            access = places[root][key]
            if not starts or not access.clients.jobs.can_delete:
                continue
            try:
                names = [name for name in self._listed(access, min(starts)) if self._may_be_cleaned(name, key)]
                found = [self._record(name, access, root, unseen) for name in names if name not in known]
            except _PASSING as error:
                if is_denied(error):
                    self._survey.notes.append(f"records of jobs whose files are gone are not found: {error.headline}")
                else:
                    self._survey.problems.append(
                        f"records of jobs whose files are gone: {error.headline}; none of them is deleted"
                    )
            else:
                self._survey.findings += [each for each in found if each is not None and each.has_record]

    def _listed(self, access: Access, since: datetime) -> Iterator[str]:
        token: str | None = None
        while True:
            call = ListJobs(created_after=since.replace(microsecond=0) - CLOCK_SKEW, next_token=token)
            page = access.clients.jobs.list_page(call)
            yield from (summary.job_name for summary in page.summaries)
            token = page.next_token
            if token is None:
                return

    def _may_be_cleaned(self, job_name: str, clients: tuple[Any, ...]) -> bool:
        named = self._name_of(job_name)
        return named is not None and named.run not in self._needs.kept and named.clients == clients

    def _record(self, job_name: str, access: Access, root: str, unseen: set[str]) -> Finding | None:
        snapshot = access.clients.jobs.describe(job_name)
        if snapshot is None or _root(snapshot) in unseen:
            return None
        at = _root(snapshot) if _root(snapshot) in self._runs_at else root
        return self._finding(Folder(root=at, name=job_name, parts={}), _Described(snapshot, access))

    # -- whose, and what becomes of it

    def _finding(self, folder: Folder, described: _Described) -> Finding | None:
        """Return what becomes of a job; None for one of a DAG that is not asked for."""
        snapshot = described.snapshot
        owner = self._owner_of(folder, snapshot, described.access.deployment)
        if owner.run is not None and not self._needs.is_asked_for(owner.run[0]):
            return None
        run = self._needs.runs.get(owner.run) if owner.run else None
        is_live = snapshot is not None and not snapshot.state.is_terminal
        if run is not None and is_live:
            self._needs.search(run.name, "whose job has not ended")
        elif run is not None and owner.why:
            self._needs.search(run.name, "of whose jobs not all is known")
        fate, why = Fate.REMOVE, ""
        if owner.why:
            fate, why = Fate.LEAVE, owner.why
        elif owner.run is not None and run is None:
            fate, why = Fate.LEAVE, f"Airflow has no run '{owner.run[1]}' of DAG '{owner.run[0]}', or does not show it"
        elif snapshot is not None and is_live:
            fate, why = Fate.KEEP, f"its job has not ended ({snapshot.doing})"
        elif run is not None and run.name in self._needs.kept:
            fate, why = Fate.KEEP, self._needs.kept[run.name]
        has_record = snapshot is not None and not snapshot.is_being_deleted
        return Finding(
            folder=folder,
            fate=fate,
            why=why,
            run=run,
            has_record=has_record if described.was_asked else None,
            clients=described.access.clients,
        )

    def _owner_of(self, folder: Folder, snapshot: JobSnapshot | None, deployment: str) -> _Owner:
        """Return the run that a job belongs to, and why it is left: that cannot be told, or not all that has to be known is."""
        owner = self._told_owner(folder, snapshot, deployment)
        task = (owner.run[0], owner.task_id) if owner.run else None
        if not owner.why and task in self._no_access:
            return replace(owner, why="its task has no way to AWS here, so that nothing of it is deleted")
        return owner

    def _told_owner(self, folder: Folder, snapshot: JobSnapshot | None, deployment: str) -> _Owner:
        named = self._name_of(folder.name)
        by_name = None if named is None else _Owner(named.run, named.task_id)
        if snapshot is None:
            if by_name is None:
                return _Owner(None, why="SageMaker knows no such job, and no task here has one of that name")
            if by_name.run not in self._needs.kept and may_live_unseen(folder, now=self._now):
                return replace(by_name, why="SageMaker knows no such job here, and it may still run in another region")
            return by_name
        if _root(snapshot) != folder.root:
            return _Owner(None, why=f"its job writes elsewhere ({snapshot.output_root})")
        owner = snapshot.environment.get(OWNER_VARIABLE, "")
        if not owner:
            return _Owner(None, why="it has no NBJOBS_OWNER: a job of Studio, the SDK, or another program")
        key = parse_owner(owner)
        if key is None:  # cut for its length; then the name, a hash of the whole, has to tell
            return by_name or _Owner(None, why="its NBJOBS_OWNER does not tell the run")
        if why := refusal_of_owner(key, folder.name, deployment=deployment):
            return _Owner(None, why=why)
        run = self._needs.runs.get((key.dag_id, key.run_id))
        if run is not None and run.started_microseconds != key.run_started_microseconds and not self._remembers(key):
            return _Owner(None, why="it belongs to another start of that run: of before a clear, or of another Airflow")
        return _Owner((key.dag_id, key.run_id), key.task_id)

    def _remembers(self, key: RunKey) -> bool:
        task = replace(key, run_started_microseconds=0, generation=0, attempt=0)
        if task not in self._starts:
            self._starts[task] = self._records.remembered_starts(key.dag_id, key.run_id, key.task_id, key.map_index)
        return key.run_started_microseconds in self._starts[task]


def _root(snapshot: JobSnapshot) -> str:
    return (snapshot.output_root or "").rstrip("/")
