"""One Airflow whose notebooks have really run, for every test that looks at it; made once, since it takes minutes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from airflow_ui import AirflowUi

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator


class RanAirflow:
    """An Airflow home with runs of both DAGs."""

    def __init__(self, ui: AirflowUi) -> None:
        self.ui = ui

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.ui.home / "airflow.db", timeout=60)) as connection, connection:
            return connection.execute(sql, values).fetchall()

    def has_job(self, dag_id: str) -> bool:
        return bool(self.query("SELECT 1 FROM xcom WHERE dag_id = ? AND key = 'nbjobs_job'", dag_id))

    def run_id(self, dag_id: str) -> str:
        ((run_id,),) = self.query("SELECT run_id FROM dag_run WHERE dag_id = ?", dag_id)
        return str(run_id)

    def page(self, task_id: str, *, dag_id: str = "notebooks", map_index: int = -1) -> str:
        """Return the address of a task instance's page, as the UI asks for it."""
        index = "{MAP_INDEX}" if map_index < 0 else str(map_index)
        return f"/nbjobs/ti/{dag_id}/{quote(self.run_id(dag_id), safe='')}/{task_id}/{quote(index)}"

    def tab(self, task_id: str, *, dag_id: str = "notebooks", map_index: int = -1) -> str:
        mapped = f"/mapped/{map_index}" if map_index >= 0 else ""
        return (
            f"/dags/{dag_id}/runs/{quote(self.run_id(dag_id), safe='')}/tasks/{task_id}{mapped}/plugin/nbjobs_notebook"
        )


@pytest.fixture(autouse=True)
def _no_stored_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Variable is looked up in a database once a minute: not in that of whoever runs the tests."""
    from airflow_nbjobs.ui.data import prices

    monkeypatch.setattr(prices, "_known", [(float("inf"), "")])


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    """A browser, without a page."""
    from browser import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def sagemaker() -> Iterator[EmbeddedSageMaker]:
    with EmbeddedSageMaker(jobs=2, metrics_period=0.5) as server:
        yield server


@pytest.fixture(scope="session")
def ran(sagemaker: EmbeddedSageMaker, tmp_path_factory: pytest.TempPathFactory) -> RanAirflow:
    ui = AirflowUi(tmp_path_factory.mktemp("airflow"), sagemaker)
    found = RanAirflow(ui)
    for dag_id in ("notebooks", "other"):
        output = ui.run_dag(dag_id)
        states = dict(found.query("SELECT task_id, state FROM task_instance WHERE dag_id = ?", dag_id))
        wanted = {name: "failed" if name in ("broken", "died", "refused") else "success" for name in states}
        assert states, output[-5000:]
        assert states == wanted, output[-5000:]
    return found


@pytest.fixture(scope="session")
def served(ran: RanAirflow) -> Iterator[RanAirflow]:
    """Serve it with SimpleAuthManager, Airflow's own default."""
    with ran.ui.serving():
        yield ran
