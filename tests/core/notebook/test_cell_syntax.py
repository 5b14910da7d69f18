"""The reader of cells against IPython's own transformer: over a corpus, over generated cells, and by running them."""

import ast
import sys
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from airflow_nbjobs.core.notebook.cell_syntax import split_cell
from airflow_nbjobs.core.notebook.source import bound_names
from airflow_nbjobs.core.notebook.syntax_trees import parse_python

# Each with the names that IPython binds in the notebook's namespace, on top of those that the test sees in its transformed Python.
CELLS = {
    "continued in brackets": 'rows = 5\nlabel = (\n    "%d rows"\n    % rows\n)\n',
    "negated in brackets": "same = (\n    1\n    != 2\n)\n",
    "divided in brackets": "half = (\n    8\n    / 2\n)\nwhole = (\n 8\n // 2\n)",
    "a tuple with leading commas": "pair = (\n    1\n    , 2\n)",
    "after a backslash": "rest = 7 \\\n% 5\nother = 7 \\\n  != 5",
    "in a string over lines": 'text = """\n%matplotlib inline\n!ls\n?x\nobj?\n"""\nafter = 1',
    "in a string continued": "text = 'a\\\n%b'\nafter = 1",
    "indented": "  rows = 5\n  if rows:\n      cols = 1\n",
    "indented with blank lines": "\n\n    rows = 5\n\n    cols = 1\n",
    "indented with a magic first": "    %matplotlib inline\n    rows = 5\n",
    "indented with a cell magic first": "  %%time\n  rows = 5\n",
    "indented with tabs": "\trows = 5\n\tcols = 1\n",
    "indented with a comment first": "  # rows\nrows = 5\nif rows:\n  cols = 1\n",
    "unevenly indented": "  rows = 5\ncols = 1\n",
    "magic not indented, Python indented": "%matplotlib inline\n  rows = 5\n",
    "a magic in a block": "if True:\n    %matplotlib inline\nelse:\n    !ls\n",
    "a magic in a block on after it": "for i in [1]:\n    %pip install x\n    rows = i\n",
    "a system assignment": "files = !ls\n",
    "a system assignment with brackets and quotes": "files = !echo it's (not closed [\nafter = 1\n",
    "a magic assignment": "result = %timeit -o 1\n",
    "two targets": "first, *others = !ls\n",
    "an item": "found = {}\nfound['x'] = !ls\n",
    "an annotated one": "files: list = !ls\n",
    "an assignment continued": "files = !ls \\\n  -l\nafter = 1\n",
    "an assignment on the next line": "files = \\\n  !ls\nafter = 1\n",
    "an assignment in a function": "def names():\n    inner = !ls\n    return inner\n",
    "a keyword argument": "rows = dict(a=1, b=2)\n",
    "a remainder": "rows = 7 %3\ncols = 7 %rows\n",
    "a comparison": "same = rows == !x\n",
    "shell": "!ls\n!!ls -l\nrows = 1\n",
    "shell continued": "!pip install a \\\n  b \\\n  c\nrows = 1\n",
    "shell continued to the end": "rows = 1\n!pip install a \\",
    "shell that opens a bracket": "!echo (\nrows = 1\n",
    "shell that opens a quote": "!echo it's\nrows = 1\n",
    "shell that opens three quotes": "!echo '''\nrows = 1\n",
    "shell with a question": "!ls data?\nrows = 1\n",
    "a question on another line than the command's": "!ls (\nrows = 1\nrows?\nafter = 2",
    "help": "print?\n?print\n??print\nprint??\nrows = 1\n",
    "help of a magic": "%time?\n%%time?\nrows = 1\n",
    "help of an item": "rows = [1]\nrows[0]?\nrows.sort?\n*int*?\n",
    "help in an assignment": "rows = print?\n",
    "help after a bracket": "print()?\n",
    "help with a comment": "print? # what\n",
    "a question in a string": "rows = 'what?'\nfull = 'what?' # what?\n",
    "autocall": ",print a b\n;print a b\n/print 1 2\nrows = 1\n",
    "autocall without a name": "/ 1 2\nrows = 1\n",
    "doctest": ">>> rows = 1\n>>> for i in [1]:\n...     cols = i\n",
    "doctest without a blank": ">>>rows = 1\n",
    "indented doctest": "    >>> rows = 1\n    >>> cols = 2\n",
    "doctest in a docstring": 'def f():\n    """\n    >>> f()\n    1\n    """\n    return 1\nrows = f()\n',
    "an ellipsis": "rows = ...\n...\n",
    "ipython prompts": "In [1]: rows = 1\n\nIn [2]: cols = 2\n",
    "ipython prompts continued": "In [1]: for i in [1]:\n   ...:     rows = i\n   ...: \n",
    "a statement of time": "%time rows = 1\ncols = 2\n",
    "a statement of time in a block": "if True:\n    %time rows = 1\n",
    "a call without brackets that assigns": ";rows= 1\n",
    "a statement of time that is no Python": "%time this is no Python\nrows = 1\n",
    "a statement of time that awaits": "%time rows = await something()\n",
    "a statement of timeit": "%timeit rows = 1\ncols = 2\n",
    "a statement of timeit with options": "%timeit -n 10 -r 3 rows = 1\ncols = 2\n",
    "a statement of prun": "%prun -l 3 rows = 1\ncols = 2\n",
    "a body of time": "%%time\nrows = 1\n%matplotlib inline\ncols = (1\n % 2)\n",
    "a body of timeit": "%%timeit\nrows = 1\n",
    "a body of timeit with a setup": "%%timeit -n 1 cols = 1\nrows = 1\n",
    "a body of capture": "%%capture\nrows = 1\n!ls\n",
    "a body of prun": "%%prun\nrows = 1\n",
    "a body of capture in one of time": "%%time\n%%capture\nrows = 1\n",
    "a script in one of time": "%%time\n%%bash\nrows=1\n",
    "a script": "%%bash\nrows=1\n",
    "a file": "%%writefile x.py\nrows = 1\n",
    "blank": "\n  \n",
    "empty": "",
    "no line end": "rows = 1",
    "Windows line ends": "rows = (7\r\n% 5)\r\n%matplotlib inline\r\ncols = 1\r\n",
    "a form feed": "rows = 1\n\x0c\ncols = 2\n",
    "a separator in a string": "rows = 'a\u2028b'\ncols = 2\n",
    "decorated": "@property\ndef rows(self): pass\n",
    "matrix product": "rows = a @ b\n",
    "a walrus": "print(rows := 1)\nif (cols := 2) != 3: pass\n",
    "a percent format over lines": "print('%s %s' % (\n    1,\n    2))\nrows = 1\n",
    "unclosed bracket": "rows = (1,\n%matplotlib inline\n",
}
# From Python 3.12 on, tokenize gives IPython no line that goes on to the end of a cell, and the question is its own line's. What runs a worker need not be
# what runs a kernel: the reader goes by 3.11, by which fewer names are bound.
if sys.version_info < (3, 12):
    CELLS |= {
        "a question after a bracket that a command opens": "!ls \\\nb = (\n  a.b?",
        "a question after such a bracket and an assignment": "!ls \\\nb = (\na = 1\na.b?",
    }


