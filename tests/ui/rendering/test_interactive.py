"""
Figures that scripts draw: what a reader is told in place of one that cannot be drawn, and that one which brings its library along is drawn.

The bundles are those of nbclient with the libraries' own defaults (Plotly 5.24, 6.9 and 7.1, Bokeh 3.4 and 3.9, Altair 5.2 and 6.3, Panel 1.9,
HoloViews 1.23, pyecharts 2.1, folium 0.20, pydeck 0.9), cut down to what tells them apart.
"""

import json
import re
from html import escape, unescape

import pytest
from browser import chromium

from airflow_nbjobs.core.notebook.document import parse_notebook
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.document import build_document
from airflow_nbjobs.ui.rendering.interactive import carried_by, interactive, spec_of
from airflow_nbjobs.ui.rendering.outputs import outputs_html

LIBRARY = "x" * 200_000
PLACE = {"text/html": '\n  <div id="b09b" data-root-id="p1008" style="display: contents;"></div>\n'}
LOGO = {
    "text/html": "<style>.bk-notebook-logo {}</style><div><span id='fe6e'>Loading BokehJS ...</span></div>",
}
DRAW = "(function(root) { root.drawn = document.getElementById('b09b'); root.drawn.textContent = root.Bokeh.word; })(window);"
FIGURE = {"application/javascript": DRAW, "application/vnd.bokehjs_exec.v0+json": ""}


def bokeh_load(library):
    script = f"'use strict';\n(function(root) {{ {library} }})(window)"
    return {"application/javascript": script, "application/vnd.bokehjs_load.v0+json": script}


BOKEH_CDN = (
    LOGO,
    bokeh_load("const js_urls = ['https://cdn.bokeh.org/bokeh/release/bokeh-3.9.2.min.js']"),
    PLACE,
    FIGURE,
)
BOKEH_INLINE = (
    LOGO,
    bokeh_load(f"/* Bokeh Contributors {LIBRARY} </script> */ root.Bokeh = {{word: 'bokeh drew'}};"),
    PLACE,
    FIGURE,
)
SPEC = {"data": [{"type": "bar", "y": [1, 3]}], "layout": {}}
PLOTLY_5 = (
    {
        "text/html": "<script>if (typeof require !== 'undefined') { require.undef(\"plotly\");\n"
        f"define('plotly', function(require, exports, module) {{ /** plotly.js v2.35.2 {LIBRARY} */ module.exports = {{newPlot: (id) => {{ document.getElementById(id).textContent = 'plotly 5 drew'; }}}}; }});\n"
        "require(['plotly'], function(Plotly) { window._Plotly = Plotly; }); }</script>"
    },
    {
        "application/vnd.plotly.v1+json": SPEC,
        "text/html": '<div id="8e88" class="plotly-graph-div"></div><script>require(["plotly"], function(Plotly) { Plotly.newPlot("8e88", []) })</script>',
    },
)
PLOTLY_7 = (
    {
        "text/html": f"<script>/** plotly.js v4.1.1 {LIBRARY} */ window.Plotly = {{newPlot: (id) => {{ document.getElementById(id).textContent = 'plotly 7 drew'; }}}};</script>"
    },
    {
        "text/html": '<script src="https://cdnjs.cloudflare.com/ajax/libs/mathjax/3.2.2/es5/tex-svg.min.js"></script>'
        '<div id="5e62" class="plotly-graph-div"></div><script>Plotly.newPlot("5e62", [])</script>'
    },
)
ALTAIR = {
    "text/html": '<style>#altair-viz-1 {}</style><div id="altair-viz-1"></div><script>const paths = {"vega": "https://cdn.jsdelivr.net/npm/vega@6?noext"}; vegaEmbed("#altair-viz-1")</script>',
    "text/plain": "alt.Chart(...)",
}
PANEL_LOAD = {
    "application/javascript": "root.js = 'https://cdn.holoviz.org/panel/1.9.4/dist/panel.min.js'",
    "application/vnd.holoviews_load.v0+json": "the same",
}
PANEL = {
    "text/html": "<div id='67'><div id='68' data-root-id='67'></div></div><script type='application/javascript'>var docs_json = {}</script>",
    "application/vnd.holoviews_exec.v0+json": "",
    "text/plain": ":Curve   [x]   (y)",
}
ECHARTS = {
    "text/html": "<script>require.config({})</script><div id='c4'></div><script>require(['echarts'], draw)</script>"
}
LEAFLET = escape('<script src="https://cdn.jsdelivr.net/npm/leaflet@1.9.3/dist/leaflet.js"></script>', quote=True)
FOLIUM = {"text/html": f'<span>Make this Notebook Trusted to load map</span><iframe srcdoc="{LEAFLET}"></iframe>'}
DECK = escape("<script src='https://cdn.jsdelivr.net/npm/@deck.gl/jupyter-widget@~9.3.*/dist/index.js'></script>")
PYDECK = {"text/html": f'<iframe srcdoc="{DECK}"></iframe>', "text/plain": "{}"}
WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "80"}, "text/plain": "Map(center=[52, 10])"}


