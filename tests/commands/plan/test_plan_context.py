"""What the templates of a plan may ask for: what is known of a run, and what only the run can tell."""

from __future__ import annotations

import json

import pendulum
import pytest
from airflow.sdk import DAG, Asset

from airflow_nbjobs.commands.plan import context as context_
from airflow_nbjobs.commands.plan.context import NeedsRun, template_context
from airflow_nbjobs.commands.plan.given_run import GivenRun
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job

MOMENT = pendulum.datetime(2026, 2, 3, 4, 5, 6)
END = pendulum.datetime(2026, 2, 4)
RUN = GivenRun(
    logical_date=MOMENT, interval_start=MOMENT, interval_end=END, run_after=END, run_id="scheduled__x", conf={"a": 1}
)
NAMES_OF_A_RUN = {
    "logical_date": MOMENT,
    "ds": "2026-02-03",
    "ds_nodash": "20260203",
    "ts": "2026-02-03T04:05:06+00:00",
    "ts_nodash": "20260203T040506",
    "ts_nodash_with_tz": "20260203T040506+0000",
    "data_interval_start": MOMENT,
    "data_interval_end": END,
    "run_id": "scheduled__x",
    "task_instance_key_str": "d__t__20260203",
}


@pytest.fixture
def task():
    with DAG("d", schedule=None):
        return Job(
            task_id="t",
            input_notebook="nb.ipynb",
            inlets=[Asset("in")],
            outlets=[Asset("out")],
            map_index_template="{{ n }}",
        )


def context_of(task, run=RUN, **more):
    return template_context(task, run, {"rows": 5}, **{"map_index": 3} | more)


def asked(context, question):
    """Return what a question gives, and whether only a run can tell it."""
    context.has_asked = False
    value = question(context)
    return ("a run" if isinstance(value, NeedsRun) else value), context.has_asked


def test_the_dates_of_a_run_are_as_airflow_writes_them(task):
    context = context_of(task)
    assert {name: context[name] for name in NAMES_OF_A_RUN} == NAMES_OF_A_RUN


def test_without_a_run_its_names_are_there_and_their_values_are_not(task):
    context = context_of(task, GivenRun())
    names = (*NAMES_OF_A_RUN, "prev_start_date_success", "inlet_events", "triggering_asset_events", "conn")
    assert [name for name in names if not isinstance(context[name], NeedsRun)] == []
    assert [name for name in ("execution_date", "rows") if name in context] == []


def test_a_run_by_hand_has_dates_and_no_id(task):
    context = context_of(task, GivenRun(logical_date=MOMENT))
    assert context["ds"] == "2026-02-03"
    assert isinstance(context["run_id"], NeedsRun)
    assert isinstance(context["task_instance_key_str"], NeedsRun)
    assert asked(context, lambda each: each["dag_run"].run_id) == ("a run", True)
    assert asked(context, lambda each: each["dag_run"].conf) == ("a run", True)


def test_the_dag_run_has_what_is_known_of_the_run(task):
    context = context_of(task)
    known = {"dag_id": "d", "conf": {"a": 1}, "run_after": END, "run_id": "scheduled__x", "logical_date": MOMENT}
    known |= {"data_interval_start": MOMENT, "data_interval_end": END}
    for name, value in known.items():
        assert asked(context, lambda each, name=name: getattr(each["dag_run"], name)) == (value, False)
    assert asked(context, lambda each: each["dag_run"].start_date) == ("a run", True)
    for name in ("run_after", "logical_date"):
        without = context_of(task, GivenRun(conf={}))
        assert asked(without, lambda each, name=name: getattr(each["dag_run"], name)) == ("a run", True)


@pytest.mark.parametrize("name", ["ti", "task_instance"])
def test_the_task_instance_is_that_of_a_first_try(task, name, tmp_path):
    context = context_of(task, bundle=tmp_path)
    known = {"task_id": "t", "dag_id": "d", "map_index": 3, "try_number": 1, "task": task}
    for attribute, value in known.items():
        assert asked(context, lambda each, of=attribute: getattr(each[name], of)) == (value, False)
    assert context[name].bundle_instance.path == tmp_path
    assert context_of(task)[name].bundle_instance is None
    assert asked(context, lambda each: each[name].hostname) == ("a run", True)
    assert asked(context, lambda each: f"{each[name]}") == ("", True)
    assert asked(context, lambda each: repr(each[name])) == ("", True)
    assert not hasattr(context[name], "__html__")  # which jinja asks each value for


def test_the_rest_of_the_context_is_the_tasks_own(task):
    context = context_of(task)
    assert (context["dag"], context["task"], context["params"]) == (task.dag, task, {"rows": 5})
    assert [each.name for each in (*context["inlets"], *context["outlets"])] == ["in", "out"]
    assert context["map_index_template"] == "{{ n }}"
    assert context["macros"].ds_add("2026-02-03", 1) == "2026-02-04"
    assert context["test_mode"] is False


def test_a_variable_is_this_environments_or_a_runs(task, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_NUMBERS", json.dumps([1, 2]))
    context = context_of(task)
    value, as_json = context["var"]["value"], context["var"]["json"]
    assert asked(context, lambda _: (value.numbers, as_json.numbers)) == (("[1, 2]", [1, 2]), False)
    assert asked(context, lambda _: (value.get("numbers", "x"), as_json.get("numbers"))) == (("[1, 2]", [1, 2]), False)
    assert asked(context, lambda _: value.other) == ("a run", True)
    assert asked(context, lambda _: value.get("other", "default")) == ("a run", True)
    assert asked(context, lambda _: hasattr(value, "__html__")) == (False, False)


def test_the_arguments_of_a_decorated_function_are_names_that_a_run_gives():
    with DAG("d", schedule=None):

        @sagemaker_notebook_job(input_notebook="nb.ipynb")
        def f(machine, ds): ...

        task = f("x", "y").operator
    context = context_of(task)
    assert isinstance(context["machine"], NeedsRun)
    assert context["ds"] == "2026-02-03"  # what the run has of that name stays


def test_what_a_template_asks_of_a_run_is_noted(task):
    context = context_of(task, GivenRun())
    environment = task.get_template_env()
    context.watch(environment)

    def rendered(text):
        context.has_asked = False
        return environment.from_string(text).render(context), context.has_asked

    assert rendered("{{ params.rows }} {{ task.task_id }}") == ("5 t", False)
    assert rendered("{{ 'x' if ds else 'y' }}") == ("x", True)
    assert rendered("{{ 'x' if ds else 'y' }} {{ params.rows }}") == ("x 5", True)


def test_a_variable_is_told_to_airflows_masker_by_its_name_and_a_dict_by_its_own_keys(task, monkeypatch):
    told = []
    monkeypatch.setattr(context_, "add_secret", lambda *of: told.append(of))
    monkeypatch.setenv("AIRFLOW_VAR_CFG", '{"password": "p"}')
    monkeypatch.setenv("AIRFLOW_VAR_LIST", '["a"]')
    variables = context_of(task)["var"]
    assert (variables["value"].cfg, variables["json"].cfg, variables["json"].list) == (
        '{"password": "p"}',
        {"password": "p"},
        ["a"],
    )
    text = ('{"password": "p"}', "cfg")
    assert told == [text, text, ({"password": "p"}, None), ('["a"]', "list"), (["a"], "list")]
