"""
A week of ``nightly_report`` backfilled as an on-call person would do it: Airflow's own scheduler on PostgreSQL, ``airflow backfill create``, a pool as quota.

The story runs once; each test looks at one side of what it left. The embedded SageMaker is kept busy at first, so that the days fill the pool while a test looks on, and
a person stops two of their jobs.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import tarfile
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import numpy as np
import pytest
from postgres import PostgresServer
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.slow, pytest.mark.demo]

DAGS = Path(__file__).parents[2] / "dags"
DAG_ID = "nightly_report"
DAYS = [f"2026-01-{number:02}" for number in range(5, 12)]
POOL, SLOTS = "sagemaker_ml_m5_large", 2
ACTIVE_RUNS = 4
RETRIES = 2  # of the sample; a task's first generation is its ``max_tries``, and each clear after n tries adds n
PHASE_SECONDS = 900
EDITED = "What the on-call person has added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What one ``airflow backfill create`` left behind, by day; ``jobs`` are those that it added."""

    states: dict[str, str]
    tries: dict[str, int]
    reasons: dict[str, str | None]
    active: list[tuple[datetime, datetime]]
    started: list[str]
    xcoms: dict[tuple[str, str], Any]
    jobs: list[dict[str, Any]]

    def results(self) -> dict[str, dict[str, Any]]:
        return {day: value for (day, key), value in self.xcoms.items() if key == "return_value"}

    def outputs(self) -> dict[str, dict[str, Any]]:
        return {day: result["outputs"] for day, result in self.results().items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    sagemaker: EmbeddedSageMaker
    held: set[int]
    stopped: list[str]
    first: Phase
    none: Phase
    failed: Phase
    completed: Phase

    def phases(self) -> list[Phase]:
        return [self.first, self.none, self.failed, self.completed]

    def jobs(self) -> list[dict[str, Any]]:
        return [job for phase in self.phases() for job in phase.jobs]

    def read(self, uri: str) -> bytes:
        bucket, key = parse_s3_uri(uri)
        body: bytes = self.sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


class Backfills:
    """The person at the keyboard."""

    def __init__(self, airflow: StandaloneAirflow, sagemaker: EmbeddedSageMaker) -> None:
        self._airflow = airflow
        self._client = sagemaker.client("sagemaker")
        self._seen: set[str] = set()
        self._count = 0

    def create(self, *arguments: str) -> None:
        command = ["--dag-id", DAG_ID, "--from-date", DAYS[0], "--to-date", DAYS[-1], *arguments]
        self._airflow.command("backfill", "create", *command, "--max-active-runs", str(ACTIVE_RUNS))
        self._count += 1

    def finished(self) -> Phase:
        """Return what there is when Airflow calls the backfill complete."""
        sql = "SELECT id FROM backfill WHERE completed_at IS NOT NULL"
        self._airflow.wait(
            lambda: len(self._airflow.query(sql)) == self._count, seconds=PHASE_SECONDS, what=self._airflow.task_logs
        )
        runs = self._airflow.query("SELECT logical_date, state, start_date, end_date FROM dag_run")
        instances = self._airflow.query(
            "SELECT r.logical_date, t.try_number FROM task_instance t JOIN dag_run r USING (dag_id, run_id)"
        )
        reasons = self._airflow.query(
            "SELECT logical_date, exception_reason FROM backfill_dag_run WHERE backfill_id = (SELECT max(id) FROM backfill)"
        )
        xcoms = self._airflow.query(
            "SELECT r.logical_date, x.key, CAST(x.value AS TEXT) FROM xcom x JOIN dag_run r USING (dag_id, run_id)"
        )
        jobs = [job for job in self.jobs() if job["TrainingJobName"] not in self._seen]
        self._seen |= {job["TrainingJobName"] for job in jobs}
        return Phase(
            states={_day(moment): state for moment, state, _, _ in runs},
            tries={_day(moment): number for moment, number in instances},
            reasons={_day(moment): reason for moment, reason in reasons},
            active=[(start, end) for _, _, start, end in runs],
            started=[_day(moment) for moment, _, start, _ in sorted(runs, key=lambda run: run[2])],
            xcoms={(_day(moment), key): json.loads(value) for moment, key, value in xcoms},
            jobs=jobs,
        )

    def jobs(self) -> list[dict[str, Any]]:
        """Return all notebook jobs there have been, as SageMaker describes them."""
        pages = self._client.get_paginator("list_training_jobs").paginate()
        names = [each["TrainingJobName"] for page in pages for each in page["TrainingJobSummaries"]]
        described = [self._client.describe_training_job(TrainingJobName=name) for name in names]
        return [job for job in described if "NBJOBS_OWNER" in job.get("Environment", {})]

    def fill_pool(self) -> set[int]:
        """Return how many jobs SageMaker had at each look, from the moment when the pool is full until the scheduler has looked three times again."""
        waiting = "SELECT count(*) FROM task_instance WHERE state = :state"
        running = "SELECT count(*) FROM dag_run WHERE state = 'running'"

        def is_full() -> bool:
            full = [(SLOTS,)], [(ACTIVE_RUNS - SLOTS,)], [(ACTIVE_RUNS,)]
            rows = [self._airflow.query(waiting, state=state) for state in ("deferred", "scheduled")]
            return [list(map(tuple, each)) for each in (*rows, self._airflow.query(running))] == list(full)

        self._airflow.wait(is_full, seconds=PHASE_SECONDS, what=self._airflow.task_logs)
        beats: set[datetime] = set()
        held: set[int] = set()

        def has_looked_again() -> bool:
            beats.update(
                moment
                for (moment,) in self._airflow.query(
                    "SELECT latest_heartbeat FROM job WHERE job_type = 'SchedulerJob' AND state = 'running'"
                )
            )
            held.add(len(self.jobs()))
            return len(beats) > 3

        self._airflow.wait(has_looked_again, what="the scheduler's heartbeat stands still")
        return held


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    home, dags = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("dags")
    shutil.copy(DAGS / "nightly_report.py", dags)
    (dags / "notebooks").mkdir()
    notebook = Path(shutil.copy(DAGS / "notebooks" / "nightly-report.ipynb", dags / "notebooks"))
    with PostgresServer() as database, EmbeddedSageMaker(jobs=SLOTS) as sagemaker:
        facts = sagemaker.facts
        environment = {
            **facts.airflow_settings(),
            "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # nothing but the backfills
            "NBJOBS_SAMPLE_POOL": POOL,
        }
        with StandaloneAirflow(home, dags=dags, environment=environment, database_url=database.url) as airflow:
            airflow.wait_for_dag(DAG_ID)
            airflow.command("pools", "set", POOL, str(SLOTS), "quota of ml.m5.large", "--include-deferred")
            backfills, release = Backfills(airflow, sagemaker), occupy(sagemaker)

            backfills.create()
            held = backfills.fill_pool()
            stopped = backfills.jobs()
            for job in stopped:
                sagemaker.client("sagemaker").stop_training_job(TrainingJobName=job["TrainingJobName"])
            release()
            first = backfills.finished()

            backfills.create("--reprocess-behavior", "none")
            none = backfills.finished()
            backfills.create("--reprocess-behavior", "failed")
            failed = backfills.finished()
            edit(notebook)
            backfills.create("--reprocess-behavior", "completed", "--run-backwards")
            yield Story(
                sagemaker=sagemaker,
                held=held,
                stopped=sorted(map(day_of, stopped)),
                first=first,
                none=none,
                failed=failed,
                completed=backfills.finished(),
            )


def occupy(sagemaker: EmbeddedSageMaker) -> Callable[[], None]:
    """Let jobs of no DAG hold all that the server runs at once; returns what ends them."""
    client, names = sagemaker.client("sagemaker"), [f"in-the-way-{number}" for number in range(SLOTS)]
    for name in names:
        client.create_training_job(
            TrainingJobName=name,
            RoleArn=sagemaker.facts.role_arn,
            AlgorithmSpecification={
                "TrainingImage": sagemaker.facts.image_uri,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["/bin/bash", "-c", "while :; do sleep 0.1; done"],
            },
            OutputDataConfig={"S3OutputPath": f"s3://{sagemaker.facts.default_bucket}/others"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            StoppingCondition={"MaxRuntimeInSeconds": 3600},
        )

    def release() -> None:
        for name in names:
            client.stop_training_job(TrainingJobName=name)

    return release


def edit(path: Path) -> None:
    """Change the notebook beside the DAG as a person does between two backfills: its text, not its figures."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(f"print({EDITED!r})"))
    nbformat.write(notebook, path)


def day_of(job: dict[str, Any]) -> str:
    return str(job["Environment"]["NBJOBS_DATA_INTERVAL_START"][:10])


def generation_of(job: dict[str, Any]) -> tuple[int, int]:
    """Return the generation and the attempt of a job, as its owner text has them."""
    *_, generation, attempt = json.loads(job["Environment"]["NBJOBS_OWNER"])
    return generation, attempt


def peak(spans: list[tuple[datetime, datetime]]) -> int:
    """Return how many of the spans there were at once, at most."""
    edges = sorted(edge for start, end in spans for edge in ((start, 1), (end, -1)))
    return max(itertools.accumulate(step for _, step in edges))


def report_of(story: Story, result: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """Return the HTML report of a run, and the outputs of the notebook's own cells in the executed notebook."""
    with tarfile.open(fileobj=io.BytesIO(story.read(result["output_archive_uri"]))) as archive:
        (name,) = [name for name in archive.getnames() if name.endswith(".html")]
        html = archive.extractfile(name).read().decode()  # type: ignore[union-attr]
    executed = nbformat.reads(story.read(result["executed_notebook_uri"]).decode(), as_version=4)
    cells = [cell for cell in executed.cells if cell.cell_type == "code" and not cell.metadata.get("tags")]
    return html, [output.get("data", output.get("text")) for cell in cells for output in cell.outputs]


# -- the first backfill ------------------------------------------------------------------------------------------------


def test_each_day_ends_and_those_whose_job_was_stopped_have_failed(story):
    assert len(story.stopped) == SLOTS
    assert story.first.states == {day: "failed" if day in story.stopped else "success" for day in DAYS}
    # A stop by somebody else is no reason to try again.
    assert story.first.tries == dict.fromkeys(DAYS, 1)
    assert story.first.started[0] == DAYS[0]


def test_each_run_has_started_exactly_one_job(story):
    assert Counter(map(day_of, story.first.jobs)) == dict.fromkeys(DAYS, 1)
    assert {generation_of(job) for job in story.first.jobs} == {(RETRIES, 0)}


def test_waiting_jobs_count_in_the_pool_and_no_more_are_started_than_it_has_slots(story):
    """SageMaker's quota counts a job from its creation to its end; so does this, over everything that has run."""
    assert story.held == {SLOTS}
    spans = [(job["CreationTime"], job["TrainingEndTime"]) for job in story.jobs()]
    assert len(spans) == 2 * len(DAYS) + SLOTS
    assert peak(spans) == SLOTS


def test_no_more_runs_are_active_than_the_backfill_may_have(story):
    assert peak(story.first.active) == ACTIVE_RUNS
    assert peak(story.completed.active) <= ACTIVE_RUNS


def test_each_run_returns_the_figures_of_its_own_day(story):
    outputs = story.first.outputs()
    assert sorted(outputs) == [day for day in DAYS if day not in story.stopped]
    for day, values in outputs.items():
        generator = np.random.default_rng(date.fromisoformat(day).toordinal())
        assert values["day"] == day
        assert values["order_count"] == generator.integers(80, 121)
        assert set(values["revenue_by_country"]) == {"DE", "FR", "US"}
        assert sum(values["revenue_by_country"].values()) == pytest.approx(values["revenue"], abs=0.02)
        assert {name: story.first.xcoms[day, name] for name in values} == values
    assert len({values["revenue"] for values in outputs.values()}) == len(outputs)


def test_each_run_has_an_executed_notebook_and_a_report_of_its_own(story):
    results = story.first.results()
    uris = [uri for each in results.values() for uri in (each["executed_notebook_uri"], each["output_archive_uri"])]
    assert len(set(uris)) == 2 * (len(DAYS) - SLOTS)
    for day, result in results.items():
        html, outputs = report_of(story, result)
        values = result["outputs"]
        line = f"{day}: {values['order_count']} orders, {values['revenue']:.2f} in all\n"
        assert line in outputs
        assert line.strip() in html
        assert [other for other in DAYS if other != day and other in html] == []
        assert sum("image/png" in each for each in outputs) == 1


def test_a_failed_day_returns_nothing(story):
    kept = {key for day, key in story.first.xcoms if day in story.stopped}
    assert kept & {"return_value", "day", "order_count", "revenue", "revenue_by_country"} == set()
    assert "nbjobs_job" in kept


# -- reprocessing ------------------------------------------------------------------------------------------------------


def test_reprocessing_none_starts_nothing(story):
    assert story.none.jobs == []
    assert story.none.reasons == dict.fromkeys(DAYS, "already exists")
    assert (story.none.states, story.none.xcoms) == (story.first.states, story.first.xcoms)


def test_reprocessing_failed_runs_starts_one_new_job_for_each_and_leaves_the_others_alone(story):
    assert Counter(map(day_of, story.failed.jobs)) == dict.fromkeys(story.stopped, 1)
    assert {generation_of(job) for job in story.failed.jobs} == {(RETRIES + 1, 0)}
    assert story.failed.states == dict.fromkeys(DAYS, "success")
    results = story.failed.results()
    assert {day: results[day] for day in story.first.results()} == story.first.results()
    assert {day: results[day]["outputs"]["day"] for day in story.stopped} == {day: day for day in story.stopped}


def test_reprocessing_completed_runs_starts_one_new_job_for_every_day(story):
    assert Counter(map(day_of, story.completed.jobs)) == dict.fromkeys(DAYS, 1)
    expected = {day: (RETRIES + (2 if day in story.stopped else 1), 0) for day in DAYS}
    assert {day_of(job): generation_of(job) for job in story.completed.jobs} == expected
    assert story.completed.states == dict.fromkeys(DAYS, "success")
    assert story.completed.tries == {day: 3 if day in story.stopped else 2 for day in DAYS}


def test_it_takes_the_notebook_as_it_is_now_and_keeps_what_earlier_jobs_left(story):
    before, after = story.failed.results(), story.completed.results()
    assert sorted(before) == sorted(after) == DAYS
    for day in DAYS:
        assert before[day]["executed_notebook_uri"] != after[day]["executed_notebook_uri"]
        old, _ = report_of(story, before[day])
        new, _ = report_of(story, after[day])
        assert (EDITED in old, EDITED in new) == (False, True)


def test_the_order_of_the_days_changes_no_result(story):
    """Backwards, beside other days than before, and with another history: the figures and the picture are the same."""
    assert story.completed.started[0] == DAYS[-1]
    assert story.completed.outputs() == story.failed.outputs()
    for day in DAYS:
        _, before = report_of(story, story.failed.results()[day])
        _, after = report_of(story, story.completed.results()[day])
        assert after[-1] == f"{EDITED}\n"
        assert before == after[:-1]
