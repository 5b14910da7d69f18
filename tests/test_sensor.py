"""The sensor against the services' stateful fakes: what it finds, what it returns, what it never does."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow_names import (
    HAS_ON_KILL,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    DagSerialization,
    TaskDeferred,
)
from fakes import ACCOUNT_ID, REGION, FakeHook, archive, executed, failed_at, notebook, task_context
from task_log import task_log

from airflow_nbjobs.core.error_record import parse_error_record
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
)
from airflow_nbjobs.sensors import SageMakerNotebookJobSensor
from airflow_nbjobs.task import sensor as watching
from airflow_nbjobs.triggers import NotebookJobSensorTrigger

RAW = notebook("accuracy = 0.5")
ROOT = "s3://studio/jobs"
ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/"
OURS = {"NBJOBS_OWNER": "[]"}


@pytest.fixture
def hook(monkeypatch):
    """The connection leads to the fakes; what the sensor asked it for is kept."""
    hook = FakeHook()

    def opened(**arguments):
        hook.arguments = arguments
        hook.region = arguments["region_name"] or REGION
        return hook

    monkeypatch.setattr(watching, "SageMakerNotebookJobHook", opened)
    return hook


@pytest.fixture
def clients(hook):
    return hook.clients


def sensor(job_name="job", **arguments):
    return SageMakerNotebookJobSensor(task_id="t", job_name=job_name, **arguments)


def start(clients, name="job", *, environment=None, plain=False):
    """Let somebody start a job: of Studio, unless the environment says otherwise."""
    notebook_job = {"SM_INPUT_NOTEBOOK_NAME": "nb.ipynb", "SM_OUTPUT_NOTEBOOK_NAME": f"{name}.ipynb"}
    clients.jobs.create(
        {
            "TrainingJobName": name,
            "RoleArn": f"arn:aws:iam::{ACCOUNT_ID}:role/Studio",
            "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": ROOT},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            "Environment": {} if plain else notebook_job | (environment or {}),
        }
    )


def end(clients, name="job", status="Completed", *, secondary=None, reason="", ran=None, member=None):
    clients.jobs.set_status(name, status, secondary, reason)
    if ran is not None:
        clients.objects.bodies[f"{ROOT}/{name}/output/output.tar.gz"] = archive({member or f"{name}.ipynb": ran})


def defer(task, context):
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context)
    return caught.value


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_a_job_that_has_ended_is_finished_without_deferring(clients):
    start(clients)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = task_context()
    result = sensor(outputs={"accuracy": float}).execute(context)
    assert result["status"] == "Completed"
    assert result["job_name"] == "job"
    assert result["input_notebook"] == "nb.ipynb"
    assert result["outputs"] == {"accuracy": 0.5}
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert clients.jobs.count("describe") == 1


def test_a_running_job_defers_after_one_describe_and_the_event_finishes_it(clients):
    start(clients)
    task, context = sensor(outputs=["accuracy"], timeout=100, poke_interval=7), task_context()
    deferred = defer(task, context)
    assert clients.jobs.calls == [("create", "job"), ("describe", "job")]
    assert deferred.method_name == "execute_complete"
    assert timedelta(seconds=90) < deferred.timeout <= timedelta(seconds=100)
    path, arguments = deferred.trigger.serialize()
    assert path == "airflow_nbjobs.triggers.NotebookJobSensorTrigger"
    age = datetime.now(tz=UTC) - datetime.fromisoformat(arguments["deferred_at"])
    assert timedelta() <= age < timedelta(seconds=60), "its event waits until the scheduler has read of the deferral"
    assert arguments | {"deferred_at": None} == {
        "deferred_at": None,
        "job_name": "job",
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        "botocore_config": None,
        "waiter_delay": 7,
    }
    assert not NotebookJobSensorTrigger(**arguments).stop_on_kill
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    resumed = sensor(outputs=["accuracy"])
    assert resumed.execute_complete(context, {"job_name": "job", "error": None})["outputs"] == {"accuracy": 0.5}


def test_an_event_that_came_too_early_defers_for_what_is_left_of_the_timeout(clients):
    start(clients)
    context = task_context()
    context["ti"].start_date = datetime.now(tz=UTC) - timedelta(seconds=60)
    with pytest.raises(TaskDeferred) as caught:
        sensor(timeout=100).execute_complete(context, {"job_name": "job", "error": None})
    assert timedelta(seconds=30) < caught.value.timeout <= timedelta(seconds=40)


def test_links_are_there_before_the_wait(clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.links._NO_ACCOUNTS", ())  # the fake's is none that a console shows
    start(clients)
    context = task_context()
    defer(sensor(), context)
    job = context["ti"].xcoms["nbjobs_job"]
    assert (job["job_name"], job["region"]) == ("job", REGION)
    assert job["console_url"].endswith("#/jobs/job")
    assert job["logs_url"]
    assert job["executed_notebook_url"]


def test_poke_looks_again_until_the_job_has_ended(clients):
    start(clients)
    task, context = sensor(deferrable=False, outputs=["accuracy"]), task_context()
    assert not task.poke(context)
    end(clients, ran=executed(RAW, {"accuracy": 1}))
    outcome = task.poke(context)
    assert outcome.is_done
    assert outcome.xcom_value["outputs"] == {"accuracy": 1}
    assert task_states(clients) == {"job": "Completed"}


def task_states(clients):
    return {name: each["TrainingJobStatus"] for name, each in clients.jobs.descriptions.items()}


def test_reschedule_gives_the_worker_back(clients):
    start(clients)
    context = task_context()
    context["ti"].get_first_reschedule_date = lambda _: None
    with pytest.raises(AirflowRescheduleException):
        sensor(deferrable=False, mode="reschedule", poke_interval=60).execute(context)


def test_poke_mode_times_out_as_a_sensor(clients):
    start(clients)
    with pytest.raises(AirflowSensorTimeout):
        sensor(deferrable=False, timeout=0, poke_interval=0).execute(task_context())
    assert task_states(clients) == {"job": "InProgress"}


def test_without_an_interval_it_still_looks_once_a_second_at_most(clients):
    task = sensor(deferrable=False, poke_interval=0)
    assert task._get_next_poke_interval(0.0, lambda: 0.0, 1) == 1.0
    assert sensor(poke_interval=30)._get_next_poke_interval(0.0, lambda: 0.0, 1) == 30


def test_a_call_that_may_succeed_later_is_no_end_of_the_wait(clients):
    start(clients)
    clients.jobs.errors["describe"] = [NotebookJobServiceError("slow down", code="Throttling", is_retryable=True)]
    defer(sensor(), task_context())


def test_a_denied_describe_fails_at_once(clients):
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    with pytest.raises(NotebookJobServiceError) as caught:
        sensor().execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def test_a_denial_of_a_job_that_was_seen_is_no_end_of_the_wait_for_five_minutes(clients, monkeypatch):
    """A policy that was just changed takes minutes to reach everywhere."""
    start(clients)
    task, context = sensor(deferrable=False), task_context()
    assert not task.poke(context)
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied") for _ in range(3)]
    assert not task.poke(context)
    assert not task.poke(context)
    monkeypatch.setattr("airflow_nbjobs.core.job.trouble.DENIED_SECONDS", 0.0)
    with pytest.raises(NotebookJobServiceError) as caught:
        task.poke(context)
    assert isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
@pytest.mark.parametrize(("code", "is_retryable"), [("SlowDown", True), ("AccessDenied", False)])
def test_trouble_in_reading_results_is_waited_through(clients, monkeypatch, arguments, code, is_retryable):
    """The job has been paid for; a task without retries would lose what it left behind."""
    start(clients)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    slept, reading = [], clients.objects.open
    monkeypatch.setattr(watching.time, "sleep", slept.append)

    def troubled(uri):
        if len(slept) < 3:
            raise NotebookJobServiceError(code, code=code, is_retryable=is_retryable)
        return reading(uri)

    monkeypatch.setattr(clients.objects, "open", troubled)
    assert sensor(outputs=["accuracy"], **arguments).execute(task_context())["outputs"] == {"accuracy": 0.5}
    assert slept == [5.0, 10.0, 20.0]


@pytest.mark.parametrize(("code", "is_retryable"), [("SlowDown", True), ("AccessDenied", False)])
def test_trouble_in_reading_results_that_lasts_is_left_to_retries(clients, monkeypatch, code, is_retryable):
    start(clients)
    end(clients, ran=executed(RAW))
    slept = []
    monkeypatch.setattr(watching.time, "sleep", slept.append)

    def troubled(_):
        raise NotebookJobServiceError(code, code=code, is_retryable=is_retryable)

    monkeypatch.setattr(clients.objects, "open", troubled)
    with pytest.raises(NotebookJobServiceError) as caught:
        sensor().execute(task_context())
    assert not isinstance(caught.value, AirflowFailException)
    assert 500 < sum(slept) < 700


def test_what_is_no_trouble_of_a_service_is_not_read_again(clients, monkeypatch):
    """Nothing would be there ten minutes later."""
    start(clients)
    end(clients, ran=executed(RAW))
    slept = []
    monkeypatch.setattr(watching.time, "sleep", slept.append)
    monkeypatch.setattr(clients.objects, "open", lambda _: b"".missing)
    with pytest.raises(AttributeError, match="missing"):
        sensor().execute(task_context())
    assert slept == []


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
def test_an_archive_that_is_not_in_s3_yet_is_waited_for(clients, monkeypatch, arguments):
    """SageMaker says *Completed* as soon as the container has ended; a large archive may be a moment behind."""
    start(clients)
    end(clients)
    clients.jobs.descriptions["job"]["TrainingEndTime"] = datetime.now(tz=UTC) - timedelta(seconds=5)
    slept = []

    def upload(seconds):
        slept.append(seconds)
        if len(slept) == 2:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))

    monkeypatch.setattr(watching.time, "sleep", upload)
    assert sensor(outputs=["accuracy"], **arguments).execute(task_context())["outputs"] == {"accuracy": 0.5}
    assert slept == [5.0, 10.0]


def test_an_archive_that_is_not_there_after_a_minute_is_missing(clients, monkeypatch):
    start(clients)
    end(clients)
    clients.jobs.descriptions["job"]["TrainingEndTime"] = datetime.now(tz=UTC) - timedelta(seconds=61)
    monkeypatch.setattr(watching.time, "sleep", lambda _: pytest.fail("waited"))
    with pytest.raises(NotebookOutputError, match="completed without an executed notebook") as caught:
        sensor().execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def test_a_trigger_that_cannot_watch_makes_the_task_try_again(clients):
    start(clients)
    with pytest.raises(NotebookJobServiceError, match="cannot watch training job 'job': no connection") as caught:
        sensor().execute_complete(task_context(), {"job_name": "job", "error": "no connection"})
    assert caught.value.is_retryable
    assert not isinstance(caught.value, AirflowFailException)


def test_a_crashed_trigger_is_replaced(clients):
    start(clients)
    with pytest.raises(TaskDeferred):
        sensor().resume_execution("__fail__", {"error": "Trigger failure", "traceback": ["boom"]}, task_context())


# -- the end of patience -----------------------------------------------------------------------------------------------


def after(task, seconds, error="Trigger timeout"):
    context = task_context()
    context["ti"].start_date = datetime.now(tz=UTC) - timedelta(seconds=seconds)
    return task.resume_execution("__fail__", {"error": error}, context)


def test_a_deferred_timeout_is_a_sensor_timeout_and_the_job_goes_on(clients):
    start(clients)
    with pytest.raises(AirflowSensorTimeout, match=r"timeout \(10 s\) has passed: training job 'job' has not ended"):
        after(sensor(timeout=10), 11)
    assert task_states(clients) == {"job": "InProgress"}
    assert clients.jobs.count("stop") == 0


def test_a_shorter_execution_timeout_is_a_task_timeout(clients):
    start(clients)
    with pytest.raises(AirflowTaskTimeout, match="execution_timeout"):
        after(sensor(timeout=100, execution_timeout=timedelta(seconds=5)), 6)


def test_a_job_that_ended_while_no_triggerer_ran_is_no_timeout(clients):
    start(clients)
    end(clients, ran=executed(RAW))
    assert after(sensor(timeout=10), 11)["status"] == "Completed"


@pytest.mark.parametrize("arguments", [{"soft_fail": True}, {"never_fail": True}])
def test_a_deferred_timeout_is_skipped_if_asked(clients, arguments):
    start(clients)
    with pytest.raises(AirflowSkipException, match="timeout"):
        after(sensor(timeout=10, **arguments), 11)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"timeout": 100}, 100),
        ({"timeout": 100, "execution_timeout": timedelta(seconds=40)}, 40),
        ({"timeout": 40, "execution_timeout": timedelta(seconds=100)}, 40),
    ],
    ids=["timeout", "execution-timeout", "shorter-timeout"],
)
def test_a_deferred_wait_ends_with_the_shorter_of_the_two_timeouts(clients, given, seconds):
    """Airflow 3 does not enforce ``execution_timeout`` on a deferred task."""
    start(clients)
    deferred = defer(sensor(**given), task_context())
    assert timedelta(seconds=seconds - 5) < deferred.timeout <= timedelta(seconds=seconds)


def test_a_try_of_unknown_start_waits_for_the_whole_timeout(clients):
    start(clients)
    context = task_context()
    context["ti"].start_date = None
    assert defer(sensor(timeout=100), context).timeout == timedelta(seconds=100)


def test_a_wait_whose_time_is_up_is_deferred_for_a_second_and_not_for_less_than_none(clients):
    start(clients)
    assert defer(sensor(timeout=10), begun(3600)).timeout == timedelta(seconds=1)


def test_of_the_two_timeouts_the_one_that_has_passed_is_named(clients):
    start(clients)
    with pytest.raises(AirflowSensorTimeout, match=r"timeout \(10 s\) has passed: .* after 11 s; it goes on"):
        after(sensor(timeout=10, execution_timeout=timedelta(seconds=100)), 11)
    with pytest.raises(AirflowSensorTimeout):
        after(sensor(timeout=10, execution_timeout=timedelta(seconds=10)), 11)


def test_a_crashed_triggers_traceback_is_logged_and_the_wait_goes_on_though_its_time_is_up(clients, capsys):
    start(clients)
    failure = {"error": "Trigger failure", "traceback": ["Traceback", "KeyError: 'x'"]}
    with pytest.raises(TaskDeferred):
        sensor(timeout=10).resume_execution("__fail__", failure, begun(11))
    assert "The trigger failed:\nTraceback\nKeyError: 'x'" in capsys.readouterr().out.replace("\\n", "\n")


@pytest.mark.parametrize("failure", [None, {}, {"error": "Trigger failure", "traceback": None}], ids=str)
def test_a_trigger_that_failed_without_a_word_is_replaced_without_one(clients, capsys, failure):
    start(clients)
    with pytest.raises(TaskDeferred):
        sensor().resume_execution("__fail__", failure, task_context())
    assert "The trigger failed" not in capsys.readouterr().out


def test_airflow_resumes_it_by_the_method_that_it_deferred_to(clients):
    start(clients)
    end(clients, ran=executed(RAW))
    event = {"event": {"job_name": "job", "error": None}}
    assert sensor().resume_execution("execute_complete", event, task_context())["status"] == "Completed"


def test_resumed_without_an_event_the_service_says_how_the_job_is(clients):
    start(clients)
    with pytest.raises(TaskDeferred):
        sensor().execute_complete(task_context(), None)
    end(clients, ran=executed(RAW))
    assert sensor().execute_complete(task_context(), None)["status"] == "Completed"


# -- which job ---------------------------------------------------------------------------------------------------------


CONNECTION = {"aws_conn_id": "aws_acme", "region_name": REGION, "verify": False, "botocore_config": {"retries": 3}}


def test_worker_and_triggerer_open_the_connection_that_was_asked_for(clients, hook):
    start(clients)
    deferred = defer(sensor(**CONNECTION), task_context())
    config = CONNECTION["botocore_config"]
    expected = {"aws_conn_id": "aws_acme", "region_name": REGION, "verify": False}
    assert hook.arguments == expected | {"config": config}
    arguments = deferred.trigger.serialize()[1]
    assert {name: arguments[name] for name in (*expected, "botocore_config")} == expected | {"botocore_config": config}


@pytest.mark.skipif(not HAS_ON_KILL, reason="Airflow < 3.3")
def test_a_sensor_that_begins_in_the_triggerer_watches_as_asked():
    arguments = sensor(poke_interval=7, timeout=60, **CONNECTION).start_trigger_args
    assert arguments.trigger_kwargs == {"job_name": "job", "waiter_delay": 7, **CONNECTION}
    assert arguments.next_kwargs is None


def test_an_arn_brings_its_region(clients, hook):
    start(clients)
    deferred = defer(sensor(ARN + "job"), task_context())
    assert hook.arguments["region_name"] == REGION
    assert deferred.trigger.job_name == "job"
    assert deferred.trigger.region_name == REGION


@pytest.mark.parametrize(
    "job_name",
    [{"job_name": "job", "status": "InProgress"}, {"job_name": "x", "job_arn": ARN + "job"}, " job\n"],
)
def test_what_a_notebook_task_returned_names_its_job(clients, job_name):
    start(clients)
    defer(sensor(job_name), task_context())


def test_an_arn_of_another_region_than_region_name_is_an_error(hook):
    with pytest.raises(NotebookJobConfigError, match=f"lies in region '{REGION}', but region_name is 'us-east-1'"):
        sensor(ARN + "job", region_name="us-east-1").execute(task_context())


def test_an_arn_of_another_account_is_an_error_even_if_that_name_exists_here(clients):
    start(clients)
    with pytest.raises(NotebookJobConfigError, match="ARN of account 999999999999"):
        sensor(f"arn:aws:sagemaker:{REGION}:999999999999:training-job/job").execute(task_context())


@pytest.mark.parametrize("job_name", ["", "no job", "arn:aws:s3:::bucket", None, {"status": "x"}, 3, "a" * 64])
def test_what_names_no_job_is_a_fatal_error(hook, job_name):
    with pytest.raises(NotebookJobConfigError, match="names no training job") as caught:
        sensor(job_name, soft_fail=False).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def begun(seconds, **arguments):
    """A context of a try that began so many seconds ago."""
    context = task_context(**arguments)
    context["ti"].start_date = datetime.now(tz=UTC) - timedelta(seconds=seconds)
    return context


def test_a_job_that_was_started_a_moment_ago_and_is_not_known_yet_is_waited_for(clients):
    """Describe lags behind CreateTrainingJob; the task before may just have started it."""
    context = task_context()
    defer(sensor(), context)
    start(clients)
    end(clients, ran=executed(RAW))
    assert sensor().execute_complete(context, {"job_name": "job", "error": None})["status"] == "Completed"


def test_poked_a_job_that_is_not_known_yet_is_poked_again(clients):
    task, context = sensor(deferrable=False), task_context()
    assert not task.poke(context)
    start(clients)
    assert not task.poke(context)
    end(clients, ran=executed(RAW))
    assert task.poke(context).xcom_value["status"] == "Completed"


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
def test_a_job_that_is_unknown_for_a_minute_is_an_error_that_says_what_to_check(hook, arguments):
    with pytest.raises(NotebookJobServiceError, match=f"knows no training job 'job' in region '{REGION}'") as caught:
        sensor(**arguments).execute(begun(61))
    assert (caught.value.code, caught.value.is_retryable) == ("ResourceNotFound", True)
    assert not isinstance(caught.value, AirflowFailException)
    assert "check the name, the region and the account of connection 'aws_default'" in str(caught.value)


def test_rescheduled_the_minute_counts_from_the_first_poke(hook):
    """Each poke is a process of its own, with a start of its own: a mistyped name would be poked for until the sensor's timeout, a week."""
    context = task_context()
    context["ti"].get_first_reschedule_date = lambda _: datetime.now(tz=UTC) - timedelta(seconds=61)
    with pytest.raises(NotebookJobServiceError, match="knows no training job 'job'"):
        sensor(deferrable=False, mode="reschedule", poke_interval=60).execute(context)
    context["ti"].get_first_reschedule_date = lambda _: None
    with pytest.raises(AirflowRescheduleException):
        sensor(deferrable=False, mode="reschedule", poke_interval=60).execute(context)


