"""The container's log in a real Airflow: written by the triggerer while the task is deferred, and by the worker from there on; and how far the notebook is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
import pytest
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.demo

RUN_SECONDS = 600
DAG_FILE = """
from datetime import datetime, UTC

from airflow.sdk import DAG

from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("followed", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
    SageMakerNotebookJobOperator(
        task_id="notebook",
        input_notebook="report.ipynb",
        parameters={"who": "{{ run_id }}"},
        cell_output_in_logs=True,
        live_notebook=True,
    )
"""
CELLS = [
    "who = 'nobody'",
    "print(f'{who} begins')",
    "import boto3, time\nwhile not boto3.client('s3').list_objects_v2(Bucket='{bucket}', Prefix='go')['KeyCount']: time.sleep(0.2)",
    "print(f'{who} ends')",
]


def test_each_line_is_in_its_own_tasks_log_once_and_the_first_ones_while_it_is_deferred(tmp_path: Path):
    with EmbeddedSageMaker(jobs=2) as sagemaker:
        facts = sagemaker.facts
        dags = tmp_path / "dags"
        dags.mkdir()
        (dags / "followed.py").write_text(DAG_FILE)
        cells = [nbformat.v4.new_code_cell(cell.replace("{bucket}", facts.default_bucket)) for cell in CELLS]
        cells[0].metadata["tags"] = ["parameters"]
        metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), dags / "report.ipynb")
        environment = facts.airflow_settings()

        with StandaloneAirflow(tmp_path, dags=dags, environment=environment) as airflow:

            def states() -> list[str | None]:
                return [state for (state,) in airflow.query("SELECT state FROM task_instance")]

            def said(run: str, kind: str) -> list[str]:
                folder = tmp_path / "logs" / "dag_id=followed" / f"run_id={run}"
                lines = [line for path in folder.rglob(kind) for line in path.read_text().splitlines()]
                return [json.loads(line)["event"] for line in lines if line.startswith("{")]

            airflow.wait_for_dag("followed")
            # One after the other: kernels that start at the same moment may take the same port.
            for run in ("one", "two"):
                airflow.command("dags", "trigger", "followed", "--run-id", run)
                airflow.wait(
                    lambda at=run: f"{at} begins" in said(at, "*.trigger.*"),
                    seconds=RUN_SECONDS,
                    what=airflow.task_logs,
                )
            assert states() == ["deferred", "deferred"]

            def progress() -> list[dict[str, object]]:
                # SQLite keeps a JSON column as text, and Airflow's value in it is one more.
                found = [value for (value,) in airflow.query("SELECT value FROM xcom WHERE key = 'nbjobs_progress'")]
                return [json.loads(once) if isinstance(once := json.loads(value), str) else once for value in found]

            airflow.wait(lambda: len(progress()) == 2, seconds=RUN_SECONDS, what=airflow.task_logs)
            assert all(0 < each["done"] < each["total"] == 4 for each in progress())
            sagemaker.client("s3").put_object(Bucket=facts.default_bucket, Key="go", Body=b"")
            airflow.wait(lambda: set(states()) == {"success"}, seconds=RUN_SECONDS, what=airflow.task_logs)
            for run in ("one", "two"):
                lines = said(run, "*.log")
                expected = [f"{run} begins", f"{run} ends", "cell 4 of 4 has ended", "Execution complete"]
                assert {text: lines.count(text) for text in expected} == dict.fromkeys(expected, 1), lines
                steps = [line for line in lines if "of 4 has ended" in line]  # papermill draws its bar now and then
                assert len(set(steps)) == len(steps) >= 2
                assert {line for line in lines if line.endswith(" ends")} == {f"{run} ends"}