def shown(*bundles, with_scripts=False):
    """Return the outputs' HTML and how many of them scripts would draw."""
    budget = Budget(with_scripts=with_scripts)
    outputs = [{"output_type": "display_data", "metadata": {}, "data": data} for data in bundles]
    return str(outputs_html(outputs, budget)), budget.scripted


def said(*bundles):
    """Return the words that a reader of the document without scripts sees."""
    return unescape(re.sub(r"<[^>]+>", "", shown(*bundles)[0]))


@pytest.mark.parametrize(
    ("bundles", "library", "remedy"),
    [
        ([{"application/vnd.plotly.v1+json": SPEC}], "Plotly", 'environment_variables={"PLOTLY_RENDERER": "notebook"}'),
        ([PLOTLY_7[1]], "Plotly", 'environment_variables={"PLOTLY_RENDERER": "notebook"}'),
        (BOKEH_CDN, "Bokeh", 'environment_variables={"BOKEH_RESOURCES": "inline"}'),
        ([ALTAIR], "Altair", 'alt.renderers.enable("svg")'),
        ([{"application/vnd.vegalite.v6.json": SPEC}], "Altair", "vl-convert-python"),
        ([{"application/vnd.vegalite.v2+json": SPEC}], "Altair", "initialization_script"),
        ([{"application/vnd.vega.v5+json": SPEC}], "Altair", "alt.renderers"),
        ([PANEL_LOAD, PANEL], "HoloViews or Panel", 'hv.extension("bokeh", inline=True)'),
        ([ECHARTS], "pyecharts", "network"),
        ([FOLIUM], "folium", "network"),
        ([PYDECK], "pydeck", "network"),
    ],
)
def test_a_figure_without_its_library_says_which_it_is_and_what_to_set(bundles, library, remedy):
    text = said(*bundles)
    assert f"figure of {library}" in text
    assert "nothing here reaches" in text
    assert remedy in text
    assert "Loading" not in text
    assert "Trusted" not in text
    for with_scripts in (False, True):
        html, scripted = shown(*bundles, with_scripts=with_scripts)
        assert scripted == 0
        assert "<script" not in html
        assert "figure of" in html


def test_a_figure_that_is_only_described_has_its_description_folded():
    html, _ = shown({"application/vnd.plotly.v1+json": SPEC})
    assert "<details><summary>Its JSON</summary>" in html
    assert "bar" in html


@pytest.mark.parametrize("picture", [{"image/png": "iVBORw0K"}, {"image/svg+xml": "<svg/>"}])
@pytest.mark.parametrize("figure", [{"application/vnd.vegalite.v5+json": SPEC}, ALTAIR, PLOTLY_5[1], WIDGET])
def test_a_picture_beside_a_figure_is_shown_in_its_place(figure, picture):
    html, _ = shown(figure | picture)
    assert "<img" in html
    assert "nothing here reaches" not in html


def test_a_picture_in_the_figures_own_html_is_shown():
    """HoloViews with matplotlib, and ipympl."""
    image = '<script>1</script><img src="data:image/png;base64,iVBORw0K">'
    assert "<img" in shown(PANEL | {"text/html": image})[0]


@pytest.mark.parametrize("bundles", [BOKEH_INLINE, PLOTLY_5, PLOTLY_7])
def test_figures_whose_library_the_notebook_carries_are_offered(bundles):
    text = said(*bundles)
    assert "needs scripts" in text
    assert "environment_variables" not in text
    assert shown(*bundles)[1] == 1


