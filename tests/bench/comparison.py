"""
What the comparison of two notebooks costs: first look, every later look, and the API server's memory.

``python tests/bench/comparison.py``. Wall time is of this machine as busy as it is; CPU time is of the rendering process alone. S3 is two files,
so the network is not in it.
"""

from __future__ import annotations

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

from notebook_pages import MEBIBYTE, sample
from support.report import Row, run
from ui_account import ROOT, Account, task_instance

from airflow_nbjobs.aws.ports import StoredObject
from airflow_nbjobs.ui.notebook.executed import Notebooks
from airflow_nbjobs.ui.notebook.renderer import Renderer

if TYPE_CHECKING:
    import io


class TwoFiles:
    """S3, of which each object is a file by its job's name, so that its bytes are not in this process's memory."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self.paths = paths

    def stat(self, uri: str) -> StoredObject | None:
        path = self._path(uri)
        return StoredObject(etag=f'"{path}"', size_bytes=path.stat().st_size) if uri.endswith(".ipynb") else None

    def open(self, uri: str) -> io.BufferedReader:
        return self._path(uri).open("rb")

    def _path(self, uri: str) -> Path:
        return self.paths[uri.removeprefix(f"{ROOT}/").partition("/")[0]]


def changed(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook of a later run: other output of every cell, other code of every tenth, one put in and one taken out."""
    chance = random.Random(2)
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        made = json.loads(json.dumps(cell))
        if number % 10 == 3:
            made["source"] += "\nnp.ones(4)"
        for output in made.get("outputs", []):
            if output["output_type"] == "stream":
                output["text"] = output["text"].replace("step", "pass")
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = data["image/png"][:-8] + f"{chance.randrange(10**8):08d}"
            if "text/html" in data:
                data["text/html"] = data["text/html"].replace("0.14", "0.15")
        cells.append(made)
    cells.insert(7, {"cell_type": "markdown", "metadata": {}, "source": "## Put in"})
    del cells[50]
    return notebook | {"cells": cells}


def look(left: Path, right: Path) -> dict[str, float]:
    account = Account()
    instances = [task_instance(run_id=name) for name in ("left", "right")]
    names = [account.add_job(of) for of in instances]
    account.clients.objects = TwoFiles(dict(zip(names, (left, right), strict=True)))  # type: ignore[assignment]
    notebooks = Notebooks(account.access, Renderer())
    try:
        notebooks.renderer._started_quietly()
        process = notebooks.renderer._process
        assert process is not None
        worker, server = psutil.Process(process.pid), psutil.Process(os.getpid())
        before, memory = sum(worker.cpu_times()[:4]), server.memory_info().rss

        def both() -> list[Any]:
            return [(of, notebooks.jobs.find(of, None)) for of in instances]

        begun = time.perf_counter()
        notebooks.compared(*both())
        first, peak = time.perf_counter() - begun, server.memory_info().rss
        cpu = sum(worker.cpu_times()[:4]) - before
        again = []
        for _ in range(5):
            begun = time.perf_counter()
            rendered = notebooks.compared(*both())
            rendered.document.read_bytes()
            again.append(time.perf_counter() - begun)
    finally:
        notebooks.close()
    return {
        "first": first,
        "cpu": cpu,
        "cached": min(again),
        "grown": (peak - memory) / MEBIBYTE,
        "differ": sum(count for kind, count in rendered.summary["counts"].items() if kind != "same"),
        "notices": len(rendered.summary["notices"]),
    }


def measure(_: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for what, size in (("usual", 5_000_000), ("large", 200_000_000)):
            made = sample(cells=200, images=40, image_bytes=size // 40)
            paths = Path(folder, f"{what}-left.ipynb"), Path(folder, f"{what}-right.ipynb")
            for path, notebook in zip(paths, (made, changed(made)), strict=True):
                path.write_text(json.dumps(notebook))
            found[what] = look(*paths)
            for path in paths:
                path.unlink()
    usual, large = found["usual"], found["large"]

    def row(what: str, unit: str, ours: float, most: float | None = None) -> Row:
        return Row(what, unit, ours, goal=f"≤{most:g} {unit}" if most else "", is_met=most is None or ours <= most)

    return [
        row("two of 200 cells, 40 images, 5 MB: first look", "s", usual["first"], 2),
        row("of it, CPU of the rendering process", "s", usual["cpu"]),
        row("of it, cells that differ", "", usual["differ"]),
        row("every later look", "ms", 1000 * usual["cached"], 50),
        row("of the first look, the API server grows by", "MiB", usual["grown"], 20),
        row("two of 200 MB: first look", "s", large["first"]),
        row("of it, the API server grows by", "MiB", large["grown"], 100),
        row("of it, notices", "", large["notices"]),
    ]


if __name__ == "__main__":
    raise SystemExit(run(measure, runs=1))
