"""The command ``nbjobs doctor``: its report, its exit codes, and what the README shows of it."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from airflow_nbjobs import cli
from airflow_nbjobs.commands.doctor import account_checks, airflow_checks, report, trial
from airflow_nbjobs.commands.doctor.airflow_side import AirflowSide
from airflow_nbjobs.commands.doctor.examination import Check, Mark, Outcome, right, unknown, wrong

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
ROOT = "s3://sagemaker-eu-west-1-123456789012/nbjobs"


@pytest.fixture
def account(nbjobs_sagemaker, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW__NBJOBS__S3_ROOT_URI", ROOT)
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{tmp_path}/airflow.db")
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    monkeypatch.setattr(airflow_checks, "has_tabs", lambda: True)
    return nbjobs_sagemaker


def as_in_readme(text):
    """What differs from machine to machine as the README has it."""
    (head, *rest) = text.splitlines()
    head = re.sub(r"\d+\.\d+\.\d+\w*", "…", head)
    text = re.sub(r"\S+/airflow\.db", "/opt/airflow/airflow.db", "\n".join([head, *rest]) + "\n")
    return re.sub(r"nbjobs-doctor/[0-9a-f]{32}", "nbjobs-doctor/7f3a91c2", text)


@pytest.mark.local
def test_the_readme_shows_what_the_command_prints(account, capsys):
    (command,) = re.findall(r"<!-- runs: nbjobs doctor -->\n```bash\n(.*?)```", README, re.DOTALL)
    (shown,) = re.findall(r"<!-- printed: nbjobs doctor -->\n```text\n(.*?)```", README, re.DOTALL)
    account.faults.quota("ml.m5.xlarge", 4)
    with account.faults.deny("s3:PutObject"):
        assert cli.main(shlex.split(command)[1:]) == 1
    assert as_in_readme(capsys.readouterr().out) == shown


@pytest.mark.local
def test_json_is_all_that_is_printed_and_has_a_version(account, capsys):
    before = dict(os.environ)
    assert cli.main(["doctor", "-o", "json"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert (document["version"], document["wrong"]) == (1, 0)
    names = [check["check"] for check in document["checks"]]
    assert len(set(names)) == len(names) > 20
    for check in document["checks"]:
        assert check["seconds"] >= 0
        assert all(set(finding) == {"mark", "text", "fix", "statement"} for finding in check["findings"])
        assert {finding["mark"] for finding in check["findings"]} <= {"right", "unknown"}
    assert "run" not in names
    assert dict(os.environ) == before


@pytest.fixture
def checks(monkeypatch):
    """The checks that are made, in the place of all, by name."""

    def use(**findings):
        def chatty(name):
            def examined(_patient):
                sys.stdout.write("from a library\n")
                logging.getLogger("nbjobs").info("the job of %s goes on", name)
                assert logging.getLogger("airflow").level == logging.ERROR, "it says much while it is asked"
                warnings.warn("of a library", stacklevel=1)
                yield from findings[name]

            return examined

        made = [Check(name, chatty(name)) for name in findings if name != "run"]
        monkeypatch.setattr(airflow_checks, "CHECKS", made[:1])
        monkeypatch.setattr(account_checks, "CHECKS", made[1:])
        monkeypatch.setattr(trial, "CHECK", Check("run", chatty("run")))

    return use


def test_the_report_is_all_that_is_printed_and_anything_wrong_is_the_exit_code(checks, monkeypatch, capsys):
    checks(first=[right("a")], second=[unknown("b")], run=[wrong("c", "mend it")])
    loggers = [logging.getLogger(name) for name in ("nbjobs", "airflow")]
    for each in loggers:
        monkeypatch.setattr(each, "level", logging.WARNING)
    before = [(each.level, each.propagate, list(each.handlers)) for each in loggers]
    assert cli.main(["doctor"]) == 0
    said = capsys.readouterr()
    assert [line.split()[1:] for line in said.out.splitlines()] == [
        ["first", "a"],
        ["second", "b"],
        [],
        ["wrong,", "1", "not", "known,", "1", "right"],
    ]
    assert said.err.splitlines() == [
        "from a library",
        "the job of first goes on",
        "from a library",
        "the job of second goes on",
    ]
    assert cli.main(["doctor", "--run", "-o", "json"]) == 1
    assert [each["check"] for each in json.loads(capsys.readouterr().out)["checks"]] == ["first", "second", "run"]
    assert [(each.level, each.propagate, list(each.handlers)) for each in loggers] == before


def test_without_airflow_there_is_a_line_and_no_report(checks, monkeypatch, capsys):
    checks(first=[right("a")], run=[])
    monkeypatch.setitem(sys.modules, "airflow.settings", None)
    assert cli.main(["doctor"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Airflow cannot be started here: ModuleNotFoundError: ")
    assert said.err.endswith("; mend its configuration or installation first\n")


@pytest.mark.parametrize("arguments", [("--image",), ("-o", "yaml"), ("--role", "a", "--role", "b"), ("bucket",)])
def test_a_slip_is_a_usage_error(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["doctor", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_ctrl_c_is_a_line_and_leaves_nothing_half_printed(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(AirflowSide, "is_registered", interrupted)
    assert cli.main(["doctor", "-o", "json"]) == 130
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "interrupted: not everything was checked\n"


@pytest.mark.slow
def test_an_airflow_that_does_not_start_is_a_line(tmp_path):
    """In a process of its own: Airflow reads its configuration once."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///relative.db",
    }
    done = subprocess.run(
        [sys.executable, "-m", "airflow_nbjobs.cli", "doctor"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(r"^Airflow cannot be started here: \w+: .*; mend its configuration", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr


OUTCOME = Outcome("files", (right("a"), wrong("b\u202e", "mend it", {"Effect": "Allow"}), unknown("c")), 0.5)


def test_a_finding_is_a_line_with_what_to_change_below_it():
    signs = report.signs_of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert list(report.lines_of(OUTCOME, signs)) == [
        "✔ files              a",
        "✘ files              b⟦U+202E⟧",
        "                     -> mend it",
        '                        {"Effect": "Allow"}',
        "? files              c",
    ]
    assert report.summary([OUTCOME]) == "1 wrong, 1 not known, 1 right"


def test_a_terminal_without_the_signs_gets_letters():
    signs = report.signs_of(io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert set(signs) == set(Mark)
    assert "".join(signs.values()).isascii()


@pytest.mark.slow
@pytest.mark.local
def test_in_a_process_of_its_own_with_a_migrated_airflow_and_a_job_that_really_runs(
    account,
    _nbjobs_airflow_home,  # noqa: PT019 - its value is used
    tmp_path,
):
    own = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = own | account.environment | {"AIRFLOW_HOME": str(_nbjobs_airflow_home)}
    done = subprocess.run(
        [sys.executable, "-m", "airflow_nbjobs.cli", "doctor", "--run", "-o", "json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = {check["check"]: check["findings"] for check in json.loads(done.stdout)["checks"]}
    assert found["database"][0]["text"] == "the metadata database answers (sqlite)"
    assert "there is no triggerer" in found["triggerer"][0]["text"]
    assert [name for name, findings in found.items() if any(one["mark"] == "wrong" for one in findings)] == [
        "triggerer"
    ]
    assert "ran its notebook on Python" in found["run"][-1]["text"]
    assert "Training job completed" in done.stderr
    assert "[info" not in done.stderr  # how Airflow says what it does
    assert list(tmp_path.iterdir()) == []