def transformed(source):
    """IPython's Python for the cell; what is none where it refuses already to look at it (indentation)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return TransformerManager().transform_cell(source)
        except SyntaxError:
            return "refused by IPython"


def names_that_ipython_binds(source):
    """Of IPython's own Python for the cell, and for what its magics run in the namespace; None where any of it is no Python."""
    tree = parse_python(transformed(source))
    if tree is None:
        return None
    names = set(bound_names(tree))
    for node in walk_outside_functions(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="run_line_magic"), args=[ast.Constant("time" | "prun"), ast.Constant(statement)]
            ):
                inner = names_that_ipython_binds(statement.removeprefix("-l 3 "))
            case ast.Call(
                func=ast.Attribute(attr="run_cell_magic"),
                args=[ast.Constant("time" | "capture" | "prun"), _, ast.Constant(body)],
            ):
                inner = names_that_ipython_binds(body)
            case _:
                continue
        if inner is None:
            return None
        names |= inner
    return names


def walk_outside_functions(node):
    yield node
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef):
            yield from walk_outside_functions(child)


def hold_against_ipython(source):
    expected = names_that_ipython_binds(source)
    python = split_cell(source).python
    lines = source.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert python.count("\n") == lines, "an error would name another line"
    tree = parse_python(python)
    if expected is not None:
        assert tree is not None, f"IPython reads it as Python: {transformed(source)!r}, here: {python!r}"
        assert set(bound_names(tree)) == expected, python


