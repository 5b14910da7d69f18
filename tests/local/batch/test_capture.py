"""What data capture leaves behind: manifests where the guide puts them, inference ids in the output."""

from __future__ import annotations

import csv
import io
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from batch_jobs import json_lines

from airflow_nbjobs.local.batch.capture import CaptureError, append_inference_ids, build_manifest, manifest_uri

if TYPE_CHECKING:
    from batch_jobs import BatchJobs

STARTED = datetime(2022, 8, 30, 0, 49, 15, tzinfo=UTC).timestamp()


def with_ids(output: bytes, content_type: str = "application/json") -> bytes:
    return append_inference_ids(output, content_type=content_type, started=STARTED, new_id=lambda: "the-id")


def test_a_manifest_lies_under_the_hour_of_the_jobs_start() -> None:
    uri = manifest_uri("s3://bucket/capture/", "input", job_name="job", started=STARTED)
    assert uri == "s3://bucket/capture/input/2022/08/30/00/job.json"


def test_a_manifest_is_a_prefix_and_names_below_it() -> None:
    body = build_manifest("s3://bucket/in", ["b.csv", "a/é.csv"])
    assert json.loads(body) == [{"prefix": "s3://bucket/in/"}, "a/é.csv", "b.csv"]
    assert len(body.splitlines()) == 5


def test_ids_are_two_columns_of_csv() -> None:
    assert with_ids(b"0\n1,2\n", "text/csv") == b"0,the-id,2022-08-30T00:49:15Z\n1,2,the-id,2022-08-30T00:49:15Z\n"


def test_ids_are_two_members_of_json_and_a_bare_value_becomes_output() -> None:
    lines = with_ids(b'{"label": "A"}\n0\n').splitlines()
    ids = {"SageMakerInferenceId": "the-id", "SageMakerInferenceTime": "2022-08-30T00:49:15Z"}
    assert [json.loads(line) for line in lines] == [{"label": "A", **ids}, {"output": 0, **ids}]


def test_what_has_no_place_for_an_id_is_an_error() -> None:
    with pytest.raises(CaptureError, match="not the accept type 'application/x-npy'"):
        with_ids(b"", "application/x-npy")
    with pytest.raises(CaptureError, match="one JSON value on each line"):
        with_ids(b"{\n}\n")


@pytest.mark.local
def test_a_job_captures_input_and_output_as_manifests(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/a/one.jsonl", json_lines(2))
    batch.put("in/two.jsonl", json_lines(1))
    done = batch.transform(DataCaptureConfig={"DestinationS3Uri": batch.uri("captured")})
    assert done["TransformJobStatus"] == "Completed", done
    hour = f"{done['CreationTime'].astimezone(UTC):%Y/%m/%d/%H}"
    manifests = {name: json.loads(body) for name, body in batch.files("captured").items()}
    assert manifests == {
        f"input/{hour}/{batch.name}.json": [{"prefix": batch.uri("in/")}, "a/one.jsonl", "two.jsonl"],
        f"output/{hour}/{batch.name}.json": [{"prefix": batch.uri("out/")}, "a/one.jsonl.out", "two.jsonl.out"],
    }
    assert b"SageMakerInferenceId" not in b"".join(batch.files("out").values())


@pytest.mark.local
def test_an_input_that_is_one_object_has_its_folder_as_prefix(batch: BatchJobs) -> None:
    batch.create_model()
    source = {"S3DataType": "S3Prefix", "S3Uri": batch.put("in/input.jsonl", json_lines(1))}
    capture = {"DestinationS3Uri": batch.uri("captured")}
    done = batch.transform(TransformInput={"DataSource": {"S3DataSource": source}}, DataCaptureConfig=capture)
    assert done["TransformJobStatus"] == "Completed", done
    manifest = next(json.loads(body) for name, body in batch.files("captured").items() if name.startswith("input/"))
    assert manifest == [{"prefix": batch.uri("in/")}, "input.jsonl"]


@pytest.mark.local
def test_each_record_gets_an_id_of_its_own(batch: BatchJobs) -> None:
    batch.create_model("def model_fn(d): return d\ndef transform_fn(m, body, c, a): return '0.5,yes'")
    batch.put("in/input.jsonl", json_lines(3))
    capture = {"DestinationS3Uri": batch.uri("captured"), "GenerateInferenceId": True}
    done = batch.transform(TransformOutput={"Accept": "text/csv"}, DataCaptureConfig=capture)
    assert done["TransformJobStatus"] == "Completed", done
    rows = list(csv.reader(io.StringIO(batch.files("out")["input.jsonl.out"].decode())))
    assert [row[:2] for row in rows] == [["0.5", "yes"]] * 3
    assert len({uuid.UUID(row[2]) for row in rows}) == 3
    assert {row[3] for row in rows} == {f"{done['CreationTime'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}


@pytest.mark.local
def test_a_failed_job_captures_nothing(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/input.jsonl", b"no json\n")
    done = batch.transform(DataCaptureConfig={"DestinationS3Uri": batch.uri("captured")})
    assert done["TransformJobStatus"] == "Failed"
    assert batch.files("captured") == {}
