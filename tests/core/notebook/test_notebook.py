import json
import warnings

import nbformat
import pytest

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.document import code_cell, dumps, is_python, kernel_name, language, parse_notebook
from airflow_nbjobs.core.notebook.source import assigned_names, assigns_invisibly


def notebook_of(*sources, minor=5, metadata=None):
    cells = [code_cell(source, {}, nbformat_minor=minor) for source in sources]
    text = json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": metadata or {}, "cells": cells})
    return parse_notebook(text, source="nb.ipynb")


def raw(**changes):
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": ["a = 1\n", "b = 2"]}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell], **changes}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'x.ipynb' is empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        ('{"cells": [\n  1,,\n]}', "not JSON, line 2 column 5"),
        ('{\n<<<<<<< HEAD\n"a": 1\n=======\n', "merge conflict markers"),
        ("[]", "a JSON list"),
        ("{}", "no 'nbformat' key"),
        (json.dumps(raw(nbformat=3)), "jupyter nbconvert --to notebook --nbformat 4"),
        (json.dumps(raw(nbformat=5)), "nbformat 5"),
        (json.dumps(raw(nbformat=True)), "nbformat"),
        (json.dumps(raw(cells=None)), "'cells' is missing"),
        (json.dumps(raw(cells={})), "'cells' is not a list"),
        (json.dumps(raw(cells=[1])), "cell 1: is not an object"),
        (json.dumps(raw(cells=[{"cell_type": "heading", "source": "x"}])), "'cell_type' is 'heading'"),
        (json.dumps(raw(cells=[{"cell_type": "code", "source": 1}])), "cell 1: 'source' is not text"),
        (json.dumps(raw(cells=[{"cell_type": "code", "source": "", "metadata": {"tags": "parameters"}}])), "tags"),
        (json.dumps(raw(cells=[{"cell_type": "code", "source": "", "outputs": ["x"]}])), "'outputs'"),
        (json.dumps(raw(cells=[{"cell_type": "code", "source": "", "outputs": [{"data": []}]}])), "'data'"),
        (json.dumps(raw(metadata=[])), "'metadata' is not an object"),
        (json.dumps(raw(cells=[])), "has no code cell"),
        (json.dumps(raw(cells=[{"cell_type": "markdown", "source": "x", "metadata": {}}])), "has no code cell"),
        ("[" * 100_000, "is not a notebook"),
    ],
)
def test_what_is_no_notebook_is_named_with_its_source(text, said):
    with pytest.raises(NotebookJobConfigError) as caught:
        parse_notebook(text, source="x.ipynb")
    assert "'x.ipynb'" in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("minor", [0, 1, 2, 3, 4, 5, 6])
def test_every_minor_version_is_taken_as_it_is_written(minor):
    nb = parse_notebook(json.dumps(raw(nbformat_minor=minor)), source="x.ipynb")
    assert nb.nbformat_minor == minor
    assert nb.cells[0].source == "a = 1\nb = 2"
    assert ("id" in nb.cells[0]) == (minor >= 5)


def test_a_missing_cell_id_is_filled_in_the_same_way_each_time():
    """Jupyter draws a random one with a warning; a staged input must not differ between two tries."""
    text = json.dumps(raw(nbformat_minor=5))
    assert dumps(parse_notebook(text, source="x")) == dumps(parse_notebook(text, source="x"))


def test_a_byte_order_mark_is_skipped():
    assert parse_notebook(b"\xef\xbb\xbf" + json.dumps(raw()).encode(), source="x").nbformat == 4


def test_written_notebooks_are_valid_and_read_back_equal():
    nb = notebook_of("x = '\ud800 é\u2028'\ny = 2", "%run a.ipynb")
    assert parse_notebook(dumps(nb), source="x") == nb
    nbformat.validate(nbformat.reads(dumps(nb).decode(), as_version=4))


def test_equal_cells_get_equal_ids_and_none_before_4_5():
    assert code_cell("x", {}) == code_cell("x", {})
    assert "id" not in code_cell("x", {}, nbformat_minor=4)


