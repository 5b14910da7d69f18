"""How a command is told which Airflow to ask: options that do not fit together and tokens that are none are refused before anything is asked."""

from __future__ import annotations

from argparse import Namespace

import pytest

from airflow_nbjobs import cli
from airflow_nbjobs.commands.records import choice
from airflow_nbjobs.commands.records.database import DatabaseRecords
from airflow_nbjobs.core.errors import NotebookJobConfigError

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


@pytest.fixture
def opened(monkeypatch):
    """Opens the records of these options; returns them, and what was warned of."""

    def run(**options):
        args = Namespace(**{"airflow_url": None, "airflow_token_file": None, "region_name": None} | options)
        warned = []
        return choice.open_records(args, warned.append), warned

    monkeypatch.delenv("AIRFLOW_CLI_TOKEN", raising=False)
    return run


def test_without_an_address_it_is_the_database_that_is_configured_here(opened):
    records, warned = opened()
    assert (type(records), warned) == (DatabaseRecords, [])


def test_the_token_is_the_files_else_the_environments_without_the_blanks_around_it(opened, monkeypatch, tmp_path):
    def token(**options):
        records, _ = opened(airflow_url="https://a.test/team/api/v2", **options)
        http = records._api._http
        http.close()
        assert (str(http.base_url), records._api.address) == ("https://a.test/team/", "https://a.test/team")
        return http.headers["Authorization"]

    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", " of-the-environment\n")
    (tmp_path / "token").write_text("of-the-file\n")
    assert token() == "Bearer of-the-environment"
    assert token(airflow_token_file=str(tmp_path / "token")) == "Bearer of-the-file"


@pytest.mark.parametrize("text", ["a b", "ä", "a\x07b", "a\tb"])
def test_a_token_is_one_line_of_plain_letters(opened, monkeypatch, text):
    monkeypatch.setenv("AIRFLOW_CLI_TOKEN", text)
    with pytest.raises(NotebookJobConfigError, match="holds more than a token") as refused:
        opened(airflow_url="https://a.test")
    assert text not in str(refused.value)


def test_a_file_that_is_no_text_is_no_token(opened, tmp_path):
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    with pytest.raises(NotebookJobConfigError, match=r"--airflow-token-file '.*token' cannot be read"):
        opened(airflow_url="https://a.test", airflow_token_file=str(tmp_path / "token"))
