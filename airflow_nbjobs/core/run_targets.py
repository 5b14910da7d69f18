"""
Files that a notebook executes with ``%run``, found without running it.

Called by the staging of a notebook's dependencies (through ``core.notebook``). Pure: files are loaded by the caller's
functions. Must never import airflow or boto3.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.source import code_cells, source_of, split_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbformat import NotebookNode

_RUN_MAGIC = re.compile(r"%run\s+(.+)", re.DOTALL)
# Automagic: "run x.ipynb" alone on its line is never Python.
_BARE_RUN = re.compile(r"^[ \t]*run[ \t]+(['\"]?[\w./ -]+\.(?:ipynb|py)['\"]?(?:[ \t].*)?)$", re.MULTILINE)
# IPython's %run takes these with a value of their own; -m runs a module, which is no file.
_FLAGS_WITH_VALUE = frozenset({"-b", "-N", "-l", "-s", "-T", "-D"})


@dataclass(frozen=True, slots=True)
class RunTargets:
    """What a notebook executes with ``%run``, recursively."""

    notebooks: dict[str, NotebookNode]  # by the relative name as written, normalised
    files: tuple[str, ...]  # scripts; what they run in turn is not followed
    problems: tuple[str, ...]


def run_targets(nb: NotebookNode) -> tuple[str, ...]:
    """
    Names that the notebook's own cells give to ``%run``, in order, each once, normalised (``./a.ipynb`` is ``a.ipynb``).

    Only literal relative names: ``%run {name}.ipynb``, ``%run -m module`` and absolute paths are left to the kernel. A
    name without suffix gets ``.py``, as IPython looks for it.

    Source: ``%run`` in IPython ``core/magics/execution.py``.
    """
    return tuple(dict.fromkeys(target for _, target in _targets_by_cell(nb)))


def _targets_by_cell(nb: NotebookNode) -> Iterator[tuple[int, str]]:
    for position, cell in code_cells(nb):
        source = split_cell(source_of(cell))
        arguments = [found[1] for magic in source.magics if (found := _RUN_MAGIC.match(magic))]
        arguments += [found[1] for found in _BARE_RUN.finditer(source.python)]
        for text in arguments:
            target = _target(text)
            if target is not None:
                yield position, target


def _target(arguments: str) -> str | None:
    try:
        words = shlex.split(arguments, comments=True)
    except ValueError:  # a quote that is not closed
        return None
    words.reverse()
    while words and words[-1].startswith("-"):
        flag = words.pop()
        if flag.startswith("-m"):
            return None
        if flag in _FLAGS_WITH_VALUE and words:
            words.pop()
    if not words or re.search(r"[{}$*?~]", words[-1]) or words[-1].startswith("/") or "://" in words[-1]:
        return None
    name = posixpath.normpath(words[-1])
    return name if posixpath.splitext(name)[1] else f"{name}.py"


def collect_run_targets(
    name: str, nb: NotebookNode, load: Callable[[str], NotebookNode | None], exists: Callable[[str], bool]
) -> RunTargets:
    """
    Follow ``%run`` from notebook to notebook.

    A nested target is looked up by its name as written too: ``%run`` does not change the working directory.

    :param name: relative name of ``nb``, used in messages and to see a cycle that comes back to it.
    :param load: the parsed notebook of that relative name, or None where there is no such file.
    :param exists: whether there is a file of that relative name (asked for scripts).
    """
    name = posixpath.normpath(name)
    notebooks: dict[str, NotebookNode] = {}
    files: dict[str, None] = {}
    problems: dict[str, None] = {}

    def follow(path: tuple[str, ...], notebook: NotebookNode) -> None:
        for position, target in _targets_by_cell(notebook):
            if target in path:
                cycle = " → ".join(f"'{step}'" for step in (*path[path.index(target) :], target))
                problems[f"%run goes in a circle: {cycle} (cell {position} of '{path[-1]}')"] = None
            elif target in notebooks or target in files:
                continue
            elif not target.endswith(".ipynb"):
                if exists(target):
                    files[target] = None
                else:
                    problems[_missing(target, position, path[-1])] = None
            else:
                try:
                    found = load(target)
                except NotebookJobConfigError as exc:
                    problems[f"{exc} (cell {position} of '{path[-1]}' runs it)"] = None
                    continue
                if found is None:
                    problems[_missing(target, position, path[-1])] = None
                else:
                    notebooks[target] = found
                    follow((*path, target), found)

    follow((name,), nb)
    return RunTargets(notebooks, tuple(files), tuple(problems))


def _missing(target: str, position: int, notebook: str) -> str:
    return (
        f"'{target}' is missing: cell {position} of '{notebook}' runs it with %run; "
        "put it beside the notebook or list it in additional_dependencies"
    )
