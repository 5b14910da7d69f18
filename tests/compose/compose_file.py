"""``docker-compose.yaml`` as Compose reads it: YAML with merges, then variables put in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT = Path(__file__).parents[2]
PATH = ROOT / "docker-compose.yaml"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def read() -> dict[str, Any]:
    """Return the document with its variables still in it."""
    return dict(yaml.safe_load(PATH.read_text()))


def load(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the document as Compose sees it in that environment, without ``.env``; services of profiles that are not chosen are left out."""
    chosen = set((environ or {}).get("COMPOSE_PROFILES", "").split(","))
    document = dict(mapped(read(), lambda text: interpolate(text, environ or {})))
    services = {
        name: service
        for name, service in document["services"].items()
        if not service.get("profiles") or chosen & set(service["profiles"])
    }
    return document | {"services": services}


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """Return the value with a change made to every text in it, keys left alone."""
    if isinstance(value, dict):
        return {key: mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def interpolate(text: str, environ: Mapping[str, str]) -> str:
    """
    Put variables in: ``$$``, ``$NAME``, ``${NAME}``, ``${NAME:-default}`` and ``${NAME:+replacement}``, which may hold braces and variables themselves.

    :raises ValueError: another form, or a brace that is not closed.

    Source: Compose specification, "Interpolation".
    """
    pieces = []
    while True:
        before, dollar, rest = text.partition("$")
        pieces.append(before)
        if not dollar:
            return "".join(pieces)
        if rest.startswith("$"):
            pieces.append("$")
            text = rest[1:]
        elif rest.startswith("{"):
            end = _closing_brace(rest)
            pieces.append(_value(rest[1:end], environ))
            text = rest[end + 1 :]
        elif name := _NAME.match(rest):
            pieces.append(environ.get(name[0], ""))
            text = rest[name.end() :]
        else:
            raise ValueError(f"invalid interpolation: ${rest[:40]}")


def _closing_brace(text: str) -> int:
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return position
    raise ValueError(f"a brace is not closed: ${text[:40]}")


def _value(expression: str, environ: Mapping[str, str]) -> str:
    name = (_NAME.match(expression) or [""])[0]
    sign, other = expression[len(name) : len(name) + 2], expression[len(name) + 2 :]
    if not name or sign not in ("", ":-", ":+"):
        raise ValueError(f"invalid interpolation: ${{{expression[:40]}}}")
    found = environ.get(name, "")
    if sign and bool(found) is (sign == ":+"):
        return interpolate(other, environ)
    return "" if sign == ":+" else found
