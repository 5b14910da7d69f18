"""What a finished job left behind, and the error that explains a failure."""

import io
import json
import os
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from fakes import ACCOUNT_ID, FakeClients, archive, code, executed, failed_at, job_request, notebook

from airflow_nbjobs.aws.results.read import Expectation, read_result
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
)
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.values.outputs import declare_outputs

JOB = "d-t-0123456789ab"
PLACE = JobLocation("s3://bucket/nbjobs", JOB)
RAW = notebook("x = 1", {"cell_type": "markdown", "source": "text", "metadata": {}}, code("y = x / 0", "risky"))


@pytest.fixture
def clients():
    clients = FakeClients()
    clients.jobs.create(job_request(JOB, PLACE.root, {"NBJOBS_NOTEBOOK_SHA256": "abc"}))
    clients.logs.lines[JOB] = ["+ set -e", "Traceback", "boom"]
    return clients


@pytest.fixture
def read(clients):
    """Lets the job end and reads what it left behind."""

    def run(
        status, *, secondary=None, reason="", members=None, outputs=None, return_output=None, now=None, started=True
    ):
        clients.jobs.set_status(JOB, status, secondary, reason)
        if not started:
            del clients.jobs.descriptions[JOB]["TrainingStartTime"]
        if members is not None:
            body = members if isinstance(members, bytes) else archive(members)
            clients.objects.put(PLACE.output_archive_uri, body, kms_key=None)
        expected = Expectation(
            label="d.t",
            input_notebook="nb.ipynb",
            declared=declare_outputs(outputs, return_output),
            parameters_text="{'day': 1}",
        )
        return read_result(clients.jobs.describe(JOB), PLACE, expected, clients, now=now)

    return run


@pytest.fixture
def opened(clients, monkeypatch):
    """Bytes read, by the object that they were read from."""
    read_bytes = {}
    open_ = clients.objects.open

    class Counted(io.BytesIO):
        def __init__(self, uri, body):
            super().__init__(body)
            self.uri = uri

        def read(self, size=-1):
            part = super().read(size)
            read_bytes[self.uri] = read_bytes.get(self.uri, 0) + len(part)
            return part

    def counted(uri):
        stream = open_(uri)
        return None if stream is None else Counted(uri, stream.read())

    monkeypatch.setattr(clients.objects, "open", counted)
    return read_bytes


def as_run(raw, *, status="completed"):
    """Return an executed notebook with papermill's word on its cells; the last one's is ``status``."""
    content = json.loads(raw)
    cells = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        cell["metadata"]["papermill"] = {"status": "completed"}
    cells[-1]["metadata"]["papermill"] = {"status": status}
    return json.dumps(content).encode()


def notebook_member(content):
    return {f"{JOB}.ipynb": content}


# -- success -----------------------------------------------------------------------------------------------------------


LARGE = {"weights.bin": os.urandom(12_000_000)}


def test_of_a_live_job_with_a_large_archive_only_the_copy_is_read(read, clients, opened):
    clients.jobs.descriptions[JOB]["Environment"]["NBJOBS_LIVE_NOTEBOOK"] = "1"
    ran = as_run(executed(RAW, {"accuracy": 0.9}))
    clients.objects.bodies[PLACE.live_notebook_uri] = ran
    result = read("Completed", members=archive(LARGE | notebook_member(ran), level=0), outputs=["accuracy"])
    assert (result.error, result.outputs, result.executed_notebook) == (None, {"accuracy": 0.9}, ran)
    assert opened == {PLACE.live_notebook_uri: len(ran)}


@pytest.mark.parametrize(
    "live",
    [
        as_run(executed(RAW, {"accuracy": 0.1}), status="running"),
        as_run(executed(RAW, {"accuracy": 0.1}))[:-5],
        b"",
        None,
    ],
    ids=["not at its end", "cut", "empty", "none"],
)
@pytest.mark.parametrize("is_denied", [False, True])
def test_a_live_copy_that_is_not_the_whole_is_not_the_executed_notebook(read, clients, live, is_denied):
    clients.jobs.descriptions[JOB]["Environment"]["NBJOBS_LIVE_NOTEBOOK"] = "1"
    if live is not None:
        clients.objects.bodies[PLACE.live_notebook_uri] = live
    if is_denied:
        clients.objects.denied.add(PLACE.live_notebook_uri)
    ran = as_run(executed(RAW, {"accuracy": 0.9}))
    result = read("Completed", members=archive(LARGE | notebook_member(ran), level=0), outputs=["accuracy"])
    assert (result.outputs, result.executed_notebook, result.warnings) == ({"accuracy": 0.9}, ran, ())


def test_a_completed_job_gives_facts_outputs_and_notebook(read):
    ran = executed(RAW, {"accuracy": 0.9, "rows": 5})
    result = read("Completed", members=notebook_member(ran), outputs=["accuracy", "rows"])
    assert result.error is None
    assert result.outputs == {"accuracy": 0.9, "rows": 5}
    assert result.executed_notebook == ran
    assert result.warnings == ()
    assert result.facts == {
        "job_name": JOB,
        "job_arn": f"arn:aws:sagemaker:eu-west-1:{ACCOUNT_ID}:training-job/{JOB}",
        "status": "Completed",
        "input_notebook": "nb.ipynb",
        "notebook_sha256": "abc",
        "executed_notebook_uri": PLACE.executed_notebook_uri,
        "output_archive_uri": PLACE.output_archive_uri,
        "instance_type": "ml.m5.large",
        "started_at": "2026-11-22T03:00:00+00:00",
        "ended_at": "2026-11-22T03:01:30+00:00",
        "duration_seconds": 90.0,
        "billable_seconds": 90,
    }


