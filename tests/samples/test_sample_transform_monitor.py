"""``transform-monitor.ipynb`` against the embedded SageMaker: real transform and analyzer jobs, and what they leave in S3."""

from __future__ import annotations

import csv
import io
import json
import statistics
import tarfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sample_runs import PREPARED, TRAINED, Aws, Program, Run, execute, execute_as_program, kernel_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = pytest.mark.local

MONITORED = ("predictions_s3_uri", "baseline_s3_uri", "capture_s3_uri", "violations", "predicted_counts")
FIGURES = "plt.get_fignums()"  # those that were drawn
TEST_ROWS = 200


@pytest.fixture(scope="module")
def sagemaker(embedded_sagemaker: EmbeddedSageMaker) -> EmbeddedSageMaker:
    return embedded_sagemaker


@pytest.fixture(scope="module")
def others_models(sagemaker: EmbeddedSageMaker) -> set[str]:
    """What the tests before have left."""
    return models_of(sagemaker)


def models_of(sagemaker: EmbeddedSageMaker) -> set[str]:
    pages = sagemaker.client("sagemaker").get_paginator("list_models").paginate()
    return {model["ModelName"] for page in pages for model in page["Models"]}


@pytest.fixture(scope="module")
def aws(sagemaker: EmbeddedSageMaker) -> Iterator[Aws]:
    client = sagemaker.client("s3")
    yield Aws(client, kernel_environment(sagemaker.environment))
    client.close()


@pytest.fixture(scope="module")
def given(sagemaker: EmbeddedSageMaker, aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A day's training set and the baseline trained on it, as parameters of the notebook."""
    bucket = f"s3://{sagemaker.facts.default_bucket}/pipeline"
    folder = tmp_path_factory.mktemp("given")
    prepared = execute_as_program("preprocess.ipynb", {"default_s3_bucket": bucket}, PREPARED, aws=aws, folder=folder)
    assert prepared.exit_code == 0, prepared.said
    uri = prepared.variables["train_s3_uri"]
    parameters = {"train_s3_uri": uri, "model_name": "baseline"}
    trained = execute_as_program("training.ipynb", parameters, TRAINED, aws=aws, folder=folder)
    assert trained.exit_code == 0, trained.said
    return {
        "train_s3_uri": uri,
        "model_s3_uri": trained.variables["model_s3_uri"],
        "role": sagemaker.facts.role_arn,
        "test_rows": TEST_ROWS,
    }


@pytest.fixture(scope="module")
def monitored(
    aws: Aws, given: dict[str, Any], others_models: set[str], tmp_path_factory: pytest.TempPathFactory
) -> Program:
    folder = tmp_path_factory.mktemp("monitored")
    run = execute_as_program("transform-monitor.ipynb", given, (*MONITORED, FIGURES), aws=aws, folder=folder)
    assert run.exit_code == 0, run.said
    return run


def read_lines(aws: Aws, uri: str) -> list[Any]:
    return [json.loads(line) for line in aws.read(uri).decode().splitlines()]


def test_each_test_sentence_gets_a_prediction_and_they_are_counted(aws, monitored):
    predictions = read_lines(aws, monitored.variables["predictions_s3_uri"])
    assert len(predictions) == TEST_ROWS
    assert [0.5 <= each["score"] <= 1 for each in predictions] == [True] * TEST_ROWS
    assert monitored.variables["predicted_counts"] == dict(Counter(each["label"] for each in predictions))
    assert set(monitored.variables["predicted_counts"]) == {"negative", "positive"}


def test_the_predictions_are_those_of_the_trained_model(aws, sagemaker, monitored):
    body = aws.read(f"s3://{sagemaker.facts.sample_bucket}/datasets/text/SST2/sst2.test").decode()
    labels = ["positive" if line[0] == "1" else "negative" for line in body.splitlines()[:TEST_ROWS]]
    predicted = [each["label"] for each in read_lines(aws, monitored.variables["predictions_s3_uri"])]
    right = sum(label == each for label, each in zip(labels, predicted, strict=True))
    assert 0.7 < right / TEST_ROWS < 0.95
    assert f"{TEST_ROWS} predictions, {right / TEST_ROWS:.3f} of them right" in monitored.said


def test_the_baseline_describes_the_training_set(aws, given, monitored):
    rows = list(csv.DictReader(io.StringIO(aws.read(given["train_s3_uri"]).decode())))
    expected = {
        "label": statistics.mean(int(row["label"]) for row in rows),
        "words": statistics.mean(len(row["text"].split()) for row in rows),
        "characters": statistics.mean(len(row["text"]) for row in rows),
    }
    baseline = json.loads(aws.read(f"{monitored.variables['baseline_s3_uri']}/statistics.json"))
    assert baseline["dataset"]["item_count"] == len(rows)
    means = {each["name"]: each["numerical_statistics"]["mean"] for each in baseline["features"]}
    assert means == pytest.approx(expected)
    constraints = json.loads(aws.read(f"{monitored.variables['baseline_s3_uri']}/constraints.json"))
    assert [each["name"] for each in constraints["features"]] == list(expected)


def test_the_capture_lists_what_went_in_and_what_came_out(aws, monitored):
    bucket, _, prefix = monitored.variables["capture_s3_uri"].removeprefix("s3://").partition("/")
    keys = [each["Key"] for each in aws.client.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]]
    objects = {}
    for key in keys:
        first, *names = json.loads(aws.read(f"s3://{bucket}/{key}"))
        objects[key.removeprefix(f"{prefix}/").partition("/")[0]] = [first["prefix"] + name for name in names]
    assert objects["output"] == [monitored.variables["predictions_s3_uri"]]
    assert [uri.rpartition("/")[2] for uri in objects["input"]] == ["test.jsonl"]
    assert len(read_lines(aws, objects["input"][0])) == TEST_ROWS


