"""What a plan makes of a task's arguments: values as far as the run is known, and words for what is not."""

from __future__ import annotations

import pendulum
import pytest
from airflow.sdk import DAG, task, task_group

from airflow_nbjobs.commands.plan.context import template_context
from airflow_nbjobs.commands.plan.given_run import GivenRun
from airflow_nbjobs.commands.plan.rendering import RenderedTask, missing_output, reference_text
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator as Job

DATED = GivenRun(logical_date=pendulum.datetime(2026, 2, 3), run_id="r", conf={"a": "of conf"})


@pytest.fixture
def dag():
    with DAG("d", schedule=None, params={"size": 10, "empty": ""}) as dag:
        yield dag


@task
def upstream():
    return 1


def rendered(run=None, *, task_id="t", **arguments):
    """Return a job's arguments, rendered."""
    job = Job(task_id=task_id, **{"input_notebook": "nb.ipynb"} | arguments)
    context = template_context(job, run or GivenRun(), {"size": 10, "empty": ""}, map_index=-1)
    return RenderedTask(job.prepare_for_execution(), context)


def test_what_is_no_template_stays_and_nothing_is_said(dag):
    found = rendered(volume_size=20, tags={"a": "b"}, additional_dependencies=("a.csv",), role=None)
    made = found.task
    assert (made.input_notebook, made.volume_size, made.tags, made.role) == ("nb.ipynb", 20, {"a": "b"}, None)
    assert list(made.additional_dependencies) == ["a.csv"]
    assert (found.problems, found.warnings, found.not_known, found.tokens, found.parameters) == ([], [], {}, {}, {})


def test_a_known_run_renders_each_argument(dag):
    found = rendered(
        DATED,
        input_notebook="{{ ds }}.ipynb",
        volume_size="{{ params.size }}",
        additional_dependencies=["{{ ds }}.csv", "b"],
        environment_variables={"A": "x{{ ds }}", "B": "{{ dag_run.conf.a }}"},
        tags=[{"Key": "k", "Value": "{{ ds_nodash }}"}],
        parameters={"day": "{{ ds }}", "other": 1},
    )
    made = found.task
    assert (made.input_notebook, made.volume_size) == ("2026-02-03.ipynb", "10")
    assert made.additional_dependencies == ["2026-02-03.csv", "b"]
    assert made.environment_variables == {"A": "x2026-02-03", "B": "of conf"}
    assert made.tags == [{"Key": "k", "Value": "20260203"}]
    assert made.parameters == {"day": "2026-02-03", "other": 1}
    assert (found.problems, found.not_known, found.tokens, found.parameters) == ([], {}, {}, {})


def test_what_only_a_run_gives_is_left_out_and_said(dag):
    given = upstream()
    found = rendered(
        volume_size="{{ ds }}",
        role=given,
        additional_dependencies=["{{ ds }}.csv", "b", given],
        parameters={"day": "{{ ds }}", "other": 1, "more": given},
    )
    made = found.task
    assert (made.volume_size, made.role, made.additional_dependencies) == (None, None, ["b"])
    assert found.not_known == {
        "volume_size": "{{ ds }}",
        "role": "XCom of 'upstream'",
        "additional_dependencies": "{{ ds }}.csv, XCom of 'upstream'",
    }
    assert {name: each.text for name, each in found.parameters.items()} == {
        "day": "{{ ds }}",
        "more": "XCom of 'upstream'",
    }
    assert found.problems == []


def test_of_a_mapping_each_text_that_is_not_known_has_a_stand_in_of_its_own(dag):
    found = rendered(
        environment_variables={"A": "{{ ds }}", "B": "b", "C": upstream()},
        extra_request={"RetryStrategy": {"MaximumRetryAttempts": "{{ ts }}"}, "Tags": ["{{ ds }}", 5]},
    )
    environment, extra = found.task.environment_variables, found.task.extra_request
    tokens = [environment["A"], environment["C"], extra["RetryStrategy"]["MaximumRetryAttempts"], extra["Tags"][0]]
    assert [found.tokens[token] for token in tokens] == ["{{ ds }}", "XCom of 'upstream'", "{{ ts }}", "{{ ds }}"]
    assert (environment["B"], extra["Tags"][1]) == ("b", 5)
    assert len(set(tokens)) == 4
    assert found.not_known == {}


