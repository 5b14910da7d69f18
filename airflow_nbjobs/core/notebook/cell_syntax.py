"""
How IPython reads a cell: which of its lines are Python, and which are magics, shell commands or questions for help.

Called by ``core.notebook.source``, which re-exports it. Pure; held against IPython's own transformer by ``tests/core/notebook/test_cell_syntax.py``. Must never import
IPython: the worker need not have it, and the job's image has its own.

Source: ``core/inputtransformer2.py`` and ``core/magics/execution.py`` of IPython 8 and 9.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ESCAPES = frozenset("%!?,;/")
# A line that begins with one of these begins with Python's own operator, not with an escape.
_OPERATORS = ("%=", "!=", "//", "/=")
# Magics that run their statement or their body in the notebook's own namespace, and one that runs it in a function's.
_IN_NAMESPACE = frozenset({"time", "prun", "capture"})
_IN_FUNCTION = frozenset({"timeit"})
# Calls without brackets: ",f a b", ";f a b" and "/f a b".
_CALLS: dict[str, Callable[[str], str]] = {
    ",": lambda words: '("' + '", "'.join(words.split()) + '")',
    ";": lambda words: f'("{words}")',
    "/": lambda words: f"({', '.join(words.split())})",
}
# What %time, %prun and %timeit take before the statement: flags, some of them with a value.
_STATEMENT_OPTIONS = re.compile(
    r"(?:(?:--?no-raise-error|-[nrp]\s*\d+|-[DlsT]\s*(?:\"[^\"]*\"|'[^']*'|\S+)|-[tcqovr]+)(?:\s+|$))*"
)
_HELP = re.compile(r"%{0,2}(?!\d)[\w*]+(?:\.(?!\d)[\w*]+|\[-?[0-9]+\])*\?\??$")
# What changes how the text after it is read: outside a string, and inside one by its quote.
_TELLING = {
    "": re.compile(r"\"\"\"|'''|[\\#\"'()\[\]{}=]"),
    **{quote: re.compile(rf"\\|{quote}") for quote in ('"', "'", '"""', "'''")},
}
_DOCTEST_PROMPT = re.compile(r"\s*>>>[ \t]?")
_DOCTEST_CONTINUATION = re.compile(r"\s*\.\.\.[ \t]?")
_IPYTHON_PROMPT = re.compile(r"(?:(?:\[nav\]|\[ins\])? )?In \[\d+\]: |\s*\.{3,}: ?")
# IPython's automagic takes the sign for granted where a cell is one line. Names that no Python statement begins with a blank after.
_AUTOMAGICS = frozenset(
    (
        *("cat", "cd", "conda", "config", "cp", "env", "ldir", "less", "load", "load_ext", "ls", "mamba", "man"),
        *("matplotlib", "mkdir", "more", "mv", "pip", "popd", "prun", "pushd", "rm", "rmdir", "run", "set_env"),
        *("store", "sx", "system", "time", "timeit", "uv", "who", "whos"),
    )
)


@dataclass(frozen=True, slots=True)
class CellSource:
    """
    One code cell, taken apart.

    :param python: what binds names in the notebook's namespace; as many lines as the cell. A magic's line is ``pass``, ``x = !ls`` is ``x = None``.
    :param magics: the other lines, each with its ``%``, ``!`` or ``?`` and without indentation; lines continued with a backslash are one.
    :param lines: the cell's line, counted from 1, on which each of ``magics`` begins.
    :param cell_magics: ``("time", "capture out")`` for a cell that begins with ``%%time`` and goes on with ``%%capture out``.
    :param timed: what ``%timeit`` and ``%%timeit`` run: Python that assigns nothing in the notebook's namespace. As many lines as the cell, or empty.
    :param body: what lies below a cell magic that runs no Python of this notebook (``%%bash``, ``%%writefile``).
    """

    python: str
    magics: tuple[str, ...]
    lines: tuple[int, ...]
    cell_magics: tuple[str, ...]
    timed: str
    body: str

    @property
    def cell_magic(self) -> str | None:
        """``"capture out"`` for a cell that begins with ``%%capture out``."""
        return self.cell_magics[0] if self.cell_magics else None


