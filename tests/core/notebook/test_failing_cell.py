"""Where a notebook has failed, from its cells alone: what papermill and the kernel have left in each."""

import pytest
from nbformat import NotebookNode

from airflow_nbjobs.core.notebook.failing_cell import (
    clean_exit,
    failed_cell,
    find_failing_cell,
    last_cell_run,
    numbered_cells,
    plain_text,
    printed,
    strip_ansi,
)
from airflow_nbjobs.core.notebook.papermill import cells_before_values, has_failed, status_of, was_started


def cell(*outputs, kind="code", tags=(), mark=None, **papermill):
    metadata = {"tags": list(tags)} | ({"papermill": papermill} if papermill else {})
    metadata |= {"airflow_nbjobs": mark} if mark else {}
    return {"cell_type": kind, "source": "x", "metadata": metadata, "outputs": list(outputs), "execution_count": None}


def nb(*cells, **metadata):
    return NotebookNode(cells=list(cells), metadata=metadata)


def error(ename, evalue="", *lines):
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": list(lines)}


def stream(text, name="stderr"):
    return {"output_type": "stream", "name": name, "text": text}


RAN = {"start_time": "2026-01-01T00:00:00", "exception": False, "status": "completed"}
FAILED = RAN | {"exception": True, "status": "failed"}
NOT_RUN = {"start_time": None, "exception": None, "status": "completed"}


@pytest.mark.parametrize(
    ("papermill", "status", "failed", "started"),
    [
        (RAN, "completed", False, True),
        (FAILED, "failed", True, True),
        (NOT_RUN, None, False, False),
        ({"status": "pending"}, "pending", False, False),
        ({"status": "running", "start_time": "x"}, "running", False, True),
        ({"exception": "yes", "start_time": "x", "status": "completed"}, "completed", False, True),
        ({"exception": True, "start_time": None}, "failed", True, False),
    ],
)
def test_what_papermill_says_of_a_cell(papermill, status, failed, started):
    one = cell(**papermill)
    assert (status_of(one), has_failed(one), was_started(one)) == (status, failed, started)
    assert not was_started(cell(kind="markdown", **papermill))


def test_a_cell_without_papermills_word_was_started_where_the_kernel_counted_it():
    assert not was_started(cell())
    assert was_started(cell() | {"execution_count": 3})
    assert not was_started(cell(**NOT_RUN) | {"execution_count": 3})
    assert status_of(cell()) is None


def test_values_come_after_the_tagged_cell_or_first_or_in_place_of_the_injected_one():
    tagged, injected = cell(tags=["parameters"]), cell(tags=["injected-parameters"])
    assert cells_before_values(nb(cell(), cell())) == 0
    assert cells_before_values(nb(cell(), tagged, cell())) == 2
    assert cells_before_values(nb(tagged, cell(), injected)) == 2


def test_cells_that_papermill_or_this_package_has_added_have_no_number():
    injected, marker = cell(tags=["injected-parameters"]), cell(tags=["papermill-error-cell-tag"])
    cells = [cell(kind="markdown"), injected, cell(mark="outputs"), marker, cell()]
    assert [index for index, _ in numbered_cells(nb(*cells))] == [1, None, None, None, 2]
    own = {"airflow_nbjobs": {"has_injected_parameters": True}}
    assert [index for index, _ in numbered_cells(nb(*cells, **own))] == [1, 2, None, None, 3]
    for other in ({"has_injected_parameters": "yes"}, 5):
        assert [index for index, _ in numbered_cells(nb(*cells, airflow_nbjobs=other))] == [1, None, None, None, 2]


def test_the_marked_cell_comes_before_any_that_only_shows_an_error():
    shown, marked = cell(error("KeyError")), cell(error("ValueError"), **FAILED)
    assert find_failing_cell(nb(shown, marked, cell(error("OSError")))).ename == "ValueError"
    assert find_failing_cell(nb(shown, cell(error("OSError")))).ename == "OSError"  # the last one


def test_after_a_cell_that_shows_an_error_the_notebook_may_have_run_on():
    shown = cell(error("KeyError"), **RAN)
    assert find_failing_cell(nb(shown)).index == 1
    assert find_failing_cell(nb(shown, cell(**RAN))) is None
    assert find_failing_cell(nb(shown, cell(**NOT_RUN))).index == 1
    assert find_failing_cell(nb(shown, cell(**RAN)), has_run_to_its_end=True).index == 1


@pytest.mark.parametrize(("evalue", "is_clean"), [("", True), ("0", True), ("1", False), ("None", False)])
def test_an_exit_without_a_code_is_none_of_a_failure(evalue, is_clean):
    left = nb(cell(**RAN), cell(error("SystemExit", evalue), **FAILED), cell(**NOT_RUN))
    assert (find_failing_cell(left) is None) is is_clean
    assert clean_exit(left) == (2 if is_clean else None)
    assert find_failing_cell(nb(cell(error("ValueError", "0"), **FAILED))).evalue == "0"


def test_an_exit_is_clean_where_cells_are_left_and_none_of_them_has_run():
    exits = cell(error("SystemExit", "0"), **RAN)
    text = cell(kind="markdown")
    assert clean_exit(nb(exits, text)) is None  # the last cell of code
    assert clean_exit(nb(exits, text, cell(**NOT_RUN))) == 1
    assert clean_exit(nb(exits, cell(**RAN), cell(**NOT_RUN))) is None
    assert clean_exit(nb(cell(error("SystemExit", "0"), mark="outputs", **RAN), cell(**NOT_RUN))) is None


