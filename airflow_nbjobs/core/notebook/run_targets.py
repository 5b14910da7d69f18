"""
Files that a notebook executes with ``%run``, found without running it.

Called by ``aws/submit``. Pure: files are loaded by the caller's functions. Must never import airflow or boto3.
"""

from __future__ import annotations

import ast
import posixpath
import re
import shlex
from typing import TYPE_CHECKING, Literal

import msgspec

from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.notebook.cell_syntax import CellSource, split_cell
from airflow_nbjobs.core.notebook.document import tags_of
from airflow_nbjobs.core.notebook.file_effects import FileEffect, as_magic, file_effects
from airflow_nbjobs.core.notebook.papermill import RAISES_EXCEPTION
from airflow_nbjobs.core.notebook.source import code_cells, source_of
from airflow_nbjobs.core.notebook.syntax_trees import parse_python, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbformat import NotebookNode

_RUN_MAGIC = re.compile(r"%run\s+(.+)", re.DOTALL)
# Automagic: "run x.ipynb" alone on its line is never Python.
_BARE_RUN = re.compile(r"[ \t]*run[ \t]+(['\"]?[\w./ -]+\.(?:ipynb|py)['\"]?(?:[ \t].*)?)")
# IPython's %run takes these with a value of their own; -m runs a module, which is no file.
_FLAGS_WITH_VALUE = frozenset({"-b", "-N", "-l", "-s", "-T", "-D"})
# A target within one of these statements may never run.
_CONDITIONAL = (
    ast.If,
    ast.Try,
    ast.TryStar,
    ast.For,
    ast.AsyncFor,
    ast.While,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Match,
)
# Where Studio and the driver put a notebook's folder: such a path may be right in the job.
_PATHS_OF_A_JOB = ("/opt/", "/tmp/", "/home/sagemaker-user/", "/usr/")  # noqa: S108 compared, never opened


class RunTarget(msgspec.Struct, frozen=True):
    """One ``%run``."""

    name: str  # relative, normalised (``./a.ipynb`` is ``a.ipynb``), as written otherwise
    cell: int  # counted from 1 over all cells
    line: int  # of the cell, counted from 1
    may_fail: bool  # it lies under an ``if``, in a ``try``, a loop or a function, or its cell may raise

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which IPython looks for it, in its order."""
        return (self.name,) if self.name.endswith(".py") else (self.name, f"{self.name}.py")

    @property
    def shown(self) -> str:
        return self.name if posixpath.splitext(self.name)[1] else f"{self.name}.py"


class RunTargets(msgspec.Struct, frozen=True):
    """What a notebook executes with ``%run``, recursively."""

    # by relative name, normalised; a name above the notebook's folder begins with ``../``
    notebooks: dict[str, NotebookNode]
    files: tuple[str, ...]  # scripts; what a ``.py`` runs in turn is not followed
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()  # targets that are not there, and need not be an error


def machine_paths(nb: NotebookNode) -> Iterator[tuple[int, str]]:
    """Absolute paths that cells give to ``%run``, each with its cell: of a person's machine, as far as can be told."""
    for position, cell in code_cells(nb):
        for _, arguments in _run_arguments(split_cell(source_of(cell))):
            path = _file_argument(arguments)
            if (
                path
                and re.match(r"/|~|[A-Za-z]:[\\/]", path)
                and not path.startswith(_PATHS_OF_A_JOB)
                and "{" not in path
            ):
                yield position, path


