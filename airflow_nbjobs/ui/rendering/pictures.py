"""
Pictures that a notebook brings along: SVG, and images by data address.

Called by ``clean.py`` and ``outputs.py``. SVG is shown as an image, as JupyterLab does, and never as a part of the page: there a browser runs no
script of it, loads nothing that it names, and keeps its ids and styles to itself. What could do so elsewhere, where somebody opens the image by
itself, is taken out of it all the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

from bs4 import BeautifulSoup, NavigableString, Tag
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from airflow_nbjobs.ui.rendering.styles import asks_outside

if TYPE_CHECKING:
    from collections.abc import Iterator

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"
ET.register_namespace("", _SVG)
ET.register_namespace("xlink", _XLINK)
_RASTER = re.compile(r"data:image/(?:png|jpeg|jpg|gif|webp|bmp|avif);base64,[A-Za-z0-9+/=\s]*")
_SVG_ADDRESS = re.compile(r"data:image/svg\+xml([^,]*),(.*)", re.DOTALL | re.IGNORECASE)
_XML_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOCAL = re.compile(r"#|data:image/(?:png|jpeg|gif|webp);base64,")
_LEFT_OUT = {"script", "foreignobject", "handler", "listener", "iframe", "audio", "video", "canvas"}
_ANIMATIONS = {"animate", "set", "animatetransform", "animatemotion", "animatecolor", "discard"}
# Names whose case a parser of HTML has lost, as the HTML standard gives it back to them (13.2.6.1 and 13.2.6.5).
_CASED_NAMES = (
    "attributeName attributeType baseFrequency calcMode clipPathUnits diffuseConstant edgeMode filterUnits glyphRef gradientTransform"
    " gradientUnits kernelMatrix keyPoints keySplines keyTimes lengthAdjust limitingConeAngle markerHeight markerUnits markerWidth"
    " maskContentUnits maskUnits numOctaves pathLength patternContentUnits patternTransform patternUnits pointsAtX pointsAtY pointsAtZ"
    " preserveAlpha preserveAspectRatio primitiveUnits refX refY repeatCount repeatDur specularConstant specularExponent spreadMethod"
    " startOffset stdDeviation stitchTiles surfaceScale tableValues targetX targetY textLength viewBox xChannelSelector yChannelSelector"
    " animateMotion animateTransform clipPath feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting"
    " feDisplacementMap feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feImage feMerge feMergeNode"
    " feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile feTurbulence foreignObject linearGradient radialGradient"
    " textPath"
)
_CASED = {name.lower(): name for name in _CASED_NAMES.split()}


def picture_address(address: str) -> str | None:
    """Return an image's address if it is the image itself; None for one that would have to be asked for."""
    if _RASTER.fullmatch(address):
        return address
    found = _SVG_ADDRESS.fullmatch(address.strip())
    if not found:
        return None
    try:
        data = unquote_to_bytes(found[2])
        text = (base64.b64decode(data) if "base64" in found[1].lower() else data).decode("utf-8", "replace")
    except binascii.Error:
        return None
    return svg_address(text)


def svg_address(text: str) -> str | None:
    """Return a picture in SVG as an address; None where there is none to be seen in the text."""
    try:
        root = _parsed(text)
        return None if root is None else _encoded(root)
    except RecursionError:
        return None


def inline_svg(tag: Tag) -> dict[str, str] | None:
    """
    Return an image's attributes for an ``<svg>`` that stands in HTML; None where it cannot be read.

    Symbols that it uses of another ``<svg>`` beside it are taken along.
    """
    try:
        root = element_of(tag)
        own = {each.get("id") for each in root.iter()}
        for name in _uses(root):
            elsewhere = tag.find_parents()[-1].find(id=name) if name not in own and tag.parent else None
            if isinstance(elsewhere, Tag) and elsewhere.name != "svg":
                ET.SubElement(root, "defs").append(element_of(elsewhere))
                own.add(name)
        titles = [each.text or "" for each in root.iter() if each.tag == "title"]
        shown = {name: value for name in ("class", "style", "width", "height") if (value := root.attrib.pop(name, ""))}
        for name in ("width", "height"):  # of the picture itself, where it stands alone
            if name in shown:
                root.set(name, shown[name])
        if "width" not in shown and "width" not in shown.get("style", ""):
            shown["style"] = f"width: 100%; {shown.get('style', '')}"
        return {"alt": root.get("aria-label") or " ".join(titles)[:200], "src": _encoded(root), **shown}
    except RecursionError:
        return None


