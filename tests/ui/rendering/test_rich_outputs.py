"""
Outputs as their authors saw them in JupyterLab, without scripts: styled tables, widgets, formulas, pictures, terminal colours.

``rich_outputs.json`` was executed by pandas 3.1, scikit-learn 1.9, tqdm 4.70, ipywidgets 8.1, matplotlib 3.11, sympy 1.14 and IPython 9.18.
"""

import base64
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from rendered import code, data, document, markdown, stream

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering.clean import clean
from airflow_nbjobs.ui.rendering.document import build_document
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.pictures import svg_address
from airflow_nbjobs.ui.rendering.styles import Styles, asks_outside
from airflow_nbjobs.ui.rendering.terminal import CONTRAST, against, contrast

CSS = files("airflow_nbjobs.ui.rendering").joinpath("notebook.css").read_text()


@cache
def cells():
    """Return what each cell of the recorded notebook shows."""
    notebook = parse_notebook(Path(__file__).with_name("rich_outputs.json").read_text(), source="n")
    html = build_document(notebook, title="job").html
    return [each.partition('<div class="nb-outputs">')[2] for each in html.split("<section ")[1:]]


def shown_of(source):
    notebook = json.loads(Path(__file__).with_name("rich_outputs.json").read_text())
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    return cells()[next(place for place, text in enumerate(texts) if source in text)]


def svg_of(html):
    return base64.b64decode(re.search(r"data:image/svg\+xml;base64,([^\"]+)", html)[1]).decode()


# -- styles ----------------------------------------------------------------------------------------------------------------


def test_a_styled_table_has_its_colours_within_its_own_box_and_on_a_light_page():
    shown = shown_of("df.style")
    scope = re.search(r'<div class="nb-html nb-island" id="(nb-out-\d+)"><style>', shown)[1]
    rules = re.findall(r"^(.*?) \{", re.search(r"<style>(.*?)</style>", shown, re.DOTALL)[1], re.MULTILINE)
    assert rules
    assert all(part.startswith(f"#{scope} #T_") for rule in rules for part in rule.split(", "))
    assert "background-color: yellow" in shown
    assert re.search(r'<td class="data row0 col0" id="T_\w+_row0_col0"', shown)


def test_a_plain_table_goes_with_the_page_in_both_themes():
    shown = cells()[1]
    assert "nb-html" in shown
    assert "nb-island" not in shown
    assert "vertical-align: middle" in shown


def test_an_estimator_unfolds_without_a_script():
    shown = shown_of("StandardScaler(copy=False)")
    assert re.search(r'<input (?=[^>]*class="sk-toggleable__control)[^>]*type="checkbox"', shown)
    assert re.search(r'<label [^>]*for="sk-estimator-id-\d+"', shown)
    assert "<details>" in shown
    assert "input.sk-toggleable__control:checked~div.sk-toggleable__content { display: block;" in shown
    assert 'class="sk-top-container sk-global light"' in shown
    assert "<script" not in shown


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("color: red; background: u\\72l(http://x)", "color: red;"),
        ("position: fixed; top: 0", "top: 0;"),
        ("--p: fixed; position: var(--p)", "--p: fixed;"),
        ("width: expression(alert(1))", ""),
        ("behavior: url(x); -moz-binding: url(x)", ""),
        ("background: image-set('x' 1x)", ""),
        ("background: linear-gradient(red, blue)", "background: linear-gradient(red, blue);"),
        ("--u: url(x); background: var(--u)", "background: var(--u);"),
        ("color: red !important", "color: red !important;"),
        ("animation: k 1s; cursor: url(x), auto", ""),
        ("content: attr(x); unicode-bidi: bidi-override", ""),
        ("(" * 5000, ""),
    ],
)
def test_of_declarations_those_stay_that_ask_nobody_and_stay_where_they_are(given, kept):
    assert Styles().sanitize_css(given) == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a { color: red }", "#S a { color: red; }"),
        ("@import url(x); b { color: red }", "#S b { color: red; }"),
        ("@font-face { src: url(x) } @media print { a { color: red } }", ""),
        ("a:visited, b { color: red }", "#S b { color: red; }"),
        ("~ .nb-cell { color: red }", ""),
        ("> p, + p { color: red }", ""),
        ("& { color: red } a || b { color: red }", ""),
        (":root { --a: 1; color: red }", "#S { --a: 1; }"),
        ("a { color: red; b { color: blue } }", "#S a { color: red; }"),
        ("p::before { content: '▸' }", '#S p::before { content: "▸"; }'),
        ("a[b='</style><script>'] { color: red }", '#S a[b="\\3c /style>\\3c script>"] { color: red; }'),
        ("a { content: '</style><script>' }", '#S a { content: "\\3c /style>\\3c script>"; }'),
        ("[" * 5000, ""),
    ],
)
def test_of_rules_those_stay_that_apply_within_the_output(given, kept):
    assert Styles().sheet(given, "S") == kept


