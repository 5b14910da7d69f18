"""A notebook task that waits in its worker, and what stops its job."""

import threading
from datetime import timedelta

import pytest
from airflow_names import AirflowFailException, TaskDeferred
from fakes import executed, task_context
from operator_tasks import RAW, Tasks, defer, end, event_of

from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
)
from airflow_nbjobs.core.watch.pace import SHORTEST_DELAY_SECONDS
from airflow_nbjobs.task import prepare as preparation
from airflow_nbjobs.task.wait import Wait


def taken_away_once_it_has_a_job(clients, state):
    """What Airflow says of a task that a user takes away while its job is made."""
    return lambda **_: state if clients.jobs.count("create") else "running"


def denied():
    return NotebookJobServiceError("AccessDenied", code="AccessDeniedException")


@pytest.fixture
def task(tmp_path):
    return Tasks(tmp_path)


@pytest.fixture
def clients(task):
    return task.clients


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.task.wait.SHORTEST_DELAY_SECONDS", 0.01)


def test_not_deferrable_without_a_delay_it_still_looks_once_a_second_at_most(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.task.wait.SHORTEST_DELAY_SECONDS", SHORTEST_DELAY_SECONDS)
    pauses = []

    def pause(_, seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            end(clients, ran=executed(RAW))

    monkeypatch.setattr(Wait, "_pause", pause)
    clients.jobs.errors["describe"] = [denied()]
    task(deferrable=False, waiter_delay=0).execute(task_context())
    assert pauses == [1.0, 1.0, 1.0]


def test_a_worker_that_waits_for_its_turn_prepares_its_job_once(task, clients, monkeypatch):
    """Its time limits go with the time that is left."""
    full = NotebookJobCapacityError("the quota is in use")
    clients.jobs.errors["create"] = [full, full, full]
    prepared, preparing = [], preparation.examine_job
    monkeypatch.setattr(
        preparation, "examine_job", lambda *given, **named: prepared.append(1) or preparing(*given, **named)
    )
    left = iter([600.0, *(500.0 - n for n in range(100))])
    monkeypatch.setattr(preparation.identity, "seconds_left", lambda *_: next(left))
    monkeypatch.setattr(Wait, "_sleep", lambda _, sleep, job: sleep.state)
    operator = task(deferrable=False, capacity_timeout=3600, wait_for_completion=False)
    operator.execute(task_context())
    (request,) = clients.jobs.requests.values()
    assert len(prepared) == 1
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] < 500


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


@pytest.mark.parametrize("is_refused", [False, True])
def test_not_deferrable_it_records_each_cell_that_has_run_if_airflow_takes_it(task, clients, is_refused):
    jobs, context, told = clients.jobs, task_context(), []
    describe, push = jobs.describe, context["ti"].xcom_push

    def pushing(key, value):
        if key == "nbjobs_progress":
            told.append((value["done"], value["total"]))
            if is_refused:
                raise OSError("no API server")
        push(key=key, value=value)

    def describing(job_name):
        lines = clients.logs.lines.setdefault(job_name, [])
        if len(lines) == 3:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        lines.append(f"Executing:  5%|#  | {len(lines) // 2 + 1}/4 [00:00<00:01]")
        return describe(job_name)

    jobs.describe, context["ti"].xcom_push = describing, pushing
    value = task(deferrable=False, outputs=["accuracy"]).execute(context)
    assert value["outputs"] == {"accuracy": 0.5}
    assert told == [(1, 3), (2, 3)]  # the recording cell is not one of the author's


def test_not_deferrable_a_denial_that_passes_is_waited_through(task, clients):
    """A policy is edited, and put right again: the job is paid for, and no verdict on it."""
    clients.jobs.errors["describe"] = [denied(), denied()]
    describe = clients.jobs.describe

    def describing(job_name):
        if not clients.jobs.errors["describe"]:
            end(clients, ran=executed(RAW, {"accuracy": 0.5}))
        return describe(job_name)

    clients.jobs.describe = describing
    assert task(deferrable=False, outputs=["accuracy"]).execute(task_context())["outputs"] == {"accuracy": 0.5}


def test_not_deferrable_a_denial_that_lasts_follows_retries_and_says_what_a_clear_costs(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.core.job.trouble.DENIED_SECONDS", 0.0)
    clients.jobs.errors["describe"] = [denied()]
    with pytest.raises(NotebookJobServiceError, match="AccessDenied") as caught:
        task(deferrable=False).execute(task_context())
    assert not isinstance(caught.value, AirflowFailException)
    (job_name,) = clients.jobs.descriptions
    assert "a retry of this task adopts it and hands over its results without another run" in str(caught.value)
    assert "a clear runs the notebook again and is billed again" in str(caught.value)
    assert f"SageMakerNotebookJobSensor(job_name='{job_name}')" in str(caught.value)


def test_not_deferrable_what_is_no_trouble_of_a_service_ends_the_try_at_once(task, clients, monkeypatch):
    """A connection that is gone, a fault of ours: nobody would look at a task that says 'going on waiting' for ever."""
    waited = []
    monkeypatch.setattr(Wait, "_pause", lambda _, seconds: waited.append(seconds))
    clients.jobs.errors["describe"] = [RuntimeError("the connection isn't defined")]
    with pytest.raises(RuntimeError, match="isn't defined"):
        task(deferrable=False).execute(task_context())
    assert waited == []


def test_not_deferrable_a_job_that_is_not_shown_yet_is_waited_for(task, clients):
    describe, looks = clients.jobs.describe, []

    def describing(job_name):
        looks.append(job_name)
        if len(looks) <= 2:
            return None
        end(clients, ran=executed(RAW))
        return describe(job_name)

    clients.jobs.describe = describing
    assert task(deferrable=False).execute(task_context())["status"] == "Completed"


def test_not_deferrable_a_job_that_stays_unknown_is_retried(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.core.job.trouble.UNKNOWN_SECONDS", 0.0)
    clients.jobs.describe = lambda _: None
    with pytest.raises(NotebookJobServiceError, match="does not know training job") as caught:
        task(deferrable=False).execute(task_context())
    assert not isinstance(caught.value, AirflowFailException)
    assert "a retry runs the notebook again if the job is gone" in str(caught.value)


def test_not_deferrable_an_execution_timeout_stops_the_job(task, clients):
    from airflow_names import AirflowTaskTimeout

    clients.jobs.errors["describe"] = [AirflowTaskTimeout("timeout")]
    with pytest.raises(AirflowTaskTimeout):
        task(deferrable=False).execute(task_context())
    assert clients.jobs.count("stop") == 1


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        ("running", 0),
        ("deferred", 0),
        ("failed", 1),
        ("success", 1),
        ("restarting", 1),
        ("deleted", 1),
        (None, 0),  # set by a scheduler that takes over for one that died; a cleared task's next try stops the job
        ("up_for_retry", 0),
        ("scheduled", 0),
        ("queued", 0),
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

    operator = task()
    defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", task_state)
    operator.on_kill()
    assert clients.jobs.count("stop") == stops


def test_a_killed_worker_that_may_not_stop_the_job_says_so_in_the_log(task, clients, monkeypatch, capsys):
    """It is about to end: the log is the only place where anybody reads that the job is still billed."""
    operator = task()
    job_name = defer(operator, task_context()).trigger.job_name
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "failed")
    clients.jobs.errors["stop"] = [denied()]
    operator.on_kill()
    assert f"Notebook job '{job_name}' could not be stopped" in capsys.readouterr().out


def test_a_try_that_stopped_its_own_job_ends_with_those_words(task, clients, monkeypatch):
    """``on_kill`` comes from a signal handler while the worker sleeps; nobody else has stopped the job."""
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, "failed"))
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
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, "failed"))
    operator = task(stop_on_kill=False)
    defer(operator, task_context())
    operator.on_kill()
    assert clients.jobs.count("stop") == 0


