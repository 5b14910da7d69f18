"""What Describe and List say of a job after each event. No server is needed: jobs are values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_nbjobs.local.state.batch_jobs import new_batch_job
from airflow_nbjobs.local.state.jobs import TrainingJob, artifact_uri, new_job, selected_instance_type
from airflow_nbjobs.local.state.pools import Pool
from airflow_nbjobs.local.state.resource import PROCESSING, TRAINING, TRANSFORM, Outcome

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/job"
REQUEST: dict[str, Any] = {
    "TrainingJobName": "job",
    "RoleArn": "arn:aws:iam::123456789012:role/r",
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/out/"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "Tags": [{"Key": "team", "Value": "a"}, {"Key": "stage", "Value": "b"}],
}


def job(**changes: Any) -> TrainingJob:
    return new_job(REQUEST | changes, arn=ARN, now=100.0)


def statuses(one: TrainingJob) -> list[tuple[str, float, float | None]]:
    return [(each.status, each.start, each.end) for each in one.transitions]


# -- training jobs -----------------------------------------------------------------------------------------------------


def test_a_new_job_starts_and_keeps_its_tags_apart() -> None:
    made = job()
    assert (made.name, made.arn, made.status, made.secondary_status) == ("job", ARN, "InProgress", "Starting")
    assert (made.created, made.modified, made.started, made.ended) == (100.0, 100.0, None, None)
    assert made.tag_documents() == REQUEST["Tags"]
    assert "Tags" not in made.describe()
    assert made.headline == "job InProgress/Starting"
    assert not made.has_ended
    assert not made.is_terminal


def test_each_status_ends_where_the_next_begins() -> None:
    ended = (
        job()
        .moved("Downloading", now=101)
        .running(now=102)
        .moved("Uploading", now=105)
        .concluded(Outcome(), now=107.4006)
    )
    assert statuses(ended) == [
        ("Starting", 100.0, 101),
        ("Downloading", 101, 102),
        ("Training", 102, 105),
        ("Uploading", 105, 107.4006),
        ("Completed", 107.4006, 107.4006),
    ]
    document = ended.describe()
    assert document["TrainingJobStatus"] == document["SecondaryStatus"] == "Completed"
    assert (document["CreationTime"], document["LastModifiedTime"]) == (100.0, 107.401)
    assert (document["TrainingStartTime"], document["TrainingEndTime"]) == (102, 107.401)
    assert document["TrainingTimeInSeconds"] == document["BillableTimeInSeconds"] == 5
    assert "FailureReason" not in document
    assert document["SecondaryStatusTransitions"][0] == {
        "Status": "Starting",
        "StartTime": 100.0,
        "EndTime": 101,
        "StatusMessage": "Starting the training job",
    }
    assert "EndTime" not in job().describe()["SecondaryStatusTransitions"][0]
    assert ended.has_ended
    assert ended.is_terminal


def test_a_status_again_has_the_new_message_and_its_own_beginning() -> None:
    waiting = job().waiting("Waiting for its turn", now=103)
    assert statuses(waiting) == [("Starting", 100.0, None)]
    assert (waiting.transitions[0].message, waiting.modified) == ("Waiting for its turn", 103)


def test_a_failure_has_a_reason_of_at_most_1024_characters() -> None:
    failed = job().running(now=101).concluded(Outcome("x" * 1025), now=102).describe()
    assert (failed["TrainingJobStatus"], failed["FailureReason"]) == ("Failed", "x" * 1024)
    assert job().concluded(Outcome("x" * 1024), now=102).describe()["FailureReason"] == "x" * 1024


def test_a_job_that_was_told_to_stop_is_stopped_whatever_its_container_said() -> None:
    stopping = job().running(now=101).stopping(now=102)
    assert (stopping.status, stopping.secondary_status) == ("Stopping", "Stopping")
    assert not stopping.has_ended
    assert stopping.running(now=103) == stopping
    stopped = stopping.concluded(Outcome("exit code 143"), now=104).describe()
    assert (stopped["TrainingJobStatus"], stopped["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "FailureReason" not in stopped


@pytest.mark.parametrize(("is_told", "secondary"), [(True, "MaxRuntimeExceeded"), (False, "Completed")])
def test_only_a_job_that_was_stopped_can_have_run_too_long(is_told: bool, secondary: str) -> None:
    running = job().running(now=101)
    ended = (running.stopping(now=102) if is_told else running).concluded(Outcome(ran_too_long=True), now=103)
    assert ended.secondary_status == secondary
    assert ended.transitions[-1].end == 103


def test_a_job_that_is_being_deleted_keeps_its_last_secondary_status() -> None:
    deleting = job().concluded(Outcome(), now=101).deleting(now=102, for_seconds=1.5)
    assert (deleting.status, deleting.secondary_status) == ("Deleting", "Completed")
    assert (deleting.modified, deleting.gone_at) == (102, 103.5)
    assert deleting.has_ended
    assert not deleting.is_terminal


def test_describe_fills_in_what_the_request_left_out() -> None:
    request = REQUEST | {"InputDataConfig": [{"ChannelName": "input", "CompressionType": "Gzip"}]}
    document = new_job(request, arn=ARN, now=100.0).describe()
    assert document["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is False
    assert document["OutputDataConfig"] == {
        "KmsKeyId": "",
        "CompressionType": "GZIP",
        "S3OutputPath": "s3://bucket/out/",
    }
    assert document["InputDataConfig"] == [
        {"ChannelName": "input", "CompressionType": "Gzip", "RecordWrapperType": "None"}
    ]
    flags = ("EnableNetworkIsolation", "EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining")
    assert [document[name] for name in flags] == [False, False, False]
    asked = new_job(REQUEST | dict.fromkeys(flags, True), arn=ARN, now=100.0).describe()
    assert [asked[name] for name in flags] == [True, True, True]
    assert document["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/out/job/output/model.tar.gz"
    assert artifact_uri(job()) == "s3://bucket/out/job/output"
    assert "InputDataConfig" not in job().describe()
    assert "SessionChainingConfig" not in job(SessionChainingConfig={}).describe()


@pytest.mark.parametrize(
    ("condition", "seconds"), [({"MaxRuntimeInSeconds": 60}, 60), ({"MaxWaitTimeInSeconds": 9}, 86_400), (None, 86_400)]
)
def test_a_job_without_a_limit_runs_for_a_day(condition: dict[str, int] | None, seconds: int) -> None:
    request = {name: value for name, value in REQUEST.items() if name != "StoppingCondition"}
    made = new_job(request | ({"StoppingCondition": condition} if condition else {}), arn=ARN, now=0)
    assert made.max_runtime_seconds == seconds
    assert made.describe()["StoppingCondition"] == {"MaxRuntimeInSeconds": seconds, **(condition or {})}


def test_of_preferred_types_the_first_is_said_once_the_job_has_left_starting() -> None:
    preferences = {
        "InstanceCount": 1,
        "InstancePreferences": [{"InstanceType": "ml.c5.large"}, {"InstanceType": "ml.m5.large"}],
    }
    made = job(ResourceConfig=preferences)
    assert made.describe()["ResourceConfig"] == preferences
    assert made.moved("Downloading", now=101).describe()["ResourceConfig"] == {
        **preferences,
        "SelectedInstanceType": "ml.c5.large",
        "SelectedInstanceCount": 1,
    }
    assert selected_instance_type(preferences) == "ml.c5.large"
    assert selected_instance_type({"InstanceType": "ml.m5.large"}) == "ml.m5.large"
    assert "SelectedInstanceType" not in job().moved("Downloading", now=101).describe()["ResourceConfig"]


def test_a_summary_is_a_part_of_what_describe_says() -> None:
    ended = job().running(now=101).concluded(Outcome("the reason"), now=102)
    assert ended.summary() == {
        "TrainingJobName": "job",
        "TrainingJobArn": ARN,
        "CreationTime": 100.0,
        "TrainingEndTime": 102,
        "LastModifiedTime": 102,
        "TrainingJobStatus": "Failed",
        "SecondaryStatus": "Failed",
    }
    assert "TrainingEndTime" not in job().summary()


def test_new_tags_take_the_place_of_all_others() -> None:
    changed = job().tagged({"team": "b"}, now=105)
    assert (changed.tag_documents(), changed.modified) == ([{"Key": "team", "Value": "b"}], 105)


# -- the machine of a job ----------------------------------------------------------------------------------------------

KEEPING = {"ResourceConfig": REQUEST["ResourceConfig"] | {"KeepAlivePeriodInSeconds": 30}}


def ended_with_pool(reason: str | None, *, has_started: bool = True, **changes: Any) -> TrainingJob:
    made = replace(job(**changes), pool=Pool())
    return (made.running(now=101) if has_started else made).concluded(Outcome(reason), now=110)


@pytest.mark.parametrize(
    ("reason", "has_started", "status"),
    [
        (None, True, "Available"),
        ("AlgorithmError: x", True, "Available"),
        ("InternalServerError: x", True, "Terminated"),
        ("CapacityError: x", True, "Terminated"),
        (None, False, "Terminated"),
    ],
)
def test_a_machine_is_kept_after_a_job_of_its_own_end(reason: str | None, has_started: bool, status: str) -> None:
    document = ended_with_pool(reason, has_started=has_started, **KEEPING).describe()
    assert document["WarmPoolStatus"]["Status"] == status


def test_a_job_that_asks_for_no_time_ends_its_pool() -> None:
    document = ended_with_pool(None).describe()
    assert document["WarmPoolStatus"] == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 0}
    assert "WarmPoolStatus" not in job().running(now=101).concluded(Outcome(), now=102).describe()


def test_an_idle_machine_is_given_back_when_its_time_is_over() -> None:
    pool = Pool().idling(30, now=110)
    assert (pool.since, pool.until) == (110, 140)
    assert pool.settled(now=139.9) == pool
    assert "ResourceRetainedBillableTimeInSeconds" not in pool.document()
    over = pool.settled(now=150)
    assert over.document() == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 30}
    assert pool.settled(now=140).status == "Terminated"


def test_a_machine_that_is_handed_over_says_to_whom() -> None:
    assert Pool().idling(30, now=110).handed_to("next", now=117).document() == {
        "Status": "Reused",
        "ResourceRetainedBillableTimeInSeconds": 7,
        "ReusedByJob": "next",
    }


def test_an_idle_machine_can_be_kept_for_longer_for_less_or_not_at_all() -> None:
    pool = Pool().idling(30, now=110)
    assert pool.kept_for(60, now=120).until == 170
    assert pool.kept_for(5, now=120).document() == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 5}
    assert pool.kept_for(0, now=120).document() == {"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 10}


# -- transform and processing jobs -------------------------------------------------------------------------------------


def batch_job(kind: Any) -> Any:
    return new_batch_job(kind, {f"{kind.resource}Name": "b", "X": 1}, arn=f"arn:{kind.arn_part}/b", now=100.0)


@pytest.mark.parametrize(
    ("kind", "prefix", "words"),
    [(TRANSFORM, "Transform", "transform job"), (PROCESSING, "Processing", "processing job")],
)
def test_a_batch_job_is_told_in_the_names_of_its_kind(kind: Any, prefix: str, words: str) -> None:
    made = batch_job(kind)
    assert made.headline == f"{words} b InProgress"
    has_modified = kind is PROCESSING
    assert made.describe() == {
        "X": 1,
        **{name: value for name, value in made.summary().items() if has_modified or name != "LastModifiedTime"},
    }
    assert made.summary() == {
        f"{prefix}JobName": "b",
        f"{prefix}JobArn": f"arn:{kind.arn_part}/b",
        f"{prefix}JobStatus": "InProgress",
        "CreationTime": 100.0,
        "LastModifiedTime": 100.0,
    }
    ended = made.running(now=101).concluded(Outcome("broke", exit_message="m" * 1025), now=102)
    assert ended.headline == f"{words} b Failed"
    document = ended.describe()
    assert (document[f"{prefix}StartTime"], document[f"{prefix}EndTime"]) == (101, 102)
    assert (document["FailureReason"], document["ExitMessage"]) == ("broke", "m" * 1024)
    assert ("LastModifiedTime" in document) is has_modified
    assert kind.log_group == f"/aws/sagemaker/{prefix}Jobs"


def test_a_stopped_batch_job_has_neither_a_reason_nor_a_message() -> None:
    stopping = batch_job(PROCESSING).running(now=101).stopping(now=102)
    assert (stopping.status, stopping.modified) == ("Stopping", 102)
    document = stopping.concluded(Outcome("exit code 143", exit_message="said"), now=103).describe()
    assert document["ProcessingJobStatus"] == "Stopped"
    assert not {"FailureReason", "ExitMessage"} & set(document)
    assert "ExitMessage" not in batch_job(PROCESSING).concluded(Outcome(exit_message=""), now=1).describe()
    assert batch_job(PROCESSING).waiting("x", now=5) == batch_job(PROCESSING)


def test_log_groups_are_named_after_the_kind() -> None:
    assert (TRAINING.log_group, TRAINING.words) == ("/aws/sagemaker/TrainingJobs", "training job")
