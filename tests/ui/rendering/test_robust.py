"""One piece of a notebook that cannot be rendered is a note and its text; all others are shown, and nobody is deceived by what is unseen."""

import faulthandler
import json
import os
import re
import signal
import time

import pytest
from fakes import archive
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from airflow_nbjobs.core.notebook.executed import parse_executed
from airflow_nbjobs.ui.notebook.problems import Problem
from airflow_nbjobs.ui.pages import VisibleJSONResponse, page
from airflow_nbjobs.ui.rendering import worker
from airflow_nbjobs.ui.rendering.document import build_document
from airflow_nbjobs.ui.rendering.guard import Guard
from airflow_nbjobs.ui.rendering.shrink import shrink


def code(*outputs, source="x", **cell):
    return {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": list(outputs),
    } | cell


def markdown(source, **cell):
    return {"cell_type": "markdown", "metadata": {}, "source": source} | cell


def stream(text):
    return {"output_type": "stream", "name": "stdout", "text": text}


def display(data, **output):
    return {"output_type": "display_data", "metadata": {}, "data": data} | output


def error(*traceback, ename="KeyError", evalue="x"):
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": list(traceback)}


def raw(*cells, **top):
    return json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": list(cells)} | top)


def built(*cells, **options):
    notebook, _ = parse_executed(raw(*cells), source="n")
    return build_document(notebook, title="job", **options)


def body_of(made):
    return made.html.partition("<main>")[2]


BEFORE, AFTER = code(stream("printed before"), source="first_cell"), code(stream("printed after"), source="last_cell")
PIECES = {
    "a colour that is none": code(stream("seen\x1b[38mred\x1b[1;48mx\x1b[38;2;1mx\x1b[;;;m\x1b[99999999999m\x1b[")),
    "controls": code(stream("seen\0\x08\x1b]8;;http://x\x07\ud800\x9b")),
    "headings": markdown("# " + " " * 490 + "seen\n" + ("#" + " " * 480 + "x \n") * 100),
    "open brackets": markdown("seen " + "[" * 5000 + "![](" * 500),
    "stars": markdown("seen " + "**a_ " * 3000),
    "quotes": markdown("> " * 3000 + "seen"),
    "lists": markdown("\n".join(" " * 2 * n + "- seen" for n in range(200))),
    "formulas": markdown("seen " + "\\begin{a}" * 1000),
    "no attachment": markdown("seen ![x](attachment:gone.png)"),
    "odd attachment": markdown("seen ![x](attachment:a.png)", attachments={"a.png": {}, "b": 3, "c": {"image/png": 4}}),
    "elements": code(display({"text/html": "<div>" * 1500 + "seen"})),
    "tables": code(display({"text/html": "<table><tr><td>" * 1500 + "seen"})),
    "a number as text": code(display({"text/plain": 3}), stream("seen")),
    "a list in a list": code(display({"text/plain": [["a"], 2]}), stream("seen")),
    "an empty image": code(display({"image/png": "", "text/plain": "seen"})),
    "an image that is no base64": code(display({"image/png": "<x>", "text/plain": "seen"})),
    "an object as image": code(display({"image/png": {"a": 1}, "text/plain": "seen"})),
    "a broken SVG": code(display({"image/svg+xml": "<svg", "text/plain": "seen"}), stream("seen")),
    "JSON alone": code(display({"application/json": {"a": "seen"}})),
    "JSON that is deep": code(display({"application/json": json.loads("[" * 400 + "]" * 400)}), stream("seen")),
    "no data": code({"output_type": "display_data"}, stream("seen")),
    "odd data": code(display([1]), display(None), display({"": None}), stream("seen")),
    "odd metadata": code(display({"text/plain": "seen"}, metadata=[1]), metadata=[1]),
    "an unknown type": code({"output_type": "future", "text": "seen"}),
    "of nbformat 3": code({"output_type": "pyout", "text": ["seen"], "prompt_number": 1}),
    "no type": code({"data": {"text/plain": "seen"}}),
    "an output that is none": code(3, None, "x", [1], stream("seen")),
    "an odd error": code(error(1, None, ename=None, evalue=["seen"]), stream("seen")),
    "odd lines": code({"output_type": "stream", "text": ["seen", 3, None]}),
    "nothing": {"cell_type": "code", "source": "seen"},
    "odd source": code(source=["seen", 4]),
    "a long line of code": code(source="seen" + "%" * 20_000),
    "an unknown cell": {"cell_type": "future", "source": "seen", "outputs": []},
}


