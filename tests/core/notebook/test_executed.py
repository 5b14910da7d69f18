"""A malformed executed notebook is mended or said, never raised on; and whatever is parsed goes through all that reads it."""

import contextlib
import copy
import json

import pytest
from fakes import code, executed, failed_at, notebook
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job.late_failures import late_failures
from airflow_nbjobs.core.notebook.causes import failed_installs, unrendered_failure
from airflow_nbjobs.core.notebook.document import dumps, parse_notebook, without_saved_widgets
from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.core.notebook.failing_cell import (
    clean_exit,
    find_failing_cell,
    last_cell_run,
    numbered_cells,
    printed,
)
from airflow_nbjobs.core.notebook.progress import progress_of
from airflow_nbjobs.core.notebook.source import names_in_order
from airflow_nbjobs.core.values.outputs import declare_outputs, has_record, read_outputs
from airflow_nbjobs.core.values.recorded import read_scraps

UNRENDERED = "NotebookValidationError: None is not of type 'array' On instance['traceback']: None"


def sound():
    """Return a failed notebook that has something of everything."""
    scrap = {"name": "rows", "data": {"a": [1]}, "encoder": "json", "version": 1}
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
        {"output_type": "stream", "name": "stderr", "text": "UsageError: no"},
        {"output_type": "display_data", "metadata": {}, "data": {"text/plain": ["x"], "image/png": "aGk="}},
        {"output_type": "display_data", "metadata": {}, "data": {"application/scrapbook.scrap.json+json": scrap}},
        {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"application/json": "DEEP"}},
    ]
    picture = {"cell_type": "markdown", "source": ["![](attachment:a.png)"], "metadata": {"tags": ["t"]}}
    picture["attachments"] = {"a.png": {"image/png": "aGk="}}
    raw = notebook(code("x = 1", "parameters"), picture, code("!pip install y", outputs=outputs), "import y", "z = 3")
    nb = json.loads(failed_at(raw, 4, "ModuleNotFoundError", "No module named 'y'"))
    recorded = json.loads(executed(notebook("x = 1"), {"x": 1}))["cells"][-1]
    return nb | {"cells": [*nb["cells"], recorded], "nbformat_minor": 5}


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


PLACES = [place for place in places(sound()) if place]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [10**400, -1, 1.5, float("nan"), "", "text", "\ud800", "\0", "code", "error", "stream", "display_data"]
    ),
    st.sampled_from([[], {}, [1], [None, "a"], {"a": 1}, {"a": {"b": [1]}}, [[["a"]]], {"text/plain": 5}, [{}]]),
)
CHANGES = st.lists(st.tuples(st.sampled_from(PLACES), ODD, st.booleans()), min_size=1, max_size=4)


def changed(changes):
    nb = sound()
    for place, odd, is_removed in changes:
        parent = nb
        try:
            for step in place[:-1]:
                parent = parent[step]
            if is_removed:
                del parent[place[-1]]
            else:
                parent[place[-1]] = copy.deepcopy(odd)
        except (LookupError, TypeError):
            continue  # an earlier change has taken the place away
    return json.dumps(nb)


def read_all(nb):
    """Call everything that takes an executed notebook, as the results and the pages do."""
    before = json.dumps(nb)
    failed = find_failing_cell(nb)
    if failed is not None:
        json.dumps([failed.ename, failed.evalue, failed.traceback, failed.source]).encode()
        failed_installs(nb, failed)
    record = read_outputs(nb, declare_outputs({"x": int, "rows": dict, "missing": None}, None))
    assert set(record.values) <= {"x", "rows"}
    for text in (*record.problems, *record.warnings, *late_failures(nb, ["html"])):
        text.encode()
    last_cell_run(nb), clean_exit(nb), has_record(nb), read_scraps(nb), names_in_order(nb, with_definitions=True)
    unrendered_failure(nb, UNRENDERED)
    for _, cell in numbered_cells(nb):
        printed(cell)
    found = progress_of(nb)
    assert 0 <= found.done <= found.total
    assert json.dumps(nb) == before, "nothing of it may change a notebook"
    assert parse_executed(dumps(without_saved_widgets(nb)), source="again")


FEW = settings(deadline=None, max_examples=50)
MANY = settings(deadline=None, max_examples=500)


@given(CHANGES)
@FEW
def test_what_the_strict_parser_takes_goes_through_everything(changes):
    goes_through_everything_where_the_strict_parser_takes_it(changes)