def test_a_job_without_declared_outputs_needs_no_record(read):
    result = read("Completed", members=notebook_member(executed(RAW)))
    assert (result.error, result.outputs) == (None, {})


@pytest.mark.parametrize(
    ("record", "declared", "text"),
    [
        ({"bad": {"type": "None", "error": "missing"}}, ["bad"], "output 'bad' is not a variable of the notebook"),
        ({"bad": "text"}, {"bad": float}, "output 'bad' is a str"),
        (
            {"bad": {"type": "builtins.str", "error": "too-large"}},
            ["bad"],
            "larger than 48 KiB as JSON; write it to S3",
        ),
        ({"bad": "x" * 50_000}, ["bad"], "larger than 48 KiB"),
        (
            {"bad": {"type": "pandas.core.frame.DataFrame", "error": "unsupported"}},
            ["bad"],
            "write it to S3 and output its URI",
        ),
    ],
    ids=["missing", "wrong-type", "too-large", "forged-too-large", "unsupported"],
)
def test_a_wrong_output_fails_the_task_with_its_name_and_the_right_ones_are_returned(read, record, declared, text):
    types = {"good": int} | (declared if isinstance(declared, dict) else dict.fromkeys(declared, str))
    names = types if isinstance(declared, dict) else ["good", *declared]
    result = read("Completed", members=notebook_member(executed(RAW, {"good": 1} | record)), outputs=names)
    assert result.outputs == {"good": 1}
    assert type(result.error) is NotebookOutputError
    (problem,) = result.error.problems
    assert problem.startswith("output 'bad'")
    assert text in problem
    assert "completed, but an output is wrong" in str(result.error)
    assert result.error.details["executed"] == PLACE.executed_notebook_uri


def test_a_notebook_that_ended_itself_before_its_last_cell_is_an_error_that_names_the_last_that_ran(read):
    """``sys.exit(0)`` in a cell is a success for papermill."""
    ran = executed(notebook("x = 1", "import sys; sys.exit(0)"), outputs=("x",))
    result = read("Completed", members=notebook_member(ran), outputs=["x"])
    assert type(result.error) is NotebookOutputError
    assert "'x' not recorded" in result.error.problems[0]


# -- no executed notebook ----------------------------------------------------------------------------------------------


def test_completed_without_an_executed_notebook_is_a_failure_that_says_why_it_may_be(read):
    result = read("Completed", members={"sagemaker_job_execution.log": b"x"})
    assert type(result.error) is NotebookOutputError
    text = str(result.error)
    assert "completed without an executed notebook" in text
    assert f"'{JOB}.ipynb' is not in {PLACE.output_archive_uri}" in text
    assert "init script that exits with 0" in text
    assert result.facts["executed_notebook_uri"] is None


def test_completed_without_an_archive_says_so(read):
    result = read("Completed")
    assert type(result.error) is NotebookOutputError
    assert f"there is no {PLACE.output_archive_uri}" in str(result.error)


@pytest.mark.parametrize("body", [b"no archive", b""])
def test_a_damaged_archive_is_said(read, body):
    result = read("Completed", members=body)
    assert type(result.error) is NotebookOutputError
    assert "damaged or cut off" in str(result.error)


@pytest.mark.parametrize("content", [b"no json", b"{}", b"[]", b'{"nbformat": 4, "cells": 5}'])
def test_an_executed_notebook_that_is_none_is_kept_and_said(read, content):
    result = read("Completed", members=notebook_member(content))
    assert type(result.error) is NotebookOutputError
    assert result.executed_notebook == content
    assert any("cannot be read" in warning for warning in result.warnings)


def test_results_that_cannot_be_read_are_raised_so_that_a_retry_reads_again(read, clients):
    clients.objects.put(PLACE.output_archive_uri, b"", kms_key=None)
    clients.objects.denied.add(PLACE.output_archive_uri)
    with pytest.raises(NotebookJobServiceError, match="AccessDenied on s3:GetObject"):
        read("Completed")


# -- a failed cell -----------------------------------------------------------------------------------------------------


def test_a_failed_cell_is_named_with_the_four_facts(read):
    """What happened, which notebook and cell, where to look, what to do: at 3 a.m., in the task's log."""
    trace = ("\x1b[31mZeroDivisionError\x1b[0m  Traceback", "----> 1 y = x / 0")
    ran = failed_at(RAW, 3, "ZeroDivisionError", "division by zero", trace)
    result = read("Failed", reason="AlgorithmError: [SM-111] Error", members=notebook_member(ran))
    error = result.error
    assert type(error) is NotebookCellError
    assert (error.cell, error.ename, error.evalue, error.job_name) == (3, "ZeroDivisionError", "division by zero", JOB)
    assert error.headline == f"Notebook job '{JOB}' failed in cell 3: ZeroDivisionError: division by zero"
    text = str(error)
    for part in (
        "notebook:   nb.ipynb",
        f"executed:   {PLACE.executed_notebook_uri}",
        f"/aws/sagemaker/TrainingJobs {JOB}/algo-1",
        "{'day': 1}",
        "risky",
        "y = x / 0",
        "----> 1 y = x / 0",
        "open the executed notebook at cell 3",
    ):
        assert part in text
    assert "\x1b" not in text
    assert result.executed_notebook == ran


