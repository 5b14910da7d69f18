"""Processing jobs of Model Monitor's analyzer: a baseline, and data checked against it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from batch_jobs import refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from local_jobs import wait_until

from airflow_nbjobs.local.batch.analyzer import __main__ as analyzer
from airflow_nbjobs.local.batch.analyzer.checks import category_distance, find_violations, numeric_distance
from airflow_nbjobs.local.batch.analyzer.statistics import (
    Column,
    build_constraints,
    build_statistics,
    column_statistics,
    infer_type,
    sketch_weights,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from batch_jobs import BatchJobs

TRAIN = "label,score,text,channel\n" + "".join(
    f"{n % 2},{n / 10},sentence {n},{'web' if n % 3 else 'shop'}\n" for n in range(60)
)


def against_baseline(batch: BatchJobs, current: str) -> dict[str, Any]:
    """Return a request that checks other data against the baseline that was made before."""
    batch.put("current/data.csv", current.encode())
    request = batch.processing_request(ProcessingJobName=f"{batch.name}-check")
    request["ProcessingInputs"][0]["S3Input"]["S3Uri"] = batch.uri("current/")
    for name in ("constraints", "statistics"):
        place = f"/opt/ml/processing/baseline/{name}"
        source = {
            "S3Uri": batch.uri(f"baseline/{name}.json"),
            "LocalPath": place,
            "S3DataType": "S3Prefix",
            "S3InputMode": "File",
        }
        request["ProcessingInputs"].append({"InputName": name, "S3Input": source})
        request["Environment"][f"baseline_{name}"] = f"{place}/{name}.json"
    request["ProcessingOutputConfig"]["Outputs"][0]["S3Output"]["S3Uri"] = batch.uri("report")
    return request


@pytest.mark.local
def test_a_baseline_is_statistics_and_constraints_in_the_documented_layout(batch: BatchJobs) -> None:
    batch.put("train.csv", TRAIN.encode())
    done = batch.process()
    assert done["ProcessingJobStatus"] == "Completed", done
    assert done["ExitMessage"] == "Completed: Job completed successfully with no violations."
    files = batch.baseline()
    assert set(files) == {"statistics.json", "constraints.json"}
    statistics, constraints = files["statistics.json"], files["constraints.json"]
    assert all(
        "not Amazon SageMaker Model Monitor's analyzer" in content["_generated_by"] for content in files.values()
    )
    assert statistics["dataset"] == {"item_count": 60}
    kinds = {feature["name"]: feature["inferred_type"] for feature in statistics["features"]}
    assert kinds == {"label": "Integral", "score": "Fractional", "text": "String", "channel": "String"}
    score = statistics["features"][1]["numerical_statistics"]
    assert score["common"] == {"num_present": 60, "num_missing": 0}
    assert (score["min"], score["max"], score["mean"], score["sum"]) == pytest.approx((0, 5.9, 2.95, 177))
    buckets = score["distribution"]["kll"]["buckets"]
    assert (len(buckets), sum(bucket["count"] for bucket in buckets)) == (10, 60)
    assert statistics["features"][2]["string_statistics"]["distinct_count"] == 60
    channel = statistics["features"][3]["string_statistics"]["distribution"]["categorical"]["buckets"]
    assert channel == [{"value": "shop", "count": 20}, {"value": "web", "count": 40}]
    by_name = {feature["name"]: feature for feature in constraints["features"]}
    assert by_name["label"] == {
        "name": "label",
        "inferred_type": "Integral",
        "completeness": 1.0,
        "num_constraints": {"is_non_negative": True},
    }
    assert by_name["channel"]["string_constraints"] == {"domains": ["shop", "web"]}
    assert "string_constraints" not in by_name["text"]
    assert constraints["monitoring_config"]["distribution_constraints"]["comparison_threshold"] == 0.1
    assert "60 rows, 4 columns" in batch.log("ProcessingJobs")


@pytest.mark.local
def test_a_csv_without_header_has_numbered_columns_and_empty_fields_are_missing(batch: BatchJobs) -> None:
    batch.put("train.csv", b"1,a\n,b\n3,NA\n")
    environment = {**batch.processing_request()["Environment"], "dataset_format": '{"csv": {"header": false}}'}
    assert batch.process(Environment=environment)["ProcessingJobStatus"] == "Completed"
    first, second = batch.baseline()["constraints.json"]["features"]
    assert (first["name"], first["completeness"]) == ("_c0", pytest.approx(2 / 3))
    assert (second["name"], second["completeness"]) == ("_c1", 1.0)


@pytest.mark.local
def test_json_lines_are_read_with_their_nested_members(batch: BatchJobs) -> None:
    batch.put("train.csv", b'{"a": 1, "b": {"c": "x"}, "d": 1}\n{"a": 2.5, "b": {"c": null}}\n')
    environment = {**batch.processing_request()["Environment"], "dataset_format": '{"json": {"lines": true}}'}
    assert batch.process(Environment=environment)["ProcessingJobStatus"] == "Completed"
    kinds = {
        item["name"]: (item["inferred_type"], item["completeness"])
        for item in batch.baseline()["constraints.json"]["features"]
    }
    assert kinds == {"a": ("Fractional", 1.0), "b.c": ("String", 0.5), "d": ("Integral", 0.5)}


@pytest.mark.local
def test_the_same_data_has_no_violations_and_other_data_has_those_it_has(batch: BatchJobs) -> None:
    batch.put("train.csv", TRAIN.encode())
    batch.process()
    done = batch.process(**against_baseline(batch, TRAIN))
    assert done["ExitMessage"] == "Completed: Job completed successfully with no violations."
    assert batch.baseline("report")["constraint_violations.json"]["violations"] == []
    batch.name, before = f"{batch.name}-b", batch.name
    batch.put("train.csv", TRAIN.encode())
    batch.process()
    drifted = "label,score,channel,extra\n" + "".join(
        f"{'x' if n % 5 else 1},{n + 50},{'phone' if n % 2 else ''},1\n" for n in range(60)
    )
    done = batch.process(**against_baseline(batch, drifted))
    assert before != batch.name
    assert done["ProcessingJobStatus"] == "Completed", done
    report = batch.baseline("report")["constraint_violations.json"]
    found = {(item["feature_name"], item["constraint_check_type"]) for item in report["violations"]}
    assert found == {
        ("Missing columns", "missing_column_check"),
        ("Extra columns", "extra_column_check"),
        ("label", "data_type_check"),
        ("channel", "completeness_check"),
        ("channel", "categorical_values_check"),
        ("channel", "baseline_drift_check"),
        ("score", "baseline_drift_check"),
    }
    assert done["ExitMessage"] == "CompletedWithViolations: Job completed successfully with 7 violations."
    texts = {item["constraint_check_type"]: item["description"] for item in report["violations"]}
    assert (
        "Expected data type: Integral, Expected match: 100.0%. Observed: Only 20.0% of data is Integral."
        in texts["data_type_check"]
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dataset_format": '{"parquet": {}}'},
            'the dataset format {"parquet": {}} is not supported here: only csv and json',
        ),
        ({"dataset_format": '{"json": {}}'}, "the dataset does not read as"),
        ({"dataset_format": "csv"}, "dataset_format is no JSON"),
        ({"dataset_source": "/nowhere"}, "no file below dataset_source"),
        (
            {"record_preprocessor_script": "x.py"},
            "record_preprocessor_script is not supported here",
        ),
        ({"analysis_type": "MODEL_QUALITY"}, "analysis_type MODEL_QUALITY is not supported here"),
        ({"baseline_constraints": "/none.json"}, "baseline_constraints"),
    ],
    ids=["parquet", "other format", "no json", "no file", "script", "model quality", "no baseline"],
)
def test_what_cannot_be_analyzed_is_told_with_what_is_supported(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    words: str,
) -> None:
    """In its log, and in the file that becomes the job's ExitMessage."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "train.csv").write_text(TRAIN)
    given = {
        "dataset_format": json.dumps({"csv": {"header": True, "output_columns_position": "START"}}),
        "dataset_source": str(tmp_path / "dataset"),
        "output_path": str(tmp_path / "baseline"),
    }
    for name, value in (given | changes).items():
        monkeypatch.setenv(name, value)
    assert analyzer.main(str(tmp_path / "message")) == 255
    assert words in (tmp_path / "message").read_text()
    assert words in capsys.readouterr().out
    assert not (tmp_path / "baseline").exists()


