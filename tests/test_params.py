"""``notebook_params``: a DAG's params from its notebook, while the DAG is parsed."""

import json
import sys
import warnings
from pathlib import Path

import pytest
from airflow.sdk import DAG
from airflow_names import DagBag, DagSerialization
from fakes import code, notebook

from airflow_nbjobs import FROM_PARAMS, notebook_params
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.task.notebook_cell import MOST_BYTES

CELL = "epochs = 3  # passes over the data\nlr: float = 0.1\nmodel = None\n"
DAG_FILE = """
from datetime import datetime, UTC
from airflow.sdk import DAG
from airflow_nbjobs import FROM_PARAMS, SageMakerNotebookJobOperator, notebook_params

with DAG("train", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), params=notebook_params({arguments})):
    SageMakerNotebookJobOperator(task_id="train", input_notebook="notebooks/nb.ipynb", parameters=FROM_PARAMS)
"""


@pytest.fixture
def dags(tmp_path):
    folder = tmp_path / "dags"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "notebooks" / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters"), "print(epochs)"))
    return folder


def parsed(dags, arguments="'notebooks/nb.ipynb'", name="train.py"):
    """Parse the DAG file as Airflow does; return the bag, and what was warned of with the line that it concerns."""
    file = dags / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(DAG_FILE.format(arguments=arguments))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bag = DagBag(dag_folder=str(file))
    return bag, [
        f"{Path(each.filename).name}:{each.lineno}: {each.message}"
        for each in caught
        if "notebook" in str(each.message)
    ]


def params_of(bag):
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    return dag.params


def the_reason(dags, arguments="'notebooks/nb.ipynb'"):
    """A scheduled DAG still parses; its form says what is wrong in the one field that it has, and a warning names the line."""
    bag, warned = parsed(dags, arguments)
    ((name, param),) = params_of(bag).items()
    assert name.startswith("Parameters of notebook")
    param.resolve()
    (warning,) = warned
    assert warning == f"train.py:6: {param.value}"
    return param.value


def test_a_scheduled_dag_has_the_notebooks_parameters_as_its_params(dags):
    bag, warned = parsed(dags)
    params = params_of(bag)
    assert dict(params) == {"epochs": 3, "lr": 0.1, "model": None}
    assert params.get_param("epochs").description == "passes over the data"
    assert warned == []


def test_a_change_of_outputs_leaves_the_serialized_dag_as_it_is_and_a_change_of_the_cell_does_not(dags):
    def serialized():
        (dag,) = parsed(dags)[0].dags.values()
        return json.dumps(DagSerialization.to_dict(dag), sort_keys=True, default=str)

    before = serialized()
    file = dags / "notebooks" / "nb.ipynb"
    printed = [{"output_type": "stream", "name": "stdout", "text": "5"}]
    file.write_bytes(notebook(code(CELL, "parameters"), code("print(epochs)", outputs=printed, count=3)))
    assert serialized() == before
    file.write_bytes(notebook(code(CELL.replace("3", "4"), "parameters"), "print(epochs)"))
    assert serialized() != before


@pytest.mark.parametrize("place", ["sub/train.py", "deeply/nested/train.py"])
def test_a_path_is_looked_up_beside_the_dag_file_and_then_at_the_bundles_root(dags, place, monkeypatch):
    """As ``input_notebook`` is; Airflow puts a bundle's root on Python's path."""
    (dags / place).parent.mkdir(parents=True)
    assert (
        "there is no 'notebooks/nb.ipynb'" in params_of(parsed(dags, name=place)[0])["Parameters of notebooks/nb.ipynb"]
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(dags)])
    assert "epochs" in params_of(parsed(dags, name=place)[0])


