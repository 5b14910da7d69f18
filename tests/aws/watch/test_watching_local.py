"""The trigger on the embedded SageMaker: Airflow's connection, the real hook, boto3 and the wire; what goes wrong there, a task hears."""

import asyncio
import json
import os
import socket
import time
import uuid

import pytest
from forked_programs import AIRFLOW, run_forked

from airflow_nbjobs.aws.watch import poller, reopening
from airflow_nbjobs.testing import local_sagemaker
from airflow_nbjobs.triggers import NotebookJobTrigger

pytestmark = pytest.mark.local
COUNT = 5


@pytest.fixture
def sagemaker(embedded_sagemaker, monkeypatch):
    with local_sagemaker(embedded_sagemaker) as sagemaker:
        for name, value in sagemaker.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW__NBJOBS__POLLING_INTERVAL", "0.2")
        # A refusal doubles the time between two calls, and this is where it begins.
        monkeypatch.setenv("AIRFLOW__NBJOBS__LIST_CALLS_PER_SECOND", "5")
        sagemaker.faults.script_jobs(after_seconds=None)
        yield sagemaker


@pytest.fixture
def names(sagemaker):
    """Jobs that run until they are told to end."""
    names = [f"wait-{uuid.uuid4().hex[:12]}" for _ in range(COUNT)]
    client = sagemaker.client("sagemaker")  # dear to make
    for name in names:
        client.create_training_job(
            TrainingJobName=name,
            RoleArn=sagemaker.role,
            AlgorithmSpecification={
                "TrainingImage": sagemaker.facts.image_uri,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["true"],
            },
            OutputDataConfig={"S3OutputPath": f"s3://{sagemaker.bucket}/k"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
    return names


def end(sagemaker, name, status="Completed"):
    reason = "AlgorithmError: x" if status == "Failed" else None
    sagemaker.faults.end_job(name, status, failure_reason=reason, without_archive=True)


def events_of(names, meanwhile=None, within=40, **arguments):
    """What each job's trigger says, in one loop, as in a triggerer."""

    async def first(name):
        trigger = NotebookJobTrigger(**{"job_name": name, "waiter_delay": 0.5, **arguments})
        return (await anext(trigger.run())).payload

    async def main():
        async with asyncio.timeout(within):
            waiting = asyncio.gather(*(first(name) for name in names))
            if meanwhile is not None:
                await asyncio.to_thread(meanwhile)
            return await waiting

    return asyncio.run(main())


def counted(sagemaker, since=0):
    calls = [call for call in sagemaker.faults.calls(after=since) if call.operation.endswith(("Jobs", "Job"))]
    return [call.operation for call in calls]


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def last_call(sagemaker):
    return max((call.number for call in sagemaker.faults.calls()), default=0)


def test_each_end_is_told_and_the_looks_are_shared(sagemaker, names):
    since = last_call(sagemaker)

    def end_all():
        until(lambda: counted(sagemaker, since).count("ListTrainingJobs") >= 2)
        for number, name in enumerate(names):
            end(sagemaker, name, "Failed" if number % 2 else "Completed")

    events = events_of(names, end_all)
    assert [(event["job_name"], event["status"], event["error"]) for event in events] == [
        (name, "Failed" if number % 2 else "Completed", None) for number, name in enumerate(names)
    ]
    assert "DescribeTrainingJob" not in counted(sagemaker, since)


def test_without_the_permission_to_list_the_jobs_are_described(sagemaker, names, caplog):
    sagemaker.faults.deny("ListTrainingJobs")
    since = last_call(sagemaker)

    def end_all():
        until(lambda: counted(sagemaker, since).count("DescribeTrainingJob") >= 2 * COUNT)
        for name in names:
            end(sagemaker, name)

    assert {event["status"] for event in events_of(names, end_all)} == {"Completed"}
    assert counted(sagemaker, since).count("ListTrainingJobs") == 1
    (said,) = [record.message for record in caplog.records if "described alone" in record.message]
    assert "needs sagemaker:ListTrainingJobs on '*'" in said


def test_a_denied_description_of_one_job_is_that_tasks_error(sagemaker, names, monkeypatch):
    monkeypatch.setattr(poller, "DENIED_SECONDS", 1.0)
    sagemaker.faults.deny("*TrainingJobs")
    sagemaker.faults.deny("DescribeTrainingJob", resource=names[0])

    def end_the_others():
        for name in names[1:]:
            end(sagemaker, name)

    denied, *others = events_of(names, end_the_others)
    assert f"needs sagemaker:DescribeTrainingJob on '{names[0]}'" in denied["error"]
    assert {event["status"] for event in others} == {"Completed"}


def test_refusals_lost_connections_and_server_errors_are_ridden_out(sagemaker, names):
    since = last_call(sagemaker)
    sagemaker.faults.throttle("ListTrainingJobs", times=2)

    def end_all():
        until(lambda: counted(sagemaker, since).count("ListTrainingJobs") >= 3)
        sagemaker.faults.reset("*TrainingJobs", times=1)
        for name in names:
            end(sagemaker, name)
        sagemaker.faults.internal_error("*TrainingJobs", when="after", times=1)

    assert {event["status"] for event in events_of(names, end_all, within=60)} == {"Completed"}


def test_a_refused_call_is_sent_once(sagemaker, names):
    """botocore would send it four more times, each against the same quota."""
    since = last_call(sagemaker)
    throttled = sagemaker.faults.throttle("DescribeTrainingJob", times=1)

    def end_it():
        until(lambda: throttled.hits == 1)
        end(sagemaker, names[0])

    assert events_of(names[:1], end_it)[0]["status"] == "Completed"
    assert counted(sagemaker, since).count("DescribeTrainingJob") <= 4


def test_missing_credentials_reach_every_task(sagemaker, names, monkeypatch):
    monkeypatch.setattr(reopening, "REFUSED_SECONDS", 0.0)
    extra = {"endpoint_url": sagemaker.facts.endpoint_url, "region_name": sagemaker.facts.region}
    for name in list(os.environ):
        if name.startswith("AWS_") and "KEY" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_NOBODY", json.dumps({"conn_type": "aws", "extra": extra}))
    events = events_of(names, aws_conn_id="aws_nobody")
    assert len(events) == COUNT
    for event in events:
        assert "no AWS credentials for sagemaker:ListTrainingJobs" in event["error"]
        assert "give the AWS connection a key or a role" in event["error"]


def test_an_unknown_connection_reaches_every_task(names):
    for event in events_of(names, aws_conn_id="nowhere"):
        assert "there is no Airflow connection 'nowhere'; create it" in event["error"]


def test_a_budget_that_is_no_number_reaches_every_task(names, monkeypatch):
    monkeypatch.setenv("AIRFLOW__NBJOBS__LIST_CALLS_PER_SECOND", "often")
    for event in events_of(names):
        assert "[nbjobs] list_calls_per_second is 'often'; it has to be a number above zero" in event["error"]


def test_an_endpoint_that_is_away_is_waited_for(sagemaker, names, monkeypatch, caplog):
    """A task does not fail because the triggerer's network was away for a while."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        connection = json.loads(sagemaker.environment["AIRFLOW_CONN_AWS_DEFAULT"])
        extra = connection["extra"]
        extra = json.loads(extra) if isinstance(extra, str) else extra
        extra["endpoint_url"] = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setenv("AIRFLOW_CONN_AWS_AWAY", json.dumps(connection | {"extra": extra}))
        with pytest.raises(TimeoutError):
            events_of(names, aws_conn_id="aws_away", within=6)
    assert sum("going on trying" in record.message for record in caplog.records) == 1


BLOCKED = """
import asyncio, json, sys, time
import airflow.triggers.base, airflow_nbjobs.triggers
assert "boto3" not in sys.modules

async def main():
    longest = 0.0
    async def probe():
        nonlocal longest
        while True:
            used = time.thread_time()
            await asyncio.sleep(0.02)
            longest = max(longest, time.thread_time() - used)
    probing = asyncio.create_task(probe())
    await asyncio.sleep(0.1)
    trigger = airflow_nbjobs.triggers.NotebookJobTrigger(job_name=sys.argv[1], waiter_delay=0.5)
    await anext(trigger.run())
    probing.cancel()
    print(json.dumps({"longest": longest, "has_boto": "boto3" in sys.modules}))

asyncio.run(main())
"""


def test_the_first_trigger_of_a_process_does_not_block_its_loop(sagemaker, names, tmp_path):
    """It imports amazon's hook and boto3 and parses SageMaker's model, in threads; by CPU time of the loop's thread, which no other process disturbs."""
    end(sagemaker, names[0])
    (tmp_path / "blocked.py").write_text(BLOCKED)
    code, said = run_forked(tmp_path / "blocked.py", names[0], modules=AIRFLOW)
    assert code == 0, said
    found = json.loads(said.splitlines()[-1])
    assert found["has_boto"]
    assert found["longest"] < 0.2
