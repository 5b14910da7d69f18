"""Each way of isolation that this machine has, and that nothing outlives its server."""

from __future__ import annotations

import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from local_jobs import CHANNEL, Jobs, notebook, stream_text, wait_until

from airflow_nbjobs.local import StartError
from airflow_nbjobs.local.container import isolation
from airflow_nbjobs.local.container.driver_copy import DriverError, rewrite_script
from airflow_nbjobs.local.container.image import inspect_image
from airflow_nbjobs.local.container.probe import WAYS, try_way
from airflow_nbjobs.local.container.run import WorkDir
from airflow_nbjobs.local.embedded import EmbeddedSageMaker, make_client
from airflow_nbjobs.local.state.facts import read_ready_file

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.local

# What a job may leave behind: its own process, and one in a session of its own.
SLEEPER = "setsid sleep 987654 & exec sleep 987654"


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    if problem := try_way(request.param, inspect_image(Path(sys.prefix))):
        pytest.skip(f"{request.param}: {problem}")
    return str(request.param)


def processes_holding(text: str) -> list[int]:
    """Return the processes whose environment names `text`, zombies left out."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if text.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="needs ps")
def test_processes_are_known_by_ps_where_there_is_no_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of macOS: neither those that have ended nor ``ps`` itself, which has ended once it has answered."""
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(isolation, "Path", lambda *_: SimpleNamespace(exists=lambda: False))
    found = dict(isolation._processes())
    assert found[os.getpid()] == os.getppid()
    assert ended.pid not in found
    for child in (pid for pid, parent in found.items() if parent == os.getpid()):
        os.kill(child, 0)
    ended.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_way_runs_jobs_and_no_process_outlives_a_killed_server(way: str) -> None:
    """SIGKILL gives nobody the time to tidy up."""
    with EmbeddedSageMaker(isolation=way) as server:
        jobs = Jobs(server)
        assert jobs.facts.isolation == way
        good = jobs.submit_script("true")
        missing = jobs.submit(AlgorithmSpecification=jobs.algorithm("no-such-driver"))
        marker = start_sleeper(jobs)
        assert jobs.wait(good)["TrainingJobStatus"] == "Completed"
        assert "executable file not found in $PATH" in jobs.wait(missing)["FailureReason"]
        os.kill(jobs.facts.pid, signal.SIGKILL)
        wait_until(lambda: not processes_holding(marker), seconds=10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "way",
    # Every other test runs in one of the others: root's, or that of an ordinary user.
    [each if each == "none" else pytest.param(each, marks=pytest.mark.slow) for each in WAYS],
    indirect=True,
)
def test_each_way_runs_a_notebook_and_no_process_outlives_its_job_or_the_servers_end(way: str) -> None:
    with EmbeddedSageMaker(isolation=way) as server:
        jobs = Jobs(server)
        detached = "import subprocess\nsubprocess.Popen(['sleep', '987654'], start_new_session=True)"
        cells = notebook("print(int(n) * 6)", detached, "undefined", parameters="n = 1")
        failed = jobs.run({"report.ipynb": cells}, HyperParameters={"n": "7"})
        name = failed["TrainingJobName"]
        assert processes_holding(f"TRAINING_JOB_NAME={name}") == []
        assert failed["FailureReason"].startswith("AlgorithmError: [SM-111] Error with executing notebook\n")
        assert "+ export" not in failed["FailureReason"]
        assert "42" in stream_text(jobs.executed(name))
        marker = start_sleeper(jobs)
    assert processes_holding(marker) == []


@pytest.mark.slow  # a kernel for each way; that each runs one to a failing cell is shown above
def test_each_way_runs_a_notebook_that_succeeds(way: str) -> None:
    with EmbeddedSageMaker(isolation=way) as server:
        jobs = Jobs(server)
        good = jobs.run({"report.ipynb": notebook("print(int(n) * 6)", parameters="n = 1")}, HyperParameters={"n": "7"})
        assert good["TrainingJobStatus"] == "Completed", good.get("FailureReason")
        assert "42" in stream_text(jobs.executed(good["TrainingJobName"]))


def start_sleeper(jobs: Jobs) -> str:
    """Return when both processes of a job sleep; what is in the environment of all its processes."""
    marker = f"TRAINING_JOB_NAME={jobs.submit_script(SLEEPER)}"
    wait_until(lambda: len([pid for pid in processes_holding(marker) if b"sleep\x00" in command_line(pid)]) == 2)
    return marker


