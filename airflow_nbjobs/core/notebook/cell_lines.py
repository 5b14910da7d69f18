"""
The lines of a cell as IPython takes them: without prompts and shared indentation, and as logical lines.

Called by ``core.notebook.cell_syntax``. Pure. Source: ``core/inputtransformer2.py`` of IPython 8 and 9.
"""

from __future__ import annotations

import re
import textwrap

import msgspec

HELP = re.compile(r"%{0,2}(?!\d)[\w*]+(?:\.(?!\d)[\w*]+|\[-?[0-9]+\])*\?\??$")
# What changes how the text after it is read: outside a string, and inside one by its quote.
_TELLING = {
    "": re.compile(r"\"\"\"|'''|[\\#\"'()\[\]{}=]"),
    **{quote: re.compile(rf"\\|{quote}") for quote in ('"', "'", '"""', "'''")},
}
_DOCTEST_PROMPT = re.compile(r"\s*>>>[ \t]?")
_DOCTEST_CONTINUATION = re.compile(r"\s*\.\.\.[ \t]?")
_IPYTHON_PROMPT = re.compile(r"(?:(?:\[nav\]|\[ins\])? )?In \[\d+\]: |\s*\.{3,}: ?")


def cleaned(lines: list[str]) -> list[str]:
    """
    The lines without the indentation that they share and without prompts, as IPython 9 cleans them.

    Where the first line is still indented, which no version takes, without the first line's indentation, as IPython 8 does.
    """
    if not lines[0][:1].isspace():
        return _without_prompts(lines)
    cleaned = _without_prompts(textwrap.dedent("\n".join(lines)).split("\n"))
    if not cleaned[0][:1].isspace() or cleaned[0].lstrip().startswith("#"):
        return cleaned
    indentation = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return _without_prompts([line.removeprefix(indentation) for line in lines])


def _without_prompts(lines: list[str]) -> list[str]:
    """The lines without the ``>>>`` and ``In [1]:`` with which they were pasted."""
    if any(line.lstrip().startswith(">>>") for line in lines):
        lines = _without_doctest_prompts(lines)
    if _IPYTHON_PROMPT.match(lines[0]) or (len(lines) > 1 and _IPYTHON_PROMPT.match(lines[1])):
        return [_IPYTHON_PROMPT.sub("", line, count=1) if _IPYTHON_PROMPT.match(line) else line for line in lines]
    return lines


def _without_doctest_prompts(lines: list[str]) -> list[str]:
    """Prompts inside a string that spans lines are text, unless the string itself was pasted with them."""
    in_text = _lines_in_text(lines)
    prompts = [
        None if inside else _DOCTEST_PROMPT.match(line) or _DOCTEST_CONTINUATION.match(line)
        for line, inside in zip(lines, in_text, strict=True)
    ]
    if not any(prompt and ">" in prompt[0] for prompt in prompts):
        return lines
    bare = [line[prompt.end() :] if prompt else line for line, prompt in zip(lines, prompts, strict=True)]
    dedented: list[str] = []
    while len(dedented) < len(bare):  # stretch by stretch between such strings
        start = len(dedented)
        end = next((row for row in range(start, len(bare)) if in_text[row] != in_text[start]), len(bare))
        stretch = bare[start:end]
        dedented += textwrap.dedent("\n".join(stretch)).split("\n") if any(prompts[start:end]) else stretch
    return dedented


def _lines_in_text(lines: list[str]) -> list[bool]:
    """For each line, whether it begins inside a string of three quotes that a line without prompt has opened."""
    inside: list[bool] = []
    quote, keeps = "", False
    for line in lines:
        inside.append(bool(quote) and keeps)
        for found in re.finditer(r"(?<!\\)(?:\"\"\"|''')", line):
            if not quote:
                quote, keeps = found[0], not line.lstrip().startswith((">>>", "..."))
            elif quote == found[0]:
                quote = ""
    return inside


class Statement(msgspec.Struct, frozen=True):
    """One logical line."""

    end: int  # its last row
    magic: tuple[int, int] | None  # where the value of ``x = !ls`` or ``x = %magic`` begins; the scan ends there
    ends_in_question_mark: bool


def scan(lines: list[str], row: int) -> Statement:  # noqa: C901, PLR0912 a case per kind of character
    """Read one logical line: on through brackets, strings of three quotes and backslashes."""
    depth, quote, last = 0, "", ""
    seen_assignment = False
    for number in range(row, len(lines)):
        line = lines[number]
        column, continues = 0, False
        while found := _TELLING[quote].search(line, column):
            if not quote:
                last = line[column : found.start()].rstrip()[-1:] or last
            column, char = found.start(), found[0]
            if char == "\\":
                continues = column + 1 == len(line)
                column += 2 if quote else 1
                continue
            column = found.end()
            if quote:
                quote = ""
            elif char == "#":
                last, column = char, len(line)
                break
            elif char[0] in "\"'":
                quote, last = char, char[0]
            else:
                depth = max(0, depth + (char in "([{") - (char in ")]}"))
                if char == "=" and not depth and not seen_assignment and _is_assignment(line, column - 1):
                    seen_assignment = True
                    position = _magic_value(lines, number, column)
                    if position is not None:
                        return Statement(number, position, ends_in_question_mark=False)
                last = char
        if not quote:
            last = line[column:].rstrip()[-1:] or last
        if len(quote) == 1 and not continues:
            quote, last = "", line[-1:]  # an ordinary string ends with its line; one that is not closed is none
        if not (quote or depth or continues):
            return Statement(number, None, last == "?")
    return Statement(len(lines) - 1, None, last == "?")


def _is_assignment(line: str, column: int) -> bool:
    return line[column + 1 : column + 2] != "=" and (column == 0 or line[column - 1] not in "=!<>:+-*/%&|^@")


def _magic_value(lines: list[str], row: int, column: int) -> tuple[int, int] | None:
    """Where ``!ls`` or ``%magic`` begins, if that is what follows the ``=`` which ends before ``column``."""
    while lines[row][column:].strip() == "\\" and row + 1 < len(lines):
        row, column = row + 1, 0
    value = lines[row][column:]
    is_magic = re.match(r"\s*(?:!(?!=)|%\s*[^\W\d])", value)
    if not is_magic or lines[row].lstrip().startswith("=") or HELP.search(lines[row]):
        return None
    return row, column + len(value) - len(value.lstrip())


def end_of_continued(lines: list[str], row: int) -> int:
    while lines[row].endswith("\\") and row + 1 < len(lines):
        row += 1
    return row


def assembled(lines: list[str], start: tuple[int, int], end: int) -> str:
    parts = [lines[start[0]][start[1] :], *lines[start[0] + 1 : end + 1]]
    return " ".join([part.rstrip()[:-1] for part in parts[:-1]] + [parts[-1].rstrip()])
