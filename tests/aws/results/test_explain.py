"""The error of a job that did not complete, from what it left behind; what was recorded or glued before is handed over."""

import copy
import json

import pytest
from fakes import FakeClients, archive, code, executed, failed_at, job_request, notebook

from airflow_nbjobs.aws.results import output
from airflow_nbjobs.aws.results.read import Expectation, read_result
from airflow_nbjobs.core.errors import (
    NotebookCellError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
    NotebookJobStoppedError,
    NotebookJobTimeoutError,
    NotebookOutputError,
    NotebookSkippedError,
)
from airflow_nbjobs.core.job.naming import JobLocation
from airflow_nbjobs.core.job.variables import LIVE_VARIABLE
from airflow_nbjobs.core.values.outputs import declare_outputs
from airflow_nbjobs.task.retryable import airflow_error

JOB = "d-t-0123456789ab"
PLACE = JobLocation("s3://bucket/nbjobs", JOB)
SM_111 = "AlgorithmError: [SM-111] Error with executing notebook"
XELATEX = "OSError: xelatex not found on PATH, if you have not installed xelatex you may need to do so."
TRACEBACK = ["Traceback (most recent call last):", *(f'  File "x.py", line {n}, in f' for n in range(60))]
NO_PDF = ["Execution complete", "Converting output notebook to pdf", *TRACEBACK, XELATEX]


@pytest.fixture
def read():
    """Read a failed job that left this executed notebook and this log."""

    def run(raw, *, log=(), reason=SM_111, status="Failed", secondary=None, outputs=("x",), environment=(), live=None):
        clients = FakeClients()
        clients.jobs.create(job_request(JOB, PLACE.root, environment))
        clients.jobs.set_status(JOB, status, secondary, reason)
        clients.logs.lines[JOB] = list(log)
        if live is not None:
            clients.objects.put(PLACE.live_notebook_uri, live, kms_key=None)
        if raw is not None:
            clients.objects.put(PLACE.output_archive_uri, archive({f"{JOB}.ipynb": raw}), kms_key=None)
        expected = Expectation(label="d.t", input_notebook="nb.ipynb", declared=declare_outputs(outputs, None))
        result = read_result(clients.jobs.describe(JOB), PLACE, expected, clients)
        assert str(copy.copy(result.error)) == str(result.error), "as pickle does it"
        return result

    return run


def is_retried(error):
    return airflow_error(error, retry_on_cell_error=True, was_adopted=False) is error


RAN = executed(notebook("x = 1"), {"x": 1})


def test_a_format_that_could_not_be_written_is_named_and_the_outputs_are_handed_over(read):
    """The log's stack alone is longer than what is shown of a log."""
    result = read(RAN, log=NO_PDF, environment={"SM_OUTPUT_FORMATS": "html,pdf,markdown"})
    error = result.error
    assert type(error) is NotebookOutputError
    assert error.headline == (
        f"Notebook job '{JOB}' failed after its notebook: the notebook has run to its end; format 'pdf' could not be written: {XELATEX}"
    )
    assert result.outputs == {"x": 1}
    assert result.executed_notebook == RAN
    assert error.details["outputs"] == "x: recorded after the last cell, pushed"
    assert error.details["not tried"] == "formats markdown"
    assert "lacks TeX" in error.details["next"]
    assert error.details["executed"] == PLACE.executed_notebook_uri
    assert "not known" not in str(error)
    assert "Traceback" not in str(error)
    assert not is_retried(error), "the notebook would be paid for again, and end in the same way"


def test_a_wrong_output_of_a_job_that_failed_after_its_notebook_is_a_problem_beside_the_right_ones(read):
    raw = executed(notebook("x = 1"), {"x": 1, "y": "text", "z": {"type": "None", "error": "missing"}})
    result = read(raw, log=NO_PDF, outputs={"x": int, "y": int, "z": int})
    assert result.outputs == {"x": 1}
    said = result.error.details["outputs"]
    assert "x: recorded after the last cell, pushed" in said
    assert "output 'y' is a str" in said
    assert "output 'z' is not a variable of the notebook" in said
    assert "not known" not in said, "the recording cell has run"


