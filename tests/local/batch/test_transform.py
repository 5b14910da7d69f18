"""Transform jobs that really run: the model's own inference code, in a container of its own."""

from __future__ import annotations

import contextlib
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_jobs import ECHO, BatchJobs, archive, json_lines, refusal
from local_jobs import CHANNEL, Jobs, wait_until

from airflow_nbjobs.local.batch.transform_worker import CSV, JSON, NPY, RecordError, _Defaults, split_batches
from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Iterator


def records(body: bytes) -> list[Any]:
    return [json.loads(line) for line in body.splitlines()]


@pytest.mark.local
def test_each_record_is_a_call_and_each_file_has_its_output_beside_its_name(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/a/one.jsonl", json_lines(3))
    batch.put("in/two.jsonl", json_lines(1))
    done = batch.transform()
    assert done["TransformJobStatus"] == "Completed", done
    assert done["TransformStartTime"] <= done["TransformEndTime"]
    outputs = {name: records(body) for name, body in batch.files("out").items()}
    assert outputs == {
        "a/one.jsonl.out": [{"double": 2 * x, "of": 1} for x in range(3)],
        "two.jsonl.out": [{"double": 0, "of": 1}],
    }


@pytest.mark.local
def test_an_input_that_is_one_object_is_named_after_it(batch: BatchJobs) -> None:
    batch.create_model()
    uri = batch.put("in/input.jsonl", json_lines(2))
    source = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": uri}}}
    assert batch.transform(TransformInput=source)["TransformJobStatus"] == "Completed"
    assert list(batch.files("out")) == ["input.jsonl.out"]


@pytest.mark.local
def test_many_records_go_into_one_call(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/input.jsonl", json_lines(5))
    done = batch.transform(BatchStrategy="MultiRecord", MaxPayloadInMB=1, MaxConcurrentTransforms=2)
    assert (done["TransformJobStatus"], done["MaxConcurrentTransforms"]) == ("Completed", 2)
    assert records(batch.files("out")["input.jsonl.out"]) == [{"double": 2 * x, "of": 5} for x in range(5)]


@pytest.mark.local
def test_without_a_split_the_file_is_the_record_and_nothing_is_added(batch: BatchJobs) -> None:
    batch.create_model(
        "def model_fn(d): return None\ndef transform_fn(model, body, kind, accept): return body[::-1], accept"
    )
    batch.put("in/input.bin", b"abc\ndef")
    plain = {"SplitType": "None", "ContentType": "application/octet-stream"}
    done = batch.transform(TransformInput=plain, TransformOutput={"AssembleWith": "None"}, BatchStrategy=None)
    assert done["TransformJobStatus"] == "Completed", done
    assert batch.files("out") == {"input.bin.out": b"fed\ncba"}


@pytest.mark.local
def test_the_code_sees_the_models_and_the_jobs_environment_and_the_platforms(batch: BatchJobs) -> None:
    names = "FROM_MODEL FROM_BOTH HOME SAGEMAKER_BATCH SAGEMAKER_BATCH_STRATEGY SAGEMAKER_MAX_PAYLOAD_IN_MB AWS_REGION"
    code = f"import os, json\ndef model_fn(d): return d\ndef transform_fn(m, b, c, a): return json.dumps([m, c, a, *map(os.environ.get, {names.split()})])"
    request = batch.model_request({"code/inference.py": code})
    request["PrimaryContainer"]["Environment"] = {"FROM_MODEL": "1", "FROM_BOTH": "1"}
    batch.sagemaker.create_model(**request)
    batch.put("in/input.jsonl", json_lines(1))
    # As with Docker, another HOME is another value: the container starts in the image's folder all the same.
    done = batch.transform(Environment={"FROM_BOTH": "2", "HOME": "/not/here"})
    assert done["TransformJobStatus"] == "Completed", done
    model_dir, *seen = records(batch.files("out")["input.jsonl.out"])[0]
    assert model_dir.endswith("ml/model")
    assert seen[:2] == ["application/json"] * 2
    assert seen[2:] == ["1", "2", "/not/here", "true", "SINGLE_RECORD", "6", batch.facts.region]


@pytest.fixture
def pickled(batch: BatchJobs) -> BatchJobs:
    """A scikit-learn model whose code has no more than model_fn; trained to double and add one."""
    from sklearn.linear_model import LinearRegression

    model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
    code = "import pickle\ndef model_fn(d):\n    with open(f'{d}/model.pickle', 'rb') as file:\n        return pickle.load(file)"
    files: dict[str, str | bytes] = {"code/inference.py": code, "model.pickle": pickle.dumps(model)}
    batch.sagemaker.create_model(**batch.model_request(files, repository="sagemaker-scikit-learn:1.2-1-cpu-py3"))
    return batch


@pytest.mark.local
def test_a_pickled_scikit_learn_model_needs_no_more_than_model_fn(pickled: BatchJobs) -> None:
    pickled.put("in/input.jsonl", b"[[2], [3]]")
    done = pickled.transform(BatchStrategy="MultiRecord")
    assert done["TransformJobStatus"] == "Completed", done
    assert records(pickled.files("out")["input.jsonl.out"]) == [pytest.approx([5.0, 7.0])]


@pytest.mark.local
@pytest.mark.slow  # the toolkit's own trap; that a failing predict fails the job is shown with other code
def test_one_column_of_csv_is_a_flat_array_to_numpy(pickled: BatchJobs) -> None:
    pickled.put("in/input.csv", b"2\n3\n")
    done = pickled.transform(
        BatchStrategy="MultiRecord",
        TransformInput={"ContentType": "text/csv"},
        TransformOutput={"Accept": "application/json"},
    )
    assert done["TransformJobStatus"] == "Failed"
    assert "Expected 2D array" in done["FailureReason"]


@pytest.mark.local
def test_code_may_be_an_archive_of_its_own(batch: BatchJobs) -> None:
    request = batch.model_request({"weights.json": '{"factor": 3}'}, repository="pytorch-inference:2.6-cpu")
    code = batch.put("sourcedir.tar.gz", archive({"serve.py": ECHO}))
    request["PrimaryContainer"]["Environment"] = {"SAGEMAKER_SUBMIT_DIRECTORY": code, "SAGEMAKER_PROGRAM": "serve.py"}
    batch.sagemaker.create_model(**request)
    batch.put("in/input.jsonl", json_lines(2))
    assert batch.transform()["TransformJobStatus"] == "Completed"
    assert records(batch.files("out")["input.jsonl.out"])[1]["double"] == 3


@pytest.mark.local
def test_a_model_without_inference_code_fails_and_says_so(batch: BatchJobs) -> None:
    batch.sagemaker.create_model(**batch.model_request({"weights.bin": b"1"}))
    batch.put("in/input.jsonl", json_lines(1))
    done = batch.transform()
    assert done["TransformJobStatus"] == "Failed"
    assert "has no code/inference.py" in done["FailureReason"]
    assert "huggingface-*-inference" in done["FailureReason"]
    assert "TransformStartTime" not in done


@pytest.mark.local
def test_a_record_that_fails_is_named_and_the_other_files_still_have_their_output(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/bad.jsonl", json_lines(2) + b'{"y": 1}\n' + json_lines(1))
    batch.put("in/good.jsonl", json_lines(2))
    done = batch.transform()
    assert done["TransformJobStatus"] == "Failed"
    assert "AlgorithmError: See job logs for more information" in done["FailureReason"]
    assert "'bad.jsonl', record 3: KeyError: 'x'" in done["FailureReason"]
    assert list(batch.files("out")) == ["good.jsonl.out"]
    log = batch.log("TransformJobs")
    assert "Traceback" in log
    assert 'return [{"double": model["factor"] * record["x"]' in log


@pytest.mark.local
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import no_such_module",
            "inference.py cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("def predict_fn(data, model): return data", "inference.py defines no model_fn(model_dir)"),
        ("def model_fn(d): raise OSError('no weights')", "model_fn of inference.py failed: OSError: no weights"),
        (f"{ECHO}\ndef transform_fn(m, b, c, a): return b", "it may have one or the other"),
        (
            "def model_fn(d): return d\ndef transform_fn(m, b, c, a): return 1",
            "transform_fn returned int, not str or bytes",
        ),
        (
            "def model_fn(d): return d\ndef transform_fn(m, b, c, a): import os; os._exit(9)",
            "the container ended with exit code 9",
        ),
    ],
    ids=["import", "no model_fn", "model_fn fails", "both ways", "no text", "dies"],
)
def test_code_that_breaks_the_contract_fails_the_job_with_what_is_wrong(
    batch: BatchJobs, code: str, words: str
) -> None:
    batch.create_model(code)
    batch.put("in/input.jsonl", json_lines(1))
    done = batch.transform()
    assert done["TransformJobStatus"] == "Failed"
    assert words in done["FailureReason"]
    assert batch.files("out") == {}


@pytest.mark.local
def test_a_call_that_takes_too_long_is_cut_and_repeated_as_often_as_was_asked(batch: BatchJobs) -> None:
    code = "import time\ndef model_fn(d): return d\ndef transform_fn(m, b, c, a):\n    print('called', flush=True)\n    time.sleep(60)"
    batch.create_model(code)
    batch.put("in/input.jsonl", json_lines(1))
    done = batch.transform(ModelClientConfig={"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 1})
    assert "record 1: TimeoutError: the call took longer than InvocationsTimeoutInSeconds" in done["FailureReason"]
    assert batch.log("TransformJobs").splitlines().count("called") == 2


@pytest.mark.local
def test_a_job_that_is_stopped_ends_as_stopped_and_leaves_no_output(batch: BatchJobs) -> None:
    batch.create_model("import time\ndef model_fn(d):\n    print('loading', flush=True)\n    time.sleep(600)")
    batch.put("in/input.jsonl", json_lines(1))
    batch.sagemaker.create_transform_job(**batch.transform_request())
    wait_until(lambda: "TransformStartTime" in batch.describe_transform())
    batch.sagemaker.stop_transform_job(TransformJobName=batch.name)
    done = batch.wait_transform()
    assert (done["TransformJobStatus"], "FailureReason" in done) == ("Stopped", False)
    assert batch.files("out") == {}
    code, message = refusal(batch.sagemaker.stop_transform_job, TransformJobName=batch.name)
    assert (code, message) == (
        "ValidationException",
        "The request was rejected because the transform job is in status Stopped.",
    )


@pytest.mark.local
def test_names_are_unique_and_unknown_ones_are_said_to_be(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/input.jsonl", json_lines(1))
    batch.transform()
    code, message = refusal(batch.sagemaker.create_transform_job, **batch.transform_request())
    assert (code, message[:23]) == ("ResourceInUse", "Job name must be unique")
    for call in (batch.sagemaker.describe_transform_job, batch.sagemaker.stop_transform_job):
        expected = ("ValidationException", "Could not find requested job with name: nobody")
        assert refusal(call, TransformJobName="nobody") == expected
    request = batch.transform_request(TransformJobName="other", ModelName="nobody")
    assert refusal(batch.sagemaker.create_transform_job, **request)[1].startswith("Could not find model")


@pytest.mark.local
def test_jobs_are_listed_by_page_status_and_tag(batch: BatchJobs) -> None:
    batch.create_model()
    batch.put("in/input.jsonl", json_lines(1))
    base = batch.name
    for suffix in "abc":
        batch.name = f"{base}-{suffix}"
        request = batch.transform_request(ModelName=base, Tags=[{"Key": "suffix", "Value": suffix}])
        request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] = f"s3://{batch.bucket}/{base}/in/"
        arn = batch.sagemaker.create_transform_job(**request)["TransformJobArn"]
        batch.wait_transform()
    listing = batch.sagemaker.get_paginator("list_transform_jobs").paginate(
        NameContains=base, StatusEquals="Completed", PaginationConfig={"PageSize": 2}
    )
    pages = [[job["TransformJobName"] for job in page["TransformJobSummaries"]] for page in listing]
    assert pages == [[f"{base}-c", f"{base}-b"], [f"{base}-a"]]  # the newest first, as documented
    assert batch.sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "suffix", "Value": "c"}]
    batch.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "more", "Value": ""}])
    assert len(batch.sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 2
    assert batch.sagemaker.list_transform_jobs(NameContains=base, StatusEquals="Failed")["TransformJobSummaries"] == []


@pytest.mark.local
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"DataProcessing": {"InputFilter": "$[1:]"}}, "does not support DataProcessing.InputFilter"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "does not support DataProcessing.JoinSource Input"),
        ({"TransformInput": {"SplitType": "RecordIO"}}, "does not support SplitType RecordIO: only None and Line"),
        ({"TransformInput": {"CompressionType": "Gzip"}}, "does not support TransformInput.CompressionType Gzip"),
        ({"TransformInput": {"SplitType": "None"}}, "BatchStrategy SingleRecord needs a SplitType"),
        ({"MaxPayloadInMB": 60, "MaxConcurrentTransforms": 2}, "must not exceed 100 MB"),
        ({"TransformResources": {"InstanceType": "ml.m5.huge"}}, "Member must satisfy enum value set"),
        ({"Environment": {f"K{n}": "" for n in range(17)}}, "Member must have length less than or equal to 16"),
        (
            {
                "TransformOutput": {"Accept": "text/plain"},
                "DataCaptureConfig": {"DestinationS3Uri": "s3://b/c", "GenerateInferenceId": True},
            },
            "GenerateInferenceId takes CSV, JSON and JSON lines",
        ),
    ],
    ids=["filter", "join", "split", "gzip", "single whole", "payload", "instance", "environment", "ids"],
)
def test_what_cannot_run_is_refused_when_the_job_is_made(batch: BatchJobs, changes: dict[str, Any], words: str) -> None:
    batch.create_model()
    batch.put("in/input.jsonl", json_lines(1))
    code, message = refusal(batch.sagemaker.create_transform_job, **batch.transform_request(**changes))
    assert code == "ValidationException"
    assert words in message


