"""What a reader sees of a notebook: the author's cells as they knew them, what took how long, and what failed."""

import base64
import json
import re

import pytest
from rendered import code, data, document, markdown, stream

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering.document import build_document
from airflow_nbjobs.ui.rendering.shrink import TooLargeError, cut_length, shrink

PNG = base64.b64encode(b"\x89PNG rest").decode()


FAILED = code(
    "1 / 0",
    {
        "output_type": "error",
        "ename": "ZeroDivisionError",
        "evalue": "no",
        "traceback": ["\x1b[31mZeroDivisionError\x1b[0m: no"],
    },
    papermill={"exception": True, "duration": 2.5},
)


def test_markdown_code_text_tables_and_images_are_there():
    html = document(
        markdown("# Title\n\n| a |\n|---|\n| 1 |"),
        code("import os", stream("done\n"), data(text_html="<table><tr><td>7</td></tr></table>"), data(image_png=PNG)),
    ).html
    assert "<h1" in html
    assert "Title" in html
    assert '<span class="kn">import</span>' in html
    assert "<pre>done</pre>" in html
    assert "<td>7</td>" in html
    assert f'src="data:image/png;base64,{PNG}"' in html


def test_the_failing_cell_is_marked_and_named_by_its_place_in_the_authors_file():
    made = document(
        code("a = 1", tags=["parameters"]),
        code("a = 2", tags=["injected-parameters"]),
        code("# An error", tags=["papermill-error-cell-tag"]),
        FAILED,
    )
    assert made.failed == {
        "anchor": "cell-2",
        "index": 2,
        "ename": "ZeroDivisionError",
        "evalue": "no",
        "traceback": "ZeroDivisionError: no",
    }
    assert made.html.count("nb-failed") - made.html.split("<main>")[0].count("nb-failed") == 1
    assert 'id="cell-2"' in made.html
    assert "# An error" not in made.html
    assert {"anchor": "cell-2", "is_failed": True}.items() <= made.outline[-1].items()


def test_of_a_notebook_that_runs_on_no_cell_has_failed():
    """A cell tagged ``raises-exception`` shows an error; the cells after it run."""
    shown = {"output_type": "error", "ename": "ValueError", "evalue": "expected", "traceback": []}
    started = {"start_time": "2026-11-22T03:00:10", "status": "completed"}
    made = document(
        code("check()", shown, tags=["raises-exception"], papermill=started),
        code("train()", papermill=started | {"status": "running"}),
    )
    assert made.failed is None


def test_times_are_shown_against_the_longest_cell():
    html = document(code(papermill={"duration": 1.0}), code(papermill={"duration": 4.0}), code()).html
    assert re.findall(r"width:([\d.]+)%", html) == ["25.0", "100.0"]
    assert "4.0 s" in html


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "&lt;10 ms"), (0.0099, "&lt;10 ms"), (0.01, "10 ms"), (0.5, "500 ms"), (1.0, "1.0 s"), (61.0, "1 min 1 s")],
)
def test_short_times_are_read_at_their_own_scale(seconds, text):
    assert f">{text}<" in re.sub(r"\s*([<>])\s*", r"\1", document(code(papermill={"duration": seconds})).html)


def test_the_outline_is_the_headings_or_without_any_the_cells():
    made = document(markdown("# A\n```\n# no heading\n```\n## B `c`"), code())
    assert [(each["level"], each["text"]) for each in made.outline] == [(1, "A"), (2, "B c")]
    assert [each["text"] for each in document(code("load()")).outline] == ["Cell 1  load()"]


