"""One try over its processes: what the next one goes on from, what a late event means, and what is pushed and logged at the end."""

from datetime import UTC, datetime, timedelta

import pytest
from airflow_names import AirflowFailException, TaskDeferred
from fakes import executed, failed_at, task_context
from operator_tasks import RAW, defer, end, event_of
from task_log import task_log

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
)
from airflow_nbjobs.core.watch.log_place import LogPlace


@pytest.fixture
def said(caplog, capsys):
    return lambda: task_log(caplog, capsys).replace("\\n", "\n")


@pytest.fixture
def recorded(monkeypatch):
    """The XComs that the first process pushed, as the API server gives them to the resumed worker."""

    def know(context):
        monkeypatch.setattr("airflow_nbjobs.task.resume.job_xcom", lambda key, **_: context["ti"].xcoms.get(key))

    return know


def trouble(**fields):
    return NotebookJobServiceError("no answer", **{"code": "Throttling", "is_retryable": True} | fields)


def deferred_again(operator, context, event):
    with pytest.raises(TaskDeferred) as caught:
        operator.execute_complete(context, event)
    return caught.value.trigger


# -- from process to process -------------------------------------------------------------------------------------------


def test_the_trigger_knows_which_cells_are_not_the_authors(task):
    context = task_context()
    trigger = defer(task(outputs=["accuracy"], stream_logs=True), context).trigger
    added = context["ti"].xcoms["nbjobs_job"]["added_cells"]
    assert added
    assert list(LogPlace.from_json(trigger.log_place).added) == added


def test_a_task_that_does_not_wait_returns_its_job(task, clients):
    value = task(wait_for_completion=False).execute(task_context())
    ((name, description),) = clients.jobs.descriptions.items()
    assert value == {"job_name": name, "job_arn": description["TrainingJobArn"], "status": "InProgress"}
    assert clients.jobs.count("describe") == 0


def test_a_process_whose_job_was_recorded_stops_it_when_the_task_follows_another(task, clients, monkeypatch):
    """The signal comes while the worker waits; until its record is pushed, the task's is of an earlier job."""
    operator, describe = task(deferrable=False), clients.jobs.describe
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    monkeypatch.setattr(
        "airflow_nbjobs.task.ownership.job_xcom", lambda *_, **__: {"version": 1, "job_name": "another"}
    )

    def described(name):
        operator.on_kill()
        clients.jobs.set_status(name, "Stopped")
        return describe(name)

    clients.jobs.describe = described
    with pytest.raises(NotebookJobStoppedError, match="the task now follows job 'another'"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_resumed_process_holds_the_recorded_job(task, clients, monkeypatch):
    context = task_context()
    operator = task()
    event = event_of(defer(operator, context))
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    monkeypatch.setattr(
        "airflow_nbjobs.task.ownership.job_xcom", lambda *_, **__: {"version": 1, "job_name": "another"}
    )
    describe = clients.jobs.describe

    def described(name):
        operator.on_kill()
        return describe(name)

    clients.jobs.describe = described
    deferred_again(operator, context, event)  # which Airflow refuses: the try is over
    assert clients.jobs.count("stop") == 1


def test_what_is_resumed_with_is_of_another_try_is_said(task, clients, said):
    operator = task(retries=2)
    event = defer(operator, task_context(max_tries=2)).trigger._event()
    clients.jobs.descriptions.clear()
    deferred_again(operator, task_context(try_number=2, max_tries=2), event)
    assert "What Airflow resumes this try with is of try 1: beginning anew" in said()


# -- the time is over --------------------------------------------------------------------------------------------------


def test_a_timeout_while_the_task_waits_for_its_turn_says_what_for(task, clients, recorded):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("the quota is in use")]
    operator, context = task(execution_timeout=timedelta(minutes=5)), task_context()
    name = defer(operator, context).trigger.job_name
    recorded(context)
    with pytest.raises(NotebookJobTimeoutError) as caught:
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert caught.value.headline == (
        "No notebook job ran: execution_timeout (0:05:00) has passed while the task waited for an instance or quota"
    )
    assert caught.value.details == {
        "reason": "the quota is in use",
        "next": "raise execution_timeout, or try again later",
    }
    assert caught.value.job_name == name


