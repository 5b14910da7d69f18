"""A full quota, missing capacity and a service in trouble: the task waits for its turn, and neither fails nor pays twice."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow_names import AirflowFailException, TaskDeferred
from fakes import executed, failed_at, needs_preferences, task_context
from operator_tasks import RAW, Tasks, defer, end, event_of

from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobServiceError,
    NotebookJobTimeoutError,
)
from airflow_nbjobs.core.job.submission_state import TROUBLE_SECONDS
from airflow_nbjobs.core.job.xcoms import VERSION
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.triggers import NotebookJobTrigger, NotebookJobTurnTrigger
from airflow_nbjobs.triggers.kept_progress import kept_form

FULL = "the account's quota for this instance type is in use: 'ml.m5.large for training job usage' is 1 Instances"
NO_CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."


def full():
    return NotebookJobCapacityError(FULL)


def unreachable(job_name=None):
    return NotebookJobServiceError(
        "got no answer", code="EndpointConnectionError", is_retryable=True, job_name=job_name
    )


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients


@pytest.fixture
def recorded(monkeypatch):
    """The task's XComs, as the API server gives them to the resumed worker."""

    def know(context):
        monkeypatch.setattr("airflow_nbjobs.task.resume.job_xcom", lambda key, **_: context["ti"].xcoms.get(key))

    return know


def turn_event(deferred):
    """What the sleeping trigger of this deferral yields."""
    return deferred.trigger._event()


