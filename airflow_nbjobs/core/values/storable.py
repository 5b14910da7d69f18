"""
What Airflow can store of a notebook's outputs, and give back as it was.

Called by ``core.values.outputs``. One output that Airflow refuses would lose all others, or come back as something else. Pure.

Source: ``airflow.sdk.serde`` (3.3; ``airflow.serialization.serde`` before), which refuses a dict with a key ``__classname__`` or ``__id__``, and
on reading makes an object of its class from one with ``__type`` and ``__var``; the task's pipe to its supervisor (msgpack: integers of 64 bits,
UTF-8); PostgreSQL's ``jsonb`` (no NUL); pydantic's parser (200 levels) and MySQL's ``JSON`` (100).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.nesting import is_deeper_than
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.visible import SURROGATE

if TYPE_CHECKING:
    from collections.abc import Iterator

RESERVED_KEYS = frozenset({"__classname__", "__id__"})
# Each harmless alone.
RESERVED_PAIR = frozenset({"__type", "__var"})
# MySQL's 100, less the two of ``return_value`` and its ``outputs``, less the value in the innermost list or dict.
DEPTH_LIMIT = 97
_LEAST_INTEGER, _GREATEST_INTEGER = -(2**63), 2**64 - 1
_KEY_CHARACTERS = 60


def storage_problem(name: str, value: object) -> str | None:
    """Say what of an output, a JSON-like value, Airflow could not store or would not give back; None where it is right."""
    if is_deeper_than(value, DEPTH_LIMIT):
        return f"output '{name}' is nested too deep: Airflow stores {DEPTH_LIMIT} lists and dicts inside one another; output a part of it, or json.dumps(…) of it"
    for path, item in _walk(name, value):
        problem = _problem_of(item)
        if problem:
            what, advice = problem
            at = "" if path == name else f" at {path}"
            return f"output '{name}' holds {what}{at}, which Airflow cannot store; {advice}"
    return None


def _walk(path: str, value: object) -> Iterator[tuple[str, object]]:
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{path}[{shortened(ascii(key), _KEY_CHARACTERS)}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(f"{path}[{index}]", item)


def _problem_of(value: object) -> tuple[str, str] | None:
    match value:
        case dict():
            return _problem_of_keys(value)
        case str():
            return _problem_of_text(value)
        case int() if not _LEAST_INTEGER <= value <= _GREATEST_INTEGER:
            return "an integer of more than 64 bits", "output str(…) of it"
        case _:
            return None


def _problem_of_keys(value: dict[str, object]) -> tuple[str, str] | None:
    reserved = RESERVED_KEYS & value.keys()
    if value.keys() >= RESERVED_PAIR:
        reserved |= RESERVED_PAIR
    if reserved:
        keys = " and ".join(f"'{key}'" for key in sorted(reserved))
        return (
            f"a dict with the key{'s' if len(reserved) > 1 else ''} {keys}",
            "rename the key, or output json.dumps(…)",
        )
    return next((problem for key in value if (problem := _problem_of_text(key))), None)


def _problem_of_text(text: str) -> tuple[str, str] | None:
    advice = "encode it, or write it to S3 and output its URI"
    if "\0" in text:
        return "a NUL character", advice
    return ("half of a surrogate pair", advice) if SURROGATE.search(text) else None
