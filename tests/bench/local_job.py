"""
What the embedded SageMaker adds to a job: from CreateTrainingJob to Completed, beside running the driver bare with the same input.

Usage: python tests/bench/local_job.py — one notebook of one cell, in turn, medians of 7. "Bare" is the driver's own script as a child process, its folders
in place, no download, no upload, no log, no status. Exits with 1 beyond the goal.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from support.report import Row, run

from airflow_nbjobs.local.container.driver_copy import rewrite_script
from airflow_nbjobs.local.container.image import Image, inspect_image
from airflow_nbjobs.local.container.run import WorkDir, build_environment, write_config
from airflow_nbjobs.local.embedded import EmbeddedSageMaker

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from local_jobs import CHANNEL, TERMINAL, Jobs, notebook

RUNS = 7
GOAL_SECONDS = 0.5
LOOK_SECONDS = 0.02


def embedded_seconds(jobs: Jobs, body: bytes) -> float:
    request = jobs.request()
    name = request["TrainingJobName"]
    jobs.stage(name, {"report.ipynb": body})
    began = time.perf_counter()
    jobs.sagemaker.create_training_job(**request)
    while jobs.describe(name)["TrainingJobStatus"] not in TERMINAL:
        time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    if jobs.describe(name)["TrainingJobStatus"] != "Completed":
        raise SystemExit(f"the job did not complete: {jobs.describe(name)}")
    return seconds


def bare_seconds(jobs: Jobs, body: bytes, image: Image) -> float:
    request = jobs.request()
    with tempfile.TemporaryDirectory(prefix="nbjobs-bare-") as folder:
        work = WorkDir(Path(folder))
        work.make()
        write_config(work, request)
        channel = work.opt_ml / "input" / "data" / CHANNEL
        channel.mkdir()
        (channel / "report.ipynb").write_bytes(body)
        assert image.driver_script is not None
        script = work.path / "driver.sh"
        script.write_text(rewrite_script(image.driver_script.read_text(), work))
        environment = build_environment(
            request["Environment"],
            {"TRAINING_JOB_NAME": request["TrainingJobName"], "TRAINING_JOB_ARN": "arn"},
            facts=jobs.facts,
            image=image,
            home=str(work.home),
        ) | {
            "SM_EXECUTION_INPUT_PATH": str(channel),
            "TMPDIR": str(work.tmp),
        }
        began = time.perf_counter()
        done = subprocess.run(
            ["/bin/bash", script], env=environment, cwd=work.home, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode or not list((work.opt_ml / "output" / "data").glob("*.ipynb")):
            raise SystemExit(f"the bare driver failed: {done.stdout}{done.stderr}")
    return seconds


def measure(runs: int) -> list[Row]:
    body = notebook("print(6 * 7)")
    image = inspect_image(Path(sys.prefix))
    with EmbeddedSageMaker() as sagemaker:
        jobs = Jobs(sagemaker)
        bare_seconds(jobs, body, image)  # the first ones read the kernel's and moto's modules from the disk
        embedded_seconds(jobs, body)
        pairs = [(embedded_seconds(jobs, body), bare_seconds(jobs, body, image)) for _ in range(runs)]
    for name, times in zip(("embedded", "bare"), zip(*pairs, strict=True), strict=True):
        print(f"{name:<9} {' '.join(f'{value:.2f}' for value in sorted(times))} s")
    embedded, bare = (statistics.median(times) for times in zip(*pairs, strict=True))
    # Of each pair, so that a slow minute of the machine, which meets both, does not count.
    added = statistics.median(one - other for one, other in pairs)
    print(f"added, median over the pairs: {added:.2f} s")
    return [
        Row(
            "a local job, CreateTrainingJob to Completed",
            "s",
            embedded,
            "the bare driver",
            bare,
            f"+≤{GOAL_SECONDS} s",
            added <= GOAL_SECONDS,
        )
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
