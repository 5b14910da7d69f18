"""Values that the notebook's own code does not let through, and what it makes before they are there."""

import json
from pathlib import Path

import pytest

from airflow_nbjobs.core.notebook.document import code_cell, parse_notebook
from airflow_nbjobs.core.values.dataflow import follow
from airflow_nbjobs.core.values.declaration import read_declaration
from airflow_nbjobs.core.values.parameters import check_parameters

TAGGED = ("parameters",)


def notebook_of(*cells):
    """A notebook of code cells, each a source or (source, tag, …); a dict is a cell as it is."""
    made = []
    for cell in cells:
        source, *tags = (cell,) if isinstance(cell, str) else cell if isinstance(cell, tuple) else ("",)
        made.append(cell if isinstance(cell, dict) else code_cell(source, {"tags": tags} if tags else {}))
    metadata = {"kernelspec": {"name": "python3"}}
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": made})
    return parse_notebook(text, source="nb.ipynb")


def check(*cells, unknown="error", **given):
    return check_parameters(notebook_of(*cells), given, kernel_name="python3", unknown=unknown)


def markdown(text, *tags):
    return {"cell_type": "markdown", "id": "m", "metadata": {"tags": list(tags)}, "source": text}


# -- no cell is tagged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "place"),
    [
        (["x = 1", "answer = x + 1"], "cell 1, line 1: x = 1"),
        ([markdown("# Title"), "import os", "y = 2\nx, z = 1, 2"], "cell 3, line 2: x, z = 1, 2"),
        (["with open('f') as f:\n    x = 1"], "cell 1, line 2: x = 1"),
        (["x: int = 5"], "cell 1, line 1: x: int = 5"),
        (["(x := 5)"], "cell 1, line 1: (x := 5)"),
        (["y = x = 5"], "cell 1, line 1"),
        (["def f():\n    return x", "x = 5"], "cell 2, line 1: x = 5"),
        (["from config import x"], "cell 1, line 1"),
        (["%matplotlib inline\nx = 1"], "cell 1, line 2: x = 1"),
    ],
)
def test_an_assignment_that_would_win_is_a_problem_that_says_which_cell_to_tag(cells, place):
    checked = check(*cells, x=5)
    [problem] = checked.problems
    assert "parameter 'x' would not reach the notebook" in problem
    assert place in problem
    assert f"tag {place.split(',')[0]} with 'parameters'" in problem
    assert checked.warnings == ()


@pytest.mark.parametrize(
    "tag", ["Parameters", "PARAMETERS", "parameter", "params", "param", " parameters ", "paramters"]
)
def test_a_tag_that_is_none_is_named(tag):
    [problem] = check("import os", ("x = 1", tag), x=5).problems
    assert f"cell 2 is tagged {tag!r}, which counts for nothing: the tag is 'parameters'" in problem
    assert "tag cell 2 with 'parameters'" in problem


def test_a_tag_on_another_kind_of_cell_is_named():
    [problem] = check(markdown("# Parameters", "parameters"), "x = 1", x=5).problems
    assert "Cell 1, tagged 'parameters', is a markdown cell and no code cell" in problem
    assert "tag cell 2" in problem


def test_all_names_that_would_be_lost_are_one_problem():
    [problem] = check("x = 1", "y = 'b'", x=5, y="c").problems
    assert "'x' in cell 1, line 1: x = 1; 'y' in cell 2, line 1: y = 'b'" in problem
    assert "move the other assignments into it" in problem


@pytest.mark.parametrize(
    "source",
    [
        *("x = x or 5", "x = int(x)", "x += 1", "x = globals().get('x', 1)", "x = x if 'x' in globals() else 4"),
        *("try:\n    x\nexcept NameError:\n    x = 1", "if 'x' not in globals():\n    x = 1", "print(x)"),
        *("def f():\n    x = 5", "[x for x in range(3)]", "class C:\n    x = 1", "f = lambda x: x"),
    ],
)
def test_code_that_reads_what_is_given_is_no_problem(source):
    checked = check(source, x=5)
    assert checked.problems == ()
    assert ["is not seen in the notebook" in warning for warning in checked.warnings] == [True]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["if prod:\n    x = 1"], "may be assigned over in cell 1, line 2"),
        (["print(x)", "x = 1"], "is assigned anew in cell 2, line 1"),
        (["%%bash\necho {x}", "x = 1"], "is assigned anew in cell 2, line 1"),
        (["for x in range(3):\n    pass"], "is assigned anew in cell 1, line 1"),
    ],
)
def test_an_assignment_that_may_win_is_a_warning(cells, said):
    checked = check(*cells, x=5)
    assert checked.problems == ()
    assert said in " ".join(checked.warnings)


