"""The report: the notebook without its code, and without what its author hides; what is hidden is not in the file."""

import json
import re
import time

import pytest
from rendered import code, data, document, markdown, stream

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering import budget, outputs, search_texts
from airflow_nbjobs.ui.rendering.document import build_document
from airflow_nbjobs.ui.rendering.shrink import CUT_MARK
from airflow_nbjobs.ui.rendering.worker import _render

HOSTILE = [
    None,
    7,
    True,
    [],
    {},
    ["a", 3, None, ["b"]],
    {"text/plain": 1},
    float("inf"),
    "half \ud800",
    "\u202e\0</script><script>",
    "\x1b[" * 999,
]
ERROR = {"output_type": "error", "ename": "ValueError", "evalue": "it broke", "traceback": ["ValueError: it broke"]}


def raw(source="front: matter", **metadata):
    return {"cell_type": "raw", "metadata": metadata, "source": source}


def body_of(html):
    return html.partition("<main>")[2]


def test_a_report_has_texts_and_outputs_and_no_code():
    made = document(
        markdown("# A title"), code("secret_code = 1", stream("printed")), code("nothing_to_see()"), markdown("the end")
    )
    report = body_of(made.report)
    for shown in ("A title", "printed", "the end"):
        assert shown in report
    for hidden in ("secret_code", "nothing_to_see", "nb-source", "nb-count"):
        assert hidden not in made.report.partition("</style>")[2]
    assert "secret_code" in re.sub("<[^>]*>", "", made.html)
    assert made.in_report == ("cell-1", "cell-2", "cell-4")


@pytest.mark.parametrize("tag", ["hide-output", "hide_output", "remove-output", "remove_output", "REMOVE-OUTPUT"])
def test_outputs_that_a_tag_hides_are_in_the_notebook_and_not_in_the_report(tag):
    made = document(code("1", stream("hidden_words"), tags=[tag]), code("2", stream("shown_words")))
    assert "hidden_words" in made.html
    assert "hidden_words" not in made.report
    assert "shown_words" in made.report
    assert made.in_report == ("cell-2",)


@pytest.mark.parametrize("tag", ["hide-cell", "hide_cell", "remove-cell", "remove_cell"])
def test_a_cell_that_a_tag_hides_is_not_in_the_report(tag):
    text = markdown("hidden_words") | {"metadata": {"tags": [tag]}}
    made = document(code("1", stream("hidden_words"), tags=[tag]), text, raw("hidden_words", tags=[tag]))
    assert "hidden_words" not in made.report
    assert made.in_report == ()


@pytest.mark.parametrize("tag", ["hide-input", "hide_input", "remove-input", "remove_input"])
def test_a_hidden_input_is_code_and_a_texts_source_is_the_text(tag):
    text = markdown("hidden_words") | {"metadata": {"tags": [tag]}}
    made = document(code("1", stream("shown_words"), tags=[tag]), text)
    assert "shown_words" in made.report
    assert "hidden_words" not in made.report


def test_what_jupyter_folds_is_hidden():
    folded = {"outputs_hidden": True, "source_hidden": True}
    made = document(
        code("1", stream("hidden_words"), jupyter=folded),
        code("2", stream("shown_words"), jupyter={"source_hidden": True, "outputs_hidden": False}),
        markdown("hidden_words") | {"metadata": {"jupyter": folded}},
    )
    assert "hidden_words" not in made.report
    assert "shown_words" in made.report