@pytest.mark.parametrize("source", CELLS.values(), ids=CELLS)
def test_a_cell_is_read_as_ipython_reads_it(source):
    hold_against_ipython(source)


@pytest.mark.parametrize("name", sorted(set(CELLS) - {"unevenly indented"}))
def test_what_ipython_refuses_is_not_taken_for_python(name):
    """But for what IPython 8 takes and 9 refuses: the image may have either."""
    if parse_python(transformed(CELLS[name])) is None:
        assert parse_python(split_cell(CELLS[name]).python) is None


def test_the_first_lines_indentation_is_taken_from_each_line_as_ipython_8_does():
    assert split_cell("  rows = 5\ncols = 1").python == "rows = 5\ncols = 1\n"


# -- what they say beside Python ---------------------------------------------------------------------------------------


def test_magics_are_given_with_their_lines():
    cell = split_cell("\n%time %run a.py\nfiles = !ls \\\n  -l\nx = (1\n% 2)\nif x:\n    !pip install b\nx?")
    assert list(zip(cell.lines, cell.magics, strict=True)) == [
        (2, "%time %run a.py"),
        (2, "%run a.py"),
        (3, "!ls    -l"),
        (8, "!pip install b"),
        (9, "?x"),
    ]


def test_the_body_of_a_script_is_given_with_all_magics_around_it():
    cell = split_cell("%%time\n%%bash -e\npython train.py\n")
    assert (cell.cell_magics, cell.cell_magic, cell.body) == (("time", "bash -e"), "time", "python train.py\n")


def test_what_timeit_runs_is_given_apart_on_its_own_line():
    assert split_cell("a = 1\n%timeit b = f(a)\n").timed == "\nb = f(a)\n\n"
    assert split_cell("%%timeit a = 1\nb = 2").timed == "a = 1\nb = 2\n"
    assert split_cell("r = %timeit -o f(a)").timed == "f(a)\n"


@pytest.mark.parametrize("source", ["run x.ipynb", "\nrun x.ipynb -i\n", "cd sub", "pip install x"])
def test_a_magic_without_its_sign_is_one_where_it_is_the_cells_only_line(source):
    cell = split_cell(source)
    assert cell.magics == (f"%{source.strip()}",)
    assert parse_python(cell.python) is not None


@pytest.mark.parametrize("source", ["run x.ipynb\na = 1", "ls = 1", "run + 1", "cat (1)"])
def test_python_is_no_magic_without_its_sign(source):
    assert split_cell(source).magics == ()


