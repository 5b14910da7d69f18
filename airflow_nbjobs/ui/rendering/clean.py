"""
HTML of a notebook, sanitised: it shows text, tables, images and formulas in its author's colours and does nothing else.

The first of three fences: sanitised here (by bleach, as nbconvert does), then served under a policy that allows no script and no request, in
a frame of opaque origin. What ``allowed.py`` does not name is dropped. Pictures in SVG become images, formulas are put in after sanitising: neither SVG nor
MathML goes through a parser of HTML.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import bleach
import msgspec
from bs4 import BeautifulSoup

from airflow_nbjobs.ui.rendering import LINK_MARK
from airflow_nbjobs.ui.rendering.allowed import HTML_ATTRIBUTES, HTML_TAGS
from airflow_nbjobs.ui.rendering.formulas import enclosed, mathml
from airflow_nbjobs.ui.rendering.pictures import element_of, inline_svg, picture_address
from airflow_nbjobs.ui.rendering.styles import Styles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bs4 import Tag

_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
# Their content is code or belongs to another document; dropping the tags alone would leave it on the page as text.
_WITH_CONTENT = ("script", "template", "noscript", "title", "textarea", "select", "xmp")
_MEDIA = {"iframe": "A page", "object": "An object", "embed": "An object", "audio": "A sound", "video": "A film"}
_PREPARED = re.compile(rf"<(?:style|svg|math|{'|'.join(_WITH_CONTENT)}|{'|'.join(_MEDIA)})\b", re.IGNORECASE)
_OWN_NAMES = re.compile(r"cell-\d|nb-|failed$")
_OUTSIDE = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_SEEN = re.compile(r"<(?:img|hr|input|progress|meter|math)\b")
_ANY_TAG = re.compile(r"<[^>]*>")
# Stands for an element that is put in after sanitising; no text of a notebook holds these two characters.
_INSERT = re.compile("\ue0f0(\\d+)\ue0f1")
_XHTML = "http://www.w3.org/1999/xhtml"


class Cleaned(msgspec.Struct, frozen=True):
    """
    HTML that may stand on the page.

    :param sheet: its style sheet, which applies to descendants of the element with the id that was given as its scope.
    :param has_colours: it brings colours of its own: it needs a light page beneath it.
    """

    html: str
    sheet: str = ""
    has_colours: bool = False

    @property
    def is_blank(self) -> bool:
        return _SEEN.search(self.html) is None and not _ANY_TAG.sub("", self.html).strip()


class Inserts:
    """Elements of our own making that are to stand where a text holds their marks."""

    def __init__(self) -> None:
        self.elements: list[ET.Element] = []

    def mark(self, element: ET.Element) -> str:
        self.elements.append(element)
        return f"\ue0f0{len(self.elements) - 1}\ue0f1"


def without_marks(text: str) -> str:
    """Return a notebook's text without the characters that marks of inserts are made of."""
    return re.sub("[\ue0f0\ue0f1]", "\ufffd", text)


def clean(html: str, *, scope: str = "", inserts: Inserts | None = None, with_heading_ids: bool = False) -> Cleaned:
    """
    Return the fragment with everything removed that is no text, table, formula, image of its own bytes, or style of those.

    :param scope: id of the element that it is going to stand in; without one its style sheets are dropped.
    :param inserts: what its marks stand for; without any, a mark in it is no mark.
    :param with_heading_ids: headings get the ids that JupyterLab gives them.
    """
    if inserts is None:
        html, inserts = without_marks(html), Inserts()
    styles, sheets = Styles(), []
    if _PREPARED.search(html):
        soup = BeautifulSoup(html, "html.parser")
        styles.has_colours = soup.find("svg") is not None  # a picture was drawn for a light page, too
        sheets = _prepare(soup, inserts)
        html = str(soup)
    elements = inserts.elements
    heading_ids = [partial(_with_heading_ids, elements=elements)] if with_heading_ids else []
    filters = [
        partial(_permitted, elements=elements, styles=styles),
        *heading_ids,
        partial(_with_inserts, elements=elements),
    ]
    cleaner = bleach.Cleaner(
        tags=HTML_TAGS,
        attributes=_allowed,
        protocols=frozenset({"http", "https", "mailto", "data"}),
        strip=True,
        strip_comments=True,
        filters=filters,
        css_sanitizer=styles,
    )
    cleaned = str(cleaner.clean(html))
    sheet = "\n".join(filter(None, (styles.sheet(each, scope) for each in sheets))) if scope else ""
    return Cleaned(cleaned, sheet, styles.has_colours)


def _prepare(soup: BeautifulSoup, inserts: Inserts) -> list[str]:
    """Replace what no parser of HTML may read again; return the style sheets."""
    # One may use what stands in another.
    images = [(tag, inline_svg(tag)) for tag in soup.find_all("svg") if tag.find_parent("svg") is None]
    for tag, image in images:
        tag.replace_with(
            soup.new_tag("img", attrs=image) if image else inserts.mark(_note("A picture cannot be read."))
        )
    for tag in soup.find_all("math"):
        if not tag.decomposed and tag.find_parent("math") is None:
            math = mathml(element_of(tag))
            tag.replace_with(inserts.mark(enclosed(math)) if math is not None else "")
    sheets = [tag.get_text() for tag in soup.find_all("style")]
    for tag in soup.find_all(("style", *_WITH_CONTENT)):
        if not tag.decomposed:
            tag.decompose()
    for tag in soup.find_all(tuple(_MEDIA)):
        if not tag.decomposed:
            tag.replace_with(inserts.mark(_left_out(tag)))
    return sheets


