"""
Questions to Airflow from the triggerer's event loop, and work there that outlives its trigger.

Called by this package's triggers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import sync_to_async

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
# Strong references: the event loop keeps weak ones, and a stop must outlive its trigger.
_detached: set[asyncio.Task[Any]] = set()
_has_asked_airflow = False


def detach(work: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
    """Start work that goes on to its end, whoever waits for it."""
    task = asyncio.get_running_loop().create_task(work)
    _detached.add(task)
    task.add_done_callback(_detached.discard)
    return task


async def ask(question: Callable[[], Answer]) -> Answer:
    """
    Return the answer to what asks Airflow.

    Who waits for it may be cancelled, the question goes on to its end: Airflow 3.0 takes an answer that nobody has read for that of its next question, and
    the whole triggerer dies of it. It is asked on asgiref's thread: Airflow 3.0 and 3.1 answer on no other.
    """

    async def answer() -> Answer:
        return await sync_to_async(question)()

    return await asyncio.shield(detach(answer()))


def ask_once(ti: Any) -> None:
    """
    Ask Airflow something when the first trigger of this process starts.

    The first question makes the triggerer's supervisor start an API server of its own, for up to half a minute on a busy machine, in which it
    hands out no triggers and takes no cancellation: better now than when a user takes a task away.
    """
    global _has_asked_airflow  # noqa: PLW0603 - once a process
    if _has_asked_airflow or ti is None:
        return
    _has_asked_airflow = True
    detach(_ask_for_state(ti))


async def _ask_for_state(ti: Any) -> None:
    from airflow_nbjobs._compat import task_instance_key, task_state

    try:
        await sync_to_async(task_state)(**task_instance_key(ti))
    except Exception as error:  # noqa: BLE001 - only the asking counts
        log.debug("Airflow does not answer yet: %s", error)
