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

from bs4 import BeautifulSoup
from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html

from airflow_nbjobs.core.failure import strip_ansi
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.rendering.clean import clean
from airflow_nbjobs.ui.rendering.guard import Guard
from airflow_nbjobs.ui.rendering.interactive import JAVASCRIPT, Interactive, carried_by, interactive, spec_of
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.shrink import cut_length
from airflow_nbjobs.ui.rendering.tracebacks import sections

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
_OWN_SECONDS = 12.0
_NO_COLOUR = re.compile(
    r"\x1b\[(?:[\d;]*;)?[34]8m"
)  # says that a colour follows; nbconvert's reading fails where none does
_NAMES_ELEMENT = re.compile(r"<[^>]{1,1000}?\sid\s*=", re.IGNORECASE)
_PICTURE = re.compile(r"<(?:img|table)\b")


@dataclass(slots=True)
class Budget:
    """
    What may still be shown of each kind; one for a whole notebook.

    :ivar scripted: outputs that do more with scripts.
    :ivar carried: libraries that the outputs so far bring along.
    """

    with_scripts: bool = False
    guard: Guard = field(default_factory=lambda: Guard(_OWN_SECONDS))
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
    carried: frozenset[str] = frozenset()

    def take(self, kind: str, characters: int, limit: int) -> bool:
        if characters > limit or characters > self.left[kind]:
            self.refused += 1
            return False
        self.left[kind] -= characters
        return True

    def notices(self) -> list[str]:
        """Return what a reader should know of all that is not shown as it should be."""
        found = []
        if self.refused:
            found.append(f"{self.refused} large output(s) are shown in part or not at all; the .ipynb has them.")
        if self.guard.unrendered:
            found.append(f"{self.guard.unrendered} piece(s) could not be rendered; each says why, in its place.")
        if self.guard.is_out_of_time:
            found.append("Rendering all of the notebook would take too long: some of it is shown as plain text.")
        return found


