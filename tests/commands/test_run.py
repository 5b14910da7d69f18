"""``nbjobs run``: a data scientist's first minute, on the embedded SageMaker."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from fakes import code, notebook

from airflow_nbjobs import cli

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
NBJOBS = (sys.executable, "-m", "airflow_nbjobs.cli")


def run_command(*arguments, folder):
    return subprocess.run(
        [*NBJOBS, "run", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def no_account(monkeypatch, tmp_path):
    """A machine that knows of no AWS account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.local
@pytest.mark.usefixtures("no_account")
def test_the_readmes_example_runs_and_keeps_the_executed_notebook(tmp_path):
    (block,) = re.findall(r"<!-- runs: nbjobs run -->\n```bash\n(.*?)```", README, re.DOTALL)
    command, *arguments = shlex.split(block)
    assert command == "nbjobs"
    executed = tmp_path / "executed.ipynb"
    done = run_command(*arguments[1:], "--executed", str(executed), folder=ROOT)
    assert done.returncode == 0, done.stderr
    outputs = dict(line.split(" = ") for line in done.stdout.splitlines())
    assert json.loads(outputs["train_rows"]) == 200
    assert json.loads(outputs["train_s3_uri"]).startswith("s3://")
    cells = nbformat.read(executed, as_version=4).cells
    assert any(cell.cell_type == "code" and cell.outputs for cell in cells)
    assert re.search(r"cell \d+ of \d+", done.stderr)


@pytest.mark.local
def test_a_parameter_is_of_the_type_that_the_notebook_gives_it(tmp_path):
    cell = (
        "zip_code = '00000'\nrows = 10 * 1000\nlr = 0.1\nitems = []\nother = None\nquoted = ''\nlimit: 'int | None' = 5"
    )
    (tmp_path / "report.ipynb").write_bytes(
        notebook(code(cell, "parameters"), "seen = [zip_code, rows, lr, items, other, quoted, limit]")
    )
    given = ("zip_code=12345", "rows=7", "lr=1", "items=['a', 1]", 'other={"a": [1]}', 'quoted="00123"', "limit=null")
    parameters = [part for one in given for part in ("-p", one)]
    done = run_command("report.ipynb", "--local", "--output", "seen", *parameters, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    seen = json.loads(line.removeprefix("seen = "))
    assert seen == ["12345", 7, 1.0, ["a", 1], {"a": [1]}, "00123", None]
    assert type(seen[2]) is float
    assert "the text '12345' is passed as a text, as its default says" in done.stderr


@pytest.mark.local
def test_a_failed_cell_ends_it_with_1_its_error_and_the_notebook_so_far(tmp_path):
    (tmp_path / "report.ipynb").write_bytes(notebook(code("print('first')"), code("1 / 0")))
    done = run_command("report.ipynb", "--local", folder=tmp_path)
    assert done.returncode == 1
    assert "failed in cell 2: ZeroDivisionError: division by zero" in done.stderr
    assert "airflow_nbjobs/" not in done.stderr, "a traceback of ours"
    cells = nbformat.read(tmp_path / "report.executed.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    assert [output.get("text") or output.get("ename") for output in outputs] == ["first\n", "ZeroDivisionError"]


@pytest.mark.local
def test_ctrl_c_stops_the_job(tmp_path):
    (tmp_path / "report.ipynb").write_bytes(notebook(code("import time"), code("time.sleep(600)")))
    process = subprocess.Popen(
        [*NBJOBS, "run", "report.ipynb", "--local"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("cell "):
            process.send_signal(signal.SIGINT)
            break
    rest = process.communicate(timeout=120)[1]
    assert "Stopping notebook job 'report-" in rest
    assert process.returncode == 130
    assert "Traceback" not in rest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report.ipynb", "-p", "days"), "-p 'days' is no parameter; write NAME=VALUE"),
        (("report.ipynb", "--executed", "nowhere/x.ipynb"), "there is no such folder"),
        (("report.ipynb", "--executed", "."), "that is a folder; name a file"),
        (("missing.ipynb", "--role", "r", "--image-uri", "i", "--s3-root-uri", "s3://b"), "missing.ipynb"),
        (("report.ipynb", "-p", "weeks=3"), "weeks"),
        (("report.ipynb", "-p", "days=seven"), "the text 'seven' is not exactly an int"),
        (("report.ipynb",), "role"),
        (("report.ipynb",), "credentials"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.usefixtures("no_account")
def test_what_is_wrong_is_said_before_anything_is_sent(tmp_path, monkeypatch, capsys, arguments, words):
    (tmp_path / "report.ipynb").write_bytes(notebook(code("days = 7", "parameters")))
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", *arguments]) == 1
    assert words in capsys.readouterr().err
