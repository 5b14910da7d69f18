"""What the code cells of a notebook assign and import, read without running them."""

import ast

import pytest
from cells import notebook_of
from nbformat import NotebookNode

from airflow_nbjobs.core.notebook.source import (
    assigns_dynamically,
    assigns_invisibly,
    bound_names,
    code_cells,
    names_in_order,
    source_of,
    tree_of,
    trees,
)


def names(source, **options):
    return list(bound_names(ast.parse(source), **options))


@pytest.mark.parametrize(
    ("source", "bound"),
    [
        ("b = 1\na = 2", ["b", "a"]),
        ("a, (b, *c) = d", ["a", "b", "c"]),
        ("a.b = 1\nc[d] = 2", []),
        ("a: int", []),
        ("a: int = 1", ["a"]),
        ("a.b: int", []),
        ("a += 1", ["a"]),
        ("for a, b in c:\n    d = 1\nelse:\n    e = 2", ["a", "b", "d", "e"]),
        ("with a as b, c as (d, e):\n    f = 1", ["b", "d", "e", "f"]),
        ("try:\n    a = 1\nexcept E:\n    b = 2\nelse:\n    c = 3\nfinally:\n    d = 4", ["a", "b", "c", "d"]),
        ("def f(a=(b := 1)):\n    c = 2", ["f"]),
        ("def f():\n    global a, b\n    a = 1", ["f", "a", "b"]),
        ("class A:\n    b = 1", ["A"]),
        ("async def f():\n    a = 1", ["f"]),
        ("import a.b, c as d\nfrom e import f, g as h", ["a", "d", "f", "h"]),
        ("from a import *", []),
        ("[a for a in b]", []),
        ("[(c := a) for a in b]", ["c"]),
        ("x = {a: (c := a) for a in b}", ["x", "c"]),
        ("f = lambda a: (b := a)", ["f"]),
        ("print(a := 1)", ["a"]),
        (
            "match a:\n    case [b, *c]:\n        d = 1\n    case {'k': e, **f}:\n        pass\n    case A(g) as h:\n        pass",
            None,
        ),
        ("del a", []),
    ],
)
def test_names_that_a_module_binds_are_seen_in_their_order(source, bound):
    if bound is None:
        assert sorted(names(source)) == list("bcdefgh")
    else:
        assert names(source) == bound


def test_imports_functions_and_classes_may_be_left_out():
    source = "import a\nfrom b import c\ndef d():\n    global e\nclass F:\n    pass\ng = 1"
    assert names(source, with_definitions=False) == ["e", "g"]
    nb = notebook_of("import a\nb = 1", "c = 2\nb = 3", "not python (", "def d(): pass")
    assert names_in_order(nb, with_definitions=False) == ("b", "c")
    assert names_in_order(nb, with_definitions=True) == ("a", "b", "c", "d")


def test_a_source_is_one_text_whatever_the_cell_holds():
    sources = ["a\nb", ["a\n", 5, "b"], 5, None]
    assert [source_of({"source": source}) for source in sources] == ["a\nb", "a\nb", "", ""]
    assert source_of({}) == ""


def test_code_cells_have_their_place_among_all_cells():
    nb = notebook_of("a", "b (", "c")
    nb.cells.insert(1, NotebookNode(cell_type="markdown", source="x", metadata={}))
    nb.cells.insert(0, 5)
    assert [position for position, _ in code_cells(nb)] == [2, 4, 5]
    assert [position for position, _ in trees(nb)] == [2, 5]
    assert list(code_cells(NotebookNode())) == []
    assert tree_of(NotebookNode(source="a = (")) is None


@pytest.mark.parametrize(
    ("source", "is_suspected"),
    [
        ("%%bash --out a\nls", True),
        ("%%python --bg\nx", True),
        ("%%python\nx = 1", False),
        ("%%capture\na = 1", False),
        ("%%capture a\nb = 1", True),
        ("%%time\n%%capture a\nb = 1", True),
        ("%%sql\nselect 1", True),
        ("%%timeit\na = 1", False),
        ("%%svg\n<x>", False),
        ("%run a.py", True),
        ("%run a.ipynb", False),
        ("%run -i a.ipynb", False),
        ("%store -r a", True),
        ("%cd a", False),
        ("a = %sql select 1", True),
        ("!ls", False),
        ("a?", False),
        ("a = (", True),
        ("from a import *", True),
        ("exec('a = 1')", True),
        ("setattr(module, 'a', 1)", True),
        ("vars()['a'] = 1", True),
        ("get_ipython().run_cell('a = 1')", True),
        ("a = executor(1)", False),
        ("def f():\n    exec('a = 1')", True),
        ("from a import b", False),
    ],
)
def test_a_cell_that_may_assign_what_is_not_seen_is_suspected(source, is_suspected):
    assert assigns_invisibly([notebook_of("a = 1"), notebook_of("b = 1", source)]) is is_suspected


def test_code_that_assigns_by_a_name_made_at_run_time_is_told():
    assert assigns_dynamically(ast.parse("globals()[x] = 1"))
    assert not assigns_dynamically(ast.parse("x = 1\nimport a\nfrom b import c\nf()"))
