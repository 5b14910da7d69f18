"""
What a run was given, for the trigger form of its DAG: the run's conf, and whether the DAG has Params.

Called by ``routes/again.py`` with the API server's session; reads only.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any

import msgspec
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from sqlalchemy import select

from airflow_nbjobs.ui.data.queries import mapping

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


_MOST_KNOWN = 500


class RunConf(msgspec.Struct, frozen=True):
    """
    What a run was given.

    :param conf: as Airflow recorded it.
    :param has_params: whether the DAG has Params now; of a run that has a conf it is not looked at.
    """

    conf: dict[str, Any]
    has_params: bool | None = None


def read_run_conf(session: Session, *, dag_id: str, run_id: str) -> RunConf:
    """Return what a run was given; empty for a run or a DAG that is gone."""
    conf = session.scalar(select(DagRun.conf).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
    given = mapping(conf) or {}
    return RunConf(given, None if given else _has_params(session, dag_id))


_known: OrderedDict[tuple[Any, Any], bool] = OrderedDict()
_known_lock = Lock()


def _has_params(session: Session, dag_id: str) -> bool:
    """Say whether a DAG has Params; kept by its version, since reading a DAG takes time with its size."""
    # The id first: a database that sorts whole DAGs may run out of memory for it.
    latest = session.execute(
        select(SerializedDagModel.id, SerializedDagModel.dag_hash)
        .where(SerializedDagModel.dag_id == dag_id)
        .order_by(SerializedDagModel.created_at.desc())
        .limit(1)
    ).first()
    if latest is None:
        return False
    key = (latest.id, latest.dag_hash)
    with _known_lock:
        known = _known.get(key)
    if known is None:
        model = session.get(SerializedDagModel, latest.id)
        known = _are_params(model.data if model is not None else None)
        with _known_lock:
            _known[key] = known
            while len(_known) > _MOST_KNOWN:
                _known.popitem(last=False)
    return known


def _are_params(data: Any) -> bool:
    """Say whether a serialized DAG has Params: a list of pairs, or, before, an object."""
    dag = data.get("dag") if isinstance(data, dict) else None
    params = dag.get("params") if isinstance(dag, dict) else None
    if isinstance(params, dict):
        return bool(params)
    pairs = params if isinstance(params, list) else ()
    return any(isinstance(each, list) and each and isinstance(each[0], str) for each in pairs)