@pytest.mark.local
def test_input_that_is_not_there_is_refused_when_the_job_is_made(batch: BatchJobs) -> None:
    batch.create_model()
    code, message = refusal(batch.sagemaker.create_transform_job, **batch.transform_request())
    assert code == "ValidationException"
    assert "No S3 objects found under S3 URL" in message


@pytest.mark.local
def test_without_namespaces_a_job_runs_on_its_own_folders_and_none_outlives_the_server() -> None:
    """The way of macOS, and of most Docker containers."""
    with EmbeddedSageMaker(isolation="none", jobs=1) as server:
        batch = BatchJobs(Jobs(server))
        batch.create_model()
        batch.put("in/input.jsonl", json_lines(2))
        assert batch.transform()["TransformJobStatus"] == "Completed"
        assert records(batch.files("out")["input.jsonl.out"])[1]["double"] == 2
        batch.put("train.csv", b"x\n1\n2\n")
        done = batch.process()
        assert done["ProcessingJobStatus"] == "Completed", done
        assert set(batch.files("baseline")) == {"statistics.json", "constraints.json"}
        endless = start_endless(BatchJobs(Jobs(server)))
        assert bool(processes_with(endless)) is HAS_PROC
    wait_until(lambda: not processes_with(endless), seconds=5)


