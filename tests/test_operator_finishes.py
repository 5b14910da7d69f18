"""The second process of a notebook task: results to XComs, errors to Airflow, and what a failed trigger means."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow_names import AirflowFailException, TaskDeferred
from fakes import archive, executed, failed_at, task_context
from operator_tasks import RAW, Tasks, defer, end, event_of

from airflow_nbjobs import _compat, links
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
)
from airflow_nbjobs.triggers import NotebookJobTrigger


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients


def test_it_returns_facts_and_outputs_and_pushes_each_output(task, clients):
    operator, context = task(outputs={"accuracy": float, "splits": list}), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5, "splits": [1, 2]}))
    value = operator.execute_complete(context, event_of(deferred))
    assert value["outputs"] == {"accuracy": 0.5, "splits": [1, 2]}
    assert (value["job_name"], value["status"]) == (job_name, "Completed")
    assert context["ti"].xcoms["accuracy"] == 0.5
    assert context["ti"].xcoms["splits"] == [1, 2]


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_completed_job_that_is_being_deleted_is_delivered(task, clients, deferrable, caplog, capsys):
    """A deletion leaves S3 alone: what was paid for is handed over, and the return value says how the job ended."""
    operator, context = task(outputs={"accuracy": float}, deferrable=deferrable), task_context()
    if deferrable:
        deferred = defer(operator, context)
        job_name = end(clients, "Deleting", secondary="Completed", ran=executed(RAW, {"accuracy": 0.5}))
        value = operator.execute_complete(context, event_of(deferred, status="Deleting"))
    else:
        describe = clients.jobs.describe

        def described(name):
            end(clients, "Deleting", secondary="Completed", ran=executed(RAW, {"accuracy": 0.5}))
            return describe(name)

        clients.jobs.describe = described
        value = operator.execute(context)
        (job_name,) = clients.jobs.descriptions
    assert (value["status"], value["outputs"]) == ("Completed", {"accuracy": 0.5})
    assert context["ti"].xcoms["nbjobs_end"]["status"] == "Completed"
    assert f"training job '{job_name}' is being deleted" in caplog.text + capsys.readouterr().out


@pytest.mark.parametrize("ran", [None, executed(RAW)], ids=["nothing in S3", "whole in S3"])
def test_a_job_that_is_being_deleted_and_does_not_say_how_it_ended_is_retried(task, clients, ran):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, "Deleting", secondary="Training", ran=ran)
    with pytest.raises(NotebookJobServiceError, match=f"'{job_name}' is being deleted") as caught:
        operator.execute_complete(context, event_of(deferred, status="Deleting"))
    assert caught.value.is_retryable
    assert not isinstance(caught.value, AirflowFailException)
    assert "a retry of this task runs the notebook again" in str(caught.value)
    assert ("has run to its end" in str(caught.value)) is (ran is not None)


def test_a_job_that_is_being_deleted_still_shows_its_failing_cell(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Deleting", secondary="Training", ran=failed_at(RAW, 2, "ValueError", "no"))
    with pytest.raises(NotebookCellError, match="cell 2"):
        operator.execute_complete(context, event_of(deferred, status="Deleting"))


def test_a_job_that_is_gone_after_the_triggerer_saw_it_deleted_is_an_error_at_once(task, clients):
    """An unknown job may be one that is not shown yet, for a minute; not this one."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    clients.jobs.descriptions.clear()
    with pytest.raises(NotebookJobServiceError, match="does not know training job") as caught:
        operator.execute_complete(context, event_of(deferred, status="Deleting"))
    assert caught.value.is_retryable
    assert "a retry runs the notebook again if the job is gone" in str(caught.value)


def test_the_readme_has_every_key_of_the_return_value(task, clients):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    table = re.search(r"\| key of `return_value` \|.*?\n\n", readme, re.DOTALL)[0]
    documented = re.findall(r"`(\w+)`", " ".join(row.split("|")[1] for row in table.splitlines()[2:] if row))
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    assert sorted(documented) == sorted(operator.execute_complete(context, event_of(deferred)))


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
    assert order == ["accuracy", "nbjobs_end", f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb"]
    assert objects.bodies[order[-1]] == ran


def test_the_delivered_copy_is_encrypted_with_the_jobs_key(task, clients):
    task.hook.connection_extra = {"nbjobs": {"s3_kms_key": "alias/default"}}
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


def test_how_a_job_ended_is_there_for_pages_also_when_it_failed(task, clients):
    """A failed task returns nothing; a page over all jobs reads one small value of each."""
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, "Failed", reason="AlgorithmError: x", ran=failed_at(RAW, 2, "ValueError", "no" * 900))
    with pytest.raises(NotebookCellError):
        operator.execute_complete(context, event_of(deferred))
    ended = context["ti"].xcoms["nbjobs_end"]
    assert (ended["job_name"], ended["status"], ended["outputs"]) == (job_name, "Failed", [])
    assert (ended["error"]["type"], ended["error"]["cell"]) == ("NotebookCellError", 2)
    assert ended["error"]["headline"].startswith(f"Notebook job '{job_name}' failed in cell 2: ValueError: nono")
    assert len(ended["error"]["headline"]) == 1000