@pytest.mark.parametrize("arguments", [{"soft_fail": True}, {"never_fail": True}])
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_job_that_is_unknown_for_a_minute_is_skipped_if_asked(hook, arguments, deferrable):
    with pytest.raises(AirflowSkipException, match=r"knows no training job 'job'|due to never_fail"):
        sensor(deferrable=deferrable, **arguments).execute(begun(61))


@pytest.mark.parametrize("began", [None, "now"])
def test_an_unknown_job_that_the_triggerer_has_looked_for_is_an_error_whenever_the_try_began(hook, began):
    """A sensor that began in the triggerer has its first moment in a worker then."""
    event = {"job_name": "job", "error": "SageMaker knows no training job 'job' (asked for 60 s)"}
    context = task_context()
    context["ti"].start_date = began and context["ti"].start_date
    with pytest.raises(NotebookJobServiceError, match=f"knows no training job 'job' in region '{REGION}'") as caught:
        sensor().execute_complete(context, event)
    assert caught.value.is_retryable
    with pytest.raises(AirflowSkipException, match="knows no training job 'job'"):
        sensor(soft_fail=True).execute_complete(context, event)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_completed_job_that_is_being_deleted_hands_over_its_results(clients, deferrable):
    start(clients)
    end(clients, status="Deleting", secondary="Completed", ran=executed(RAW, {"accuracy": 0.5}))
    result = sensor(outputs={"accuracy": float}, deferrable=deferrable).execute(task_context())
    assert (result["status"], result["outputs"]) == ("Completed", {"accuracy": 0.5})


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("secondary", "error", "said"),
    [
        ("", NotebookJobServiceError, "is being deleted, and SageMaker does not say any more how it ended"),
        ("Stopped", NotebookJobStoppedError, "was stopped by somebody"),
        ("MaxRuntimeExceeded", NotebookJobTimeoutError, "MaxRuntimeExceeded"),
    ],
)
def test_a_job_that_is_being_deleted_ends_the_wait_at_the_first_look(clients, secondary, error, said, deferrable):
    start(clients)
    end(clients, status="Deleting", secondary=secondary or "Training")
    with pytest.raises(error, match=said) as caught:
        sensor(deferrable=deferrable).execute(task_context())
    assert isinstance(caught.value, AirflowFailException)
    assert clients.jobs.count("describe") == 1


