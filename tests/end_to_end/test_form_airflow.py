"""A notebook's form in a real Airflow: its fields in a browser, what it refuses, and what a triggered run's notebook gets; callbacks where they run."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from browser import chromium
from nbformat.v4 import new_code_cell, new_notebook
from standalone_airflow import ALL_ADMINS, StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.demo

RUN_SECONDS = 900
PATIENCE_MILLISECONDS = 240_000
DONE = {"success", "failed", "skipped", "upstream_failed"}
CELL = """
from typing import Literal
epochs = 3  # passes over the data
lr: float = 0.1
mode: Literal["fast", "slow"] = "fast"
day = str(1 + 1)
verbose = False
limit: int | None = None  # rows; all where it is empty
regions = ["eu", "us"]
options = {"depth": 2}
"""
TYPED = ("epochs", "lr", "mode", "day", "verbose", "limit", "regions", "options")
DEFAULTS = {
    "epochs": "3",
    "lr": "0.1",
    "mode": "'fast'",
    "day": "'2'",
    "verbose": "False",
    "limit": "None",
    "regions": "['eu', 'us']",
    "options": "{'depth': 2}",
}
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


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneAirflow]:
    home = tmp_path_factory.mktemp("form")
    notebooks = home / "dags" / "notebooks"
    notebooks.mkdir(parents=True)
    cells = [
        new_code_cell(CELL, metadata={"tags": ["parameters"]}),
        new_code_cell(f"seen = [repr(one) for one in ({', '.join(TYPED)})]"),
        new_code_cell("assert epochs < 100, 'too many epochs'"),
    ]
    notebook = new_notebook(cells=cells)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, notebooks / "nb.ipynb")
    (home / "dags" / "form.py").write_text(DAG_FILE)
    with EmbeddedSageMaker() as sagemaker:
        facts = sagemaker.facts
        environment = {
            **facts.airflow_settings(f"s3://{facts.default_bucket}/form"),
            **ALL_ADMINS,
        }
        with StandaloneAirflow(home, dags=home / "dags", environment=environment) as standalone:
            standalone.wait_for_dag("form")
            standalone.api("/api/v2/version")
            yield standalone


def states(airflow: StandaloneAirflow) -> dict[str, str | None]:
    return dict(map(tuple, airflow.query("SELECT run_id, state FROM dag_run")))


def seen(airflow: StandaloneAirflow, run_id: str) -> dict[str, str]:
    """Return what a run's notebook got, as Python writes it."""
    sql = "SELECT CAST(value AS TEXT) FROM xcom WHERE key = 'seen' AND run_id = :run_id"
    ((found,),) = airflow.query(sql, run_id=run_id)
    return dict(zip(TYPED, json.loads(found), strict=True))


def test_the_form_has_the_notebooks_fields_and_its_values_reach_the_notebook(airflow):
    fields = airflow.api("/api/v2/dags/form/details")["params"]
    assert list(fields) == list(TYPED)
    assert (fields["epochs"]["value"], fields["epochs"]["schema"]) == (3, {"type": "integer"})
    assert fields["epochs"]["description"] == "passes over the data"
    assert (fields["lr"]["value"], fields["lr"]["schema"]) == (0.1, {"type": "number", "title": "Learning rate"})
    assert fields["mode"]["schema"] == {"type": "string", "enum": ["fast", "slow"]}
    assert (fields["day"]["value"], fields["day"]["schema"]) == (None, {"type": ["string", "null"]})

    def trigger(run_id: str, **conf: Any) -> None:
        filled = {name: field["value"] for name, field in fields.items()}
        airflow.api("/api/v2/dags/form/dagRuns", {"dag_run_id": run_id, "logical_date": None, "conf": filled | conf})

    with pytest.raises(urllib.error.HTTPError) as refused:
        trigger("wrong", mode="other")
    assert refused.value.code in (400, 422)
    assert "mode" in refused.value.read().decode()

    trigger("right", epochs=7, lr=1)
    trigger("fails", epochs=100)
    airflow.wait(
        lambda: all(states(airflow).get(run_id) in DONE for run_id in ("right", "fails")),
        seconds=RUN_SECONDS,
        what=lambda: states(airflow),
    )
    ended = states(airflow)
    assert (ended["right"], ended["fails"]) == ("success", "failed"), airflow.task_logs()
    assert seen(airflow, "right") == DEFAULTS | {"epochs": "7", "lr": "1.0"}

    told = lambda: [json.loads(line) for line in (airflow.home / "told.jsonl").read_text().splitlines()]  # noqa: E731
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


