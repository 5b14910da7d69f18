"""The trigger: what Airflow stores of it, what it tells the task, and when it stops a job."""

import asyncio
import functools
import importlib
import json
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import boto3
import loops
import pytest
from airflow.triggers.base import BaseTrigger, TriggerEvent
from airflow_names import HAS_ON_KILL, deserialize, serialize
from fakes import FakeClients
from moto import mock_aws

from airflow_nbjobs import _compat, triggers
from airflow_nbjobs.aws.watch import poller, shared_log_reader, waiters
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LogPlace
from airflow_nbjobs.triggers import NotebookJobTrigger, NotebookJobTurnTrigger, questions, stop

ARGUMENTS = {
    "job_name": "job-1",
    "attempt": 2,
    "was_adopted": True,
    "aws_conn_id": "aws_test",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"retries": {"max_attempts": 1}},
    "waiter_delay": 7,
    "stop_on_kill": False,
    "turn": {"step": "finish", "attempt": 2},
    "stream_logs": False,
    "log_place": {"floor": 5, "seen": {"a": 6}, "cell": 2},
    "deferred_at": "2026-11-22T03:00:00+00:00",
    "try_number": 3,
}


def events_of(trigger):
    """Run the trigger on an ordinary loop: Airflow is asked on asgiref's own thread."""

    async def collect():
        async with asyncio.timeout(20):
            return [event async for event in trigger.run()]

    return asyncio.run(collect())


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what it waits for happens in another thread
            await asyncio.sleep(0.001)


# -- what Airflow stores -----------------------------------------------------------------------------------------------


def test_the_class_path_and_the_arguments_make_the_same_trigger_again():
    path, arguments = NotebookJobTrigger(**ARGUMENTS).serialize()
    module_name, _, class_name = path.rpartition(".")
    again = getattr(importlib.import_module(module_name), class_name)(**arguments)
    assert type(again) is NotebookJobTrigger
    assert arguments == ARGUMENTS
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize("arguments", [ARGUMENTS, {"job_name": "job-1"}], ids=["all", "defaults"])
def test_the_arguments_survive_airflows_serialisation_and_json(arguments):
    _, stored = NotebookJobTrigger(**arguments).serialize()
    assert deserialize(json.loads(json.dumps(serialize(stored)))) == stored


def test_no_parameter_of_a_job_lies_in_the_database():
    """The arguments are plain JSON there: names only."""
    assert set(NotebookJobTrigger(**ARGUMENTS).serialize()[1]) == set(ARGUMENTS)


# -- what the task is told ---------------------------------------------------------------------------------------------


