"""The operator: its surface in a DAG, and one run of a task against the services' stateful fakes."""

import inspect
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.serialization.serialized_objects import DagSerialization
from fakes import ACCOUNT_ID, REGION, FakeHook, archive, code, executed, failed_at, notebook, task_context

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
)
from airflow_nbjobs.operators import _JOB_ARGUMENTS, SageMakerNotebookJobOperator

RAW = notebook(code("epochs = 1", "parameters"), "accuracy = 0.5", "splits = [1, 2]")
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
    dag = DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    dag.fileloc = str(tmp_path / "dag.py")
    (tmp_path / "nb.ipynb").write_bytes(RAW)
    return dag


@pytest.fixture
def hook():
    return FakeHook()


@pytest.fixture
def clients(hook):
    return hook.clients


@pytest.fixture
def task(dag, hook):
    """Makes a task of the DAG whose connection leads to the fakes."""

    def make(**arguments):
        given = {
            "task_id": "t",
            "dag": dag,
            "input_notebook": "nb.ipynb",
            "image_uri": f"{ACCOUNT_ID}.dkr.ecr.{REGION}.amazonaws.com/nb:1",
            "role": f"arn:aws:iam::{ACCOUNT_ID}:role/NotebookJobs",
            "s3_root_uri": "s3://bucket/nbjobs",
            "waiter_delay": 0,
        }
        operator = SageMakerNotebookJobOperator(**given | arguments)
        operator._hook = hook
        return operator

    return make


def defer(operator, context):
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    return caught.value


def end(clients, status="Completed", *, secondary=None, reason="", ran=None):
    """Let the one job end, leaving that executed notebook behind."""
    (job_name,) = clients.jobs.descriptions
    clients.jobs.set_status(job_name, status, secondary, reason)
    if ran is not None:
        uri = f"s3://bucket/nbjobs/{job_name}/output/output.tar.gz"
        clients.objects.bodies[uri] = archive({f"{job_name}.ipynb": ran})
    return job_name


def event_of(deferred, **fields):
    trigger = deferred.trigger
    return {
        "version": 1,
        "job_name": trigger.job_name,
        "attempt": trigger.attempt,
        "was_adopted": trigger.was_adopted,
        "status": "Completed",
        "secondary_status": "Completed",
        "error": None,
    } | fields


# -- surface -----------------------------------------------------------------------------------------------------------


def test_the_arguments_of_a_notebookjobstep_can_be_pasted():
    assert set(STEP_ARGUMENTS) <= set(inspect.signature(SageMakerNotebookJobOperator).parameters)


def test_every_template_field_is_an_argument_that_init_assigns_unmodified(dag):
    """Airflow renders the attribute after ``__init__``; anything read or changed before that sees the template."""
    given = {name: f"{{{{ {name} }}}}" for name in SageMakerNotebookJobOperator.template_fields}
    operator = SageMakerNotebookJobOperator(task_id="t", dag=dag, **given)
    assert {name: getattr(operator, name) for name in operator.template_fields} == given


def test_every_job_argument_is_a_template_field_of_the_signature():
    parameters = inspect.signature(SageMakerNotebookJobOperator).parameters
    assert set(_JOB_ARGUMENTS) <= set(SageMakerNotebookJobOperator.template_fields) <= set(parameters)


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


def test_a_dag_with_the_operator_serialises_without_a_warning(dag):
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


def test_a_template_of_a_date_that_the_run_does_not_have_says_what_to_write_instead(task, dag):
    """Runs that were triggered by hand have no logical date; jinja alone says only that 'ds' is undefined."""
    context = {"logical_date": None}
    with pytest.raises(NotebookJobConfigError, match="'ds' does not exist") as caught:
        task().render_template("{{ ds }}", context, dag.get_template_env())
    assert isinstance(caught.value, AirflowFailException)
    assert "dag_run.run_after" in str(caught.value)


# -- first leg ---------------------------------------------------------------------------------------------------------


def test_it_submits_pushes_what_links_need_and_then_defers(task, clients):
    operator, context = task(parameters={"epochs": 3}), task_context()
    deferred = defer(operator, context)
    (job_name,) = clients.jobs.descriptions
    assert clients.jobs.calls == [("create", job_name)]
    assert (deferred.trigger.job_name, deferred.method_name, deferred.timeout) == (job_name, "execute_complete", None)
    job = context["ti"].xcoms["nbjobs_job"]
    assert list(context["ti"].xcoms) == ["nbjobs_job"]
    assert (job["job_name"], job["attempt"], job["was_adopted"], job["region"]) == (job_name, 0, False, REGION)
    assert job["console_url"].endswith(f"#/jobs/{job_name}")
    assert job["executed_notebook_uri"] == f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"


