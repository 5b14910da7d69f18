"""
One triggerer that waits for jobs: Airflow's own supervisor and trigger runner, fed 50 triggers a sync, without a database.

Usage: contender.py SETTINGS (JSON) — prints what it has measured as one JSON document. CPU, memory and sockets are the runner process's, read from /proc.
"""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import mmap
import os
import random
import signal
import statistics
import struct
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner, TriggerRunnerSupervisor, messages
from airflow.models.trigger import Trigger
from airflow.sdk.execution_time.comms import ConnectionResult, GetConnection

if TYPE_CHECKING:
    from collections.abc import Callable

HANDED_OVER_A_SYNC = 50  # `Trigger.assign_unassigned` takes as many a loop: [triggerer] max_trigger_to_select_per_loop
TICK = os.sysconf("SC_CLK_TCK")
PROBE_SECONDS = 0.05
ENDING = 200
LAG, BLOCK, COLLECTION = 0, 1, 2


class Shared:
    """What the runner process has measured, in memory that its parent sees; begins at zero."""

    def __init__(self, count: int) -> None:
        self._memory = mmap.mmap(-1, 8 * (count + 4))

    def __getitem__(self, index: int) -> float:
        return struct.unpack_from("d", self._memory, 8 * index)[0]

    def __setitem__(self, index: int, value: float) -> None:
        struct.pack_into("d", self._memory, 8 * index, value)

    def fired_at(self, trigger_id: int) -> float:
        return self[trigger_id + COLLECTION]


class TimedEvents(collections.deque):
    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared

    def append(self, entry: Any) -> None:
        self._shared[entry.trigger_id + COLLECTION] = time.time()
        super().append(entry)


class ProbedRunner(TriggerRunner):
    shared: Shared

    def __init__(self) -> None:
        super().__init__()
        self.events = TimedEvents(self.shared)
        self._collecting_since = self._collected = 0.0
        gc.callbacks.append(self._note_collection)

    def _note_collection(self, phase: str, _: Any) -> None:
        """Python's own garbage collection stops every thread: what of a block is nobody's doing."""
        if phase == "start":
            self._collecting_since = time.thread_time()
        else:
            took = time.thread_time() - self._collecting_since
            self._collected += took
            self.shared[COLLECTION] = max(self.shared[COLLECTION], took)

    async def block_watchdog(self) -> None:
        probe = asyncio.create_task(self._probe())
        try:
            await super().block_watchdog()
        finally:
            probe.cancel()

    async def _probe(self) -> None:
        """
        How long the loop did not come round.

        By the clock (which other processes of the machine disturb), and by the CPU time that the loop's thread has used meanwhile for anything but garbage collection.
        """
        while True:
            began, used, collected = time.monotonic(), time.thread_time(), self._collected
            await asyncio.sleep(PROBE_SECONDS)
            self.shared[LAG] = max(self.shared[LAG], time.monotonic() - began - PROBE_SECONDS)
            self.shared[BLOCK] = max(self.shared[BLOCK], time.thread_time() - used - (self._collected - collected))


class Supervisor(TriggerRunnerSupervisor):
    """Airflow's, with a queue of triggers in place of its database."""

    def prepare(self, queue: list[RunTrigger], connection: ConnectionResult) -> None:
        self.queue = collections.deque(queue)
        self.connection = connection
        self.requests: collections.Counter[str] = collections.Counter()
        self.lines: list[float] = []
        self.outcomes: dict[int, list[Any]] = collections.defaultdict(list)
        self.failures: list[Any] = []
        self.handed_over: dict[int, float] = {}

    def load_triggers(self) -> None:
        if not self.creating_triggers:
            for _ in range(min(HANDED_OVER_A_SYNC, len(self.queue))):
                self.creating_triggers.append(self.queue.popleft())

    def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
        if isinstance(msg, messages.TriggerStateChanges):
            for workload in self.creating_triggers:
                self.handed_over[workload.id] = time.time()
        else:
            self.requests[type(msg).__name__] += 1
        if isinstance(msg, GetConnection):
            self.send_msg(self.connection, request_id=req_id, error=None, exclude_unset=True, by_alias=True)
        else:
            super()._handle_request(msg, log, req_id)

    def on_trigger_event(self, trigger_id: int, event: Any) -> None:
        self.outcomes[trigger_id].append(event.payload)

    def on_trigger_failure(self, trigger_id: int, exc: Any) -> None:
        self.failures.append((trigger_id, exc))

    def clean_unused(self) -> None: ...

    def heartbeat(self) -> None: ...

    def emit_metrics(self) -> None: ...

    def _process_log_messages_from_subprocess(self) -> Any:
        while True:
            line = yield
            self.lines.append(time.time())
            if b'"level":"error"' in line or b'"level": "error"' in line or b'"level":"critical"' in line:
                sys.stderr.write(line.decode()[:2000] + "\n")

    @classmethod
    def run_in_process(cls) -> None:
        ProbedRunner().run()


