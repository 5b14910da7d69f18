"""
What the code cells of a notebook assign, import and name, read without running them.

Called by parameters, outputs and the staging of dependencies (through ``core.notebook``). Must never import airflow, boto3
or anything that touches disk or network.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from nbformat import NotebookNode

# Cell magics whose body is IPython code running in the notebook's own namespace.
_TRANSPARENT_CELL_MAGICS = frozenset({"time", "capture", "prun"})
# Magics that assign no variable. Any other one may (%store -r, %%sql result <<, %pylab, an extension's own).
_HARMLESS_CELL_MAGICS = frozenset(
    [
        "HTML",
        "SVG",
        "html",
        "javascript",
        "js",
        "latex",
        "markdown",
        "svg",
        "time",
        "timeit",
        "prun",
        "writefile",
        "file",
        "!",
    ]
)
_HARMLESS_LINE_MAGICS = frozenset(
    (
        *("alias_magic", "autoreload", "autosave", "cat", "cd", "colors", "conda", "config", "env", "load_ext", "ls"),
        *(
            "magic",
            "mamba",
            "matplotlib",
            "micromamba",
            "mkdir",
            "pdb",
            "pinfo",
            "pip",
            "precision",
            "pwd",
            "reload_ext",
        ),
        *("run", "set_env", "system", "time", "timeit", "uv", "who", "whos", "xmode"),
    )
)
# "files = !ls" and "result = %timeit -o f()": '=' followed by '!' or '%' is never Python.
_MAGIC_ASSIGNMENT = re.compile(r"^(\s*[\w\s,.*()\[\]'\"]+?=\s*)[!%]\S.*$", re.DOTALL)
_MAGIC_LINE = re.compile(r"\s*[%!?]")
_HELP_LINE = re.compile(r"^[^#'\"]*\?\s*$")
_FILE_NAME = re.compile(r"(?:\./)?[\w][\w\-. /]{0,250}\.(?=\w*[A-Za-z])\w{1,8}")


@dataclass(frozen=True, slots=True)
class CellSource:
    """One code cell: its Python with the magic lines replaced, and those lines by themselves."""

    python: str
    magics: tuple[str, ...]  # each without indentation, with its %, ! or ? sign
    cell_magic: str | None  # "capture out" for a cell that begins with "%%capture out"


@dataclass(frozen=True, slots=True)
class References:
    """What the cells name of the world outside the notebook."""

    modules: frozenset[str]  # top-level names of imported modules
    file_names: frozenset[str]  # literals that look like relative file names


def source_of(cell: NotebookNode) -> str:
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


def split_cell(source: str) -> CellSource:
    """
    Separate a cell's Python from its magics.

    A magic line becomes ``pass`` (an indented one may be all that a block holds), ``x = !ls`` becomes ``x = None``,
    ``%time statement`` the statement. Lines inside a string that spans lines are left alone, as IPython does.
    """
    lines = source.replace("\r\n", "\n").split(
        "\n"
    )  # not splitlines(): it also splits at \f and \u2028, inside strings
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    cell_magic = None
    if first is not None and lines[first].lstrip().startswith("%%"):
        cell_magic = lines[first].strip()[2:].strip()
        name = (cell_magic.split() or [""])[0]
        if name not in _TRANSPARENT_CELL_MAGICS:
            return CellSource("", (), cell_magic)
        lines[first] = ""
        if name == "time" and len(cell_magic.split()) > 1:
            lines[first] = cell_magic.split(maxsplit=1)[1]
    python: list[str] = []
    magics: list[str] = []
    open_quote = ""
    continued = False
    for line in lines:
        if continued:  # the rest of a magic that was continued with a backslash
            magics[-1] += "\n" + line
            python.append("")
            continued = line.endswith("\\")
        elif not open_quote and _MAGIC_LINE.match(line):
            magics.append(line.strip())
            indentation = line[: len(line) - len(line.lstrip())]
            statement = re.match(r"%time\s+(\S.*)", line.strip())
            python.append(indentation + (statement[1] if statement else "pass"))
            continued = line.endswith("\\")
        elif not open_quote and (assignment := _MAGIC_ASSIGNMENT.match(line)):
            magics.append(line[assignment.end(1) :].strip())
            python.append(assignment[1] + "None")
            continued = line.endswith("\\")
        elif not open_quote and _HELP_LINE.match(line):
            magics.append("?" + line.strip().rstrip("?"))
            python.append(line[: len(line) - len(line.lstrip())] + "pass")
        else:
            python.append(line)
            open_quote = _open_quote_after(line, open_quote)
    return CellSource("\n".join(python) + "\n", tuple(magics), cell_magic)


def _open_quote_after(line: str, open_quote: str) -> str:
    """The triple quote still open at the end of the line, or ``""``."""
    position = 0
    while position < len(line):
        if open_quote:
            if line[position] == "\\":
                position += 2
            elif line.startswith(open_quote, position):
                position += len(open_quote)
                open_quote = ""
            else:
                position += 1
        elif line[position] == "#":
            break
        elif line[position] in "'\"":
            quote = line[position]
            open_quote = quote * 3 if line.startswith(quote * 3, position) else quote
            position += len(open_quote)
        else:
            position += 1
    # An ordinary string ends with its line, unless a backslash carries it over.
    return open_quote if len(open_quote) == len('"""') or line.endswith("\\") else ""