def test_the_job_is_told_and_tagged_with_where_it_runs(task, clients):
    defer(task(), task_context(map_index=3, try_number=1))
    (request,) = clients.jobs.requests.values()
    environment = request["Environment"]
    assert environment["NBJOBS_DAG_ID"] == "d"
    assert environment["NBJOBS_MAP_INDEX"] == "3"
    assert "NBJOBS_DATA_INTERVAL_START" not in environment, "this run has none"
    assert {"Key": "airflow:task_id", "Value": "t"} in request["Tags"]
    assert request["TrainingJobName"].startswith("d-t-")


def test_what_is_left_of_execution_timeout_bounds_the_wait_and_the_job(task, clients):
    context = task_context()
    context["ti"].start_date -= timedelta(minutes=10)
    deferred = defer(task(execution_timeout=timedelta(minutes=30)), context)
    assert timedelta(minutes=19) < deferred.timeout <= timedelta(minutes=20)
    (request,) = clients.jobs.requests.values()
    assert 19 * 60 < request["StoppingCondition"]["MaxRuntimeInSeconds"] <= 20 * 60


def test_a_shorter_runtime_of_the_users_stays(task, clients):
    defer(task(execution_timeout=timedelta(hours=5), max_runtime_in_seconds="60"), task_context())
    (request,) = clients.jobs.requests.values()
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == 60


def test_without_waiting_it_returns_the_job(task, clients):
    context = task_context()
    value = task(wait_for_completion=False).execute(context)
    (job_name,) = clients.jobs.descriptions
    assert value["job_name"] == job_name
    assert value["status"] == "InProgress"
    assert "nbjobs_job" in context["ti"].xcoms


def test_a_wrong_argument_fails_the_task_without_a_retry_and_writes_nothing(task, clients):
    with pytest.raises(NotebookJobConfigError) as caught:
        task(instance_type="big", role=None).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)
    assert len(caught.value.problems) == 2
    assert clients.wrote_nothing


def test_no_region_no_credentials_and_a_wrong_argument_are_one_error(task):
    """With the real connection code, on a machine that has neither."""
    operator = task(aws_conn_id=None, instance_type="big")
    operator._hook = None
    with pytest.raises(NotebookJobConfigError) as caught:
        operator.execute(task_context())
    first, second, third = caught.value.problems
    assert first.startswith("no AWS region is configured; set region_name on the task")
    assert second.startswith("no AWS credentials were found; give the AWS connection")
    assert third.startswith("instance_type")


def test_defaults_of_the_connection_fill_in_and_an_argument_wins(task, clients, hook):
    hook.connection_extra = {
        "nbjobs": {"role": "arn:aws:iam::123456789012:role/Default", "s3_root_uri": "s3://other/x"}
    }
    defer(task(role=None), task_context())
    (request,) = clients.jobs.requests.values()
    assert request["RoleArn"].endswith("role/Default")
    assert request["OutputDataConfig"]["S3OutputPath"] == "s3://bucket/nbjobs"


def test_a_retry_adopts_the_running_job(task, clients):
    defer(task(retries=2), task_context(max_tries=2))
    context = task_context(try_number=2, max_tries=2)
    deferred = defer(task(task_id="t2", retries=2), context)
    assert len(clients.jobs.descriptions) == 1
    assert deferred.trigger.was_adopted is True
    assert context["ti"].xcoms["nbjobs_job"]["was_adopted"] is True


def test_a_clear_begins_a_new_generation_with_a_job_of_its_own(task, clients):
    """Airflow sets max_tries to try_number + retries: the next try is the first of another generation."""
    defer(task(retries=2), task_context(max_tries=2))
    defer(task(task_id="t2", retries=2), task_context(try_number=2, max_tries=3))
    assert len(clients.jobs.descriptions) == 2
    assert clients.jobs.count("describe") == 0


def test_a_retry_hands_over_the_results_of_a_job_that_has_completed_meanwhile(task, clients):
    defer(task(retries=1), task_context(max_tries=1))
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = task_context(try_number=2, max_tries=1)
    value = task(task_id="t2", retries=1, outputs=["accuracy"]).execute(context)
    assert value["outputs"] == {"accuracy": 0.5}
    assert len(clients.jobs.descriptions) == 1


# -- second leg --------------------------------------------------------------------------------------------------------


def test_it_returns_facts_and_outputs_and_pushes_each_output(task, clients):
    operator, context = task(outputs={"accuracy": float, "splits": list}), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5, "splits": [1, 2]}))
    value = operator.execute_complete(context, event_of(deferred))
    assert value["outputs"] == {"accuracy": 0.5, "splits": [1, 2]}
    assert (value["job_name"], value["status"]) == (job_name, "Completed")
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert context["ti"].xcoms["splits"] == [1, 2]