def test_a_helper_in_another_folder_asks_for_the_dag_files_own_notebook(dags, tmp_path, monkeypatch):
    helper = tmp_path / "lib"
    helper.mkdir()
    (helper / "form_helper_of_test.py").write_text(
        "from airflow_nbjobs import notebook_params\ndef form():\n    return notebook_params('notebooks/nb.ipynb')\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(helper)])
    (dags / "a.py").write_text(
        "from airflow.sdk import DAG\nfrom form_helper_of_test import form\nwith DAG('a', schedule=None, params=form()): pass\n"
    )
    bag = DagBag(dag_folder=str(dags / "a.py"))
    assert "epochs" in params_of(bag)


def test_where_nothing_is_parsed_a_path_is_beside_the_callers_file(tmp_path):
    file = tmp_path / "program.py"
    (tmp_path / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters")))
    namespace = {"__file__": str(file), "__name__": "program", "notebook_params": notebook_params}
    exec(compile("params = notebook_params('nb.ipynb')", str(file), "exec"), namespace)  # noqa: S102 - ours
    assert list(namespace["params"]) == ["epochs", "lr", "model"]


def test_only_and_titles_reach_the_form(dags):
    params = params_of(parsed(dags, "'notebooks/nb.ipynb', only=['lr', 'epochs'], titles={'lr': 'Learning rate'}")[0])
    assert list(params) == ["lr", "epochs"]
    assert params.get_param("lr").schema["title"] == "Learning rate"


def test_params_are_an_ordinary_dict_to_be_merged(dags):
    found = notebook_params(str(dags / "notebooks" / "nb.ipynb"), only="epochs")
    dag = DAG("d", schedule=None, params={**found, "more": 1})
    assert dict(dag.params) == {"epochs": 3, "more": 1}


def test_the_dict_that_stands_for_params_is_merged_as_any_other():
    assert FROM_PARAMS | {"a": 1} == {**FROM_PARAMS, "a": 1}
    assert json.loads(json.dumps(FROM_PARAMS)) == FROM_PARAMS


# -- beginners' mistakes: the DAG parses, the form and a warning say what is wrong ---------------------------------------


def written(dags, body):
    (dags / "notebooks" / "nb.ipynb").write_bytes(body)
    return dags


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            notebook("epochs = 3"),
            "the notebook has no cell tagged 'parameters'; tag the cell that sets them: in JupyterLab the property inspector, 'Cell Tags'",
        ),
        (
            notebook(code("epochs = 3", "Parameter")),
            "cell 1 is tagged 'Parameter', which counts for nothing: the tag is 'parameters'",
        ),
        (notebook(code("epochs = (", "parameters")), "the 'parameters' cell is not plain Python"),
        (notebook(code("import os", "parameters")), "its 'parameters' cell assigns no variable"),
        (
            notebook(code("x <- 1", "parameters"), kernel="ir", language="R"),
            "is a notebook for kernel 'ir', and only Python's parameters are read",
        ),
        (b"print('no notebook')", "is not a notebook: not JSON, line 1 column 1"),
        (b"", "is empty"),
        (b"[]", "is not a notebook: a JSON list, not an object"),
        (b'{"a": 1}', "is not a notebook: it has no 'nbformat' key"),
        (b'{"nbformat": 3}', "has nbformat 3, notebook jobs run nbformat 4; convert it: jupyter nbconvert"),
        (b'{"nbformat": 4}', "is not a valid notebook: 'cells' is missing"),
        (b'{"nbformat": 4, "cells": [1]}', "is not a valid notebook: cell 1: is not an object"),
        (b'{"nbformat": 4, "cells": [], "metadata": []}', "is not a valid notebook: 'metadata' is not an object"),
        (b"version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer, not the notebook"),
        (b"\xff\xfe", "is not a notebook: not UTF-8 text"),
        (
            b" " * (MOST_BYTES + 1),
            "has 10.0 MiB, and more than 10 are not read at every parse of the DAG; clear its outputs",
        ),
    ],
)
def test_a_notebook_that_gives_no_form_is_said_in_the_form_and_breaks_no_dag(dags, body, said):
    assert said in the_reason(written(dags, body))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("notebook/nb.ipynb", "there is no 'notebook/nb.ipynb'; searched "),
        ("notebooks/NB.ipynb", "did you mean 'notebooks/nb.ipynb'?"),
        ("notebooks/nb", "did you mean 'notebooks/nb.ipynb'?"),
        ("notebooks", "'notebooks' is a folder, a file is needed; in it: "),
    ],
)
def test_a_path_that_leads_nowhere_is_said_in_the_form(dags, path, said):
    assert said in the_reason(dags, repr(path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            "only=['epoch', 'lr']",
            "only: 'epoch' is not defined in the notebook's 'parameters' cell; did you mean 'epochs'?",
        ),
        ("titles={'Lr': 'x'}", "titles: 'Lr' is not defined in the notebook's 'parameters' cell; did you mean 'lr'?"),
    ],
)
def test_names_that_the_notebook_does_not_have_are_a_warning_with_the_line(dags, arguments, said):
    bag, warned = parsed(dags, f"'notebooks/nb.ipynb', {arguments}")
    assert "lr" in params_of(bag)
    assert warned == [f"train.py:6: notebook_params('notebooks/nb.ipynb'): {said}"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (
            "'s3://bucket/nb.ipynb'",
            "NotebookJobConfigError",
            "'s3://bucket/nb.ipynb' is a URI, and the form is made while the DAG is parsed",
        ),
        (
            "'{{ var.value.nb }}.ipynb'",
            "NotebookJobConfigError",
            "is a template, and the form is made while the DAG is parsed",
        ),
        ("5", "TypeError", "the notebook must be a path, not 5"),
        ("'notebooks/nb.ipynb', only=7", "TypeError", "only must be names of parameters, not 7"),
        ("'notebooks/nb.ipynb', only=[1]", "TypeError", "only must be names of parameters, not [1]"),
        ("'notebooks/nb.ipynb', titles=['a']", "TypeError", "titles must be texts by the parameters' names, not ['a']"),
        (
            "'notebooks/nb.ipynb', titles={'lr': 5}",
            "TypeError",
            "titles must be texts by the parameters' names, not {'lr': 5}",
        ),
    ],
)
def test_what_only_the_dag_files_author_can_have_got_wrong_is_an_import_error_at_its_line(dags, arguments, error, said):
    (trace,) = parsed(dags, arguments)[0].import_errors.values()
    assert "line 6" in trace
    assert error in trace
    assert said in trace


