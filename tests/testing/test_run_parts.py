"""How ``run_dag`` calls Airflow, and what it makes of what a run has left: Airflow's own part is played."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_nbjobs.testing import LocalSageMaker, runs
from airflow_nbjobs.testing.faults import FaultError
from airflow_nbjobs.testing.runs import RunDag, airflow, as_dag_run

FOUND = {
    "state": "failed",
    "tasks": [["a", -1, "success"], ["m", 0, "failed"], ["m", 12, None]],
    "xcoms": [["a", -1, "return_value", 5], ["m", 0, "key", {"x": 1}]],
}


def test_mapped_tasks_are_named_with_their_index() -> None:
    run = as_dag_run(FOUND, log="said")
    assert (run.state, run.log) == ("failed", "said")
    assert run.tasks == {"a": "success", "m[0]": "failed", "m[12]": None}
    assert run.xcoms == {("a", "return_value"): 5, ("m[0]", "key"): {"x": 1}}


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Airflow's process was called with; it leaves ``found``, unless that is missing."""
    called: dict[str, Any] = {"found": FOUND}

    def run(command: list[str], **given: Any) -> Any:
        called.update(given, command=command)
        if "found" in called and "airflow_nbjobs.testing.records" in command:
            Path(command[3]).write_text(json.dumps(called["found"]))
        return SimpleNamespace(stdout="x" * 6000 + "the end", returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(runs.subprocess, "run", run)
    return called


def test_a_run_has_an_airflow_of_its_own(
    process: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        os, "environ", {"PATH": "/bin", "AIRFLOW__CORE__X": "mine", "AWS_PROFILE": "mine", "HOME": "/h"}
    )
    run_dag = RunDag(tmp_path, {"AWS_REGION": "r", "AIRFLOW__NBJOBS__ROLE": "role"})
    found = run_dag("dags/nightly.py", "nightly", env={"AIRFLOW_VAR_X": "1", "AWS_REGION": "other"})
    assert found.state == "failed"
    assert found.log.endswith("the end")
    assert process["command"][:3] == [sys.executable, "-m", "airflow_nbjobs.testing.records"]
    assert process["command"][4:] == ["nightly", "dags", "test", "nightly"]
    assert process["env"] == {
        "PATH": "/bin",
        "HOME": "/h",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REGION": "other",
        "AIRFLOW__NBJOBS__ROLE": "role",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path("dags").absolute()),
        "AIRFLOW_VAR_X": "1",
    }
    assert process["stderr"] is subprocess.STDOUT
    assert process["check"] is False, "a run that fails is returned"
    assert not Path(process["command"][3]).exists()


def test_date_and_conf_are_handed_on(process: dict[str, Any], tmp_path: Path) -> None:
    RunDag(tmp_path, {})(tmp_path / "d.py", "d", logical_date="2026-01-01", conf={"epochs": 3})
    assert process["command"][5:] == ["dags", "test", "d", "2026-01-01", "--conf", '{"epochs": 3}']
    assert process["env"]["AIRFLOW__CORE__DAGS_FOLDER"] == str(tmp_path)


@pytest.mark.parametrize("found", [None, ...], ids=["no run", "no file"])
def test_a_dag_that_was_not_run_is_an_error_with_the_end_of_the_log(
    process: dict[str, Any], tmp_path: Path, found: Any
) -> None:
    if found is ...:
        del process["found"]
    else:
        process["found"] = found
    with pytest.raises(FaultError) as caught:
        RunDag(tmp_path, {})("d.py", "d")
    text = str(caught.value)
    assert text.startswith("'d' of d.py was not run:\nx")
    assert text.endswith("the end")
    assert len(text) < 5100


def test_a_command_of_airflow_is_run_as_it_is(process: dict[str, Any], tmp_path: Path) -> None:
    airflow(["db", "migrate"], home=tmp_path, env={"X": "1"})
    assert process["command"] == [sys.executable, "-m", "airflow", "db", "migrate"]
    assert (process["env"]["AIRFLOW_HOME"], process["env"]["X"]) == (str(tmp_path), "1")


def test_a_tests_own_jobs_are_those_below_its_prefix() -> None:
    asked: dict[str, Any] = {}
    roots = {"mine": "s3://b/tests/1/out", "other": "s3://b/tests/2/out"}

    def paginate(**given: Any) -> Any:
        asked.update(given)
        return [{"TrainingJobSummaries": [{"TrainingJobName": name}]} for name in roots]

    def describe(*, TrainingJobName: str) -> dict[str, Any]:  # noqa: N803 - AWS' name
        return {"TrainingJobName": TrainingJobName, "OutputDataConfig": {"S3OutputPath": roots[TrainingJobName]}}

    client = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=paginate), describe_training_job=describe)
    facts: Any = SimpleNamespace(default_bucket="b", role_arn="role")
    server: Any = SimpleNamespace(client=lambda service: {"sagemaker": client}[service])
    faults: Any = None
    view = LocalSageMaker(facts, "s3://b/tests/1", faults, server)
    assert [job["TrainingJobName"] for job in view.jobs()] == ["mine"]
    assert asked == {"SortBy": "CreationTime", "SortOrder": "Ascending"}
    assert (view.bucket, view.role) == ("b", "role")