@pytest.mark.parametrize("name", PIECES)
def test_whatever_a_cell_holds_it_and_its_neighbours_are_shown(name):
    started = time.process_time()
    shown = body_of(built(BEFORE, PIECES[name], AFTER))
    assert time.process_time() - started < 10
    for text in ("first_cell", "printed before", "last_cell", "printed after", "seen"):
        assert text in shown
    shown.encode()


def test_a_piece_that_takes_too_long_is_text_and_says_so(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.guard._PIECE_SECONDS", 0.2)
    made = built(BEFORE, markdown("seen\n\n" + "\\begin{a}" * 9000), AFTER)
    assert made.unrendered == ("Cell 2: rendering it took too long",)
    assert "1 piece(s) could not be rendered" in made.notices[-1]
    assert "cannot be shown as it should: rendering it took too long" in made.html
    assert "seen" in body_of(made)
    assert "printed after" in made.html


def test_a_piece_whose_text_cannot_be_had_either_is_named_and_its_neighbours_are_shown():
    def lost():
        raise ValueError("no text")

    guard = Guard(1)
    shown = guard.piece("Cell 3, output 1", lost, lost)
    assert "cannot be shown as it should" in shown
    assert "(ValueError)" in shown
    assert guard.piece("next", lambda: Markup("fine"), str) == "fine"


@pytest.mark.parametrize("fault", [IndexError("pop from empty list"), MemoryError(), RecursionError()])
def test_a_piece_that_fails_says_why_and_where(fault):
    def render():
        raise fault

    guard = Guard(1)
    shown = guard.piece("Cell 3, output 1", render, lambda: "its <text>")
    assert "cannot be shown as it should" in shown
    assert "its &lt;text&gt;" in shown
    assert guard.failures[0].startswith("Cell 3, output 1: ")


def test_a_piece_within_a_piece_has_a_share_of_its_time(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.guard._PIECE_SECONDS", 0.1)
    guard = Guard(5)

    def endless():
        while True:
            pass

    def outer():
        return guard.piece("inner", lambda: Markup("x"), str) + guard.piece("endless", endless, lambda: "its text")

    assert "its text" in guard.piece("outer", outer, str)
    assert guard.failures == ["endless: rendering it took too long"]
    assert guard.piece("next", lambda: Markup("fine"), str) == "fine"


def test_when_time_is_used_up_the_rest_is_text_without_a_note_each():
    failing = code(error("Cell In[3], line 1", "----> 1 boom()", "KeyError: 'x'"), source="boom()")
    made = built(AFTER, markdown("# Title"), failing, seconds=0)
    shown = body_of(made)
    assert "# Title" in shown
    assert "printed after" in shown
    assert "----&gt; 1 boom()" in shown
    assert shown.count("nb-notice") == 1
    assert made.failed["anchor"] == "cell-3"


# -- the rendering process ------------------------------------------------------------------------------------------------


def crash():
    faulthandler.disable()  # pytest's: nothing of this belongs on the terminal
    os.kill(os.getpid(), signal.SIGSEGV)


def out_of_memory():
    raise MemoryError


def broken():
    raise KeyError("no such lexer")


def endless():
    os.kill(os.getpid(), signal.SIGXCPU)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (crash, "rendering it failed: signal 11"),
        (out_of_memory, "rendering it took too much memory"),
        (broken, "no such lexer"),
        (endless, "rendering it took too long"),
    ],
)
def test_a_rendering_that_dies_leaves_the_text_and_the_reason(tmp_path, monkeypatch, fault, reason):
    """The second child renders the text alone; only what kills the first one is made up."""

    def build(notebook, *, seconds, **options):
        if seconds:
            fault()
        return build_document(notebook, seconds=seconds, **options)

    monkeypatch.setattr(worker, "build_document", build)
    monkeypatch.setattr(worker, "MEMORY_BYTES", -1)  # the tests' own process is larger
    source = tmp_path / "source"
    source.write_text(raw(BEFORE, AFTER))
    answer = worker._rendered_by_a_child(
        {"source": str(source), "member": None, "folder": str(tmp_path), "title": "job"} | {"has_failed": False}
    )
    assert answer["status"] == "ok"
    document = (tmp_path / "document.html").read_text()
    assert "printed after" in document
    assert reason in document
    (said,) = json.loads((tmp_path / "summary.json").read_text())["unrendered"]
    assert reason in said