class Form:
    """Airflow's trigger form of the DAG in a browser."""

    def __init__(self, page: Any, root: str) -> None:
        self._page = page
        page.goto(f"{root}/dags/form", wait_until="commit")
        page.get_by_test_id("trigger-dag-button").first.click()
        self._form = page.get_by_role("dialog")
        self._form.locator("#element_options .view-lines").wait_for()  # the last one, an editor that comes later

    def named(self, name: str) -> Any:
        return self._form.locator(f"[name=element_{name}]")

    def choose(self, name: str, value: str) -> list[str]:
        """Choose one of a field's choices, and return them all."""
        self._form.locator(f"#element_{name} [role=combobox]").click()
        choices: list[str] = self._page.get_by_role("option").all_inner_texts()
        self._page.get_by_role("option", name=value).click()
        return choices

    def switch(self, name: str) -> None:
        self._form.locator("label", has=self._page.locator(f"[name=element_{name}]")).click()

    def write_json(self, name: str, text: str) -> None:
        self._form.locator(f"#element_{name} .view-lines").click()
        self._page.keyboard.press("Control+a")
        self._page.keyboard.insert_text(text)
        # What the editor has closed by itself.
        self._page.keyboard.press("Control+Shift+End")
        self._page.keyboard.press("Delete")

    def submit(self) -> str:
        """Start the run, and return its id."""
        self._page.get_by_test_id("trigger-dag-submit").click()
        self._page.wait_for_url("**/dags/form/runs/*")
        return urllib.parse.unquote(self._page.url.rpartition("/")[2])


@pytest.fixture
def page() -> Iterator[Any]:
    with chromium() as running:
        opened = running.new_page(viewport={"width": 1500, "height": 1400})
        opened.set_default_timeout(PATIENCE_MILLISECONDS)
        yield opened


@pytest.mark.browser
def test_what_a_person_changes_in_the_form_reaches_the_notebook_with_its_type(airflow, page):
    form = Form(page, airflow.root)
    shown = {name: form.named(name).input_value() for name in TYPED if name not in ("verbose", "options")}
    assert shown == {"epochs": "3", "lr": "0.1", "mode": "fast", "day": "", "limit": "", "regions": "eu\nus"}
    assert not form.named("verbose").is_checked()
    as_it_is = form.submit()

    form = Form(page, airflow.root)
    for name, value in (("epochs", "7"), ("lr", "1"), ("day", "2026-05-01"), ("limit", "25"), ("regions", "de\nfr")):
        form.named(name).fill(value)
        form.named(name).press("Tab")
    assert form.choose("mode", "slow") == ["fast", "slow"]
    form.switch("verbose")
    form.write_json("options", '{"depth": 3, "names": ["a", null]}')
    changed = form.submit()

    airflow.wait(
        lambda: all(states(airflow).get(run_id) in DONE for run_id in (as_it_is, changed)),
        seconds=RUN_SECONDS,
        what=lambda: states(airflow),
    )
    assert seen(airflow, as_it_is) == DEFAULTS
    assert seen(airflow, changed) == {
        "epochs": "7",
        "lr": "1.0",
        "mode": "'slow'",
        "day": "'2026-05-01'",
        "verbose": "True",
        "limit": "25",
        "regions": "['de', 'fr']",
        "options": "{'depth': 3, 'names': ['a', None]}",
    }
