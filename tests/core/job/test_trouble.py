"""Trouble about a job that exists is waited through, and never final."""

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.trouble import NOT_FOUND, is_over, of_kept_job

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
