"""
A DAG of mapped notebook jobs in a real Airflow: is any lost, are the worker slots free meanwhile, how long does it take.

Usage: python tests/bench/waiting_dag.py [--tasks 300] [--seconds 20] [--amazon | --amazon-first] [--airflow PYTHON] — LocalExecutor, one triggerer, the
embedded SageMaker with jobs that run nothing and end after ``--seconds``. PostgreSQL where it is installed and each contender's environment has its drivers,
else SQLite. The report has the CPU seconds of each component, workers with all that they have started. ``--amazon`` runs the same DAG with amazon's deferrable
operator as well, both in the environment of ``waiting.py``: what is installed beside Airflow costs each of its processes. ``--airflow`` names the interpreter of
another Airflow for ours (3.0.6 on). Exits with 1 if a task did not succeed or a job was created twice.
"""

# ruff: noqa: T201, E402 - a report on standard output; tests/ is no package
from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).parents[1] / "support"), str(Path(__file__).parent)]

import psutil
from airflow_ui import free_port
from postgres import PostgresMissingError, PostgresServer
from waiting import ROOT, bench_python

from airflow_nbjobs.commands.demo.api import AirflowApi, ApiRefusedError, ApiUnavailableError
from airflow_nbjobs.commands.demo.app import write_private
from airflow_nbjobs.commands.demo.processes import Supervised
from airflow_nbjobs.commands.demo.settings import (
    USER,
    Secrets,
    airflow_environment,
    base_environment,
    launcher_script,
)
from airflow_nbjobs.local.embedded import EmbeddedSageMaker
from airflow_nbjobs.testing.faults import Faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_nbjobs.local.state.facts import ServerFacts

SLOTS = 4  # worker processes: far fewer than tasks
DAG_ID = "waiting"
NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "id": "p",
            "metadata": {"tags": ["parameters"]},
            "source": "n = 0",
            "outputs": [],
            "execution_count": None,
        }
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}
DAGS = {
    "ours": """
from datetime import datetime
from airflow.sdk import DAG
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1), max_active_tasks=100_000):
    SageMakerNotebookJobOperator.partial(
        task_id="wait", aws_conn_id="aws_bench", input_notebook="waiting.ipynb", max_active_tis_per_dag=100_000
    ).expand(parameters=[{"n": n} for n in range(TASKS)])
""",
    "amazon": """
import uuid
from datetime import datetime
from airflow.sdk import DAG, task
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerTrainingOperator

with DAG("waiting", schedule=None, start_date=datetime(2026, 1, 1), max_active_tasks=100_000):
    @task
    def configs():
        return [{
            "TrainingJobName": f"bench-{uuid.uuid4().hex}", "RoleArn": "ROLE",
            "AlgorithmSpecification": {"TrainingImage": "IMAGE", "TrainingInputMode": "File", "ContainerEntrypoint": ["true"]},
            "OutputDataConfig": {"S3OutputPath": "ROOT_URI"},
            "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        } for n in range(TASKS)]

    SageMakerTrainingOperator.partial(
        task_id="wait", aws_conn_id="aws_bench", deferrable=True, print_log=PRINT_LOG, check_if_job_exists=False
    ).expand(config=configs())
""",
}
FINAL = ("success", "failed")
COMPONENTS = {
    "airflow worker": "workers",
    "api_server": "API server",
    "airflow scheduler": "scheduler",
    "airflow triggerer": "triggerer",
    "dag-processor": "DAG processor",
    "airflow_nbjobs.local": "SageMaker",
    "postgres": "PostgreSQL",
}


class Api(AirflowApi):
    def create_connection(self, facts: ServerFacts) -> None:
        """In Airflow's database, where the triggerer has to ask for it."""
        extra = {"endpoint_url": facts.endpoint_url, "region_name": facts.region}
        body = {
            "connection_id": "aws_bench",
            "conn_type": "aws",
            "login": facts.access_key_id,
            "password": facts.secret_access_key,
            "extra": json.dumps(extra),
        }
        self._call("POST", "/api/v2/connections", body)

    def count(self, state: str) -> int:
        path = f"/api/v2/dags/{DAG_ID}/dagRuns/~/taskInstances?limit=1&state={state}"
        return int(self._call("GET", path)["total_entries"])


def has_drivers(python: Path) -> bool:
    return not subprocess.run(
        [str(python), "-c", "import asyncpg, psycopg2"], check=False, capture_output=True
    ).returncode


@contextlib.contextmanager
def database(home: Path, *, is_postgres: bool) -> Iterator[str]:
    try:
        server = PostgresServer() if is_postgres else None
    except PostgresMissingError:
        server = None
    if server is None:
        yield f"sqlite:///{home / 'airflow.db'}"
    else:
        with server:
            yield server.url


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds of this process's descendants by what they are; of workers, with those of the tasks that they have waited for."""
    spent: Counter[str] = Counter()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            line, times = " ".join(process.cmdline()), process.cpu_times()
            what = next((name for sign, name in COMPONENTS.items() if sign in line), "others")
            spent[what] += times.user + times.system
            if what == "workers":
                spent[what] += times.children_user + times.children_system
    return {name: round(seconds, 1) for name, seconds in sorted(spent.items())}


