"""
One output of a cell as HTML: the best form of it that needs no script, or, for a reader who has asked for them, with its scripts.

Called by ``document.py``. Everything here is untrusted, down to whether a text is a text.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html

from airflow_nbjobs.ui.rendering.clean import clean
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.shrink import cut_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_HTML_CHARACTERS = 512 * 1024  # sanitised at some MB a second
_HTML_TAGS = 15_000  # html5lib walks siblings in a time that grows with their square
_ALL_HTML_TAGS = 60_000
_IMAGE_CHARACTERS = 8 * 1024 * 1024
_ALL_IMAGES_CHARACTERS = 24 * 1024 * 1024
_ALL_HTML_CHARACTERS = 4 * 1024 * 1024
_ALL_TEXT_CHARACTERS = 8 * 1024 * 1024
_TEXT_CHARACTERS = 512 * 1024
_SCRIPTED_CHARACTERS = 16 * 1024 * 1024  # a plotting library that a notebook carries has 5 MB
_ALL_SCRIPTED_CHARACTERS = 24 * 1024 * 1024
_LONG_LINES = 40  # more are folded
_HEAD_LINES, _TAIL_LINES = 20, 10
_LINE_CHARACTERS = 20_000
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_JAVASCRIPT = "application/javascript"
_HAS_SCRIPT = re.compile(r"<script\b", re.IGNORECASE)
_NEEDS_SCRIPT = {
    _JAVASCRIPT: "JavaScript",
    "application/vnd.jupyter.widget-view+json": "an interactive widget",
    "application/vnd.plotly.v1+json": "an interactive Plotly figure",
    "application/vnd.bokehjs_exec.v0+json": "an interactive Bokeh figure",
}


@dataclass(slots=True)
class Budget:
    """
    What may still be shown of each kind; one for a whole notebook.

    :ivar scripted: outputs that do more with scripts.
    """

    with_scripts: bool = False
    left: dict[str, int] = field(
        default_factory=lambda: {
            "image": _ALL_IMAGES_CHARACTERS,
            "html": _ALL_HTML_CHARACTERS,
            "tags": _ALL_HTML_TAGS,
            "text": _ALL_TEXT_CHARACTERS,
            "scripted": _ALL_SCRIPTED_CHARACTERS,
        }
    )
    refused: int = 0
    scripted: int = 0

    def take(self, kind: str, characters: int, limit: int) -> bool:
        if characters > limit or characters > self.left[kind]:
            self.refused += 1
            return False
        self.left[kind] -= characters
        return True


def text_of(value: object) -> str:
    """Return a text of the notebook format, which may be a list of lines; empty for anything else."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def notice(text: str) -> Markup:
    return Markup('<p class="nb-notice">{}</p>').format(text)


def outputs_html(outputs: Iterable[object], budget: Budget) -> Markup:
    """Return a cell's outputs; neighbouring pieces of one stream are one text, as the notebook's author saw it."""
    pieces: list[Markup] = []
    items = [output for output in outputs if isinstance(output, dict)]
    for stream, group in groupby(items, key=_stream_of):
        if stream:
            pieces.append(text_html("".join(text_of(item.get("text")) for item in group), budget, kind=stream))
            continue
        for item in group:
            if item.get("output_type") == "error":
                pieces.append(error_html(item, budget))
            elif isinstance(item.get("data"), dict):
                pieces.append(_data_html(item["data"], budget))
    return Markup("").join(pieces)


def _stream_of(output: Mapping[str, Any]) -> str:
    if output.get("output_type") != "stream":
        return ""
    return "stderr" if output.get("name") == "stderr" else "stdout"


def error_html(output: Mapping[str, Any], budget: Budget) -> Markup:
    traceback = output.get("traceback")
    lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
    text = "\n".join(lines) or f"{text_of(output.get('ename'))}: {text_of(output.get('evalue'))}"
    return text_html(text, budget, kind="error")


