"""
Staging of 300 files of 10 KB at 30 ms a request, beside 16 plain threads that put the same files.

Usage: python tests/bench/staging.py — both in one process, in turn, each with a client of its own, against one TLS endpoint; medians of 5. Exits with 1
beyond the goal.
"""

# ruff: noqa: T201 - a report on standard output
from __future__ import annotations

import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.endpoint import Endpoint, endpoint
from support.report import Row, run

from airflow_nbjobs.aws.clients import Boto3Objects
from airflow_nbjobs.aws.ports import UPLOAD_THREADS
from airflow_nbjobs.aws.submit.sources import StagedFile
from airflow_nbjobs.aws.submit.staging import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DELAY_SECONDS = 0.03
FILES, FILE_BYTES = 300, 10_000
PLAIN_THREADS = 16
RUNS = 5
GOAL_RATIO = 1.3


def new_client(at: Endpoint) -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session("key", "secret", region_name="eu-west-1")
    config = Config(max_pool_connections=max(PLAIN_THREADS, UPLOAD_THREADS))
    return session.client("s3", endpoint_url=at.url, verify=str(at.ca_bundle), config=config)


def stage_ours(files: Sequence[StagedFile], client: Any) -> None:
    upload(files, to_uri="s3://bucket/ours/input", objects=Boto3Objects(client), kms_key=None)


def stage_plainly(files: Sequence[StagedFile], client: Any) -> None:
    def put(file: StagedFile) -> None:
        client.put_object(Bucket="bucket", Key=f"plain/input/{file.name}", Body=Path(file.body).read_bytes())

    with ThreadPoolExecutor(PLAIN_THREADS) as pool:
        list(pool.map(put, files))


def seconds(stage: Callable[[Sequence[StagedFile], Any], None], files: Sequence[StagedFile], at: Endpoint) -> float:
    client = new_client(at)  # its connections are opened within the measurement, as a task's are
    began = time.perf_counter()
    stage(files, client)
    return time.perf_counter() - began


def measure(runs: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="nbjobs-bench-") as folder, endpoint(DELAY_SECONDS) as at:
        files = []
        for number in range(FILES):
            path = Path(folder, f"file_{number:03}.bin")
            path.write_bytes(os.urandom(FILE_BYTES))
            files.append(StagedFile(path.name, path, str(path)))
        for stage in (stage_ours, stage_plainly):  # what is imported late is imported here
            seconds(stage, files[:PLAIN_THREADS], at)
        times: dict[str, list[float]] = {"ours": [], "plain": []}
        for number in range(runs):
            contenders = [("ours", stage_ours), ("plain", stage_plainly)]
            for name, stage in contenders if number % 2 else reversed(contenders):
                times[name].append(seconds(stage, files, at))
    for name, all_times in times.items():
        print(f"{name:<6} {' '.join(f'{value:.2f}' for value in sorted(all_times))} s")
    ours, plain = (statistics.median(times[name]) for name in ("ours", "plain"))
    return [
        Row(
            f"staging {FILES} files of {FILE_BYTES // 1000} KB at {DELAY_SECONDS * 1000:.0f} ms a request",
            "s",
            ours,
            f"{PLAIN_THREADS} plain threads",
            plain,
            f"≤{GOAL_RATIO}x",
            ours <= GOAL_RATIO * plain,
        )
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=RUNS))
