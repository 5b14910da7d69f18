"""Which form of an output is shown, how large, with which words, and what becomes of the room that a page has for it."""

import re

import pytest
from rendered import data, stream

from airflow_nbjobs.ui.rendering import outputs as outputs_module
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.outputs import outputs_html

PNG = "iVBORw0KGgo="
TABLE = "<table><tr><td>1</td></tr></table>"


def shown(*outputs, budget=None):
    return str(outputs_html(outputs, budget or Budget()))


def of(bundle, metadata=None):
    return {"output_type": "display_data", "metadata": metadata or {}, "data": bundle}


def test_the_best_form_that_can_be_shown_is_shown():
    forms = [
        ("text/html", "<b>html</b>", "<b>html</b>"),
        ("text/markdown", "*md*", "<em>md</em>"),
        ("image/png", PNG, "image/png"),
        ("image/jpeg", PNG, "image/jpeg"),
        ("image/gif", PNG, "image/gif"),
        ("image/webp", PNG, "image/webp"),
        ("image/svg+xml", "<svg><path d='M0 0'/></svg>", "image/svg+xml"),
        ("text/latex", "$x$", "<math"),
        ("application/json", {"key": "é"}, "é"),
        ("text/plain", "plain", "<pre>plain</pre>"),
    ]
    for place in range(len(forms)):
        left = {name: form for name, form, _ in reversed(forms[place:])}
        html = shown(of(left))
        assert forms[place][2] in html
        assert [words for _, _, words in forms[place + 1 :] if words in html] == []


def test_a_form_that_shows_nothing_leaves_its_place_to_the_next():
    assert "<img" in shown(of({"text/html": "<style>a {}</style>", "image/png": PNG}))
    assert "<pre>plain</pre>" in shown(of({"text/latex": " \n", "text/plain": "plain"}))


def test_json_is_set_in_lines():
    assert "<pre>{\n  &#34;a&#34;: [\n    1\n  ]\n}</pre>" in shown(of({"application/json": {"a": [1]}}))


def test_what_is_no_output_is_left_out_and_its_neighbours_are_shown():
    assert re.findall("<pre>([^<]*)</pre>", shown("text", None, stream("a"), 3, stream("b", "stderr"))) == ["a", "b"]
    assert shown({"output_type": "display_data", "data": "no mapping"}, {"output_type": "later"}) == ""


def test_a_colour_that_one_piece_of_a_stream_begins_goes_on_in_the_next():
    html = shown(stream("\x1b[3"), stream("1mred"), stream(" too"))
    assert re.search(r'<pre><span class="ansi-red-fg">red too</span></pre>', html)
    # Another stream is another text.
    assert shown(stream("a"), stream("b", "stderr"), stream("c")).count("<pre>") == 3


def test_results_beside_each_other_are_each_shown():
    assert re.findall("<pre>([^<]*)</pre>", shown(data(text_plain="1"), data(text_plain="2"))) == ["1", "2"]


def test_a_form_that_no_one_knows_is_named_beside_the_text():
    html = shown(of({"application/x-b": 1, "application/x-a": 1, "text/plain": "X()"}))
    assert "Not shown here: application/x-a, application/x-b." in html
    assert "<pre>X()</pre>" in html
    # A known one that could not be shown has said so itself.
    assert "Not shown here" not in shown(of({"text/latex": " ", "text/plain": "X()"}))
    assert "Not shown here" not in shown(of({"text/plain": "X()"}))


def test_long_names_of_forms_are_cut():
    html = shown(of({"application/" + "a" * 200: 1}))
    assert f"Not shown here: application/{'a' * 68}." in html
    many = shown(of({f"application/{number:03d}": 1 for number in range(50)}))
    assert len(re.search("Not shown here: ([^<]*)[.]<", many)[1]) == 200


@pytest.mark.parametrize(
    ("plain", "is_said"),
    [
        ("<IPython.core.display.HTML object>", False),
        (" <IPython.core.display.HTML object>\n", False),
        ("<pandas.io.formats.style.Styler at 0x7f00>", False),
        ("", False),
        ("<mylib.Chart object>", True),
    ],
    ids=["IPython", "blanks around", "pandas", "nothing", "another library"],
)
def test_a_description_that_says_nothing_is_left_out(plain, is_said):
    html = shown(of({"application/x": 1, "text/plain": plain}))
    assert ("<pre>" in html) == is_said
    assert "Not shown here: application/x." in html