def test_the_delivered_copy_is_written_after_every_xcom(task, clients):
    """Its presence tells later tries that the results were handed over: it must be the last thing that happens."""
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    ran = executed(RAW, {"accuracy": 0.5})
    job_name = end(clients, ran=ran)
    order = []
    ti, objects = context["ti"], clients.objects
    push, put = ti.xcom_push, objects.put
    ti.xcom_push = lambda key, value: (order.append(key), push(key, value))
    objects.put = lambda uri, body, *, kms_key: (order.append(uri), put(uri, body, kms_key=kms_key))
    operator.execute_complete(context, event_of(deferred))
    assert order == ["accuracy", f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"]
    assert objects.bodies[order[-1]] == ran


def test_the_delivered_copy_is_encrypted_with_the_jobs_key(task, clients, hook):
    hook.connection_extra = {"nbjobs": {"s3_kms_key": "alias/default"}}
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, ran=executed(RAW))
    operator.execute_complete(context, event_of(deferred))
    assert clients.objects.kms_keys[f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"] == "alias/default"


def test_return_output_returns_that_output_and_keeps_the_facts_beside_it(task, clients):
    """Airflow maps over return values only."""
    operator, context = task(outputs=["splits"], return_output="splits"), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"splits": [1, 2]}))
    assert operator.execute_complete(context, event_of(deferred)) == [1, 2]
    assert context["ti"].xcoms["nbjobs_result"]["outputs"] == {"splits": [1, 2]}


def test_outputs_that_are_right_are_pushed_before_the_task_fails_for_the_others(task, clients):
    operator, context = task(outputs=["accuracy", "splits"]), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5, "splits": {"type": "None", "error": "missing"}}))
    with pytest.raises(NotebookOutputError, match="splits") as caught:
        operator.execute_complete(context, event_of(deferred))
    assert isinstance(caught.value, AirflowFailException)
    assert context["ti"].xcoms["accuracy"] == 0.5