def _left_out(tag: Tag) -> ET.Element:
    source = tag.find("source", src=True) or tag
    address = str(source.get("src") or source.get("data") or "")
    where = "of the notebook itself" if not address or address.startswith("data:") else f"at {address[:500]}"
    return _note(f"{_MEDIA[tag.name]} {where} is not shown here.")


def _note(text: str) -> ET.Element:
    note = ET.Element("span", {"class": "nb-left-out"})
    note.text = text
    return note


def _allowed(tag: str, name: str, value: str) -> bool:
    if (tag, name) in (("a", "href"), ("img", "src")):
        return True  # kept or turned into a text by `_permitted`
    if name == "id" or (tag, name) == ("a", "name"):
        return _OWN_NAMES.match(value) is None
    return name in HTML_ATTRIBUTES


# Each filter gets html5lib's tokens from the one before it, in bleach's keyword ``source``.


def _permitted(
    source: Iterable[dict[str, Any]], elements: list[ET.Element], styles: Styles
) -> Iterator[dict[str, Any]]:
    """Make of links, images, classes and form fields what may stand on the page."""
    for token in source:
        if token["type"] not in ("StartTag", "EmptyTag"):
            yield token
            continue
        data = token["data"]
        for key, value in data.items():
            data[key] = _as_typed(value, elements)  # a formula in a title or the like
        if (None, "class") in data:
            data[None, "class"] = _classes(data[None, "class"])
        if (None, "color") in data or (None, "bgcolor") in data:
            styles.has_colours = True
        if token["name"] == "a":
            _link(data)
        if token["name"] == "img":
            yield from _image(token)
        elif token["name"] != "input" or data.get((None, "type"), "").lower() in ("checkbox", "radio"):
            yield token


def _as_typed(text: str, elements: list[ET.Element]) -> str:
    return _INSERT.sub(lambda found: elements[int(found[1])].get("title", ""), text)


def _classes(value: str) -> str:
    """Return classes but those of our own elements; a script that we do not run tells scikit-learn's by the page's colour."""
    kept = [name for name in value.split() if not name.startswith("nb-")]
    return " ".join([*kept, "light"] if "sk-global" in kept and not {"light", "dark"} & set(kept) else kept)


def _link(data: dict[tuple[str | None, str], str]) -> None:
    """
    Keep a link within the notebook; make one out of it ask first (the page around the frame does), any other a text that shows its address.

    The frame may neither open windows nor leave; and a click would tell a stranger who reads this notebook.
    """
    address = data.get((None, "href"), "")
    if address.startswith("#") or (None, "href") not in data:
        return
    data.pop((None, "href"))
    data[None, "title"] = address
    data[None, "class"] = f"{data.get((None, 'class'), '')} nb-address".strip()
    if _OUTSIDE.match(address):
        data[None, "href"] = f"{LINK_MARK}#{address}"
        data[None, "rel"] = "noopener noreferrer"


def _image(token: dict[str, Any]) -> Iterator[dict[str, Any]]:
    data = token["data"]
    address = data.pop((None, "src"), "").strip()
    shown = picture_address(address)
    if shown:
        data[None, "src"] = shown
        yield token
        return
    alternative = data.get((None, "alt"), "").strip()[:500]
    where = f"at {address[:500]}" if address and not address.startswith("data:") else "without a readable address"
    yield from _tokens(_note(f"{alternative} (a picture {where}, not fetched)".strip()))


def _with_heading_ids(source: Iterable[dict[str, Any]], elements: list[ET.Element]) -> Iterator[dict[str, Any]]:
    """Give headings the ids to which JupyterLab's users link: their text with hyphens for its spaces."""
    held: list[dict[str, Any]] = []
    for token in source:
        is_start = token["type"] == "StartTag" and token["name"] in _HEADINGS
        if held or is_start:
            held.append(token)
            if len(held) > 1 and (is_start or (token["type"] == "EndTag" and token["name"] in _HEADINGS)):
                yield from _with_id(held, elements)
                held = []
        else:
            yield token
    yield from _with_id(held, elements)


def _with_id(tokens: list[dict[str, Any]], elements: list[ET.Element]) -> list[dict[str, Any]]:
    text = "".join(token["data"] for token in tokens if token["type"] in ("Characters", "SpaceCharacters"))
    name = _as_typed(text, elements).replace(" ", "-")
    if tokens and name and (None, "id") not in tokens[0]["data"] and _OWN_NAMES.match(name) is None:
        tokens[0]["data"][None, "id"] = name
    return tokens


def _with_inserts(source: Iterable[dict[str, Any]], elements: list[ET.Element]) -> Iterator[dict[str, Any]]:
    """Put elements where a text has their marks."""
    for token in source:
        if token["type"] != "Characters" or "\ue0f0" not in token["data"]:
            yield token
            continue
        for place, part in enumerate(_INSERT.split(token["data"])):
            if place % 2:
                yield from _tokens(elements[int(part)])
            elif part:
                yield token | {"data": part}


def _tokens(element: ET.Element) -> Iterator[dict[str, Any]]:
    name = str(element.tag)
    data = {(None, key): value for key, value in element.items()}
    yield {"type": "StartTag", "name": name, "namespace": _XHTML, "data": data}
    if element.text:
        yield {"type": "Characters", "data": element.text}
    for child in element:
        yield from _tokens(child)
        if child.tail:
            yield {"type": "Characters", "data": child.tail}
    yield {"type": "EndTag", "name": name, "namespace": _XHTML}