def test_the_number_of_violations_is_that_of_the_analyzers_report(aws, monitored):
    report = monitored.variables["baseline_s3_uri"].removesuffix("baseline") + "report"
    found = json.loads(aws.read(f"{report}/constraint_violations.json"))["violations"]
    assert monitored.variables["violations"] == len(found)
    compared = json.loads(aws.read(f"{report}/statistics.json"))
    assert compared["dataset"]["item_count"] == TEST_ROWS


def test_predictions_and_drift_are_drawn(monitored):
    assert len(monitored.variables[FIGURES]) == 2


def test_nothing_is_left_but_the_results(sagemaker, others_models, monitored):
    assert monitored.exit_code == 0
    assert models_of(sagemaker) == others_models


@pytest.mark.slow  # that the notebook counts what the report holds is shown above, what is a violation in test_processing
def test_data_unlike_the_training_set_is_reported_as_violations(aws, given, tmp_path):
    """Trained on long sentences, asked for ordinary ones."""
    uri = given["train_s3_uri"].replace("train.csv", "long.csv")
    rows = "".join(f"{number % 2},{'a long long sentence ' * (20 + number % 7)}\n" for number in range(300))
    aws.write(uri, f"label,text\n{rows}".encode())
    run = execute("transform-monitor.ipynb", given | {"train_s3_uri": uri}, MONITORED, aws=aws, folder=tmp_path)
    assert run.exit_code == 0, run.log
    assert run.variables["violations"] >= 2
    told = _text(run, "violations")
    assert "words: baseline_drift_check" in told
    assert "characters: baseline_drift_check" in told
    assert run.images() == ["prediction-plot", "drift-plot"]


def test_a_model_that_cannot_be_served_fails_with_the_services_reason_and_is_removed(
    sagemaker, aws, given, others_models, tmp_path
):
    uri = given["model_s3_uri"].replace("model.tar.gz", "bare/model.tar.gz")
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("baseline.json"))
    aws.write(uri, body.getvalue())
    run = execute_as_program("transform-monitor.ipynb", given | {"model_s3_uri": uri}, aws=aws, folder=tmp_path)
    assert run.exit_code == 1
    assert "RuntimeError: Transform job 'interactive-" in run.said
    assert "has no code/inference.py" in run.said
    assert "logs: /aws/sagemaker/TransformJobs" in run.said
    assert models_of(sagemaker) == others_models


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"role": ""}, "role is empty, and this notebook does not run in a training job"),
        ({"model_s3_uri": "model.tar.gz"}, "model_s3_uri must be an s3:// URI; it is 'model.tar.gz'"),
        ({"test_rows": 0}, "test_rows must be 1 or more; it is 0"),
    ],
)
def test_what_cannot_work_is_refused_before_a_job_is_started(aws, given, tmp_path, change, error):
    done = execute_as_program("transform-monitor.ipynb", given | change, aws=aws, folder=tmp_path)
    assert f"ValueError: {error}" in done.said


def test_a_region_without_a_known_image_is_refused_with_the_parameters_that_help(aws, given, tmp_path):
    elsewhere = Aws(aws.client, aws.environment | {"AWS_DEFAULT_REGION": "sa-east-1"})
    error = "ValueError: no image is listed here for sa-east-1: give inference_image_uri and analyzer_image_uri"
    assert error in execute_as_program("transform-monitor.ipynb", given, aws=elsewhere, folder=tmp_path).said


def _text(run: Run, cell_id: str) -> str:
    (cell,) = [cell for cell in run.notebook.cells if cell.id == cell_id]
    return "".join(output.text for output in cell.outputs if "text" in output)