@pytest.mark.local
def test_a_job_that_cannot_analyze_its_data_fails_with_what_is_supported(batch: BatchJobs) -> None:
    batch.put("train.csv", TRAIN.encode())
    words = 'the dataset format {"parquet": {}} is not supported here: only csv and json'
    done = batch.process(Environment={**batch.processing_request()["Environment"], "dataset_format": '{"parquet": {}}'})
    assert done["ProcessingJobStatus"] == "Failed"
    assert words in done["FailureReason"]
    assert done["FailureReason"].endswith("exit code: 255")
    assert words in done["ExitMessage"]
    assert batch.files("baseline") == {}


@pytest.mark.local
def test_an_input_that_is_not_there_fails_the_job(batch: BatchJobs) -> None:
    done = batch.process()
    assert done["ProcessingJobStatus"] == "Failed"
    assert "No S3 objects found under S3 URL" in done["FailureReason"]
    assert "'baseline_dataset_input'" in done["FailureReason"]


@pytest.mark.local
def test_another_image_is_refused_with_the_one_that_is_supported(batch: BatchJobs) -> None:
    request = batch.processing_request(AppSpecification={"ImageUri": batch.image("sagemaker-scikit-learn:1.2")})
    code, message = refusal(batch.sagemaker.create_processing_job, **request)
    assert code == "ValidationException"
    assert "sagemaker-scikit-learn" in message
    assert "it supports 'sagemaker-model-monitor-analyzer'" in message


