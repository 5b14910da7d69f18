"""
Where a plan's DAGs are, and how they are read: as Airflow's DAG processor does, without its database.

Called by ``__init__.py``.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec

from airflow_nbjobs.commands.plan.records import FileProblem

_DAG_ID = re.compile(r"[\w.~-]+")


class Imports:
    """
    What one DAG file imports from its bundle, for as long as a ``with`` block has it: Airflow reads each file in a process of its own, and two bundles may have modules of one name.

    :param folder: of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._path = list(sys.path)
        self._known = {name.partition(".")[0] for name in sys.modules}
        sys.path.insert(0, str(self._folder))
        sys.modules.update(self._modules)

    def __exit__(self, *_: object) -> None:
        # What is installed below the folder, as in a virtual environment there, is no part of the bundle.
        installed = [Path(each) for each in self._path if each and Path(each).is_relative_to(self._folder)]
        installed = [each for each in installed if each != self._folder]
        self._modules = {
            name: module
            for name, module in tuple(sys.modules.items())
            if name.partition(".")[0] not in self._known
            and any(
                place.is_relative_to(self._folder) and not any(map(place.is_relative_to, installed))
                for place in _places(module)
            )
        }
        for name in self._modules:
            del sys.modules[name]
        sys.path[:] = self._path


def _places(module: Any) -> list[Path]:
    file = getattr(module, "__file__", None)
    with contextlib.suppress(Exception):  # whatever an object that stands for a module makes of it
        return [Path(each) for each in ([file] if file else list(getattr(module, "__path__", ())))]
    return []


class LoadedDag(msgspec.Struct, frozen=True):
    """
    One DAG.

    :param stored: as the scheduler reads it back from the database.
    :param bundle: folder of the bundle that its file belongs to.
    :param imports: entered while anything of the DAG's own is called.
    """

    dag: Any
    stored: Any
    file: Path
    bundle: Path | None
    imports: Imports


class Loaded(msgspec.Struct):
    """The DAGs of some files, and what keeps files from having any; ``warnings`` by file. All paths are absolute."""

    dags: list[LoadedDag] = []
    problems: list[FileProblem] = []
    warnings: dict[str, list[str]] = {}

    def add(self, other: Loaded) -> None:
        """Add what is not there yet: a file may be among several of the things that were asked for."""
        known = {(each.file, each.dag.dag_id) for each in self.dags}
        self.dags += [each for each in other.dags if (each.file, each.dag.dag_id) not in known]
        self.problems += [each for each in other.problems if each not in self.problems]
        self.warnings |= other.warnings


class NotThereError(LookupError):
    """There is no file, and no DAG, of the name that was given."""


def local_bundles() -> list[Path]:
    """
    Return the folders of Airflow's DAG bundles that lie on this machine.

    Those of git or S3 are not fetched: one that was is looked for where Airflow keeps it.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    folders: list[Path] = []
    make_manager: Any = DagBundlesManager
    manager = make_manager()
    for name in manager._bundle_config:  # noqa: SLF001 - the public way makes all of them, and fails with one of them
        with contextlib.suppress(Exception):  # whatever a bundle of somebody's needs to know its own folder
            path = Path(manager.get_bundle(name).path)
            if path.is_dir():
                folders.append(path)
    return list(dict.fromkeys(folders))


def bundle_of(path: Path) -> Path | None:
    """Return the folder of the one of Airflow's bundles that holds a file or folder; None where none does."""
    return next((each for each in local_bundles() if path.absolute().is_relative_to(each.absolute())), None)


def dag_files(folder: Path) -> list[Path]:
    """Return the files below a folder that may hold a DAG, as Airflow chooses them (``.airflowignore``, safe mode)."""
    from airflow_nbjobs._compat import dag_file_paths

    return sorted(Path(path) for path in dag_file_paths(str(folder)))


