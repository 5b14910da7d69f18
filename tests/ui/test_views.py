"""Texts of the pages: durations, instants, prices and the facts of a job."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from ui_account import hint, task_instance

from airflow_nbjobs.core.job.prices import Prices
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.settings import read_prices
from airflow_nbjobs.ui.times import checked_duration, time_text
from airflow_nbjobs.ui.views import (
    earlier_note,
    facts_of_hint,
    facts_of_job,
    live_facts,
    output_rows,
    parameter_rows,
    value_text,
)

PRICES = Prices({"ml.m5.large": 3.6}, "€")
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_061, "25 h 1 min"),
        (-1, None),
        (1e10, None),
        (True, None),
        ("3", None),
        (None, None),
    ],
)
def test_a_duration_is_in_the_two_largest_units(seconds, text):
    assert checked_duration(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (STARTED, "2026-01-02T03:04:05+00:00"),
        (STARTED.replace(tzinfo=None), "2026-01-02T03:04:05+00:00"),
        (STARTED.astimezone(timezone(timedelta(hours=2))), "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T05:04:05.678+02:00", "2026-01-02T03:04:05+00:00"),
        ("yesterday", None),
        (3, None),
        (None, None),
    ],
)
def test_an_instant_is_in_utc(monkeypatch, moment, text):
    """Whatever the server's own time zone."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert time_text(moment) == text
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+00:01"]
)
def test_a_moment_beyond_the_calendar_is_none(text):
    assert time_text(text) is None
    assert time_text(datetime.fromisoformat(text)) is None


@pytest.mark.parametrize(
    ("instance_type", "seconds", "cost"),
    [
        ("ml.m5.large", 1000, "€1.0000"),
        ("ml.m5.large", 3_600_000, "€3,600.0000"),
        ("ml.p5", 1000, None),
        (None, 1000, None),
        (["ml.m5.large"], 1000, None),
        ("ml.m5.large", None, None),
        ("ml.m5.large", True, None),
    ],
)
def test_a_cost_takes_a_price_and_what_was_billed(instance_type, seconds, cost):
    assert PRICES.cost(instance_type, seconds) == cost


@pytest.mark.parametrize(
    ("configured", "per_hour"),
    [
        ('{"ml.m5.large": 1, "a": "x", "b": true, "c": null}', {"ml.m5.large": 1.0}),
        ("no JSON", {}),
        ("[1]", {}),
        ("", {}),
        (None, {}),
    ],
)
def test_prices_are_what_is_a_number_in_the_configuration(monkeypatch, configured, per_hour):
    if configured is not None:
        monkeypatch.setenv("AIRFLOW__NBJOBS__INSTANCE_PRICES", configured)
    assert read_prices() == Prices(per_hour, "$")
    monkeypatch.setenv("AIRFLOW__NBJOBS__CURRENCY", "€")
    assert read_prices().currency == "€"


def test_a_value_of_a_table_is_json_and_cut():
    assert [value_text(value) for value in ("3", 3, {"é"})] == ['"3"', "3", "{'é'}"]
    assert (value_text("x" * 398), value_text("x" * 399)) == ('"' + "x" * 398 + '"', '"' + "x" * 399 + "…")


def test_parameters_are_the_notebooks_then_the_records_then_the_jobs():
    of_notebook, texts = [{"name": "a", "type": "int", "text": "1"}], {"b": "2"}
    assert parameter_rows({"parameters": of_notebook}, {"a": 9}, texts) == of_notebook
    assert parameter_rows({"parameters": None}, {"a": 9}, texts) == [{"name": "a", "type": "int", "text": "9"}]
    assert parameter_rows(None, "Truncated", texts) == [{"name": "b", "type": "", "text": "2"}]
    assert parameter_rows(None, "x" * 5000) == [{"name": "", "type": "", "text": "x" * 4000}]
    assert parameter_rows(None, None) == parameter_rows(None, "") == []
    assert parameter_rows({"parameters": []}, {"a": 9}) == []


def test_outputs_that_are_left_out_are_counted():
    assert [row["text"] for row in output_rows({"a": 1}, 1)] == ["1"]
    assert [row["text"] for row in output_rows({"a": 1}, 3)] == ["1", "2 more; Airflow's own tabs have them"]


