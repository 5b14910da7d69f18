"""
What ``DataCaptureConfig`` of a transform job leaves behind: manifests, and inference ids in the output. Pure; used by ``transform.py``.

Documented (SageMaker developer guide, "Capture data from batch transform job"): the folders ``input`` and ``output`` below ``DestinationS3Uri``; below
them ``yyyy/mm/dd/hh`` of the job's start in UTC; a manifest is a list of one prefix and the names below it, not a copy of the data; with
``GenerateInferenceId`` an id (a random UUID) and the job's start time are appended to each record of CSV, JSON and JSON-lines output.
Inferred: a manifest's own name (not documented; here the job's name and ``.json``), one manifest for each folder and job, and that a JSON output which
is no object becomes one, with the output as its member ``output``, as the guide's example reads.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CSV_TYPES = frozenset({"text/csv"})
JSON_TYPES = frozenset({"application/json", "application/jsonlines", "application/jsonl"})


class CaptureError(Exception):
    """The output has no place for an inference id; the text says why."""


def manifest_uri(destination: str, folder: str, *, job_name: str, started: float) -> str:
    """Return where the manifest of ``folder``, ``input`` or ``output``, goes."""
    hour = datetime.fromtimestamp(started, UTC).strftime("%Y/%m/%d/%H")
    return f"{destination.rstrip('/')}/{folder}/{hour}/{job_name}.json"


def build_manifest(prefix: str, names: Sequence[str]) -> bytes:
    """Return a manifest, one entry on each line."""
    lines = [json.dumps({"prefix": f"{prefix.rstrip('/')}/"}), *(json.dumps(name) for name in sorted(names))]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def append_inference_ids(output: bytes, *, content_type: str, started: float, new_id: Callable[[], str]) -> bytes:
    """Return CSV or JSON output with an id and the job's start time on each line that is not blank; raises CaptureError for other types."""
    time = datetime.fromtimestamp(started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if content_type not in CSV_TYPES | JSON_TYPES:
        raise CaptureError(f"GenerateInferenceId takes CSV, JSON and JSON lines, not the accept type {content_type!r}")
    add = _add_to_csv if content_type in CSV_TYPES else _add_to_json
    lines = output.decode().splitlines()
    return "".join(f"{add(line, new_id(), time)}\n" for line in lines if line.strip()).encode()


def _add_to_csv(line: str, inference_id: str, time: str) -> str:
    return f"{line},{inference_id},{time}"


def _add_to_json(line: str, inference_id: str, time: str) -> str:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise CaptureError(f"GenerateInferenceId needs one JSON value on each line of the output: {error}") from error
    record = value if isinstance(value, dict) else {"output": value}
    return json.dumps({**record, "SageMakerInferenceId": inference_id, "SageMakerInferenceTime": time})