def test_no_output_wears_what_the_page_around_it_is_made_of():
    shown = clean(
        '<p class="nb-notice x\tnb-failed" id="cell-1">a</p><a name="nb-x" id="nb-y">b</a><i id="failed">c</i>'
    ).html
    assert shown == '<p class="x">a</p><a>b</a><i>c</i>'
    sheet = Styles().sheet(".nb-cell, #cell-1 { color: red }", "S")
    assert sheet == "#S .nb-cell, #S #cell-1 { color: red; }"
    # Whatever a style does, what it does is seen within the box only.
    assert re.search(r"\.nb-html \{[^}]*contain: layout paint", CSS)


def test_form_fields_are_for_folding_only():
    shown = clean('<input type="password"><input><INPUT TYPE="CheckBox" id="a"><button>Sign in</button>').html
    assert shown == '<input type="CheckBox" id="a">Sign in'


# -- nothing is blank without a word -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bundle", "words"),
    [
        ({"text/html": "<style>.container { width: 100% }</style>"}, "Not shown here: text/html"),
        ({"text/html": "<div id='x'></div><canvas></canvas>", "text/plain": "Chart(3)"}, "Chart(3)"),
        (
            {"text/html": "<iframe src='https://example.com/a'></iframe>"},
            "A page at https://example.com/a is not shown",
        ),
        (
            {"text/html": "<video><source src='https://e.com/v.mp4'></video>"},
            "A film at https://e.com/v.mp4 is not shown",
        ),
        (
            {"text/html": "<audio src='data:audio/wav;base64,AAAA'></audio>"},
            "A sound of the notebook itself is not shown",
        ),
        (
            {"text/html": "<img src='https://e.com/c.png' alt='A cat'>"},
            "A cat (a picture at https://e.com/c.png, not fetched)",
        ),
        ({"text/html": "<img src='data:image/png;base64,!'>"}, "a picture without a readable address"),
        ({"image/svg+xml": "no picture"}, "An image in SVG cannot be read"),
        ({"image/png": "???"}, "its image/png is no base64"),
        ({"application/vnd.x+json": {}, "text/plain": "X()"}, "Not shown here: application/vnd.x+json"),
        ({"application/vnd.x+json": {}}, "Not shown here: application/vnd.x+json"),
        (
            {"application/pdf": "JVBE", "text/plain": "<IPython.core.display.Pdf object>"},
            "Not shown here: application/pdf",
        ),
        ({"text/latex": " ", "text/plain": "L"}, "L"),
        ({"application/vnd.jupyter.widget-view+json": {"model_id": "gone"}, "text/plain": "0%| | 0/50"}, "0%| | 0/50"),
        ({"application/vnd.jupyter.widget-view+json": {"model_id": "gone"}}, "An interactive widget"),
    ],
)
def test_an_output_without_a_form_that_can_be_shown_says_what_it_was(bundle, words):
    html = document(code("x", {"output_type": "display_data", "metadata": {}, "data": bundle})).html
    assert words in html.partition('<div class="nb-outputs">')[2]


def test_nothing_is_said_where_there_was_nothing():
    """Rich ends a live display with an empty one; IPython's description of a script says nothing."""
    empty = {"text/html": '<pre style="white-space:pre"></pre>\n', "text/plain": ""}
    assert 'class="nb-notice"' not in document(code("track()", data(**empty))).html
    script = {"application/javascript": "draw()", "text/plain": "<IPython.core.display.Javascript object>"}
    html = document(code("Javascript()", data(**script))).html
    assert "IPython.core" not in html
    assert "JavaScript, which needs scripts" in html


def test_a_page_by_address_is_named_once():
    html = document(code("IFrame()", data(**{"text/html": "<iframe src='https://example.com/a'></iframe>"}))).html
    assert html.count("example.com") == 1


