"""What an index of a mapped notebook task is called in Airflow's UI."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk import task, task_group
from airflow_names import mask_secret
from decorated_tasks import JOB, DecoratedTasks, nothing, resumed
from fakes import task_context
from operator_tasks import defer

from airflow_nbjobs import FROM_PARAMS
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task.index_names import NAME_CHARACTERS
from airflow_nbjobs.task_groups import NotebookTaskGroup


@pytest.fixture
def tasks(tmp_path):
    return DecoratedTasks(tmp_path)


@pytest.fixture
def name_of(tasks):
    """The name of one index of a mapped task, as Airflow renders it: at the task's start, in its worker."""

    def name(operator, index=0, **context):
        context = task_context(map_index=index) | {"map_index_template": operator.map_index_template} | context
        context |= {"dag_run": SimpleNamespace(conf={}, **vars(context["dag_run"])), "dag": tasks.dag}
        context["ti"].task = operator
        tasks.started(operator, context)
        return rendered_name(tasks, context)

    return name


def rendered_name(tasks, context):
    template = context.get("map_index_template")
    return None if template is None else tasks.dag.get_template_env().from_string(template).render(context)


def mapped(tasks, *, without=(), **arguments):
    given = {name: value for name, value in JOB.items() if name not in without} | {"task_id": "t", "dag": tasks.dag}
    return SageMakerNotebookJobOperator.partial(**given | arguments)


def test_parameters_name_the_index(tasks, name_of):
    operator = mapped(tasks).expand(parameters=[{"region": "eu", "depth": 3}, {"region": "us", "depth": 4}])
    assert [name_of(operator, index) for index in range(2)] == ["region=eu, depth=3", "region=us, depth=4"]


def test_what_all_have_in_common_is_left_out(tasks, name_of):
    """Constants of a sweep say nothing, and would push what differs out of a short text."""
    operator = mapped(tasks).expand(parameters=[{"train": "s3://b/k", "depth": depth} for depth in (3, 4)])
    assert [name_of(operator, index) for index in range(2)] == ["depth=3", "depth=4"]


def test_the_only_index_keeps_its_parameters(tasks, name_of):
    assert name_of(mapped(tasks).expand(parameters=[{"region": "eu"}])) == "region=eu"


def test_notebooks_and_instance_types_speak_for_themselves(tasks, name_of):
    operator = mapped(tasks, without=["input_notebook"]).expand(
        input_notebook=["a.ipynb", "b/c.ipynb"], instance_type=["ml.m5.large", "ml.m5.xlarge"], volume_size=[30, 50]
    )
    assert name_of(operator, 0) == "a.ipynb, ml.m5.large, volume_size=30"
    assert name_of(operator, 7) == "b/c.ipynb, ml.m5.xlarge, volume_size=50"


def test_a_long_path_keeps_its_end(tasks, name_of):
    notebook = f"s3://bucket/{'folder/' * 10}train.ipynb"
    name = name_of(mapped(tasks, without=["input_notebook"]).expand(input_notebook=[notebook, "b.ipynb"]))
    assert name.startswith("…")
    assert name.endswith("/train.ipynb")
    assert len(name) == 40


def test_dicts_of_arguments_name_what_they_give_and_no_default_args(tasks, name_of):
    tasks.dag.default_args["region_name"] = "eu-west-1"
    operator = mapped(tasks).expand_kwargs(
        [
            {"instance_type": "ml.m5.large", "parameters": {"depth": 3}},
            {"instance_type": "ml.m5.xlarge", "parameters": {"depth": 4}},
        ]
    )
    assert name_of(operator, 1) == "ml.m5.xlarge, depth=4"


def test_lists_and_dicts_are_left_out_where_there_is_anything_shorter(tasks, name_of):
    operator = mapped(tasks).expand(
        parameters=[{"items": [1.5] * 1000, "region": "eu"}, {"items": [2], "region": "us"}]
    )
    assert name_of(operator) == "region=eu"
    alone = mapped(tasks, task_id="u").expand(parameters=[{"items": [1.5] * 1000}, {"items": [2]}])
    assert name_of(alone).startswith("items=[1.5, 1.5,")
    assert len(name_of(alone)) <= 50


def test_a_name_is_one_short_line(tasks, name_of):
    parameters = {f"p{number}": f"a\n b{number}" * 100 for number in range(90)}
    name = name_of(mapped(tasks).expand(parameters=[parameters]))
    assert len(name) == NAME_CHARACTERS
    assert name.startswith("p0=a b0a b0a")
    assert "\n" not in name


def test_templates_of_what_is_mapped_are_rendered_first(tasks, name_of):
    operator = mapped(tasks).expand(parameters=[{"day": "{{ run_id }}"}, {"day": "x"}])
    assert name_of(operator, run_id="r1") == "day=r1"


def test_braces_in_a_value_are_no_template_of_the_name(tasks, name_of):
    operator = tasks.decorate(lambda region: {}).expand(region=["{{ '{{ run_id }}' }}", "us"]).operator
    assert name_of(operator, run_id="r1") == "region={{ run_id }}"


