"""The sample on an asset, in a real Airflow: training a model starts the report, which reads it from the event."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from standalone_airflow import StandaloneAirflow

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = pytest.mark.slow

DAGS = Path(__file__).parents[2] / "dags"
RUN_SECONDS = 1200


def test_a_trained_model_starts_its_report(tmp_path):
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copytree(DAGS / "notebooks", dags / "notebooks")
    for name in ("sentiment_pipeline.py", "report_on_new_model.py"):
        shutil.copy(DAGS / name, dags)
    with EmbeddedSageMaker(jobs=2) as sagemaker:
        facts = sagemaker.facts
        environment = facts.airflow_settings()
        with StandaloneAirflow(tmp_path, dags=dags, environment=environment) as airflow:
            for dag_id in ("sentiment_pipeline", "report_on_new_model"):
                airflow.wait_for_dag(dag_id)
            airflow.command("dags", "trigger", "report_on_new_model", "--run-id", "by_hand")
            # The pipeline's own schedule starts it, once.
            states = {}

            def ended():
                rows = airflow.query("SELECT run_id, run_type, state FROM dag_run WHERE dag_id = 'report_on_new_model'")
                states.update({(run_id, kind): state for run_id, kind, state in rows})
                return len(states) >= 2 and set(states.values()) <= {"success", "failed"}

            airflow.wait(ended, seconds=RUN_SECONDS, what=lambda: airflow.task_logs()[-20_000:])
            assert set(states.values()) == {"success"}, airflow.task_logs("report")[-5000:]
            # By hand there is nothing to report on.
            tasks = dict(
                airflow.query(
                    "SELECT run_id, state FROM task_instance WHERE task_id = 'report' AND dag_id = 'report_on_new_model'"
                )
            )
            assert tasks.pop("by_hand") == "skipped"
            assert set(tasks.values()) == {"success"}
            ((value,),) = airflow.query("SELECT value FROM xcom WHERE task_id = 'report' AND key = 'return_value'")
            result = json.loads(value) if isinstance(value, str) else value
            outputs = (json.loads(result) if isinstance(result, str) else result)["outputs"]
            ((stored,),) = airflow.query("SELECT extra FROM asset_event")
            extra = json.loads(stored)
            assert outputs["best"] == {
                "job_name": extra["job_name"],
                "model_name": "baseline",
                "model_s3_uri": extra["outputs"]["model_s3_uri"],
                "accuracy": extra["outputs"]["accuracy"],
                "billable_seconds": extra["billable_seconds"],
            }
            assert 0.6 < outputs["best"]["accuracy"] < 0.95
            assert outputs["report"].startswith(extra["job_name"])
