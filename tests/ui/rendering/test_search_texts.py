"""What of a notebook a reader searches, how much of each text, and whether all of it."""

import pytest
from rendered import code, data, markdown, stream

from airflow_nbjobs.ui.rendering import search_texts as search_module
from airflow_nbjobs.ui.rendering.outline import Cell
from airflow_nbjobs.ui.rendering.report import in_report
from airflow_nbjobs.ui.rendering.search_texts import search_texts

CUT = "airflow-nbjobs:cut:9000000\nbeginning"


def searched(*nodes, is_whole=True, reported=True):
    cells = [
        Cell(node=node, anchor=f"cell-{place}", index=place, seconds=None, is_failed=False)
        for place, node in enumerate(nodes, 1)
    ]
    return search_texts(cells, {cell.anchor: in_report(cell) for cell in cells} if reported else {}, is_whole=is_whole)


def texts(*nodes, **how):
    return [(part.kind, part.text) for part in searched(*nodes, **how).parts]


def test_each_text_has_its_place_its_name_and_its_kind():
    found = searched(markdown("# A"), code("x = 1", stream("out\n")))
    assert found.is_whole
    assert [(part.anchor, part.name, part.kind, part.text, part.in_report) for part in found.parts] == [
        ("cell-1", "Cell 1", "text", "# A", True),
        ("cell-2", "Cell 2", "code", "x = 1", False),
        ("cell-2", "Cell 2", "output", "out\n", True),
    ]


def test_what_the_report_hides_is_searched_in_the_notebook_alone():
    node = code("x", stream("shown\n"), stream("hidden\n", "stderr"), tags=["remove-stderr"])
    assert [(part.text, part.in_report) for part in searched(node).parts] == [
        ("x", False),
        ("shown\n", True),
        ("hidden\n", False),
    ]
    assert [part.in_report for part in searched(markdown("# A"), node, reported=False).parts] == [False] * 3


def test_blank_texts_are_none():
    assert texts(markdown(" \n"), code("x", stream(" \n"), data(text_plain=""))) == [("code", "x")]


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (stream("\x1b[31mred\x1b[0m"), "red"),
        (stream("10%\r50%\r100%\ndone"), "100%\ndone"),
        (stream("10%\r50%\r\n"), "50%\n"),
        (data(text_plain="plain", text_html="<b>html</b>"), "plain"),
        (data(text_plain="", text_markdown="*md*"), "*md*"),
        (data(text_latex="$x$", text_html="<b>html</b>"), "$x$"),
        (data(text_plain=CUT, text_html="<b>html</b>"), "html"),
        (data(text_html="<p>a  b</p>\n<i>c&lt;d</i>"), "a b c<d"),
        (data(text_html="a<style>x</style>b<SCRIPT>y</SCRIPT>c<style>z"), "a b c"),
        (data(text_html="<p>a<br/>b<!-- not this -->"), "a b"),
        (data(text_html="1 < 2"), "1 < 2"),
        ({"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["one", "E: v"]}, "one\nE: v"),
    ],
)
def test_an_output_is_searched_as_a_reader_sees_it(output, text):
    assert texts(code("x", output)) == [("code", "x"), ("output", text)]


def test_outputs_of_a_cell_are_one_text():
    assert texts(code("x", stream("a"), data(image_png="AAAA"), data(text_plain="b")))[1:] == [("output", "a\nb")]


@pytest.mark.parametrize(
    ("node", "is_whole"),
    [
        (code("x" * 50), True),
        (code("x" * 51), False),
        (markdown("x" * 51), False),
        (code("", stream("x" * 24), data(text_plain="y" * 25)), True),
        (code("", stream("x" * 24), data(text_plain="y" * 26)), False),
        (code(CUT), False),
        (code("x", data(text_plain=CUT)), False),
        (code("x", data(text_plain=CUT, text_html="y")), True),
        (code("x", data(image_png="A" * 300)), True),
        (code("x", data(text_html="<i>" * 100)), False),
        (code("x", data(text_html="<i>" * 66)), True),
    ],
    ids=[
        "fits",
        "code",
        "text",
        "fit",
        "outputs",
        "cut code",
        "cut output",
        "other form",
        "picture",
        "read",
        "not read",
    ],
)
def test_it_is_said_whether_all_of_it_is_searched(monkeypatch, node, is_whole):
    monkeypatch.setattr(search_module, "PART_CHARACTERS", 50)
    monkeypatch.setattr(search_module, "_READ_CHARACTERS", 200)
    found = searched(node, markdown("after"))
    assert found.is_whole == is_whole
    assert [part.text for part in found.parts][-1] == "after"
    assert max(len(part.text) for part in found.parts) <= 50
    assert not searched(node, is_whole=False).is_whole


def test_all_texts_together_have_an_end(monkeypatch):
    monkeypatch.setattr(search_module, "ALL_CHARACTERS", 25)
    found = searched(markdown("a" * 10), code("b" * 10, stream("c" * 10)), markdown("d"))
    assert [part.text for part in found.parts] == ["a" * 10, "b" * 10, "c" * 5]
    assert not found.is_whole
    assert searched(markdown("a" * 10), markdown("b" * 15)).is_whole