@pytest.mark.slow
@given(CHANGES)
@MANY
def test_of_many_changes_what_the_strict_parser_takes_goes_through_everything(changes):
    goes_through_everything_where_the_strict_parser_takes_it(changes)


def goes_through_everything_where_the_strict_parser_takes_it(changes):
    nb = None
    with contextlib.suppress(NotebookJobConfigError):
        nb = parse_notebook(changed(changes), source="nb")
    if nb is not None:
        read_all(nb)


@given(CHANGES)
@FEW
def test_an_executed_notebook_is_refused_only_where_it_has_no_cells(changes):
    is_refused_only_where_it_has_no_cells(changes)


@pytest.mark.slow
@given(CHANGES)
@MANY
def test_of_many_changes_a_notebook_is_refused_only_where_it_has_no_cells(changes):
    is_refused_only_where_it_has_no_cells(changes)


def is_refused_only_where_it_has_no_cells(changes):
    text = changed(changes)
    try:
        nb, said = parse_executed(text, source="nb")
    except NotebookJobConfigError:
        assert any(place in (("cells",), ("nbformat",)) for place, _, _ in changes)
        return
    read_all(nb)
    assert len(said) <= 1
    assert len(nb.cells) == len(json.loads(text)["cells"]), "cells keep their positions"


def at(*place):
    def change(odd):
        return changed([(place, odd, False)])

    return change


MALFORMED = [
    (at("cells", 2, "attachments"), [], "the 'attachments' of cell 3"),
    (at("cells", 2, "attachments"), {"a.png": "aGk="}, "an attachment of cell 3"),
    (at("cells", 3, "outputs", 0, "output_type"), ["stream"], "an output of cell 4"),
    (at("cells", 3, "outputs", 0, "output_type"), 5, "an output of cell 4"),
    (at("cells", 3, "outputs", 0, "text"), ["a", 1], "the text of an output of cell 4"),
    (at("cells", 3, "outputs", 2, "data"), [], "the 'data' of an output of cell 4"),
    (at("cells", 3, "outputs", 2, "data", "text/plain"), {"a": 1}, "the text/plain of an output of cell 4"),
    (at("cells", 3, "outputs", 2, "metadata"), "x", "the metadata of an output of cell 4"),
    (at("cells", 1, "metadata"), [], "the 'metadata' of cell 2"),
    (at("cells", 1, "metadata", "tags"), "parameters", "tags of cell 2"),
    (at("cells", 1), "x = 1", "cell 2, which is no object"),
    (at("cells", 1, "source"), 5, "the 'source' of cell 2"),
    (at("metadata"), "x", "'metadata', which is no object"),
    (at("cells", 0, "cell_type"), "x", "the 'cell_type' of cell 1"),
    (at("cells", 3, "outputs"), {"a": 1}, "the 'outputs' of cell 4"),
    (at("cells", 4, "outputs", 0, "evalue"), 5, "the 'evalue' of an output of cell 5"),
]


@pytest.mark.parametrize(
    ("change", "odd", "said"), MALFORMED, ids=lambda value: value if isinstance(value, str) else None
)
def test_a_malformed_part_is_said_and_the_failed_cell_and_the_outputs_are_read_all_the_same(change, odd, said):
    nb, (warning,) = parse_executed(change(odd), source="nb")
    assert said in warning
    failed = find_failing_cell(nb)
    assert (failed.index, failed.ename) == (4, "ModuleNotFoundError")
    assert read_outputs(nb, declare_outputs(["x"], None)).values == {"x": 1}


@pytest.mark.parametrize(
    ("place", "odd", "problem"),
    [
        (("cells", 2, "attachments"), [], "'attachments' is not an object of objects"),
        (("cells", 2, "attachments"), {"a.png": "aGk="}, "'attachments' is not an object of objects"),
        (("cells", 3, "outputs", 0, "output_type"), ["stream"], "'output_type' of an output is ['stream'], not text"),
        (
            ("cells", 3, "outputs", 0, "text"),
            ["a", 1],
            "the 'text' of an output is a list that does not hold texts alone",
        ),
        (("cells", 3, "metadata", "papermill"), "x", "'metadata.papermill' is not an object"),
        (("metadata", "papermill"), "x", "'metadata.papermill' is not an object"),
    ],
)
def test_an_input_on_which_the_driver_would_break_is_refused_with_its_cell(place, odd, problem):
    nb = sound()
    nb["metadata"]["papermill"] = {}
    parent = nb
    for step in place[:-1]:
        parent = parent[step]
    parent[place[-1]] = odd
    with pytest.raises(NotebookJobConfigError) as raised:
        parse_notebook(json.dumps(nb), source="nb")
    assert problem in str(raised.value)
    assert "cell" not in place or f"cell {place[1] + 1}:" in str(raised.value)