def test_secrets_are_hidden_by_their_name_and_by_their_value(tasks, name_of):
    mask_secret("hunter2hunter2")
    operator = mapped(tasks).expand(
        parameters=[{"password": "abc", "region": "x hunter2hunter2"}, {"password": "d", "region": "us"}]
    )
    assert name_of(operator) == "password=***, region=x ***"
    long = mapped(tasks, task_id="u").expand(parameters=[{"region": "x" * 35 + "hunter2hunter2"}, {"region": "us"}])
    assert "hunter" not in name_of(long)
    listed = mapped(tasks, task_id="v").expand(parameters=[{"items": ["x" * 22 + "hunter2hunter2"]}, {"items": []}])
    assert "hunter" not in name_of(listed)


def test_a_template_of_the_user_wins(tasks, name_of):
    operator = mapped(tasks, map_index_template="mine {{ task.parameters['depth'] }}").expand(parameters=[{"depth": 3}])
    assert name_of(operator) == "mine 3"


def test_a_decorated_task_is_named_after_its_functions_arguments(tasks, name_of):
    def train(region, depth, *, fixed):
        return {}

    operator = tasks.decorate(train).partial(fixed=1).expand(region=["eu", "us"], depth=[3, 4]).operator
    assert [name_of(operator, index) for index in (0, 3)] == ["region=eu, depth=3", "region=us, depth=4"]


def test_a_dict_given_to_a_decorated_function_stands_for_what_is_in_it(tasks, name_of):
    operator = tasks.decorate(lambda segment: {}).expand(
        segment=[{"name": "new", "amounts": [1]}, {"name": "old", "amounts": []}]
    )
    assert name_of(operator.operator) == "name=new"


def test_dicts_of_a_decorated_functions_arguments_name_it(tasks, name_of):
    operator = tasks.decorate(lambda region, depth=1: {}).expand_kwargs(
        [{"region": "eu"}, {"region": "us", "depth": 2}]
    )
    assert name_of(operator.operator, 1) == "region=us, depth=2"


def test_a_function_may_take_its_arguments_in_a_template_of_the_user(tasks, name_of):
    operator = (
        tasks.decorate(lambda region: {}, map_index_template="in {{ region }}").expand(region=["eu", "us"]).operator
    )
    assert name_of(operator, 1) == "in us"


@pytest.mark.parametrize("decorated", [False, True])
def test_a_task_in_a_mapped_group_is_named_after_what_it_takes_of_the_group(tasks, decorated):
    """As Airflow makes it: one operator, whose arguments stand for each index's own."""
    with tasks.dag:

        @task_group
        def of_region(region):
            arguments = {name: value for name, value in JOB.items() if name != "input_notebook"}
            if decorated:
                tasks.decorate(lambda region, depth: {}, task_id="t")(region, 3)
            else:
                SageMakerNotebookJobOperator(
                    task_id="t", input_notebook="nb.ipynb", parameters={"region": region, "epochs": 3}, **arguments
                )

        of_region.expand(region=["eu", "us"])
    operator = tasks.dag.task_dict["of_region.t"]
    made = operator.prepare_for_execution()
    # What rendering leaves: Airflow itself resolves the group's argument, from the database.
    if decorated:
        made.op_args = ("us", 3)
    else:
        made.parameters = {"region": "us", "epochs": 3}
    from airflow_nbjobs.task import index_names

    assert index_names._default_name(made, {}) == "region=us"


def test_a_task_that_is_not_mapped_has_no_name(tasks):
    context = task_context()
    tasks.started(SageMakerNotebookJobOperator(**JOB, task_id="t", dag=tasks.dag, parameters={"region": "eu"}), context)
    assert "map_index_template" not in context


# -- a name that depends on what the function does -----------------------------------------------------------------------


def test_a_resumed_task_keeps_the_name_that_its_function_has_made(tasks, monkeypatch):
    """The function sets a variable for the template, as Airflow's documents show it; resumed, it is not called."""
    context = task_context()

    def train(ti):
        context["shown"] = "from the function"
        return {"epochs": 3}

    operator = tasks.made(train, map_index_template="{{ shown }}!")
    context["map_index_template"] = "{{ shown }}!"
    started = tasks.started(operator, context)
    defer(started, context)

    for module in ("returned_parameters", "resume"):
        monkeypatch.setattr(f"airflow_nbjobs.task.{module}.job_xcom", lambda key, **_: context["ti"].xcoms.get(key))
    after = resumed(context) | {"map_index_template": "{{ shown }}!"}
    tasks.started(operator, after)
    assert rendered_name(tasks, after) == "from the function!"


def test_a_template_that_cannot_be_rendered_costs_a_warning_and_no_finished_job(tasks):
    """Airflow renders it once more at the end, and would fail the task whose job has succeeded."""
    template = "{{ nowhere.to_be.found }}"
    operator = tasks.made(nothing, map_index_template=template, wait_for_completion=False)
    context = task_context() | {"map_index_template": template}
    started = tasks.started(operator, context)
    assert started.execute(context)["status"] == "InProgress"
    assert rendered_name(tasks, context) is None


