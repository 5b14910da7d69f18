"""
Wait in the triggerer until a notebook job has ended.

Used by the operator and the sensor; their kwargs lie in Airflow's database as plain JSON and hold names only, never parameters.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_nbjobs.aws.watch.shared import PollerKey, shared_log_reader, shared_poller
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobError, bounded
from airflow_nbjobs.core.job.reference import parse_job_reference
from airflow_nbjobs.core.job.submission_state import SHORTEST_DEFERRAL_SECONDS
from airflow_nbjobs.core.job.xcoms import EVENT_VERSION
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.settings import read_pace
from airflow_nbjobs.triggers import questions
from airflow_nbjobs.triggers.kept_progress import keep, kept_form, recall
from airflow_nbjobs.triggers.stop import stop_if_taken_away
from airflow_nbjobs.triggers.task_log import write_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_nbjobs.aws.ports import ContainerLogs, TrainingJobs
    from airflow_nbjobs.hooks import SageMakerNotebookJobHook

_SLICE_SECONDS = 60.0
# A trigger that starts so long after its task was deferred is not the first one: another triggerer may have written some of the log.
_TAKEN_OVER_SECONDS = 30.0


_OF_CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")
_OF_TASK = ("attempt", "was_adopted", "stop_on_kill", "turn", "stream_logs", "log_place", "try_number")


class NotebookJobTrigger(BaseTrigger):
    """
    Yield one event when the training job is in a terminal state, or when it cannot be watched.

    Event: ``{"version": 1, "job_name", "attempt", "was_adopted", "status", "secondary_status", "error", "turn", "log_place", "try_number"}``; ``error`` is None, or why
    the job cannot be watched, beside an ``error_code`` then.
    Whoever reads it ignores keys that it does not know, so that another source of news than the poller may say more.

    :param attempt: k-th job of the task's generation; comes back in the event.
    :param was_adopted: the job was taken over from an earlier try; comes back in the event.
    :param waiter_delay: longest seconds between two polls of the job.
    :param stop_on_kill: stop the job when a user clears, fails or marks the deferred task.
    :param turn: what the operator needs to know of earlier waits for capacity (``core/job/submission_state.py``); comes back in the event.
    :param stream_logs: write the container's log into the task's as it comes.
    :param log_place: how much of that log an earlier process has written (``core/watch/log_place.py``); in the event, how much has been written by then.
    :param deferred_at: ISO 8601 with an offset: when the task left its worker. The event waits until that is 10 s ago: a task that is back before the
        scheduler has read that it left is failed by it ("finished with state success, but …"). None: it left none.
    :param try_number: of the task's try that waits; comes back in the event, since Airflow 3.0 hands a try's last event to its retry as well.
    """

    _stored: tuple[str, ...] = ("job_name", *_OF_CONNECTION, "waiter_delay", "deferred_at", *_OF_TASK)

    def __init__(
        self,
        *,
        job_name: str,
        attempt: int = 0,
        was_adopted: bool = False,
        aws_conn_id: str | None = defaults.AWS_CONN_ID,
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        waiter_delay: float = defaults.WAITER_DELAY,
        stop_on_kill: bool = True,
        turn: dict[str, Any] | None = None,
        stream_logs: bool = False,
        log_place: dict[str, Any] | None = None,
        deferred_at: str | None = None,
        try_number: int | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.job_name = job_name
        self.attempt = attempt
        self.was_adopted = was_adopted
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config
        self.waiter_delay = waiter_delay
        self.stop_on_kill = stop_on_kill
        self.turn = turn
        self.stream_logs = stream_logs
        self.log_place = log_place
        self.deferred_at = deferred_at
        self.try_number = try_number

    def serialize(self) -> tuple[str, dict[str, Any]]:
        path = f"{type(self).__module__}.{type(self).__qualname__}"
        return path, {name: getattr(self, name) for name in self._stored}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        key = PollerKey(
            self.aws_conn_id, self.region_name, repr(self.verify), json.dumps(self.botocore_config, sort_keys=True)
        )
        event = self._event()
        questions.ask_once(self.task_instance)
        try:
            event |= await self._watched(key, event)
            await self._await_scheduler()
        except asyncio.CancelledError as cancelled:
            await self._stop_if_cancelled_by_airflow(cancelled)
            raise
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _watched(self, key: PollerKey, event: dict[str, Any]) -> dict[str, Any]:
        """Return what the event says of the job's end, or of why it cannot be watched."""
        try:
            async with self._container_log(key, event):
                summary = await shared_poller(key, self._open_jobs, read_pace).wait(
                    self.job_name, waiter_delay_seconds=self.waiter_delay
                )
        except NotebookJobError as error:
            return {"error": str(error), "error_code": getattr(error, "code", None)}
        except Exception as error:  # noqa: BLE001 - a crash of the poller reaches the task as an event that says so
            return {"error": bounded(f"the triggerer's poller has crashed: {type(error).__name__}: {error}")}
        return {"status": summary.status, "secondary_status": summary.secondary_status}

    async def _await_scheduler(self) -> None:
        """Hold the event back until the scheduler must have read that the task has left its worker; ``dag.test`` has no scheduler."""
        if self.deferred_at is None or self.task_instance is None:
            return
        age = self._age_seconds()
        # The worker's clock may differ from this machine's: never longer than what is to pass at most.
        await asyncio.sleep(min(max(SHORTEST_DEFERRAL_SECONDS - age, 0.0), SHORTEST_DEFERRAL_SECONDS))

    def _age_seconds(self) -> float:
        """Return how long ago the task was deferred."""
        if self.deferred_at is None:
            return 0.0
        return (datetime.now(tz=UTC) - datetime.fromisoformat(self.deferred_at)).total_seconds()

    def _event(self) -> dict[str, Any]:
        return {
            "version": EVENT_VERSION,
            "job_name": self.job_name,
            "attempt": self.attempt,
            "was_adopted": self.was_adopted,
            "status": None,
            "secondary_status": None,
            "error": None,
            "turn": self.turn,
            "log_place": self.log_place,
            "try_number": self.try_number,
        }

    @asynccontextmanager
    async def _container_log(self, key: PollerKey, event: dict[str, Any]) -> AsyncIterator[None]:
        """Write the container's log into this task's while the block runs, and how far it has come into the event."""
        if not self.stream_logs:
            yield
            return
        from airflow_nbjobs._compat import may_push_from_trigger, task_instance_key

        is_kept = self.task_instance is not None and may_push_from_trigger()
        age = max(self._age_seconds(), 0.0)
        stored = self.log_place
        if is_kept and age >= _TAKEN_OVER_SECONDS:
            stored = await questions.ask(lambda: recall(self.job_name, task_instance_key(self.task_instance))) or stored
        follower = shared_log_reader(key, self._open_logs)
        place = LogPlace.from_json(stored)
        report = self._report if is_kept else None
        async with write_log(follower, self.job_name, place, self.log, report, age_seconds=age) as followed:
            try:
                yield
            finally:
                event["log_place"] = followed.place.to_json()

    async def _report(self, place: LogPlace) -> None:
        from airflow_nbjobs._compat import task_instance_key

        kept = kept_form(place)
        await questions.ask(lambda: keep(self.job_name, kept, task_instance_key(self.task_instance)))

    async def _open_logs(self) -> ContainerLogs:
        hook = await self._open_hook()
        return await asyncio.to_thread(lambda: hook.polled_logs)

    async def _open_jobs(self) -> TrainingJobs:
        """Return the port for the poller."""
        hook = await self._open_hook()
        return await asyncio.to_thread(lambda: hook.polled_jobs)

    async def _open_stopping_jobs(self) -> TrainingJobs:
        """Return a port whose calls botocore repeats: a stop is asked for once."""
        hook = await self._open_hook()
        return await asyncio.to_thread(lambda: hook.clients.jobs)

    async def _open_hook(self) -> SageMakerNotebookJobHook:
        def read_connection() -> SageMakerNotebookJobHook:
            # Imported here, not in the loop: amazon's hook and boto3 take half a second.
            from airflow_nbjobs.hooks import SageMakerNotebookJobHook

            hook = SageMakerNotebookJobHook(
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                config=self.botocore_config,
            )
            _ = hook.conn_config
            return hook

        return await questions.ask(read_connection)

    async def on_kill(self) -> None:
        """
        Stop the job if a user took the task away from it; called by Airflow >= 3.3.

        Airflow 3.3.0-3.3.2 calls this on fail-over too, and gives it about a second: so the work is detached, and asks first.
        """
        await self._stop_detached()

    async def _stop_if_cancelled_by_airflow(self, cancelled: asyncio.CancelledError) -> None:
        """
        Do what ``on_kill`` does where Airflow does not call it, before 3.3.

        It cancels a trigger then with no word of why, a user's action or another triggerer that has taken over; its end comes with one ("EOF - shutting down",
        "Supervisor closed"), when there is nobody left to ask. Source: ``TriggerRunner.cancel_triggers`` and ``sync_state_to_supervisor`` of 3.0.6, 3.1.8, 3.2.2.
        """
        from airflow_nbjobs._compat import has_on_kill

        if not cancelled.args and not has_on_kill():
            await self._stop_detached()

    async def _stop_detached(self) -> None:
        if self.stop_on_kill and self.job_name:
            stopping = stop_if_taken_away(self.job_name, self.task_instance, self._open_stopping_jobs)
            await asyncio.shield(questions.detach(stopping))


