"""
An executed notebook as one self-contained HTML document, as a report without its code, and the facts that the page around it shows.

Called by ``worker.py``. No content of a notebook makes it raise: a note stands in place of what cannot be shown.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec.structs import asdict
from nbconvert.filters.highlight import Highlight2HTML
from pygments.formatters import HtmlFormatter

from airflow_nbjobs.core.notebook import papermill
from airflow_nbjobs.core.notebook.document import language, mark_of, outputs_of, tags_of
from airflow_nbjobs.core.notebook.failing_cell import clean_exit, find_failing_cell, last_cell_run, numbered_cells
from airflow_nbjobs.core.notebook.progress import cell_text, progress_of
from airflow_nbjobs.core.notebook.source import source_of
from airflow_nbjobs.core.notebook.tracebacks import short
from airflow_nbjobs.core.numbers import is_number
from airflow_nbjobs.core.values.received import read_parameters, read_recorded, value_rows
from airflow_nbjobs.core.values.recording import OUTPUTS
from airflow_nbjobs.core.visible import visible
from airflow_nbjobs.ui.rendering import POLICY, SCRIPTED_POLICY, THEME_MARK
from airflow_nbjobs.ui.rendering.budget import Budget
from airflow_nbjobs.ui.rendering.guard import Guard
from airflow_nbjobs.ui.rendering.markdown import markdown_html
from airflow_nbjobs.ui.rendering.outline import Cell, name_of, outline, shown_cells, slowest
from airflow_nbjobs.ui.rendering.outputs import outputs_html
from airflow_nbjobs.ui.rendering.report import in_report
from airflow_nbjobs.ui.rendering.search_texts import SearchTexts, search_texts
from airflow_nbjobs.ui.rendering.shrink import cut_length, with_excerpts
from airflow_nbjobs.ui.rendering.spans import spans
from airflow_nbjobs.ui.times import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jinja2 import Template
    from nbformat import NotebookNode

    from airflow_nbjobs.core.notebook.failing_cell import FailedCell

_SOURCE_CHARACTERS = 100_000
PIECES_SECONDS = 12.0  # of processor time, for what is rendered piece by piece
_FLAGS = {False: "failed here", True: "last cell that ran"}


class Document(msgspec.Struct, frozen=True):
    """
    The notebook's page and its facts, JSON-like but for ``html``, ``report`` and ``texts``.

    :param report: the same notebook as a page without its code; what is hidden there is not in it.
    :param texts: what is searched.
    :param in_report: the anchors of the cells that are in the report.
    :param slowest: the cells of code that took longest, as entries of the outline.
    :param progress: how many cells of code have run, of how many; ``anchor`` of the cell that runs or ran last; whether nothing can change any more.
    :param failed: the failing cell: anchor, index in the author's file, ename, evalue, traceback; None where none failed.
    :param scripted: outputs that do more with scripts.
    :param unrendered: which pieces could not be rendered, and why.
    :param stopped: the last cell that ran of a job that did not complete, where no cell raised: its anchor and index.
    :param parameters: rows of the notebook's parameters; None where they cannot be read.
    :param outputs: rows of what it recorded.
    :param spans: when the cells ran.
    """

    html: str
    report: str
    texts: SearchTexts
    cells: int
    seconds: float | None
    progress: dict[str, Any]
    failed: dict[str, Any] | None
    outline: tuple[dict[str, Any], ...]
    notices: tuple[str, ...]
    scripted: int
    unrendered: tuple[str, ...]
    stopped: dict[str, Any] | None
    parameters: list[dict[str, str]] | None
    outputs: list[dict[str, str]]
    spans: tuple[dict[str, Any], ...]
    in_report: tuple[str, ...]
    slowest: tuple[dict[str, Any], ...]

    def summary(self) -> dict[str, Any]:
        facts = asdict(self)
        for name in ("html", "report", "texts"):
            del facts[name]
        return facts


def build_document(
    notebook: NotebookNode,
    *,
    title: str,
    notices: tuple[str, ...] = (),
    with_scripts: bool = False,
    seconds: float = PIECES_SECONDS,
    has_failed: bool = False,
) -> Document:
    """
    Return the document for a parsed notebook.

    :param title: of the document, a job's name.
    :param seconds: of processor time; pieces for which nothing of it is left are shown as text. 0: all of them.
    :param has_failed: the job has ended and not completed: the cell that ran last is marked, where none raised.
    """
    has_excerpts = with_excerpts(notebook)
    cells, failed = read_notebook(notebook, has_failed=has_failed)
    progress = progress_facts(notebook)
    runs = shown_cells(cells, (progress["anchor"],))
    shown = [cell for run in runs for cell in run]
    timed = [cell.seconds for cell in cells if cell.seconds is not None]
    longest = max(timed, default=0.0)
    budget = Budget(
        with_scripts=with_scripts, metadata=notebook.get("metadata"), guard=Guard(seconds, with_scripts=with_scripts)
    )
    pieces = _pieces(shown, longest, Highlight2HTML(pygments_lexer=_lexer(notebook)), budget)
    if len(shown) < len(cells):
        notices = (*notices, f"{len(shown):,} of {len(cells):,} cells are shown; the .ipynb has them all.")
    notices = tuple(visible(text) for text in (*notices, *budget.notices()))
    page = {
        "policy": SCRIPTED_POLICY if with_scripts else POLICY,
        "theme": THEME_MARK,
        "title": visible(title),
        "style": Markup(_style()),  # noqa: S704 - our own sheet
        "notices": notices,
        "runs": [[pieces[cell.anchor] for cell in run] for run in runs],
    }
    kept = {cell.anchor: found for cell in shown if (found := pieces[cell.anchor]["in_report"]).is_shown}
    parameters = read_parameters(notebook)
    return Document(
        html=page_of("document.html", page),
        report="" if with_scripts else page_of("report.html", page),
        texts=search_texts(shown, kept, is_whole=len(shown) == len(cells) and not has_excerpts),
        cells=len(cells),
        seconds=round(sum(timed), 3) if timed else None,
        progress=progress,
        failed=failure_facts(failed, cells),
        outline=tuple(outline(shown)),
        notices=notices,
        scripted=budget.scripted,
        unrendered=tuple(budget.guard.failures),
        stopped=next(({"anchor": cell.anchor, "index": cell.index} for cell in cells if cell.is_last), None),
        parameters=None if parameters is None else value_rows(parameters, is_python=True),
        outputs=recorded_rows(notebook),
        spans=spans(shown),
        in_report=tuple(kept),
        slowest=tuple(slowest(shown)),
    )


def read_notebook(notebook: NotebookNode, *, has_failed: bool) -> tuple[list[Cell], FailedCell | None]:
    """Return the cells that the author should see, and the one that failed."""
    failed = find_failing_cell(notebook, has_run_to_its_end=progress_of(notebook).is_complete)
    last = _stopped_at(notebook) if has_failed and failed is None else None
    return list(_cells(notebook, failed.index if failed else None, last)), failed


def failure_facts(failed: FailedCell | None, cells: list[Cell]) -> dict[str, Any] | None:
    if failed is None:
        return None
    return {
        "anchor": next((cell.anchor for cell in cells if cell.is_failed), None),
        "index": failed.index,
        "ename": visible(failed.ename[:200]),
        "evalue": visible(short(failed.evalue)),
        "traceback": visible(failed.traceback[:8000]),
    }


def _stopped_at(notebook: NotebookNode) -> int | None:
    is_whole = progress_of(notebook).is_complete or clean_exit(notebook) is not None
    return None if is_whole else last_cell_run(notebook)


def recorded_rows(notebook: NotebookNode) -> list[dict[str, str]]:
    values, problems = read_recorded(notebook)
    wrong = [{"name": "", "type": "wrong", "text": problem[:1000]} for problem in problems[:20]]
    return value_rows(values) + wrong


def _pieces(cells: list[Cell], longest: float, highlight: Highlight2HTML, budget: Budget) -> dict[str, dict[str, Any]]:
    """Return each cell's values by its anchor; the failed one is made first, while there is time and room for all of it."""
    return {
        cell.anchor: _cell_values(cell, longest, highlight, budget)
        for cell in sorted(cells, key=lambda cell: not cell.is_failed)
    }