def test_how_a_job_succeeded_is_there_for_pages_without_its_outputs(task, clients):
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    facts = operator.execute_complete(context, event_of(deferred))
    ended = context["ti"].xcoms["nbjobs_end"]
    progress = {"job_name": ended["job_name"], "done": 3, "total": 3}
    beside = {"outputs": ["accuracy"], "progress": progress}
    # What the sums of the page of all jobs need.
    beside |= {
        "instance_count": 1,
        "training_seconds": None,
        "is_spot": False,
        "retained_seconds": None,
        "try_number": 1,
    }
    assert ended == {name: facts[name] for name in ended if name not in beside} | beside
    assert {"duration_seconds", "billable_seconds", "started_at"} <= set(ended)


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
        operator.execute_complete(context, event_of(deferred, attempt=2, was_adopted=True, turn=None))
    assert again.value.trigger.serialize()[1]["attempt"] == 2
    assert again.value.trigger.serialize()[1]["was_adopted"] is True


@pytest.mark.parametrize(
    ("accounts", "stored"),
    [((), ["SageMaker console", "CloudWatch logs", "Executed notebook"]), (links._NO_ACCOUNTS, ["Executed notebook"])],
)
def test_links_are_stored_when_a_task_defers_and_anew_with_another_job(task, clients, monkeypatch, accounts, stored):
    """Airflow stores the links whenever a process of the task ends; each is a request to its API server, which one without an address is not worth."""
    monkeypatch.setattr(links, "_NO_ACCOUNTS", accounts)
    monkeypatch.setattr(_compat, "ui_address", lambda: "http://airflow")
    operator, context = task(capacity_timeout=600), task_context()
    ours = type(operator).operator_extra_links
    deferred = defer(operator, context)
    assert [each.name for each in operator.operator_extra_links] == stored, "no Studio domain, no link"
    end(clients, "Failed", reason="CapacityError: Unable to provision requested ML compute capacity.")
    with pytest.raises(TaskDeferred) as waiting:
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert tuple(operator.operator_extra_links) == tuple(ours), (
        "of no job, until there is another: they replace the first one's"
    )
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, waiting.value.trigger._event())
    assert tuple(operator.operator_extra_links) == tuple(ours)
    clients.jobs.set_status(again.value.trigger.job_name, "Completed")
    uri = f"s3://bucket/nbjobs/{again.value.trigger.job_name}/output/output.tar.gz"
    clients.objects.bodies[uri] = archive({f"{again.value.trigger.job_name}.ipynb": executed(RAW)})
    operator.execute_complete(context, event_of(again.value))
    assert tuple(operator.operator_extra_links) == ()


def test_a_job_that_cannot_be_watched_is_watched_again_and_then_left_to_a_retry(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred, error="AccessDenied"))
    assert isinstance(again.value.trigger, NotebookJobTrigger)
    since = datetime.fromisoformat(again.value.trigger.turn["trouble_since"])
    assert timedelta() <= datetime.now(tz=UTC) - since < timedelta(minutes=1)
    long_ago = again.value.trigger.turn | {"trouble_since": (since - timedelta(minutes=11)).isoformat()}
    with pytest.raises(NotebookJobServiceError, match=r"cannot watch notebook job .*AccessDenied") as caught:
        operator.execute_complete(context, event_of(deferred, error="AccessDenied", turn=long_ago))
    assert not isinstance(caught.value, AirflowFailException)
    assert "a retry of this task adopts it" in str(caught.value)
    end(clients, ran=executed(RAW))
    value = operator.execute_complete(context, event_of(deferred, error="AccessDenied", turn=long_ago))
    assert value["status"] == "Completed", "one that has ended needs no watching"


