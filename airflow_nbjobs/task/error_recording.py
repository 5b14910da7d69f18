"""
What a task fails with, as the XCom ``nbjobs_error``, pushed just before the error leaves the task.

Used by the operator and the sensor around all that they do in a worker; imported inside functions only.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import AirflowRescheduleException, AirflowTaskTimeout, masked_text
from airflow_nbjobs.core.error_record import error_record, short_record
from airflow_nbjobs.core.errors import NotebookJobServiceError, NotebookJobTimeoutError
from airflow_nbjobs.core.job.xcoms import ATTEMPTS_KEY, ERROR_KEY, stored_attempts
from airflow_nbjobs.task.ownership import TryOverError, is_try_over

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import BaseOperator, Context

# Airflow's supervisor asks an API server that is away several times, for a minute or more: no further question then.
_PATIENCE_SECONDS = 10.0


@contextmanager
def recorded_error(task: BaseOperator, context: Context) -> Iterator[None]:
    """
    Record the error with which the block ends, also where nothing was submitted; the page of the task says it then.

    A try that is over records nothing: the task instance is another's. Whatever goes wrong here hides no error.
    """
    try:
        yield
    except (AirflowRescheduleException, TryOverError):
        raise
    except (Exception, AirflowTaskTimeout) as error:
        try:
            _record(task, context, error)
        except (Exception, AirflowTaskTimeout) as trouble:  # noqa: BLE001 - as said above
            task.log.warning("What the task failed with is in this log only: %s", trouble)
        raise


def _record(task: Any, context: Context, error: BaseException) -> None:
    # Rendering calls itself for what is nested: the innermost block has recorded the error.
    if getattr(task, "_recorded_error", None) is error:
        return
    task._recorded_error = error  # noqa: SLF001 - of an operator or sensor of ours
    ti: Any = context["ti"]
    began = time.monotonic()
    if is_try_over(getattr(ti, "id", None), task.log):
        return
    if time.monotonic() - began > _PATIENCE_SECONDS:
        raise TimeoutError("Airflow's API server has not answered in time")
    # Airflow's own text is the number of a process.
    is_bare = isinstance(error, AirflowTaskTimeout) and "execution_timeout" not in str(error)
    said = _timeout(task) if is_bare and task.execution_timeout else error
    record = error_record(said, try_number=int(ti.try_number), mask=masked_text)
    ti.xcom_push(key=ERROR_KEY, value=record)
    # What could not be read of a job is no word on the job: a later try may have it.
    is_slow = time.monotonic() - began > _PATIENCE_SECONDS
    if record["job_name"] and not is_slow and not isinstance(error, NotebookJobServiceError):
        _remember(context, record)


def _timeout(task: Any) -> NotebookJobTimeoutError:
    run = getattr(task, "_task_run", None)
    if run is not None:
        return run.ownership.timeout_error()  # type: ignore[no-any-return]
    return NotebookJobTimeoutError(f"The task has ended: execution_timeout ({task.execution_timeout}) has passed")


def _remember(context: Any, record: dict[str, Any]) -> None:
    """Keep the record beside its job in the list of the task's jobs, for when the job is an earlier one."""
    store: Any = context.get("task_state_store")
    known = stored_attempts(store.get(ATTEMPTS_KEY)) if store is not None else []
    of_job = [each for each in known if each.get("job_name") == record["job_name"]]
    for each in of_job:
        each["error"] = short_record(record)
    if of_job:
        store.set(ATTEMPTS_KEY, known)
