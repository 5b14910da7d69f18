"""
Outputs that scripts draw: by which library, whether they can be drawn here, and what their author can set where they cannot.

Called by ``outputs.py``. Pure: reads one bundle of forms and what earlier outputs of the notebook brought along. Nothing here reaches a network, so
a library that an output asks for by its address is not there; one that the notebook carries is.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

# No plotting library is shorter, and what only loads one from its address has some 10,000.
_LIBRARY_CHARACTERS = 200_000
_READ_CHARACTERS = 512 * 1024  # of an output in which addresses are looked for
JAVASCRIPT = "application/javascript"
_WIDGET = "application/vnd.jupyter.widget-view+json"
_SPEC = re.compile(r"application/vnd\.(?:plotly\.v\d+|vega(?:lite)?\.v\d+)[+.]json")
_HAS_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)
_ADDRESS = re.compile(
    r"""<(script|iframe)\b[^>]{0,300}?\ssrc\s*=\s*["']?(?:https?:)?//([^/"'\s>?#]{1,200})""", re.IGNORECASE
)
# Outputs that say no more than that a library is being loaded: Bokeh's, and two of Panel's.
_SIGNS = ("bk-notebook-logo", "panel.models.browser.BrowserInfo", "esms-options")
_SCRIPT_IN_SCRIPT = re.compile(r"<(?=/?script|!--)", re.IGNORECASE)
# Up to version 5 Plotly's renderer `notebook` hands its library to RequireJS, which Jupyter's classic page had.
_DEFINES_PLOTLY = "define('plotly', function(require, exports, module)"
_DEFINE = """<script>(() => {
  const made = {};
  window.define = (name, make) => { const module = { exports: {} }; make(null, module.exports, module); made[name] = module.exports; };
  window.require = (names, use) => use(...names.map((name) => made[name]));
  window.require.undef = (name) => { delete made[name]; };
})();</script>"""


class Library(msgspec.Struct, frozen=True):
    """
    A plotting library that people use in notebooks.

    :param forms: media types of its own, one of which begins with each of these.
    :param figure: a text in every figure of it.
    :param itself: a text in the library itself; empty for one that no notebook carries.
    :param code: what to set so that a notebook carries it; ``remedy`` says where.
    """

    name: str
    forms: tuple[str, ...] = ()
    figure: tuple[str, ...] = ()
    itself: str = ""
    code: str = ""
    remedy: str = ""


_ON_THE_TASK = " on the task: what it runs from then on brings the library along."
LIBRARIES = (
    Library(
        "Plotly",
        ("application/vnd.plotly.",),
        ("plotly-graph-div", "Plotly.newPlot("),
        "plotly.js v",
        'environment_variables={"PLOTLY_RENDERER": "notebook"}',
        _ON_THE_TASK,
    ),
    Library(
        "Bokeh",
        ("application/vnd.bokehjs_",),
        ("data-root-id", "cdn.bokeh.org", "bk-notebook-logo"),
        "Bokeh Contributors",
        'environment_variables={"BOKEH_RESOURCES": "inline"}',
        _ON_THE_TASK,
    ),
    Library(
        "HoloViews or Panel",
        ("application/vnd.holoviews_",),
        ("cdn.holoviz.org",),
        "Bokeh Contributors",
        'hv.extension("bokeh", inline=True)',
        ' in the notebook; of Panel alone: environment_variables={"PANEL_INLINE": "true"} on the task.',
    ),
    Library(
        "Altair (Vega)",
        ("application/vnd.vega",),
        ("vegaEmbed",),
        "Invalid specification",
        'alt.renderers.enable("svg")',
        " in the notebook, or by an initialization_script of the task (the README has one); it takes the package vl-convert-python.",
    ),
    Library("pyecharts", figure=("require(['echarts'",)),
    Library("folium (Leaflet)", figure=("leaflet.js",)),
    Library("pydeck", figure=("deck.gl",)),
)


class Interactive(msgspec.Struct, frozen=True):
    """
    What an output does with scripts.

    :param what: the beginning of a sentence: what the output is; empty for what is not worth a word.
    :param script: its HTML with its scripts; empty where they could draw nothing.
    :param why: the end of the sentence: why nothing draws it; empty where scripts do.
    :param code: what to set; ``remedy`` says where.
    :param has_place: its HTML is but the place that the library draws into.
    :param is_part: it shows nothing itself: it loads a library, or is the place where a figure comes.
    """

    what: str
    script: str = ""
    why: str = ""
    code: str = ""
    remedy: str = ""
    has_place: bool = False
    is_part: bool = False


