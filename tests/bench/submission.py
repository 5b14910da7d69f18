"""
What a first submission costs: API calls and worker seconds until the task defers, ours beside amazon's ``SageMakerTrainingOperator``.

Usage: python tests/bench/submission.py — one fork of a worker a run, TLS, 60 ms an API call before an embedded SageMaker, contenders in turn, medians of
5 (amazon with its defaults sleeps 30 s, so it runs once). Calls are counted where botocore sends them. Exits with 1 beyond the goals.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.endpoint import Endpoint, endpoint
from support.forks import Forks
from support.report import Row, run

from airflow_nbjobs.local.embedded import EmbeddedSageMaker

if TYPE_CHECKING:
    from airflow_nbjobs.local.state.facts import ServerFacts

DELAY_SECONDS = 0.06
RUNS = 5
OURS, TUNED, DEFAULTS = "ours", "amazon, tuned", "amazon, defaults"
UNFINISHED = ("InProgress", "Stopping")
GOAL_SECONDS, GOAL_SAGEMAKER_CALLS = 0.5, 1
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "id": "a", "metadata": {}, "source": "x = 1", "outputs": [], "execution_count": None}
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def airflow_environment(home: str, facts: ServerFacts, at: Endpoint, root: str) -> dict[str, str]:
    connection = {
        "conn_type": "aws",
        "login": facts.access_key_id,
        "password": facts.secret_access_key,
        "extra": {"endpoint_url": at.url, "region_name": facts.region, "verify": str(at.ca_bundle)},
    }
    return os.environ | {
        "AIRFLOW_HOME": home,
        "AIRFLOW_CONN_AWS_DEFAULT": json.dumps(connection),
        "AIRFLOW__NBJOBS__ROLE": facts.role_arn,
        "AIRFLOW__NBJOBS__S3_ROOT_URI": root,
        "AIRFLOW__NBJOBS__IMAGE_URI": facts.image_uri,
    }


def stop_jobs(client: Any) -> None:
    """End the jobs that were submitted: they run on the cores that the next measurement needs."""
    for job in client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]:
        client.stop_training_job(TrainingJobName=job["TrainingJobName"])
    while any(client.list_training_jobs(StatusEquals=status)["TrainingJobSummaries"] for status in UNFINISHED):
        time.sleep(0.1)


def measured_results(runs: int) -> dict[str, list[dict[str, Any]]]:
    """Return each contender's results; the first of each counted its calls and was not timed."""
    with (
        tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home,
        EmbeddedSageMaker() as sagemaker,
        endpoint(DELAY_SECONDS, sagemaker.endpoint_url) as at,
    ):
        facts = sagemaker.facts
        notebook = Path(home) / "nb.ipynb"
        notebook.write_text(json.dumps(NOTEBOOK), encoding="utf-8")
        root = f"s3://{facts.default_bucket}/bench"
        sagemaker.client("s3").put_object(
            Bucket=facts.default_bucket, Key="bench/input/nb.ipynb", Body=notebook.read_bytes()
        )
        settings = {
            "notebook": str(notebook),
            "role": facts.role_arn,
            "image": facts.image_uri,
            "root": root,
            "input": f"{root}/input",
        }
        environment = airflow_environment(home, facts, at, root)
        client = sagemaker.client("sagemaker")
        results: dict[str, list[dict[str, Any]]] = {OURS: [], TUNED: [], DEFAULTS: []}
        with Forks("submission", environment) as forks:
            order = [(who, True) for who in (OURS, TUNED, DEFAULTS)] + [(who, False) for who in (OURS, TUNED)] * runs
            for contender, counts in order:
                results[contender].append(forks.measured(contender=contender, counts=counts, **settings))
                stop_jobs(client)
        return results


def measure(runs: int) -> list[Row]:
    results = measured_results(runs)
    results[DEFAULTS] *= 2  # a sleep of 30 s is what counts there: the run that counted its calls is timed as well
    rows = []
    print(f"{'contender':<18} {'s until deferred (all runs)':<38} {'CPU s':>6}  calls")
    for contender, (counted, *timed) in results.items():
        seconds = sorted(result["seconds"] for result in timed)
        cpu = statistics.median(result["cpu"] for result in timed)
        calls = ", ".join(f"{n}x {call}" for call, n in sorted(counted["calls"].items()))
        print(f"{contender:<18} {' '.join(f'{s:.2f}' for s in seconds):<38} {cpu:6.2f}  {calls}")
    ours = results[OURS]
    for peer in (TUNED, DEFAULTS):
        seconds, peers = (statistics.median(r["seconds"] for r in results[who][1:]) for who in (OURS, peer))
        rows.append(
            Row(
                f"submission at {DELAY_SECONDS * 1000:.0f} ms a call: worker seconds until it defers",
                "s",
                seconds,
                peer,
                peers,
                f"≤{GOAL_SECONDS} s",
                seconds <= GOAL_SECONDS,
            )
        )
        calls = _sagemaker_calls(ours[0])
        rows.append(
            Row(
                "submission: calls to SageMaker",
                "calls",
                calls,
                peer,
                _sagemaker_calls(results[peer][0]),
                f"{GOAL_SAGEMAKER_CALLS}",
                calls == GOAL_SAGEMAKER_CALLS,
            )
        )
    return rows


def _sagemaker_calls(result: dict[str, Any]) -> int:
    return sum(n for call, n in result["calls"].items() if call.startswith("sagemaker:"))


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