HAS_PROC = Path("/proc/self/environ").exists()  # which is where the processes of a job are found


def start_endless(batch: BatchJobs) -> str:
    """Return when a job without end runs; what is in the environment of its processes."""
    batch.create_model("import time\ndef model_fn(d): time.sleep(600)")
    batch.put("in/input.jsonl", json_lines(1))
    batch.sagemaker.create_transform_job(**batch.transform_request(Environment={"MARK": batch.name}))
    wait_until(lambda: processes_with(batch.name) if HAS_PROC else "TransformStartTime" in batch.describe_transform())
    return batch.name


@pytest.fixture(scope="module")
def one_slot() -> Iterator[Jobs]:
    with EmbeddedSageMaker(jobs=1) as server:
        yield Jobs(server)


@pytest.mark.local
def test_a_notebook_can_wait_for_the_transform_job_that_it_starts(one_slot: Jobs) -> None:
    """Also where one job runs at once: the transform job must not wait for the slot that its notebook holds."""
    batch = BatchJobs(one_slot)
    batch.create_model()
    batch.put("in/input.jsonl", json_lines(1))
    code = f"""import boto3, json
sagemaker = boto3.client("sagemaker")
sagemaker.create_transform_job(**json.loads({json.dumps(batch.transform_request())!r}))
sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
    TransformJobName={batch.name!r}, WaiterConfig={{"Delay": 1, "MaxAttempts": 30}}
)"""
    program = one_slot.algorithm(
        "python", f"/opt/ml/input/data/{CHANNEL}/wait.py"
    )  # a notebook's cell, without its kernel
    done = one_slot.run({"wait.py": code.encode()}, AlgorithmSpecification=program)
    assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
    assert batch.describe_transform()["TransformJobStatus"] == "Completed"


