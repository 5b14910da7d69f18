"""How ``nbjobs plan`` finds and reads DAG files."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_nbjobs.commands.plan import dags
from airflow_nbjobs.commands.plan.dags import (
    Loaded,
    NotThereError,
    bundle_of,
    dag_files,
    find_dag,
    load_file,
    shown_path,
)
from airflow_nbjobs.commands.plan.records import FileProblem

DAG = "from airflow.sdk import DAG\nwith DAG('{}', schedule=None): ...\n"


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Airflow's only bundle on this machine."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    monkeypatch.setattr(dags, "local_bundles", lambda: [folder])
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def ids(loaded):
    return [each.dag.dag_id for each in loaded.dags]


def test_a_file_has_its_dags_in_the_order_of_their_ids(bundle):
    file = write(bundle / "x.py", DAG.format("b") + DAG.format("a"))
    loaded = load_file(file)
    assert ids(loaded) == ["a", "b"]
    assert {(each.file, each.bundle) for each in loaded.dags} == {(file, bundle)}
    assert [each.stored.dag_id for each in loaded.dags] == ["a", "b"]
    assert (loaded.problems, loaded.warnings) == ([], {})


def test_a_file_of_no_bundle_imports_from_its_own_folder(bundle, tmp_path, monkeypatch):
    write(tmp_path / "own" / "near.py", "NAME = 'n'\n")
    file = write(tmp_path / "own" / "x.py", "from near import NAME\n" + DAG.format("d"))
    monkeypatch.chdir(tmp_path)
    loaded = load_file(Path("own/x.py"))
    assert ids(loaded) == ["d"]
    assert (loaded.dags[0].file, loaded.dags[0].bundle) == (file, None)
    assert "near" not in sys.modules


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # as Python does by itself
def test_what_a_file_warns_of_is_said_once_and_other_kinds_are_not(bundle):
    text = "import warnings\nfor _ in range(2): warnings.warn('mine')\nwarnings.warn('old', DeprecationWarning)\n"
    file = write(bundle / "x.py", text + DAG.format("d"))
    assert load_file(file).warnings == {str(file): ["mine"]}


def test_an_import_error_is_airflows_own_text(bundle):
    file = write(bundle / "x.py", DAG.format("d") + "1 / 0\n")
    (problem,) = load_file(file).problems
    assert problem.file == str(file)
    assert "ZeroDivisionError: division by zero" in problem.text
    assert problem.text == problem.text.strip()


def test_a_file_that_ends_its_process_ends_no_plan(bundle):
    (problem,) = load_file(write(bundle / "x.py", "import sys\nsys.exit(3)\n" + DAG.format("d"))).problems
    assert "3" in problem.text
    assert "SystemExit" in problem.text


def test_a_dag_that_cannot_be_stored_leaves_the_others_of_its_file(bundle):
    text = (
        "from datetime import datetime\nfrom airflow.timetables.interval import CronDataIntervalTimetable\n"
        "class Mine(CronDataIntervalTimetable): ...\n"
        "from airflow.sdk import DAG\nwith DAG('bad', schedule=Mine('@daily', timezone='UTC'), start_date=datetime(2026, 1, 1)): ...\n"
    )
    loaded = load_file(write(bundle / "x.py", text + DAG.format("good")))
    assert ids(loaded) == ["good"]
    (problem,) = loaded.problems
    assert problem.text.startswith("DAG 'bad' cannot be stored by Airflow: ")


def test_what_is_loaded_twice_counts_once(bundle):
    first, other = write(bundle / "x.py", DAG.format("a")), write(bundle / "y.py", DAG.format("a"))
    problem = FileProblem(file="f", text="t")
    found = Loaded()
    for file in (first, other, first):
        found.add(load_file(file))
    for each in (problem, problem, FileProblem(file="f", text="u")):
        found.add(Loaded(problems=[each], warnings={"f": [each.text]}))
    assert [(each.file.name, each.dag.dag_id) for each in found.dags] == [("x.py", "a"), ("y.py", "a")]
    assert [each.text for each in found.problems] == ["t", "u"]
    assert found.warnings == {"f": ["u"]}


def test_a_bundle_holds_what_lies_below_it(bundle, monkeypatch):
    (bundle / "team").mkdir()
    assert bundle_of(bundle / "team" / "x.py") == bundle
    assert bundle_of(bundle) == bundle
    assert bundle_of(bundle.parent / "bundle2" / "x.py") is None
    monkeypatch.chdir(bundle)
    assert bundle_of(Path("team")) == bundle


def test_files_are_those_that_may_hold_a_dag(bundle):
    write(bundle / "b" / "y.py", DAG.format("y"))
    write(bundle / "a.py", DAG.format("a"))
    write(bundle / "plain.py", "x = 1\n")
    assert dag_files(bundle) == [bundle / "a.py", bundle / "b" / "y.py"]


def test_a_dag_is_looked_for_first_in_the_files_that_name_it(bundle, monkeypatch):
    write(bundle / "a.py", DAG.format("other"))
    write(bundle / "b.py", "import warnings; warnings.warn('of b')\n" + DAG.format("wanted"))
    write(bundle / "c.py", "NAME = 'wan' + 'ted2'\n" + DAG.replace("'{}'", "NAME"))
    read, load = [], dags.load_file
    monkeypatch.setattr(dags, "load_file", lambda file, **of: read.append(file.name) or load(file, **of))
    found = Loaded()
    (dag,) = find_dag("wanted", found)
    assert (dag.dag.dag_id, dag.bundle, read) == ("wanted", bundle, ["b.py"])
    assert list(found.warnings.values()) == [["of b"]]
    read.clear()
    (dag,) = find_dag("wanted2", Loaded())
    assert (dag.dag.dag_id, sorted(read)) == ("wanted2", ["a.py", "b.py", "c.py"])


def test_a_file_that_names_the_dag_and_does_not_import_may_be_the_one(bundle):
    write(bundle / "a.py", "1 / 0\n" + DAG.format("other"))
    found = Loaded()
    with pytest.raises(NotThereError):
        find_dag("wanted", found)
    assert found.problems == []
    write(bundle / "b.py", "1 / 0\n" + DAG.format("wanted"))
    assert find_dag("wanted", found) == []
    assert [Path(each.file).name for each in found.problems] == ["b.py"]


def test_a_dag_that_is_nowhere_is_said_with_where_it_was_looked_for(bundle, monkeypatch):
    write(bundle / "a.py", DAG.format("nightly"))
    with pytest.raises(NotThereError) as refused:
        find_dag("nigthly", Loaded())
    assert refused.value.args == (
        f"there is no file and no DAG 'nigthly'; DAGs were looked for in '{bundle}'; did you mean 'nightly'?",
    )
    monkeypatch.setattr(dags, "local_bundles", list)
    with pytest.raises(NotThereError, match="looked for in no folder of this machine"):
        find_dag("nightly", Loaded())
    with pytest.raises(NotThereError, match=r"^there is no file 'no dag'$"):
        find_dag("no dag", Loaded())


@pytest.mark.parametrize(
    ("path", "shown"),
    [("{here}/dags/x.py", "dags/x.py"), ("{here}/../x.py", "{here}/../x.py"), ("dags/x.py", "dags/x.py"), ("s3://b/x", "s3://b/x")],
)  # fmt: skip
def test_a_path_below_the_working_directory_is_shown_from_there(path, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shown_path(path.format(here=tmp_path)) == shown.format(here=tmp_path)
    assert shown_path(Path("x.py")) == "x.py"


def test_bundles_are_folders_that_are_there_and_each_once(tmp_path, monkeypatch):
    class Manager:
        _bundle_config = {"a": 0, "again": 0, "file": 0, "b": 0}  # noqa: RUF012 - Airflow's own form

        def get_bundle(self, name):
            return SimpleNamespace(path=tmp_path / {"again": "a"}.get(name, name))

    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("airflow.dag_processing.bundles.manager.DagBundlesManager", Manager)
    assert dags.local_bundles() == [tmp_path / "a", tmp_path / "b"]


def test_what_a_file_imports_is_there_for_as_long_as_it_is_asked_for(tmp_path, monkeypatch):
    folder, elsewhere = tmp_path / "bundle", tmp_path / "elsewhere"
    for place, name in (
        *((folder, name) for name in ("of_bundle/__init__", "of_bundle/part", "was_known/__init__", "was_known/part")),
        (elsewhere, "of_another"),
        (folder / "venv", "installed_there"),
    ):
        write(place / f"{name}.py", "")
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.syspath_prepend(folder / "venv")
    names = ("of_bundle", "of_bundle.part", "was_known", "was_known.part", "of_another", "installed_there")

    def there():
        return [name for name in names if name in sys.modules]

    imports = dags.Imports(folder)
    before = list(sys.path)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.import_module("was_known")
    try:
        with imports:
            assert sys.path[0] == str(folder)
            for name in names:
                importlib.import_module(name)
            first = sys.modules["of_bundle"]
            sys.path.append("/left behind")
        assert there() == ["was_known", "was_known.part", "of_another", "installed_there"]
        assert sys.path == before
        with imports:
            assert there() == list(names)
            assert sys.modules["of_bundle"] is first, "what it has imported before is the same"
        assert "of_bundle" not in sys.modules
    finally:
        for name in names:
            sys.modules.pop(name, None)


def test_an_object_that_stands_for_a_module_ends_no_plan(tmp_path, monkeypatch):
    class Odd:
        @property
        def __path__(self):
            raise RuntimeError

    with dags.Imports(tmp_path):
        monkeypatch.setitem(sys.modules, "odd_one", Odd())
        monkeypatch.setitem(sys.modules, "none_at_all", None)
    assert {"odd_one", "none_at_all"} <= sys.modules.keys()