# -- taken away while it submits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting"])
def test_a_task_that_a_user_took_away_while_it_submitted_stops_its_job_and_does_not_defer(
    task, clients, monkeypatch, state
):
    """Airflow tells a task so with its next heartbeat only; the deferral would be refused, and the job would run for nobody."""
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, state))
    with pytest.raises(NotebookJobStoppedError, match=f"was stopped by this task: the task is now '{state}'"):
        task().execute(task_context())
    assert clients.jobs.count("stop") == 1


@pytest.mark.parametrize("state", ["running", "up_for_retry", None, "deleted"])
def test_a_task_of_which_airflow_says_nothing_else_defers(task, clients, monkeypatch, state):
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: state)
    defer(task(), task_context())
    assert clients.jobs.count("stop") == 0


def test_stop_on_kill_false_defers_whatever_became_of_the_task(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, "failed"))
    defer(task(stop_on_kill=False), task_context())
    assert clients.jobs.count("stop") == 0


def test_a_task_that_is_told_to_end_while_it_stages_starts_no_job_that_runs_on(task, clients, monkeypatch):
    """The signal handler returns, and the process goes on until it is killed."""
    operator, put = task(), clients.objects.put
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "failed")

    def put_and_be_told(uri, body, *, kms_key):
        operator.on_kill()
        put(uri, body, kms_key=kms_key)

    clients.objects.put = put_and_be_told
    with pytest.raises(NotebookJobStoppedError, match="No notebook job was started: the task is now 'failed'"):
        operator.execute(task_context())
    assert clients.jobs.descriptions == {}