def test_an_output_that_is_nested_a_thousand_deep_costs_nobody_the_notebook(tmp_path, monkeypatch):
    """Python itself would stop to read there."""
    monkeypatch.setattr(worker, "MEMORY_BYTES", -1)
    source = tmp_path / "source"
    deep = raw(BEFORE, code(display({"application/json": "DEEP"})), AFTER)
    source.write_text(deep.replace('"DEEP"', "[" * 1200 + "]" * 1200))
    answer = worker._rendered_by_a_child(
        {"source": str(source), "member": None, "folder": str(tmp_path), "title": "job"} | {"has_failed": False}
    )
    assert answer["status"] == "ok"
    assert "printed after" in (tmp_path / "document.html").read_text()


# -- the failing cell -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [10, 1_700, 2_999])
def test_of_thousands_of_cells_the_failing_one_is_there(place):
    cells = [code(source=f"step_{number} = 1", execution_count=None) for number in range(1, 3_001)]
    cells[place - 1] = code(error("KeyError: 'x'"), source="boom()")
    made = built(*cells, seconds=0)
    assert f'id="cell-{place}"' in made.html
    assert made.failed["anchor"] == f"cell-{place}"
    assert [entry["anchor"] for entry in made.outline if entry["is_failed"]] == [f"cell-{place}"]
    for number in (1, 1_400, 2_998):
        assert f"step_{number} = 1" in made.html
    assert 2_000 <= made.html.count('<section class="nb-cell') <= 2_100
    assert "cells are shown; the .ipynb has them all" in made.html
    assert "Cells between these are not shown here" in made.html


