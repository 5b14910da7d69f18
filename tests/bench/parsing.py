"""
What a DAG file of 500 tasks costs the dag-processor: ours beside Airflow's ``EmptyOperator`` and amazon's ``SageMakerTrainingOperator``.

Usage: python tests/bench/parsing.py — the very function that the dag-processor's child calls (read, check, build, serialize), in a fork a run as
there, the import of the operator included; CPU seconds, since parsing waits for nothing; medians of 7, contenders in turn. Exits with 1 beyond the goals.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import os
import statistics
import tempfile
from pathlib import Path

from support.forks import Forks
from support.report import Row, run

RUNS = 7
TASKS = 500
GOAL_RATIO = 1.3
EMPTY, OURS, AMAZON = "EmptyOperator", "SageMakerNotebookJobOperator", "SageMakerTrainingOperator"
OPERATORS = {
    EMPTY: ("airflow.providers.standard.operators.empty", ""),
    OURS: (
        "airflow_nbjobs.operators",
        "input_notebook='train.ipynb', parameters={'day': '{{ ds }}'}, outputs=['accuracy']",
    ),
    AMAZON: ("airflow.providers.amazon.aws.operators.sagemaker", "config={'TrainingJobName': '{{ ds }}'}"),
}
DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from {module} import {operator}

with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1)):
    for number in range({tasks}):
        {operator}(task_id=f"task_{{number}}", {arguments})
"""


def measure(runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home:
        files = {}
        for operator, (module, arguments) in OPERATORS.items():
            files[operator] = Path(home, f"{operator}.py")
            files[operator].write_text(
                DAG_FILE.format(module=module, operator=operator, arguments=arguments, tasks=TASKS), encoding="utf-8"
            )
        environment = os.environ | {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            # Airflow gives up after 30 s, which a busy machine may need; what counts here is CPU time.
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
        }
        with Forks("parsing", environment) as forks:
            for file in files.values():  # the first one writes byte code
                forks.measured(file=str(file))
            # In turn, so that a busy moment of the machine meets all.
            samples = [
                {operator: forks.measured(file=str(file)) for operator, file in files.items()} for _ in range(runs)
            ]
    figures = {
        operator: {
            unit: statistics.median(one[operator][unit] for one in samples) for unit in ("seconds", "MiB", "KiB")
        }
        for operator in OPERATORS
    }
    for operator, figure in figures.items():
        print(
            f"{TASKS} x {operator:<30} {figure['seconds']:6.3f} CPU s {figure['MiB']:7.2f} MiB, serialized {figure['KiB']:6.0f} KiB"
        )
    return [
        Row(
            f"a DAG file of {TASKS} tasks: {what}",
            unit,
            figures[OURS][key],
            peer,
            figures[peer][key],
            f"≤{GOAL_RATIO}x" if peer == EMPTY else "",
            peer != EMPTY or figures[OURS][key] <= GOAL_RATIO * figures[peer][key],
        )
        for key, unit, what in (("seconds", "CPU s", "parse and serialize"), ("MiB", "MiB", "memory added"))
        for peer in (EMPTY, AMAZON)
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