@pytest.mark.parametrize(
    "place", ["<img id='_anim_img1'>", "<canvas></canvas>", "<div id='plot'>\n</div>", "<svg id=d3></svg>"]
)
def test_what_a_script_is_to_fill_is_said_beside_text_that_is_there(place):
    """matplotlib's animations have their buttons in HTML, their pictures in a script."""
    html = f"<div><b>Once</b> {place}<script>animate()</script></div>"
    shown = document(code("anim", data(**{"text/html": html}))).html
    assert "Once" in shown
    assert "An interactive output, which needs scripts" in shown


def test_pictures_by_address_and_missing_attachments_keep_their_words():
    shown = str(markdown_html("![A cat](https://e.com/c.png)\n\n![Gone](attachment:x.png) stays"))
    assert "A cat (a picture at https://e.com/c.png, not fetched)" in shown
    assert "Gone (a picture without a readable address, not fetched)" in shown
    assert "stays" in shown
    assert 'src="data:image/png;base64,AAAA"' in markdown_html(
        "![x](attachment:my%20a.png)", {"my a.png": {"image/png": "AAAA"}}
    )


# -- pictures ----------------------------------------------------------------------------------------------------------------


def test_an_image_of_a_high_resolution_has_the_size_that_its_author_saw():
    found = re.search(
        r'<img class="nb-image"[^>]* width="(\d+)" style="aspect-ratio: (\d+) / (\d+)"', shown_of("retina")
    )
    assert found
    assert 20 <= int(found[1]) == int(found[2]) <= 200


@pytest.mark.parametrize(
    ("metadata", "attributes"),
    [
        ({"width": 120}, ' width="120"'),
        ({"height": 80.4}, ' style="height: 80px"'),
        ({"width": "120px", "height": None}, ' width="120"'),
        ({"width": '1" onerror="x', "height": -3}, ""),
        ({"width": True}, ""),
        ([], ""),
    ],
)
def test_sizes_are_numbers_of_pixels(metadata, attributes):
    output = {"output_type": "display_data", "metadata": {"image/png": metadata}, "data": {"image/png": "AAAA"}}
    assert f'alt="Image without a description"{attributes} src="data' in document(code("x", output)).html


def test_inline_svg_is_an_image_that_keeps_its_case_and_loses_its_scripts():
    html = clean(
        "<svg viewbox='0 0 9 9' width='90' class='icon nb-x'><title>A dot</title><defs><lineargradient id='g' gradientunits='x'/></defs>"
        "<circle fill='url(#g)' onclick='x()'/><script>x()</script><foreignObject><p>y</p></foreignObject>"
        "<image href='https://e.com/i.png'/><a xlink:href='javascript:x()'><animate attributeName='href' values='x'/></a>"
        "<rect fill='url(https://e.com/f)' style='fill: u\\72l(https://e.com)'/><style>@import 'x';</style></svg>"
    ).html
    assert re.fullmatch(r'<img alt="A dot" class="icon" width="90" src="data:image/svg\+xml;base64,[^"]+">', html)
    picture = svg_of(html)
    assert 'viewBox="0 0 9 9"' in picture
    assert '<linearGradient id="g" gradientUnits="x" />' in picture
    assert '<circle fill="url(#g)" />' in picture
    for gone in ("script", "onclick", "foreignObject", "e.com", "animate", "import"):
        assert gone not in picture


def test_a_picture_in_html_stands_on_a_light_page():
    """As the chunks of a dask array do: black on white."""
    assert clean("<table><tr><td><svg><text>10</text></svg></table>").has_colours


def test_symbols_of_another_svg_come_with_the_one_that_uses_them():
    """As xarray's icons do."""
    html = clean(
        "<svg><defs><symbol id='i'><path d='M0 0'/></symbol></defs></svg><svg><use xlink:href='#i'></use></svg>"
    ).html
    assert '<symbol id="i"><path d="M0 0" /></symbol>' in svg_of(html.partition(">")[2])


def test_svg_that_is_no_xml_is_shown_all_the_same():
    found = document(code("x", data(**{"image_svg+xml": "<svg width=9><path d='M0 0'></svg>"}))).html
    assert svg_of(found) == '<svg xmlns="http://www.w3.org/2000/svg" width="9"><path d="M0 0" /></svg>'
    assert svg_address("<svg xmlns='http://www.w3.org/2000/svg'>" + "<g>" * 5000) is None


def test_images_by_data_address_are_shown_svg_too():
    assert "base64,AAAA" in clean('<img src="data:image/png;base64,AAAA">').html
    assert "<path" in svg_of(
        clean("<img src=\"data:image/svg+xml;utf8,%3Csvg%3E%3Cpath onload='x()'/%3E%3C/svg%3E\">").html
    )


