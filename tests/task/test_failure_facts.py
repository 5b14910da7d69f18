"""What is known of a failed task or run where its callback runs: each fact, and what is left empty."""

from types import SimpleNamespace

import pytest
from airflow.sdk import DAG, BaseOperator

from airflow_nbjobs.core.error_record import error_record
from airflow_nbjobs.core.errors import NotebookCellError
from airflow_nbjobs.core.job.xcoms import END_KEY, ERROR_KEY, JOB_KEY
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task import failure_facts
from airflow_nbjobs.task.failure_facts import gather

ERROR = NotebookCellError("failed in cell 7", cell=7, job_name="job")


@pytest.fixture(autouse=True)
def no_tabs(monkeypatch):
    """Airflow has an address, and no tabs: as before 3.1."""
    monkeypatch.setattr(failure_facts, "ui_root", lambda: "https://airflow.acme.com")
    monkeypatch.setattr(failure_facts, "ui_address", lambda: None)


@pytest.fixture
def stored(monkeypatch):
    """XComs by key; what is asked for is kept."""

    class Stored(dict):
        def __init__(self):
            self.asked = []

    values = Stored()

    def job_xcom(key, *, dag_id, run_id, task_id, map_index):
        values.asked.append((key, dag_id, run_id, task_id, map_index))
        found = values.get(key)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(failure_facts, "job_xcom", job_xcom)
    monkeypatch.setattr(failure_facts, "may_ask_for_xcoms", lambda: True)
    return values


@pytest.fixture
def dag():
    dag = DAG("d", schedule=None)
    SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb", parameters={"epochs": 3})
    SageMakerNotebookJobOperator.partial(task_id="m", dag=dag, input_notebook="m.ipynb").expand(parameters=[{}, {}])
    BaseOperator(task_id="other", dag=dag)
    return dag


def of_task(dag, task_id="t", exception=ERROR, **ti):
    key = {"dag_id": "d", "run_id": "r", "task_id": task_id, "map_index": -1, "try_number": 2, "max_tries": 2}
    return {"ti": SimpleNamespace(**key | ti), "task": dag.get_task(task_id), "exception": exception}


def job(**facts):
    return {"version": 1, "job_name": "job", "instance_type": "ml.m5.large", "try_number": 2} | facts


# -- a task ------------------------------------------------------------------------------------------------------------


def test_a_task_and_its_try_are_named(dag, stored):
    facts = gather(of_task(dag))
    assert (facts.dag_id, facts.run_id, facts.task_id) == ("d", "r", "t")
    assert facts.try_text == "try 2 of 3"
    assert facts.reason == "failed in cell 7"
    assert facts.record.headline.startswith("failed in cell 7")
    assert (facts.notebook, facts.parameters) == ("nb.ipynb", "{'epochs': 3}")
    assert facts.url.startswith("https://airflow.acme.com/dags/d/runs/r/tasks/t")
    assert facts.tasks == ()


@pytest.mark.parametrize(
    ("ti", "said"),
    [
        ({"try_number": 1, "max_tries": 0}, "try 1 of 1"),
        ({"try_number": 3, "max_tries": 1}, "try 3 of 3"),  # `retries` was lowered meanwhile
        ({"try_number": 0}, ""),
        ({"try_number": None}, ""),
        ({"try_number": 2, "max_tries": None}, "try 2 of 2"),
    ],
)
def test_which_try_of_how_many_is_said_where_it_is_known(dag, stored, ti, said):
    assert gather(of_task(dag, **ti)).try_text == said


@pytest.mark.parametrize(("index", "named"), [(-1, "t"), (0, "t[0]"), (12, "t[12]"), (None, "t")])
def test_an_index_is_part_of_the_tasks_name(dag, stored, index, named):
    facts = gather(of_task(dag, map_index=index))
    assert facts.task_id == named
    assert stored.asked[0] == (ERROR_KEY, "d", "r", "t", -1 if index is None else index)


def test_the_task_of_a_context_without_one_is_its_instances(dag, stored):
    context = of_task(dag)
    context["ti"].task = context.pop("task")
    assert gather(context).notebook == "nb.ipynb"