class NotebookJobTurnTrigger(NotebookJobTrigger):
    """
    Sleep until the task may ask for a job again, and ask nobody anything.

    Event: as the base class's, without a status; ``turn`` says what the worker does then.

    :param until: ISO 8601 with an offset. A moment, not a duration: a triggerer that is restarted or takes over does not begin the sleep anew.
    :param job_name: the job that may exist all the same, since a request for it was not answered; empty where there can be none.
    """

    _stored = (*NotebookJobTrigger._stored, "until")  # noqa: SLF001 - of the base class

    def __init__(self, *, until: str, job_name: str = "", **arguments: Any) -> None:
        super().__init__(job_name=job_name, **arguments)
        self.until = until

    async def run(self) -> AsyncIterator[TriggerEvent]:
        until = datetime.fromisoformat(self.until)
        questions.ask_once(self.task_instance)
        try:
            # In slices: the machine's clock may be set, or the machine sleep itself.
            while (left := (until - datetime.now(tz=UTC)).total_seconds()) > 0:  # noqa: ASYNC110 - it waits for a time
                await asyncio.sleep(min(left, _SLICE_SECONDS))
        except asyncio.CancelledError as cancelled:
            await self._stop_if_cancelled_by_airflow(cancelled)
            raise
        yield TriggerEvent(self._event())  # type: ignore[no-untyped-call]


class NotebookJobSensorTrigger(NotebookJobTrigger):
    """
    Wait for a job that somebody else started, and never stop it.

    Airflow >= 3.3 starts it without a worker: then its arguments are the sensor's own, rendered here.

    :param job_name: name or ARN.
    :raises NotebookJobConfigError: from ``run``: ``job_name`` names no job; the task resumes, finds the same, and says so.
    """

    _stored = ("job_name", *_OF_CONNECTION, "waiter_delay", "deferred_at")

    def __init__(self, **arguments: Any) -> None:
        super().__init__(stop_on_kill=False, **arguments)

    def get_template_env(self, dag: Any = None) -> Any:
        """Refuse undefined names, as a worker does: Airflow's own environment of triggers makes empty texts of them, and so the name of another job."""
        from jinja2 import StrictUndefined

        environment = super().get_template_env(dag)
        environment.undefined = StrictUndefined
        return environment

    async def run(self) -> AsyncIterator[TriggerEvent]:
        reference = parse_job_reference(self.job_name, region_name=self.region_name)
        self.job_name, self.region_name = reference.job_name, reference.region
        async for event in super().run():
            yield event
