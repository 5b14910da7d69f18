"""
The pollers of this process, and what follows the logs of their jobs: one of each per event loop, connection and region.

Called by the trigger. ``dag.test`` runs each trigger in a loop of its own, a triggerer all of them in one.
"""

from __future__ import annotations

import asyncio
import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from airflow_nbjobs.aws.watch.log_follower import LogFollower
from airflow_nbjobs.aws.watch.poller import JobPoller, Turns
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


@dataclass(slots=True)
class _OfLoop:
    turns: Turns = field(default_factory=Turns)
    pollers: dict[PollerKey, JobPoller] = field(default_factory=dict)
    followers: dict[PollerKey, LogFollower] = field(default_factory=dict)


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
            open_jobs, pace=read_pace(), turns=of_loop.turns, on_idle=lambda: _remove(of_loop, key)
        )
    return of_loop.pollers[key]


def _remove(of_loop: _OfLoop, key: PollerKey) -> None:
    poller = of_loop.pollers.get(key)
    if poller is not None and poller.is_idle:
        del of_loop.pollers[key]


def shared_follower(key: PollerKey, open_logs: Callable[[], Awaitable[ContainerLogs]]) -> LogFollower:
    """Return what follows the logs of the key's jobs in the running loop, making it if there is none."""
    of_loop = _of_loops.setdefault(asyncio.get_running_loop(), _OfLoop())
    if key not in of_loop.followers:
        of_loop.followers[key] = LogFollower(open_logs, on_idle=lambda: _forget(of_loop, key))
    return of_loop.followers[key]


def _forget(of_loop: _OfLoop, key: PollerKey) -> None:
    follower = of_loop.followers.get(key)
    if follower is not None and follower.is_idle:
        del of_loop.followers[key]