@pytest.mark.parametrize("megabytes", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("part", ["x y\n", "1%|"], ids=["lines", "progress bars"])
def test_an_exceptions_text_of_megabytes_is_no_error_of_megabytes(read, clients, part, megabytes):
    text = part * (megabytes * 1_000_000 // len(part))
    clients.logs.lines[JOB] = [text]
    raw = json.loads(failed_at(RAW, 3, "ValueError", text, ("Traceback", text, f"ValueError: {text}")))
    raw["cells"][-1]["outputs"].insert(0, {"output_type": "stream", "name": "stderr", "text": text})
    result = read("Failed", members=notebook_member(json.dumps(raw).encode()))
    error = result.error
    assert type(error) is NotebookCellError
    assert len(str(error)) + len(pickle.dumps(error)) + len("".join(result.log_tail)) < 300_000
    assert "failed in cell 3: ValueError" in error.headline


def test_a_long_cell_is_shown_by_its_ends(read):
    source = "\n".join(f"line_{n} = {n}" for n in range(100))
    ran = failed_at(notebook(source), 1, "ValueError", "no")
    text = str(read("Failed", reason="AlgorithmError: x", members=notebook_member(ran)).error)
    assert "line_0 = 0" in text
    assert "line_99 = 99" in text
    assert "line_50" not in text
    assert "…" in text


def test_a_failed_job_whose_cells_are_fine_shows_the_log(read):
    result = read("Failed", reason="AlgorithmError: , exit code: 137", members=notebook_member(executed(RAW)))
    assert type(result.error) is NotebookJobError
    text = str(result.error)
    assert "failed outside its cells" in text
    assert "boom" in text
    assert "cell 3 was the last that ran" in text
    assert "AlgorithmError: , exit code: 137" in text


def test_a_failed_job_without_an_archive_still_has_its_reason_and_log(read):
    result = read("Failed", reason="AlgorithmError: [SM-101] Error with running init script")
    assert "SM-101" in str(result.error)
    assert "boom" in str(result.error)


# -- other ends --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "secondary", "reason", "error_type", "text", "remedy"),
    [
        ("Stopped", "MaxRuntimeExceeded", "", NotebookJobTimeoutError, "MaxRuntimeExceeded", "max_runtime_in_seconds"),
        ("Stopped", "MaxWaitTimeExceeded", "", NotebookJobTimeoutError, "MaxWaitTimeExceeded", "max_runtime"),
        ("Stopped", "Stopped", "", NotebookJobStoppedError, "stopped by somebody", "clear the task"),
        (
            "Failed",
            None,
            "CapacityError: Unable to provision",
            NotebookJobCapacityError,
            "Unable to provision",
            "another instance type",
        ),
        ("Failed", None, "InternalServerError: sorry", NotebookJobServiceError, "sorry", "retry"),
        ("Failed", None, "ClientError: Cannot pull", NotebookJobConfigError, "Cannot pull", "check the image"),
        ("Failed", None, "NewError: odd", NotebookJobConfigError, "NewError: odd", "check"),
        ("Failed", None, "", NotebookJobConfigError, "Failed", "check"),
    ],
)
def test_every_way_to_end_has_its_error(read, status, secondary, reason, error_type, text, remedy):  # noqa: PLR0917 - the columns of its table
    error = read(status, secondary=secondary, reason=reason).error
    assert type(error) is error_type
    assert text in error.headline
    assert remedy in error.details["next"]
    assert error.job_name == JOB


def test_a_fault_of_the_platform_is_worth_a_retry(read):
    error = read("Failed", reason="InternalServerError: sorry").error
    assert error.is_retryable


def test_a_stopped_job_keeps_the_notebook_as_far_as_it_came(read):
    ran = executed(RAW)
    result = read("Stopped", secondary="MaxRuntimeExceeded", members=notebook_member(ran))
    assert result.executed_notebook == ran


def test_an_image_without_the_driver_says_how_to_install_it(read):
    """SageMaker words it as a failed upload of artifacts."""
    reason = (
        "ClientError: Artifact upload failed:API error (400): OCI runtime create failed: exec: "
        '"amazon_sagemaker_scheduler": executable file not found in $PATH: unknown'
    )
    error = read("Failed", reason=reason).error
    assert "install_driver=True" in error.details["next"]


@pytest.mark.parametrize(
    ("reason", "line", "advice"),
    [
        ("AlgorithmError: , exit code: 137", "", "use a larger instance_type"),
        (
            "AlgorithmError: [SM-111] Error",
            "nbclient.exceptions.DeadKernelError: Kernel died",
            "use a larger instance_type",
        ),
        (
            "AlgorithmError: [SM-111] Error",
            "jupyter_client.kernelspec.NoSuchKernel: No such kernel named x",
            "set kernel_name",
        ),
        ("AlgorithmError: [SM-101] Error with running init script ++ x", "", "initialization_script failed"),
        ("AlgorithmError: [SM-111] Error", 'ExporterNameError: Unknown exporter "x"', "has run to its end"),
        ("AlgorithmError: [SM-111] Error", "something else", "kernel, init script or image"),
    ],
)
def test_a_failure_that_no_cell_shows_says_what_to_do(read, clients, reason, line, advice):
    clients.logs.lines[JOB] = ["Executing: 100%", line]
    assert advice in read("Failed", reason=reason).error.details["next"]


# -- the log -----------------------------------------------------------------------------------------------------------


def test_the_tail_is_what_the_container_wrote_without_the_shells_traces(read):
    assert read("Completed", members=notebook_member(executed(RAW))).log_tail == ("Traceback", "boom")


def test_a_failure_shows_more_of_the_log_than_a_success(read, clients):
    clients.logs.lines[JOB] = [f"line {n}" for n in range(100)]
    failed = read("Failed", reason="AlgorithmError: x").log_tail
    completed = read("Completed").log_tail
    assert len(failed) > len(completed) > 0
    assert failed[-1] == completed[-1] == "line 99"


@pytest.mark.parametrize(
    "cloudwatch", [None, NotebookJobServiceError("AccessDenied on logs:GetLogEvents", code="AccessDenied")]
)
def test_where_cloudwatch_gives_nothing_the_archives_log_is_shown_and_said(read, clients, cloudwatch):
    """A denied comfort must not fail a job that succeeded."""
    clients.logs.lines.clear()
    clients.logs.error = cloudwatch
    members = notebook_member(executed(RAW)) | {"sagemaker_job_execution.log": b"from the archive\n"}
    result = read("Completed", members=members)
    assert result.error is None
    assert result.log_tail == ("from the archive",)
    assert any("output.tar.gz" in warning for warning in result.warnings)
    assert any("logs:GetLogEvents" in warning for warning in result.warnings) is (cloudwatch is not None)


def test_an_unreachable_log_is_a_warning_also_when_its_client_crashes_on_the_request(read, clients):
    clients.logs.error = NotebookJobConfigError("no AWS credentials for logs:GetLogEvents")
    result = read("Completed", members=notebook_member(executed(RAW)))
    assert result.error is None
    assert "CloudWatch log not read" in result.warnings[0]


# -- what a hostile or broken notebook leaves --------------------------------------------------------------------------


def glue(name, value):
    data = {"application/scrapbook.scrap.json+json": {"name": name, "data": value, "encoder": "json", "version": 1}}
    return [{"output_type": "display_data", "metadata": {}, "data": data}]


GLUED = failed_at(
    notebook(code("glue", outputs=glue("accuracy", 0.5)), code("glue", outputs=glue("rows", "many")), "y = 1 / 0"),
    3,
    "ZeroDivisionError",
    "division by zero",
)


@pytest.mark.parametrize(("status", "secondary"), [("Failed", None), ("Stopped", "MaxRuntimeExceeded")])
def test_what_was_glued_before_the_end_is_returned_and_the_rest_said_to_be_unknown(read, status, secondary):
    result = read(
        status,
        secondary=secondary,
        reason="AlgorithmError: x",
        members=notebook_member(GLUED),
        outputs={"accuracy": float, "rows": int, "model_uri": str},
    )
    assert result.outputs == {"accuracy": 0.5}, "rows is no int"
    said = result.error.details["outputs"]
    assert said.startswith("accuracy: glued before the end, pushed")
    assert "rows, model_uri: not known, since variables are recorded after the last cell" in said


def test_without_declared_outputs_a_failure_says_nothing_of_them(read):
    result = read("Failed", reason="AlgorithmError: x", members=notebook_member(GLUED))
    assert result.outputs == {}
    assert "outputs" not in result.error.details


@pytest.mark.parametrize("value", ["a\0b", "\ud800", {"k": ["\udfff"]}, {"\0": 1}], ids=ascii)
def test_a_text_that_airflow_cannot_store_is_a_problem_of_its_own_output(read, value):
    """PostgreSQL refuses NUL, UTF-8 half a surrogate pair: the push would fail, and every later output with it."""
    result = read(
        "Completed", members=notebook_member(executed(RAW, {"bad": value, "good": 1})), outputs=["bad", "good"]
    )
    assert result.outputs == {"good": 1}
    (problem,) = result.error.problems
    assert problem.startswith("output 'bad' holds")
    str(result.error).encode()


def test_an_exception_with_such_a_text_is_still_told(read):
    ran = failed_at(notebook("x = '\ud800\0'"), 1, "Odd\0Error", "\ud800", ("\udfff\0",))
    error = read("Failed", reason="AlgorithmError: x", members=notebook_member(ran)).error
    assert type(error) is NotebookCellError
    text = str(error)
    text.encode()
    assert "\0" not in text
    assert "Odd" in error.ename


DEEP = b'{"nbformat": 4, "nbformat_minor": 4, "metadata": %s, "cells": [{"cell_type": "code", "source": "", "metadata": {}, "outputs": [], "execution_count": 1}]}'


@pytest.mark.parametrize("depth", [500, 900, 5_000, 100_000])
def test_a_notebook_nested_without_end_harms_nobody(read, depth):
    nested = DEEP % (b'{"a":' * depth + b"1" + b"}" * depth)
    for status in ("Completed", "Failed"):
        result = read(status, reason="AlgorithmError: x", members=notebook_member(nested), outputs=["x"])
        assert result.error is not None
        assert result.executed_notebook == nested


@pytest.mark.parametrize("depth", [300, 900, 20_000])
def test_an_output_nested_without_end_is_a_problem_and_the_others_are_returned(read, depth):
    deep = {"type": "builtins.list", "json": "[" * depth + "]" * depth}
    result = read(
        "Completed", members=notebook_member(executed(RAW, {"deep": deep, "good": 1})), outputs=["deep", "good"]
    )
    assert result.outputs["good"] == 1
    if "deep" not in result.outputs:
        assert "output 'deep'" in result.error.problems[0]


def test_an_executed_notebook_that_is_none_is_named_and_saved(read):
    result = read("Completed", members=notebook_member("Schlüssel".encode("latin-1")))
    text = str(result.error)
    assert "completed, but its executed notebook is none" in text
    assert "not UTF-8" in text
    assert "its 9 bytes as they are" in text
    assert PLACE.executed_notebook_uri in text


def test_an_archive_that_may_only_be_late_is_asked_for_again(read, clients):
    """A job that has just ended: its results are paid for, and may be a moment behind its status."""
    at_end = datetime(2026, 11, 22, 3, 1, 30, tzinfo=UTC)
    with pytest.raises(NotebookJobServiceError, match="is not in S3 yet") as caught:
        read("Completed", now=at_end + timedelta(seconds=30))
    assert caught.value.is_retryable
    assert type(read("Completed", now=at_end + timedelta(seconds=61)).error) is NotebookOutputError
    damaged = read("Completed", members=b"no archive", now=at_end)
    assert "damaged or cut off" in str(damaged.error), "it is there, and will not change"


def test_a_job_that_was_stopped_may_have_left_nothing_and_is_not_waited_for(read):
    at_end = datetime(2026, 11, 22, 3, 1, 30, tzinfo=UTC)
    assert type(read("Stopped", now=at_end).error) is NotebookJobStoppedError


def test_a_job_that_never_had_an_instance_has_no_archive_to_wait_for(read, clients):
    clients.jobs.descriptions[JOB]["SecondaryStatusTransitions"] = []
    result = read(
        "Failed", reason="CapacityError: none", now=datetime(2026, 11, 22, 3, 1, 30, tzinfo=UTC), started=False
    )
    assert type(result.error) is NotebookJobCapacityError


# -- without the archive: the copy that was made as it ran --------------------------------------------------------------

NO_ARCHIVE = "no archive"


def running(raw, *, last="running"):
    """Return a notebook as its live copy has it: every cell has run but the last one of code."""
    content = json.loads(as_run(raw, status=last))
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"]["papermill"]["start_time"] = "2026-11-22T03:00:10"
    return json.dumps(content).encode()


@pytest.fixture
def live(clients):
    """Lets the job be one with ``live_notebook``, whose copy this is."""

    def made(body):
        clients.jobs.descriptions[JOB]["Environment"]["NBJOBS_LIVE_NOTEBOOK"] = "1"
        clients.objects.bodies[PLACE.live_notebook_uri] = body
        return body

    return made


BROKEN = {
    NO_ARCHIVE: None,
    "an archive without it": {"other.txt": b"x"},
    "a cut archive": archive({"big.bin": os.urandom(200_000), f"{JOB}.ipynb": RAW})[:60_000],
    "no archive at all": b"<html>",
    "a notebook that is cut": {f"{JOB}.ipynb": RAW[:-20]},
    "an empty notebook": {f"{JOB}.ipynb": b""},
}


@pytest.mark.parametrize("members", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize(
    ("status", "secondary"), [("Failed", None), ("Stopped", None), ("Stopped", "MaxRuntimeExceeded")]
)
def test_without_the_executed_notebook_the_live_copy_is_handed_over(read, live, members, status, secondary):
    """A job that ran out of its disk, or was killed, uploads no archive, or half of one; what it has copied is there."""
    made = live(running(notebook("x = 1", code("glue", outputs=glue("accuracy", 0.5)), "train()")))
    result = read(status, secondary=secondary, reason="boom", members=members, outputs=["accuracy"])
    assert (result.executed_notebook, result.outputs) == (made, {"accuracy": 0.5})
    assert (result.progress.done, result.progress.total) == (2, 3)
    assert result.facts["executed_notebook_uri"] == PLACE.executed_notebook_uri
    assert any(PLACE.live_notebook_uri in warning and "as far as it" in warning for warning in result.warnings)


@pytest.mark.parametrize("members", BROKEN.values(), ids=BROKEN)
def test_the_failing_cell_is_found_in_the_live_copy(read, live, members):
    live(failed_at(RAW, 3, ename="ValueError", evalue="no rows"))
    result = read("Failed", reason="AlgorithmError: exit code 1", members=members)
    assert isinstance(result.error, NotebookCellError)
    assert (result.error.ename, result.error.evalue) == ("ValueError", "no rows")


def test_the_last_cell_that_ran_is_told_of_the_live_copy(read, live):
    live(running(notebook("x = 1", "y = 2")))
    result = read("Failed", reason="AlgorithmError: DeadKernelError: Kernel died, exit code: 137")
    assert "failed in cell 2: its kernel died" in result.error.headline
    assert result.was_killed


@pytest.mark.parametrize("body", [b"", b"{", b'{"nbformat": 4}', None], ids=["empty", "cut", "none", "missing"])
def test_a_live_copy_that_cannot_be_read_changes_nothing(read, clients, live, body):
    live(body or b"")
    if body is None:
        del clients.objects.bodies[PLACE.live_notebook_uri]
    result = read("Failed", reason="boom")
    assert (result.executed_notebook, result.facts["executed_notebook_uri"]) == (None, None)
    assert "boom" in str(result.error)


def test_a_live_copy_that_may_not_be_read_is_said(read, clients, live):
    live(RAW)
    clients.objects.denied.add(PLACE.live_notebook_uri)
    result = read("Failed", reason="boom")
    assert result.executed_notebook is None
    assert any("AccessDenied" in warning for warning in result.warnings)


def test_a_live_copy_that_cannot_be_read_now_is_read_again(read, clients, live, monkeypatch):
    live(RAW)
    opened = clients.objects.open

    def slow(uri):
        if uri == PLACE.live_notebook_uri:
            raise NotebookJobServiceError("SlowDown", code="SlowDown", is_retryable=True)
        return opened(uri)

    monkeypatch.setattr(clients.objects, "open", slow)
    with pytest.raises(NotebookJobServiceError, match="SlowDown"):
        read("Failed", reason="boom")


def test_of_a_job_that_copied_nothing_no_copy_is_looked_for(read, clients, monkeypatch):
    asked = []
    opened = clients.objects.open
    monkeypatch.setattr(clients.objects, "open", lambda uri: asked.append(uri) or opened(uri))
    read("Failed", reason="boom")
    assert asked == [PLACE.output_archive_uri]


def test_an_archive_that_may_only_be_late_comes_before_the_live_copy(read, clients, live):
    live(running(notebook("x = 1")))
    with pytest.raises(NotebookJobServiceError, match="is not in S3 yet"):
        read("Failed", reason="boom", now=clients.jobs.descriptions[JOB]["LastModifiedTime"] + timedelta(seconds=40))


@pytest.mark.parametrize("members", BROKEN.values(), ids=BROKEN)
def test_a_completed_job_whose_archive_is_broken_hands_over_a_whole_live_copy(read, live, members):
    made = live(as_run(executed(RAW, {"accuracy": 0.9})))
    result = read("Completed", members=members, outputs=["accuracy"])
    assert (result.error, result.outputs, result.executed_notebook) == (None, {"accuracy": 0.9}, made)
    assert any(PLACE.live_notebook_uri in warning for warning in result.warnings)


def test_a_completed_job_whose_live_copy_is_not_whole_fails_and_hands_over_what_there_is(read, live):
    made = live(running(notebook("x = 1", code("glue", outputs=glue("accuracy", 0.5)), "train()")))
    result = read("Completed", outputs=["accuracy", "rows"])
    assert isinstance(result.error, NotebookOutputError)
    assert "completed without an executed notebook" in result.error.headline
    assert (result.outputs, result.executed_notebook) == ({"accuracy": 0.5}, made)
    assert any(PLACE.live_notebook_uri in problem for problem in result.error.problems)
    assert "rows: not known" in result.error.details["outputs"]
    assert "sys.exit" not in str(result.error)


# -- a cell that shows an error and has not ended the notebook ----------------------------------------------------------

SHOWN_ERROR = [{"output_type": "error", "ename": "ValueError", "evalue": "expected", "traceback": []}]


@pytest.mark.parametrize("tags", [("raises-exception",), ()], ids=["tagged", "showtraceback"])
def test_a_cell_that_shows_an_error_is_not_what_ended_a_notebook_that_ran_on(read, tags):
    ran = running(notebook(code("check()", *tags, outputs=SHOWN_ERROR), "x = 1", "train()"))
    members = notebook_member(ran)
    result = read("Failed", reason="AlgorithmError: DeadKernelError: Kernel died, exit code: 137", members=members)
    assert "failed in cell 3: its kernel died" in result.error.headline
    assert not isinstance(result.error, NotebookCellError)


def test_a_cell_that_shows_an_error_is_told_where_it_was_the_last_that_ran(read):
    content = json.loads(running(notebook("x = 1", code("check()", outputs=SHOWN_ERROR), "y = 2")))
    content["cells"][2]["metadata"]["papermill"] = {"status": "completed", "start_time": None}
    result = read("Failed", reason="AlgorithmError: x", members=notebook_member(json.dumps(content).encode()))
    assert (result.error.cell, result.error.ename) == (2, "ValueError")


def test_a_cell_that_shows_an_error_is_told_where_the_notebook_ran_to_its_end(read):
    ran = running(
        notebook("x = 1", code("check()", "raises-exception", outputs=SHOWN_ERROR), "y = 2"), last="completed"
    )
    result = read("Failed", reason="AlgorithmError: x", members=notebook_member(ran))
    assert (result.error.cell, result.error.is_retryable) == (2, False)


# -- limits, and words ---------------------------------------------------------------------------------------------------

AT_END = datetime(2026, 11, 22, 3, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(("seconds", "is_awaited"), [(0, True), (59, True), (60, False)])
def test_an_archive_may_be_late_for_just_a_minute(read, seconds, is_awaited):
    if not is_awaited:
        assert type(read("Completed", now=AT_END + timedelta(seconds=seconds)).error) is NotebookOutputError
        return
    with pytest.raises(NotebookJobServiceError) as caught:
        read("Completed", now=AT_END + timedelta(seconds=seconds))
    assert (caught.value.code, caught.value.job_name) == ("NoSuchKey", JOB)
    assert PLACE.output_archive_uri in str(caught.value)


def test_whoever_names_no_time_waits_for_no_archive(read):
    assert type(read("Completed").error) is NotebookOutputError


def test_a_failed_jobs_archive_may_be_late_too_and_a_deleted_ones_is_not_awaited(read, clients):
    with pytest.raises(NotebookJobServiceError, match="is not in S3 yet"):
        read("Failed", reason="AlgorithmError: x", now=AT_END)
    assert read("Deleting", secondary="Training", now=AT_END).error.code == "Deleting"


def test_an_archive_without_the_notebook_that_is_there_is_not_awaited(read):
    assert type(read("Completed", members={"other": b"x"}, now=AT_END).error) is NotebookOutputError


@pytest.mark.parametrize(
    ("wrong", "said"), [(["a"], "an output is wrong"), (["a", "b"], "2 outputs are wrong")], ids=["one", "two"]
)
def test_wrong_outputs_are_counted_and_say_that_a_retry_changes_nothing(read, wrong, said):
    record = {name: {"type": "None", "error": "missing"} for name in wrong} | {"good": 1}
    error = read("Completed", members=notebook_member(executed(RAW, record)), outputs=[*wrong, "good"]).error
    assert error.headline == f"Notebook job '{JOB}' completed, but {said}"
    assert error.details["next"].startswith("mend the notebook or outputs=, then clear the task")
    assert (len(error.problems), error.job_name) == (len(wrong), JOB)


@pytest.mark.parametrize(("status", "lines"), [("Completed", 8), ("Failed", 40)])
def test_of_a_success_eight_lines_are_shown_and_of_a_failure_forty(read, clients, status, lines):
    clients.logs.lines[JOB] = [f"line {n}" for n in range(100)]
    result = read(status, reason="AlgorithmError: x", members=notebook_member(executed(RAW)))
    assert result.log_tail == tuple(f"line {n}" for n in range(100 - lines, 100))


def test_a_log_that_cloudwatch_has_is_not_looked_for_in_the_archive(read):
    members = notebook_member(executed(RAW)) | {"sagemaker_job_execution.log": b"from the archive\n"}
    result = read("Completed", members=members)
    assert result.log_tail == ("Traceback", "boom")
    assert result.warnings == ()


def test_without_any_log_there_is_none_and_nothing_is_said_of_it(read, clients):
    clients.logs.lines.clear()
    result = read("Completed", members=notebook_member(executed(RAW)))
    assert (result.log_tail, result.warnings) == ((), ())


def test_a_job_that_is_being_deleted_says_so_beside_its_results(read):
    result = read("Deleting", secondary="Completed", members=notebook_member(executed(RAW)))
    assert result.error is None
    assert result.facts["status"] == "Completed"
    assert result.warnings == (
        f"training job '{JOB}' is being deleted: SageMaker will not know it, what it left in S3 stays",
    )


def test_a_job_that_never_started_has_neither_times_nor_a_notebook(read):
    facts = read("Stopped", started=False).facts
    assert (facts["started_at"], facts["duration_seconds"], facts["executed_notebook_uri"]) == (None, None, None)
    assert facts["output_archive_uri"] == PLACE.output_archive_uri


def test_an_error_says_where_to_look_as_far_as_there_is_something(read):
    without = read("Stopped").error.details
    assert (without["notebook"], without["logs"]) == ("nb.ipynb", f"/aws/sagemaker/TrainingJobs {JOB}/algo-1")
    assert "executed" not in without
    assert read("Stopped", members=notebook_member(RAW)).error.details["executed"] == PLACE.executed_notebook_uri


def test_what_of_the_outputs_is_known_is_said_of_each_kind(read):
    nothing = read("Stopped", outputs={"a": int, "b": int})
    assert nothing.error.details["outputs"] == "a, b: not known, since variables are recorded after the last cell"
    members = notebook_member(executed(RAW, {"a": 1, "b": "text"}))
    result = read("Stopped", members=members, outputs={"a": int, "b": int})
    said = result.error.details["outputs"].split("; ")
    assert said[0] == "a: recorded after the last cell, pushed"
    assert any("output 'b' is a str" in part for part in said)
    assert not any("not known" in part for part in said)


def test_no_part_of_a_live_copy_is_the_result_of_a_completed_job_that_has_its_own(read, clients, live):
    """The archive counts, where it is small enough to be read."""
    live(as_run(executed(RAW, {"accuracy": 0.1})))
    ran = as_run(executed(RAW, {"accuracy": 0.9}))
    result = read("Completed", members=notebook_member(ran), outputs=["accuracy"])
    assert (result.outputs, result.executed_notebook) == ({"accuracy": 0.9}, ran)


@pytest.mark.parametrize("status", ["completed", "running"])
def test_of_a_completed_job_without_an_archive_a_copy_of_all_its_cells_will_do(read, live, status):
    made = live(as_run(executed(RAW, {"accuracy": 0.9}), status=status))
    result = read("Completed", outputs=["accuracy"])
    assert result.executed_notebook == made
    assert result.outputs == {"accuracy": 0.9}
    assert (result.error is None) is (status == "completed")


@pytest.mark.parametrize("executed_notebook_uri", [None, "s3://elsewhere/copy.ipynb", PLACE.output_archive_uri])
def test_the_executed_notebook_is_said_to_be_where_its_reader_finds_it(clients, executed_notebook_uri):
    clients.jobs.set_status(JOB, "Stopped", None, "")
    clients.objects.put(PLACE.output_archive_uri, archive(notebook_member(RAW)), kms_key=None)
    expected = Expectation(
        label="d.t",
        input_notebook="nb.ipynb",
        declared=declare_outputs(None, None),
        executed_notebook_uri=executed_notebook_uri,
    )
    result = read_result(clients.jobs.describe(JOB), PLACE, expected, clients)
    uri = executed_notebook_uri or PLACE.executed_notebook_uri
    assert result.facts["executed_notebook_uri"] == uri
    inside = " (" if executed_notebook_uri == PLACE.output_archive_uri else ""
    assert result.error.details["executed"].startswith(f"{uri}{inside}")
    assert ("in it)" in result.error.details["executed"]) is bool(inside)


@pytest.mark.parametrize("outputs", [None, ["a", "b"]])
def test_a_training_job_of_another_kind_has_no_notebook_and_no_archive_of_one(clients, outputs):
    clients.jobs.set_status(JOB, "Completed", None, "")
    expected = Expectation(
        label="d.t", input_notebook="", declared=declare_outputs(outputs, None), is_notebook_job=False
    )
    result = read_result(clients.jobs.describe(JOB), PLACE, expected, clients, now=AT_END)
    assert (result.facts["executed_notebook_uri"], result.facts["output_archive_uri"]) == (None, None)
    if outputs is None:
        assert result.error is None
        return
    assert result.error.headline == f"Training job '{JOB}' completed, but it is no notebook job and has no outputs"
    assert result.error.problems == tuple(f"output '{name}' is declared; leave outputs out" for name in outputs)
    assert "notebook" not in result.error.details


# -- which of the two copies is read -------------------------------------------------------------------------------------


@pytest.fixture
def large_archive(clients):
    """Lets the job leave an archive that is spared if the copy beside it is whole, with another notebook in it."""
    clients.jobs.descriptions[JOB]["Environment"]["NBJOBS_LIVE_NOTEBOOK"] = "1"
    ran = as_run(executed(RAW, {"accuracy": 0.9}))
    clients.objects.bodies[PLACE.output_archive_uri] = archive(LARGE | notebook_member(ran), level=0)
    return ran


COPY = as_run(executed(RAW, {"accuracy": 0.1}))


@pytest.mark.usefixtures("large_archive")
@pytest.mark.parametrize(("room", "outputs"), [(0, {"accuracy": 0.1}), (-1, {})])
def test_a_copy_is_taken_up_to_the_size_that_is_read_of_a_notebook(read, clients, monkeypatch, room, outputs):
    clients.objects.bodies[PLACE.live_notebook_uri] = COPY
    monkeypatch.setattr("airflow_nbjobs.aws.results.output._NOTEBOOK_LIMIT_BYTES", len(COPY) + room)
    assert read("Completed", outputs=["accuracy"]).outputs == outputs


def test_a_copy_that_is_malformed_is_not_taken_where_there_is_an_archive(read, clients, large_archive):
    content = json.loads(COPY)
    content["cells"][0]["attachments"] = []
    clients.objects.bodies[PLACE.live_notebook_uri] = json.dumps(content).encode()
    result = read("Completed", outputs=["accuracy"])
    assert (result.outputs, result.executed_notebook) == ({"accuracy": 0.9}, large_archive)


def test_a_copy_is_not_taken_where_the_archives_log_is_needed(read, clients, large_archive):
    """CloudWatch has none: the driver's own log lies at the archive's end."""
    clients.objects.bodies[PLACE.live_notebook_uri] = COPY
    clients.logs.lines.clear()
    assert read("Completed", outputs=["accuracy"]).outputs == {"accuracy": 0.9}


def test_a_copy_beside_no_archive_is_read_once_the_archive_is_known_to_be_missing(read, clients, large_archive):
    clients.objects.bodies[PLACE.live_notebook_uri] = COPY
    del clients.objects.bodies[PLACE.output_archive_uri]
    result = read("Completed", outputs=["accuracy"])
    assert result.outputs == {"accuracy": 0.1}
    said = [warning for warning in result.warnings if "there is no" in warning or "the notebook shown is" in warning]
    assert len(said) == 2


def test_a_copy_that_passing_trouble_keeps_from_being_read_leaves_the_archive(
    read, clients, large_archive, monkeypatch
):
    clients.objects.bodies[PLACE.live_notebook_uri] = COPY
    opened = clients.objects.open

    def slow(uri):
        if uri == PLACE.live_notebook_uri:
            raise NotebookJobServiceError("SlowDown", code="SlowDown", is_retryable=True)
        return opened(uri)

    monkeypatch.setattr(clients.objects, "open", slow)
    assert read("Completed", outputs=["accuracy"]).outputs == {"accuracy": 0.9}


def test_of_a_training_job_of_another_kind_no_copy_is_looked_for(clients):
    clients.jobs.descriptions[JOB]["Environment"]["NBJOBS_LIVE_NOTEBOOK"] = "1"
    clients.objects.bodies[PLACE.live_notebook_uri] = COPY
    clients.jobs.set_status(JOB, "Failed", None, "AlgorithmError: x")
    expected = Expectation(label="d.t", input_notebook="", declared=declare_outputs(None, None), is_notebook_job=False)
    result = read_result(clients.jobs.describe(JOB), PLACE, expected, clients)
    assert (result.executed_notebook, result.progress) == (None, None)