def test_css_that_asks_for_something_is_known_as_such():
    assert asks_outside("u\\72l(x)")
    assert asks_outside("@import 'x'")
    assert asks_outside("url( 'https://x' )")
    assert not asks_outside("url(#a)")
    assert not asks_outside("url('#a')")
    assert not asks_outside("rotate(3)")
    assert asks_outside("(" * 5000), "in doubt"


# -- formulas ----------------------------------------------------------------------------------------------------------------


def test_formulas_are_set():
    assert '<math display="block"><mrow><mstyle' in shown_of("sympy")
    assert "<mfrac>" in shown_of("Math(")
    shown = str(markdown_html("Where $x^2$ is\n\n$$\\int_0^1 x\\,dx$$\n\n\\begin{align} a &= b \\end{align}"))
    assert shown.count("<math") == 3
    assert '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>' in shown
    assert "∫" in shown
    assert 'title="$x^2$"' in shown


@pytest.mark.parametrize(
    "text", ["$5 and $6", "costs \\$5 and \\$6", "`$x$`", "a $ b", "```\n$x$\n```", "US$5 to US$7"]
)
def test_prices_and_code_are_no_formulas(text):
    assert "<math" not in markdown_html(text)
    assert "$" in markdown_html(text)


@pytest.mark.parametrize(
    "tex",
    [
        "\\frac{",
        "\\unknown{x}",
        "x^2^3",
        "{" * 1500 + "}" * 1500,
        "\\begin{tabular}{ll} a & b \\end{tabular}",
        "x+" * 3000,
        "\\left(",
    ],
)
def test_a_formula_that_cannot_be_set_is_shown_as_it_was_typed(tex):
    shown = str(markdown_html(f"before ${tex}$ after"))
    assert '<code class="nb-tex"' in shown
    assert "before" in shown
    assert "after" in shown


def test_texts_of_latex_are_texts_with_formulas():
    html = document(code("x", data(text_latex="Let $x$ <b> be\n\\begin{equation}y\\end{equation} and \\[z\\]"))).html
    assert html.count("<math") == 3
    assert "Let " in html
    assert "&lt;b&gt; be" in html


def test_a_formula_in_a_title_or_a_link_is_text_there():
    shown = str(markdown_html('![cost $x$](https://e.com/a.png "t $y$") # \n\n# A $z$\n'))
    assert "cost $x$" in shown
    assert "\ue0f0" not in shown
    assert '<h1 id="A-$z$">' in shown


def test_marks_of_formulas_cannot_be_forged():
    shown = str(markdown_html("$x$ \ue0f00\ue0f1 <p title='\ue0f00\ue0f1'>a</p>"))
    assert shown.count("<math") == 1
    assert "\ue0f0" not in clean("\ue0f00\ue0f1").html


def test_of_mathml_only_formulas_stay():
    tex = r"\href{javascript:x}{a} \style{position:fixed}{b} \class{nb-cell}{c} \text{</math><img src=x onerror=y>}"
    assert not re.search(
        r"href|style=|<img|class=\"nb-cell",
        str(markdown_html(f"${tex}$")).partition("<math")[2].partition("</math>")[0],
    )
    shown = clean(
        "<math display=block><mi href=x onclick=y>a</mi><mtext><img src=x></mtext><mglyph src=x></mglyph>"
        "<annotation-xml encoding='text/html'><p>b</p></annotation-xml><mspace width='-9em'></mspace></math>"
    ).html
    assert (
        shown
        == '<span class="nb-formula nb-block"><math display="block"><mi>a</mi><mtext></mtext><mspace></mspace></math></span>'
    )


# -- widgets -----------------------------------------------------------------------------------------------------------------


def test_a_finished_bar_of_tqdm_is_as_it_ended():
    shown = shown_of("tqdm")
    assert '<progress class="nb-progress nb-success" max="1" value="1.0000"></progress>' in shown
    assert "batches:\u2007100%" in shown
    assert "3/3" in shown


def test_widgets_show_what_they_held():
    shown = shown_of("ipywidgets")
    text = re.sub(r"<[^>]+>", "|", shown)
    for words in (
        "Depth||7",
        "Range||1.0 to 2.5",
        "hi",
        "label",
        "Pick||two",
        "(not shown)",
        "Folded",
        "in the output widget",
        "bold",
    ):
        assert words in text, words
    assert "secret" not in shown
    assert "<b>bold</b>" in shown