def test_xcoms_are_asked_for_until_the_one_that_tells_of_a_job_is_missing(dag, stored):
    """Airflow logs each question without an answer as an error."""
    gather(of_task(dag))
    assert [each[0] for each in stored.asked] == [ERROR_KEY, JOB_KEY]
    stored[JOB_KEY] = job()
    stored.asked.clear()
    gather(of_task(dag))
    assert [each[0] for each in stored.asked] == [ERROR_KEY, JOB_KEY, END_KEY]


def test_a_task_of_another_operator_is_not_asked_for_xcoms_of_ours(dag, stored):
    facts = gather(of_task(dag, "other", ValueError("no rows")))
    assert stored.asked == []
    assert (facts.notebook, facts.parameters, facts.job) == ("", "", "")
    assert facts.url == "https://airflow.acme.com/dags/d/runs/r/tasks/other"


def test_where_xcoms_may_not_be_asked_for_none_is(dag, stored, monkeypatch):
    monkeypatch.setattr(failure_facts, "may_ask_for_xcoms", lambda: False)
    assert gather(of_task(dag)).task_id == "t"
    assert stored.asked == []


def test_a_question_without_an_answer_leaves_its_fact_empty(dag, stored):
    stored[ERROR_KEY] = OSError("no API server")
    stored[JOB_KEY] = job()
    stored[END_KEY] = OSError("no API server")
    facts = gather(of_task(dag))
    assert facts.record.headline.startswith("failed in cell 7")
    assert facts.job == "job, ml.m5.large"


# -- its error ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recorded", "now", "is_told"), [(2, 2, True), (1, 2, False), (1, 0, True)])
def test_what_the_task_has_recorded_is_told_of_this_try(dag, stored, recorded, now, is_told):
    stored[ERROR_KEY] = error_record(KeyError("recorded"), try_number=recorded, mask=str)
    facts = gather(of_task(dag, exception=ValueError("airflow's"), try_number=now))
    assert ("recorded" in facts.record.headline) is is_told
    assert ("airflow's" in facts.record.headline) is not is_told


@pytest.mark.parametrize("exception", [None, "a text"])
def test_what_is_no_exception_makes_no_record(dag, stored, exception):
    facts = gather(of_task(dag, exception=exception))
    assert facts.record is None
    assert facts.reason == (exception or "")


# -- its job -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "end", "said"),
    [
        ({}, None, "job, ml.m5.large"),
        ({}, {"job_name": "job", "billable_seconds": 0}, "job, ml.m5.large, 0 s billed"),
        ({}, {"job_name": "another", "billable_seconds": 9}, "job, ml.m5.large"),
        ({"try_number": 1}, {"job_name": "job", "billable_seconds": 9}, ""),
        ({"try_number": None}, {"job_name": "job", "billable_seconds": 9}, "job, ml.m5.large, 9 s billed"),
        ({"instance_type": None}, None, "job"),
        ({"job_name": ""}, {"job_name": "", "billable_seconds": 9}, ""),
    ],
)
def test_a_job_is_told_with_its_machine_and_what_is_billed_of_it(dag, stored, facts, end, said):
    stored[JOB_KEY], stored[END_KEY] = job(**facts), end and {"status": "Failed"} | end
    assert gather(of_task(dag)).job == said


