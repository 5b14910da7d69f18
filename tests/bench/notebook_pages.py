"""
What a notebook's page costs: first look, every later look, a refresh while it runs, and the API server's memory for a notebook of 200 MB.

``python tests/bench/notebook_pages.py``. Wall time is of this machine as busy as it is; CPU time is of the rendering process alone. S3 is a file,
so the network is not in it.
"""

from __future__ import annotations

import base64
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from support.report import Row, run
from ui_account import ROOT, Account, task_instance

from airflow_nbjobs.aws.ports import StoredObject
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Renderer

if TYPE_CHECKING:
    import io

MEBIBYTE = 1024**2


def sample(*, cells: int, images: int, image_bytes: int) -> dict[str, Any]:
    """Return a notebook of markdown, code, text, tables and images."""
    chance = random.Random(1)
    made: list[dict[str, Any]] = []
    for number in range(cells):
        if number % 5 == 0:
            made.append(
                {
                    "cell_type": "markdown",
                    "metadata": {},
                    "source": f"## Part {number}\n\nSome *text*, `code`.\n\n|a|b|\n|-|-|\n|1|2|",
                }
            )
            continue
        outputs: list[dict[str, Any]] = [{"output_type": "stream", "name": "stdout", "text": f"step {number}\n" * 8}]
        if number % 5 == 1 and number // 5 < images:
            picture = base64.b64encode(chance.randbytes(image_bytes * 3 // 4)).decode()
            outputs.append(
                {
                    "output_type": "display_data",
                    "metadata": {},
                    "data": {"image/png": picture, "text/plain": "<Figure>"},
                }
            )
        if number % 5 == 2:
            rows = "".join(f"<tr><th>{row}</th><td>{row / 7:.4f}</td><td>{row / 3:.4f}</td></tr>" for row in range(20))
            table = (
                f"<div><style scoped>td {{}}</style><table border=1 class=dataframe><tbody>{rows}</tbody></table></div>"
            )
            outputs.append(
                {
                    "output_type": "execute_result",
                    "execution_count": number,
                    "metadata": {},
                    "data": {"text/html": table, "text/plain": "t"},
                }
            )
        source = f"import numpy as np\nfor step in range({number}):\n    print(f'step {{step}}')\nnp.zeros(3)"
        made.append(
            {
                "cell_type": "code",
                "execution_count": number,
                "metadata": {"papermill": {"duration": number / 10}},
                "source": source,
                "outputs": outputs,
            }
        )
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {"language_info": {"name": "python"}}, "cells": made}


class FileObjects:
    """S3, of which the one object is a file, so that its bytes are not in this process's memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def stat(self, uri: str) -> StoredObject | None:
        return (
            StoredObject(etag=f'"{self.path.stat().st_mtime_ns}"', size_bytes=self.path.stat().st_size)
            if uri.endswith(".ipynb")
            else None
        )

    def open(self, uri: str) -> io.BufferedReader:
        assert uri.startswith(ROOT)
        return self.path.open("rb")


def look(path: Path) -> dict[str, float]:
    account = Account()
    account.add_job(task_instance())
    account.clients.objects = FileObjects(path)  # type: ignore[assignment]
    notebooks = Notebooks(account.access, Renderer())
    try:
        notebooks.renderer.warm_up()
        notebooks.renderer._started_quietly()
        process = notebooks.renderer._process
        assert process is not None
        worker, server = psutil.Process(process.pid), psutil.Process(os.getpid())
        before, memory = sum(worker.cpu_times()[:4]), server.memory_info().rss
        begun = time.perf_counter()
        notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
        first, peak = time.perf_counter() - begun, server.memory_info().rss
        cpu = sum(worker.cpu_times()[:4]) - before
        again = []
        for _ in range(5):
            begun = time.perf_counter()
            rendered = notebooks.rendered(task_instance(), notebooks.jobs.find(task_instance(), None))
            rendered.document.read_bytes()
            again.append(time.perf_counter() - begun)
        notices = len(rendered.summary["notices"])
    finally:
        notebooks.close()
    return {"first": first, "cpu": cpu, "cached": min(again), "grown": (peak - memory) / MEBIBYTE, "notices": notices}


def refresh(path: Path) -> dict[str, float]:
    """Look at a running notebook again and again, changed each time and not changed; seconds of the API server's own CPU."""
    account = Account()
    of = task_instance(state="deferred")
    account.add_job(of, status="InProgress", NBJOBS_LIVE_NOTEBOOK="1")
    account.clients.objects = FileObjects(path)  # type: ignore[assignment]
    notebooks = Notebooks(account.access, Renderer(), live_seconds=0)
    found: dict[str, list[float]] = {"changed": [], "unchanged": []}
    try:
        notebooks.rendered(of, notebooks.jobs.find(of, None))
        for _ in range(5):
            for what in ("changed", "unchanged"):
                if what == "changed":
                    os.utime(path)
                begun = time.process_time()
                notebooks.rendered(of, notebooks.jobs.find(of, None))
                found[what].append(time.process_time() - begun)
    finally:
        notebooks.close()
    return {what: sorted(seconds)[2] for what, seconds in found.items()}


def measure(_: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        usual = Path(folder, "usual.ipynb")
        usual.write_text(json.dumps(sample(cells=200, images=40, image_bytes=5_000_000 // 40)))
        found, live = look(usual), refresh(usual)
        large = Path(folder, "large.ipynb")
        large.write_text(json.dumps(sample(cells=200, images=40, image_bytes=200_000_000 // 40)))
        huge = look(large)

    def row(what: str, unit: str, ours: float, most: float | None = None) -> Row:
        return Row(what, unit, ours, goal=f"≤{most:g} {unit}" if most else "", is_met=most is None or ours <= most)

    return [
        row("200 cells, 40 images, 5 MB: first look", "s", found["first"], 1.5),
        row("of it, CPU of the rendering process", "s", found["cpu"]),
        row("every later look", "ms", 1000 * found["cached"], 50),
        row("a refresh while it runs, CPU of the API server", "ms", 1000 * live["changed"], 200),
        row("a refresh of what has not changed", "ms", 1000 * live["unchanged"]),
        row("200 MB: first look", "s", huge["first"]),
        row("of it, the API server grows by", "MiB", huge["grown"], 100),
        row("of it, notices", "", huge["notices"]),
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=1))
