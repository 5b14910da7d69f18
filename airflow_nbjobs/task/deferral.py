"""
How a task leaves its worker: until its job has ended, or until it is its turn to try again.

Called by ``task/run.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_nbjobs.core.job.queueing import SHORTEST_DEFERRAL_SECONDS
from airflow_nbjobs.task import identity as task_context
from airflow_nbjobs.triggers import NotebookJobTrigger, NotebookJobTurnTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_nbjobs.core.job.queueing import Sleep, Turn
    from airflow_nbjobs.task.view import TaskView


class Deferral:
    """Defers one task."""

    def __init__(self, operator: TaskView, context: Context) -> None:
        self._operator = operator
        self._context = context
        self._ti: Any = context["ti"]

    def until_ended(
        self, job_name: str, *, was_adopted: bool, turn: Turn, stream_logs: bool, log_place: dict[str, Any] | None
    ) -> NoReturn:
        """:param log_place: how much of the job's log has been written."""
        arguments = self._arguments(job_name, was_adopted, turn)
        self._defer(
            NotebookJobTrigger(
                stream_logs=stream_logs,
                log_place=log_place,
                deferred_at=datetime.now(tz=UTC).isoformat(),
                **arguments,
            )
        )

    def until_turn(
        self, sleep: Sleep, *, job_name: str, was_adopted: bool, log_place: dict[str, Any] | None
    ) -> NoReturn:
        arguments = self._arguments(job_name, was_adopted, sleep.turn)
        self._defer(NotebookJobTurnTrigger(until=sleep.until.isoformat(), log_place=log_place, **arguments))

    def _defer(self, trigger: NotebookJobTrigger) -> NoReturn:
        left = task_context.seconds_left(self._operator, self._context)
        self._operator.defer(
            trigger=trigger,
            method_name="execute_complete",
            # Airflow 3 does not enforce execution_timeout on a deferred task by itself.
            timeout=timedelta(seconds=max(left, SHORTEST_DEFERRAL_SECONDS)) if left is not None else None,
        )

    def _arguments(self, job_name: str, was_adopted: bool, turn: Turn) -> dict[str, Any]:
        operator = self._operator
        return {
            "job_name": job_name,
            "attempt": turn.attempt,
            "was_adopted": was_adopted,
            "aws_conn_id": operator.aws_conn_id,
            "region_name": operator.region_name,
            "verify": operator.verify,
            "botocore_config": operator.botocore_config,
            "waiter_delay": operator.waiter_delay,
            "stop_on_kill": operator.stop_on_kill,
            "turn": turn.to_json(),
            "try_number": int(self._ti.try_number),
        }
