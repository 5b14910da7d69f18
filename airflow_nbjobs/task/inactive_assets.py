"""
A task whose inlet or outlet has become inactive while its job ran: its results are pushed before it fails.

Airflow takes no events for an asset that is inactive, such as one of two URIs of one name, and fails each worker of its task before the task's own code: without a
retry, and after a deferral with the results of a job that is paid for. Called by the operator as it renders its fields, by ``submit.py`` and by ``asset_events.py``.

Source: ``_prepare`` in ``airflow/sdk/execution_time/task_runner.py``, 3.0.6 to 3.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_nbjobs._compat import inactive_assets, is_resumed
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

_NEXT = "give the asset one name and one URI in all DAG files"


def set_aside(task: Any, context: Context) -> None:
    """
    Take inlets and outlets from a task some of whose assets are inactive and which may have a job, so that Airflow lets it deliver what is paid for.

    Whether there is a job to adopt, a retry learns later. A first process has none: Airflow fails it, and nothing is submitted.
    """
    ti: Any = context["ti"]
    if not is_resumed(ti) and int(ti.try_number) == 1:
        return
    # Where there is no answer, Airflow asks itself next, and says what it makes of that.
    if found := _asked(task, ti):
        task._inactive_assets = found  # noqa: SLF001 - of an operator of ours
        task._assets_aside = (task.inlets, task.outlets)  # noqa: SLF001
        task.inlets, task.outlets = [], []


def take_back(task: Any) -> None:
    """Give a task its inlets and outlets again, once Airflow has asked for them."""
    task.inlets, task.outlets = task._assets_aside  # noqa: SLF001


def refuse_submission(task: Any) -> None:
    """:raises NotebookJobConfigError: the task was let through to deliver what there is, and is about to create another job."""
    found = getattr(task, "_inactive_assets", None)
    if found:
        raise NotebookJobConfigError(
            f"No job is submitted for task '{task.task_id}': Airflow takes no events for {_named(found)}, inactive now",
            details={"next": f"{_NEXT}, then clear the task"},
        )


def delivery_error(task: Any, facts: Mapping[str, Any]) -> NotebookOutputError | None:
    """Return why a task that was let through fails, once its job's results are pushed; None: it was not."""
    found = getattr(task, "_inactive_assets", None)
    if not found:
        return None
    return NotebookOutputError(
        f"Notebook job '{facts.get('job_name')}' completed and its outputs are pushed, but {_named(found)} became inactive meanwhile: "
        "Airflow takes no event for it and fails its task",
        details={
            "next": f"{_NEXT}. Mark the task as success to go on with its outputs, and create the asset's event by hand; to clear it runs the notebook anew"
        },
        job_name=facts.get("job_name"),
    )


def warn_of_lost_events(task: Any, context: Context) -> None:
    """Say in the log of a task that has waited in its worker which events Airflow will leave out: it lets such a task succeed, and says so to nobody."""
    ti: Any = context["ti"]
    if is_resumed(ti) is not False:
        return
    if found := _asked(task, ti):
        task.log.warning(
            "Airflow takes no event for %s, which became inactive while the job ran: %s", _named(found), _NEXT
        )


def _asked(task: Any, ti: Any) -> list[str]:
    """Return a task's inactive assets; none where Airflow gives no answer."""
    try:
        return inactive_assets(ti.id)
    except Exception as error:  # noqa: BLE001 - a comfort: nothing of a task may fail over the question
        task.log.debug("Whether an asset is inactive is not known: %s", error)
        return []


def _named(found: list[str]) -> str:
    return ", ".join(sorted(found))