def text_html(text: str, budget: Budget, *, kind: str) -> Markup:
    """Return terminal text with its colours, long ones folded; what a carriage return overwrote is gone, as on a terminal."""
    cut = cut_length(text)
    if cut is not None:
        return notice(f"Text of {_size(cut)} is not shown; it is in the .ipynb.")
    lines = [_overwritten(line) for line in text.rstrip("\n").split("\n")]
    shown = "\n".join(lines)
    more: Markup = Markup("")
    if not budget.take("text", len(shown), _TEXT_CHARACTERS):
        half = max(min(_TEXT_CHARACTERS, budget.left["text"]) // 2, 1000)
        more = notice(f"{_size(len(shown) - 2 * half)} in the middle are not shown; they are in the .ipynb.")
        budget.left["text"] = max(budget.left["text"] - 2 * half, 0)
        lines = [*shown[:half].split("\n"), "…", *shown[-half:].split("\n")]
    body = _folded(lines) if len(lines) > _LONG_LINES else _pre(lines)
    return Markup('<div class="nb-text nb-{}">{}</div>{}').format(kind, body, more)


def _overwritten(line: str) -> str:
    if "\r" in line:
        line = line.rstrip("\r").rpartition("\r")[2]
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"


def _pre(lines: list[str]) -> Markup:
    return Markup("<pre>{}</pre>").format(Markup(ansi2html(_printable("\n".join(lines)))))  # noqa: S704 - it escapes


def _folded(lines: list[str]) -> Markup:
    head, middle, tail = lines[:_HEAD_LINES], lines[_HEAD_LINES:-_TAIL_LINES], lines[-_TAIL_LINES:]
    return Markup("{}<details><summary>{} more lines</summary>{}</details>{}").format(
        _pre(head), f"{len(middle):,}", _pre(middle), _pre(tail)
    )


def _printable(text: str) -> str:
    # A lone surrogate cannot be written as UTF-8; a NUL ends some parsers' text; controls that turn text around hide what is written.
    return re.sub("[\x00\ud800-\udfff\u202a-\u202e\u2066-\u2069]", "\ufffd", text)


def _data_html(data: Mapping[str, Any], budget: Budget) -> Markup:
    scripted = _scripted_html(data)
    if scripted:
        budget.scripted += 1
        if budget.with_scripts and budget.take("scripted", len(scripted), _SCRIPTED_CHARACTERS):
            # Word for word: served under a policy of its own, into a frame of opaque origin that reaches no network.
            return Markup('<div class="nb-html">{}</div>').format(Markup(scripted))  # noqa: S704 - as said above
    for mime_type, show in _FORMS:
        if mime_type in data:
            shown = show(data, mime_type, budget)
            if shown is not None:
                return shown
    what = next((name for mime_type, name in _NEEDS_SCRIPT.items() if mime_type in data), None)
    if "text/plain" in data:
        plain = text_html(text_of(data["text/plain"]), budget, kind="plain")
        return plain + notice(f"This is {what}, which needs scripts to be shown.") if what else plain
    if what:
        return notice(f"Here is {what}, which needs scripts to be shown.")
    return notice(f"An output of type {', '.join(sorted(map(str, data)))[:200]} is not shown.") if data else Markup("")


def _scripted_html(data: Mapping[str, Any]) -> str:
    """Return the output with its scripts; empty where it has none, or they were cut out."""
    html, script = text_of(data.get("text/html")), text_of(data.get(_JAVASCRIPT))
    if cut_length(html) is not None or cut_length(script) is not None:
        return ""
    if script:
        return f"{html}<script>{script}</script>"
    return html if _HAS_SCRIPT.search(html) else ""


def _image(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    length = cut_length(text) or len(text)
    if not budget.take("image", length, _IMAGE_CHARACTERS if text and cut_length(text) is None else 0):
        return notice(f"An image of {_size(length)} is not shown; it is in the .ipynb.")
    if not _BASE64.fullmatch(text):
        return None
    return _img(mime_type, "".join(text.split()), data)


def _svg(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    length = cut_length(text) or len(text)
    if not budget.take("image", length, _IMAGE_CHARACTERS if cut_length(text) is None else 0):
        return notice(f"An image of {_size(length)} is not shown; it is in the .ipynb.")
    # As an image, not as a part of the page: a browser runs no script of an SVG image and loads nothing that it names.
    return _img(mime_type, base64.b64encode(text.encode("utf-8", "replace")).decode(), data)


def _img(mime_type: str, encoded: str, data: Mapping[str, Any]) -> Markup:
    described = text_of(data.get("text/plain")).strip()[:200] or "Image without a description"
    return Markup('<img class="nb-image" alt="{}" src="data:{};base64,{}">').format(
        _printable(described), mime_type, encoded
    )


def _takes_html(text: str, budget: Budget) -> bool:
    return budget.take("tags", text.count("<"), _HTML_TAGS) and budget.take(
        "html", cut_length(text) or len(text), _HTML_CHARACTERS
    )


def _html(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if not _takes_html(text, budget):
        return None  # the text form, where there is one
    shown = clean(_printable(text)).strip()
    return Markup('<div class="nb-html">{}</div>').format(Markup(shown)) if shown else None  # noqa: S704 - cleaned


def _markdown(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if not _takes_html(text, budget):
        return None
    return Markup('<div class="nb-markdown">{}</div>').format(markdown_html(_printable(text)))


def _latex(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    return text_html(text_of(data[mime_type]), budget, kind="plain")


def _json(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    try:
        return text_html(json.dumps(data[mime_type], indent=2, ensure_ascii=False), budget, kind="plain")
    except (ValueError, RecursionError):
        return None


_FORMS: tuple[tuple[str, Callable[[Mapping[str, Any], str, Budget], Markup | None]], ...] = (
    ("text/html", _html),
    ("text/markdown", _markdown),
    *((mime_type, _image) for mime_type in _IMAGES),
    ("image/svg+xml", _svg),
    ("text/latex", _latex),
    ("application/json", _json),
)


def _size(count: int) -> str:
    return f"{count / 1024**2:.1f} MB" if count >= 1024**2 else f"{max(count, 0) / 1024:.0f} kB"
