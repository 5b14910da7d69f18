"""What a task was given, in forms that no template renders, or by ``default_args`` that meant another operator."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import TaskGroup
from fakes import ACCOUNT_ID, KNOWS_PREFERENCES, REGION, task_context
from operator_tasks import defer

from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.settings import Settings
from airflow_nbjobs.task.arguments import add_sources
from airflow_nbjobs.task_groups import NotebookTaskGroup


@pytest.fixture
def problems(task):
    """What is wrong with a task of these arguments."""

    def refused(operator):
        operator._hook = task.hook
        with pytest.raises(NotebookJobConfigError) as caught:
            operator.execute(task_context())
        assert task.clients.wrote_nothing
        return list(caught.value.problems)

    return refused


@pytest.mark.parametrize("delay", [7, 7.0, "7", "7.0", timedelta(seconds=7), "0:00:07", "PT7S"])
def test_the_delay_between_two_looks_may_be_a_timedelta_or_a_text(task, delay):
    deferred = defer(task(waiter_delay=delay), task_context())
    assert deferred.trigger.waiter_delay == 7
    assert isinstance(deferred.trigger.waiter_delay, float)


def test_a_flag_may_be_a_text(task):
    """YAML and configuration hold texts, and the text 'False' is true to Python."""
    assert task(wait_for_completion="False").execute(task_context())["status"] == "InProgress"


def test_a_flag_is_a_text_in_the_process_that_resumes_too(task):
    operator = task(stop_on_kill="off", retry_on_cell_error="no", waiter_delay="PT7S")
    with pytest.raises(Exception, match="x"):
        operator.execute_complete(task_context(), {})
    assert (operator.stop_on_kill, operator.retry_on_cell_error, operator.waiter_delay) == (False, False, 7)


@pytest.mark.parametrize("empty", ["", " ", "None"])
def test_an_empty_text_leaves_the_default(task, empty):
    operator = task(waiter_delay=empty, capacity_timeout=empty, stop_on_kill=empty, deferrable=empty)
    assert defer(operator, task_context()).trigger.waiter_delay == defaults.WAITER_DELAY
    assert (operator.capacity_timeout, operator.stop_on_kill) == (defaults.CAPACITY_TIMEOUT, True)


def test_none_sets_no_flag(task):
    assert task(wait_for_completion=None).execute(task_context())["status"] == "InProgress"


def test_all_that_is_wrong_is_said_at_once(task, problems):
    operator = task(
        waiter_delay="soon",
        stop_on_kill="perhaps",
        deferrable="never",
        capacity_timeout="a while",
        instance_type="big",
        stream_logs="x",
    )
    assert sorted(problem.partition(":")[0] for problem in problems(operator)) == [
        "capacity_timeout",
        "deferrable",
        "instance_type",
        "stop_on_kill",
        "stream_logs",
        "waiter_delay",
    ]


IMAGE = f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1"
WRONG = {"tags": ["etl"], "role": "arn:aws:iam::1:user/x", "name": 5, "parameters": {"compnay": 1}}


def begins(problems):
    return sorted(problem.partition(": ")[0] for problem in problems)


def test_a_wrong_value_of_the_dags_default_args_is_told_from_there(task, problems):
    task.dag.default_args.update(WRONG)
    operator = SageMakerNotebookJobOperator(
        task_id="t",
        dag=task.dag,
        input_notebook="nb.ipynb",
        image_uri="nb",
        s3_root_uri="s3://bucket/x",
    )
    found = problems(operator)
    where = "(from default_args of DAG 'd')"
    assert {text for text in begins(found) if where in text} == {f"{name} {where}" for name in ("name", "role", "tags")}
    assert [text for text in found if text.startswith("image_uri")] == [
        text for text in found if text.startswith("image_uri: ")
    ]
    (unknown,) = [text for text in found if "compnay" in text]
    assert unknown.endswith("(parameters come from default_args of DAG 'd')")


def test_what_the_task_was_given_itself_is_told_from_nowhere(task, problems):
    task.dag.default_args.update(WRONG)
    found = problems(task(tags=["other"], role="a/b", name=6, parameters={"other": 1}))
    assert len(found) == 4
    assert not [text for text in found if "default_args" in text]


def test_values_that_cannot_be_compared_hide_no_problem(task, problems):
    """Two arrays are neither equal nor not."""
    import numpy as np

    task.dag.default_args.update(parameters={"x": np.array([1, 2])})
    (problem,) = problems(task(parameters={"x": np.array([1, 2])}))
    assert "ndarray" in problem
    assert "default_args" not in problem


def test_the_group_is_named_whose_default_args_count(task, problems):
    task.dag.default_args.update(tags=["of the DAG"], role="a/b", name=5)
    with (
        task.dag,
        TaskGroup("outer", default_args={"tags": ["etl"], "name": 6}),
        TaskGroup("inner", default_args={"name": 7}),
    ):
        operator = SageMakerNotebookJobOperator(
            task_id="t", input_notebook="nb.ipynb", image_uri=IMAGE, s3_root_uri="s3://bucket/x"
        )
    assert begins(problems(operator)) == [
        "name (from default_args of task group 'outer.inner')",
        "role (from default_args of DAG 'd')",
        "tags (from default_args of task group 'outer')",
    ]


def test_the_group_is_named_whose_argument_counts(task, problems):
    task.dag.default_args.update(role="a/b")
    with task.dag, NotebookTaskGroup("outer", role="a/c"), NotebookTaskGroup("inner", name=7):
        operator = SageMakerNotebookJobOperator(
            task_id="t", input_notebook="nb.ipynb", image_uri=IMAGE, s3_root_uri="s3://bucket/x"
        )
    assert begins(problems(operator)) == [
        "name (from NotebookTaskGroup 'outer.inner')",
        "role (from NotebookTaskGroup 'outer')",
    ]


def test_a_template_in_default_args_is_known_again_after_it_is_rendered(task, problems):
    task.dag.default_args["instance_type"] = "{{ size }}"
    given = {"image_uri": IMAGE, "role": "Jobs", "s3_root_uri": "s3://bucket/x"}
    made = SageMakerNotebookJobOperator(task_id="u", dag=task.dag, input_notebook="nb.ipynb", **given)
    running = made.prepare_for_execution()
    running.render_template_fields({"size": "big"}, task.dag.get_template_env())
    (problem,) = problems(running)
    assert problem.startswith("instance_type (from default_args of DAG 'd'): 'big' is not an instance type")


def test_a_mapped_task_takes_default_args_as_well(task, problems):
    task.dag.default_args["tags"] = ["etl"]
    given = {"image_uri": IMAGE, "role": "Jobs", "s3_root_uri": "s3://bucket/x"}
    mapped = SageMakerNotebookJobOperator.partial(task_id="m", dag=task.dag, input_notebook="nb.ipynb", **given).expand(
        instance_type=["ml.m5.large"]
    )
    running = mapped.unmap({"instance_type": "ml.m5.large"})
    (problem,) = problems(running)
    assert problem.startswith("tags (from default_args of DAG 'd'): must be a dictionary")


def test_a_wrong_default_of_the_organisation_is_told_from_there(task, problems, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__IMAGE_URI", "nb")
    task.hook.connection_extra = {"nbjobs": {"role": "a/b", "tags": ["etl"]}}
    found = problems(task(image_uri=None, role=None, tags={"a": "b"}))
    connection = "'nbjobs' in the AWS connection's extra"
    assert begins(found) == [
        "image_uri (from [nbjobs] image_uri)",
        f"role (from {connection})",
        f"tags (from {connection})",
    ]


def test_a_role_that_aws_does_not_know_is_told_from_where_it_comes(task):
    """``role`` of a database operator is a name that a role of AWS may have."""
    task.dag.default_args["role"] = "db_reader"
    operator = SageMakerNotebookJobOperator(
        task_id="t", dag=task.dag, input_notebook="nb.ipynb", image_uri=IMAGE, s3_root_uri="s3://bucket/x"
    )
    operator._hook = task.hook

    def unknown(name):
        raise NotebookJobServiceError(f"NoSuchEntity on iam:GetRole for '{name}'", code="NoSuchEntity")

    task.clients.account.role_arn = unknown
    with pytest.raises(NotebookJobServiceError) as caught:
        operator.execute(task_context())
    assert caught.value.details["given"] == "role comes from default_args of DAG 'd'"


@pytest.mark.parametrize(
    ("problems", "said", "details"),
    [
        (["role: 'x' is none"], ("role (from [nbjobs] role): 'x' is none",), {}),
        (["5 is odd"], ("5 is odd",), {}),
        ([], (), {"given": "role comes from [nbjobs] role"}),
    ],
)
def test_an_error_is_told_once_where_its_values_come_from(problems, said, details):
    error = NotebookJobConfigError("role 'x' does not exist", problems=problems)
    settings = Settings(job_defaults={"role": "x"}, deployment="", places={"role": "[nbjobs] role"})
    outer = SimpleNamespace(dag=SimpleNamespace(task_dict={}, default_args={}), task_id="t")
    add_sources(error, outer, settings, JobArguments())
    assert (tuple(error.problems), error.details) == (said, details)


def test_an_error_that_names_no_value_is_told_nothing_of_any():
    error = NotebookJobConfigError("the bucket does not exist")
    settings = Settings(job_defaults={"role": "x-role"}, deployment="", places={"role": "[nbjobs] role"})
    add_sources(error, SimpleNamespace(dag=None, task_id="t"), settings, JobArguments())
    assert "given" not in error.details


@pytest.mark.parametrize("argument", ["retry_policies", "depends_on"])
def test_what_only_pipelines_have_is_told_from_default_args_too(task, argument):
    task.dag.default_args[argument] = ["x"]
    with pytest.raises(TypeError, match=rf"{argument} \(from default_args\) is an argument of SageMaker Pipelines'"):
        SageMakerNotebookJobOperator(task_id="t", dag=task.dag, input_notebook="nb.ipynb")


@pytest.mark.parametrize("is_native", [False, True])
def test_variables_and_tags_are_rendered_to_the_texts_that_were_written(task, is_native):
    """Native rendering makes 1.1 of '1.10', and nothing at the service would say so."""
    task.dag.render_template_as_native_obj = is_native
    written = {"VERSION": "1.10", "GROUPED": "1_000", "ZIP": "01234", "DAY": "20261122", "FLAG": "True", "NONE": "None"}
    templates = {name: f"{{{{ params.{name} }}}}" for name in written}
    operator = task(
        environment_variables=templates | {"ROWS": 5, "LINK": "a/{{ params.ZIP }}"},
        tags=[{"Key": name, "Value": template} for name, template in templates.items()],
        extra_request={"ResourceConfig": {"VolumeSizeInGB": "{{ params.DAY[:2] }}"}},
    )
    operator.render_template_fields({"params": written}, task.dag.get_template_env())
    defer(operator, task_context())
    (request,) = task.clients.jobs.requests.values()
    environment, tags = request["Environment"], {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    assert {name: environment[name] for name in written} == {name: tags[name] for name in written} == written
    assert (environment["ROWS"], environment["LINK"]) == ("5", "a/01234")
    assert request["ResourceConfig"]["VolumeSizeInGB"] == 20


@pytest.mark.parametrize("is_native", [False, True])
def test_whole_arguments_may_be_templates(task, is_native):
    task.dag.render_template_as_native_obj = is_native
    operator = task(
        environment_variables="{{ params.variables }}",
        tags="{{ params.tags }}",
        instance_type="{{ params.types }}",
        subnets="{{ params.subnets }}",
        security_group_ids=["{{ params.groups }}"],
        max_runtime_in_seconds="{{ params.runtime }}",
        extra_request="{{ params.extra }}",
    )
    params = {
        "variables": {"ROWS": 5, "NAME": "x"},
        "tags": [{"Key": "cost", "Value": "7"}],
        "types": ["ml.g5.xlarge", "ml.m5.large"],
        "subnets": ("subnet-1", "subnet-2"),
        "groups": "sg-1,sg-2",
        "runtime": timedelta(hours=30),
        "extra": {"ResourceConfig": {"VolumeSizeInGB": "20"}},
    }
    operator.render_template_fields({"params": params}, task.dag.get_template_env())
    defer(operator, task_context())
    (request,) = task.clients.jobs.requests.values()
    assert (request["Environment"]["ROWS"], request["Environment"]["NAME"]) == ("5", "x")
    assert {"Key": "cost", "Value": "7"} in request["Tags"]
    assert request["VpcConfig"] == {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1", "sg-2"]}
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 30 * 3600
    resources = request["ResourceConfig"]
    assert resources["VolumeSizeInGB"] == 20
    asked = [one["InstanceType"] for one in resources.get("InstancePreferences", [resources])]
    assert asked == params["types"][: None if KNOWS_PREFERENCES else 1]


def test_a_template_of_a_missing_date_in_a_variable_says_what_to_write_instead(task):
    operator = task(environment_variables={"DAY": "{{ ds }}"})
    with pytest.raises(NotebookJobConfigError, match="'ds' does not exist"):
        operator.render_template_fields({"logical_date": None}, task.dag.get_template_env())