@pytest.mark.parametrize(
    ("source", "python", "magics"),
    [
        ("a = 1\n!ls \\\n  -l\nb", "a = 1\npass\n\nb\n", [(2, "!ls    -l")]),
        ("if a:\n    %pwd", "if a:\n    pass\n", [(2, "%pwd")]),
        ("a = !ls", "a = None\n", [(1, "!ls")]),
        ("a = \\\n  !ls", "a = \\\n  None\n", [(2, "!ls")]),
        ("a = !ls \\\n -l\nb = 1", "a = None\n\nb = 1\n", [(1, "!ls   -l")]),
        ("a?", "pass\n", [(1, "?a")]),
        ("  a.b??\n  c", "pass\nc\n", [(1, "?a.b")]),
        ("b = a?", "pass\n", [(1, "?a")]),
        ("?a", "pass\n", [(1, "?a")]),
        ("%time?", "pass\n", [(1, "?%time")]),
        (",f a b", 'f("a", "b")\n', []),
        (";f a b", 'f("a b")\n', []),
        ("/f a b", "f(a, b)\n", []),
        ("/ a", "/ a\n", []),
        ("%time a = 1", "a = 1\n", [(1, "%time a = 1")]),
        ("%time -x a = 1", "pass\n", [(1, "%time -x a = 1")]),
        ("%prun -l 5 -s 'x y' -q a = 1", "a = 1\n", [(1, "%prun -l 5 -s 'x y' -q a = 1")]),
        ("%time %run x", "pass\n", [(1, "%time %run x"), (1, "%run x")]),
        ("a = %time f(b)", "a = None\n", [(1, "%time f(b)")]),
        ("\n\nls x\n", "\n\npass\n\n", [(3, "%ls x")]),
        ("lsx y", "lsx y\n", []),
        ("ls", "ls\n", []),
        ("\\\n!ls", "\\\npass\n", [(2, "!ls")]),
        ("a\r\n!ls\rb", "a\npass\nb\n", [(2, "!ls")]),
        ("%=", "%=\n", []),
        ("", "\n", []),
    ],
)
def test_a_cell_is_taken_apart_line_by_line(source, python, magics):
    cell = split_cell(source)
    assert cell.python == python
    assert list(zip(cell.lines, cell.magics, strict=True)) == magics
    assert (cell.cell_magics, cell.body) == ((), "")


@pytest.mark.parametrize(
    ("source", "python", "cell_magics", "timed", "body"),
    [
        ("%%bash -e\nls\npwd", "\n\n\n", ("bash -e",), "", "ls\npwd"),
        ("\n%%html\n<b>", "\n\n\n", ("html",), "", "<b>"),
        ("%%time\na = 1", "\na = 1\n", ("time",), "", ""),
        ("%%time a = 1\nb = 2", "a = 1\nb = 2\n", ("time a = 1",), "", ""),
        ("%%capture out\na = 1", "\na = 1\n", ("capture out",), "", ""),
        ("%%prun -q\na = 1", "\na = 1\n", ("prun -q",), "", ""),
        ("%%timeit -n 1 a = 1\nb = 2", "\n\n", ("timeit -n 1 a = 1",), "a = 1\nb = 2\n", ""),
        ("%%timeit\n%time a = 1", "\n\n", ("timeit",), "\na = 1\n", ""),
        ("%%time\n%%bash\nls", "\n\n\n", ("time", "bash"), "", "ls"),
        ("%%timeit\n%%bash\nls", "\n\n\n", ("timeit", "bash"), "", "ls"),
        ("%timeit a = 1\nb = 2", "pass\nb = 2\n", (), "a = 1\n\n", ""),
        ("c = %timeit -o a = 1", "c = None\n", (), "a = 1\n", ""),
        ("%%\nx", "\n\n", ("",), "", "x"),
    ],
)
def test_the_body_of_a_magic_is_read_as_what_runs_it_does(source, python, cell_magics, timed, body):
    cell = split_cell(source)
    assert (cell.python, cell.cell_magics, cell.timed, cell.body) == (python, cell_magics, timed, body)
    assert cell.cell_magic == (cell_magics[0] if cell_magics else None)
    assert any(tree.body for tree in cell.trees[1:]) is bool(timed)


@pytest.fixture(scope="module")
def shell():
    return InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))


