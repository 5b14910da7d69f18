"""Python's own ``dag.test()`` on a DAG with a decorated notebook, a group with a warm pool and an asset: real jobs on the embedded SageMaker."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from airflow_nbjobs.testing import runs

pytestmark = [pytest.mark.local, pytest.mark.slow]

DAG_FILE = """
from datetime import UTC, datetime

from airflow.sdk import DAG, Asset, task

from airflow_nbjobs import NotebookTaskGroup, SageMakerNotebookJobOperator as Operator

JOB = {"input_notebook": "nb.ipynb", "outputs": {"total": float, "epochs": int}}

with DAG("tested", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"epochs": 3}) as dag:

    @task
    def amounts() -> list:
        return [1.5, 2.0]

    @task.sagemaker_notebook_job(**JOB)
    def decorated(found: list, params: dict) -> dict:
        return {"amounts": found, "epochs": params["epochs"]}

    total = decorated(amounts())
    decorated.override(task_id="mapped").expand(found=[[1.0], [2.0]])

    with NotebookTaskGroup("g", parameters={"epochs": "{{ params.epochs }}"}, keep_alive_period_in_seconds=600, **JOB):
        first = Operator(task_id="first", parameters={"amounts": [total["total"]]})
        first >> Operator(task_id="second", outlets=[Asset(name="tested", uri="s3://acme/tested")])

if __name__ == "__main__":
    run = dag.test(run_conf={"epochs": 4})
    print("ended as", run.state)
"""

READ = """
import json, sys
from datetime import datetime
from airflow_nbjobs.testing.records import newest_run
print(json.dumps(newest_run("tested", datetime.fromisoformat(sys.argv[1]))))
"""


@pytest.fixture
def dag_file(tmp_path):
    cells = [
        new_code_cell("amounts = []\nepochs = 1", metadata={"tags": ["parameters"]}),
        new_code_cell("total = float(sum(amounts))"),
    ]
    metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(new_notebook(cells=cells, metadata=metadata), tmp_path / "nb.ipynb")
    file = tmp_path / "tested.py"
    file.write_text(DAG_FILE)
    return file


def test_pythons_own_test_of_a_dag_runs_decorator_group_and_asset(nbjobs_sagemaker, run_dag, dag_file):
    nbjobs_sagemaker.faults.warm_pool_quota("ml.m5.large", 1)
    home, began = run_dag.home, datetime.now(tz=UTC)
    env = {**nbjobs_sagemaker.environment, "AIRFLOW__CORE__DAGS_FOLDER": str(dag_file.parent)}
    done = runs._python([str(dag_file)], home=home, env=env)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["ended as success"]), done.stdout[-8000:]
    read = runs._python(["-c", READ, began.isoformat()], home=home, env=env)
    run = runs.as_dag_run(json.loads(read.stdout.splitlines()[-1]), log=done.stdout)
    assert set(run.tasks.values()) == {"success"}
    assert {task: run.xcoms[task, "total"] for task, key in run.xcoms if key == "total"} == {
        "decorated": 3.5,
        "mapped[0]": 1.0,
        "mapped[1]": 2.0,
        "g.first": 3.5,
        "g.second": 0.0,
    }
    assert {value for (_, key), value in run.xcoms.items() if key == "epochs"} == {4}
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        (extra,) = database.execute("SELECT extra FROM asset_event WHERE source_dag_id = 'tested'").fetchall()
    assert run.xcoms["g.second", "return_value"]["job_name"] in str(extra)
    jobs = nbjobs_sagemaker.client("sagemaker")
    pools = {
        task: jobs.describe_training_job(TrainingJobName=run.xcoms[task, "return_value"]["job_name"]).get(
            "WarmPoolStatus", {}
        )
        for task in ("g.first", "g.second")
    }
    assert {task: pool.get("Status") for task, pool in pools.items()} == {"g.first": "Reused", "g.second": "Terminated"}
    assert "Ran on the machine of" in run.log