def test_a_job_whose_price_cannot_be_read_is_told_by_its_name(dag, stored, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", "no json")
    stored[JOB_KEY], stored[END_KEY] = job(), {"job_name": "job", "status": "Failed", "billable_seconds": 9}
    assert gather(of_task(dag)).job.startswith("job")


# -- its notebook and parameters ---------------------------------------------------------------------------------------


def test_the_notebook_that_was_submitted_counts_then_the_tasks_own(dag, stored):
    stored[JOB_KEY] = job(input_notebook="/dags/nb.ipynb")
    assert gather(of_task(dag)).notebook == "/dags/nb.ipynb"
    stored.clear()
    assert gather(of_task(dag, "m")).notebook == "m.ipynb"
    dag.get_task("t").input_notebook = 5
    assert gather(of_task(dag)).notebook == ""


@pytest.mark.parametrize("parameters", [{}, None, "a text", {"day": "{{ ds }}"}], ids=str)
def test_parameters_that_are_none_or_not_known_are_not_told(dag, stored, parameters):
    dag.get_task("t").parameters = parameters
    assert gather(of_task(dag)).parameters == ""


# -- where to look -----------------------------------------------------------------------------------------------------


def test_the_tab_of_a_notebook_task_is_told_where_there_is_one(dag, stored, monkeypatch):
    monkeypatch.setattr(failure_facts, "ui_address", lambda: "https://tabs.acme.com")
    assert gather(of_task(dag)).url.startswith("https://tabs.acme.com/dags/d/runs/r/tasks/t")
    assert gather(of_task(dag, "other")).url.startswith("https://airflow.acme.com/dags/d/runs/r/tasks/other")


def test_without_an_address_no_place_is_told(dag, stored, monkeypatch):
    monkeypatch.setattr(failure_facts, "ui_root", lambda: "")
    assert gather(of_task(dag)).url == ""
    assert gather({"dag": dag, "run_id": "r", "reason": "x"}).url == ""


# -- a run -------------------------------------------------------------------------------------------------------------


def of_run(dag, **more):
    return {"dag": dag, "run_id": "r", "reason": "task_failure"} | more


def test_failed_notebooks_of_a_run_are_told_before_its_other_tasks(dag, stored, monkeypatch):
    states = {("other", -1): "failed", ("t", -1): "failed", ("m", 0): "success", ("m", 1): "up_for_retry"}
    asked = []
    monkeypatch.setattr(failure_facts, "task_states_of_run", lambda **key: asked.append(key) or states)
    stored[ERROR_KEY] = error_record(ERROR, try_number=2, mask=str)
    stored[JOB_KEY] = job(input_notebook="/dags/nb.ipynb")
    facts = gather(of_run(dag))
    assert asked == [{"dag_id": "d", "run_id": "r"}]
    assert [line.partition(":")[0] for line in facts.tasks] == ["t", "other"]
    assert (facts.dag_id, facts.run_id, facts.task_id, facts.reason) == ("d", "r", "", "task_failure")
    assert (facts.notebook, facts.job) == ("/dags/nb.ipynb", "job, ml.m5.large")
    assert facts.record.headline.startswith("failed in cell 7")
    assert facts.url == "https://airflow.acme.com/dags/d/runs/r"
    assert facts.try_text == ""


def test_a_task_that_the_dag_does_not_have_any_more_is_named(dag, stored, monkeypatch):
    monkeypatch.setattr(failure_facts, "task_states_of_run", lambda **_: {("gone", 2): "failed"})
    facts = gather(of_run(dag))
    assert facts.tasks == ["gone[2]"]
    assert facts.record is None


def test_of_a_run_of_which_airflow_says_nothing_the_last_task_is_named(dag, stored, monkeypatch):
    def away(**_):
        raise OSError("no API server")

    monkeypatch.setattr(failure_facts, "task_states_of_run", away)
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t")
    assert gather(of_run(dag, ti=ti)).tasks == ["t, which Airflow names; there may be others"]
    assert gather(of_run(dag)).tasks == []


def test_a_run_without_failed_tasks_names_none(dag, stored, monkeypatch):
    monkeypatch.setattr(failure_facts, "task_states_of_run", lambda **_: {("t", -1): "success"})
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t")
    assert gather(of_run(dag, ti=ti)).tasks == []


@pytest.mark.parametrize(
    "context",
    [
        {"dag": SimpleNamespace(dag_id="d"), "run_id": "r"},
        {"dag_run": SimpleNamespace(dag_id="d", run_id="r")},
        {"reason": "x", "ti": SimpleNamespace(dag_id="d", run_id="r", task_id="t")},
    ],
    ids=["dag", "dag run", "task instance"],
)
def test_a_run_is_named_by_whatever_names_it(stored, monkeypatch, context):
    monkeypatch.setattr(failure_facts, "may_ask_for_xcoms", lambda: False)
    facts = gather(context)
    assert (facts.dag_id, facts.run_id) == ("d", "r")