def test_a_whole_mapping_that_a_run_gives_is_not_known(dag):
    given = upstream()
    found = rendered(parameters=given, environment_variables=given)
    assert found.not_known == {"parameters": "XCom of 'upstream'", "environment_variables": "XCom of 'upstream'"}
    assert (found.task.parameters, found.task.environment_variables) == (None, None)
    text = rendered(task_id="u", parameters="{{ ds }}")
    assert (text.not_known, text.task.parameters) == ({"parameters": "{{ ds }}"}, None)


def test_a_task_without_parameters_has_none(dag):
    assert rendered().task.parameters is None
    assert rendered(task_id="u", parameters={}).task.parameters == {}


def test_parameters_keep_their_order_of_known_ones_before_the_others(dag):
    found = rendered(parameters={"a": "{{ ds }}", "b": 1, "c": "{{ params.size }}"})
    assert {name: getattr(each, "text", each) for name, each in found.task.parameters.items()} == {
        "b": 1,
        "c": "10",
        "a": "{{ ds }}",
    }


@pytest.mark.parametrize(
    ("argument", "value", "place"),
    [
        ("volume_size", "{{ foo }}", "volume_size"),
        ("parameters", {"x": "{{ foo }}"}, "parameters['x']"),
        ("environment_variables", {"A": "{{ foo }}"}, "environment_variables['A']"),
        ("additional_dependencies", ["{{ foo }}"], "additional_dependencies"),
    ],
)
def test_a_template_that_no_run_renders_is_a_problem_of_its_argument(dag, argument, value, place):
    found = rendered(**{argument: value})
    assert found.problems == [f"{place}: '{{{{ foo }}}}' cannot be rendered: 'foo' is undefined"]


def test_one_wrong_template_hides_no_later_one(dag):
    """Nor does what one asks of a run count for the next."""
    found = rendered(
        volume_size="{{ ds }}", instance_type="{{ 1 / 0 }}", role="{{ params.size }}", kernel_name="{{ nope }}"
    )
    assert sorted(found.problems) == [
        "instance_type: '{{ 1 / 0 }}' cannot be rendered: division by zero",
        "kernel_name: '{{ nope }}' cannot be rendered: 'nope' is undefined",
    ]
    assert found.task.role == "10"
    assert found.not_known == {"volume_size": "{{ ds }}", "instance_type": "{{ 1 / 0 }}", "kernel_name": "{{ nope }}"}


def test_an_error_that_a_runs_value_makes_is_none(dag):
    assert rendered(volume_size="{{ 1 / ds }}").problems == []
    found = rendered(task_id="u", volume_size="{{ dag_run.conf['a'].b.c }}", role="{{ ds ~ foo }}")
    assert found.problems == ["role: '{{ ds ~ foo }}' cannot be rendered: 'foo' is undefined"]


def test_a_date_that_airflow_has_no_more_is_a_problem_with_what_there_is_instead(dag):
    (problem,) = rendered(volume_size="{{ execution_date }}").problems
    assert problem.startswith("volume_size: ")
    assert "Airflow 3 has no 'execution_date' any more" in problem
    assert "; " in problem


@pytest.mark.parametrize(
    ("argument", "value", "run", "is_left"),
    [
        ("role", "{{ params.empty }}", None, True),
        ("role", "{{ params.empty }}", DATED, False),
        ("role", "{{ params.size }}", None, False),
        ("role", "{{ '' }}", None, False),
        ("parameters", {"x": "{{ params.empty }}"}, None, False),
    ],
    ids=["empty", "conf", "filled", "none", "notebook"],
)
def test_an_empty_param_of_the_dag_is_a_place_that_a_conf_fills(dag, argument, value, run, is_left):
    found = rendered(run, **{argument: value})
    assert bool(found.not_known) is is_left
    if argument == "parameters":
        assert found.task.parameters == {"x": ""}