def test_a_job_that_is_gone_after_the_triggerer_saw_it_deleted_is_an_error_at_once(hook):
    event = {"job_name": "job", "status": "Deleting", "error": None}
    with pytest.raises(NotebookJobServiceError, match="knows no training job 'job'") as caught:
        sensor().execute_complete(task_context(), event)
    assert "it has been deleted since" in str(caught.value)


def test_a_job_that_is_deleted_while_poked_is_said_to_be_after_a_minute(clients, monkeypatch):
    start(clients)
    task, context = sensor(deferrable=False), begun(3600)
    task.poke(context)
    clients.jobs.descriptions.clear()
    assert not task.poke(context)
    monkeypatch.setattr(watching, "UNKNOWN_SECONDS", 0.0)
    with pytest.raises(NotebookJobServiceError, match="was deleted while the task waited"):
        task.poke(context)


def test_a_job_that_is_not_shown_for_one_poke_is_waited_for(clients):
    start(clients)
    task, context = sensor(deferrable=False), begun(3600)
    task.poke(context)
    hidden = dict(clients.jobs.descriptions)
    clients.jobs.descriptions.clear()
    assert not task.poke(context)
    clients.jobs.descriptions.update(hidden)
    end(clients, ran=executed(RAW))
    assert task.poke(context).xcom_value["status"] == "Completed"


