"""The operator in a DAG: its arguments, templates, serialised form and links."""

import inspect
import warnings

import msgspec
import pytest
from airflow_names import AirflowFailException, DagSerialization
from operator_tasks import Tasks, new_dag

from airflow_nbjobs.core.errors import (
    NotebookJobConfigError,
)
from airflow_nbjobs.core.job.arguments import JobArguments
from airflow_nbjobs.operators import SageMakerNotebookJobOperator
from airflow_nbjobs.task.template_fields import JOB_ARGUMENTS

STEP_ARGUMENTS = [
    "input_notebook",
    "image_uri",
    "kernel_name",
    "name",
    "display_name",
    "description",
    "notebook_job_name",
    "role",
    "s3_root_uri",
    "parameters",
    "environment_variables",
    "initialization_script",
    "s3_kms_key",
    "instance_type",
    "volume_size",
    "volume_kms_key",
    "encrypt_inter_container_traffic",
    "security_group_ids",
    "subnets",
    "max_retry_attempts",
    "max_runtime_in_seconds",
    "tags",
    "additional_dependencies",
    "retry_policies",
    "depends_on",
]


@pytest.fixture
def dag(tmp_path):
    return new_dag(tmp_path)


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


def test_the_arguments_of_a_notebookjobstep_can_be_pasted():
    assert set(STEP_ARGUMENTS) <= set(inspect.signature(SageMakerNotebookJobOperator).parameters)


def test_every_template_field_is_an_argument_that_init_assigns_unmodified(dag):
    """Airflow renders the attribute after ``__init__``; anything read or changed before that sees the template."""
    given = {name: f"{{{{ {name} }}}}" for name in SageMakerNotebookJobOperator.template_fields}
    operator = SageMakerNotebookJobOperator(task_id="t", dag=dag, **given)
    assert {name: getattr(operator, name) for name in operator.template_fields} == given


def test_every_job_argument_is_a_template_field_of_the_signature():
    parameters = inspect.signature(SageMakerNotebookJobOperator).parameters
    assert set(JOB_ARGUMENTS) <= set(SageMakerNotebookJobOperator.template_fields) <= set(parameters)
    assert {field.name for field in msgspec.structs.fields(JobArguments)} == {
        *JOB_ARGUMENTS,
        "outputs",
        "return_output",
    }


def test_a_task_renders_and_stores_what_it_was_given_and_what_pages_need(dag):
    """Each template field of each task costs every parse of its DAG file."""
    operator = SageMakerNotebookJobOperator(
        task_id="t", dag=dag, input_notebook="nb.ipynb", instance_type="{{ var.value.size }}", volume_size=31
    )
    given = {"input_notebook", "instance_type", "volume_size"}
    pages = {"initialization_script", "s3_root_uri", "aws_conn_id", "region_name", "verify"}
    assert set(operator.template_fields) == given | pages


def test_what_is_assigned_after_init_is_a_template_field_and_a_dependency(dag):
    first = SageMakerNotebookJobOperator(task_id="first", dag=dag, input_notebook="nb.ipynb")
    second = SageMakerNotebookJobOperator(task_id="second", dag=dag, input_notebook="nb.ipynb")
    second.parameters = {"image": first.output["image"]}
    assert "parameters" in second.template_fields
    assert second.upstream_task_ids == {"first"}


def test_a_mapped_task_has_every_template_field(dag):
    """Which ones its instances will be given is known when it expands."""
    mapped = SageMakerNotebookJobOperator.partial(task_id="t", dag=dag, input_notebook="nb.ipynb").expand(
        instance_type=["ml.m5.large", "ml.m5.xlarge"]
    )
    assert mapped.template_fields == SageMakerNotebookJobOperator.template_fields


def test_a_notebooks_path_is_never_taken_for_a_template_file():
    assert SageMakerNotebookJobOperator.template_ext == ()


@pytest.mark.parametrize(("argument", "instead"), [("retry_policies", "retries"), ("depends_on", ">>")])
def test_what_only_pipelines_have_is_refused_with_airflows_way(argument, instead):
    with pytest.raises(TypeError, match=f"{argument} .*Pipelines'.*{instead}"):
        SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", **{argument: []})


def test_display_name_and_description_are_airflows(dag):
    operator = SageMakerNotebookJobOperator(
        task_id="t", dag=dag, input_notebook="nb.ipynb", display_name="Train it", description="What for"
    )
    assert (operator.task_display_name, operator.doc) == ("Train it", "What for")


def test_it_defers_whatever_the_default_of_airflow_says(monkeypatch, dag):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", "False")
    assert SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb").deferrable is True


