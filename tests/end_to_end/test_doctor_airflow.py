"""``nbjobs doctor`` beside a real Airflow: what it reads of database, triggerer and API server is there, and is missed when it is gone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow
DOCTOR = (sys.executable, "-m", "airflow_nbjobs.cli", "doctor", "--aws-conn-id", "stored", "-o", "json")


def examined(environment: Mapping[str, str], folder: Path) -> dict[str, list[dict[str, Any]]]:
    done = subprocess.run(DOCTOR, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout, done.stderr
    return {check["check"]: check["findings"] for check in json.loads(done.stdout)["checks"]}


def test_a_running_airflow_has_nothing_wrong_and_a_stopped_one_has(tmp_path: Path):
    """The connection is stored in the metadata database, where only a process that Airflow takes for one of its own sees it."""
    dags, elsewhere = tmp_path / "dags", tmp_path / "elsewhere"
    for folder in (dags, elsewhere):
        folder.mkdir()
    with EmbeddedSageMaker() as sagemaker:
        with StandaloneAirflow(tmp_path, dags=dags, environment={}) as airflow:
            triggerers = "SELECT count(*) FROM job WHERE job_type = 'TriggererJob' AND state = 'running'"
            airflow.wait(lambda: sum(count for (count,) in airflow.query(triggerers)), what="there is no triggerer")
            stored = sagemaker.facts.airflow_connection(with_job_defaults=True)
            airflow.command("connections", "add", "stored", "--conn-json", stored)
            environment = airflow._environment
            found = examined(environment, elsewhere)
            wrong = {name for name, findings in found.items() if any(one["mark"] == "wrong" for one in findings)}
            assert wrong == set(), found
            assert found["database"][0]["text"] == "the metadata database answers (sqlite)"
            assert found["API server"][0]["text"] == f"the API server answers at {airflow.root}"
            assert found["triggerer"][0]["text"].startswith("1 alive: ")
            assert found["tab"][0]["text"] == "the API server serves the tab and the page of notebook jobs"
            assert found["connection"][0]["text"] == "'stored' is there"
            assert "'nbjobs' in the AWS connection's extra" in found["arguments"][0]["text"]
        found = examined(environment, elsewhere)
        assert found["API server"][0]["mark"] == "unknown"
        assert "refused" in found["API server"][0]["text"]
        assert found["triggerer"][0]["mark"] == "wrong"
        assert "airflow triggerer" in found["triggerer"][0]["fix"]
        assert list(elsewhere.iterdir()) == []
