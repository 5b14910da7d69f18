"""The words for what a job is doing, from Airflow's state and from SageMaker's."""

import pytest

from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.core.job.wording import FOR_AWS, FOR_CAPACITY, FOR_TURN, job_words, task_words


@pytest.mark.parametrize(
    ("status", "secondary", "words"),
    [
        ("InProgress", "Pending", "waiting for capacity"),
        ("InProgress", "Starting", "starting"),
        ("InProgress", "Downloading", "starting"),
        ("InProgress", "Training", "running"),
        ("InProgress", "A status of tomorrow", "running"),
        ("InProgress", "Interrupted", "waiting for a spot instance"),
        ("InProgress", "Uploading", "finishing"),
        ("Stopping", "Stopping", "stopping"),
        ("Completed", "Completed", "success"),
        ("Failed", "Failed", "failed"),
        ("Stopped", "MaxRuntimeExceeded", "stopped"),
        ("Deleting", "Completed", "success, being deleted"),
        ("Deleting", "Stopped", "stopped, being deleted"),
        ("Deleting", "Training", "being deleted"),
    ],
)
def test_a_jobs_words(status, secondary, words):
    found = parse_description(
        {
            "TrainingJobName": "j",
            "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/j",
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
        }
    )
    assert job_words(found) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "to be run"),
        ("queued", "waiting for a slot"),
        ("deferred", "running"),
        ("up_for_retry", "waiting for its next try"),
        ("upstream_failed", "upstream failed"),
        ("success", "success"),
    ],
)
def test_a_tasks_words(state, words):
    assert task_words(state) == words
    assert task_words(state, {"waiting": "no object"}) == words


@pytest.mark.parametrize(
    ("state", "waiting", "words"),
    [
        ("deferred", {"state": FOR_TURN}, FOR_TURN),
        ("running", {"state": FOR_AWS}, FOR_AWS),
        ("running", {"for": "AWS"}, FOR_AWS),
        ("deferred", {"for": "capacity", "state": "of tomorrow"}, FOR_CAPACITY),
        ("deferred", {}, FOR_CAPACITY),
        ("success", {"state": FOR_TURN}, "success"),
        ("deferred", None, "running"),
    ],
)
def test_a_task_without_a_job_yet_says_what_it_waits_for(state, waiting, words):
    assert task_words(state, {"waiting": waiting}) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("scheduled", "waiting for a slot"),
        ("restarting", "stopping"),
        ("up_for_reschedule", "waiting"),
        ("running", "running"),
        ("failed", "failed"),
        ("a_state_of_tomorrow", "a state of tomorrow"),
    ],
)
def test_the_other_states_of_a_task(state, words):
    assert (
        task_words(state)
        == task_words(state, {})
        == task_words(state, {"waiting": {}} if state == "failed" else None)
        == words
    )


@pytest.mark.parametrize("state", ["scheduled", "queued", "failed", "up_for_retry", None])
def test_only_a_task_under_way_waits_for_its_turn(state):
    assert task_words(state, {"waiting": {"state": FOR_TURN}}) == task_words(state)


def test_the_words_of_what_is_waited_for_are_those_that_are_known():
    assert [task_words("deferred", {"waiting": {"state": said}}) for said in (FOR_TURN, FOR_CAPACITY, FOR_AWS)] == [
        "waiting for its turn",
        "waiting for capacity",
        "waiting for AWS",
    ]
    assert task_words("deferred", {"waiting": {"state": "of tomorrow", "for": "AWS"}}) == "waiting for AWS"
    assert task_words("deferred", {"waiting": {"state": "of tomorrow", "for": "aws"}}) == "waiting for capacity"
