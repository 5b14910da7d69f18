"""The author's own text and code, of a notebook that has run."""

import nbformat
from fakes import code, executed, notebook

from airflow_nbjobs.core.notebook.author import CODE_LIMIT, code_of, first_text


def parsed(raw):
    return nbformat.reads(raw.decode(), as_version=4)


def text(source):
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def test_the_cells_that_were_added_are_left_out():
    raw = notebook(text("# Train\n\nDaily."), code("epochs = 1", "parameters"), "", "accuracy = 0.5")
    ran = parsed(executed(raw, {"accuracy": 0.5}))
    assert len(ran.cells) > 4
    assert code_of(ran) == "epochs = 1\n\naccuracy = 0.5"
    assert first_text(ran) == "# Train\n\nDaily."


def test_what_papermill_injects_is_left_out():
    nb = parsed(notebook(code("epochs = 1", "parameters"), code("epochs = 3", "injected-parameters"), "a = epochs"))
    assert code_of(nb) == "epochs = 1\n\na = epochs"


def test_a_notebook_without_text_has_none():
    assert first_text(parsed(notebook("a = 1"))) is None
    assert first_text(parsed(notebook(text("  "), "a = 1"))) is None


def test_long_code_is_cut_and_says_so():
    found = code_of(parsed(notebook("a = 1\n" * CODE_LIMIT)))
    assert len(found) < CODE_LIMIT + 50
    assert found.endswith("more characters")


def test_what_is_just_short_enough_is_whole():
    for extra in (0, 1):
        source = "a" * (100_000 + extra)
        found = code_of(parsed(notebook(source)))
        assert found == (source if not extra else source[:-1] + "\n… 1 more characters")
        words = "a" * (10_000 + extra)
        shown = first_text(parsed(notebook(text(words), "a = 1")))
        assert shown == (words if not extra else words[:-1] + "\n… 1 more characters")


def test_the_first_text_that_says_something_is_taken():
    assert first_text(parsed(notebook("a = 1", text(" \n"), text("  # Title\n"), text("other")))) == "# Title"
    assert first_text(nbformat.NotebookNode(cells=[5, {"cell_type": "markdown", "source": ["a", "b"]}])) == "ab"
    assert first_text(nbformat.NotebookNode()) is None


def test_code_is_that_of_code_cells_in_their_order():
    raw = notebook(text("a = 0"), "b = 1", " \n ", "c = 2\n")
    assert code_of(parsed(raw)) == "b = 1\n\nc = 2\n"
