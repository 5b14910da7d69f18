"""
The ids of the DAGs in a folder, as far as its files say them plainly: a misspelt ``--dag-id`` is told before an Airflow has been started for it.

Called by ``app.py``; reads files, imports none of them.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_FILES = 500


def dag_ids(folder: Path) -> frozenset[str] | None:
    """Return the ids of all DAGs in a folder and below it; None where some may be known only to Airflow, which runs the files."""
    found: set[str] = set()
    files = [path for path in folder.rglob("*") if path.suffix in {".py", ".zip"}]
    if len(files) > _MOST_FILES or any(path.suffix == ".zip" for path in files):
        return None
    for path in files:
        try:
            text = path.read_bytes()
            # Airflow passes over a file without these words, too ([core] dag_discovery_safe_mode).
            if b"airflow" not in text.lower() or b"dag" not in text.lower():
                continue
            ids = list(_ids(ast.parse(text)))
        except (OSError, SyntaxError, ValueError, RecursionError):
            return None
        if not ids or None in ids:  # a factory, a loop, an id from elsewhere
            return None
        found.update(filter(None, ids))
    return frozenset(found)


def _ids(tree: ast.Module) -> Iterator[str | None]:
    """Return the id of each DAG that a file makes; None for one that is no plain text."""
    constants: dict[str, object] = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    decorators: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator if isinstance(decorator, ast.Call) else None
                if _name(call.func if call else decorator) == "dag":
                    decorators.add(id(decorator))
                    yield _id(call, constants, default=node.name)
        elif isinstance(node, ast.Call) and _name(node.func) in {"DAG", "dag"} and id(node) not in decorators:
            yield _id(node, constants)


def _id(call: ast.Call | None, constants: dict[str, object], *, default: str | None = None) -> str | None:
    given = [*(keyword.value for keyword in call.keywords if keyword.arg == "dag_id"), *call.args[:1]] if call else []
    if not given:
        unpacked = call is not None and any(keyword.arg is None for keyword in call.keywords)
        return None if unpacked else default
    value = given[0]
    found = constants.get(value.id) if isinstance(value, ast.Name) else getattr(value, "value", None)
    return found if isinstance(found, str) else None


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
