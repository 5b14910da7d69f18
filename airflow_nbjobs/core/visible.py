"""
Characters that are not seen but change what is read, such as controls that turn the direction of a text, as marks that are seen.

Called wherever a person reads what a notebook, its log or its error says. Pure; stdlib alone.
"""

from __future__ import annotations

import re

# Controls but for tab and line ends; zero-width and invisible characters; line ends that are none to a terminal; what sets or overrides the direction
# of a text (https://trojansource.codes); "tags", which spell out ASCII unseen; letters of Hangul that have no shape.
_HIDDEN = (
    "\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e"
    "\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\U0001d173-\\U0001d17a\\U000e0000-\\U000e007f"
)
# Joiners shape emoji and the scripts of Iran and India; between letters of ours they are only unseen. The flags of England, Scotland and Wales are spelt in tags.
_MARKED = re.compile(
    rf"(?P<flag>\U0001f3f4[\U000e0061-\U000e007a]{{1,8}}\U000e007f)|[{_HIDDEN}]|(?<![^\x00-\u024f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\u024f])"
)
SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str, *, but: str = "") -> str:
    """
    Return the text with marks in place of what is unseen: ``⟦U+202E⟧`` for a right-to-left override, ``␈`` for a backspace.

    Tabs and line ends stay; half a surrogate pair, which no file holds, becomes U+FFFD.

    :param but: characters that stay too.
    """
    if text.isascii() and text.replace("\n", "").replace("\t", "").replace("\r", "").isprintable():
        return text
    whole = SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
    return _MARKED.sub(lambda found: found[0] if found["flag"] or found[0] in but else _mark(found[0]), whole)


def _mark(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else f"⟦U+{code:04X}⟧"
