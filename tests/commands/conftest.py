"""What the tests of ``nbjobs plan`` share."""

from __future__ import annotations

import json
import socket

import pytest
from fakes import code, notebook
from plans import CELL, IMPORTS

from airflow_nbjobs import cli


@pytest.fixture
def no_network(monkeypatch):
    """Whoever opens a connection fails."""

    def refuse(*_):
        raise AssertionError("a plan asks nobody")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def folder(tmp_path):
    cells = (code(CELL, "parameters"), "total = rows", "%run helper.ipynb\ntotal = 2 * rows")
    (tmp_path / "nb.ipynb").write_bytes(notebook(*cells))
    (tmp_path / "helper.ipynb").write_bytes(notebook("best = 1"))
    return tmp_path


@pytest.fixture
def plan(folder, capsys):
    """Writes a DAG file and plans it; returns the JSON, the exit code and what is said on standard error."""

    def run(body, *options, text=False):
        file = folder / "dag.py"
        file.write_text(IMPORTS + body)
        code_ = cli.main(["plan", str(file), *options, *([] if text else ["-o", "json"])])
        said = capsys.readouterr()
        return (said.out if text else json.loads(said.out) if said.out else None), code_, said.err

    return run
