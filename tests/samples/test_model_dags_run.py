"""The samples that choose: ``hyperparameter_sweep`` by the best of several jobs, ``drift_monitor`` by what a notebook has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_nbjobs.core.job.naming import parse_s3_uri

if TYPE_CHECKING:
    from dag_runs import DagRuns

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker
    from airflow_nbjobs.testing import DagRun

pytestmark = [pytest.mark.local, pytest.mark.slow]


@pytest.fixture(scope="module")
def sweep(airflow: DagRuns) -> DagRun:
    return airflow.run("hyperparameter_sweep", epochs=[1, 8], rows=200, accuracy=0.6)


def test_the_sweep_trains_once_for_each_setting_and_goes_on_with_the_best(sweep):
    assert sweep.state == "success", sweep.log[-5000:]
    accuracies = [sweep.xcoms[f"training[{index}]", "accuracy"] for index in range(2)]
    best = sweep.xcoms["best", "return_value"]
    assert best["accuracy"] == max(accuracies)
    assert best["epochs"] == [1, 8][accuracies.index(max(accuracies))]
    given = sweep.xcoms["transform-monitor", "return_value"]["outputs"]
    assert sum(given["predicted_counts"].values()) == 1000
    assert sweep.tasks["not_good_enough"] == "skipped"


def test_below_the_threshold_nothing_follows(airflow):
    run = airflow.run("hyperparameter_sweep", epochs=[1], rows=20, accuracy=1.0)
    assert run.state == "success", run.log[-5000:]
    assert (run.tasks["transform-monitor"], run.tasks["not_good_enough"]) == ("skipped", "success")
    assert run.tasks["training[0]"] == "success"


@pytest.fixture(scope="module")
def drifts(airflow: DagRuns, sagemaker: EmbeddedSageMaker) -> list[DagRun]:
    """Four weeks: no model yet; a model that fits; one of sentences that have become much shorter, which is tolerated, and then is not."""
    first, kept = (airflow.run("drift_monitor", week, rows=300) for week in ("2026-01-04", "2026-01-11"))
    bucket, key = parse_s3_uri(first.xcoms["preprocess", "train_s3_uri"])
    short = "label,text\n" + "".join(f"{number % 2},fine film\n" for number in range(300))
    sagemaker.client("s3").put_object(Bucket=bucket, Key=key, Body=short.encode())
    tolerated = airflow.run("drift_monitor", "2026-01-18", rows=300, tolerated=1000)
    return [first, kept, tolerated, airflow.run("drift_monitor", "2026-01-25", rows=300)]


def test_without_a_model_the_monitor_trains_one(drifts):
    first = drifts[0]
    assert first.state == "success", first.log[-5000:]
    assert {name: first.tasks[name] for name in ("drift", "retrain", "keep_model", "preprocess", "training")} == {
        "drift": "skipped",
        "retrain": "skipped",
        "keep_model": "skipped",
        "preprocess": "success",
        "training": "success",
    }


def test_the_model_is_trained_again_if_more_differs_than_is_tolerated(drifts):
    later = drifts[1:]
    assert [run.state for run in later] == ["success"] * 3, later[-1].log[-5000:]
    measured = [run.xcoms["drift", "violations"] for run in later]
    assert measured[0] == 0 < measured[1] == measured[2]
    assert [(run.tasks["keep_model"], run.tasks["training"]) for run in later] == [
        ("success", "skipped"),
        ("success", "skipped"),
        ("skipped", "success"),
    ]


def test_what_is_measured_is_the_model_that_was_trained_last(drifts):
    first, kept, *_ = drifts
    model = kept.xcoms["newest_model", "return_value"]
    assert model["model_s3_uri"] == first.xcoms["training", "model_s3_uri"]
    assert model["train_s3_uri"] == first.xcoms["preprocess", "train_s3_uri"]
