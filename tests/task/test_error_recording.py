"""Whatever ends a task, the task has said it in an XCom, with what to do, just before it fails."""

import json
from datetime import timedelta
from functools import partial

import pytest
from airflow_names import AirflowTaskTimeout, TaskDeferred
from fakes import archive, executed, failed_at, task_context
from operator_tasks import RAW, defer, end, event_of

from airflow_nbjobs.core.error_record import parse_error_record
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.task.ownership import TryOverError


def said_by(context):
    return parse_error_record(context["ti"].xcoms.get("nbjobs_error"))


def failed(run, context):
    """Return the record, and the error that left the task."""
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whatever it is
        run()
    assert not isinstance(caught.value, TaskDeferred)
    record = said_by(context)
    assert record is not None, caught.value
    assert record.try_number == context["ti"].try_number
    return record, caught.value


def denied(headline="AccessDeniedException on sagemaker:CreateTrainingJob"):
    return NotebookJobServiceError(headline, code="AccessDeniedException", details={"next": "allow it"})


REFUSED = {
    "unknown parameter": ({"parameters": {"epoch": 3}}, "did you mean 'epochs'?"),
    "missing notebook": ({"input_notebook": "none.ipynb"}, "none.ipynb"),
    "wrong flag": ({"deferrable": "perhaps"}, "deferrable"),
    "wrong output": ({"outputs": ["not a name"]}, "is not a variable's name"),
    "no role": ({"role": None}, "role"),
    "two problems": ({"volume_size": "big", "instance_type": ""}, "volume_size"),
}


