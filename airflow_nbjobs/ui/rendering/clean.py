"""
HTML that a notebook wrote, as HTML that shows text, tables and images and does nothing else.

The first of three fences: sanitised here (by bleach, as nbconvert does), then served under a policy that allows no script and no request, in
a frame of opaque origin. What is not named below is dropped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import bleach
from bleach.css_sanitizer import CSSSanitizer
from bleach.html5lib_shim import Filter
from bs4 import BeautifulSoup

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
_TAGS = _HEADINGS | {
    *("a", "abbr", "b", "bdi", "blockquote", "br", "caption", "center", "cite", "code", "col", "colgroup"),
    *("dd", "del", "details", "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "font", "hr", "i", "img", "ins"),
    *("kbd", "li", "mark", "ol", "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "summary"),
    *("sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var"),
}
_ATTRIBUTES = {
    *("align", "alt", "class", "color", "colspan", "dir", "headers", "height", "lang", "rowspan", "scope", "span"),
    *("style", "title", "valign", "width", "start", "open"),
}
_PROPERTIES = {
    *("background-color", "border", "border-bottom", "border-collapse", "border-color", "border-left", "border-radius"),
    *("border-right", "border-spacing", "border-style", "border-top", "border-width", "color", "direction", "display"),
    *("font-family", "font-size", "font-style", "font-variant", "font-weight", "height", "letter-spacing"),
    *("line-height", "margin", "margin-bottom", "margin-left", "margin-right", "margin-top", "max-height", "max-width"),
    *("min-width", "opacity", "overflow", "overflow-x", "overflow-y", "padding", "padding-bottom", "padding-left"),
    *("padding-right", "padding-top", "text-align", "text-decoration", "text-indent", "vertical-align", "white-space"),
    *("width", "word-break"),
}
# Their content is code or belongs to another document; dropping the tags alone would leave it on the page as text.
_WITH_CONTENT = ("style", "script", "template", "noscript", "iframe", "object", "title", "textarea", "select", "xmp")
_HAS_CONTENT_TAG = re.compile(rf"<(?:{'|'.join(_WITH_CONTENT)})\b", re.IGNORECASE)
_IMAGE_DATA = re.compile(r"data:image/(?:png|jpeg|gif|webp|bmp);base64,[A-Za-z0-9+/=\s]*")
_OWN_IDS = re.compile(r"(?:cell-|nb-|failed)", re.IGNORECASE)


def _allowed(tag: str, name: str, value: str) -> bool:
    if tag == "a" and name == "href":
        return True  # kept or turned into a text by `_Links`
    if tag == "img" and name == "src":
        return _IMAGE_DATA.fullmatch(value) is not None
    if tag in _HEADINGS and name == "id":
        return _OWN_IDS.match(value) is None
    return name in _ATTRIBUTES


class _Links(Filter):  # type: ignore[misc]  # html5lib has no types
    """
    Make every link out of the notebook a text that shows its address.

    The frame may neither open windows nor leave, so such a link could only lead into an empty frame; and a click would tell a stranger
    who reads this notebook.
    """

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for token in super().__iter__():
            if token["type"] in ("StartTag", "EmptyTag") and token["name"] == "a":
                address = token["data"].get((None, "href"), "")
                if not address.startswith("#"):
                    token["data"].pop((None, "href"), None)
                    token["data"][(None, "title")] = address
                    token["data"][(None, "class")] = "nb-address"
            yield token


_CLEANER = bleach.Cleaner(
    tags=frozenset(_TAGS),
    attributes=_allowed,
    protocols=frozenset({"http", "https", "mailto", "data"}),
    strip=True,
    strip_comments=True,
    filters=[_Links],
    css_sanitizer=CSSSanitizer(allowed_css_properties=sorted(_PROPERTIES)),
)


def clean(html: str) -> str:
    """Return the fragment with everything removed that is no text, table, image of its own bytes, or style of those."""
    if _HAS_CONTENT_TAG.search(html):
        soup = BeautifulSoup(html, "html.parser")
        for element in soup.find_all(_WITH_CONTENT):
            element.decompose()
        html = str(soup)
    return str(_CLEANER.clean(html))
