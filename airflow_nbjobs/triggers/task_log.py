"""
A job's container log, written into its task's while the task is deferred; how far the notebook has come is reported.

Called by this package's triggers, inside the triggerer's event loop.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from airflow_nbjobs.aws.ports import Log
    from airflow_nbjobs.aws.watch.log_follower import LogFollower
    from airflow_nbjobs.aws.watch.log_search import Followed
    from airflow_nbjobs.core.watch.log_lines import LogPlace

# The triggerer answers all its triggers one after the other: two writes a second, however many jobs there are.
_SECONDS_BETWEEN_REPORTS = 0.5


@asynccontextmanager
async def write_log(
    follower: LogFollower,
    job_name: str,
    place: LogPlace,
    log: Log,
    report: Callable[[LogPlace], Awaitable[Any]] | None,
    *,
    age_seconds: float = 0.0,
) -> AsyncIterator[Followed]:
    """
    Write what is new of a job's log into the task's while the block runs.

    :param report: called, job by job, when lines were written; what it raises is noted in the log, once. None: nobody wants to know.
    :param age_seconds: how long the job has been waited for.
    """
    followed = follower.follow(job_name, place, age_seconds=age_seconds)
    has_moved = asyncio.Event()
    # In the trigger's own context: by that Airflow knows whose log a line belongs to.
    tasks = [asyncio.create_task(_write(followed, log, has_moved))]
    if report is not None:
        tasks.append(asyncio.create_task(_report(followed, log, has_moved, report, follower.turn_to_report)))
    try:
        yield followed
    finally:
        follower.leave(followed)
        for task in tasks:
            task.cancel()
        for line in followed.rest():
            log.info("%s", line)


async def _write(followed: Followed, log: Log, has_moved: asyncio.Event) -> None:
    while True:
        for line in await followed.lines():
            log.info("%s", line)
        has_moved.set()


async def _report(
    followed: Followed,
    log: Log,
    has_moved: asyncio.Event,
    report: Callable[[LogPlace], Awaitable[Any]],
    may_report: asyncio.Lock,
) -> None:
    has_warned = False
    while True:
        await has_moved.wait()
        async with may_report:
            has_moved.clear()
            try:
                await report(followed.place)
            except Exception as error:  # noqa: BLE001 - a page's comfort must not end a wait
                if not has_warned:
                    log.warning("How far the notebook has come is not recorded: %s", error)
                has_warned = True
            await asyncio.sleep(_SECONDS_BETWEEN_REPORTS)