def test_a_job_that_is_deleted_while_deferred_is_said_to_be_gone(hook):
    event = {"job_name": "job", "error": "SageMaker knows no training job 'job' any more: it has been deleted"}
    with pytest.raises(NotebookJobServiceError, match="it has been deleted since"):
        sensor().execute_complete(begun(3600), event)


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_the_executed_notebook_has_the_name_that_the_driver_gives_it(clients):
    start(clients, environment={"SM_OUTPUT_NOTEBOOK_NAME": "My-Job.v1:2-Z-.ipynb"})
    end(clients, ran=executed(RAW, {"accuracy": 1}), member="My-Job-v1-2-Z.ipynb")
    result = sensor(outputs=["accuracy"]).execute(task_context())
    assert result["outputs"] == {"accuracy": 1}
    assert result["executed_notebook_uri"] == f"{ROOT}/job/output/output.tar.gz"


def test_the_delivered_copy_is_named_where_there_is_one_and_never_written(clients):
    start(clients, environment=OURS)
    end(clients, ran=executed(RAW))
    assert sensor().execute(task_context())["executed_notebook_uri"] == f"{ROOT}/job/output/output.tar.gz"
    clients.objects.bodies[f"{ROOT}/job/job.ipynb"] = b"{}"
    assert sensor().execute(task_context())["executed_notebook_uri"] == f"{ROOT}/job/job.ipynb"
    assert clients.objects.puts == []


def test_no_copy_is_looked_for_where_none_can_be(clients):
    start(clients)
    end(clients, ran=executed(RAW))
    clients.objects.denied.add(f"{ROOT}/job/job.ipynb")
    assert sensor().execute(task_context())["status"] == "Completed"


def test_return_output_is_the_return_value(clients):
    start(clients)
    end(clients, ran=executed(RAW, {"splits": [1, 2]}))
    context = task_context()
    assert sensor(outputs=["splits"], return_output="splits").execute(context) == [1, 2]
    assert context["ti"].xcoms["nbjobs_result"]["outputs"] == {"splits": [1, 2]}


def test_outputs_that_cannot_be_declared_are_an_error_before_the_wait(clients):
    with pytest.raises(NotebookJobConfigError, match="return_output 'b' is not one of the outputs"):
        sensor(outputs=["a"], return_output="b").execute(task_context())
    assert clients.jobs.calls == []


def test_a_missing_output_is_a_fatal_error_after_the_others_are_pushed(clients):
    start(clients)
    end(clients, ran=executed(RAW, {"accuracy": 1}))
    context = task_context()
    with pytest.raises(NotebookOutputError, match="output 'loss'") as caught:
        sensor(outputs=["accuracy", "loss"]).execute(context)
    assert isinstance(caught.value, AirflowFailException)
    assert context["ti"].xcoms["accuracy"] == 1


