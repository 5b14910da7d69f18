"""
Whether the job of a trigger that was cancelled is stopped: only if a user took its task away, which Airflow has to say.

Called by this package's triggers, detached from them: Airflow may end a trigger before it has an answer.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async

from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.ownership import LIVE, Verdict, verdict
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_nbjobs.aws.ports import TrainingJobs

# Between the tries of a stop that AWS has not taken: nobody comes back to it later.
_STOP_PAUSES_SECONDS = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
# Between two questions about a task of which Airflow itself does not know yet whether it is retried or was cleared; the last one repeats. A thousand cleared tasks
# may wait in one pool, and one thread asks for all: a minute leaves it time for others.
_ASK_PAUSES_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

log = logging.getLogger(__name__)


async def stop_if_taken_away(job_name: str, ti: Any, open_jobs: Callable[[], Awaitable[TrainingJobs]]) -> None:
    """
    Stop the job if its task no longer waits for it.

    :param open_jobs: returns a port whose calls botocore repeats.
    """
    try:
        is_kept, state = await _decided(job_name, ti)
    except Exception as error:  # noqa: BLE001 - in doubt, the job is kept: a needless stop costs more than a needless run
        log.warning("Keeping training job '%s': Airflow does not say what became of its task (%s)", job_name, error)
        return
    if is_kept:
        return
    log.info("Stopping training job '%s': its task no longer waits for it, its state is now '%s'", job_name, state)
    for pause_seconds in (*_STOP_PAUSES_SECONDS, None):
        try:
            jobs = await open_jobs()
            await asyncio.to_thread(jobs.stop, job_name)
        except NotebookJobError as error:
            if pause_seconds is None or not getattr(error, "is_retryable", False):
                log.exception("Training job '%s' could not be stopped and runs on", job_name)
                return
            await asyncio.sleep(pause_seconds)
        else:
            return


async def _decided(job_name: str, ti: Any) -> tuple[bool, str | None]:
    """
    Say whether the job is kept, and the state of its task.

    A task that is scheduled or queued, or runs and has recorded no job yet, is retried or was cleared: it is asked for again until that shows.
    """
    pauses = chain(_ASK_PAUSES_SECONDS, repeat(_ASK_PAUSES_SECONDS[-1]))
    while True:
        found, state = await sync_to_async(_ask)(job_name, ti)
        if found is not Verdict.ASK_AGAIN:
            return found is Verdict.KEEP, state
        await asyncio.sleep(next(pauses))


def _ask(job_name: str, ti: Any) -> tuple[Verdict, str | None]:
    from airflow_nbjobs._compat import job_xcom, task_instance_key, task_state

    if ti is None:
        return Verdict.KEEP, None
    key = task_instance_key(ti)
    state = task_state(**key)
    job = read_record(JOB_KEY, job_xcom(JOB_KEY, **key)) if state in LIVE else {}
    return verdict(state, followed=job.get("job_name") or None, job_name=job_name), state