def command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_container_sees_its_own_folders_and_not_the_hosts(jobs: Jobs) -> None:
    if jobs.facts.isolation == "none":
        pytest.skip("needs namespaces")
    with tempfile.TemporaryDirectory() as host_folder:
        script = f"""
            ls /opt/ml /tmp > /opt/ml/output/data/listing; ls -d {host_folder} && echo seen >> /opt/ml/output/data/listing
            echo $$ > /opt/ml/output/data/pid; echo x > /tmp/mine; echo y > /home/sagemaker-user/mine; ls -d /proc/[0-9]* | wc -l > /opt/ml/output/data/count
        """
        command = jobs.algorithm("/bin/bash", f"/opt/ml/input/data/{CHANNEL}/look.sh")
        name = jobs.submit({"look.sh": script.encode()}, AlgorithmSpecification=command)
        assert jobs.wait(name)["TrainingJobStatus"] == "Completed", jobs.log(name)
    files = jobs.archive(name)
    assert b"input" in files["listing"]
    assert b"seen" not in files["listing"]
    assert int(files["pid"]) < 20
    assert int(files["count"]) < 20
    assert not Path("/tmp/mine").exists()
    assert not Path("/home/sagemaker-user/mine").exists()


@pytest.fixture
def world_readable_environment() -> Iterator[Path]:
    """A Python environment below /tmp that any user may run: the job's own /tmp must not hide it."""
    base = Path("/usr/bin/python3")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not base.exists() or base.resolve().name != version:
        pytest.skip(f"the system has no {version}")
    packages = Path(site.getsitepackages()[0])
    folder = Path(tempfile.mkdtemp(prefix="nbjobs-venv-"))
    folder.chmod(0o755)
    try:
        subprocess.run([base, "-m", "venv", "--without-pip", folder / "env"], check=True)
        env_packages = folder / "env" / "lib" / version / "site-packages"
        (env_packages / "shared.pth").write_text(f"{packages}\n{Path(__file__).parents[3]}\n")
        command = folder / "env" / "bin" / "amazon_sagemaker_scheduler"
        command.write_text(
            f"#!{folder}/env/bin/python\nimport sys\nfrom sagemaker_headless_execution_driver.headless_execution import main\nsys.exit(main())\n"
        )
        command.chmod(0o755)
        yield folder / "env"
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def as_ordinary_user(world_readable_environment: Path) -> list[str]:
    """The start of a command line that runs the environment's interpreter as somebody who is not root."""
    python = str(world_readable_environment / "bin" / "python")
    if os.geteuid() != 0:
        return [python]
    if not shutil.which("setpriv"):
        pytest.skip("needs setpriv to become an ordinary user")
    command = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups", "env", "HOME=/tmp", python]
    if subprocess.run(
        [*command, "-c", "import moto, airflow_nbjobs"], check=False, capture_output=True, cwd="/"
    ).returncode:
        pytest.skip("this environment's packages are not readable by an ordinary user")
    return command


@pytest.mark.parametrize("isolation", ["auto", pytest.param("none", marks=pytest.mark.slow)])
def test_an_ordinary_user_runs_jobs_from_an_environment_below_tmp(as_ordinary_user: list[str], isolation: str) -> None:
    folder = Path(tempfile.mkdtemp(prefix="nbjobs-user-"))
    folder.chmod(0o777)
    ready = folder / "ready.json"
    arguments = [
        "-m",
        "airflow_nbjobs.local",
        "--port",
        "0",
        "--isolation",
        isolation,
        "--exit-with-stdin",
        "--ready-file",
        str(ready),
    ]
    with subprocess.Popen(
        [*as_ordinary_user, *arguments], stdin=subprocess.PIPE, cwd="/", env={**os.environ, "TMPDIR": str(folder)}
    ) as process:
        wait_until(lambda: ready.exists() or process.poll() is not None)
        facts = read_ready_file(ready)
        jobs = Jobs(SimpleNamespace(facts=facts, client=lambda service: make_client(facts, service)))
        # sys.prefix is that of the job's own environment, over the image's.
        done = jobs.run({"report.ipynb": notebook("import sys\nprint(sys.path)")})
        assert done["TrainingJobStatus"] == "Completed", done.get("FailureReason")
        assert as_ordinary_user[-1].removesuffix("/bin/python") in stream_text(jobs.executed(done["TrainingJobName"]))
        assert facts.isolation != "root"
    assert process.returncode == 0
    assert list(folder.iterdir()) == []
    folder.rmdir()


def test_an_interpreter_that_does_not_work_inside_is_said_with_its_last_words(way: str, tmp_path: Path) -> None:
    """So ``auto`` goes on to the next way, and its note says why."""
    if way == "none":
        pytest.skip("starts no container to try it")
    image = inspect_image(Path(sys.prefix))
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 'libpython3 not found' >&2\nexit 3\n")
    python.chmod(0o755)
    broken = replace(image, prefix=tmp_path, keep=(*image.keep, str(tmp_path)))
    assert try_way(way, broken) == "the interpreter does not work inside (exit code 3): libpython3 not found"


def test_an_environment_without_interpreter_is_named(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"is no Python environment: there is no .*--image-prefix"):
        inspect_image(tmp_path)


def test_an_unreadable_interpreter_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("")
    with pytest.raises(StartError, match=r"may not run .*--image-prefix"):
        inspect_image(tmp_path)


def test_another_version_of_the_drivers_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match=r"0\.0\.13"):
        rewrite_script("#!/bin/bash\n", WorkDir(tmp_path))
