import json

import pytest
from nbformat import NotebookNode

from airflow_nbjobs.core.notebook.document import code_cell, parse_notebook
from airflow_nbjobs.core.notebook.failing_cell import find_failing_cell, last_cell_run, strip_ansi
from airflow_nbjobs.core.values.outputs import prepare_outputs
from airflow_nbjobs.core.values.parameter_cell import prepare_parameters


def notebook_of(*cells, metadata=None):
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata or {}, "cells": list(cells)})
    return parse_notebook(text, source="nb.ipynb")


def cell(source="x", *, error=None, tags=(), ran=True, failed=False, cell_type="code", **metadata):
    papermill = {"start_time": "2026-01-01T00:00:00" if ran else None, "exception": failed, "status": "completed"}
    made = {
        "cell_type": cell_type,
        "source": source,
        "metadata": {"tags": list(tags), "papermill": papermill, **metadata},
    }
    if cell_type == "code":
        ename, evalue = error or ("", "")
        output = {
            "output_type": "error",
            "ename": ename,
            "evalue": evalue,
            "traceback": ["\x1b[31mline\x1b[0m\n" * 12, "last"],
        }
        made |= {"execution_count": 7 if ran else None, "outputs": [output] if error else []}
    return made


MARKER = cell("An Exception was encountered", tags=["papermill-error-cell-tag"], cell_type="markdown")
INJECTED = cell("# Parameters", tags=["injected-parameters"])
TYPED = cell("a = 1", airflow_nbjobs="typed-parameters")
FAILED = cell("1 / 0", error=("ZeroDivisionError", "division \x1b[1mby zero"), failed=True, tags=["train"])


def test_the_failing_cell_is_counted_as_in_the_authors_file():
    text = cell("# Title", cell_type="markdown")
    found = find_failing_cell(
        notebook_of(MARKER, text, cell("a = 0"), INJECTED, TYPED, MARKER, FAILED, cell(ran=False))
    )
    assert found.index == 3
    assert (found.tags, found.source) == (("train",), "1 / 0")
    assert (found.ename, found.evalue) == ("ZeroDivisionError", "division by zero")
    assert found.traceback.splitlines()[-1] == "last"
    assert len(found.traceback.splitlines()) == 10
    assert "\x1b" not in found.traceback


def test_an_injected_cell_that_the_file_has_itself_is_counted():
    nb = prepare_parameters(notebook_of(cell("a = 1", tags=["injected-parameters"]), FAILED), {"a": 2})
    assert find_failing_cell(nb).index == 2


def test_a_failing_cell_that_is_none_of_the_authors_has_no_index():
    assert (
        find_failing_cell(
            notebook_of(cell(), cell("a =", error=("SyntaxError", "x"), failed=True, tags=["injected-parameters"]))
        ).index
        is None
    )


def test_an_expected_error_before_is_not_the_failure():
    shown = cell("raise", error=("KeyError", "'expected'"), tags=["raises-exception"])
    assert find_failing_cell(notebook_of(shown, FAILED)).index == 2


def test_an_error_that_papermill_did_not_mark_is_found_too():
    assert (
        find_failing_cell(notebook_of(cell(error=("KeyError", "1")), cell(error=("ValueError", "2")))).ename
        == "ValueError"
    )


def test_a_mark_without_an_error_output_is_a_failure_all_the_same():
    assert find_failing_cell(notebook_of(cell(failed=True))).ename == "CellExecutionError"


@pytest.mark.parametrize("value", ["", "0"])
def test_a_clean_exit_is_no_failure(value):
    assert find_failing_cell(notebook_of(cell(error=("SystemExit", value), failed=True), cell(ran=False))) is None


@pytest.mark.parametrize("value", ["3", "None", "message"])
def test_an_exit_with_a_code_is_a_failure(value):
    """Source: papermill 2.7 ``raise_for_execution_errors``."""
    assert find_failing_cell(notebook_of(cell(error=("SystemExit", value), failed=True))).evalue == value


def test_no_error_means_no_failing_cell():
    assert find_failing_cell(notebook_of(cell(), cell())) is None


def test_the_last_cell_that_ran_is_counted_without_ours_and_papermills():
    markdown = cell("text", cell_type="markdown")
    nb = notebook_of(INJECTED, cell(), markdown, cell(), markdown, cell(ran=False))
    assert last_cell_run(nb) == 3
    assert last_cell_run(notebook_of(cell(ran=False))) is None
    assert last_cell_run(prepare_outputs(notebook_of(cell(), cell(ran=False)), ["a"])) == 1


def test_cells_without_papermills_metadata_are_judged_by_their_count():
    nb = notebook_of(code_cell("a", {}), {**code_cell("b", {}), "execution_count": 1}, code_cell("c", {}))
    assert last_cell_run(nb) == 2


@pytest.mark.parametrize(
    "nb",
    [
        NotebookNode(),
        NotebookNode(cells=3, metadata=4),
        NotebookNode(cells=[1, None, {"cell_type": "code"}, {"metadata": 1, "outputs": 2}], metadata=NotebookNode()),
        NotebookNode(
            cells=[
                NotebookNode(
                    metadata={"papermill": 3, "tags": 4}, outputs=[5, {"output_type": "error", "traceback": 6}]
                )
            ]
        ),
    ],
)
def test_a_malformed_notebook_raises_nothing(nb):
    find_failing_cell(nb)
    last_cell_run(nb)


def test_ansi_sequences_go_and_text_stays():
    assert (
        strip_ansi("\x1b[0;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[38;5;241mx\x1b[1A[y]")
        == "red link x[y]"
    )
    assert strip_ansi("\x1b(Ba\x1b=b\x1b7c\x1bM\x1bPq#0\x1b\\d") == "abcd"