def test_a_dags_param_is_the_runs(dag):
    found = rendered(
        volume_size=dag.param("size"), role=dag.param("other", "x"), parameters={"rows": dag.param("size")}
    )
    assert (found.task.volume_size, found.task.role, found.task.parameters) == (10, "x", {"rows": 10})


def test_the_arguments_of_a_decorated_function_are_left_to_the_run(dag):
    @sagemaker_notebook_job(input_notebook="nb.ipynb")
    def f(day): ...

    made = f("{{ nothing_that_is }}").operator
    found = RenderedTask(made.prepare_for_execution(), template_context(made, GivenRun(), {}, map_index=-1))
    assert found.problems == []
    assert "{{ nothing_that_is }}" in [*found.task.op_args, *found.task.op_kwargs.values()]


def test_references_are_said_by_their_tasks(dag):
    first = upstream()
    job = Job(task_id="job", input_notebook="nb.ipynb", outputs=["total"])
    assert reference_text(first) == "XCom of 'upstream'"
    assert reference_text(job.output["total"]) == "XCom 'total' of 'job'"
    assert reference_text(first.zip(job.output)) == "XComs of 'upstream', 'job'"
    assert reference_text(first.zip(first)) == "XComs of 'upstream'"
    assert reference_text(dag.param("size")) == "a param of the run"
    told = []

    @task_group
    def group(n):
        told.append(n)

    group.expand(n=[1, 2])
    group.expand(n=first)
    assert [reference_text(each) for each in told] == ["what its group is mapped over", "XComs of 'upstream'"]


@pytest.mark.parametrize(
    ("outputs", "key", "said"),
    [
        (["total"], "total", None),
        ({"total": int}, "total", None),
        (["total"], "totl", "declares no output 'totl'; did you mean 'total'?"),
        (["alpha", "beta"], "zzzz", "declares no output 'zzzz'; it declares alpha, beta"),
        (None, "zzzz", "declares no output 'zzzz'; it declares none"),
        (["total"], "return_value", None),
        (["total"], "nbjobs_job", None),
    ],
    ids=str,
)
def test_an_output_that_its_notebook_does_not_declare_is_said(dag, outputs, key, said):
    job = Job(task_id="job", input_notebook="nb.ipynb", outputs=outputs)
    assert missing_output(job.output[key]) == (said and f"task 'job' {said}")


def test_only_a_notebooks_outputs_are_judged(dag):
    assert missing_output(upstream()["zzz"]) is None
    assert missing_output(upstream().zip(upstream())) is None
    mapped = Job.partial(task_id="m", input_notebook="nb.ipynb", outputs=["total"]).expand(volume_size=[1, 2])
    assert missing_output(mapped.output["total"]) is None
    assert missing_output(mapped.output["totl"]) == "task 'm' declares no output 'totl'; did you mean 'total'?"
    over = Job.partial(task_id="o", input_notebook="nb.ipynb").expand(outputs=[["a"], ["b"]])
    assert missing_output(over.output["zzz"]) is None


def test_an_unknown_output_is_a_warning_of_its_argument(dag):
    job = Job(task_id="job", input_notebook="nb.ipynb", outputs=["total"])
    found = rendered(volume_size=job.output["totl"], parameters={"x": [job.output["totl"]]})
    said = "task 'job' declares no output 'totl'; did you mean 'total'?"
    assert sorted(found.warnings) == [f"parameters['x']: {said}", f"volume_size: {said}"]


@pytest.mark.parametrize(
    "wrap",
    [lambda each: {"k": each}, lambda each: [each], lambda each: (each,), lambda each: [{"k": (1, [each])}]],
    ids=["dict", "list", "tuple", "deep"],
)
def test_a_part_that_a_run_gives_makes_the_whole_value_one(dag, wrap):
    found = rendered(
        parameters={"text": wrap("{{ ds }}"), "xcom": wrap(upstream()), "known": wrap("{{ params.size }}")}
    )
    assert set(found.parameters) == {"text", "xcom"}
    assert found.parameters["xcom"].text == "XCom of 'upstream'"
    assert "{{ ds }}" in found.parameters["text"].text
    assert found.task.parameters["known"] == wrap("10")
