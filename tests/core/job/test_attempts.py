"""The adoption table: which job of an earlier try a task takes up again."""

import pytest

from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE, Step, decide
from airflow_nbjobs.core.job.status import parse_description


def job(status, *, owner="me"):
    return parse_description(
        {
            "TrainingJobName": "nightly-7f3a",
            "TrainingJobArn": "arn",
            "TrainingJobStatus": status,
            "Environment": {OWNER_VARIABLE: owner} if owner else {},
        }
    )


@pytest.mark.parametrize(
    ("status", "is_delivered", "step", "reason"),
    [
        ("InProgress", False, Step.ADOPT, "still running"),
        ("InProgress", True, Step.ADOPT, "still running"),
        ("Deleting", False, Step.ADOPT, "still running"),
        ("Completed", False, Step.ADOPT, "not handed over"),
        ("Completed", True, Step.NEXT, "already delivered"),
        ("Failed", False, Step.NEXT, "is Failed"),
        ("Stopping", False, Step.NEXT, "is Stopping"),
        ("Stopped", False, Step.NEXT, "is Stopped"),
    ],
)
def test_what_a_job_of_ours_means_for_a_later_try(status, is_delivered, step, reason):
    decision = decide(job(status), owner="me", is_delivered=is_delivered)
    assert decision.step is step
    assert reason in decision.reason
    assert "nightly-7f3a" in decision.reason


def test_a_free_name_is_created():
    assert decide(None, owner="me", is_delivered=False).step is Step.CREATE


@pytest.mark.parametrize("status", ["InProgress", "Completed", "Failed"])
@pytest.mark.parametrize("owner", ["somebody", None])
def test_a_job_that_carries_another_owner_or_none_is_never_adopted(status, owner):
    """The name alone proves nothing: another Airflow, or a person, may have used it."""
    decision = decide(job(status, owner=owner), owner="me", is_delivered=False)
    assert decision.step is Step.NEXT
    assert "not this task's" in decision.reason
