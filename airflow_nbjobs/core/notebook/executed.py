"""
An executed notebook as far as it can be read: it has been paid for, so what is malformed in it is mended or left out, and said.

Called by ``aws/results`` and the rendering process. The executed notebook is untrusted. Pure; must never import airflow or boto3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import nbformat

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.document import CELL_TYPES, NESTING_LIMIT, load_json
from airflow_nbjobs.core.notebook.nesting import cut, is_deeper_than

if TYPE_CHECKING:
    from nbformat import NotebookNode

_OUTPUT_TYPES = ("stream", "error", "display_data", "execute_result")
_SHOWN_NOTES = 5
_UNKNOWN_CHARACTERS = 2000


def parse_executed(text: str | bytes, *, source: str) -> tuple[NotebookNode, tuple[str, ...]]:
    """
    Return the notebook, each part of it of nbformat's shape, and in words what had another.

    Cells keep their positions. What is nested more than 150 levels deep is cut off there: far below what an output may be.

    :raises NotebookJobConfigError: not JSON, not nbformat 4, or without a list of cells.
    """
    raw = load_json(text, source)
    notes: list[str] = []
    if is_deeper_than(raw, NESTING_LIMIT):
        notes.append(f"it is nested more than {NESTING_LIMIT} levels deep")
        raw = {key: cut(value, NESTING_LIMIT - 1) for key, value in raw.items()}
    cells = raw.get("cells")
    if not isinstance(cells, list):
        what = "missing" if cells is None else "not a list"
        raise NotebookJobConfigError(f"'{source}' is not a valid notebook: 'cells' is {what}")
    minor = raw.get("nbformat_minor", 0)
    mended = {
        "nbformat": 4,
        "nbformat_minor": minor if isinstance(minor, int) and not isinstance(minor, bool) else 0,
        "metadata": _mapping(raw.get("metadata", {}), "'metadata'", notes),
        "cells": [_cell(cell, f"cell {position}", notes) for position, cell in enumerate(cells, 1)],
    }
    more = f" and {len(notes) - _SHOWN_NOTES} more" if len(notes) > _SHOWN_NOTES else ""
    said = (f"the executed notebook is malformed, read without: {'; '.join(notes[:_SHOWN_NOTES])}{more}",)
    return nbformat.v4.to_notebook_json(mended), said if notes else ()


def _cell(cell: object, at: str, notes: list[str]) -> dict[str, Any]:
    if not isinstance(cell, dict):
        notes.append(f"{at}, which is no object")
        return {"cell_type": "raw", "metadata": {}, "source": ""}
    kind = cell.get("cell_type")
    if kind not in CELL_TYPES:
        notes.append(f"the 'cell_type' of {at}")
        kind = "code" if isinstance(cell.get("outputs"), list) else "raw"
    mended = {
        **cell,
        "cell_type": kind,
        "source": _text(cell.get("source", ""), f"the 'source' of {at}", notes),
        "metadata": _metadata(cell.get("metadata", {}), at, notes),
    }
    if "attachments" in cell:
        attachments = _mapping(cell["attachments"], f"the 'attachments' of {at}", notes)
        mended["attachments"] = {
            name: _mapping(bundle, f"an attachment of {at}", notes) for name, bundle in attachments.items()
        }
    if kind == "code":
        count = cell.get("execution_count")
        mended["execution_count"] = count if isinstance(count, int) and not isinstance(count, bool) else None
        outputs = cell.get("outputs", [])
        if not isinstance(outputs, list):
            notes.append(f"the 'outputs' of {at}")
            outputs = []
        mended["outputs"] = [_output(output, f"an output of {at}", notes) for output in outputs]
    return mended


def _metadata(value: object, at: str, notes: list[str]) -> dict[str, Any]:
    metadata = _mapping(value, f"the 'metadata' of {at}", notes)
    tags = metadata.get("tags", [])
    if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
        notes.append(f"tags of {at}")
        metadata["tags"] = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    return metadata


def _output(output: object, at: str, notes: list[str]) -> dict[str, Any]:
    kind = output.get("output_type") if isinstance(output, dict) else None
    if not isinstance(output, dict) or not isinstance(kind, str) or kind not in _OUTPUT_TYPES:
        notes.append(at)
        text = f"(an output of no known type) {json.dumps(output, ensure_ascii=False)[:_UNKNOWN_CHARACTERS]}"
        return {"output_type": "display_data", "metadata": {}, "data": {"text/plain": text}}
    mended = dict(output)
    if kind == "stream":
        mended["name"] = output.get("name") if isinstance(output.get("name"), str) else "stdout"
        mended["text"] = _text(output.get("text", ""), f"the text of {at}", notes)
        return mended
    if kind == "error":
        mended["ename"] = _text(output.get("ename", ""), f"the 'ename' of {at}", notes)
        mended["evalue"] = _text(output.get("evalue", ""), f"the 'evalue' of {at}", notes)
        lines = output.get("traceback")
        mended["traceback"] = [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []
        if "text" in output:  # nbformat joins its lines, whatever the output's type
            mended["text"] = _text(output["text"], f"the text of {at}", notes)
        return mended
    mended["metadata"] = _mapping(output.get("metadata", {}), f"the metadata of {at}", notes)
    data = _mapping(output.get("data", {}), f"the 'data' of {at}", notes)
    mended["data"] = {
        mime_type: value if _is_json(mime_type) else _text(value, f"the {mime_type:.60} of {at}", notes)
        for mime_type, value in data.items()
    }
    return mended


def _is_json(mime_type: str) -> bool:
    return mime_type == "application/json" or mime_type.endswith("+json")


def _mapping(value: object, what: str, notes: list[str]) -> dict[str, Any]:
    if isinstance(value, dict):
        return dict(value)
    notes.append(f"{what}, which is no object")
    return {}


def _text(value: object, what: str, notes: list[str]) -> str:
    """Return the text; of anything else its own form in JSON, a list's items one after the other."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if all(isinstance(line, str) for line in value):
            return "".join(value)
        notes.append(what)
        return "".join(line if isinstance(line, str) else json.dumps(line) for line in value)
    notes.append(what)
    return "" if value is None else json.dumps(value)