@pytest.fixture
def aws(monkeypatch):
    """A connection 'aws_test' to a SageMaker in this process, on which every job is Completed at once."""
    connection = {"conn_type": "aws", "login": "key", "password": "secret", "extra": {"region_name": "eu-west-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", json.dumps(connection))
    with mock_aws():
        client = boto3.Session("key", "secret", region_name="eu-west-1").client("sagemaker")
        client.create_training_job(
            TrainingJobName="job-1",
            AlgorithmSpecification={"TrainingInputMode": "File"},
            RoleArn="arn:aws:iam::123456789012:role/NotebookJobs",
            OutputDataConfig={"S3OutputPath": "s3://bucket/k"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        yield client


def test_a_job_that_has_ended_is_one_event_with_all_that_the_task_needs(aws):
    """Through the real hook and boto3. ``dag.test`` drops every other argument, so the event carries them."""
    (event,) = events_of(NotebookJobTrigger(**ARGUMENTS))
    assert event == TriggerEvent(
        {
            "version": 1,
            "job_name": "job-1",
            "attempt": 2,
            "was_adopted": True,
            "status": "Completed",
            "secondary_status": event.payload["secondary_status"],
            "error": None,
            "turn": {"step": "finish", "attempt": 2},
            "log_place": {"floor": 5, "seen": {"a": 6}, "cell": 2},
            "try_number": 3,
        }
    )
    json.dumps(event.payload)


def test_a_job_that_stays_unknown_is_an_event_that_says_so(aws, monkeypatch):
    monkeypatch.setattr(waiters, "UNKNOWN_SECONDS", 0.0)
    (event,) = events_of(NotebookJobTrigger(**ARGUMENTS | {"job_name": "job-2"}))
    assert event.payload["status"] is None
    assert "job-2" in event.payload["error"]


def test_an_unknown_connection_is_an_event_with_a_clear_error():
    (event,) = events_of(NotebookJobTrigger(job_name="job-1", aws_conn_id="nowhere", region_name="eu-west-1"))
    assert "there is no Airflow connection 'nowhere'; create it" in event.payload["error"]


def test_a_missing_region_is_an_event_with_a_clear_error():
    (event,) = events_of(NotebookJobTrigger(job_name="job-1", aws_conn_id=None))
    assert "no AWS region" in event.payload["error"]
    assert "set region_name on the task" in event.payload["error"]
    assert "crashed" not in event.payload["error"]


class TriggerOnFakes(NotebookJobTrigger):
    """The trigger with the services' fakes in place of a connection."""

    clients: FakeClients
    opened: int

    async def _open_jobs(self):
        self.opened += 1
        return self.clients.jobs

    _open_stopping_jobs = _open_jobs


def on_fakes(clients, **arguments):
    trigger = TriggerOnFakes(job_name="job-1", **arguments)
    trigger.clients, trigger.opened = clients, 0
    return trigger


@pytest.fixture
def clients():
    clients = FakeClients()
    clients.jobs.create(
        {
            "TrainingJobName": "job-1",
            "RoleArn": "arn:aws:iam::123456789012:role/NotebookJobs",
            "AlgorithmSpecification": {"TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/k"},
            "ResourceConfig": {"VolumeSizeInGB": 1},
            "StoppingCondition": {},
        }
    )
    return clients


def test_a_crash_of_the_poller_is_an_event_and_no_endless_wait(clients):
    clients.jobs.errors["describe"] = [ZeroDivisionError("a bug")]
    (event,) = events_of(on_fakes(clients))
    assert event.payload["error"] == "the triggerer's poller has crashed: ZeroDivisionError: a bug"


def test_a_look_that_stays_denied_is_an_event_that_names_the_permission(clients, monkeypatch):
    monkeypatch.setattr(poller, "DENIED_SECONDS", 0.0)
    clients.jobs.errors["describe"] = [
        NotebookJobServiceError("denied", code="AccessDenied", details={"next": "needs sagemaker:DescribeTrainingJob"})
    ]
    (event,) = events_of(on_fakes(clients))
    assert "needs sagemaker:DescribeTrainingJob" in event.payload["error"]


def test_triggers_of_one_connection_share_one_client(clients):
    async def main():
        ten = [on_fakes(clients) for _ in range(10)]
        waiting = [asyncio.ensure_future(anext(trigger.run())) for trigger in ten]
        await asyncio.sleep(3)
        clients.jobs.set_status("job-1", "Failed", reason="AlgorithmError: x")
        events = await asyncio.gather(*waiting)
        return sum(trigger.opened for trigger in ten), {event.payload["status"] for event in events}

    assert loops.run(main()) == (1, {"Failed"})


# -- stopping: only on a person's word ---------------------------------------------------------------------------------

TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1)


@pytest.fixture
def airflow_says(monkeypatch):
    """Sets what the API server knows of the task: its state, and the job that it pushed last."""

    def say(state, job_name="job-1"):
        def task_state(**identity):
            assert identity == {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
            if isinstance(state, Exception):
                raise state
            return state

        monkeypatch.setattr(_compat, "task_state", task_state)
        monkeypatch.setattr(_compat, "job_xcom", lambda *_, **__: {"job_name": job_name} if job_name else None)

    return say


def killed(trigger, task=TASK):
    trigger.task_instance = task
    asyncio.run(trigger.on_kill())


@pytest.mark.parametrize(
    ("state", "job_name", "stops"),
    [
        ("deferred", "job-1", 0),  # a fail-over to another triggerer, of which Airflow 3.3.0-3.3.2 says "killed"
        ("running", "job-1", 0),  # resumed by its own event
        ("deferred", "job-2", 1),  # cleared, and deferred again already
        ("deferred", None, 0),  # somebody has deleted its XComs; a task that defers again has pushed its own
        ("deferred", "", 0),  # it waits for its turn, and its next job has no name yet
        ("failed", "job-1", 1),
        ("success", "job-1", 1),
        ("up_for_retry", "job-1", 0),  # Airflow's own word: the retry adopts the job
        ("up_for_reschedule", "job-1", 0),
        ("a state of tomorrow", "job-1", 0),
        (None, "job-1", 1),  # cleared
        (OSError("no API"), "job-1", 0),
    ],
    ids=str,
)
def test_a_job_is_stopped_only_when_the_task_no_longer_waits_for_it(clients, airflow_says, state, job_name, stops):
    airflow_says(state, job_name)
    killed(on_fakes(clients))
    assert clients.jobs.count("stop") == stops


@pytest.mark.parametrize(
    "make", [on_fakes, lambda clients: sleeper(60, job_name="job-1")], ids=["watching", "sleeping"]
)
@pytest.mark.parametrize(
    ("then", "stops"),
    [
        ([("running", None), ("running", "job-1")], 0),  # a retry, which adopts the job
        ([("running", None), ("running", "job-2")], 1),  # a clear: a job of its own
        ([("running", "job-1")], 0),  # back from the triggerer
        ([("queued", "job-1"), ("up_for_retry", "job-1")], 0),
        ([("queued", "job-1"), ("failed", None)], 1),
    ],
    ids=str,
)
def test_a_task_that_waits_for_a_worker_is_asked_for_until_it_shows_whether_it_was_cleared(
    clients, monkeypatch, make, then, stops
):
    """A triggerer that comes back while the task is retried must not stop the healthy job; a cleared task's job must not run on."""
    monkeypatch.setattr(stop, "_ASK_PAUSES_SECONDS", (0.001,))
    answers = [("scheduled", "job-1"), ("queued", "job-1"), *then]
    asked = []

    def task_state(**_):
        asked.append(answers[min(len(asked), len(answers) - 1)])
        return asked[-1][0]

    monkeypatch.setattr(_compat, "task_state", task_state)
    monkeypatch.setattr(_compat, "job_xcom", lambda *_, **__: asked[-1][1] and {"job_name": asked[-1][1]})
    trigger = make(clients)
    trigger._open_stopping_jobs = functools.partial(answering, clients.jobs)
    killed(trigger)
    assert clients.jobs.count("stop") == stops
    assert asked == answers


def test_a_task_that_waits_for_a_worker_is_not_asked_which_job_it_follows(clients, airflow_says, monkeypatch):
    """A thousand of them may wait in a pool, and one thread of the triggerer asks for all."""
    airflow_says("failed")
    monkeypatch.setattr(_compat, "job_xcom", lambda *_, **__: pytest.fail("the state decides"))
    killed(on_fakes(clients))
    assert clients.jobs.count("stop") == 1


def test_the_event_of_a_job_that_ends_at_once_waits_until_the_scheduler_has_read_the_deferral(clients):
    """Airflow fails a task that is back before ("finished with state success, but …"), with its job completed."""
    clients.jobs.set_status("job-1", "Completed")

    async def seconds_taken(age, task=TASK):
        loop = asyncio.get_running_loop()
        began = loop.time()
        deferred_at = datetime.now(tz=UTC) - timedelta(seconds=age)
        trigger = on_fakes(clients, deferred_at=deferred_at.isoformat())
        trigger.task_instance = task
        (event,) = [event async for event in trigger.run()]
        assert event.payload["status"] == "Completed"
        return loop.time() - began

    async def main():
        return [await seconds_taken(age) for age in (0, 6, 3600, -3600)], await seconds_taken(0, task=None)

    (at_once, later, long_ago, other_clock), in_dag_test = loops.run(main())
    # The loop's clock runs ahead of the machine's, by which the age is reckoned: what a busy machine takes is missing from the wait.
    assert 7 <= at_once <= 12
    assert 1 <= later <= 6
    assert long_ago < 2
    assert 7 <= other_clock <= 12, "a worker's clock that goes ahead makes nobody wait for an hour"
    assert in_dag_test < 2, "there is no scheduler"


def test_the_first_trigger_of_a_process_asks_airflow_once(clients, monkeypatch):
    """The first question stops the triggerer's supervisor for a while: better now than when a user takes a task away."""
    asked = []
    monkeypatch.setattr(questions, "_has_asked_airflow", False)
    monkeypatch.setattr(_compat, "task_state", lambda **identity: asked.append(identity))
    clients.jobs.set_status("job-1", "Completed")

    async def main():
        for _ in range(3):
            trigger = on_fakes(clients)
            trigger.task_instance = TASK
            assert [event async for event in trigger.run()]
        await until(lambda: asked)

    asyncio.run(main())
    assert asked == [{"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}]


def test_a_stop_that_aws_does_not_take_at_once_is_asked_for_again(clients, airflow_says, monkeypatch):
    """Nobody comes back to it: the task is gone, and its job would run to its end."""
    monkeypatch.setattr(stop, "_STOP_PAUSES_SECONDS", (0.01, 0.01))
    throttled = NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)
    clients.jobs.errors["stop"] = [throttled, throttled]
    airflow_says("failed")
    killed(on_fakes(clients))
    assert clients.jobs.count("stop") == 3
    assert clients.jobs.descriptions["job-1"]["TrainingJobStatus"] == "Stopping"


def test_a_stop_that_is_denied_is_asked_for_once(clients, airflow_says):
    clients.jobs.errors["stop"] = [NotebookJobServiceError("denied", code="AccessDenied")]
    airflow_says("failed")
    killed(on_fakes(clients))
    assert clients.jobs.count("stop") == 1


def test_stop_on_kill_false_asks_nobody(clients, airflow_says):
    airflow_says(AssertionError("was asked"))
    killed(on_fakes(clients, stop_on_kill=False))
    assert clients.jobs.count("stop") == 0


def test_without_a_task_instance_the_job_is_kept(clients):
    """``dag.test`` gives none."""
    killed(on_fakes(clients), task=None)
    assert clients.jobs.count("stop") == 0


def test_the_stop_outlives_the_trigger(clients, airflow_says):
    """The triggerer cancels ``on_kill`` after about a second."""
    airflow_says("failed")
    trigger = on_fakes(clients)
    trigger.task_instance = TASK
    opening, may_open = trigger._open_stopping_jobs, asyncio.Event()

    async def slowly():
        await may_open.wait()
        return await opening()

    trigger._open_stopping_jobs = slowly

    async def main():
        killing = asyncio.create_task(trigger.on_kill())
        await until(lambda: questions._detached)
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        assert killing.cancelled()
        assert clients.jobs.count("stop") == 0
        may_open.set()
        await until(lambda: clients.jobs.count("stop"))

    asyncio.run(main())
    assert not questions._detached


def test_a_question_to_airflow_goes_on_though_nobody_waits_for_it(monkeypatch):
    """Airflow 3.0 takes an answer that nobody has read for that of its next question, and the triggerer dies of it."""
    asked, may_answer = [], threading.Event()

    def answer(*_, **__):
        asked.append("begun")
        may_answer.wait(10)
        asked.append("answered")

    monkeypatch.setattr(_compat, "push_job_xcom", answer)
    trigger = NotebookJobTrigger(job_name="job-1")
    trigger.task_instance = TASK

    async def main():
        telling = asyncio.create_task(trigger._report(LogPlace(cell=1, cells=2)))
        await until(lambda: asked)
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        assert telling.cancelled()
        assert asked == ["begun"]
        may_answer.set()
        await until(lambda: not questions._detached)
        assert asked == ["begun", "answered"]

    asyncio.run(main())


@pytest.mark.parametrize("is_answered", [True, False])
def test_a_trigger_that_takes_over_writes_on_from_where_the_one_before_was(monkeypatch, is_answered):
    """A triggerer that is restarted has only the trigger's arguments, which say nothing of what has been written since."""
    xcoms, clients, said = {}, FakeClients(), []

    def read(key, **_):
        if not is_answered:
            raise RuntimeError("the API server does not answer")
        return xcoms.get(key)

    monkeypatch.setattr(_compat, "push_job_xcom", lambda key, value, **_: xcoms.update({key: value}))
    monkeypatch.setattr(_compat, "job_xcom", read)
    monkeypatch.setattr(_compat, "may_push_from_trigger", lambda: True)
    monkeypatch.setattr(_compat, "task_state", lambda **_: "deferred")
    monkeypatch.setattr(shared_log_reader, "SHORTEST_CYCLE_SECONDS", 0.01)
    monkeypatch.setattr(shared_log_reader, "SECONDS_PER_CALL", 0.0)
    clients.logs.lines["job-1"] = ["+ SM_EXECUTION_INPUT_PATH=/opt/ml", "Executing:  50%|#  | 1/2 [00:00<00:01]", "a"]
    hour_ago = (datetime.now(tz=UTC) - timedelta(hours=1)).isoformat()
    stored = NotebookJobTrigger(job_name="job-1", stream_logs=True, deferred_at=hour_ago).serialize()[1]

    async def life(last_line, *, seen):
        trigger = NotebookJobTrigger(**stored)
        trigger.task_instance = TASK
        trigger._log = SimpleNamespace(info=lambda text, *values: said.append(text % values))

        async def open_logs():
            return clients.logs

        async def open_jobs():
            await asyncio.Event().wait()

        trigger._open_logs, trigger._open_jobs = open_logs, open_jobs
        running = asyncio.create_task(anext(trigger.run()))
        await until(lambda: said[-1:] == [last_line])
        await until(lambda: len(xcoms.get("nbjobs_progress", {}).get("log_place", {}).get("seen", ())) == seen)
        running.cancel("EOF - shutting down")
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(life("a", seen=3))
    assert xcoms["nbjobs_progress"] | {"log_place": None} == {
        "job_name": "job-1",
        "done": 1,
        "total": 2,
        "log_place": None,
    }
    clients.logs.lines["job-1"].append("b")
    asyncio.run(life("b", seen=4))
    first = ["cell 1 of 2 has ended", "a"]
    assert said == ([*first, "b"] if is_answered else [*first, *first, "b"])


@pytest.mark.parametrize(
    ("word", "state", "stops"),
    [((), "failed", 1), ((), "deferred", 0), (("EOF - shutting down",), "failed", 0)],
    ids=["user", "fail-over", "triggerer ends"],
)
def test_before_airflow_3_3_a_cancellation_without_a_word_asks_why(  # noqa: PLR0917 - fixtures and cases
    clients, airflow_says, monkeypatch, word, state, stops
):
    """There is no ``BaseTrigger.on_kill`` then."""
    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    airflow_says(state)

    async def main():
        trigger = on_fakes(clients)
        trigger.task_instance = TASK
        waiting = asyncio.ensure_future(anext(trigger.run()))
        await until(lambda: clients.jobs.count("describe"))
        waiting.cancel(*word)
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()

    asyncio.run(main())
    assert clients.jobs.count("stop") == stops


@pytest.mark.skipif(not HAS_ON_KILL, reason="Airflow < 3.3")
def test_from_airflow_3_3_on_a_cancellation_alone_stops_nothing(clients, airflow_says):
    airflow_says("failed")

    async def main():
        trigger = on_fakes(clients)
        trigger.task_instance = TASK
        waiting = asyncio.ensure_future(anext(trigger.run()))
        await until(lambda: clients.jobs.count("describe"))
        waiting.cancel("__airflow_user_action__")
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    assert clients.jobs.count("stop") == 0


# -- sleeping until a task's turn --------------------------------------------------------------------------------------


def sleeper(seconds, **arguments):
    until = datetime.now(tz=UTC) + timedelta(seconds=seconds)
    return NotebookJobTurnTrigger(until=until.isoformat(), **arguments)


def test_the_sleeper_survives_airflows_storage_with_its_moment():
    """A triggerer that takes over sleeps for what is left, and not from the beginning."""
    path, arguments = NotebookJobTurnTrigger(until="2026-11-22T03:00:00+00:00", **ARGUMENTS).serialize()
    assert path == "airflow_nbjobs.triggers.NotebookJobTurnTrigger"
    assert arguments == ARGUMENTS | {"until": "2026-11-22T03:00:00+00:00"}
    stored = deserialize(json.loads(json.dumps(serialize(arguments))))
    assert NotebookJobTurnTrigger(**stored).serialize() == (path, arguments)


def test_the_sleeper_asks_nobody_and_says_what_the_next_process_does():
    (event,) = events_of(sleeper(-1, job_name="job-1", attempt=2, aws_conn_id="nowhere", turn={"step": "submit"}))
    assert event.payload["turn"] == {"step": "submit"}
    assert (event.payload["job_name"], event.payload["attempt"], event.payload["status"]) == ("job-1", 2, None)


def test_the_sleeper_sleeps_until_its_moment():
    trigger = sleeper(0.5)
    (_,) = events_of(trigger)
    assert datetime.now(tz=UTC) >= datetime.fromisoformat(trigger.until)


def test_a_user_who_takes_a_sleeping_task_away_stops_the_job_that_may_exist(clients, airflow_says):
    """Its creation was not answered."""
    airflow_says("failed")
    trigger = sleeper(60, job_name="job-1")
    trigger._open_stopping_jobs = functools.partial(answering, clients.jobs)
    killed(trigger)
    assert clients.jobs.count("stop") == 1


async def answering(value):
    return value


def test_a_sleeper_without_a_job_has_nothing_to_stop(airflow_says):
    airflow_says(AssertionError("was asked"))
    killed(sleeper(60))


# -- what the event and the port are made of ---------------------------------------------------------------------------


def test_an_event_of_a_job_that_cannot_be_watched_has_the_services_code(clients, monkeypatch):
    monkeypatch.setattr(poller, "DENIED_SECONDS", 0.0)
    clients.jobs.errors["describe"] = [NotebookJobServiceError("denied", code="AccessDenied")]
    (event,) = events_of(on_fakes(clients))
    assert event.payload["error_code"] == "AccessDenied"
    assert event.payload["secondary_status"] is None
    (event,) = events_of(NotebookJobTrigger(job_name="job-1", aws_conn_id="nowhere", region_name="eu-west-1"))
    assert event.payload["error_code"] is None, "no service has said anything"


def test_what_a_trigger_was_given_comes_back_though_the_job_cannot_be_watched(clients):
    clients.jobs.errors["describe"] = [ZeroDivisionError("a bug")]
    arguments = {"attempt": 2, "was_adopted": True, "turn": {"step": "finish"}, "log_place": {"floor": 5}}
    (event,) = events_of(on_fakes(clients, **arguments, try_number=3))
    assert {name: event.payload[name] for name in (*arguments, "try_number", "job_name", "version")} == {
        **arguments,
        "try_number": 3,
        "job_name": "job-1",
        "version": 1,
    }


def test_of_a_long_error_the_event_has_a_part(clients):
    """It lies in Airflow's database."""
    clients.jobs.errors["describe"] = [ValueError("x" * 1_000_000)]
    (event,) = events_of(on_fakes(clients))
    assert event.payload["error"].startswith("the triggerer's poller has crashed: ValueError: xxx")
    assert len(event.payload["error"]) < 100_000


@pytest.mark.parametrize(
    "other",
    [
        {"aws_conn_id": "aws_other"},
        {"region_name": "eu-west-3"},
        {"verify": False},
        {"verify": "False"},
        {"botocore_config": {"retries": {"max_attempts": 2}}},
    ],
    ids=str,
)
def test_triggers_of_other_connections_do_not_share_a_client(clients, other):
    clients.jobs.set_status("job-1", "Completed")

    async def main():
        both = [on_fakes(clients), on_fakes(clients, **other)]
        await asyncio.gather(*(anext(trigger.run()) for trigger in both))
        return [trigger.opened for trigger in both]

    assert asyncio.run(main()) == [1, 1]


def test_the_order_of_a_configuration_makes_no_other_client(clients):
    clients.jobs.set_status("job-1", "Completed")
    configurations = ({"a": 1, "b": 2}, {"b": 2, "a": 1})

    async def main():
        both = [on_fakes(clients, botocore_config=each) for each in configurations]
        await asyncio.gather(*(anext(trigger.run()) for trigger in both))
        return sum(trigger.opened for trigger in both)

    assert asyncio.run(main()) == 1


def test_defaults_wait_for_the_job_stop_it_on_kill_and_write_no_log():
    trigger = NotebookJobTrigger(job_name="job-1")
    assert trigger.serialize()[1] == {
        "job_name": "job-1",
        "attempt": 0,
        "was_adopted": False,
        "aws_conn_id": "aws_default",
        "region_name": None,
        "verify": None,
        "botocore_config": None,
        "waiter_delay": 30,
        "stop_on_kill": True,
        "turn": None,
        "stream_logs": False,
        "log_place": None,
        "deferred_at": None,
        "try_number": None,
    }


@pytest.mark.skipif(not hasattr(BaseTrigger, "get_template_env"), reason="triggers are rendered from Airflow 3.3 on")
def test_a_sensors_arguments_are_rendered_without_empty_texts_for_undefined_names():
    """Airflow's own environment of triggers would make another job's name of them."""
    from jinja2 import UndefinedError

    from airflow_nbjobs.triggers import NotebookJobSensorTrigger

    environment = NotebookJobSensorTrigger(job_name="{{ x }}").get_template_env()
    assert environment.from_string("job-{{ x }}").render(x=1) == "job-1"
    with pytest.raises(UndefinedError):
        environment.from_string("job-{{ y }}").render(x=1)


@pytest.mark.parametrize("seconds", [0.0, -3600.0])
def test_a_moment_that_has_passed_is_not_slept_for(seconds):
    async def main():
        began = asyncio.get_running_loop().time()
        (event,) = [event async for event in sleeper(seconds).run()]
        return asyncio.get_running_loop().time() - began, event.payload["job_name"]

    assert loops.run(main()) == (0.0, "")


@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_sleeper_whose_task_is_taken_away_stops_its_job_only_if_it_may(clients, airflow_says, is_stopped):
    airflow_says("failed")
    trigger = sleeper(60, job_name="job-1", stop_on_kill=is_stopped)
    trigger._open_stopping_jobs = functools.partial(answering, clients.jobs)
    killed(trigger)
    assert clients.jobs.count("stop") == is_stopped


def test_before_airflow_3_3_a_sleeper_that_is_cancelled_without_a_word_asks_why(clients, airflow_says, monkeypatch):
    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    airflow_says("failed")

    async def cancelled(*word):
        trigger = sleeper(60, job_name="job-1")
        trigger.task_instance = TASK
        trigger._open_stopping_jobs = functools.partial(answering, clients.jobs)
        waiting = asyncio.ensure_future(anext(trigger.run()))
        await asyncio.sleep(0)
        waiting.cancel(*word)
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        return clients.jobs.count("stop")

    assert asyncio.run(cancelled("EOF - shutting down")) == 0
    assert asyncio.run(cancelled()) == 1


def test_a_long_sleep_is_taken_in_slices_that_a_changed_clock_cannot_stretch(monkeypatch):
    """The machine may sleep itself: each minute the time is looked at again."""
    slept, moment = [], datetime(2026, 11, 22, 3, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment + timedelta(seconds=sum(slept))

    async def sleep(seconds):
        slept.append(seconds)

    monkeypatch.setattr(triggers, "datetime", Clock)
    monkeypatch.setattr(triggers, "asyncio", SimpleNamespace(sleep=sleep, CancelledError=asyncio.CancelledError))
    trigger = NotebookJobTurnTrigger(until=(moment + timedelta(seconds=150)).isoformat())
    (_,) = events_of(trigger)
    assert slept == [60, 60, 30]


@pytest.mark.parametrize(
    ("age", "slept"), [(0, [10.0]), (4, [6.0]), (10, [0.0]), (3600, [0.0]), (-3600, [10.0])], ids=str
)
def test_an_event_waits_until_its_deferral_is_ten_seconds_old(monkeypatch, clients, age, slept):
    pauses, moment = [], datetime(2026, 11, 22, 3, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(triggers, "datetime", Clock)
    monkeypatch.setattr(triggers, "asyncio", SimpleNamespace(sleep=sleep, CancelledError=asyncio.CancelledError))
    clients.jobs.set_status("job-1", "Completed")
    trigger = on_fakes(clients, deferred_at=(moment - timedelta(seconds=age)).isoformat())
    trigger.task_instance = TASK
    (_,) = events_of(trigger)
    assert pauses == slept