def test_a_training_job_of_another_kind_gives_a_result_without_outputs(clients, caplog):
    start(clients, plain=True)
    end(clients)
    context = task_context()
    result = sensor().execute(context)
    assert result["status"] == "Completed"
    assert result["outputs"] == {}
    assert result["executed_notebook_uri"] is None
    assert context["ti"].xcoms["nbjobs_job"]["executed_notebook_url"] is None


def test_a_training_job_of_another_kind_cannot_return_declared_outputs(clients):
    start(clients, plain=True)
    end(clients)
    with pytest.raises(NotebookOutputError, match="it is no notebook job and has no outputs"):
        sensor(outputs=["accuracy"]).execute(task_context())


def test_a_failed_cell_is_named_as_by_the_operator_and_is_fatal(clients):
    start(clients)
    clients.jobs.descriptions["job"]["HyperParameters"] = {"day": "2026-11-22"}
    end(clients, status="Failed", reason="AlgorithmError: 1", ran=failed_at(RAW, 1, "ValueError", "no rows"))
    with pytest.raises(NotebookCellError, match="Notebook job 'job' failed in cell 1: ValueError: no rows") as caught:
        sensor().execute(task_context())
    assert (caught.value.cell, caught.value.ename) == (1, "ValueError")
    assert isinstance(caught.value, AirflowFailException)
    assert "{'day': '2026-11-22'}" in str(caught.value)
    assert f"{ROOT}/job/output/output.tar.gz" in str(caught.value)


@pytest.mark.parametrize(
    ("ended", "kind"),
    [
        ({"status": "Stopped"}, NotebookJobStoppedError),
        ({"status": "Stopped", "secondary": "MaxRuntimeExceeded"}, NotebookJobTimeoutError),
        ({"status": "Failed", "reason": "CapacityError: none"}, NotebookJobCapacityError),
        ({"status": "Failed", "reason": "InternalServerError: oops"}, NotebookJobServiceError),
        ({"status": "Failed", "reason": "AlgorithmError: exit 1"}, NotebookJobError),
        ({"status": "Failed", "reason": "ClientError: image"}, NotebookJobConfigError),
    ],
)
@pytest.mark.parametrize("plain", [False, True])
def test_a_job_that_did_not_complete_is_fatal_since_it_cannot_change(clients, ended, kind, plain):
    start(clients, plain=plain)
    end(clients, **ended)
    with pytest.raises(kind) as caught:
        sensor().execute(task_context())
    assert isinstance(caught.value, AirflowFailException)
    assert str(caught.value).startswith("Training job 'job'" if plain else "Notebook job 'job'")


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("ended", "advice"),
    [
        ({"status": "Stopped"}, "run it again"),
        ({"status": "Stopped", "secondary": "MaxRuntimeExceeded"}, "give the {what} less to do"),
        ({"status": "Failed", "reason": "CapacityError: none"}, "use another instance type"),
        ({"status": "Failed", "reason": "InternalServerError: oops"}, "nothing in the {what} caused this"),
        ({"status": "Failed", "reason": "AlgorithmError: , exit code: 137"}, "for want of memory"),
        ({"status": "Failed", "reason": "ClientError: image"}, "check the image"),
    ],
)
def test_what_to_do_is_told_to_whoever_started_the_job(clients, ended, advice, plain):
    """Neither a clear of the sensor nor an argument of the operator can help; and a training job has no notebook and no kernel."""
    start(clients, plain=plain)
    end(clients, **ended)
    with pytest.raises(NotebookJobError) as caught:
        sensor().execute(task_context())
    told = caught.value.details["next"]
    assert told.startswith("where the job was started, since this task only waits for it: ")
    assert advice.format(what="job" if plain else "notebook") in told
    assert "clear the task" not in told
    if plain:
        assert not any(word in str(caught.value) for word in ("otebook", "kernel", "max_runtime_in_seconds"))


def test_the_link_leads_to_what_is_there(clients, monkeypatch):
    """Of a job of Studio there is never a copy under its own key, and of one that left nothing there is no notebook at all."""
    monkeypatch.setattr("airflow_nbjobs.links._NO_ACCOUNTS", ())  # the fake's is none that a console shows
    start(clients)
    context = task_context()
    defer(sensor(), context)
    archive_uri = f"{ROOT}/job/output/output.tar.gz"
    assert context["ti"].xcoms["nbjobs_job"]["executed_notebook_uri"] == archive_uri
    end(clients, ran=executed(RAW))
    sensor().execute(context)
    job = context["ti"].xcoms["nbjobs_job"]
    assert job["executed_notebook_uri"] == archive_uri
    assert job["executed_notebook_url"].endswith("jobs/job/output/output.tar.gz")

    start(clients, "none")
    end(clients, "none", status="Stopped")
    with pytest.raises(NotebookJobStoppedError):
        sensor("none").execute(context)
    job = context["ti"].xcoms["nbjobs_job"]
    assert (job["job_name"], job["executed_notebook_uri"], job["executed_notebook_url"]) == ("none", None, None)
    assert job["console_url"]


def test_a_notebook_in_the_archive_is_said_to_be_in_it(clients):
    start(clients, environment={"SM_OUTPUT_NOTEBOOK_NAME": "report-12:00Z-.ipynb"})
    end(
        clients,
        status="Failed",
        reason="AlgorithmError: 1",
        ran=failed_at(RAW, 1, "ValueError", "x"),
        member="report-12-00Z.ipynb",
    )
    with pytest.raises(NotebookCellError) as caught:
        sensor().execute(task_context())
    assert caught.value.details["executed"] == f"{ROOT}/job/output/output.tar.gz (report-12-00Z.ipynb in it)"
    assert caught.value.details["next"] == "open the executed notebook at cell 1"


def test_an_output_that_the_starting_task_does_not_declare_is_said_to_be_declared_there(clients):
    start(clients)
    end(clients, ran=executed(RAW, {"loss": 1}))
    with pytest.raises(NotebookOutputError, match="the task that started the job declares loss; declare it there"):
        sensor(outputs=["accuracy"]).execute(task_context())
    start(clients, "studio")
    end(clients, "studio", ran=executed(RAW))
    with pytest.raises(NotebookOutputError, match="have the notebook glue them with scrapbook"):
        sensor("studio", outputs=["accuracy"]).execute(task_context())


def test_results_that_cannot_be_read_now_are_worth_a_retry(clients, monkeypatch):
    monkeypatch.setattr(watching, "READ_PAUSES_SECONDS", ())
    start(clients)
    end(clients)

    def refuse(_):
        raise NotebookJobServiceError("503", code="503", is_retryable=True)

    monkeypatch.setattr(clients.objects, "open", refuse)
    with pytest.raises(NotebookJobServiceError) as caught:
        sensor().execute(task_context())
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("arguments", [{"soft_fail": True}, {"never_fail": True}])
def test_a_failed_job_skips_the_task_if_asked(clients, arguments, deferrable):
    start(clients)
    end(clients, status="Failed", reason="AlgorithmError: 1", ran=failed_at(RAW, 1, "ValueError", "no rows"))
    with pytest.raises(AirflowSkipException):
        sensor(deferrable=deferrable, **arguments).execute(task_context())