@pytest.mark.parametrize(
    ("metadata", "name", "lang"),
    [
        ({}, None, "python"),
        ({"kernelspec": {"name": "ir", "language": "R"}}, "ir", "r"),
        ({"kernelspec": {"name": "python3"}, "language_info": {"name": "python"}}, "python3", "python"),
        ({"kernelspec": "broken", "language_info": {"name": 3}}, None, "python"),
    ],
)
def test_kernel_and_language_come_from_the_metadata(metadata, name, lang):
    nb = notebook_of("x", metadata=metadata)
    assert (kernel_name(nb), language(nb)) == (name, lang)


@pytest.mark.parametrize(
    ("kernel", "written_in", "expected"),
    [
        ("python3", "r", True),
        ("conda-env-mine-py", "python", True),
        ("conda-env-mine-r", "r", False),
        ("ir", "python", False),
        ("glue_pyspark", "python", False),
        ("pysparkkernel", "python", False),
        ("conda-env-sm_sparkmagic-pysparkkernel", "python", False),
        ("julia-1.9", "python", False),
    ],
)
def test_only_ipython_kernels_count_as_python(kernel, written_in, expected):
    assert is_python(notebook_of("x", metadata={"language_info": {"name": written_in}}), kernel) is expected


def test_names_assigned_at_module_level_are_seen_in_every_statement():
    nb = notebook_of(
        "a = b, (c, *d) = 1, (2, 3)\ne += 1\nf: int = 1\ng: int\nimport os.path, numpy as np\nfrom x import y as z",
        "for h, i in []:\n    j = 1\nelse:\n    k = 1\nwith open('x') as l, m() as (n, o):\n    pass",
        "def p(q):\n    r = 1\n    global s\n    s = 1\nclass T:\n    u = 1\nif (v := 1):\n    pass\n[w for x in [] if (yy := 1)]",
        "try:\n    aa = 1\nexcept E as bb:\n    cc = 1\nfinally:\n    dd = 1\nobj.attr = 1\nobj['k'] = 1\ndel a",
        "match 1:\n    case {'k': ee, **ff}:\n        pass\n    case [gg, *hh] as ii:\n        pass",
        "files = !ls\nresult = %timeit -o f()\n%time jj = 1\n!ls\n%matplotlib inline\nif True:\n    %pip install x\nkk = await f()",
        "lambda ll: 1\ndf.head?\n?df\nmm = '''\n%not a magic\n'''\nnn = 'a\u2028b'",
    )
    expected = "a b c d e f os np z h i j k l n o p s T v yy aa cc dd ee ff gg hh ii files result jj kk mm nn"
    assert " ".join(sorted(assigned_names([nb]))) == " ".join(sorted(expected.split(" ")))


def test_names_of_several_notebooks_come_together():
    assert assigned_names([notebook_of("a = 1"), notebook_of("b = 1")]) == {"a", "b"}


def test_the_authors_warnings_are_not_ours():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert assigned_names([notebook_of("a = '\\d'\nif a is 1: pass")]) == {"a"}


@pytest.mark.parametrize(
    "source",
    [
        *("from x import *", "exec('a = 1')", "globals()['a'] = 1", "%%capture out\nprint()", "%store -r a", "%pylab"),
        *("%run script.py", "%%sql a <<\nselect 1", "this is no Python", "%%bash --out a\nls", "%%R -o a\nx"),
        "get_ipython().run_line_magic('run', 'x.ipynb')",
    ],
)
def test_assignments_that_cannot_be_seen_are_suspected(source):
    assert assigns_invisibly([notebook_of("x = 1"), notebook_of(source)])


@pytest.mark.parametrize(
    "source",
    [
        *(
            "a = 1",
            "%matplotlib inline\nb = 2",
            "%%time\na = 1",
            "!pip install x",
            "%run x.ipynb",
            "%%html\n<b>",
            "df?",
        ),
        *(
            "%%bash\nls",
            "%%capture\na = 1",
            "%load_ext autoreload\n%autoreload 2",
            "",
            "%%writefile x.py\nfrom y import *",
        ),
    ],
)
def test_ordinary_cells_are_not_suspected(source):
    assert not assigns_invisibly([notebook_of(source)])