@pytest.mark.parametrize(
    ("tags", "hidden"),
    [
        (["remove-stdout"], {"out_words", "unnamed_words"}),
        (["REMOVE_STDERR"], {"err_words"}),
        (["remove-input", "remove_stdout", "remove-stderr"], {"out_words", "unnamed_words", "err_words"}),
    ],
)
def test_a_stream_that_a_tag_hides_is_not_in_the_report(tags, hidden):
    unnamed = {"output_type": "stream", "text": "unnamed_words"}
    outputs = [stream("out_words"), unnamed, stream("err_words", "stderr"), data(text_plain="result_words"), ERROR]
    made = document(code("1", *outputs, tags=tags), code("2", stream("out_words"), tags=["remove-stdout"]))
    words = {"out_words", "unnamed_words", "err_words", "result_words", "it broke"}
    assert {each for each in words if each in made.report} == words - hidden
    assert all(each in made.html for each in words)
    assert made.in_report == ("cell-1",)
    searched = " ".join(part.text for part in made.texts.parts if part.in_report and part.anchor == "cell-1")
    assert {each for each in words if each in searched} == words - hidden


@pytest.mark.parametrize("metadata", [{"jupyter": 7}, {"jupyter": {"outputs_hidden": "yes"}}, {"jupyter": None}])
def test_metadata_of_another_shape_hide_nothing(metadata):
    assert "shown_words" in document(code("1", stream("shown_words"), **metadata)).report


@pytest.mark.parametrize("tags", [["remove-cell"], ["hide-output"], []])
def test_an_error_stays_visible_and_its_cell_is_named(tags):
    made = document(code("fails()", stream("before"), ERROR, tags=tags), code("never", count=None))
    report = body_of(made.report)
    assert "it broke" in report
    assert ("before" in report) is (not tags)
    assert "failed here" in report
    assert "cell 1" in report
    assert "fails()" not in report
    assert made.in_report == ("cell-1",)


def test_a_cell_that_a_dead_kernel_left_is_named_without_an_output():
    cells = [code("a"), code("b"), code("never", count=None)]
    text = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})
    made = build_document(parse_notebook(text, source="n"), title="job", has_failed=True)
    assert "last cell that ran" in made.report


def test_the_summary_says_where_things_are_and_holds_no_document():
    slow = [code(f"step_{number}", papermill={"duration": seconds}) for number, seconds in enumerate((1, 30, 2.5), 1)]
    summary = document(markdown("# T"), *slow, code("untimed")).summary()
    assert [entry["anchor"] for entry in summary["slowest"]] == ["cell-3", "cell-4", "cell-2"]
    assert summary["slowest"][0]["text"] == "Cell 3  step_2"
    assert not {"html", "report", "texts"} & summary.keys()
    json.dumps(summary)


def parts(made):
    return [(part.anchor, part.kind, part.text, part.in_report) for part in made.texts.parts]


def test_texts_to_search_are_the_cells_sources_and_what_a_reader_sees_of_outputs():
    table = data(text_plain="  a\n0 7", text_html="<table><td>7</td></table>")
    made = document(
        markdown("# Words"),
        code("x = 1", stream("\x1b[31mred\x1b[0m\n10%\r100%\n"), table),
        code(
            "y",
            data(text_html="<style>.q{}</style><p>only&nbsp;here <b>bold</b></p><script>no()</script>"),
            tags=["hide-output"],
        ),
    )
    assert parts(made) == [
        ("cell-1", "text", "# Words", True),
        ("cell-2", "code", "x = 1", False),
        ("cell-2", "output", "red\n100%\n\n  a\n0 7", True),
        ("cell-3", "code", "y", False),
        ("cell-3", "output", "only\xa0here bold", False),
    ]
    assert made.texts.is_whole


def test_of_hidden_outputs_the_error_is_searched_in_the_report():
    made = document(code("f()", stream("before"), ERROR, tags=["remove-cell"]))
    assert ("cell-1", "output", "ValueError: it broke", True) in parts(made)
    assert ("cell-1", "output", "before", False) in parts(made)


def test_texts_are_bounded_and_say_so(monkeypatch):
    monkeypatch.setattr(search_texts, "PART_CHARACTERS", 10)
    monkeypatch.setattr(search_texts, "ALL_CHARACTERS", 25)
    made = document(code("0123456789abc", stream("x" * 8), stream("yyyy")), code("z" * 9), code("left out"))
    assert [text for _, _, text, _ in parts(made)] == ["0123456789", "xxxxxxxx\ny", "zzzzz"]
    assert not made.texts.is_whole