def test_the_failing_cell_is_made_before_room_runs_out(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.budget._ALL_TEXT_CHARACTERS", 50_000)
    long = stream(("y" * 99 + "\n") * 100)
    failing = code(stream("its own words\n" * 30), error("frame\n" * 30 + "KeyError: 'x'"), source="boom()")
    made = built(*[code(long)] * 10, failing)
    assert made.html.count("its own words") == 30
    assert "KeyError: &#39;x&#39;" in made.html
    assert "are not shown; they are in the .ipynb" in made.html


def test_an_exception_of_megabytes_is_three_lines_and_opens(tmp_path, monkeypatch):
    """Of a large file the long texts are cut out before it is read, those of the failing cell too."""
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink.WHOLE_BYTES", 100_000)
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink._KEPT_BYTES", 100_000)
    text = "\n".join(f'row {number} é \\ "' + "z" * 5_000 for number in range(400))
    frames = [
        "-" * 75,
        "ValueError            Traceback (most recent call last)",
        "Cell In[2], line 1\n----> 1 check()\n",
    ]
    path = tmp_path / "n.ipynb"
    failing = error(*frames, f"ValueError: {text}", ename="ValueError", evalue=text)
    path.write_text(raw(code(display({"image/png": "A" * 90_000})), code(stream(text), failing, source="check()")))
    shrunk = shrink(path)
    assert len(shrunk.text) < 200_000
    made = build_document(parse_executed(shrunk.text, source="n")[0], title="job")
    assert made.failed["evalue"].startswith("row 0 é")
    assert len(made.failed["evalue"].splitlines()) <= 4
    assert "check()" in made.failed["traceback"]
    assert made.html.count("MB are left out here; they are in the .ipynb") >= 2
    assert "airflow-nbjobs:cut" not in made.html
    assert "<summary>The whole text</summary>" in body_of(made)


@pytest.mark.parametrize("padding", range(12))
def test_a_text_is_never_cut_within_an_escape(tmp_path, monkeypatch, padding):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink.WHOLE_BYTES", 100)
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink._KEPT_BYTES", 0)
    path = tmp_path / "n.ipynb"
    for unit in ("\\", '"', '\\"', "\u20ac", "\n\\", "\ud83d\ude00", "\\u12"):
        path.write_text(json.dumps(["a" * padding + unit * 70_000]))
        (text,) = json.loads(shrink(path).text)
        assert "MB are left out here" in text


def test_library_frames_and_long_texts_open_without_a_script():
    frames = [
        f"File /x/lib/python3.11/site-packages/pandas/f.py:{n}, in f{n}()\n--> {n} deep_{n}()\n" for n in range(60)
    ]
    own = "Cell In[2], line 1\n----> 1 \x1b[31mmine\x1b[0m()\n"
    shown = body_of(built(code(error(own, *frames, "KeyError: " + "\n".join(f"line {n}" for n in range(400))))))
    assert "<summary>59 frames of pandas</summary>" in shown
    assert "<summary>397 more lines</summary>" in shown
    seen = "".join(part.partition("</details>")[2] for part in f"</details>{shown}".split("<details>"))
    assert '<span class="ansi-red-fg">mine</span>' in seen
    assert "deep_59" in seen
    assert "line 2" in seen
    assert "deep_58" not in seen
    assert "line 3\n" not in seen


@pytest.mark.parametrize(("count", "titles"), [(4, []), (5, ["4 frames of pandas"])])
def test_neither_a_few_frames_of_a_library_nor_any_number_of_the_authors_need_a_click(count, titles):
    own = [f"Cell In[2], line {n}, in step_{n}()\n----> {n} step_{n + 1}()\n" for n in range(1, 8)]
    library = [
        f"File /x/lib/python3.11/site-packages/pandas/f.py:{n}, in f{n}()\n--> {n} deep_{n}()\n" for n in range(count)
    ]
    shown = body_of(built(code(error(*own, *library, "KeyError: 'x'"))))
    assert re.findall(r"<summary>(.*?)</summary>", shown) == titles


# -- what is unseen -------------------------------------------------------------------------------------------------------

TROJAN = "if level != 'user\u202e \u2066# admins only\u2069 \u2066':"
HIDDEN = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\ufeff"


@pytest.mark.parametrize(
    "form", ["as it is", "&#8238;", "&#x202e;", "&#X202E", "&#0008238;", "&rlm;", "&ZeroWidthSpace;"]
)
def test_directions_are_shown_in_every_part_of_the_document(form):
    deceit = TROJAN if form == "as it is" else f"a{form} b"
    made = built(
        markdown(f"# {deceit}\n\n{deceit}\n\n`{deceit}`\n\n<b title='{deceit}'>{deceit}</b>"),
        {"cell_type": "raw", "metadata": {}, "source": TROJAN},
        code(
            stream(TROJAN),
            display({"text/html": f"<p title='<script {deceit}'>{deceit}</p><bdo dir=rtl>txet</bdo>"}),
            display({"text/plain": TROJAN, "image/png": "iVBORw0K"}),
            display({"text/markdown": deceit}),
            display({"text/latex": TROJAN}),
            display({"application/json": {TROJAN: TROJAN}}),
            error(TROJAN, ename=TROJAN, evalue=TROJAN),
            source=TROJAN,
            metadata={"tags": [TROJAN[10:30]]},
        ),
    )
    text = json.dumps(made.summary(), ensure_ascii=False) + made.html
    assert not set(text) & set(HIDDEN)
    assert "⟦U+202E⟧" in text
    for hidden in ("&#8238", "&#0008238", "&#x202e", "&rlm", "&zerowidthspace", "<bdo"):
        assert hidden not in body_of(made).lower()


def test_what_stands_for_markup_is_left_as_it_is():
    shown = Guard(1).piece("x", lambda: "&#60;script&#x3e; &lt;b&gt; &amp;#8238; &#38;#8238; &eacute;", str)  # type: ignore[arg-type]
    assert shown == "&#60;script&#x3e; &lt;b&gt; &amp;#8238; &#38;#8238; &eacute;"


def test_scripts_that_were_asked_for_stay_word_for_word():
    script = "<script>x = '\u200b'</script>"
    assert script in built(code(display({"text/html": script})), with_scripts=True).html


def test_operators_of_a_formula_are_no_deceit():
    formula = "<math><mi>f</mi><mo>\u2061</mo><mo>&#x2062;</mo><mi>x\u202e&#x202e;</mi></math>\u2061"
    shown = Guard(1).piece("x", lambda: formula, str)  # type: ignore[arg-type]
    assert shown == "<math><mi>f</mi><mo>\u2061</mo><mo>&#x2062;</mo><mi>x⟦U+202E⟧⟦U+202E⟧</mi></math>⟦U+2061⟧"


def test_our_own_pages_and_answers_show_directions():
    problem = Problem(code="x", title=TROJAN, text=TROJAN, details=(TROJAN,))
    html = page("message.html", script="message.js", problem=problem).body.decode()
    answer = VisibleJSONResponse({"text": TROJAN + "\ud800"}).body.decode()
    assert "⟦U+202E⟧" in html
    assert "⟦U+202E⟧" in answer
    assert not (set(html) | set(answer)) & set(HIDDEN)


# -- whatever there may be ------------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "\x1b[38m",
            "\x1b[",
            "\u202e",
            "<div>",
            "</",
            "&#8238;",
            "[x](",
            "# ",
            "> ",
            "| a |\n|--|\n",
            "$$",
            "```",
            "\0",
        ]
    ),
    st.lists(
        st.sampled_from(["*", "_", "[", "]", "(", "`", "\n", " ", "<b>", "&", "\x1b[1;31m", "$", "\\", "\ud800"]),
        max_size=60,
    ).map("".join),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