def test_a_failure_after_the_end_that_no_format_explains_hands_the_outputs_over_too(read):
    result = read(RAN, log=["boom"], reason="AlgorithmError: , exit code: 1")
    assert type(result.error) is NotebookJobError
    assert result.error.headline == f"Notebook job '{JOB}' failed outside its cells: the notebook has run to its end"
    assert result.outputs == {"x": 1}


def test_a_kernel_that_ended_after_the_last_cell_hands_the_outputs_over_and_names_what_ends_it(read):
    """``quit()`` ends the kernel a moment after its cell: as often as not the driver's last question finds it dead."""
    result = read(
        executed(notebook("x = 1", "quit()"), {"x": 1}), log=["nbclient.exceptions.DeadKernelError: Kernel died"]
    )
    assert result.error.headline.endswith("the notebook has run to its end, then its kernel died")
    assert "sys.exit(0)" in result.error.details["next"]
    assert result.outputs == {"x": 1}


def test_a_live_copy_that_is_larger_than_is_read_is_said_and_not_shown(read, monkeypatch):
    """The archive of a job that was killed may have no notebook, and the copy may be of any size."""
    monkeypatch.setattr(output, "_NOTEBOOK_LIMIT_BYTES", len(RAN) - 1)
    result = read(None, environment={LIVE_VARIABLE: "1"}, live=RAN)
    assert result.executed_notebook is None
    assert any(f"it has more than {len(RAN) - 1} bytes" in warning for warning in result.warnings)
    monkeypatch.setattr(output, "_NOTEBOOK_LIMIT_BYTES", len(RAN))
    assert not any(
        "it has more than" in warning for warning in read(None, environment={LIVE_VARIABLE: "1"}, live=RAN).warnings
    )


@pytest.mark.parametrize(
    ("line", "headline", "advice"),
    [
        ("OSError: [Errno 28] No space left on device", "outside its cells: the job's disk is full", "volume_size"),
        (
            "RuntimeError: Kernel didn't respond in 60 seconds",
            "its kernel did not start",
            "the kernel starts in the image",
        ),
        ("Kernel died before replying to kernel_info", "its kernel did not start", "the kernel starts in the image"),
        ("Error with running init script", "before its first cell", "the initialization_script failed"),
        ("boom", "outside its cells", "kernel, init script or image"),
    ],
)
def test_a_log_that_says_why_the_job_failed_outside_its_cells_is_understood(read, line, headline, advice):
    error = read(None, log=[line]).error
    assert error.headline.endswith(headline)
    assert advice in error.details["next"]
    assert line in error.details["log"]


@pytest.mark.parametrize(
    ("status", "secondary", "reason", "error_type"),
    [
        ("Stopped", "Stopped", "", NotebookJobStoppedError),
        ("Stopped", "MaxRuntimeExceeded", "", NotebookJobTimeoutError),
        ("Failed", None, "InternalServerError: sorry", NotebookJobServiceError),
        ("Failed", None, "ClientError: Artifact upload failed", NotebookJobConfigError),
    ],
)
def test_however_a_job_ends_what_was_recorded_is_handed_over(read, status, secondary, reason, error_type):
    result = read(RAN, status=status, secondary=secondary, reason=reason)
    assert type(result.error) is error_type
    assert result.outputs == {"x": 1}
    assert "not known" not in str(result.error)


