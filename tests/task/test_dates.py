"""Dates of a run: a template of one that the run does not have (by hand or by an asset), and a notebook that asks the clock instead."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from fakes import ACCOUNT_ID, REGION, FakeClients, code, notebook
from jinja2 import UndefinedError

from airflow_nbjobs._compat import AirflowFailException
from airflow_nbjobs.aws.submit.prepare import Surroundings, examine_job
from airflow_nbjobs.aws.submit.prepared_job import Run
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor

KEY = RunKey(deployment="", dag_id="d", run_id="r", run_started_microseconds=1, task_id="t", map_index=-1, generation=0)
AFTER = datetime(2026, 1, 7, 9, 30, tzinfo=UTC)
NAMES = (
    *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
    *("logical_date", "data_interval_start", "data_interval_end"),
)
# What an error text advises is tried by a test of its own.
ADVICE = "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}"


@pytest.fixture
def dateless():
    """Return the context of a run without dates, as Airflow makes it: their names are not in it at all."""
    return {"dag_run": SimpleNamespace(data_interval_start=None, run_after=AFTER), "params": {"day": "2026-01-05"}}


@pytest.fixture
def rendered(dateless):
    """Renders all fields of a task as a worker does; returns it."""

    def render(kind=SageMakerNotebookJobOperator, context=dateless, **arguments):
        defaults = {"input_notebook": "report.ipynb"} if kind is SageMakerNotebookJobOperator else {}
        with DAG("d", schedule=None):
            task = kind(task_id="t", **defaults | arguments)
        task.render_template_fields(context)
        return task

    return render


@pytest.mark.parametrize("name", NAMES)
def test_a_date_that_the_run_does_not_have_names_run_after(rendered, name):
    with pytest.raises(NotebookJobConfigError, match=f"'{name}' does not exist") as caught:
        rendered(parameters={"day": f"report of {{{{ {name} }}}}"})
    assert isinstance(caught.value, AirflowFailException)
    assert f"take the time at which the run became due, which every run has: {ADVICE}" in str(caught.value)
    assert "it was triggered by hand or by an asset" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"parameters": {"days": [{"last": "{{ ds }}"}]}},
        {"environment_variables": {"DAY": "{{ ds }}"}},
        {"s3_root_uri": "s3://acme/{{ ds }}"},
        {"tags": {"day": "{{ ds }}"}},
        {"parameters": {"day": "{{ logical_date.isoformat() }}"}},
        {"parameters": {"path": "s3://b/{{ data_interval_start | ds }}/x"}},
    ],
)
def test_wherever_the_template_stands(rendered, arguments):
    with pytest.raises(NotebookJobConfigError, match=r"dag_run\.run_after"):
        rendered(**arguments)


def test_the_sensor_says_the_same(rendered):
    with pytest.raises(NotebookJobConfigError, match=r"dag_run\.run_after"):
        rendered(SageMakerNotebookJobSensor, job_name="report-{{ ds_nodash }}")


def test_a_method_of_the_interval_that_is_not_there(rendered):
    """``dag_run.data_interval_start`` exists, but is None; jinja's own text says only that None has no such attribute."""
    with pytest.raises(NotebookJobConfigError, match=r"dag_run\.run_after"):
        rendered(parameters={"day": "{{ dag_run.data_interval_start.strftime('%Y-%m-%d') }}"})


def test_what_the_error_advises_works(rendered):
    assert rendered(parameters={"day": ADVICE}).parameters == {"day": "2026-01-07"}


@pytest.mark.parametrize("template", ["{{ nothing }}", "{{ params.ds }}", "{{ params.ts.x }}-{{ params.day }}"])
def test_another_undefined_name_is_jinjas_own_error_though_it_looks_like_a_date(rendered, template):
    with pytest.raises(UndefinedError):
        rendered(parameters={"day": template})


def test_with_a_logical_date_an_undefined_name_is_jinjas_own_error(rendered, dateless):
    with pytest.raises(UndefinedError):
        rendered(context=dateless | {"logical_date": AFTER, "ds": "2026-01-07"}, parameters={"day": "{{ ts }}"})


def test_a_date_that_the_run_has_is_rendered(rendered, dateless):
    context = dateless | {"ds": "2026-01-01", "logical_date": AFTER}
    assert rendered(context=context, parameters={"day": "{{ ds }}"}).parameters == {"day": "2026-01-01"}


# -- notebooks that read the clock -------------------------------------------------------------------------------------


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
    return [
        text
        for text in examine_job(JobArguments(**arguments), run=run, where=where).required().warnings
        if "clock" in text
    ]


def test_a_scheduled_notebook_that_reads_the_clock_is_named_once_with_its_cells_and_calls(tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(
        notebook(
            code("import pandas as pd, time\nstart = time.time()"),
            "%run lib.ipynb",
            "day = pd.Timestamp.now()\nnext_day = pd.Timestamp('today') + pd.Timedelta(days=1)",
            "rows = load(pd.Timestamp.today())",
            "print(time.time() - start)",
        )
    )
    (tmp_path / "lib.ipynb").write_bytes(notebook("from datetime import date", "today = date.today()"))
    first, second = warnings_of(tmp_path, variables={"NBJOBS_DATA_INTERVAL_START": "2026-01-01T00:00:00+00:00"})
    calls = "cell 3: pd.Timestamp.now(), pd.Timestamp('today'); cell 4: pd.Timestamp.today()"
    assert f"'nb.ipynb' reads the clock ({calls}); this run is about a data interval" in first
    assert "'lib.ipynb' reads the clock (cell 2: date.today())" in second
    assert "NBJOBS_DATA_INTERVAL_START" in first


def test_a_run_without_a_data_interval_may_read_the_clock(tmp_path):
    (tmp_path / "nb.ipynb").write_bytes(notebook("from datetime import date", "today = date.today()"))
    assert warnings_of(tmp_path, variables={}) == []


def test_a_notebook_of_another_language_is_not_read_as_python(tmp_path):
    raw = notebook("import time\ntime.time()", kernel="ir", language="R")
    (tmp_path / "nb.ipynb").write_bytes(raw)
    assert warnings_of(tmp_path, variables={"NBJOBS_DATA_INTERVAL_START": "x"}) == []
