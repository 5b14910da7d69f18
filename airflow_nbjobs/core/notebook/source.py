"""
What the code cells of a notebook assign, import and name, read without running them.

Called by whatever reads a notebook before it runs. Must never import airflow, boto3 or anything that touches disk or network.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.core.notebook.cell_syntax import CellSource, split_cell
from airflow_nbjobs.core.notebook.syntax_trees import children, last_name, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nbformat import NotebookNode

# Magics that assign no variable. Any other one may (%store -r, %%sql result <<, %pylab, an extension's own).
_HARMLESS_CELL_MAGICS = frozenset(
    "HTML SVG html javascript js latex markdown svg time timeit prun writefile file !".split()
)
HARMLESS_LINE_MAGICS = frozenset(
    "alias_magic autoreload autosave cat cd colors conda config env load_ext ls magic mamba matplotlib micromamba mkdir pdb pinfo"
    " pip precision pwd reload_ext run set_env system time timeit uv who whos xmode".split()
)
_ASSIGNING_FUNCTIONS = frozenset("exec globals locals vars setattr run_line_magic run_cell_magic run_cell".split())
_SCRIPT_MAGICS = frozenset({"bash", "sh", "script", "perl", "ruby", "python", "python2", "python3", "pypy"})


def source_of(cell: Mapping[str, Any]) -> str:
    """The cell's source as one string; unlike ``cell.source`` never fails on a notebook from outside."""
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def code_cells(nb: NotebookNode) -> Iterator[tuple[int, NotebookNode]]:
    """The code cells, each with its position counted from 1 over all cells."""
    for position, cell in enumerate(nb.get("cells", ()), 1):
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            yield position, cell


def tree_of(cell: NotebookNode) -> ast.Module | None:
    """The syntax tree of a code cell, its magics left out; None where it does not parse."""
    return split_cell(source_of(cell)).tree


def trees(nb: NotebookNode) -> Iterator[tuple[int, ast.Module]]:
    """The syntax trees of the code cells that parse, each with its cell's position counted from 1."""
    for position, cell in code_cells(nb):
        tree = tree_of(cell)
        if tree is not None:
            yield position, tree


def assigned_names(nbs: Iterable[NotebookNode]) -> frozenset[str]:
    """Names that the notebooks' cells assign at module level, in plain Python; cells that do not parse have none."""
    return frozenset(name for nb in nbs for name in names_in_order(nb, with_definitions=True))


def names_in_order(nb: NotebookNode, *, with_definitions: bool) -> tuple[str, ...]:
    """
    The assigned names, each once, in the order of their first assignment.

    :param with_definitions: imports, functions and classes too.
    """
    names: dict[str, None] = {}
    for _, tree in trees(nb):
        names.update(dict.fromkeys(bound_names(tree, with_definitions=with_definitions)))
    return tuple(names)


def bound_names(tree: ast.Module, *, with_definitions: bool = True) -> Iterator[str]:  # noqa: C901, PLR0912 a case per statement
    """
    Names that a module's own statements bind, blocks included, bodies of functions and classes excluded.

    :param with_definitions: imports, functions and classes too.
    """
    pending: list[ast.AST] = list(reversed(tree.body))
    while pending:
        node = pending.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if with_definitions:
                    yield name
                # "global x" makes a function's assignment one of the module, once somebody calls it.
                yield from (n for inner in walk(node) if isinstance(inner, ast.Global) for n in inner.names)
                continue
            case ast.Lambda():
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                if with_definitions:
                    yield from (alias.asname or alias.name.split(".")[0] for alias in aliases if alias.name != "*")
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                # The loop variables stay inside; a walrus does not.
                for inner in walk(node):
                    if isinstance(inner, ast.NamedExpr) and isinstance(inner.target, ast.Name):
                        yield inner.target.id
                continue
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(), value=None):
                pending.append(node.annotation)  # "x: int" alone assigns nothing
                continue
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield name
            case _:
                pass
        pending.extend(reversed(children(node)))


def assigns_invisibly(nbs: Iterable[NotebookNode]) -> bool:
    """Whether some cell may assign names that ``assigned_names`` cannot see (star import, exec, ``%%capture x`` …)."""
    return any(_cell_assigns_invisibly(split_cell(source_of(cell))) for nb in nbs for _, cell in code_cells(nb))


def _cell_assigns_invisibly(cell: CellSource) -> bool:
    for magic in cell.cell_magics:
        words = magic.split()
        if words and words[0] not in _HARMLESS_CELL_MAGICS:
            # %%bash and its like assign only with --out, --err or --proc; %%capture only when it is given a name.
            is_script = words[0] in _SCRIPT_MAGICS
            if not (is_script and "--" not in magic) and words != ["capture"]:
                return True
    for magic in cell.magics:
        name = re.match(r"%+(\w*)\s*(.*)", magic)
        if name and (name[1] not in HARMLESS_LINE_MAGICS or (name[1] == "run" and ".ipynb" not in name[2])):
            return True
    return cell.tree is None or assigns_dynamically(cell.tree)


def assigns_dynamically(tree: ast.Module) -> bool:
    """Whether the code star-imports, or calls something that can assign by a name built at run time."""
    for node in walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Call) and last_name(node.func) in _ASSIGNING_FUNCTIONS:
            return True
    return False
