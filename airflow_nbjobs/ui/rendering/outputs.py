"""
One output of a cell as HTML: in its best form that needs no script, or with its scripts where the reader asked for them.

Called by ``document.py``. Everything here is untrusted, down to whether a text is a text.
"""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bs4 import BeautifulSoup
from markupsafe import Markup, escape

from airflow_nbjobs.core.numbers import is_number
from airflow_nbjobs.ui.rendering.clean import Inserts, clean, without_marks
from airflow_nbjobs.ui.rendering.interactive import JAVASCRIPT, Interactive, carried_by, interactive, spec_of
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.pictures import svg_address
from airflow_nbjobs.ui.rendering.shrink import cut_length
from airflow_nbjobs.ui.rendering.text import (
    TEXT_CHARACTERS,
    error_html,
    notice,
    plain_text_of,
    printable,
    size,
    stream_of,
    text_html,
    text_of,
)
from airflow_nbjobs.ui.rendering.widgets import VIEW, Widgets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_nbjobs.ui.rendering.budget import Budget

_HTML_CHARACTERS = 512 * 1024  # sanitised at some MB a second
_HTML_TAGS = 15_000  # html5lib walks siblings in a time that grows with their square
_IMAGE_CHARACTERS = 8 * 1024 * 1024
_SCRIPTED_CHARACTERS = 16 * 1024 * 1024  # a plotting library that a notebook carries has 5 MB
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]+")
_NAMES_ELEMENT = re.compile(r"<[^>]{1,1000}?\sid\s*=", re.IGNORECASE)
_PICTURE = re.compile(r"<(?:img|table)\b")
# What a script is to fill or to draw on: an animation's picture, a canvas.
_UNFILLED = re.compile(
    r"<canvas\b|<img(?![^>]{0,1000}\ssrc\s*=)[^>]{0,1000}>|<(div|svg|table|tbody)\b[^>]{0,1000}\sid\s*=[^>]{0,1000}>\s*</\1>",
    re.IGNORECASE,
)
# Nothing to be seen, whatever becomes of it: an empty live display of Rich.
_NOTHING = re.compile(r"(?:\s|&nbsp;|</?(?:pre|code|div|span|p|br|b|i)\b[^>]{0,1000}>)*", re.IGNORECASE)
_NO_DESCRIPTION = re.compile(r"|<IPython\.[\w.]+ object>|<pandas\.io\.formats\.style\.Styler at 0x[0-9a-f]+>")


def outputs_html(
    outputs: Iterable[object], budget: Budget, where: str = "", *, made: dict[tuple[int, ...], Markup] | None = None
) -> Markup:
    """
    Return a cell's outputs; neighbouring pieces of one stream are one text, as the notebook's author saw it.

    :param where: the cell's name, for the log.
    :param made: what is rendered already, by the ``id`` of its outputs, and is not rendered again; what is rendered is added.
    """
    items = [output for output in outputs if isinstance(output, dict)]
    made = {} if made is None else made
    pieces: list[Markup] = []
    for stream, group in groupby(items, key=stream_of):
        for same in [list(group)] if stream else [[item] for item in group]:
            key = tuple(map(id, same))
            if key not in made:
                made[key] = budget.guard.piece(
                    f"{where}, output {len(pieces) + 1}",
                    lambda same=same, stream=stream: _output_html(same, stream, budget),  # type: ignore[misc]  # mypy cannot infer defaults
                    lambda same=same: "".join(plain_text_of(item) for item in same),  # type: ignore[misc]  # as above
                )
            pieces.append(made[key])
    return Markup("").join(pieces)


def _output_html(items: list[dict[str, Any]], stream: str, budget: Budget) -> Markup:
    if stream:
        return text_html("".join(text_of(item.get("text")) for item in items), budget, kind=stream)
    if items[0].get("output_type") == "error":
        return error_html(items[0], budget)
    data = items[0].get("data")
    return _data_html(data, items[0].get("metadata"), budget) if isinstance(data, dict) else Markup("")


