"""
The cause of a failed cell, and what to do about it: missing modules, magics that fail, exceptions that render no traceback.

Called by ``aws/results/explain.py``. The executed notebook is untrusted. Pure; must never import airflow or boto3.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow_nbjobs.core.notebook.failing_cell import FailedCell, failed_cell, numbered_cells, printed
from airflow_nbjobs.core.notebook.papermill import was_started
from airflow_nbjobs.core.notebook.source import source_of, tree_of
from airflow_nbjobs.core.texts import shortened

if TYPE_CHECKING:
    from nbformat import NotebookNode

SKIP = "AirflowSkipException"
IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError")
# Python 3.8 to 3.14 name the module so.
_NO_MODULE = re.compile(r"No module named '?([\w.]+)'?")
_NO_LIBRARY = re.compile(r"([\w.+-]+\.so[\w.]*): cannot open shared object file")
# pandas, transformers and others say so of what they need for one function alone.
_NO_OPTIONAL = re.compile(
    r"[Mm]issing optional dependency|\bpip install\b|[Uu]se pip or conda|not found in your environment"
)
# A relative path: nothing of the author's has an absolute one in the container.
_NO_FILE = re.compile(r"No such file or directory: ('(?![/\\])[^']+')")
NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
FULL_DISK = "the job's disk is full"
# AWS's refusals as botocore and s3fs word them; a local file without read permission is another matter.
_DENIED = re.compile(
    r"\(AccessDenied\w*\)|\(UnauthorizedOperation\)|is not authorized to perform|^(?:Access Denied|Forbidden)$"
)
_INSTALLS = re.compile(r"\b(?:pip3?|conda|mamba|micromamba|uv|poetry)\b")
_INSTALL_FAILED = re.compile(r"(?:ERROR|error): |PackagesNotFoundError|ResolvePackageNotFound|UnsatisfiableError")
# pip says so after it has installed what it was asked for.
_ONLY_A_WARNING = re.compile(r"ERROR: pip's dependency resolver does not")
_QUOTED_LINES = 2
_LINE_CHARACTERS = 300
# nbclient stores the kernel's message with nbformat, which wants a list of lines; the message's name and text are in neither the notebook nor the log.
_UNRENDERED = re.compile(
    r"(?s)NotebookValidationError.*instance\['traceback'\]|is not of type 'array'.*instance\['traceback'\]"
)
_RENDERER = "_render_traceback_"


def advice_on(cell: FailedCell) -> str | None:
    """Return what to do about the failure of a cell; None where that is the author's to know."""
    before = f"cell {cell.index}" if cell.index is not None else "the one that needs it"
    installed = f"in the image, with initialization_script, or with %pip install in a cell before {before}"
    match cell.ename:
        case "ModuleNotFoundError" | "ImportError":
            return _advice_on_import(cell.evalue, installed)
        case "FileNotFoundError":
            missing = _NO_FILE.search(cell.evalue)
            return missing and (
                f"if {missing[1]} lies beside the notebook, list it in additional_dependencies: the job has no other files; "
                "data in S3 is read with its s3:// address"
            )
        case "UsageError" if "not found" in cell.evalue:
            return f"load the extension that has the magic in a cell before {before}: %load_ext …; the image must have it installed"
        case "MemoryError":
            return "use a larger instance_type, or hold less of the data in memory at a time"
        case "OutOfMemoryError" if "CUDA" in cell.evalue:
            return "use an instance_type with more GPU memory, or smaller batches"
        case _ if NO_SPACE.search(cell.evalue):
            return f"raise volume_size (GB): {FULL_DISK}"
        case "ClientError" | "PermissionError" if _DENIED.search(cell.evalue):
            return "allow it to the job's role, as which the notebook runs"
        case "StdinNotImplementedError":
            return "nobody can answer in a notebook job: take the value from a parameter"
        case _:
            return None


def _advice_on_import(evalue: str, installed: str) -> str | None:
    module = _NO_MODULE.search(evalue)
    if module:
        name = module[1].partition(".")[0]
        return (
            f"install what gives '{name}' {installed}; "
            f"if {name}.py or a folder {name} lies beside the notebook, list it in additional_dependencies"
        )
    library = _NO_LIBRARY.search(evalue)
    if library:
        return f"the image lacks the system library {library[1]}: use another image, or install it with initialization_script"
    if _NO_OPTIONAL.search(evalue):
        return f"install what the message names {installed}"
    if "cannot import name" in evalue and "circular import" not in evalue:
        return f"the package has another version than the notebook was written for: pin it {installed}"
    return None


def failed_installs(executed: NotebookNode, failed: FailedCell) -> str | None:
    """Return what pip and its like said of failing in cells before the failed one, each with its cell: they end no notebook; None where none failed."""
    found: list[str] = []
    for index, cell in numbered_cells(executed):
        if index is not None and index == failed.index:
            break
        if cell.get("cell_type") != "code" or not _INSTALLS.search(source_of(cell)):
            continue
        lines = [
            shortened(line.strip(), _LINE_CHARACTERS)
            for line in printed(cell).splitlines()
            if _INSTALL_FAILED.search(line) and not _ONLY_A_WARNING.search(line)
        ]
        if lines:
            found.append(f"cell {index}: {' / '.join(lines[-_QUOTED_LINES:])}")
    return "; ".join(found) or None


def unrendered_failure(executed: NotebookNode, log_text: str) -> FailedCell | None:
    """
    Return the cell that raised an exception whose ``_render_traceback_`` returns no list, on which the driver breaks; None where that was not it.

    Name and text are those of the cell's ``raise``, if its class, or the notebook's only class of that kind, tells.
    """
    if not _UNRENDERED.search(log_text):
        return None
    started = [(index, cell) for index, cell in numbered_cells(executed) if was_started(cell)]
    if not started:
        return None
    quiet = {name for _, cell in numbered_cells(executed) for name in _quiet_classes(_tree(cell))}
    index, cell = started[-1]
    ename, evalue = _raised(_tree(cell), quiet)
    return failed_cell(index, cell, {"ename": ename, "evalue": evalue})


def _tree(cell: NotebookNode) -> ast.Module:
    tree = tree_of(cell) if cell.get("cell_type") == "code" else None
    return tree or ast.Module([], [])


def _quiet_classes(tree: ast.AST) -> set[str]:
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == _RENDERER for part in node.body)
    }


def _raised(tree: ast.AST, quiet: set[str]) -> tuple[str, str]:
    raises = [_of_raise(node.exc) for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    of_quiet = [(name, text) for name, text in raises if name in quiet]
    candidates = of_quiet or raises
    if len({name for name, _ in candidates}) == 1:
        return candidates[0][0], candidates[0][1] if len(candidates) == 1 else ""
    return (quiet.pop(), "") if len(quiet) == 1 else ("an exception without a traceback", "")


def _of_raise(raised: ast.expr) -> tuple[str, str]:
    called, arguments = (raised.func, raised.args) if isinstance(raised, ast.Call) else (raised, [])
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    texts = [argument.value for argument in arguments if isinstance(argument, ast.Constant)]
    return name, str(texts[0]) if len(texts) == 1 == len(arguments) else ""