def interactive(data: Mapping[str, object], html: str, script: str, carried: AbstractSet[str]) -> Interactive | None:
    """
    Return what the output does with scripts; None where it needs none.

    :param html: its form ``text/html``.
    :param script: its form ``application/javascript``.
    :param carried: names of the libraries that it and the outputs before it bring along.
    """
    runnable = _runnable(html, script)
    library = _library_of(data, html, script)
    if library is not None:
        return _of_library(library, data, html, script, runnable if library.name in carried else "")
    if _WIDGET in data:
        return Interactive("An interactive widget", why="it lives only while its kernel does")
    loaded, framed = _hosts(html)
    if framed and not runnable:
        return Interactive(f"A page of {framed}", why="nothing here reaches a network")
    if loaded:
        why = f"it loads scripts from {loaded}, and nothing here reaches a network; parts of it may be missing"
        return Interactive("An interactive output", script=runnable, why=why)
    if runnable:
        return Interactive("JavaScript" if script else "An interactive output", script=runnable)
    return None


def carried_by(html: str, script: str) -> frozenset[str]:
    """Return the names of the libraries that the output brings along, and not by their address."""
    text = html if len(html) > len(script) else script
    if len(text) < _LIBRARY_CHARACTERS:
        return frozenset()
    return frozenset(library.name for library in LIBRARIES if library.itself and library.itself in text)


def spec_of(data: Mapping[str, object]) -> object | None:
    """Return the figure's description in its library's own JSON, where the output has one."""
    return next((form for name, form in data.items() if _SPEC.fullmatch(str(name)) and form), None)


def _of_library(library: Library, data: Mapping[str, object], html: str, script: str, runnable: str) -> Interactive:
    if "data-root-id" in html and not script and not _HAS_SCRIPT.search(html):
        return Interactive("", script=html, is_part=True)
    if any(sign in html for sign in _SIGNS):
        return Interactive("", script=runnable, is_part=True)
    if _loads(data) or _is_library_alone(library, html, script):
        where = (
            "is loaded here, for figures below"
            if runnable
            else "would be loaded here, from a network that nothing here reaches"
        )
        return Interactive(f"{library.name} {where}", script=runnable, is_part=True)
    what = f"An interactive figure of {library.name}"
    if runnable:
        return Interactive(what, script=runnable, has_place=True)
    if library.itself:
        why = "the notebook does not carry the library, and nothing here reaches a network"
    else:
        why = "its library or its map comes from a network, and nothing here reaches one"
    return Interactive(what, why=why, code=library.code, remedy=library.remedy, has_place=True)


def _library_of(data: Mapping[str, object], html: str, script: str) -> Library | None:
    formed = next((library for library in LIBRARIES if _has_form(library, data)), None)
    if formed is not None:
        return formed
    text, begin = html or script, (html or script)[:_READ_CHARACTERS]
    if not (script or _HAS_SCRIPT.search(begin) or any(sign in begin for sign in ("srcdoc", "data-root-id", *_SIGNS))):
        return None
    alone = (library for library in LIBRARIES if _is_library_alone(library, html, script))
    return next(alone, None) or next((each for each in LIBRARIES if any(mark in text for mark in each.figure)), None)


def _is_library_alone(library: Library, html: str, script: str) -> bool:
    return library.name in carried_by(html, script) and not any(mark in html for mark in library.figure[:1])


def _has_form(library: Library, data: Mapping[str, object]) -> bool:
    return any(str(name).startswith(form) for name in data for form in library.forms)


def _loads(data: Mapping[str, object]) -> bool:
    return any(str(name).endswith("_load.v0+json") for name in data)


def _hosts(html: str) -> tuple[str, str]:
    """Return the names of the servers that its scripts come from, and of those whose pages it shows."""
    text = html[:_READ_CHARACTERS]
    if "srcdoc" in text:
        text += unescape(text)
    found: dict[str, dict[str, None]] = {"script": {}, "iframe": {}}
    for kind, host in _ADDRESS.findall(text):
        found[kind.lower()][host] = None
    return ", ".join(list(found["script"])[:3]), ", ".join(list(found["iframe"])[:3])


def _runnable(html: str, script: str) -> str:
    if script:
        # As JupyterLab runs it: in a scope of its own, with `element` for the place of the output. Inside a script element the marks that would end it
        # stand in a string or a comment, where this form of them means the same.
        safe = _SCRIPT_IN_SCRIPT.sub(r"\\x3C", script)
        return f"{html}<script>(function (element) {{{safe}\n}})(document.currentScript.parentElement)</script>"
    if not _HAS_SCRIPT.search(html):
        return ""
    return _DEFINE + html if _DEFINES_PLOTLY in html else html