def resume(operator, context, event):
    """Run another process; return how it deferred."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute_complete(context, event)
    return caught.value


def seconds_until(deferred):
    return (datetime.fromisoformat(deferred.trigger.until) - datetime.now(tz=UTC)).total_seconds()


# -- quota and throttling ----------------------------------------------------------------------------------------------


def test_a_full_quota_is_waited_for_without_a_worker(task, clients):
    clients.jobs.errors["create"] = [full()]
    operator, context = task(waiter_delay=30), task_context()
    deferred = defer(operator, context)
    assert type(deferred.trigger) is NotebookJobTurnTrigger
    assert (deferred.method_name, deferred.timeout) == ("execute_complete", None)
    assert 10 < seconds_until(deferred) <= 30
    assert clients.jobs.descriptions == {}


def test_links_and_pages_are_told_that_there_is_no_job_yet_and_why(task, clients):
    clients.jobs.errors["create"] = [full()]
    context = task_context()
    deferred = defer(task(), context)
    job = context["ti"].xcoms["nbjobs_job"]
    assert (job["job_name"], job["job_arn"]) == (deferred.trigger.job_name, None)
    assert job["waiting"]["for"] == "an instance or quota"
    assert job["waiting"]["reason"] == FULL
    assert job["waiting"]["until"].startswith(deferred.trigger.until[:10])
    assert "console_url" not in job


def test_of_a_long_reason_to_wait_pages_are_told_the_first_500_characters(task, clients):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("q" * 501)]
    context = task_context()
    defer(task(), context)
    assert context["ti"].xcoms["nbjobs_job"]["waiting"]["reason"] == "q" * 500


def test_the_next_process_submits_what_is_staged_and_then_waits_for_the_job(task, clients):
    clients.jobs.errors["create"] = [full()]
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    clients.objects.puts.clear()
    following = resume(operator, context, turn_event(deferred))
    (job_name,) = clients.jobs.descriptions
    assert type(following.trigger) is NotebookJobTrigger
    assert following.trigger.job_name == deferred.trigger.job_name == job_name
    assert clients.objects.puts == [], "the input lies there"
    assert clients.jobs.count("describe") == 0, "a refused name is free"
    assert "waiting" not in context["ti"].xcoms["nbjobs_job"]


def test_each_wait_is_longer_than_the_one_before(task, clients):
    clients.jobs.errors["create"] = [full() for _ in range(3)]
    operator, context = task(waiter_delay=30), task_context()
    deferred = defer(operator, context)
    waits = [seconds_until(deferred)]
    for _ in range(2):
        deferred = resume(operator, context, turn_event(deferred))
        waits.append(seconds_until(deferred))
    assert 10 < waits[0] < 30 < waits[1] < 60 < waits[2] < 120


def test_after_capacity_timeout_the_task_fails_and_follows_its_retries(task, clients):
    clients.jobs.errors["create"] = [full(), full()]
    operator, context = task(capacity_timeout="60"), task_context()
    event = turn_event(defer(operator, context))
    event["turn"]["since"] = (datetime.now(tz=UTC) - timedelta(seconds=61)).isoformat()
    with pytest.raises(NotebookJobCapacityError) as caught:
        operator.execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException)
    assert "asked 2 times" in caught.value.details["waited"]


@pytest.mark.parametrize("timeout", [0, "0", timedelta(0)], ids=str)
def test_capacity_timeout_zero_fails_at_once(task, clients, timeout):
    clients.jobs.errors["create"] = [full()]
    with pytest.raises(NotebookJobCapacityError):
        task(capacity_timeout=timeout).execute(task_context())


@pytest.mark.parametrize("timeout", [-1, "soon", None, True])
def test_a_capacity_timeout_that_is_none_is_a_problem_among_all_others(task, clients, timeout):
    with pytest.raises(NotebookJobConfigError) as caught:
        task(capacity_timeout=timeout, role=None).execute(task_context())
    assert sorted(problem.partition(" ")[0] for problem in caught.value.problems) == ["capacity_timeout:", "role"]
    assert clients.wrote_nothing


def test_execution_timeout_counts_through_the_wait(task, clients, recorded):
    clients.jobs.errors["create"] = [full()]
    operator, context = task(execution_timeout=timedelta(minutes=30)), task_context()
    context["ti"].start_date -= timedelta(minutes=20)
    deferred = defer(operator, context)
    assert timedelta(minutes=9) < deferred.timeout <= timedelta(minutes=10)
    recorded(context)
    with pytest.raises(NotebookJobTimeoutError, match=r"No notebook job ran: execution_timeout .0:30:00. has passed"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)


def test_a_trigger_that_crashed_while_the_task_waited_costs_no_turn(task, clients, recorded):
    clients.jobs.errors["create"] = [full()]
    operator, context = task(), task_context()
    defer(operator, context)
    recorded(context)
    with pytest.raises(TaskDeferred) as caught:
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert type(caught.value.trigger) is NotebookJobTrigger
    assert len(clients.jobs.descriptions) == 1


def test_a_retry_after_a_worker_died_in_a_waiting_process_submits_under_the_same_name(task, clients):
    clients.jobs.errors["create"] = [full()]
    first = defer(task(retries=1), task_context(max_tries=1))
    second = defer(task(task_id="t2", retries=1), task_context(try_number=2, max_tries=1))
    assert first.trigger.job_name == second.trigger.job_name
    assert len(clients.jobs.descriptions) == 1


def test_not_deferrable_the_worker_waits_itself(task, clients):
    clients.jobs.errors["create"] = [full()]
    create = clients.jobs.create

    def create_and_end(request):
        arn = create(request)
        end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return arn

    clients.jobs.create = create_and_end
    value = task(deferrable=False, outputs=["accuracy"]).execute(task_context())
    assert value["outputs"] == {"accuracy": 0.5}
    assert clients.jobs.count("create") == 2


# -- a job without an instance -----------------------------------------------------------------------------------------


def no_capacity(clients):
    """Let the newest job fail for want of capacity."""
    job_name = list(clients.jobs.descriptions)[-1]
    clients.jobs.set_status(job_name, "Failed", reason=NO_CAPACITY)
    return job_name


def test_a_job_that_got_no_instance_is_followed_by_another_with_its_own_input(task, clients):
    """Studio looks for it under the job's own name."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    failed = no_capacity(clients)
    waiting = resume(operator, context, event_of(deferred, status="Failed"))
    assert type(waiting.trigger) is NotebookJobTurnTrigger
    assert waiting.trigger.job_name != failed
    clients.objects.puts.clear()
    following = resume(operator, context, turn_event(waiting))
    assert list(clients.jobs.descriptions) == [failed, following.trigger.job_name]
    request = clients.jobs.requests[following.trigger.job_name]
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    assert source["S3Uri"] == f"s3://bucket/nbjobs/{following.trigger.job_name}/input"
    assert clients.objects.puts == [f"{source['S3Uri']}/nb.ipynb"]
    assert following.trigger.attempt == 1