def test_refusals_are_our_own_errors():
    with pytest.raises(NotebookJobConfigError):
        notebook_params("s3://bucket/nb.ipynb")


# -- where a path is looked up, and what may be asked for ----------------------------------------------------------------


def fields_of(code_text, folder, **more):
    """Run a program of that text, which has no file of its own unless it is given one; return what it calls ``params``."""
    namespace = {"__name__": "program", "notebook_params": notebook_params, "folder": folder} | more
    exec(compile(code_text, "program", "exec"), namespace)  # noqa: S102 - ours
    return namespace["params"]


def test_in_an_interactive_session_a_path_is_of_the_folder_that_it_runs_in(tmp_path, monkeypatch):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters")))
    monkeypatch.chdir(tmp_path)
    assert list(fields_of("params = notebook_params('nb.ipynb')", tmp_path)) == ["epochs", "lr", "model"]


def test_only_folders_above_the_file_from_which_python_imports_are_looked_in(tmp_path, monkeypatch):
    (tmp_path / "nb.ipynb").write_bytes(notebook(code(CELL, "parameters")))
    (tmp_path / "a" / "b").mkdir(parents=True)
    text, file = "params = notebook_params('nb.ipynb')", str(tmp_path / "a" / "b" / "program.py")
    monkeypatch.chdir(tmp_path)
    with pytest.warns(UserWarning, match="The form has no fields"):
        assert list(fields_of(text, tmp_path, __file__=file)) == ["Parameters of nb.ipynb"]
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    assert "epochs" in fields_of(text, tmp_path, __file__=file)
    (tmp_path / "a" / "b" / "nb.ipynb").write_bytes(notebook(code("near = 1", "parameters")))
    assert list(fields_of(text, tmp_path, __file__=file)) == ["near"], "what lies beside the file comes first"


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (None, ["epochs", "lr", "model"]),
        ("lr", ["lr"]),
        (("model", "epochs"), ["model", "epochs"]),
        ((name for name in ["model"]), ["model"]),
        ([], []),
    ],
    ids=["all", "one", "tuple", "generator", "none"],
)
def test_names_may_be_asked_for_in_any_collection_and_the_notebook_by_a_path(dags, only, names):
    assert list(notebook_params(dags / "notebooks" / "nb.ipynb", only=only)) == names


@pytest.mark.parametrize("titles", [{5: "a"}, [("lr", "x")], "lr"], ids=str)
def test_titles_that_are_none_are_refused(dags, titles):
    with pytest.raises(TypeError, match="titles must be texts by the parameters' names"):
        notebook_params(dags / "notebooks" / "nb.ipynb", titles=titles)


def test_a_field_that_says_what_is_wrong_may_stay_empty_and_is_long(dags):
    with pytest.warns(UserWarning, match="The form has no fields"):
        ((name, param),) = notebook_params(dags / "none.ipynb").items()
    assert name == f"Parameters of {dags / 'none.ipynb'}"
    assert param.schema == {"type": ["string", "null"], "format": "multiline"}
    assert param.value.startswith("The form has no fields for the notebook's parameters: notebook_params: there is no")


def test_only_without_the_tag_of_a_cell_it_is_told_how_to_tag_one(dags):
    for body, is_told in ((notebook("x = 1"), True), (notebook(code("x = (", "parameters")), False)):
        (dags / "notebooks" / "nb.ipynb").write_bytes(body)
        with pytest.warns(UserWarning, match="The form has no fields") as caught:
            notebook_params(dags / "notebooks" / "nb.ipynb")
        assert ("property inspector" in str(caught[0].message)) is is_told
