"""
What a training job's processes use of the machine, measured from ``/proc`` and published as SageMaker publishes it.

Entered by ``training/work.py`` while the container runs. Linux only: elsewhere nothing is published.

Measured are the processes' own processor seconds, with those in which they stood in line for a core of this machine (alone on the machine that the job has named, they would
have run), their memory and files. They are given as a share of the machine that the job has named, since that is what CloudWatch's numbers are:
of its vCPUs, its memory, its volume. Nothing is given of what cannot be measured here: no processor time where this machine has fewer cores than that one, no GPU, no disk
that is the instance's own, and nothing at all of a type that is not in the table.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.job.instances import has_local_disk
from airflow_nbjobs.core.job.machines import machine_of
from airflow_nbjobs.core.job.metrics import DIMENSION, NAMESPACE, host_of
from airflow_nbjobs.local.state.jobs import selected_instance_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_nbjobs.core.job.machines import Machine

LOG = logging.getLogger(__name__)

_PROC = Path("/proc")
_GIB = 1024**3
_LAST_POINT_SECONDS = 5.0
_MOST_FILES = 100_000  # whose sizes are added up at each point


@dataclass(frozen=True, slots=True)
class Usage:
    """
    What a tree of processes uses at one moment.

    :param cpu_seconds: since it was started, of those that have ended, too.
    :param memory_bytes: of main memory, shared pages counted once.
    :param waited_seconds: of each thread by its id: ready to run, while others had the cores; nothing where the kernel does not tell.
    """

    cpu_seconds: float
    memory_bytes: int
    waited_seconds: Mapping[int, float] = field(default_factory=dict)


def usage_of(root: int, proc: Path = _PROC) -> Usage:
    """Measure a process and all below it."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                # "pid (name) state ppid …"; the name may hold blanks and brackets. Source: proc(5)
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
                # Its own time, and that of children which have ended and were waited for: theirs is lost with them otherwise.
                ticks[int(entry.name)] = sum(int(each) for each in fields[11:15])
    tree = {root}
    while more := {pid for pid, parent in parents.items() if parent in tree} - tree:
        tree |= more
    return Usage(
        cpu_seconds=sum(ticks.get(pid, 0) for pid in tree) / os.sysconf("SC_CLK_TCK"),
        memory_bytes=sum(_memory_bytes(proc / str(pid)) for pid in tree),
        waited_seconds={thread: seconds for pid in tree for thread, seconds in _waited_seconds(proc / str(pid))},
    )


def _waited_seconds(process: Path) -> Iterator[tuple[int, float]]:
    """Yield how long each thread has waited for a core. Source: the kernel's documentation, sched-stats, ``/proc/<pid>/schedstat``: its second number."""
    with suppress(OSError):
        for thread in (process / "task").iterdir():
            with suppress(OSError, ValueError, IndexError):
                yield int(thread.name), int((thread / "schedstat").read_text().split()[1]) / 1e9


def demand_seconds(before: Usage, now: Usage) -> float:
    """Return the processor seconds that a tree of processes had, or stood in line for, between two moments."""
    waited = sum(
        max(0.0, seconds - before.waited_seconds.get(thread, 0.0)) for thread, seconds in now.waited_seconds.items()
    )
    return max(0.0, now.cpu_seconds - before.cpu_seconds) + waited


def _memory_bytes(process: Path) -> int:
    """Return the process's part of main memory: a page that several share is divided among them, where the kernel tells."""
    for name, label in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with suppress(OSError, ValueError, IndexError):
            for line in (process / name).read_text(errors="replace").splitlines():
                if line.startswith(label):
                    return int(line.split()[1]) * 1024
    return 0


def disk_bytes(folders: Iterable[Path]) -> int | None:
    """Return what the files below these folders take; None of very many, which would take longer to count than they are worth."""
    total = count = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                count += 1
                if count > _MOST_FILES:
                    return None
                with suppress(OSError):
                    total += os.lstat(Path(place, name)).st_blocks * 512
    return total


def datums(
    machine: Machine, *, cpu_percent: float, memory_bytes: int, disk_percent: float | None, cores: int
) -> dict[str, float]:
    """
    Return CloudWatch's numbers by metric: CPU of 100 a vCPU, at most all of them; the others of 100.

    :param cpu_percent: of one core, 100 a core.
    :param cores: of this machine.
    """
    found = {"MemoryUtilization": min(100.0, 100 * memory_bytes / (machine.memory_gib * _GIB))}
    if cores >= machine.vcpus:
        found["CPUUtilization"] = min(100.0 * machine.vcpus, cpu_percent)
    if disk_percent is not None:
        found["DiskUtilization"] = min(100.0, disk_percent)
    return found


class Meter:
    """
    One job's meter.

    :param cloudwatch: boto3's client.
    :param pid: of the container's outermost process.
    :param folders: what lies on the job's volume.
    :param seconds: between two points.
    """

    def __init__(
        self,
        cloudwatch: Any,
        *,
        job_name: str,
        request: Mapping[str, Any],
        pid: int,
        folders: Sequence[Path],
        seconds: float,
    ) -> None:
        resources = request["ResourceConfig"]
        self._cloudwatch = cloudwatch
        self._job_name = job_name
        self._pid = pid
        self._folders = folders
        self._seconds = seconds
        self._type = selected_instance_type(resources)
        self._volume_bytes = 0 if has_local_disk(self._type) else int(resources.get("VolumeSizeInGB", 0)) * _GIB
        self._ended = threading.Event()

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measure while the block runs, in a thread of its own: a container never waits for it, and its end some seconds at most."""
        machine = machine_of(self._type)
        if machine is None or not (_PROC / "self" / "stat").exists():
            yield
            return
        thread = threading.Thread(target=self._measure, args=(machine,), name=f"meter {self._job_name}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(_LAST_POINT_SECONDS)

    def _measure(self, machine: Machine) -> None:
        before, earlier = time.monotonic(), Usage(cpu_seconds=0.0, memory_bytes=0)
        while not self._ended.wait(self._seconds):
            try:
                usage = usage_of(self._pid)
                now = time.monotonic()
                if not usage.memory_bytes:  # it has just ended
                    continue
                percent = 100 * demand_seconds(earlier, usage) / (now - before)
                before, earlier = now, usage
                self._publish(machine, percent, usage.memory_bytes)
            except Exception:  # a lost point must not end a job, as on AWS
                LOG.exception("%s: what it uses of its machine could not be published", self._job_name)

    def _publish(self, machine: Machine, cpu_percent: float, memory_bytes: int) -> None:
        used = disk_bytes(self._folders) if self._volume_bytes else None
        values = datums(
            machine,
            cpu_percent=cpu_percent,
            memory_bytes=memory_bytes,
            disk_percent=None if used is None else 100 * used / self._volume_bytes,
            cores=os.cpu_count() or 1,
        )
        moment = datetime.now(tz=UTC)
        self._cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": name,
                    "Dimensions": [{"Name": DIMENSION, "Value": host_of(self._job_name)}],
                    "Timestamp": moment,
                    "Value": value,
                    "Unit": "Percent",
                    "StorageResolution": 60 if self._seconds >= 60 else 1,
                }
                for name, value in values.items()
            ],
        )