def find_dag(dag_id: str, found: Loaded) -> list[LoadedDag]:
    """
    Return the DAG of an id, from the bundles of this machine.

    Files that name the id are read first, the others only if none of these has it.

    :param found: takes what is wrong with the files that were read.
    :raises NotThereError: no file has it; names the folders, and ids that are alike.
    """
    bundles = local_bundles()
    if not _DAG_ID.fullmatch(dag_id):
        raise NotThereError(f"there is no file '{dag_id}'")
    files = [(bundle, file) for bundle in bundles for file in dag_files(bundle)]
    naming = [(bundle, file) for bundle, file in files if dag_id.encode() in file.read_bytes()]
    others = [each for each in files if each not in naming]
    seen: list[str] = []
    for bundle, file in (*naming, *others):
        loaded = load_file(file, bundle=bundle)
        mine = [each for each in loaded.dags if each.dag.dag_id == dag_id]
        if mine:
            found.warnings |= loaded.warnings
            return mine
        seen += [each.dag.dag_id for each in loaded.dags]
        # A file that does not import may be the one.
        found.problems += [problem for problem in loaded.problems if (bundle, file) in naming]
    if found.problems:
        return []
    from airflow_nbjobs.core.guesses import did_you_mean

    searched = ", ".join(f"'{bundle}'" for bundle in bundles) or "no folder of this machine"
    raise NotThereError(
        f"there is no file and no DAG '{dag_id}'; DAGs were looked for in {searched}{did_you_mean(dag_id, seen)}"
    )


def load_file(file: Path, *, bundle: Path | None = None) -> Loaded:
    """
    Read one DAG file, as Airflow's DAG processor does.

    :param bundle: the folder whose modules it imports; None: that of Airflow's bundles that holds it, else the file's own folder.
    """
    loaded = Loaded()
    file = Path(os.path.abspath(file))  # noqa: PTH100 - a link stays one: its folder is what the file imports from
    if bundle is None:
        bundle = bundle_of(file)
    imports = Imports((bundle or file.parent).absolute())
    with imports, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        bag = _bag(file, bundle)
        found, errors = [bag.dags[dag_id] for dag_id in sorted(bag.dags)], list(bag.import_errors.values())
        stored = [(dag, *_stored(dag)) for dag in found]
    said = [str(each.message) for each in caught if each.category is UserWarning]
    said += [
        text.partition("UserWarning: ")[2].strip()
        for texts in bag.captured_warnings.values()
        for text in texts
        if ": UserWarning: " in text
    ]
    loaded.problems = [FileProblem(file=str(file), text=str(error).strip()) for error in errors]
    for dag, as_stored, problem in stored:
        if problem is None:
            loaded.dags.append(LoadedDag(dag, as_stored, file, bundle, imports))
        else:
            loaded.problems.append(FileProblem(file=str(file), text=problem))
    if said:
        loaded.warnings[str(file)] = list(dict.fromkeys(said))
    return loaded


def _bag(file: Path, bundle: Path | None) -> Any:
    from airflow_nbjobs._compat import dag_bag

    bag = dag_bag(dag_folder=str(file), collect_dags=False, bundle_path=bundle)
    try:
        bag.process_file(str(file), only_if_updated=False, safe_mode=False)
    except SystemExit as ended:  # which Airflow before 3.2 lets through
        bag.import_errors[str(file)] = f"the file ends the process that parses it: SystemExit({ended.code!r})"
    return bag


def _stored(dag: Any) -> tuple[Any, str | None]:
    """Return the DAG as the database keeps it; one that Airflow cannot store is none, and it says why."""
    from airflow_nbjobs._compat import stored_dag

    try:
        return stored_dag(dag), None
    except Exception as error:  # noqa: BLE001 - as Airflow's own processor, which shows it as an import error
        return None, f"DAG '{dag.dag_id}' cannot be stored by Airflow: {error}"


def shown_path(path: str | Path) -> str:
    """Return a path from the working directory on, where it lies below that."""
    text = os.path.relpath(path) if Path(path).is_absolute() else str(path)
    return str(path) if text.startswith("..") else text
