"""What keeps the demo from starting: one clear line on stderr, exit code 2, and nothing started."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_nbjobs import cli
from airflow_nbjobs.commands import demo
from airflow_nbjobs.commands.demo import app
from airflow_nbjobs.commands.demo.api import ApiRefusedError, ApiUnavailableError
from airflow_nbjobs.commands.demo.processes import (
    DemoError,
    StoppedBySignal,
    check_port,
    is_running,
    signals_as_exceptions,
)


def outcome(capsys, *arguments):
    code = cli.main(["demo", *arguments])
    return code, capsys.readouterr().err.strip().splitlines()


def test_a_busy_port_is_named(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, lines = outcome(capsys, "--port", str(port))
    assert code == 2
    assert lines == [
        f"nbjobs demo: port {port} of 127.0.0.1 cannot be used: Address already in use. Leave --port out for a free one"
    ]


def test_a_port_that_does_not_exist_is_an_error(capsys):
    code, lines = outcome(capsys, "--port", "70000")
    assert code == 2
    assert lines == [
        "nbjobs demo: port 70000 of 127.0.0.1 cannot be used: ports are 1 to 65535. Leave --port out for a free one"
    ]


def test_port_0_is_a_free_one_as_for_every_server():
    assert check_port(0) > 0


def test_a_dags_folder_that_is_not_there_is_named(capsys, tmp_path):
    code, lines = outcome(capsys, "--dags", str(tmp_path / "none"))
    assert (code, lines) == (2, [f"nbjobs demo: --dags {tmp_path / 'none'} is no folder"])


def test_a_near_folder_is_named(capsys, tmp_path):
    (tmp_path / "pipelines").mkdir()
    code, lines = outcome(capsys, "--dags", str(tmp_path / "pipeline"))
    assert (code, lines) == (
        2,
        [f"nbjobs demo: --dags {tmp_path / 'pipeline'} is no folder; did you mean '{tmp_path / 'pipelines'}'?"],
    )


def test_a_misspelt_dag_is_named_with_the_one_that_was_meant(tmp_path):
    known = {"sentiment_pipeline", "nightly"}
    assert app.missing_dag("sentiment_pipelin", known, tmp_path) == (
        f"no DAG 'sentiment_pipelin' in {tmp_path}; did you mean 'sentiment_pipeline'? There are: nightly, sentiment_pipeline"
    )
    assert app.missing_dag("x", known, tmp_path) == f"no DAG 'x' in {tmp_path}; there are: nightly, sentiment_pipeline"


def test_windows_is_not_supported():
    with pytest.raises(DemoError, match="not on win32; on Windows use WSL 2"):
        app.check_installation(platform="win32")


def test_a_missing_extra_is_named_with_its_cure(monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None if name == "moto" else object())
    with pytest.raises(
        DemoError, match=r"needs the extra 'local' \(moto missing\): pip install 'airflow-nbjobs\[local\]'"
    ):
        app.check_installation(platform="linux")


def test_an_environment_without_airflow_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    with pytest.raises(DemoError, match="no program 'airflow' in"):
        app.airflow_executable()


def test_an_installation_without_the_samples_asks_for_their_folder(monkeypatch, tmp_path):
    monkeypatch.setattr("airflow_nbjobs.__file__", str(tmp_path / "airflow_nbjobs" / "__init__.py"))
    with pytest.raises(DemoError, match="--dags DIR"):
        app.dags_folder(None)


def test_the_samples_of_the_checkout_are_the_default():
    assert (app.dags_folder(None) / "sentiment_pipeline.py").is_file()


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_conf_that_is_no_json_object_is_an_argument_error(capsys, text):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--conf", text])
    assert ended.value.code == 2
    assert "JSON" in capsys.readouterr().err


def test_a_start_that_takes_too_long_ends_with_what_was_waited_for(capsys, tmp_path):
    """The embedded server needs about a second; a demo of 50 ms cannot have it."""
    (tmp_path / "made.py").write_text("from factory import make_dag  # of airflow\nmake_dag()\n")
    code, lines = outcome(capsys, "--dags", str(tmp_path), "--timeout", "0.05")
    assert code == 2
    assert lines == [
        "nbjobs demo: the embedded SageMaker does not start within 0.05 s",
        "next: on a slow or busy machine give it longer, as in --timeout 0.1",
    ]


@pytest.mark.parametrize(("timeout", "start"), [(60, 60), (900, 300), (3600, 1200)])
def test_a_longer_timeout_gives_the_start_longer(timeout, start):
    """On two cores that others use as well, Airflow has taken six minutes."""
    assert app.start_seconds(timeout) == start


def test_of_many_dags_twenty_are_named(tmp_path):
    said = app.missing_dag("zzz", [f"dag_{number:02}" for number in reversed(range(25))], tmp_path)
    assert said.endswith("there are: " + ", ".join(f"dag_{number:02}" for number in range(20)))


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_where_all_is_installed_nothing_is_said(platform):
    app.check_installation(platform=platform)


def test_the_airflow_of_this_environment_is_taken_before_that_of_its_scripts(monkeypatch, tmp_path):
    for name in ("bin", "scripts"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr("sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / name))
    for name, mode in (("scripts", 0o755), ("bin", 0o644)):  # the second may not be run
        (tmp_path / name / "airflow").write_text("")
        (tmp_path / name / "airflow").chmod(mode)
    assert app.airflow_executable() == tmp_path / "scripts" / "airflow"
    (tmp_path / "bin" / "airflow").chmod(0o755)
    assert app.airflow_executable() == tmp_path / "bin" / "airflow"


def test_a_folder_of_dags_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert app.dags_folder(Path("mine")) == (tmp_path / "mine").resolve()


def test_a_private_file_is_the_users_alone_and_takes_nobodys_place(tmp_path):
    path = app.write_private(tmp_path / "passwords.json", "{}")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("{}", 0o600)
    with pytest.raises(FileExistsError):
        app.write_private(path, "x")


@pytest.mark.parametrize(("text", "value"), [("{}", {}), ('{"rows": 100}', {"rows": 100})])
def test_a_conf_is_a_json_object(text, value):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert parser.parse_args(["--conf", text]).conf == value


def test_without_options_it_runs_the_sample_and_stays_up():
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    args = parser.parse_args([])
    assert vars(args) == {
        "exit": False,
        "dags": None,
        "dag_id": "sentiment_pipeline",
        "conf": {},
        "port": None,
        "timeout": demo.DEFAULT_TIMEOUT_SECONDS,
    }


@pytest.mark.parametrize("error", [ApiUnavailableError("busy"), ApiRefusedError(403, "no")], ids=["busy", "refused"])
def test_an_airflow_that_does_not_answer_as_it_should_is_a_line(capsys, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(app, "Supervised", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(app._Demo, "run", fail)
    code, lines = outcome(capsys)
    assert (code, lines) == (1, [f"nbjobs demo: Airflow does not answer as it should: {error}"])


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (StoppedBySignal(15), 143),
        (StoppedBySignal(1), 129),
        (KeyboardInterrupt(), 130),
        (DemoError("x", exit_code=1), 1),
    ],
    ids=["term", "hup", "int", "error"],
)
def test_the_exit_code_says_what_ended_it(capsys, monkeypatch, ending, code):
    def end(_):
        raise ending

    monkeypatch.setattr(app, "Supervised", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(app._Demo, "run", end)
    assert outcome(capsys) == (code, ["nbjobs demo: x"] if isinstance(ending, DemoError) else [])


def test_signals_are_exceptions_for_as_long_as_the_demo_runs():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with signals_as_exceptions():
        for number, kind in zip(numbers, (KeyboardInterrupt, StoppedBySignal, StoppedBySignal), strict=True):
            with pytest.raises(kind) as raised:
                signal.raise_signal(number)
            assert getattr(raised.value, "exit_code", 130) == 128 + number
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_process_runs_until_it_has_ended():
    assert is_running(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert not is_running(ended.pid), "nobody has asked how it ended yet"
    assert not is_running(ended.pid)
