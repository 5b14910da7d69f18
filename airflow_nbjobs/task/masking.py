"""
A value as a text to be shown, with what is secret in it masked before it is one: its keys tell Airflow's masker what is secret, and a text has none.

Called in a worker, for the names of indexes and for errors; never while DAGs are parsed.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_nbjobs._compat import redact
from airflow_nbjobs.core.texts import structure

if TYPE_CHECKING:
    from collections.abc import Callable

_CHARACTERS = 10_000  # that are masked of a text: what is beyond is cut off anyway
_HIDDEN = "***"


def masked_value(value: Any, say: Callable[[Any], str], *, name: str = "") -> str:
    """
    Return the text of a value without its secrets, in at most 10,000 characters.

    :param say: what makes a text of what is no text: ``str`` or ``repr``.
    :param name: of the value.
    :raises Exception: whatever the value's own text raises.
    """
    said = say(masked(value, name))[:_CHARACTERS]
    return str(
        redact({name: said})[name]
    )  # a secret may lie in the text of an object that is no list, dict, dataclass or Struct


def masked(value: Any, name: object = None, around: tuple[int, ...] = ()) -> Any:
    """
    Return the value with ``***`` in place of what is secret in it, by its text or by the keys that lead to it.

    :param name: of the value.
    :param around: ids of the values that hold it.
    """
    if id(value) in around:
        return "…"
    if isinstance(value, str):
        return _masked_string(value, name, around)
    if isinstance(name, str) and name and redact({name: "text"})[name] == _HIDDEN:
        return _HIDDEN  # Airflow's masker hides texts below such a key, and no numbers
    within = (*around, id(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    elif isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    elif isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {key: masked(each, key, within) for key, each in value.items()}
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return kind(masked(each, None, within) for each in value)
    return value


def _masked_string(text: str, name: object, around: tuple[int, ...]) -> str:
    found = structure(text) if text.lstrip()[:1] in {"{", "["} and len(text) <= _CHARACTERS else None
    if isinstance(found, dict | list):
        hidden = masked(found, name, around)
        if hidden != found:
            return json.dumps(hidden, default=str)
    text = text[:_CHARACTERS]
    return str(redact({name: text})[name]) if isinstance(name, str) else str(redact(text))