def test_a_mapped_tasks_template_that_cannot_be_rendered_leaves_the_default_name(tasks, name_of):
    operator = mapped(tasks, map_index_template="{{ nowhere.to_be }}", wait_for_completion=False).expand(
        parameters=[{"epochs": 3}, {"epochs": 4}]
    )
    context = task_context(map_index=1) | {"map_index_template": operator.map_index_template}
    context |= {"dag_run": SimpleNamespace(conf={}, **vars(context["dag_run"])), "dag": tasks.dag}
    context["ti"].task = operator
    tasks.started(operator, context).execute(context)
    assert rendered_name(tasks, context) == "epochs=4"


# -- what a name must not hold, and must not cost --------------------------------------------------------------------------

NESTED_SECRETS = {
    "a dict": {"password": "hunter2", "user": "u"},
    "a number": {"password": 4711, "user": "u"},
    "a list below a secret key": {"password": ["hunter2", 4711]},
    "a list of dicts": [{"password": "hunter2"}],
    "a tuple": ({"password": "hunter2"},),
    "deep": {"a": {"b": {"c": {"d": {"e": {"f": {"password": "hunter2"}}}}}}},
    "a JSON text": '{"password": "hunter2"}',
    "a Python text": "[{'password': 'hunter2', 'token': 4711}]",
}


@pytest.mark.parametrize("kind", NESTED_SECRETS)
def test_secrets_below_a_key_of_a_value_are_hidden(tasks, name_of, kind):
    """A key tells the masker what is secret; the text of a dict has none."""
    value = NESTED_SECRETS[kind]
    operator = mapped(tasks).expand(parameters=[{"db": value, "n": [1]}, {"db": {"password": "x"}, "n": [1]}])
    decorated = tasks.decorate(lambda login: {}, task_id="u").expand(login=[{"db": value}, {"db": 1}]).operator
    for name in (name_of(operator), name_of(decorated)):
        assert name.startswith("db=")
        assert "hunter2" not in name
        assert "4711" not in name


class NoText:
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize(
    "value", [10**5000, NoText(), [NoText()], {"x": 10**5000}], ids=["a number", "an object", "a list", "a dict"]
)
def test_a_value_without_a_text_leaves_the_index_its_number(tasks, name_of, value, monkeypatch):
    """The job can still run, or be refused with all else that is wrong: a name is no reason to fail."""
    said = []
    operator = tasks.decorate(lambda value: {}).expand(value=[value, 1]).operator
    log = SimpleNamespace(
        **dict.fromkeys(("debug", "info", "error"), lambda *_: None), warning=lambda *of: said.append(of)
    )
    monkeypatch.setattr(operator.operator_class, "log", log, raising=False)
    assert name_of(operator) is None
    assert len(said) == 1
    assert "index 0 of task 't' is named by its number" in said[0][0] % said[0][1:]


GROUP = {"parameters": {"day": "{{ 1 + 1 }}", "sizes": [1]}, "tags": {"team": "x"}, "environment_variables": {"E": "1"}}


def test_what_a_group_adds_is_no_part_of_the_name(tasks, name_of):
    with tasks.dag:

        @task
        def up():
            return []

        with NotebookTaskGroup("g", **GROUP, instance_type="ml.m5.xlarge"):
            over_parameters = mapped(tasks, task_id="a").expand(parameters=[{"epochs": 1}, {"epochs": 2}])
            dicts = mapped(tasks, task_id="b").expand_kwargs([{"parameters": {"epochs": 1}}, {"parameters": {}}])
            returned = mapped(tasks, task_id="c").expand_kwargs(up())
    assert [name_of(over_parameters), name_of(dicts)] == ["epochs=1", "epochs=1"]
    assert _instance_name(tasks, returned, parameters={"epochs": 1}) == "epochs=1"
    assert _instance_name(tasks, returned, tags={"kind": "y"}) == "kind=y"


def _instance_name(tasks, operator, **expanded):
    """The name of an instance that another task's result gives these arguments."""
    context = task_context(map_index=0)
    context["dag_run"] = SimpleNamespace(conf={}, **vars(context["dag_run"]))
    context |= {"dag": tasks.dag, "map_index_template": None}
    instance = operator.unmap(expanded)
    context["ti"].task = instance
    instance.render_template_fields(context, tasks.dag.get_template_env())
    return rendered_name(tasks, context)


def test_asking_for_the_runs_params_is_no_value_of_an_index(tasks, name_of):
    with tasks.dag, NotebookTaskGroup("g", parameters=FROM_PARAMS):
        grouped = mapped(tasks, task_id="a").expand(parameters=[{"epochs": 1}, {"epochs": 2}])
    alone = mapped(tasks, task_id="b").expand(parameters=[FROM_PARAMS | {"epochs": 1}, FROM_PARAMS])
    argument = tasks.decorate(lambda more: more, task_id="c").expand(more=[FROM_PARAMS | {"epochs": 1}, FROM_PARAMS])
    for operator in (grouped, alone, argument.operator):
        assert name_of(operator) == "epochs=1"
    assert [name_of(operator, 1) for operator in (grouped, alone, argument.operator)] == ["epochs=2", None, None]