def element_of(tag: Tag) -> ET.Element:
    """Return what a parser of HTML found as a tree of XML: names in their case, of attributes those that XML can hold."""
    root = ET.Element(_cased(tag.name), _attributes(tag))
    waiting = [(tag, root)]
    while waiting:
        source, target = waiting.pop()
        last: ET.Element | None = None
        for child in source.children:
            if isinstance(child, Tag):
                if not _XML_NAME.fullmatch(child.name):
                    continue
                last = ET.SubElement(target, _cased(child.name), _attributes(child))
                waiting.append((child, last))
            elif type(child) is NavigableString or child.parent.name == "style":  # no comment, no declaration
                text = _NO_XML.sub("\ufffd", str(child))
                if last is None:
                    target.text = (target.text or "") + text
                else:
                    last.tail = (last.tail or "") + text
    return root


def _parsed(text: str) -> ET.Element | None:
    try:
        root: ET.Element = fromstring(_NO_XML.sub("\ufffd", text))
    except (ET.ParseError, DefusedXmlException, ValueError):
        found = BeautifulSoup(text, "html.parser").find("svg")
        return element_of(found) if isinstance(found, Tag) else None
    return root if _local(root.tag) == "svg" else None


def _encoded(root: ET.Element) -> str:
    _keep_to_itself(root)
    return "data:image/svg+xml;base64," + base64.b64encode(ET.tostring(root, encoding="utf-8")).decode()


def _keep_to_itself(root: ET.Element) -> None:
    """Take out scripts, other documents, and addresses; put what has no namespace into that of SVG."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        for child in list(element):
            if _is_left_out(child):
                element.remove(child)
            else:
                waiting.append(child)
        if "}" not in str(element.tag):
            element.tag = f"{{{_SVG}}}{element.tag}"
        for name, value in list(element.attrib.items()):
            if not _may_stay(_local(name), value):
                del element.attrib[name]


def _is_left_out(element: ET.Element) -> bool:
    namespace, _, name = element.tag.rpartition("}")
    name = name.lower()
    if (namespace and namespace != f"{{{_SVG}") or name in _LEFT_OUT:
        return True
    if name in _ANIMATIONS:
        what = next((value for key, value in element.items() if _local(key).lower() == "attributename"), "").lower()
        return "href" in what or what.strip().startswith("on")
    return name == "style" and (len(element) > 0 or asks_outside((element.text or "").replace("@media", "")))


def _may_stay(name: str, value: str) -> bool:
    name = name.lower()
    if name.startswith("on"):
        return False
    if name in ("href", "src"):
        return _LOCAL.match(value.strip()) is not None
    return name != "base" and not asks_outside(value)


def _uses(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        if element.tag == "use":
            address = element.get("href") or element.get(f"{{{_XLINK}}}href") or ""
            if address.startswith("#"):
                yield address[1:]


def _attributes(tag: Tag) -> dict[str, str]:
    found = {}
    for name, value in tag.attrs.items():
        text = _NO_XML.sub("\ufffd", " ".join(value) if isinstance(value, list) else str(value))
        prefix, colon, local = name.rpartition(":")
        if not colon and _XML_NAME.fullmatch(name) and not name.lower().startswith("xmlns"):
            found[_cased(name)] = text
        elif (prefix, local) == ("xlink", "href"):
            found[f"{{{_XLINK}}}href"] = text
        elif (prefix, local) == ("xml", "space"):
            found[f"{{{_XML}}}space"] = text
    return found


def _cased(name: str) -> str:
    return _CASED.get(name.lower(), name)


def _local(name: str) -> str:
    return name.rpartition("}")[2]
