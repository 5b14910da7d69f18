"""The container logs of many waiting jobs, read together: what each of them gets, and how many calls that takes."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from typing import Any

import loops
import pytest

from airflow_nbjobs.aws.watch.shared_log_reader import NO_STREAM, SharedLogReader
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage, LogPlace

EPOCH = 1_795_000_000_000
MARK = "+ SM_EXECUTION_INPUT_PATH=/opt/ml/input"


class Logs:
    """CloudWatch with a clock of the loop's; ``late`` milliseconds pass before an event can be found."""

    def __init__(self, *, late: int = 0, page_size: int = 10_000) -> None:
        self.late = late
        self.page_size = page_size
        self.written: list[LogEvent] = []
        self.calls: list[dict[str, Any]] = []
        self.errors: list[Exception] = []

    def now(self) -> int:
        return EPOCH + int(asyncio.get_running_loop().time() * 1000)

    def write(self, stream: str, *messages: str, at: int | None = None) -> None:
        for message in messages:
            moment = self.now() if at is None else at
            self.written.append(LogEvent(f"e{len(self.written)}", stream, moment, message))

    def events(self, *, since, streams=(), prefix="", phrase="", next_token=None):
        self.calls.append({"at": self.now(), "streams": streams, "prefix": prefix, "phrase": phrase})
        assert len(streams) <= 100
        if self.errors:
            raise self.errors.pop(0)
        found = sorted(
            (
                event
                for event in self.written
                if since <= event.at <= self.now() - self.late
                and (not streams or event.stream in streams)
                and event.stream.startswith(prefix)
                and phrase in event.message
            ),
            key=lambda event: event.at,
        )
        begin = int(next_token or 0)
        end = begin + self.page_size
        return LogPage(tuple(found[begin:end]), str(end) if end < len(found) else None)


class Readers:
    """Tasks that follow jobs, as triggers do."""

    def __init__(self, logs: Logs) -> None:
        self.idle = 0

        async def open_logs() -> Any:
            return logs

        def on_idle() -> None:
            self.idle += 1

        self.follower = SharedLogReader(open_logs, on_idle=on_idle, now=logs.now)
        self.lines: dict[str, list[str]] = defaultdict(list)
        self.reading: dict[str, asyncio.Task[None]] = {}

    def follow(self, name: str, place: LogPlace | None = None, **given: Any) -> Any:
        followed = self.follower.follow(name, place or LogPlace(), **given)

        async def read() -> None:
            while True:
                self.lines[name] += await followed.lines()

        self.reading[followed.job_name] = asyncio.create_task(read())
        return followed

    def leave(self, followed: Any) -> None:
        self.reading[followed.job_name].cancel()
        self.follower.leave(followed)
        self.lines[followed.job_name] += followed.rest()


@pytest.fixture
def logs():
    return Logs()


@pytest.fixture
def readers(logs):
    return Readers(logs)


async def test_each_job_gets_its_own_lines_and_each_line_once(logs, readers):
    for name in ("a", "ab", "b"):
        readers.follow(name)
        logs.write(f"{name}/algo-1-7", MARK, f"{name} begins")
    logs.write("somebody-elses/algo-1-7", MARK, "not ours")
    for number in range(20):
        await asyncio.sleep(7)
        logs.write("a/algo-1-7", f"a {number}")
    await asyncio.sleep(60)
    lines = dict(readers.lines)
    assert lines == {"a": ["a begins", *(f"a {n}" for n in range(20))], "ab": ["ab begins"], "b": ["b begins"]}


async def test_what_cloudwatch_shows_late_is_not_lost():
    logs = Logs(late=45_000)
    readers = Readers(logs)
    readers.follow("a")
    logs.write("a/algo-1-7", MARK)
    for number in range(30):
        await asyncio.sleep(3)
        logs.write("a/algo-1-7", f"{number}")
    await asyncio.sleep(120)
    assert sorted(map(int, readers.lines["a"])) == list(range(30))


async def test_a_line_that_shows_up_behind_newer_ones_is_not_lost(logs, readers):
    """Each line comes through the service in a time of its own."""
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "first")
    await asyncio.sleep(30)
    logs.write("a/algo-1-7", "newest")
    await asyncio.sleep(30)
    logs.write("a/algo-1-7", "late", at=logs.now() - 40_000)
    await asyncio.sleep(60)
    assert readers.lines["a"] == ["first", "newest", "late"]