def test_a_timeout_says_that_nobody_knows_whether_the_job_has_completed(task, clients, recorded, said):
    operator, context = task(execution_timeout=timedelta(minutes=5)), task_context()
    defer(operator, context)
    recorded(context)
    clients.jobs.errors["describe"] = [OSError("no route")]
    with pytest.raises(NotebookJobTimeoutError):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert "Whether the job has completed in time is not known: no route" in said()


def test_of_a_long_traceback_of_a_trigger_the_log_has_a_part(task, recorded, said):
    operator, context = task(), task_context()
    defer(operator, context)
    recorded(context)
    with pytest.raises(TaskDeferred):
        operator.resume_execution("__fail__", {"error": "Trigger failure", "traceback": ["x" * 50_000]}, context)
    text = said()
    assert "The trigger failed:\n" in text
    assert 10_000 < text.count("x") < 25_000


# -- a job that cannot be watched --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "is_given_up"), [(590, False), (601, True)])
def test_a_job_is_watched_again_for_ten_minutes(task, clients, seconds, is_given_up, said):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    since = datetime.now(tz=UTC) - timedelta(seconds=seconds)
    turn = deferred.trigger.turn | {"trouble_since": since.isoformat()}
    event = event_of(deferred, error="AccessDenied", turn=turn)
    if is_given_up:
        with pytest.raises(NotebookJobServiceError) as caught:
            operator.execute_complete(context, event)
        assert (caught.value.code, caught.value.job_name) == ("WatchFailed", deferred.trigger.job_name)
        return
    again = deferred_again(operator, context, event)
    assert again.turn["trouble_since"] == since.isoformat(), "the ten minutes go on"
    text = said()
    assert f"The triggerer cannot watch notebook job '{deferred.trigger.job_name}': AccessDenied" in text
    assert "; having it watched again" in text


