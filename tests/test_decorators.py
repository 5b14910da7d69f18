"""``@task.sagemaker_notebook_job`` in a DAG file: what it makes, and what it says to each of the first mistakes."""

from __future__ import annotations

import ast
import functools
import inspect
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.sdk import DAG, BaseOperator, task, task_group
from airflow_names import DagSerialization
from decorated_tasks import nothing

import airflow_nbjobs
from airflow_nbjobs.decorators import sagemaker_notebook_job
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

PACKAGE = Path(airflow_nbjobs.__file__).parent


@pytest.fixture
def dag():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


def score(region, depth=3):
    """Scores one region."""
    return {"region": region, "depth": depth}


decorate = sagemaker_notebook_job(input_notebook="nb.ipynb", outputs=["accuracy"])


# -- what it makes -------------------------------------------------------------------------------------------------------


def test_it_is_one_of_airflows_own_decorators_and_makes_a_notebook_task(dag):
    @task.sagemaker_notebook_job(input_notebook="nb.ipynb")
    def report(day: str) -> dict:
        return {"day": day}

    operator = report("2026-01-01").operator
    assert isinstance(operator, SageMakerNotebookJobOperator)
    assert (operator.task_id, operator.input_notebook) == ("report", "nb.ipynb")
    assert operator.custom_operator_name == "@task.sagemaker_notebook_job"


def test_an_output_is_read_as_from_any_task(dag):
    @task
    def show(accuracy): ...

    result = decorate(score)("eu")
    shown = show(result["accuracy"])
    assert result["accuracy"].key == "accuracy"
    assert shown.operator.upstream_task_ids == {"score"}


def test_an_upstream_value_in_the_call_makes_the_dependency(dag):
    @task
    def regions(): ...

    assert decorate(score)(regions()).operator.upstream_task_ids == {"regions"}
    assert decorate(score)(region=regions(), depth=4).operator.upstream_task_ids == {"regions__1"}


def test_the_annotation_of_the_function_is_no_word_on_the_tasks_results(dag):
    """``-> dict`` would have Airflow push the job's facts one by one."""

    def annotated(region) -> dict[str, object]:
        return {"region": region}

    assert decorate(annotated)("eu").operator.multiple_outputs is False
    assert decorate(annotated).expand(region=["eu"]).operator.multiple_outputs is False


def test_default_args_reach_the_operator_and_never_the_function():
    with DAG(
        "d",
        schedule=None,
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        default_args={"role": "r", "depth": 9, "region": "no"},
    ):
        operator = decorate(score)("eu").operator
        assert (operator.role, operator.op_args, operator.op_kwargs) == ("r", ("eu",), {})
        mapped = decorate(score).expand(region=["eu"]).operator
        assert mapped.partial_kwargs["op_kwargs"] == {}


def test_the_notebook_may_come_from_default_args():
    with DAG(
        "d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), default_args={"input_notebook": "n.ipynb"}
    ):
        assert sagemaker_notebook_job(score)("eu").operator.input_notebook == "n.ipynb"
        assert sagemaker_notebook_job()(score).expand(region=["eu"]).operator.task_id == "score__1"


def test_override_gives_another_task_of_the_same_function(dag):
    first, second = (
        decorate(score)("eu"),
        decorate(score).override(task_id="large", instance_type="ml.m5.4xlarge")("us"),
    )
    assert (first.operator.instance_type, second.operator.instance_type) == ("ml.m5.large", "ml.m5.4xlarge")
    assert second.operator.task_id == "large"


def test_expand_partial_and_expand_kwargs_map_over_the_functions_arguments(dag):
    made = [
        decorate(score).expand(region=["eu", "us"]),
        decorate(score).partial(depth=5).expand(region=["eu", "us"]),
        decorate(score).expand_kwargs([{"region": "eu", "depth": 1}, {"region": "us"}]),
    ]
    assert [each.operator.is_mapped for each in made] == [True] * 3
    assert {each.operator.task_id for each in made} == {"score", "score__1", "score__2"}


def test_it_may_stand_in_a_mapped_group(dag):
    @task_group
    def of_region(region):
        decorate(score)(region)

    of_region.expand(region=["eu", "us"])
    assert "of_region.score" in dag.task_dict


