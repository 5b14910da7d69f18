"""How far a notebook has run, from what papermill writes into it."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.job.xcoms import progress_record
from airflow_nbjobs.core.notebook.document import MARK
from airflow_nbjobs.core.notebook.progress import (
    Progress,
    added_cells,
    author_cells,
    done_share,
    newest_cells,
    progress_of,
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