def test_a_failed_cell_follows_the_tasks_retries_and_its_notebook_is_delivered(task, clients):
    operator, context = task(parameters={"epochs": 3}), task_context()
    deferred = defer(operator, context)
    ran = failed_at(RAW, 2, "ValueError", "no")
    job_name = end(clients, "Failed", reason="AlgorithmError: [SM-111]", ran=ran)
    with pytest.raises(NotebookCellError) as caught:
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert not isinstance(caught.value, AirflowFailException)
    assert caught.value.cell == 2
    assert "'epochs': 3" in str(caught.value)
    assert clients.objects.bodies[f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"] == ran


def test_a_failed_cell_can_fail_the_task_at_once(task, clients):
    operator, context = task(retry_on_cell_error=False), task_context()
    deferred = defer(operator, context)
    end(clients, "Failed", reason="AlgorithmError: x", ran=failed_at(RAW, 2, "ValueError", "no"))
    with pytest.raises(NotebookCellError) as caught:
        operator.execute_complete(context, event_of(deferred))
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize(("was_adopted", "is_fatal"), [(False, True), (True, False)])
def test_a_stop_by_somebody_is_final_unless_it_was_most_likely_airflow_killing_an_earlier_try(
    task, clients, was_adopted, is_fatal
):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Stopped")
    with pytest.raises(NotebookJobStoppedError) as caught:
        operator.execute_complete(context, event_of(deferred, was_adopted=was_adopted))
    assert isinstance(caught.value, AirflowFailException) is is_fatal


def test_a_stale_event_defers_again(task, clients):
    """Events may be doubled, or outlive their job's state; SageMaker's word counts."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred, attempt=2, was_adopted=True))
    assert again.value.trigger.serialize()[1]["attempt"] == 2
    assert again.value.trigger.serialize()[1]["was_adopted"] is True


def test_a_job_that_cannot_be_watched_is_an_error_that_a_retry_helps(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    with pytest.raises(NotebookJobServiceError, match=r"cannot watch notebook job .*AccessDenied") as caught:
        operator.execute_complete(context, event_of(deferred, error="AccessDenied"))
    assert not isinstance(caught.value, AirflowFailException)
    assert "a retry of this task adopts it" in str(caught.value)


def test_a_job_that_is_gone_is_said(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    clients.jobs.descriptions.clear()
    with pytest.raises(NotebookJobConfigError, match="knows no training job"):
        operator.execute_complete(context, event_of(deferred))


# -- when the trigger fails --------------------------------------------------------------------------------------------


@pytest.fixture
def job_known_to_airflow(monkeypatch):
    """The XCom that the first leg pushed, as the API server gives it to the resumed worker."""

    def know(context):
        monkeypatch.setattr(
            "airflow_nbjobs.execution.job_xcom", lambda key, **_: context["ti"].xcoms.get(key), raising=True
        )

    return know


@pytest.mark.parametrize("stop_on_kill", [True, False])
def test_a_timed_out_wait_stops_the_job(task, clients, job_known_to_airflow, stop_on_kill):
    """``stop_on_kill`` is about what users do to a task; the error says that the job was stopped."""
    operator = task(execution_timeout=timedelta(minutes=5), stop_on_kill=stop_on_kill)
    context = task_context()
    defer(operator, context)
    job_known_to_airflow(context)
    with pytest.raises(NotebookJobTimeoutError, match=r"was stopped: execution_timeout .0:05:00. has passed"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    (description,) = clients.jobs.descriptions.values()
    assert description["TrainingJobStatus"] == "Stopping"


def test_a_crashed_trigger_says_nothing_about_the_job_so_the_task_waits_on(task, clients, job_known_to_airflow):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    job_known_to_airflow(context)
    with pytest.raises(TaskDeferred) as again:
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": ["boom"]}, context)
    assert again.value.trigger.job_name == deferred.trigger.job_name
    assert clients.jobs.count("stop") == 0


def test_after_a_crashed_trigger_a_finished_job_is_handed_over(task, clients, job_known_to_airflow):
    operator, context = task(outputs=["accuracy"]), task_context()
    defer(operator, context)
    job_known_to_airflow(context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    value = operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert value["outputs"] == {"accuracy": 0.5}


def test_a_task_without_a_record_of_its_job_says_so(task, clients, job_known_to_airflow):
    context = task_context()
    job_known_to_airflow(context)
    with pytest.raises(NotebookJobServiceError, match="no record of its job"):
        task().resume_execution("__fail__", {"error": "Trigger failure"}, context)


# -- waiting in the worker ---------------------------------------------------------------------------------------------


def test_not_deferrable_it_waits_in_the_worker_through_trouble(task, clients):
    """The job ends while it is looked at; one look in between gets no answer."""
    jobs, looks = clients.jobs, []
    describe = jobs.describe

    def describing(job_name):
        looks.append(job_name)
        if len(looks) == 2:
            jobs.errors["describe"] = [NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)]
        if len(looks) == 4:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return describe(job_name)

    jobs.describe = describing
    value = task(deferrable=False, outputs=["accuracy"]).execute(task_context())
    assert value["outputs"] == {"accuracy": 0.5}
    assert len(looks) == 4


def test_not_deferrable_a_denied_look_ends_the_task(task, clients):
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDeniedException")]
    with pytest.raises(NotebookJobServiceError, match="AccessDenied") as caught:
        task(deferrable=False).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def test_not_deferrable_an_execution_timeout_stops_the_job(task, clients):
    from airflow.sdk.exceptions import AirflowTaskTimeout

    clients.jobs.errors["describe"] = [AirflowTaskTimeout("timeout")]
    with pytest.raises(AirflowTaskTimeout):
        task(deferrable=False).execute(task_context())
    assert clients.jobs.count("stop") == 1


# -- stopping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        ("running", 0),
        ("deferred", 0),
        ("failed", 1),
        ("success", 1),
        ("restarting", 1),
        (None, 1),
        (OSError("no API"), 0),
    ],
    ids=str,
)
def test_a_killed_worker_stops_the_job_only_when_airflow_says_that_the_task_was_taken_away(
    task, clients, monkeypatch, state, stops
):
    """``on_kill`` also means eviction or a lost API server; then the next try adopts the job."""

    def task_state(**_):
        if isinstance(state, Exception):
            raise state
        return state

    monkeypatch.setattr("airflow_nbjobs.execution.task_state", task_state)
    operator = task()
    defer(operator, task_context())
    operator.on_kill()
    assert clients.jobs.count("stop") == stops


def test_a_try_that_stopped_its_own_job_ends_with_those_words(task, clients, monkeypatch):
    """``on_kill`` comes from a signal handler while the worker sleeps; nobody else has stopped the job."""
    monkeypatch.setattr("airflow_nbjobs.execution.task_state", lambda **_: "failed")
    operator, describe = task(deferrable=False), clients.jobs.describe

    def describing(job_name):
        operator.on_kill()
        clients.jobs.set_status(job_name, "Stopped")
        return describe(job_name)

    clients.jobs.describe = describing
    with pytest.raises(NotebookJobStoppedError, match="was stopped by this task: the task is now 'failed'"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_task_that_has_submitted_nothing_has_nothing_to_stop(task, clients):
    task().on_kill()
    assert clients.wrote_nothing


def test_stop_on_kill_false_keeps_the_job(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.execution.task_state", lambda **_: "failed")
    operator = task(stop_on_kill=False)
    defer(operator, task_context())
    operator.on_kill()
    assert clients.jobs.count("stop") == 0
