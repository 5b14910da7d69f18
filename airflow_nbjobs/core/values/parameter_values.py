"""
What no parameter can be, whatever the notebook defines: names, types of values, nesting.

Called by ``core.values.parameters`` and ``aws/submit/prepare.py``. Pure.
"""

from __future__ import annotations

import keyword
import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.masking import masked_ends
from airflow_nbjobs.core.values.conversion import Spelled, short
from airflow_nbjobs.core.values.literals import PARAMETER_DEPTH_LIMIT
from airflow_nbjobs.core.values.not_known import NotKnown

if TYPE_CHECKING:
    from collections.abc import Mapping


# Source: limits of CreateTrainingJob's HyperParameters in the developer guide.
PARAMETER_NAME_LIMIT = 256  # characters
_OTHER_LANGUAGES_NAME = re.compile(r"[A-Za-z_.][A-Za-z0-9_.]*")
_HINTS = {
    **dict.fromkeys(("tuple", "set", "frozenset", "range"), "give a list"),
    **dict.fromkeys(("datetime", "date", "DateTime"), "give text: .isoformat()"),
    "bytes": "give text, for example base64",
    "Decimal": "give a float, or text: str(…)",
    "ndarray": "give a list: .tolist()",
    "timedelta": "give a number of seconds: .total_seconds()",
    "PosixPath": "give text: str(…)",
    "DataFrame": "write it to S3 and give its URI",
    "NoneType": "give text",
}


def value_problems(parameters: Mapping[Any, object]) -> list[str]:
    """Return what is wrong with names and values whatever the notebook defines."""
    problems: list[str] = []
    for name, value in parameters.items():
        path = f"parameters[{name!r}]"
        if type(name) is not str:
            problems += name_problems(name, python=True)
        if isinstance(value, NotKnown):
            continue
        deep = depth_problem(value, path, PARAMETER_DEPTH_LIMIT)
        problems += [deep] if deep is not None else problems_of_value(value, path)
    return problems


def name_problems(name: object, *, python: bool) -> list[str]:
    if not isinstance(name, str):
        return [f"parameter name {name!r} is of type {type(name).__name__}, not text"]
    if len(name) > PARAMETER_NAME_LIMIT:
        return [f"parameter name {short(name)} has {len(name)} characters; the limit is {PARAMETER_NAME_LIMIT}"]
    if not python:
        is_name = _OTHER_LANGUAGES_NAME.fullmatch(name) is not None
    else:
        # Papermill writes the name into a cell unchecked; "__builtins__ = …" would take down the whole notebook.
        is_name = name.isidentifier() and not keyword.iskeyword(name) and not re.fullmatch(r"__\w*__", name)
    return [] if is_name else [f"parameter name {short(name)} is not a variable's name"]


def depth_problem(value: object, path: str, levels: int) -> str | None:
    """Return the first place that is nested too deep: a value may contain itself."""
    if not isinstance(value, list | dict):
        return None
    if levels == 0:
        return f"{_short_path(path)} is nested more than {PARAMETER_DEPTH_LIMIT} levels deep"
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        found = depth_problem(item, f"{path}[{short(key)}]", levels - 1)
        if found is not None:
            return found
    return None


def problems_of_value(value: object, path: str) -> list[str]:
    """Problems of one value, each with the path to the part that has it."""
    kind = type(value)
    if kind in {str, int, float, bool, type(None), Spelled}:
        return []
    if kind is list or kind is dict:
        assert isinstance(value, list | dict)  # noqa: S101 narrows the exact type for mypy
        if isinstance(value, list):
            return [p for index, item in enumerate(value) for p in problems_of_value(item, f"{path}[{index}]")]
        keys = [
            f"{_short_path(path)} has the key {short(key)} of type {type_name(key)}; keys must be str"
            for key in value
            if type(key) is not str
        ]
        return keys + [
            p for key, item in value.items() if type(key) is str for p in problems_of_value(item, f"{path}[{key!r}]")
        ]
    if kind.__module__.split(".")[0] == "numpy" and hasattr(value, "item") and kind.__name__ != "ndarray":
        hint = "give a Python value: .item()"
    else:
        hint = _HINTS.get(kind.__name__, "parameters are str, int, float, bool, None, list and dict")
    return [f"{_short_path(path)} is of type {type_name(value)}; {hint}"]


def type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _short_path(path: str) -> str:
    return path if len(path) <= 200 else "…".join(masked_ends(path, 100, 100))