def test_facts_of_a_task_come_from_its_hints():
    job = hint(job_name="j", instance_type="ml.m5.large", input_notebook="n.ipynb", notebook_sha256="x" * 600)
    end = {"started_at": STARTED.isoformat(), "duration_seconds": 61, "billable_seconds": 1000, "status": "Completed"}
    found = facts_of_hint(task_instance(job=job, end=end, started=datetime(2020, 1, 1, tzinfo=UTC)), PRICES)
    assert found == {
        "job_name": "j",
        "instance_type": "ml.m5.large",
        "started": "2026-01-02T03:04:05+00:00",
        "duration": "1 min 1 s",
        "billable": "16 min 40 s",
        "cost": "€1.0000",
        "sha256": "x" * 500,
        "notebook": "n.ipynb",
        "status": "Completed",
    }
    several = end | {"instance_type": "ml.m5.large", "instance_count": 2}
    job["instance_type"] = "ml.m5.xlarge, ml.m5.large"
    found = facts_of_hint(task_instance(job=job, end=several), PRICES)
    assert (found["instance_type"], found["billable"], found["cost"]) == ("ml.m5.large", "33 min 20 s", "€2.0000")
    found = facts_of_hint(task_instance(job=None, started=STARTED), PRICES)
    assert {name for name, value in found.items() if value} == {"started"}
    assert facts_of_hint(task_instance(job=hint(job_name=7, instance_type=""), end=None), PRICES)["job_name"] is None


TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2}


def described(**fields):
    return parse_description(
        {
            "TrainingJobName": "j",
            "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/j",
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "CreationTime": STARTED - timedelta(minutes=5),
            "ResourceConfig": {"InstanceType": "ml.m5.large"},
            "Environment": {
                "SM_INPUT_NOTEBOOK_NAME": "n.ipynb",
                "NBJOBS_TRY_NUMBER": "7",
                "NBJOBS_NOTEBOOK_SHA256": "s",
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        }
        | fields
    )


def test_facts_of_a_job_are_sagemakers():
    ran = {"TrainingStartTime": STARTED, "TrainingEndTime": STARTED + timedelta(seconds=61)}
    found = facts_of_job(described(**ran, BillableTimeInSeconds=1000), PRICES, try_number=2)
    assert (found["started"], found["duration"]) == ("2026-01-02T03:04:05+00:00", "1 min 1 s")
    assert (found["billable"], found["cost"], found["sha256"]) == ("16 min 40 s", "€1.0000", "s")
    two = described(**ran, BillableTimeInSeconds=1000, ResourceConfig=TWO)
    assert facts_of_job(two, PRICES, try_number=2).items() >= {"billable": "33 min 20 s", "cost": "€2.0000"}.items()
    assert (found["state"], found["words"], found["status"]) == ("success", "success", "Completed")
    assert (found["notebook"], found["try"]) == (None, "2")
    waits = facts_of_job(described(), PRICES, try_number=None)
    assert (waits["started"], waits["duration"]) == ("2026-01-02T02:59:05+00:00", None)
    assert (waits["notebook"], waits["try"]) == ("n.ipynb", "7")


@pytest.mark.parametrize(
    ("status", "state"),
    [("InProgress", "running"), ("Stopping", "running"), ("Failed", "failed"), ("Stopped", "failed")],
)
def test_the_state_of_a_job_is_a_chip_of_airflows(status, state):
    assert facts_of_job(described(TrainingJobStatus=status), PRICES, try_number=1)["state"] == state


def test_a_page_counts_while_the_job_runs():
    running = described(TrainingJobStatus="InProgress", SecondaryStatus="Training", TrainingStartTime=STARTED)
    assert live_facts(running) == {
        "status": "Training",
        "words": "running",
        "started": "2026-01-02T03:04:05+00:00",
        "limit_seconds": 60,
    }
    assert live_facts(described(TrainingJobStatus="InProgress", SecondaryStatus=""))["status"] == "InProgress"
    assert live_facts(described()) is None


def test_an_earlier_jobs_page_says_how_the_task_is_now():
    assert earlier_note("up_for_retry").endswith("The task itself is now: up for retry.")
    assert earlier_note(None).endswith("The task itself is now: no status.")
