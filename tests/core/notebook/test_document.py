"""Notebooks as values: what is asked of them, and how they are written."""

import json

import pytest
from cells import notebook_of
from nbformat import NotebookNode

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.document import (
    MARK,
    cells_of,
    code_cell,
    dumps,
    is_python,
    kernel_name,
    language,
    mark_of,
    metadata_of,
    outputs_of,
    parse_notebook,
    read_cells,
    tagged_index,
    tags_of,
    without_saved_widgets,
)


def cell(**changes):
    return {"cell_type": "code", "metadata": {}, "source": "x", "outputs": [], "execution_count": None} | changes


def raw(*cells, **changes):
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": list(cells) or [cell()]} | changes


@pytest.mark.parametrize(
    ("nb", "said"),
    [
        (raw(nbformat_minor="5"), "'x.ipynb' is not a valid notebook: 'nbformat_minor' is not a number"),
        (raw(metadata={"papermill": 5}), "not a valid notebook: 'metadata.papermill' is not an object; remove it"),
        (raw(cell(), 5), "cell 2: is not an object"),
        (raw(cell(cell_type=None)), "cell 1: 'cell_type' is None, not one of code, markdown, raw"),
        (raw(cell(source=["a", 1])), "cell 1: 'source' is not text"),
        (raw(cell(source=None)), "cell 1: 'source' is not text"),
        (raw(cell(metadata=[])), "cell 1: 'metadata' is not an object"),
        (raw(cell(metadata={"tags": [1]})), "cell 1: 'metadata.tags' is not a list of texts"),
        (raw(cell(metadata={"papermill": "x"})), "cell 1: 'metadata.papermill' is not an object; remove it"),
        (raw(cell(attachments={"a": 1})), "cell 1: 'attachments' is not an object of objects"),
        (raw(cell(outputs={})), "cell 1: 'outputs' is not a list of objects"),
        (raw(cell(outputs=[1])), "cell 1: 'outputs' is not a list of objects"),
        (raw(cell(outputs=[{"output_type": 5}])), "cell 1: the 'output_type' of an output is 5, not text"),
        (raw(cell(outputs=[{}, {"data": 5}])), "cell 1: the 'data' of an output is not an object"),
        (raw(cell(outputs=[{"text": ["a", 5]}])), "the 'text' of an output is a list that does not hold texts alone"),
        (raw(cell(cell_type="markdown"), cell(cell_type="raw")), "'x.ipynb' has no code cell: there is nothing to run"),
        (raw(nbformat="4"), "'x.ipynb' has nbformat '4', notebook jobs run nbformat 4; save it as nbformat 4"),
        (raw(nbformat=2), "'x.ipynb' has nbformat 2, notebook jobs run nbformat 4; convert it: jupyter nbconvert"),
        ({"cells": []}, "'x.ipynb' is not a notebook: it has no 'nbformat' key"),
    ],
)
def test_what_the_driver_would_break_on_is_named(nb, said):
    with pytest.raises(NotebookJobConfigError) as caught:
        parse_notebook(json.dumps(nb), source="x.ipynb")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "nb",
    [
        raw(cell(source=["a\n", "b"])),
        raw(cell(outputs=[{"output_type": "stream", "text": "a"}, {"output_type": "stream", "text": ["a", "b"]}])),
        raw(cell(outputs=[{}])),  # the driver drops it
        raw(cell(metadata={"papermill": {}, "tags": []})),
        raw({"cell_type": "code", "source": "x"}),
        raw(cell(), {"cell_type": "markdown", "source": "x", "attachments": {"a.png": {}}}),
        {"nbformat": 4, "cells": [cell()]},
    ],
)
def test_what_the_driver_takes_is_taken(nb):
    found = parse_notebook(json.dumps(nb), source="x.ipynb")
    assert len(found.cells) == len(nb["cells"])
    assert found.cells[0].metadata is not None
    assert found.cells[0].outputs is not None
    assert found.cells[0].execution_count is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "version https://git-lfs.github.com/spec/v1\noid sha256:0",
            "'x.ipynb' is a Git LFS pointer, not the notebook; fetch it where the DAGs are deployed: git lfs pull",
        ),
        ("  \n", "'x.ipynb' is empty"),
        (b"", "'x.ipynb' is empty"),
        (b'{"a": "\xff"}', "'x.ipynb' is not a notebook: not UTF-8 text ("),
        ('{\n  "a" 1}', "'x.ipynb' is not a notebook: not JSON, line 2 column 7: "),
        ('{"a": 1\n<<<<<<< HEAD\n}', "; it contains merge conflict markers (<<<<<<<)"),
        ('"text"', "'x.ipynb' is not a notebook: a JSON str, not an object"),
        ("9" * 5000, "'x.ipynb' is not a notebook: "),
    ],
)
def test_what_is_no_notebook_says_what_it_is(text, said):
    for read in (lambda text: parse_notebook(text, source="x.ipynb"), lambda text: read_cells(text, "x.ipynb")):
        with pytest.raises(NotebookJobConfigError) as caught:
            read(text)
        assert said in str(caught.value)
        assert ("merge conflict" in str(caught.value)) is ("<<<<<<<" in str(text))


