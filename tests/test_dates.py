"""Dates of a run: a template of one that the run does not have, and a notebook that asks the clock instead."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from fakes import ACCOUNT_ID, REGION, FakeClients, code, notebook

from airflow_nbjobs.aws.prepare import Run, Surroundings, prepare_job
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.naming import RunKey
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)


@pytest.fixture
def dag():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


@pytest.mark.parametrize(
    "template",
    ["{{ ds }}", "{{ logical_date.isoformat() }}", "s3://b/{{ data_interval_start | ds }}/x", "{{ ts_nodash }}"],
)
def test_a_parameter_of_a_date_in_a_run_without_one_names_run_after(dag, template):
    task = SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", parameters={"a": 1, "day": [template]})
    with pytest.raises(NotebookJobConfigError, match=r"dag_run\.run_after") as caught:
        task.render_template_fields({"params": {}}, dag.get_template_env())
    assert isinstance(caught.value, AirflowFailException)
    assert template in str(caught.value)
    assert "no logical date" in str(caught.value)


def test_a_date_that_the_run_has_is_rendered(dag):
    task = SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", parameters={"day": "{{ ds }}"})
    task.render_template_fields({"ds": "2026-01-01", "logical_date": datetime(2026, 1, 1, tzinfo=UTC)})
    assert task.parameters == {"day": "2026-01-01"}


def warnings_of(tmp_path, *, variables):
    clients = FakeClients()
    where = Surroundings(folders=[tmp_path], region=REGION, has_credentials=True, clients=clients)
    run = Run(label="d.t", readable="d-t", key=KEY, variables=variables)
    arguments = {
        "input_notebook": "nb.ipynb",
        "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
        "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
        "s3_root_uri": "s3://bucket/nbjobs",
    }
    return [text for text in prepare_job(arguments, run=run, where=where).warnings if "clock" in text]


def test_a_scheduled_notebook_that_reads_the_clock_is_named_with_its_cell_and_call(tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(
        notebook(code("import pandas as pd"), "%run lib.ipynb", "day = pd.Timestamp.now()")
    )
    (tmp_path / "lib.ipynb").write_bytes(notebook("from datetime import date", "today = date.today()"))
    first, second = warnings_of(tmp_path, variables={"NBJOBS_DATA_INTERVAL_START": "2026-01-01T00:00:00+00:00"})
    assert "'nb.ipynb' reads the clock in cell 3: pd.Timestamp.now()" in first
    assert "'lib.ipynb' reads the clock in cell 2: date.today()" in second
    assert "NBJOBS_DATA_INTERVAL_START" in first


def test_a_run_without_a_data_interval_may_read_the_clock(tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("from datetime import date", "today = date.today()"))
    assert warnings_of(tmp_path, variables={}) == []


def test_a_notebook_of_another_language_is_not_read_as_python(tmp_path):
    raw = notebook("import time\ntime.time()", kernel="ir", language="R")
    (tmp_path / "nb.ipynb").write_bytes(raw)
    assert warnings_of(tmp_path, variables={"NBJOBS_DATA_INTERVAL_START": "x"}) == []
