"""
The files of one notebook job: the notebook, what it runs, what is listed beside it, and what deserves a warning.

Called by ``prepare.py``; reads, never writes.
"""

from __future__ import annotations

import os
import posixpath
import re
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from airflow_nbjobs.aws.submit.content_warnings import machine_path_warnings, unshipped_warnings
from airflow_nbjobs.aws.submit.sources import (
    READ_SCRIPT_BYTES,
    Located,
    StagedFile,
    dependency_files,
    locate,
    plain_origin,
)
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.job import parsers as parse
from airflow_nbjobs.core.notebook import document as notebooks
from airflow_nbjobs.core.notebook.progress import added_cells
from airflow_nbjobs.core.notebook.references import code_references
from airflow_nbjobs.core.notebook.run_targets import collect_run_targets
from airflow_nbjobs.core.texts import shortened
from airflow_nbjobs.core.values.outputs import DeclaredOutputs, prepare_outputs
from airflow_nbjobs.core.values.parameter_cell import hyperparameter_strings, prepare_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from nbformat import NotebookNode

    from airflow_nbjobs.aws.ports import Objects
    from airflow_nbjobs.core.job.arguments import JobArguments
    from airflow_nbjobs.core.values.parameters import CheckedParameters

_UNQUOTED = re.compile(r"[\w./+@:=-]+", re.ASCII)  # the driver's `cd ${SM_EXECUTION_INPUT_PATH}` has no quotes
_PLACES_OF_A_JOB = (b"sagemaker_headless_execution", b"SM_EXECUTION_INPUT_PATH", b"/home/sagemaker-user")


class Content:
    """The files of one job: what was found, what is missing (into the caller's list of problems), what deserves a warning."""

    def __init__(
        self, arguments: JobArguments, *, folders: Sequence[Path], objects: Callable[[], Objects], problems: list[str]
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

    def _gather(self, arguments: JobArguments) -> None:
        with self._collected():
            self._read_notebook(arguments.input_notebook)
        for entry in self._dependencies(arguments.additional_dependencies):
            with self._collected():
                self.others += dependency_files(entry, self._folders, self._objects)
        if arguments.initialization_script:
            with self._collected():
                self._read_script(arguments.initialization_script)
        if self.notebook is not None and self.located is not None:
            missing = arguments.severity("missing_dependencies", self._problems)
            self._follow_runs(self.notebook, self.located, missing)
            self.warnings += machine_path_warnings(self.sources)
            self._add_listed_above(self.located)
            self.warnings += unshipped_warnings(self.located, self.others, self.sources, self._folders)
            self._place(self.located)

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
        raw = located.read("input_notebook")
        self.notebook = notebooks.parse_notebook(raw, source=located.origin)
        self.raw, self.located = raw, located

    def _read_script(self, path: object) -> None:
        if isinstance(path, str) and "\n" in path.strip():
            first = path.strip().partition("\n")[0]
            raise NotebookJobConfigError(
                f"initialization_script: must be the path of a script, not its text ('{shortened(first, 100)} …'); write it into a file beside the DAG file"
            )
        located = locate("initialization_script", path, self._folders, self._objects)
        body = located.read("initialization_script")
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
            return None if file is None else notebooks.parse_notebook(file.read(), source=file.origin)

        def read_text(name: str) -> str | None:
            file = self._find(name, located, listed)
            return None if file is None or file.size_bytes > READ_SCRIPT_BYTES else file.read().decode(errors="replace")

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
        names = {name for source in self.sources.values() for name in code_references(source).file_names}
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

    @property
    def sources(self) -> dict[str, NotebookNode]:
        """The notebook and those that it runs, by name."""
        return (
            {} if self.notebook is None or self.located is None else {self.located.name: self.notebook, **self.targets}
        )

    @property
    def origin(self) -> str:
        return "" if self.located is None else self.located.origin

    def staged_body(
        self, checked: CheckedParameters, declared: DeclaredOutputs, *, kernel_name: str
    ) -> tuple[bytes, tuple[int, ...]]:
        """Return the notebook to stage, the author's own bytes where it needs no cell of ours, and where cells that are not theirs will run."""
        if self.notebook is None:
            raise ValueError("there is no notebook to stage")
        prepared = notebooks.without_saved_widgets(self.notebook)
        if notebooks.is_python(self.notebook, kernel_name):
            prepared = prepare_parameters(prepared, checked.values)
            prepared = prepare_outputs(prepared, tuple(declared.types))
        body = self.raw if prepared is self.notebook else notebooks.dumps(prepared)
        return body, added_cells(prepared, is_injected=bool(hyperparameter_strings(checked.values)))


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
