"""
How deep JSON-like values are nested, told without recursion.

Called by ``core.notebook.document``, ``core.notebook.executed`` and ``core.values.storable``; pure.
"""

from __future__ import annotations

_CONTAINERS = (dict, list, tuple)


def is_deeper_than(value: object, levels: int) -> bool:
    """Say whether more than so many lists and dicts lie inside one another; one that contains itself is deeper than any number."""
    found = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(levels + 1):
        if not found:
            return False
        found = [
            item
            for container in found
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, _CONTAINERS)
        ]
    return True


def cut(value: object, levels: int) -> object:
    """Return a copy in which every list and dict below so many levels is the text ``"…"``; for few levels, since it calls itself once a level."""
    if not isinstance(value, _CONTAINERS):
        return value
    if levels <= 0:
        return "…"
    if isinstance(value, dict):
        return {key: cut(item, levels - 1) for key, item in value.items()}
    return [cut(item, levels - 1) for item in value]
