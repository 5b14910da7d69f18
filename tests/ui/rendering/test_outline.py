"""Which cells of a long notebook are shown, and the list of places in it."""

import re

import pytest
from rendered import code, markdown

from airflow_nbjobs.ui.rendering import outline as outline_module
from airflow_nbjobs.ui.rendering.outline import Cell, first_line, name_of, outline, shown_cells, slowest


def cell(index, node=None, *, is_failed=False, seconds=None):
    return Cell(
        node=node or code(f"x = {index}"), anchor=f"cell-{index}", index=index, seconds=seconds, is_failed=is_failed
    )


def cells(count, failed=()):
    return [cell(index, is_failed=index in failed) for index in range(count)]


def shown_places(found):
    return [[each.index for each in run] for run in found]


@pytest.fixture
def _small(monkeypatch):
    """A page of twelve cells: the last three, one on each side of what matters, the first ones."""
    for name, value in {"MOST_CELLS": 12, "_LAST_CELLS": 3, "_AROUND": 2}.items():
        monkeypatch.setattr(outline_module, name, value)


@pytest.mark.usefixtures("_small")
def test_as_many_cells_as_a_page_holds_are_shown_in_one_run():
    assert shown_places(shown_cells(cells(12), ())) == [list(range(12))]


@pytest.mark.usefixtures("_small")
def test_of_more_cells_the_first_and_the_last_are_shown():
    assert shown_places(shown_cells(cells(13), ())) == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [10, 11, 12]]


@pytest.mark.usefixtures("_small")
def test_those_around_the_failed_cell_and_the_one_that_runs_are_shown():
    found = shown_cells(cells(40, failed=(15,)), ("cell-25", None))
    assert shown_places(found) == [[0], [13, 14, 15, 16], [23, 24, 25, 26], [37, 38, 39]]


@pytest.mark.usefixtures("_small")
@pytest.mark.parametrize("place", [0, 1, 39])
def test_what_matters_at_an_end_takes_nothing_from_the_other(place):
    found = shown_cells(cells(40, failed=(place,)), ())
    assert sum(map(len, found)) == 12
    assert place in [each for run in shown_places(found) for each in run]
    assert shown_places(found)[-1][-3:] == [37, 38, 39]


def texts(found):
    return [(entry["level"], entry["text"]) for entry in found]


def test_headings_of_four_levels_are_the_outline():
    source = "# A *b* `c`  #\ntext\n   ## B ##\n    ## code\n### C\n#### D\n##### E\n#F\n#\n# \n#\tG"
    assert texts(outline([cell(1, markdown(source)), cell(2)])) == [
        (1, "A b c"),
        (2, "B"),
        (3, "C"),
        (4, "D"),
        (1, "G"),
    ]


@pytest.mark.parametrize("fence", ["```", "~~~", "  ```"])
def test_a_comment_in_code_is_no_heading(fence):
    assert texts(outline([cell(1, markdown(f"# A\n{fence}python\n# no\n{fence}\n# B"))])) == [(1, "A"), (1, "B")]


def test_each_entry_leads_to_its_cell_and_has_its_time():
    made = [
        cell(3, code("\n  # load\nx = 1"), seconds=1.5),
        cell(None, code("day = 1"), seconds=0.0),
        cell(5, code("")),
    ]
    found = list(outline(made))
    assert found == [
        {"anchor": "cell-3", "text": "Cell 3  # load", "level": 0, "seconds": 1.5, "is_failed": False},
        {
            "anchor": "cell-None",
            "text": "Parameters of this run  day = 1",
            "level": 0,
            "seconds": 0.0,
            "is_failed": False,
        },
        {"anchor": "cell-5", "text": "Cell 5", "level": 0, "seconds": None, "is_failed": False},
    ]


def test_among_headings_only_the_failed_cell_is_of_code():
    made = [cell(1, markdown("# A")), cell(2), cell(3, is_failed=True), cell(4, markdown("# B"))]
    assert [(entry["anchor"], entry["is_failed"]) for entry in outline(made)] == [
        ("cell-1", False),
        ("cell-3", True),
        ("cell-4", False),
    ]


def test_an_outline_has_so_many_entries_and_the_failed_cell_beyond(monkeypatch):
    monkeypatch.setattr(outline_module, "_OUTLINE_ENTRIES", 4)
    made = [cell(1, markdown("# A\n# B\n# C")), cell(2, markdown("# D\n# E")), cell(3, markdown("# F"))]
    assert [entry["text"] for entry in outline(made)] == ["A", "B", "C", "D"]
    assert [entry["text"] for entry in outline([*made, cell(4, is_failed=True)])][-2:] == ["D", "Cell 4  x = 4"]
    code_alone = cells(6, failed=(5,))
    assert [entry["anchor"] for entry in outline(code_alone)] == [f"cell-{place}" for place in (0, 1, 2, 3, 5)]


def test_long_texts_are_cut_and_what_is_unseen_is_seen():
    made = [
        cell(1, markdown("# " + "h" * 300)),
        cell(2, code("c" * 300), is_failed=True),
        cell(3, markdown("# a\u202eb")),
    ]
    found = [entry["text"] for entry in outline(made)]
    assert found == ["h" * 120, "Cell 2  " + "c" * 60, "a⟦U+202E⟧b"]


def test_the_slowest_cells_are_those_of_code_the_longest_first(monkeypatch):
    monkeypatch.setattr(outline_module, "_SLOWEST_ENTRIES", 3)
    made = [
        cell(1, seconds=2.0),
        cell(2, markdown("x"), seconds=9.0),
        cell(3),
        cell(4, seconds=0.0),
        cell(5, seconds=5.0),
        cell(6, seconds=2.0),
    ]
    assert [(entry["anchor"], entry["seconds"]) for entry in slowest(made)] == [
        ("cell-5", 5.0),
        ("cell-1", 2.0),
        ("cell-6", 2.0),
    ]
    assert [entry["anchor"] for entry in slowest(made[3:4])] == ["cell-4"]


def test_a_cell_has_a_name_and_a_first_line():
    assert (name_of(cell(0)), name_of(cell(None))) == ("Cell 0", "Parameters of this run")
    assert first_line(cell(1, code("\n \n\t a \nb"))) == "a"
    assert first_line(cell(1, code(" \n"))) == ""
    assert re.fullmatch("x = 1", first_line(cell(1)))
