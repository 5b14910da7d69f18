"""
All benchmarks, one table.

Usage: python tests/bench/all.py [NAME…] [--runs N] — each in a process of its own, one after the other; names are those of the files beside this one, without
``.py``. Exits with 1 if a goal was missed or a benchmark ended without a figure.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from support.report import Row, exit_code, read_rows, table

FOLDER = Path(__file__).parent
# Those that start one Airflow and few jobs come first.
BENCHMARKS = (
    "import_cost",
    "parsing",
    "notebook_params",
    "submission",
    "staging",
    "notebook_pages",
    "comparison",
    "trend_pages",
    "local_job",
    "demo",
)


def measured(name: str, options: list[str]) -> list[Row]:
    """Return a benchmark's rows; without any, one that says so."""
    print(f"-- {name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as folder:
        file = Path(folder, "rows.json")
        done = subprocess.run([sys.executable, FOLDER / f"{name}.py", "--rows", file, *options], check=False)
        rows = read_rows(file)
    missing = Row(f"{name}: no figure", "exit code", done.returncode, goal="a figure", is_met=False)
    return rows or [missing]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME")
    parser.add_argument("--runs", help="how often each contender is measured; each benchmark's own number unless given")
    arguments = parser.parse_args()
    options = ["--runs", arguments.runs] if arguments.runs else []
    rows = [row for name in arguments.names or BENCHMARKS for row in measured(name, options)]
    print(f"\n{table(rows)}")
    return exit_code(rows)


if __name__ == "__main__":
    raise SystemExit(main())
