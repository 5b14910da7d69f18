"""The adoption table: which job of an earlier try a task takes up again."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from airflow_nbjobs.core.job.adoption import OWNER_VARIABLE, Step, decide, is_of_earlier_generation, may_be_of_request
from airflow_nbjobs.core.job.naming import RunKey
from airflow_nbjobs.core.job.status import parse_description


def job(status, *, owner="me", secondary=""):
    return parse_description(
        {
            "TrainingJobName": "nightly-7f3a",
            "TrainingJobArn": "arn",
            "TrainingJobStatus": status,
            "SecondaryStatus": secondary,
            "Environment": {OWNER_VARIABLE: owner} if owner else {},
        }
    )


@pytest.mark.parametrize(
    ("status", "is_delivered", "step", "reason"),
    [
        ("InProgress", False, Step.ADOPT, "still running"),
        ("InProgress", True, Step.ADOPT, "still running"),
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


@pytest.mark.parametrize(
    ("secondary", "is_delivered", "step", "reason"),
    [
        ("Completed", False, Step.ADOPT, "has completed and is being deleted, its results were not handed over"),
        ("Completed", True, Step.NEXT, "already delivered its results and is being deleted"),
        ("Failed", False, Step.NEXT, "is being deleted"),
        ("Stopped", False, Step.NEXT, "is being deleted"),
        ("", False, Step.NEXT, "is being deleted"),
    ],
)
def test_a_job_that_is_being_deleted_has_its_results_left_at_most(secondary, is_delivered, step, reason):
    """What it left lies in S3, which a deletion does not touch; the name may be taken for a while yet."""
    decision = decide(job("Deleting", secondary=secondary), owner="me", is_delivered=is_delivered)
    assert decision.step is step
    assert reason in decision.reason


@pytest.mark.parametrize("status", ["InProgress", "Failed", "Stopping", "Stopped", "Completed"])
def test_a_job_of_this_very_try_is_the_one_that_it_has_asked_for_however_it_ended(status):
    """Another one would be a retry that nobody has asked for, and a second bill."""
    decision = decide(job(status), owner="me", is_delivered=True, is_of_this_try=True)
    assert decision.step is Step.ADOPT
    assert decision.reason == f"training job 'nightly-7f3a' is what this try has asked for, and is {status}"
    assert decide(job(status), owner="other", is_delivered=True, is_of_this_try=True).step is Step.NEXT
    assert decide(job("Deleting"), owner="me", is_delivered=True, is_of_this_try=True).step is Step.NEXT


def test_a_job_is_of_a_request_unless_it_is_older_than_clocks_may_differ():
    asked = datetime(2026, 11, 30, 12, tzinfo=UTC)
    ages = {None: True, timedelta(0): True, timedelta(minutes=14): True, timedelta(minutes=15): False}
    for age, expected in ages.items():
        made = replace(job("Failed"), created=None if age is None else asked - age)
        assert may_be_of_request(made, asked=asked) is expected


def test_a_free_name_is_created():
    assert decide(None, owner="me", is_delivered=False).step is Step.CREATE


@pytest.mark.parametrize("status", ["InProgress", "Completed", "Failed"])
@pytest.mark.parametrize("owner", ["somebody", None])
def test_a_job_that_carries_another_owner_or_none_is_never_adopted(status, owner):
    """The name alone proves nothing: another Airflow, or a person, may have used it."""
    decision = decide(job(status, owner=owner), owner="me", is_delivered=False)
    assert decision.step is Step.NEXT
    assert "not this task's" in decision.reason


KEY = RunKey(
    deployment="",
    dag_id="d",
    run_id="r",
    run_started_microseconds=5,
    task_id="t",
    map_index=-1,
    generation=2,
    attempt=1,
)


@pytest.mark.parametrize(
    ("changes", "is_earlier"),
    [
        ({"generation": 1}, True),
        ({"generation": 1, "attempt": 7}, True),
        ({"generation": 0, "run_started_microseconds": 4}, True),
        ({"run_started_microseconds": 4}, True),
        ({}, False),
        ({"attempt": 0}, False),
        ({"generation": 3}, True),
        ({"run_started_microseconds": 6}, False),
        ({"run_started_microseconds": 6, "generation": 1}, False),
        ({"generation": 1, "task_id": "u"}, False),
        ({"generation": 1, "map_index": 0}, False),
        ({"generation": 1, "run_id": "q"}, False),
        ({"generation": 1, "region_id": "loop", "region_index": 1}, False),
    ],
    ids=str,
)
def test_a_job_of_before_a_clear_is_known_by_its_owner(changes, is_earlier):
    """By when its run started; the generation is another, but need not have grown."""
    assert is_of_earlier_generation(replace(KEY, **changes).identity(), own=KEY.identity()) is is_earlier


@pytest.mark.parametrize("owner", ["", "x", "[", "5", "[]", "{}", "[1, 2, 3]", replace(KEY, run_id="r" * 600).owner()])
def test_an_owner_that_tells_too_little_is_of_nobody(owner):
    assert is_of_earlier_generation(owner, own=KEY.identity()) is False
    assert is_of_earlier_generation(KEY.identity(), own=owner) is False


@pytest.mark.parametrize("is_delivered", [False, True])
def test_a_job_of_this_try_that_is_being_deleted_is_looked_at_as_one_of_an_earlier(is_delivered):
    found = job("Deleting", secondary="Completed")
    asked, earlier = (
        decide(found, owner="me", is_delivered=is_delivered, is_of_this_try=of_this_try)
        for of_this_try in (True, False)
    )
    assert asked == earlier
    assert asked.step is (Step.NEXT if is_delivered else Step.ADOPT)


def test_reasons_are_whole_sentences_for_the_task_log():
    begins = "training job 'nightly-7f3a'"
    assert decide(None, owner="me", is_delivered=False).reason == ""
    assert (
        decide(job("Failed", owner="x"), owner="me", is_delivered=False).reason
        == f"{begins} exists but is not this task's"
    )
    assert (
        decide(job("InProgress"), owner="me", is_delivered=False).reason
        == f"{begins} of an earlier try is still running"
    )
    assert decide(job("Completed"), owner="me", is_delivered=False).reason == (
        f"{begins} of an earlier try has completed, its results were not handed over"
    )
    assert decide(job("Completed"), owner="me", is_delivered=True).reason == (
        f"{begins} of an earlier try already delivered its results"
    )
    assert decide(job("Deleting", secondary="Failed"), owner="me", is_delivered=False).reason == (
        f"{begins} of an earlier try is being deleted"
    )
