"""What the ``parameters`` cell says of its names, and what of that is certain."""

import ast
from types import NoneType

import pytest
from cells import notebook_of

from airflow_nbjobs.core.values.declaration import read_declaration, read_tagged_cell, untagged


def notebook(*sources, tags=("parameters",), later=()):
    """The first cell has the tags, the second one ``later``."""
    nb = notebook_of(*sources)
    for cell, its_tags in zip(nb.cells, (tags, later), strict=False):
        cell.metadata["tags"] = list(its_tags)
    return nb


def kinds_of(source):
    declaration = read_tagged_cell(notebook(source))
    return {name: kind.types if kind.is_known else None for name, kind in declaration.kinds.items()}


@pytest.mark.parametrize(
    ("source", "kinds"),
    [
        ("a = 1\nb = 'x'", {"a": {int}, "b": {str}}),
        ("a = b = 1.5", {"a": {float}, "b": {float}}),
        ("a, b = 1, 'x'", {"a": {int}, "b": {str}}),
        ("[a, b] = [1, 'x']", {"a": {int}, "b": {str}}),
        ("a, (b, c) = 1, (2.5, 'x')", {"a": {int}, "b": {float}, "c": {str}}),
        ("a, b = [1, 2], [3]", {"a": {list}, "b": {list}}),
        ("a, b = f()", {"a": None, "b": None}),
        ("a, *b = 1, 2, 3", {"a": {int}, "b": {list}}),
        ("*a, b = 1, 'x', 3", {"a": {list}, "b": {int, str}}),
        ("a, b = *c, 1", {"a": None, "b": None}),
        ("a = 1\na += 0.5", {"a": {float}}),
        ("a = 'x'\na *= 2", {"a": {str}}),
        ("a += 1", {"a": None}),
        ("a = 1\na = 'x'", {"a": {str}}),
        ("a: int = 'x'\na = 'y'", {"a": {int}}),  # the annotation stays
        ("a: int = 1\na: str = 'x'", {"a": {str}}),
        ("a = 1\na: str", {"a": {str}}),
        ("a: int", {"a": {int}}),
        ("a: int = None", {"a": {int, NoneType}}),
        ("a: Path = 'x'", {"a": {str}}),
        ("a: Path", {"a": None}),
        ("a = None  # type: int", {"a": {int, NoneType}}),
        ("a = []  # type: list[int]  # of rows", {"a": {list}}),
        ("if c:\n    a = 1\nelse:\n    a = 'x'", {"a": {int, str}}),
        ("a = 1\nif c:\n    a = 'x'", {"a": {int, str}}),
        ("while c:\n    a = 1\nelse:\n    b = 'x'", {"a": {int}, "b": {str}}),
        ("a = 1\nfor a in ['x']:\n    b = 2.5\nelse:\n    d = 3", {"a": {str}, "b": {float}, "d": {int}}),
        ("for a in range(3):\n    pass", {"a": {int}}),
        ("for a, b in [(1, 2)]:\n    pass", {"a": {int}, "b": {int}}),
        ("a = 1\ntry:\n    a = 'x'\nexcept E:\n    b = 2\nelse:\n    d = 3", {"a": {int, str}, "b": {int}, "d": {int}}),
        ("a = 1\ntry:\n    pass\nexcept E:\n    a = 'x'\nelse:\n    a = 2.5", {"a": {int, str, float}}),
        ("a = 1\ntry:\n    f()\nfinally:\n    a = 'x'", {"a": {str}}),
        ("try:\n    a = 1\nexcept* E:\n    a = 'x'", {"a": {int, str}}),
        ("a = 1\nwith f() as b:\n    a = 'x'", {"a": {str}, "b": None}),
        ("a = 1\nmatch c:\n    case 1:\n        a = 'x'", {"a": {int, str}}),
        ("a = 1\ndef a():\n    b = 2", {"a": None}),
        ("a = 1\nclass a:\n    pass", {"a": None}),
        ("a = 1\nimport a.b", {"a": None}),
        ("a = 1\nfrom b import c as a", {"a": None}),
        ("if (a := 1) > 0:\n    b = 'x'", {"a": {int}, "b": {str}}),
        ("b = [(a := 'x'), 2]", {"a": {str}, "b": {list}}),
        ("a = 1\nif c:\n    print(a := 'x')", {"a": {int, str}}),
        ("def f():\n    (a := 1)", {"f": None}),
        ("f = lambda: (a := 1)", {"f": None}),
        ("%time\na = 1", {"a": {int}}),
    ],
)
def test_each_name_that_the_cell_binds_has_the_types_of_what_it_is_given(source, kinds):
    assert {name: set(types) if types is not None else None for name, types in kinds_of(source).items()} == kinds


