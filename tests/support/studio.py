"""Runs AWS's Studio extension against the embedded SageMaker: what a user of Studio sees, and can open."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_nbjobs.local.state.facts import ServerFacts

PYTHON = os.environ.get("NBJOBS_STUDIO_PYTHON", "")
PROGRAM = Path(__file__).with_name("studio_client.py")
DOMAIN_ID = "d-nbjobs"

needs_studio = pytest.mark.skipif(
    not PYTHON,
    reason="needs AWS's extension: NBJOBS_STUDIO_PYTHON=$(python tests/support/foreign_environment.py FOLDER studio) and again",
)


def domain_arn(facts: ServerFacts) -> str:
    return f"arn:aws:sagemaker:{facts.region}:{facts.account_id}:domain/{DOMAIN_ID}"


@dataclass(frozen=True, slots=True)
class SeenJob:
    """
    One line of Studio's list.

    :param times: when it was created, began and ended, in milliseconds since 1970; None where Studio shows none.
    :param files: what is offered, by Studio's word for it; None where it could not be downloaded.
    """

    name: str
    status: str
    message: str | None
    parameters: Mapping[str, str] | None
    notebook: str
    instance_type: str
    times: Sequence[float | None]
    files: Mapping[str, bytes | None]

    @property
    def executed(self) -> nbformat.NotebookNode:
        raw = self.files["ipynb"]
        assert raw is not None
        return nbformat.reads(raw.decode(), as_version=4)


def seen_in_studio(facts: ServerFacts, folder: Path, **app: str) -> dict[str, SeenJob]:
    """
    Return the jobs that Studio lists, by id, each with the files that its download button fetches.

    :param app: what Studio tells its app about the viewer: ``UserProfileName`` or ``SpaceName``.
    """
    environment = {
        **facts.environment(),
        "AWS_ACCOUNT_ID": facts.account_id,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
    }
    metadata = json.dumps({"AppType": "JupyterLab", "DomainId": DOMAIN_ID, **app})
    done = subprocess.run(
        [PYTHON, str(PROGRAM), str(folder), metadata],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("JOBS")]
    jobs: dict[str, dict[str, Any]] = json.loads(line.removeprefix("JOBS"))
    return {
        job_id: SeenJob(
            name=job["name"],
            status=job["status"],
            message=job["message"],
            parameters=job["parameters"],
            notebook=job["notebook"],
            instance_type=job["instance_type"],
            times=job["times"],
            files={kind: (folder / path).read_bytes() if path else None for kind, path in job["files"].items()},
        )
        for job_id, job in jobs.items()
    }