@pytest.mark.local
def test_a_job_that_waits_for_its_turn_stops_at_once(one_slot: Jobs) -> None:
    running, waiting = BatchJobs(one_slot), BatchJobs(one_slot)
    for batch in (running, waiting):
        batch.create_model("import time\ndef model_fn(d): time.sleep(600)")
        batch.put("in/input.jsonl", json_lines(1))
        batch.sagemaker.create_transform_job(**batch.transform_request())
    wait_until(lambda: "TransformStartTime" in running.describe_transform())
    waiting.sagemaker.stop_transform_job(TransformJobName=waiting.name)
    done = waiting.describe_transform()
    assert (done["TransformJobStatus"], "TransformStartTime" in done) == ("Stopped", False)
    running.sagemaker.stop_transform_job(TransformJobName=running.name)
    assert running.wait_transform()["TransformJobStatus"] == "Stopped"


@pytest.mark.local
def test_hugging_face_code_without_its_own_functions_has_the_toolkits(batch: BatchJobs) -> None:
    batch.create_model("def model_fn(d): return lambda inputs, **options: [{'label': inputs.upper(), **options}]")
    batch.put("in/input.jsonl", b'{"inputs": "so happy", "parameters": {"top_k": 1}}\n{"inputs": "sad"}\n')
    done = batch.transform()
    assert done["TransformJobStatus"] == "Completed", done
    expected = [[{"label": "SO HAPPY", "top_k": 1}], [{"label": "SAD"}]]
    assert records(batch.files("out")["input.jsonl.out"]) == expected