@pytest.mark.parametrize(
    ("status", "secondary", "reason"),
    [
        ("Stopped", "Stopped", ""),
        ("Stopped", "MaxRuntimeExceeded", ""),
        ("Failed", None, "CapacityError: none"),
        ("Failed", None, "InternalServerError: sorry"),
        ("Deleting", "Training", ""),
    ],
)
@pytest.mark.parametrize("raw", [RAN, executed(notebook("x = 1")), None], ids=["to the end", "half", "nothing"])
def test_it_is_said_if_the_notebook_had_run_when_the_service_ended_its_job(read, raw, status, secondary, reason):
    if raw is not None and raw is not RAN:
        content = json.loads(raw)
        content["cells"][-1]["metadata"]["papermill"] = {"start_time": None, "exception": None}
        raw = json.dumps(content).encode()
    details = read(raw, status=status, secondary=secondary, reason=reason).error.details
    said = "the notebook itself has run to its end" if raw is RAN else None
    assert details.get("notebook ran") == said


def test_a_job_that_is_being_deleted_says_what_a_retry_does(read):
    error = read(None, status="Deleting", secondary="Training").error
    assert (error.code, error.is_retryable) == ("Deleting", True)
    assert error.details["next"] == "a retry of this task runs the notebook again; what the job left in S3 stays"
    assert is_retried(error)


def test_a_fault_of_the_platform_has_its_own_code_for_callbacks(read):
    error = read(None, reason="InternalServerError: sorry").error
    assert (error.code, error.is_retryable) == ("InternalServerError", True)
    assert error.details["next"] == "retry; nothing in the notebook caused this"


def test_a_timeout_shows_the_parameters_that_took_so_long(read):
    error = read(None, status="Stopped", secondary="MaxRuntimeExceeded").error
    assert "parameters" in error.details
    assert "(MaxRuntimeExceeded)" in error.headline


def test_a_failure_outside_the_cells_quotes_the_reason_and_the_end_of_the_log(read):
    log = [f"line {number}" for number in range(60)]
    error = read(None, reason="AlgorithmError: " + "why " * 400, log=log).error
    assert error.details["reason"].startswith("AlgorithmError: why why")
    assert len(error.details["reason"]) == 601, "of a long one the beginning, and an ellipsis"
    lines = error.details["log"].split("\n    ")
    assert lines[0] == ""
    assert lines[1:] == log[-40:]
    assert "last cell" not in error.details
    assert "parameters" in error.details


def test_a_failure_after_the_last_cell_that_ran_names_it(read):
    error = read(executed(notebook("x = 1", "y = 2")), log=["boom"]).error
    assert error.details["last cell"] == "cell 2 was the last that ran"


@pytest.mark.parametrize(
    ("log", "is_said"),
    [(["DeadKernelError"], True), (["boom"], False), (["Kernel died before replying to kernel_info"], False)],
)
def test_that_the_job_was_killed_is_known_for_the_advice_on_machines(read, log, is_said):
    assert read(None, log=log).was_killed is is_said


def test_a_container_that_was_killed_after_the_last_cell_did_not_quit(read):
    """137 is the kernel's word of a process that was killed; ``quit()`` would have ended with another."""
    error = read(RAN, reason="AlgorithmError: , exit code: 137").error
    assert error.headline.endswith("outside its cells: the notebook has run to its end")
    assert "quit()" in error.details["next"]
    assert "larger instance_type" in error.details["next"]


def test_of_an_image_the_kernel_that_the_job_asked_for_is_named_and_not_what_the_driver_tried(read):
    error = read(None, log=["No such kernel named x"], environment={"SM_KERNEL_NAME": "conda"}).error
    assert error.headline.endswith("could not start: the image has no kernel 'conda'")
    assert "set kernel_name" in error.details["next"]


def test_a_kernel_without_a_translator_is_named_without_a_full_stop(read):
    error = read(None, log=["No parameter translator functions specified for kernel 'a' or language 'b'."]).error
    assert error.headline.endswith("papermill cannot pass parameters to kernel 'a' or language 'b'")
    assert "leave parameters out" in error.details["next"]


