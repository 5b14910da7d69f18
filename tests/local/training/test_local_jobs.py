"""The pure parts: a job's document, its log's lines, the names of its input files, its environment."""

from __future__ import annotations

import functools
import io
import operator
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_nbjobs.local.container.image import is_pullable
from airflow_nbjobs.local.platform.logs import BATCH_BYTES, EVENT_BYTES, LineSplitter, split_batches
from airflow_nbjobs.local.platform.storage import (
    S3Location,
    StorageError,
    download,
    download_prefix,
    local_name,
    pack,
    parse_s3_uri,
)
from airflow_nbjobs.local.state.facts import build_facts, read_ready_file, write_ready_file
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.state.resource import Outcome

if TYPE_CHECKING:
    from pathlib import Path


def started() -> TrainingJob:
    request = {
        "TrainingJobName": "j",
        "AlgorithmSpecification": {"TrainingImage": "i", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://b/o/"},
        "Tags": [{"Key": "k", "Value": "v"}],
    }
    return new_job(request, arn="arn", now=100.0)


def test_what_has_not_happened_is_absent() -> None:
    document = started().describe()
    absent = {
        "TrainingStartTime",
        "TrainingEndTime",
        "TrainingTimeInSeconds",
        "BillableTimeInSeconds",
        "FailureReason",
        "Tags",
    }
    assert not absent & document.keys()
    assert document["SecondaryStatusTransitions"] == [
        {"Status": "Starting", "StartTime": 100.0, "StatusMessage": "Starting the training job"}
    ]
    assert document["ModelArtifacts"] == {"S3ModelArtifacts": "s3://b/o/j/output/model.tar.gz"}


def test_what_a_request_leaves_out_is_what_aws_takes_then() -> None:
    job = started()
    document = job.describe()
    assert document["AlgorithmSpecification"] == {
        "TrainingImage": "i",
        "TrainingInputMode": "File",
        "EnableSageMakerMetricsTimeSeries": False,
    }
    assert document["OutputDataConfig"] == {
        "S3OutputPath": "s3://b/o/",
        "KmsKeyId": "",
        "CompressionType": "GZIP",
    }
    given = {
        "AlgorithmSpecification": {
            "TrainingImage": "i",
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
        },
        "OutputDataConfig": {"S3OutputPath": "s3://b/o/", "KmsKeyId": "k", "CompressionType": "NONE"},
    }
    said = new_job(job.request | given, arn="arn", now=100.0).describe()
    assert {name: said[name] for name in given} == given


def test_each_transition_ends_where_the_next_begins() -> None:
    job = started().moved("Downloading", now=101.0).running(now=102.5).moved("Uploading", now=110.0)
    document = job.concluded(Outcome(), now=111.0).describe()
    times = [
        (entry["Status"], entry["StartTime"], entry["EndTime"]) for entry in document["SecondaryStatusTransitions"]
    ]
    assert times == [
        ("Starting", 100.0, 101.0),
        ("Downloading", 101.0, 102.5),
        ("Training", 102.5, 110.0),
        ("Uploading", 110.0, 111.0),
        ("Completed", 111.0, 111.0),
    ]
    assert (document["TrainingStartTime"], document["TrainingEndTime"], document["BillableTimeInSeconds"]) == (
        102.5,
        111.0,
        8,
    )


@pytest.mark.parametrize(
    ("is_stopping", "outcome", "expected"),
    [
        (False, Outcome(), ("Completed", "Completed", None)),
        (False, Outcome("AlgorithmError: x"), ("Failed", "Failed", "AlgorithmError: x")),
        (True, Outcome("AlgorithmError: , exit code: 143"), ("Stopped", "Stopped", None)),
        (True, Outcome(ran_too_long=True), ("Stopped", "MaxRuntimeExceeded", None)),
        (True, Outcome(), ("Stopped", "Stopped", None)),
    ],
)
def test_a_stop_outweighs_what_the_container_says(
    is_stopping: bool, outcome: Outcome, expected: tuple[str, str, str | None]
) -> None:
    job = started().running(now=101.0)
    done = (job.stopping(now=102.0) if is_stopping else job).concluded(outcome, now=103.0)
    assert (done.status, done.secondary_status, done.failure_reason) == expected


def test_a_failure_reason_is_cut_at_1024_characters() -> None:
    done = started().concluded(Outcome("é" * 2000), now=101.0)
    assert done.describe()["FailureReason"] == "é" * 1024


@given(st.binary(max_size=400), st.integers(1, 50))
def test_lines_arrive_whole_however_the_stream_is_cut(data: bytes, size: int) -> None:
    def lines(pieces: list[bytes]) -> list[str]:
        splitter = LineSplitter()
        return [event for piece in pieces for event in splitter.feed(piece)] + splitter.take_rest()

    assert lines([data[start : start + size] for start in range(0, len(data), size)]) == lines([data])


def test_a_progress_bar_is_shown_before_its_line_ends_and_other_lines_are_not() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"half a li") == []
    assert splitter.take_progress() == []
    assert splitter.feed(b"ne\n\rExecuting: 1/3") == ["half a line"]
    assert splitter.take_progress() == ["\rExecuting: 1/3"]
    assert splitter.feed(b"\rExecuting: 2/3\n\n") == ["\rExecuting: 2/3", " "]


