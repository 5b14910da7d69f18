"""``failure_summary``: what it knows where callbacks run, and that it never raises."""

import ast
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from airflow.dag_processing import processor
from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.execution_time import comms, task_runner
from airflow_names import AirflowTaskTimeout, mask_secret
from pydantic import TypeAdapter

import airflow_nbjobs
from airflow_nbjobs import FROM_PARAMS, _compat, failure_summary
from airflow_nbjobs.core.errors import NotebookCellError
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task import failure_facts
from airflow_nbjobs.task.retryable import FatalNotebookJobConfigError

ERROR = NotebookCellError(
    "Notebook job 'd-t-1' failed in cell 7: ZeroDivisionError: division by zero",
    cell=7,
    details={"notebook": "nb.ipynb", "source": "\n    1 / 0"},
    job_name="d-t-1",
)


@pytest.fixture(autouse=True)
def address(monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.acme.com/")


@pytest.fixture
def stored(monkeypatch):
    """XComs by (task, map index, key)."""
    values = {}
    monkeypatch.setattr(
        failure_facts, "job_xcom", lambda key, *, task_id, map_index, **_: values.get((task_id, map_index, key))
    )
    return values


@pytest.fixture
def dag():
    dag = DAG("d", schedule=None)
    SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="notebooks/nb.ipynb", parameters={"epochs": 3})
    SageMakerNotebookJobOperator.partial(task_id="m", dag=dag, input_notebook="m.ipynb").expand(parameters=[{}, {}])
    BaseOperator(task_id="other", dag=dag)
    return dag


def context(dag, task_id="t", exception=ERROR, **ti):
    task = dag.get_task(task_id)
    given = {
        "dag_id": "d",
        "run_id": "manual__1+2",
        "task_id": task_id,
        "map_index": -1,
        "try_number": 2,
        "max_tries": 2,
    }
    return {"ti": SimpleNamespace(**given | ti, task=task), "task": task, "dag": dag, "exception": exception}


def job_facts(**facts):
    return {
        "version": 1,
        "job_name": "d-t-1",
        "instance_type": "ml.m5.large",
        "input_notebook": "/dags/notebooks/nb.ipynb",
        "try_number": 2,
    } | facts