def test_a_dictionary_for_many_notebooks_may_hold_what_one_of_them_assigns():
    checked = check("x = 1", x=5, unknown="warn")
    assert checked.problems == ()
    assert "would not reach the notebook" in checked.warnings[0]


# -- assigned anew after the tagged cell ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "line"),
    [
        *[("x = 5", 1), ("import os\nx, y = 1, 2", 2), ("print(x)\nx = 5", 2), ("x: str = 'a'", 1), ("x = y = 3", 1)],
        *[("with a as b:\n    x = 3", 2), ("for x in y:\n    pass", 1), ("y = 3\nx = y", 2), ("from c import x", 1)],
    ],
)
def test_a_value_that_is_assigned_over_later_is_a_warning_that_names_cell_and_line(source, line):
    checked = check(("x = 1", *TAGGED), "import os", source, x=7)
    assert checked.problems == ()
    [warning] = checked.warnings
    assert warning.startswith(f"parameter 'x' is assigned anew in cell 3, line {line}: ")


@pytest.mark.parametrize(
    "source",
    [
        *("x = x or 5", "x = int(x)", "x += 1", "if a:\n    x = 5", "y = x * 2\nx = y", "x['a'] = 1", "del x"),
        *("def f():\n    return x\nx = f()", "x = clean(given=x)", "a = f'{x}'\nx = a.strip()", "x = eval('x')"),
        *(
            "x, y = x * 2, 3",
            "print(x)\nfor x in y:\n    pass",
            "def f():\n    x = 5",
            "[x for x in y]",
            "%run other.ipynb",
        ),
        "x = [n for n in x]",
    ],
)
def test_an_assignment_that_reads_the_value_given_is_no_warning(source):
    assert check(("x = 1", *TAGGED), source, x=7).warnings == ()


def test_a_second_cell_with_the_tag_wins_over_what_is_given():
    checked = check(("x = 1", *TAGGED), ("x = 2", *TAGGED), x=7)
    assert "is assigned anew in cell 2" in checked.warnings[0]


def test_the_cell_of_an_earlier_run_is_replaced_and_no_assignment():
    assert check(("x = 1", *TAGGED), ("x = 2", "injected-parameters"), "print(x)", x=7).warnings == ()


def test_a_notebook_that_is_run_may_assign_over_what_is_given():
    runs = {"defaults.ipynb": notebook_of("import os", "%run ./more.ipynb"), "more.ipynb": notebook_of("y = 1\nx = 1")}
    nb = notebook_of(("x = 1", *TAGGED), "print(1)\n%run ./defaults.ipynb")
    [warning] = check_parameters(nb, {"x": 5}, kernel_name="python3", unknown="error", runs=runs).warnings
    assert warning.startswith(
        "parameter 'x' is assigned anew in cell 2, line 2: %run ./defaults.ipynb, whose cell 1 says x = 1"
    )
    harmless = {"defaults.ipynb": notebook_of("x = x or 1\n%run defaults.ipynb")}
    assert check_parameters(nb, {"x": 5}, kernel_name="python3", unknown="error", runs=harmless).warnings == ()
    untagged = check_parameters(
        notebook_of("%run defaults.ipynb"), {"x": 5}, kernel_name="python3", unknown="error", runs=runs
    )
    assert untagged.problems == ()
    assert "is assigned anew in cell 1, line 1" in " ".join(untagged.warnings)


# -- made of a default -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "shown", "line"),
    [
        *[("p = f's3://{x}'", "p", 2), ("p = g(x)", "p", 2), ("p = [x for _ in y]", "p", 2), ("p = x.year", "p", 2)],
        *[("p = {'k': x}", "p", 2), ("p = x['a']", "p", 2), ("p = '%s' % x", "p", 2), ("p: str = str(x)", "p", 2)],
        *[
            ("p = y if x else z", "p", 2),
            ("p = 1\np += x", "p", 3),
            ("(p := x)", "p", 2),
            ("def p(a=x):\n    pass", "p", 2),
        ],
        *[
            ("def h():\n    return x\np = h()", "p", 4),
            ("class C:\n    p = x", "C", 2),
            ("l = []\nl.append(x)", "l", 3),
        ],
        *[("import os\nos.environ['X'] = str(x)", "os.environ['X']", 3), ("c = {}\nc['a'] = x", "c['a']", 3)],
        *[
            ("if x > 1:\n    p = 'a'", "p", 3),
            ("with open(x) as f:\n    p = f.read()", "p", 3),
            ("a, p = 1, x", "p", 2),
        ],
    ],
)
def test_what_the_parameters_cell_makes_of_a_default_is_a_warning(source, shown, line):
    checked = check((f"x = 1\n{source}", *TAGGED), "print(1)", x=7)
    assert checked.problems == ()
    [warning] = checked.warnings
    assert warning.startswith(f"parameter 'x': {shown} is made of its default in cell 1, line {line}: ")
    assert "move that line into a later cell" in warning


