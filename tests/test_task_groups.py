"""``NotebookTaskGroup`` while a DAG is parsed: who gets what, who shares a machine, and what a mistake is told."""

from __future__ import annotations

import copy
import inspect
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG, BaseOperator, TaskGroup, task, task_group

from airflow_nbjobs._compat import DuplicateTaskIdFound
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task.argument_types import GroupArguments
from airflow_nbjobs.task.groups import is_last_of_pool, is_pool_member, let_last_keep_nothing, nearest_before
from airflow_nbjobs.task.returned_parameters import take_returned
from airflow_nbjobs.task_groups import NotebookTaskGroup, WarmPoolRelease

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = "test_task_groups.py"


class Sql(BaseOperator):
    """A task of somebody else with arguments of the same names."""

    def __init__(self, *, parameters: Any = None, tags: Any = None, uri: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parameters, self.tags, self.uri = parameters, tags, uri


class Notebook(SageMakerNotebookJobOperator):
    """A notebook task that somebody has made a class of."""


def notebook(task_id: str, **arguments: Any) -> SageMakerNotebookJobOperator:
    return SageMakerNotebookJobOperator(task_id=task_id, **{"input_notebook": f"{task_id}.ipynb", **arguments})


@pytest.fixture
def dag() -> Iterator[DAG]:
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


def instance(mapped: Any, **mapped_over: Any) -> Any:
    """Return an instance of a mapped task as a worker makes it, which parses the file anew."""
    return mapped.unmap(mapped_over)


def edges_to(dag: DAG, task_id: str) -> set[str]:
    return set(dag.task_dict[task_id].upstream_task_ids)


# -- who gets what ---------------------------------------------------------------------------------------------------


def test_notebooks_of_a_group_get_its_arguments_and_no_other_task_does(dag: DAG) -> None:
    with NotebookTaskGroup("g", role="r", parameters={"day": "{{ ds }}"}, tags={"team": "a"}, deferrable=False):
        first = notebook("first")
        own = Notebook(task_id="own", input_notebook="own.ipynb")
        sql = Sql(task_id="sql")
    outside = notebook("outside")
    assert [(one.role, one.parameters, one.deferrable) for one in (first, own)] == [
        ("r", {"day": "{{ ds }}"}, False)
    ] * 2
    assert (sql.parameters, sql.tags) == (None, None)
    assert (outside.role, outside.parameters, outside.deferrable) == (None, None, True)


def test_dictionaries_are_merged_and_the_nearer_wins(dag: DAG) -> None:
    with (
        NotebookTaskGroup("outer", parameters={"a": 1, "b": 1, "c": 1}, environment_variables={"E": "outer"}),
        TaskGroup("plain"),
        NotebookTaskGroup("inner", parameters={"b": 2, "c": 2}, tags=[{"Key": "k", "Value": "inner"}]),
    ):
        task = notebook("t", parameters={"c": 3}, tags={"own": "1"}, environment_variables=None)
    assert task.parameters == {"a": 1, "b": 2, "c": 3}
    assert task.tags == {"k": "inner", "own": "1"}
    assert task.environment_variables == {"E": "outer"}


def test_every_task_has_its_own_copy(dag: DAG) -> None:
    given = {"nested": {"list": [1]}}
    with NotebookTaskGroup("g", parameters=given, subnets=["subnet-1"]):
        one, other = notebook("one"), notebook("other")
    one.parameters["nested"]["list"].append(2)  # type: ignore[index]
    one.subnets.append("subnet-2")  # type: ignore[union-attr]
    assert other.parameters == {"nested": {"list": [1]}}
    assert other.subnets == ["subnet-1"]
    assert given == {"nested": {"list": [1]}}


def test_the_order_is_default_args_then_groups_then_the_task() -> None:
    defaults = {"volume_size": 1, "instance_type": "ml.t3.medium", "role": "dag", "kernel_name": "dag"}
    with (
        DAG("d", schedule=None, default_args=defaults),
        NotebookTaskGroup("outer", volume_size=3, instance_type="ml.m5.large", default_args={"role": "group"}),
        NotebookTaskGroup("inner", instance_type="ml.m5.xlarge", default_args={"volume_size": 4}),
    ):
        plain = notebook("plain")
        explicit = notebook("explicit", volume_size=9, role=None)
        by_defaults = notebook("by_defaults", default_args={"instance_type": "ml.c5.large"})
    assert (plain.kernel_name, plain.role, plain.volume_size, plain.instance_type) == (
        "dag",
        "group",
        3,
        "ml.m5.xlarge",
    )
    assert (explicit.volume_size, explicit.role) == (9, None)
    assert by_defaults.instance_type == "ml.c5.large"


def test_several_runs_of_one_notebook_name_it_once(dag: DAG) -> None:
    with NotebookTaskGroup("sweep", input_notebook="train.ipynb", outputs=["accuracy"]):
        tasks = [SageMakerNotebookJobOperator(task_id=f"depth_{n}", parameters={"depth": n}) for n in (1, 2)]
        mapped = SageMakerNotebookJobOperator.partial(task_id="mapped").expand(parameters=[{"depth": 3}])
    assert [(one.input_notebook, one.parameters) for one in tasks] == [("train.ipynb", {"depth": n}) for n in (1, 2)]
    assert instance(mapped, parameters={"depth": 3}).input_notebook == "train.ipynb"
    assert tasks[0].outputs is not tasks[1].outputs


def test_a_mapped_task_gets_them_on_the_worker(dag: DAG) -> None:
    with NotebookTaskGroup("g", s3_root_uri="s3://b/p", parameters={"a": 1, "b": 1}), TaskGroup("nested"):
        mapped = SageMakerNotebookJobOperator.partial(
            task_id="m", input_notebook="m.ipynb", environment_variables={"OWN": "1"}
        ).expand(parameters=[{"b": 2}])
        kwargs = SageMakerNotebookJobOperator.partial(task_id="k").expand_kwargs(
            [{"input_notebook": "k.ipynb", "s3_root_uri": "s3://o"}]
        )
    task = instance(mapped, parameters={"b": 2})
    assert (task.parameters, task.s3_root_uri, task.environment_variables) == (
        {"a": 1, "b": 2},
        "s3://b/p",
        {"OWN": "1"},
    )
    # The API server never expands it, and has to know where its jobs lie.
    assert mapped.partial_kwargs["s3_root_uri"] == "s3://b/p"
    assert instance(kwargs, input_notebook="k.ipynb", s3_root_uri="s3://o").s3_root_uri == "s3://o"
    assert instance(kwargs, input_notebook="k.ipynb").parameters == {"a": 1, "b": 1}


@pytest.mark.parametrize("is_mapped", [False, True], ids=["plain", "mapped"])
def test_an_output_in_a_groups_argument_is_an_edge(dag: DAG, is_mapped: bool) -> None:
    source = Sql(task_id="source")
    with NotebookTaskGroup("g", parameters={"uri": source.output}, role=source.output), TaskGroup("nested"):
        if is_mapped:
            SageMakerNotebookJobOperator.partial(task_id="t", input_notebook="t.ipynb").expand(parameters=[{"a": 1}])
        else:
            notebook("t")
        other = Sql(task_id="other")
    assert edges_to(dag, "g.nested.t") == {"source"}
    assert not other.upstream_task_ids


def test_dictionaries_to_map_over_may_come_from_a_task(dag: DAG) -> None:
    source = Sql(task_id="source")
    with NotebookTaskGroup("g", role="r", parameters={"a": 1}):
        mapped = SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand_kwargs(
            source.output
        )
    task = instance(mapped, role="own", parameters={"b": 2})
    assert (task.role, task.parameters) == ("own", {"a": 1, "b": 2})


def test_mapped_groups_inside_and_around(dag: DAG) -> None:
    @task_group
    def each(size: int) -> None:
        with NotebookTaskGroup("inner", parameters={"inner": 1}):
            notebook("t", parameters={"size": size})

    with NotebookTaskGroup("outer", role="r", parameters={"outer": 1}):
        each.expand(size=[1, 2])
    task = dag.task_dict["outer.each.inner.t"]
    assert task.role == "r"
    assert {name: task.parameters[name] for name in ("outer", "inner")} == {"outer": 1, "inner": 1}
    assert "size" in task.parameters


def test_decorated_notebooks_get_them_below_what_their_function_returns(dag: DAG) -> None:
    with (
        NotebookTaskGroup("g", role="r", input_notebook="t.ipynb", parameters={"a": 1, "b": 1}, volume_size=40),
        TaskGroup("n"),
    ):

        @task.sagemaker_notebook_job(parameters={"b": 2})
        def plain() -> dict[str, Any]:
            return {"c": 3}

        @task.sagemaker_notebook_job(volume_size=50)
        def mapped(size: int) -> dict[str, Any]:
            return {"size": size}

        plain()
        mapped.expand(size=[1, 2])

    task_of = dag.task_dict["g.n.plain"]
    assert (task_of.role, task_of.input_notebook, task_of.parameters) == ("r", "t.ipynb", {"a": 1, "b": 2})
    take_returned(task_of, {"c": 3, "a": 9}, {})
    assert task_of.parameters == {"a": 9, "b": 2, "c": 3}
    one = instance(dag.task_dict["g.n.mapped"], op_kwargs={"size": 1})
    assert (one.role, one.volume_size, one.parameters) == ("r", 50, {"a": 1, "b": 1})
    assert dag.task_dict["g.n.mapped"].partial_kwargs["role"] == "r"


def test_decorated_notebooks_share_a_machine(dag: DAG) -> None:
    with pool(input_notebook="t.ipynb"):
        first = notebook("first")

        @task.sagemaker_notebook_job
        def second() -> dict[str, Any]:
            return {}

        @task.sagemaker_notebook_job
        def third(size: int) -> dict[str, Any]:
            return {"size": size}

        first >> second() >> third.expand(size=[1, 2])
    assert edges_to(dag, "g.release_warm_pool") == {"g.first", "g.second", "g.third"}
    last = instance(dag.task_dict["g.third"], op_kwargs={"size": 1})
    assert kept(dag.task_dict["g.second"], last) == {"g.second": 600, "g.third": None}
    other = task.sagemaker_notebook_job(instance_type="ml.g5.xlarge", task_id="other")(lambda size: {"size": size})
    shared = {"keep_alive_period_in_seconds": 60, "input_notebook": "t.ipynb"}
    with pytest.raises(NotebookJobConfigError) as caught, NotebookTaskGroup("h", **shared):  # type: ignore[arg-type]
        notebook("first") >> other(size=1)
    assert "task 'h.other'" in caught.value.problems[0]


# -- classes of an author's own ----------------------------------------------------------------------------------------


class Report(SageMakerNotebookJobOperator):
    """Says itself what its notebook gets, and passes the rest on."""

    def __init__(self, *, day: str = "none", **kwargs: Any) -> None:
        super().__init__(input_notebook="report.ipynb", parameters={"day": day}, instance_type="ml.c5.large", **kwargs)


class Weekly(Report):
    """A class of a class."""

    def __init__(self, *, volume_size: int = 7, **kwargs: Any) -> None:
        super().__init__(volume_size=volume_size + 1, keep_alive_period_in_seconds=None, **kwargs)


class OfTeam:
    """No operator: Airflow does not wrap its ``__init__``."""

    def __init__(self, *, team: str, **kwargs: Any) -> None:
        super().__init__(tags={"team": team}, **kwargs)  # type: ignore[call-arg]


class TeamReport(OfTeam, SageMakerNotebookJobOperator):
    """An author's class with two bases."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)


OF_GROUP: dict[str, Any] = {
    "parameters": {"epochs": 2, "day": "group"},
    "instance_type": "ml.m5.xlarge",
    "volume_size": 20,
    "input_notebook": "group.ipynb",
    "role": "r",
}


def given(task: Any) -> tuple[Any, ...]:
    return task.input_notebook, task.parameters, task.instance_type, task.volume_size, task.role


@pytest.mark.parametrize("is_mapped", [False, True])
def test_what_a_class_says_of_its_notebooks_wins_over_the_group(dag: DAG, is_mapped: bool) -> None:
    with NotebookTaskGroup("g", **OF_GROUP):
        if is_mapped:
            report = instance(Report.partial(task_id="r").expand(day=["mon", "tue"]), day="mon")
        else:
            report = Report(task_id="r", day="mon")
    assert given(report) == ("report.ipynb", {"epochs": 2, "day": "mon"}, "ml.c5.large", 20, "r")


def test_an_instance_gets_what_a_class_says_also_after_the_block(dag: DAG) -> None:
    """The API server reads from the mapped task what the group says; its instances are made of that."""
    with NotebookTaskGroup("g", **OF_GROUP):
        mapped = Report.partial(task_id="r").expand(day=["mon", "tue"])
    assert mapped.partial_kwargs["role"] == "r"
    assert given(instance(mapped, day="tue")) == ("report.ipynb", {"epochs": 2, "day": "tue"}, "ml.c5.large", 20, "r")


def test_a_class_of_a_class_takes_what_it_names_from_the_group(dag: DAG) -> None:
    with NotebookTaskGroup("g", keep_alive_period_in_seconds=60, **OF_GROUP) as group:
        weekly = Weekly(task_id="w", day="mon")
    assert given(weekly) == ("report.ipynb", {"epochs": 2, "day": "mon"}, "ml.c5.large", 21, "r")
    assert not is_pool_member(weekly)
    assert group.notebook_arguments == {"keep_alive_period_in_seconds": 60, **OF_GROUP}


def test_default_args_are_weaker_than_a_class_and_its_groups_and_a_tasks_own_are_stronger(dag: DAG) -> None:
    with NotebookTaskGroup("g", **OF_GROUP, default_args={"volume_size": 1, "kernel_name": "k"}):
        one = Weekly(task_id="one")
        other = Weekly(task_id="other", default_args={"volume_size": 3, "role": "own", "parameters": {"x": 1}})
    assert (one.volume_size, one.kernel_name, one.parameters) == (21, "k", {"epochs": 2, "day": "none"})
    assert (other.volume_size, other.role, other.parameters) == (4, "own", {"epochs": 2, "day": "none"})


def test_a_class_beside_the_operator_may_pass_arguments_on(dag: DAG) -> None:
    with NotebookTaskGroup("g", tags={"team": "group", "cost": "1"}, **OF_GROUP):
        task = TeamReport(task_id="t", team="own")
    assert task.tags == {"team": "own", "cost": "1"}
    assert task.role == "r"


def test_an_edge_of_a_groups_argument_reaches_a_class(dag: DAG) -> None:
    output = notebook("up", outputs=["n"], return_output="n").output
    with NotebookTaskGroup("g", parameters={"n": output}):
        Report(task_id="r")
    assert edges_to(dag, "g.r") == {"up"}


# -- copies of a DAG --------------------------------------------------------------------------------------------------


@task
def up() -> list[dict[str, Any]]:
    return []


def grouped(dag: DAG) -> NotebookTaskGroup:
    with NotebookTaskGroup("g", instance_type="ml.m5.xlarge", keep_alive_period_in_seconds=60) as group:
        first = notebook("first")
        mapped = SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand_kwargs(up())
        first >> mapped
    return group


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda group: copy.deepcopy(group.dag).task_group.children["g"]]
)
def test_a_copy_of_a_group_says_what_the_group_says(dag: DAG, copied: Any) -> None:
    group = grouped(dag)
    group.note = ["of an author"]  # type: ignore[attr-defined]
    found = copied(group)
    assert isinstance(found, NotebookTaskGroup)
    assert vars(found) == vars(group)
    assert (found.group_id, set(found.children)) == (group.group_id, set(group.children))


def test_a_part_of_a_dag_has_the_arguments_and_the_pool(dag: DAG) -> None:
    """As Airflow makes it for a run of some tasks."""
    grouped(dag)
    part = dag.partial_subset("g.m", include_upstream=True)
    task = part.task_dict["g.m"]
    assert instance(task, parameters={"n": 1}).instance_type == "ml.m5.xlarge"
    assert is_pool_member(task)
    assert [each.task_id for each in nearest_before(task)] == ["g.first"]
    with pytest.raises(NotebookJobConfigError, match="after its block"):
        notebook("late", dag=part, task_group=part.task_group.children["g"])


# -- the types -------------------------------------------------------------------------------------------------------


def test_help_shows_the_arguments_of_a_task() -> None:
    shown = inspect.signature(SageMakerNotebookJobOperator).parameters
    assert list(shown)[:2] == ["input_notebook", "image_uri"]
    assert "self" not in shown


def test_a_group_takes_what_the_operator_and_airflows_group_take() -> None:
    """``tests/typing`` shows that a type checker sees it."""
    of_task = {"self", "kwargs", "display_name", "description", "retry_policies", "depends_on"}
    operators = {
        name: one.annotation
        for name, one in inspect.signature(SageMakerNotebookJobOperator.__init__).parameters.items()
        if name not in of_task
    }
    declared = {name: getattr(hint, "__forward_arg__", hint) for name, hint in GroupArguments.__annotations__.items()}
    assert {name: declared.get(name) for name in operators} == operators
    groups = set(inspect.signature(TaskGroup.__init__).parameters) - {"self", "group_id"}
    rest = set(declared) - set(operators)
    assert rest - {"doc_md"} == groups - {"doc_md"}


# -- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"instanse_type": "ml.m5.large"}, "there is no argument 'instanse_type'; did you mean 'instance_type'?"),
        ({"retries": 3}, "'retries' is every task's: default_args={'retries': …} gives it to all tasks of the group"),
        ({"display_name": "Daily"}, "'display_name' is no argument of a group: group_display_name names the group"),
        ({"depends_on": []}, "write group >> task"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_that_no_group_has(dag: DAG, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as caught, NotebookTaskGroup("g", **arguments):
        pass
    assert "NotebookTaskGroup('g', …)" in str(caught.value)
    assert text in str(caught.value)


def test_all_arguments_that_no_group_has_are_told_at_once_and_those_of_airflows_group_are_taken(dag: DAG) -> None:
    with pytest.raises(TypeError) as caught:
        NotebookTaskGroup("g", retries=3, zzz=1)  # type: ignore[call-arg]
    told = "'retries' is every task's: default_args={'retries': …} gives it to all tasks of the group"
    assert str(caught.value) == f"NotebookTaskGroup('g', …): {told}; there is no argument 'zzz'"
    with NotebookTaskGroup("g", tooltip="of the day", ui_color="#fff", role="r") as group:
        pass
    assert (group.tooltip, group.ui_color, group.notebook_arguments) == ("of the day", "#fff", {"role": "r"})


def second(makes: str) -> None:
    if makes == "plain":
        notebook("a", input_notebook="other/a.ipynb")
    elif makes == "sql":
        Sql(task_id="a")
    elif makes == "mapped":
        SageMakerNotebookJobOperator.partial(task_id="a", input_notebook="other/a.ipynb").expand(parameters=[{}])
    else:
        with NotebookTaskGroup("h", prefix_group_id=False):
            notebook("a", input_notebook="other/a.ipynb")


def line_of(function: Any, text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


SECONDS = [
    ("plain", "another notebook", line_of(notebook, "return Sage")),
    ("unprefixed", "another notebook", line_of(notebook, "return Sage")),
    ("sql", "another task", line_of(second, "Sql(")),
    ("mapped", "notebook 'other/a.ipynb'", line_of(second, "partial(")),
]


@pytest.mark.parametrize(("makes", "what", "line"), SECONDS, ids=[makes for makes, *_ in SECONDS])
def test_two_tasks_of_one_id_are_named_with_their_lines(dag: DAG, makes: str, what: str, line: int) -> None:
    """As where task ids are made of files' names, which are alike in two folders."""
    with NotebookTaskGroup("g", prefix_group_id=makes != "unprefixed"):
        notebook("a", input_notebook="reports/a.ipynb")
        with pytest.raises(DuplicateTaskIdFound) as caught:
            second(makes)
    text = str(caught.value)
    assert f"have the id '{'a' if makes == 'unprefixed' else 'g.a'}'" in text
    assert f"notebook 'reports/a.ipynb' ({FILE}, line {line_of(notebook, 'return Sage')})" in text
    assert text.endswith(f"and {what} ({FILE}, line {line}); give one of the two another task_id")


@pytest.mark.parametrize("given", ["{{ dag_run.conf }}", "output"])
def test_a_dictionary_that_only_the_run_knows_is_not_merged_in_silence(dag: DAG, given: Any) -> None:
    given = Sql(task_id="source").output if given == "output" else given
    with NotebookTaskGroup("g", parameters={"a": 1}), pytest.raises(NotebookJobConfigError) as caught:
        notebook("t", parameters=given)
    assert "parameters of task 't' and those of the group around it cannot be merged" in str(caught.value)
    assert FILE in str(caught.value)


def test_a_group_may_say_a_template_of_all_parameters(dag: DAG) -> None:
    with NotebookTaskGroup("g", parameters="{{ dag_run.conf }}"):  # type: ignore[arg-type]
        assert notebook("t").parameters == "{{ dag_run.conf }}"


# -- the machine -----------------------------------------------------------------------------------------------------


def pool(**arguments: Any) -> NotebookTaskGroup:
    return NotebookTaskGroup("g", **{"keep_alive_period_in_seconds": 600, **arguments})


def kept(*tasks: Any) -> dict[str, Any]:
    """Return what each task asks for when it runs."""
    for one in tasks:
        let_last_keep_nothing(one)
    return {one.task_id: one.keep_alive_period_in_seconds for one in tasks}


def test_the_last_notebook_asks_for_no_pool(dag: DAG) -> None:
    with pool():
        first, sql, second = notebook("first"), Sql(task_id="sql"), notebook("second")
        first >> sql >> second
    assert kept(first, second) == {"g.first": 600, "g.second": None}
    assert nearest_before(second) == [first]


def test_edges_may_be_drawn_after_the_block(dag: DAG) -> None:
    with pool():
        first, second = notebook("first"), notebook("second")
        mapped = SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand(parameters=[{}])
    first >> second
    second >> mapped
    assert kept(first, second, instance(mapped, parameters={})) == {"g.first": 600, "g.second": 600, "g.m": None}


def test_all_branches_ends_keep_nothing(dag: DAG) -> None:
    with pool():
        first, *ends = (notebook(name) for name in ("first", "left", "right"))
        first >> ends
    assert kept(first, *ends) == {"g.first": 600, "g.left": None, "g.right": None}


def test_what_a_task_says_of_its_own_machine_stays(dag: DAG) -> None:
    with pool(instance_type="ml.m5.large"):
        first = notebook("first", keep_alive_period_in_seconds=60)
        aside = notebook("aside", keep_alive_period_in_seconds=None, instance_type="ml.g5.xlarge")
        last = notebook("last", keep_alive_period_in_seconds=30)
        first >> aside >> last
    assert kept(first, aside, last) == {"g.first": 60, "g.aside": None, "g.last": 30}
    assert edges_to(dag, "g.release_warm_pool") == {"g.first", "g.last"}
    assert nearest_before(last) == [first]


def test_an_inner_group_with_a_period_has_a_pool_of_its_own(dag: DAG) -> None:
    with pool(instance_type="ml.m5.large"):
        first = notebook("first")
        with NotebookTaskGroup("gpu", instance_type="ml.g5.xlarge", keep_alive_period_in_seconds=60):
            train, test = notebook("train"), notebook("test")
        with NotebookTaskGroup("none", instance_type="ml.c5.xlarge", keep_alive_period_in_seconds=None):
            alone = notebook("alone")
        with TaskGroup("plain"):
            last = notebook("last")
        first >> train >> test >> alone >> last
    expected = {"g.first": 600, "g.gpu.train": 60, "g.gpu.test": None, "g.none.alone": None, "g.plain.last": None}
    assert kept(first, train, test, alone, last) == expected
    assert edges_to(dag, "g.release_warm_pool") == {"g.first", "g.plain.last"}
    assert edges_to(dag, "g.gpu.release_warm_pool") == {"g.gpu.train", "g.gpu.test"}


def test_the_release_is_a_teardown_that_nobody_waits_for(dag: DAG) -> None:
    with pool(aws_conn_id="other", region_name="eu-west-1") as group:
        first, second = notebook("first"), notebook("second")
        first >> second
    after = Sql(task_id="after")
    group >> after
    release = dag.task_dict["g.release_warm_pool"]
    assert isinstance(release, WarmPoolRelease)
    assert (release.is_teardown, release.on_failure_fail_dagrun) == (True, False)
    assert str(getattr(release.trigger_rule, "value", release.trigger_rule)) == "all_done_setup_success"
    assert (release.aws_conn_id, release.region_name) == ("other", "eu-west-1")
    assert after.upstream_task_ids == {"g.second"}
    assert not is_last_of_pool(first)


def test_the_release_asks_aws_as_the_notebooks_do(dag: DAG) -> None:
    """With another connection it would look for the machine in another account, and find none to give back."""
    aws = {
        "aws_conn_id": "aws_acme",
        "region_name": "eu-west-1",
        "verify": False,
        "botocore_config": {"read_timeout": 7},
    }
    with pool(**aws):
        notebook("first")
    release = dag.task_dict["g.release_warm_pool"]
    assert {name: getattr(release, name) for name in aws} == aws
    assert release.depends_on_past is False
    hook = release.hook
    assert (hook.aws_conn_id, hook._region_name, hook._verify) == ("aws_acme", "eu-west-1", False)
    assert hook._config.read_timeout == 7


def test_a_release_takes_the_operators_default_connection_where_nobody_names_one(dag: DAG) -> None:
    with pool():
        SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand(parameters=[{}])
    release = dag.task_dict["g.release_warm_pool"]
    assert (release.aws_conn_id, release.region_name) == ("aws_default", None)


def mapped_beside(first: dict[str, Any], mapped: dict[str, Any], **group: Any) -> None:
    with pool(**group):
        notebook("first", **first)
        SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb", **mapped).expand(parameters=[{}])


def test_a_mapped_task_has_the_machine_that_it_names(dag: DAG) -> None:
    with pytest.raises(NotebookJobConfigError, match=r"instance_type is 'ml\.g5\.xlarge'"):
        mapped_beside({"instance_type": "ml.m5.large"}, {"instance_type": "ml.g5.xlarge"})


def test_a_mapped_task_without_a_word_on_its_machine_has_that_of_default_args(dag: DAG) -> None:
    with pytest.raises(NotebookJobConfigError, match="volume_size is 31"):
        mapped_beside({"volume_size": 30}, {}, default_args={"volume_size": 31})


@pytest.mark.parametrize("over", [[], "output"], ids=["nothing", "an output"])
@pytest.mark.parametrize("how", ["expand", "expand_kwargs"])
def test_machines_that_only_the_run_knows_are_left_to_it(dag: DAG, how: str, over: Any) -> None:
    values = Sql(task_id="source").output if over == "output" else over
    with pool(instance_type="ml.m5.large"):
        notebook("first")
        mapped = SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb")
        if how == "expand":
            mapped.expand(instance_type=values)
        else:
            mapped.expand_kwargs(values)
    assert "g.release_warm_pool" in dag.task_dict


def test_one_of_several_dictionaries_takes_what_the_task_says(dag: DAG) -> None:
    with pytest.raises(NotebookJobConfigError, match=r"instance_type is 'ml\.g5\.xlarge'"), pool():
        SageMakerNotebookJobOperator.partial(
            task_id="m", input_notebook="m.ipynb", instance_type="ml.g5.xlarge"
        ).expand_kwargs([{"instance_type": "ml.m5.large"}, {"parameters": {"a": 1}}])


@pytest.mark.parametrize("period", [None, 0, "0", timedelta(0)], ids=str)
def test_no_period_no_release(dag: DAG, period: Any) -> None:
    with NotebookTaskGroup("g", keep_alive_period_in_seconds=period):
        notebook("t")
    assert set(dag.task_dict) == {"g.t"}


def test_groups_without_prefix_have_a_release_each(dag: DAG) -> None:
    for name in ("one", "two"):
        with NotebookTaskGroup(name, prefix_group_id=False, keep_alive_period_in_seconds=60):
            notebook(f"task_of_{name}")
    assert {"one_release_warm_pool", "two_release_warm_pool"} <= set(dag.task_dict)


DIFFERENT = [
    ("instance_type", "ml.m5.large", "ml.g5.xlarge"),
    ("volume_size", 30, "31"),
    ("role", "one", "other"),
    ("volume_kms_key", "alias/one", "alias/other"),
    ("subnets", ["subnet-1"], "subnet-2"),
    ("security_group_ids", ["sg-1"], ["sg-1", "sg-2"]),
    ("encrypt_inter_container_traffic", True, "false"),
    ("enable_network_isolation", False, True),
    ("aws_conn_id", "one", "other"),
    ("region_name", "eu-west-1", "us-east-1"),
]


@pytest.mark.parametrize(("name", "one", "other"), DIFFERENT, ids=[name for name, *_ in DIFFERENT])
def test_a_notebook_that_could_not_share_the_machine_is_named(dag: DAG, name: str, one: Any, other: Any) -> None:
    with pytest.raises(NotebookJobConfigError) as caught, pool(**{name: one}):
        notebook("first") >> notebook("second", **{name: other})
    (problem,) = caught.value.problems
    assert problem.startswith(f"task 'g.second' ({FILE}, line ")
    assert f"its {name} is " in problem
    assert "that of task 'g.first' (" in problem
    assert "keep_alive_period_in_seconds=None" in problem


def test_all_that_could_not_share_are_named_at_once(dag: DAG) -> None:
    machines: dict[str, dict[str, Any]] = {
        "first": {},
        "second": {"instance_type": "ml.g5.xlarge", "volume_size": 99},
        "third": {"extra_request": {"ResourceConfig": {"InstanceCount": 2}}},
    }
    with pytest.raises(NotebookJobConfigError) as caught, pool():
        [notebook(name, **arguments) for name, arguments in machines.items()]
    found = "\n".join(caught.value.problems)
    assert [name in found for name in ("instance_type is 'ml.g5.xlarge'", "volume_size is 99", "InstanceCount")] == [
        True
    ] * 3
    assert len(caught.value.problems) == 3


SAME = [
    ("volume_size", 30, "30"),
    ("subnets", ["subnet-1", "subnet-2"], "subnet-2, subnet-1"),
    ("encrypt_inter_container_traffic", True, "yes"),
    ("instance_type", "ml.m5.large", ["ml.m5.large"]),
    ("instance_type", "ml.m5.large", "{{ params.type }}"),
    ("role", "one", "{{ var.value.role }}"),
    ("role", None, "one"),
    ("image_uri", "a.example/b:1", "a.example/b:2"),
    ("extra_request", None, {"ResourceConfig": {"InstanceCount": 1}, "Environment": {"A": "1"}}),
]


@pytest.mark.parametrize(("name", "one", "other"), SAME, ids=[f"{name}-{other}" for name, _, other in SAME])
def test_what_is_or_may_be_the_same_machine_passes(dag: DAG, name: str, one: Any, other: Any) -> None:
    with pool(**{name: one}):
        notebook("first")
        notebook("second", **{name: other})
    assert "g.release_warm_pool" in dag.task_dict


def test_another_tasks_output_may_be_any_machine(dag: DAG) -> None:
    source = Sql(task_id="source")
    with pool(instance_type="ml.m5.large"):
        notebook("first")
        notebook("second", instance_type=source.output)
    assert "g.release_warm_pool" in dag.task_dict


@pytest.mark.parametrize(
    ("expand", "is_refused"),
    [
        ({"instance_type": ["ml.m5.large", "ml.g5.xlarge"]}, True),
        ({"instance_type": ["ml.g5.xlarge", "ml.g5.xlarge"]}, True),
        ({"instance_type": ["ml.m5.large"]}, False),
        ({"parameters": [{"a": 1}]}, False),
    ],
    ids=str,
)
def test_mapping_over_machines(dag: DAG, expand: dict[str, Any], is_refused: bool) -> None:
    def make() -> None:
        with pool(instance_type="ml.m5.large"):
            notebook("first")
            SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand(**expand)

    if not is_refused:
        make()
        return
    with pytest.raises(NotebookJobConfigError) as caught:
        make()
    assert "task 'g.m'" in caught.value.problems[0]
    assert "instance_type is 'ml.g5.xlarge'" in caught.value.problems[0]


def test_dictionaries_of_machines_to_map_over(dag: DAG) -> None:
    with pytest.raises(NotebookJobConfigError, match=r"instance_type is 'ml\.g5\.xlarge'"), pool():
        SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="m.ipynb").expand_kwargs(
            [{"instance_type": "ml.m5.large"}, {"instance_type": "ml.g5.xlarge"}]
        )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"enable_managed_spot_training": True}, "spot capacity"),
        ({"extra_request": {"EnableManagedSpotTraining": "true"}}, "spot capacity"),
        ({"wait_for_completion": False}, "does not wait for its job"),
    ],
    ids=str,
)
@pytest.mark.parametrize("of", ["group", "task"])
def test_what_no_pool_can_keep_is_an_error_at_parse(dag: DAG, arguments: dict[str, Any], text: str, of: str) -> None:
    with pytest.raises(NotebookJobConfigError) as caught, pool(**(arguments if of == "group" else {})):
        notebook("t", **(arguments if of == "task" else {}))
    assert len(caught.value.problems) == 1
    assert "task 'g.t'" in caught.value.problems[0]
    assert text in caught.value.problems[0]


def test_a_task_that_comes_after_the_block_is_told_so(dag: DAG) -> None:
    with pool() as group:
        notebook("first")
    with pytest.raises(NotebookJobConfigError, match=r"'g\.late' .* joins group 'g' after its block"):
        notebook("late", task_group=group)
    with NotebookTaskGroup("h", parameters={"a": 1}, role="r") as group:
        pass
    late = SageMakerNotebookJobOperator.partial(task_id="late", input_notebook="l.ipynb", task_group=group).expand(
        parameters=[{"b": 1}]
    )
    assert late.partial_kwargs["role"] == "r"
    assert instance(late, parameters={"b": 1}).parameters == {"a": 1, "b": 1}


def test_an_error_in_the_block_is_not_hidden_and_the_context_is_left(dag: DAG) -> None:
    with pytest.raises(KeyError), pool():
        raise KeyError("x")
    with pytest.raises(NotebookJobConfigError), NotebookTaskGroup("h", keep_alive_period_in_seconds=60):
        notebook("t", enable_managed_spot_training=True)
    assert notebook("outside").task_id == "outside"
