"""When a poller may make its next call; on a loop whose clock jumps."""

import asyncio

import pytest

from airflow_nbjobs.aws.watch.call_budget import CallBudget, PacedCalls
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.pace import Pace
from airflow_nbjobs.core.watch.plan import DescribeJob, ListJobs

DESCRIBE, LIST = DescribeJob("a"), ListJobs()


def now():
    return asyncio.get_running_loop().time()


async def times_of(calls, *kinds):
    began, times = now(), []
    for kind in kinds:
        await calls.wait_for(kind)
        times.append(now() - began)
    return times


def test_calls_of_a_budget_come_one_after_the_other():
    budget = CallBudget()
    assert [budget.reserve(10.0, 2.0), budget.reserve(10.0, 2.0), budget.reserve(20.0, 2.0)] == [10.0, 12.0, 20.0]


async def test_a_list_takes_a_second_and_five_descriptions_take_one():
    assert await times_of(PacedCalls(CallBudget(), Pace()), LIST, LIST, DESCRIBE, DESCRIBE, LIST) == pytest.approx(
        [0, 1, 2, 2.2, 2.4]
    )


async def test_a_smaller_budget_takes_longer():
    assert await times_of(PacedCalls(CallBudget(), Pace(list_calls_per_second=0.5)), LIST, LIST, LIST) == pytest.approx(
        [0, 2, 4]
    )


async def test_two_pollers_share_the_budget_of_their_process():
    budget = CallBudget()
    one, other = PacedCalls(budget, Pace()), PacedCalls(budget, Pace())
    began, times = now(), []
    for calls in (one, other, one, other):
        await calls.wait_for(LIST)
        times.append(now() - began)
    assert times == pytest.approx([0, 1, 2, 3])


async def test_a_refusal_for_the_rate_holds_back_at_once_and_successes_win_it_back():
    calls = PacedCalls(CallBudget(), Pace())
    await calls.wait_for(LIST)
    calls.note_throttling(LIST)
    calls.note_throttling(LIST)
    times = await times_of(calls, LIST, LIST)
    assert times == pytest.approx([4, 8])
    for _ in range(40):
        calls.note_success()
    await calls.wait_for(LIST)
    assert await times_of(calls, LIST, LIST) == pytest.approx([1, 2])


async def test_a_refused_description_holds_back_for_a_fifth_of_that():
    calls = PacedCalls(CallBudget(), Pace())
    await calls.wait_for(DESCRIBE)
    calls.note_throttling(DESCRIBE)
    assert await times_of(calls, DESCRIBE) == pytest.approx([0.4])


AWAY = NotebookJobServiceError("no answer", code="EndpointConnectionError", is_retryable=True)


async def test_an_endpoint_that_is_away_is_left_alone_ever_longer_and_told_of_every_ten_minutes(caplog):
    calls = PacedCalls(CallBudget(), Pace())
    pauses = []
    began = now()
    while now() - began < 1500:
        pauses.append(calls.note_failure(AWAY))
        await asyncio.sleep(pauses[-1])
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 32]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["SageMaker cannot be asked for notebook jobs; going on trying: no answer"] * 3


async def test_one_lost_connection_is_nothing_to_tell_and_a_success_begins_anew(caplog):
    calls = PacedCalls(CallBudget(), Pace())
    for _ in range(5):
        assert calls.note_failure(AWAY) == 1
        calls.note_success()
    assert caplog.records == []
    calls.note_failure(ValueError("x"))
    calls.note_failure(ValueError("x"))
    assert caplog.records[0].getMessage().endswith("going on trying: ValueError('x')")
