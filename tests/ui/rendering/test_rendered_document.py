"""What the page of a notebook says of each cell, and the facts that the tab around it shows."""

import json
import re

import pytest
from rendered import code, document, markdown, stream

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering import POLICY, SCRIPTED_POLICY, THEME_MARK
from airflow_nbjobs.ui.rendering.document import build_document, cell_duration


def built(*cells, metadata=None, **how):
    raw = {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata or {}, "cells": list(cells)}
    return build_document(parse_notebook(json.dumps(raw), source="n"), title=how.pop("title", "job"), **how)


def ran(source="x", *outputs, duration=None, status="completed", **more):
    said = {"status": status, "start_time": "2026-01-01T00:00:00"} | (
        {} if duration is None else {"duration": duration}
    )
    return code(source, *outputs, papermill=said | more)


def heads(made):
    found = re.findall(r"<header class=\"nb-head\">(.*?)</header>", made.html, re.DOTALL)
    return [re.sub(r"\|+", "|", re.sub(r"<[^>]+>", "|", each)).strip("|") for each in found]


def test_a_cell_has_its_count_its_number_its_tags_and_its_time():
    made = document(
        code("a", count=7, tags=["one", "two\u202e"], papermill={"duration": 61.0}),
        code("b", count=None),
        code("c", count="x", tags=[f"t{number}" for number in range(8)]),
    )
    assert heads(made) == [
        "[7]|cell 1|one|two⟦U+202E⟧|1 min 1 s",
        "[ ]|cell 2",
        "[ ]|cell 3|t0|t1|t2|t3|t4|t5",
    ]
    assert "x" * 40 + "<" in document(code("a", tags=["x" * 50])).html
    assert re.findall(r'aria-label="([^"]*)">\n<header', made.html)[0] == "Cell 1, 1 min 1 s"


def test_the_parameters_of_a_run_are_called_so():
    made = document(
        code("a = 1", tags=["parameters"]), code("a = 2", tags=["injected-parameters"], papermill={"duration": 2.0})
    )
    assert 'aria-label="Parameters of this run, 2.0 s"' in made.html
    assert heads(made) == ["[1]|cell 1|parameters", "[1]|parameters of this run|2.0 s"]
    assert 'id="nb-added-2"' in made.html


def error(name="ValueError"):
    return {"output_type": "error", "ename": name, "evalue": "no", "traceback": []}


def test_the_cell_that_failed_and_the_one_that_ran_last_are_told_apart():
    failed = built(ran(), ran("b", error(), status="failed", exception=True), has_failed=True)
    assert "cell 2|failed here" in heads(failed)[1]
    assert (failed.failed["index"], failed.stopped) == (2, None)
    stopped = built(ran(), ran("b", status="running"), code("c", count=None), has_failed=True)
    assert "cell 2|last cell that ran" in heads(stopped)[1]
    assert (stopped.failed, stopped.stopped) == (None, {"anchor": "cell-2", "index": 2})
    assert stopped.html.count('class="nb-cell nb-code nb-failed"') == 1


@pytest.mark.parametrize(
    "cells",
    [[ran(), ran()], [code("a", count=None)]],
    ids=["all have run", "none has run"],
)
def test_where_no_cell_stands_out_none_is_marked(cells):
    made = built(*cells, has_failed=True)
    assert (made.failed, made.stopped) == (None, None)
    assert built(ran(), ran("b", status="running")).stopped is None


def test_facts_of_a_failure_are_short_and_show_what_is_unseen():
    long = {
        "output_type": "error",
        "ename": "E" * 300 + "\u202e",
        "evalue": "v\u202e" * 5000,
        "traceback": ["t" * 100] * 200,
    }
    made = document(code("x", long, papermill={"exception": True, "status": "failed"}))
    assert made.failed["ename"] == "E" * 200
    assert len(made.failed["evalue"]) < 20_000
    assert "\u202e" not in made.failed["evalue"]
    assert 1_000 < len(made.failed["traceback"]) <= 8_000


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"duration": 1.5}, 1.5),
        ({"duration": 0}, 0.0),
        ({"duration": -1}, None),
        ({"duration": 1e9}, None),
        ({"duration": 1e9 - 1}, 1e9 - 1),
        ({"duration": True}, None),
        ({"start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:02.5"}, 2.5),
        ({"start_time": "2026-01-01T00:00:02", "end_time": "2026-01-01T00:00:00"}, 0.0),
        ({"start_time": "2026-01-01T00:00:02"}, None),
        ({"start_time": "2026-01-01T00:00:02", "end_time": None}, None),
        ({"start_time": "x", "end_time": "y"}, None),
        ({"start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:02+00:00"}, None),
        ({"duration": None, "start_time": "2026-01-01T00:00:00", "end_time": "2026-01-01T00:00:02"}, 2.0),
    ],
)
def test_a_cells_time_is_what_papermill_says(said, seconds):
    made = document(code("x", papermill=said))
    assert made.seconds == seconds
    assert [each["seconds"] for each in made.outline] == [seconds]


