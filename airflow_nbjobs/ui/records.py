"""
What Airflow's database says about one task instance, as values.

Called by ``app.py`` with the API server's session; reads only.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import select

from airflow_nbjobs.core.error_record import parse_error_record
from airflow_nbjobs.links import ATTEMPTS_KEY, END_KEY, ERROR_KEY, JOB_KEY
from airflow_nbjobs.ui.subject import Kind, Subject, TaskArguments

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_DAGS_KEPT = 16
_OUTPUTS_SHOWN = 100
_OURS = ("nbjobs_", "_link_", "return_value", "skipmixin_key")
_OPERATOR_FIELDS = {"input_notebook", "s3_root_uri", "initialization_script", "aws_conn_id"}
_SENSOR_TYPE = "SageMakerNotebookJobSensor"


def read_subject(session: Session, *, dag_id: str, run_id: str, task_id: str, map_index: int) -> Subject | None:
    """Return the task instance; None where Airflow has none of that name."""
    row = session.execute(
        select(
            TaskInstance.state,
            TaskInstance.try_number,
            TaskInstance.max_tries,
            TaskInstance.start_date,
            TaskInstance.end_date,
            TaskInstance.dag_version_id,
            DagRun.start_date,
            DagRun.run_after,
        )
        .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
        .where(
            TaskInstance.dag_id == dag_id,
            TaskInstance.run_id == run_id,
            TaskInstance.task_id == task_id,
            TaskInstance.map_index == map_index,
        )
    ).first()
    if row is None:
        return None
    state, try_number, max_tries, started, ended, version_id, run_started, run_after = row
    kind, arguments = _arguments(session, version_id, task_id)
    identity: dict[str, Any] = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    xcoms = _xcoms(session, **identity) if kind is not Kind.OTHER else {}
    return Subject(
        **identity,
        state=_state_text(state),
        try_number=int(try_number or 0),
        max_tries=int(max_tries),
        started=started,
        ended=ended,
        run_started=run_started or run_after,
        kind=kind,
        arguments=arguments,
        rendered=_rendered(session, **identity) if kind is not Kind.OTHER else {},
        job=mapping(xcoms.get(JOB_KEY)),
        end=mapping(xcoms.get(END_KEY)),
        error=parse_error_record(mapping(xcoms.get(ERROR_KEY))),
        outputs={name: value for name, value in xcoms.items() if not name.startswith(_OURS)},
        attempts=_attempts(session, **identity) if kind is Kind.OPERATOR else (),
    )


def _state_text(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))


def _arguments(session: Session, version_id: Any, task_id: str) -> tuple[Kind, TaskArguments]:
    task = _task(session, version_id, task_id) if version_id is not None else None
    if task is None:
        return Kind.OTHER, TaskArguments({})
    # By its fields, not by its name: a subclass or a decorated task is a notebook job as well.
    fields = set(task.template_fields or ())
    if fields >= _OPERATOR_FIELDS:
        kind = Kind.OPERATOR
    elif task.task_type == _SENSOR_TYPE:
        kind = Kind.SENSOR
    else:
        return Kind.OTHER, TaskArguments({})
    if not task.is_mapped:
        return kind, TaskArguments({name: getattr(task, name, None) for name in fields})
    # Of a mapped task only what `partial` was given is serialized, no defaults; everything else is each instance's own.
    given = {name: value for name, value in task.partial_kwargs.items() if name in fields}
    return kind, TaskArguments(given, frozenset(fields - set(given)))


_tasks: OrderedDict[tuple[Any, str], dict[str, Any]] = OrderedDict()
_tasks_lock = Lock()


def _task(session: Session, version_id: Any, task_id: str) -> Any:
    """Return the serialized operator; the last few DAGs are kept, since reading one takes time with its size."""
    current_hash = session.scalar(
        select(SerializedDagModel.dag_hash).where(SerializedDagModel.dag_version_id == version_id)
    )
    if current_hash is None:
        return None
    key = (version_id, current_hash)
    with _tasks_lock:
        tasks = _tasks.get(key)
    if tasks is None:
        model = session.scalar(select(SerializedDagModel).where(SerializedDagModel.dag_version_id == version_id))
        if model is None:
            return None
        model.load_op_links = False
        tasks = dict(model.dag.task_dict)
        with _tasks_lock:
            _tasks[key] = tasks
            while len(_tasks) > _DAGS_KEPT:
                _tasks.popitem(last=False)
    return tasks.get(task_id)


def _xcoms(session: Session, **identity: Any) -> dict[str, Any]:
    rows = session.execute(
        select(XComModel.key, XComModel.value)
        .where(*(getattr(XComModel, name) == value for name, value in identity.items()))
        .order_by(XComModel.key)
        .limit(_OUTPUTS_SHOWN + 10)
    )
    return {key: plain(value) for key, value in rows}


def _rendered(session: Session, **identity: Any) -> dict[str, Any]:
    fields = session.scalar(
        select(RenderedTaskInstanceFields.rendered_fields).where(
            *(getattr(RenderedTaskInstanceFields, name) == value for name, value in identity.items())
        )
    )
    return mapping(fields) or {}


def _attempts(session: Session, **identity: Any) -> tuple[dict[str, Any], ...]:
    try:
        from airflow.models.task_state_store import TaskStateStoreModel
    except ImportError:  # Airflow < 3.3
        return ()
    value = session.scalar(
        select(TaskStateStoreModel.value).where(
            TaskStateStoreModel.key == ATTEMPTS_KEY,
            *(getattr(TaskStateStoreModel, name) == value for name, value in identity.items()),
        )
    )
    found = plain(value)
    return tuple(each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def plain(value: Any) -> Any:
    """Return a stored value; some of Airflow's tables and versions keep JSON as text in a JSON column."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def mapping(value: Any) -> dict[str, Any] | None:
    value = plain(value)
    return value if isinstance(value, dict) else None