def _data_html(data: Mapping[str, Any], metadata: object, budget: Budget) -> Markup:
    about = metadata if isinstance(metadata, dict) else {}
    widget = _widgets(budget).view(data[VIEW]) if VIEW in data else None
    if widget is not None:
        return widget
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
        return _interactive_html(found, data, about, budget)
    shown_form = _form_html(data, about, budget)
    if shown_form is not None:
        return shown_form
    plain = text_of(data.get("text/plain"))
    unseen = {"text/plain", "text/html"} if _NOTHING.fullmatch(html[:_HTML_CHARACTERS]) else {"text/plain"}
    rest = sorted(str(mime_type)[:80] for mime_type in data if mime_type not in unseen)
    said = notice(f"Not shown here: {', '.join(rest)[:200]}.") if rest else Markup("")
    if _NO_DESCRIPTION.fullmatch(plain.strip()):
        return said
    return text_html(plain, budget, kind="plain") + (said if _is_foreign(data) else Markup(""))


def _widgets(budget: Budget) -> Widgets:
    if budget.widgets is None:
        budget.widgets = Widgets(
            budget.metadata,
            outputs=partial(outputs_html, budget=budget),
            html=partial(_widget_html, budget=budget),
            image=lambda mime_type, text: _image({mime_type: text}, {}, mime_type, budget) or Markup(""),
        )
    return budget.widgets


def _is_foreign(data: Mapping[str, Any]) -> bool:
    """Say whether there is a form beside the text that no code here knows."""
    known = {"text/plain", *(mime_type for mime_type, _ in _FORMS)}
    return any(mime_type not in known for mime_type in data)


def _place_html(html: str) -> str:
    """Return script-free HTML with elements that a script of another output may look for: unchanged, but every element closed."""
    if len(html) > _HTML_CHARACTERS or html.count("<") > _HTML_TAGS or not _NAMES_ELEMENT.search(html):
        return ""
    return str(BeautifulSoup(html, "html.parser"))


def _form_html(data: Mapping[str, Any], about: Mapping[str, Any], budget: Budget) -> Markup | None:
    for mime_type, show in _FORMS:
        if mime_type in data:
            shown = show(data, about, mime_type, budget)
            if shown:
                return shown
    return None


def _interactive_html(found: Interactive, data: Mapping[str, Any], about: Mapping[str, Any], budget: Budget) -> Markup:
    """Return a picture of the output, where it has one, or what it is and why there is none."""
    if found.is_part:
        return notice(f"{found.what}.") if found.what else Markup("")
    others = {name: data[name] for name in data if name != "text/html"}
    html = (
        _html(data, about, "text/html", budget) if 0 < len(text_of(data.get("text/html"))) <= _HTML_CHARACTERS else None
    )
    is_whole = not (found.why or _UNFILLED.search(text_of(data.get("text/html"))[:_HTML_CHARACTERS]))
    if html is not None and _PICTURE.search(html) and (is_whole or found.why):
        return html
    shown = _form_html(others, about, budget)
    if shown is not None:
        return shown
    if html is not None and not found.has_place and (html.striptags() or _PICTURE.search(html)):
        is_said = is_whole or ('class="nb-left-out"' in html and not found.script)
        return html + (Markup("") if is_said else _undrawn(found, data, budget))
    described = text_of(data.get("text/plain"))
    plain = Markup("") if _NO_DESCRIPTION.fullmatch(described.strip()) else text_html(described, budget, kind="plain")
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
    text = _json({"spec": spec}, {}, "spec", budget)
    return said + Markup("</p><details><summary>Its JSON</summary>{}</details>").format(text or "")


def _whole(value: object) -> str:
    """Return a text that was not cut out of the file."""
    text = text_of(value)
    return "" if cut_length(text) is not None else text


