"""What pages said of jobs that nobody waited for then."""

import pytest

from airflow_nbjobs.core.job.status import parse_summary
from airflow_nbjobs.core.watch import recent
from airflow_nbjobs.core.watch.recent import RecentSummaries


def summary(name="job", status="InProgress"):
    return parse_summary({"TrainingJobName": name, "TrainingJobStatus": status})


@pytest.mark.parametrize(("age", "is_known"), [(0.0, True), (60.0, True), (60.1, False)])
def test_a_minute_is_recent(age, is_known):
    kept = RecentSummaries()
    kept.add(summary(), now=1000.0)
    assert kept.take("job", now=1000.0 + age) == (summary() if is_known else None)
    assert kept.take("job", now=1000.0) is None, "it was taken"


def test_what_no_page_showed_is_not_known():
    assert RecentSummaries().take("job", now=0.0) is None
    assert RecentSummaries().take("job", now=1000.0) is None


def test_the_newest_word_counts():
    kept = RecentSummaries()
    kept.add(summary(), now=1000.0)
    kept.add(summary(status="Completed"), now=1050.0)
    assert kept.take("job", now=1100.0) == summary(status="Completed")


def test_of_a_job_that_is_being_deleted_nothing_is_kept():
    """Whoever waits for its name in a moment waits for another job."""
    kept = RecentSummaries()
    kept.add(summary(), now=1000.0)
    kept.add(summary(status="Deleting"), now=1001.0)
    kept.add(summary("other", status="Deleting"), now=1001.0)
    assert kept.take("job", now=1002.0) is None
    assert kept.take("other", now=1002.0) is None


def test_a_large_account_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(recent, "_MOST_KEPT", 2)
    kept = RecentSummaries()
    for name in ("a", "b", "c"):
        kept.add(summary(name), now=1000.0)
    kept.add(summary("a", status="Completed"), now=1001.0)
    assert [kept.take(name, now=1001.0) for name in ("a", "b", "c")] == [
        summary("a", status="Completed"),
        summary("b"),
        None,
    ]


def test_what_is_forgotten_makes_room(monkeypatch):
    monkeypatch.setattr(recent, "_MOST_KEPT", 2)
    kept = RecentSummaries()
    kept.add(summary("old"), now=1000.0)
    kept.add(summary("new"), now=1001.0)
    kept.forget_old(now=1060.5)
    kept.add(summary("newest"), now=1060.5)
    assert [kept.take(name, now=1060.5) for name in ("old", "new", "newest")] == [
        None,
        summary("new"),
        summary("newest"),
    ]
