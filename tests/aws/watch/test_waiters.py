"""Who waits for which job, and what is known of each; on a loop whose clock jumps."""

import asyncio
from datetime import UTC, datetime

import pytest

from airflow_nbjobs.aws.watch.waiters import Waiters
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.status import JobState, JobSummary

CREATED = datetime(2026, 11, 22, tzinfo=UTC)
DENIED = NotebookJobServiceError("denied", code="AccessDenied")


def said(name="a", state=JobState.RUNNING, status="InProgress", created=CREATED):
    return JobSummary(job_name=name, state=state, status=status, created=created)


def ended(name="a"):
    return said(name, JobState.SUCCEEDED, "Completed")


async def test_every_waiter_of_a_job_gets_its_end_and_nobody_waits_any_more():
    waiters = Waiters()
    futures = [waiters.join("a", None, 30) for _ in range(2)]
    waiters.join("b", None, 30)
    waiters.take(ended())
    assert [await future for future in futures] == [ended()] * 2
    assert (len(waiters), list(waiters), "a" in waiters, "b" in waiters) == (1, ["b"], False, True)


async def test_a_job_that_has_come_is_new_until_the_service_has_said_something_of_it():
    waiters = Waiters()
    waiters.join("a", None, 30)
    assert (list(waiters.new), waiters.created, waiters.joined.is_set()) == (["a"], {}, True)
    waiters.take(said())
    assert (waiters.new, waiters.created) == ({}, {"a": CREATED})


async def test_a_second_waiter_does_not_make_its_job_new_again():
    waiters = Waiters()
    waiters.join("a", None, 30)
    waiters.take(said())
    waiters.joined.clear()
    waiters.join("a", None, 30)
    assert (waiters.new, waiters.joined.is_set()) == ({}, False)


@pytest.mark.parametrize("created", [CREATED, None])
async def test_a_job_that_a_page_has_shown_just_now_needs_no_call_if_its_place_is_known(created):
    waiters = Waiters()
    waiters.join("a", said(created=created), 30)
    assert bool(waiters.new) is (created is None)
    assert waiters.joined.is_set() is (created is None)
    assert waiters.created == ({"a": CREATED} if created else {})


async def test_what_was_said_of_a_job_that_nobody_waited_for_is_told_once_within_a_minute():
    waiters = Waiters()
    waiters.take(said())
    waiters.take(said("b"))
    assert waiters.recent("a") == said()
    assert waiters.recent("a") is None
    await asyncio.sleep(61)
    waiters.forget_old()
    assert waiters.recent("b") is None


async def test_the_shortest_delay_of_all_counts_until_its_job_has_ended():
    waiters = Waiters()
    first, _ = waiters.join("a", None, 30), waiters.join("b", None, 20)
    waiters.join("a", None, 10)
    waiters.join("a", None, 40)
    assert waiters.shortest_delay_seconds == 10
    waiters.take(ended())
    assert waiters.shortest_delay_seconds == 20
    await first


async def test_the_last_to_leave_takes_along_all_that_is_known():
    waiters = Waiters()
    first, second = waiters.join("a", None, 30), waiters.join("a", None, 30)
    waiters.leave("a", first)
    assert "a" in waiters
    waiters.take(said())
    waiters.leave("a", second)
    waiters.leave("a", second)
    waiters.leave("unknown", second)
    assert (len(waiters), waiters.new, waiters.created) == (0, {}, {})


async def test_an_error_reaches_every_waiter_that_still_waits():
    waiters = Waiters()
    gone, waiting = waiters.join("a", None, 30), waiters.join("a", None, 30)
    gone.cancel()
    waiters.settle("a", DENIED)
    with pytest.raises(NotebookJobServiceError):
        await waiting
    assert gone.cancelled()
    waiters.settle("nobody", DENIED)


async def test_an_answer_is_believed_once_it_has_lasted_and_until_then_its_job_is_polled_alone():
    waiters = Waiters()
    future = waiters.join("a", None, 30)
    waiters.take(said())
    waiters.settle_if_lasting("a", DENIED, 60)
    assert (future.done(), waiters.created) == (False, {})
    waiters.renew_unplaced()
    assert list(waiters.new) == ["a"]
    await asyncio.sleep(59)
    waiters.settle_if_lasting("a", DENIED, 60)
    assert not future.done()
    await asyncio.sleep(1)
    waiters.settle_if_lasting("a", DENIED, 60)
    assert future.exception() is DENIED


async def test_a_word_of_the_service_in_between_begins_the_doubt_anew():
    waiters = Waiters()
    future = waiters.join("a", None, 30)
    waiters.settle_if_lasting("a", DENIED, 60)
    await asyncio.sleep(59)
    waiters.take(said())
    await asyncio.sleep(59)
    waiters.settle_if_lasting("a", DENIED, 60)
    assert not future.done()


@pytest.mark.parametrize(
    ("was_seen", "text"),
    [(False, "'a' (asked for 60 s)"), (True, "'a' any more: it has been deleted")],
    ids=["never", "before"],
)
async def test_a_job_that_nobody_knows_for_a_minute_is_told_with_what_it_looks_like(was_seen, text):
    waiters = Waiters()
    future = waiters.join("a", None, 30)
    if was_seen:
        waiters.take(said())
    waiters.settle_if_unknown("a")
    await asyncio.sleep(60)
    waiters.settle_if_unknown("a")
    error = future.exception()
    assert str(error).startswith(f"SageMaker knows no training job {text}")
    assert (error.code, error.is_retryable, error.job_name) == ("ResourceNotFound", True, "a")
    assert "a retry looks for it again" in error.details["next"]


async def test_who_waits_for_a_job_anew_knows_nothing_of_the_wait_before():
    waiters = Waiters()
    first = waiters.join("a", None, 30)
    waiters.take(said())
    waiters.settle_if_unknown("a")
    waiters.leave("a", first)
    await asyncio.sleep(60)
    second = waiters.join("a", None, 50)
    waiters.settle_if_unknown("a")
    assert not second.done()
    assert waiters.shortest_delay_seconds == 50
    await asyncio.sleep(60)
    waiters.settle_if_unknown("a")
    assert "(asked for 60 s)" in str(second.exception())


async def test_jobs_without_a_place_are_polled_as_new_in_the_order_of_their_names_and_others_are_not():
    waiters = Waiters()
    for name in ("c", "a", "b"):
        waiters.join(name, None, 30)
        waiters.take(said(name, created=CREATED if name == "b" else None))
    assert waiters.new == {}
    waiters.renew_unplaced()
    assert list(waiters.new) == ["a", "c"]
