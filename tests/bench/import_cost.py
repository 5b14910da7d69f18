"""
What a DAG file pays for its operator: milliseconds and MiB of importing ours, beside amazon's own SageMaker operators.

Usage: python tests/bench/import_cost.py — fresh processes, what a DAG file takes of ``airflow.sdk`` already imported, CPU time, medians of 5. Exits with 1 beyond the goals.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from support.report import Row, run

RUNS = 5
GOAL_MILLISECONDS, GOAL_MEBIBYTES = 5.0, 0.5
OURS, AMAZONS = "airflow_nbjobs.operators", "airflow.providers.amazon.aws.operators.sagemaker"
DECORATORS = "airflow_nbjobs.decorators"
GOAL_MORE_MILLISECONDS = 1.0  # of the decorator than of the operator
HEAVY = ("boto3", "botocore", "nbformat", "airflow.providers.amazon")

PROBE = """
import gc, importlib, json, sys, time
import airflow.sdk
airflow.sdk.BaseOperator, airflow.sdk.BaseOperatorLink, airflow.sdk.DAG, airflow.sdk.task

def private_bytes():
    with open("/proc/self/smaps_rollup") as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

before_modules = set(sys.modules)
gc.collect()
before, began = private_bytes(), time.process_time()
importlib.import_module(sys.argv[1])
seconds = time.process_time() - began
gc.collect()
print(json.dumps({"ms": seconds * 1e3, "MiB": (private_bytes() - before) / 2**20, "loaded": sorted(set(sys.modules) - before_modules)}))
"""


def measured(module: str, home: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module],
        env=os.environ | {"AIRFLOW_HOME": home},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(runs: int) -> list[Row]:
    if not sys.platform.startswith("linux"):
        raise SystemExit("memory is read from /proc/self/smaps_rollup, which this system has not")
    modules = (OURS, DECORATORS, AMAZONS)
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home:
        for module in modules:  # the first process of each writes byte code and Airflow's configuration file
            measured(module, home)
        # In turn, so that a busy moment of the machine meets all.
        samples = [{module: measured(module, home) for module in modules} for _ in range(runs)]
    figures = {
        module: {unit: statistics.median(one[module][unit] for one in samples) for unit in ("ms", "MiB")}
        for module in modules
    }
    loaded = {module: samples[0][module]["loaded"] for module in modules}
    heavy = [name for name in loaded[DECORATORS] if name.startswith(HEAVY)]
    print(f"{OURS} loads {', '.join(loaded[OURS])}")
    goals = {"ms": GOAL_MILLISECONDS, "MiB": GOAL_MEBIBYTES}
    return [
        *(
            Row(
                "import of the operator, after airflow.sdk",
                unit,
                figures[OURS][unit],
                "amazon's operators",
                figures[AMAZONS][unit],
                f"≤{goal} {unit}",
                figures[OURS][unit] <= goal,
            )
            for unit, goal in goals.items()
        ),
        Row(
            "import of the decorator, after airflow.sdk",
            "ms",
            figures[DECORATORS]["ms"],
            "our operator",
            figures[OURS]["ms"],
            f"≤{GOAL_MORE_MILLISECONDS} ms more",
            figures[DECORATORS]["ms"] <= figures[OURS]["ms"] + GOAL_MORE_MILLISECONDS,
        ),
        Row(
            "import of the operator: modules of " + ", ".join(HEAVY),
            "modules",
            len(heavy),
            "amazon's operators",
            sum(name.startswith(HEAVY) for name in loaded[AMAZONS]),
            "0",
            not heavy,
        ),
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