@pytest.mark.local
@pytest.mark.slow  # a server of its own; without namespaces, where no kernel ends a tree, it is shown above
@pytest.mark.skipif(not HAS_PROC, reason="finds the job's processes in /proc")
def test_no_job_outlives_the_server() -> None:
    with EmbeddedSageMaker(jobs=1) as server:
        endless = start_endless(BatchJobs(Jobs(server)))
    wait_until(lambda: not processes_with(endless), seconds=5)


def processes_with(mark: str) -> set[int]:
    """Return the processes of this machine that have a text in their environment."""
    found = set()
    for entry in Path("/proc").iterdir() if HAS_PROC else ():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes():
                    found.add(int(entry.name))
    return found


def test_without_functions_of_its_own_a_model_takes_and_gives_json_csv_and_npy() -> None:
    import numpy as np

    defaults, rows = _Defaults("sklearn"), [[1.5, 2.0], [3.0, 4.25]]
    written = {accept: defaults.output_fn(np.array(rows), accept) for accept in (JSON, CSV, NPY)}
    assert written[CSV] == "1.5,2.0\n3.0,4.25\n"
    assert {accept: defaults.input_fn(body, accept).tolist() for accept, body in written.items()} == {
        JSON: rows,
        CSV: rows,
        NPY: rows,
    }
    assert defaults.output_fn(np.array(["shop", "web"]), CSV) == "shop\nweb\n", "labels are texts"
    with pytest.raises(ValueError, match=r"no default input_fn for the content type 'text/plain'"):
        defaults.input_fn("x", "text/plain")
    with pytest.raises(ValueError, match=r"no default output_fn for the accept type 'text/plain'"):
        defaults.output_fn(np.array(rows), "text/plain")


def split(data: bytes, **changes: Any) -> list[tuple[bytes, int, int]]:
    arguments: dict[str, Any] = {"is_split": True, "is_single": False, "max_payload_bytes": 0, **changes}
    return [(batch.body, batch.first, batch.count) for batch in split_batches(data, **arguments)]


def test_a_single_record_comes_without_its_lines_end() -> None:
    assert split(b"a\nb\r\nc", is_single=True) == [(b"a", 1, 1), (b"b", 2, 1), (b"c", 3, 1)]


def test_several_records_fill_a_call_up_to_the_payload() -> None:
    assert split(b"aa\nbb\ncc\n", max_payload_bytes=6) == [(b"aa\nbb\n", 1, 2), (b"cc\n", 3, 1)]
    assert split(b"aa\nbb\n") == [(b"aa\nbb\n", 1, 2)]


def test_a_record_over_the_payload_is_named() -> None:
    with pytest.raises(RecordError, match="record 2 has 9 bytes"):
        split(b"a\nbbbbbbbb\n", max_payload_bytes=4)


def test_an_empty_file_has_no_records_and_a_whole_one_is_one() -> None:
    assert split(b"") == []
    assert split(b"a\nb\n", is_split=False) == [(b"a\nb\n", 1, 1)]