def test_after_a_trigger_that_crashed_the_jobs_are_counted_on(task, clients, recorded):
    """A second job of one number would be taken for the first one's."""
    operator, context = task(), task_context()
    following = resume(operator, context, turn_event(defer_after_no_capacity(operator, context, clients)))
    recorded(context)
    with pytest.raises(TaskDeferred) as again:
        operator.resume_execution("__fail__", {"error": "Trigger failure"}, context)
    assert (again.value.trigger.job_name, again.value.trigger.attempt) == (following.trigger.job_name, 1)
    no_capacity(clients)
    waiting = resume(operator, context, event_of(again.value, status="Failed"))
    assert waiting.trigger.attempt == 2
    described = clients.jobs.count("describe")
    last = resume(operator, context, turn_event(waiting))
    assert (len(clients.jobs.descriptions), last.trigger.attempt) == (3, 2)
    assert clients.jobs.count("describe") == described + 1 + 3  # for the new name, and those behind it; for none before


def test_the_wait_for_capacity_counts_over_all_its_jobs(task, clients):
    operator, context = task(capacity_timeout=60), task_context()
    waiting = defer_after_no_capacity(operator, context, clients)
    following = resume(operator, context, turn_event(waiting))
    no_capacity(clients)
    event = event_of(following, status="Failed")
    event["turn"]["since"] = (datetime.now(tz=UTC) - timedelta(seconds=61)).isoformat()
    with pytest.raises(NotebookJobCapacityError, match="got no instance: CapacityError"):
        operator.execute_complete(context, event)


def defer_after_no_capacity(operator, context, clients):
    deferred = defer(operator, context)
    no_capacity(clients)
    return resume(operator, context, event_of(deferred, status="Failed"))


def test_capacity_timeout_zero_fails_a_job_that_got_no_instance(task, clients):
    operator, context = task(capacity_timeout=0), task_context()
    deferred = defer(operator, context)
    no_capacity(clients)
    with pytest.raises(NotebookJobCapacityError, match="Unable to provision"):
        operator.execute_complete(context, event_of(deferred, status="Failed"))


def test_of_several_types_the_next_is_asked_for_at_once_and_only_then_the_task_waits(task, clients):
    """Spot jobs state no preferences: the types are gone through here."""
    types = ["ml.m5.large", "ml.m5.xlarge"]
    spot = {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 172_800}
    operator, context = task(instance_type=types, **spot), task_context()
    second = defer_after_no_capacity(operator, context, clients)
    assert type(second.trigger) is NotebookJobTrigger, "no wait"
    no_capacity(clients)
    waiting = resume(operator, context, event_of(second, status="Failed"))
    assert type(waiting.trigger) is NotebookJobTurnTrigger
    resume(operator, context, turn_event(waiting))
    asked = [request["ResourceConfig"]["InstanceType"] for request in clients.jobs.requests.values()]
    assert asked == ["ml.m5.large", "ml.m5.xlarge", "ml.m5.large"]


@needs_preferences
def test_after_sagemaker_itself_found_none_of_several_types_the_task_waits(task, clients):
    operator, context = task(instance_type=["ml.m5.large", "ml.m5.xlarge"]), task_context()
    waiting = defer_after_no_capacity(operator, context, clients)
    assert type(waiting.trigger) is NotebookJobTurnTrigger
    resume(operator, context, turn_event(waiting))
    assert ["InstancePreferences" in each["ResourceConfig"] for each in clients.jobs.requests.values()] == [True, True]


def test_another_failure_after_a_wait_is_that_failure(task, clients):
    operator, context = task(), task_context()
    waiting = defer_after_no_capacity(operator, context, clients)
    following = resume(operator, context, turn_event(waiting))
    clients.jobs.set_status(following.trigger.job_name, "Failed", reason="InternalServerError: sorry")
    with pytest.raises(NotebookJobServiceError, match="failed in SageMaker itself"):
        operator.execute_complete(context, event_of(following, status="Failed"))


# -- trouble -----------------------------------------------------------------------------------------------------------


def test_a_service_that_cannot_be_reached_is_waited_for(task, clients):
    """With Airflow's own default of no retries, half a minute of trouble would fail the run."""
    operator, context = task(), task_context()
    clients.jobs.errors = {"create": [unreachable()], "describe": []}
    deferred = defer(operator, context)
    assert 9 < seconds_until(deferred) <= 10, "sooner, the scheduler may not have read the end of the process before"
    assert context["ti"].xcoms["nbjobs_job"]["waiting"]["for"] == "AWS"
    assert type(resume(operator, context, turn_event(deferred)).trigger) is NotebookJobTrigger


