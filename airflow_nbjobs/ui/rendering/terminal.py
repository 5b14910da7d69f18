"""
Terminal text as the terminal shows it in the end, as HTML by nbconvert; every colour is readable in both themes.

Called by ``outputs.py``. Pure: text in, HTML out. The sixteen named colours are in ``notebook.css``; a colour that a program
gives as numbers is made darker for the light page and lighter for the dark one, where its contrast is too low.
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
# What is neither a colour nor a move, which nbconvert knows: links, titles, character sets.
_NO_TEXT = re.compile(r"\x1b(?:[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\`-~])")
_MOVES = re.compile(r"[\r\x08]|\x1b\[\d*[A-GJK]")
_OTHER_MOVES = re.compile(r"\x08|\x1b\[\d*[A-GJK]")
_TO_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_TOKENS = re.compile(
    r"(?P<run>[^\x1b\r\n\x08]+)|(?P<colours>\x1b\[[\d;]*m)|\x1b\[(?P<count>\d*)(?P<move>[A-GJK])|(?P<control>[\r\n\x08])|(?P<rest>\x1b(?:\[[0-?]*[ -/]*[@-~])?)"
)
_FURTHEST = 200  # columns or rows of one move: about a screen
_RGB = re.compile(r"(?P<what>background-color|color): rgb\((?P<red>\d+),(?P<green>\d+),(?P<blue>\d+)\)")

Colour = tuple[int, int, int]


def terminal_html(text: str) -> Markup:
    """Return escaped text, its colours as classes of ``notebook.css`` and variables."""
    text = _CODES.sub(_complete, _NO_TEXT.sub("", text))
    return Markup(_SPAN.sub(_readable, ansi2html(text)))  # noqa: S704 - ansi2html escapes


def settled(text: str) -> str:
    """
    Return the text that a terminal shows in the end: of each progress bar the last state, several bars below each other too.

    Nothing clears the whole screen: JupyterLab, too, keeps what a notebook printed before.
    """
    text = "\n".join(map(_last_states, re.sub(r"(?<!\r)\r+\n", "\n", text).split("\n")))
    if not _MOVES.search(text):
        return text
    screen = _Screen()
    for token in _TOKENS.finditer(text):
        if token["run"]:
            screen.write(token["run"])
        elif token["colours"]:
            screen.colour(token["colours"])
        else:
            screen.move(token["move"] or token["control"] or "", token["count"] or "")
    return "\n".join(map(_joined, screen.rows))


def _last_states(line: str) -> str:
    """Drop the states of a line that a later one overwrites in full: a progress bar has thousands."""
    if line.count("\r") < 2 or _OTHER_MOVES.search(line):
        return line
    kept: list[str] = []
    longest = -1
    for state in reversed(line.split("\r")):
        length = len(_TO_COLOUR.sub("", state))
        ends_plain = state.rfind("\x1b[") == max(state.rfind("\x1b[0m"), state.rfind("\x1b[m"))
        if length > longest or not ends_plain:
            kept.append(state)
            longest = max(longest, length)
    return "\r".join(reversed(kept))


class _Screen:
    """Rows of characters, each with the codes of its colours before it, and where the next one goes."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._colours = ""

    def write(self, run: str) -> None:
        row = self.rows[self._row]
        row.extend(" " * (self._column - len(row)))
        end = self._column + len(run)
        row[self._column : end] = [self._colours + each for each in run] if self._colours else run
        self._column = end

    def colour(self, codes: str) -> None:
        is_reset = codes[2:-1].split(";", maxsplit=1)[0].strip("0") == ""
        kept = "" if is_reset or len(self._colours) > 100 else self._colours
        self._colours = "" if codes[2:-1].strip("0") == "" else kept + codes

    def move(self, what: str, argument: str) -> None:
        count = min(int(argument[:4] or 1), _FURTHEST)
        row = self.rows[self._row]
        if what == "\n":
            self._row, self._column = self._row + 1, 0
            if self._row == len(self.rows):
                self.rows.append([])
        elif what in ("A", "F", "B", "E"):
            down = count if what in ("B", "E") else -count
            self._row = min(max(self._row + down, 0), len(self.rows) - 1)
            self._column = 0 if what in ("E", "F") else self._column
        elif what in ("K", "J"):
            if argument in ("", "0"):
                del row[self._column :]
                del self.rows[self._row + 1 if what == "J" else len(self.rows) :]
            elif what == "K":
                row[: self._column if argument == "1" else len(row)] = " " * (self._column if argument == "1" else 0)
        else:
            at = {
                "\r": 0,
                "\x08": self._column - 1,
                "C": self._column + count,
                "D": self._column - count,
                "G": count - 1,
            }
            at_most = max(self._column, _FURTHEST)
            self._column = min(max(at.get(what, self._column), 0), at_most)


def _joined(row: list[str]) -> str:
    parts, last = [], ""
    for cell in row:
        if cell[:-1] != last:
            last = cell[:-1]
            parts.append(f"\x1b[0m{last}")
        parts.append(cell[-1])
    return "".join(parts) + ("\x1b[0m" if last else "")


def _complete(codes: re.Match[str]) -> str:
    """Drop a code that announces a colour and has none: nbconvert fails at it."""
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