def test_times_are_added_up_and_the_longest_come_first():
    made = document(ran("a", duration=0.1), ran("b", duration=2.0004), code("c"), markdown("d"))
    assert made.seconds == 2.1
    assert [(each["anchor"], each["seconds"]) for each in made.slowest] == [("cell-2", 2.0004), ("cell-1", 0.1)]
    assert re.findall(r"width:([\d.]+)%", made.html) == ["5.0", "100.0"]
    assert re.findall(r"width:([\d.]+)%", document(ran("a", duration=0)).html) == ["0.0"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "<10 ms"),
        (0.0099, "<10 ms"),
        (0.01, "10 ms"),
        (0.9994, "999 ms"),
        (1.0, "1.0 s"),
        (59.94, "59.9 s"),
        (60.0, "1 min 0 s"),
    ],
)
def test_a_time_is_at_its_own_scale(seconds, words):
    assert cell_duration(seconds) == words


def test_how_far_a_notebook_has_come_is_told_in_words():
    none = document(code("a", count=None), code("b", count=None)).progress
    assert (none["done"], none["total"], none["text"], none["is_complete"]) == (0, 2, "no cell has run yet", False)
    some = document(ran("a"), ran("b", status="running"), code("c", count=None)).progress
    assert (some["done"], some["total"], some["text"], some["anchor"]) == (1, 3, "cell 1 of 3 has ended", "cell-2")
    assert document(ran("a")).progress["is_complete"]


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ({}, '<span class="o">%</span>'),
        ({"language_info": {"name": "python"}}, '<span class="o">%</span>'),
        ({"language_info": {"name": "no such language"}}, "%time x"),
    ],
    ids=["none", "Python", "unknown"],
)
def test_code_is_coloured_as_its_language_is(metadata, shown):
    assert shown in document(code("%time x"), **metadata).html


def test_a_source_that_is_too_long_is_cut_and_counts_as_a_large_output():
    made = document(code("x" * 100_000))
    assert made.notices == ()
    made = document(code("x" * 100_001), markdown("y" * 100_001))
    assert made.notices == ("2 large output(s) are shown in part or not at all; the .ipynb has them.",)
    assert "x" * 100_000 in made.html
    assert "x" * 100_001 not in made.html
    assert "y" * 100_001 not in made.html


def test_a_raw_cell_is_shown_as_it_is():
    raw = {"cell_type": "raw", "metadata": {}, "source": "<b>\u202e"}
    assert "<pre>&lt;b&gt;⟦U+202E⟧</pre>" in document(raw, code("x")).html


def test_attached_pictures_are_shown_and_what_is_none_is_left_out():
    text = markdown("![a](attachment:a.png) ![b](attachment:b.png)")
    attachments = {"a.png": {"image/png": "AAAA"}, "c.png": {"image/png": "BBBB"}}
    html = document(text | {"attachments": attachments}, code("x")).html
    assert html.count("data:image/png;base64,AAAA") == 1
    assert "BBBB" not in html
    assert html.count("(a picture without a readable address, not fetched)") == 1


def test_a_page_has_its_title_its_policy_and_its_theme():
    made = built(code("x"), title="job <1>\u202e", notices=("a <note>\u202e",))
    assert "<title>job &lt;1&gt;⟦U+202E⟧</title>" in made.html
    assert f'data-theme="{THEME_MARK}"' in made.html
    assert made.notices == ("a <note>⟦U+202E⟧",)
    assert '<p class="nb-notice">a &lt;note&gt;⟦U+202E⟧</p>' in made.html
    for how, policy in (({}, POLICY), ({"with_scripts": True}, SCRIPTED_POLICY)):
        found = re.search(r'Content-Security-Policy" content="([^"]*)"', built(code("x"), **how).html)[1]
        assert found.replace("&#39;", "'") == policy
    assert built(code("x"), with_scripts=True).report == ""
    assert "<title>" in built(code("x")).report


def test_of_very_many_cells_it_is_said_how_many_are_shown(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.outline.MOST_CELLS", 4)
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.outline._LAST_CELLS", 1)
    made = document(*(code(f"x{number}", count=None) for number in range(6)))
    assert made.notices == ("4 of 6 cells are shown; the .ipynb has them all.",)
    assert (made.cells, made.html.count("<section "), made.texts.is_whole) == (6, 4, False)
    assert "Cells between these are not shown here" in made.html
    assert document(code("x")).texts.is_whole


def test_outputs_that_were_recorded_wrongly_are_named():
    data = {"application/vnd.airflow-nbjobs+json": {}}
    made = document(code("x", stream("a"), {"output_type": "display_data", "metadata": {}, "data": data}))
    assert made.outputs == [] or made.outputs[0]["type"] == "wrong"
    assert made.parameters in ([], None)
