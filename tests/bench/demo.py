"""
The demo, installed, from its start until every task of the pipeline is green.

Usage: python tests/bench/demo.py — one `nbjobs demo --exit`, its shutdown included. Exits with 1 if a task failed or the goal was missed.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import subprocess
import sys
import time

from support.report import Row, run

GOAL_SECONDS = 150.0


def measure(_: int) -> list[Row]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "airflow_nbjobs.cli", "demo", "--exit"], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"the demo failed\n{done.stdout}\n{done.stderr}")
    print(done.stdout)
    return [
        Row(
            "`nbjobs demo --exit`, start to green and gone",
            "s",
            seconds,
            goal=f"≤{GOAL_SECONDS:.0f} s",
            is_met=seconds <= GOAL_SECONDS,
        )
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=1))
