"""
Thirty days of ``nightly_report`` backfilled, with scheduler and triggerers killed in the middle; then all of it again, and again from the last day to the first.

Airflow runs in parts on PostgreSQL, the notebooks run for real. The story is played once and its table printed; each test looks at one side of what it left.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from postgres import PostgresServer
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool
from stand import PATIENCE, Stand, until

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

pytestmark = [pytest.mark.slow, pytest.mark.demo]

DAGS = Path(__file__).parents[2] / "dags"
DAG_ID = "nightly_report"
DAYS = [str(date(2026, 1, 1) + timedelta(days=number)) for number in range(30)]
ACTIVE_RUNS = 4
KILLED_AFTER = 8  # days that have ended
AWAY_SECONDS = 10.0
PHASE_SECONDS = 1800.0 * PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one backfill left: the state of each day, when it began, what it returned, and the jobs that were made for it."""

    name: str
    states: dict[str, str]
    started: list[str]
    outputs: dict[str, dict[str, Any]]
    jobs: list[dict[str, Any]]
    seconds: float

    def row(self) -> str:
        spans = [(job["CreationTime"], job["TrainingEndTime"]) for job in self.jobs]
        return f"{self.name:22} {len(self.states):5} {len(self.jobs):5} {duplicates(self.jobs):11} {self.seconds:8.0f} s {peak(spans):9}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    ended_before_the_kill: int
    alive_at_the_kill: set[str]
    first: Phase
    again: Phase
    backwards: Phase

    def phases(self) -> list[Phase]:
        return [self.first, self.again, self.backwards]


def duplicates(jobs: list[dict[str, Any]]) -> int:
    """Return how many jobs were made beyond the one of each day."""
    return len(jobs) - len({day_of(job) for job in jobs})


def peak(spans: list[tuple[datetime, datetime]]) -> int:
    """Return how many of the spans there were at once, at most."""
    edges = sorted(edge for start, end in spans for edge in ((start, 1), (end, -1)))
    return max(itertools.accumulate(step for _, step in edges), default=0)


def day_of(job: dict[str, Any]) -> str:
    return str(job["Environment"]["NBJOBS_DATA_INTERVAL_START"][:10])


def table(story: Story) -> list[str]:
    head = f"{'backfill':22} {'runs':>5} {'jobs':>5} {'duplicates':>11} {'wall':>10} {'peak jobs':>9}"
    return ["", head, *(phase.row() for phase in story.phases())]


