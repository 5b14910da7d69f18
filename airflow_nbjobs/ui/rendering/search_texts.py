"""
The texts of a notebook that a reader searches: source and printed output of its cells, as much as a page may hold.

Called by ``document.py``; ``templates/tab_search.js`` does the searching.
"""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs.core.notebook.document import outputs_of
from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.ui.rendering.outline import name_of
from airflow_nbjobs.ui.rendering.shrink import cut_length
from airflow_nbjobs.ui.rendering.text import plain_text_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from airflow_nbjobs.ui.rendering.outline import Cell
    from airflow_nbjobs.ui.rendering.report import InReport

ALL_CHARACTERS = 1_000_000
PART_CHARACTERS = 50_000
_READ_CHARACTERS = 4 * PART_CHARACTERS  # of one output
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z!][\w:-]{0,40})?[^<>]*>")


class SearchText(msgspec.Struct, frozen=True, kw_only=True):
    """
    One text of a cell.

    :param kind: ``"text"``, ``"code"`` or ``"output"``.
    :param in_report: whether the report shows it.
    """

    anchor: str
    name: str
    kind: str
    text: str
    in_report: bool


class SearchTexts(msgspec.Struct, frozen=True):
    """:param is_whole: no text was cut or left out."""

    parts: tuple[SearchText, ...]
    is_whole: bool


def search_texts(cells: Sequence[Cell], in_report: Mapping[str, InReport], *, is_whole: bool = True) -> SearchTexts:
    """
    Return the texts of the cells, a million characters at most.

    :param in_report: of the cells that are in the report, by anchor.
    :param is_whole: these cells are all that the notebook has, and nothing of them was left out.
    """
    parts: list[SearchText] = []
    left = ALL_CHARACTERS
    for cell in cells:
        for kind, pieces, is_reported in _texts(cell, in_report.get(cell.anchor)):
            text, is_cut = _within(pieces, min(PART_CHARACTERS, left))
            is_whole = is_whole and not is_cut
            left -= len(text)
            if text.strip():
                parts.append(
                    SearchText(anchor=cell.anchor, name=name_of(cell), kind=kind, text=text, in_report=is_reported)
                )
    return SearchTexts(tuple(parts), is_whole)


def _within(pieces: Iterable[tuple[str, bool]], most: int) -> tuple[str, bool]:
    """Return the pieces as one text, and whether that is cut; what there is no room for is not even read."""
    kept: list[str] = []
    left, any_is_cut = most, False
    for piece, is_cut in pieces:
        if len(piece) > left:
            return "\n".join([*kept, piece[:left]])[:most], True
        any_is_cut = any_is_cut or is_cut
        if piece:
            kept.append(piece)
            left -= len(piece) + 1
    return "\n".join(kept), any_is_cut


def _texts(cell: Cell, report: InReport | None) -> Iterator[tuple[str, Iterator[tuple[str, bool]], bool]]:
    yield "code" if cell.is_code else "text", iter([_source(cell)]), report is not None and not cell.is_code
    if not cell.is_code:
        return
    outputs = outputs_of(cell.node)
    reported = {id(each) for each in report.outputs} if report is not None else set()
    for is_reported in (True, False):
        group = [each for each in outputs if (id(each) in reported) is is_reported]
        yield "output", map(_text_of_output, group), is_reported


def _source(cell: Cell) -> tuple[str, bool]:
    source = source_of(cell.node)
    return (source, False) if cut_length(source) is None else ("", True)


def _text_of_output(output: Mapping[str, Any]) -> tuple[str, bool]:
    """Return what a reader sees of an output as text, of a progress bar its last state, and whether that is cut."""
    data = output.get("data")
    if not isinstance(data, dict):
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain_text_of(output).split("\n"))
        return text[:_READ_CHARACTERS], len(text) > _READ_CHARACTERS
    forms = {form: text_of(data.get(form)) for form in ("text/plain", "text/markdown", "text/latex", "text/html")}
    found = next(((form, text) for form, text in forms.items() if text and cut_length(text) is None), None)
    if found is None:
        return "", any(forms.values())
    form, text = found
    read = text[:_READ_CHARACTERS]
    return _text_of_html(read) if form == "text/html" else strip_ansi(read), len(read) < len(text)


def _text_of_html(html: str) -> str:
    """Return the words between the tags, in a time that grows with the text and no faster: it is for finding, not for showing."""
    found: list[str] = []
    place, is_left_out = 0, False
    for tag in _TAG.finditer(html):
        if not is_left_out:
            found.append(html[place : tag.start()])
        place = tag.end()
        if (tag["name"] or "").lower() in ("style", "script"):
            is_left_out = not tag["end"]
    if not is_left_out:
        found.append(html[place:])
    return unescape(" ".join(" ".join(found).split()))
