"""
The pollers and the log readers that the waiting tasks of a process share: one of each per event loop, connection and region.

Called by ``triggers/``. ``dag.test`` runs each trigger in a loop of its own, a triggerer all of them in one.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from airflow_nbjobs.aws.watch.call_budget import CallBudget
from airflow_nbjobs.aws.watch.poller import JobPoller
from airflow_nbjobs.aws.watch.shared_log_reader import SharedLogReader
from airflow_nbjobs.core.watch.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_nbjobs.aws.ports import ContainerLogs, TrainingJobs


class PollerKey(NamedTuple):
    """
    What two waiting jobs must share to be asked for together: the same credentials at the same endpoint.

    :param botocore_config: JSON text, so that the key can be hashed.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: str
    botocore_config: str


class _OfLoop(msgspec.Struct):
    budget: CallBudget = msgspec.field(default_factory=CallBudget)
    pollers: dict[PollerKey, JobPoller] = msgspec.field(default_factory=dict)
    log_readers: dict[PollerKey, SharedLogReader] = msgspec.field(default_factory=dict)


# A poller refers to its loop while it has waiters: it leaves with the last of them, or the loop would never be collected.
_of_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = weakref.WeakKeyDictionary()


def shared_poller(
    key: PollerKey, open_jobs: Callable[[], Awaitable[TrainingJobs]], read_pace: Callable[[], Pace] = Pace
) -> JobPoller:
    """
    Return the running loop's poller for the key, making it if there is none.

    :param open_jobs: of the trigger that comes first.
    :param read_pace: called only if the poller has to be made.
    """
    of_loop = _of_loops.setdefault(asyncio.get_running_loop(), _OfLoop())
    if key not in of_loop.pollers:
        of_loop.pollers[key] = JobPoller(
            open_jobs, pace=read_pace(), budget=of_loop.budget, on_idle=lambda: _remove_idle(of_loop.pollers, key)
        )
    return of_loop.pollers[key]


def shared_log_reader(key: PollerKey, open_logs: Callable[[], Awaitable[ContainerLogs]]) -> SharedLogReader:
    """Return what reads the logs of the key's jobs in the running loop, making it if there is none."""
    of_loop = _of_loops.setdefault(asyncio.get_running_loop(), _OfLoop())
    if key not in of_loop.log_readers:
        of_loop.log_readers[key] = SharedLogReader(open_logs, on_idle=lambda: _remove_idle(of_loop.log_readers, key))
    return of_loop.log_readers[key]


def _remove_idle(shared: dict[PollerKey, JobPoller] | dict[PollerKey, SharedLogReader], key: PollerKey) -> None:
    if key in shared and shared[key].is_idle:
        del shared[key]