@pytest.mark.parametrize(("arguments", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_before_anything_is_submitted(task, clients, arguments, words):
    context = task_context()
    record, error = failed(lambda: task(**arguments).execute(context), context)
    assert clients.jobs.descriptions == {}
    assert (record.kind, record.job_name) == ("NotebookJobConfigError", None)
    assert words in f"{record.headline} {record.problems}"
    assert record.text in (str(error), "")


def test_a_template_that_cannot_be_rendered(task):
    context = task_context() | {"logical_date": None}
    operator = task(parameters={"epochs": "{{ ds }}"})
    record, _ = failed(lambda: operator.render_template_fields(context), context)
    assert "cannot be rendered" in record.headline
    assert "dag_run.run_after" in record.advice


def test_a_denied_request(task, clients):
    context = task_context()
    clients.jobs.errors["create"] = [denied()]
    record, _ = failed(lambda: task().execute(context), context)
    assert (record.kind, record.advice) == ("NotebookJobServiceError", "allow it")


ENDED = {
    "timeout": (("Stopped", "MaxRuntimeExceeded", ""), None, "NotebookJobTimeoutError", "max_runtime_in_seconds"),
    "stopped": (("Stopped", None, ""), None, "NotebookJobStoppedError", "clear the task"),
    "capacity": (("Failed", None, "CapacityError: none"), None, "NotebookJobCapacityError", "another instance type"),
    "platform": (("Failed", None, "InternalServerError: x"), None, "NotebookJobServiceError", "retry"),
    "request": (("Failed", None, "ClientError: no image"), None, "NotebookJobConfigError", "check the image"),
    "kernel": (
        ("Failed", None, "AlgorithmError: No such kernel named r42"),
        None,
        "NotebookJobConfigError",
        "kernel_name",
    ),
    "memory": (
        ("Failed", None, "AlgorithmError: DeadKernelError: Kernel died, exit code: 137"),
        None,
        "NotebookJobError",
        "larger instance_type",
    ),
    "disk": (
        ("Failed", None, "AlgorithmError: OSError: [Errno 28] No space left on device"),
        None,
        "NotebookJobError",
        "volume_size",
    ),
    "init script": (
        ("Failed", None, "AlgorithmError: Error with running init script"),
        None,
        "NotebookJobError",
        "initialization_script failed",
    ),
    "cell": (
        ("Failed", None, "AlgorithmError: x"),
        failed_at(RAW, 2, "ValueError", "no"),
        "NotebookCellError",
        "cell 2",
    ),
    "cell's memory": (
        ("Failed", None, "AlgorithmError: x"),
        failed_at(RAW, 2, "MemoryError", ""),
        "NotebookCellError",
        "larger instance_type",
    ),
    "cell's disk": (
        ("Failed", None, "AlgorithmError: x"),
        failed_at(RAW, 2, "OSError", "[Errno 28] No space left on device: 'a'"),
        "NotebookCellError",
        "volume_size",
    ),
    "cell's denial": (
        ("Failed", None, "AlgorithmError: x"),
        failed_at(RAW, 2, "ClientError", "An error occurred (AccessDenied) when calling the GetObject operation: x"),
        "NotebookCellError",
        "the job's role",
    ),
    "skip": (
        ("Failed", None, "AlgorithmError: x"),
        failed_at(RAW, 2, "AirflowSkipException", "no rows"),
        "NotebookSkippedError",
        "",
    ),
    "output": (
        ("Completed", None, ""),
        executed(RAW, {"accuracy": {"type": "None", "error": "missing"}}),
        "NotebookOutputError",
        "mend the notebook",
    ),
    "no notebook": (("Completed", None, ""), None, "NotebookOutputError", "read the log"),
    "format": (
        ("Failed", None, 'AlgorithmError: Papermill process complete. ValueError: Unknown exporter "pfd"'),
        executed(RAW),
        "NotebookOutputError",
        "leave out the format",
    ),
}


@pytest.mark.parametrize("given", ENDED.values(), ids=ENDED)
def test_every_end_of_a_job(task, clients, given):
    ended, ran, kind, advice = given
    operator, context = (
        task(outputs=["accuracy"], capacity_timeout=0, output_formats=["pfd"] if "pfd" in ended[2] else None),
        task_context(),
    )
    deferred = defer(operator, context)
    status, secondary, reason = ended
    job_name = end(clients, status, secondary=secondary, reason=reason, ran=ran)
    record, error = failed(lambda: operator.execute_complete(context, event_of(deferred)), context)
    assert (record.kind, record.job_name) == (kind, job_name)
    assert record.headline == error.headline
    assert advice in record.advice
    assert record.advice or kind == "NotebookSkippedError"


def test_a_timeout_of_the_task_while_it_waits_for_its_job(task, monkeypatch):
    operator, context = task(execution_timeout=timedelta(minutes=10)), task_context()
    deferred = defer(operator, context)
    monkeypatch.setattr("airflow_nbjobs.task.resume.job_xcom", lambda key, **_: context["ti"].xcoms[key])
    record, _ = failed(lambda: operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context), context)
    assert record.kind == "NotebookJobTimeoutError"
    assert "execution_timeout (0:10:00) has passed" in record.headline
    assert record.advice == "raise execution_timeout, or give the notebook less to do"
    assert record.job_name == deferred.trigger.job_name


def test_a_timeout_of_the_task_that_waits_in_its_worker(task, clients, monkeypatch):
    """Airflow raises it wherever the task stands, and its text is the number of a process."""
    operator, context = task(deferrable=False, execution_timeout=timedelta(minutes=10)), task_context()

    def timing_out(job_name):
        raise AirflowTaskTimeout("Timeout, PID: 4711")

    monkeypatch.setattr(clients.jobs, "describe", timing_out)
    record, error = failed(lambda: operator.execute(context), context)
    (job_name,) = clients.jobs.descriptions
    assert isinstance(error, AirflowTaskTimeout)
    assert record.headline == f"Notebook job '{job_name}' was stopped: execution_timeout (0:10:00) has passed"
    assert (record.kind, record.job_name) == ("NotebookJobTimeoutError", job_name)


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_timeout_whose_stop_is_refused_does_not_say_that_the_job_was_stopped(task, clients, monkeypatch, deferrable):
    operator, context = task(deferrable=deferrable, execution_timeout=timedelta(minutes=10)), task_context()
    if deferrable:
        defer(operator, context)
    else:
        clients.jobs.errors["describe"] = [AirflowTaskTimeout("Timeout, PID: 4711")]
    clients.jobs.errors["stop"] = [denied("AccessDeniedException on sagemaker:StopTrainingJob")]
    monkeypatch.setattr("airflow_nbjobs.task.resume.job_xcom", lambda key, **_: context["ti"].xcoms[key])
    resume = partial(operator.resume_execution, "__fail__", {"error": "Trigger timeout"}, context)
    record, _ = failed(resume if deferrable else partial(operator.execute, context), context)
    (job_name,) = clients.jobs.descriptions
    runs_on = f"Notebook job '{job_name}' was not stopped and may run on"
    assert record.headline == f"{runs_on}: execution_timeout (0:10:00) has passed"


def test_a_timeout_while_results_are_pushed_does_not_say_that_the_job_was_stopped(task, clients):
    operator, context = task(outputs=["accuracy"], execution_timeout=timedelta(minutes=10)), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    push = context["ti"].xcom_push

    def timing_out(key, value):
        if key == "accuracy":
            raise AirflowTaskTimeout("Timeout, PID: 4711")
        push(key=key, value=value)

    context["ti"].xcom_push = timing_out
    record, _ = failed(lambda: operator.execute_complete(context, event_of(deferred)), context)
    assert (
        record.headline
        == f"Notebook job '{job_name}' has ended, its task has not: execution_timeout (0:10:00) has passed"
    )


def test_a_trigger_that_cannot_watch_the_job_for_long(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    turn = deferred.trigger.turn | {"trouble_since": "2020-01-01T00:00:00+00:00"}
    record, _ = failed(
        lambda: operator.execute_complete(context, event_of(deferred, error="AccessDenied", turn=turn)), context
    )
    assert "cannot watch notebook job" in record.headline
    assert record.job_name == deferred.trigger.job_name


def test_an_exception_that_nobody_has_thought_of(task, monkeypatch):
    context = task_context()
    monkeypatch.setattr("airflow_nbjobs.task.submit.submit", lambda *_, **__: {}["what"])
    record, error = failed(lambda: task().execute(context), context)
    assert isinstance(error, KeyError)
    assert record.headline == "KeyError: 'what'"


def test_no_deferral_and_no_success_is_an_error(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    operator.execute_complete(context, event_of(deferred))
    assert said_by(context) is None


def test_secrets_are_masked_as_in_the_log(task, monkeypatch):
    from airflow_names import mask_secret

    context = task_context()
    mask_secret("hunter2-hunter2")
    record, error = failed(lambda: task(input_notebook="hunter2-hunter2.ipynb").execute(context), context)
    assert "hunter2" in str(error)
    assert "hunter2" not in json.dumps(context["ti"].xcoms["nbjobs_error"])
    assert "***" in f"{record.headline} {record.problems}"


@pytest.mark.parametrize("is_over", [True, False])
def test_a_try_that_is_over_records_nothing(task, monkeypatch, is_over):
    """What it pushed would be the next try's."""
    context = task_context()
    context["ti"].id = "a-try"
    monkeypatch.setattr("airflow_nbjobs.task.ownership.has_try", lambda _: not is_over)
    with pytest.raises(RuntimeError):
        task(input_notebook="none.ipynb").execute(context)
    assert (said_by(context) is None) is is_over


def test_a_try_that_was_told_to_end_leaves_the_last_word_to_the_next(task, monkeypatch):
    context = task_context()

    def over(*_, **__):
        raise TryOverError("Airflow has ended this try")

    monkeypatch.setattr("airflow_nbjobs.task.submit.submit", over)
    with pytest.raises(TryOverError):
        task().execute(context)
    assert said_by(context) is None


def test_airflow_that_takes_no_xcom_hides_no_error(task):
    context = task_context()

    def refusing(key, value):
        raise OSError("no API server")

    context["ti"].xcom_push = refusing
    with pytest.raises(RuntimeError, match="cannot run"):
        task(input_notebook="none.ipynb").execute(context)


def test_time_that_is_up_while_the_error_is_recorded_hides_no_error(task):
    context = task_context()

    def too_late(key, value):
        raise AirflowTaskTimeout("Timeout, PID: 1")

    context["ti"].xcom_push = too_late
    with pytest.raises(RuntimeError, match="cannot run"):
        task(input_notebook="none.ipynb").execute(context)


def test_airflow_that_is_away_is_asked_once(task, monkeypatch):
    """Each question to an API server that is away takes Airflow's supervisor a minute: the error is to leave the task."""
    context, clock = task_context(), iter([0.0, 60.0])
    context["ti"].id = "a-try"

    def away(_):
        raise OSError("no API server")

    monkeypatch.setattr("airflow_nbjobs.task.ownership.has_try", away)
    monkeypatch.setattr("airflow_nbjobs.task.error_recording.time.monotonic", lambda: next(clock))
    with pytest.raises(RuntimeError, match="cannot run"):
        task(input_notebook="none.ipynb").execute(context)
    assert said_by(context) is None


class Store:
    """Airflow's task state store."""

    def __init__(self):
        self.values = {}

    def get(self, key):
        return json.loads(json.dumps(self.values.get(key)))

    def set(self, key, value):
        self.values[key] = value


def test_an_error_stays_with_its_job_when_the_task_has_another(task, clients):
    store, operator = Store(), task()
    for generation in (0, 1):
        context = task_context(max_tries=generation, try_number=generation + 1) | {"task_state_store": store}
        deferred = defer(operator, context)
        job_name = deferred.trigger.job_name
        store.values["nbjobs_attempts"][-1]["cost"] = 3  # as a later version may say
        clients.jobs.set_status(job_name, "Failed", None, "AlgorithmError: x")
        uri = f"s3://bucket/nbjobs/{job_name}/output/output.tar.gz"
        ran = failed_at(RAW, 2, "ValueError", f"generation {generation}")
        clients.objects.bodies[uri] = archive({f"{job_name}.ipynb": ran})
        failed(lambda: operator.execute_complete(context, event_of(deferred)), context)  # noqa: B023
    first, second = map(parse_error_record, (each["error"] for each in store.values["nbjobs_attempts"]))
    assert "generation 0" in first.headline
    assert "generation 1" in second.headline
    assert (first.try_number, second.try_number) == (1, 2)
    assert [each["cost"] for each in store.values["nbjobs_attempts"]] == [3, 3]