def test_the_last_cell_that_ran_is_the_authors():
    assert last_cell_run(nb(cell(**RAN), cell(kind="markdown"), cell(**RAN), cell(**NOT_RUN))) == 3
    assert last_cell_run(nb(cell(**RAN), cell(mark="outputs", **RAN))) == 1
    assert last_cell_run(nb(cell(**NOT_RUN))) is None


def test_what_a_cell_printed_is_joined_by_stream_and_without_colours():
    one = cell(stream("\x1b[31ma\x1b[0m", "stdout"), stream(["b", 5, "c"]), error("X"), {"output_type": "stream"})
    assert (printed(one), printed(one, "stderr"), printed(one, "stdout")) == ("abc", "bc", "a")
    assert printed(one, "stdout", "stderr") == "abc"
    assert printed(cell({"output_type": "display_data", "name": "stderr", "text": "x"})) == ""


def test_a_failed_cell_has_its_error_in_plain_text():
    one = cell(
        stream("warned\n"),
        error("ValueError", "\x1b[1mno\x1b[0m \ud800\0", "\x1b[31mTraceback\x1b[0m", "last"),
        tags=["t"],
    )
    found = failed_cell(4, one | {"source": "a \ud800"}, one["outputs"][1])
    assert (found.index, found.tags, found.ename, found.evalue) == (4, ("t",), "ValueError", "no ?�")
    assert (found.traceback, found.source, found.stderr) == ("Traceback\nlast", "a ?", "warned\n")
    bare = failed_cell(None, cell(), {"ename": 5, "evalue": None, "traceback": "x"})
    assert (bare.index, bare.ename, bare.evalue, bare.traceback) == (None, "CellExecutionError", "", "")
    assert failed_cell(1, cell(), {"traceback": ["a", 5]}).traceback == "a"


@pytest.mark.parametrize(
    ("text", "ename", "evalue"),
    [
        ("UsageError: no such\n  option\n", "UsageError", "no such option"),
        ("UsageError: first\nUsageError: second\n", "UsageError", "second"),
        ("tools.errors.BadInput: row 5\n", "BadInput", "row 5"),
        ("warning: x\nKeyError: 'a'\n\n", "KeyError", "'a'"),
        ("KeyboardInterrupt\n", "KeyboardInterrupt", ""),
        ("lower: x\n", "CellExecutionError", ""),
        ("two words: x\n", "CellExecutionError", ""),
    ],
)
def test_an_error_that_is_only_printed_is_read_from_the_last_line(text, ename, evalue):
    found = find_failing_cell(nb(cell(stream(text), **FAILED)))
    assert (found.ename, found.evalue) == (ename, evalue)
    on_stdout = find_failing_cell(nb(cell(stream(text, "stdout"), **FAILED)))
    assert (on_stdout.ename, on_stdout.evalue) == ("CellExecutionError", "")


def test_the_first_of_a_printed_chain_is_the_cells_own_and_its_traceback_ends_there():
    text = "Traceback (most recent call last):\n  File x\nA.First: one\n\nDuring handling\n\nTraceback (most recent call last):\nSecond: two\n"
    found = find_failing_cell(nb(cell(stream(text), **FAILED)))
    assert (found.ename, found.evalue) == ("First", "one")
    assert found.traceback.endswith("A.First: one")
    alone = find_failing_cell(nb(cell(stream("Traceback (most recent call last):\n  File x\nOnly: one"), **FAILED)))
    assert (alone.ename, alone.traceback.split("\n")[-1]) == ("Only", "Only: one")


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[1;31ma\x1b[0mb", "ab"),
        ("\x1b]0;title\x07a", "a"),
        ("\x1b]8;;http://x\x1b\\a", "a"),
        ("\x1b(Ba", "a"),
        ("[0m a", "[0m a"),
        ("\x1b", "\x1b"),
    ],
)
def test_escapes_of_a_terminal_are_left_out(text, plain):
    assert strip_ansi(text) == plain


def test_what_no_log_holds_is_replaced():
    assert plain_text("a\0b\ud800é") == "a�b?é"


def test_a_printed_error_keeps_the_lines_of_its_text():
    text = "Traceback (most recent call last):\n  File x\nValueError: rows\n  of day 5\n"
    found = find_failing_cell(nb(cell(stream(text), **FAILED)))
    assert (found.ename, found.evalue) == ("ValueError", "rows")
    assert found.traceback.split("\n")[-2:] == ["ValueError: rows", "  of day 5"]
    twice = find_failing_cell(nb(cell(stream("KeyError: 'a'\nagain\nKeyError: 'a'\n"), **FAILED)))
    assert twice.traceback == "KeyError: 'a'\nagain\nKeyError: 'a'"


GROUP = "  + Exception Group Traceback (most recent call last):"


@pytest.mark.parametrize(
    ("lines", "ename", "evalue"),
    [
        ([GROUP, "  |   File x", "  | a.Group: many", "  +-+--- 1 ---", "    | ValueError: x"], "Group", "many"),
        ([GROUP, "Warning: y", "  | Group: many", "    | ValueError: x"], "Group", "many"),
        ([GROUP, "  |   File x", "KeyError: 'a'"], "KeyError", "'a'"),
        (["Traceback (most recent call last):", "First: one", "", GROUP, "  | Group"], "Group", ""),
    ],
)
def test_a_printed_group_is_named_by_its_own_exception(lines, ename, evalue):
    found = find_failing_cell(nb(cell(stream("\n".join(lines) + "\n"), **FAILED)))
    assert (found.ename, found.evalue) == (ename, evalue)
    assert found.traceback