MIME_TYPES = st.one_of(
    st.sampled_from(
        ["text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/svg+xml", "application/json"]
    ),
    st.sampled_from(
        ["application/javascript", "application/vnd.plotly.v1+json", "application/vnd.jupyter.widget-view+json"]
    ),
    TEXTS,
)


def shaped(**parts):
    """Some of these parts, each as it should be or as anything; and parts that nobody knows."""
    known = st.fixed_dictionaries({}, optional={name: st.one_of(part, VALUES) for name, part in parts.items()})
    return st.builds(lambda more, some: more | some, st.dictionaries(TEXTS, VALUES, max_size=1), known)


OUTPUTS = shaped(
    output_type=st.sampled_from(["stream", "error", "display_data", "execute_result", "pyout"]),
    name=st.sampled_from(["stdout", "stderr"]),
    text=st.one_of(TEXTS, st.lists(TEXTS, max_size=3)),
    data=st.dictionaries(MIME_TYPES, st.one_of(TEXTS, VALUES), max_size=3),
    metadata=VALUES,
    ename=TEXTS,
    evalue=TEXTS,
    traceback=st.lists(TEXTS, max_size=4),
)
CELLS = shaped(
    cell_type=st.sampled_from(["code", "markdown", "raw"]),
    source=TEXTS,
    metadata=shaped(tags=st.lists(TEXTS, max_size=2), papermill=VALUES, airflow_nbjobs=VALUES),
    outputs=st.lists(st.one_of(OUTPUTS, VALUES), max_size=3),
    attachments=VALUES,
    execution_count=VALUES,
)
NOTEBOOKS = st.lists(st.one_of(CELLS, VALUES), max_size=4)


