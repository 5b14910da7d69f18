"""
Outputs as a notebook has recorded them, or glued them with scrapbook: the value, or in words why there is none.

Called by ``core.values.outputs``. The executed notebook is untrusted: what is wrong in it becomes a problem, never an exception. Pure.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import msgspec

from airflow_nbjobs.core.notebook.document import cells_of, mark_of, outputs_of
from airflow_nbjobs.core.values.recording import OUTPUT_LIMIT_BYTES, OUTPUTS, RECORD_MIME_TYPE, RECORD_VERSION

if TYPE_CHECKING:
    from nbformat import NotebookNode

_SCRAP = "application/scrapbook.scrap."
_PAPERMILL_RECORD = "application/papermill.record+json"
# In place of a value whose JSON has more levels than Python's parser takes.
_TOO_DEEP: Final = object()
_ADVICE = {
    "DataFrame": "write it to S3 and output its URI, or output .to_dict('records')",
    "Series": "output .tolist() or .to_dict()",
    "ndarray": "output .tolist()",
    "timedelta64": "output a number of seconds",
    "Tensor": "output .item() or .tolist()",
    "set": "output sorted(…)",
    "frozenset": "output sorted(…)",
    "bytes": "output text, or write it to S3 and output its URI",
    "complex": "output its parts",
    "range": "output list(…)",
    "generator": "output list(…)",
}


class Recorded(msgspec.Struct, frozen=True):
    """One output as read: its value, or why there is none."""

    value: object = None
    problem: str | None = None
    kind: str = ""  # its class in the kernel, as recorded
    is_missing: bool = False


def read_record(executed: NotebookNode) -> dict[str, object] | None:
    """The recording cell's entries, or None where it did not run or left nothing that can be read."""
    for cell in reversed([cell for cell in cells_of(executed) if mark_of(cell) == OUTPUTS]):
        for output in reversed(outputs_of(cell)):
            data = output.get("data")
            text = data.get(RECORD_MIME_TYPE) if isinstance(data, dict) else None
            record = _json_or_none(text) if isinstance(text, str) else None
            if (
                isinstance(record, dict)
                and record.get("version") is not True
                and record.get("version") == RECORD_VERSION
            ):
                entries = record.get("outputs")
                return entries if isinstance(entries, dict) else {}
    return None


def _json_or_none(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_entry(name: str, entry: object) -> Recorded:
    if entry is None:
        return Recorded(is_missing=True)
    if not isinstance(entry, dict):
        return Recorded(problem=f"output '{name}' has a record that cannot be read")
    kind = _class_name(entry.get("type"))
    text = entry.get("json")
    if isinstance(text, str):
        if len(text.encode("utf-8", "surrogatepass")) > OUTPUT_LIMIT_BYTES:
            return Recorded(problem=_too_large(name, kind))
        try:
            return Recorded(value=json.loads(text), kind=kind)
        except (ValueError, RecursionError) as exc:
            return Recorded(problem=f"output '{name}' has a record that cannot be read ({clean(str(exc))})")
    return (
        Recorded(is_missing=True)
        if entry.get("error") == "missing"
        else Recorded(problem=_recording_problem(name, entry))
    )


def _recording_problem(name: str, entry: dict[str, object]) -> str:
    """Say why the recording cell found no JSON form; ``recording_cell`` lists its codes."""
    kind = _class_name(entry.get("type"))
    found = _class_name(entry.get("found")) or kind
    place = f"{name}{clean(entry.get('at'))}"
    match entry.get("error"):
        case "too-large":
            return _too_large(name, kind)
        case "too-deep":
            return f"output '{name}' ({kind}) contains itself, or is nested too deep; output a part of it"
        case "key":
            return f"output '{name}' has a key of type {found} in {place}; keys must be str: {{str(k): v for …}}"
        case "unsupported":
            advice = _ADVICE.get(found.rpartition(".")[2]) or "output a str, int, float, bool, None, list or dict"
            what = f"is {article(found)}" if place == name else f"holds {article(found)} at {place}"
            return f"output '{name}' {what}, which has no JSON form; {advice}"
        case "raised":
            return f"output '{name}' ({kind}) could not be recorded: {found or 'an error'} was raised"
        case _:
            return f"output '{name}' has a record that cannot be read"


def read_scraps(executed: NotebookNode) -> dict[str, object]:
    """
    Return the glued values by name, the last one of a name.

    Those with scrapbook's encoders ``json`` and ``text``; a data frame (``pandas``, base64 of parquet) is no output.

    Source: nteract/scrapbook, ``models.py`` and ``encoders.py``.
    """
    scraps: dict[str, object] = {}
    for cell in cells_of(executed):
        for output in outputs_of(cell):
            data = output.get("data")
            for mime_type, payload in data.items() if isinstance(data, dict) else ():
                if isinstance(payload, dict):
                    scraps.update(_scraps_of(mime_type, payload))
    return scraps


def _scraps_of(mime_type: str, payload: dict[str, object]) -> dict[str, object]:
    if mime_type == _PAPERMILL_RECORD:
        return dict(payload)
    name = payload.get("name")
    if not mime_type.startswith(_SCRAP) or not isinstance(name, str) or "data" not in payload:
        return {}
    value = payload["data"]
    match payload.get("encoder"):
        case "text":
            return {name: value}
        case "json":
            if isinstance(value, str):  # scrapbook reads text that is JSON as JSON, and keeps other text
                try:
                    value = json.loads(value)
                except ValueError:
                    return {name: value}
                except RecursionError:
                    return {name: _TOO_DEEP}
            return {name: value}
        case _:
            return {}


def from_scrap(name: str, value: object) -> Recorded:
    if value is _TOO_DEEP:
        return Recorded(problem=f"output '{name}' is nested too deep; output a part of it")
    try:
        size = len(json.dumps(value, separators=(",", ":")))
    except (ValueError, TypeError, RecursionError):
        return Recorded(problem=f"output '{name}' has a glued record that cannot be read")
    return Recorded(problem=_too_large(name, "glued")) if size > OUTPUT_LIMIT_BYTES else Recorded(value=value)


def _too_large(name: str, kind: str) -> str:
    of_kind = f" ({kind})" if kind else ""
    return (
        f"output '{name}'{of_kind} is larger than {OUTPUT_LIMIT_BYTES // 1024} KiB as JSON; "
        "write it to S3 and output its URI"
    )


def article(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"


def clean(text: object) -> str:
    """A text of the untrusted record as a message can hold it: one printable line of 200 characters at most."""
    if not isinstance(text, str):
        return ""
    return re.sub(r"\s+", " ", "".join(c if c.isprintable() else "?" for c in text))[:200]


def _class_name(text: object) -> str:
    return clean(text).removeprefix("builtins.").removeprefix("__main__.")