def widget_document(state, model="a"):
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": model}, "text/plain": "plain form"}
    saved = {"application/vnd.jupyter.widget-state+json": {"state": state}}
    return document(code("x", {"output_type": "display_data", "metadata": {}, "data": view}), widgets=saved).html


@pytest.mark.parametrize(
    "state", [[], {"a": None}, {"a": {"state": []}}, {"a": {"model_name": "MapModel", "state": {}}}, {"a": 3}]
)
def test_what_was_not_saved_or_is_not_known_shows_its_text_form(state):
    html = widget_document(state)
    assert "plain form" in html
    assert "An interactive widget" in html


def test_widgets_that_hold_each_other_end():
    box = {"model_name": "VBoxModel", "state": {"children": ["IPY_MODEL_a"] * 3}}
    html = widget_document({"a": box})
    assert "A widget (VBox) is not shown here." in html


def test_html_of_a_widget_is_cleaned_like_any():
    html = widget_document(
        {"a": {"model_name": "HTMLModel", "state": {"value": "<b onclick=x>b</b><script>x</script>"}}}
    )
    assert "<b>b</b>" in html
    assert "<script" not in html


# -- links -------------------------------------------------------------------------------------------------------------------


def test_headings_are_reached_by_the_names_that_jupyterlab_gives_them():
    made = document(
        code(),
        markdown("[x](#The-data) [y](#mine)"),
        markdown("## The data\n\n### A *b* `c`"),
        markdown('<a id="mine"></a>\n# Cell 1'),
    )
    assert '<a href="#The-data">' in made.html
    for name in ("The-data", "A-b-c", "mine", "Cell-1"):
        assert made.html.count(f'id="{name}"') == 1


@pytest.mark.parametrize("address", ["https://example.com/x?a=1&b", "http://e.com", "mailto:a@e.com"])
def test_a_link_out_of_the_notebook_says_where_it_leads_and_asks_first(address):
    shown = clean(f'<a href="{address}" class="c" target="_top" ping="x">y</a>').html
    escaped = address.replace("&", "&amp;")
    assert shown == (
        f'<a class="c nb-address" title="{escaped}" href="airflow-nbjobs-link#{escaped}" rel="noopener noreferrer">y</a>'
    )


@pytest.mark.parametrize(
    "address", ["javascript:x", "data:text/html,x", "file:///etc", "//e.com", "/nbjobs", "x.html", "scripted.html?x#y"]
)
def test_any_other_link_leads_nowhere(address):
    assert "href" not in clean(f'<a href="{address}">y</a>').html


# -- colours -----------------------------------------------------------------------------------------------------------------

THEMES = {
    "light": CSS.partition(":root {")[2].partition("}")[0],
    "dark": CSS.partition("[data-theme=dark] {")[2].partition("}")[0],
}


