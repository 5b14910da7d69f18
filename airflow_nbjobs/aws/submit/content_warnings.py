"""
What deserves a warning of a job's notebook and files: what it may miss in the job, and what a run for another day would not see.

Called by ``content.py`` and ``prepare.py``; asks which files are there, reads the Python ones.
"""

from __future__ import annotations

import os
import posixpath
import sys
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.submit.sources import READ_SCRIPT_BYTES, LocalFolder, plain_origin
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.variables import INTERVAL_VARIABLE
from airflow_nbjobs.core.notebook.clock_reads import clock_reads
from airflow_nbjobs.core.notebook.references import code_references, script_imports
from airflow_nbjobs.core.notebook.run_targets import machine_paths
from airflow_nbjobs.core.notebook.source import assigned_names, assigns_invisibly

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.submit.sources import Located, StagedFile

    Notebooks = Mapping[str, NotebookNode]  # the job's own and those that it runs, by name


def machine_path_warnings(sources: Notebooks) -> list[str]:
    warnings: list[str] = []
    for name, source in sources.items():
        found = dict.fromkeys(machine_paths(source))
        if found:
            shown = ", ".join(f"'{path}' (cell {cell})" for cell, path in found)
            warnings.append(
                f"'{name}' runs {shown}: a job has no such path, unless its image has; put the file beside the notebook and run it by its name"
            )
    return warnings


def unassigned_warnings(sources: Notebooks, names: Iterable[str]) -> list[str]:
    """Name the declared outputs that no cell assigns in plain Python; ``%%capture``, ``exec`` and star imports assign as well, so no error."""
    all_sources = list(sources.values())
    if assigns_invisibly(all_sources):
        return []
    assigned = assigned_names(all_sources)
    return [
        f"output '{name}' is assigned by no cell of the notebook or of what it %runs; the task will fail if it does not exist at the end{did_you_mean(name, assigned)}"
        for name in names
        if name not in assigned
    ]


def clock_warnings(sources: Notebooks) -> list[str]:
    """Name the notebooks that read the clock: run for another day than today, they report on today all the same."""
    warnings: list[str] = []
    for name, source in sources.items():
        by_cell: dict[int, list[str]] = {}
        for read in clock_reads(source, imported_by=sources.values()):
            by_cell.setdefault(read.cell, []).append(read.call)
        if by_cell:
            shown = "; ".join(f"cell {cell}: {', '.join(calls)}" for cell, calls in by_cell.items())
            warnings.append(
                f"'{name}' reads the clock ({shown}); this run is about a data interval, and a backfill or a retry would see "
                f"another time than a run on the day itself: take it from a parameter, or from {INTERVAL_VARIABLE} in the notebook's environment"
            )
    return warnings


def unshipped_warnings(
    located: Located, shipped: Sequence[StagedFile], sources: Notebooks, folders: Sequence[Path]
) -> list[str]:
    """
    Name what lies beside or above the notebook, is mentioned in the code, and does not go to the job.

    :param shipped: by their names beside the notebook.
    :param folders: relative to which a path is listed.
    """
    if not isinstance(located.folder, LocalFolder):
        return []  # each look-up in S3 would be a request
    files = {posixpath.normpath(file.name) for file in shipped} | {located.name}
    staged = files | {str(parent) for name in files for parent in PurePosixPath(name).parents}
    references = {name: code_references(source) for name, source in sources.items()}
    written = frozenset(name for found in references.values() for name in found.written)
    search_folders = ("", *dict.fromkeys(folder for found in references.values() for folder in found.search_folders))
    missed = {
        name: _beside(found.imports, found.file_names, search_folders, located.folder, staged)
        for name, found in references.items()
    }
    for file in shipped:
        is_local = not file.origin.startswith("s3://")
        if file.name.endswith(".py") and is_local and file.size_bytes <= READ_SCRIPT_BYTES:
            imports = script_imports(file.read().decode(errors="replace"))
            own = posixpath.dirname(file.name)
            missed[file.name] = _beside(imports, (), (*search_folders, own), located.folder, staged)
    made = written | {str(parent) for name in written for parent in PurePosixPath(name).parents}
    origins = {plain_origin(file.origin) for file in shipped}  # under its own name, to a notebook that finds it there
    warnings: list[str] = []
    said: set[str] = set()
    for origin, names in missed.items():
        new = names - staged - made - said
        said |= new
        outermost = {name for name in new if not any(str(parent) in new for parent in PurePosixPath(name).parents)}
        warnings += _of_missed(origin, outermost, located, origins, folders)
    return warnings


def _of_missed(
    origin: str, names: set[str], located: Located, shipped: Container[str], folders: Sequence[Path]
) -> Iterator[str]:
    def path_to_list(name: str) -> str:
        """How ``additional_dependencies`` name it: from the folder of the DAG file, where it lies in there."""
        path = plain_origin(located.folder.origin(name))
        for folder in folders:
            with suppress(ValueError):
                return Path(path).relative_to(os.path.normpath(folder.absolute())).as_posix()
        return path

    beside = sorted(name for name in names if not name.startswith(".."))
    above = sorted(name for name in names - set(beside) if plain_origin(located.folder.origin(name)) not in shipped)
    if beside:
        # A listed file lands under its own name: what is read from a folder needs the folder.
        listed = sorted({path_to_list(PurePosixPath(name).parts[0]) for name in beside})
        yield (
            f"'{origin}' mentions what lies beside the notebook but is not shipped: {_quoted(beside)}; "
            f"list {_quoted(listed)} in additional_dependencies if the job needs it"
        )
    if above:
        yield (
            f"'{origin}' mentions what lies above the notebook's folder, which a job has only where it is listed: {_quoted(above)}; "
            f"list {_quoted(path_to_list(name) for name in above)} in additional_dependencies if the job needs it"
        )


def _beside(
    imports: Iterable[str],
    file_names: Iterable[str],
    search_folders: Iterable[str],
    folder: LocalFolder,
    staged: Container[str],
) -> set[str]:
    """Return the files and folders that exist of these names, each package's folder once; a module that is staged in one place is sought in no other."""
    found = {name for name in file_names if folder.exists(name)}
    for module in imports:
        top, _, rest = module.partition(".")
        bases = [posixpath.normpath(posixpath.join(place, top)) for place in search_folders]
        if any(base in staged or f"{base}.py" in staged for base in bases):
            continue
        for base in bases:
            if folder.exists(f"{base}.py"):
                found.add(f"{base}.py")
            elif folder.exists(f"{base}/__init__.py") or _is_namespace_package(base, top, rest, folder):
                found.add(base)
    return {posixpath.normpath(name) for name in found}


def _is_namespace_package(base: str, top: str, rest: str, folder: LocalFolder) -> bool:
    """Whether a folder without ``__init__.py`` is what is imported; a module of the standard library or one that is installed comes first to Python."""
    if top in sys.stdlib_module_names or top == "test":  # which Python leaves out of that list
        return False
    if rest:
        inner = f"{base}/{rest.split('.', maxsplit=1)[0]}"
        return folder.exists(f"{inner}.py") or folder.has_python(inner)
    return folder.has_python(base)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
