"""A notebook that ends its task as skipped, in Airflow's own task runner and the real driver: operator, sensor, downstream tasks, retries."""

import json

import pytest
from fakes import code, notebook

pytestmark = [pytest.mark.local, pytest.mark.slow]

GLUE = """
from IPython.display import publish_display_data

def glue(name, data):
    record = {"name": name, "data": data, "encoder": "json", "version": 1}
    publish_display_data({"application/scrapbook.scrap.json+json": record})

glue("rows", 0)
"""
SKIP = "class AirflowSkipException(Exception): ...\n\nraise AirflowSkipException('no new rows')"

DAG = """
from datetime import datetime, timedelta

from airflow.sdk import DAG, task
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

with DAG("skips", schedule=None, start_date=datetime(2026, 1, 1)):

    def job(task_id, **arguments):
        return SageMakerNotebookJobOperator(
            task_id=task_id, input_notebook="nb.ipynb", waiter_delay=1, retries=2, retry_delay=timedelta(0), **arguments
        )

    @task
    def after():
        return "ran"

    @task(trigger_rule="none_failed")
    def at_the_end(rows):
        return rows

    check = job("check", outputs=["rows", "model"], retry_on_cell_error=False)
    check >> after()
    at_the_end(check.output["rows"])

    started = job("start", wait_for_completion=False)
    for mode in ("poke", "deferrable"):
        started >> SageMakerNotebookJobSensor(
            task_id=mode,
            job_name="{{ ti.xcom_pull('start')['job_name'] }}",
            outputs=["rows"],
            poke_interval=1,
            retries=1,
            retry_delay=timedelta(0),
            deferrable=mode == "deferrable",
        )
"""


def test_a_cell_that_raises_an_airflow_skip_exception_skips_its_task_and_keeps_what_it_glued(
    run_dag, tmp_path, nbjobs_sagemaker
):
    (tmp_path / "nb.ipynb").write_bytes(notebook(GLUE, SKIP, code("model = 1")))
    (tmp_path / "dag.py").write_text(DAG)
    run = run_dag(tmp_path / "dag.py", "skips")
    assert run.tasks == {
        "check": "skipped",
        "after": "skipped",
        "at_the_end": "success",
        "start": "success",
        "poke": "skipped",
        "deferrable": "skipped",
    }, run.log
    assert run.state == "success"
    jobs = nbjobs_sagemaker.jobs()
    assert [job["TrainingJobStatus"] for job in jobs] == ["Failed", "Failed"], "of no try a second"
    for task_id in ("check", "poke", "deferrable"):
        assert run.xcoms[task_id, "rows"] == 0
        end = run.xcoms[task_id, "nbjobs_end"]
        assert end["error"]["type"] == "NotebookSkippedError"
        assert end["error"]["headline"].endswith("asks in cell 2 to be skipped: no new rows")
        assert end["error"]["cell"] == 2
    assert run.xcoms["at_the_end", "return_value"] == 0
    s3 = nbjobs_sagemaker.client("s3")
    name = next(job["TrainingJobName"] for job in jobs if "check" in job["TrainingJobName"])
    key = f"{nbjobs_sagemaker.s3_root_uri.removeprefix(f's3://{nbjobs_sagemaker.bucket}/')}/{name}/{name}.ipynb"
    kept = json.loads(s3.get_object(Bucket=nbjobs_sagemaker.bucket, Key=key)["Body"].read())
    assert any("AirflowSkipException" in "".join(cell["source"]) for cell in kept["cells"])