def test_the_job_its_cost_and_the_tab_are_told(dag, stored, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", '{"ml.m5.large": 3.6}')
    stored["t", -1, JOB_KEY] = job_facts()
    stored["t", -1, END_KEY] = {"job_name": "d-t-1", "status": "Failed", "billable_seconds": 120}
    summary = failure_summary(context(dag))
    assert "Error: Notebook job 'd-t-1' failed in cell 7: ZeroDivisionError: division by zero\n" in summary.text
    assert "Run: manual__1+2, try 2 of 3\n" in summary.text
    assert "Job: d-t-1, ml.m5.large, 120 s billed, $0.1200 at the configured price\n" in summary.text
    assert "Parameters: {'epochs': 3}" in summary.text
    assert summary.url.startswith("https://airflow.acme.com/dags/d/runs/manual__1%2B2/tasks/t")
    if _compat.ui_address():  # Airflow >= 3.1 has tabs
        assert summary.url.endswith("/plugin/nbjobs_notebook")
    assert summary.text.endswith(summary.url)


def test_a_job_costs_what_all_its_instances_do_on_the_machine_that_it_got(dag, stored, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", '{"ml.m5.large": 3.6}')
    stored["t", -1, JOB_KEY] = job_facts(instance_type="ml.m5.large, ml.m5.xlarge")
    bill = {"billable_seconds": 120, "instance_type": "ml.m5.large", "instance_count": 2}
    stored["t", -1, END_KEY] = {"job_name": "d-t-1", "status": "Failed"} | bill
    text = failure_summary(context(dag)).text
    assert "Job: d-t-1, ml.m5.large, 240 s billed, $0.2400 at the configured price\n" in text


@pytest.mark.parametrize(
    "parameters",
    [{"day": "{{ ds }}"}, {"n": {"day": ["{% if 1 %}a{% endif %}"]}}, FROM_PARAMS, FROM_PARAMS | {"epochs": 3}],
    ids=["template", "nested", "params", "params and more"],
)
def test_parameters_that_only_the_run_knows_are_not_told_as_the_file_says_them(dag, stored, parameters):
    """The DAG processor has no rendered task, and a worker has none if rendering has failed."""
    dag.get_task("t").parameters = parameters
    assert "Parameters" not in failure_summary(context(dag)).text
    dag.get_task("t")._rendered_parameters = object()
    assert "Parameters" in failure_summary(context(dag)).text


def test_parameters_that_a_function_returns_are_not_told_without_them(dag, stored):
    sagemaker_notebook_job(dag=dag, task_id="f", input_notebook="nb.ipynb", parameters={"a": 1})(lambda: {"b": 2})()
    assert "Parameters" not in failure_summary(context(dag, "f")).text


def test_parameters_that_are_another_tasks_output_are_not_told(dag, stored):
    dag.get_task("t").parameters = {"rows": XComArg(dag.get_task("other"))}
    assert "Parameters" not in failure_summary(context(dag)).text


def test_a_refused_task_has_no_job_and_tells_its_notebook(dag, stored):
    error = FatalNotebookJobConfigError("notebook job of 'd.t' cannot run: 1 problem", problems=["role is missing"])
    text = failure_summary(context(dag, exception=error)).text
    assert "Problems:\n  role is missing\nNotebook: notebooks/nb.ipynb\n" in text
    assert "Job:" not in text


def test_what_the_task_has_recorded_says_more_than_airflows_timeout(dag, stored):
    record = failure_facts.error_record(
        NotebookCellError("The job was stopped: time is over", job_name="d-t-1"), try_number=2, mask=str
    )
    stored["t", -1, ERROR_KEY] = record
    text = failure_summary(context(dag, exception=AirflowTaskTimeout("Timeout, PID: 1"))).text
    assert "Error: The job was stopped: time is over" in text
    assert "PID" not in text


def test_what_an_earlier_try_has_left_is_not_told(dag, stored):
    stored["t", -1, ERROR_KEY] = failure_facts.error_record(KeyError("old"), try_number=1, mask=str)
    stored["t", -1, JOB_KEY] = job_facts(try_number=1, job_name="d-t-0")
    stored["t", -1, END_KEY] = {"job_name": "d-t-0", "billable_seconds": 9}
    text = failure_summary(context(dag)).text
    assert "old" not in text
    assert "d-t-0" not in text


def test_a_job_that_runs_on_has_no_cost(dag, stored):
    stored["t", -1, JOB_KEY] = job_facts()
    stored["t", -1, END_KEY] = {"job_name": "d-t-0", "billable_seconds": 9}
    assert "Job: d-t-1, ml.m5.large\n" in failure_summary(context(dag)).text


def test_a_mapped_task_is_told_with_its_index(dag, stored):
    task = dag.get_task("m").unmap({"parameters": {"a": 1}})
    found = context(dag, "m", map_index=3)
    found["task"] = found["ti"].task = task
    summary = failure_summary(found)
    assert summary.title == "Airflow: task 'm[3]' of DAG 'd' failed"
    assert "/tasks/m/mapped/3" in summary.url


def test_a_task_of_another_operator_tells_its_exception(dag, stored):
    summary = failure_summary(context(dag, "other", exception=ValueError("no rows")))
    assert "Error: ValueError: no rows\n" in summary.text
    assert summary.url == "https://airflow.acme.com/dags/d/runs/manual__1%2B2/tasks/other"
    assert "Notebook" not in summary.text


def test_a_task_that_was_killed_has_no_exception(dag, stored):
    """The DAG processor then calls its callback."""
    assert failure_summary(context(dag, exception=None)).text.startswith("Airflow: task 't' of DAG 'd' failed\nRun: ")


def of_run(dag, **more):
    return {"dag": dag, "run_id": "r", "reason": "task_failure"} | more


def test_the_callback_of_a_dag_tells_the_first_failed_notebook_and_names_the_others(dag, stored, monkeypatch):
    states = {("other", -1): "failed", ("m", 1): "failed", ("m", 0): "success", ("t", -1): "failed"}
    monkeypatch.setattr(failure_facts, "task_states_of_run", lambda **_: states)
    stored["m", 1, ERROR_KEY] = failure_facts.error_record(ERROR, try_number=2, mask=str)
    stored["m", 1, JOB_KEY] = job_facts()
    summary = failure_summary(of_run(dag))
    assert summary.title == "Airflow: DAG 'd' failed"
    assert (
        "Failed tasks:\n  m[1]: Notebook job 'd-t-1' failed in cell 7: ZeroDivisionError: division by zero\n  t\n  other\n"
        in summary.text
    )
    assert "Cell: 7\nSource:\n  1 / 0\nJob: d-t-1, ml.m5.large\n" in summary.text
    assert summary.url == "https://airflow.acme.com/dags/d/runs/r"


def test_the_callback_of_a_dag_that_learns_nothing_more_tells_the_run_and_the_last_task(dag, monkeypatch):
    monkeypatch.setattr(failure_facts, "may_ask_for_xcoms", lambda: False)
    monkeypatch.setattr(failure_facts, "job_xcom", _unreachable)
    assert failure_summary(of_run(dag)).text == (
        "Airflow: DAG 'd' failed\nRun: r\nError: task_failure\nhttps://airflow.acme.com/dags/d/runs/r"
    )
    last = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, task=dag.get_task("t"))
    text = failure_summary(of_run(dag, ti=last)).text
    assert "Failed tasks:\n  t, which Airflow names; there may be others\n" in text


def test_of_a_run_with_many_failed_notebooks_a_few_are_asked_for(dag, monkeypatch):
    asked = set()
    states = {("m", index): "failed" for index in range(500)}
    monkeypatch.setattr(failure_facts, "task_states_of_run", lambda **_: states)
    monkeypatch.setattr(failure_facts, "job_xcom", lambda key, *, map_index, **_: asked.add(map_index))
    assert "  m[4]\n  … and 495 more" in failure_summary(of_run(dag)).text
    assert len(asked) == 5


def _unreachable(*_, **__):
    raise AssertionError


def test_the_dag_processor_is_asked_only_what_its_manager_can_read(monkeypatch):
    """Airflow 3.0: the manager logs that it cannot decode the question, and the callback waits for ever."""
    can = hasattr(processor, "GetXCom")
    assert "body_decoder" in {field.name for field in attrs.fields(comms.CommsDecoder)}
    decoder = SimpleNamespace(body_decoder=TypeAdapter(processor.ToDagProcessor))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", decoder, raising=False)
    assert _compat.may_ask_for_xcoms() is can
    monkeypatch.setattr(processor, "GetXCom", None, raising=False)
    monkeypatch.delattr(processor, "GetXCom")
    assert _compat.may_ask_for_xcoms() is False
    decoder.body_decoder = TypeAdapter(comms.ToTask)  # a worker's, of a process that has loaded the DAG processor
    assert _compat.may_ask_for_xcoms() is True


def test_states_of_a_run_are_read_by_task_and_map_index(monkeypatch):
    states = {"r": {"train_0": "success", "train_1": "failed", "plain": None, "step_2": "failed"}}
    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", lambda **_: states, raising=False)
    assert _compat.task_states_of_run(dag_id="d", run_id="r") == {
        ("train", 0): "success",
        ("train", 1): "failed",
        ("plain", -1): "None",
        ("step_2", -1): "failed",
    }


def test_what_airflow_masks_is_masked_and_parameters_by_their_names(dag, stored):
    mask_secret("hunter2-of-acme")
    dag.get_task("t").parameters = {"password": "p4ss", "epochs": 3, "note": "hunter2-of-acme"}
    error = NotebookCellError(
        "login failed for hunter2-of-acme", cell=1, details={"source": "\n    x = 'hunter2-of-acme'"}
    )
    for form in (
        failure_summary(context(dag, exception=error)).text,
        failure_summary(context(dag, exception=error)).markdown,
    ):
        assert "hunter2" not in form
        assert "p4ss" not in form
        assert "***" in form


@pytest.mark.parametrize(
    "broken",
    [
        {},
        None,
        {"ti": None},
        {"ti": object()},
        {"ti": SimpleNamespace(dag_id=None, run_id=None, task_id=None)},
        {"reason": None},
        {"dag": 5, "reason": "x"},
    ],
)
def test_it_never_raises(broken):
    summary = failure_summary(broken)
    assert summary.title.startswith("Airflow: ")
    assert summary.text


def test_an_exception_without_a_text_and_one_that_cannot_be_shown_are_told(dag, stored):
    class Broken(Exception):  # noqa: N818 - no error of ours
        def __str__(self):
            raise ValueError

    assert "Error: ValueError\n" in failure_summary(context(dag, exception=ValueError())).text
    assert failure_summary(context(dag, exception=Broken())).title


def test_where_nothing_can_be_masked_nothing_is_told(dag, stored, monkeypatch):
    def away(_):
        raise RuntimeError("no masker")

    monkeypatch.setattr(_compat, "redact", away)
    summary = failure_summary(context(dag))
    assert "ZeroDivision" not in summary.text
    assert summary.title == "Airflow: a task has failed"


def test_a_dag_file_that_imports_it_loads_nothing_else():
    tree = ast.parse((Path(airflow_nbjobs.__file__).parent / "notifications.py").read_text())
    at_import = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert at_import == ["__future__", "typing"]
