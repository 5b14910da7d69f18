"""
Markdown as a notebook's author knows it, by nbconvert, then sanitised.

Called by ``document.py`` and ``outputs.py``.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any
from urllib.parse import unquote

from markupsafe import Markup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath, MathInlineParser

from airflow_nbjobs.ui.rendering.clean import Inserts, clean, without_marks
from airflow_nbjobs.ui.rendering.formulas import INLINE, Formulas

_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_PIPE = re.compile(r"(?<!\\)(?:\\\\)*\|")
_CODE = re.compile(r" {4}| {0,3}\t")
_RULE = re.compile(r" {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*")


class _InlineParser(MathInlineParser):  # type: ignore[misc]  # nbconvert has no types
    SPECIFICATION = MathInlineParser.SPECIFICATION | {"inline_math_tex": f"(?s:{INLINE})"}


class _Renderer(IPythonRenderer):  # type: ignore[misc]  # nbconvert has no types
    """nbconvert's, which leaves formulas to a script and gives up a whole cell for an attachment that is not there."""

    def __init__(self, attachments: dict[str, dict[str, str]], formulas: Formulas) -> None:
        # embed_images would read files of this machine that the notebook names.
        super().__init__(escape=False, embed_images=False, exclude_anchor_links=True, attachments=attachments)
        self.inserts = Inserts()
        self._formulas = formulas

    def inline_math(self, body: str) -> str:
        return self._formula(body, f"${body}$", is_block=False)

    def block_math(self, body: str) -> str:
        return self._formula(body, f"$${body}$$", is_block=True)

    def latex_environment(self, name: str, body: str) -> str:
        typed = f"\\begin{{{name}}}{body}\\end{{{name}}}"
        return self._formula(typed, typed, is_block=True)

    def _formula(self, tex: str, typed: str, *, is_block: bool) -> str:
        return self.inserts.mark(self._formulas.element(tex, typed, is_block=is_block))

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if url.startswith("attachment:"):
            name = unquote(url.removeprefix("attachment:"))
            url = f"attachment:{name}" if self.attachments.get(name) else ""
        return str(super().image(text, url, title))


def markdown_html(
    source: str, attachments: dict[str, dict[str, str]] | None = None, *, formulas: Formulas | None = None
) -> Markup:
    """
    Return the text as HTML, formulas set; what cannot be read as Markdown stays as typed.

    :param attachments: images by name, as base64 by MIME type.
    :param formulas: the notebook's; default: it has no others.
    """
    renderer = _Renderer(attachments or {}, formulas or Formulas())
    parser: Any = MarkdownWithMath(renderer=renderer, inline=_InlineParser(hard_wrap=False))
    try:
        html = str(parser.render(_with_even_tables(without_marks(source))))
        cleaned = clean(html, inserts=renderer.inserts, with_heading_ids=True)
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - nbconvert raises what it likes
        return Markup("<pre>{}</pre>").format(source)
    shown = Markup(cleaned.html)  # noqa: S704 - cleaned
    return Markup('<div class="nb-island">{}</div>').format(shown) if cleaned.has_colours else shown


def _with_even_tables(source: str) -> str:
    """Return the text with as many cells in each row of a table as in its head, as GitHub and JupyterLab read it; mistune reads no table at all there."""
    lines = source.split("\n")
    is_fenced = False
    width = 0  # of the table that the line stands in
    for number, (before, line) in enumerate(pairwise(lines), 1):
        is_fenced ^= _FENCE.match(before) is not None
        if is_fenced or "|" not in line or _CODE.match(line):
            width = 0
        elif width:
            lines[number] = _row(line, width)
        elif (
            _RULE.fullmatch(line)
            and "|" in before
            and not _CODE.match(before)
            and len(_cells(before)) == len(_cells(line))
        ):
            width = len(_cells(line))
            lines[number - 1 : number + 1] = _row(before, width), _row(line, width)
    return "\n".join(lines)


def _row(line: str, width: int) -> str:
    cells = (_cells(line) + [""] * width)[:width]
    return f"{line[: len(line) - len(line.lstrip())]}| {' | '.join(cells)} |"


def _cells(row: str) -> list[str]:
    row = row.strip()
    ends = [found.end() - 1 for found in _PIPE.finditer(row)]
    cells = [row[start + 1 : end].strip() for start, end in pairwise([-1, *ends, len(row)])]
    return cells[1 if row.startswith("|") else 0 : -1 if ends and ends[-1] == len(row) - 1 else None]
