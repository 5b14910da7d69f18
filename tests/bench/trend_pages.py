"""
What the pages over many runs cost on PostgreSQL: the outputs of a task over 10,000 runs, and the list of 10,000 jobs with its sums.

``python tests/bench/trend_pages.py``. Wall time is of this machine as busy as it is; beside it the CPU time of this process and of PostgreSQL's, whose
sum is what it takes where nothing else runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from job_rows import add_jobs, add_xcoms, job, open_database
from postgres import PostgresServer
from sqlalchemy import text, update
from support.report import Row, run

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.ui.data.columns import offered_columns
from airflow_nbjobs.ui.data.filters import Filters, TrendFilters
from airflow_nbjobs.ui.data.listing import list_jobs
from airflow_nbjobs.ui.data.trend import read_trend
from airflow_nbjobs.ui.trend_charts import Charts

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

RUNS = 10_000
TIMES = 9
PRICES = Prices({"ml.m5.large": 0.138})
OUTPUTS = {"accuracy": 0.9, "loss": 0.1, "rows": 1000, "model_uri": "s3://bucket/prefix/model.tar.gz"}


def add_runs(session: Session) -> None:
    """Add 10,000 runs of one task, each with four outputs."""
    names = {"dag_id": "daily", "task_id": "train", "map_index": -1}
    jobs = [job(number) | {"dag_id": "daily", "state": "success", "seconds": 60.0} for number in range(RUNS)]
    end = {"instance_type": "ml.m5.large", "training_seconds": 3600, "is_spot": False}
    add_jobs(session, [each | {"end": end, "error": None} for each in jobs])
    session.execute(update(DagRun).where(DagRun.dag_id == "daily").values(logical_date=DagRun.run_after))
    values = [
        names | {"run_id": f"manual__{number}", "dag_run_id": number + 1, "key": key, "value": value}
        for number in range(RUNS)
        for key, value in OUTPUTS.items()
    ]
    add_xcoms(session, values)


def timed(session: Session, work: Callable[[], Any]) -> tuple[float, float, float]:
    """Return the least of some wall times, and of CPU times here and in PostgreSQL, in milliseconds."""
    server = psutil.Process(session.scalar(text("SELECT pg_backend_pid()")))
    walls, here, there = [], [], []
    for _ in range(TIMES):
        times = server.cpu_times()
        before = time.perf_counter(), time.process_time(), times.user + times.system
        work()
        times = server.cpu_times()
        walls.append(time.perf_counter() - before[0])
        here.append(time.process_time() - before[1])
        there.append(times.user + times.system - before[2])
    return min(walls) * 1000, min(here) * 1000, min(there) * 1000


def measure(_: int) -> list[Row]:
    with PostgresServer() as server, open_database(server.url, RenderedTaskInstanceFields) as session:
        dags = {f"dag_{number:02d}" for number in range(20)} | {"daily"}
        # Checked against one DAG's 10,000 rows for each of 70,000 values, of which PostgreSQL has no statistics yet: minutes.
        session.execute(text("ALTER TABLE xcom DROP CONSTRAINT xcom_task_instance_fkey"))
        session.commit()
        add_runs(session)
        session.execute(text("ANALYZE"))
        session.commit()
        filters = TrendFilters(runs=RUNS)
        found = read_trend(session, "daily", "train", filters, PRICES)

        def drawn() -> None:
            Charts(found, dag_id="daily", task_id="train", root="", by="date", prices=PRICES).drawn()

        def jobs() -> None:
            listing = list_jobs(session, Filters(), readable=dags, prices=PRICES)
            offered_columns(session, listing.ids, Filters())

        rows = []
        for what, most, work in (
            ("10,000 runs of a task: read", 300, lambda: read_trend(session, "daily", "train", filters, PRICES)),
            ("their six charts: drawn", None, drawn),
            ("200 runs of it: read", 300, lambda: read_trend(session, "daily", "train", TrendFilters(), PRICES)),
            ("10,000 jobs: listed and added up, with the columns that the page offers", 300, jobs),
        ):
            wall, here, there = timed(session, work)
            goal = f"≤{most} ms" if most else ""
            rows += [
                Row(what, "ms", wall, goal=goal, is_met=most is None or wall <= most),
                Row(f"{what}, CPU of this process", "ms", here),
                Row(f"{what}, CPU of PostgreSQL", "ms", there),
            ]
        session.rollback()
        session.bind.dispose()  # type: ignore[union-attr] # an engine
    return rows


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=1))
