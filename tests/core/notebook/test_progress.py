"""How far a notebook has run, from what papermill writes into it."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.job.xcoms import progress_record
from airflow_nbjobs.core.notebook.document import MARK
from airflow_nbjobs.core.notebook.progress import (
    Progress,
    added_cells,
    author_cells,
    cell_text,
    done_share,
    newest_cells,
    papermill_bars,
    progress_of,
    without_bars,
)
from airflow_nbjobs.core.values.parameter_cell import prepare_parameters
from airflow_nbjobs.core.values.recording import OUTPUTS


def ran(*statuses, last=()):
    """Return a notebook with a markdown cell first and then cells of code of these statuses; None: nothing is said of the cell. ``last`` are ours."""
    cells = [new_code_cell("1", metadata={"papermill": {"status": status}} if status else {}) for status in statuses]
    ours = [new_code_cell("2", metadata={MARK: "outputs", "papermill": {"status": status}}) for status in last]
    return new_notebook(cells=[new_markdown_cell("# a"), *cells, *ours])


@pytest.mark.parametrize(
    ("notebook", "progress"),
    [
        (new_notebook(), Progress(0, 0, None, is_complete=False)),
        (ran(None, None), Progress(0, 3, None, is_complete=False)),
        (ran("running", "pending"), Progress(0, 3, 2, is_complete=False)),
        (ran("completed", "running", "pending"), Progress(2, 4, 3, is_complete=False)),
        (ran("completed", "pending"), Progress(2, 3, 2, is_complete=False)),
        (ran("completed", "completed"), Progress(3, 3, 3, is_complete=True)),
        (ran("completed", "failed"), Progress(3, 3, 3, is_complete=False)),
        (ran("failed", "completed"), Progress(3, 3, 3, is_complete=False)),
        (ran("completed", last=("pending",)), Progress(2, 2, 2, is_complete=False)),
        (ran("completed", last=("completed",)), Progress(2, 2, 2, is_complete=True)),
        (
            {"cells": [{"cell_type": "code", "metadata": {"papermill": "x"}}, 7]},
            Progress(0, 1, None, is_complete=False),
        ),
        ({"cells": None}, Progress(0, 0, None, is_complete=False)),
    ],
)
def test_what_papermill_says_of_each_cell_is_counted(notebook, progress):
    assert progress_of(notebook) == progress


@pytest.mark.parametrize(
    ("done", "total", "share"), [(0, 4, 0), (3, 4, 0.75), (4, 4, 1), (5, 4, None), (-1, 4, None), (0, 0, None)]
)
def test_the_share_that_is_done(done, total, share):
    assert done_share(progress_record("job", done, total)) == share


@pytest.mark.parametrize("facts", [{}, {"done": 1}, {"done": "1", "total": "2"}, {"done": None, "total": 2}])
def test_what_says_nothing_has_no_share(facts):
    assert done_share(facts) is None


def test_text_counts_with_the_code_before_it_and_not_before_the_code_has_run():
    text, *more = (new_markdown_cell(f"# {number}") for number in range(4))
    code = [new_code_cell("1", metadata={"papermill": {"status": status}}) for status in ("completed", "running")]
    assert progress_of(new_notebook(cells=[text, more[0], *code, more[1]])).done == 3
    assert progress_of(new_notebook(cells=[text, code[0], *more[:2], code[1], more[2]])).done == 4
    code[1].metadata["papermill"]["status"] = "failed"
    assert (
        progress_of(new_notebook(cells=[text, *code, more[0]])).done == 3
    )  # the text after a failed cell is not reached


def test_code_that_papermill_has_not_come_to_has_not_run_and_text_that_it_has_passed_has():
    ran_code, ran_text = (
        make("1", metadata={"papermill": {"status": "completed"}}) for make in (new_code_cell, new_markdown_cell)
    )
    assert progress_of(new_notebook(cells=[ran_code, ran_text, new_code_cell("2")])).done == 2


# -- what papermill's bar says ---------------------------------------------------------------------------------------


def staged(*sources, parameters=None, tag=None):
    """Return a notebook as it is staged, one recording cell at its end."""
    cells = [new_code_cell(source) for source in sources]
    if tag is not None:
        cells[tag[0]].metadata["tags"] = [tag[1]]
    book = prepare_parameters(new_notebook(cells=cells), parameters or {})
    return new_notebook(cells=[*book.cells, new_code_cell("", metadata={MARK: OUTPUTS})], metadata=dict(book.metadata))


@pytest.mark.parametrize(
    ("book", "is_injected", "added"),
    [
        (staged("a", "b"), False, (3,)),
        (staged("a", "b"), True, (1, 4)),  # papermill puts its own first
        (staged("a", "b", "c", tag=(1, "parameters"), parameters={"x": "1"}), True, (3, 5)),
        (staged("a", "b", "c", tag=(1, "parameters"), parameters={"x": 1}), True, (3, 4, 6)),
        (staged("a", "b", "c", tag=(1, "injected-parameters"), parameters={"x": 1}), True, (3, 5)),
        (new_notebook(cells=[new_code_cell("a")]), False, ()),
    ],
)
def test_cells_that_are_not_the_authors_are_known_before_they_run(book, is_injected, added):
    assert added_cells(book, is_injected=is_injected) == added


def test_every_position_of_papermills_is_one_of_the_authors():
    seen = [author_cells(done, 7, (3, 4, 7)) for done in range(8)]
    assert seen == [(0, 4), (1, 4), (2, 4), (2, 4), (2, 4), (3, 4), (4, 4), (4, 4)]


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (
            "Executing:   0%|          | 0/63 [00:00<?, ?cell/s]\rExecuting:  25%|██▌  | 16/63 [00:18<00:30,  1.54cell/s]",
            (16, 63),
        ),
        ("Executing: 100%|██████████| 3/3 [00:01<00:00]\n", (3, 3)),
        ("epoch:  50%|█████     | 5/10 [00:01<00:00]\n", None),  # a bar of the notebook's own
        ("2026/01/02 nothing", None),
        ("", None),
    ],
)
def test_progress_is_the_newest_of_papermills_lines(log, expected):
    assert newest_cells(log, ()) == expected


def pieces(*kinds, statuses):
    """Cells of code (c) and text (t), with what papermill says of each."""
    made = [
        (new_code_cell if kind == "c" else new_markdown_cell)(
            "1", metadata={"papermill": {"status": status}} if status else {}
        )
        for kind, status in zip(kinds, statuses, strict=True)
    ]
    return new_notebook(cells=made)


@pytest.mark.parametrize(
    ("kinds", "statuses", "progress"),
    [
        ("ccc", ("completed", "failed", "pending"), Progress(2, 3, 2, is_complete=False)),
        ("ccc", ("failed", "completed", "running"), Progress(2, 3, 3, is_complete=False)),
        ("ctc", ("failed", None, None), Progress(1, 3, 1, is_complete=False)),
        ("ctt", ("completed", None, None), Progress(3, 3, 1, is_complete=True)),
        ("tct", (None, "running", None), Progress(0, 3, 2, is_complete=False)),
        ("ctct", ("completed", None, "failed", None), Progress(3, 4, 3, is_complete=False)),
        ("cc", ("failed", "completed"), Progress(2, 2, 2, is_complete=False)),
        ("t", (None,), Progress(0, 1, None, is_complete=False)),
    ],
)
def test_how_far_a_notebook_of_code_and_text_has_run(kinds, statuses, progress):
    assert progress_of(pieces(*kinds, statuses=statuses)) == progress


@pytest.mark.parametrize(
    ("text", "bars"),
    [
        ("Executing:   5%|▌ | 1/20 [00:01<00:19,  1.0cell/s]", [(1, 20)]),
        ("Executing:   5%|▌ | 1/20 [00:01", [(1, 20)]),
        ("Executing: 0%|a|b| 1/20 [", []),
        ("Executing: 10%| | 2/20 [x]printed\nExecuting: 15%| | 3/20 [y]", [(2, 20), (3, 20)]),
        ("executing: 10%| | 2/20 [x]", []),
    ],
)
def test_each_bar_is_read_and_what_stands_beside_it_stays(text, bars):
    assert list(papermill_bars(text)) == bars
    assert "Executing" not in without_bars(text) or not bars


def test_what_a_cell_prints_behind_the_bar_stays():
    assert without_bars("Executing:  50%|█ | 1/2 [00:01<00:01]loss 0.5\nok") == "loss 0.5\nok"


def test_the_newest_bar_is_counted_as_the_author_counts():
    log = "Executing: 20%| | 1/5 [a]\rExecuting: 60%| | 3/5 [b]"
    assert newest_cells(log, (1, 5)) == (2, 3)
    assert newest_cells("", (1,)) is None
    assert cell_text(2, 3) == "cell 2 of 3 has ended"


@pytest.mark.parametrize(
    "facts", [{"done": 1.0, "total": 2}, {"done": 1, "total": 2.0}, {"done": 2, "total": 1}, {"total": 5}]
)
def test_numbers_that_cannot_be_have_no_share(facts):
    assert done_share(facts) is None