@pytest.mark.parametrize(
    ("about", "attributes"),
    [
        ({"width": 1}, ' width="1"'),
        ({"width": 0}, ""),
        ({"width": 0.9}, ""),
        ({"width": 20_000}, ' width="20000"'),
        ({"width": 20_001}, ""),
        ({"width": 10, "height": 5}, ' width="10" style="aspect-ratio: 10 / 5"'),
        ({"width": 10, "height": 0}, ' width="10"'),
        ({"width": "x", "height": "5"}, ' style="height: 5px"'),
        ({"width": "5%"}, ""),
        ({"width": "1" * 5000}, ""),
        ({"width": float("nan")}, ""),
    ],
    ids=[
        "one",
        "none",
        "less than one",
        "widest",
        "too wide",
        "both",
        "no height",
        "texts",
        "percent",
        "digits",
        "NaN",
    ],
)
def test_a_picture_has_the_size_that_its_author_asked_for(about, attributes):
    html = shown(of({"image/png": PNG}, {"image/png": about}))
    assert f'alt="Image without a description"{attributes} src=' in html


def test_a_picture_is_described_by_its_author_or_by_its_text():
    bundle = {"image/png": PNG, "text/plain": " <Figure 1> \n"}
    assert 'alt="&lt;Figure 1&gt;"' in shown(of(bundle))
    assert 'alt="a &#34;cat&#34;"' in shown(of(bundle, {"image/png": {"alt": 'a "cat"'}}))
    assert f'alt="{"x" * 200}"' in shown(of({"image/png": PNG, "text/plain": "x" * 300}))


def test_base64_in_lines_is_one_address():
    assert f'src="data:image/png;base64,{PNG}"' in shown(of({"image/png": [PNG[:4] + "\n", PNG[4:] + "\n"]}))


def test_a_picture_that_is_none_says_why_and_its_text_is_shown():
    html = shown(of({"image/png": "no base64!", "text/plain": "Figure(1)"}))
    assert "An image is not shown: its image/png is no base64." in html
    assert "Figure(1)" in html
    for blank in ("", " \n"):
        assert "its image/jpeg is empty." in shown(of({"image/jpeg": blank}))


def test_a_picture_as_large_as_a_page_takes_is_shown_and_a_larger_one_is_not(monkeypatch):
    monkeypatch.setattr(outputs_module, "_IMAGE_CHARACTERS", 100)
    assert "<img" in shown(of({"image/png": "A" * 100}))
    assert "An image of 0 kB is not shown; it is in the .ipynb." in shown(of({"image/png": "A" * 101}))
    assert "An image of 0 kB is not shown" in shown(of({"image/svg+xml": f"<svg>{'<path/>' * 20}</svg>"}))


def test_what_was_cut_out_of_the_file_is_not_shown_and_its_size_is_that_of_the_file():
    cut = "airflow-nbjobs:cut:7340032\nbeginning\nend"
    assert "An image of 7.0 MB is not shown" in shown(of({"image/png": cut}))
    assert "An image of 7.0 MB is not shown" in shown(of({"image/svg+xml": cut}))
    html = shown(of({"text/html": cut, "text/plain": "plain"}))
    assert "<pre>plain</pre>" in html
    assert "beginning" not in html
    scripted = Budget(with_scripts=True)
    html = shown(of({"text/html": cut + "<script>1</script>", "text/plain": "plain"}), budget=scripted)
    assert (scripted.scripted, "<script" in html) == (0, False)


def test_html_beyond_the_room_for_it_is_shown_as_text():
    html = {"text/html": f"<b>{'x' * 90}</b>", "text/plain": "plain"}
    enough, less = Budget(), Budget()
    enough.left["html"], less.left["html"] = 97, 96
    assert "<b>" in shown(of(html), budget=enough)
    assert enough.left["html"] == 0
    assert "<pre>plain</pre>" in shown(of(html), budget=less)
    assert (less.left["html"], less.refused) == (96, 1)


def test_html_of_too_many_elements_is_shown_as_text():
    html = {"text/html": "<b>x</b>" * 3, "text/plain": "plain"}
    enough, less = Budget(), Budget()
    enough.left["tags"], less.left["tags"] = 6, 5
    assert "<b>" in shown(of(html), budget=enough)
    assert "<pre>plain</pre>" in shown(of(html), budget=less)
    assert "<pre>plain</pre>" in shown(of({"text/markdown": "<b>x</b>" * 3, "text/plain": "plain"}), budget=less)


def test_html_with_a_style_takes_the_room_of_more():
    budgets = [Budget(), Budget()]
    texts = [f"<style>a {{ color: red }}</style>{TABLE}", f"<stile>a {{ color: red }}</stile>{TABLE}"]
    taken = []
    for budget, text in zip(budgets, texts, strict=True):
        before = budget.left["html"]
        shown(of({"text/html": text}), budget=budget)
        taken.append(before - budget.left["html"])
    assert taken[0] > 2 * taken[1] > 0


