"""A job's log in its task's while the task is deferred, and how far the notebook has come in Airflow's database."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import loops
import pytest

from airflow_nbjobs.aws.watch.log_search import FollowedLog
from airflow_nbjobs.aws.watch.shared_log_reader import SharedLogReader
from airflow_nbjobs.core.watch.log_place import LogEvent, LogPage, LogPlace
from airflow_nbjobs.triggers import task_log as module
from airflow_nbjobs.triggers.task_log import write_log

BEGUN = 1_000_000  # milliseconds, when the loop's clock begins
MARK = "+ SM_EXECUTION_INPUT_PATH=/opt/ml/input"


class Logs:
    """CloudWatch: each job's stream has its first words, then what ``run`` writes."""

    def __init__(self, jobs: list[str]) -> None:
        self.written = [LogEvent(f"mark-{job}", f"{job}/algo-1", BEGUN, MARK) for job in jobs]

    def run(self, job: str, *cells: int, of: int = 9) -> None:
        self.written += [
            LogEvent(f"{job}-{cell}", f"{job}/algo-1", BEGUN + cell, f"Executing:  5%|#  | {cell}/{of} [00:00<00:01]")
            for cell in cells
        ]

    def events(self, *, since, streams=(), prefix="", phrase="", next_token=None):
        return LogPage(
            tuple(
                event
                for event in self.written
                if event.at >= since and phrase in event.message and (not streams or event.stream in streams)
            )
        )


class Lines:
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, message, *arguments):
        self.said.append(message % arguments)

    warning = info


def follow(jobs, script, *, report="record", minutes=5.0):
    """Follow jobs' logs as their triggers do, let ``script`` write, and return what was reported, as (second, job, done, total), and said."""
    reported, lines = [], Lines()

    async def main():
        logs = Logs(jobs)

        async def open_logs():
            return logs

        follower = SharedLogReader(open_logs, now=lambda: int(asyncio.get_running_loop().time() * 1000))

        def recorder(job):
            async def record(place: LogPlace) -> None:
                if report == "refuse":
                    raise RuntimeError("the database is full")
                reported.append((asyncio.get_running_loop().time(), job, place.cell, place.cells))

            return record

        async with contextlib.AsyncExitStack() as streams:
            for job in jobs:
                told = None if report is None else recorder(job)
                await streams.enter_async_context(write_log(follower, job, LogPlace(), lines, told))
            await script(logs)
            await asyncio.sleep(minutes * 60)

    loops.run(main())
    return reported, lines.said


async def three_cells(logs):
    logs.run("a", 1, 2)
    await asyncio.sleep(60)
    logs.run("a", 3)


def test_the_newest_cell_of_each_look_is_reported():
    reported, said = follow(["a"], three_cells)
    assert [entry[1:] for entry in reported] == [("a", 2, 9), ("a", 3, 9)]
    assert said == ["cell 1 of 9 has ended", "cell 2 of 9 has ended", "cell 3 of 9 has ended"]


def test_lines_that_end_no_cell_are_reported_so_that_the_next_triggerer_goes_on_behind_them():
    async def prints(logs):
        for number in range(20):
            logs.written.append(LogEvent(f"p{number}", "a/algo-1", BEGUN + number, f"line {number}"))
            await asyncio.sleep(20)

    reported, said = follow(["a"], prints)
    assert len(said) == len(reported) == 20


def test_many_jobs_report_one_after_the_other():
    """The triggerer answers all its triggers from one place: three hundred at once would hold up the others."""
    jobs = [f"job-{number:03d}" for number in range(300)]

    async def all_run(logs):
        for job in jobs:
            logs.run(job, 1)

    reported, _ = follow(jobs, all_run)
    assert sorted(job for _, job, *_ in reported) == jobs
    times = [entry[0] for entry in reported]
    pause = module._SECONDS_BETWEEN_REPORTS
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) == pytest.approx(pause)


def test_a_report_that_is_refused_is_said_once_and_the_log_goes_on():
    reported, said = follow(["a"], three_cells, report="refuse")
    assert reported == []
    assert said.count("How far the notebook has come is not recorded: the database is full") == 1
    assert "cell 3 of 9 has ended" in said


def test_nobody_need_want_to_know():
    assert follow(["a"], three_cells, report=None)[1] == [f"cell {n} of 9 has ended" for n in (1, 2, 3)]


class Follower:
    """The reader of all logs, which gives one job lines when a test says so."""

    def __init__(self):
        self.report_lock = asyncio.Lock()
        self.followed = self.left = None

    def follow(self, job_name, place, *, age_seconds=0.0):
        self.asked = (job_name, place, age_seconds)
        self.followed = FollowedLog(job_name, place, since=0.0)
        return self.followed

    def leave(self, followed):
        self.left = followed

    def write(self, *lines):
        self.followed._lines.put_nowait(list(lines))


def test_what_has_been_read_is_written_before_the_task_goes_on():
    """The poller may have the job's end in the moment in which the log's last lines come."""
    lines, follower = Lines(), Follower()

    async def main():
        async with write_log(follower, "a", LogPlace(), lines, None) as followed:
            assert followed is follower.followed
            follower.write("one", "100 % of two")
        assert follower.left is followed
        await asyncio.sleep(0)
        follower.write("after the end")
        await asyncio.sleep(1)

    loops.run(main())
    assert lines.said == ["one", "100 % of two"]


def test_a_job_that_fails_to_be_watched_leaves_its_log_as_well():
    lines, follower = Lines(), Follower()

    async def main():
        async with write_log(follower, "a", LogPlace(), lines, None):
            follower.write("one")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        loops.run(main())
    assert (lines.said, follower.left) == (["one"], follower.followed)


def test_the_reader_is_told_the_place_and_how_long_the_job_has_been_waited_for():
    follower, place = Follower(), LogPlace(cell=3)

    async def main():
        async with write_log(follower, "a", place, Lines(), None, age_seconds=60.0):
            pass

    loops.run(main())
    assert follower.asked == ("a", place, 60.0)


def test_reports_follow_lines_and_end_with_the_block():
    follower, reported = Follower(), []

    async def record(place):
        reported.append((asyncio.get_running_loop().time(), place))

    async def main():
        async with write_log(follower, "a", LogPlace(), Lines(), record) as followed:
            await asyncio.sleep(10)
            assert reported == [], "nothing was written yet"
            for _ in range(3):
                follower.write("line")
                await asyncio.sleep(0.1)
            await asyncio.sleep(10)
            assert [place for _, place in reported] == [followed.place] * 2, "what came meanwhile is one report"
            assert not follower.report_lock.locked()
        follower.write("line")
        await asyncio.sleep(10)

    loops.run(main())
    assert len(reported) == 2
    assert reported[1][0] - reported[0][0] == pytest.approx(module._SECONDS_BETWEEN_REPORTS)