async def test_a_restart_by_the_platform_opens_another_stream(logs, readers):
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "first")
    await asyncio.sleep(100)
    logs.write("a/algo-1-99", MARK, "second")
    await asyncio.sleep(100)
    assert readers.lines["a"] == ["first", "second"]


async def test_a_job_that_ran_before_this_process_looked_is_found_by_its_name(logs, readers):
    day = 24 * 3_600_000
    logs.write("a/algo-1-7", MARK, "yesterday", at=logs.now() - day)
    readers.follow("a")
    await asyncio.sleep(90)
    logs.write("a/algo-1-7", "today")
    await asyncio.sleep(60)
    (lines, by_name) = readers.lines["a"], [call for call in logs.calls if call["prefix"]]
    assert lines == ["yesterday", "today"]
    assert len(by_name) == 1


async def test_five_hundred_jobs_cost_twelve_calls_a_minute(logs, readers):
    for number in range(500):
        readers.follow(f"job-{number}")
        logs.write(f"job-{number}/algo-1-7", MARK, "begins")
    await asyncio.sleep(60)
    logs.calls.clear()
    for minute in range(10):
        for number in range(500):
            logs.write(f"job-{number}/algo-1-7", f"minute {minute}")
        await asyncio.sleep(60)
    (calls_a_minute, lines) = len(logs.calls) / 10, {len(lines) for lines in readers.lines.values()}
    assert calls_a_minute <= 12
    assert lines == {11}


async def test_one_job_costs_no_more_either_and_is_read_every_ten_seconds(logs, readers):
    readers.follow("a")
    logs.write("a/algo-1-7", MARK)
    await asyncio.sleep(30)
    logs.calls.clear()
    await asyncio.sleep(600)
    assert (len(logs.calls) / 10) == pytest.approx(12, abs=1)


async def flooded(page_size, lines):
    """Two jobs whose logs are read, after one of them has written so many lines at once."""
    logs = Logs(page_size=page_size)
    readers = Readers(logs)
    readers.follow("a")
    readers.follow("b")
    logs.write("a/algo-1-7", MARK)
    logs.write("b/algo-1-7", MARK)
    await asyncio.sleep(15)
    logs.write("a/algo-1-7", *(f"line {n}" for n in range(lines)))
    logs.write("b/algo-1-7", "b is heard")
    return logs, readers


async def test_long_logs_are_read_page_by_page_and_one_job_does_not_flood():
    _, readers = await flooded(100, 350)
    await asyncio.sleep(60)
    assert len(readers.lines["a"]) == 201
    assert readers.lines["a"][-1] == "… 150 more lines are in CloudWatch"
    assert readers.lines["b"] == ["b is heard"]


DENIED = NotebookJobServiceError("logs:FilterLogEvents is denied", code="AccessDeniedException")


async def test_a_denial_is_said_once_in_each_log_and_asked_about_ever_more_seldom(logs, readers):
    logs.errors = [DENIED] * 100
    followed = [readers.follow("a"), readers.follow("b")]
    await asyncio.sleep(3600)
    (lines, at, problems) = readers.lines, [call["at"] for call in logs.calls], [one.problem for one in followed]
    said = ["The container's log is not followed: logs:FilterLogEvents is denied"]
    assert lines == {"a": said, "b": said}
    assert [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(at)][:6] == [
        60,
        120,
        240,
        480,
        900,
        900,
    ]
    assert problems == said * 2


async def test_a_denial_that_passes_loses_no_line(logs, readers):
    logs.errors = [DENIED] * 2
    followed = readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(170)
    assert followed.problem is not None
    await asyncio.sleep(30)
    logs.write("a/algo-1-7", "goes on")
    await asyncio.sleep(60)
    (lines, problem) = readers.lines["a"], followed.problem
    assert lines == ["The container's log is not followed: logs:FilterLogEvents is denied", "begins", "goes on"]
    assert problem is None


async def test_trouble_that_lasts_is_said_once_and_the_log_goes_on(logs, readers):
    trouble = NotebookJobServiceError("503 Service Unavailable", code="503", is_retryable=True)
    logs.errors = [trouble] * 5
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(900)
    said = "The container's log is not followed: 503 Service Unavailable"
    assert readers.lines["a"] == [said, "begins"]


