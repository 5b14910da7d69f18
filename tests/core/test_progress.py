"""How far a notebook has run, from what papermill writes into it."""

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from airflow_nbjobs.core.notebook import MARK
from airflow_nbjobs.core.progress import Progress, done_share, progress_facts, progress_of


def ran(*statuses, last=()):
    """Return a notebook with a markdown cell first and then cells of code of these statuses; None: nothing is said of the cell. ``last`` are ours."""
    cells = [new_code_cell("1", metadata={"papermill": {"status": status}} if status else {}) for status in statuses]
    ours = [new_code_cell("2", metadata={MARK: "outputs", "papermill": {"status": status}}) for status in last]
    return new_notebook(cells=[new_markdown_cell("# a"), *cells, *ours])


@pytest.mark.parametrize(
    ("notebook", "progress"),
    [
        (new_notebook(), Progress(0, 0, None, is_complete=False)),
        (ran(None, None), Progress(0, 2, None, is_complete=False)),
        (ran("running", "pending"), Progress(0, 2, 2, is_complete=False)),
        (ran("completed", "running", "pending"), Progress(1, 3, 3, is_complete=False)),
        (ran("completed", "pending"), Progress(1, 2, 2, is_complete=False)),
        (ran("completed", "completed"), Progress(2, 2, 3, is_complete=True)),
        (ran("completed", "failed"), Progress(2, 2, 3, is_complete=False)),
        (ran("failed", "completed"), Progress(2, 2, 3, is_complete=False)),
        (ran("completed", last=("pending",)), Progress(1, 1, 2, is_complete=False)),
        (ran("completed", last=("completed",)), Progress(1, 1, 2, is_complete=True)),
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
    assert done_share(progress_facts("job", done, total)) == share


@pytest.mark.parametrize("facts", [{}, {"done": 1}, {"done": "1", "total": "2"}, {"done": None, "total": 2}])
def test_what_says_nothing_has_no_share(facts):
    assert done_share(facts) is None