def test_a_dag_with_the_operator_serialises_without_a_warning(dag, monkeypatch):
    # Whoever reads DAGs as Airflow's scheduler does leaves links out for its whole process: other tests do in this one.
    monkeypatch.setattr(DagSerialization, "_load_operator_extra_links", True)
    with dag:
        train = SageMakerNotebookJobOperator(
            task_id="t",
            input_notebook="nb.ipynb",
            parameters={"epochs": 3, "day": "{{ ds }}"},
            outputs={"accuracy": float},
            retries=2,
        )
        SageMakerNotebookJobOperator(
            task_id="next", input_notebook="nb.ipynb", parameters={"a": train.output["accuracy"]}
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    task = read.task_dict["t"]
    assert task.parameters == {"epochs": 3, "day": "{{ ds }}"}
    assert {link.xcom_key for link in task.operator_extra_links} == {
        "_link_nbjobs_console",
        "_link_nbjobs_logs",
        "_link_nbjobs_executed_notebook",
        "_link_nbjobs_studio",
    }
    assert read.task_dict["next"].upstream_task_ids == {"t"}


def test_it_can_be_mapped_over_parameters(dag):
    with dag:
        SageMakerNotebookJobOperator.partial(task_id="m", input_notebook="nb.ipynb", outputs=["x"]).expand(
            parameters=[{"a": 1}, {"a": 2}]
        )
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert read.task_dict["m"].is_mapped


def test_each_output_is_an_xcom_of_its_own_key(task):
    assert task().output["accuracy"].key == "accuracy"


def test_a_template_of_a_date_that_the_run_does_not_have_says_what_to_write_instead(task):
    """Runs that were triggered by hand have no logical date; jinja alone says only that 'ds' is undefined."""
    context = {"logical_date": None}
    with pytest.raises(NotebookJobConfigError, match="'ds' does not exist") as caught:
        task().render_template("{{ ds }}", context, task.dag.get_template_env())
    assert isinstance(caught.value, AirflowFailException)
    assert "dag_run.run_after" in str(caught.value)


def test_every_argument_is_kept_under_its_own_name(dag):
    """Pages, groups and subclasses read them; two that are exchanged would run another job than was asked for."""
    parameters = inspect.signature(SageMakerNotebookJobOperator.__init__).parameters
    elsewhere = {"self", "kwargs", "display_name", "description", "retry_policies", "depends_on"}
    given = {name: f"value of {name}" for name in parameters if name not in elsewhere}
    operator = SageMakerNotebookJobOperator(task_id="t", dag=dag, **given)
    assert {name: getattr(operator, name) for name in given} == given


def test_what_is_not_given_is_the_documented_default(dag):
    operator = SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb")
    on = ("stop_on_kill", "retry_on_cell_error", "wait_for_completion", "deferrable")
    off = ("enable_managed_spot_training", "enable_network_isolation", "install_driver", "lineage_parent")
    assert [getattr(operator, name) for name in (*on, *off)] == [True] * len(on) + [False] * len(off)
    assert (operator.instance_type, operator.volume_size, operator.aws_conn_id) == ("ml.m5.large", 30, "aws_default")
    assert (operator.unknown_parameters, operator.missing_dependencies) == ("error", "error")
    empty = (
        "parameters",
        "outputs",
        "live_notebook",
        "stream_logs",
        "cell_output_in_logs",
        "keep_alive_period_in_seconds",
    )
    assert [getattr(operator, name) for name in empty] == [None] * len(empty)


def test_the_connection_is_opened_as_asked_and_once(dag):
    operator = SageMakerNotebookJobOperator(
        task_id="t",
        dag=dag,
        input_notebook="nb.ipynb",
        aws_conn_id="aws_acme",
        region_name="eu-west-1",
        verify=False,
        botocore_config={"read_timeout": 7},
    )
    hook = operator.hook
    assert (hook.aws_conn_id, hook._region_name, hook._verify, hook._config.read_timeout) == (
        *("aws_acme", "eu-west-1", False),
        7,
    )
    assert operator.hook is hook


def test_airflows_own_names_win_over_the_steps(dag):
    operator = SageMakerNotebookJobOperator(
        task_id="t",
        dag=dag,
        input_notebook="nb.ipynb",
        display_name="Step",
        task_display_name="Airflow",
        description="step",
        doc="airflow",
    )
    assert (operator.task_display_name, operator.doc) == ("Airflow", "airflow")
    plain = SageMakerNotebookJobOperator(task_id="plain", dag=dag, input_notebook="nb.ipynb")
    assert (plain.task_display_name, plain.doc) == ("plain", None)


@pytest.mark.parametrize("argument", ["retry_policies", "depends_on"])
def test_what_only_pipelines_have_is_found_in_default_args_and_said_to_be_there(argument):
    with pytest.raises(TypeError, match=rf"{argument} \(from default_args\) is an argument of SageMaker Pipelines"):
        SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", default_args={argument: []})
    with pytest.raises(TypeError, match=rf"^{argument} is an argument of SageMaker Pipelines"):
        SageMakerNotebookJobOperator(task_id="t", input_notebook="nb.ipynb", **{argument: []})


def test_a_task_that_has_not_begun_has_nothing_to_stop(dag):
    SageMakerNotebookJobOperator(task_id="t", dag=dag, input_notebook="nb.ipynb").on_kill()


def test_the_jobs_arguments_are_the_tasks_own(dag):
    operator = SageMakerNotebookJobOperator(
        task_id="t",
        dag=dag,
        input_notebook="nb.ipynb",
        outputs={"accuracy": float},
        return_output="accuracy",
        parameters={"a": 1},
        volume_size=31,
    )
    arguments = operator.job_arguments()
    assert (arguments.outputs, arguments.return_output, arguments.parameters) == (
        {"accuracy": float},
        "accuracy",
        {"a": 1},
    )
    assert (arguments.input_notebook, arguments.volume_size, arguments.role) == ("nb.ipynb", 31, None)
