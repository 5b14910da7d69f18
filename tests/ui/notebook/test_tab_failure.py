"""Why a task or its job failed, in a reader's words."""

from datetime import UTC, datetime

import pytest
from ui_account import task_instance

from airflow_nbjobs.core.error_record import ErrorRecord
from airflow_nbjobs.core.job.status import parse_description
from airflow_nbjobs.ui.notebook.failure import of_job, of_record, without_job_name

NAME = "job-1"


def snapshot(status="Completed", secondary=None, reason="", **fields):
    described = {
        "TrainingJobName": NAME,
        "TrainingJobArn": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{NAME}",
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary or status,
        "CreationTime": datetime(2026, 1, 1, tzinfo=UTC),
    }
    return parse_description(described | ({"FailureReason": reason} if reason else {}) | fields)


def record(**fields):
    return ErrorRecord(**{"try_number": 1, "kind": "NotebookJobError", "headline": "it failed"} | fields)


@pytest.mark.parametrize(
    ("headline", "words"),
    [
        (f"Notebook job '{NAME}' failed in cell 3", "Failed in cell 3"),
        (f"Training job '{NAME}' was stopped", "Was stopped"),
        (f"The Notebook job '{NAME}' failed", f"The Notebook job '{NAME}' failed"),
        (f"Notebook job '{'x' * 63}' failed", "Failed"),
        (f"Notebook job '{'x' * 64}' failed", f"Notebook job '{'x' * 64}' failed"),
        (f"Notebook job '{NAME}' follows Notebook job 'b' here", "Follows Notebook job 'b' here"),
        ("no name", "No name"),
        ("", ""),
    ],
)
def test_a_headline_stands_without_the_name_that_stands_beside_it(headline, words):
    assert without_job_name(headline) == words


def test_a_record_is_told_as_it_is():
    assert of_record(None) is None
    found = of_record(record(problems=("a", "b"), advice="do this", text="all of it"))
    assert (found.title, found.problems, found.advice, found.text) == ("It failed", ("a", "b"), "do this", "all of it")
    assert (found.is_of_cell, found.is_skip) == (False, False)


@pytest.mark.parametrize(
    ("kind", "is_of_cell", "is_skip"),
    [
        ("NotebookCellError", True, False),
        ("NotebookSkippedError", False, True),
        ("AirflowSkipException", False, True),
        ("ValueError", False, False),
    ],
)
def test_an_error_of_a_cell_and_a_skip_are_told_from_others(kind, is_of_cell, is_skip):
    found = of_record(record(kind=kind))
    assert (found.is_of_cell, found.is_skip) == (is_of_cell, is_skip)


def test_nobody_is_told_to_open_what_is_open():
    assert of_record(record(advice="open the executed notebook at cell 7; parameters were {}")).advice == ""
    assert of_record(record(advice="then open the executed notebook at cell 7")).advice != ""


def of(state="failed", *, job=None, is_earlier=False, **fields):
    return of_job(task_instance(state=state, **fields), job or snapshot(), is_earlier=is_earlier)


def test_the_tasks_own_error_is_told_before_all_else():
    failed = snapshot("Failed", reason="AlgorithmError: x")
    assert of(job=failed, error=record()).title == "It failed"
    # Of another try, or of a task that was marked since, it says nothing.
    assert of(job=failed, error=record(try_number=2)).title == "Failed: AlgorithmError: x"
    assert of("success", job=snapshot(), error=record()) is None


def test_of_an_earlier_job_its_own_error_is_told():
    attempts = [
        {"job_name": "other", "error": {"version": 1, "try_number": 1, "type": "E", "headline": "of another"}},
        {"job_name": NAME, "error": {"version": 1, "try_number": 1, "type": "E", "headline": "of this one"}},
    ]
    assert of(is_earlier=True, attempts=tuple(attempts), error=record()).title == "Of this one"
    assert of(is_earlier=True, attempts=tuple(attempts[:1]), error=record()) is None
    failed = snapshot("Failed", reason="AlgorithmError: x")
    assert of(is_earlier=True, job=failed, error=record()).title == "Failed: AlgorithmError: x"


def test_what_sagemaker_says_of_a_notebook_is_one_line_and_cut():
    found = of(job=snapshot("Failed", reason="AlgorithmError: one\ntwo " + "x" * 3000))
    assert found.title.startswith("Failed: AlgorithmError: one two xxx")
    assert len(found.title) == len("Failed: ") + 300
    assert found.text.startswith("AlgorithmError: one\ntwo ")
    assert len(found.text) <= 2000
    assert found.is_of_cell
    assert "the job's log" in found.advice
    assert "the log above" not in found.advice


def test_what_sagemaker_says_of_itself_is_of_no_cell():
    found = of(job=snapshot("Stopped", "MaxRuntimeExceeded"))
    assert not found.is_of_cell
    assert not found.title.startswith(("Failed:", "Notebook job"))


@pytest.mark.parametrize(
    ("state", "job", "title", "advice"),
    [
        ("failed", snapshot(), "its job has completed", f"SageMakerNotebookJobSensor(job_name='{NAME}')"),
        ("failed", snapshot("InProgress"), "its job goes on", "clearing the task runs the notebook anew"),
        ("up_for_retry", snapshot(), "its job has completed", "the next try takes the job over"),
    ],
    ids=["completed", "goes on", "is tried again"],
)
def test_a_task_that_said_nothing_is_told_from_its_job(state, job, title, advice):
    found = of(state, job=job)
    assert found.title == f"The task failed without saying why; {title}"
    assert advice in found.advice
    assert found.advice.startswith("read the task's log in Airflow")
    assert ("Sensor" in found.advice) == (state == "failed")


@pytest.mark.parametrize("state", ["success", "running", "deferred", "queued", None])
def test_where_both_go_well_or_on_there_is_no_failure(state):
    assert of(state) is None
    assert of("failed", is_earlier=True) is None
