"""``FROM_PARAMS``: which of a run's params a notebook gets, and as what."""

import pytest
from fakes import code, notebook

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.core.values.from_params import unused_conf
from airflow_nbjobs.core.values.parameters import check_parameters

CELL = """
import datetime, enum
class Mode(enum.Enum):
    A = "a"
    B = "b"
epochs = 3
lr: float = 0.1
name = ""
limit: int | None = 5
nothing = None
day = datetime.date.today().isoformat()
sizes = (1, 2)
rates: list[float] = [0.5]
mode = Mode.A
_private = 1
"""
DEFAULTS = {"epochs": 3, "lr": 0.1, "name": "", "limit": 5, "nothing": None, "rates": [0.5], "_private": 1}


def checked(params, given=None, *, source=CELL, tag="parameters", kernel="python3"):
    nb = parse_notebook(notebook(code(source, tag)), source="nb.ipynb")
    return check_parameters(nb, given or {}, kernel_name=kernel, unknown="error", params=params)


def got(name, value):
    found = checked({name: value})
    assert found.problems == ()
    return found.values.get(name, "the notebook's own")


def test_params_that_the_notebook_has_arrive_and_others_are_named():
    found = checked({"epochs": 5, "other": 1, "nb/path.ipynb": "x"})
    assert found.values == {"epochs": 5}
    assert found.notes == (
        "params of the run that the notebook's 'parameters' cell does not have, and does not get: other",
    )
    assert found.problems == found.warnings == ()


@pytest.mark.parametrize(
    ("name", "value", "arrives"),
    [
        ("lr", 1, 1.0),
        ("epochs", 5.0, 5),
        ("epochs", 5, 5),
        ("lr", 0.25, 0.25),
        ("rates", [0, 1.5], [0.0, 1.5]),
        ("limit", None, None),
        ("limit", 7.0, 7),
        ("nothing", 7, 7),
        ("nothing", None, None),
        ("sizes", [3], [3]),
        ("mode", "b", "b"),
        ("name", "5", "5"),
        ("_private", 2, 2),
    ],
)
def test_values_arrive_with_the_type_that_the_notebook_has(name, value, arrives):
    """A browser's JSON has one type of number."""
    found = got(name, value)
    assert found == arrives
    assert type(found) is type(arrives)
    if isinstance(arrives, list):
        assert list(map(type, found)) == list(map(type, arrives))


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", None), ("name", None), ("day", None), ("sizes", [1, 2]), ("sizes", None), ("mode", "a")],
)
def test_a_field_that_was_left_leaves_the_notebooks_own_default(name, value):
    """A tuple stays a tuple, and an expression is evaluated when the notebook runs."""
    assert got(name, value) == "the notebook's own"
    (note,) = checked({name: value}).notes
    assert note.startswith(f"the notebook's own default counts for '{name}' (")


def test_the_tasks_own_parameters_win():
    assert checked({"epochs": 5, "lr": 0.5}, {"epochs": 7}).values == {"epochs": 7, "lr": 0.5}


def test_a_parameter_without_a_default_has_to_come_from_somewhere():
    source = "rows: int\nepochs = 1"
    (problem,) = checked({"rows": None, "epochs": 2}, source=source).problems
    assert "'rows' has no default in the notebook, and the run has no value for it" in problem
    assert checked({"rows": 5}, source=source).values == {"rows": 5}
    assert checked({}, {"rows": 5}, source=source).values == {"rows": 5}


def test_a_param_that_is_nearly_a_parameters_name_is_a_warning():
    (warning,) = checked({"epoch": 5}).warnings
    assert (
        warning
        == "the run's param 'epoch' reaches no parameter of the notebook, where one of a similar name keeps its default; did you mean 'epochs'?"
    )
    assert checked({"epoch": 5, "epochs": 3}).warnings == ()


@pytest.mark.parametrize(
    ("source", "tag", "said"),
    [
        ("x = 1", "", "the notebook has no cell tagged 'parameters'"),
        ("x = 1", "parameter", "cell 1 is tagged 'parameter', which counts for nothing: the tag is 'parameters'"),
        ("x = (", "parameters", "the 'parameters' cell is not plain Python"),
    ],
)
def test_a_cell_that_cannot_be_read_fails_the_task_and_says_why(source, tag, said):
    problem = checked({"x": 1}, source=source, tag=tag).problems[0]
    assert problem.startswith("parameters: FROM_PARAMS gives nothing to this notebook: ")
    assert said in problem


def test_another_language_is_told_to_name_its_parameters():
    (problem,) = checked({"x": 1}, kernel="ir").problems
    assert "parameters={'x': '{{ params.x }}'}" in problem


def test_without_params_nothing_is_different():
    assert checked(None, {"epochs": 1}).values == {"epochs": 1}


@pytest.mark.parametrize(
    ("source", "value", "arrives"),
    [
        ("x: float = 0.5", 2**53, float(2**53)),
        ("x: float = 0.5", 2**53 + 1, 2**53 + 1),  # a float does not hold it
        ("x: float = 0.5", -(2**53), -float(2**53)),
        ("x: int | float = 1", 5, 5),
        ("x: int | float = 1", 5.0, 5.0),
        ("x = 1", 5.5, 5.5),
        ("x = 1", float("inf"), float("inf")),
        ("x = 'a'", 5.0, 5.0),
        ("x = 'a'", 5, 5),
        ("x = True", 1, 1),
        ("x: dict[str, float] = {}", {"a": 1, "b": 2.5}, {"a": 1.0, "b": 2.5}),
        ("x = {'lr': 0.1, 'n': 5}", {"lr": 1, "n": 5.0, "other": 1}, {"lr": 1.0, "n": 5, "other": 1}),
        ("x: list[list[float]] = []", [[1], []], [[1.0], []]),
        ("x = []", [1, 2.0], [1, 2.0]),
    ],
)
def test_a_number_is_of_the_type_that_the_notebook_has_where_that_is_exact(source, value, arrives):
    found = checked({"x": value}, source=source).values["x"]
    assert repr(found) == repr(arrives)


@pytest.mark.parametrize(("name", "value"), [("sizes", [1, 3]), ("mode", "b"), ("day", "2026-01-01"), ("limit", None)])
def test_a_value_that_is_not_the_default_arrives(name, value):
    assert got(name, value) == value
    assert checked({name: value}).notes == ()


def test_params_beside_the_notebooks_are_named_together_and_none_that_the_task_gives():
    found = checked({"one": 1, "two": 2, "epochs": 3, "given": 4, "a-b": 5}, {"given": 6})
    assert found.notes == (
        "params of the run that the notebook's 'parameters' cell does not have, and does not get: one, two",
    )


def test_defaults_that_count_are_named_with_what_they_are():
    (note,) = checked({"sizes": None, "mode": "a", "epochs": 5}).notes
    assert note == "the notebook's own default counts for 'sizes' ((1, 2)), 'mode' (Mode.A)"


def test_what_a_runs_conf_has_and_its_params_have_not_is_named():
    assert unused_conf(None, {"a": 1}) == ""
    assert unused_conf({"a": 1}, {"a": 1, "b": 2}) == ""
    said = unused_conf({"a": 2, "b": "x", "c": 1}, {"a": 1, "c": 1})
    assert said == (
        "[core] dag_run_conf_overrides_params is False, so what the run was started with is not used: a=2, b='x'"
    )
