"""Scripted jobs as values: which jobs a script takes, how they end, and the notebook that they leave. No server is needed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_nbjobs.local.faults.scripts import JobEnd, Script, executed_notebook, parse_end, parse_script
from airflow_nbjobs.local.state.jobs import TrainingJob, new_job
from airflow_nbjobs.local.wire.formats import ValidationError


def job(name: str = "nightly-1", instance_type: str = "ml.m5.large", **environment: str) -> TrainingJob:
    request = {
        "TrainingJobName": name,
        "ResourceConfig": {"InstanceType": instance_type},
        "Environment": environment,
    }
    return new_job(request, arn=f"arn:{name}", now=1.0)


@pytest.mark.parametrize(
    ("script", "is_taken"),
    [
        ({}, True),
        ({"job_name": "nightly-*"}, True),
        ({"job_name": "Nightly-*"}, False),
        ({"job_name": "weekly-*"}, False),
        ({"instance_type": "ml.m5.*"}, True),
        ({"instance_type": "ml.p4d.*"}, False),
        ({"environment": {"STAGE": "pr*"}}, True),
        ({"environment": {"STAGE": "test"}}, False),
        ({"environment": {"OTHER": "*"}}, False),
        ({"job_name": "nightly-*", "environment": {"STAGE": "prod", "OTHER": "*"}}, False),
    ],
    ids=str,
)
def test_a_script_takes_jobs_by_name_machine_and_variables(script: dict[str, Any], is_taken: bool) -> None:
    assert parse_script(script).matches(job(STAGE="prod")) is is_taken


def test_a_script_that_says_nothing_completes_each_job_when_told() -> None:
    script = parse_script({})
    assert script == Script()
    assert (script.secondary_status, script.after_seconds, script.times) == ("Training", None, None)
    assert (script.end.status, script.end.failure_reason, script.end.without_archive) == ("Completed", None, False)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"colour": "red"}, "A Script has no colour."),
        ({"secondary_status": "Completed"}, "No job stays in the secondary status 'Completed'"),
        ({"end": {"colour": 1, "size": 2}}, "A JobEnd has no colour, size."),
        ({"end": {"status": "Deleting"}}, "A job ends Completed, Failed or Stopped, not 'Deleting'."),
        ({"end": {"status": "Failed"}}, "A Failed job, and no other, has a failure_reason."),
        ({"end": {"status": "Completed", "failure_reason": "x"}}, "A Failed job, and no other"),
    ],
    ids=str,
)
def test_a_script_that_means_nothing_is_refused(document: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_script(document)
    assert words in caught.value.message


@pytest.mark.parametrize("status", ["Starting", "Downloading", "Training", "Uploading"])
def test_a_job_may_stay_in_each_phase(status: str) -> None:
    assert parse_script({"secondary_status": status, "after_seconds": 2, "times": 1}).secondary_status == status


def test_an_end_is_read_with_all_that_it_says() -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "x"}
    end = parse_end({"status": "Failed", "failure_reason": "x", "cell": 2, "cell_outputs": [output]})
    assert end == JobEnd(status="Failed", failure_reason="x", cell=2, cell_outputs=(output,))
    assert parse_end({"status": "Stopped"}).status == "Stopped"


def notebook(*kinds: str) -> dict[str, Any]:
    return {"cells": [{"cell_type": kind, "metadata": {}, "outputs": ["old"], "execution_count": 9} for kind in kinds]}


def test_cells_that_ran_have_their_number_and_the_last_of_them_its_outputs() -> None:
    staged = notebook("code", "markdown", "code", "code")
    output = {"output_type": "stream", "text": "of $TRAINING_JOB_NAME"}
    cells = executed_notebook(staged, JobEnd(cell=3, cell_outputs=(output,)), job_name="job")["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, 9, 2, None]
    assert [cell["outputs"] for cell in cells] == [
        [],
        ["old"],
        [{"output_type": "stream", "text": "of job"}],
        [],
    ]
    assert [cell["metadata"].get("papermill") for cell in cells] == [
        {"start_time": "2026-01-01T00:00:00", "exception": False},
        None,
        {"start_time": "2026-01-01T00:00:00", "exception": False},
        {"start_time": None, "exception": None},
    ]
    assert staged == notebook("code", "markdown", "code", "code"), "what was staged stays"


def test_without_a_cell_all_have_run_and_an_error_is_the_last_ones() -> None:
    error = {"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}
    first, second = executed_notebook(notebook("code", "code"), JobEnd(cell_outputs=(error,)), job_name="j")["cells"]
    assert (first["execution_count"], second["execution_count"]) == (1, 2)
    assert first["metadata"]["papermill"]["exception"] is False
    assert second["metadata"]["papermill"]["exception"] is True
    assert second["outputs"] == [error]


def test_a_notebook_of_which_no_cell_ran_has_no_outputs() -> None:
    output = {"output_type": "stream", "text": "x"}
    (cell,) = executed_notebook(notebook("code"), JobEnd(cell=0, cell_outputs=(output,)), job_name="j")["cells"]
    assert (cell["outputs"], cell["execution_count"]) == ([], None)
