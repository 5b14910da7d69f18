"""
What a cell printed, what it raised, and notices: texts of a terminal, long ones folded, with as much of each as there is room for.

Called by ``outputs.py`` and ``document.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.rendering.shrink import cut_length
from airflow_nbjobs.ui.rendering.terminal import settled, terminal_html
from airflow_nbjobs.ui.rendering.tracebacks import sections

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.ui.rendering.budget import Budget

TEXT_CHARACTERS = 512 * 1024
_LONG_LINES = 40  # more are folded
_HEAD_LINES, _TAIL_LINES = 20, 10
_LINE_CHARACTERS = 20_000


def notice(text: str) -> Markup:
    return Markup('<p class="nb-notice">{}</p>').format(text)


def stream_of(output: Mapping[str, Any]) -> str:
    """Return which stream was written to, empty for another output; what names none went to the first."""
    if output.get("output_type") != "stream":
        return ""
    return "stderr" if output.get("name") == "stderr" else "stdout"


def plain_text_of(output: Mapping[str, Any]) -> str:
    """Return what an output is without any rendering: its text, else the names of its forms."""
    data = output.get("data")
    if isinstance(data, dict):
        text = text_of(data.get("text/plain"))
        names = ", ".join(sorted(str(name)[:80] for name in data))[:300]
        return strip_ansi(text) or (f"(an output of type {names})" if names else "")
    if output.get("output_type") == "error":
        return strip_ansi(_traceback_of(output))
    return strip_ansi(text_of(output.get("text")))


def error_html(output: Mapping[str, Any], budget: Budget) -> Markup:
    """Return a traceback whose frames of libraries, and whose long texts of exceptions, open on a click."""
    text, more = _within(_traceback_of(output), budget)
    shown = Markup("").join(
        _details(title, lines) if title else _pre(lines) for title, lines in sections(text.rstrip("\n").split("\n"))
    )
    return Markup('<div class="nb-text nb-error">{}</div>{}').format(shown, more)


def _traceback_of(output: Mapping[str, Any]) -> str:
    traceback = output.get("traceback")
    lines = [line for line in traceback if isinstance(line, str)] if isinstance(traceback, list) else []
    return "\n".join(lines) or f"{text_of(output.get('ename'))}: {text_of(output.get('evalue'))}"


def text_html(text: str, budget: Budget, *, kind: str) -> Markup:
    """Return terminal text with its colours, long ones folded; what has been overwritten is gone, as on a terminal."""
    cut = cut_length(text)
    if cut is not None:
        return notice(f"Text of {size(cut)} is not shown; it is in the .ipynb.")
    lines = settled(text.rstrip("\n")).rstrip("\n").split("\n")
    shown, more = _within("\n".join(_cut_line(line) for line in lines), budget)
    lines = shown.split("\n")
    body = _folded(lines) if len(lines) > _LONG_LINES else _pre(lines)
    return Markup('<div class="nb-text nb-{}">{}</div>{}').format(kind, body, more)


def _within(text: str, budget: Budget) -> tuple[str, Markup]:
    """Return as much of a text as there is room for, its beginning and its end, and a notice if that is not all."""
    if budget.take("text", len(text), TEXT_CHARACTERS):
        return text, Markup("")
    half = max(min(TEXT_CHARACTERS, budget.left["text"]) // 2, 1000)
    budget.left["text"] = max(budget.left["text"] - 2 * half, 0)
    if len(text) <= 2 * half:
        return text, Markup("")
    more = notice(f"{size(len(text) - 2 * half)} in the middle are not shown; they are in the .ipynb.")
    return f"{text[:half]}\n…\n{text[-half:]}", more


def _cut_line(line: str) -> str:
    return line if len(line) <= _LINE_CHARACTERS else f"{line[:_LINE_CHARACTERS]}…"


def _pre(lines: list[str]) -> Markup:
    return Markup("<pre>{}</pre>").format(terminal_html(printable("\n".join(lines))))


def _details(title: str, lines: list[str]) -> Markup:
    return Markup("<details><summary>{}</summary>{}</details>").format(title, _pre(lines))


def _folded(lines: list[str]) -> Markup:
    head, middle, tail = lines[:_HEAD_LINES], lines[_HEAD_LINES:-_TAIL_LINES], lines[-_TAIL_LINES:]
    return _pre(head) + _details(f"{len(middle):,} more lines", middle) + _pre(tail)


def printable(text: str) -> str:
    # Before it is parsed: a NUL ends some parsers' text. ESC begins a colour.
    return visible(text, but="\x1b")


def text_of(value: object) -> str:
    """Return a text of the notebook format, which may be a list of lines; empty for anything else."""
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def size(count: int) -> str:
    return f"{count / 1024**2:.1f} MB" if count >= 1024**2 else f"{max(count, 0) / 1024:.0f} kB"
