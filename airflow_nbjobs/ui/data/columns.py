"""
Columns of the page of all jobs that one chooses: outputs that the tasks have pushed, and parameters as Airflow recorded them.

Called by ``listing.py`` and the routes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from msgspec.structs import replace
from sqlalchemy import select

from airflow_nbjobs._compat import of_task_instance
from airflow_nbjobs.core.job.xcoms import is_output
from airflow_nbjobs.ui.data.queries import mapping
from airflow_nbjobs.ui.data.xcom_values import backend_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.orm import Session

    from airflow_nbjobs.ui.data.filters import Filters
    from airflow_nbjobs.ui.data.rows import Row

_MOST_OFFERED = 100


class Offered(msgspec.Struct, frozen=True):
    """Names that a reader can choose from, those that are chosen among them; ``more``: how many others there are."""

    outputs: Sequence[str]
    parameters: Sequence[str]
    more: int = 0


def with_columns(session: Session, rows: Mapping[Any, Row], filters: Filters) -> list[Row]:
    """Return rows, by their task instances' ids, with the values of the columns that are chosen."""
    outputs = _outputs(session, list(rows), filters.output) if filters.output else {}
    parameters = _parameters(session, list(rows)) if filters.parameter else {}
    if not outputs and not parameters:
        return list(rows.values())
    return [
        replace(
            row,
            outputs=outputs.get(which, {}),
            parameters={name: value for name, value in parameters.get(which, {}).items() if name in filters.parameter},
        )
        for which, row in rows.items()
    ]


def offered_columns(session: Session, ids: Sequence[Any], filters: Filters) -> Offered:
    """Return the names of the outputs and parameters that the task instances of a page have."""
    if not ids:
        return Offered(filters.output, filters.parameter)
    keys = session.scalars(
        select(XComModel.key)
        .select_from(TaskInstance)
        .join(XComModel, of_task_instance(XComModel))
        .where(TaskInstance.id.in_(ids))
        .distinct()
        .order_by(XComModel.key)
    ).all()
    outputs = [key for key in keys if is_output(key)]
    parameters = sorted({name for values in _parameters(session, ids).values() for name in values})
    more = max(len(outputs) - _MOST_OFFERED, 0) + max(len(parameters) - _MOST_OFFERED, 0)
    return Offered(_with(filters.output, outputs), _with(filters.parameter, parameters), more)


def _with(chosen: Sequence[str], found: Sequence[str]) -> list[str]:
    return [*chosen, *(name for name in found[:_MOST_OFFERED] if name not in chosen)]


def _outputs(session: Session, ids: Sequence[Any], names: Sequence[str]) -> dict[Any, dict[str, Any]]:
    wanted = [name for name in names if is_output(name)]
    found = session.execute(
        select(TaskInstance.id, XComModel.key, XComModel.value)
        .select_from(TaskInstance)
        .join(XComModel, of_task_instance(XComModel))
        .where(TaskInstance.id.in_(ids), XComModel.key.in_(wanted))
    ).all()
    values = backend_values((key, value) for _, key, value in found)
    outputs: dict[Any, dict[str, Any]] = {}
    for (which, key, _), value in zip(found, values, strict=True):
        outputs.setdefault(which, {})[key] = value
    return outputs


def _parameters(session: Session, ids: Sequence[Any]) -> dict[Any, dict[str, Any]]:
    """Return them as Airflow recorded them; it keeps those of a task's newest runs only, and long ones as a text, which has no names."""
    fields: Any = RenderedTaskInstanceFields
    found = session.execute(
        select(TaskInstance.id, fields.rendered_fields)
        .select_from(TaskInstance)
        .join(fields, of_task_instance(fields))
        .where(TaskInstance.id.in_(ids))
    ).all()
    return {
        which: {
            str(name): value for name, value in (mapping((mapping(rendered) or {}).get("parameters")) or {}).items()
        }
        for which, rendered in found
    }
