"""What a follower of logs knows of one job, and whose lines a page of a search holds."""

import asyncio

import pytest

from airflow_nbjobs.aws.watch.log_search import FollowedLog, Search
from airflow_nbjobs.core.watch.log_place import LATE_MILLISECONDS, LogEvent, LogPage, LogPlace

START = 1_000_000_000


def event(number, *, stream="job/a", at=None):
    return LogEvent(f"{stream}-{number}", stream, START + number if at is None else at, f"line {number}")


def followed(name="job", *streams):
    return FollowedLog(name, LogPlace(streams=set(streams)), since=0.0)


async def test_lines_come_as_they_are_read_and_the_rest_at_the_end():
    one = followed()
    one.add([event(1), event(2)])
    one.add([event(2), event(3)])
    assert await one.lines() == ["line 1", "line 2"]
    one.add([event(4)])
    assert one.rest() == ["line 3", "line 4"]
    assert one.rest() == []


@pytest.mark.parametrize(
    ("count", "more"),
    [(199, None), (200, None), (201, "… 1 more lines are in CloudWatch"), (450, "… 250 more lines are in CloudWatch")],
)
async def test_of_one_job_two_hundred_lines_a_cycle_are_shown_and_the_rest_counted(count, more):
    one = followed()
    for start in range(0, count, 90):
        one.add([event(number) for number in range(start, min(start + 90, count))])
    one.end_cycle()
    lines = one.rest()
    assert lines[:200] == [f"line {number}" for number in range(min(count, 200))]
    assert lines[200:] == ([more] if more else [])
    one.add([event(1000)])
    one.end_cycle()
    assert one.rest() == ["line 1000"], "the next cycle has room for its own"


async def test_why_no_more_lines_come_is_said_once_until_they_do():
    one = followed()
    one.pause("denied")
    one.pause("denied still")
    assert (one.rest(), one.problem) == (["denied"], "denied")
    one.problem = None
    one.pause("denied again")
    assert one.rest() == ["denied again"]


async def test_what_has_been_the_newest_for_a_minute_is_not_read_again():
    """A burst of one moment would come with each search."""
    one = followed()
    one.add([event(1), event(2)])
    one.settle(100.0)
    one.settle(159.9)
    assert one.place.floor == 0
    one.settle(160.0)
    assert (one.place.floor, one.place.seen) == (START + 3, {})


async def test_a_newer_line_begins_the_minute_anew_and_without_any_there_is_none():
    one = followed()
    one.settle(0.0)
    one.settle(1000.0)
    assert one.place.floor == 0
    one.add([event(1)])
    one.settle(1000.0)
    one.add([event(2)])
    one.settle(1050.0)
    one.settle(1100.0)
    assert one.place.floor == 0
    one.settle(1110.0)
    assert one.place.floor == START + 3


async def test_each_reader_gets_its_own_streams_lines():
    one, other = followed("one", "one/a", "one/b"), followed("other", "other/a")
    twice = followed("one", "one/a")
    search = Search(0, [one, other, twice], streams=("one/a", "one/b", "other/a"))
    events = [event(1, stream="one/a"), event(2, stream="other/a"), event(3, stream="one/b"), event(4, stream="x/a")]
    search.hand_out(events)
    assert [each.rest() for each in (one, other, twice)] == [["line 1", "line 3"], ["line 2"], ["line 1"]]


async def test_a_search_by_name_brings_its_reader_streams_that_nobody_knew():
    one = followed("job")
    Search(0, [one], prefix="job/").hand_out([event(1, stream="job/a"), event(2, stream="job/b")])
    assert one.rest() == ["line 1", "line 2"]
    assert one.place.streams == {"job/a", "job/b"}


async def test_what_is_a_minute_older_than_a_page_has_been_read():
    one, other = followed("one", "one/a"), followed("other", "other/a")
    search = Search(0, [one, other], streams=("one/a", "other/a"))
    search.hand_out([event(1, stream="one/a", at=START), event(2, stream="one/a", at=START + LATE_MILLISECONDS)])
    assert (one.place.floor, other.place.floor) == (START, START)
    search.hand_out([])
    assert one.place.floor == START


class Pages:
    def __init__(self, *pages):
        self.pages, self.asked = list(pages), []

    def events(self, **request):
        self.asked.append(request)
        return self.pages.pop(0)


async def test_a_search_goes_on_where_its_last_page_ended():
    logs = Pages(LogPage((event(1),), "t"), LogPage(()))
    search = Search(7, streams=("job/a",), prefix="p", phrase="x")
    asked = {"streams": ("job/a",), "prefix": "p", "phrase": "x", "since": 7}
    assert search.page(logs) == (event(1),)
    assert search.token == "t"
    assert search.page(logs) == ()
    assert search.token is None
    assert logs.asked == [asked | {"next_token": None}, asked | {"next_token": "t"}]


async def test_a_reader_that_waits_is_woken_by_the_first_line():
    one = followed()
    waiting = asyncio.create_task(one.lines())
    await asyncio.sleep(5)
    assert not waiting.done()
    one.add([event(1)])
    assert await waiting == ["line 1"]