def test_a_job_that_the_poller_has_missed_begins_its_trouble_a_minute_ago(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    again = deferred_again(operator, context, event_of(deferred, error="unknown", error_code="ResourceNotFound"))
    since = datetime.fromisoformat(again.turn["trouble_since"])
    assert timedelta(seconds=60) <= datetime.now(tz=UTC) - since < timedelta(seconds=90)


# -- a late event ------------------------------------------------------------------------------------------------------


def test_the_first_event_that_is_not_so_costs_no_wait_and_is_counted(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    again = deferred_again(operator, context, event_of(deferred))
    assert type(again).__name__ == "NotebookJobTrigger"
    assert again.turn["trouble_rounds"] == deferred.trigger.turn["trouble_rounds"] + 1
    third = event_of(deferred, turn=again.turn)
    waiting = deferred_again(operator, context, third)
    assert type(waiting).__name__ == "NotebookJobTurnTrigger"


def test_what_is_not_so_is_said_of_its_job(task, clients, said):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    turn = deferred.trigger.turn | {"trouble_rounds": 1}
    deferred_again(operator, context, event_of(deferred, turn=turn))
    name = deferred.trigger.job_name
    assert f"'{name}' is InProgress, but the triggerer says that it is Completed" in said()


def test_trouble_in_reading_results_keeps_its_beginning(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    clients.jobs.errors["describe"] = [trouble(), trouble()]
    first = deferred_again(operator, context, event_of(deferred))
    second = deferred_again(operator, context, first._event())
    assert first.turn["trouble_since"] == second.turn["trouble_since"]
    assert (first.turn["trouble_rounds"], second.turn["trouble_rounds"]) == (1, 2)
    assert operator.execute_complete(context, second._event())["status"] == "Completed"


# -- what an ended job leaves ------------------------------------------------------------------------------------------


def test_the_log_says_how_the_job_ended_what_it_cost_and_what_it_returned(task, clients, said):
    operator, context = task(outputs=["accuracy"], stream_logs=False), task_context()
    deferred = defer(operator, context)
    name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    clients.logs.lines[name] = ["the last line"]
    operator.execute_complete(context, event_of(deferred))
    text = said()
    assert "Completed after 90.0 s on ml.m5.large, 90 s billed" in text
    assert "Output accuracy = 0.5" in text
    assert f"Executed notebook: s3://bucket/nbjobs/{name}/{name}.ipynb" in text
    assert "03:01:00 Completed: " in text


def test_how_a_job_ended_is_kept_with_what_sums_are_made_of(task, clients):
    operator, context = task(outputs=["b", "a"]), task_context(try_number=2, max_tries=1)
    deferred = defer(operator, context)
    name = end(clients, ran=executed(RAW, {"b": 1, "a": 2}))
    clients.jobs.descriptions[name] |= {"TrainingTimeInSeconds": 80, "EnableManagedSpotTraining": True}
    operator.execute_complete(context, event_of(deferred))
    kept = context["ti"].xcoms["nbjobs_end"]
    expected = {
        "job_name": name,
        "status": "Completed",
        "started_at": "2026-11-22T03:00:00+00:00",
        "ended_at": "2026-11-22T03:01:30+00:00",
        "duration_seconds": 90.0,
        "billable_seconds": 90,
        "outputs": ["a", "b"],
        "instance_type": "ml.m5.large",
        "instance_count": 1,
        "training_seconds": 80,
        "is_spot": True,
        "retained_seconds": None,
        "try_number": 2,
    }
    assert kept | expected == kept
    assert "error" not in kept


def test_of_a_long_error_the_first_1000_characters_are_kept(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Failed", reason="AlgorithmError: x", ran=failed_at(RAW, 2, "ValueError", "v" * 5000))
    with pytest.raises(NotebookCellError):
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    error = context["ti"].xcoms["nbjobs_end"]["error"]
    assert (error["type"], error["cell"]) == ("NotebookCellError", 2)
    assert len(error["headline"]) == 1000
    assert "was_killed" not in error


@pytest.mark.parametrize("is_retryable", [True, False])
def test_a_copy_that_cannot_be_written_hides_no_failed_cell_unless_it_may_be_written_later(
    task, clients, is_retryable, said
):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Failed", reason="AlgorithmError: x", ran=failed_at(RAW, 2, "ValueError", "no"))

    def refused(*_, **__):
        raise trouble(is_retryable=is_retryable)

    clients.objects.put = refused
    if is_retryable:
        deferred_again(operator, context, event_of(deferred, status="Failed"))
        return
    with pytest.raises(NotebookCellError):
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert "The executed notebook is in output.tar.gz only: no answer" in said()


def test_a_completed_jobs_copy_that_cannot_be_written_is_waited_for(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    put = clients.objects.put

    def refused(*_, **__):
        raise trouble(is_retryable=False)

    clients.objects.put = refused
    again = deferred_again(operator, context, event_of(deferred))
    clients.objects.put = put
    value = operator.execute_complete(context, again._event())
    assert value["executed_notebook_uri"] in clients.objects.bodies


def test_an_error_of_an_adopted_job_that_somebody_stopped_is_worth_a_retry(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Stopped")
    with pytest.raises(NotebookJobStoppedError) as caught:
        operator.execute_complete(context, event_of(deferred, status="Stopped", was_adopted=True))
    assert not isinstance(caught.value, AirflowFailException)
    with pytest.raises(NotebookJobStoppedError) as caught:
        operator.execute_complete(context, event_of(deferred, status="Stopped"))
    assert isinstance(caught.value, AirflowFailException)
