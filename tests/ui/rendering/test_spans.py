"""When each cell ran, as papermill notes it: what it may have written, and what cannot be."""

from __future__ import annotations

import nbformat
import pytest

from airflow_nbjobs.ui.rendering.outline import Cell
from airflow_nbjobs.ui.rendering.spans import spans

BEGIN = 1_767_225_600.0  # 2026-01-01T00:00:00 UTC


def cell(source="\n  x = 1\ny", *, index: int | None = 1, make=nbformat.v4.new_code_cell, **said):
    return Cell(make(source, metadata={"papermill": said}), "cell-1", index, None, False)


def test_a_cell_has_its_moments_in_utc_its_name_and_its_first_line():
    (only,) = spans([cell(start_time="2026-01-01T00:00:00.500000", end_time="2026-01-01T01:00:03+01:00")])
    assert (only["start"], only["end"]) == (BEGIN + 0.5, BEGIN + 3)
    assert (only["anchor"], only["label"], only["source"]) == ("cell-1", "Cell 1", "x = 1")
    (of_run,) = spans([cell(index=None, start_time="2026-01-01T00:00:00")])
    assert (of_run["label"], of_run["end"]) == ("Parameters of this run", None)


def test_a_clock_that_was_set_back_makes_no_span_of_less_than_nothing():
    (only,) = spans([cell(start_time="2026-01-01T00:00:01", end_time="2026-01-01T00:00:00")])
    assert only["end"] == only["start"] == BEGIN + 1


@pytest.mark.parametrize("start", [None, 5, "", "</script>", ["2026"]])
def test_what_never_began_or_says_no_moment_has_none(start):
    assert spans([cell(start_time=start, end_time="2026-01-01T00:00:00")]) == ()


def test_text_is_no_code_and_what_is_unseen_is_seen():
    assert spans([cell(make=nbformat.v4.new_markdown_cell, start_time="2026-01-01T00:00:00")]) == ()
    (only,) = spans([cell("\u202e" + "x" * 500, start_time="2026-01-01T00:00:00")])
    assert only["source"] == "⟦U+202E⟧" + "x" * 79