def test_no_event_is_larger_than_cloudwatch_takes() -> None:
    events = LineSplitter().feed(b"x" * (EVENT_BYTES * 2 + 5) + b"\n")
    assert [len(event) for event in events] == [EVENT_BYTES, EVENT_BYTES, 5]


@given(st.lists(st.integers(1, EVENT_BYTES), max_size=12))
def test_batches_keep_the_order_and_cloudwatchs_limits(sizes: list[int]) -> None:
    events = [{"timestamp": n, "message": "x" * size} for n, size in enumerate(sizes)]
    batches = split_batches(events)
    assert functools.reduce(operator.iadd, batches, []) == events
    assert all(sum(len(event["message"]) + 26 for event in batch) <= BATCH_BYTES for batch in batches)


def test_many_small_events_are_split_by_count() -> None:
    assert [len(batch) for batch in split_batches([{"message": "x"}] * 25_000)] == [10_000, 10_000, 5_000]


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("in/report.ipynb", "in", "report.ipynb"),
        ("in/data/a.csv", "in/", "data/a.csv"),
        ("in/report.ipynb", "in/report.ipynb", "report.ipynb"),
        ("in2/a.csv", "in", "in2/a.csv"),
        ("x/in2/a.csv", "x/in", "in2/a.csv"),
        ("a.csv", "", "a.csv"),
    ],
)
def test_a_prefix_is_one_of_names_and_not_a_folder(key: str, prefix: str, name: str) -> None:
    assert local_name(key, prefix) == name


@pytest.mark.parametrize("key", ["in/../../etc/passwd", "in//etc/passwd"])
def test_a_key_cannot_leave_its_channels_folder(key: str) -> None:
    with pytest.raises(StorageError, match="leaves the channel's folder"):
        local_name(key, "in")


@pytest.mark.parametrize(
    "keys", [("in/a", "in/a/b"), ("in/a/b", "in/a"), ("in/" + "n" * 300,), ("in/a\0b",)], ids=ascii
)
def test_objects_that_cannot_lie_beside_one_another_as_files_are_a_failed_download(
    keys: tuple[str, ...], tmp_path: Path
) -> None:
    import boto3
    from moto import mock_aws

    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket="bucket")
        for key in keys:
            s3.put_object(Bucket="bucket", Key=key, Body=b"1")
        s3.get_paginator = lambda _: _Listed(keys)  # in either order: only S3's own is the alphabet's
        with pytest.raises(StorageError, match=f"Unable to download object s3://bucket/{keys[-1]} "):
            download_prefix(s3, "s3://bucket/in/", tmp_path)


def test_a_storage_that_does_not_answer_is_a_failed_download(tmp_path: Path) -> None:
    import boto3
    from botocore.config import Config

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen
        s3 = boto3.client(
            "s3",
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
            endpoint_url=f"http://127.0.0.1:{closed.getsockname()[1]}",
            config=Config(retries={"total_max_attempts": 1}),
        )
        with pytest.raises(StorageError, match="Unable to download object s3://bucket/in/a "):
            download(s3, "s3://bucket/in/a", tmp_path / "a")
        with pytest.raises(StorageError, match="Unable to download object s3://bucket/in/"):
            download_prefix(s3, "s3://bucket/in/", tmp_path)


class _Listed:
    def __init__(self, keys: tuple[str, ...]) -> None:
        self._keys = keys

    def paginate(self, **_: str) -> list[dict[str, list[dict[str, str]]]]:
        return [{"Contents": [{"Key": key} for key in self._keys]}]


def test_s3_uris_keep_what_looks_like_a_query_or_a_fragment() -> None:
    assert parse_s3_uri("s3://b/a?b#c/d") == S3Location("b", "a?b#c/d")
    assert parse_s3_uri("s3://b") == S3Location("b", "")


def test_an_archive_holds_the_folders_content_at_its_root(tmp_path: Path) -> None:
    import tarfile

    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "b").write_text("b")
    (tmp_path / "out" / "sub" / "a").write_text("a")
    pack(tmp_path / "out", tmp_path / "out.tar.gz")
    with tarfile.open(fileobj=io.BytesIO((tmp_path / "out.tar.gz").read_bytes())) as tar:
        assert tar.getnames() == ["b", "sub", "sub/a"]


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("819792524951.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-distribution-prod:4-cpu", True),
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/mine@sha256:0a", True),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/mine:1", False),
        ("python:3.12", False),
    ],
)
def test_only_images_of_the_region_can_be_pulled(image: str, expected: bool) -> None:
    assert is_pullable(image, "eu-west-1") is expected


def test_the_ready_file_is_the_owners_alone_and_comes_all_at_once(tmp_path: Path) -> None:
    facts = build_facts(port=1, region="eu-west-1", access_key_id="A", secret_access_key="S", isolation="none")
    path = tmp_path / "ready.json"
    write_ready_file(facts, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_ready_file(path) == facts
    assert [entry.name for entry in tmp_path.iterdir()] == ["ready.json"]