def test_soft_fail_leaves_alone_what_a_retry_can_help(clients):
    """As in Airflow's own sensors: only what fails for good is skipped; ``never_fail`` skips everything."""
    start(clients)
    event = {"job_name": "job", "error": "no connection"}
    with pytest.raises(NotebookJobServiceError):
        sensor(soft_fail=True).execute_complete(task_context(), event)
    with pytest.raises(AirflowSkipException):
        sensor(never_fail=True).execute_complete(task_context(), event)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("arguments", [{}, {"soft_fail": True}, {"never_fail": True}], ids=str)
def test_a_notebook_that_asks_to_be_skipped_skips_the_sensor_in_the_notebooks_words(clients, arguments, deferrable):
    start(clients)
    ran = failed_at(RAW, 1, "AirflowSkipException", "no new rows")
    end(clients, status="Failed", reason="AlgorithmError: 1", ran=ran)
    with pytest.raises(AirflowSkipException, match="asks in cell 1 to be skipped: no new rows") as caught:
        sensor(deferrable=deferrable, **arguments).execute(task_context())
    assert "instead of failed" not in str(caught.value)


def test_soft_fail_is_said_once_of_a_job_that_is_not_there(hook):
    with pytest.raises(AirflowSkipException) as caught:
        sensor(soft_fail=True).execute(begun(61))
    assert str(caught.value).count("skipped instead of failed") == 1


def test_without_soft_fail_a_service_error_of_another_kind_is_no_skip(clients):
    """What a poke could not do is Airflow's to judge, unless the job is not there."""
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    with pytest.raises(NotebookJobServiceError):
        sensor(deferrable=False).poke(task_context())
    clients.jobs.errors["describe"] = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    with pytest.raises(NotebookJobServiceError):
        sensor(deferrable=False, soft_fail=True).poke(task_context())


@pytest.mark.parametrize("arguments", [{}, {"deferrable": False}])
def test_the_log_says_what_the_job_did_what_it_cost_and_what_it_returned(clients, caplog, capsys, arguments):
    start(clients)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    sensor(outputs=["accuracy"], **arguments).execute(task_context())
    said = task_log(caplog, capsys)
    assert "Waiting for training job 'job': " in said
    assert said.count("03:00:00 Starting: Preparing the instances for training") == 1
    assert "Completed after 90.0 s on ml.m5.large, 90 s billed" in said
    assert "Output accuracy = 0.5" in said
    assert "is no notebook job" not in said


def test_the_log_says_that_a_training_job_has_no_outputs(clients, caplog, capsys):
    start(clients, plain=True)
    end(clients)
    sensor().execute(task_context())
    assert "Training job 'job' is no notebook job (its environment" in caplog.text + capsys.readouterr().out


def test_a_job_that_is_poked_is_announced_once_and_each_status_logged_once(clients, caplog, capsys):
    start(clients)
    task, context, pushed = sensor(deferrable=False), task_context(), []
    push = context["ti"].xcom_push
    context["ti"].xcom_push = lambda key, value: pushed.append(key) or push(key, value)
    for _ in range(3):
        assert not task.poke(context)
    said = task_log(caplog, capsys)
    assert said.count("Waiting for training job 'job'") == said.count("Starting: Preparing") == 1
    assert pushed == ["nbjobs_job"]


@pytest.mark.parametrize("environment", [None, OURS], ids=["studio", "ours"])
def test_links_and_pages_are_told_all_that_is_known_of_the_job(clients, environment):
    start(clients, environment=environment)
    context = task_context()
    defer(sensor(), context)
    facts = context["ti"].xcoms["nbjobs_job"]
    copy = f"{ROOT}/job/job.ipynb" if environment else f"{ROOT}/job/output/output.tar.gz"
    assert facts | {"console_url": None, "logs_url": None, "executed_notebook_url": None} == facts | {
        "version": 1,
        "job_name": "job",
        "job_arn": ARN + "job",
        "region": REGION,
        "instance_type": "ml.m5.large",
        "input_notebook": "nb.ipynb",
        "executed_notebook_uri": copy,
        "console_url": None,
        "logs_url": None,
        "executed_notebook_url": None,
    }


def test_the_connection_is_the_one_that_the_sensor_was_given(clients, hook):
    start(clients)
    defer(
        sensor(aws_conn_id="aws_ml", region_name="us-east-2", verify=False, botocore_config={"read_timeout": 9}),
        task_context(),
    )
    assert hook.arguments == {
        "aws_conn_id": "aws_ml",
        "region_name": "us-east-2",
        "verify": False,
        "config": {"read_timeout": 9},
    }


def test_an_arn_of_the_connections_own_account_is_taken(clients):
    start(clients)
    end(clients, ran=executed(RAW))
    assert sensor(ARN + "job").execute(task_context())["status"] == "Completed"


def test_an_unknown_job_is_unknown_from_the_sixtieth_second_on(clients, monkeypatch):
    defer(sensor(), begun(50))
    with pytest.raises(NotebookJobServiceError, match="knows no training job"):
        sensor().execute(begun(60))


def test_trouble_that_passed_between_two_pokes_does_not_add_up(clients, monkeypatch):
    start(clients)
    task, context = sensor(deferrable=False), task_context()
    assert not task.poke(context)
    denied = [NotebookJobServiceError("AccessDenied", code="AccessDenied")]
    clients.jobs.errors["describe"] = list(denied)
    assert not task.poke(context)
    assert not task.poke(context)
    monkeypatch.setattr("airflow_nbjobs.core.job.trouble.DENIED_SECONDS", 0.01)
    clock = datetime.now(tz=UTC) + timedelta(seconds=1)
    monkeypatch.setattr(watching, "datetime", type("Later", (), {"now": staticmethod(lambda tz: clock)}))
    clients.jobs.errors["describe"] = list(denied)
    assert not task.poke(context), "the first denial after an answer"


def test_parameters_of_a_failed_job_are_masked_by_their_names_also_within_an_object(clients):
    start(clients)
    clients.jobs.descriptions["job"]["HyperParameters"] = {
        "login": '{"password": "hunter2"}',
        "rows": "[1, 2]",
        "note": '"quoted"',
        "n": "3",
    }
    end(clients, status="Failed", reason="AlgorithmError: 1", ran=failed_at(RAW, 1, "ValueError", "no rows"))
    with pytest.raises(NotebookCellError) as caught:
        sensor().execute(task_context())
    said = str(caught.value)
    assert "hunter2" not in said
    assert "'rows': [1, 2]" in said
    assert "'n': '3'" in said
    assert """'note': '"quoted"'""" in said


