"""The pytest plugin as its users have it: a project of their own, a DAG of their own, a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import airflow_nbjobs.testing

pytestmark = pytest.mark.local

DAG = """
from datetime import datetime, timedelta
from airflow.sdk import DAG, task
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("nightly", schedule="@daily", start_date=datetime(2026, 1, 1), catchup=False):

    @task
    def publish(revenue):
        return f"{revenue} EUR"

    report = SageMakerNotebookJobOperator(
        task_id="report",
        input_notebook="report.ipynb",
        parameters={"day": "{{ params.day }}"},
        params={"day": "monday"},
        outputs=["revenue"],
        retries=2,
        retry_delay=timedelta(0),
        waiter_delay=1,
    )
    publish(report.output["revenue"])
"""

TESTS = """
from pathlib import Path

import boto3
from airflow_nbjobs.testing import JOB_NAME

DAG_FILE = Path(__file__).parent / "dags" / "nightly.py"


def test_a_real_notebook_runs(run_dag, nbjobs_sagemaker):
    run = run_dag(DAG_FILE, "nightly")
    assert run.state == "success", run.log
    assert run.tasks == {"report": "success", "publish": "success"}
    assert run.xcoms["report", "revenue"] == 12.5
    assert run.xcoms["publish", "return_value"] == "12.5 EUR"
    (job,) = nbjobs_sagemaker.jobs()
    assert job["TrainingJobStatus"] == "Completed"
    assert job["HyperParameters"] == {"day": "monday"}


def test_a_throttled_and_forgetful_account_gets_one_job(run_dag, nbjobs_sagemaker):
    faults = nbjobs_sagemaker.faults
    faults.script_jobs(outputs={"revenue": 7, "unused": JOB_NAME})
    throttled = faults.throttle("DescribeTrainingJob", times=2)
    lost = faults.reset("CreateTrainingJob", when="after", times=1)
    run = run_dag(DAG_FILE, "nightly")
    assert run.state == "success", run.log
    assert run.xcoms["report", "revenue"] == 7
    assert (throttled.hits, lost.hits) == (2, 1)
    assert len(nbjobs_sagemaker.jobs()) == 1


def test_a_failing_cell_fails_the_run_after_its_retries(run_dag, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.script_jobs(cell=2, error=("ValueError", "no bread left"))
    run = run_dag(DAG_FILE, "nightly")
    assert run.state == "failed"
    assert run.tasks == {"report": "failed", "publish": "upstream_failed"}
    assert "no bread left" in run.log
    assert [job["TrainingJobStatus"] for job in nbjobs_sagemaker.jobs()] == ["Failed"] * 3


def test_the_next_test_finds_nothing_of_the_one_before(nbjobs_sagemaker):
    assert nbjobs_sagemaker.jobs() == []
    assert nbjobs_sagemaker.faults.request("list") == {"faults": []}


def test_boto3_finds_the_server_by_itself(nbjobs_sagemaker):
    assert nbjobs_sagemaker.bucket in [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]]
"""


def test_a_dag_author_tests_a_dag_of_their_own(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["airflow_nbjobs.testing"]\n')
    (tmp_path / "test_nightly.py").write_text(TESTS)
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "nightly.py").write_text(DAG)
    cells = [
        new_code_cell('day = "sunday"', metadata={"tags": ["parameters"]}),
        new_code_cell('revenue = {"monday": 12.5}[day]'),
    ]
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), dags / "report.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-rA", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "5 passed" in done.stdout


def test_everything_that_the_plugin_exports_is_there():
    assert json.dumps(airflow_nbjobs.testing.__all__)
    assert all(hasattr(airflow_nbjobs.testing, name) for name in airflow_nbjobs.testing.__all__)