@pytest.mark.parametrize("stop_on_kill", [True, False])
def test_a_task_that_a_user_took_away_before_it_has_a_job_makes_none(task, clients, monkeypatch, stop_on_kill):
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "failed")
    context = task_context()
    with pytest.raises(NotebookJobStoppedError, match="No notebook job was started: the task is now 'failed'"):
        task(stop_on_kill=stop_on_kill).execute(context)
    assert clients.jobs.descriptions == {}
    assert "nbjobs_job" not in context["ti"].xcoms


# -- a process that stood still, and comes back to a task that has gone on ---------------------------------------------


def try_context(**task_instance):
    context = task_context(**task_instance)
    context["ti"].id = "0199-of-this-try"
    return context


@pytest.fixture
def airflow_goes_on(monkeypatch):
    """
    Sets what Airflow says once it has ended this try.

    Called with when that is, the state of the task by then, and the job that its next try follows.
    """

    def go_on(when, state="running", follows=None):
        monkeypatch.setattr("airflow_nbjobs.task.ownership._QUESTION_PAUSE_SECONDS", 0.0)
        monkeypatch.setattr("airflow_nbjobs.task.ownership._QUESTIONS", 3)
        monkeypatch.setattr(
            "airflow_nbjobs.task.ownership.has_try", lambda try_id: try_id == "0199-of-this-try" and not when()
        )
        monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: state if when() else "running")
        monkeypatch.setattr(
            "airflow_nbjobs.task.ownership.job_xcom", lambda *_, **__: follows() if callable(follows) else follows
        )

    return go_on


@pytest.mark.parametrize("state", ["running", "deferred", "up_for_retry", "queued", None])
def test_a_try_that_is_over_makes_no_job(task, clients, airflow_goes_on, state):
    """Marked failed and cleared while the worker stood still: its job would be that of a dead generation, beside the right one."""
    airflow_goes_on(lambda: bool(clients.objects.puts), state)
    context = try_context()
    with pytest.raises(
        NotebookJobStoppedError, match="No notebook job was started: Airflow has ended this try"
    ) as caught:
        task().execute(context)
    assert not isinstance(caught.value, AirflowFailException)
    assert clients.jobs.descriptions == {}
    assert "nbjobs_job" not in context["ti"].xcoms


def test_every_process_of_a_wait_asks_before_it_makes_a_job(task, clients, airflow_goes_on):
    clients.jobs.errors["create"] = [NotebookJobCapacityError("the quota is in use")]
    operator = task(waiter_delay=1)
    deferred = defer(operator, try_context())
    airflow_goes_on(lambda: True)
    with pytest.raises(NotebookJobStoppedError, match="No notebook job was started"):
        operator.execute_complete(try_context(), deferred.trigger._event())
    assert clients.jobs.count("create") == 1


@pytest.mark.parametrize(
    ("state", "follows", "stops"),
    [
        ("running", {"job_name": "another"}, 1),  # cleared, and begun again
        ("deferred", {"job_name": "another"}, 1),
        (None, None, 1),  # cleared, and waiting for other tasks
        ("deleted", None, 1),
        ("up_for_retry", None, 0),  # the retry finds the job by its name
        ("running", None, 0),  # in doubt
        ("queued", None, 0),
    ],
    ids=str,
)
def test_a_try_that_is_over_when_its_job_is_made_leaves_it_to_a_retry_only(  # noqa: PLR0917 - fixtures and cases
    task, clients, airflow_goes_on, state, follows, stops
):
    airflow_goes_on(lambda: clients.jobs.count("create"), state, follows)
    context = try_context()
    with pytest.raises(NotebookJobStoppedError):
        task().execute(context)
    assert clients.jobs.count("stop") == stops
    assert "nbjobs_job" not in context["ti"].xcoms, "what the task follows now must not be overwritten"


