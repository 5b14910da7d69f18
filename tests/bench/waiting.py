"""
What waiting costs: one triggerer with N waiting jobs, ours beside amazon's ``SageMakerTrigger``.

Usage: python tests/bench/waiting.py [--jobs 1 10 100 500 1000 2000] [--quick] — Airflow's own supervisor and trigger runner, fed 50 triggers a sync; a TLS endpoint on
loopback whose jobs end on a script; every call counted where it arrives. All contenders run in one environment, made at ``.venv-bench`` beside this repository's ``.venv``
with the same versions of Airflow and amazon's provider, since amazon's deferrable mode needs aiobotocore (``NBJOBS_BENCH_PYTHON`` names another one).
Half an hour; exits with 1 where a count misses its goal. Times depend on what else the machine does, counts do not.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = Path(__file__).parent / "waiting_parts"
JOBS = (1, 10, 100, 500, 1000, 2000)
INTERVAL_SECONDS = 30  # amazon's default, and its trigger's only pace
HISTORY = 5000
Result = dict[str, Any]


# -- environment -------------------------------------------------------------------------------------------------------


def bench_python() -> str:
    """Return the interpreter of an environment that has everybody's dependencies."""
    if given := os.environ.get("NBJOBS_BENCH_PYTHON"):
        return given
    folder = ROOT / ".venv-bench"
    python = folder / "bin" / "python"
    wanted = [
        f"apache-airflow=={importlib.metadata.version('apache-airflow')}",
        f"apache-airflow-providers-amazon[aiobotocore]=={importlib.metadata.version('apache-airflow-providers-amazon')}",
        *(f"{name}=={importlib.metadata.version(name)}" for name in ("asyncpg", "psycopg2-binary")),
    ]
    mark = folder / "made-of.txt"
    if not mark.exists() or mark.read_text(encoding="utf-8").split("\n") != wanted:
        print(f"making {folder.name} with {', '.join(wanted)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-e", str(ROOT), *wanted], check=True)
        mark.write_text("\n".join(wanted), encoding="utf-8")
    return str(python)


