"""Every command from the installed wheel, in a folder that has nothing of the repository: what the wheel forgets, no checkout shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from local_jobs import notebook

from airflow_nbjobs import __version__
from airflow_nbjobs.cli import _COMMANDS
from airflow_nbjobs.testing import local_sagemaker

if TYPE_CHECKING:
    from airflow_nbjobs.local.embedded import EmbeddedSageMaker

pytestmark = [pytest.mark.slow, pytest.mark.local]

ROOT = Path(__file__).parents[2]
DAG_FILE = """
from datetime import datetime
from airflow.sdk import DAG
from airflow_nbjobs import SageMakerNotebookJobOperator

with DAG("elsewhere", schedule=None, start_date=datetime(2026, 1, 1)):
    SageMakerNotebookJobOperator(
        task_id="report", input_notebook="report.ipynb", role="NotebookJobs", s3_root_uri="s3://bucket/jobs",
        image_uri="sagemaker-distribution:4-cpu", parameters={"days": 7}, outputs=["total"],
    )
"""


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel, and a folder of a user's own."""

    wheel: Path
    bin: Path
    folder: Path
    environment: dict[str, str]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.bin / arguments[0]), *arguments[1:]]
        own = self.environment | environ
        return subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True, check=False)

    def answer(self, *arguments: str, **environ: str) -> str:
        done = self.run("nbjobs", *arguments, **environ)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("elsewhere")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder / "wheel"), str(ROOT)]
    subprocess.run(build, check=True, cwd=folder)
    (wheel,) = (folder / "wheel").iterdir()
    subprocess.run([sys.executable, "-m", "venv", folder / "environment"], check=True)
    bin_folder = folder / "environment" / "bin"
    subprocess.run([bin_folder / "python", "-m", "pip", "install", "-q", "--no-deps", wheel], check=True)
    # All but the package comes from the environment of the tests; a .pth file there, by which the package is installed in place, is not read.
    (site,) = (folder / "environment" / "lib").glob("python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    home = folder / "airflow"
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_CURRENT_TEST")
    }
    environment |= {"AIRFLOW_HOME": str(home), "HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    work = folder / "work"
    work.mkdir()
    report = json.loads(notebook("days = 1", "total = days * 2"))
    report["cells"][0]["metadata"]["tags"] = ["parameters"]
    (work / "report.ipynb").write_text(json.dumps(report))
    (work / "dag.py").write_text(DAG_FILE)
    found = Installed(wheel, bin_folder, work, environment)
    where = found.run("python", "-c", "import airflow_nbjobs; print(airflow_nbjobs.__file__)")
    assert where.stdout.startswith(str(folder)), where
    migrated = found.run("python", "-m", "airflow", "db", "migrate")
    assert migrated.returncode == 0, migrated.stderr[-3000:]
    return found


def test_the_wheel_has_every_file_of_the_package(installed: Installed) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "airflow_nbjobs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(tracked) > 300
    with zipfile.ZipFile(installed.wheel) as archive:
        assert set(tracked) - set(archive.namelist()) == set()


def test_every_command_says_what_it_does(installed: Installed) -> None:
    assert __version__ in installed.answer("--version")
    assert len(_COMMANDS) >= 9
    for command in _COMMANDS:
        assert f"nbjobs {command}" in installed.answer(command, "--help")


def test_a_notebook_runs(installed: Installed, embedded_sagemaker: EmbeddedSageMaker) -> None:
    with local_sagemaker(embedded_sagemaker) as sagemaker:
        where = ("--role", sagemaker.facts.role_arn, "--s3-root-uri", sagemaker.s3_root_uri)
        arguments = ("report.ipynb", "-p", "days=3", "--output", "total", "--image-uri", "sagemaker-distribution:4-cpu")
        said = installed.answer("run", *arguments, *where, "--executed", "ran.ipynb", **sagemaker.environment)
    assert "6" in said
    assert json.loads((installed.folder / "ran.ipynb").read_text())["cells"]


def test_a_dag_is_planned(installed: Installed) -> None:
    (task,) = tasks_of(json.loads(installed.answer("plan", "dag.py", "-o", "json")))
    assert task["task_id"] == "report"
    assert task["problems"] == []


def tasks_of(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [task for dag in plan["dags"] for task in dag["tasks"]]


@pytest.mark.parametrize("kind", ["caller", "job", "ui", "doctor"])
def test_policies_are_printed(installed: Installed, kind: str) -> None:
    policy = json.loads(installed.answer("iam-policy", kind, "--bucket", "bucket"))
    assert policy["Statement"]


def test_the_doctor_examines_an_account(installed: Installed, embedded_sagemaker: EmbeddedSageMaker) -> None:
    with local_sagemaker(embedded_sagemaker) as sagemaker:
        done = installed.run("nbjobs", "doctor", "-o", "json", **sagemaker.environment)
    found = {check["check"]: check["findings"] for check in json.loads(done.stdout)["checks"]}
    wrong = [name for name, findings in found.items() if any(one["mark"] == "wrong" for one in findings)]
    assert wrong == ["triggerer"], found  # no Airflow runs here
    assert "Traceback" not in done.stderr


def test_an_airflow_without_jobs_has_nothing_to_fetch_or_to_clean(installed: Installed) -> None:
    done = installed.run("nbjobs", "outputs", "no_dag", "no_run", "--to", "fetched")
    assert done.returncode in (1, 2)
    assert "no_dag" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (installed.folder / "fetched").exists()
    assert installed.run("nbjobs", "clean").returncode == 0


def test_the_pages_have_their_templates(installed: Installed) -> None:
    program = (
        "import asyncio, httpx\n"
        "from airflow_nbjobs.ui.app import build_app\n"
        "async def ask():\n"
        "    async with httpx.AsyncClient(transport=httpx.ASGITransport(build_app()), base_url='http://a') as client:\n"
        "        return (await client.get('/link.html')).text\n"
        "print('PAGE', 'A link out of the notebook' in asyncio.run(ask()))\n"
    )
    done = installed.run("python", "-c", program)
    assert "PAGE True" in done.stdout, done.stderr[-3000:]
