"""
How IPython reads a cell: which of its lines are Python, and which are magics, shell commands or questions for help.

Called by whatever reads cells. Pure; held against IPython's own transformer by ``tests/core/notebook/test_cell_syntax.py``. Must never import
IPython: the worker need not have it, and the job's image has its own.

Source: ``core/inputtransformer2.py`` and ``core/magics/execution.py`` of IPython 8 and 9.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.notebook.cell_lines import HELP, assembled, cleaned, end_of_continued, scan
from airflow_nbjobs.core.notebook.syntax_trees import once, parse_python

if TYPE_CHECKING:
    import ast
    from collections.abc import Callable

# Cells that run commands of the shell.
SHELL_CELL_MAGICS = frozenset({"bash", "sh", "!", "sx", "system", "script"})
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
# %time, %prun and %timeit take flags before the statement, some of them with a value.
_STATEMENT_OPTIONS = re.compile(
    r"(?:(?:--?no-raise-error|-[nrp]\s*\d+|-[DlsT]\s*(?:\"[^\"]*\"|'[^']*'|\S+)|-[tcqovr]+)(?:\s+|$))*"
)
# In a cell of one line, IPython's automagic adds the sign before these names. No Python statement begins with one of them and a blank.
_AUTOMAGICS = frozenset(
    "cat cd conda config cp env ldir less load load_ext ls mamba man matplotlib mkdir more mv pip popd prun pushd rm rmdir run"
    " set_env store sx system time timeit uv who whos".split()
)


class CellSource(msgspec.Struct, frozen=True):
    """One code cell, taken apart."""

    # what binds names in the notebook's namespace; as many lines as the cell. A magic's line is ``pass``, ``x = !ls`` is ``x = None``
    python: str
    # the other lines, each with its ``%``, ``!`` or ``?`` and without indentation; lines continued with a backslash are one
    magics: tuple[str, ...]
    lines: tuple[int, ...]  # the cell's line, counted from 1, on which each of ``magics`` begins
    # ``("time", "capture out")`` for a cell that begins with ``%%time`` and goes on with ``%%capture out``
    cell_magics: tuple[str, ...]
    # what ``%timeit`` and ``%%timeit`` run: Python that assigns nothing in the notebook's namespace. As many lines as the cell, or empty
    timed: str
    body: str  # what lies below a cell magic that runs no Python of this notebook (``%%bash``, ``%%writefile``)

    @property
    def cell_magic(self) -> str | None:
        """``"capture out"`` for a cell that begins with ``%%capture out``."""
        return self.cell_magics[0] if self.cell_magics else None

    @property
    def tree(self) -> ast.Module | None:
        """The syntax tree of its Python; None where that does not parse."""
        return parse_python(self.python)

    @property
    def trees(self) -> tuple[ast.Module, ...]:
        """The syntax trees of its Python and of what is timed, each where it parses."""
        return tuple(tree for tree in (self.tree, parse_python(self.timed)) if tree is not None)


@once
def split_cell(source: str) -> CellSource:
    """
    Separate a cell's Python from its magics, as IPython does.

    A sign counts where a statement begins: inside brackets, in a string and after a backslash it is Python. The statement of ``%time`` and the body of
    ``%%time``, ``%%capture`` and ``%%prun`` are read as the cell itself is.
    """
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


class _Reader(msgspec.Struct):
    """Takes cells apart; lines are counted from 0 over the outermost cell."""

    python: dict[int, str] = msgspec.field(default_factory=dict)
    timed: dict[int, str] = msgspec.field(default_factory=dict)
    magics: list[tuple[int, str]] = msgspec.field(default_factory=list)
    cell_magics: list[str] = msgspec.field(default_factory=list)
    body: str = ""

    def read_cell(self, lines: list[str], *, at: int) -> None:
        """Read a whole cell, or the body of a magic that runs it, whose first line is line ``at``."""
        first = next((number for number, line in enumerate(lines) if line.strip()), None)
        if first is None:
            return
        lines = cleaned(lines[first:])
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
            statement = scan(lines, row)
            if statement.magic is not None:
                self._read_assignment(lines, row, statement.magic, at)
                row = end_of_continued(lines, statement.magic[0]) + 1
                continue
            content = "\n".join(lines[row : statement.end + 1])[column:]
            if statement.ends_in_question_mark and (asked := HELP.search(content)):
                self.magics.append((at + row, f"?{asked[0].rstrip('?')}"))
                self.python[at + row] = line[:column] + "pass"
            else:
                self.python.update({at + number: lines[number] for number in range(row, statement.end + 1)})
            row = statement.end + 1

    def _read_escaped(self, lines: list[str], row: int, column: int, at: int) -> int:
        """Read the magic that begins there; returns the row after it."""
        line = lines[row]
        # IPython looks for a question first, over all that is one line to Python: also on through a bracket that a shell command opens, with
        # Python 3.11's tokenize (later ones end such a line where it ends).
        statement = scan(lines, row)
        end = statement.end if statement.ends_in_question_mark else row
        asked = None if "#" in line else HELP.search("\n".join(lines[row : end + 1])[column:])
        end = end if asked else end_of_continued(lines, row)
        text = f"?{asked[0].rstrip('?')}" if asked else assembled(lines, (row, column), end)
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
        text = assembled(lines, position, end_of_continued(lines, position[0]))
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
