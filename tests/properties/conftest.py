"""Notebooks run as the container runs them: by the real driver's notebookrunner, papermill and a real kernel."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from airflow_nbjobs.core.notebook.document import dumps, parse_notebook
from airflow_nbjobs.core.values.outputs import prepare_outputs
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings, prepare_parameters


@dataclass(frozen=True, slots=True)
class DriverRun:
    exit_code: int
    executed: object
    log: str


@pytest.fixture
def run_by_driver(tmp_path):
    """Stages a notebook with its parameters and outputs and runs it; one kernel start (about 3 s) a call."""

    def run(nb, *, parameters=None, outputs=()):
        parameters = parameters or {}
        folder = tmp_path / "input"
        folder.mkdir(exist_ok=True)
        staged = prepare_outputs(prepare_parameters(nb, parameters), list(outputs))
        (folder / "nb.ipynb").write_bytes(dumps(staged))
        (tmp_path / "hyperparameters.json").write_text(json.dumps(hyperparameter_strings(parameters)))
        environment = {
            **os.environ,
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
            "SM_PAPERMILL_INPUT": str(folder / "nb.ipynb"),
            "SM_PAPERMILL_OUTPUT": str(tmp_path / "out.ipynb"),
            "SM_PAPERMILL_PARAMS_PATH": str(tmp_path / "hyperparameters.json"),
            "SM_PAPERMILL_FAILURE_FILE": str(tmp_path / "failure"),
            "SM_KERNEL_NAME": "python3",
        }
        with (tmp_path / "log").open("w") as log:  # a file: a kernel that outlived its driver would hold a pipe open
            done = subprocess.run(
                [sys.executable, "-m", "sagemaker_headless_execution_driver.notebookrunner"],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=60,
                check=False,
            )
        executed = parse_notebook((tmp_path / "out.ipynb").read_bytes(), source="out.ipynb")
        return DriverRun(done.returncode, executed, (tmp_path / "log").read_text())

    return run
