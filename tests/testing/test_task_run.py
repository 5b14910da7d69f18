"""Tasks in Airflow's own task runner: what its retry policies and callbacks see, and a full quota waited for."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.local, pytest.mark.slow]

DAG = """
import json
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

SEEN = Path(__file__).parent / "seen.jsonl"


def note(who, error, **more):
    cell = getattr(error, "cell", None)
    with SEEN.open("a") as file:
        print(json.dumps({"who": who, "type": type(error).__mro__[0].__name__, "is_ours": isinstance(error, NotebookJobError), "cell": cell} | more), file=file)


def on_failure(context):
    note(context["ti"].task_id, context["exception"], at="on_failure_callback")


def on_retry(context):
    note(context["ti"].task_id, context["exception"], at="on_retry_callback")


def notebook_task(task_id, **arguments):
    return SageMakerNotebookJobOperator(
        task_id=task_id,
        input_notebook="nb.ipynb",
        waiter_delay=1,
        retry_delay=timedelta(0),
        on_failure_callback=on_failure,
        on_retry_callback=on_retry,
        **arguments,
    )
"""

POLICY_DAG = (
    DAG
    + """
from airflow.sdk import RetryPolicy, RetryDecision


class Noting(RetryPolicy):
    def __init__(self, decision):
        self.decision = decision

    def evaluate(self, exception, try_number, max_tries, context=None):
        note(context["ti"].task_id, exception, at="policy")
        return self.decision


with DAG("policies", schedule=None, start_date=datetime(2026, 1, 1)):
    notebook_task("cell_failed_fast", retries=2, retry_policy=Noting(RetryDecision.fail()))
    notebook_task("cell_by_default", retries=1, retry_policy=Noting(RetryDecision.default()))
    notebook_task("wrong_argument", retries=1, role="no role at all", retry_policy=Noting(RetryDecision.default()))
    notebook_task("wrong_but_retried", retries=1, role="no role at all", retry_policy=Noting(RetryDecision.retry()))
"""
)

QUEUE_DAG = (
    DAG
    + """
with DAG("queues", schedule=None, start_date=datetime(2026, 1, 1)):
    notebook_task("queued", outputs=["x"])
"""
)


@pytest.fixture
def seen(tmp_path):
    """What the DAG's policy and callbacks have noted, by (task, place)."""

    def read():
        notes = [json.loads(line) for line in (tmp_path / "seen.jsonl").read_text().splitlines()]
        return {
            key: [(note["type"], note["is_ours"], note["cell"]) for note in notes if (note["who"], note["at"]) == key]
            for key in {(note["who"], note["at"]) for note in notes}
        }

    return read


@pytest.fixture
def dag_file(tmp_path):
    def write(text):
        notebook = new_notebook(cells=[new_code_cell("x = 1"), new_code_cell("raise ValueError('no')")])
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, tmp_path / "nb.ipynb")
        (tmp_path / "dag.py").write_text(text)
        return tmp_path / "dag.py"

    return write


def test_policies_and_callbacks_see_our_types(run_dag, dag_file, seen, nbjobs_sagemaker):
    """Also of an error that fails the task at once, about which Airflow asks no policy."""
    pytest.importorskip("airflow.sdk.definitions.retry_policy", reason="Airflow < 3.3")
    nbjobs_sagemaker.faults.script_jobs(status="Failed", cell=2, error=("ValueError", "no"))
    run = run_dag(dag_file(POLICY_DAG), "policies")
    assert set(run.tasks.values()) == {"failed"}, run.log
    cell, config, fatal = ("NotebookCellError", True, 2), ("NotebookJobConfigError", True, None), "Fatal"
    noted = seen()
    assert noted["cell_failed_fast", "policy"] == [cell]
    assert noted["cell_failed_fast", "on_failure_callback"] == [cell]
    assert ("cell_failed_fast", "on_retry_callback") not in noted
    assert noted["cell_by_default", "policy"] == [cell, cell]
    assert noted["cell_by_default", "on_retry_callback"] == [cell]
    assert noted["cell_by_default", "on_failure_callback"] == [cell]
    assert noted["wrong_argument", "policy"] == [config]
    assert noted["wrong_argument", "on_failure_callback"] == [(fatal + config[0], *config[1:])]
    assert ("wrong_argument", "on_retry_callback") not in noted
    assert noted["wrong_but_retried", "on_retry_callback"] == [config]
    assert noted["wrong_but_retried", "on_failure_callback"] == [config]


def test_a_task_waits_for_quota_and_then_runs_its_one_job(run_dag, dag_file, nbjobs_sagemaker):
    """Two refusals, a job without an instance, then another that runs: all without a retry, and each job's input is staged once, under its own name."""
    faults = nbjobs_sagemaker.faults
    faults.script_jobs(outputs={"x": 1})
    faults.lack_capacity(times=1)
    with faults.refuse(
        "CreateTrainingJob",
        code="ResourceLimitExceeded",
        message="The account-level service limit 'ml.m5.large for training job usage' is 1 Instances, with current utilization of 1 Instances "
        "and a request delta of 1 Instances.",
        times=2,
    ):
        run = run_dag(dag_file(QUEUE_DAG), "queues")
    assert run.state == "success", run.log
    assert run.xcoms["queued", "x"] == 1
    first, second = nbjobs_sagemaker.jobs()
    assert first["FailureReason"].startswith("CapacityError")
    assert second["TrainingJobStatus"] == "Completed"
    prefix = nbjobs_sagemaker.s3_root_uri.removeprefix("s3://")
    for job in (first, second):
        uri = job["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"]
        assert uri == f"{nbjobs_sagemaker.s3_root_uri}/{job['TrainingJobName']}/input"
        assert len(faults.calls("s3:PutObject", resource=f"{prefix}/{job['TrainingJobName']}/input/*")) == 1
    assert run.log.count("Waiting for an instance or quota") == 3