def test_of_a_long_progress_bar_the_end_is_found():
    states = "".join(f"{number}%|{'#' * 90}|\r" for number in range(3_000))
    made = document(code("train()", stream(f"{states}done{' ' * 99}\nafter it")))
    (output,) = (text for _, kind, text, _ in parts(made) if kind == "output")
    assert output.startswith("done")
    assert output.endswith("\nafter it")
    assert made.texts.is_whole


CUT = f"{CUT_MARK}9000000\nhead\n…\ntail"


@pytest.mark.parametrize(
    "cells",
    [
        [code("x", data(text_html=f"<p>{'<i></i>' * 30_000}needle</p>"))],
        [code("x", data(text_html="<p>a</p>", text_plain="\x1b[31m" * 50_000))],
        [code("x", data(text_html=CUT))],
        [code("x", stream(CUT), stream("short", "stderr")), code("y", stream("short"))],
        [code(CUT)],
        [code(f"x{number}") for number in range(2_001)],
    ],
    ids=["markup", "colours", "html", "printed", "source", "cells"],
)
def test_what_is_not_searched_is_said_wherever_it_was_left_out(cells):
    assert not document(*cells).texts.is_whole


def test_what_is_in_both_pages_is_counted_once():
    """Of a cell with hidden outputs, the others are rendered for the report alone."""
    script = data(text_html="<div id=a></div><script>draw()</script>")
    large = data(text_html="<p>" * 20_000)
    made = document(code("1", script, large, stream("hidden", "stderr"), tags=["remove-stderr"]))
    assert made.scripted == 1
    assert [text for text in made.notices if "large" in text] == [
        "1 large output(s) are shown in part or not at all; the .ipynb has them."
    ]


def test_what_is_in_both_pages_is_rendered_once(monkeypatch):
    """A second time it would take what other outputs may need of the page, and fail a second time."""
    monkeypatch.setattr(budget, "_ALL_HTML_CHARACTERS", 6_000)
    first = code("1", data(text_html=f"<p>{'a' * 4_000}</p>"), stream("hidden", "stderr"), tags=["remove-stderr"])
    made = document(first, code("2", data(text_html="<p>the second</p>" + "<!-- -->" * 200)))
    assert made.notices == ()
    assert made.html.count("<p>the second</p>") == made.report.count("<p>the second</p>") == 1
    assert made.report.count("a" * 4_000) == 1

    def fail(*_):
        raise ValueError("of a library")

    monkeypatch.setattr(outputs, "_data_html", fail)
    assert document(first).notices == ("1 piece(s) could not be rendered; each says why, in its place.",)


def test_a_text_that_hidden_outputs_interrupt_is_one_text_in_the_report():
    made = document(code("1", stream("one "), stream("hidden", "stderr"), stream("line"), tags=["remove-stderr"]))
    assert "one line" in made.report
    assert "one line" not in made.html


@pytest.mark.parametrize(
    "text", ["<" * 200_000, "<a" * 100_000, "<style>" * 30_000, "\r" * 200_000, "<style>" + "x" * 199_000]
)
def test_texts_take_a_time_that_grows_with_the_output_and_no_faster(text):
    started = time.process_time()
    search_texts._text_of_html(text)
    search_texts._text_of_output(stream(text))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:30])
def test_whatever_an_output_is_the_report_and_the_texts_are_made(tmp_path, value):
    cells = [
        code(
            "1",
            {"output_type": "stream", "text": value},
            {"output_type": "display_data", "data": {"text/html": value}},
            tags=["hide-output"],
        )
    ]
    path = tmp_path / "source"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    request = {"source": str(path), "folder": str(tmp_path), "title": "job", "member": None, "has_failed": False}
    assert _render(request) in (0, 11)
