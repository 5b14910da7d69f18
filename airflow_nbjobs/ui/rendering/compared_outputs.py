"""
The outputs of two cells, read as what can be compared: texts, rows of tables, pictures, and whatever else only looks alike or not.

Called by ``comparison.py``. Everything here is untrusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from bs4 import BeautifulSoup, Tag

from airflow_nbjobs.core.notebook.comparison_matching import blocks
from airflow_nbjobs.core.notebook.failing_cell import strip_ansi
from airflow_nbjobs.ui.rendering.differences import comparable
from airflow_nbjobs.ui.rendering.made_up import without_made_up
from airflow_nbjobs.ui.rendering.terminal import settled
from airflow_nbjobs.ui.rendering.text import plain_text_of, stream_of, text_of
from airflow_nbjobs.ui.rendering.widgets import VIEW

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence

    from airflow_nbjobs.core.notebook.comparison_matching import Effort
    from airflow_nbjobs.ui.rendering.budget import Budget
    from airflow_nbjobs.ui.rendering.differences import Row

_TEXT_CHARACTERS = 512 * 1024
_LINE_CHARACTERS = 20_000
_HTML_CHARACTERS = 512 * 1024
_HTML_TAGS = 15_000
_CELL_CHARACTERS = 300
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
_TEXTS = ("text/markdown", "text/latex")
_MARKUP = ("text/html", "image/svg+xml")
_TABLE = re.compile(r"<tr\b", re.IGNORECASE)


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """
    One output, or neighbouring pieces of one stream.

    :param name: what a reader calls it.
    :param key: equal where two items are.
    :param lines: of a text.
    :param rows: of a table.
    :param output: what is shown as it is: of a table where its rows are the same.
    """

    kind: Literal["text", "table", "picture", "other"]
    name: str
    key: Hashable
    lines: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    output: dict[str, Any] | None = None


def read_items(outputs: Iterable[dict[str, Any]], budget: Budget) -> list[Item]:
    """Return a cell's outputs in their order."""
    return list(_items(outputs, budget))


def is_equal(left: Iterable[dict[str, Any]], right: Iterable[dict[str, Any]]) -> bool:
    """Say whether the outputs of two cells are the same to the letter, but for the number of their execution."""
    return _bare(left) == _bare(right)