def test_a_task_that_a_new_scheduler_has_taken_over_keeps_its_job(task, clients, airflow_goes_on, monkeypatch):
    """A scheduler that takes over for a dead one takes the state away from a task whose worker it does not know, for a moment."""
    airflow_goes_on(lambda: clients.jobs.count("create"))
    states = iter([None, None, "queued"])
    monkeypatch.setattr(
        "airflow_nbjobs.task.ownership.task_state",
        lambda **_: next(states) if clients.jobs.count("create") else "running",
    )
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        task().execute(try_context())
    assert clients.jobs.count("stop") == 0
    assert list(states) == []


def test_a_job_that_follows_one_without_an_instance_is_not_taken_for_a_leftover(task, clients, monkeypatch):
    """Until it is announced, the task's record names the job before."""
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    spot = {"enable_managed_spot_training": True, "max_wait_time_in_seconds": 172_800}
    operator, context = task(instance_type=["ml.m5.large", "ml.m5.xlarge"], **spot), try_context()
    monkeypatch.setattr("airflow_nbjobs.task.ownership.job_xcom", lambda key, **_: context["ti"].xcoms.get(key))
    deferred = defer(operator, context)
    end(clients, "Failed", reason="CapacityError: Unable to provision requested ML compute capacity.")
    with pytest.raises(TaskDeferred) as following:
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert (
        following.value.trigger.job_name == context["ti"].xcoms["nbjobs_job"]["job_name"] != deferred.trigger.job_name
    )
    assert clients.jobs.count("stop") == 0


def test_a_task_that_does_not_wait_leaves_the_job_of_its_successful_next_try_running(task, clients, airflow_goes_on):
    """It stood still between its request and the announcement; the retry has adopted the job, and succeeded at once."""
    airflow_goes_on(
        lambda: clients.jobs.count("create"), "success", lambda: {"job_name": next(iter(clients.jobs.descriptions))}
    )
    operator = task(wait_for_completion=False)
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        operator.execute(try_context())
    operator.on_kill()
    assert clients.jobs.count("stop") == 0


def test_a_timeout_that_passes_while_the_worker_stands_still_leaves_the_job_to_the_next_try(
    task, clients, airflow_goes_on
):
    """The alarm's clock goes on while the process stands still; the retry that has adopted the job has all its time."""
    from airflow_names import AirflowTaskTimeout

    clients.jobs.errors["describe"] = [AirflowTaskTimeout("timeout")]
    airflow_goes_on(lambda: not clients.jobs.errors["describe"], "up_for_retry")
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        task(deferrable=False).execute(try_context())
    assert clients.jobs.count("stop") == 0


def test_a_process_after_a_timeout_that_comes_too_late_leaves_the_next_generations_job_alone(
    task, clients, airflow_goes_on, monkeypatch
):
    """Failed and cleared while it stood still: the task's record names the job of another generation by then."""
    operator = task(execution_timeout=timedelta(hours=1))
    defer(operator, try_context())
    record = {"job_name": next(iter(clients.jobs.descriptions))}
    monkeypatch.setattr("airflow_nbjobs.task.resume.job_xcom", lambda *_, **__: record)
    airflow_goes_on(lambda: True, "deferred", record)
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        operator.resume_execution("__fail__", {"error": "Trigger timeout"}, try_context())
    assert clients.jobs.count("stop") == 0


def test_a_cleared_task_that_is_over_again_stops_no_job_of_the_life_after(task, clients, airflow_goes_on):
    """It stood still before it looked for jobs of the generations before; of the run's one start, no generation is the earlier one by its number."""
    defer(task(retries=0), task_context(try_number=3, max_tries=2))
    airflow_goes_on(lambda: True)
    with pytest.raises(NotebookJobStoppedError, match="No notebook job was started"):
        task(task_id="t2", retries=0).execute(try_context(try_number=2, max_tries=1))
    assert clients.jobs.count("stop") == 0


def test_stop_on_kill_false_keeps_the_job_of_a_try_that_is_over_and_does_not_announce_it(
    task, clients, airflow_goes_on
):
    airflow_goes_on(lambda: clients.jobs.count("create"), "running", {"job_name": "another"})
    context = try_context()
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        task(stop_on_kill=False).execute(context)
    assert clients.jobs.count("stop") == 0
    assert "nbjobs_job" not in context["ti"].xcoms


