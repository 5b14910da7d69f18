"""What ``nbjobs plan`` may be given, and what it says of what it cannot look at."""

from __future__ import annotations

import json

import pytest
from plans import DATED, IMPORTS, in_dag, tasks_of

from airflow_nbjobs import cli
from airflow_nbjobs.commands import plan as plan_
from airflow_nbjobs.commands.plan import dags

pytestmark = pytest.mark.usefixtures("no_network")
JOB = in_dag("Job(task_id='t', input_notebook='nb.ipynb', parameters={'name': 'x'})")


@pytest.fixture
def said(capsys):
    """Runs the command; returns its exit code, standard output and the last line of standard error."""

    def run(*arguments):
        code = cli.main(["plan", *map(str, arguments)])
        told = capsys.readouterr()
        return code, told.out, (told.err.splitlines() or [""])[-1]

    return run


@pytest.mark.parametrize("target", ["gone.py", "gone.zip", "dags/gone", "gone.ipynb"])
def test_a_file_that_is_not_there_is_said_and_is_no_dag(said, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    assert said(target) == (2, "", f"nbjobs plan: there is no file '{target}'")


def test_without_a_bundle_on_this_machine_a_target_is_needed(said, monkeypatch):
    monkeypatch.setattr(dags, "local_bundles", list)
    words = "none of Airflow's DAG bundles lies on this machine; name a DAG file or a folder"
    assert said() == (2, "", f"nbjobs plan: {words}")


def test_bundles_with_broken_files_alone_show_what_is_wrong(said, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text("from airflow.sdk import DAG\n1 / 0\n")
    monkeypatch.setattr(dags, "local_bundles", lambda: [tmp_path])
    code, out, _ = said("-o", "json")
    assert (code, len(json.loads(out)["file_problems"])) == (1, 1)


def test_a_file_that_cannot_be_read_is_a_line(said, monkeypatch):
    def denied(_):
        raise PermissionError(13, "Permission denied", "/secret/dag.py")

    monkeypatch.setattr(plan_, "_planned", denied)
    assert said("x") == (2, "", "nbjobs plan: '/secret/dag.py' cannot be read: Permission denied")


def test_the_text_is_the_default_and_its_last_line_the_counts(said, folder):
    (folder / "dag.py").write_text(IMPORTS + JOB)
    code, out, _ = said(folder / "dag.py")
    assert code == 0
    assert out.startswith("DAG d (")
    assert out.endswith("\n1 task, 0 problems, 0 warnings\n")


def test_a_days_backfill_is_one_day(plan):
    document, _, _ = plan(DATED, "--backfill", "2026-02-01", "2026-02-01")
    assert document["dags"][0]["backfill_runs"] == 1


@pytest.mark.parametrize("task", ["t", "u"])
def test_a_task_of_a_file_that_does_not_import_may_be_there(said, folder, task):
    """Nothing that can be said of it is wrong then."""
    (folder / "dag.py").write_text(IMPORTS + JOB)
    (folder / "broken.py").write_text("from airflow.sdk import DAG\n1 / 0\n")
    code, out, _ = said(folder, "--task", task, "-o", "json")
    assert code == 1
    assert [name for name, _ in tasks_of(json.loads(out))] == ["t"][: task == "t"]


def test_each_of_several_tasks_must_be_there(said, folder):
    (folder / "dag.py").write_text(IMPORTS + JOB)
    code, out, error = said(folder, "--task", "t", "--task", "tt")
    assert (code, out) == (2, "")
    assert error == "nbjobs plan: --task tt: there is no such task; did you mean 't'?"


def test_a_notebook_alone_counts_its_problems(said, folder):
    (folder / "bad.ipynb").write_text("{")
    code, out, _ = said(folder / "bad.ipynb", "-o", "json")
    document = json.loads(out)
    assert (code, document["problem_count"], document["dags"]) == (1, 1, [])
