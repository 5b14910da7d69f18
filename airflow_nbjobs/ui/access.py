"""
What the pages use of Airflow's API server: the user, their permissions, a session of its database.

These modules of Airflow are no public interface (they are the same from 3.1 to 3.4); they are imported here and in ``queries.py`` only, when
the app is built, so that a change in them loses the pages and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep as GetUserDep  # noqa: PLC0414 - for the routes
from airflow.api_fastapi.core_api.security import requires_access_dag
from airflow.utils.session import create_session
from fastapi import Depends

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from sqlalchemy.orm import Session

# An executed notebook is what the task returned, and more of it: whoever may read XComs of the DAG may read it.
may_read_results = Depends(requires_access_dag("GET", DagAccessEntity.XCOM))
may_read_logs = Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))


def readable_dag_ids(user: GetUserDep) -> set[str]:
    """Return the DAGs whose runs the user may see."""
    return get_auth_manager().get_authorized_dag_ids(user=user, method="GET")


def new_session() -> AbstractContextManager[Session]:
    """Return a session to read with and close at once: AWS may take its time after that."""
    return create_session(scoped=False)
