"""
Airflow's metadata database, where one can be read: a plan needs none.

Called by ``offline.py`` and ``estimates.py``; reads only.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

_MOST_EARLIER = 20
_WAIT_SECONDS = 3.0
Answer = TypeVar("Answer")


def ask_database(question: Callable[[Session], Answer]) -> Answer | None:
    """Return the answer; None where there is no database, or it does not answer."""
    if not _is_there():
        return None
    from airflow.utils.session import create_session
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with create_session() as session:
            answer = question(session)
            session.expunge_all()
            return answer
    except (SQLAlchemyError, OSError, ImportError):
        return None


@cache
def _is_there() -> bool:
    """Say whether a database answers; SQLite would make the file that it is asked for."""
    from airflow.configuration import conf
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    with suppress(SQLAlchemyError, OSError, ImportError, ValueError):
        url = make_url(conf.get("database", "sql_alchemy_conn"))
        if url.get_backend_name() == "sqlite":
            return bool(url.database) and url.database != ":memory:" and Path(str(url.database)).is_file()
        if url.host:
            import socket

            # A database that is out of reach would hold each question for as long as its driver likes.
            ports = {"postgresql": 5432, "mysql": 3306}
            address = (url.host, url.port or ports.get(url.get_backend_name(), 0))
            with socket.create_connection(address, timeout=_WAIT_SECONDS):
                return True
        return True
    return False


@cache
def stored_prices() -> str:
    """Return what ``nbjobs prices update`` has left in a Variable; empty where nothing is there or can be read."""
    from airflow_nbjobs.ui.data.prices import stored_prices as read

    return ask_database(read) or ""


def earlier_seconds(dag_id: str, task_id: str) -> tuple[float | None, int]:
    """Return the median of what all instances of each of a task's newest 20 jobs were billed, or took, and how many jobs that are; (None, 0) where none is known."""
    from airflow_nbjobs.core.job.status import JobState, parse_state
    from airflow_nbjobs.core.job.xcoms import END_KEY, billed_seconds, instances_of, read_record

    found: list[float] = []
    for value in ask_database(lambda session: _ends(session, dag_id, task_id)) or ():
        end = read_record(END_KEY, value)
        seconds = billed_seconds(end)
        if not seconds and (duration := end.get("duration_seconds")) is not None:
            seconds = duration * instances_of(end)
        if parse_state(str(end.get("status"))) is JobState.SUCCEEDED and seconds is not None:
            found.append(float(seconds))
    return (median(found), len(found)) if found else (None, 0)


def _ends(session: Any, dag_id: str, task_id: str) -> list[Any]:
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    from airflow_nbjobs.core.job.xcoms import END_KEY
    from airflow_nbjobs.ui.data.xcom_values import plain

    rows = session.execute(
        select(XComModel.value)
        .where(XComModel.dag_id == dag_id, XComModel.task_id == task_id, XComModel.key == END_KEY)
        .order_by(XComModel.timestamp.desc())
        .limit(_MOST_EARLIER)
    ).all()
    # As they are stored: an XCom backend of the deployment's may keep its values in S3, and that is not asked.
    return [plain(value) for (value,) in rows]
