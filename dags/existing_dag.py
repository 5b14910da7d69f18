"""
## Notebooks in a DAG that exists

`segment_scores` is an ordinary DAG: Python tasks, SQL and a branch. Two of its steps have become notebooks, one of them with the decorator, and nothing else had to change:

1. **load_orders** and **orders_by_segment** put the day's orders into a database and read them by segment.
2. **enough_orders** branches: with too few orders there is nothing to score.
3. **score** is one notebook, mapped over the segments: a notebook job for each, side by side.
4. **store_scores** collects what the notebooks returned and writes it back with SQL.
5. **score_all** is the same notebook as a decorated function, which returns its parameters: all orders. It does not wait for its job; **hand_over** starts `segment_scores_report`, which does.

`segment_scores_report` waits for that job with the sensor, by its name. So would a DAG that waits for a job from Studio.

The database is a SQLite file, so that the sample needs no further setup. With a connection to your own, `load_orders` and `store_scores` become
`SQLExecuteQueryOperator` tasks (apache-airflow-providers-common-sql).
"""

import sqlite3
import tempfile
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, task

from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

DATABASE = Path(tempfile.gettempdir()) / "airflow-nbjobs-sample.sqlite"
SEGMENTS = ("business", "new", "returning")


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE, timeout=30)
    connection.execute("CREATE TABLE IF NOT EXISTS orders (run TEXT, segment TEXT, amount REAL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS scores (run TEXT, segment TEXT, score REAL, PRIMARY KEY (run, segment))"
    )
    return connection


with DAG(
    "segment_scores",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    default_args={"retries": 1, "retry_delay": timedelta(minutes=1)},
    params={
        "orders": Param(30, type="integer", minimum=0, maximum=3000, title="Orders of the day"),
        "enough": Param(15, type="integer", minimum=1, title="Fewer orders than this are not scored"),
    },
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
) as segment_scores:

    @task
    def load_orders(run_id: str, params: dict) -> int:
        """Each run's rows are its own, and a retry writes the same ones."""
        rows = [(run_id, SEGMENTS[n % 3], float(20 + n % 3 * 10 + n * 7 % 11)) for n in range(params["orders"])]
        with closing(connect()) as connection, connection:
            connection.execute("DELETE FROM orders WHERE run = ?", [run_id])
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        return len(rows)

    @task
    def orders_by_segment(run_id: str) -> list[dict]:
        """The parameters of one notebook job for each segment."""
        with closing(connect()) as connection:
            rows = connection.execute(
                "SELECT segment, amount FROM orders WHERE run = ? ORDER BY segment, rowid", [run_id]
            ).fetchall()
        return [
            {"segment": name, "amounts": [amount for segment, amount in rows if segment == name]} for name in SEGMENTS
        ]

    @task.branch
    def enough_orders(count: int, params: dict) -> str:
        return "orders_by_segment" if count >= params["enough"] else "too_few_orders"

    @task
    def store_scores(results: list[dict], run_id: str) -> dict:
        """``results`` has one entry a mapped notebook job, in the order of the segments."""
        with closing(connect()) as connection, connection:
            connection.executemany(
                "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
                [(run_id, result["segment"], result["score"]) for result in results],
            )
            return dict(
                connection.execute(
                    "SELECT segment, score FROM scores WHERE run = ? ORDER BY segment", [run_id]
                ).fetchall()
            )

    @task.sagemaker_notebook_job(
        input_notebook="notebooks/score_segment.ipynb", outputs={"result": dict}, wait_for_completion=False
    )
    def score_all(segments: list[dict]) -> dict:
        """The same notebook for all orders; what the function returns are the notebook's parameters."""
        return {"segment": "all", "amounts": [amount for segment in segments for amount in segment["amounts"]]}

    count = load_orders()
    by_segment = orders_by_segment()
    enough_orders(count) >> [by_segment, EmptyOperator(task_id="too_few_orders")]

    score = SageMakerNotebookJobOperator.partial(
        task_id="score",
        input_notebook="notebooks/score_segment.ipynb",
        outputs={"result": dict},
        max_active_tis_per_dagrun=2,  # no more machines than the account's quota
    ).expand(parameters=by_segment)

    hand_over = TriggerDagRunOperator(
        task_id="hand_over",
        trigger_dag_id="segment_scores_report",
        conf={"job_name": "{{ ti.xcom_pull(task_ids='score_all')['job_name'] }}"},
    )
    store_scores(score.output["result"]) >> score_all(by_segment) >> hand_over


with DAG(
    "segment_scores_report",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    params={"job_name": Param("", type="string", title="Training job to wait for", description="Name or ARN.")},
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
) as segment_scores_report:
    scored = SageMakerNotebookJobSensor(
        task_id="scored",
        job_name="{{ params.job_name }}",
        outputs={"result": dict},
        timeout=timedelta(hours=1),
    )

    @task
    def report(result: dict) -> str:
        return f"{result['orders']} orders, score {result['score']:.4f}"

    report(scored.output["result"])
