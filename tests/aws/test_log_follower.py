"""The container logs of many waiting jobs, read together: what each of them gets, and how many calls that takes."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from typing import Any

import loops
import pytest

from airflow_nbjobs.aws.log_follower import LogFollower
from airflow_nbjobs.core.containerlog import LogEvent, LogPage, LogPlace
from airflow_nbjobs.core.errors import NotebookJobServiceError

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

        self.follower = LogFollower(open_logs, on_idle=on_idle, now=logs.now)
        self.lines: dict[str, list[str]] = defaultdict(list)

    def follow(self, name: str, place: LogPlace | None = None) -> Any:
        followed = self.follower.follow(name, place or LogPlace())

        async def read() -> None:
            while True:
                self.lines[name] += await followed.lines()

        followed.reading = asyncio.create_task(read())
        return followed

    def leave(self, followed: Any) -> None:
        followed.reading.cancel()
        self.follower.leave(followed)
        self.lines[followed.job_name] += followed.rest()


def test_each_job_gets_its_own_lines_and_each_line_once():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        for name in ("a", "ab", "b"):
            readers.follow(name)
            logs.write(f"{name}/algo-1-7", MARK, f"{name} begins")
        logs.write("somebody-elses/algo-1-7", MARK, "not ours")
        for number in range(20):
            await asyncio.sleep(7)
            logs.write("a/algo-1-7", f"a {number}")
        await asyncio.sleep(60)
        return dict(readers.lines)

    lines = loops.run(main())
    assert lines == {"a": ["a begins", *(f"a {n}" for n in range(20))], "ab": ["ab begins"], "b": ["b begins"]}


def test_what_cloudwatch_shows_late_is_not_lost():
    async def main():
        logs = Logs(late=45_000)
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK)
        for number in range(30):
            await asyncio.sleep(3)
            logs.write("a/algo-1-7", f"{number}")
        await asyncio.sleep(120)
        return readers.lines["a"]

    assert sorted(map(int, loops.run(main()))) == list(range(30))


def test_a_restart_by_the_platform_opens_another_stream():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK, "first")
        await asyncio.sleep(100)
        logs.write("a/algo-1-99", MARK, "second")
        await asyncio.sleep(100)
        return readers.lines["a"]

    assert loops.run(main()) == ["first", "second"]


def test_a_job_that_ran_before_this_process_looked_is_found_by_its_name():
    async def main():
        logs = Logs()
        day = 24 * 3_600_000
        logs.write("a/algo-1-7", MARK, "yesterday", at=logs.now() - day)
        readers = Readers(logs)
        readers.follow("a")
        await asyncio.sleep(90)
        logs.write("a/algo-1-7", "today")
        await asyncio.sleep(60)
        return readers.lines["a"], [call for call in logs.calls if call["prefix"]]

    lines, by_name = loops.run(main())
    assert lines == ["yesterday", "today"]
    assert len(by_name) == 1


def test_five_hundred_jobs_cost_twelve_calls_a_minute():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        for number in range(500):
            readers.follow(f"job-{number}")
            logs.write(f"job-{number}/algo-1-7", MARK, "begins")
        await asyncio.sleep(60)
        logs.calls.clear()
        for minute in range(10):
            for number in range(500):
                logs.write(f"job-{number}/algo-1-7", f"minute {minute}")
            await asyncio.sleep(60)
        return len(logs.calls) / 10, {len(lines) for lines in readers.lines.values()}

    calls_a_minute, lines = loops.run(main())
    assert calls_a_minute <= 12
    assert lines == {11}


def test_one_job_costs_no_more_either_and_is_read_every_ten_seconds():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK)
        await asyncio.sleep(30)
        logs.calls.clear()
        await asyncio.sleep(600)
        return len(logs.calls) / 10

    assert loops.run(main()) == pytest.approx(12, abs=1)


def test_long_logs_are_read_page_by_page_and_one_job_does_not_flood():
    async def main():
        logs = Logs(page_size=100)
        readers = Readers(logs)
        readers.follow("a")
        readers.follow("b")
        logs.write("a/algo-1-7", MARK)
        logs.write("b/algo-1-7", MARK)
        await asyncio.sleep(15)
        logs.write("a/algo-1-7", *(f"line {n}" for n in range(350)))
        logs.write("b/algo-1-7", "b is heard")
        await asyncio.sleep(60)
        return readers.lines["a"], readers.lines["b"]

    flooding, other = loops.run(main())
    assert len(flooding) == 201
    assert flooding[-1] == "… 150 more lines are in CloudWatch"
    assert other == ["b is heard"]


DENIED = NotebookJobServiceError("logs:FilterLogEvents is denied", code="AccessDeniedException")


def test_a_denial_is_said_once_in_each_log_and_nobody_asks_again_for_a_quarter_of_an_hour():
    async def main():
        logs = Logs()
        logs.errors = [DENIED]
        readers = Readers(logs)
        followed = [readers.follow("a"), readers.follow("b")]
        await asyncio.sleep(600)
        return readers.lines, len(logs.calls), [one.problem for one in followed]

    lines, calls, problems = loops.run(main())
    said = ["The container's log is not followed: logs:FilterLogEvents is denied"]
    assert lines == {"a": said, "b": said}
    assert calls == 1
    assert problems == said * 2


def test_a_denial_that_passes_loses_no_line():
    async def main():
        logs = Logs()
        logs.errors = [DENIED] * 2
        readers = Readers(logs)
        followed = readers.follow("a")
        logs.write("a/algo-1-7", MARK, "begins")
        await asyncio.sleep(1700)
        assert followed.problem is not None
        await asyncio.sleep(300)
        logs.write("a/algo-1-7", "goes on")
        await asyncio.sleep(60)
        return readers.lines["a"], followed.problem

    lines, problem = loops.run(main())
    assert lines == ["The container's log is not followed: logs:FilterLogEvents is denied", "begins", "goes on"]
    assert problem is None


def test_who_joins_while_the_access_is_denied_is_told_so():
    async def main():
        logs = Logs()
        logs.errors = [DENIED]
        readers = Readers(logs)
        readers.follow("a")
        await asyncio.sleep(60)
        readers.follow("b")
        await asyncio.sleep(60)
        before = list(readers.lines["b"])
        logs.write("b/algo-1-7", MARK, "begins")
        await asyncio.sleep(900)
        return before, readers.lines["b"]

    before, after = loops.run(main())
    assert before == ["The container's log is not followed: logs:FilterLogEvents is denied"]
    assert after == [*before, "begins"]


@pytest.mark.parametrize("code", ["ExpiredToken", "CredentialRetrievalError"])
def test_a_key_that_was_rotated_is_read_again_and_no_line_is_lost(code):
    async def main():
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
        return readers.lines["a"], len(opened)

    assert loops.run(main()) == (["begins", "goes on"], 2)


def test_a_crash_is_logged_and_the_next_cycle_reads_on(caplog):
    async def main():
        logs = Logs()
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK, "begins")
        logs.errors = [ZeroDivisionError("a bug"), OSError("Airflow does not answer")]
        await asyncio.sleep(700)
        return readers.lines["a"]

    assert loops.run(main()) == ["begins"]
    assert sum("could not be read" in record.message for record in caplog.records) == 2


def test_a_throttle_makes_it_slower_and_loses_nothing():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        readers.follow("a")
        logs.write("a/algo-1-7", MARK, "begins")
        throttled = NotebookJobServiceError("slow down", code="ThrottlingException", is_retryable=True)
        logs.errors = [throttled] * 3
        await asyncio.sleep(300)
        return readers.lines["a"], [call["at"] for call in logs.calls[:4]]

    lines, at = loops.run(main())
    assert lines == ["begins"]
    pauses = [round((later - earlier) / 1000) for earlier, later in itertools.pairwise(at)]
    assert pauses == [20, 40, 80]


def test_when_the_last_has_gone_nobody_asks_any_more():
    async def main():
        logs = Logs()
        readers = Readers(logs)
        first, second = readers.follow("a"), readers.follow("b")
        await asyncio.sleep(30)
        readers.leave(first)
        assert readers.idle == 0
        readers.leave(second)
        asked = len(logs.calls)
        await asyncio.sleep(300)
        return readers.idle, len(logs.calls) - asked

    assert loops.run(main()) == (1, 0)