@pytest.mark.parametrize(
    ("nb", "said"),
    [
        (raw(cells=None), "'cells' is missing"),
        (raw(cells=5), "'cells' is not a list"),
        (raw(cell(), 5), "cell 2: is not an object"),
        (raw(metadata=5), "'metadata' is not an object"),
    ],
)
def test_plain_cells_are_refused_only_where_they_cannot_be_asked(nb, said):
    with pytest.raises(NotebookJobConfigError, match="is not a valid notebook") as caught:
        read_cells(json.dumps(nb), "x.ipynb")
    assert said in str(caught.value)
    odd = raw(cell(source=5, outputs=7))
    assert read_cells(json.dumps(odd), "x.ipynb") == odd


@pytest.mark.parametrize(
    ("metadata", "name", "written_in"),
    [
        ({"kernelspec": {"name": ""}}, None, "python"),
        ({"kernelspec": {"language": "Julia"}}, None, "julia"),
        ({"kernelspec": {"language": "R"}, "language_info": {"name": "Scala"}}, None, "scala"),
        ({"kernelspec": {"name": 5}, "language_info": []}, None, "python"),
    ],
)
def test_what_the_metadata_do_not_say_is_pythons(metadata, name, written_in):
    assert (kernel_name({"metadata": metadata}), language({"metadata": metadata})) == (name, written_in)
    assert (kernel_name({}), language({})) == (None, "python")


@pytest.mark.parametrize(
    ("kernel", "written_in", "expected"),
    [
        *(("ipython", "r", True), ("xpython", "r", True), ("python3.11", "r", False), ("Python3", "r", True)),
        *(("mine", "ipython", True), ("mine", "r", False), ("xr", "python", False), ("bash", "python", False)),
        *(("scala213", "python", False), (".net-csharp", "python", False), ("birds", "python", True)),
        *(("my-spark", "python", False), ("almond", "python", False), ("matlab", "python", False)),
    ],
)
def test_a_kernel_is_ipythons_by_its_name_or_the_cells_language(kernel, written_in, expected):
    assert is_python({"metadata": {"language_info": {"name": written_in}}}, kernel) is expected


def test_what_is_malformed_is_left_out():
    nb = NotebookNode(cells=[1, {"a": 1}], metadata={})
    assert cells_of(nb) == [{"a": 1}]
    assert cells_of(NotebookNode(cells=5)) == cells_of(NotebookNode()) == []
    assert outputs_of({"outputs": [1, {"a": 1}]}) == [{"a": 1}]
    assert outputs_of({"outputs": 5}) == outputs_of({}) == []
    assert metadata_of({"metadata": {"a": 1}}) == {"a": 1}
    assert metadata_of({"metadata": 5}) == metadata_of({}) == {}
    assert tags_of({"metadata": {"tags": ["a", 5, "b"]}}) == ("a", "b")
    assert tags_of({"metadata": {"tags": "ab"}}) == tags_of({"metadata": 5}) == ()
    assert mark_of({"metadata": {MARK: "outputs"}}) == "outputs"
    assert mark_of({"metadata": {MARK: 5}}) is None


def test_the_first_cell_with_a_tag_is_the_one():
    nb = {"cells": [{}, {"metadata": {"tags": ["x", "t"]}}, {"metadata": {"tags": ["t"]}}]}
    assert (tagged_index(nb, "t"), tagged_index(nb, "T")) == (1, None)


def test_a_new_cell_is_empty_and_its_own():
    made = code_cell("x = 1", {"tags": ["t"]})
    assert (made.cell_type, made.execution_count, made.outputs, made.source) == ("code", None, [], "x = 1")
    assert made.metadata == {"tags": ["t"]}
    assert len(made.id) == 16
    assert code_cell("x = 2", {}).id != made.id
    assert code_cell("\ud800", {}).id


def test_cells_that_have_no_id_get_one_by_their_place_and_source():
    two = parse_notebook(json.dumps(raw(cell(), cell(), cell(id=5), nbformat_minor=5)), source="x").cells
    assert len({one["id"] for one in two}) == 3
    kept = parse_notebook(json.dumps(raw(cell(id="mine"), nbformat_minor=5)), source="x").cells
    assert kept[0]["id"] == "mine"


def test_a_file_ends_its_last_line_and_holds_no_half_character():
    nb = notebook_of("x = '\ud800'")
    written = dumps(nb)
    assert written.endswith(b"}\n")
    assert b"\\ud800" in written
    assert json.loads(written)["cells"][0]["source"] == ["x = '\ud800'"]
    nb.cells[0].outputs = [NotebookNode(output_type="stream", text=5)]  # of another shape than nbformat's
    assert json.loads(dumps(nb))["cells"][0]["outputs"][0]["text"] == 5


def test_the_state_of_widgets_goes_and_nothing_else():
    nb = notebook_of("x")
    nb.metadata["widgets"] = {"a": 1}
    nb.metadata["other"] = 2
    assert without_saved_widgets(nb).metadata == {"other": 2}
    assert nb.metadata["widgets"] == {"a": 1}
