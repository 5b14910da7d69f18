"""DAG files for ``nbjobs plan``, and what it says of them."""

from __future__ import annotations

CELL = "day = '2026-01-01'\nrows: int = 5\nratio = 0.5\nname: str"
WHOLE = {
    "role": "arn:aws:iam::123456789012:role/NotebookJobs",
    "s3_root_uri": "s3://acme/nbjobs",
    "image_uri": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/nb:1",
    "region_name": "eu-west-1",
}
IMPORTS = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, Param, task, task_group
from airflow.timetables.interval import CronDataIntervalTimetable
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job
from airflow_nbjobs.params import FROM_PARAMS
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
from airflow_nbjobs.task_groups import NotebookTaskGroup
DAILY = CronDataIntervalTimetable("@daily", timezone="UTC")
START = datetime(2026, 1, 1)
"""
DATED = (
    "with DAG('d', schedule=DAILY, start_date=START, catchup=False):\n"
    "    Job(task_id='t', input_notebook='nb.ipynb', parameters={'day': '{{ ds }}', 'name': \"{{ macros.ds_add(ds, 1) }} {{ run_id }}\"})\n"
)


def tasks_of(document):
    return {(task["task_id"], task["map_index"]): task for dag in document["dags"] for task in dag["tasks"]}


def one(document):
    (task,) = tasks_of(document).values()
    return task


def in_dag(line, settings="schedule=None"):
    return f"with DAG('d', {settings}):\n    {line}\n"
