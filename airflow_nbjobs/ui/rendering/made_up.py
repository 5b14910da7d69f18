"""
Markup without the names that libraries make up anew each time: of an element, a style sheet, a clip path; and when matplotlib drew.

Called by ``compared_outputs.py``. Only what a reader does not see is left out; a text counts, whatever it looks like. The markup is untrusted: it is read
once, from its beginning to its end.
"""

from __future__ import annotations

import re
from functools import partial

_NAME = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\bT_[0-9a-f]{5,40}|\b[pm][0-9a-f]{10}\b")
_TAG = re.compile(r"<(/?[A-Za-z][\w:-]{0,40})[^<>]*>")
# Those that name an element, or what one belongs to. An address is none: it is where a link leads.
_ATTRIBUTE = re.compile(
    r"""\s(id|for|class|headers|aria-(?:labelledby|describedby|controls))\s?=\s?("[^"]*"|'[^']*'|[^\s"'>]+)"""
    r"""|\s(?:xlink:)?href\s?=\s?["']?\#[^\s"'>]*|url\(["']?\#[^)]*""",
    re.IGNORECASE,
)


def without_made_up(markup: str) -> str:
    """Return markup without made-up names in attributes and style sheets; in scripts without those of its elements."""
    own = {
        name
        for tag in _TAG.finditer(markup)
        for found in _ATTRIBUTE.finditer(tag[0])
        if _is_id(found)
        for name in _NAME.findall(found[0])
    }
    parts = []
    end, within = 0, ""
    for tag in _TAG.finditer(markup):
        parts.append(_hidden_text(markup[end : tag.start()], within, own))
        parts.append(_ATTRIBUTE.sub(_without_names, tag[0]))
        end, name = tag.end(), tag[1].lower()
        if within == name[1:] and name.startswith("/"):
            within = ""
        elif not within and name in ("style", "script", "dc:date"):
            within = name
    parts.append(_hidden_text(markup[end:], within, own))
    return "".join(parts)


def _is_id(found: re.Match[str]) -> bool:
    return (found[1] or "").lower() == "id"


def _without_names(found: re.Match[str]) -> str:
    return _NAME.sub("", found[0])


def _hidden_text(text: str, within: str, own: set[str]) -> str:
    """Return the text of an element as it is compared."""
    if within == "dc:date":
        return ""
    if within == "style":
        return _NAME.sub("", text)
    return _NAME.sub(partial(_but, own), text) if within == "script" and own else text


def _but(own: set[str], found: re.Match[str]) -> str:
    return "" if found[0] in own else found[0]