@pytest.mark.local
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {"VolumeSizeInGB": 20, "InstanceCount": 2, "InstanceType": "ml.m5.xlarge"}
                }
            },
            "more than one instance",
        ),
        (
            {"ProcessingResources": {"ClusterConfig": {"VolumeSizeInGB": 20, "InstanceCount": 1}}},
            "InstanceType is missing",
        ),
        (
            {
                "ProcessingResources": {
                    "ClusterConfig": {"VolumeSizeInGB": 20_000, "InstanceCount": 1, "InstanceType": "ml.m5.xlarge"}
                }
            },
            "less than or equal to 16384",
        ),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 777_601}}, "less than or equal to 777600"),
        (
            {
                "ProcessingInputs": [
                    {"InputName": "x", "S3Input": {"S3Uri": "s3://b/k", "LocalPath": "/etc", "S3DataType": "S3Prefix"}}
                ]
            },
            "must lie below /opt/ml/processing",
        ),
        (
            {
                "ProcessingInputs": [
                    {
                        "InputName": "x",
                        "S3Input": {
                            "S3Uri": "s3://b/k",
                            "LocalPath": "/opt/ml/processing/../x",
                            "S3DataType": "S3Prefix",
                        },
                    }
                ]
            },
            "must lie below",
        ),
        ({"ProcessingInputs": [{"InputName": "x"}]}, "the input 'x' without S3Input"),
        ({"RoleArn": "arn:aws:iam::123456789012:role/nobody"}, "Could not assume role"),
    ],
    ids=["instances", "no type", "volume", "runtime", "path", "dots", "no source", "role"],
)
def test_a_request_that_cannot_run_is_refused_when_the_job_is_made(
    batch: BatchJobs, changes: dict[str, Any], words: str
) -> None:
    code, message = refusal(batch.sagemaker.create_processing_job, **batch.processing_request(**changes))
    assert code == "ValidationException"
    assert words in message


