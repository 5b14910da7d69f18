"""
Formulas in TeX as MathML, which browsers set without a script; made by latex2mathml.

Called by ``markdown.py``, ``outputs.py`` and ``clean.py``. What latex2mathml cannot read is shown as it was typed. Its texts are not escaped and its
attributes are the notebook's: the tree is what is taken from it, and of that what ``allowed.py`` names.
"""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree as ET

from latex2mathml.converter import convert_to_element

from airflow_nbjobs.ui.rendering.allowed import MATHML_ATTRIBUTES, MATHML_ELEMENTS

_MOST_CHARACTERS = 4_000  # 10,000 characters a second
_ALL_CHARACTERS = 60_000
_SPACES = {"mspace", "mpadded"}
# What latex2mathml does not know, in words that it does.
_REWRITTEN = (
    (re.compile(r"\\(begin|end)\{(?:aligned|split|alignedat)\}"), r"\\\1{align*}"),
    (re.compile(r"\\(begin|end)\{(?:gathered)\}"), r"\\\1{gather*}"),
    (re.compile(r"\\begin\{eqnarray\*?\}"), r"\\begin{array}{rcl}"),
    (re.compile(r"\\end\{eqnarray\*?\}"), r"\\end{array}"),
    (re.compile(r"\\label\{[^{}]*\}|\\(?:nonumber|notag)(?![A-Za-z])|\\require\{[^{}]*\}"), ""),
)
_UNKNOWN = re.compile(r"\\[A-Za-z]+|&")
# A formula's end is not followed by a digit: "$5 and $6" are prices.
INLINE = r"(?<![$\\])\$(?P<math_inline_tex>(?:[^$\\]|\\.)+)(?<![$\\])\$(?![0-9$])"
_IN_TEXT = re.compile(
    r"\$\$(?P<block>(?:[^$\\]|\\.)+)\$\$"
    r"|\\\[(?P<bracket>.*?)\\\]"
    r"|\\\((?P<paren>.*?)\\\)"
    r"|(?P<environment>\\begin\{(?P<name>[a-z]+\*?)\}.*?\\end\{(?P=name)\})"
    rf"|{INLINE}",
    re.DOTALL,
)


class Formulas:
    """The formulas of one notebook, of which so many are set."""

    def __init__(self) -> None:
        self._left = _ALL_CHARACTERS

    def element(self, tex: str, typed: str, *, is_block: bool) -> ET.Element:
        """
        Return a formula as an element of a page.

        :param typed: the formula as it stands in the notebook, with what encloses it.
        """
        math = None
        if len(tex) <= min(_MOST_CHARACTERS, self._left):
            self._left -= len(tex)
            math = _math(tex)
        if math is None:
            source = ET.Element("code", {"class": "nb-tex", "title": typed[:1000]})
            source.text = typed
            return source
        math.set("display", "block" if is_block else "inline")
        return enclosed(math, title=typed[:1000])

    def pieces(self, text: str) -> list[str | ET.Element]:
        """Return a text of LaTeX as what stands between formulas, and those."""
        found: list[str | ET.Element] = []
        end = 0
        for match in _IN_TEXT.finditer(text):
            found.append(text[end : match.start()])
            end = match.end()
            inline = match["math_inline_tex"] or match["paren"]
            tex = inline or match["block"] or match["bracket"] or match["environment"] or ""
            # `$\displaystyle …$` is how IPython and SymPy write a formula that is to stand for itself.
            is_block = inline is None or text.strip() == match[0]
            found.append(self.element(tex, match[0], is_block=is_block))
        return [*found, text[end:]]


def _math(tex: str) -> ET.Element | None:
    for pattern, known in _REWRITTEN:
        tex = pattern.sub(known, tex)
    try:
        root = convert_to_element(tex)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - it has many errors of its own, and raises others for what it did not expect (RecursionError)
        return None
    leaves = [element.text or "" for element in root.iter() if element.tag != "mtext"]
    if any(_UNKNOWN.fullmatch(text) for text in leaves):
        return None
    for element in root.iter():
        element.text = unescape(element.text) if element.text else element.text
    return mathml(root)


def enclosed(math: ET.Element, **attributes: str) -> ET.Element:
    """Return a formula in the element that the page's style knows."""
    is_block = math.get("display") == "block"
    shown = ET.Element("span", {"class": "nb-formula nb-block" if is_block else "nb-formula", **attributes})
    shown.append(math)
    return shown


def mathml(root: ET.Element) -> ET.Element | None:
    """Return the tree with nothing in it that does more than show a formula; None if it is none."""
    if root.tag != "math":
        return None
    made = ET.Element("math")
    waiting = [(root, made)]
    while waiting:
        source, target = waiting.pop()
        for name, value in source.items():
            # Nothing moves over what stands beside it.
            if name in MATHML_ATTRIBUTES and not (source.tag in _SPACES and "-" in value):
                target.set(name, value)
        target.text = source.text
        target.tail = source.tail if target is not made else None
        for child in source:
            if child.tag in MATHML_ELEMENTS and child.tag != "math":
                waiting.append((child, ET.SubElement(target, str(child.tag))))
            elif source.tag in ("mtext", "mi", "mo", "mn", "ms"):
                target.text = (target.text or "") + "".join(child.itertext()) + (child.tail or "")
    return made