def text_of(value: object) -> str:
    """Return a text of the notebook format, which may be a list of lines; empty for anything else."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def notice(text: str) -> Markup:
    return Markup('<p class="nb-notice">{}</p>').format(text)


def outputs_html(outputs: Iterable[object], budget: Budget, where: str = "") -> Markup:
    """
    Return a cell's outputs; neighbouring pieces of one stream are one text, as the notebook's author saw it.

    :param where: the cell's name, for the log.
    """
    items = [output for output in outputs if isinstance(output, dict)]
    pieces: list[Markup] = []
    for stream, group in groupby(items, key=_stream_of):
        for same in [list(group)] if stream else [[item] for item in group]:
            html = budget.guard.piece(
                f"{where}, output {len(pieces) + 1}",
                lambda same=same, stream=stream: _output_html(same, stream, budget),  # type: ignore[misc]  # mypy cannot infer defaults
                lambda same=same: "".join(plain_text_of(item) for item in same),  # type: ignore[misc]  # as above
            )
            pieces.append(html)
    return Markup("").join(pieces)


def _output_html(items: list[dict[str, Any]], stream: str, budget: Budget) -> Markup:
    if stream:
        return text_html("".join(text_of(item.get("text")) for item in items), budget, kind=stream)
    if items[0].get("output_type") == "error":
        return error_html(items[0], budget)
    data = items[0].get("data")
    return _data_html(data, budget) if isinstance(data, dict) else Markup("")


def plain_text_of(output: Mapping[str, Any]) -> str:
    """Return what an output is without any rendering: its text, else the names of its forms."""
    data = output.get("data")
    if isinstance(data, dict):
        text = text_of(data.get("text/plain"))
        names = ", ".join(sorted(str(name)[:80] for name in data))[:300]
        return strip_ansi(text) or (f"(an output of type {names})" if names else "")
    if output.get("output_type") == "error":
        return strip_ansi(_traceback_of(output))
    return strip_ansi(text_of(output.get("text")))


def _stream_of(output: Mapping[str, Any]) -> str:
    if output.get("output_type") != "stream":
        return ""
    return "stderr" if output.get("name") == "stderr" else "stdout"


def error_html(output: Mapping[str, Any], budget: Budget) -> Markup:
    """Return a traceback whose frames of libraries, and whose long texts of exceptions, open on a click."""
    text, more = _within(_traceback_of(output), budget)
    shown = Markup("").join(
        _details(title, lines) if title else _pre(lines) for title, lines in sections(text.rstrip("\n").split("\n"))
    )
    return Markup('<div class="nb-text nb-error">{}</div>{}').format(shown, more)


def _traceback_of(output: Mapping[str, Any]) -> str:
    traceback = output.get("traceback")
    lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
    return "\n".join(lines) or f"{text_of(output.get('ename'))}: {text_of(output.get('evalue'))}"


def text_html(text: str, budget: Budget, *, kind: str) -> Markup:
    """Return terminal text with its colours, long ones folded; what a carriage return overwrote is gone, as on a terminal."""
    cut = cut_length(text)
    if cut is not None:
        return notice(f"Text of {_size(cut)} is not shown; it is in the .ipynb.")
    shown, more = _within("\n".join(_overwritten(line) for line in text.rstrip("\n").split("\n")), budget)
    lines = shown.split("\n")
    body = _folded(lines) if len(lines) > _LONG_LINES else _pre(lines)
    return Markup('<div class="nb-text nb-{}">{}</div>{}').format(kind, body, more)


def _within(text: str, budget: Budget) -> tuple[str, Markup]:
    """Return as much of a text as there is room for, its beginning and its end, and a notice if that is not all."""
    if budget.take("text", len(text), _TEXT_CHARACTERS):
        return text, Markup("")
    half = max(min(_TEXT_CHARACTERS, budget.left["text"]) // 2, 1000)
    budget.left["text"] = max(budget.left["text"] - 2 * half, 0)
    if len(text) <= 2 * half:
        return text, Markup("")
    more = notice(f"{_size(len(text) - 2 * half)} in the middle are not shown; they are in the .ipynb.")
    return f"{text[:half]}\n…\n{text[-half:]}", more


def _overwritten(line: str) -> str:
    if "\r" in line:
        line = line.rstrip("\r").rpartition("\r")[2]
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"


def _pre(lines: list[str]) -> Markup:
    text = _NO_COLOUR.sub("", "\n".join(lines))
    return Markup("<pre>{}</pre>").format(Markup(ansi2html(_printable(text))))  # noqa: S704 - it escapes


def _details(title: str, lines: list[str]) -> Markup:
    return Markup("<details><summary>{}</summary>{}</details>").format(title, _pre(lines))


def _folded(lines: list[str]) -> Markup:
    head, middle, tail = lines[:_HEAD_LINES], lines[_HEAD_LINES:-_TAIL_LINES], lines[-_TAIL_LINES:]
    return _pre(head) + _details(f"{len(middle):,} more lines", middle) + _pre(tail)


def _printable(text: str) -> str:
    # Before it is parsed: a NUL ends some parsers' text. ESC begins a colour.
    return visible(text, but="\x1b")


def _data_html(data: Mapping[str, Any], budget: Budget) -> Markup:
    html, script = _whole(data.get("text/html")), _whole(data.get(JAVASCRIPT))
    budget.carried |= carried_by(html, script)
    found = interactive(data, html, script, budget.carried)
    if found is not None and found.script and not found.is_part:
        budget.scripted += 1
    if budget.with_scripts:
        verbatim = found.script if found is not None else _place_html(html)
        if verbatim and budget.take("scripted", len(verbatim), _SCRIPTED_CHARACTERS):
            # Word for word: served under a policy of its own, into a frame of opaque origin that reaches no network.
            shown = Markup('<div class="nb-html">{}</div>').format(Markup(verbatim))  # noqa: S704 - as said above
            return shown + _undrawn(found, data, budget) if found is not None and found.why else shown
    if found is not None:
        return _interactive_html(found, data, budget)
    shown_form = _form_html(data, budget)
    if shown_form is not None:
        return shown_form
    if "text/plain" in data:
        return text_html(text_of(data["text/plain"]), budget, kind="plain")
    return notice(f"An output of type {', '.join(sorted(map(str, data)))[:200]} is not shown.") if data else Markup("")


def _place_html(html: str) -> str:
    """Return HTML without scripts whose elements a script of another output may look for, as it is but with every element closed."""
    if len(html) > _HTML_CHARACTERS or html.count("<") > _HTML_TAGS or not _NAMES_ELEMENT.search(html):
        return ""
    return str(BeautifulSoup(html, "html.parser"))


def _form_html(data: Mapping[str, Any], budget: Budget) -> Markup | None:
    for mime_type, show in _FORMS:
        if mime_type in data:
            shown = show(data, mime_type, budget)
            if shown is not None:
                return shown
    return None


def _interactive_html(found: Interactive, data: Mapping[str, Any], budget: Budget) -> Markup:
    """Return a picture of the output, where it has one, or what it is and why there is none."""
    if found.is_part:
        return notice(f"{found.what}.") if found.what else Markup("")
    others = {name: data[name] for name in data if name != "text/html"}
    html = _html(data, "text/html", budget) if 0 < len(text_of(data.get("text/html"))) <= _HTML_CHARACTERS else None
    if html is not None and _PICTURE.search(html):
        return html
    shown = _form_html(others, budget)
    if shown is not None:
        return shown
    if html is not None and not found.has_place and html.striptags():
        return html + (_undrawn(found, data, budget) if found.why else Markup(""))
    plain = text_html(text_of(data["text/plain"]), budget, kind="plain") if "text/plain" in data else Markup("")
    return plain + _undrawn(found, data, budget)


def _undrawn(found: Interactive, data: Mapping[str, Any], budget: Budget) -> Markup:
    if not found.why:
        return notice(f"{found.what}, which needs scripts to be shown.")
    said = Markup('<p class="nb-notice">{}: {}.').format(found.what, found.why)
    if found.code:
        said += Markup(" To see it here, set <code>{}</code>{}").format(found.code, found.remedy)
    spec = spec_of(data)
    if spec is None:
        return said + Markup("</p>")
    text = _json({"spec": spec}, "spec", budget)
    return said + Markup("</p><details><summary>Its JSON</summary>{}</details>").format(text or "")


def _whole(value: object) -> str:
    """Return a text that was not cut out of the file."""
    text = text_of(value)
    return "" if cut_length(text) is not None else text


def _image(data: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    length = cut_length(text) or len(text)
    if not budget.take("image", length, _IMAGE_CHARACTERS if text and cut_length(text) is None else 0):
        return notice(f"An image of {_size(length)} is not shown; it is in the .ipynb.")
    if not _BASE64.fullmatch(text):
        why = notice(f"An image is not shown: its {mime_type} is {'no base64' if text.strip() else 'empty'}.")
        return why + text_html(text_of(data.get("text/plain")), budget, kind="plain")
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
