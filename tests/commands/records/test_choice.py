"""How a command is told which Airflow to ask: options that do not fit together and tokens that are none are refused before anything is asked."""

from __future__ import annotations

import pytest

from airflow_nbjobs import cli

CALLS = {"outputs": ("outputs", "d", "r", "--to", "x"), "clean": ("clean",)}


@pytest.fixture(params=sorted(CALLS))
def refused(request, capsys, monkeypatch):
    """Runs a command; returns what it says on its way out with 2."""
    monkeypatch.delenv("AIRFLOW_CLI_TOKEN", raising=False)

    def run(*arguments):
        assert cli.main([*CALLS[request.param], *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert "Traceback" not in said.err
        return said.err

    return run


def test_no_token_is_said_with_where_it_is_looked_for(refused):
    assert "AIRFLOW_CLI_TOKEN has none" in refused("--airflow-url", "https://a.test")


@pytest.mark.parametrize(
    ("text", "words"), [("", "has none"), ("two words", "more than a token"), ("a\nb", "more than a token")]
)
def test_a_file_without_a_token_is_refused_and_never_printed(refused, tmp_path, text, words):
    file = tmp_path / "token"
    file.write_text(text)
    said = refused("--airflow-url", "https://a.test", "--airflow-token-file", str(file))
    assert words in said
    assert "two words" not in said


def test_a_missing_file_is_said(refused):
    assert "cannot be read" in refused("--airflow-url", "https://a.test", "--airflow-token-file", "/none")


@pytest.mark.parametrize("option", ["--airflow-token-file", "--region"])
def test_an_option_of_a_remote_airflow_alone_is_refused(refused, option):
    assert f"{option} goes with --airflow-url" in refused(option, "x")


def test_no_address_is_refused(refused, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", "t")
    assert "--airflow-url" in refused("--airflow-url", "nowhere")


def test_an_airflow_without_a_database_is_one_clear_error(refused):
    """The tests' own Airflow home has none."""
    assert "Airflow's database cannot be read" in refused()
