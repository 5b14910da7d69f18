"""Where ``nbjobs plan`` looks for DAGs, and how it reads their files."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from fakes import code, notebook
from plans import CELL, IMPORTS, in_dag, one

from airflow_nbjobs import cli

pytestmark = pytest.mark.usefixtures("no_network")


def test_two_bundles_may_have_modules_of_one_name(tmp_path, capsys):
    for name in ("a", "b"):
        folder = tmp_path / name
        (folder / "names").mkdir(parents=True)  # a namespace package
        (folder / "names" / "more.py").write_text(f"MORE = '{name}'\n")
        (folder / "common.py").write_text(
            f"WHO = '{name}'\ndef late():\n    import common, lately\n    return lately.ME if common.late is late else 'twice'\n"
        )
        (folder / "lately.py").write_text(f"ME = '{name}'\n")
        (folder / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters")))
        (folder / "dag.py").write_text(
            IMPORTS
            + "from common import WHO, late\nfrom names.more import MORE\n"
            + f"with DAG('d_{name}', schedule=None, user_defined_macros={{'late': late}}):\n"
            + "    Job(task_id='t', input_notebook='nb.ipynb', parameters={'name': WHO + MORE + '{{ late() }}'})\n"
        )
    before = list(sys.path)
    assert cli.main(["plan", str(tmp_path / "a"), str(tmp_path / "b"), "-o", "json"]) == 0
    dags = json.loads(capsys.readouterr().out)["dags"]
    given = [next(row["given"] for row in dag["tasks"][0]["parameters"] if row["name"] == "name") for dag in dags]
    assert given == ["'aaa'", "'bbb'"]
    assert not {"common", "names", "names.more", "lately"} & sys.modules.keys()
    assert sys.path == before


def test_what_is_installed_below_a_folder_is_no_part_of_it(plan, folder, monkeypatch):
    """A library that is imported twice in a process may not work: a virtual environment lies in many a repository, and this package in its own."""
    (folder / "installed").mkdir()
    (folder / "installed" / "library.py").write_text("")
    (folder / "known").mkdir()
    for name in ("__init__", "more"):
        (folder / "known" / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(folder)
    importlib.import_module("known")
    monkeypatch.syspath_prepend(folder / "installed")
    try:
        plan("import library, known.more\n" + in_dag("Job(task_id='t', input_notebook='nb.ipynb')"))
        assert {"library", "known.more"} <= sys.modules.keys()
    finally:
        for name in ("library", "known", "known.more"):
            sys.modules.pop(name, None)


def test_a_folder_is_read_with_the_bundle_that_holds_it(folder, capsys, monkeypatch):
    (folder / "shared_by_bundle.py").write_text("NOTEBOOK = 'nb.ipynb'\n")
    (folder / "team").mkdir()
    (folder / "team" / "dag.py").write_text(
        IMPORTS + "from shared_by_bundle import NOTEBOOK\n" + in_dag("Job(task_id='t', input_notebook=NOTEBOOK)")
    )
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dags.local_bundles", lambda: [folder])
    for targets in ([str(folder / "team")], [str(folder / "team" / "dag.py")], ["d"]):
        assert cli.main(["plan", *targets, "-o", "json"]) == 0, targets
        assert one(json.loads(capsys.readouterr().out))["notebook"] == str(folder / "nb.ipynb")


def test_a_folder_without_a_dag_is_a_problem(tmp_path, capsys):
    (tmp_path / "notes.py").write_text("x = 1\n")
    assert cli.main(["plan", str(tmp_path), "-o", "json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["file_problems"]
    assert problem == {"file": str(tmp_path), "text": "no DAG is in this folder"}


def test_of_all_bundles_one_must_have_a_dag(tmp_path, capsys, monkeypatch):
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dags.local_bundles", lambda: folders)
    assert cli.main(["plan"]) == 2
    assert "no DAG is in Airflow's bundles on this machine: " in capsys.readouterr().err
    (folders[1] / "nb.ipynb").write_bytes(notebook("x = 1"))
    (folders[1] / "dag.py").write_text(IMPORTS + in_dag("Job(task_id='t', input_notebook='nb.ipynb')"))
    assert cli.main(["plan"]) == 0


def test_a_file_counts_once_however_often_it_is_asked_for(folder, capsys, monkeypatch):
    (folder / "dag.py").write_text(
        IMPORTS
        + "import warnings\nwarnings.warn('of the file')\n"
        + "with DAG('a', schedule=None):\n    Job(task_id='t', input_notebook='nb.ipynb')\n"
        + "with DAG('b', schedule=None):\n    Job(task_id='t', input_notebook='nb.ipynb')\n"
    )
    (folder / "broken.py").write_text("from airflow.sdk import DAG\n1 / 0\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("airflow_nbjobs.commands.plan.dags.local_bundles", lambda: [folder])
    targets = [".", "dag.py", "../" + folder.name + "/dag.py", "b", "broken.py", "nb.ipynb", "nb.ipynb"]
    assert cli.main(["plan", *targets, "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(dag["dag_id"], dag["file"]) for dag in document["dags"]] == [
        (name, str(folder / "dag.py")) for name in "ab"
    ]
    assert [problem["file"] for problem in document["file_problems"]] == [str(folder / "broken.py")]
    assert len(document["notebooks"]) == document["warning_count"] == 1
    cli.main(["plan", *targets])
    assert "DAG a (dag.py)" in capsys.readouterr().out


def test_a_notebook_that_is_not_there_is_a_usage_error(tmp_path, capsys):
    assert cli.main(["plan", str(tmp_path / "gone.ipynb")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"nbjobs plan: there is no file '{tmp_path / 'gone.ipynb'}'\n")


def test_what_a_child_process_of_a_dag_file_prints_is_no_part_of_the_plan(folder, capfd):
    (folder / "dag.py").write_text(
        "import os, sys\nos.system('echo from a child')\nos.write(1, b'from a descriptor')\nprint('from the first stdout', file=sys.__stdout__)\n"
        + IMPORTS
        + in_dag("Job(task_id='t', input_notebook='nb.ipynb')")
    )
    assert cli.main(["plan", str(folder / "dag.py"), "-o", "json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out)["dags"]
    assert all(f"from {each}" in said.err for each in ("a child", "a descriptor", "the first stdout"))
