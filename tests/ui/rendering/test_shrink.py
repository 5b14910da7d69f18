"""A file that is too large to be parsed: which texts stay, what stands for the others, and what is refused."""

import json

import pytest
from rendered import code, data, stream

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering import shrink as shrink_module
from airflow_nbjobs.ui.rendering.shrink import CUT_MARK, TooLargeError, cut_length, shrink, with_excerpts


@pytest.fixture
def _small(monkeypatch):
    """All limits, in bytes in place of mebibytes."""
    for name, value in {
        "WHOLE_BYTES": 100,
        "LONGEST_BYTES": 2_000,
        "_LONG_BYTES": 50,
        "_KEPT_BYTES": 200,
        "_REST_BYTES": 500,
        "_EXCERPT_BYTES": 10,
    }.items():
        monkeypatch.setattr(shrink_module, name, value)


@pytest.fixture
def shrunk(tmp_path, _small):
    def shrunk_of(value):
        path = tmp_path / "n.ipynb"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return shrink(path)

    return shrunk_of


def test_a_file_as_large_as_can_be_read_stays_as_it_is(shrunk):
    for count in (100, 101):
        found = shrunk("[" + json.dumps("x" * (count - 4)) + "]")
        assert len(found.text) == count
        assert found.cut_bytes == 0


def test_of_a_larger_one_long_texts_stay_as_far_as_there_is_room_in_their_order(shrunk):
    texts = ["a" * 98, "b" * 98, "c" * 49, "short"]
    found = shrunk(texts)
    kept = json.loads(found.text)
    assert kept[:2] == texts[:2]
    assert (cut_length(kept[2]), kept[3]) == (49, "short")
    assert found.cut_bytes == 49
    # One that has no room leaves it to a later one.
    kept = json.loads(shrunk(["a" * 98, "b" * 120, "c" * 98]).text)
    assert [each[0] for each in kept] == ["a", CUT_MARK[0], "c"]
    assert cut_length(kept[1]) == 120


def test_a_text_is_long_with_its_quotes(shrunk):
    filled = ["a" * 198]
    assert json.loads(shrunk([*filled, "b" * 48]).text)[1] == "b" * 48
    assert cut_length(json.loads(shrunk([*filled, "b" * 49]).text)[1]) == 49


def test_what_stands_for_a_text_has_its_beginning_its_end_and_how_much_is_left_out(shrunk):
    (kept,) = json.loads(shrunk(["beginning " + "x" * 300 + " the end."]).text)
    assert kept.split("\n") == [
        f"{CUT_MARK}319",
        "beginning ",
        "… 0.0 MB are left out here; they are in the .ipynb …",
        " the end.",
    ]


def test_a_file_that_is_too_large_is_refused_in_words(shrunk, monkeypatch):
    assert shrunk(["x" * 1_996]).cut_bytes == 1_996
    with pytest.raises(TooLargeError, match=r"^it has 0 MiB; up to 0 MiB can be shown$"):
        shrunk(["x" * 1_997])
    assert shrunk("[" + "1," * 248 + "11]").cut_bytes == 0
    with pytest.raises(TooLargeError, match=r"^it has 0 MiB of short lines; up to 0 MiB of them can be shown$"):
        shrunk("[" + "1," * 249 + "1]")
    monkeypatch.setattr(shrink_module, "LONGEST_BYTES", 2 * 1024**2)
    with pytest.raises(TooLargeError, match=r"^it has 3 MiB; up to 2 MiB can be shown$"):
        shrunk(" " * 3 * 1024**2)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (f"{CUT_MARK}12", 12),
        (f"{CUT_MARK}12\nmore", 12),
        (f"{CUT_MARK}{'1' * 11}\n", 11_111_111_111),
        (f"{CUT_MARK}{'1' * 12}\n", None),
        (f"{CUT_MARK}", None),
        (f"{CUT_MARK}1x\n", None),
        (f"{CUT_MARK}-1\n", None),
        (f" {CUT_MARK}12", None),
        ("", None),
    ],
)
def test_only_our_own_mark_says_how_long_a_text_was(text, length):
    assert cut_length(text) == length


CUT = f"{CUT_MARK}900\nhead\ntail"


def test_what_is_kept_of_a_text_is_put_where_a_person_reads_it():
    notebook = parse_notebook(
        json.dumps(
            {
                "nbformat": 4,
                "nbformat_minor": 4,
                "metadata": {},
                "cells": [
                    code("x", stream(CUT), data(text_plain=CUT, image_png=CUT, text_html=CUT)),
                    code("x", {"output_type": "error", "ename": "E", "evalue": CUT, "traceback": ["a", CUT]}),
                ],
            }
        ),
        source="n",
    )
    assert with_excerpts(notebook)
    (first, second), (error,) = (cell["outputs"] for cell in notebook["cells"])
    assert first["text"] == "head\ntail"
    assert second["data"] == {"text/plain": "head\ntail", "image/png": CUT, "text/html": CUT}
    assert (error["evalue"], error["traceback"]) == ("head\ntail", ["a", "head\ntail"])
    assert not with_excerpts(notebook)


@pytest.mark.parametrize(
    "notebook",
    [
        {},
        {"cells": None},
        {"cells": [None, {"outputs": None}, {"outputs": [None, {"data": []}]}]},
        {"cells": [{"outputs": [{"text": 3}]}]},
    ],
)
def test_a_notebook_of_another_shape_has_no_excerpts(notebook):
    assert not with_excerpts(notebook)
