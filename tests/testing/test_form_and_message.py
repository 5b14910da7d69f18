"""A form's values through a real notebook, and what a callback tells of one that fails: Airflow's own task runner on the embedded SageMaker."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = [pytest.mark.local, pytest.mark.slow]

DAG = """
import json
from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, Asset
from airflow_nbjobs import FROM_PARAMS, SageMakerNotebookJobOperator, failure_summary, notebook_params

TOLD = Path(__file__).parent / "told.jsonl"


def tell(context):
    summary = failure_summary(context)
    with TOLD.open("a") as file:
        print(json.dumps({"title": summary.title, "text": summary.text, "markdown": summary.markdown}), file=file)


def dag(name):
    return DAG(
        name,
        schedule=[Asset("s3://acme/model")],
        start_date=datetime(2026, 1, 1),
        params=notebook_params("nb.ipynb"),
        on_failure_callback=tell,
        default_args={"input_notebook": "nb.ipynb", "waiter_delay": 1, "outputs": ["seen"]},
    )


with dag("form"):
    SageMakerNotebookJobOperator(task_id="form", parameters=FROM_PARAMS, on_failure_callback=tell)

with dag("more"):
    SageMakerNotebookJobOperator.partial(task_id="mapped").expand(
        parameters=[FROM_PARAMS, FROM_PARAMS | {"epochs": 1, "lr": 2.5}]
    )
    SageMakerNotebookJobOperator(
        task_id="fails", parameters=FROM_PARAMS | {"denominator": 0}, on_failure_callback=tell
    )
"""
CELL = """
from typing import Literal
epochs = 3  # passes over the data
lr: float = 0.1
sizes = (1, 2)
mode: Literal["fast", "slow"] = "fast"
limit: int | None = 5
day = "-".join(["2026", "01"])
denominator = 1
"""
SEEN = "seen = [repr(one) for one in (epochs, lr, sizes, mode, limit, day)]"


@pytest.fixture
def dag_file(tmp_path):
    cells = [
        new_code_cell(CELL, metadata={"tags": ["parameters"]}),
        new_code_cell(SEEN),
        new_code_cell("1 / denominator"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "nb.ipynb")
    (tmp_path / "dag.py").write_text(DAG)
    return tmp_path / "dag.py"


def test_a_form_reaches_the_notebook_with_its_types_and_a_failure_is_told(run_dag, dag_file, tmp_path):
    """What a form sends is JSON: 2 for 2.0, and a field left as it is with its default."""
    conf = {"epochs": 7, "lr": 2, "sizes": [1, 2], "mode": "slow", "limit": None, "day": None, "denominator": 1}
    run = run_dag(dag_file, "more", conf=conf)
    assert run.tasks == {"mapped[0]": "success", "mapped[1]": "success", "fails": "failed"}, run.log
    assert run.xcoms["mapped[0]", "seen"] == ["7", "2.0", "(1, 2)", "'slow'", "None", "'2026-01'"]
    assert run.xcoms["mapped[1]", "seen"][:2] == ["1", "2.5"]

    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    of_task = told[0]
    assert of_task["title"] == "Airflow: task 'fails' of DAG 'more' failed"
    job = run.xcoms["fails", "nbjobs_job"]["job_name"]
    for said in (
        f"Error: Notebook job '{job}' failed in cell 3: ZeroDivisionError: division by zero",
        "Cell: 3",
        "Source:\n  1 / denominator",
        "'denominator': 0",
        f"Job: {job}, ml.m5.large, ",
        " s billed",
        "Notebook: nb.ipynb",
    ):
        assert said in of_task["text"]
    assert "```\n1 / denominator\n```" in of_task["markdown"]
    assert max(len(of_task["text"]), len(of_task["markdown"])) <= 2_000
    # `dag.test` calls the DAG's own callback where nothing more can be asked.
    (of_run,) = told[1:]
    assert of_run["title"] == "Airflow: DAG 'more' failed"
    assert "Error: task_failure" in of_run["text"]


def test_a_run_that_nobody_filled_in_has_the_notebooks_defaults_and_a_switched_off_conf_is_said(run_dag, dag_file):
    run = run_dag(dag_file, "form", conf={"epochs": 9}, env={"AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS": "False"})
    assert run.xcoms["form", "seen"] == ["3", "0.1", "(1, 2)", "'fast'", "5", "'2026-01'"]
    assert "dag_run_conf_overrides_params is False, so what the run was started with is not used: epochs=9" in run.log


def test_a_notebook_without_the_tag_still_has_its_dag_and_its_task_says_why(run_dag, dag_file, tmp_path):
    file = tmp_path / "nb.ipynb"
    file.write_text(file.read_text().replace('"parameters"', '"Parameter"'))
    run = run_dag(dag_file, "form")
    assert run.tasks["form"] == "failed"
    assert "FROM_PARAMS gives nothing to this notebook: the notebook has no cell tagged 'parameters'" in run.log
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert "cell 1 is tagged 'Parameter', which counts for nothing" in told[0]["text"]