def test_one_search_that_always_fails_ends_no_other():
    """What is searched for in the whole log group may take CloudWatch too long."""

    class Heavy(Logs):
        def events(self, **question):
            if question.get("phrase") and self.failing:
                self.calls.append({"at": self.now()})
                raise self.failing
            return super().events(**question)

    async def main(failing):
        logs = Heavy()
        logs.failing = None
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK, "begins")
        await asyncio.sleep(15)
        logs.failing = failing
        logs.write("a/algo-1-7", "goes on")
        await asyncio.sleep(100)
        return readers.lines["a"]

    passing = NotebookJobServiceError("no answer", code="ReadTimeoutError", is_retryable=True)
    for failing in (passing, ValueError("a bug")):
        assert loops.run(main(failing)) == ["begins", "goes on"], failing


@pytest.mark.parametrize("page_size", [pytest.param(10_000, marks=pytest.mark.slow), 3_000])
async def test_a_burst_of_fifty_thousand_lines_holds_nobody_up(page_size):
    """All of one moment: whoever begins again at the last minute reads the same pages for ever."""
    logs, readers = await flooded(page_size, 50_000)
    await asyncio.sleep(1000)
    logs.write("a/algo-1-7", "a goes on")
    await asyncio.sleep(60)
    flooding = readers.lines["a"]
    left_out = sum(int(line.split()[1]) for line in flooding if line.startswith("…"))
    shown = [line for line in flooding if line.startswith("line")]
    assert len(shown) + left_out == 50_000
    assert len(set(shown)) == len(shown)
    assert readers.lines["b"] == ["b is heard"]
    assert flooding[-1] == "a goes on"
    assert len(logs.calls) <= 12 * 18


async def test_empty_pages_are_no_end_of_any_search():
    """CloudWatch gives empty pages as long as it looks through what does not match."""

    class Sparse(Logs):
        def events(self, *, next_token=None, **question):
            step = int(next_token or 0)
            if step < 17:
                self.calls.append({"at": self.now()})
                return LogPage((), str(step + 1))
            return super().events(**question)

    logs = Sparse()
    readers = Readers(logs)
    logs.write("late/algo-1-7", MARK, "begins", at=logs.now() - 3_600_000_000)
    readers.follow("a")
    readers.follow("late")
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(1000)
    assert dict(readers.lines) == {"a": ["begins"], "late": ["begins"]}