def test_an_outline_of_very_many_entries_is_cut_and_has_the_failed_cell(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.outline._OUTLINE_ENTRIES", 3)
    made = document(*(code(f"load({number})") for number in range(5)), FAILED)
    assert [each["is_failed"] for each in made.outline] == [False] * 3 + [True]
    headings = "\n".join(f"# {number}" for number in range(5))
    assert [each["text"] for each in document(markdown(headings), markdown("# 5"), code()).outline] == ["0", "1", "2"]


def test_long_texts_are_folded_and_longer_ones_cut_with_a_notice():
    html = document(code("x", stream("".join(f"line {number}\n" for number in range(100))))).html
    assert "<summary>70 more lines</summary>" in html
    assert "line 99" in html
    made = document(code("x", stream(("y" * 99 + "\n") * 20_000)))
    assert len(made.html) < 1_000_000
    assert made.notices


def test_what_a_carriage_return_overwrote_is_gone():
    """A progress bar is its last state, not a thousand lines."""
    html = document(code("x", stream("".join(f"\r{percent}%" for percent in range(101)) + "\ndone\n"))).html
    assert "<pre>100%\ndone</pre>" in html


def test_pieces_of_one_stream_are_one_text():
    html = document(code("x", stream("a"), stream("b\n"), stream("warn", "stderr"))).html
    assert "<pre>ab</pre>" in html
    assert 'nb-stderr"><pre>warn</pre>' in html


def test_the_cell_that_records_outputs_is_not_shown():
    recording = code("recording", airflow_nbjobs="outputs")
    typed = code("typed", airflow_nbjobs="typed-parameters")
    html = document(code("mine"), code("strings", tags=["injected-parameters"]), typed, recording).html
    assert "recording" not in html
    assert "strings" not in html
    assert "parameters of this run" in html


def test_the_parameters_of_a_job_that_studio_started_are_those_that_papermill_injected():
    """Its notebook has no cell of ours, which would repeat them with their types."""
    made = document(code("day = 1", tags=["parameters"]), code("day = 2", tags=["injected-parameters"]), code("day"))
    assert "Parameters of this run" in made.html
    assert [cell in made.html for cell in ("Cell 1", "Cell 2", "Cell 3")] == [True, True, False]
    assert made.parameters == [{"name": "day", "type": "int", "text": "2"}]


def test_what_needs_scripts_is_shown_in_its_text_form_with_a_word_about_it():
    html = document(
        code(
            "x",
            {"output_type": "display_data", "data": {"application/vnd.plotly.v1+json": {}, "text/plain": "Figure()"}},
        )
    ).html
    assert "Figure()" in html
    assert "An interactive figure of Plotly" in html


def test_an_image_that_is_too_large_and_what_cannot_be_read_are_said():
    html = document(code("x", data(image_png="A" * 9_000_000))).html
    assert "An image of 8.6 MB is not shown" in html
    assert len(html) < 100_000


def test_of_many_images_those_are_shown_that_a_page_has_room_for():
    """Each alone is small enough."""
    picture = "A" * 7_000_000
    made = document(*(code(f"show({n})", data(image_png=picture)) for n in range(4)), code("x", data(image_png=PNG)))
    assert made.html.count(picture) == 3
    assert made.html.count("An image of 6.7 MB is not shown; it is in the .ipynb.") == 1
    assert f'src="data:image/png;base64,{PNG}"' in made.html  # a small one still has room
    assert made.notices == ("1 large output(s) are shown in part or not at all; the .ipynb has them.",)


def test_a_large_file_loses_its_long_texts_and_nothing_else(tmp_path):
    path = tmp_path / "n.ipynb"
    long = "B" * 20_000_000
    cells = [code('first \\" quoted', data(image_png="A" * 7_000_000)), code("x", data(image_png=long)), code("last")]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells}))
    shrunk = shrink(path)
    found = json.loads(shrunk.text)["cells"]
    assert shrunk.cut_bytes == 20_000_000
    assert len(found[0]["outputs"][0]["data"]["image/png"]) == 7_000_000
    assert cut_length(found[1]["outputs"][0]["data"]["image/png"]) == 20_000_000
    assert [found[0]["source"], found[2]["source"]] == ['first \\" quoted', "last"]


def test_a_small_file_stays_as_it_is(tmp_path):
    path = tmp_path / "n.ipynb"
    path.write_text("{}")
    assert shrink(path).text == b"{}"


def test_too_many_short_texts_are_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink.WHOLE_BYTES", 10)
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink._REST_BYTES", 1000)
    path = tmp_path / "n.ipynb"
    path.write_text(json.dumps(["short"] * 1000))
    with pytest.raises(TooLargeError, match="short lines"):
        shrink(path)


def test_a_text_that_looks_like_our_own_mark_is_a_text():
    assert cut_length("airflow-nbjobs:cut:abc") is None
    assert cut_length("x") is None


# -- outputs that have scripts -------------------------------------------------------------------------------------------

PLOT = "<div id='plot'></div><script>document.getElementById('plot').textContent = 'drawn'</script>"


def both(*cells):
    raw = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": list(cells)}
    notebook = parse_notebook(json.dumps(raw), source="n")
    return build_document(notebook, title="job"), build_document(notebook, title="job", with_scripts=True)


def test_scripts_are_counted_and_only_in_the_document_for_which_they_were_asked():
    plain, scripted = both(
        code("fig", data(text_html=PLOT, text_plain="Figure")),
        code("js", data(application_javascript="window.ready = true")),
        code("table", data(text_html="<table><tr><td>1</td></tr></table>")),
    )
    assert plain.scripted == scripted.scripted == 2
    assert "<script" not in plain.html
    assert PLOT in scripted.html
    assert "window.ready = true" in scripted.html


def test_a_notebook_without_scripts_has_none_to_offer():
    plain, scripted = both(code("x", stream("<script>1</script>")), markdown(PLOT))
    assert plain.scripted == 0
    assert "<script" not in scripted.html


def test_of_scripts_that_are_too_long_the_form_without_is_shown():
    _, scripted = both(code("fig", data(text_html=f"<script>{'x' * 17 * 1024**2}</script>", text_plain="Figure")))
    assert "Figure" in scripted.html
    assert "<script" not in scripted.html
