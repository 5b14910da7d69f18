"""
Make the environment of foreign clients: ``python tests/support/foreign_environment.py FOLDER deferrable|studio``; prints its Python.

This Airflow and amazon's provider, or AWS's Studio extension; both with aiobotocore, which pins botocore below the boto3 of the tests' own environment, and
nothing of this project.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path


def main(folder: str, kind: str) -> None:
    venv.create(folder, with_pip=True, clear=True)
    python = Path(folder).absolute() / "bin" / "python"
    wanted = {
        "deferrable": [
            f"apache-airflow=={version('apache-airflow')}",
            "apache-airflow-providers-amazon[aiobotocore]>=9.12,<10",
        ],
        "studio": ["amazon-sagemaker-jupyter-scheduler>=3.2.2,<4"],
    }[kind]
    subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True)
    sys.stdout.write(f"{python}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
