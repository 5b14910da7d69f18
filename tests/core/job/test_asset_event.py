"""What an asset event says of a notebook job: enough for a consumer, and never more than 32 KiB."""

import json
from datetime import UTC, datetime

import pytest

from airflow_nbjobs.core.job.asset_event import EXTRA_LIMIT_BYTES, event_extra, is_uri, run_part, uris_of

FACTS = {
    "job_name": "d-train-7f3a",
    "job_arn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/d-train-7f3a",
    "status": "Completed",
    "input_notebook": "train.ipynb",
    "notebook_sha256": "ab" * 32,
    "executed_notebook_uri": "s3://bucket/nbjobs/d-train-7f3a/d-train-7f3a.ipynb",
    "output_archive_uri": "s3://bucket/nbjobs/d-train-7f3a/output/output.tar.gz",
    "instance_type": "ml.m5.large",
    "started_at": "2026-11-22T03:00:00+00:00",
    "ended_at": "2026-11-22T03:01:30+00:00",
    "duration_seconds": 90.0,
    "billable_seconds": 90,
}


def extra(outputs=None, parameters=None, facts=FACTS):
    return event_extra(facts, outputs=outputs or {}, parameters=parameters or {}, executed_notebook_sha256="cd" * 32)


def size(value):
    return len(json.dumps(value).encode())


def test_it_holds_the_job_the_notebook_the_values_and_the_cost():
    found = extra({"accuracy": 0.5, "splits": [1, 2]}, {"epochs": 3})
    assert found == {
        **{name: value for name, value in FACTS.items() if name not in ("output_archive_uri", "duration_seconds")},
        "executed_notebook_sha256": "cd" * 32,
        "outputs": {"accuracy": 0.5, "splits": [1, 2]},
        "parameters": {"epochs": 3},
    }


def test_what_is_not_known_of_a_job_that_still_runs_is_none():
    found = extra(facts={"job_name": "d-train-7f3a", "status": "InProgress"})
    assert found["job_name"] == "d-train-7f3a"
    assert found["billable_seconds"] is None
    assert found["outputs"] == {}


@pytest.mark.parametrize(
    ("outputs", "parameters"),
    [
        ({"rows": "x" * 40_000, "accuracy": 0.5}, {"epochs": 3}),
        ({f"o{n}": "x" * 4_000 for n in range(20)} | {"accuracy": 0.5}, {"epochs": 3}),
        ({"accuracy": 0.5}, {"epochs": 3, "days": ["2026-01-01"] * 5_000}),
        ({"accuracy": 0.5}, {"epochs": 3, "emoji": "😀" * 10_000}),
        ({"accuracy": 0.5}, {"epochs": 3} | {f"p{n:05}{'x' * 150}": n for n in range(2_000)}),
        ({"accuracy": 0.5} | {f"o{n:05}": f"value {n}" for n in range(20_000)}, {}),
        ({"accuracy": 0.5}, {"epochs": 3, "😀" * 3_000: "x" * 30_000}),
    ],
    ids=["one", "many", "a parameter", "not ascii", "long names", "a thousand names", "a name that is long"],
)
def test_it_is_bounded_and_says_what_it_leaves_out(outputs, parameters):
    found = extra(outputs, parameters)
    assert size(found) <= EXTRA_LIMIT_BYTES
    assert found["outputs"]["accuracy"] == 0.5
    kept = len(found["outputs"]) + len(found["parameters"])
    *named, last = found["left_out"]
    more = int(last.removesuffix(" more")) if last.endswith(" more") else 1
    assert kept + len(named) + more == len(outputs) + len(parameters)
    assert list(found["outputs"]) == [name for name in outputs if name in found["outputs"]]


def test_outputs_come_before_parameters():
    """A consumer knows what it has asked for, and wants to know what came of it."""
    half = "x" * (EXTRA_LIMIT_BYTES // 2)
    found = extra({"report": half}, {"text": half})
    assert found["outputs"] == {"report": half}
    assert found["left_out"] == ["parameters.text"]


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), float("nan"), {1, 2}, b"x"], ids=str)
def test_a_parameter_that_is_no_json_becomes_its_text(value):
    """MySQL and PostgreSQL refuse NaN in JSON, and with it the end of the task."""
    assert extra(parameters={"given": value})["parameters"] == {"given": str(value)}


def test_a_long_path_does_not_push_out_the_values():
    found = extra({"accuracy": 0.5}, facts=FACTS | {"input_notebook": "x" * 100_000})
    assert size(found) <= EXTRA_LIMIT_BYTES
    assert found["outputs"] == {"accuracy": 0.5}


