"""Trouble about a job that exists is waited through, and never final."""

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.core.job.trouble import (
    NOT_FOUND,
    READ_PAUSES_SECONDS,
    is_over,
    known,
    of_kept_job,
    of_possible_job,
)

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DENIED = NotebookJobServiceError("denied", code="AccessDenied", details={"next": "grant it"})
UNKNOWN = NotebookJobServiceError("unknown", code=NOT_FOUND, is_retryable=True)
THROTTLED = NotebookJobServiceError("throttled", code="Throttling", is_retryable=True)


@pytest.mark.parametrize(
    ("error", "seconds", "over"),
    [
        (DENIED, 599, False),
        (DENIED, 600, True),
        (UNKNOWN, 59, False),
        (UNKNOWN, 60, True),
        (THROTTLED, 100_000, False),
    ],
    ids=str,
)
def test_how_long_it_is_waited_through_depends_on_what_it_is(error, seconds, over):
    assert is_over(error, NOW - timedelta(seconds=seconds), NOW) is over


@pytest.mark.parametrize("error", [DENIED, UNKNOWN, THROTTLED], ids=str)
def test_it_follows_retries_keeps_what_it_says_and_pickles(error):
    kept = pickle.loads(pickle.dumps(of_kept_job(error, "job-1")))  # noqa: S301 - our own
    assert (kept.headline, kept.code, kept.is_retryable, kept.job_name) == (error.headline, error.code, True, "job-1")
    assert kept.details.items() >= error.details.items()
    assert "a retry" in kept.details["job"]


def test_a_denial_that_says_that_it_may_pass_does():
    error = NotebookJobServiceError("denied", code="AccessDenied", is_retryable=True)
    assert is_over(error, NOW - timedelta(days=1), NOW) is False


def test_what_becomes_of_the_job_depends_on_whether_it_is_there():
    kept = of_kept_job(DENIED, "job-1").details["job"]
    assert kept.startswith("is kept: a retry of this task adopts it")
    assert "a clear runs the notebook again and is billed again" in kept
    assert "SageMakerNotebookJobSensor(job_name='job-1')" in kept
    gone = of_kept_job(UNKNOWN, "job-1").details["job"]
    assert gone == "a retry runs the notebook again if the job is gone, and adopts it if it is there"


def test_a_job_that_may_have_been_made_is_asked_for_by_a_retry():
    error = of_possible_job(DENIED, "job-1")
    assert (error.headline, error.code, error.is_retryable, error.job_name) == ("denied", "AccessDenied", True, "job-1")
    assert error.details == {
        "next": "grant it",
        "job": "whether 'job-1' exists is not known; a retry asks again before it starts another",
    }


def test_a_job_that_sagemaker_does_not_know_is_an_error_that_says_why():
    snapshot = parse_description({"TrainingJobName": "j", "TrainingJobArn": "arn", "TrainingJobStatus": "InProgress"})
    assert known(snapshot, "j") is snapshot
    with pytest.raises(NotebookJobServiceError, match="SageMaker does not know training job 'job-1'") as raised:
        known(None, "job-1")
    assert (raised.value.code, raised.value.is_retryable, raised.value.job_name) == (NOT_FOUND, True, "job-1")
    assert "it has been deleted, or was created a moment ago" in raised.value.details["why"]


def test_results_are_read_again_for_some_ten_minutes_with_pauses_of_a_minute_at_most():
    assert 500 < sum(READ_PAUSES_SECONDS) < 700
    assert list(READ_PAUSES_SECONDS) == sorted(READ_PAUSES_SECONDS)
    assert READ_PAUSES_SECONDS[-1] == 60