def parse_python(python: str) -> ast.Module | None:
    """The syntax tree, or None where the worker's Python cannot parse it. Silent about the author's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # SyntaxWarning: invalid escape sequence, "is" with a literal …
        try:
            return ast.parse(python)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def assigned_names(nbs: Iterable[NotebookNode]) -> frozenset[str]:
    """Names that the notebooks' cells assign at module level, in plain Python; cells that do not parse have none."""
    return frozenset(name for nb in nbs for name in names_in_order(nb, with_definitions=True))


def names_in_order(nb: NotebookNode, *, with_definitions: bool) -> tuple[str, ...]:
    """
    The assigned names, each once, in the order of their first assignment.

    :param with_definitions: imports, functions and classes too.
    """
    names: dict[str, None] = {}
    for _, cell in code_cells(nb):
        tree = parse_python(split_cell(source_of(cell)).python)
        if tree is not None:
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
                yield from (n for inner in ast.walk(node) if isinstance(inner, ast.Global) for n in inner.names)
                continue
            case ast.Lambda():
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                if with_definitions:
                    yield from (alias.asname or alias.name.split(".")[0] for alias in aliases if alias.name != "*")
                continue
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                # The loop variables stay inside; a walrus does not.
                for inner in ast.walk(node):
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
        pending.extend(reversed(list(ast.iter_child_nodes(node))))


def assigns_invisibly(nbs: Iterable[NotebookNode]) -> bool:
    """Whether some cell may assign names that ``assigned_names`` cannot see (star import, exec, ``%%capture x`` …)."""
    return any(_cell_assigns_invisibly(split_cell(source_of(cell))) for nb in nbs for _, cell in code_cells(nb))


def _cell_assigns_invisibly(cell: CellSource) -> bool:
    words = (cell.cell_magic or "").split()
    if words and words[0] not in _HARMLESS_CELL_MAGICS:
        # %%bash and its like assign only with --out, --err or --proc; %%capture only when it is given a name.
        is_script = words[0] in {"bash", "sh", "script", "perl", "ruby", "python", "python3", "pypy"}
        if not (is_script and "--" not in (cell.cell_magic or "")) and words != ["capture"]:
            return True
    for magic in cell.magics:
        name = re.match(r"%(\w*)\s*(.*)", magic)
        if name and (name[1] not in _HARMLESS_LINE_MAGICS or (name[1] == "run" and ".ipynb" not in name[2])):
            return True
    tree = parse_python(cell.python)
    return tree is None or assigns_dynamically(tree)


def assigns_dynamically(tree: ast.Module) -> bool:
    """Whether the code star-imports, or calls something that can assign by a name built at run time."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.Call):
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            if name in {"exec", "globals", "locals", "vars", "setattr", "run_line_magic", "run_cell_magic", "run_cell"}:
                return True
    return False


def code_references(nb: NotebookNode) -> References:
    """
    Modules and files that the cells name, as far as literals show it.

    Only for a warning about what lies beside the notebook and is not shipped: a name in here need not exist.
    """
    modules: set[str] = set()
    file_names: set[str] = set()
    for _, cell in code_cells(nb):
        source = split_cell(source_of(cell))
        for magic in source.magics:
            file_names.update(word for word in re.split(r"[\s'\"=;|<>]+", magic[1:]) if _FILE_NAME.fullmatch(word))
        tree = parse_python(source.python)
        if tree is not None:
            _collect_references(tree, modules, file_names)
    return References(frozenset(modules), frozenset(name.removeprefix("./") for name in file_names))


def _collect_references(tree: ast.Module, modules: set[str], file_names: set[str]) -> None:
    parts_of_fstrings = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                modules.update(alias.name.split(".")[0] for alias in aliases)
            case ast.ImportFrom(module=str(module), level=0):
                modules.add(module.split(".")[0])
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                modules.add(module.split(".")[0])
            case ast.Constant(value=str(text)) if id(node) not in parts_of_fstrings and _FILE_NAME.fullmatch(text):
                file_names.add(text)
            case _:
                pass
