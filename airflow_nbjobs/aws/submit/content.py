"""
The files of one notebook job: the notebook, what it runs, what is listed beside it, and what deserves a warning.

Called by ``prepare.py``; reads, never writes.
"""

from __future__ import annotations

import os
import posixpath
import re
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from airflow_nbjobs.aws.submit.sources import LocalFolder, Located, StagedFile, dependency_files, locate, plain_origin
from airflow_nbjobs.core import defaults
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job import arguments as parse
from airflow_nbjobs.core.notebook import document as notebooks
from airflow_nbjobs.core.notebook.clock_reads import clock_reads
from airflow_nbjobs.core.notebook.progress import added_cells
from airflow_nbjobs.core.notebook.references import code_references, script_imports
from airflow_nbjobs.core.notebook.run_targets import collect_run_targets, machine_paths
from airflow_nbjobs.core.notebook.source import assigned_names, assigns_invisibly
from airflow_nbjobs.core.values.outputs import DeclaredOutputs, prepare_outputs
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings, prepare_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.ports import Objects
    from airflow_nbjobs.core.values.parameters import CheckedParameters

INTERVAL_VARIABLE = "NBJOBS_DATA_INTERVAL_START"
_UNQUOTED = re.compile(r"[\w./+@:=-]+", re.ASCII)  # the driver's `cd ${SM_EXECUTION_INPUT_PATH}` has no quotes
_PLACES_OF_A_JOB = (b"sagemaker_headless_execution", b"SM_EXECUTION_INPUT_PATH", b"/home/sagemaker-user")
_READ_SCRIPT_BYTES = 1024 * 1024  # of a script that is looked into; a longer one is no one's handwriting