def run(contender: str, python: Path, asked: argparse.Namespace, *, is_postgres: bool) -> dict[str, Any]:
    with (
        EmbeddedSageMaker(isolation="none") as sagemaker,
        Supervised(base_environment(os.environ)) as processes,
        database(processes.home, is_postgres=is_postgres) as url,
    ):
        facts = sagemaker.facts
        faults = Faults(facts)
        # Amazon's jobs have no notebook, and so nothing that an archive could be made of.
        faults.script_jobs(after_seconds=asked.seconds, without_archive=contender == "amazon")
        dags = processes.home / "dags"
        dags.mkdir()
        text = DAGS[contender].replace("TASKS", str(asked.tasks)).replace("PRINT_LOG", str(asked.print_log))
        for word, value in (
            ("ROOT_URI", f"s3://{facts.default_bucket}/bench"),
            ("ROLE", facts.role_arn),
            ("IMAGE", facts.image_uri),
        ):
            text = text.replace(f'"{word}"', json.dumps(value))
        (dags / "waiting_dag.py").write_text(text, encoding="utf-8")
        (dags / "waiting.ipynb").write_text(json.dumps(NOTEBOOK), encoding="utf-8")
        keys, api = Secrets.generate(), Api(free_port())
        write_private(processes.home / "passwords.json", json.dumps({USER: keys.password}))
        (processes.home / "bin").mkdir()
        write_private(processes.home / "bin" / "airflow", launcher_script(python.parent / "airflow")).chmod(0o700)
        environment = airflow_environment(
            os.environ, home=processes.home, dags=dags, port=api.port, server=facts, keys=keys
        )
        del environment["AIRFLOW_CONN_AWS_DEFAULT"]
        environment |= {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url,
            "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": "100000",
            "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "100",
            "PYTHONPATH": str(ROOT),
        }
        processes.start("airflow", [str(python.parent / "airflow"), "standalone"], environment=environment)
        wait_until_ready(api, keys, processes)
        api.create_connection(facts)
        return follow(contender, api, faults, asked)


def wait_until_ready(api: Api, keys: Secrets, processes: Supervised) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        with contextlib.suppress(ApiUnavailableError, ApiRefusedError):
            api.log_in(password=keys.password, jwt_secret=keys.jwt_secret)
            if not api.unhealthy() and api.has_dag(DAG_ID):
                return
        if processes.exit_code("airflow") is not None:
            break
        time.sleep(1)
    raise SystemExit("\n".join(processes.log_tail("airflow")))


def follow(contender: str, api: Api, faults: Faults, asked: argparse.Namespace) -> dict[str, Any]:
    api.trigger(DAG_ID, {})
    began = time.monotonic()
    most_deferred = most_running = 0
    running_while_all_wait: list[int] = []
    state = "queued"
    while state not in FINAL and time.monotonic() - began < asked.timeout:
        time.sleep(2)
        with contextlib.suppress(ApiUnavailableError):
            state = api.run_state(DAG_ID, "demo")
            running, deferred = api.count("running"), api.count("deferred")
            most_running, most_deferred = max(most_running, running), max(most_deferred, deferred)
            if deferred == asked.tasks:
                running_while_all_wait.append(running)
    calls = [call.operation for call in faults.calls()]
    return {
        "contender": contender,
        "state": state,
        "seconds": time.monotonic() - began,
        "succeeded": api.count("success") - (contender == "amazon"),
        "most_deferred": most_deferred,
        "most_running": most_running,
        "running_while_all_wait": max(running_while_all_wait, default=None),
        "created": calls.count("CreateTrainingJob"),
        "described": calls.count("DescribeTrainingJob"),
        "listed": calls.count("ListTrainingJobs"),
        "cpu_seconds": (spent := cpu_seconds()),
        "cpu_seconds_in_all": round(sum(spent.values()), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--timeout", type=float, default=3600.0)
    parser.add_argument("--amazon", action="store_true")
    parser.add_argument(
        "--print-log", action="store_true", help="leave amazon's default, which sleeps 30 s in the worker"
    )
    parser.add_argument("--amazon-first", action="store_true", help="as --amazon, in the other order")
    parser.add_argument("--airflow", type=Path)
    asked = parser.parse_args()
    is_alone = not (asked.amazon or asked.amazon_first)
    python = Path(sys.executable if is_alone else bench_python())
    names = ["ours"] if is_alone else ["amazon", "ours"] if asked.amazon_first else ["ours", "amazon"]
    contenders = dict.fromkeys(names, python) | {"ours": asked.airflow or python}
    is_postgres = all(map(has_drivers, contenders.values()))
    results = [run(name, python, asked, is_postgres=is_postgres) for name, python in contenders.items()]
    for result in results:
        print(json.dumps(result))
    ours = results[names.index("ours")]
    return int(ours["state"] != "success" or not ours["succeeded"] == ours["created"] == asked.tasks)


if __name__ == "__main__":
    raise SystemExit(main())
