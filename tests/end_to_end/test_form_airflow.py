"""A notebook's form in a real Airflow: what the API gives the form, what it refuses, and what a triggered run's notebook gets; callbacks where they run."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
DONE = {"success", "failed", "skipped", "upstream_failed"}
CELL = """
from typing import Literal
epochs = 3  # passes over the data
lr: float = 0.1
mode: Literal["fast", "slow"] = "fast"
day = str(1 + 1)
"""
DAG_FILE = """
import json
from datetime import datetime
from pathlib import Path

from airflow.sdk import DAG, Asset
from airflow_nbjobs import FROM_PARAMS, SageMakerNotebookJobOperator, failure_summary, notebook_params

TOLD = Path(__file__).parent.parent / "told.jsonl"


def tell(context):
    summary = failure_summary(context)
    with TOLD.open("a") as file:
        print(json.dumps([summary.title, summary.text]), file=file)


with DAG(
    "form",
    schedule=[Asset("s3://acme/model")],
    start_date=datetime(2026, 1, 1),
    params=notebook_params("notebooks/nb.ipynb", titles={"lr": "Learning rate"}),
    on_failure_callback=tell,
):
    SageMakerNotebookJobOperator(
        task_id="train",
        input_notebook="notebooks/nb.ipynb",
        parameters=FROM_PARAMS,
        outputs=["seen"],
        waiter_delay=1,
        on_failure_callback=tell,
    )
"""


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[StandaloneAirflow]:
    notebooks = tmp_path / "dags" / "notebooks"
    notebooks.mkdir(parents=True)
    cells = [
        new_code_cell(CELL, metadata={"tags": ["parameters"]}),
        new_code_cell("seen = [repr(one) for one in (epochs, lr, mode, day)]"),
        new_code_cell("assert epochs < 100, 'too many epochs'"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, notebooks / "nb.ipynb")
    (tmp_path / "dags" / "form.py").write_text(DAG_FILE)
    with EmbeddedSageMaker() as sagemaker:
        facts = sagemaker.facts
        environment = {
            **facts.airflow_settings(f"s3://{facts.default_bucket}/form"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        }
        with StandaloneAirflow(tmp_path, dags=tmp_path / "dags", environment=environment) as standalone:
            yield standalone


class Api:
    """Airflow's REST API, asked as its form asks it."""

    def __init__(self, airflow: StandaloneAirflow) -> None:
        self._root = airflow.root
        self._token = ""

    def __call__(self, path: str, body: Any = None) -> Any:
        if not self._token and path != "/auth/token":
            self._token = self("/auth/token")["access_token"]
        request = urllib.request.Request(
            self._root + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())


def test_the_form_has_the_notebooks_fields_and_its_values_reach_the_notebook(airflow, tmp_path):
    def states() -> dict[str, str | None]:
        return dict(map(tuple, airflow.query("SELECT run_id, state FROM dag_run")))

    airflow.wait_for_dag("form")
    api = Api(airflow)
    fields = airflow.wait(lambda: _answer(lambda: api("/api/v2/dags/form/details")), what="no answer of the API")[
        "params"
    ]
    assert list(fields) == ["epochs", "lr", "mode", "day"]
    assert (fields["epochs"]["value"], fields["epochs"]["schema"]) == (3, {"type": "integer"})
    assert fields["epochs"]["description"] == "passes over the data"
    assert (fields["lr"]["value"], fields["lr"]["schema"]) == (0.1, {"type": "number", "title": "Learning rate"})
    assert fields["mode"]["schema"] == {"type": "string", "enum": ["fast", "slow"]}
    assert (fields["day"]["value"], fields["day"]["schema"]) == (None, {"type": ["string", "null"]})

    def trigger(run_id: str, **conf: Any) -> None:
        filled = {name: field["value"] for name, field in fields.items()}
        api("/api/v2/dags/form/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": filled | conf})

    with pytest.raises(urllib.error.HTTPError) as refused:
        trigger("wrong", mode="other")
    assert refused.value.code in (400, 422)
    assert "mode" in refused.value.read().decode()

    trigger("right", epochs=7, lr=1)
    trigger("fails", epochs=100)
    airflow.wait(
        lambda: {name: state for name, state in states().items() if state in DONE}.keys() >= {"right", "fails"},
        seconds=RUN_SECONDS,
        what=states,
    )
    assert (states()["right"], states()["fails"]) == ("success", "failed"), airflow.task_logs()
    ((seen,),) = airflow.query("SELECT CAST(value AS TEXT) FROM xcom WHERE key = 'seen' AND run_id = 'right'")
    assert json.loads(seen) == ["7", "1.0", "'fast'", "'2'"]

    told = lambda: [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]  # noqa: E731
    airflow.wait(lambda: len(told()) >= 2, seconds=RUN_SECONDS, what=lambda: f"{told()}")
    by_title = dict(told())
    of_task = by_title["Airflow: task 'train' of DAG 'form' failed"]
    assert "Error: " in of_task
    assert "AssertionError: too many epochs" in of_task
    assert f"{airflow.root}/dags/form/runs/fails/tasks/train" in of_task
    of_run = by_title["Airflow: DAG 'form' failed"]  # told by the DAG processor
    assert "train" in of_run
    if _may_ask_in_dag_processor():
        assert "AssertionError: too many epochs" in of_run


def _may_ask_in_dag_processor() -> bool:
    from airflow.dag_processing import processor

    return hasattr(processor, "GetXCom")


def _answer(question: Any) -> Any:
    try:
        return question()
    except OSError:
        return None