def _bare(outputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    unsaid = ("execution_count", "metadata")
    return [{key: value for key, value in each.items() if key not in unsaid} for each in outputs]


def paired_items(
    left: Sequence[Item], right: Sequence[Item], effort: Effort
) -> Iterator[tuple[Item | None, Item | None]]:
    """Yield items that correspond: equal ones, and between them those of the same name in their order."""
    for block in blocks([each.key for each in left], [each.key for each in right], effort):
        part, other_part = left[block.left.start : block.left.stop], right[block.right.start : block.right.stop]
        if block.kind == "equal":
            yield from zip(part, other_part, strict=True)
            continue
        rest = list(other_part)
        for item in part:
            other = next((each for each in rest if (each.kind, each.name) == (item.kind, item.name)), None)
            if other is not None:
                for skipped in rest[: rest.index(other)]:
                    yield None, skipped
                del rest[: rest.index(other) + 1]
            yield item, other
        for each in rest:
            yield None, each


def _items(outputs: Iterable[dict[str, Any]], budget: Budget) -> Iterator[Item]:
    for stream, group in groupby(outputs, key=stream_of):
        if stream:
            name = "stderr" if stream == "stderr" else "printed"
            yield _text(name, "".join(text_of(each.get("text")) for each in group), budget)
            continue
        for output in group:
            if output.get("output_type") == "error":
                yield _error(output, budget)
            else:
                data = output.get("data")
                yield _data(data if isinstance(data, dict) else {}, output, budget)


def _error(output: Mapping[str, Any], budget: Budget) -> Item:
    said = strip_ansi(f"{text_of(output.get('ename'))}: {text_of(output.get('evalue'))}")
    traceback = plain_text_of(output)
    return _text("error", traceback if said in traceback else f"{said}\n{traceback}", budget)


def _text(name: str, text: str, budget: Budget) -> Item:
    whole = strip_ansi(settled(text.rstrip("\n"))).rstrip("\n")
    shown = whole[:_TEXT_CHARACTERS]
    if budget.take("text", len(shown), _TEXT_CHARACTERS):
        budget.refused += len(shown) < len(whole)
    else:
        shown = shown[: max(budget.left["text"], 2_000)]
        budget.left["text"] = max(0, budget.left["text"] - len(shown))
    # What is left out counts, as far as it can be told: equal texts stay equal.
    rest = [f"… {len(whole) - len(shown):,} more characters are in the .ipynb"] if len(shown) < len(whole) else []
    lines = (*(_short(line, _LINE_CHARACTERS) for line in shown.split("\n")), *rest)
    digest = _digest(_masked(whole, comparable(whole), budget))
    return Item(kind="text", name=name, key=("text", name, digest), lines=lines)


def _data(data: Mapping[str, Any], output: dict[str, Any], budget: Budget) -> Item:
    html = text_of(data.get("text/html"))
    if VIEW not in data and _TABLE.search(html):
        rows = _rows(html, budget)
        if rows:
            # Its rows are not all that a reader sees: links, colours, a caption.
            return Item(kind="table", name="table", key=("table", _key(data, budget)), rows=rows, output=output)
    picture = next((each for each in _IMAGES if text_of(data.get(each)).strip()), None)
    if picture is not None and not html.strip():
        text = text_of(data[picture])
        plain = _masked(text, without_made_up(text), budget) if picture.endswith("xml") else "".join(text.split())
        return Item(kind="picture", name="picture", key=(picture, _digest(plain)), output=output)
    if not html.strip() and VIEW not in data:
        for name in _TEXTS:
            if name in data:
                return _text("text", text_of(data[name]), budget)
        if "application/json" in data:
            return _text("JSON", _json(data["application/json"]), budget)
        if set(data) <= {"text/plain"}:
            return _text("result", text_of(data.get("text/plain")), budget)
    return Item(kind="other", name="output", key=("other", _key(data, budget)), output=output)


def _key(data: Mapping[str, Any], budget: Budget) -> str:
    marked = {name: without_made_up(text_of(data[name])) for name in _MARKUP if name in data}
    return _digest(_masked(_json(data), comparable(_json({**data, **marked})), budget))


def _masked(text: str, masked: str, budget: Budget) -> str:
    budget.masks |= text != masked
    return masked


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _json(value: object) -> str:
    try:
        return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return repr(type(value))


def _rows(html: str, budget: Budget) -> tuple[Row, ...]:
    """Return the rows of all tables in a piece of HTML, and what is said beside them; none where that would take too long."""
    if not budget.take("tags", html.count("<"), _HTML_TAGS) or not budget.take("html", len(html), _HTML_CHARACTERS):
        return ()
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(("style", "script", "template", "noscript")):
        tag.decompose()
    for image in soup.find_all("img"):
        image.replace_with(f"(picture {_digest(str(image.get('src')))[:6]})")
    rows = tuple(_row(row) for row in soup.find_all("tr"))
    for table in soup.find_all("table"):
        if not table.decomposed:
            table.decompose()
    beside = _short(" ".join(soup.get_text(" ").split()))
    return (*rows, (beside,)) if beside else rows


def _row(row: Tag) -> Row:
    cells = row.find_all(("th", "td"), recursive=False)
    return tuple(_short(" ".join(cell.get_text(" ").split())) for cell in cells)


def _short(text: str, limit: int = _CELL_CHARACTERS) -> str:
    """Return a text that is as long as can be read in its place; of one that is cut off, what tells it from others with that beginning."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters, {_digest(text)[:6]})"