@pytest.mark.parametrize("levels", [200, 300, 450, 900])
def test_a_notebook_that_is_nested_too_deep_is_refused_before_and_read_after_it_has_run(levels):
    text = json.dumps(sound()).replace('"DEEP"', "[" * levels + "]" * levels)
    with pytest.raises(NotebookJobConfigError, match="nested more than 150 levels deep"):
        parse_notebook(text, source="nb")
    nb, said = parse_executed(text, source="nb")
    assert "nested more than 150 levels" in said[0]
    assert find_failing_cell(nb).index == 4
    read_all(nb)


def test_more_levels_than_the_parser_takes_are_a_problem_in_words():
    deep = '{"nbformat": 4, "cells": ' + "[" * 100_000 + "]" * 100_000 + "}"
    for parse in (parse_notebook, parse_executed):
        with pytest.raises(NotebookJobConfigError):
            parse(deep, source="nb")


def test_a_notebook_without_a_cell_of_code_was_paid_for_too():
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
    nb, said = parse_executed(text, source="nb")
    assert (nb.cells, said) == ([], ())


def test_a_sound_notebook_is_read_as_nbformat_reads_it():
    text = json.dumps(sound() | {"nbformat_minor": 4})
    assert parse_executed(text, source="nb") == (parse_notebook(text, source="nb"), ())


def test_what_widgets_of_an_earlier_run_saved_goes_and_else_the_notebook_is_itself():
    nb = parse_notebook(json.dumps(sound()), source="nb")
    assert without_saved_widgets(nb) is nb
    nb.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"abc": {}}}
    assert "widgets" not in without_saved_widgets(nb).metadata
    assert "widgets" in nb.metadata


def executed_cell(**changes):
    made = {"cell_type": "code", "metadata": {}, "source": "x", "outputs": [], "execution_count": 1} | changes
    nb, said = parse_executed(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [made]}), source="x"
    )
    return nb.cells[0], said


@pytest.mark.parametrize(
    ("changes", "part", "value", "note"),
    [
        ({"source": ["a\n", "b"]}, "source", "a\nb", None),
        ({"source": ["a", 5, None]}, "source", "a5null", "the 'source' of cell 1"),
        ({"source": None}, "source", "", "the 'source' of cell 1"),
        ({"source": {"a": 1}}, "source", '{"a": 1}', "the 'source' of cell 1"),
        ({"execution_count": True}, "execution_count", None, None),
        ({"execution_count": "3"}, "execution_count", None, None),
        ({"execution_count": 3}, "execution_count", 3, None),
        ({"metadata": 5}, "metadata", {}, "the 'metadata' of cell 1, which is no object"),
        ({"metadata": {"tags": ["a", 5]}}, "metadata", {"tags": ["a"]}, "tags of cell 1"),
        ({"metadata": {"tags": "a"}}, "metadata", {"tags": []}, "tags of cell 1"),
        ({"outputs": 5}, "outputs", [], "the 'outputs' of cell 1"),
        ({"cell_type": "new", "outputs": []}, "cell_type", "code", "the 'cell_type' of cell 1"),
        ({"cell_type": "new", "outputs": None}, "cell_type", "raw", "the 'cell_type' of cell 1"),
    ],
)
def test_each_part_of_a_cell_is_mended(changes, part, value, note):
    cell, said = executed_cell(**changes)
    assert cell[part] == value
    assert said == (() if note is None else (f"the executed notebook is malformed, read without: {note}",))


