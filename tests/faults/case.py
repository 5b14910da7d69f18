"""One event on the stand: its DAG, what happens to it, and what is counted afterwards."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import boto3
import psutil
from botocore.config import Config
from botocore.exceptions import ClientError
from census import FINAL, Counts, Instance, Job, count
from stand import PATIENCE, Stand, until

from airflow_nbjobs.commands.demo.api import ApiRefusedError
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.local.faults.http import PLATFORM_AGENT
from airflow_nbjobs.testing import JOB_NAME, Call, Fault, FaultError, Faults, HeldJob

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from airflow_nbjobs.local.state.facts import ServerFacts

TASK = "run"
RUN = "r1"
STEP_SECONDS = 180.0 * PATIENCE  # for one step


QUIET_SECONDS = 6.0 * PATIENCE
GRACE_SECONDS = 10.0 * PATIENCE  # for 30
COMPLETES: dict[str, Any] = {"outputs": {"token": JOB_NAME}}
FAILS: dict[str, Any] = {"cell": 1, "error": ("ValueError", "no bread left")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    What happens to a task, and what must be left.

    :param drive: makes it happen; returns when nothing more is to be done but to let jobs end.
    :param options: of the operator, over the suite's own.
    :param state: how each task ends; "removed, success" where one ends so and another so.
    :param jobs: that did not fail or get stopped, in all: fewest and most.
    :param jobs_per_generation: 2 only where the worker died between delivery and Airflow's success.
    :param stops: jobs that a user's word, or the task's time, ends: fewest and most.
    :param is_marked: a user said how the task ends.
    :param disturbs: everybody: it runs alone.
    :param says: regular expression that the task's log must match.
    :param since: the Airflow that it needs.
    """

    name: str
    drive: Callable[[Case], None]
    options: Mapping[str, Any] = field(default_factory=dict)
    state: str = "success"
    jobs: tuple[int, int] = (1, 1)
    jobs_per_generation: int = 1
    stops: tuple[int, int] = (0, 0)
    is_marked: bool = False
    disturbs: bool = False
    says: str = ""
    since: tuple[int, int] = (3, 0)

    @property
    def dag_id(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")[:45].strip("-")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted, and what is wrong."""

    event: str
    counts: Counts
    jobs: int
    seconds: float
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """A call that is held back."""

    fault: Fault
    case: Case

    def reached(self, *, by_ending_jobs: bool = False) -> None:
        def is_reached() -> int:
            if by_ending_jobs:
                self.case.end_jobs()
            return self.fault.hits

        self.case.until(is_reached, f"nobody made the call that is to be held: {self.fault.id}")


@dataclass(frozen=True, slots=True)
class Pause:
    """A place in the task's own process where it waits."""

    case: Case
    file: Path

    def reached(self, *, by_ending_jobs: bool = False) -> None:
        def is_reached() -> bool:
            if by_ending_jobs:
                self.case.end_jobs()
            return self.file.with_suffix(".reached").exists()

        self.case.until(is_reached, "the task does not come to its pause")

    def end(self) -> None:
        self.file.unlink()


@dataclass(frozen=True, slots=True)
class FrozenWorker:
    """A worker and its task's process that stand still."""

    case: Case
    worker: psutil.Process
    task: psutil.Process

    def thaw(self) -> None:
        """Let both go on, and return when the task's process has ended: it does what it still can, until Airflow tells its worker to end it."""
        for one in (self.task, self.worker):
            with contextlib.suppress(psutil.Error):
                one.resume()
        self.case.until(lambda: not is_alive(self.task), "the task's process that stood still does not end")


class Case:
    """
    What the events are written in.

    :param sagemaker: the embedded server; ``folder`` has the DAG file and the options.
    """

    def __init__(
        self,
        event: Event,
        stand: Stand,
        sagemaker: Any,
        folder: Path,
        *,
        database: Any = None,
        second_stand: Callable[[], Stand] | None = None,
    ) -> None:
        self.event = event
        self.stand = stand
        self.database = database
        self._second_stand = second_stand
        self.sagemaker = sagemaker
        self.folder = folder
        self.dag_id = event.dag_id
        self.prefix = f"{self.dag_id}-{TASK}-"  # of its jobs' names
        self.faults = Faults(sagemaker.facts)
        self._client = _observer(sagemaker.facts, "sagemaker")
        self._s3 = _observer(sagemaker.facts, "s3")
        self._others: list[str] = []
        self._begun = 0.0
        self._waiting_since: dict[tuple[int, int], float] = {}
        self.ends: Mapping[str, Any] = COMPLETES
        self._newest: dict[str, tuple[list[int], str]] = {}
        self._others_ended: set[str] = set()  # by the event itself
        self.revives = False  # components that end by themselves are started again, as a restart policy does

    # -- running it ------------------------------------------------------------------------------------------------

    def play(self) -> Outcome:
        """Let the event happen, wait for the end, count."""
        self._begun = time.monotonic()
        problems: list[str] = []
        self.add_other()
        self.faults.script_jobs(environment={"NBJOBS_DAG_ID": self.dag_id}, after_seconds=None)
        try:
            self.event.drive(self)
            self.finish()
        except (AssertionError, FaultError) as error:
            problems.append(f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - the table shows every event, also one that broke
            problems.append(f"{error!r}")
        return self._outcome(problems)

    def until(self, condition: Callable[[], Any], what: str, *, seconds: float = STEP_SECONDS) -> Any:
        def look() -> Any:
            if self.revives:
                self.stand.revive()
            return condition()

        return until(look, seconds=seconds, what=lambda: f"{what}\n{self.state_text()}")

    def state_text(self) -> str:
        with contextlib.suppress(Exception):
            instances = [
                (one["map_index"], one["state"], one["try_number"]) for one in self.instances() if one["state"]
            ]
            return f"tasks {instances}, jobs {[(job.name, job.status) for job in self.jobs()]}"
        return "nobody says how it stands"

    def start(self, run_id: str = RUN) -> None:
        self.until(lambda: self._create_run(run_id), "the run cannot be created")

    def _create_run(self, run_id: str) -> bool:
        try:
            self.stand.api.create_run(self.dag_id, run_id)
        except ApiRefusedError as error:
            if error.status != http.client.CONFLICT:  # an answer that was lost before
                raise
        return True

    def finish(self) -> None:
        """End jobs as they come, until every task is final."""
        self.until(self._is_final, "tasks are not final", seconds=2 * STEP_SECONDS)

    def _is_final(self) -> bool:
        found = self.instances()
        if found and all(one["state"] in FINAL for one in found):
            return True
        self.end_jobs()
        return False

    def finish_as(self, state: str) -> None:
        self.finish()
        assert {one["state"] for one in self.instances()} == {state}
        self.await_run(state)

    def await_run(self, state: str) -> None:
        """Wait until the run has ended as its task has; a clear in between may be lost on Airflow, which ends the run all the same."""
        self.until(lambda: self.stand.api.run(self.dag_id, RUN)["state"] == state, f"the run does not end as {state}")

    def has_run(self) -> bool:
        try:
            self.stand.api.run(self.dag_id, RUN)
        except ApiRefusedError:
            return False
        return True

    def run_started_microseconds(self) -> int:
        text = self.until(lambda: self.stand.api.run(self.dag_id, RUN)["start_date"], "the run does not start")
        return round(datetime.fromisoformat(text).timestamp() * 1_000_000)

    @staticmethod
    def pause(seconds: float) -> None:
        """Let time pass: what is tested is that nothing happens in it."""
        time.sleep(seconds)

    def stand_is_well(self) -> bool:
        return not self.stand.api.unhealthy()

    def second_stand(self) -> Stand:
        assert self._second_stand is not None
        return self._second_stand()

    @contextmanager
    def on(self, stand: Stand) -> Iterator[None]:
        """Let the block see another Airflow."""
        self.stand, before = stand, self.stand
        try:
            yield
        finally:
            self.stand = before
            self._newest = {}  # the lives of the other's tasks say nothing of this one's

    # -- jobs ------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """This DAG's jobs, oldest first."""
        pages = self._client.get_paginator("list_training_jobs").paginate(
            NameContains=self.prefix, SortBy="CreationTime", SortOrder="Ascending"
        )
        names = [one["TrainingJobName"] for page in pages for one in page["TrainingJobSummaries"]]
        found = []
        for number, name in enumerate(names):
            if name in self._others:
                continue
            try:
                document = self._client.describe_training_job(TrainingJobName=name)
            except ClientError:  # deleted meanwhile
                continue
            environment = document.get("Environment", {})
            if environment.get("NBJOBS_DAG_ID") == self.dag_id:
                status, secondary = document["TrainingJobStatus"], document["SecondaryStatus"]
                # One that is being deleted has cost what it has cost; its secondary status still says how it ended.
                ended = secondary if status == "Deleting" else status
                found.append(Job(name, environment["NBJOBS_OWNER"], ended, secondary, number))
        return found

    def job(self, number: int = 1) -> Job:
        """Wait for the n-th job, and return it."""
        return list(self.until(lambda: (found := self.jobs())[number - 1 :] and found, f"no job {number}"))[number - 1]

    def _held(self) -> list[HeldJob]:
        """
        Return this DAG's jobs that wait for their end, those of each task's newest life and attempt only.

        One that was followed by another must be stopped by its task, or go on: ending it would hide what became of it. Lives are told apart by the
        run's start and the generation, not by the order of creation: a worker that comes back late makes the job of a dead life last.
        """
        held = [
            one
            for one in self.faults.held_jobs()
            if one.environment.get("NBJOBS_DAG_ID") == self.dag_id and one.job_name not in self._others
        ]
        keys = {}
        for one in held:
            _, _, run_id, started, task_id, map_index, generation, attempt = json.loads(one.environment["NBJOBS_OWNER"])
            key = keys[one.job_name] = f"{run_id} {task_id} {map_index}"
            life = [started, generation, attempt]
            self._newest[key] = max(self._newest.get(key, ([], "")), (life, one.job_name))
        return [one for one in held if self._newest[keys[one.job_name]][1] == one.job_name]

    def end_jobs(self) -> None:
        """
        End the jobs whose tasks have settled down to wait.

        A job that ends while the executor still reports its task's first leg meets a race of Airflow's own ("finished with state success, but
        the task instance's state attribute is queued"), which no notebook job of a minute or more comes near.
        """
        settled = self._settled()
        for held in self._held():
            if int(held.environment["NBJOBS_MAP_INDEX"]) in settled:
                self._end(held.job_name, **self.ends)

    def _settled(self) -> set[int]:
        now = time.monotonic()
        is_sync = self.event.options.get("deferrable") is False
        waiting = {
            (one["map_index"], one["try_number"])
            for one in self.instances()
            if one["state"] == ("running" if is_sync else "deferred")
        }
        self._waiting_since = {key: self._waiting_since.get(key, now) for key in waiting}
        return {index for (index, _), since in self._waiting_since.items() if now - since >= QUIET_SECONDS}

    def _end(self, job_name: str, **end: Any) -> None:
        with contextlib.suppress(FaultError):  # it was stopped, or its time was over, meanwhile
            self.faults.end_job(job_name, **end)

    def end_some_jobs(self, draws: random.Random) -> None:
        held = self._held()
        for one in draws.sample(held, len(held) // 2):
            self._end(one.job_name, **self.ends)

    def end_other(self, name: str) -> None:
        self.faults.end_job(name, without_archive=True)
        self._others_ended.add(name)

    def add_other(self, name: str = "", *, instance_type: str = "ml.m5.4xlarge") -> str:
        """Put a running job of somebody else into the account, named as ours are."""
        name = name or f"{self.prefix}{uuid.uuid4().hex[:12]}"
        facts = self.sagemaker.facts
        owner = json.dumps(["elsewhere", self.dag_id, RUN, 0, TASK, -1, 0, 0])
        self.faults.script_jobs(job_name=name, after_seconds=None)
        self._others.append(name)
        self._client.create_training_job(
            TrainingJobName=name,
            RoleArn=facts.role_arn,
            AlgorithmSpecification={"TrainingImage": facts.image_uri, "TrainingInputMode": "File"},
            OutputDataConfig={"S3OutputPath": f"s3://{facts.default_bucket}/others"},
            ResourceConfig={"InstanceType": instance_type, "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
            Environment={"NBJOBS_OWNER": owner, "NBJOBS_DAG_ID": self.dag_id},
        )
        return name

    # -- calls -----------------------------------------------------------------------------------------------------

    @contextmanager
    def held(self, operation: str, resource: str, *, when: str = "before", is_dropped: bool = False) -> Iterator[Hold]:
        """
        Hold back the next such call of this DAG's jobs until the end of the block.

        :param resource: what follows the job's name, a glob.
        :param is_dropped: then it never reaches the service; otherwise it is performed, though nobody may wait for it any more.
        """
        glob = f"*{self.prefix}*{resource}"
        hold = self.faults.delay(operation, seconds=900, when=when, resource=glob, times=1)
        drop = self.faults.reset(operation, when=when, resource=glob, times=1) if is_dropped else None
        try:
            yield Hold(hold, self)
        finally:
            hold.remove()  # which faults hit a call is decided when it comes, so the order does not matter
            if drop:
                drop.remove()

    def calls(self, operation: str, answer: str) -> list[Call]:
        """Return this DAG's calls that were answered like that."""
        return [call for call in self.faults.calls(operation, resource=f"*{self.prefix}*") if answer in call.answer]

    # -- tasks -----------------------------------------------------------------------------------------------------

    def instances(self, run_id: str = RUN) -> list[dict[str, Any]]:
        return self.stand.api.task_instances(self.dag_id, run_id)

    def instance(self) -> dict[str, Any]:
        return self.instances()[0]

    def await_state(self, *states: str) -> None:
        self.until(lambda: all(one["state"] in states for one in self.instances()), f"not {' or '.join(states)}")

    def await_trigger(self) -> None:
        """Wait until a triggerer watches over each task; before that nobody would be told that a user takes it away."""
        self.until(
            lambda: all(one.get("triggerer_job") for one in self.instances()), "no triggerer has taken the trigger"
        )
        self.pause(QUIET_SECONDS)

    def await_takeover(self, former: object) -> None:
        """Wait until another triggerer has the trigger."""
        self.until(
            lambda: (now := self.instance().get("triggerer_job")) and now["id"] != former,
            "nobody takes the trigger over",
        )

    def triggerer_id(self) -> object:
        return self.until(lambda: self.instance().get("triggerer_job"), "no triggerer has taken the trigger")["id"]

    def let_time_run_out(self) -> None:
        """Let the deferral's own timeout pass now."""
        statement = f"UPDATE task_instance SET trigger_timeout = now() WHERE dag_id = '{self.dag_id}'"  # noqa: S608 - ours
        self.database.query(statement)

    def await_try(self, number: int) -> None:
        self.until(lambda: self.instance()["try_number"] >= number, f"no try {number}")

    def clear(self) -> None:
        self.stand.api.clear(self.dag_id, RUN, TASK)

    def mark(self, state: str) -> None:
        self.stand.api.set_state(self.dag_id, RUN, TASK, state)

    def mark_run(self, state: str) -> None:
        self.stand.api.set_run_state(self.dag_id, RUN, state)

    def task_process(self) -> psutil.Process:
        """Wait for the process that runs the task, and return it; its parent is the worker."""

        def find() -> psutil.Process | None:
            one = self.instance()
            if one["state"] != "running" or not one["pid"]:
                return None
            with contextlib.suppress(psutil.Error):
                return psutil.Process(one["pid"])
            return None

        process: psutil.Process = self.until(find, "no process runs the task")
        return process

    def freeze_worker(self) -> FrozenWorker:
        """The machine stands still, worker and task with it: Airflow hears nothing of them until they are thawed."""
        process = self.task_process()
        frozen = FrozenWorker(self, self._worker_of(process), process)
        for one in (frozen.worker, process):
            one.suspend()
        return frozen

    def _worker_of(self, process: psutil.Process) -> psutil.Process:
        worker = process.parent()
        assert worker is not None
        assert worker.pid != self.stand.pid("scheduler")
        return worker

    def pause_at(self, place: str) -> Pause:
        """Let the task wait at a place of its next try (``PausingOperator``) until it is told to go on."""
        pause = Pause(self, self.folder / f"{self.dag_id}.pause")
        pause.file.touch()
        self.edit_options(pause_file=str(pause.file), pause_at=place)
        return pause

    def kill_worker(self) -> None:
        """The machine goes: worker and task at once, so that nobody reports it."""
        self._kill_with_worker(self.task_process())

    def _kill_with_worker(self, process: psutil.Process) -> None:
        for one in (self._worker_of(process), process):
            with contextlib.suppress(psutil.Error):
                one.kill()

    def kill_after_grace(self, process: psutil.Process) -> None:
        """Kubernetes ends what a SIGTERM did not: a task that waits in its worker has kept its job, and waits on."""
        try:
            process.wait(GRACE_SECONDS)
        except psutil.TimeoutExpired:
            self._kill_with_worker(process)

    def evict_worker(self) -> None:
        """The node is drained: SIGTERM, which Airflow hands on to the task's process, where it is indistinguishable from a user's stop."""
        self.task_process().send_signal(signal.SIGTERM)

    def log(self) -> str:
        """Everything that the tasks of this DAG have logged."""
        folder = self.stand.home / "logs" / f"dag_id={self.dag_id}"
        return "\n".join(path.read_text(errors="replace") for path in sorted(folder.rglob("*.log")))

    # -- the author's files ----------------------------------------------------------------------------------------

    def edit_options(self, **options: Any) -> None:
        path = self.folder / "options" / f"{self.dag_id}.json"
        write_atomically(path, json.dumps({**json.loads(path.read_text()), **options}))

    def remove_dag(self) -> None:
        """The author deletes the file, and a user the DAG with all its runs."""
        path = self.folder / "options" / f"{self.dag_id}.json"
        path.rename(path.with_suffix(".removed"))
        self.stand.api.delete_dag(self.dag_id)
        self.until(lambda: not self.stand.api.has_dag(self.dag_id), "the DAG is still there")

    def restore_dag(self) -> None:
        path = self.folder / "options" / f"{self.dag_id}.removed"
        path.rename(path.with_suffix(".json"))
        self.until(lambda: self.stand.api.has_dag(self.dag_id), "the DAG does not come back")

    def await_retries(self, number: int) -> None:
        """Wait until Airflow has read the DAG file again."""
        path = f"/api/v2/dags/{self.dag_id}/tasks/{TASK}"
        self.until(lambda: self.stand.api._call("GET", path)["retries"] == number, "the DAG was not read again")

    # -- counting --------------------------------------------------------------------------------------------------

    def _outcome(self, problems: list[str]) -> Outcome:
        event = self.event
        seen: list[Job] = []

        def has_settled() -> bool:
            seen[:] = self.jobs()
            stops = sum(job.is_stopped for job in seen)
            return all(job.status not in ("InProgress", "Stopping") for job in seen) and stops >= event.stops[0]

        try:
            with contextlib.suppress(AssertionError):
                until(has_settled, seconds=STEP_SECONDS, what="")
            instances = self._instances_at_the_end()
            counts = count(
                seen,
                instances,
                jobs_allowed=event.jobs_per_generation,
                stops_wanted=event.stops[1],
                others_touched=self._others_touched(),
            )
        except Exception as error:  # noqa: BLE001 - as above
            return Outcome(event.name, Counts(), -1, time.monotonic() - self._begun, (*problems, f"{error!r}"))
        problems += counts.problems()
        paid = sum(job.status in ("InProgress", "Completed") for job in seen)
        stopped = sum(job.is_stopped for job in seen)
        states = {str(one.state) for one in instances}
        if not event.jobs[0] <= paid <= event.jobs[1]:
            problems.append(f"{paid} jobs that did not fail, not {event.jobs[0]} to {event.jobs[1]}")
        if stopped < event.stops[0]:
            problems.append(f"{stopped} jobs were stopped, not {event.stops[0]}")
        if states != set(event.state.split(", ")):
            problems.append(f"ended {', '.join(sorted(states))}, not {event.state}")
        if event.says and not re.search(event.says, self.log()):
            problems.append(f"the log does not say {event.says!r}")
        if problems:
            problems.append(self.state_text())
        return Outcome(event.name, counts, paid, time.monotonic() - self._begun, tuple(problems))

    def _instances_at_the_end(self) -> list[Instance]:
        api = self.stand.api
        microseconds = self.run_started_microseconds()
        found = []
        for one in self.instances():
            token = api.xcom(one, "token")
            facts = api.xcom(one, "nbjobs_job") or {}
            found.append(
                Instance(
                    one["map_index"],
                    one["state"],
                    None if token is None else str(token),
                    self._exists(str(facts.get("executed_notebook_uri", ""))),
                    microseconds,
                    self.event.is_marked,
                    facts.get("job_name"),
                )
            )
        return found

    def _exists(self, uri: str) -> bool:
        if not uri:
            return False
        bucket, key = parse_s3_uri(uri)
        found = self._s3.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        return bool(found["KeyCount"])

    def _others_touched(self) -> int:
        touching = {"StopTrainingJob", "DeleteTrainingJob", "AddTags", "UpdateTrainingJob"}
        touched = {
            name
            for name in self._others
            for call in self.faults.calls(resource=f"*{name}")
            if call.operation in touching
        }
        running = {
            name
            for name in self._others
            if self._client.describe_training_job(TrainingJobName=name)["TrainingJobStatus"] == "InProgress"
        }
        return len(touched | (set(self._others) - self._others_ended - running))


def _observer(facts: ServerFacts, service: str) -> Any:
    """Return a client that only looks: no fault hits it, and its calls are not among those that are counted."""
    session = boto3.session.Session(facts.access_key_id, facts.secret_access_key, region_name=facts.region)
    config = Config(proxies={}, user_agent_extra=PLATFORM_AGENT)
    return session.client(service, endpoint_url=facts.endpoint_url, config=config)


def is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def write_atomically(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".new")
    unfinished.write_text(text)
    unfinished.replace(path)
