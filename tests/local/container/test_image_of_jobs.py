"""What is asked of the environment that plays the image, before any job runs in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from airflow_nbjobs.local.container import image


def command(folder: Path) -> Path:
    folder.mkdir()
    path = folder / "aws"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("is_system", "is_own", "is_brought"), [(False, False, False), (False, True, True), (True, True, False)]
)
def test_the_aws_cli_of_who_runs_this_is_brought_where_a_job_would_find_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_system: bool, is_own: bool, is_brought: bool
) -> None:
    if (Path(sys.prefix) / "bin" / "aws").exists():
        pytest.skip("the environment has an AWS CLI of its own")
    system, own = tmp_path / "system", tmp_path / "own"
    monkeypatch.setattr(image, "_SYSTEM_PATH", str(system))
    monkeypatch.setenv("PATH", os.pathsep.join([str(own), str(tmp_path)]))
    paths = [command(folder) for folder, is_there in ((system, is_system), (own, is_own)) if is_there]
    found = image.inspect_image(Path(sys.prefix))
    assert found.aws_cli == (paths[-1] if is_brought else None)
    # What a job finds is left visible to it, whoever has it.
    assert {str(path.parent) for path in paths[:1]} <= set(found.keep)