def test_a_setup_and_a_dags_result_stay_so_under_override(dag):
    made = decorate(score)
    made.is_setup = True
    assert made.override(task_id="x").is_setup is True
    if not hasattr(made, "returns_dag_result"):
        pytest.skip("Airflow < 3.3 has no results of DAGs")
    made.returns_dag_result = True
    assert made.override(task_id="y").returns_dag_result is True


def test_the_docstring_is_the_tasks_documentation(dag):
    assert decorate(score)("eu").operator.doc_md == "Scores one region."


def test_a_dag_of_them_is_stored_and_read_by_airflow():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        decorate(score)("eu")
        decorate(score).expand(region=["eu", "us"])
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert stored.task_dict["score"].input_notebook == "nb.ipynb"
    assert stored.task_dict["score__1"].partial_kwargs["input_notebook"] == "nb.ipynb"
    assert set(stored.task_dict["score"].template_fields) >= {"op_args", "input_notebook", "s3_root_uri", "aws_conn_id"}


def test_a_function_without_arguments_adds_no_template_field(dag):
    fields = decorate(nothing)().operator.template_fields
    assert not {"op_args", "op_kwargs"} & set(fields)


def test_the_notebook_may_come_from_the_decorators_own_default_args_or_a_group(dag):
    from airflow.sdk import TaskGroup

    from airflow_nbjobs import NotebookTaskGroup

    made = sagemaker_notebook_job(default_args={"input_notebook": "n.ipynb"})(score).expand(region=["eu"])
    assert made.operator.is_mapped
    with TaskGroup("plain", default_args={"input_notebook": "n.ipynb"}), TaskGroup("inner"):
        assert sagemaker_notebook_job()(score).expand(region=["eu"]).operator.is_mapped
    with NotebookTaskGroup("shared", input_notebook="n.ipynb"), TaskGroup("inner"):
        assert sagemaker_notebook_job()(score).expand(region=["eu"]).operator.is_mapped
    with NotebookTaskGroup("other", role="r"), pytest.raises(TypeError, match="has no notebook"):
        sagemaker_notebook_job()(score).expand(region=["eu"])


def test_a_function_that_takes_everything_gets_what_no_notebook_job_takes(dag):
    assert decorate(keyword)(epochs=3).operator.op_kwargs == {"epochs": 3}
    assert decorate(keyword).partial(epochs=3).expand(lr=[0.1]).operator.is_mapped


def test_an_argument_of_the_function_may_have_the_name_of_one_of_the_operators(dag):
    def named(role, tags=None):
        return {"role": role}

    assert decorate(named)(role="r").operator.op_kwargs == {"role": "r"}
    assert decorate(named).expand(role=["r"]).operator.is_mapped
    assert decorate(named).expand_kwargs([{"role": "r"}]).operator.is_mapped


def test_what_is_mapped_over_may_be_another_tasks_output_or_a_tuple(dag):
    @task
    def choices(): ...

    assert decorate(score).expand_kwargs(choices()).operator.is_mapped
    with pytest.raises(TypeError, match=r"score\.expand_kwargs\(role=…\)"):
        decorate(score).expand_kwargs(({"role": "r"},))


def test_only_what_the_call_gives_is_a_template_field(dag):
    by_place, by_name = decorate(score)("eu").operator, decorate(score)(region="eu").operator
    assert [field for field in by_place.template_fields if field.startswith("op_")] == ["op_args"]
    assert [field for field in by_name.template_fields if field.startswith("op_")] == ["op_kwargs"]
    of_class = type(by_place).template_fields
    assert tuple(of_class)[:2] == ("op_args", "op_kwargs")
    assert "input_notebook" in of_class


def test_a_type_error_of_somebody_else_is_left_as_it_is(dag):
    with pytest.raises(TypeError) as caught:
        decorate(score).override(retries=object())("eu")
    assert "takes (region, depth)" not in str(caught.value)
    assert "'score'" not in str(caught.value)


def test_all_that_is_wrong_at_the_decorator_is_told_at_once(dag):
    with pytest.raises(TypeError) as caught:
        sagemaker_notebook_job(input_notebook="a", region="eu", zzzz=1)(score)
    assert "'region' is an argument of the function" in str(caught.value)
    assert "; there is no argument 'zzzz'" in str(caught.value)