def progress_facts(notebook: NotebookNode) -> dict[str, Any]:
    found = progress_of(notebook)
    return {
        "done": found.done,
        "total": found.total,
        "text": cell_text(found.done, found.total) if found.done else "no cell has run yet",
        "anchor": f"cell-{found.current}" if found.current is not None else None,
        "is_complete": found.is_complete,
    }


def _cells(notebook: NotebookNode, failed_index: int | None, last_index: int | None) -> Iterator[Cell]:
    """Yield what the author should see: not the cell that records outputs, nor papermill's markers of an error or its texts of typed parameters."""
    numbered = list(numbered_cells(notebook))
    has_typed = any(mark_of(node) not in (None, OUTPUTS) for _, node in numbered)
    for position, (index, node) in enumerate(numbered, 1):
        tags = tags_of(node)
        is_repeated = has_typed and index is None and mark_of(node) is None and papermill.INJECTED in tags
        if mark_of(node) == OUTPUTS or papermill.ERROR_MARKER in tags or is_repeated:
            continue
        yield Cell(
            node=node,
            anchor=f"cell-{index}" if index is not None else f"nb-added-{position}",
            index=index,
            seconds=_seconds(node),
            is_failed=index is not None and index in (failed_index, last_index),
            is_last=index is not None and index == last_index,
        )


