"""Runs one of the sample's notebooks as the driver does: papermill, a kernel of its own, what the notebook needs beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from forked_programs import run_forked

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTEBOOKS = Path(__file__).parents[2] / "dags" / "notebooks"
NAMES = ("preprocess.ipynb", "training.ipynb", "prepare-test-set.ipynb", "transform-monitor.ipynb")

PREPARED = ("train_rows", "train_s3_uri", "label_counts")
TRAINED = ("accuracy", "model_s3_uri", "test_rows_used")

HAS_TRANSFORMERS = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "accelerate"))


@dataclass(frozen=True, slots=True)
class Aws:
    """AWS on loopback: an S3 client, and the environment in which a kernel finds it all."""

    client: Any
    environment: dict[str, str]

    def read(self, uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(self, uri: str, body: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.client.put_object(Bucket=bucket, Key=key, Body=body)


def kernel_environment(aws: Mapping[str, str]) -> dict[str, str]:
    """Return the process's environment with these AWS settings in place of the machine's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "NBJOBS_"))}
    return own | {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull} | dict(aws)


@dataclass(frozen=True, slots=True)
class Run:
    exit_code: int
    log: str
    notebook: nbformat.NotebookNode
    variables: dict[str, Any]

    def images(self) -> list[str]:
        """Return the ids of the cells that have drawn something, once for each picture."""
        return [
            cell.id
            for cell in self.notebook.cells
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        ]


@dataclass(frozen=True, slots=True)
class Program:
    exit_code: int
    said: str
    variables: dict[str, Any]


# What the notebooks import.
_MODULES = (
    "boto3",
    "matplotlib.pyplot",
    "pandas",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.metrics",
)


def execute_as_program(
    name: str, parameters: dict[str, object], variables: tuple[str, ...] = (), *, aws: Aws, folder: Path
) -> Program:
    """Run one notebook's cells as a plain Python program: a kernel costs two seconds, and where only values or a refusal count it adds nothing."""
    cells = [cell for cell in nbformat.read(NOTEBOOKS / name, as_version=4).cells if cell.cell_type == "code"]
    (first,) = [place for place, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", ())]
    sources = [cell.source for cell in cells]
    sources.insert(first + 1, "\n".join(f"{key} = {value!r}" for key, value in parameters.items()))
    values = ", ".join(f"{variable!r}: {variable}" for variable in variables)
    sources.append(f"import json\nopen('variables.json', 'w').write(json.dumps({{{values}}}))")
    program = re.sub(r"(?m)^%run (\S+)$", lambda run: _code_of(run[1]), "\n".join(sources))
    program = re.sub(r"(?m)^%.*$", "", program)  # how plots are shown
    (folder / "program.py").write_text(program, encoding="utf-8")
    shutil.copy(NOTEBOOKS / "inference.py", folder)
    environment = aws.environment | {"MPLBACKEND": "agg"}
    code, said = run_forked(folder / "program.py", modules=_MODULES, environment=environment)
    recorded = json.loads((folder / "variables.json").read_text()) if code == 0 else {}
    return Program(code, said, recorded)


def _code_of(name: str) -> str:
    cells = nbformat.read(NOTEBOOKS / name, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def execute(name: str, parameters: dict[str, object], variables: tuple[str, ...], *, aws: Aws, folder: Path) -> Run:
    """Run a copy of one notebook and return what became of these variables."""
    for each in (*NAMES, "inference.py"):
        shutil.copy(NOTEBOOKS / each, folder)
    notebook = nbformat.read(folder / name, as_version=4)
    values = ", ".join(f"{variable!r}: {variable}" for variable in variables)
    notebook.cells.append(nbformat.v4.new_code_cell(f"import json\nprint(json.dumps({{{values}}}))"))
    nbformat.write(notebook, folder / name)
    done = subprocess.run(
        [sys.executable, "-m", "papermill", name, "executed.ipynb", "--no-progress-bar", "-y", json.dumps(parameters)],
        cwd=folder,
        env=aws.environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    executed = nbformat.read(folder / "executed.ipynb", as_version=4)
    # A kernel may send one print in two messages.
    printed = "".join(output.get("text", "") for output in executed.cells[-1].get("outputs", ()))
    recorded = json.loads(printed) if done.returncode == 0 else {}
    return Run(done.returncode, done.stdout + done.stderr, executed, recorded)