@pytest.mark.parametrize(
    ("source", "values"),
    [
        ("a = 1\nb = f(a)", {"a": "1", "b": "f(a)"}),
        ("a: int = 1", {"a": "1"}),
        ("a: int", {}),
        ("a = b = 1", {"a": "1", "b": "1"}),
        ("a, b = 1, 2", {"a": "1", "b": "2"}),
        ("(a, [b, c]) = (1, (2, 3))", {"a": "1", "b": "2", "c": "3"}),
        ("a, b = f()", {}),
        ("a, *b = 1, 2", {}),
        ("a, b = *c, 2", {}),
        ("a = 1\na = 2", {"a": "2"}),
        ("a = 1\na += 1", {}),
        ("a = 1\nif c:\n    a = 2", {}),
        ("if c:\n    a = 1", {}),
        ("with f():\n    a = 1", {"a": "1"}),
        ("a = 1\ndel b", {"a": "1"}),
        ("a = 1\nfor a in f():\n    pass", {}),
        ("a.b = 1\nc[0] = 2", {}),
    ],
)
def test_a_default_is_what_one_statement_gives_for_certain(source, values):
    found = read_tagged_cell(notebook(source)).values
    assert {name: ast.unparse(value) for name, value in found.items()} == values


def test_names_whose_annotation_tells_their_type_are_told_apart():
    source = "a: int = 1\nb = 2\nc: Path = 3\nd = 4  # type: int\ne: Path\nf: str"
    assert read_tagged_cell(notebook(source)).annotated == {"a", "d", "f"}


def test_a_type_comment_that_is_none_leaves_the_cell_as_it_is():
    declaration = read_tagged_cell(notebook("a = 1  # type: of the thing\nb = 2"))
    assert list(declaration.kinds) == ["a", "b"]
    assert declaration.is_complete


@pytest.mark.parametrize(
    ("source", "is_complete"),
    [
        ("a = 1", True),
        ("%matplotlib inline\na = 1", True),
        ("%%time\na = 1", True),
        ("%%prun -s cumulative\na = 1", True),
        ("%%capture\na = 1", False),
        ("from defaults import *\na = 1", False),
        ("globals()['a'] = 1", False),
    ],
)
def test_a_cell_that_may_assign_names_unseen_says_so(source, is_complete):
    declaration = read_tagged_cell(notebook(source))
    assert declaration.is_complete is is_complete
    assert bool(declaration.doubt) is not is_complete
    assert declaration.has_cell


def test_a_cell_that_is_no_python_says_so():
    declaration = read_tagged_cell(notebook("a = = 1"))
    assert (declaration.doubt, declaration.has_cell) == ("the 'parameters' cell is not plain Python", True)
    assert (declaration.kinds, declaration.tree, declaration.is_complete) == ({}, None, False)
    assert read_declaration(notebook("a = = 1", "b = 2", later=["parameters"])).further == {}


@pytest.mark.parametrize(
    ("tag", "is_near"),
    [
        ("Parameters", True),
        ("parameter", True),
        (" PARAMS ", True),
        ("param", True),
        ("paramters", True),
        ("injected-parameters", False),  # of an earlier run
        ("parking", False),
        ("slide", False),
    ],
)
def test_a_tag_that_looks_like_parameters_is_named(tag, is_near):
    nb = notebook("a = 1", "b = 2", tags=(), later=["x", tag])
    said = read_declaration(nb).doubt
    assert said == untagged(nb)
    hint = f"; cell 2 is tagged {tag!r}, which counts for nothing: the tag is 'parameters'"
    assert said == "the notebook has no cell tagged 'parameters'" + (hint if is_near else "")
    assert not read_declaration(nb).has_cell


def test_a_tagged_cell_that_is_no_code_is_named():
    nb = notebook("a = 1", "b = 2", tags=(), later=["parameters"])
    nb.cells[1]["cell_type"] = "markdown"
    declaration = read_declaration(nb)
    assert declaration.doubt == "cell 2, tagged 'parameters', is a markdown cell and no code cell"
    assert not declaration.has_cell