@dataclass(slots=True)
class _Memory:
    cells: dict[str, CellSource] = field(default_factory=dict)
    trees: dict[str, ast.Module | None] = field(default_factory=dict)
    nodes: dict[int, tuple[ast.AST, list[ast.AST]]] = field(default_factory=dict)  # by id(), with its owner


_MEMORY: ContextVar[_Memory | None] = ContextVar("_MEMORY", default=None)


@contextmanager
def reading_cells_once() -> Iterator[None]:
    """
    Within it, ``split_cell`` and ``parse_python`` read each text once and give the same answer again.

    A dozen checks look at every cell of a notebook. Syntax trees take a hundred times their text in memory, so they are forgotten at the end.
    """
    token = _MEMORY.set(_Memory())
    try:
        yield
    finally:
        _MEMORY.reset(token)


def parse_python(python: str) -> ast.Module | None:
    """
    The syntax tree, or None where the worker's Python cannot parse it. Silent about the author's warnings.

    The tree may be shared: nobody changes it, and cells of the same text may have the same one.
    """
    memory = _MEMORY.get()
    if memory is None:
        return parse_anew(python)
    if python not in memory.trees:
        memory.trees[python] = parse_anew(python)
    return memory.trees[python]


def parse_anew(python: str) -> ast.Module | None:
    """What ``parse_python`` gives, as a tree that nobody else has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning: invalid escape sequence, "is" with a literal …
        try:
            return ast.parse(python)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def walk(node: ast.AST) -> list[ast.AST]:
    """
    Every node below and with this one, breadth first, as ``ast.walk`` gives them but in a fifth of its time.

    Left out is what says only that a name is read or written (``ast.Load``): each name has its ``ctx``.
    """
    memory = _MEMORY.get()
    if memory is None or not isinstance(node, ast.Module):
        return _walk(node)
    if id(node) not in memory.nodes:
        memory.nodes[id(node)] = (node, _walk(node))
    return memory.nodes[id(node)][1]


def _walk(node: ast.AST) -> list[ast.AST]:
    found = [node]
    for one in found:  # which grows on the way
        if isinstance(one, ast.Constant):
            continue
        for name in one._fields:
            value = getattr(one, name, None)
            if isinstance(value, list):
                found += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found


def split_cell(source: str) -> CellSource:
    """
    Separate a cell's Python from its magics, as IPython does.

    A sign counts where a statement begins: inside brackets, in a string and after a backslash it is Python. The statement of ``%time`` and the body of
    ``%%time``, ``%%capture`` and ``%%prun`` are read as the cell itself is.
    """
    memory = _MEMORY.get()
    if memory is None:
        return _split(source)
    if source not in memory.cells:
        memory.cells[source] = _split(source)
    return memory.cells[source]


def _split(source: str) -> CellSource:
    # Not splitlines(): it also splits at \f and \u2028, inside strings.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    reader = _Reader()
    try:
        reader.read_cell(lines, at=0)
    except RecursionError:  # hundreds of %time before one another: no one's handwriting, and no Python
        return CellSource(source, (), (), (), "", "")
    return CellSource(
        python=_text(reader.python, len(lines)),
        magics=tuple(text for _, text in reader.magics),
        lines=tuple(line + 1 for line, _ in reader.magics),
        cell_magics=tuple(reader.cell_magics),
        timed=_text(reader.timed, len(lines)) if reader.timed else "",
        body=reader.body,
    )


def _text(by_line: dict[int, str], count: int) -> str:
    return "\n".join(by_line.get(number, "") for number in range(count)) + "\n"


@dataclass(slots=True)
class _Reader:
    """Takes cells apart; lines are counted from 0 over the outermost cell."""

    python: dict[int, str] = field(default_factory=dict)
    timed: dict[int, str] = field(default_factory=dict)
    magics: list[tuple[int, str]] = field(default_factory=list)
    cell_magics: list[str] = field(default_factory=list)
    body: str = ""

    def read_cell(self, lines: list[str], *, at: int) -> None:
        """Read a whole cell, or the body of a magic that runs it, whose first line is line ``at``."""
        first = next((number for number, line in enumerate(lines) if line.strip()), None)
        if first is None:
            return
        lines = _cleaned(lines[first:])
        at += first
        if not lines[0].startswith("%%") or re.match(r"%%\w+\?", lines[0]):
            self._read_statements(lines, at)
            self._read_automagic(lines, at)
            return
        magic = lines[0][2:].strip()
        self.cell_magics.append(magic)
        name, _, argument = magic.partition(" ")
        if name in _IN_NAMESPACE:
            statement = "" if name == "capture" else _statement_of(argument)
            self.read_cell([statement, *lines[1:]], at=at)
        elif name in _IN_FUNCTION:
            self._read_timed([_statement_of(argument), *lines[1:]], at)
        else:
            self.body = "\n".join(lines[1:])

    def _read_timed(self, lines: list[str], at: int) -> None:
        inner = _Reader()
        inner.read_cell(lines, at=at)
        self.timed.update(inner.python | inner.timed)
        self.magics += inner.magics
        self.cell_magics += inner.cell_magics
        self.body = self.body or inner.body

    def _read_statements(self, lines: list[str], at: int) -> None:
        row = 0
        while row < len(lines):
            line = lines[row]
            column = len(line) - len(line.lstrip())
            if line.strip() == "\\" and row + 1 < len(lines):  # the statement begins on the next line
                self.python[at + row] = line
                row += 1
                continue
            if _is_escaped(line, column):
                row = self._read_escaped(lines, row, column, at)
                continue
            statement = _scan(lines, row)
            if statement.magic is not None:
                self._read_assignment(lines, row, statement.magic, at)
                row = _end_of_continued(lines, statement.magic[0]) + 1
                continue
            content = "\n".join(lines[row : statement.end + 1])[column:]
            if statement.ends_in_question_mark and (asked := _HELP.search(content)):
                self.magics.append((at + row, f"?{asked[0].rstrip('?')}"))
                self.python[at + row] = line[:column] + "pass"
            else:
                self.python.update({at + number: lines[number] for number in range(row, statement.end + 1)})
            row = statement.end + 1

    def _read_escaped(self, lines: list[str], row: int, column: int, at: int) -> int:
        """Read the magic that begins there; returns the row after it."""
        line = lines[row]
        asked = None if "#" in line else _HELP.search(line)
        end = row if asked else _end_of_continued(lines, row)
        text = f"?{asked[0].rstrip('?')}" if asked else _assembled(lines, (row, column), end)
        if text[0] in _CALLS:
            name, _, words = text[1:].partition(" ")
            if name or text[0] != "/":
                self._read_statements([line[:column] + name + _CALLS[text[0]](words)], at + row)
            else:
                self.python[at + row] = line  # no Python either
            return end + 1
        self.magics.append((at + row, text))
        self.python[at + row] = line[:column] + (self._statement_in(text, at + row) or "pass")
        return end + 1

    def _read_assignment(self, lines: list[str], row: int, position: tuple[int, int], at: int) -> None:
        """Read ``x = !ls``, ``x = %timeit -o f()``: the value is at ``position``."""
        self.python.update({at + number: lines[number] for number in range(row, position[0])})
        self.python[at + position[0]] = lines[position[0]][: position[1]] + "None"
        text = _assembled(lines, position, _end_of_continued(lines, position[0]))
        self.magics.append((at + position[0], text))
        statement = self._statement_in(text, at + position[0])
        if statement:
            self.timed[at + position[0]] = statement

    def _statement_in(self, magic: str, at: int) -> str:
        """
        The Python that ``%time statement`` runs in the notebook's namespace; empty for any other magic.

        A statement that is no Python fails when it runs, not when the cell is read.
        """
        found = re.match(r"%(time|prun|timeit)\s+(.*)", magic, re.DOTALL)
        if not found:
            return ""
        inner = _Reader()
        inner.read_cell([_statement_of(found[2])], at=at)
        self.magics += inner.magics
        self.cell_magics += inner.cell_magics
        self.timed.update(inner.timed)
        statement = inner.python.get(at, "")
        if not statement or parse_python(statement) is None:
            return ""
        if found[1] in _IN_FUNCTION:
            self.timed[at] = statement
            return ""
        return statement

    def _read_automagic(self, lines: list[str], at: int) -> None:
        """``run x.ipynb`` alone in its cell: IPython puts the sign before it."""
        if len(lines) > 1 and any(line.strip() for line in lines[1:]):
            return
        word, _, rest = lines[0].partition(" ")
        if word in _AUTOMAGICS and rest.strip() and self.python.get(at) and parse_python(self.python[at]) is None:
            del self.python[at]
            self._read_statements([f"%{lines[0]}"], at)


def _is_escaped(line: str, column: int) -> bool:
    return line[column : column + 1] in _ESCAPES and column < len(line) and not line.startswith(_OPERATORS, column)


def _statement_of(argument: str) -> str:
    options = _STATEMENT_OPTIONS.match(argument)
    return argument[options.end() :] if options else argument


def _cleaned(lines: list[str]) -> list[str]:
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
    """What was pasted with its ``>>>`` or ``In [1]:`` is run without."""
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


@dataclass(frozen=True, slots=True)
class _Statement:
    """
    One logical line.

    :param end: its last row.
    :param magic: where the value of ``x = !ls`` or ``x = %magic`` begins; the scan ends there.
    """

    end: int
    magic: tuple[int, int] | None
    ends_in_question_mark: bool


def _scan(lines: list[str], row: int) -> _Statement:  # noqa: C901, PLR0912 a case per kind of character
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
                        return _Statement(number, position, ends_in_question_mark=False)
                last = char
        if not quote:
            last = line[column:].rstrip()[-1:] or last
        if len(quote) == 1 and not continues:
            quote, last = "", line[-1:]  # an ordinary string ends with its line; one that is not closed is none
        if not (quote or depth or continues):
            return _Statement(number, None, last == "?")
    return _Statement(len(lines) - 1, None, last == "?")


def _is_assignment(line: str, column: int) -> bool:
    return line[column + 1 : column + 2] != "=" and (column == 0 or line[column - 1] not in "=!<>:+-*/%&|^@")


def _magic_value(lines: list[str], row: int, column: int) -> tuple[int, int] | None:
    """Where ``!ls`` or ``%magic`` begins, if that is what follows the ``=`` which ends before ``column``."""
    while lines[row][column:].strip() == "\\" and row + 1 < len(lines):
        row, column = row + 1, 0
    value = lines[row][column:]
    is_magic = re.match(r"\s*(?:!(?!=)|%\s*[^\W\d])", value)
    if not is_magic or lines[row].lstrip().startswith("=") or _HELP.search(lines[row]):
        return None
    return row, column + len(value) - len(value.lstrip())


def _end_of_continued(lines: list[str], row: int) -> int:
    while lines[row].endswith("\\") and row + 1 < len(lines):
        row += 1
    return row


def _assembled(lines: list[str], start: tuple[int, int], end: int) -> str:
    parts = [lines[start[0]][start[1] :], *lines[start[0] + 1 : end + 1]]
    return " ".join([part.rstrip()[:-1] for part in parts[:-1]] + [parts[-1].rstrip()])