@pytest.mark.parametrize(
    ("output", "mended", "note"),
    [
        ({"output_type": "stream", "text": ["a", "b"]}, {"name": "stdout", "text": "ab"}, None),
        ({"output_type": "stream", "name": "stderr"}, {"name": "stderr", "text": ""}, None),
        ({"output_type": "stream", "name": 5, "text": 7}, {"name": "stdout", "text": "7"}, "the text of an output"),
        ({"output_type": "error"}, {"ename": "", "evalue": "", "traceback": []}, None),
        (
            {"output_type": "error", "ename": "E", "evalue": 5, "traceback": ["a", 1, "b"]},
            {"ename": "E", "evalue": "5", "traceback": ["a", "b"]},
            "the 'evalue' of an output",
        ),
        ({"output_type": "error", "ename": None}, {"ename": "", "traceback": []}, "the 'ename' of an output"),
        ({"output_type": "error", "text": 5}, {"text": "5"}, "the text of an output"),
        ({"output_type": "display_data"}, {"metadata": {}, "data": {}}, None),
        (
            {
                "output_type": "execute_result",
                "data": {"text/plain": ["a", "b"], "application/json": [1], "a/b+json": 5},
            },
            {"data": {"text/plain": "ab", "application/json": [1], "a/b+json": 5}},
            None,
        ),
        ({"output_type": "display_data", "data": {"a/json": 5}}, {"data": {"a/json": "5"}}, "the a/json of an output"),
        (
            {"output_type": "new", "a": "é"},
            {
                "output_type": "display_data",
                "data": {"text/plain": '(an output of no known type) {"output_type": "new", "a": "é"}'},
            },
            "an output",
        ),
        (5, {"output_type": "display_data", "data": {"text/plain": "(an output of no known type) 5"}}, "an output"),
    ],
)
def test_each_part_of_an_output_is_mended(output, mended, note):
    cell, said = executed_cell(outputs=[output])
    (found,) = cell.outputs
    assert {name: found[name] for name in mended} == mended
    assert [text.partition("read without: ")[2] for text in said] == ([f"{note} of cell 1"] if note else [])


def test_an_output_of_no_known_type_is_shown_in_part():
    cell, _ = executed_cell(outputs=[{"a": "x" * 5000}])
    assert len(cell.outputs[0]["data"]["text/plain"]) == len("(an output of no known type) ") + 2000


@pytest.mark.parametrize(("count", "more"), [(5, ""), (6, " and 1 more"), (9, " and 4 more")])
def test_five_malformed_parts_are_named(count, more):
    text = json.dumps({"nbformat": 4, "metadata": {}, "cells": [5] * count})
    nb, (said,) = parse_executed(text, source="x")
    assert said.count(", which is no object") == 5
    assert said.endswith(f"cell 5, which is no object{more}")
    assert [cell.cell_type for cell in nb.cells] == ["raw"] * count


@pytest.mark.parametrize(("minor", "read"), [(5, 5), ("5", 0), (True, 0), (None, 0)])
def test_a_minor_version_that_is_no_number_is_none(minor, read):
    text = json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": []})
    assert parse_executed(text, source="x")[0].nbformat_minor == read


@pytest.mark.parametrize(("cells", "what"), [(None, "missing"), ({}, "not a list"), ("x", "not a list")])
def test_without_cells_it_is_none(cells, what):
    with pytest.raises(NotebookJobConfigError, match=f"'x' is not a valid notebook: 'cells' is {what}"):
        parse_executed(json.dumps({"nbformat": 4, "cells": cells}), source="x")


@pytest.mark.parametrize(("levels", "is_whole"), [(140, True), (150, False)])
def test_what_lies_too_deep_is_cut_off(levels, is_whole):
    deep = "[" * levels + "]" * levels
    text = '{"nbformat": 4, "metadata": {"a": %s}, "cells": []}' % deep  # noqa: UP031 braces
    nb, said = parse_executed(text, source="x")
    assert (json.dumps(nb.metadata["a"]) == deep) is is_whole
    assert said == (
        ()
        if is_whole
        else ("the executed notebook is malformed, read without: it is nested more than 150 levels deep",)
    )


def test_attachments_are_mended_too():
    cell, said = executed_cell(attachments={"a.png": 5, "b.png": {"image/png": "x"}})
    assert cell.attachments == {"a.png": {}, "b.png": {"image/png": "x"}}
    assert "an attachment of cell 1, which is no object" in said[0]


@pytest.mark.parametrize(("levels", "kept"), [(148, 148), (149, 148), (400, 148)])
def test_what_is_left_is_as_deep_as_it_may_be(levels, kept):
    lists = json.loads("[" * levels + "]" * levels)
    nb, _ = parse_executed(json.dumps({"nbformat": 4, "metadata": {"a": lists}, "cells": []}), source="x")
    inner = '"…"' if levels > kept else ""
    assert json.dumps(nb.metadata["a"], ensure_ascii=False) == "[" * kept + inner + "]" * kept