@pytest.mark.parametrize(
    "source",
    [
        *(
            "%time a = 1",
            "%%time\na = 1\nb = 2",
            "%%capture\na = 1",
            "%timeit -n 1 -r 1 a = 1",
            "%%timeit -n 1 -r 1\na = 1",
        ),
        *(
            "%prun -q a = 1",
            "%%prun -q\na = 1",
            "%%time\n  a = 1\n  b = 2",
            "a = !echo",
            "a = %pwd",
            "%time a = (1\n% 2)",
        ),
        *(
            "%%time\n%time a = 1\nb = !echo",
            "def f():\n    %time a = 1\nf()",
            ",print a\nb = 1",
            ">>> a = (5\n... % 3)\n>>> b = a",
        ),
        *(
            "  a = 1\n  %time b = 2",
            "%time --no-raise-error a = 1",
            "if True:\n    %time a = 1",
            "%%time\n%%capture\na = 1",
        ),
    ],
)
def test_the_names_are_those_that_are_there_when_ipython_has_run_the_cell(shell, source, capsys):
    shell.reset(new_session=False)
    before = set(shell.user_ns)
    shell.run_cell(source)
    ran = {name for name in set(shell.user_ns) - before if not name.startswith("_")}
    tree = parse_python(split_cell(source).python)
    assert set(bound_names(tree)) == ran if ran else tree is None or not set(bound_names(tree))


# -- generated cells ---------------------------------------------------------------------------------------------------

LINES = st.sampled_from(
    [
        *("a = 1", "b = (", ")", "% a", "%matplotlib inline", "!ls", "c = !ls", "d = %pwd", "?a", "a?", "/f x", ",f x"),
        *(
            "if a:",
            "else:",
            "try:",
            "finally:",
            "for e in x:",
            "def f():",
            "return 1",
            "class G:",
            "pass",
            "x = 7 \\",
            "% 5",
        ),
        *(
            "'''",
            '"""',
            "h = '''",
            "i = 'it'",
            "# it's",
            "!echo it's",
            "!ls \\",
            "-l",
            "%time j = 1",
            "%timeit k = 1",
            "!= 2",
        ),
        *(
            "!!ls",
            "??a",
            "%%time",
            "%%timeit",
            "%%bash",
            "%%capture",
            ">>> l = 1",
            "... m = 2",
            "In [1]: n = 1",
            "   ...: o = 1",
        ),
        *(
            "[",
            "]",
            "{",
            "}",
            "p, q = !ls",
            "r['x'] = !ls",
            "s: int = %x",
            "t == 1",
            "u += 1",
            ", 2",
            "; 3",
            "/ 2",
            "// 2",
            "%= 2",
        ),
        *(
            "",
            "   ",
            "\t",
            "f'{a!r}'",
            "v = f'''",
            "lambda: 1",
            "w = a if b else c",
            "*y, z = 1, 2",
            "await a",
            "a.b?",
            "a[0]?",
        ),
    ]
)
CELLS_OF_LINES = st.lists(
    st.tuples(st.sampled_from(["", "", "", "  ", "    ", "        ", "\t"]), LINES), max_size=7
).map(lambda lines: "\n".join(indentation + line for indentation, line in lines))


@settings(max_examples=200, deadline=None)
@given(CELLS_OF_LINES)
def test_generated_cells_are_read_as_ipython_reads_them(source):
    hold_against_ipython(source)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None)
@given(CELLS_OF_LINES)
def test_many_generated_cells_are_read_as_ipython_reads_them(source):
    hold_against_ipython(source)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab=%!?#'\"\\\n \t()[]{}:>.", max_size=60))
def test_generated_texts_are_read_as_ipython_reads_them(source):
    hold_against_ipython(source)


def test_magics_within_magics_without_end_are_no_python_and_no_crash():
    assert parse_python(split_cell("%time " * 3000 + "x = 1").python) is None