def test_a_job_whose_creation_and_look_were_not_answered_is_adopted_by_the_next_leg(task, clients):
    operator, context = task(), task_context()
    create = clients.jobs.create

    def create_and_lose(request):
        create(request)
        clients.jobs.errors["describe"] = [unreachable()]
        raise unreachable(request["TrainingJobName"])

    clients.jobs.create = create_and_lose
    deferred = defer(operator, context)
    assert type(deferred.trigger) is NotebookJobTurnTrigger
    assert deferred.trigger.job_name in clients.jobs.descriptions, "what a user's clear would have to stop"
    clients.jobs.create = create
    following = resume(operator, context, turn_event(deferred))
    assert following.trigger.was_adopted
    assert len(clients.jobs.descriptions) == 1


def test_trouble_in_staging_is_waited_through(task, clients, monkeypatch):
    put, failing = clients.objects.put, [unreachable()]

    def put_or_fail(uri, body, *, kms_key):
        if failing:
            raise failing.pop()
        put(uri, body, kms_key=kms_key)

    clients.objects.put = put_or_fail
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    assert clients.jobs.descriptions == {}
    resume(operator, context, turn_event(deferred))
    assert len(clients.jobs.descriptions) == 1


def test_pages_are_told_of_a_wait_that_begins_before_the_notebook_is_read(task, clients):
    """There is no name of a job yet; the record has its version all the same."""
    reading, failing = clients.objects.open, [unreachable()]
    clients.objects.open = lambda uri: reading(uri) if not failing else (_ for _ in ()).throw(failing.pop())
    clients.objects.bodies["s3://bucket/nb.ipynb"] = RAW
    operator, context = task(input_notebook="s3://bucket/nb.ipynb"), task_context()
    deferred = defer(operator, context)
    job = context["ti"].xcoms["nbjobs_job"]
    assert (job["version"], job["job_name"], job["waiting"]["for"]) == (VERSION, "", "AWS")
    assert type(resume(operator, context, turn_event(deferred)).trigger) is NotebookJobTrigger


def test_results_that_cannot_be_read_now_are_read_later(task, clients):
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    reading, failing = clients.objects.open, [unreachable()]
    clients.objects.open = lambda uri: reading(uri) if not failing else (_ for _ in ()).throw(failing.pop())
    waiting = resume(operator, context, event_of(deferred))
    assert type(waiting.trigger) is NotebookJobTurnTrigger
    assert "waiting" not in context["ti"].xcoms["nbjobs_job"], "there is a job, and it has ended"
    value = operator.execute_complete(context, turn_event(waiting))
    assert value["outputs"] == {"accuracy": 0.5}


def test_a_trigger_that_says_again_and_again_what_is_not_so_is_asked_ever_less_often(task, clients):
    """A list that is behind, or a doubled event: worker and triggerer would pass the task to and fro without a pause."""
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    sleeps = []
    for _ in range(12):
        event = event_of(deferred) if type(deferred.trigger) is NotebookJobTrigger else turn_event(deferred)
        deferred = resume(operator, context, json.loads(json.dumps(event)))
        if type(deferred.trigger) is NotebookJobTurnTrigger:
            sleeps.append(seconds_until(deferred))
    assert len(sleeps) == 6
    assert sleeps[-1] > 25
    end(clients, ran=executed(RAW))
    assert operator.execute_complete(context, event_of(deferred))["status"] == "Completed"


def test_what_the_notebook_deserves_is_said_once_though_each_process_prepares_it(task, clients, capsys):
    clients.jobs.errors["create"] = [full(), full(), full()]
    operator, context = task(parameters={"unknown_name": 1}, unknown_parameters="warn"), task_context()
    deferred = defer(operator, context)
    for _ in range(2):
        deferred = resume(operator, context, turn_event(deferred))
    assert capsys.readouterr().out.count("unknown_name") == 1


