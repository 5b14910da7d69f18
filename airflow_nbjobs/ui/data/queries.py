"""
Queries of Airflow's database for one task instance.

Called by the routes with the API server's session; reads only.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import and_, func, select

from airflow_nbjobs._compat import keeps_task_state, of_task_instance
from airflow_nbjobs.core.error_record import parse_error_record
from airflow_nbjobs.core.job.xcoms import (
    ATTEMPTS_KEY,
    END_KEY,
    ERROR_KEY,
    JOB_KEY,
    is_output,
    read_attempts,
    read_record,
)
from airflow_nbjobs.ui.data.task_instance import (
    NEVER_RAN,
    Instance,
    Kind,
    NotebookTaskInstance,
    TaskArguments,
    kind_of,
)
from airflow_nbjobs.ui.data.xcom_values import backend_values, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

_DAGS_KEPT = 16
_MOST_OUTPUTS = 1000
_MOST_INSTANCES = 1000
_INSTANCE_COLUMNS: tuple[Any, ...] = (
    *(TaskInstance.state, TaskInstance.try_number, TaskInstance.max_tries),
    *(TaskInstance.start_date, TaskInstance.end_date, TaskInstance.dag_version_id),
    *(DagRun.start_date.label("run_started"), DagRun.run_after),
)


def read_task_instance(
    session: Session, *, dag_id: str, run_id: str, task_id: str, map_index: int
) -> NotebookTaskInstance | None:
    """Return the task instance; None where Airflow has none of that name."""
    row = session.execute(
        select(*_INSTANCE_COLUMNS)
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
    kind, arguments = _arguments(session, row.dag_version_id, task_id)
    identity: dict[str, Any] = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    xcoms = (
        _xcoms(session, XComModel.key.in_((JOB_KEY, END_KEY, ERROR_KEY)), **identity) if kind is not Kind.OTHER else {}
    )
    return NotebookTaskInstance(
        **identity,
        **_facts(row),
        kind=kind,
        arguments=arguments,
        rendered=_rendered(session, **identity) if kind is not Kind.OTHER else {},
        job=read_record(JOB_KEY, plain(xcoms.get(JOB_KEY))) or None,
        end=read_record(END_KEY, plain(xcoms.get(END_KEY))) or None,
        error=parse_error_record(mapping(xcoms.get(ERROR_KEY))),
        attempts=_attempts(session, **identity) if kind is Kind.OPERATOR else (),
    )


def read_task_instances(session: Session, dag_ids: set[str]) -> Iterator[NotebookTaskInstance]:
    """Yield the notebook jobs of all runs of these DAGs, without what their tasks have pushed, and without the sensors."""
    pairs = session.execute(
        select(TaskInstance.dag_version_id, TaskInstance.task_id)
        .where(TaskInstance.dag_id.in_(dag_ids))
        .distinct()
        .order_by(TaskInstance.dag_version_id)  # the serialized DAGs of only a few versions are kept
    ).all()
    known = {(version_id, task_id): _arguments(session, version_id, task_id) for version_id, task_id in pairs}
    wanted = [pair for pair, (kind, _) in known.items() if kind is Kind.OPERATOR]
    fields: Any = RenderedTaskInstanceFields
    columns: list[Any] = [
        *_INSTANCE_COLUMNS,
        *(TaskInstance.dag_id, TaskInstance.run_id, TaskInstance.task_id, TaskInstance.map_index),
        fields.rendered_fields,
    ]
    for version_id, task_id in wanted:
        kind, arguments = known[version_id, task_id]
        found = session.execute(
            select(*columns)
            .select_from(TaskInstance)
            .join(DagRun, (DagRun.dag_id == TaskInstance.dag_id) & (DagRun.run_id == TaskInstance.run_id))
            .join(fields, of_task_instance(fields), isouter=True)
            .where(TaskInstance.dag_version_id == version_id, TaskInstance.task_id == task_id)
        ).all()
        for row in found:
            yield NotebookTaskInstance(
                dag_id=row.dag_id,
                run_id=row.run_id,
                task_id=task_id,
                map_index=row.map_index,
                **_facts(row),
                kind=kind,
                arguments=arguments,
                rendered=mapping(row.rendered_fields) or {},
            )


def _facts(row: Any) -> dict[str, Any]:
    """:param row: of ``_INSTANCE_COLUMNS``."""
    return {
        "state": state_text(row.state),
        "try_number": int(row.try_number or 0),
        "max_tries": int(row.max_tries),
        "started": row.start_date,
        "ended": row.end_date,
        "run_started": row.run_started or row.run_after,
    }


def count_unknown(session: Session, dag_ids: set[str]) -> dict[str, int]:
    """Return of each of these DAGs how many task instances have run of which nothing tells whether they are notebook jobs: their DAG's version is gone."""
    found = session.execute(
        select(TaskInstance.dag_id, func.count())
        .join(SerializedDagModel, SerializedDagModel.dag_version_id == TaskInstance.dag_version_id, isouter=True)
        .where(
            TaskInstance.dag_id.in_(dag_ids),
            SerializedDagModel.id.is_(None),
            (TaskInstance.try_number > 0) | TaskInstance.state.not_in([each for each in NEVER_RAN if each]),
        )
        .group_by(TaskInstance.dag_id)
    )
    return {dag_id: int(count) for dag_id, count in found}


