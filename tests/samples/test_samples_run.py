"""
Every sample DAG, run by ``airflow dags test`` against the embedded SageMaker: real notebooks, real kernels, real XComs.

Of notebooks that are mapped, the default tier runs one: the others' jobs are scripted, which spares their kernels.

``sentiment_pipeline`` runs with few rows, in the full tier; the demo, which every submission runs, plays it as it stands, and each of its notebooks has fast tests of its own.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from sample_runs import HAS_TRANSFORMERS
from studio import needs_studio, seen_in_studio

from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.testing import Faults

if TYPE_CHECKING:
    from dag_runs import DagRuns

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker
    from airflow_nbjobs.testing import DagRun

pytestmark = pytest.mark.local

DAGS = Path(__file__).parents[2] / "dags"


SEGMENTS = ("business", "new", "returning")
SCRIPTED = {
    segment: {"segment": segment, "orders": 10, "mean_amount": 7.5, "score": score}
    for segment, score in (("new", 0.25), ("returning", 0.75))
}


@pytest.fixture(scope="module")
def segment_scores(airflow: DagRuns, sagemaker: EmbeddedSageMaker) -> DagRun:
    scripts = [
        Faults(sagemaker.facts).script_jobs(
            environment={"NBJOBS_TASK_ID": "score", "NBJOBS_MAP_INDEX": str(SEGMENTS.index(segment))},
            outputs={"result": result},
        )
        for segment, result in SCRIPTED.items()
    ]
    run = airflow.run("segment_scores", orders=31)
    for script in scripts:
        script.remove()
    return run


def test_notebooks_run_between_the_python_branch_and_sql_tasks_of_an_ordinary_dag(segment_scores):
    assert segment_scores.state == "success", segment_scores.log[-5000:]
    assert segment_scores.tasks == {
        "load_orders": "success",
        "enough_orders": "success",
        "too_few_orders": "skipped",
        "orders_by_segment": "success",
        "score[0]": "success",
        "score[1]": "success",
        "score[2]": "success",
        "store_scores": "success",
        "score_all": "success",
        "hand_over": "success",
    }


def mean_amount(given):
    return round(sum(given["amounts"]) / len(given["amounts"]), 2)


def test_each_mapped_notebook_gets_its_own_values_and_sql_stores_what_they_return(sagemaker, segment_scores):
    given = segment_scores.xcoms["orders_by_segment", "return_value"]
    first, *scripted = results = [segment_scores.xcoms[f"score[{index}]", "result"] for index in range(3)]
    assert (first["segment"], first["orders"], first["mean_amount"]) == ("business", 11, mean_amount(given[0]))
    assert scripted == list(SCRIPTED.values())
    assert segment_scores.xcoms["store_scores", "return_value"] == {each["segment"]: each["score"] for each in results}
    client = sagemaker.client("sagemaker")
    names = [segment_scores.xcoms[f"score[{index}]", "return_value"]["job_name"] for index in range(3)]
    assert len({*names}) == 3
    parameters = [client.describe_training_job(TrainingJobName=name)["HyperParameters"] for name in names]
    assert [each["segment"] for each in parameters] == list(SEGMENTS)
    assert [json.loads(each["amounts"]) for each in parameters] == [each["amounts"] for each in given]


@pytest.mark.slow
def test_three_mapped_notebooks_run_side_by_side(airflow):
    run = airflow.run("segment_scores", orders=31)
    assert run.state == "success", run.log[-5000:]
    results = [run.xcoms[f"score[{index}]", "result"] for index in range(3)]
    assert [(result["segment"], result["orders"]) for result in results] == list(
        zip(SEGMENTS, [11, 10, 10], strict=True)
    )
    given = run.xcoms["orders_by_segment", "return_value"]
    assert [result["mean_amount"] for result in results] == [mean_amount(each) for each in given]


def test_a_dag_with_too_few_orders_skips_its_notebooks(airflow, segment_scores):
    run = airflow.run("segment_scores", orders=3)
    assert run.state == "success"
    assert {name: state for name, state in run.tasks.items() if name.startswith(("score", "too"))} == {
        "score": "skipped",
        "score_all": "skipped",
        "too_few_orders": "success",
    }


def test_a_second_dag_waits_for_the_job_with_the_sensor(airflow, sagemaker, segment_scores):
    submitted = segment_scores.xcoms["score_all", "return_value"]
    assert submitted["status"] == "InProgress"
    run = airflow.run("segment_scores_report", job_name=submitted["job_arn"])
    assert run.state == "success", run.log[-5000:]
    result = run.xcoms["scored", "return_value"]
    assert result["job_name"] == submitted["job_name"]
    assert result["status"] == "Completed"
    assert result["outputs"] == {"result": run.xcoms["scored", "result"]}
    assert result["outputs"]["result"]["orders"] == 31
    assert run.xcoms["report", "return_value"].startswith("31 orders, score 0.")
    assert not run.xcoms["scored", "_link_nbjobs_console"]  # no console has jobs of the embedded SageMaker
    # Nobody took this job's results for the task that submitted it: there is no copy, only the archive.
    assert result["executed_notebook_uri"] == result["output_archive_uri"]
    bucket, key = parse_s3_uri(result["output_archive_uri"])
    assert sagemaker.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"] > 0


@pytest.mark.slow  # that the notebook gives each day its own is shown in test_sample_notebooks, what it is given in test_sample_dag
@pytest.mark.parametrize("days", [["2026-01-03", "2026-01-02"] * 2], ids=len)
def test_a_nightly_report_is_that_of_its_data_interval_whatever_the_order(airflow, sagemaker, days):
    runs = [airflow.run("nightly_report", day) for day in days]
    assert {run.state for run in runs} == {"success"}, runs[0].log[-5000:]
    results = [run.xcoms["report", "return_value"] for run in runs]
    # A run by hand at midnight gets the interval that has just ended.
    intervals = [str(date.fromisoformat(day) - timedelta(days=1)) for day in days]
    assert [result["outputs"]["day"] for result in results] == intervals
    figures = {day: {json.dumps(r["outputs"]) for r in results if r["outputs"]["day"] == day} for day in intervals}
    assert all(len(each) == 1 for each in figures.values()), "the same whenever it runs"
    assert len(set.union(*figures.values())) == len(figures), "of each day its own"
    assert len({result["executed_notebook_uri"] for result in results}) == len(days)
    for result in results:
        countries = result["outputs"]["revenue_by_country"]
        assert set(countries) == {"DE", "FR", "US"}
        assert sum(countries.values()) == pytest.approx(result["outputs"]["revenue"], abs=0.02)
        assert result["outputs"]["day"] in _member(sagemaker, result["output_archive_uri"], ".html")
    assert "reads the clock" not in runs[0].log


def _member(sagemaker: EmbeddedSageMaker, archive_uri: str, ending: str) -> str:
    bucket, key = parse_s3_uri(archive_uri)
    body = sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        (member,) = [each for each in archive.getmembers() if each.name.endswith(ending)]
        file = archive.extractfile(member)
        assert file is not None
        return file.read().decode()


@pytest.fixture(scope="module")
def sentiment(airflow: DagRuns) -> DagRun:
    return airflow.run("sentiment_pipeline", "2026-01-05", rows=300)


@pytest.mark.slow
def test_the_sentiment_pipeline_hands_its_outputs_from_notebook_to_notebook(sentiment):
    assert sentiment.state == "success", sentiment.log[-5000:]
    assert sentiment.tasks == {"preprocess": "success", "training": "success", "transform-monitor": "success"}
    assert sentiment.xcoms["preprocess", "train_rows"] == 300
    assert 0.65 < sentiment.xcoms["training", "accuracy"] < 0.92
    counts = sentiment.xcoms["transform-monitor", "predicted_counts"]
    assert sum(counts.values()) == sentiment.xcoms["training", "test_rows_used"] == 1000
    assert isinstance(sentiment.xcoms["transform-monitor", "violations"], int)


@pytest.mark.slow
def test_what_the_sentiment_pipeline_names_lies_in_s3(sagemaker, sentiment):
    s3 = sagemaker.client("s3")
    named = {
        sentiment.xcoms["preprocess", "train_s3_uri"],
        sentiment.xcoms["training", "model_s3_uri"],
        sentiment.xcoms["transform-monitor", "predictions_s3_uri"],
        f"{sentiment.xcoms['transform-monitor', 'baseline_s3_uri']}/statistics.json",
        f"{sentiment.xcoms['transform-monitor', 'baseline_s3_uri']}/constraints.json",
    }
    sizes = {}
    for uri in named:
        bucket, key = parse_s3_uri(uri)
        sizes[uri] = s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    assert [uri for uri, size in sizes.items() if size == 0] == []


@pytest.mark.slow
def test_the_sentiment_pipeline_starts_its_jobs_by_the_role_of_the_notebook_job(sagemaker, sentiment):
    assert sentiment.state == "success"
    client = sagemaker.client("sagemaker")
    capture = sentiment.xcoms["transform-monitor", "capture_s3_uri"]
    name = capture.split("/")[-2]
    transform = client.describe_transform_job(TransformJobName=name)
    assert transform["DataCaptureConfig"]["DestinationS3Uri"] == capture
    analyses = [client.describe_processing_job(ProcessingJobName=f"{name}-{each}") for each in ("baseline", "report")]
    assert {each["RoleArn"] for each in analyses} == {sagemaker.facts.role_arn}
    assert sentiment.xcoms["transform-monitor", "nbjobs_job"]["job_name"].startswith(name.rpartition("-")[0])


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRANSFORMERS, reason="needs the extra bert: pip install 'airflow-nbjobs[bert]'")
def test_the_sentiment_pipeline_serves_the_transformer_that_it_has_trained(airflow, sagemaker):
    """An image for Transformers, the same inference.py; the accuracy shows that it has learned, and is no measure of BERT."""
    run = airflow.run("sentiment_pipeline", "2026-01-06", model_name="tiny")
    assert run.state == "success", run.log[-5000:]
    assert run.xcoms["training", "accuracy"] > 0.7
    bucket, key = parse_s3_uri(run.xcoms["transform-monitor", "predictions_s3_uri"])
    assert "/monitor/tiny/" in key
    body = sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    labels = [json.loads(line)["label"] for line in body.splitlines()]
    counts = {name: labels.count(name) for name in ("negative", "positive")}
    assert run.xcoms["transform-monitor", "predicted_counts"] == counts
    assert min(counts.values()) > 200
    assert sum(counts.values()) == run.xcoms["training", "test_rows_used"] == 1000

    artifact = _member(sagemaker, run.xcoms["training", "model_s3_uri"], "code/inference.py")
    assert artifact == (DAGS / "notebooks" / "inference.py").read_text()
    executed_uri = run.xcoms["transform-monitor", "return_value"]["executed_notebook_uri"]
    bucket, key = parse_s3_uri(executed_uri)
    executed = nbformat.reads(
        sagemaker.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read().decode(), as_version=4
    )
    said = "".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ()))
    (served,) = re.findall(r"1000 predictions, (0\.\d{3}) of them right", said)
    assert float(served) == pytest.approx(run.xcoms["training", "accuracy"], abs=0.005)


@pytest.mark.slow
@needs_studio
@pytest.mark.usefixtures("sentiment")
def test_studio_lists_and_downloads_every_job_of_every_sample(airflow, sagemaker, segment_scores, tmp_path):
    scripted = {segment_scores.xcoms[f"score[{index}]", "return_value"]["job_name"] for index in (1, 2)}
    assert airflow.run("nightly_report", "2026-01-04").state == "success"
    client = sagemaker.client("sagemaker")
    jobs = [each["TrainingJobName"] for each in client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]]
    assert len(jobs) >= 8
    for name in jobs:  # one task does not wait for its job
        waiter = client.get_waiter("training_job_completed_or_stopped")
        waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    seen = seen_in_studio(sagemaker.facts, tmp_path, UserProfileName="anybody")
    assert seen.keys() == set(jobs)
    assert {job.status for job in seen.values()} == {"COMPLETED"}
    for name, job in seen.items():
        if name in scripted:  # has written no log
            continue
        assert sorted(job.files) == ["input", "ipynb", "log"], name
        assert all(job.files.values()), name
        assert job.executed.cells, name
    assert {job.name.split("/")[0] for job in seen.values()} == {
        "segment_scores",
        "sentiment_pipeline",
        "nightly_report",
    }