def test_the_log_is_written_once_though_its_results_are_read_later(task, clients, capsys):
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    clients.logs.lines[deferred.trigger.job_name] = ["begins", "ends"]
    reading, failing = clients.objects.open, [unreachable()]
    clients.objects.open = lambda uri: reading(uri) if not failing else (_ for _ in ()).throw(failing.pop())
    waiting = resume(operator, context, event_of(deferred))
    operator.execute_complete(context, json.loads(json.dumps(turn_event(waiting))))
    said = capsys.readouterr().out
    assert (len(re.findall(r"\bbegins\b", said)), len(re.findall(r"\bends\b", said))) == (1, 1)


def test_the_log_goes_on_where_it_was_though_the_trigger_has_crashed(task, clients, recorded, monkeypatch, capsys):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    name = deferred.trigger.job_name
    clients.logs.lines[name] = ["begins", "ends"]
    place = LogPlace()
    place.take(clients.logs.events(since=0).events[:1])
    kept = {"job_name": name, "done": 0, "total": 0, "log_place": kept_form(place)}
    context["ti"].xcoms["nbjobs_progress"] = kept
    recorded(context)
    monkeypatch.setattr("airflow_nbjobs._compat.job_xcom", lambda key, **_: context["ti"].xcoms.get(key))
    operator.resume_execution("__fail__", {"error": "crashed"}, context)
    said = capsys.readouterr().out
    assert (len(re.findall(r"\bbegins\b", said)), len(re.findall(r"\bends\b", said))) == (0, 1)


def test_trouble_that_does_not_pass_is_raised_as_worth_a_retry(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW))
    clients.jobs.errors["describe"] = [unreachable(), unreachable()]
    event = turn_event(resume(operator, context, event_of(deferred)))
    event["turn"]["trouble_since"] = (datetime.now(tz=UTC) - timedelta(seconds=TROUBLE_SECONDS + 1)).isoformat()
    with pytest.raises(NotebookJobServiceError, match="got no answer") as caught:
        operator.execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_job_that_failed_in_the_platform_is_no_trouble_to_wait_through(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    end(clients, "Failed", reason="InternalServerError: sorry")
    with pytest.raises(NotebookJobServiceError, match="failed in SageMaker itself"):
        operator.execute_complete(context, event_of(deferred, status="Failed"))


# -- events that say little --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [None, {}, {"version": 1, "turn": None}], ids=str)
def test_an_event_that_says_nothing_is_made_up_for_by_the_tasks_own_record(task, clients, recorded, event):
    operator, context = task(outputs=["accuracy"]), task_context()
    defer(operator, context)
    recorded(context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    assert operator.execute_complete(context, event)["outputs"] == {"accuracy": 0.5}


def test_an_event_that_says_nothing_of_a_task_without_a_record_is_worth_a_retry(task, recorded):
    context = task_context()
    recorded(context)
    with pytest.raises(NotebookJobServiceError, match="event says nothing, and the task has no record") as caught:
        task().execute_complete(context, {})
    assert caught.value.is_retryable


def test_an_event_of_the_version_before_is_read(task, clients):
    """Events outlive a deploy."""
    operator, context = task(), task_context()
    event = event_of(defer(operator, context))
    del event["turn"]
    end(clients, ran=executed(RAW))
    assert operator.execute_complete(context, event)["status"] == "Completed"


def test_what_cannot_be_watched_but_has_ended_is_handed_over(task, clients):
    operator, context = task(outputs=["accuracy"]), task_context()
    deferred = defer(operator, context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    value = operator.execute_complete(context, event_of(deferred, status=None, error="AccessDenied"))
    assert value["outputs"] == {"accuracy": 0.5}


def test_a_job_that_completed_in_time_is_handed_over_though_its_event_came_too_late(task, clients, recorded):
    """No triggerer was up when it ended; the time that it took was within the limit."""
    operator, context = task(execution_timeout=timedelta(minutes=5), outputs=["accuracy"]), task_context()
    defer(operator, context)
    recorded(context)
    end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    value = operator.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert value["outputs"] == {"accuracy": 0.5}
    assert clients.jobs.count("stop") == 0


def test_a_failed_cell_is_said_also_where_its_notebook_cannot_be_copied(task, clients):
    operator, context = task(), task_context()
    deferred = defer(operator, context)
    job_name = end(clients, "Failed", reason="AlgorithmError: [SM-111]", ran=failed_at(RAW, 2, "ValueError", "no"))
    clients.objects.denied.add(f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb")
    with pytest.raises(NotebookCellError, match="failed in cell 2"):
        operator.execute_complete(context, event_of(deferred, status="Failed"))