@pytest.mark.parametrize(
    ("value", "uris"),
    [
        ("s3://bucket/model", ["s3://bucket/model"]),
        (["s3://bucket/a", "snowflake://account/db/table"], ["s3://bucket/a", "snowflake://account/db/table"]),
        ("model", None),
        ("", None),
        ([], None),
        (["s3://bucket/a", 1], None),
        (0.5, None),
        ({"uri": "s3://bucket/a"}, None),
        ("s3:// bucket", None),
    ],
)
def test_an_alias_takes_a_uri_or_a_list_of_them(value, uris):
    assert uris_of(value) == uris


def test_what_is_a_uri():
    assert [is_uri(text) for text in ("x-own://a", "model", "/a/b", "s3:/a")] == [True, False, False, False]


@pytest.mark.parametrize(
    ("uri", "part"),
    [
        ("s3://b/nbjobs/d-train-7f3a91c2d0e4/model", "d-train-7f3a91c2d0e4"),
        ("s3://b/manual__2026-01-06T00:00:00+00:00/model", "manual__2026-01-06T00:00:00+00:00"),
        ("s3://b/day=2026-01-05/x", "2026-01-05"),
        ("s3://b/20260105.parquet", "20260105"),
        ("s3://b/2026/01/05", "2026/01/05"),
        ("s3://b/model", None),
        ("s3://b/model-2024-01-01", None),
    ],
)
def test_what_is_of_one_run_alone_is_found_in_a_uri(uri, part):
    moments = [None, datetime(2026, 1, 5, tzinfo=UTC)]
    texts = ["d-train-7f3a91c2d0e4", "manual__2026-01-06T00:00:00+00:00", ""]
    assert run_part(uri, texts, moments) == part


@pytest.mark.parametrize(
    ("text", "is_of_one_run"),
    [
        ("scheduled__2026-01-06T00:00:00+00:00", True),
        ("manual__2026-01-06T00:00:00+00:00_aB3dE9xY", True),  # Airflow >= 3.1
        ("asset_triggered__2026-01-06T00:00:00+00:00", True),
        ("train-2026-01-06-10-20-30-123", True),  # of SageMaker's SDK
        ("prod", False),
        ("p", False),
        ("train-v2", False),
        ("release-2026", False),
        ("manual__prod", False),
    ],
)
def test_a_name_that_somebody_has_chosen_may_be_that_of_a_folder(text, is_of_one_run):
    """A run triggered as ``prod`` has completed, and its model lies where each run writes it."""
    assert run_part(f"s3://acme/{text}/model", [text], []) == (text if is_of_one_run else None)


def test_a_value_that_just_fits_is_kept_and_one_more_byte_is_not():
    """Room for the names of what is left out is kept free."""
    fits = 1
    for step in (16_384, 8_192, 4_096, 2_048, 1_024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1):
        if "left_out" not in extra({"x": "y" * (fits + step)}):
            fits += step
    assert EXTRA_LIMIT_BYTES - 1200 < size(extra({"x": "y" * fits})) <= EXTRA_LIMIT_BYTES
    assert extra({"x": "y" * (fits + 1)})["left_out"] == ["outputs.x"]


def test_the_largest_values_are_left_out_first():
    third = EXTRA_LIMIT_BYTES // 3
    found = extra({"large": "x" * (third + 2000), "small": 1, "middle": "x" * third, "largest": "x" * (third + 4000)})
    assert list(found["outputs"]) == ["large", "small", "middle"]
    assert found["left_out"] == ["outputs.largest"]


def test_a_long_name_of_what_is_left_out_is_cut():
    found = extra({"n" * 500: "x" * 40_000})
    assert found["left_out"] == [("outputs." + "n" * 500)[:120]]


def test_what_is_not_ascii_is_counted_as_json_writes_it():
    found = extra({"a": "ä" * 5_000, "b": "ä" * 5_000})
    assert size(found) <= EXTRA_LIMIT_BYTES
    assert found["outputs"] == {"a": "ä" * 5_000}


def test_a_fact_is_cut_only_if_it_is_a_long_text():
    found = extra(facts=FACTS | {"job_arn": "x" * 1025, "status": "x" * 1024, "billable_seconds": 10**1100})
    assert (len(found["job_arn"]), len(found["status"])) == (1024, 1024)
    assert found["billable_seconds"] == 10**1100


def test_a_text_in_place_of_a_value_is_cut():
    found = extra(parameters={"given": {"x" * 5_000}})
    assert len(found["parameters"]["given"]) == 1024


def test_a_value_that_refers_to_itself_is_its_text():
    knot = []
    knot.append(knot)
    assert extra(parameters={"knot": knot})["parameters"] == {"knot": "[[...]]"}