def _steps(nb: NotebookNode) -> Iterator[RunTarget | tuple[int, FileEffect]]:
    """
    Yield what the notebook does about files, in order: a target is run, or something else happens (with its cell).

    Only literal relative names are targets: ``%run {name}.ipynb``, ``%run -m module`` and absolute paths are left to the kernel.

    Source: ``%run`` in IPython ``core/magics/execution.py``.
    """
    for position, cell in code_cells(nb):
        source, may_raise = split_cell(source_of(cell)), RAISES_EXCEPTION in tags_of(cell)
        conditional = _conditional_lines(source)
        steps: list[tuple[int, RunTarget | tuple[int, FileEffect]]] = [
            (effect.line, (position, effect)) for effect in file_effects(source)
        ]
        for line, arguments in _run_arguments(source):
            name = _relative_name(arguments)
            if name is not None:
                steps.append((line, RunTarget(name, position, line, may_raise or line in conditional)))
        yield from (step for _, step in sorted(steps, key=lambda step: step[0]))


def _conditional_lines(source: CellSource) -> frozenset[int]:
    nodes = [node for node in walk(source.tree) if isinstance(node, _CONDITIONAL)] if source.tree is not None else []
    return frozenset(line for node in nodes for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def _run_arguments(source: CellSource) -> Iterator[tuple[int, str]]:
    """The arguments of each ``%run`` of the cell, with its line."""
    for line, magic in zip(source.lines, source.magics, strict=True):
        if found := _RUN_MAGIC.match(magic):
            yield line, found[1]
    for python in (source.python, source.timed):
        tree = parse_python(python)
        if tree is None:
            lines = python.split("\n")
            yield from (
                (number, found[1]) for number, line in enumerate(lines, 1) if (found := _BARE_RUN.fullmatch(line))
            )
            continue
        for node in walk(tree):
            if found := _RUN_MAGIC.match(as_magic(node) or ""):
                yield getattr(node, "lineno", 1), found[1]


def _file_argument(arguments: str) -> str | None:
    try:
        words = shlex.split(arguments)
    except ValueError:  # a quote that is not closed, perhaps in a comment
        try:
            words = shlex.split(arguments, comments=True)
        except ValueError:
            return None
    words.reverse()
    while words and words[-1].startswith("-"):
        flag = words.pop()
        if flag.startswith("-m"):
            return None
        if flag in _FLAGS_WITH_VALUE and words:
            words.pop()
    return words[-1] if words and not words[-1].startswith("#") else None


def _relative_name(arguments: str) -> str | None:
    path = _file_argument(arguments)
    if path is None or re.search(r"[{}$*?~]", path) or re.match(r"/|[A-Za-z]:[\\/]", path) or "://" in path:
        return None
    return posixpath.normpath(path)


class _Walk(msgspec.Struct):
    """A notebook's ``%run`` followed from file to file, in the order in which they run."""

    load: Callable[[str], NotebookNode | None]
    exists: Callable[[str], bool]
    read_text: Callable[[str], str | None]
    maker: str
    missing: Literal["error", "warn"]
    notebooks: dict[str, NotebookNode] = msgspec.field(default_factory=dict)
    files: dict[str, None] = msgspec.field(default_factory=dict)
    problems: dict[str, None] = msgspec.field(default_factory=dict)
    warnings: dict[str, None] = msgspec.field(default_factory=dict)
    effects: list[tuple[str, int, FileEffect]] = msgspec.field(default_factory=list)
    folders: list[str] = msgspec.field(default_factory=lambda: [""])

    def follow(self, path: tuple[str, ...], notebook: NotebookNode) -> None:
        for step in _steps(notebook):
            if isinstance(step, RunTarget):
                self._run(step, path)
                continue
            cell, effect = step
            self.effects.append((path[-1], cell, effect))
            if effect.enters is not None:
                self.folders.append(posixpath.normpath(posixpath.join(self.folders[-1], effect.enters)))

    def _run(self, target: RunTarget, path: tuple[str, ...]) -> None:
        # After a %cd in a branch, or back, either folder may be the right one.
        for folder in reversed(dict.fromkeys(self.folders)):
            for name in target.names:
                if self._take(posixpath.normpath(posixpath.join(folder, name)), target, path):
                    return
        self._miss(target, path)

    def _take(self, name: str, target: RunTarget, path: tuple[str, ...]) -> bool:
        where = f"cell {target.cell} of '{path[-1]}'"
        if name in path:
            if not target.may_fail:
                cycle = " → ".join(f"'{step}'" for step in (*path[path.index(name) :], name))
                self.problems[f"%run goes in a circle: {cycle} ({where})"] = None
            return True
        if name in self.notebooks or name in self.files:
            return True
        if not name.endswith(".ipynb"):
            if not self.exists(name):
                return False
            self.files[name] = None
            text = self.read_text(name)
            if text is not None:
                self.effects += [(name, 1, effect) for effect in file_effects(split_cell(text))]
            return True
        try:
            found = self.load(name)
        except NotebookJobConfigError as exc:
            self.problems[f"{exc} ({where} runs it)"] = None
            return True
        if found is None:
            return False
        self.notebooks[name] = found
        self.follow((*path, name), found)
        return True

    def _miss(self, target: RunTarget, path: tuple[str, ...]) -> None:
        name = target.shown
        where = f"cell {target.cell} of '{path[-1]}'"
        notebook = self._notebook_meant(target)
        meant = f"'{notebook}' is there: write %run {notebook}" if notebook else ""
        maker = self._maker(target, name)
        if maker is not None:
            self.warnings[
                f"'{name}' is not there: {where} runs it with %run; {maker}, else the notebook fails there{meant and '; '}{meant}"
            ] = None
            return
        advice = "put it beside the notebook or list it in additional_dependencies"
        if name.startswith("../"):
            advice = "above the notebook's folder, a job has only what lies in the DAG's own folder, or is listed: list it in additional_dependencies"
        text = f"'{name}' is missing: {where} runs it with %run; {meant or advice}"
        (self.problems if self.missing == "error" else self.warnings)[text] = None

    def _notebook_meant(self, target: RunTarget) -> str | None:
        """The notebook of a ``%run ./setup``, as Databricks writes it; IPython looks for ``setup.py`` only."""
        stem = target.name.removesuffix(".py")
        if stem.endswith(".ipynb"):
            return None
        for folder in reversed(dict.fromkeys(self.folders)):
            if self.exists(posixpath.normpath(posixpath.join(folder, f"{stem}.ipynb"))):
                return f"{stem}.ipynb"
        return None

    def _maker(self, target: RunTarget, name: str) -> str | None:
        """What may put the file there before it is run, or may keep it from being run; None where nothing does."""
        for notebook, cell, effect in self.effects:
            if effect.may_make(name):
                return f"cell {cell} of '{notebook}' may make it ({effect.shown})"
        if target.may_fail:
            return "that line may be skipped, or its failure be caught"
        return self.maker or None


def collect_run_targets(
    name: str,
    nb: NotebookNode,
    load: Callable[[str], NotebookNode | None],
    exists: Callable[[str], bool],
    *,
    read_text: Callable[[str], str | None] = lambda _: None,
    maker: str = "",
    missing: Literal["error", "warn"] = "error",
) -> RunTargets:
    """
    Follow ``%run`` from notebook to notebook.

    A nested target is looked up by its name as written too: ``%run`` does not change the working directory. A target that is not there is a problem, but
    a warning where something that runs before may make it or change the working directory, or where the notebook may go on without it.

    :param name: relative name of ``nb``, used in messages and to see a cycle that comes back to it.
    :param load: the parsed notebook of that relative name, or None where there is no such file.
    :param exists: whether there is a file of that relative name (asked for scripts).
    :param read_text: the script of that relative name, to see what it may make.
    :param maker: what else may make files before the notebook runs, for the warning: "the initialization script may make it".
    :param missing: "warn" makes every missing target a warning.
    """
    walk = _Walk(load, exists, read_text, maker, missing)
    walk.follow((posixpath.normpath(name),), nb)
    return RunTargets(walk.notebooks, tuple(walk.files), tuple(walk.problems), tuple(walk.warnings))