def test_what_is_made_of_what_is_made_of_a_default_is_one_warning_each():
    checked = check(("x = 1\nb = x + 1\np = b * 2", *TAGGED), x=7)
    assert [warning.split(" is made")[0] for warning in checked.warnings] == ["parameter 'x': b", "parameter 'x': p"]


@pytest.mark.parametrize(
    "source",
    [
        *("def p():\n    return x", "p = lambda: x", "p = x\np = 3", "p = 'x'", "print(x)", "assert x", "x = x or 3"),
        *("def h(x):\n    return x\np = h(3)", "p = [x for x in (1, 2)]", "for i in range(x):\n    pass"),
    ],
)
def test_what_is_not_made_of_the_default_is_no_warning(source):
    assert check((f"x = 1\n{source}", *TAGGED), x=7).warnings == ()


def test_what_is_given_itself_or_made_anew_is_no_warning():
    cell = ("x = 1\np = f'{x}'", *TAGGED)
    assert check(cell, x=7, p="s3://b").warnings == ()
    assert check(cell, "p = f'{x}/{y}'", x=7).warnings == ()
    assert check(cell, p="s3://b").warnings == ()
    assert len(check(cell, "p = p + '/x'", x=7).warnings) == 1


def test_code_nested_too_deep_to_follow_is_no_crash():
    assert check(("x = 1", *TAGGED), "y = " + "+".join(["x"] * 3000), x=7).problems == ()


def test_the_sample_notebooks_are_without_a_warning():
    """A warning that is mostly false is worse than none: the package's own notebooks have none."""
    folder = Path(__file__).parents[3] / "dags" / "notebooks"
    notebooks = sorted(folder.rglob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        nb = parse_notebook(path.read_bytes(), source=path.name)
        values = read_declaration(nb).kinds
        checked = check_parameters(nb, dict.fromkeys(values, 1), kernel_name="python3", unknown="error")
        assert (checked.problems, checked.warnings) == ((), ()), path.name


def flow(*cells, given=("x",), runs=None):
    found = follow(notebook_of(*cells), list(given), runs)
    return {
        kind: {name: (place.cell, place.line) for name, place in getattr(found, kind).items()}
        for kind in ("overwritten", "reassigned", "conditional")
        if getattr(found, kind)
    }


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["x = 1"], {"overwritten": {"x": (1, 1)}}),
        (["print(x)\nx = 1"], {"reassigned": {"x": (1, 2)}}),
        (["y = x", "x = 1"], {"reassigned": {"x": (2, 1)}}),
        (["x = x + 1\nx = 2"], {"reassigned": {"x": (1, 2)}}),
        (["y = x\nx = y"], {}),
        (["y = x\nz = y\nx = f(z)"], {}),
        (["y = x\ny = 1\nx = y"], {"reassigned": {"x": (1, 3)}}),
        (["y = x\nif z:\n    y = 1\nx = y"], {}),
        (["x = 1\nx = 2"], {"overwritten": {"x": (1, 1)}}),
        (["if z:\n    x = 1"], {"conditional": {"x": (1, 2)}}),
        (["if x:\n    x = 1"], {}),
        (["print(x)\nif z:\n    x = 1"], {}),
        (["if z:\n    x = 1\nx = 2"], {"overwritten": {"x": (1, 3)}, "conditional": {"x": (1, 2)}}),
        (["for x in z:\n    pass"], {"reassigned": {"x": (1, 1)}}),
        (["with open(z) as x:\n    pass"], {"overwritten": {"x": (1, 1)}}),
        (["try:\n    x = 1\nfinally:\n    pass"], {"conditional": {"x": (1, 2)}}),
        (["y = (", "x = 1"], {"overwritten": {"x": (2, 1)}}),
        (["y = x (", "x = 1"], {"reassigned": {"x": (2, 1)}}),  # it may be read there
        (["%magic x", "x = 1"], {"reassigned": {"x": (2, 1)}}),
        (["!echo {x}\nx = 1"], {"reassigned": {"x": (1, 2)}}),
        (["!echo {xx}\nx = 1"], {"overwritten": {"x": (1, 2)}}),
        (["%%bash\necho $x", "x = 1"], {"reassigned": {"x": (2, 1)}}),
        (["%%capture\nx = 1"], {"overwritten": {"x": (1, 2)}}),
        (["x = globals()['x']"], {}),
        (["x, y = 1, 2"], {"overwritten": {"x": (1, 1)}}),
        (["del x"], {}),
        ([("x = 0", *TAGGED), "x = 1"], {"overwritten": {"x": (2, 1)}}),
        ([("x = 0", *TAGGED), ("x = 1", "injected-parameters")], {}),
        (["y = 1"], {}),
    ],
)
def test_what_becomes_of_a_value_given(cells, expected):
    assert flow(*cells) == expected