def test_each_output_with_a_style_has_a_box_of_its_own():
    budget = Budget()
    styled = f"<style>td {{ color: red }}</style>{TABLE}"
    html = shown(of({"text/html": styled}), of({"text/html": TABLE}), of({"text/html": styled}), budget=budget)
    assert re.findall(r'<div class="nb-html[^"]*"(?: id="([^"]*)")?>', html) == ["nb-out-0", "", "nb-out-1"]
    assert re.findall(r"(#nb-out-\d) td", html) == ["#nb-out-0", "#nb-out-1"]


def test_latex_beyond_the_room_for_text_is_shown_as_its_plain_form():
    budget = Budget()
    budget.left["text"] = 10
    assert "<math" in shown(of({"text/latex": "$x$"}), budget=budget)
    assert budget.left["text"] == 7
    assert "<math" not in shown(of({"text/latex": "$x^2 + 1$", "text/plain": "p"}), budget=budget)


def view(model):
    return of({"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "plain form"}), Budget(
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"a": model}}}}
    )


def test_html_within_a_widget_beyond_the_room_for_it_is_said():
    output, budget = view({"model_name": "HTMLModel", "state": {"value": "<b>x</b>" + "y" * 2040}})
    assert "<b>x</b>" in shown(output, budget=budget)
    budget.left["html"] = 100
    assert "HTML of 2 kB is not shown; it is in the .ipynb." in shown(output, budget=budget)


def test_a_picture_within_a_widget_is_shown_as_any():
    buffers = [{"path": ["value"], "encoding": "base64", "data": PNG}]
    output, budget = view({"model_name": "ImageModel", "state": {"format": "png"}, "buffers": buffers})
    assert (
        f'<div class="nb-widget"><img class="nb-image" alt="Image without a description" src="data:image/png;base64,{PNG}">'
        in shown(output, budget=budget)
    )


def test_outputs_within_a_widget_are_shown_as_any():
    output, budget = view({"model_name": "OutputModel", "state": {"outputs": [stream("within")]}})
    assert "<pre>within</pre>" in shown(output, budget=budget)
    assert "plain form" not in shown(output, budget=budget)


def test_what_is_rendered_already_is_not_rendered_again():
    output, made = stream("x"), {}
    budget = Budget()
    first = outputs_html([output], budget, made=made)
    left = budget.left["text"]
    assert outputs_html([output], budget, made=made) == first
    assert budget.left["text"] == left
    assert len(made) == 1


def test_a_piece_that_fails_is_named_by_its_place(monkeypatch):
    monkeypatch.setattr(outputs_module, "markdown_html", None)
    budget = Budget()
    html = str(outputs_html([stream("a"), data(text_markdown="m", text_plain="the text")], budget, "Cell 3"))
    assert budget.guard.failures[0].startswith("Cell 3, output 2: TypeError")
    assert "<pre>the text</pre>" in html


# -- scripts -------------------------------------------------------------------------------------------------------------

SCRIPT = "<p id='plot'></p><script>draw()</script>"


def test_scripts_beyond_the_room_for_them_leave_the_form_without():
    budget = Budget(with_scripts=True)
    budget.left["scripted"] = len(SCRIPT)
    assert SCRIPT in shown(of({"text/html": SCRIPT}), budget=budget)
    assert budget.left["scripted"] == 0
    assert "<script" not in shown(of({"text/html": SCRIPT}), budget=budget)
    assert budget.scripted == 2


@pytest.mark.parametrize(
    ("html", "is_kept"),
    [
        ("<p id='a' onclick='x()'>b</p>", True),
        ("<p class='a' onclick='x()'>b</p>", False),
        ("<p ID = a onclick='x()'>b</p>", True),
        ("id='a'", False),
    ],
)
def test_where_scripts_run_only_what_they_may_look_for_stays_as_it_is(html, is_kept):
    assert ("onclick" in shown(of({"text/html": html}), budget=Budget(with_scripts=True))) == is_kept
    assert "onclick" not in shown(of({"text/html": html}))


def test_an_output_that_loads_from_a_network_keeps_its_script_and_says_what_is_missing():
    html = "<p>static</p><script src='https://d3js.org/d3.js'></script><script>draw()</script>"
    words = "it loads scripts from d3js.org, and nothing here reaches a network; parts of it may be missing."
    plain, scripted = shown(of({"text/html": html})), shown(of({"text/html": html}), budget=Budget(with_scripts=True))
    assert words in plain
    assert words in scripted
    assert html in scripted
    assert "<p>static</p>" in plain
