"""
What a DAG file pays for its operator: milliseconds and MiB of importing ours, beside amazon's own SageMaker operators.

Usage: python tests/bench/import_cost.py — fresh processes, ``airflow.sdk`` already imported, medians of 5. Exits with 1 beyond the goals.
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

RUNS = 5
GOAL_MILLISECONDS, GOAL_MEBIBYTES = 5.0, 0.5
HEAVY = ("boto3", "botocore", "nbformat", "airflow.providers.amazon")

PROBE = """
import gc, importlib, json, sys, time
import airflow.sdk
airflow.sdk.BaseOperator, airflow.sdk.BaseOperatorLink, airflow.sdk.DAG

def private_bytes():
    with open("/proc/self/smaps_rollup") as lines:
        return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))

before_modules = set(sys.modules)
gc.collect()
before, began = private_bytes(), time.perf_counter()
importlib.import_module(sys.argv[1])
seconds = time.perf_counter() - began
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


def main() -> int:
    if not sys.platform.startswith("linux"):
        print("memory is read from /proc/self/smaps_rollup, which this system has not")
        return 0
    modules = ("airflow_nbjobs.operators", "airflow.providers.amazon.aws.operators.sagemaker")
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home:
        for module in modules:  # the first process of each writes byte code and Airflow's configuration file
            measured(module, home)
        # In turn, so that a busy moment of the machine meets both.
        runs = [{module: measured(module, home) for module in modules} for _ in range(RUNS)]
    figures = {
        module: tuple(statistics.median(run[module][unit] for run in runs) for unit in ("ms", "MiB"))
        for module in modules
    }
    print(f"{'import after airflow.sdk, median of ' + str(RUNS):<50} {'ms':>8} {'MiB':>7} {'modules':>8}")
    for module in modules:
        milliseconds, mebibytes = figures[module]
        print(f"{module:<50} {milliseconds:>8.1f} {mebibytes:>7.2f} {len(runs[0][module]['loaded']):>8}")
    heavy = [name for name in runs[0][modules[0]]["loaded"] if name.startswith(HEAVY)]
    milliseconds, mebibytes = figures[modules[0]]
    is_met = milliseconds <= GOAL_MILLISECONDS and mebibytes <= GOAL_MEBIBYTES and not heavy
    print(
        f"goal: {GOAL_MILLISECONDS} ms, {GOAL_MEBIBYTES} MiB, none of {', '.join(HEAVY)}: {'met' if is_met else f'missed {heavy}'}"
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