def _seconds(node: NotebookNode) -> float | None:
    said = papermill.papermill_of(node)
    duration = said.get("duration")
    if is_number(duration) and 0 <= duration < 1e9:
        return float(duration)
    try:  # a notebook that is still running
        return max(
            (datetime.fromisoformat(said["end_time"]) - datetime.fromisoformat(said["start_time"])).total_seconds(), 0.0
        )
    except (KeyError, TypeError, ValueError):
        return None


def _lexer(notebook: NotebookNode) -> str:
    name = language(notebook)
    return "ipython3" if name in ("python", "ipython") else name


def _cell_values(cell: Cell, longest: float, highlight: Highlight2HTML, budget: Budget) -> dict[str, Any]:
    """Return what ``document.html`` shows of a cell."""
    source = source_of(cell.node)
    cut = cut_length(source)
    if cut is not None or len(source) > _SOURCE_CHARACTERS:
        budget.refused += 1
        source = source[:_SOURCE_CHARACTERS] if cut is None else ""
    flag = _FLAGS[cell.is_last] if cell.is_failed else ""
    time = cell_duration(cell.seconds) if cell.seconds is not None else ""
    name = name_of(cell)
    label = ", ".join(filter(None, (name, flag, time)))
    report = in_report(cell)
    values: dict[str, Any] = {"cell": cell, "kind": cell.node.get("cell_type"), "label": label, "in_report": report}
    if values["kind"] == "markdown":
        attachments = attachments_of(cell.node)
        body = budget.guard.piece(
            label, lambda: markdown_html(source, attachments, formulas=budget.formulas), lambda: source
        )
        return values | {"body": body}
    if not cell.is_code:
        return values | {"source": visible(source)}
    made: dict[tuple[int, ...], Markup] = {}  # an output that is on both pages is rendered, and counted, once
    output_html = outputs_html(outputs_of(cell.node), budget, label, made=made)
    count = cell.node.get("execution_count")
    return values | {
        "count": count if isinstance(count, int) else " ",
        "flag": flag,
        "tags": [visible(tag[:40]) for tag in tags_of(cell.node)[:6]],
        "time": time,
        "percent": 100 * cell.seconds / longest if cell.seconds and longest else 0,
        "code": budget.guard.piece(label, lambda: Markup(highlight(source)), lambda: source),  # noqa: S704 - Pygments escapes what it highlights
        "outputs": output_html,
        "report_outputs": outputs_html(report.outputs, budget, label, made=made),
    }


def attachments_of(node: NotebookNode) -> dict[str, dict[str, str]]:
    found = node.get("attachments")
    if not isinstance(found, dict):
        return {}
    return {
        str(name): {str(mime_type): data for mime_type, data in bundle.items() if isinstance(data, str)}
        for name, bundle in found.items()
        if isinstance(bundle, dict)
    }


def cell_duration(seconds: float) -> str:
    if seconds < 0.01:
        return "<10 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return duration_text(seconds)


def page_of(template: str, values: dict[str, Any]) -> str:
    """Return the page as a file can hold it: half a surrogate pair has no bytes."""
    return _template(template).render(values).encode("utf-8", "replace").decode()


@cache
def _template(name: str) -> Template:
    loader = PackageLoader("airflow_nbjobs.ui", "rendering")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


@cache
def _style() -> str:
    sheet = files("airflow_nbjobs.ui.rendering").joinpath("notebook.css").read_text(encoding="utf-8")
    light = HtmlFormatter(style="default").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs("[data-theme=dark] .highlight:not(.nb-island *)")
    return f"{light}\n{dark}\n{sheet}"