def test_a_format_whose_failure_the_log_does_not_explain_is_named_all_the_same(read):
    error = read(RAN, log=["Converting output notebook to pdf"], environment={"SM_OUTPUT_FORMATS": "html,pdf"}).error
    assert error.headline.endswith("format 'pdf' could not be written: the log does not say why")
    assert "not tried" not in error.details


@pytest.mark.parametrize(("lines", "shown"), [(12, 12), (13, 13)], ids=["whole", "by its ends"])
def test_a_cell_of_twelve_lines_is_shown_whole_and_a_longer_one_by_its_ends(read, lines, shown):
    source = "\n".join([*(f"x{number} = 1" for number in range(lines - 1)), "1 / 0"])
    error = read(failed_at(notebook(source), 1, "ZeroDivisionError", "division by zero")).error
    quoted = error.details["source"].split("\n    ")[1:]
    assert len(quoted) == shown
    assert (quoted[0], quoted[-1]) == ("x0 = 1", "1 / 0")
    assert ("…" in quoted) is (lines > 12)
    if lines > 12:
        assert quoted.index("…") == 6


def test_of_what_a_script_wrote_to_stderr_the_last_eight_lines_are_quoted(read):
    content = json.loads(failed_at(notebook("%%bash"), 1, "CalledProcessError", "status 3"))
    text = "".join(f"line {number}\n" for number in range(20))
    content["cells"][1]["outputs"].insert(0, {"output_type": "stream", "name": "stderr", "text": text})
    details = read(json.dumps(content).encode()).error.details
    assert details["stderr"].split("\n    ")[1:] == [f"line {number}" for number in range(12, 20)]


def test_stderr_of_a_cell_that_ran_no_script_is_not_quoted(read):
    content = json.loads(failed_at(notebook("f()"), 1, "ValueError", "no"))
    content["cells"][1]["outputs"].insert(0, {"output_type": "stream", "name": "stderr", "text": "a warning\n"})
    assert "stderr" not in read(json.dumps(content).encode()).error.details


@pytest.mark.parametrize(("evalue", "said"), [("no rows", "ValueError: no rows"), ("", "ValueError")])
def test_an_exception_without_a_text_is_its_name(read, evalue, said):
    error = read(failed_at(notebook(code("f()", "risky", "slow")), 1, "ValueError", evalue)).error
    assert error.headline == f"Notebook job '{JOB}' failed in cell 1: {said}"
    assert error.details["tags"] == "risky, slow"
    assert error.details["next"] == "open the executed notebook at cell 1"
    assert "not installed" not in error.details


def test_a_skip_without_a_reason_says_none(read):
    error = read(failed_at(notebook("f()"), 1, "AirflowSkipException", "")).error
    assert error.headline == f"Notebook job '{JOB}' asks in cell 1 to be skipped"
    assert error.details["executed"] == PLACE.executed_notebook_uri


