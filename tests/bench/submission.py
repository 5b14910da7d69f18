"""
What a first submission costs: API calls and worker seconds until the task defers, ours beside amazon's ``SageMakerTrainingOperator``.

Usage: python tests/bench/submission.py — one fresh process a contender, all against one embedded SageMaker, medians of 3 (amazon with its
defaults sleeps 30 s, so it runs once). Calls are counted where botocore sends them. Exits with 1 beyond the goals.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

GOAL_SAGEMAKER_CALLS = 1
RUNS = {"ours": 3, "amazon, tuned": 3, "amazon, defaults": 1}
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "id": "a", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}

PROBE = """
import collections, json, os, sys, time, uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import botocore.client
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred

calls = collections.Counter()
send = botocore.client.BaseClient._make_api_call

def counted(client, operation, parameters):
    calls[client.meta.service_model.service_name + ":" + operation] += 1
    return send(client, operation, parameters)

botocore.client.BaseClient._make_api_call = counted
contender, settings = sys.argv[1], json.loads(sys.argv[2])
name = "bench-" + uuid.uuid4().hex[:12]
common = {"task_id": "t", "aws_conn_id": "aws_default", "deferrable": True}
now = datetime.now(tz=UTC)
ti = SimpleNamespace(dag_id=name, run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=0, start_date=now,
                     xcom_push=lambda key, value: None)
context = {"ti": ti, "task_instance": ti, "dag_run": SimpleNamespace(start_date=now, run_after=now)}
with DAG(name, schedule=None, start_date=datetime(2026, 1, 1)):
    if contender == "ours":
        from airflow_nbjobs.operators import SageMakerNotebookJobOperator
        operator = SageMakerNotebookJobOperator(**common, input_notebook=settings["notebook"], outputs=["x"])
    else:
        from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator
        tuned = {"print_log": False, "check_if_job_exists": False} if contender == "amazon, tuned" else {}
        operator = SageMakerTrainingOperator(**common, **tuned, config={
            "TrainingJobName": name, "RoleArn": settings["role"],
            "AlgorithmSpecification": {"TrainingImage": settings["image"], "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]},
            "InputDataConfig": [{"ChannelName": "c", "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": settings["input"]}}}],
            "OutputDataConfig": {"S3OutputPath": settings["root"]},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600}})
began, cpu = time.perf_counter(), time.process_time()
try:
    operator.execute(context)
except TaskDeferred:
    pass
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "calls": calls}))
"""


def measured(contender: str, settings: dict[str, str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, contender, json.dumps(settings)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home, EmbeddedSageMaker() as sagemaker:
        facts = sagemaker.facts
        notebook = Path(home) / "nb.ipynb"
        notebook.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
        sagemaker.client("s3").put_object(
            Bucket=facts.default_bucket, Key="bench/input/nb.ipynb", Body=notebook.read_bytes()
        )
        root = f"s3://{facts.default_bucket}/bench"
        settings = {
            "notebook": str(notebook),
            "role": facts.role_arn,
            "image": facts.image_uri,
            "root": root,
            "input": f"{root}/input",
        }
        connection = {
            "conn_type": "aws",
            "login": facts.access_key_id,
            "password": facts.secret_access_key,
            "extra": {"endpoint_url": facts.endpoint_url, "region_name": facts.region},
        }
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
            "AIRFLOW__NBJOBS__ROLE": facts.role_arn,
            "AIRFLOW__NBJOBS__S3_ROOT_URI": root,
            "AIRFLOW__NBJOBS__IMAGE_URI": facts.image_uri,
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        }
        print(
            f"{'contender':<18} {'s until deferred':>17} {'CPU s':>7} {'SageMaker':>10} {'S3':>4} {'other':>6}  calls"
        )
        ours_calls = 0
        for contender, runs in RUNS.items():
            results = [measured(contender, settings, environment) for _ in range(runs)]
            calls = results[0]["calls"]
            by_service = {
                name: sum(n for call, n in calls.items() if call.startswith(f"{name}:")) for name in ("sagemaker", "s3")
            }
            if contender == "ours":
                ours_calls = by_service["sagemaker"]
            print(
                f"{contender:<18} {statistics.median(r['seconds'] for r in results):17.2f} {statistics.median(r['cpu'] for r in results):7.2f} "
                f"{by_service['sagemaker']:10d} {by_service['s3']:4d} {sum(calls.values()) - sum(by_service.values()):6d}  "
                + ", ".join(f"{n}x {call}" for call, n in sorted(calls.items()))
            )
    print(f"goal: {GOAL_SAGEMAKER_CALLS} call to SageMaker, and one put for each staged file")
    return int(ours_calls > GOAL_SAGEMAKER_CALLS)


if __name__ == "__main__":
    raise SystemExit(main())