def state_text(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))


def _arguments(session: Session, version_id: Any, task_id: str) -> tuple[Kind, TaskArguments]:
    task = _task(session, version_id, task_id) if version_id is not None else None
    if task is None:
        return Kind.OTHER, TaskArguments({})
    fields = set(task.template_fields or ())
    kind = kind_of(fields, task.task_type)
    if kind is Kind.OTHER:
        return kind, TaskArguments({})
    if not task.is_mapped:
        return kind, TaskArguments({name: getattr(task, name, None) for name in fields})
    # Of a mapped task only the arguments of `partial` are serialized, no defaults; everything else is each instance's own.
    partial = {name: value for name, value in task.partial_kwargs.items() if name in fields}
    return kind, TaskArguments(partial, frozenset(fields - set(partial)))


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
        tasks = dict(model.dag.task_dict)
        with _tasks_lock:
            _tasks[key] = tasks
            while len(_tasks) > _DAGS_KEPT:
                _tasks.popitem(last=False)
    return tasks.get(task_id)


def read_outputs(
    session: Session, ti: NotebookTaskInstance, *, most: int | None = _MOST_OUTPUTS
) -> tuple[dict[str, Any], int]:
    """Return the outputs that a task has pushed, the first thousand by name, and how many there are."""
    identity = {name: getattr(ti, name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    names = session.scalars(select(XComModel.key).where(*_is_of(XComModel, identity)).order_by(XComModel.key)).all()
    outputs = [name for name in names if is_output(name)]
    return _xcoms(session, XComModel.key.in_(outputs[:most]), **identity), len(outputs)


def _xcoms(session: Session, wanted: ColumnElement[bool], **identity: Any) -> dict[str, Any]:
    rows = session.execute(
        select(XComModel.key, XComModel.value).where(*_is_of(XComModel, identity), wanted).order_by(XComModel.key)
    ).all()
    return dict(zip([key for key, _ in rows], backend_values((key, value) for key, value in rows), strict=True))


def _is_of(model: Any, identity: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    return [getattr(model, name) == value for name, value in identity.items()]


def read_instances(session: Session, *, dag_id: str, run_id: str, task_id: str) -> tuple[Kind, list[Instance]]:
    """Return what a mapped task is, and its instances, the first thousand; none of a task that is not mapped."""
    task = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id}
    fields: Any = RenderedTaskInstanceFields
    columns: list[Any] = [
        TaskInstance.dag_version_id,
        TaskInstance.map_index,
        TaskInstance.state,
        TaskInstance.rendered_map_index,
        fields.rendered_fields,
        XComModel.value,
    ]
    found = session.execute(
        select(*columns)
        .select_from(TaskInstance)
        .join(fields, of_task_instance(fields), isouter=True)
        .join(XComModel, and_(XComModel.key == JOB_KEY, of_task_instance(XComModel)), isouter=True)
        .where(*_is_of(TaskInstance, task), TaskInstance.map_index >= 0)
        .order_by(TaskInstance.map_index)
        .limit(_MOST_INSTANCES)
    ).all()
    kind = _arguments(session, found[0][0], task_id)[0] if found else Kind.OTHER
    jobs = backend_values((JOB_KEY, job) for *_, job in found)
    instances = [
        Instance(
            map_index=map_index,
            state=state_text(state),
            label=label if label != str(map_index) else None,  # Airflow repeats the index where there is none
            parameters=(mapping(rendered) or {}).get("parameters"),
            job=read_record(JOB_KEY, plain(job)) or None,
        )
        for (_, map_index, state, label, rendered, _), job in zip(found, jobs, strict=True)
    ]
    return kind, instances


def _rendered(session: Session, **identity: Any) -> dict[str, Any]:
    fields: Any = RenderedTaskInstanceFields
    found = session.scalar(
        select(fields.rendered_fields)
        .join(TaskInstance, of_task_instance(fields))
        .where(*_is_of(TaskInstance, identity))
    )
    return mapping(found) or {}


def _attempts(session: Session, **identity: Any) -> tuple[dict[str, Any], ...]:
    if not keeps_task_state():
        return ()
    from airflow.models.task_state_store import TaskStateStoreModel

    value = session.scalar(
        select(TaskStateStoreModel.value)
        .join(TaskInstance, of_task_instance(TaskStateStoreModel))
        .where(TaskStateStoreModel.key == ATTEMPTS_KEY, *_is_of(TaskInstance, identity))
    )
    return tuple(read_attempts(plain(value)))


def mapping(value: Any) -> dict[str, Any] | None:
    value = plain(value)
    return value if isinstance(value, dict) else None