def test_a_try_that_is_over_hands_nothing_over_and_the_next_one_adopts_the_job(task, clients, airflow_goes_on):
    """What it had marked as delivered, the next try would run anew."""
    operator = task(outputs=["accuracy"])
    deferred = defer(operator, try_context(max_tries=2))
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = try_context(max_tries=2)
    airflow_goes_on(lambda: True, "up_for_retry")
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try") as caught:
        operator.execute_complete(context, event_of(deferred))
    assert not isinstance(caught.value, AirflowFailException)
    assert context["ti"].xcoms == {}
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" not in clients.objects.bodies
    airflow_goes_on(lambda: False)
    value = operator.execute(try_context(try_number=2, max_tries=2))
    assert (value["job_name"], value["outputs"]) == (job_name, {"accuracy": 0.5})
    assert len(clients.jobs.descriptions) == 1


def test_a_try_that_is_over_before_its_mark_sets_none(task, clients, airflow_goes_on):
    """It stood still between the last output and the mark."""
    operator = task(outputs=["accuracy"])
    deferred = defer(operator, try_context())
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    context = try_context()
    airflow_goes_on(lambda: "accuracy" in context["ti"].xcoms, "up_for_retry")
    with pytest.raises(NotebookJobStoppedError, match="left to the task's next try"):
        operator.execute_complete(context, event_of(deferred))
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" not in clients.objects.bodies


@pytest.mark.parametrize("stop_on_kill", [True, False])
def test_a_try_that_is_told_to_end_while_it_reads_results_leaves_them_to_the_next(
    task, clients, monkeypatch, stop_on_kill
):
    """It may be killed at any moment; killed right after the mark, the next try would run the notebook again."""
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    operator = task(outputs=["accuracy"], stop_on_kill=stop_on_kill)
    deferred = defer(operator, try_context())
    job_name = end(clients, ran=executed(RAW, {"accuracy": 0.5}))
    opening = clients.objects.open

    def open_and_be_told(uri):
        operator.on_kill()
        return opening(uri)

    clients.objects.open = open_and_be_told
    context = try_context()
    with pytest.raises(NotebookJobStoppedError, match="Airflow told this try to end") as caught:
        operator.execute_complete(context, event_of(deferred))
    assert not isinstance(caught.value, AirflowFailException)
    assert "accuracy" not in context["ti"].xcoms
    assert f"s3://bucket/nbjobs/{job_name}/{job_name}.ipynb" not in clients.objects.bodies
    assert clients.jobs.count("stop") == 0


def test_a_worker_that_is_told_to_end_while_its_job_runs_ends_at_once_and_keeps_the_job(task, clients, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    operator, describe = task(deferrable=False, waiter_delay=60), clients.jobs.describe

    def describing(job_name):
        operator.on_kill()
        return describe(job_name)

    clients.jobs.describe = describing
    with pytest.raises(NotebookJobStoppedError, match="Airflow told this try to end"):
        operator.execute(try_context())
    assert clients.jobs.count("stop") == 0


def test_airflow_that_does_not_answer_ends_no_try(task, clients, monkeypatch):
    def no_answer(_):
        raise OSError("no API server")

    monkeypatch.setattr("airflow_nbjobs.task.ownership.has_try", no_answer)
    defer(task(), try_context())
    assert len(clients.jobs.descriptions) == 1


def test_where_airflow_knows_the_try_it_is_not_asked_which_job_the_task_follows(task, clients, monkeypatch):
    """A try that Airflow still has, after it has told the task's state, is the task's own; each question is a request to its API server."""
    asked = []
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: asked.append("state") or "running")
    monkeypatch.setattr("airflow_nbjobs.task.ownership.has_try", lambda _: asked.append("try") or True)
    monkeypatch.setattr("airflow_nbjobs.task.ownership.job_xcom", lambda *_, **__: asked.append("job"))
    operator, context = task(), try_context()
    deferred = defer(operator, context)
    assert asked[-2:] == ["state", "try"]
    clients.jobs.set_status(deferred.trigger.job_name, "Failed", reason="x")
    del asked[:]
    with pytest.raises(NotebookJobError):
        operator.execute_complete(context, event_of(deferred, status="Failed"))
    assert asked[:4] == ["state", "try"] * 2, "before the results are pushed, and before they are marked as pushed"
    assert "job" not in asked


def test_where_airflow_does_not_say_whether_the_try_goes_on_the_followed_job_tells(task, clients, monkeypatch):
    def no_answer(_):
        raise OSError("no API server")

    operator, context = task(), try_context()
    deferred = defer(operator, context)
    clients.jobs.set_status(deferred.trigger.job_name, "Completed")
    monkeypatch.setattr("airflow_nbjobs.task.ownership.has_try", no_answer)
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    monkeypatch.setattr("airflow_nbjobs.task.ownership.job_xcom", lambda *_, **__: {"job_name": "another"})
    with pytest.raises(NotebookJobStoppedError, match="the task now follows job 'another'"):
        operator.execute_complete(context, event_of(deferred))


