"""
What a run was given, for the trigger form of its DAG: the run's conf, and the names of the DAG's Params.

Called by ``routes/again.py`` with the API server's session; reads only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select

from airflow_nbjobs.ui.data.queries import mapping

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class RunConf(msgspec.Struct, frozen=True):
    """
    What a run was given.

    :param conf: as Airflow recorded it.
    :param params: the names of the Params that the DAG has now.
    """

    conf: dict[str, Any]
    params: tuple[str, ...]


def read_run_conf(session: Session, *, dag_id: str, run_id: str) -> RunConf:
    """Return what a run was given; empty for a run or a DAG that is gone."""
    conf = session.scalar(select(DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    # The id first: a database that sorts whole DAGs may run out of memory for it.
    latest = session.scalar(
        select(SerializedDagModel.id)
        .where(SerializedDagModel.dag_id == dag_id)
        .order_by(SerializedDagModel.created_at.desc())
        .limit(1)
    )
    model = session.get(SerializedDagModel, latest) if latest is not None else None
    return RunConf(mapping(conf) or {}, _param_names(model.data if model is not None else None))


def _param_names(data: Any) -> tuple[str, ...]:
    """Return the names of a serialized DAG's Params: a list of pairs, or, before, an object."""
    dag = data.get("dag") if isinstance(data, dict) else None
    params = dag.get("params") if isinstance(dag, dict) else None
    if isinstance(params, dict):
        return tuple(params)
    pairs = params if isinstance(params, list) else ()
    return tuple(each[0] for each in pairs if isinstance(each, list) and each and isinstance(each[0], str))