class Bench:
    def __init__(self, home: Path, python: str, *, is_quick: bool) -> None:
        self._home = home
        self._python = python
        self._is_quick = is_quick
        made = subprocess.run(
            [
                python,
                "-c",
                (
                    "import sys, pathlib, certificates; from cryptography.fernet import Fernet\n"
                    "certificates.write_certificates(pathlib.Path(sys.argv[1])); print(Fernet.generate_key().decode())"
                ),
                str(home),
            ],
            cwd=PARTS,
            check=True,
            capture_output=True,
            text=True,
        )
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_"))
        } | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__FERNET_KEY": made.stdout.strip(),
            "AWS_CA_BUNDLE": str(home / "bundle.pem"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def run(self, contender: str, count: int, *, interval: float | None = None, **settings: Any) -> Result:
        """
        Measure one triggerer.

        :param interval: ours only: ``[nbjobs] polling_interval``; its default where None.
        """
        seconds = INTERVAL_SECONDS if self._is_quick else 2 * INTERVAL_SECONDS
        defaults = {
            "contender": contender,
            "count": count,
            "history": HISTORY,
            "age": 3600,
            "certificate": str(self._home / "server.pem"),
            "start_patience": 600 if contender == "amazon" else 120,
            "settle_seconds": 5 if contender == "null" else INTERVAL_SECONDS + 5,
            "steady_seconds": seconds,
            "ending_seconds": INTERVAL_SECONDS,
            "event_patience": 4 * INTERVAL_SECONDS,
        }
        environment = self._environment | ({"AIRFLOW__NBJOBS__POLLING_INTERVAL": str(interval)} if interval else {})
        began = time.monotonic()
        done = subprocess.run(
            [self._python, str(PARTS / "contender.py"), json.dumps(defaults | settings)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{contender} with {count} jobs has failed")
        label = contender if interval is None else f"{contender} at {interval:.0f} s"
        print(f"  {label}, {count} jobs {settings or ''}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def run_together(self, **runs: dict[str, Any]) -> dict[str, Result]:
        """Run triggerers beside each other that use next to no CPU."""
        with ThreadPoolExecutor(len(runs)) as pool:
            started = {name: pool.submit(self.run, **arguments) for name, arguments in runs.items()}
            return {name: run.result() for name, run in started.items()}


# -- tables ------------------------------------------------------------------------------------------------------------

COLUMNS = (
    ("all known s", "known_seconds", ".1f"),
    ("start CPU s", "start_cpu", ".2f"),
    ("start calls", "start_calls", "d"),
    ("block s", "start_block", ".2f"),
    ("GC s", "start_collection", ".2f"),
    ("lag s", "start_lag", ".2f"),
    ("calls/min", "calls_a_minute", ".0f"),
    ("net CPU %", "net_cpu", ".2f"),
    ("MiB added", "rss_added", ".1f"),
    ("sockets", "sockets", "d"),
    ("superv. calls", "requests", "d"),
    ("log lines/min", "lines_a_minute", ".0f"),
    ("p50 s", "p50", ".1f"),
    ("p95 s", "p95", ".1f"),
    ("max s", "max", ".1f"),
    ("calls/min then", "ending_calls_a_minute", ".0f"),
    ("lost", "lost", "d"),
    ("early", "early", "d"),
    ("twice", "doubled", "d"),
)


def print_table(rows: dict[str, Result]) -> None:
    width = max(len(name) for name in rows) + 1
    print(f"{'':{width}}" + "".join(f" {title:>{len(title)}}" for title, _, _ in COLUMNS))
    for name, row in rows.items():
        cells = (
            f" {'-' if row.get(key) is None else format(row[key], form):>{len(title)}}" for title, key, form in COLUMNS
        )
        print(f"{name:{width}}" + "".join(cells))


class Goals:
    """
    One line a goal.

    A count has to be met for the benchmark to pass; a time is shown, since a busy machine misses it.
    """

    def __init__(self) -> None:
        self.missed_counts: list[str] = []
        print(f"\n{'goal':<66} {'ours':>10} {'amazon':>10} {'goal':>8}")

    def check(
        self, what: str, ours: float, amazon: float | None, goal: float, *, is_count: bool = False, form: str = ".1f"
    ) -> None:
        is_met = ours <= goal
        if is_count and not is_met:
            self.missed_counts.append(what)
        other = "-" if amazon is None else format(amazon, form)
        print(f"{what:<66} {ours:>10{form}} {other:>10} {goal:>8g}  {'met' if is_met else 'MISSED'}")


def at(results: dict[int, dict[str, Result]], count: int, contender: str, key: str) -> float | None:
    found = results.get(count, {}).get(contender, {}).get(key)
    return None if found is None else float(found)


def check_sweep(goals: Goals, results: dict[int, dict[str, Result]]) -> None:
    def compare(what: str, count: int, key: str, goal: float, *, ours: str = "ours at 30 s", **how: Any) -> None:
        value = at(results, count, ours, key)
        if value is not None:
            goals.check(f"{what}, N = {count}", value, at(results, count, "amazon", key), goal, **how)

    for count, goal in ((100, 2), (1000, 20), (2000, 40)):
        compare("calls a minute at a 30 s interval", count, "calls_a_minute", goal, is_count=True, form=".0f")
    for count in results:
        compare("calls a minute, never more than a poll a job", count, "calls_a_minute", 2 * count, is_count=True)
    few, many = results.get(10, {}), results.get(1000, {})
    if few and many:

        def slope(contender: str) -> float | None:
            if contender not in many:
                return None
            return 1024 * (many[contender]["rss_added"] - few[contender]["rss_added"]) / 990

        goals.check("KiB of memory a waiting job", slope("ours at 30 s") or 0.0, slope("amazon"), 20)
    compare("MiB added", 1000, "rss_added", 60)
    compare("net CPU %", 1000, "net_cpu", 0.3, form=".2f")
    compare("net CPU % at the default pace", 1000, "net_cpu", 0.3, ours="ours", form=".2f")
    compare("CPU seconds to start", 1000, "start_cpu", 2)
    compare("seconds until all are known after a restart", 2000, "known_seconds", 45, ours="ours")
    for count in (1000, 2000):
        compare("longest block of the loop, s (CPU of its thread, without GC)", count, "start_block", 0.2, form=".2f")
    compare("sockets", max(results), "sockets", 4, is_count=True, form=".0f")
    compare("supervisor calls in all", max(results), "requests", 12, is_count=True, form=".0f")
    compare("log lines a minute", 1000, "lines_a_minute", 10, is_count=True, form=".0f")
    for count in (10, 100, 500):
        compare("job end to event, p50 s", count, "p50", 3, ours="ours")
        compare("job end to event, p95 s", count, "p95", 6, ours="ours")
        compare("calls a minute meanwhile", count, "ending_calls_a_minute", 62, ours="ours", form=".0f")


def check_wrongs(goals: Goals, rows: dict[str, Result]) -> None:
    for key in ("lost", "early", "doubled"):
        goals.check(
            f"events {key}, in all {len(rows)} runs of ours",
            sum(row[key] for row in rows.values()),
            None,
            0,
            is_count=True,
            form=".0f",
        )


# -- the runs ----------------------------------------------------------------------------------------------------------

HARDSHIPS: dict[str, dict[str, Any]] = {
    "stopped for 20 s (SIGSTOP)": {"stopped_seconds": 20},
    "the service's clock 5 s ahead": {"skew": 5.0},
    "the service's clock 5 s behind": {"skew": -5.0},
    "jobs come, end and go meanwhile": {"is_churning": True},
    "a fifth of all pages empty": {"empty_pages": 20},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--jobs", type=int, nargs="+", default=list(JOBS))
    parser.add_argument("--quick", action="store_true", help="shorter windows, fewer extra runs")
    parser.add_argument("--json", type=Path, help="also write the results there")
    asked = parser.parse_args()
    python = bench_python()
    results: dict[int, dict[str, Result]] = {}
    extra: dict[str, Result] = {}
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as home:
        bench = Bench(Path(home), python, is_quick=asked.quick)
        for count in asked.jobs:
            runs: dict[str, dict[str, Any]] = {
                "null": {"contender": "null", "count": count},
                "ours at 30 s": {"contender": "ours", "count": count, "interval": INTERVAL_SECONDS},
                "ours": {"contender": "ours", "count": count},
            }
            rows = bench.run_together(**runs)
            rows["amazon"] = bench.run("amazon", count)
            for row in rows.values():
                row["net_cpu"] = row["cpu_percent"] - rows["null"]["cpu_percent"]
            results[count] = rows
            print(f"\n{count} waiting jobs created together, {HISTORY} finished ones before them")
            print_table(rows)

        for history in (5_000,) if asked.quick else (5_000, 100_000):
            alone = {"count": 1, "history": history, "age": 0.3 * history + 3600, "is_history_later": True}
            print(f"\none old waiting job, {history} finished ones after it")
            rows = bench.run_together(
                ours={"contender": "ours", "interval": INTERVAL_SECONDS, **alone},
                amazon={"contender": "amazon", **alone},
            )
            print_table(rows)
            results[-history] = {"ours at 30 s": rows["ours"], "amazon": rows["amazon"]}

        count = 300
        hard = {name: {"contender": "ours", "count": count, **settings} for name, settings in HARDSHIPS.items()}
        extra |= bench.run_together(**hard)
        quota = f"2 list calls a second allowed, {1000} jobs"
        extra |= bench.run_together(**{quota: {"contender": "ours", "count": 1000, "list_rate": 2.0}})
        print(f"\n{count} waiting jobs, hardships")
        print_table(extra)

    goals = Goals()
    histories = {-count: rows for count, rows in results.items() if count < 0}
    check_sweep(goals, {count: rows for count, rows in results.items() if count > 0})
    for history, rows in histories.items():
        ours, amazon = rows["ours at 30 s"]["calls_a_minute"], rows["amazon"]["calls_a_minute"]
        goals.check(
            f"calls a minute for one old job, {history} later ones", ours, amazon, max(2, amazon), is_count=True
        )
    goals.check("p95 s where 2 list calls a second are allowed, N = 1000", extra[quota]["p95"], None, 15)
    check_wrongs(
        goals,
        {
            **{
                f"{count} {name}": row
                for count, rows in results.items()
                for name, row in rows.items()
                if "ours" in name
            },
            **extra,
        },
    )
    if asked.json:
        asked.json.write_text(json.dumps({"sweep": results, "hardships": extra}, indent=1), encoding="utf-8")
    return int(bool(goals.missed_counts))


if __name__ == "__main__":
    raise SystemExit(main())
