"""The pytest plugin as its users have it: a project of their own, a DAG of their own, a pytest of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import airflow_nbjobs.testing
from airflow_nbjobs.testing import runs

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
        waiter_delay=1,
    )
    broken = SageMakerNotebookJobOperator(
        task_id="broken", input_notebook="report.ipynb", retries=1, retry_delay=timedelta(0), waiter_delay=1
    )
    publish(report.output["revenue"])
    broken >> publish.override(task_id="never")(7)
"""

TESTS = """
from pathlib import Path

import boto3

DAG_FILE = Path(__file__).parent / "dags" / "nightly.py"


def test_a_real_notebook_runs_once_in_a_throttled_and_forgetful_account_beside_one_that_fails(run_dag, nbjobs_sagemaker):
    throttled = nbjobs_sagemaker.faults.throttle("DescribeTrainingJob", resource="nightly-report-*", times=2)
    # Each task's first answer or both of one task: what has failed before its creation was known is that try's job.
    lost = nbjobs_sagemaker.faults.reset("CreateTrainingJob", when="after", times=2)
    nbjobs_sagemaker.faults.script_jobs(
        environment={"NBJOBS_TASK_ID": "broken"}, cell=2, error=("ValueError", "no bread left")
    )
    run = run_dag(DAG_FILE, "nightly")
    assert run.state == "failed"
    assert run.tasks == {
        "report": "success",
        "publish": "success",
        "broken": "failed",
        "never": "upstream_failed",
    }, run.log
    assert run.xcoms["report", "revenue"] == 12.5
    assert run.xcoms["publish", "return_value"] == "12.5 EUR"
    assert "no bread left" in run.log
    jobs = [(job["Environment"]["NBJOBS_TASK_ID"], job["TrainingJobStatus"]) for job in nbjobs_sagemaker.jobs()]
    assert sorted(jobs) == [("broken", "Failed"), ("broken", "Failed"), ("report", "Completed")]
    assert [job["HyperParameters"] for job in nbjobs_sagemaker.jobs() if "HyperParameters" in job] == [{"day": "monday"}]
    assert (throttled.hits, lost.hits) == (2, 2)


def test_the_next_test_finds_nothing_of_the_one_before(nbjobs_sagemaker):
    assert nbjobs_sagemaker.jobs() == []
    assert nbjobs_sagemaker.faults.request("list") == {"faults": []}


def test_boto3_finds_the_server_by_itself(nbjobs_sagemaker):
    assert nbjobs_sagemaker.bucket in [one["Name"] for one in boto3.client("s3").list_buckets()["Buckets"]]
"""


def pytest_of(folder, *, dag, tests):
    """Run the tests of a project of its own, with a notebook beside the DAG."""
    (folder / "conftest.py").write_text('pytest_plugins = ["airflow_nbjobs.testing"]\n')
    (folder / "test_nightly.py").write_text(tests)
    dags = folder / "dags"
    dags.mkdir()
    (dags / "nightly.py").write_text(dag)
    cells = [
        new_code_cell('day = "sunday"', metadata={"tags": ["parameters"]}),
        new_code_cell('revenue = {"monday": 12.5}[day]'),
    ]
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), dags / "report.ipynb")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "-rA", str(folder)],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


def test_a_dag_author_tests_a_dag_of_their_own(tmp_path):
    assert "3 passed" in pytest_of(tmp_path, dag=DAG, tests=TESTS)


TWICE_DAG = """
from datetime import datetime
from airflow.sdk import DAG, task

with DAG("twice", schedule=None, start_date=datetime(2026, 1, 1)):

    @task
    def days(params):
        return [params["first"], 2.5, None]

    @task
    def shown(day):
        return {"day": day}

    shown.expand(day=days())
"""
TWICE_TESTS = """
from pathlib import Path

DAG_FILE = Path(__file__).parent / "dags" / "nightly.py"


def test_a_date_that_has_been_run_is_run_again(run_dag):
    for first in ("monday", 12):
        run = run_dag(DAG_FILE, "twice", logical_date="2026-01-05", conf={"first": first})
        assert run.state == "success", run.log
        assert run.tasks == {"days": "success", **{f"shown[{index}]": "success" for index in range(3)}}
        shown = [run.xcoms[f"shown[{index}]", "return_value"] for index in range(3)]
        assert shown == [{"day": first}, {"day": 2.5}, {"day": None}]
        assert run.xcoms["days", "return_value"] == [first, 2.5, None]
"""


