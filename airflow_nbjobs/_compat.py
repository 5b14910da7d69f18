"""
What moved between Airflow 3.0 and 3.4, in one place; each newer feature behind one named capability.

Imported inside functions only, never while a DAG is parsed.
"""

from __future__ import annotations

import json
import sys
from functools import reduce
from importlib.util import find_spec
from operator import and_
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

try:  # Airflow >= 3.2
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        DuplicateTaskIdFound,
    )
except ImportError:
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        DuplicateTaskIdFound,
    )

__all__ = [  # what is imported only to be found here
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "DuplicateTaskIdFound",
]

# `airflow.sdk.bases.operator.TriggerFailureReason.TRIGGER_TIMEOUT` on every 3.x.
TRIGGER_TIMEOUT = "Trigger timeout"
_TRIGGER_FORM_ITEMS = {
    (3, 2): "triggerWithConfig",
    (3, 3): "triggerWithConfig",
    (3, 4): "editConfigAndTrigger",
}


def redact(value: object) -> Any:
    """Return the value with what Airflow's secrets masker knows replaced by ``***``."""
    try:  # Airflow >= 3.2
        from airflow.sdk.log import redact as mask  # type: ignore[attr-defined]
    except ImportError:
        from airflow.sdk.execution_time.secrets_masker import redact as mask  # type: ignore[no-redef]
    return mask(value)


def add_secret(secret: object, name: str | None = None) -> None:
    """
    Tell Airflow's secrets masker what ``redact`` replaces from now on; for commands, since a worker's own way tells its supervisor too.

    :param name: a value with a name is secret if the name says so; a dict's keys are the names of its values.
    """
    try:  # Airflow >= 3.2
        from airflow.sdk._shared.secrets_masker import _secrets_masker
    except ImportError:
        from airflow.sdk.execution_time.secrets_masker import _secrets_masker  # type: ignore[no-redef]
    masker: Any = _secrets_masker()
    masker.add_mask(_written_forms(secret), name)


def _written_forms(secret: object) -> object:
    """Return each text as it is, and as Python and JSON write it: an error quotes what it is about."""
    if isinstance(secret, dict):
        return {key: _written_forms(each) for key, each in secret.items()}
    if isinstance(secret, list | tuple):
        return [_written_forms(each) for each in secret]
    return [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]] if isinstance(secret, str) else secret


def masked_text(text: str) -> str:
    """Return the text without what Airflow's secrets masker knows."""
    return str(redact(text))


