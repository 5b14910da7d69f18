"""``nbjobs local`` as a program."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from local_jobs import Jobs, wait_until

from airflow_nbjobs.local.embedded import EmbeddedSageMaker, EmbeddedSageMakerError

if TYPE_CHECKING:
    from local_jobs import Jobs as JobsType

COMMAND = [sys.executable, "-m", "airflow_nbjobs.local"]


def failing_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], check=False, capture_output=True, text=True, timeout=60)


def start(tmp_path: Path, *arguments: str, **options: Any) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", "--ready-file", str(ready), *arguments], text=True, stdout=subprocess.PIPE, **options
    )
    wait_until(lambda: ready.exists() or process.poll() is not None)
    return process, json.loads(ready.read_text())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_what_it_prints_works_as_it_stands(tmp_path: Path, number: int) -> None:
    """The user's own AWS settings play no part."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    users_own = {
        "AWS_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    process, facts = start(tmp_path, env={**os.environ, **users_own, "TMPDIR": str(temporary)})
    assert facts["pid"] == process.pid
    process.send_signal(number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert facts["endpoint_url"] in output
    assert "trusted code only" in output
    assert "not isolated: the network" in output
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "ready.json").exists()

    exports = "\n".join(line.strip() for line in output.splitlines() if line.strip().startswith("export "))
    shown = subprocess.run(
        ["/bin/sh", "-c", f"{exports}\nenv"], check=True, capture_output=True, text=True, env={}
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.splitlines())
    connection = json.loads(variables["AIRFLOW_CONN_AWS_DEFAULT"])
    assert variables["AWS_ACCESS_KEY_ID"] == connection["login"] == facts["access_key_id"]
    assert variables["AWS_ENDPOINT_URL"] == connection["extra"]["endpoint_url"] == facts["endpoint_url"]
    assert connection["extra"]["nbjobs"] == {  # a task that says nothing runs
        "role": facts["role_arn"],
        "s3_root_uri": f"s3://{facts['default_bucket']}/nbjobs",
        "image_uri": facts["image_uri"],
    }


def test_a_busy_port_is_one_line_and_leaves_the_others_ready_file_alone(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text("another server's")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = failing_run("--port", str(port), "--ready-file", str(ready))
    assert done.returncode == 2
    assert (
        done.stderr
        == f"nbjobs local: port {port} of 127.0.0.1 cannot be used: Address already in use; choose another with --port (0 takes a free one)\n"
    )
    assert ready.read_text() == "another server's"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--region", "mars-1"], "the region 'mars-1'"),
        (["--image-prefix", "/nonexistent"], "is no Python environment"),
        (["--ready-file", "/nonexistent/ready.json"], "does not exist"),
        (["--warm-pool-quota", "-1"], "--warm-pool-quota is 0 or more, not -1"),
        (["--start-delay", "nan"], "--start-delay is 0 or more, not nan"),
        (["--jobs", "0"], "--jobs is 1 or more, not 0"),
        (["--start-delay", "-0.5"], "--start-delay is 0 or more, not -0.5"),
    ],
)
def test_what_cannot_work_is_one_line(arguments: list[str], words: str) -> None:
    done = failing_run("--port", "0", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("nbjobs local: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_extra_is_one_line() -> None:
    """Without site-packages nothing of the extra can be found; the package itself is given by path."""
    root = Path(__file__).parents[2]
    code = f"import sys; sys.path.insert(0, {str(root)!r}); sys.argv = ['nbjobs local']; import runpy; runpy.run_module('airflow_nbjobs.local', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "pip install 'airflow-nbjobs[local]'" in done.stderr


def test_an_isolation_that_does_not_work_here_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has every way")
    done = failing_run("--port", "0", "--isolation", "root")
    assert (done.returncode, done.stderr) == (2, "nbjobs local: root: needs root\n")


@pytest.mark.local
def test_a_data_folder_keeps_the_jobs_files_and_another_region_is_played_as_well(tmp_path: Path) -> None:
    with EmbeddedSageMaker(data_dir=tmp_path / "data", region="us-east-1") as server:
        assert server.facts.image_uri.startswith("885854791233.dkr.ecr.us-east-1.amazonaws.com/")
        assert server.client("s3").list_objects_v2(Bucket="sagemaker-example-files-prod-us-east-1")["KeyCount"] > 0
        jobs = Jobs(server)
        name = jobs.submit_script("touch /opt/ml/output/data/kept")
        assert jobs.wait(name)["TrainingJobStatus"] == "Completed"
    (folder,) = (tmp_path / "data" / "jobs").iterdir()
    assert folder.name.startswith(name)
    assert (folder / "ml" / "output" / "data" / "kept").is_file()


@pytest.mark.local
def test_its_childs_end_with_it_and_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        server = EmbeddedSageMaker()
        with server:
            pid = server.facts.pid
            jobs = Jobs(server)
            jobs.submit_script("sleep 1000")
            assert list(Path(folder).iterdir())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert list(Path(folder).iterdir()) == []
        with pytest.raises(EmbeddedSageMakerError, match="is not running"):
            _ = server.facts


@pytest.mark.local
def test_the_server_ends_when_the_program_that_started_it_is_killed(tmp_path: Path) -> None:
    code = "from airflow_nbjobs.local.embedded import EmbeddedSageMaker\ns = EmbeddedSageMaker()\ns.start()\nprint(s.facts.pid, flush=True)\nimport time\ntime.sleep(1000)"
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert starter.stdout is not None
    pid = int(starter.stdout.readline())
    starter.kill()
    starter.communicate()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() if Path("/proc").exists() else is_gone(pid), seconds=20)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(EmbeddedSageMakerError, match="the region 'mars-1'"):
        EmbeddedSageMaker(region="mars-1").start()


def test_boto3_finds_it_by_the_environment_alone(
    jobs: JobsType, embedded_sagemaker: EmbeddedSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in embedded_sagemaker.environment.items():
        monkeypatch.setenv(name, value)
    assert "TrainingJobSummaries" in boto3.session.Session().client("sagemaker").list_training_jobs()