def test_a_job_that_the_poller_has_missed_for_a_minute_is_asked_for_once_more_only(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    clients.jobs.descriptions.clear()
    with pytest.raises(NotebookJobServiceError, match="does not know training job"):
        operator.execute_complete(context, event_of(deferred, error="unknown", error_code="ResourceNotFound"))


def test_a_watch_that_works_again_ends_the_trouble(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred, error="AccessDenied"))
    with pytest.raises(TaskDeferred) as later:
        operator.execute_complete(context, event_of(again.value))
    assert later.value.trigger.turn["trouble_since"] is None


def test_a_retry_that_is_resumed_with_the_event_of_the_try_before_begins_anew(task, clients):
    """Airflow 3.0 keeps the deferral of a try that failed: a failed cell would be reported again by each retry, and never be run again."""
    operator = task(retries=2)
    deferred = defer(operator, task_context(max_tries=2))
    first = end(clients, "Failed", reason="AlgorithmError: x", ran=failed_at(RAW, 2, "ValueError", "no bread left"))
    event = deferred.trigger._event() | {"status": "Failed"}
    with pytest.raises(NotebookCellError):
        operator.execute_complete(task_context(max_tries=2), event)
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(task_context(try_number=2, max_tries=2), event)
    assert again.value.trigger.job_name != first
    assert again.value.trigger.serialize()[1]["try_number"] == 2
    assert len(clients.jobs.descriptions) == 2


def test_a_retry_that_is_resumed_with_the_time_out_of_the_try_before_begins_anew(task, clients, job_known_to_airflow):
    operator = task(retries=2, execution_timeout=timedelta(minutes=10))
    context = task_context(max_tries=2)
    defer(operator, context)
    job_known_to_airflow(context)
    end(clients, "Stopped")
    with pytest.raises(TaskDeferred):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, task_context(try_number=2, max_tries=2))
    assert len(clients.jobs.descriptions) == 2


def test_a_job_that_is_not_there_is_asked_for_again_and_then_left_to_a_retry(task, clients):
    """The service may not show it yet; if it was deleted, its name is free and a retry makes another."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    gone = dict(clients.jobs.descriptions)
    clients.jobs.descriptions.clear()
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred))
    turn = again.value.trigger.turn
    assert (turn["step"], turn["cause"]) == ("finish", "trouble")
    long_ago = (datetime.now(tz=UTC) - timedelta(seconds=61)).isoformat()
    event = event_of(deferred, turn=turn | {"trouble_since": long_ago})
    with pytest.raises(NotebookJobServiceError, match="does not know training job") as caught:
        operator.execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException)
    clients.jobs.descriptions |= gone
    end(clients, ran=executed(RAW))
    assert operator.execute_complete(context, event)["status"] == "Completed"


@pytest.mark.parametrize("denied", ["describe", "archive"])
def test_a_denial_about_a_job_that_has_ended_is_waited_through_and_then_left_to_a_retry(task, clients, denied):
    """What is paid for is not lost to an edited policy."""
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    archive = f"s3://bucket/nbjobs/{job_name}/output/output.tar.gz"

    def deny():
        if denied == "describe":
            clients.jobs.errors["describe"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
        else:
            clients.objects.denied.add(archive)

    deny()
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred))
    turn = again.value.trigger.turn
    assert (turn["step"], turn["cause"]) == ("finish", "trouble")
    long_ago = (datetime.now(tz=UTC) - timedelta(hours=1)).isoformat()
    event = event_of(deferred, turn=turn | {"trouble_since": long_ago})
    deny()
    with pytest.raises(NotebookJobServiceError) as caught:
        operator.execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException)
    assert "a clear runs the notebook again and is billed again" in str(caught.value)
    assert f"SageMakerNotebookJobSensor(job_name='{job_name}')" in str(caught.value)
    clients.objects.denied.clear()
    assert operator.execute_complete(context, event)["outputs"] == {"accuracy": 0.5}


@pytest.mark.parametrize("status", ["Completed", "Failed"])
@pytest.mark.parametrize("is_retryable", [True, False])
def test_a_copy_that_cannot_be_written_is_tried_again_but_hides_no_failed_cell_for_ever(
    task, clients, monkeypatch, status, is_retryable
):
    """Where S3 denies it, only the archive has the notebook; a completed job without the copy would count as not delivered."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    ran = executed(RAW) if status == "Completed" else failed_at(RAW, 2, "ValueError", "no bread")
    end(clients, status, reason="" if status == "Completed" else "AlgorithmError: x", ran=ran)

    def put(uri, _body, *, kms_key):
        raise NotebookJobServiceError(f"no write of {uri} with {kms_key}", code="c", is_retryable=is_retryable)

    monkeypatch.setattr(clients.objects, "put", put)
    if status == "Failed" and not is_retryable:
        with pytest.raises(NotebookCellError, match="no bread"):
            operator.execute_complete(context, event_of(deferred))
        return
    with pytest.raises(TaskDeferred) as again:
        operator.execute_complete(context, event_of(deferred))
    assert (again.value.trigger.turn["step"], again.value.trigger.turn["cause"]) == ("finish", "trouble")
    monkeypatch.undo()
    if status == "Failed":
        with pytest.raises(NotebookCellError, match="no bread"):
            operator.execute_complete(context, event_of(deferred))
    else:
        assert operator.execute_complete(context, event_of(deferred))["status"] == "Completed"


