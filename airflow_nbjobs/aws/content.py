"""
The files of one notebook job: the notebook, what it runs, what is listed beside it, and what deserves a warning.

Called by ``prepare.py``; reads, never writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.sources import LocalFolder, Located, StagedFile, dependency_files, locate
from airflow_nbjobs.core import notebook as notebooks
from airflow_nbjobs.core.clock import clock_reads
from airflow_nbjobs.core.errors import NotebookJobConfigError
from airflow_nbjobs.core.outputs import DeclaredOutputs, prepare_outputs
from airflow_nbjobs.core.parameters import CheckedParameters, prepare_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_nbjobs.aws.ports import Objects

INTERVAL_VARIABLE = "NBJOBS_DATA_INTERVAL_START"


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
        self.notebook: notebooks.NotebookNode | None = None
        self.located: Located | None = None
        self.script_name: str | None = None
        self.others: list[StagedFile] = []
        self._targets: dict[str, notebooks.NotebookNode] = {}
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
            self._follow_runs(self.notebook, self.located)
            self._warn_of_unshipped(self.notebook, self.located)

    @contextmanager
    def _collected(self) -> Iterator[None]:
        try:
            yield
        except NotebookJobConfigError as error:
            self._problems.extend(error.problems or [str(error)])

    def _dependencies(self, value: object) -> Iterable[str]:
        if not value:
            return ()
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._problems.append(f"additional_dependencies must be a list of paths, not {value!r}")
            return ()
        return [str(entry) for entry in value]

    def _read_notebook(self, path: object) -> None:
        if not path:
            raise NotebookJobConfigError(
                "input_notebook is not set; give the path of a notebook, beside the DAG file or absolute, or an s3:// URI"
            )
        located = locate("input_notebook", path, self._folders, self._objects)
        if "{" in located.name or "}" in located.name:
            # papermill formats the path with the parameters before it opens the file.
            raise NotebookJobConfigError(
                f"input_notebook: '{located.name}' has a brace in its name, which the driver's papermill cannot open; rename it"
            )
        if not located.name.endswith(".ipynb"):
            raise NotebookJobConfigError(f"input_notebook: '{located.name}' is no Jupyter notebook (.ipynb)")
        raw = located.folder.read(located.name)
        if raw is None:
            raise NotebookJobConfigError(f"input_notebook: '{located.origin}' has gone away while it was read")
        self.notebook = notebooks.parse_notebook(raw, source=located.origin)
        self.raw, self.located = raw, located

    def _read_script(self, path: object) -> None:
        located = locate("initialization_script", path, self._folders, self._objects)
        body = located.folder.read(located.name)
        if body is None:
            raise NotebookJobConfigError(f"initialization_script: '{located.origin}' has gone away while it was read")
        if b"\r\n" in body:
            self.warnings.append(
                f"initialization_script '{located.origin}' has Windows line endings, with which the driver's bash fails"
            )
        self.script_name = located.name
        self.others.append(StagedFile(located.name, body, located.origin))

    def _follow_runs(self, notebook: notebooks.NotebookNode, located: Located) -> None:
        """Ship what ``%run`` needs without being listed; a target that is missing is a problem now, not in five minutes."""
        listed = {file.name: file for file in self.others}

        def read(name: str) -> bytes | None:
            if name in listed:
                body = listed[name].body
                return body if isinstance(body, bytes) else body.read_bytes()
            return located.folder.read(name) if _is_inside(name) else None

        def load(name: str) -> notebooks.NotebookNode | None:
            body = read(name)
            return None if body is None else notebooks.parse_notebook(body, source=located.folder.origin(name))

        with self._collected():
            targets = notebooks.collect_run_targets(
                located.name,
                notebook,
                load,
                lambda name: name in listed or (_is_inside(name) and located.folder.exists(name)),
            )
            self._problems.extend(targets.problems)
            self._targets = dict(targets.notebooks)
            for name in (*targets.notebooks, *targets.files):
                body = None if name in listed else read(name)
                if body is not None:
                    self.others.append(StagedFile(name, body, located.folder.origin(name)))

    def _warn_of_unshipped(self, notebook: notebooks.NotebookNode, located: Located) -> None:
        if not isinstance(located.folder, LocalFolder):
            return  # each look-up in S3 would be a request
        staged = {file.name for file in self.others} | {PurePosixPath(file.name).parts[0] for file in self.others}
        for origin, source in ((located.name, notebook), *self._targets.items()):
            references = notebooks.code_references(source)
            beside = {
                *(f"{module}.py" for module in references.modules if located.folder.exists(f"{module}.py")),
                *(module for module in references.modules if located.folder.exists(f"{module}/__init__.py")),
                *(name for name in references.file_names if _is_inside(name) and located.folder.exists(name)),
            }
            self.warnings += [
                f"'{origin}' mentions '{name}', which lies beside it but is not shipped; list it in additional_dependencies if the job needs it"
                for name in sorted(beside - staged - {located.name})
            ]

    def warn_of_unassigned(self, names: Iterable[str]) -> None:
        """Warn of declared outputs that no cell assigns in plain Python; ``%%capture``, ``exec`` and star imports assign as well, so no error."""
        sources = [source for source in (self.notebook, *self._targets.values()) if source is not None]
        if notebooks.assigns_invisibly(sources):
            return
        assigned = notebooks.assigned_names(sources)
        self.warnings += [
            f"output '{name}' is assigned by no cell of the notebook or of what it %runs; the task will fail if it does not exist at the end"
            for name in names
            if name not in assigned
        ]

    def warn_of_clock(self) -> None:
        """Warn of each cell that reads the clock: run for another day than today, the notebook reports on today all the same."""
        if self.notebook is None or self.located is None:
            return
        sources = {self.located.name: self.notebook, **self._targets}
        self.warnings += [
            f"'{name}' reads the clock in cell {read.cell}: {read.call}; this run is about a data interval, and a backfill or a retry would see "
            f"another time than a run on the day itself: take it from a parameter, or from {INTERVAL_VARIABLE} in the notebook's environment"
            for name, source in sources.items()
            for read in clock_reads(source, imported_by=sources.values())
        ]

    def staged_body(self, checked: CheckedParameters, declared: DeclaredOutputs, *, is_python: bool) -> bytes:
        """Return the notebook to stage: the author's own bytes where it needs no cell of ours."""
        if self.notebook is None:
            raise ValueError("there is no notebook to stage")
        prepared = self.notebook
        if is_python:
            prepared = prepare_parameters(prepared, checked.values)
            if declared.types:
                prepared = prepare_outputs(prepared, tuple(declared.types), python=True)
        return self.raw if prepared is self.notebook else notebooks.dumps(prepared)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