def test_data_of_a_megabyte_is_no_library():
    large = PLOTLY_7[1]["text/html"].replace("[]", f"[{'1,' * 500_000}]")
    assert "PLOTLY_RENDERER" in said({"text/html": large})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"text/html": '<iframe width="4" src="https://www.youtube.com/embed/abc"></iframe>'}, "www.youtube.com"),
        ({"text/html": "<script src=//d3js.org/d3.js></script><div></div>"}, "d3js.org"),
        (WIDGET, "An interactive widget"),
    ],
)
def test_anything_else_from_a_network_or_a_kernel_is_named(data, words):
    text = said(data)
    assert words in text
    assert "needs scripts" not in text


def test_what_the_author_wrote_for_readers_without_scripts_is_shown():
    html, scripted = shown({"text/html": "<p id='plot'>not drawn</p><script>draw()</script>", "text/plain": "x"})
    assert html == '<div class="nb-html"><p id="plot">not drawn</p></div>'
    assert scripted == 1


def test_where_scripts_run_html_without_any_keeps_the_names_of_its_elements_and_stays_closed():
    html, _ = shown({"text/html": "<div id='there'><b>"}, with_scripts=True)
    assert html == '<div class="nb-html"><div id="there"><b></b></div></div>'


# -- in a browser --------------------------------------------------------------------------------------------------------

ITABLES = {
    "text/html": "<p id='table'></p><script type='module'>const text = \"document.getElementById('table').textContent = 'a module drew'\";"
    "await import(URL.createObjectURL(new Blob([text], {type: 'text/javascript'})))</script>"
}
ELEMENTS = (
    {"application/javascript": "element.innerHTML = '<b>in its place</b>'; const same = 1 // no line after it"},
    {"application/javascript": "const same = 'a name twice </script> drew'; element.append(same)"},
)


@pytest.mark.slow
@pytest.mark.browser
def test_figures_whose_library_the_notebook_carries_are_drawn():
    bundles = (*ELEMENTS, ITABLES, *BOKEH_INLINE, *PLOTLY_5, *PLOTLY_7)
    outputs = [{"output_type": "display_data", "metadata": {}, "data": data} for data in bundles]
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "", "outputs": outputs}
    raw = json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]})
    made = build_document(parse_notebook(raw, source="n"), title="job", with_scripts=True)
    with chromium() as browser:
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda problem: problems.append(str(problem)))
        page.set_content(f'<iframe sandbox="allow-scripts" srcdoc="{escape(made.html)}"></iframe>')
        main = page.frame_locator("iframe").locator("main")
        for drawn in (
            "in its place",
            "</script> drew",
            "a module drew",
            "bokeh drew",
            "plotly 5 drew",
            "plotly 7 drew",
        ):
            main.get_by_text(drawn).wait_for()
        assert problems == []


# -- what an output does with scripts, without its page --------------------------------------------------------------------------


def what(data, carried=frozenset()):
    html, script = str(data.get("text/html", "")), str(data.get("application/javascript", ""))
    return interactive(data, html, script, carried)


@pytest.mark.parametrize(
    "data", [{"text/html": "<b>a</b>"}, {"text/plain": "<script>"}, {}, {"text/html": "<scripted>"}]
)
def test_what_needs_no_script_is_nothing_of_the_kind(data):
    assert what(data) is None


@pytest.mark.parametrize(
    ("size", "text", "names"),
    [
        (200_000, "plotly.js v", {"Plotly"}),
        (200_000, "Bokeh Contributors", {"Bokeh", "HoloViews or Panel"}),
        (200_000, "Invalid specification", {"Altair (Vega)"}),
        (200_000, "nothing known", set()),
        (199_000, "plotly.js v", set()),
    ],
)
def test_a_library_is_told_by_its_size_and_a_text_in_it(size, text, names):
    for html, script in ((text + "x" * size, ""), ("", text + "x" * size), ("short", text + "x" * size)):
        assert carried_by(html, script) == names


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("application/vnd.plotly.v1+json", True),
        ("application/vnd.vegalite.v5+json", True),
        ("application/vnd.vegalite.v6.json", True),
        ("application/vnd.vega.v12+json", True),
        ("application/vnd.plotly.vx+json", False),
        ("application/json", False),
        ("x/application/vnd.plotly.v1+json", False),
    ],
)
def test_a_figures_description_is_told_by_its_form(name, is_one):
    assert spec_of({"text/plain": "x", name: SPEC}) == (SPEC if is_one else None)
    assert spec_of({name: {}}) is None