def is_shown(cells, metadata):
    notebook, _ = parse_executed(raw(BEFORE, *cells, AFTER, metadata=metadata), source="n")
    for with_scripts in (False, True):
        made = build_document(notebook, title="job", with_scripts=with_scripts)
        assert "printed before" in made.html
        assert "printed after" in made.html
        made.html.encode()
        json.dumps(made.summary())
        if not with_scripts:
            assert not set(made.html) & set(HIDDEN)


@given(NOTEBOOKS, VALUES)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_notebook_is_shown(cells, metadata):
    is_shown(cells, metadata)


def test_an_error_with_a_text_beside_it_is_shown():
    """nbformat joins the lines of any output's text but a bundle's."""
    is_shown([{"outputs": [{"output_type": "error", "text": [None, "x"]}]}], {})


@pytest.mark.slow
@given(NOTEBOOKS, VALUES)
@settings(max_examples=3_000, deadline=None, suppress_health_check=list(HealthCheck))
def test_very_many_notebooks_are_shown(cells, metadata):
    is_shown(cells, metadata)


# -- a guard's own limits ----------------------------------------------------------------------------------------------------------


def failing():
    raise ValueError("why " + "x" * 1000)


def test_as_many_failures_are_named_as_a_log_has_room_for_and_all_are_counted():
    guard = Guard(10)
    for number in range(25):
        guard.piece(f"cell {number}", failing, str)
    assert (len(guard.failures), guard.unrendered) == (20, 25)
    assert guard.failures[0].startswith("cell 0: ValueError: why x")
    assert len(guard.failures[0]) == len("cell 0: ") + 300


def test_of_a_text_in_a_pieces_place_the_beginning_is_shown(monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.guard._ALL_TEXT_CHARACTERS", 25_000)
    guard = Guard(0)
    first = guard.piece("a", failing, lambda: "y" * 20_001)
    assert first.count("y") - ".ipynb".count("y") == 20_000
    assert "\n… 1 more characters are in the .ipynb" in first
    assert "more characters" not in Guard(0).piece("a", failing, lambda: "z" * 20_000)
    second = guard.piece("b", failing, lambda: "z" * 6_000)
    assert second.count("z") == 5_000
    assert guard.piece("c", failing, str) == ""
    assert guard.is_out_of_time
    assert (guard.unrendered, guard.failures) == (0, [])


def test_time_that_is_left_is_no_time_that_is_used_up():
    guard = Guard(10)
    assert guard.piece("a", lambda: Markup("fine"), str) == "fine"
    assert not guard.is_out_of_time


@pytest.mark.parametrize(
    ("shown", "seen"),
    [
        ("a\u202eb", "a⟦U+202E⟧b"),
        ("a&#x202e;b", "a⟦U+202E⟧b"),
        ("a&#8238b", "a⟦U+202E⟧b"),
        ("a&rlm;b", "a⟦U+200F⟧b"),
        ("a&amp;rlm;b", "a&amp;rlm;b"),
        ("a&lt;b", "a&lt;b"),
        ("<math><mo>\u2061</mo></math>", "<math><mo>\u2061</mo></math>"),
        ("<math><mo>\u202e</mo></math>", "<math><mo>⟦U+202E⟧</mo></math>"),
    ],
    ids=[
        "character",
        "number",
        "without its end",
        "name",
        "its own text",
        "markup",
        "operator",
        "direction in a formula",
    ],
)
def test_what_is_unseen_is_marked_however_it_is_written(shown, seen):
    assert Guard(10).piece("a", lambda: Markup(shown), str) == seen  # noqa: S704 - the markup is the subject


def test_only_a_piece_with_a_script_stays_word_for_word():
    guard = Guard(10, with_scripts=True)
    for shown in ("<script>'\u202e'</script>", "a\u202eb"):
        found = guard.piece("a", lambda shown=shown: Markup(shown), str)  # noqa: S704 - as above
        assert ("\u202e" in found) == ("<script" in shown)
    assert "\u202e" not in Guard(10).piece("a", lambda: Markup("<script>'\u202e'</script>"), str)


# -- what a rendering process reads and leaves ---------------------------------------------------------------------------------


def asked(folder, body, **request):
    (folder / "source").write_bytes(body)
    given = {
        "source": str(folder / "source"),
        "folder": str(folder),
        "title": "job-1",
        "member": None,
        "has_failed": False,
    }
    return worker._render(given | request)


def one_cell(source="x", **more):
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [code(source=source, **more)]}
    ).encode()