@pytest.mark.parametrize("error", [denied(), OSError("no API server: the connection cannot be read")], ids=repr)
def test_a_stop_that_fails_does_not_hide_the_timeout(task, clients, error):
    from airflow_names import AirflowTaskTimeout

    clients.jobs.errors["describe"] = [AirflowTaskTimeout("timeout")]
    clients.jobs.errors["stop"] = [error]
    with pytest.raises(AirflowTaskTimeout):
        task(deferrable=False).execute(task_context())


@pytest.mark.parametrize("is_told_first", [True, False])
def test_a_task_that_is_told_to_end_while_its_request_is_under_way_stops_what_it_made(
    task, clients, monkeypatch, is_told_first
):
    operator, create = task(), clients.jobs.create
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, "failed"))

    def create_and_be_told(request):
        if is_told_first:
            operator.on_kill()
        arn = create(request)
        if not is_told_first:
            operator.on_kill()
        return arn

    clients.jobs.create = create_and_be_told
    with pytest.raises(NotebookJobStoppedError):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_name_that_somebody_else_has_taken_is_never_stopped(task, clients, monkeypatch):
    operator, create = task(), clients.jobs.create
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", taken_away_once_it_has_a_job(clients, "failed"))

    def theirs(request):
        create({**request, "Environment": {}})
        operator.on_kill()
        raise NotebookJobServiceError("denied", code="AccessDenied")

    clients.jobs.create = theirs
    with pytest.raises(NotebookJobServiceError, match="denied"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 0


def test_an_execution_timeout_while_the_request_is_under_way_stops_the_job(task, clients):
    from airflow_names import AirflowTaskTimeout

    create = clients.jobs.create

    def create_and_time_out(request):
        create(request)
        raise AirflowTaskTimeout("timeout")

    clients.jobs.create = create_and_time_out
    with pytest.raises(AirflowTaskTimeout):
        task().execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_a_leftover_process_stops_the_job_that_the_task_no_longer_follows(task, clients, monkeypatch):
    """Failed and cleared before this process was told: the task runs again, under another name."""
    operator = task()
    deferred = defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: "running")
    for follows, stops in (({"job_name": deferred.trigger.job_name}, 0), (None, 0), ({"job_name": "other"}, 1)):
        monkeypatch.setattr("airflow_nbjobs.task.ownership.job_xcom", lambda *_, follows=follows, **__: follows)
        operator.on_kill()
        assert clients.jobs.count("stop") == stops


def test_a_signal_that_interrupts_a_question_to_airflow_asks_no_other(task, clients, monkeypatch):
    """Airflow 3.0 would give it the answer of the first; later ones none, before the process is killed."""
    asked = []
    monkeypatch.setattr(
        "airflow_nbjobs.task.ownership.task_state", lambda **_: asked.append(answers["state"]) or answers["state"]
    )
    answers = {"state": "running"}
    operator = task(deferrable=False)
    comms = {"__name__": "airflow.sdk.execution_time.comms", "handler": operator.on_kill}
    exec("def send():\n    handler()", comms)  # noqa: S102 - a frame of that module, as the signal finds it
    describe = clients.jobs.describe

    def describing(job_name):
        if not operator._task_run.ownership.was_told_to_end:
            asked.clear()
            answers["state"] = "failed"
            comms["send"]()
            assert asked == []
        return describe(job_name)

    clients.jobs.describe = describing
    with pytest.raises(NotebookJobStoppedError, match="was stopped by this task: the task is now 'failed'"):
        operator.execute(task_context())
    assert clients.jobs.count("stop") == 1


def test_no_answer_in_time_keeps_the_job(task, clients, monkeypatch):
    """The handler may have interrupted the very call whose lock the question needs."""
    operator, may_answer = task(), threading.Event()
    defer(operator, task_context())
    monkeypatch.setattr("airflow_nbjobs.task.ownership._ASK_SECONDS", 0.05)
    monkeypatch.setattr("airflow_nbjobs.task.ownership.task_state", lambda **_: may_answer.wait(10) and "failed")
    operator.on_kill()
    may_answer.set()
    for thread in threading.enumerate():
        if thread.name == "nbjobs-custody":
            thread.join(10)
    assert clients.jobs.count("stop") == 0
