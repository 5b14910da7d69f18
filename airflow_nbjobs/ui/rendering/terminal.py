"""
Terminal text with its colours, by nbconvert, so that each stays readable in both themes.

Called by ``outputs.py``. Pure: text in, HTML out. The sixteen named colours are in ``notebook.css``; those that a program gives as numbers are made
darker for the light page and lighter for the dark one, where they are not enough against it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from markupsafe import Markup
from nbconvert.filters.ansi import ansi2html

# The pages that text stands on, those with the least contrast: `notebook.css`, --bad-soft and --warn-soft of each theme.
LIGHT_PAGE, DARK_PAGE = (255, 241, 240), (42, 35, 15)
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
CONTRAST = 4.5  # WCAG 2.2, 1.4.3
_SPAN = re.compile(r'<span(?: class="(?P<classes>[a-z -]+)")?(?: style="(?P<style>[a-z0-9(),:; -]+)")?>')
_CODES = re.compile(r"\x1b\[([\d;]*[34]8)m")
_RGB = re.compile(r"(?P<what>background-color|color): rgb\((?P<red>\d+),(?P<green>\d+),(?P<blue>\d+)\)")

Colour = tuple[int, int, int]


def terminal_html(text: str) -> Markup:
    """Return escaped text, its colours as classes of ``notebook.css`` and variables."""
    return Markup(_SPAN.sub(_readable, ansi2html(_CODES.sub(_complete, text))))  # noqa: S704 - ansi2html escapes


def _complete(codes: re.Match[str]) -> str:
    """Drop a code that says that a colour follows where none does: nbconvert's reading fails there."""
    numbers = codes[1].split(";")
    place = 0
    while place < len(numbers) - 1:
        follows = {"5": 3, "2": 5}.get(numbers[place + 1], len(numbers)) if numbers[place] in ("38", "48") else 1
        place += follows
    if numbers[place:] in (["38"], ["48"]):
        numbers.pop()
    return f"\x1b[{';'.join(numbers)}m" if numbers else ""


def contrast(one: Colour, other: Colour) -> float:
    """Return WCAG's contrast ratio, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@lru_cache(maxsize=4096)
def against(colour: Colour, page: Colour) -> Colour:
    """Return the colour, mixed with black or white until it can be read on the page."""
    target = BLACK if contrast(BLACK, page) > contrast(WHITE, page) else WHITE
    for step in range(11):
        red, green, blue = (round(part + (end - part) * step / 10) for part, end in zip(colour, target, strict=True))
        mixed = red, green, blue
        if contrast(mixed, page) >= CONTRAST:
            return mixed
    return target


def _readable(span: re.Match[str]) -> str:
    classes = span["classes"] or ""
    colours: dict[str, Colour] = {
        found["what"]: (int(found["red"]), int(found["green"]), int(found["blue"]))
        for found in _RGB.finditer(span["style"] or "")
    }
    if not colours:
        return span[0]
    text, page = colours.get("color"), colours.get("background-color")
    if page is not None:
        chosen = against(text or BLACK, page)
        style = f"color: rgb{chosen}; background-color: rgb{page}".replace(", ", ",")
        # The number says on what the text stands: a class of a named colour must not say it again.
        classes = " ".join(name for name in classes.split() if not name.endswith("-fg"))
    elif "-bg" in classes and text is not None:
        style = f"color: rgb{against(text, LIGHT_PAGE)}".replace(", ", ",")
    elif text is not None:
        light, dark = against(text, LIGHT_PAGE), against(text, DARK_PAGE)
        style = f"--light: rgb{light}; --dark: rgb{dark}".replace(", ", ",")
        classes = f"ansi-rgb-fg {classes}".strip()
    return f'<span class="{classes}" style="{style}">' if classes else f'<span style="{style}">'