class Content:
    """The files of one job: what was found, what is missing (into the caller's list of problems), what deserves a warning."""

    def __init__(
        self,
        arguments: Mapping[str, Any],
        *,
        folders: Sequence[Path],
        objects: Callable[[], Objects],
        problems: list[str],
    ) -> None:
        self._folders = folders
        self._objects = objects
        self._problems = problems
        self.warnings: list[str] = []
        self.raw = b""
        self.notebook: NotebookNode | None = None
        self.located: Located | None = None
        self.script_name: str | None = None
        self.others: list[StagedFile] = []
        self.staged_name = ""  # of the notebook, in the channel's folder
        self.subfolder = ""  # of the channel's folder, in which the notebook and what lies beside it are
        self.input_folder = ""  # the same where the driver can be told to begin there, as Studio needs it
        self.targets: dict[str, NotebookNode] = {}
        self._script: StagedFile | None = None
        self._read: dict[str, bytes | None] = {}
        self._gather(arguments)

    def _gather(self, arguments: Mapping[str, Any]) -> None:
        with self._collected():
            self._read_notebook(arguments.get("input_notebook"))
        for entry in self._dependencies(arguments.get("additional_dependencies")):
            with self._collected():
                self.others += dependency_files(entry, self._folders, self._objects)
        if arguments.get("initialization_script"):
            with self._collected():
                self._read_script(arguments["initialization_script"])
        if self.notebook is not None and self.located is not None:
            self._follow_runs(self.notebook, self.located, self._missing(arguments.get("missing_dependencies")))
            self._warn_of_machine_paths(self.located)
            self._add_listed_above(self.located)
            self._warn_of_unshipped(self.located)
            self._place(self.located)

    def _missing(self, value: object) -> Literal["error", "warn"]:
        wanted = defaults.MISSING_DEPENDENCIES if value is None else value
        if wanted not in ("error", "warn"):
            self._problems.append(f"missing_dependencies must be 'error' or 'warn', not {value!r}")
        return "warn" if wanted == "warn" else "error"

    @contextmanager
    def _collected(self) -> Iterator[None]:
        try:
            yield
        except NotebookJobConfigError as error:
            self._problems.extend(error.problems or [str(error)])

    def _dependencies(self, value: object) -> Iterable[str]:
        try:
            return parse.paths(value)
        except ValueError as error:
            self._problems.append(f"additional_dependencies: {error}")
            return ()

    def _read_notebook(self, path: object) -> None:
        if parse.is_absent(path):
            why = "" if not path else f": it is {path!r}, as a template writes it for a value that is not there"
            raise NotebookJobConfigError(
                f"input_notebook is not set{why}; give the path of a notebook, beside the DAG file or absolute, or an s3:// URI"
            )
        located = locate("input_notebook", path, self._folders, self._objects)
        if "{" in located.name or "}" in located.name:
            # papermill formats the path with the parameters before it opens the file.
            raise NotebookJobConfigError(
                f"input_notebook: '{located.name}' has a brace in its name, which the driver's papermill cannot open; rename it"
            )
        if not located.name.endswith(".ipynb"):
            raise NotebookJobConfigError(
                f"input_notebook: '{located.name}' is no Jupyter notebook (.ipynb){located.notebook_instead()}"
            )
        raw = located.folder.read(located.name)
        if raw is None:
            raise NotebookJobConfigError(f"input_notebook: '{located.origin}' has gone away while it was read")
        self.notebook = notebooks.parse_notebook(raw, source=located.origin)
        self.raw, self.located = raw, located

    def _read_script(self, path: object) -> None:
        if isinstance(path, str) and "\n" in path.strip():
            first = path.strip().partition("\n")[0]
            raise NotebookJobConfigError(
                f"initialization_script: must be the path of a script, not its text ('{first[:100]} …'); write it into a file beside the DAG file"
            )
        located = locate("initialization_script", path, self._folders, self._objects)
        body = located.folder.read(located.name)
        if body is None:
            raise NotebookJobConfigError(f"initialization_script: '{located.origin}' has gone away while it was read")
        if b"\r\n" in body:
            self.warnings.append(
                f"initialization_script '{located.origin}' has Windows line endings, with which the driver's bash fails"
            )
        self.script_name = located.name
        self._script = StagedFile(located.name, body, located.origin)
        self.others.append(self._script)

    def _follow_runs(self, notebook: NotebookNode, located: Located, missing: Literal["error", "warn"]) -> None:
        """Ship what ``%run`` needs without being listed; a target that is missing is a problem now, not in five minutes."""
        listed = {file.name: file for file in self.others}

        def load(name: str) -> NotebookNode | None:
            file = self._find(name, located, listed)
            return None if file is None else notebooks.parse_notebook(_bytes(file), source=file.origin)

        def read_text(name: str) -> str | None:
            file = self._find(name, located, listed)
            return (
                None if file is None or file.size_bytes > _READ_SCRIPT_BYTES else _bytes(file).decode(errors="replace")
            )

        with self._collected():
            targets = collect_run_targets(
                located.name,
                notebook,
                load,
                lambda name: self._find(name, located, listed) is not None,
                read_text=read_text,
                maker="the initialization script may make it" if self.script_name else "",
                missing=missing,
            )
            self._problems.extend(targets.problems)
            self.warnings += targets.warnings
            self.targets = dict(targets.notebooks)
            for name in (*targets.notebooks, *targets.files):
                file = None if name in listed else self._find(name, located, listed)
                if file is not None:
                    self.others.append(file)

    def _find(self, name: str, located: Located, listed: Mapping[str, StagedFile]) -> StagedFile | None:
        """The file of that name relative to the notebook, as far as the job may have it."""
        if name in listed:
            return listed[name]
        origin = located.folder.origin(name)
        if not _is_inside(name):
            if PurePosixPath(name).is_absolute():
                return None
            origin = plain_origin(origin)
            same = next((file for file in listed.values() if plain_origin(file.origin) == origin), None)
            if same is not None:
                return StagedFile(name, same.body, same.origin)
            if not self._lies_in_dag_folder(name, origin):
                return None
        if name not in self._read:
            self._read[name] = located.folder.read(name)
        body = self._read[name]
        return None if body is None else StagedFile(name, body, origin)

    def _lies_in_dag_folder(self, name: str, origin: str) -> bool:
        """
        Whether a job may have a file above its notebook's folder without anyone listing it.

        A notebook from somewhere must not make the worker upload the worker's own files: code only, and only what was deployed with the DAG.
        """
        if origin.startswith("s3://") or not name.endswith((".ipynb", ".py", ".ipy")):
            return False
        return any(Path(origin).is_relative_to(os.path.normpath(folder.absolute())) for folder in self._folders)

    def _place(self, located: Located) -> None:
        """Give every file its place in the channel: the notebook's folder keeps its name there where the notebook looks above it."""
        self.staged_name = located.name
        depth = max((PurePosixPath(file.name).parts.count("..") for file in self.others), default=0)
        if not depth:
            return
        folder = PurePosixPath(plain_origin(located.folder.origin("x")).removeprefix("s3://")).parent
        parts = folder.parts[1:]  # without "/", or the bucket
        if len(parts) < depth:
            self._problems.append(f"'{located.origin}' names files above '{folder}', above which is nothing")
            return
        self.subfolder = "/".join(parts[-depth:])
        self.staged_name = f"{self.subfolder}/{located.name}"
        if _UNQUOTED.fullmatch(self.subfolder):
            self.input_folder = self.subfolder
        self.others = [
            replace(file, name=posixpath.normpath(posixpath.join(folder, file.name)))
            for file in self.others
            for folder in [self.input_folder if file is self._script else self.subfolder]
        ]

    def _add_listed_above(self, located: Located) -> None:
        """
        What the notebook reads as ``../data.csv`` is put there as well, where it is listed.

        Not for a notebook that knows the job's folder by name: it finds what is listed at the root of it.
        """
        if any(place in self.raw for place in _PLACES_OF_A_JOB):
            return
        names = {name for source in self._sources(located).values() for name in code_references(source).file_names}
        present = {file.name for file in self.others}
        by_origin = {plain_origin(file.origin): file for file in self.others}
        for name in sorted(names):
            if name.startswith("../"):
                wanted = plain_origin(located.folder.origin(name))
                for origin, file in by_origin.items():
                    below = origin.removeprefix(wanted)
                    place = f"{name}{below}"
                    if origin.startswith(wanted) and below[:1] in ("", "/") and place not in present:
                        self.others.append(StagedFile(place, file.body, file.origin))

    def _sources(self, located: Located) -> dict[str, NotebookNode]:
        return {} if self.notebook is None else {located.name: self.notebook, **self.targets}

    def _warn_of_machine_paths(self, located: Located) -> None:
        for name, source in self._sources(located).items():
            found = dict.fromkeys(machine_paths(source))
            if found:
                shown = ", ".join(f"'{path}' (cell {cell})" for cell, path in found)
                self.warnings.append(
                    f"'{name}' runs {shown}: a job has no such path, unless its image has; put the file beside the notebook and run it by its name"
                )

    def _warn_of_unshipped(self, located: Located) -> None:
        if not isinstance(located.folder, LocalFolder):
            return  # each look-up in S3 would be a request
        files = {posixpath.normpath(file.name) for file in self.others} | {located.name}
        staged = files | {str(parent) for name in files for parent in PurePosixPath(name).parents}
        sources = self._sources(located)
        references = {name: code_references(source) for name, source in sources.items()}
        written = frozenset(name for found in references.values() for name in found.written)
        search_folders = (
            "",
            *dict.fromkeys(folder for found in references.values() for folder in found.search_folders),
        )
        missed = {
            name: _beside(found.imports, found.file_names, search_folders, located.folder, staged)
            for name, found in references.items()
        }
        for file in self.others:
            if (
                file.name.endswith(".py")
                and not file.origin.startswith("s3://")
                and file.size_bytes <= _READ_SCRIPT_BYTES
            ):
                imports = script_imports(_bytes(file).decode(errors="replace"))
                own = posixpath.dirname(file.name)
                missed[file.name] = _beside(imports, (), (*search_folders, own), located.folder, staged)
        made = written | {str(parent) for name in written for parent in PurePosixPath(name).parents}
        said: set[str] = set()
        for origin, names in missed.items():
            new = names - staged - made - said
            said |= new
            self._warn_of_missed(origin, {name for name in new if not _is_below(name, new)}, located)

    def _warn_of_missed(self, origin: str, names: set[str], located: Located) -> None:
        beside = sorted(name for name in names if not name.startswith(".."))
        shipped = {
            plain_origin(file.origin) for file in self.others
        }  # under its own name, to a notebook that finds it there
        above = sorted(name for name in names - set(beside) if plain_origin(located.folder.origin(name)) not in shipped)
        if beside:
            # A listed file lands under its own name: what is read from a folder needs the folder.
            listed = sorted({self._path_to_list(located, PurePosixPath(name).parts[0]) for name in beside})
            self.warnings.append(
                f"'{origin}' mentions what lies beside the notebook but is not shipped: {_quoted(beside)}; "
                f"list {_quoted(listed)} in additional_dependencies if the job needs it"
            )
        if above:
            listed = [self._path_to_list(located, name) for name in above]
            self.warnings.append(
                f"'{origin}' mentions what lies above the notebook's folder, which a job has only where it is listed: {_quoted(above)}; "
                f"list {_quoted(listed)} in additional_dependencies if the job needs it"
            )

    def _path_to_list(self, located: Located, name: str) -> str:
        """How ``additional_dependencies`` name it: from the folder of the DAG file, where it lies in there."""
        origin = plain_origin(located.folder.origin(name))
        for folder in self._folders:
            with suppress(ValueError):
                return Path(origin).relative_to(os.path.normpath(folder.absolute())).as_posix()
        return origin

    def warn_of_unassigned(self, names: Iterable[str]) -> None:
        """Warn of declared outputs that no cell assigns in plain Python; ``%%capture``, ``exec`` and star imports assign as well, so no error."""
        sources = [source for source in (self.notebook, *self.targets.values()) if source is not None]
        if assigns_invisibly(sources):
            return
        assigned = assigned_names(sources)
        self.warnings += [
            f"output '{name}' is assigned by no cell of the notebook or of what it %runs; the task will fail if it does not exist at the end{did_you_mean(name, assigned)}"
            for name in names
            if name not in assigned
        ]

    def warn_of_clock(self) -> None:
        """Warn of a notebook that reads the clock: run for another day than today, it reports on today all the same."""
        if self.notebook is None or self.located is None:
            return
        sources = self._sources(self.located)
        for name, source in sources.items():
            by_cell: dict[int, list[str]] = {}
            for read in clock_reads(source, imported_by=sources.values()):
                by_cell.setdefault(read.cell, []).append(read.call)
            if by_cell:
                shown = "; ".join(f"cell {cell}: {', '.join(calls)}" for cell, calls in by_cell.items())
                self.warnings.append(
                    f"'{name}' reads the clock ({shown}); this run is about a data interval, and a backfill or a retry would see "
                    f"another time than a run on the day itself: take it from a parameter, or from {INTERVAL_VARIABLE} in the notebook's environment"
                )

    def staged_body(
        self, checked: CheckedParameters, declared: DeclaredOutputs, *, is_python: bool
    ) -> tuple[bytes, tuple[int, ...]]:
        """Return the notebook to stage, the author's own bytes where it needs no cell of ours, and where cells that are not theirs will run."""
        if self.notebook is None:
            raise ValueError("there is no notebook to stage")
        prepared = notebooks.without_saved_widgets(self.notebook)
        if is_python:
            prepared = prepare_parameters(prepared, checked.values)
            if declared.types:
                prepared = prepare_outputs(prepared, tuple(declared.types), python=True)
        body = self.raw if prepared is self.notebook else notebooks.dumps(prepared)
        return body, added_cells(prepared, is_injected=bool(hyperparameter_strings(checked.values)))


def _beside(
    imports: Iterable[str],
    file_names: Iterable[str],
    search_folders: Iterable[str],
    folder: LocalFolder,
    staged: Container[str],
) -> set[str]:
    """What is there of the names: files and folders, with the folder of a package once. A module that is staged in one place is not looked for in another."""
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


def _is_below(name: str, folders: set[str]) -> bool:
    return any(str(parent) in folders for parent in PurePosixPath(name).parents)


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _bytes(file: StagedFile) -> bytes:
    return file.body if isinstance(file.body, bytes) else file.body.read_bytes()


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