def test_names_of_further_cells_with_the_tag_have_the_first_such_cells_position():
    nb = notebook("a = 1", "b = 2", "a = 3\nb = 4\nc = 5", "d = 6")
    for cell in nb.cells[1:3]:
        cell.metadata["tags"] = ["parameters"]
    assert read_declaration(nb).further == {"b": 2, "a": 3, "c": 3}
    assert read_declaration(notebook("a = 1", "b = 2")).further == {}


IMPORTS = "import datetime as dt, pandas as pd, numpy as np\nfrom pathlib import Path\nfrom decimal import Decimal"


@pytest.mark.parametrize(
    ("default", "is_object"),
    [
        ("dt.date(2026, 1, 1)", True),
        ("dt.datetime.now()", True),
        ("dt.date.fromisoformat('2026-01-01')", True),
        ("dt.datetime.now().isoformat()", False),
        ("dt.timedelta(days=1) * 2", True),
        ("Path('a') / 'b' / 'c'", True),
        ("Path.home()", True),
        ("Path('a').read_text()", False),
        ("Decimal('1')", True),
        ("pd.DataFrame()", True),
        ("np.array([1])", True),
        ("np.mean([1])", False),
        ("'a' + str(Path('b'))", False),
        ("-Decimal(1)", False),
        ("Mode.A", True),
        ("Config()", True),
        ("Config.a", False),
        ("Text.A", False),  # a member that is a text as well
        ("Other.A", False),
        ("Unknown()", False),
    ],
)
def test_a_default_is_an_object_where_its_class_is_known_to_have_no_json_form(default, is_object):
    classes = (
        "class Mode(enum.Enum):\n    A = 1\nclass Config:\n    a = 1\nclass Text(str, Enum):\n    A = 'a'\n"
        "class Other(Base):\n    A = 1"
    )
    nb = notebook(f"{classes}\nx = {default}", IMPORTS, "print(x.name)")
    assert read_declaration(nb).objects == ({"x": default} if is_object else {})


@pytest.mark.parametrize(
    ("later", "is_used"),
    [
        ("x.year", True),
        ("x - 1", True),
        ("1.5 * y - x", True),
        ("y - x", True),
        ("f'{x:%Y}'", True),
        ("f'{x}'", False),
        ("'%s' % x", False),
        ("f'{y}%s' % x", False),
        ("print(x)", False),
        ("y.year", False),
        ("y - z", False),
        ("x.year\nx = 1", False),
        ("x.year\nfor x in y:\n    pass", False),
        ("x.year\nf = lambda x: 1", False),
        ("x.year\ndef f(y):\n    y = 1", True),
    ],
)
def test_a_later_cell_needs_an_object_where_it_takes_more_of_it_than_a_text_has(later, is_used):
    nb = notebook("import datetime\nx = datetime.date(2026, 1, 1)\nx.month", "pass", later)
    assert bool(read_declaration(nb).objects) is is_used
    cell_before = notebook_of("x.year", "import datetime\nx = datetime.date(2026, 1, 1)", "pass")
    cell_before.cells[1].metadata["tags"] = ["parameters"]
    assert read_declaration(cell_before).objects == {}


def test_the_tagged_cell_alone_tells_nothing_of_the_other_cells():
    nb = notebook("import datetime\nx = datetime.date(2026, 1, 1)", "x.year\ny = 1", later=["parameters"])
    alone = read_tagged_cell(nb)
    assert (alone.objects, alone.further) == ({}, {})
    assert read_declaration(nb).objects == {"x": "datetime.date(2026, 1, 1)"}
    assert read_declaration(nb).further == {"y": 2}


def test_a_cell_that_is_nested_too_deep_names_what_it_binds_and_no_types():
    branches = "".join(f"elif a == {n}:\n    b = {n}\n" for n in range(1500))
    declaration = read_tagged_cell(notebook(f"a = 1\nif a == 0:\n    b = 0\n{branches}"))
    assert {name: kind.is_known for name, kind in declaration.kinds.items()} == {"a": False, "b": False}
    assert declaration.has_cell
    assert (declaration.annotated, declaration.values) == (frozenset(), {})