def test_a_rendering_leaves_its_pages_its_texts_and_its_summary(tmp_path):
    assert asked(tmp_path, one_cell("printed_here")) == 0
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        *("document.html", "report.html", "source", "summary.json", "texts.json")
    ]
    assert "printed_here" in (tmp_path / "document.html").read_text()
    assert "<title>job-1" in (tmp_path / "document.html").read_text()
    texts = json.loads((tmp_path / "texts.json").read_text())
    assert texts["parts"][0]["text"] == "printed_here"
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["scripted"], summary["cells"], summary["unrendered"]) == (0, 1, [])
    assert not {"html", "report", "texts"} & set(summary)


def test_a_rendering_as_plain_text_says_why(tmp_path):
    assert asked(tmp_path, one_cell("seen"), plain_because="it " + "x" * 400) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["notices"][0] == f"Only the text of this notebook is shown, as it is: it {'x' * 297}."
    assert summary["unrendered"] == ["the whole notebook: it " + "x" * 400]
    assert "seen" in (tmp_path / "document.html").read_text()


@pytest.mark.parametrize(
    ("body", "request_", "status", "reason"),
    [
        (b"no notebook", {}, 11, "is not a notebook: not JSON"),
        (b"{}", {"member": "n.ipynb"}, 11, "output.tar.gz"),
        (archive({"other": b"x"}), {"member": "n.ipynb"}, 11, "'n.ipynb' is not in the archive"),
    ],
    ids=["no notebook", "no archive", "not in the archive"],
)
def test_what_cannot_be_read_says_why(tmp_path, body, request_, status, reason):
    assert asked(tmp_path, body, **request_) == status
    assert reason in (tmp_path / "reason.txt").read_text()
    assert not (tmp_path / "summary.json").exists()


def test_a_notebook_in_an_archive_is_taken_out_of_it(tmp_path):
    body = one_cell("from_archive")
    assert asked(tmp_path, archive({"n.ipynb": body}), member="n.ipynb") == 0
    assert (tmp_path / "notebook.ipynb").read_bytes() == body
    assert "from_archive" in (tmp_path / "document.html").read_text()


def test_a_notebook_that_is_too_large_is_told_from_one_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_nbjobs.ui.rendering.shrink.LONGEST_BYTES", 10)
    assert asked(tmp_path, one_cell()) == 10
    assert (tmp_path / "reason.txt").read_text().startswith("it has ")


def test_of_a_large_notebook_it_is_said_how_much_is_left_out(tmp_path, monkeypatch):
    for name, value in {"WHOLE_BYTES": 10, "_LONG_BYTES": 10, "_KEPT_BYTES": 0}.items():
        monkeypatch.setattr(f"airflow_nbjobs.ui.rendering.shrink.{name}", value)
    output = {"output_type": "stream", "name": "stdout", "text": "y" * 3 * 1024**2}
    assert asked(tmp_path, one_cell("x", outputs=[output])) == 0
    (notice, *_) = json.loads((tmp_path / "summary.json").read_text())["notices"]
    assert notice == "This notebook has 3 MB; 3 MB of long outputs are left out here. The .ipynb has everything."