def colours(block):
    return {
        name: tuple(int(value[place : place + 2], 16) for place in (0, 2, 4))
        for name, value in re.findall(r"--([\w-]+): #([0-9a-f]{6})", block)
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_terminal_colour_can_be_read_on_every_page_of_its_theme(theme):
    found = colours(THEMES[theme])
    pages = {name: found[name] for name in ("page", "code", "bad-soft", "warn-soft")}
    inks = {
        name: value for name, value in found.items() if name.startswith("ansi-") or name in ("text", "bad", "muted")
    }
    assert len(inks) == 11
    bad = {(ink, page): contrast(inks[ink], pages[page]) for ink in inks for page in pages}
    assert {pair: ratio for pair, ratio in bad.items() if ratio < CONTRAST} == {}


def test_every_terminal_colour_can_be_read_on_every_background_and_inverted():
    backgrounds = re.findall(r"\.(ansi-[a-z-]+-bg) \{ background: #([0-9a-f]{6})", CSS)
    assert len(backgrounds) == 17  # the sixteen, and what a colour of text becomes where only the text has one
    inks = colours(CSS.partition('[class*="-bg"] {')[2].partition("}")[0]) | {"text": (0x1F, 0x23, 0x28)}
    assert len(inks) == 9
    bad = [
        (ink, name)
        for name, value in backgrounds
        for ink, colour in inks.items()
        if contrast(colour, tuple(int(value[place : place + 2], 16) for place in (0, 2, 4))) < CONTRAST
    ]
    assert bad == []


def test_colours_given_as_numbers_can_be_read_in_both_themes():
    for number in range(16, 256):
        html = document(code("x", stream(f"\x1b[38;5;{number}mt\x1b[0m"))).html
        light, dark = (
            tuple(map(int, re.search(rf"--{name}: rgb\((\d+),(\d+),(\d+)\)", html).groups()))
            for name in ("light", "dark")
        )
        assert all(
            contrast(light, colours(THEMES["light"])[page]) >= CONTRAST for page in ("page", "bad-soft", "warn-soft")
        )
        assert all(
            contrast(dark, colours(THEMES["dark"])[page]) >= CONTRAST for page in ("page", "bad-soft", "warn-soft")
        )
    assert against((10, 20, 30), (255, 255, 255)) == (10, 20, 30)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("7", 'class="ansi-default-inverse-fg ansi-default-inverse-bg"'),
        ("30;43", 'class="ansi-black-fg ansi-yellow-bg"'),
        ("97;104", 'class="ansi-white-intense-fg ansi-blue-intense-bg"'),
        ("48;2;250;250;250", 'style="color: rgb(0,0,0); background-color: rgb(250,250,250)"'),
        ("48;2;9;9;9", 'style="color: rgb(128,128,128); background-color: rgb(9,9,9)"'),
        ("38;2;255;255;255;48;2;9;9;9", 'style="color: rgb(255,255,255); background-color: rgb(9,9,9)"'),
        ("38;2;255;255;0;41", 'class="ansi-red-bg" style="color: rgb('),
        ("38;2;255;255;0", 'class="ansi-rgb-fg" style="--light: rgb('),
        ("1;38;2;255;255;0", 'class="ansi-rgb-fg ansi-bold" style="--light: rgb('),
    ],
)
def test_backgrounds_and_inverse_are_shown(codes, expected):
    assert f"<span {expected}" in document(code("x", stream(f"\x1b[{codes}mt\x1b[0m"))).html


@pytest.mark.parametrize(
    "codes", ["38", "48", "1;38", "31;48", "38;5", "38;2;1", "38;5;38;48", "38;2;1;2;38;38", "38;38", "38;5;"]
)
def test_a_colour_that_is_announced_and_does_not_come_takes_nothing_else(codes):
    html = document(code("x", stream(f"\x1b[{codes}mt\x1b[0m"))).html
    assert re.search(r"<pre>(<span[^>]*>)?t(</span>)?</pre>", html)
    assert "could not be rendered" not in html


def test_raw_cells_wrap():
    assert re.search(r"\.nb-raw pre \{[^}]*white-space: pre-wrap; overflow-wrap: anywhere", CSS)


# -- Markdown ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "cells"),
    [
        ("|a|b|\n|-|:-:|\n|1|2|\n|3|\n|4|5|6|", ["1", "2", "3", "", "4", "5"]),
        ("a | b\n--- | ---\n1 | 2 | 3\n4 |", ["1", "2", "4", ""]),
        ("|a|b|\n|-|-|\n|1|2", ["1", "2"]),
        ("|a\\|b|c|\n|-|-|\n|1\\|2|", ["1|2", ""]),
    ],
)
def test_a_table_with_uneven_rows_is_a_table(table, cells):
    shown = re.findall(r"<td[^>]*>(.*?)</td>", str(markdown_html(f"before\n\n{table}\n\nafter | x")))
    assert shown == cells


def test_what_looks_like_a_table_in_code_stays_as_typed():
    typed = "|a|b|\n|-|-|\n|1|\n"
    assert typed in markdown_html(f"```\n{typed}```")
    assert "<table" not in markdown_html("- x\n  |a|\n\ntext | more")


@pytest.mark.parametrize(
    "source",
    [
        "<span style='background: yellow'>x</span>",
        "<font color=blue>x</font>",
        "<table><tr><td style='color: #000'>x</table>",
    ],
)
def test_a_text_with_colours_stands_on_a_light_page(source):
    assert markdown_html(source).startswith('<div class="nb-island">')
    assert "nb-island" not in markdown_html("**x** <b style='width: 3px'>y</b>")


def test_colours_of_code_within_an_island_are_those_of_the_light_theme():
    """IPython's ``Code`` brings style sheets that match the page's own names."""
    html = document(code("x")).html
    assert "[data-theme=dark] .highlight:not(.nb-island *) .k " in html
    assert "[data-theme=dark] .highlight ." not in html.replace("[data-theme=dark] .highlight .err", "")