@pytest.fixture
def job_known_to_airflow(monkeypatch):
    """The XCom that the first process pushed, as the API server gives it to the resumed worker."""

    def know(context):
        monkeypatch.setattr(
            "airflow_nbjobs.task.resume.job_xcom", lambda key, **_: context["ti"].xcoms.get(key), raising=True
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


@pytest.mark.parametrize("error", [NotebookJobServiceError("no answer", code="500", is_retryable=True), OSError("no")])
def test_a_timeout_is_told_and_the_job_stopped_though_nobody_says_how_it_stands(
    task, clients, job_known_to_airflow, error
):
    operator, context = task(execution_timeout=timedelta(minutes=5)), task_context()
    defer(operator, context)
    job_known_to_airflow(context)
    clients.jobs.errors["describe"] = [error]
    with pytest.raises(NotebookJobTimeoutError, match="was stopped: execution_timeout"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert clients.jobs.count("stop") == 1


def test_what_a_trigger_died_of_is_in_the_tasks_log(task, clients, job_known_to_airflow, capsys):
    operator, context = task(), task_context()
    defer(operator, context)
    job_known_to_airflow(context)
    with pytest.raises(TaskDeferred):
        operator.resume_execution(
            "__fail__", {"error": "Trigger failure", "traceback": ["in f", "KeyError: x"]}, context
        )
    assert "in f\nKeyError: x" in capsys.readouterr().out.replace("\\n", "\n")


def test_what_cannot_be_watched_for_long_is_told_as_such_though_it_cannot_be_asked_for_either(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    long_ago = {"trouble_since": (datetime.now(tz=UTC) - timedelta(hours=1)).isoformat()}
    clients.jobs.errors["describe"] = [NotebookJobServiceError("denied", code="AccessDeniedException")]
    event = event_of(deferred, error="AccessDenied", turn=deferred.trigger.turn | long_ago)
    with pytest.raises(NotebookJobServiceError, match="cannot watch notebook job") as caught:
        operator.execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException), "a retry adopts the job"


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


@pytest.mark.parametrize(
    "edited",
    ["x", {"version": 2}, {"job_name": 3}, {"turn": {"step": "sleep"}}, {"turn": {"since": "then"}}],
    ids=repr,
)
def test_a_record_that_somebody_has_edited_is_an_error_that_says_so(task, clients, job_known_to_airflow, edited):
    operator, context = task(), task_context()
    defer(operator, context)
    record = context["ti"].xcoms["nbjobs_job"]
    context["ti"].xcoms["nbjobs_job"] = record | edited if isinstance(edited, dict) else edited
    job_known_to_airflow(context)
    with pytest.raises(NotebookJobServiceError, match="nbjobs_job, is of another form") as caught:
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert caught.value.is_retryable


@pytest.mark.parametrize(
    "edited", [{"try_number": "one"}, {"waiting": "x"}, {"turn": "x"}, {"was_adopted": 1, "log_place": []}]
)
def test_a_field_that_somebody_has_edited_counts_as_missing(task, clients, job_known_to_airflow, edited):
    operator, context = task(execution_timeout=timedelta(minutes=5)), task_context()
    deferred = defer(operator, context)
    context["ti"].xcoms["nbjobs_job"] |= edited
    job_known_to_airflow(context)
    with pytest.raises(TaskDeferred) as again:
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert again.value.trigger.job_name == deferred.trigger.job_name
    with pytest.raises(NotebookJobTimeoutError):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_an_event_of_a_later_version_is_made_up_for_by_the_tasks_own_record(task, clients, job_known_to_airflow):
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    job_known_to_airflow(context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    event = event_of(deferred, turn={"step": "fly"})
    assert operator.execute_complete(context, event)["outputs"] == {"accuracy": 0.5}