@pytest.mark.local
def test_names_are_unique_unknown_ones_are_said_to_be_and_jobs_are_listed(batch: BatchJobs) -> None:
    batch.put("train.csv", TRAIN.encode())
    done = batch.process(Tags=[{"Key": "team", "Value": "a"}])
    code, message = refusal(batch.sagemaker.create_processing_job, **batch.processing_request())
    assert (code, message[:23]) == ("ResourceInUse", "Job name must be unique")
    for call in (batch.sagemaker.describe_processing_job, batch.sagemaker.stop_processing_job):
        expected = ("ValidationException", "Could not find requested job with name: nobody")
        assert refusal(call, ProcessingJobName="nobody") == expected
    code, message = refusal(batch.sagemaker.stop_processing_job, ProcessingJobName=batch.name)
    assert message == "The request was rejected because the processing job is in status Completed."
    listed = batch.sagemaker.list_processing_jobs(NameContains=batch.name, CreationTimeAfter=0)[
        "ProcessingJobSummaries"
    ]
    assert [(job["ProcessingJobName"], job["ProcessingJobStatus"]) for job in listed] == [(batch.name, "Completed")]
    assert batch.sagemaker.list_tags(ResourceArn=done["ProcessingJobArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
    assert batch.sagemaker.list_processing_jobs(CreationTimeBefore=0)["ProcessingJobSummaries"] == []


@pytest.mark.local
def test_a_job_over_its_runtime_or_told_to_stop_ends_as_stopped(batch: BatchJobs) -> None:
    """Enough data that the container is still at work; both ends leave no files."""
    batch.put("train.csv", b"x\n" + b"".join(b"%d\n" % n for n in range(1_000_000)))
    done = batch.process(StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert (done["ProcessingJobStatus"], "FailureReason" in done) == ("Stopped", False)
    request = batch.processing_request(ProcessingJobName=f"{batch.name}-b")
    batch.sagemaker.create_processing_job(**request)
    wait_until(lambda: "ProcessingStartTime" in batch.describe_processing(f"{batch.name}-b"))
    batch.sagemaker.stop_processing_job(ProcessingJobName=f"{batch.name}-b")
    assert batch.wait_processing(f"{batch.name}-b")["ProcessingJobStatus"] == "Stopped"
    assert batch.files("baseline") == {}


def column(*values: str, missing: int = 0, name: str = "x") -> Column:
    return Column(name, values, missing)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-2", "+3"], "Integral"),
        (["1", "2.0"], "Fractional"),
        (["1e3", ".5"], "Fractional"),
        (["1", "one"], "String"),
        (["1_000"], "String"),
        (["nan"], "String"),
        (["\u0661"], "String"),
        ([], "Unknown"),
    ],
)
def test_a_column_has_the_narrowest_type_that_fits_all_values(values: list[str], kind: str) -> None:
    assert infer_type(values) == kind


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=6000))
def test_a_sketch_keeps_the_count_and_nearly_the_distribution(numbers: list[int]) -> None:
    numeric = column_statistics(column(*map(str, numbers)))["numerical_statistics"]
    weights = sketch_weights(numeric)
    assert sum(weight for _, weight in weights) == len(numbers)
    exact = sorted((float(number), 1) for number in numbers)
    error = numeric_distance(exact, weights, is_robust=False)
    assert error <= (0.002 if len(numbers) > 2048 else 1e-9)
    assert sum(bucket["count"] for bucket in numeric["distribution"]["kll"]["buckets"]) == len(numbers)


def pairs(numbers: Iterable[float]) -> list[tuple[float, int]]:
    return sorted((number, 1) for number in numbers)


def test_distances_are_the_greatest_differences() -> None:
    assert numeric_distance(pairs([1, 2, 3, 4]), pairs([3, 4, 5, 6]), is_robust=False) == pytest.approx(0.5)
    assert numeric_distance(pairs([1, 1, 2]), pairs([1, 1, 2]), is_robust=False) == 0
    assert numeric_distance(pairs([1, 2]), pairs([7, 8]), is_robust=False) == pytest.approx(1)
    assert category_distance(Counter(a=3, b=1), Counter(a=1, c=1), is_robust=False) == pytest.approx(0.5)


def test_a_robust_distance_of_small_samples_is_none() -> None:
    assert numeric_distance(pairs([1, 2]), pairs([7, 8]), is_robust=True) == 0
    many = pairs(range(1000))
    assert numeric_distance(many, pairs(range(500, 1500)), is_robust=True) == pytest.approx(
        0.5 - 1.8 * (2000 / 10**6) ** 0.5
    )


def violations(current: Column, base: Column, **config: Any) -> list[str]:
    constraints = json.loads(json.dumps(build_constraints([base])))
    constraints["monitoring_config"] |= config
    found = find_violations([current], constraints=constraints, statistics=build_statistics([base], 1))
    return [item["constraint_check_type"] for item in found]


def test_thresholds_of_the_baseline_decide() -> None:
    base, current = column("1", "2"), column("1", "x", missing=1)
    assert violations(current, base) == ["data_type_check", "completeness_check"]
    assert violations(current, base, datatype_check_threshold=0.5) == ["completeness_check"]
    assert violations(current, base, evaluate_constraints="Disabled") == []


def test_an_override_of_one_feature_holds_for_it_alone() -> None:
    constraints = build_constraints([column("1", name="a"), column("1", name="b")])
    constraints["features"][0]["monitoringConfigOverrides"] = {"datatype_check_threshold": 0.0}
    current = [column("x", name="a"), column("x", name="b")]
    found = find_violations(current, constraints=constraints, statistics={})
    assert [item["feature_name"] for item in found] == ["b"]


def test_integers_are_good_fractions_but_not_the_other_way_round() -> None:
    assert violations(column("1"), column("1.5")) == []
    assert violations(column("1.5"), column("1")) == ["data_type_check"]