def shows_an_error(position, *cells, tagged):
    """Return a notebook that has run to its end though a cell shows an error."""
    content = json.loads(executed(notebook(*cells), {"x": 1}))
    cell = content["cells"][position - 1]
    cell["metadata"]["tags"] = ["raises-exception"] if tagged else []
    cell["outputs"] = [{"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["ValueError: no"]}]
    return json.dumps(content).encode()


@pytest.mark.parametrize("tagged", [True, False])
def test_a_cell_that_shows_an_error_though_the_notebook_ran_on_is_named_and_the_outputs_are_handed_over(read, tagged):
    """The tag says that it raises each time; a script that ``%run`` ran may do better the next time."""
    result = read(shows_an_error(2, "x = 1", "%run s.py", "x = 2", tagged=tagged))
    error = result.error
    assert type(error) is NotebookCellError
    assert error.headline == f"Notebook job '{JOB}' has run to its end, but cell 2 shows an error: ValueError: no"
    assert (error.cell, error.ename) == (2, "ValueError")
    assert result.outputs == {"x": 1}
    assert is_retried(error) is not tagged
    assert ("try/except" in error.details["next"]) is tagged


@pytest.mark.parametrize(
    ("reason", "log", "environment", "said"),
    [
        (
            f"{SM_111} Exception during processing notebook: No such kernel named conda_python3",
            [],
            {"SM_KERNEL_NAME": "conda_python3"},
            "the image has no kernel 'conda_python3'",
        ),
        (SM_111, ["jupyter_client.kernelspec.NoSuchKernel: No such kernel named x"], {}, "the image has no kernel 'x'"),
        (
            SM_111,
            ["PapermillException: No parameter translator functions specified for kernel 'a' or language 'b'"],
            {},
            "papermill cannot pass parameters to kernel 'a' or language 'b'",
        ),
    ],
)
def test_a_kernel_that_is_not_there_is_said_in_one_line_and_not_tried_again(read, reason, log, environment, said):
    error = read(None, reason=reason, log=[*TRACEBACK, *log], environment=environment).error
    assert type(error) is NotebookJobConfigError
    assert error.headline == f"Notebook job '{JOB}' could not start: {said}"
    assert "Traceback" not in str(error)
    assert not is_retried(error)


def test_a_kernel_that_a_cell_asked_for_is_not_the_notebooks(read):
    raw = failed_at(notebook("x = 1", "papermill()"), 2, "NoSuchKernel", "No such kernel named y")
    error = read(raw, log=["NoSuchKernel: No such kernel named y"]).error
    assert (type(error), error.cell) == (NotebookCellError, 2)


def test_a_dead_kernel_is_said_of_the_cell_that_ran(read):
    content = json.loads(executed(notebook("x = 1", "import os; os._exit(1)", "x = 2")))
    content["cells"][2]["metadata"]["papermill"] = {"start_time": None, "exception": None, "status": "completed"}
    error = read(json.dumps(content).encode(), log=["nbclient.exceptions.DeadKernelError: Kernel died"]).error
    assert error.headline == f"Notebook job '{JOB}' failed in cell 2: its kernel died"
    assert "larger instance_type" in error.details["next"]
    assert "os._exit" in error.details["next"]
    assert is_retried(error)


def test_a_missing_module_is_explained_and_an_install_that_failed_is_quoted(read):
    install = code(
        "%pip install prep", outputs=[{"output_type": "stream", "name": "stdout", "text": "ERROR: No matching\n"}]
    )
    raw = failed_at(notebook(install, "import prep"), 2, "ModuleNotFoundError", "No module named 'prep'")
    error = read(raw).error
    assert error.headline == f"Notebook job '{JOB}' failed in cell 2: ModuleNotFoundError: No module named 'prep'"
    assert error.details["not installed"] == "cell 1: ERROR: No matching"
    assert "list it in additional_dependencies" in error.details["next"]


def test_a_script_cell_shows_what_the_script_wrote_to_stderr_and_a_short_headline(read):
    evalue = "Command 'b'" + "echo x\\n" * 1000 + "'' returned non-zero exit status 3."
    content = json.loads(failed_at(notebook("%%bash"), 1, "CalledProcessError", evalue))
    content["cells"][1]["outputs"].insert(0, {"output_type": "stream", "name": "stderr", "text": "no such table\n"})
    error = read(json.dumps(content).encode()).error
    assert len(error.headline) < 1200
    assert error.headline.endswith("returned non-zero exit status 3.")
    assert error.details["stderr"].strip() == "no such table"


def test_the_authors_line_is_in_the_error_however_deep_the_library_and_a_long_text_is_three_lines(read):
    text = "\n".join(f"row {number}\u202e {'z' * 50_000}" for number in range(400))
    content = json.loads(failed_at(notebook("load()"), 1, "ValueError", text))
    library = "File /opt/lib/python3.11/site-packages/pandas/core.py"
    content["cells"][1]["outputs"][0]["traceback"] = [
        "Cell In[1], line 1\n----> 1 load()\n",
        "File ~/helpers.py:7, in load()\n----> 7     return frame['x']\n",
        *(f"{library}:{number}, in f{number}()\n--> {number} g()\n" for number in range(60)),
        f"ValueError: {text}",
    ]
    error = read(json.dumps(content).encode()).error
    said = str(error)
    assert len(said) < 5_000
    for line in (
        "----> 1 load()",
        "----> 7     return frame['x']",
        "… 59 frames of pandas",
        "… 397 more lines",
        "⟦U+202E⟧",
    ):
        assert line in said
    assert "row 3" not in said
    assert len(error.evalue) < 11_000


def test_a_notebook_that_asks_to_be_skipped_is_no_failure_and_its_glued_outputs_are_handed_over(read):
    scrap = {"name": "rows", "data": 0, "encoder": "json", "version": 1}
    glued = {"output_type": "display_data", "metadata": {}, "data": {"application/scrapbook.scrap.json+json": scrap}}
    raw = failed_at(
        notebook(code("glue('rows', 0)", outputs=[glued]), "raise AirflowSkipException('no new rows')"),
        2,
        "AirflowSkipException",
        "no new rows",
    )
    result = read(raw, outputs=("rows", "model"))
    error = result.error
    assert type(error) is NotebookSkippedError
    assert (error.cell, error.reason) == (2, "no new rows")
    assert error.headline == f"Notebook job '{JOB}' asks in cell 2 to be skipped: no new rows"
    assert result.outputs == {"rows": 0}
    assert result.executed_notebook == raw


def test_a_skip_that_renders_no_traceback_is_a_skip_all_the_same(read):
    """Nothing but the notebook's own source names it: nbclient breaks on storing such an exception."""
    quiet = "class AirflowSkipException(Exception):\n    def _render_traceback_(self):\n        return None"
    content = json.loads(executed(notebook(quiet, "raise AirflowSkipException('no new rows')", "x = 2")))
    content["cells"][2]["metadata"]["papermill"] = {"start_time": None, "exception": None, "status": "completed"}
    log = ["NotebookValidationError: None is not of type 'array'", "On instance['traceback']:", "None"]
    error = read(json.dumps(content).encode(), log=log).error
    assert (type(error), error.cell, error.reason) == (NotebookSkippedError, 2, "no new rows")
    assert error.details.get("next") is None, "nothing is to be done about it"


def test_an_exception_that_renders_no_traceback_says_how_to_end_a_notebook_instead(read):
    quiet = "class Quiet(Exception):\n    def _render_traceback_(self):\n        return None"
    content = json.loads(executed(notebook(quiet, "raise Quiet('no new rows')", "x = 2")))
    content["cells"][2]["metadata"]["papermill"] = {"start_time": None, "exception": None, "status": "completed"}
    log = ["NotebookValidationError: None is not of type 'array'", "On instance['traceback']:", "None"]
    error = read(json.dumps(content).encode(), log=log).error
    assert (type(error), error.cell, error.ename) == (NotebookCellError, 2, "Quiet")
    assert "call sys.exit(0)" in error.details["next"]


def test_a_notebook_that_ended_itself_as_a_success_is_said(read):
    ran = failed_at(notebook("import sys; sys.exit(0)", "x = 2"), 1, "SystemExit", "0")
    result = read(ran, status="Completed", reason="", outputs=())
    assert result.error is None
    assert any("ended itself in cell 1" in warning for warning in result.warnings)


def test_a_malformed_executed_notebook_still_shows_its_failed_cell(read):
    content = json.loads(failed_at(notebook("x = 1", "1 / 0"), 2, "ZeroDivisionError", "division by zero"))
    content["cells"][1]["attachments"] = []
    content["cells"][1]["outputs"] = [{"output_type": ["a"]}, {"output_type": "stream", "text": ["a", 1]}]
    result = read(json.dumps(content).encode())
    assert (type(result.error), result.error.cell) == (NotebookCellError, 2)
    assert "malformed" in result.warnings[0]