def test_scripts_of_another_kind_are_shown_as_they_are():
    found = what({"text/html": "<p>a</p><script>draw()</script>"})
    assert (found.what, found.script, found.why) == (
        "An interactive output",
        "<p>a</p><script>draw()</script>",
        "",
    )
    assert (found.is_part, found.has_place, found.code) == (False, False, "")
    found = what({"application/javascript": "draw()"})
    assert found.what == "JavaScript"
    assert found.script == "<script>(function (element) {draw()\n})(document.currentScript.parentElement)</script>"


def test_a_script_cannot_end_its_own_element():
    found = what({"application/javascript": "a = '</script><script><!--'; b = 1 < 2; c = '</SCRIPT>'"})
    within = found.script.removeprefix("<script>").removesuffix("</script>")
    assert within.count("\\x3C") == 4
    assert "b = 1 < 2" in within
    assert "<script" not in within
    assert "</script" not in within.lower()


def test_servers_that_are_not_reached_are_named():
    servers = "".join(f"<script src='https://s{number}.example/x.js'></script>" for number in range(4))
    found = what({"text/html": servers + servers})
    assert "it loads scripts from s0.example, s1.example, s2.example, and nothing here reaches" in found.why
    assert found.script == servers + servers
    framed = what({"text/html": '<iframe title="x" src="http://maps.example:80/a?b"></iframe>'})
    assert (framed.what, framed.why) == ("A page of maps.example:80", "nothing here reaches a network")
    assert framed.script == ""
    assert what({"text/html": "<iframe src='/local'></iframe>"}) is None
    within = escape("<script src='https://in.example/x.js'></script>", quote=True)
    assert what({"text/html": f'<iframe srcdoc="{within}"></iframe>'}).what == "A page of in.example"


def test_a_page_with_scripts_of_its_own_is_more_than_the_page_that_it_frames():
    found = what({"text/html": "<iframe src='https://a.example'></iframe><script>draw()</script>"})
    assert (found.what, found.why) == ("An interactive output", "")


def test_a_figure_whose_library_is_there_has_a_script_and_a_place():
    found = what(PLOTLY_7[1], frozenset({"Plotly"}))
    assert (found.what, found.why, found.has_place, found.is_part) == (
        "An interactive figure of Plotly",
        "",
        True,
        False,
    )
    assert found.script == PLOTLY_7[1]["text/html"]
    missing = what(PLOTLY_7[1], frozenset({"Bokeh"}))
    assert (missing.script, missing.has_place) == ("", True)
    assert missing.why == "the notebook does not carry the library, and nothing here reaches a network"
    assert (missing.code, missing.remedy[:12]) == (
        'environment_variables={"PLOTLY_RENDERER": "notebook"}',
        " on the task",
    )


def test_a_library_by_itself_is_a_part_and_says_whether_it_comes():
    (library, _), name = PLOTLY_5, frozenset({"Plotly"})
    found = what(library, name)
    assert (found.what, found.is_part) == ("Plotly is loaded here, for figures below", True)
    assert found.script.startswith("<script>(() => {")  # what version 5 of it asks for
    assert found.script.endswith(library["text/html"])
    loaded = what(bokeh_load("root.x = 1"), frozenset())
    assert (loaded.what, loaded.is_part, loaded.script) == (
        "Bokeh would be loaded here, from a network that nothing here reaches",
        True,
        "",
    )
    assert what(PLOTLY_7[0], name).script == PLOTLY_7[0]["text/html"]


def test_the_place_of_a_figure_and_a_sign_of_loading_are_not_worth_a_word():
    place = what(PLACE)
    assert (place.what, place.is_part, place.script) == ("", True, PLACE["text/html"])
    logo = what(LOGO)
    assert (logo.what, logo.is_part, logo.script) == ("", True, "")


@pytest.mark.parametrize(("data", "name"), [(ECHARTS, "pyecharts"), (FOLIUM, "folium (Leaflet)"), (PYDECK, "pydeck")])
def test_a_library_that_no_notebook_carries_has_no_remedy(data, name):
    found = what(data)
    assert found.what == f"An interactive figure of {name}"
    assert found.why == "its library or its map comes from a network, and nothing here reaches one"
    assert (found.code, found.remedy) == ("", "")


def test_a_widget_without_its_state_lives_no_more():
    found = what(WIDGET)
    assert (found.what, found.why, found.script) == (
        "An interactive widget",
        "it lives only while its kernel does",
        "",
    )