def test_what_cannot_be_read_in_the_end_says_what_a_retry_does(clients, monkeypatch, caplog, capsys):
    monkeypatch.setattr(watching, "READ_PAUSES_SECONDS", (7.0,))
    slept = []
    monkeypatch.setattr(watching.time, "sleep", slept.append)
    start(clients)
    end(clients)

    def refuse(_):
        raise NotebookJobServiceError("503", code="503", is_retryable=True)

    monkeypatch.setattr(clients.objects, "open", refuse)
    with pytest.raises(NotebookJobServiceError, match="a retry of this task reads its results again") as caught:
        sensor().execute(task_context())
    assert (caught.value.job_name, caught.value.is_retryable, slept) == ("job", True, [7.0])
    assert "503; reading again in 7 s" in caplog.text + capsys.readouterr().out


# -- in a DAG ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dag():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        yield dag


@pytest.mark.skipif(not HAS_ON_KILL, reason="Airflow < 3.3")
def test_it_starts_in_the_triggerer_with_its_templates_unrendered(dag):
    task = sensor("{{ params.job }}", timeout=60, region_name=REGION)
    assert task.start_from_trigger
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        again = DagSerialization.from_dict(DagSerialization.to_dict(dag)).get_task("t")
    assert [str(each.message) for each in caught] == []
    assert again.start_from_trigger is True
    arguments = again.start_trigger_args
    assert arguments.trigger_cls == "airflow_nbjobs.triggers.NotebookJobSensorTrigger"
    assert arguments.next_method == "execute_complete"
    assert arguments.timeout == timedelta(seconds=60)
    # No worker has let go of the task: there is no deferral to be old enough.
    kwargs = set(NotebookJobSensorTrigger(job_name="j").serialize()[1]) - {"deferred_at"}
    assert kwargs == set(task.start_trigger_args.trigger_kwargs)
    assert set(again.template_fields) >= {"job_name", "aws_conn_id", "region_name"}


@pytest.mark.parametrize(
    "job_name",
    ["job", ARN + "job", "job-{{ ds_nodash }}", "{{ dag_run.conf['job'] | lower }}", "{{ params.job }}-{{ run_id }}"],
)
def test_it_starts_in_the_triggerer_with_values_of_the_run(dag, job_name):
    assert sensor(job_name).start_from_trigger is HAS_ON_KILL


@pytest.mark.parametrize(
    "job_name",
    [
        {"job_name": "job"},
        "{{ ti.xcom_pull('train')['job_name'] }}",
        "{{ task_instance.xcom_pull('train') }}",
        "{{ var.value.job }}",
        "{{ latest() }}",
        "job-{{ logical_date | ds }}",
        "{{ broken",
    ],
)
def test_it_starts_on_a_worker_where_the_triggerer_could_not_render_the_job_name(dag, job_name):
    """There, ``ti.xcom_pull`` never returns, and neither Airflow's filters nor the DAG's macros exist (Airflow 3.3.2)."""
    assert not sensor(job_name).start_from_trigger


@pytest.mark.parametrize(
    "arguments",
    [
        {"deferrable": False},
        *({name: "{{ var.value.x }}"} for name in ("region_name", "aws_conn_id", "verify")),
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_it_starts_on_a_worker_as_asked(dag, arguments):
    assert not sensor("job", **arguments).start_from_trigger


@pytest.mark.parametrize("text", ["False", " false ", "no", "0"])
def test_a_text_says_that_it_does_not_defer(clients, text):
    """YAML and configuration hold texts, and the text 'False' is true to Python."""
    assert not sensor(deferrable=text).start_from_trigger
    start(clients)
    with pytest.raises(AirflowSensorTimeout):
        sensor(deferrable=text, timeout=0, poke_interval=0).execute(task_context())


@pytest.mark.parametrize("text", ["True", "yes", "", "None"])
def test_a_text_or_an_empty_one_says_that_it_defers(clients, text):
    assert sensor(deferrable=text).start_from_trigger is HAS_ON_KILL
    start(clients)
    defer(sensor(deferrable=text), task_context())


def test_a_text_that_says_neither_is_an_error_when_it_runs():
    task = sensor(deferrable="perhaps")
    assert not task.start_from_trigger
    with pytest.raises(NotebookJobConfigError, match="deferrable: must be True or False, not 'perhaps'") as caught:
        task.execute(task_context())
    assert isinstance(caught.value, AirflowFailException)


def test_a_mapped_sensor_starts_on_a_worker(dag):
    mapped = SageMakerNotebookJobSensor.partial(task_id="m").expand(job_name=["a", "b"])
    assert mapped.start_from_trigger is False


def test_a_date_template_in_a_run_without_a_logical_date_names_run_after(dag):
    task = sensor("job-{{ ds }}")
    with pytest.raises(NotebookJobConfigError, match=r"dag_run\.run_after") as caught:
        task.render_template_fields({"dag_run": None, "params": {}})
    assert isinstance(caught.value, AirflowFailException)
    assert "'ds'" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "context"), [("job-{{ nothing }}", {}), ("{{ ds.x }}", {"logical_date": datetime.now(tz=UTC)})]
)
def test_other_undefined_names_are_jinjas_own_error(dag, template, context):
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        sensor(template).render_template_fields(context)