def test_each_name_that_is_given_is_followed_by_itself():
    assert flow("x = y\ny = 1", given=("x", "y")) == {"overwritten": {"x": (1, 1)}, "reassigned": {"y": (1, 2)}}
    assert flow("x = 1", given=()) == {}


@pytest.mark.parametrize(
    ("magic", "is_followed"),
    [
        ("%run a.ipynb", True),
        ("%run ./a.ipynb", True),
        ("%run -i a.ipynb", True),
        ("%run 'a.ipynb'", True),
        ("%run a.ipynb arg", False),
        ("%run b.ipynb", False),
        ("%run a.py", False),
    ],
)
def test_a_notebook_that_is_run_is_followed_too(magic, is_followed):
    runs = {"a.ipynb": notebook_of("print(1)\nx = 1")}
    expected = {"reassigned": {"x": (2, 1)}} if is_followed else {}
    assert flow("1", magic, runs=runs) == expected
    found = follow(notebook_of("1", magic), ["x"], runs)
    assert [str(place) for place in found.reassigned.values()] == (
        [f"cell 2, line 1: {magic}, whose cell 1 says x = 1"] if is_followed else []
    )


def test_notebooks_that_run_each_other_end():
    runs = {"a.ipynb": notebook_of("%run b.ipynb"), "b.ipynb": notebook_of("%run a.ipynb\nx = 1")}
    assert flow("%run a.ipynb", runs=runs) == {"reassigned": {"x": (1, 1)}}


def test_a_long_line_is_cut_where_it_is_shown():
    place = follow(notebook_of("x = '" + "a" * 100 + "'"), ["x"]).overwritten["x"]
    assert str(place) == "cell 1, line 1: x = '" + "a" * 75 + "…"


def derived(cell, *later, given=("x",)):
    found = follow(notebook_of((cell, *TAGGED), *later), list(given)).derived
    return [(place.shown, place.line, place.of) for place in found]


@pytest.mark.parametrize(
    ("cell", "later", "expected"),
    [
        ("x = 1\np = x", [], [("p", 2, ("x",))]),
        ("x = 1\ny = 2\np = x + y", [], [("p", 3, ("x",))]),
        ("x = 1\np = x\np = 2", [], []),
        ("x = 1\np = x\nif z:\n    p = 2", [], [("p", 2, ("x",))]),
        ("x = 1\np = x\np += 1", [], [("p", 3, ("x",))]),
        ("x = 1\nc = {}\nc['a'] = x\nc = {}", [], []),
        ("x = 1\nc = {}\nc['a'] = x\nif z:\n    c = {}", [], [("c['a']", 3, ("x",))]),
        ("x = 1\nc = {}\nc['a'] = x\nd = {}", [], [("c['a']", 3, ("x",))]),
        ("x = 1\nfor i in x:\n    p = 1", [], [("p", 3, ("x",))]),
        ("x = 1\nfor i in x:\n    p = i", [], [("p", 3, ("x",))]),
        ("x = 1\np = x", ["p = 2"], []),
        ("x = 1\np = x", ["p = p + 2"], [("p", 2, ("x",))]),
        ("x = 1\np = x", ["if z:\n    p = 2"], [("p", 2, ("x",))]),
        ("x = 1\nc.a = x", ["c.a = 2"], []),
    ],
)
def test_what_is_made_of_a_default_is_told_unless_it_is_made_anew(cell, later, expected):
    assert derived(cell, *later) == expected


def test_what_is_made_of_several_names_that_are_given_names_them_in_their_order():
    assert derived("x = 1\ny = 2\np = y + x", given=("x", "y")) == [("p", 3, ("x", "y"))]
    assert derived("x = 1\np = x\nq = p", given=("x", "p")) == [("q", 3, ("p",))]