@pytest.mark.slow
def test_one_date_can_be_run_twice_in_one_session(tmp_path):
    """Airflow takes the earlier run away, and gives the new one its name."""
    assert "1 passed" in pytest_of(tmp_path, dag=TWICE_DAG, tests=TWICE_TESTS)


LOOP_DAG = """
from datetime import datetime
from airflow.sdk import DAG, task_group
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("looped", schedule=None, start_date=datetime(2026, 1, 1)):

    @task_group
    def body():
        first = SageMakerNotebookJobOperator(
            task_id="first", input_notebook="report.ipynb", outputs=["revenue"], waiter_delay=1
        )
        many = SageMakerNotebookJobOperator.partial(
            task_id="many", input_notebook="report.ipynb", outputs=["revenue"], waiter_delay=1
        ).expand(parameters=[{"day": "monday"}, {"day": "tuesday"}])
        first >> many

    body.loop(max_iterations=2)
    SageMakerNotebookJobOperator.partial(
        task_id="outside", input_notebook="report.ipynb", outputs=["revenue"], waiter_delay=1
    ).expand(parameters=[{"day": "monday"}])
"""
LOOP_TESTS = """
import json
from pathlib import Path

from airflow_nbjobs.testing import JOB_NAME

DAG_FILE = Path(__file__).parent / "dags" / "nightly.py"


def test_each_iteration_of_a_loop_has_a_job_of_its_own(run_dag, nbjobs_sagemaker):
    nbjobs_sagemaker.faults.script_jobs(outputs={"revenue": JOB_NAME})
    run = run_dag(DAG_FILE, "looped")
    assert run.state == "success", run.log
    environments = [job["Environment"] for job in nbjobs_sagemaker.jobs()]
    told = [
        (one["NBJOBS_TASK_ID"], one["NBJOBS_MAP_INDEX"], one.get("NBJOBS_REGION_INDEX")) for one in environments
    ]
    assert sorted(told, key=str) == [
        ("body.first", "-1", "0"),
        ("body.first", "-1", "1"),
        *[("body.many", "0", "0")] * 2,
        *[("body.many", "1", "1")] * 2,
        ("outside", "0", None),
    ]
    assert len({one["NBJOBS_OWNER"] for one in environments}) == 7
    (outside,) = [json.loads(one["NBJOBS_OWNER"]) for one in environments if one["NBJOBS_TASK_ID"] == "outside"]
    assert len(outside) == 8  # as every Airflow before loops has it
    revenues = [run.xcoms[f"body.first[{iteration}]", "revenue"] for iteration in range(2)]
    assert len({*revenues}) == 2
"""


@pytest.mark.skipif(find_spec("airflow.sdk.definitions.loop") is None, reason="loops came with Airflow 3.4")
def test_each_iteration_of_a_loop_has_a_job_of_its_own(tmp_path):
    assert "1 passed" in pytest_of(tmp_path, dag=LOOP_DAG, tests=LOOP_TESTS)


def test_what_airflow_writes_to_standard_error_is_in_the_log_of_its_run(tmp_path):
    """A run that came to nothing would not say why without it."""
    done = runs.airflow(["no-such-command"], home=tmp_path, env={})
    assert done.returncode == 2
    assert "invalid choice: 'no-such-command'" in done.stdout


def test_everything_that_the_plugin_exports_is_there():
    assert json.dumps(airflow_nbjobs.testing.__all__)
    assert all(hasattr(airflow_nbjobs.testing, name) for name in airflow_nbjobs.testing.__all__)