async def _first(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def test_the_trigger_takes_an_arn_and_reports_the_name(monkeypatch):
    import asyncio

    from fakes import FakeTrainingJobs

    jobs = FakeTrainingJobs()

    async def opened(self):
        assert self.region_name == REGION
        return jobs

    monkeypatch.setattr(NotebookJobSensorTrigger, "_open_jobs", opened)
    clients = FakeHook().clients
    clients.jobs = jobs
    start(clients)
    end(clients)
    event = asyncio.run(_first(NotebookJobSensorTrigger(job_name=ARN + "job")))
    assert (event["job_name"], event["status"], event["error"]) == ("job", "Completed", None)


def said_by(context):
    return parse_error_record(context["ti"].xcoms.get("nbjobs_error"))


def test_whatever_ends_a_sensor_is_recorded_for_the_pages(clients, hook):
    start(clients)
    context = task_context()
    with pytest.raises(AirflowSensorTimeout):
        sensor(deferrable=False, timeout=0, poke_interval=0).execute(context)
    assert said_by(context).headline.startswith("Sensor has timed out")
    context["ti"].start_date -= timedelta(seconds=90)
    with pytest.raises(AirflowSensorTimeout):
        sensor(timeout=60).resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert said_by(context).headline.startswith("timeout (60 s) has passed: training job 'job' has not ended")
    end(clients, status="Stopped", secondary="MaxRuntimeExceeded")
    context = task_context()
    with pytest.raises(NotebookJobTimeoutError):
        sensor().execute(context)
    assert (said_by(context).kind, said_by(context).job_name) == ("NotebookJobTimeoutError", "job")
    context = task_context()
    with pytest.raises(NotebookJobConfigError):
        sensor("no name!").execute(context)
    assert said_by(context).kind == "NotebookJobConfigError"


def test_a_wait_that_goes_on_is_no_error(clients):
    start(clients)
    for task in (sensor(), sensor(deferrable=False, mode="reschedule")):
        context = task_context()
        context["ti"].get_first_reschedule_date = lambda _: None
        with pytest.raises((TaskDeferred, AirflowRescheduleException)):
            task.execute(context)
        assert said_by(context) is None


def test_a_skip_instead_of_a_failure_is_recorded_as_one(clients):
    start(clients)
    end(clients, status="Stopped")
    context = task_context()
    with pytest.raises(AirflowSkipException):
        sensor(soft_fail=True).execute(context)
    assert said_by(context).kind == "AirflowSkipException"
    said = said_by(context)
    assert said.headline == "skipped instead of failed: Notebook job 'job' was stopped by somebody, not by this task"
    told = "where the job was started, since this task only waits for it: run it again"
    assert (said.advice, said.job_name) == (told, "job")


# -- assets -------------------------------------------------------------------------------------------------------------


def test_it_tells_the_dags_on_its_assets_what_the_job_has_made(clients, capsys):
    """A task with ``wait_for_completion=False`` has nothing to tell yet."""
    model, context = Asset(name="model", uri="s3://acme/model"), task_context()
    context["outlet_events"] = OutletEventAccessors()
    start(clients)
    clients.jobs.descriptions["job"]["HyperParameters"] = {"epochs": "3", "password": "hunter2-hunter2"}
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    task = sensor(outputs=["accuracy"], outlets=[model, AssetAlias("table")], deferrable=False)
    task.execute(context)
    extra = context["outlet_events"][model].extra
    assert (extra["job_name"], extra["status"], extra["outputs"]) == ("job", "Completed", {"accuracy": 0.5})
    assert extra["parameters"] == {"epochs": "3", "password": "***"}
    assert "AssetAlias('table') gets no event" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"password": "hunter2"}', {"password": "***"}),
        ('{"db": [{"password": "hunter2", "user": "me"}]}', {"db": [{"password": "***", "user": "me"}]}),
        ("[1, 2.5]", [1, 2.5]),
        ("3", "3"),
        ("true", "true"),
        ('"x"', '"x"'),
        ("{not json", "{not json"),
        ("[" * 100_000, "[" * 100_000),
    ],
    ids=["object", "nested", "list", "number", "boolean", "text", "brace", "deep"],
)
def test_secrets_inside_a_parameter_are_masked_as_the_jobs_task_masks_them(clients, given, told):
    """SageMaker has each parameter as a text, in which no masker finds a name."""
    model, context = Asset(name="model", uri="s3://acme/model"), task_context()
    context["outlet_events"] = OutletEventAccessors()
    start(clients)
    clients.jobs.descriptions["job"]["HyperParameters"] = {"a": given[:30_000]}
    end(clients, ran=executed(RAW, {}))
    sensor(outlets=[model], deferrable=False).execute(context)
    assert context["outlet_events"][model].extra["parameters"] == {
        "a": told[:30_000] if isinstance(told, str) else told
    }


def test_secrets_inside_a_parameter_are_in_no_error_text(clients):
    start(clients)
    clients.jobs.descriptions["job"]["HyperParameters"] = {"db": '{"password": "hunter2"}', "epochs": "3"}
    end(clients, status="Failed", reason="AlgorithmError", ran=failed_at(RAW, 1, "ValueError", "no"))
    with pytest.raises(NotebookCellError) as caught:
        sensor(deferrable=False).execute(task_context())
    assert "'epochs': '3'" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_job_that_failed_updates_no_asset(clients):
    model, context = Asset("s3://acme/model"), task_context()
    context["outlet_events"] = OutletEventAccessors()
    start(clients)
    end(clients, status="Failed", reason="AlgorithmError", ran=failed_at(RAW, 1, "ValueError", "no"))
    with pytest.raises(NotebookCellError):
        sensor(outlets=[model], deferrable=False).execute(context)
    assert len(context["outlet_events"]) == 0


@pytest.mark.parametrize("argument", ["outlets", "inlets"])
def test_an_asset_that_is_none_is_refused_while_the_file_is_parsed(argument):
    with pytest.raises(NotebookJobConfigError, match="task 't' has wrong outlets or inlets"):
        sensor(**{argument: ["s3://acme/model"]})


def test_outputs_are_pushed_for_a_job_that_was_poked_as_for_one_that_was_deferred(clients):
    start(clients)
    end(clients, ran=executed(RAW, {"accuracy": 0.5, "splits": [1]}))
    for deferrable in (True, False):
        context = task_context()
        task = sensor(outputs=["accuracy", "splits"], return_output="splits", deferrable=deferrable)
        assert task.execute(context) == [1]
        assert (context["ti"].xcoms["accuracy"], context["ti"].xcoms["splits"]) == (0.5, [1])


def test_the_error_of_a_wrong_deferrable_names_the_sensor():
    with pytest.raises(NotebookJobConfigError) as caught:
        sensor(deferrable="perhaps").execute(task_context())
    assert caught.value.headline == "sensor 'd.t' cannot wait as asked"


def test_poking_is_as_seldom_as_asked_but_never_without_a_pause():
    def interval(seconds):
        return sensor(poke_interval=seconds, deferrable=False)._get_next_poke_interval(0.0, lambda: 0.0, 1)

    assert [interval(seconds) for seconds in (0, 0.5, 1, 1.5, 60)] == [1, 1, 1, 1.5, 60]


@pytest.mark.parametrize("payload", [{}, {"error": None}, {"error": None, "status": "Completed"}], ids=str)
def test_an_event_that_says_nothing_of_trouble_asks_the_service(clients, payload):
    start(clients)
    event = {"job_name": "job"} | payload
    with pytest.raises(TaskDeferred):
        sensor().execute_complete(task_context(), event)
    with pytest.raises(TaskDeferred):
        sensor().execute_complete(task_context(), event, more="of a newer Airflow")


def test_an_event_of_trouble_does_not_hide_a_job_that_has_ended(clients):
    start(clients)
    end(clients, ran=executed(RAW))
    event = {"job_name": "job", "error": "no connection"}
    assert sensor().execute_complete(task_context(), event)["status"] == "Completed"


def test_trouble_in_the_triggerer_says_that_the_job_goes_on(clients):
    start(clients)
    with pytest.raises(NotebookJobServiceError) as caught:
        sensor().execute_complete(task_context(), {"job_name": "job", "error": "no connection"})
    assert (caught.value.code, caught.value.details["next"]) == (
        "WatchFailed",
        "the job goes on; a retry of this task waits for it again",
    )