class Process:
    """What the system says of the runner."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def cpu_seconds(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    @property
    def rss_mib(self) -> float:
        return int((self._folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    @property
    def sockets(self) -> int:
        count = 0
        for file in (self._folder / "fd").iterdir():
            try:
                count += str(file.readlink()).startswith("socket:")
            except FileNotFoundError:
                continue
        return count


CLASSPATHS = {
    "ours": "airflow_nbjobs.triggers.NotebookJobTrigger",
    "amazon": "airflow.providers.amazon.aws.triggers.sagemaker.SageMakerTrigger",
    "null": "sleeping.SleepingTrigger",
}


def workload(contender: str, trigger_id: int, job_name: str) -> RunTrigger:
    arguments: dict[str, Any] = {"job_name": job_name}
    if contender != "null":
        arguments |= {"aws_conn_id": "aws_bench", "region_name": "eu-west-1"}
    if contender == "amazon":
        arguments["job_type"] = "training"
    ti = {
        "id": str(uuid.uuid4()),
        "task_id": "wait",
        "dag_id": "bench",
        "run_id": "manual",
        "try_number": 1,
        "map_index": trigger_id,
        "dag_version_id": str(uuid.uuid4()),
        "pool_slots": 1,
        "queue": "default",
        "priority_weight": 1,
    }
    return RunTrigger(
        id=trigger_id,
        classpath=CLASSPATHS[contender],
        encrypted_kwargs=Trigger.encrypt_kwargs(arguments),
        ti=ti,
    )


class Service:
    def __init__(self, settings: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("service.py")), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = json.loads(self._process.stdout.readline())["port"]

    def ask(self, **command: Any) -> dict[str, Any]:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(settings: dict[str, Any]) -> dict[str, Any]:
    contender, count, steady_seconds = settings["contender"], settings["count"], settings["steady_seconds"]
    service = Service(settings)
    connection = ConnectionResult(
        type="ConnectionResult",
        conn_id="aws_bench",
        conn_type="aws",
        host=None,
        schema=None,
        login="key",
        password="secret",
        port=None,
        extra=json.dumps({"region_name": "eu-west-1", "endpoint_url": f"https://localhost:{service.port}"}),
    )
    names = [f"bench-{number:06}-{'x' * 40}" for number in range(count)]
    order = list(range(count))
    random.Random(1).shuffle(order)
    ProbedRunner.shared = shared = Shared(count + 1)
    supervisor = Supervisor.start(capacity=10_000)
    supervisor.prepare([], connection)
    process = Process(supervisor.pid)
    found: dict[str, Any] = {}

    def run_for(seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not until() and supervisor.is_alive():
            supervisor.run_once()

    def calls_between(begin: float, end: float) -> int:
        return sum(begin <= at < end for at, _, _ in service.ask(op="report")["calls"])

    try:
        run_for(5)  # the runner's own imports
        before = {"cpu": process.cpu_seconds, "rss": process.rss_mib, "sockets": process.sockets}
        shared[LAG] = shared[BLOCK] = shared[COLLECTION] = 0.0
        began = time.time()
        supervisor.queue.extend(workload(contender, number + 1, names[number]) for number in order)
        run_for(600, lambda: len(supervisor.handed_over) == count)
        if contender == "null":
            run_for(2)
            known_at = time.time()
        else:
            run_for(settings["start_patience"], lambda: set(names) <= service.ask(op="report")["shown"].keys())
            shown = service.ask(op="report")["shown"]
            found["not_known"] = sum(name not in shown for name in names)
            known_at = max(*(shown.get(name, began) for name in names), *supervisor.handed_over.values())
        found |= {
            "known_seconds": known_at - began,
            "start_cpu": process.cpu_seconds - before["cpu"],
            "start_lag": shared[LAG],
            "start_block": shared[BLOCK],
            "start_collection": shared[COLLECTION],
            "start_calls": calls_between(began, time.time()),
        }
        run_for(settings["settle_seconds"])

        shared[LAG] = shared[BLOCK] = shared[COLLECTION] = 0.0
        cpu, begin = process.cpu_seconds, time.time()
        run_for(steady_seconds)
        end = time.time()
        minutes = (end - begin) / 60
        found |= {
            # Of whole intervals: a second more would count a look too many.
            "calls_a_minute": calls_between(begin, begin + steady_seconds) * 60 / steady_seconds,
            "cpu_percent": 100 * (process.cpu_seconds - cpu) / (end - begin),
            "lines_a_minute": sum(begin <= at < end for at in supervisor.lines) / minutes,
            "rss_added": process.rss_mib - before["rss"],
            "sockets": process.sockets - before["sockets"],
            "requests": sum(supervisor.requests.values()),
            "steady_lag": shared[LAG],
            "steady_block": shared[BLOCK],
        }
        if contender != "null":
            found |= ending(settings, service, supervisor, names, run_for)
        found["failures"] = len(supervisor.failures)
        if supervisor.failures:
            sys.stderr.write(f"{supervisor.failures[0]}\n")
        return found
    finally:
        service.close()
        supervisor.kill(signal.SIGTERM, force=True)


def ending(
    settings: dict[str, Any],
    service: Service,
    supervisor: Supervisor,
    names: list[str],
    run_for: Callable[..., None],
) -> dict[str, Any]:
    """Let jobs end over one interval; then how soon each event came, and whether any was lost, early or doubled."""
    script, shared = random.Random(2), ProbedRunner.shared
    begin = time.time() + 2
    ends = {
        number + 1: begin + script.uniform(0, settings["ending_seconds"])
        for number in script.sample(range(len(names)), min(ENDING, len(names)))
    }
    service.ask(op="end", jobs={names[trigger_id - 1]: at for trigger_id, at in ends.items()})
    if settings.get("stopped_seconds"):
        run_for(settings["ending_seconds"] / 3)
        os.kill(supervisor.pid, signal.SIGSTOP)
        time.sleep(settings["stopped_seconds"])
        os.kill(supervisor.pid, signal.SIGCONT)
    run_for(
        max(ends.values()) - time.time() + settings["event_patience"],
        lambda: all(shared.fired_at(trigger_id) for trigger_id in ends),
    )
    run_for(3)  # whatever comes twice or unasked
    report = service.ask(op="report")
    delays = sorted(shared.fired_at(trigger_id) - at for trigger_id, at in ends.items() if shared.fired_at(trigger_id))
    minutes = (time.time() - begin) / 60
    wrong = [
        payload
        for trigger_id, payloads in supervisor.outcomes.items()
        for payload in payloads
        if payload.get("status") not in ("Completed", "success")
    ]
    if wrong:
        sys.stderr.write(f"{wrong[0]}\n")
    return {
        "p50": statistics.median(delays) if delays else None,
        "p95": delays[int(0.95 * len(delays))] if delays else None,
        "max": delays[-1] if delays else None,
        "ended": len(ends),
        "lost": len(ends) - len(delays),
        "early": sum(delay < 0 for delay in delays)
        + sum(trigger_id not in ends for trigger_id in supervisor.outcomes)
        + len(wrong),
        "doubled": sum(len(payloads) > 1 for payloads in supervisor.outcomes.values()),
        "ending_calls_a_minute": sum(at >= begin for at, _, _ in report["calls"]) / minutes,
        "refused": sum(status != 200 for _, _, status in report["calls"]),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(measure(json.loads(sys.argv[1]))))  # noqa: T201 - a report on standard output
    sys.stdout.flush()
    os._exit(0)
