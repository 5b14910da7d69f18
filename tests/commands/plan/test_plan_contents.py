"""What a plan shows of a notebook: its parameters beside what is given, its files, the cells of its outputs."""

from __future__ import annotations

import nbformat
import pytest
from fakes import code, notebook

from airflow_nbjobs.commands.plan.contents import describe_outputs, describe_parameters
from airflow_nbjobs.core.values.conversion import Spelled
from airflow_nbjobs.core.values.not_known import NotKnown
from airflow_nbjobs.core.values.outputs import declare_outputs

CELL = """
a = 1
b: str
c = len("ab")
d: "int | None" = None
e: "list | tuple" = []
f = None
g: "Literal['x', 'y']" = 'x'
api_key = 'k'
"""


def read(*cells):
    return nbformat.reads(notebook(*cells).decode(), as_version=4)


def rows(given=None, *, checked=None, kernel_name="python3", whole="", document=None):
    document = read(code(CELL, "parameters")) if document is None else document
    found = describe_parameters(
        document or None, given or {}, checked=checked or {}, kernel_name=kernel_name, whole=whole
    )
    return {each.name: (each.type, each.default, each.given, each.is_known) for each in found}


def test_a_cells_parameters_come_first_with_their_types_and_defaults():
    found = rows({"other": [1]})
    assert list(found) == [*"abcdefg", "api_key", "other"]
    assert found["a"] == ("int", "1", None, True)
    assert found["b"] == ("str", None, None, True)
    assert found["c"][1] in ('len("ab")', "len('ab')")
    assert found["d"] == ("int | None", "None", None, True)
    assert found["e"] == ("list | tuple", "[]", None, True)
    assert found["f"][1] == "None"
    assert found["g"] == ("Literal['x', 'y']", "'x'", None, True)
    assert found["other"] == (None, None, "[1]", True)


def test_what_is_given_is_shown_as_the_notebook_gets_it():
    found = rows({"a": "7", "b": "x", "c": NotKnown("{{ ds }}")}, checked={"a": Spelled(7, "7", "JSON"), "z": True})
    assert [found[name][2:] for name in "abcz"] == [("7", True), ("'x'", True), ("{{ ds }}", False), ("True", True)]


def test_a_text_of_json_is_read_as_the_parameters():
    assert rows('{"a": 5}')["a"][2] == "5"
    assert rows("no json")["a"][2] is None


def test_what_may_give_the_others_is_said_of_each():
    found = rows({"a": 1, "b": NotKnown("{{ ds }}")}, whole="f()")
    assert found["a"][2:] == ("1", False)
    assert found["b"][2:] == ("{{ ds }}", False)
    assert found["c"][2:] == ("f()", False)


def test_a_secret_is_shown_neither_as_given_nor_as_the_default():
    found = rows({"api_key": "hunter2", "password": "hunter3"})
    assert "hunter2" not in str(found["api_key"])
    assert found["api_key"][1] == "***"
    assert "hunter3" not in str(found["password"])


@pytest.mark.parametrize(("document", "kernel"), [(False, "python3"), (None, "ir")])
def test_without_a_cell_of_python_there_is_what_the_task_names_alone(document, kernel):
    document = False if document is False else read(code(CELL, "parameters"))
    if document:
        document.metadata = {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}}
    assert rows({"x": 1}, document=document, kernel_name=kernel) == {"x": (None, None, "1", True)}


def outputs_of(declared, **sources):
    declared = declare_outputs(declared, None)
    found = describe_outputs({f"{name}.ipynb": read(*cells) for name, cells in sources.items()}, declared)
    return [(each.name, each.type, each.notebook, each.cell) for each in found]


def test_an_output_is_assigned_by_the_last_cell_that_does():
    assert outputs_of({"x": int, "y": str, "z": float}, nb=("x = 1", "y = 1", "x = 2", "w = 1")) == [
        ("x", "int", "nb.ipynb", 3),
        ("y", "str", "nb.ipynb", 2),
        ("z", "float", None, None),
    ]


def test_the_notebooks_own_cell_counts_before_one_that_it_runs():
    assert outputs_of(["x", "y"], nb=("x = 1",), helper=("y = 1", "x = 1")) == [
        ("x", None, "nb.ipynb", 1),
        ("y", None, "helper.ipynb", 1),
    ]
