"""
What a DAG file of 500 tasks costs the dag-processor: ours beside Airflow's ``EmptyOperator`` and amazon's ``SageMakerTrainingOperator``; 500 decorated
functions of ours beside ``@task.bash``.

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
BASH, DECORATED = "@task.bash", "@task.sagemaker_notebook_job"
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
# The decorated ones read a value of another task, as they do in life.
DECORATORS = {BASH: ("", "'echo'"), DECORATED: ("input_notebook='train.ipynb', outputs=['accuracy']", "{'day': day}")}
DECORATED_FILE = """
from datetime import datetime
from airflow.sdk import DAG, task

with DAG("bench", schedule=None, start_date=datetime(2026, 1, 1)):
    @task
    def days():
        return "2026-01-01"

    @{decorator}({arguments})
    def decorated(day):
        return {returned}

    day = days()
    for number in range({tasks}):
        decorated.override(task_id=f"task_{{number}}")(day)
"""
COMPARED = ((OURS, EMPTY, True), (OURS, AMAZON, False), (DECORATED, BASH, True))


def sources() -> dict[str, str]:
    """Return a DAG file for each of the contenders."""
    classic = {
        name: DAG_FILE.format(module=module, operator=name, arguments=arguments, tasks=TASKS)
        for name, (module, arguments) in OPERATORS.items()
    }
    return classic | {
        name: DECORATED_FILE.format(
            decorator=name.removeprefix("@"), arguments=arguments, returned=returned, tasks=TASKS
        )
        for name, (arguments, returned) in DECORATORS.items()
    }


def measure(runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home:
        files = {}
        for name, source in sources().items():
            files[name] = Path(home, f"{name.removeprefix('@task.')}.py")
            files[name].write_text(source, encoding="utf-8")
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
        for operator in samples[0]
    }
    for operator, figure in figures.items():
        print(
            f"{TASKS} x {operator:<30} {figure['seconds']:6.3f} CPU s {figure['MiB']:7.2f} MiB, serialized {figure['KiB']:6.0f} KiB"
        )
    return [
        Row(
            f"a DAG file of {TASKS} {'decorated ' if ours == DECORATED else ''}tasks: {what}",
            unit,
            figures[ours][key],
            peer,
            figures[peer][key],
            f"≤{GOAL_RATIO}x" if is_goal else "",
            not is_goal or figures[ours][key] <= GOAL_RATIO * figures[peer][key],
        )
        for key, unit, what in (("seconds", "CPU s", "parse and serialize"), ("MiB", "MiB", "memory added"))
        for ours, peer, is_goal in COMPARED
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
