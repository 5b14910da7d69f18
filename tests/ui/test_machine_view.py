"""Curves of a machine over a job's seconds, the cells below them, and what a reader must know of both."""

from datetime import UTC, datetime, timedelta

import pytest

from airflow_nbjobs.core.job.metrics import Figures, MachineRecord
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.ui import machine_view
from airflow_nbjobs.ui.machine_view import curves, notes_on_points, shown_spans
from airflow_nbjobs.ui.notebook.machine import Seen

STARTED = datetime(2026, 1, 2, 3, tzinfo=UTC)
BEGIN = STARTED.timestamp()


def figures(maximum=90.4, p95=80.5):
    return Figures(count=3, maximum=maximum, p95=p95)


def record(cpu=((BEGIN, 1.0),), *, period=60, **more):
    given = {"points": {"cpu": cpu}, "figures": {"cpu": figures()}} | more
    return MachineRecord(
        job_name="j", instance_type="t", period_seconds=period, until=STARTED + timedelta(minutes=5), **given
    )


def snapshot(*, started=STARTED, seconds=None):
    described = {
        "TrainingJobName": "j",
        "TrainingJobArn": "arn",
        "TrainingJobStatus": "InProgress",
        "TrainingStartTime": started,
        "TrainingEndTime": None if seconds is None else started + timedelta(seconds=seconds),
    }
    return parse_description(described)


def test_points_are_seconds_of_the_job_and_percent_of_the_machine():
    (found,) = curves(record(((BEGIN - 30, 12.345), (BEGIN + 30.06, 50.0), (BEGIN + 90, 120.0))), STARTED)
    assert found["points"] == [[0.0, 12.35], [30.1, 50.0], [90.0, 100.0]]
    assert found["text"] == "CPU: at most 90 %, for 95 % of the time at most 80 %"
    assert (found["key"], found["label"]) == ("cpu", "CPU")


def test_metrics_without_points_or_figures_have_no_curve():
    points = {"cpu": ((BEGIN, 1.0),), "memory": (), "gpu": ((BEGIN, 2.0),), "disk": ((BEGIN, 3.0),)}
    known = {"memory": figures(), "disk": figures(), "cpu": figures()}
    found = curves(record(points=points, figures=known), STARTED)
    assert [each["key"] for each in found] == ["cpu", "disk"]


def span(start, end, *, source="x", is_failed=False):
    return {
        "anchor": f"cell-{start}",
        "label": "Cell 1",
        "source": source,
        "start": BEGIN + start,
        "end": None if end is None else BEGIN + end,
        "is_failed": is_failed,
    }


def spans(*given, seconds=100):
    return shown_spans(given, STARTED, STARTED + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        (10, 70, (10.0, 70.0)),
        (-5, 20, (0.0, 20.0)),
        (90, 130, (90.0, 100.0)),
        (50, None, (50.0, 100.0)),
        (100, 120, (100.0, 100.0)),
        (101, 120, None),
        (-20, -1, None),
        (10.004, 10.006, (10.0, 10.01)),
    ],
)
def test_a_cell_is_shown_as_far_as_the_job_ran(start, end, shown):
    found = spans(span(start, end))
    assert [(each["start"], each["end"]) for each in found] == ([shown] if shown else [])


def test_a_cell_has_its_place_its_time_and_its_source():
    assert spans(span(0, 61, is_failed=True), span(61, 61.5, source="y"), span(62, 63)) == [
        {"anchor": "cell-0", "text": "Cell 1, 1 min 1 s: x", "start": 0.0, "end": 61.0, "is_failed": True},
        {"anchor": "cell-61", "text": "Cell 1, under 1 s: y", "start": 61.0, "end": 61.5, "is_failed": False},
        {"anchor": "cell-62", "text": "Cell 1, 1 s: x", "start": 62.0, "end": 63.0, "is_failed": False},
    ]


def test_of_very_many_cells_the_longest_are_shown_in_their_order(monkeypatch):
    monkeypatch.setattr(machine_view, "_MOST_SPANS", 2)
    assert [each["start"] for each in spans(span(50, 90), span(0, 10), span(10, 40))] == [10.0, 50.0]


def notes(seen, of=None, *, now=60):
    return notes_on_points(seen, of or snapshot(), now=STARTED + timedelta(seconds=now))


@pytest.mark.parametrize(
    ("period", "words"),
    [
        (60, "One point a minute."),
        (300, "One point every five minutes."),
        (3600, "One point an hour."),
        (10, "One point every 10 s."),
    ],
)
def test_it_is_said_how_many_points_there_are(period, words):
    assert notes(Seen(record=record(period=period)), snapshot(seconds=600)) == [words]
    assert notes(Seen(record=record(period=period))) == [f"{words} Points arrive some minutes late."]
    (kept,) = notes(Seen(record=record(period=period), is_kept=True))
    assert kept.startswith(f"{words} Kept with the results as CloudWatch had it at 2026-01-02T03:05:00+00:00")


def test_trouble_comes_first_and_is_all_where_there_are_no_points():
    trouble = ("CloudWatch does not answer:", "no way")
    assert notes(Seen(trouble=trouble)) == ["CloudWatch does not answer: no way"]
    assert notes(Seen(record=record(points={}), trouble=trouble)) == ["CloudWatch does not answer: no way"]
    found = notes(Seen(record=record(), trouble=trouble), snapshot(seconds=600))
    assert found == ["CloudWatch does not answer: no way", "One point a minute."]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "No points yet:"),
        (119, "No points: SageMaker measures a machine once a minute"),
        (120, "CloudWatch has no points of this job"),
    ],
)
@pytest.mark.parametrize("seen", [Seen(), Seen(record=record(points={}))], ids=["nothing", "no points"])
def test_without_points_it_is_said_why(seen, seconds, words):
    (found,) = notes(seen, snapshot(seconds=seconds), now=10_000)
    assert found.startswith(words)


def test_a_job_that_has_not_started_has_none():
    assert notes(
        Seen(), parse_description({"TrainingJobName": "j", "TrainingJobArn": "a", "TrainingJobStatus": "InProgress"})
    ) == ["The job has not started yet."]