@pytest.mark.parametrize("said", [False, None])
def test_multiple_outputs_may_be_said_to_be_off(dag, said):
    """As at every decorator of Airflow's; it came to a TypeError of Airflow's that named a class of ours."""
    assert sagemaker_notebook_job(input_notebook="a", multiple_outputs=said)(score)("eu").operator.task_id == "score"
    made = decorate(score).override(multiple_outputs=said, task_id="x")
    assert made("eu").operator.multiple_outputs is False
    assert made.expand(region=["eu"]).operator.multiple_outputs is False


def test_an_argument_misspelt_in_the_call_names_what_the_function_takes(dag):
    with pytest.raises(TypeError) as caught:
        decorate(score)("eu", dept=3)
    assert str(caught.value).startswith("score(dept=…): the function 'score' (")
    assert str(caught.value).endswith("takes (region, depth) and no 'dept'; did you mean 'depth'?")


# -- the first mistakes --------------------------------------------------------------------------------------------------


def keyword(**values):
    return {}


async def waiting():
    return {}


async def streaming():
    yield {}


def yielding():
    yield {}


class Scorer:
    def method(self, region):
        return {}


MISTAKES = {
    "the notebook by its place": (lambda: sagemaker_notebook_job("a.ipynb"), "input_notebook='a.ipynb'"),
    "two things by their place": (lambda: sagemaker_notebook_job(score, "a"), "takes its arguments by name"),
    "no parentheses": (
        lambda: sagemaker_notebook_job(score)("eu"),
        "write @task.sagemaker_notebook_job(input_notebook=",
    ),
    "no notebook": (lambda: sagemaker_notebook_job(role="r")(score)("eu"), "'score' (test_decorators.py, line "),
    "no notebook, mapped": (lambda: sagemaker_notebook_job(role="r")(score).expand(region=["eu"]), "has no notebook"),
    "the notebook misspelt": (
        lambda: sagemaker_notebook_job(input_notebok="a")(score),
        "there is no argument 'input_notebok'; did you mean 'input_notebook'?",
    ),
    "an operator's argument mapped": (
        lambda: decorate(score).expand(instance_type=["ml.m5.large"]),
        "score.expand(instance_type=…): 'instance_type' is an argument of the notebook job and none of the function 'score'",
    ),
    "an operator's argument mapped, of what takes all": (
        lambda: decorate(keyword).expand(instance_type=["ml.m5.large"]),
        "above def keyword(choice), then .expand over choice",
    ),
    "an argument mapped that is no template": (
        lambda: decorate(score).expand(retries=[1]),
        "the same for all that is mapped: give it to the decorator, @task.sagemaker_notebook_job(retries=…)",
    ),
    "an operator's argument mapped, by dicts": (
        lambda: decorate(score).expand_kwargs([{"region": "eu"}, {"region": "us", "volume_size": 50}]),
        "score.expand_kwargs(volume_size=…)",
    ),
    "an operator's argument in the call": (
        lambda: decorate(score)("eu", instance_type="ml.m5.large"),
        "write score.override(instance_type=…)",
    ),
    "an operator's argument in the call of what takes all": (
        lambda: decorate(keyword)(instance_type="ml.m5.large"),
        "keyword(instance_type=…): 'instance_type' is an argument of the notebook job",
    ),
    "an operator's argument in partial": (lambda: decorate(score).partial(role="r"), "score.override(role=…)"),
    "an argument misspelt in expand": (lambda: decorate(score).expand(regoin=["eu"]), "did you mean 'region'?"),
    "an argument missing in the call": (
        lambda: decorate(score)(depth=4),
        "takes (region, depth): missing a required argument",
    ),
    "too many arguments": (lambda: decorate(score)(1, 2, 3), "takes (region, depth): too many positional arguments"),
    "an argument twice": (lambda: decorate(score)("eu", region="us"), "takes (region, depth): multiple values"),
    "an argument of the function at the decorator": (
        lambda: sagemaker_notebook_job(input_notebook="a", region="eu")(score),
        "'region' is an argument of the function: pass it in the call, score(region=…)",
    ),
    "a parameter at the decorator": (
        lambda: sagemaker_notebook_job(input_notebook="a", epochs=4)(score),
        "there is no argument 'epochs'; a parameter of the notebook goes into parameters={'epochs': …}, or is returned",
    ),
    "an argument misspelt at the decorator": (
        lambda: sagemaker_notebook_job(input_notebook="a", instnce_type="b")(score),
        "did you mean 'instance_type'?",
    ),
    "an argument misspelt in override": (lambda: decorate(score).override(imge_uri="x"), "did you mean 'image_uri'?"),
    "multiple outputs": (
        lambda: sagemaker_notebook_job(input_notebook="a", multiple_outputs=True)(score),
        "Its results are named by outputs=[…]",
    ),
    "an async function": (lambda: decorate(waiting), "'waiting' (test_decorators.py, line "),
    "an async function in a partial": (lambda: decorate(functools.partial(waiting)), "is async"),
    "an async generator": (lambda: decorate(streaming), "Remove 'async'"),
    "a generator": (lambda: decorate(yielding), "has a yield: it has to return one dict"),
    "a task": (lambda: decorate(task(score)), "is a task already"),
    "itself": (lambda: decorate(decorate(score)), "is a task already"),
    "a class": (lambda: decorate(Scorer), "goes above a function"),
    "a static method": (lambda: decorate(staticmethod(score)), "goes above a function"),
    "no function": (lambda: decorate(3), "goes above a function (def …), not above 3"),
    "a method": (lambda: decorate(Scorer.method), "does not support methods"),
    "an argument of a pipeline's step": (
        lambda: sagemaker_notebook_job(input_notebook="a", depends_on=[])(score)("eu"),
        "write upstream_task >> this_task",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.usefixtures("dag")
def test_a_mistake_is_told_with_what_to_write(mistake):
    make, said = MISTAKES[mistake]
    with pytest.raises(TypeError) as caught:
        make()
    assert said in str(caught.value)


@pytest.mark.usefixtures("dag")
def test_what_to_write_for_a_mapped_argument_of_the_operator_works():
    """The advice of the error, taken."""
    with pytest.raises(TypeError) as caught:
        decorate(score).expand(instance_type=["ml.m5.large"])
    assert "@task.sagemaker_notebook_job(instance_type='{{ choice }}') above def score(region, depth, choice)" in str(
        caught.value
    )

    def choosing(region, choice):
        return {"region": region}

    mapped = sagemaker_notebook_job(input_notebook="nb.ipynb", instance_type="{{ choice }}")(choosing)
    assert mapped.partial(region="eu").expand(choice=["ml.m5.large", "ml.m5.xlarge"]).operator.is_mapped


# -- types ---------------------------------------------------------------------------------------------------------------


def _fields(name):
    tree = ast.parse((PACKAGE / "task" / "argument_types.py").read_text(encoding="utf-8"))
    (found,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    return {node.target.id: ast.unparse(node.annotation) for node in found.body if isinstance(node, ast.AnnAssign)}


def _signature(operator):
    parameters = inspect.signature(operator.__init__).parameters.values()
    return {
        each.name: each.annotation for each in parameters if each.kind is each.KEYWORD_ONLY or each.name == "task_id"
    }


def test_the_types_are_those_of_the_operators_signature():
    """``retry_policies`` and ``depends_on`` are there only to be refused."""
    signature = {
        name: kind
        for name, kind in _signature(SageMakerNotebookJobOperator).items()
        if name not in {"retry_policies", "depends_on"}
    }
    assert _fields("NotebookArguments") | _fields("OptionalArguments") | _fields("DecoratorArguments") == signature
    assert {*_fields("NotebookArguments"), *_fields("OptionalArguments")} == signature.keys() - {"input_notebook"}
    assert _fields("OverrideArguments") == {"input_notebook": "str"}


def test_the_types_have_every_argument_that_airflow_takes_for_any_task():
    taken = set(inspect.signature(BaseOperator.__init__).parameters) - {"self", "kwargs", "multiple_outputs"}
    assert taken - set(_fields("TaskArguments")) == set()