def task_instance_key(ti: Any) -> dict[str, Any]:
    """Return what names a task instance to Airflow's API, as arguments of the functions below."""
    return {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", "map_index")}


def job_xcom(key: str, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> Any:
    """Read one XCom of one task instance; works in workers and in the triggerer (from a thread)."""
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(key=key, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)


def may_push_from_trigger() -> bool:
    """
    Say whether a trigger may push XComs.

    From Airflow 3.2.2 on: before that, an XCom that the database refuses, as of a task instance that is gone, can end the triggerer (``ActivitySubprocess.handle_requests``
    lets all errors but the API's own through).
    """
    from airflow import __version__
    from packaging.version import Version

    return Version(Version(__version__).base_version) >= Version("3.2.2")


def push_job_xcom(key: str, value: Any, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> None:
    """Write one XCom of one task instance; for the triggerer (from a thread)."""
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(key=key, value=value, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)


def task_state(*, dag_id: str, run_id: str, task_id: str, map_index: int) -> str | None:
    """
    Return a task instance's state as Airflow's API has it now, None where it has none, ``deleted`` where there is no such task instance.

    Works in workers and in the triggerer (from a thread).
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    runs: Mapping[str, Mapping[str, Any]] = RuntimeTaskInstance.get_task_states(
        dag_id=dag_id, task_ids=[task_id], run_ids=[run_id], map_index=map_index
    )
    # A mapped task's key carries its index ("train_1"), so the only entry is taken whatever it is called.
    states = [state for states_of_run in runs.values() for state in states_of_run.values()]
    if not states:
        return "deleted"
    return None if states[0] is None else str(getattr(states[0], "value", states[0]))


def has_try(ti_id: object) -> bool:
    """
    Say whether Airflow still has the try of this id; works in workers.

    A retry and a clear give the task instance another id, so that the answer for a try that is over is 404 (409 and 410 mean the same elsewhere).
    Of all that a worker may ask, the check of a task's assets is the one question by this id that changes nothing.

    :raises Exception: Airflow gives no answer.

    Source: ``prepare_db_for_next_try`` in ``airflow/models/taskinstance.py``; ``validate-inlets-and-outlets`` of the execution API, 3.0.6 to 3.3.2.
    """
    return _checked_assets(ti_id) is not None


def inactive_assets(ti_id: object) -> list[str]:
    """
    Return the inlets and outlets of a try for which Airflow takes no events now, in the words of its own error; works in workers.

    :raises Exception: Airflow gives no answer.
    """
    answer = _checked_assets(ti_id)
    return [] if answer is None else [f"Asset(name={each.name!r}, uri={each.uri!r})" for each in answer]


def _checked_assets(ti_id: object) -> list[Any] | None:
    """Return the inactive assets of a try; None where Airflow does not have the try any more."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, InactiveAssetsResult, ValidateInletsAndOutlets
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer: Any = SUPERVISOR_COMMS.send(ValidateInletsAndOutlets(ti_id=ti_id))  # type: ignore[arg-type]
    except AirflowRuntimeError as error:
        said, detail = error.error.error, error.error.detail
        if (
            said is ErrorType.API_SERVER_ERROR
            and isinstance(detail, dict)
            and detail.get("status_code") in {404, 409, 410}
        ):
            return None
        raise
    if isinstance(answer, ErrorResponse):
        raise AirflowRuntimeError(answer)
    if not isinstance(answer, InactiveAssetsResult):  # of another question, whose asking a signal has cut short
        raise TypeError(f"Airflow answers with {type(answer).__name__}")
    return list(answer.inactive_assets or ())


def has_on_kill() -> bool:
    """Say whether triggers have ``on_kill``, and templates that the triggerer renders: from Airflow 3.3 on, which brought both."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def keeps_task_state() -> bool:
    """Say whether Airflow keeps what a task stores over its tries and clears: from 3.3 on."""
    return find_spec("airflow.models.task_state_store") is not None


def of_task_instance(model: Any) -> Any:
    """Join the rows that Airflow's database keeps for a task instance (XComs, rendered fields, states) with it; for the API server."""
    from airflow.models.taskinstance import TaskInstance

    if hasattr(model, "task_instance_id"):  # Airflow >= 3.4
        return model.task_instance_id == TaskInstance.id
    # Airflow >= 3.4: of a loop's iteration
    index = ("region_id", "region_index") if hasattr(model, "region_id") else ("map_index",)
    # By operator: a worker imports this module, and SQLAlchemy is a dependency of the tab alone.
    return reduce(
        and_, (getattr(model, part) == getattr(TaskInstance, part) for part in ("dag_id", "run_id", "task_id", *index))
    )


def is_resumed(ti: Any) -> bool | None:
    """
    Say whether Airflow goes on with a try that has deferred; None where it does not tell. Known in a worker, from the rendering of fields on.

    Airflow 3.0 says it of a retry as well, if the try before had deferred.
    """
    told = getattr(ti, "_ti_context_from_server", None)
    return None if told is None else bool(getattr(told, "next_method", None))


def may_ask_for_xcoms() -> bool:
    """
    Say whether a callback in this process may ask Airflow for XComs and states of tasks: in a worker always.

    Where the DAG processor's manager cannot read the question it never answers, and the callback would wait until it is killed.
    """
    from airflow.sdk.execution_time import task_runner

    processor: Any = sys.modules.get("airflow.dag_processing.processor")
    if processor is None or answers_for_xcoms(processor):
        return True
    decoder = getattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "body_decoder", None)
    return decoder is None or getattr(decoder, "_type", processor.ToDagProcessor) is not processor.ToDagProcessor


def answers_for_xcoms(processor: Any) -> bool:
    """Say whether the DAG processor's manager answers a callback that asks for XComs and states of tasks: not on Airflow 3.0."""
    return hasattr(processor, "GetXCom") and hasattr(processor, "GetTaskStates")


def task_states_of_run(*, dag_id: str, run_id: str) -> dict[tuple[str, int], str]:
    """Return the states of a run's task instances, by task id and map index (-1: the task is not mapped)."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    runs: Mapping[str, Mapping[str, Any]] = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id])
    found: dict[tuple[str, int], str] = {}
    for key, state in runs.get(run_id, {}).items():
        # A mapped task's key carries its index: "train_1". So may the id of a task that is not mapped.
        name, _, index = str(key).rpartition("_")
        is_mapped = bool(name) and index.isdecimal() and f"{name}_0" in runs[run_id]
        found[(name, int(index)) if is_mapped else (str(key), -1)] = str(getattr(state, "value", state))
    return found


def ui_root() -> str | None:
    """Return where Airflow's UI is, without a trailing slash; None where its address is not configured here."""
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/") or None


def has_tabs() -> bool:
    """Say whether Airflow's UI shows tabs and pages of plugins: from 3.1 on."""
    from airflow.plugins_manager import AirflowPlugin

    return hasattr(AirflowPlugin, "external_views")


def trigger_form_item() -> str | None:
    """
    Return which entry of the menu at the UI's *Trigger* button, on the pages of a run, opens the trigger form filled in with that run's conf.

    None: there is none (3.1), or this Airflow is newer than what is known of it: an entry of that name could trigger a run at once, as 3.4's
    ``triggerAgainWithConfig`` does. No release has an address that opens the form. Source: the UI's ``TriggerDAGButton.tsx``; apache/airflow#56406,
    #59769.
    """
    from airflow import __version__
    from packaging.version import Version

    version = Version(__version__)
    return _TRIGGER_FORM_ITEMS.get((version.major, version.minor))


def ui_address() -> str | None:
    """Return where Airflow's UI is, without a trailing slash; None where it has no tabs of plugins or its address is not configured here."""
    return ui_root() if has_tabs() else None


def dag_bag(**arguments: Any) -> Any:
    """Return Airflow's reader of DAG files; for commands."""
    try:  # Airflow >= 3.2
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
    return DagBag(**arguments)


def dag_file_paths(folder: str) -> list[str]:
    """Return the files below a folder that may hold a DAG, by ``.airflowignore`` and Airflow's safe mode; for commands."""
    try:  # Airflow < 3.4
        from airflow.utils.file import list_py_file_paths
    except ImportError:
        import importlib

        from airflow.configuration import conf

        shared = "airflow._shared.module_loading"
        might_contain_dag = importlib.import_module(f"{shared}.dag_file").might_contain_dag
        find = importlib.import_module(f"{shared}.file_discovery").find_path_from_directory
        syntax = conf.get("core", "dag_ignore_file_syntax", fallback="glob")
        found: list[str] = list(find(folder, ".airflowignore", syntax))
        return [path for path in found if path.endswith(".py") and might_contain_dag(path, True, conf=conf)]
    return list(list_py_file_paths(folder, safe_mode=True))


def stored_dag(dag: Any) -> Any:
    """
    Return a DAG as the scheduler reads it back from the database; for commands.

    :raises Exception: Airflow cannot store it.
    """
    from airflow.serialization import serialized_objects

    # The first of the two names came with Airflow 3.2.
    serialization: Any = getattr(serialized_objects, "DagSerialization", None) or serialized_objects.SerializedDAG  # type: ignore[attr-defined]
    return serialization.from_dict(serialization.to_dict(dag))