class Backfills:
    """The person at the keyboard, who also pulls the plug."""

    def __init__(self, stand: Stand, database_url: str, sagemaker: EmbeddedSageMaker) -> None:
        self._stand = stand
        self._engine = create_engine(database_url, poolclass=NullPool)
        self._client = sagemaker.client("sagemaker")
        self._seen: set[str] = set()
        self._began = 0.0

    def create(self, *arguments: str) -> None:
        window = ["--dag-id", DAG_ID, "--from-date", DAYS[0], "--to-date", DAYS[-1]]
        command = ["backfill", "create", *window, *arguments, "--max-active-runs", str(ACTIVE_RUNS)]
        self._began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *command],
            env=self._stand.environment,
            capture_output=True,
            text=True,
            timeout=180 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]

    def ended(self) -> int:
        return sum(state in ("success", "failed") for _, state, _ in self._runs())

    def await_(self, condition: Callable[[], Any]) -> None:
        until(condition, seconds=PHASE_SECONDS, what=self._stand.tails)

    def finished(self, name: str) -> Phase:
        """Wait until Airflow calls all backfills complete, and return what the last has left."""
        self.await_(lambda: not self._query("SELECT id FROM backfill WHERE completed_at IS NULL"))
        seconds = time.monotonic() - self._began
        runs = self._runs()
        values = self._query(
            "SELECT r.logical_date, CAST(x.value AS TEXT) FROM xcom x JOIN dag_run r USING (dag_id, run_id) WHERE x.key = 'return_value'"
        )
        jobs = [job for job in self._jobs() if job["TrainingJobName"] not in self._seen]
        self._seen |= {job["TrainingJobName"] for job in jobs}
        return Phase(
            name=name,
            states={f"{moment:%Y-%m-%d}": state for moment, state, _ in runs},
            started=[f"{moment:%Y-%m-%d}" for moment, _, _ in sorted(runs, key=lambda run: run[2])],
            outputs={f"{moment:%Y-%m-%d}": json.loads(value)["outputs"] for moment, value in values},
            jobs=jobs,
            seconds=seconds,
        )

    def kill(self) -> set[str]:
        """End the scheduler, with the tasks that it runs, and all triggerers, as a machine that fails does; return the jobs that then go on alone."""
        for name in ("scheduler", *self._stand.triggerers):
            self._stand.kill(name)
        alive = {job["TrainingJobName"] for job in self._jobs() if job["TrainingJobStatus"] == "InProgress"}
        time.sleep(AWAY_SECONDS)  # how long the machine is away, and no wait for anything
        for name in ("scheduler", *self._stand.triggerers):
            self._stand.launch(name)
        return alive

    def _runs(self) -> list[Any]:
        return self._query("SELECT logical_date, state, start_date FROM dag_run")

    def _query(self, sql: str) -> list[Any]:
        with self._engine.connect() as connection:
            return list(connection.execute(text(sql)))

    def _jobs(self) -> list[dict[str, Any]]:
        pages = self._client.get_paginator("list_training_jobs").paginate()
        names = [each["TrainingJobName"] for page in pages for each in page["TrainingJobSummaries"]]
        return [self._client.describe_training_job(TrainingJobName=name) for name in names]


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home, dags = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dags")
    shutil.copy(DAGS / "nightly_report.py", dags)
    (dags / "notebooks").mkdir()
    shutil.copy(DAGS / "notebooks" / "nightly-report.ipynb", dags / "notebooks")
    with PostgresServer() as database, EmbeddedSageMaker(jobs=ACTIVE_RUNS) as sagemaker:
        stand = Stand(
            home, python=sys.executable, dags=dags, database_url=database.url, facts=sagemaker.facts, triggerers=2
        )
        stand.environment["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] = "False"
        try:
            stand.start()
            stand.await_ready([DAG_ID])
            backfills = Backfills(stand, database.url, sagemaker)

            backfills.create()
            backfills.await_(lambda: backfills.ended() >= KILLED_AFTER)
            ended = backfills.ended()
            alive = backfills.kill()
            first = backfills.finished("first, interrupted")

            backfills.create("--reprocess-behavior", "completed")
            again = backfills.finished("reprocessed")
            backfills.create("--reprocess-behavior", "completed", "--run-backwards")
            backwards = backfills.finished("backwards")
        finally:
            stand.stop()
        told = Story(
            ended_before_the_kill=ended, alive_at_the_kill=alive, first=first, again=again, backwards=backwards
        )
        plugins = request.config.pluginmanager
        with plugins.getplugin("capturemanager").global_and_fixture_disabled():
            for line in table(told):
                plugins.getplugin("terminalreporter").write_line(line)
        yield told


def test_the_scheduler_and_the_triggerers_went_away_in_the_middle_of_it(story):
    assert KILLED_AFTER <= story.ended_before_the_kill < len(DAYS)
    assert story.alive_at_the_kill


def test_every_day_of_every_backfill_succeeds(story):
    assert [phase.states for phase in story.phases()] == [dict.fromkeys(DAYS, "success")] * 3


def test_each_backfill_makes_one_job_a_day_even_the_one_that_was_interrupted(story):
    assert [Counter(map(day_of, phase.jobs)) for phase in story.phases()] == [Counter(DAYS)] * 3
    assert {job["TrainingJobStatus"] for phase in story.phases() for job in phase.jobs} == {"Completed"}


def test_the_jobs_that_were_left_alone_are_taken_up_again(story):
    assert story.alive_at_the_kill <= {job["TrainingJobName"] for job in story.first.jobs}


def test_no_more_jobs_run_at_once_than_there_may_be_runs(story):
    for phase in story.phases():
        assert peak([(job["CreationTime"], job["TrainingEndTime"]) for job in phase.jobs]) <= ACTIVE_RUNS, phase.name


def test_each_day_returns_its_own_figures_and_the_same_whenever_it_runs(story):
    assert {day: values["day"] for day, values in story.first.outputs.items()} == {day: day for day in DAYS}
    assert len({values["revenue"] for values in story.first.outputs.values()}) == len(DAYS)
    assert story.first.outputs == story.again.outputs == story.backwards.outputs


def test_a_backfill_goes_backwards_when_it_is_asked_to(story):
    assert story.first.started[0] == DAYS[0]
    # As many as may be active start together: their order among themselves is not said.
    assert set(story.backwards.started[:ACTIVE_RUNS]) == set(DAYS[-ACTIVE_RUNS:])
    assert set(story.backwards.started[-ACTIVE_RUNS:]) == set(DAYS[:ACTIVE_RUNS])
