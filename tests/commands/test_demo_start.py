"""What keeps the demo from starting: one clear line on stderr, exit code 2, and nothing started."""

from __future__ import annotations

import argparse
import socket

import pytest

from airflow_nbjobs import cli
from airflow_nbjobs.commands import demo
from airflow_nbjobs.commands.demo import app
from airflow_nbjobs.commands.demo.processes import DemoError, check_port


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
