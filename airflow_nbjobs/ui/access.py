"""
What the pages use of Airflow's API server: the user, their permissions, a session of its database.

These modules of Airflow are no public interface (they are the same from 3.1 to 3.4); they are imported here and in ``queries.py`` only, when
the app is built, so that a change in them loses the pages and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep as GetUserDep  # noqa: PLC0414 - for the routes
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.models.dag import DagModel
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from fastapi import Request
    from sqlalchemy.orm import Session

# An executed notebook is what the task returned, and more of it: whoever may read XComs of the DAG may read it.
may_read_results = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
may_read_logs = Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))
# What Airflow itself asks for before it shows a run's conf, and before it triggers one.
may_read_runs = Depends(requires_access_dag("GET", DagAccessEntity.RUN))
may_trigger = Depends(requires_access_dag("POST", DagAccessEntity.RUN))


def is_allowed(permission: Any, request: Request, user: GetUserDep) -> bool:
    """Say whether the user has one more permission for the DAG that the address names, where a page shows more to those who have."""
    try:
        permission.dependency(request=request, user=user)
    except HTTPException:
        return False
    return True


def refuse_unreadable(request: Request, user: GetUserDep, dag_ids: Iterable[str]) -> None:
    """
    Ask for each of several DAGs whether its results may be read.

    :raises HTTPException: one of them may not.
    """
    for dag_id in dag_ids:
        requires_access_dag("GET", DagAccessEntity.XCOM, param_dag_id=dag_id)(request, user)


def readable_dag_ids(user: GetUserDep) -> set[str]:
    """Return the DAGs whose results the user may read: the right to a DAG is none to its XComs."""
    manager = get_auth_manager()
    dag_ids = set(manager.get_authorized_dag_ids(user=user, method="GET"))
    if not dag_ids:
        return dag_ids
    teams_of = getattr(DagModel, "get_dag_id_to_team_name_mapping", None)  # Airflow >= 3.2
    teams: dict[str, str | None] = teams_of(sorted(dag_ids)) if teams_of else {}
    asked: dict[str, Any] = {
        dag_id: {
            "method": "GET",
            "access_entity": DagAccessEntity.XCOM,
            "details": DagDetails(id=dag_id, **({"team_name": teams[dag_id]} if teams.get(dag_id) else {})),
        }
        for dag_id in dag_ids
    }
    # First about all at once, which most may: some auth managers ask a server of their own.
    if manager.batch_is_authorized_dag(list(asked.values()), user=user):
        return dag_ids
    return {dag_id for dag_id, question in asked.items() if manager.is_authorized_dag(**question, user=user)}


def new_session() -> AbstractContextManager[Session]:
    """Return a session to read with and close at once: AWS may take its time after that."""
    return create_session(scoped=False)
