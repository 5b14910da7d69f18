"""
## Nightly report

One notebook for each day, with an HTML report beside the executed notebook in the job's `output.tar.gz` (`output_formats=["html"]`).

The notebook gets the day from its run's data interval and reads no clock: a backfill of last week reports on last week, in any order and as often
as you like:

    airflow backfill create --dag-id nightly_report --from-date 2026-01-01 --to-date 2026-01-07 --max-active-runs 3

How many machines it may use at once is a pool's to say. Make one that mirrors the account's quota, and let it count deferred tasks, since they
are the ones whose jobs run:

    airflow pools set sagemaker_ml_m5_large 4 'quota of ml.m5.large for training jobs' --include-deferred

and name it in `NBJOBS_SAMPLE_POOL`, in the environment of Airflow.

A day that has run is left alone, unless you ask for it: `--reprocess-behavior failed` runs the failed days again, `completed` all that have ended,
failed or not. Each gets a new job, with the notebook as it is by then; what its earlier jobs left in S3 stays there.
"""

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG(
    "nightly_report",
    # Airflow 3's "@daily" is a point in time; this one is a day, and runs when it is over.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=4,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=1)},
    tags=["sagemaker", "notebook", "sample"],
    doc_md=__doc__,
):
    SageMakerNotebookJobOperator(
        task_id="report",
        input_notebook="notebooks/nightly-report.ipynb",
        # A run that was triggered by hand has no data interval: then it is about the day of the trigger.
        parameters={"day": "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}"},
        outputs={"day": str, "order_count": int, "revenue": float, "revenue_by_country": dict},
        output_formats=["html"],
        pool=os.environ.get("NBJOBS_SAMPLE_POOL", "default_pool"),
    )