async def test_a_token_that_is_refused_begins_the_search_anew_and_brings_no_line_twice():
    class Forgetful(Logs):
        refused = 0

        def events(self, **question):
            if question["next_token"] == "500" and self.refused < 2:
                self.refused += 1
                raise NotebookJobServiceError("The specified nextToken is invalid.", code="InvalidParameterException")
            return super().events(**question)

    logs = Forgetful(page_size=100)
    readers = Readers(logs)
    readers.follow("a")
    logs.write("a/algo-1-7", MARK)
    await asyncio.sleep(15)
    for number in range(900):
        logs.write("a/algo-1-7", f"{number}", at=logs.now() + number // 10)
    await asyncio.sleep(900)
    logs.write("a/algo-1-7", "goes on")
    await asyncio.sleep(60)
    (lines, refused) = readers.lines["a"], logs.refused
    numbers = [line for line in lines if line.isdigit()]
    assert refused == 2
    assert len(set(numbers)) == len(numbers) >= 400
    assert lines[-1] == "goes on"


async def test_a_stream_that_was_deleted_silences_no_other_job():
    class Deleting(Logs):
        def events(self, **question):
            if "b/algo-1-7" in question["streams"]:
                raise NotebookJobServiceError("The specified log stream does not exist.", code=NO_STREAM)
            return super().events(**question)

    logs = Deleting()
    readers = Readers(logs)
    readers.follow("a")
    readers.follow("b", LogPlace(floor=1, streams={"b/algo-1-7"}))
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(200)
    logs.write("a/algo-1-7", "goes on")
    await asyncio.sleep(60)
    assert readers.lines["a"] == ["begins", "goes on"]


async def test_after_a_restart_the_streams_are_known_and_no_line_comes_twice(logs):
    before = Readers(logs)
    followed = [before.follow(f"job-{number}") for number in range(300)]
    for one in followed:
        logs.write(f"{one.job_name}/algo-1-7", MARK, "begins")
    await asyncio.sleep(3600)
    places = {one.job_name: one.place.to_json() for one in followed}
    for one in followed:
        before.leave(one)
    logs.calls.clear()
    after = Readers(logs)
    for name, place in places.items():
        after.follow(name, LogPlace.from_json(place))
        logs.write(f"{name}/algo-1-7", "goes on")
    await asyncio.sleep(20)
    (lines, calls) = after.lines, logs.calls
    assert set(map(tuple, lines.values())) == {("goes on",)}
    assert len(lines) == 300
    assert not [call for call in calls if call["prefix"]]


async def test_streams_of_jobs_that_ran_for_hours_before_this_process_are_found_by_one_search(logs, readers):
    names = [f"job-{number}" for number in range(300)]
    for name in names:
        logs.write(f"{name}/algo-1-7", MARK, "begins", at=logs.now() - 5 * 3_600_000)
    for name in names:
        readers.follow(name, age_seconds=5 * 3600)
    await asyncio.sleep(20)
    (lines, calls) = readers.lines, len(logs.calls)
    assert lines == {f"job-{number}": ["begins"] for number in range(300)}
    assert calls <= 12


async def test_who_joins_while_the_access_is_denied_is_told_so(logs, readers):
    logs.errors = [DENIED]
    readers.follow("a")
    await asyncio.sleep(60)
    readers.follow("b")
    await asyncio.sleep(60)
    before = list(readers.lines["b"])
    logs.write("b/algo-1-7", MARK, "begins")
    await asyncio.sleep(900)
    after = readers.lines["b"]
    assert before == ["The container's log is not followed: logs:FilterLogEvents is denied"]
    assert after == [*before, "begins"]


@pytest.mark.parametrize("code", ["ExpiredToken", "CredentialRetrievalError"])
async def test_a_key_that_was_rotated_is_read_again_and_no_line_is_lost(code):
    logs, opened = Logs(), []
    readers = Readers(logs)
    open_logs = readers.follower._open_logs

    async def opening():
        opened.append(logs.now())
        return await open_logs()

    readers.follower._open_logs = opening
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(30)
    logs.errors = [NotebookJobServiceError("refused", code=code, is_retryable=True)]
    logs.write("a/algo-1-7", "goes on")
    await asyncio.sleep(100)
    assert (readers.lines["a"], len(opened)) == (["begins", "goes on"], 2)


async def test_a_crash_is_logged_and_the_next_cycle_reads_on(logs, readers, caplog):
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    logs.errors = [ZeroDivisionError("a bug"), OSError("Airflow does not answer")]
    await asyncio.sleep(700)
    assert readers.lines["a"] == ["begins"]
    assert sum("could not be read" in record.message for record in caplog.records) == 2


async def test_a_throttle_makes_it_slower_and_loses_nothing(logs, readers):
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    throttled = NotebookJobServiceError("slow down", code="ThrottlingException", is_retryable=True)
    logs.errors = [throttled] * 3
    await asyncio.sleep(300)
    (lines, at) = readers.lines["a"], [call["at"] for call in logs.calls[:4]]
    assert lines == ["begins"]
    pauses = [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(at)]
    assert pauses == [20, 40, 80]


async def test_when_the_last_has_gone_nobody_asks_any_more(logs, readers):
    first, second = readers.follow("a"), readers.follow("b")
    await asyncio.sleep(30)
    readers.leave(first)
    assert readers.idle == 0
    readers.leave(second)
    asked = len(logs.calls)
    await asyncio.sleep(300)
    assert (readers.idle, len(logs.calls) - asked) == (1, 0)


# -- how often what is asked ---------------------------------------------------------------------------------------------


def gaps(calls):
    return [round((later["at"] - earlier["at"]) / 1000) for earlier, later in itertools.pairwise(calls)]


TROUBLE = NotebookJobServiceError("503 Service Unavailable", code="503", is_retryable=True)


async def test_an_endpoint_in_trouble_is_asked_ever_more_seldom_up_to_every_five_minutes(logs, readers):
    logs.errors = [TROUBLE] * 20
    readers.follow("a")
    await asyncio.sleep(1600)
    cycles = [{"at": at} for at in dict.fromkeys(call["at"] // 1000 * 1000 for call in logs.calls)]
    assert gaps(cycles)[:6] == [20, 40, 80, 160, 300, 300]


@pytest.mark.parametrize(("failures", "is_told"), [(4, False), (5, True)])
async def test_trouble_is_told_once_it_has_lasted_for_two_minutes(logs, readers, failures, is_told):
    logs.errors = [TROUBLE] * failures  # after 1, 21, 61 (two searches) and 141 seconds
    readers.follow("a")
    logs.write("a/algo-1-7", MARK, "begins")
    await asyncio.sleep(900)
    assert ("The container's log is not followed: 503 Service Unavailable" in readers.lines["a"]) is is_told
    assert readers.lines["a"][-1] == "begins"


async def test_two_short_spells_of_trouble_are_not_added_up(logs, readers):
    readers.follow("a")
    for _ in range(2):
        logs.errors = [TROUBLE] * 2
        await asyncio.sleep(110)
    assert readers.lines["a"] == []


async def test_a_search_for_first_words_goes_on_where_it_was_in_the_next_cycle():
    """In a busy account they are pages away, and would never be reached by who begins anew each time."""
    logs = Logs(page_size=1)
    readers = Readers(logs)
    for number in range(11):
        logs.write(f"foreign-{number}/algo-1-7", MARK)
    logs.write("mine/algo-1-7", MARK, "begins")
    readers.follow("mine")
    await asyncio.sleep(58)
    assert readers.lines["mine"] == ["begins"]


async def test_jobs_that_write_nothing_are_asked_for_by_name_two_in_a_cycle_and_seldom(logs, readers):
    for number in range(5):
        readers.follow(f"silent-{number}")
    await asyncio.sleep(55)
    assert [call for call in logs.calls if call["prefix"]] == []
    await asyncio.sleep(200)
    named = [call for call in logs.calls if call["prefix"]]
    assert sorted(call["prefix"] for call in named) == [f"silent-{number}/" for number in range(5)]
    by_cycle = [len(list(group)) for _, group in itertools.groupby(named, key=lambda call: call["at"] // 5000)]
    assert max(by_cycle) == 2
    await asyncio.sleep(300)
    assert 5 < len([call for call in logs.calls if call["prefix"]]) <= 10


async def test_a_job_that_has_been_waited_for_is_asked_for_by_name_at_once(logs, readers):
    logs.write("old/algo-1-7", MARK, "begins", at=logs.now() - 3_000_000)
    readers.follow("old", age_seconds=60.0)
    readers.follow("new", age_seconds=59.0 - 2)
    await asyncio.sleep(1.5)
    assert [call["prefix"] for call in logs.calls if call["prefix"]] == ["old/"]
    assert readers.lines["old"] == ["begins"]


async def test_the_first_search_goes_back_for_as_long_as_the_oldest_job_was_waited_for(logs, readers):
    logs.write("old/algo-1-7", MARK, "begins", at=logs.now() - 1_000_000)
    readers.follow("new")
    readers.follow("old", age_seconds=200.0)
    logs.write("new/algo-1-7", MARK, "begins", at=logs.now() - 899_000)
    await asyncio.sleep(5)
    assert dict(readers.lines) == {"old": ["begins"], "new": ["begins"]}
    assert [call["prefix"] for call in logs.calls if call["prefix"]] == [], "found by their first words"


async def test_streams_that_are_handed_over_are_read_without_a_search_and_others_are_none_of_the_job(logs, readers):
    logs.write("a/algo-1-7", "of a", at=logs.now() - 5_000_000)
    logs.write("ab/algo-1-7", "of ab", at=logs.now() - 5_000_000)
    followed = readers.follow("a", LogPlace(streams={"a/algo-1-7", "ab/algo-1-7"}), age_seconds=9000.0)
    assert followed.place.streams == {"a/algo-1-7"}
    await asyncio.sleep(5)
    assert readers.lines["a"] == ["of a"]


@pytest.mark.parametrize(("jobs", "searches"), [(100, [100]), (101, [1, 100]), (250, [50, 100, 100])])
async def test_a_hundred_streams_are_read_with_one_call(logs, readers, jobs, searches):
    for number in range(jobs):
        readers.follow(f"j{number}", LogPlace(streams={f"j{number}/a"}))
    await asyncio.sleep(5)
    assert sorted(len(call["streams"]) for call in logs.calls if call["streams"]) == searches


async def test_the_streams_of_one_job_are_read_together(logs, readers):
    for number in range(60):
        readers.follow(f"j{number}", LogPlace(streams={f"j{number}/a", f"j{number}/b", f"j{number}/c"}))
    await asyncio.sleep(5)
    calls = [set(call["streams"]) for call in logs.calls if call["streams"]]
    assert [len(call) for call in calls] == [99, 81]
    assert all({f"{stream[:-1]}{part}" for part in "abc"} <= call for call in calls for stream in call)


async def test_a_reader_without_jobs_is_idle_and_tells_so_once(readers):
    assert readers.follower.is_idle
    first, second = readers.follow("a"), readers.follow("b")
    readers.leave(first)
    assert (readers.follower.is_idle, readers.idle) == (False, 0)
    readers.leave(second)
    assert (readers.follower.is_idle, readers.idle) == (True, 1)