def _image(data: Mapping[str, Any], metadata: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if too_large := _without_image(text, budget):
        return too_large
    if not text.strip() or not _BASE64.fullmatch(text):
        why = notice(f"An image is not shown: its {mime_type} is {'no base64' if text.strip() else 'empty'}.")
        return why + text_html(text_of(data.get("text/plain")), budget, kind="plain")
    return _img(f"data:{mime_type};base64,{''.join(text.split())}", mime_type, data, metadata)


def _svg(data: Mapping[str, Any], metadata: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if too_large := _without_image(text, budget):
        return too_large
    address = svg_address(printable(text))
    return _img(address, mime_type, data, metadata) if address else notice("An image in SVG cannot be read.")


def _without_image(text: str, budget: Budget) -> Markup | None:
    """Return what stands in place of an image for which there is no room, or which was cut out of the file."""
    length = cut_length(text) or len(text)
    if budget.take("image", length, _IMAGE_CHARACTERS if cut_length(text) is None else 0):
        return None
    return notice(f"An image of {size(length)} is not shown; it is in the .ipynb.")


def _img(address: str, mime_type: str, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> Markup:
    about = metadata.get(mime_type)
    about = about if isinstance(about, dict) else {}
    described = text_of(about.get("alt")) or text_of(data.get("text/plain"))
    return Markup('<img class="nb-image" alt="{}"{} src="{}">').format(
        printable(described.strip()[:200] or "Image without a description"), _dimensions(about), address
    )


def _dimensions(metadata: Mapping[str, Any]) -> Markup:
    """Return the size that an image is to have; one of a high resolution has more pixels than that."""
    width, height = (_pixels(metadata.get(name)) for name in ("width", "height"))
    if width and height:
        return Markup(' width="{}" style="aspect-ratio: {} / {}"').format(width, width, height)
    if height:
        return Markup(' style="height: {}px"').format(height)
    return Markup(' width="{}"').format(width) if width else Markup("")


def _pixels(value: object) -> int:
    if isinstance(value, str) and value.removesuffix("px").isdecimal():
        value = int(value.removesuffix("px")[:9])
    return round(value) if is_number(value) and 1 <= value <= 20_000 else 0


def _takes_html(text: str, budget: Budget) -> bool:
    if not budget.take("tags", text.count("<"), _HTML_TAGS):
        return False
    if not budget.take("html", cut_length(text) or len(text), _HTML_CHARACTERS):
        return False
    if "<style" in text:  # takes three times as long
        budget.left["html"] -= 2 * len(text)
    return True


def _html(data: Mapping[str, Any], _: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    return _html_text(text, budget) if _takes_html(text, budget) else None  # the text form, where there is one


def _widget_html(text: str, budget: Budget) -> Markup:
    if not _takes_html(text, budget):
        return notice(f"HTML of {size(len(text))} is not shown; it is in the .ipynb.")
    return _html_text(text, budget)


def _html_text(text: str, budget: Budget) -> Markup:
    """Return a piece of HTML in a box that nothing of it leaves; empty where nothing of it is to be seen."""
    scope = f"nb-out-{budget.styled}"
    cleaned = clean(printable(text), scope=scope)
    if cleaned.is_blank:
        return Markup("")
    box = "nb-html nb-island" if cleaned.has_colours else "nb-html"
    html = Markup(cleaned.html.strip())  # noqa: S704 - cleaned
    if not cleaned.sheet:
        return Markup('<div class="{}">{}</div>').format(box, html)
    budget.styled += 1
    sheet = Markup(cleaned.sheet)  # noqa: S704 - sanitised, and holds no "<"
    return Markup('<div class="{}" id="{}"><style>{}</style>{}</div>').format(box, scope, sheet, html)


def _markdown(data: Mapping[str, Any], _: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if not _takes_html(text, budget):
        return None
    return Markup('<div class="nb-markdown">{}</div>').format(markdown_html(printable(text), formulas=budget.formulas))


def _latex(data: Mapping[str, Any], _: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    text = text_of(data[mime_type])
    if not text.strip() or not budget.take("text", len(text), TEXT_CHARACTERS):
        return None
    inserts = Inserts()
    marked = "".join(
        escape(without_marks(piece)) if isinstance(piece, str) else inserts.mark(piece)
        for piece in budget.formulas.pieces(printable(text))
    )
    return Markup('<div class="nb-latex">{}</div>').format(Markup(clean(marked, inserts=inserts).html))  # noqa: S704 - cleaned


def _json(data: Mapping[str, Any], _: Mapping[str, Any], mime_type: str, budget: Budget) -> Markup | None:
    try:
        return text_html(json.dumps(data[mime_type], indent=2, ensure_ascii=False), budget, kind="plain")
    except (ValueError, RecursionError):
        return None


_FORMS: tuple[tuple[str, Callable[[Mapping[str, Any], Mapping[str, Any], str, Budget], Markup | None]], ...] = (
    ("text/html", _html),
    ("text/markdown", _markdown),
    *((mime_type, _image) for mime_type in _IMAGES),
    ("image/svg+xml", _svg),
    ("text/latex", _latex),
    ("application/json", _json),
)
