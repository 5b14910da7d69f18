"""Where a notebook and its files are found, and what a dependency brings along."""

import pytest
from fakes import FakeObjects

from airflow_nbjobs.aws.submit.sources import LocalFolder, S3Folder, dependency_files, locate
from airflow_nbjobs.core.errors import NotebookJobConfigError


def no_s3():
    raise AssertionError("a local path asked for an S3 client")


@pytest.fixture
def objects():
    return FakeObjects()


def names(files):
    return sorted(file.name for file in files)


def test_the_first_folder_that_has_the_file_wins(tmp_path):
    for folder, text in (("dags", "near"), ("shared", "far")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nb.ipynb").write_text(text)
    found = locate("input_notebook", "nb.ipynb", [tmp_path / "none", tmp_path / "dags", tmp_path / "shared"], no_s3)
    assert found.folder.read(found.name) == b"near"
    assert found.origin == str(tmp_path / "dags" / "nb.ipynb")


def test_an_absolute_path_needs_no_folder(tmp_path):
    (tmp_path / "nb.ipynb").write_text("x")
    assert locate("input_notebook", tmp_path / "nb.ipynb", [], no_s3).name == "nb.ipynb"


def test_a_path_into_a_subfolder_reads_beside_the_notebook(tmp_path):
    """``%run`` targets and modules lie beside the notebook, not beside the DAG file."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "nb.ipynb").write_text("x")
    found = locate("input_notebook", "notebooks/nb.ipynb", [tmp_path], no_s3)
    assert (found.name, found.folder) == ("nb.ipynb", LocalFolder(tmp_path / "notebooks"))


def test_a_missing_file_names_every_place_searched(tmp_path):
    with pytest.raises(NotebookJobConfigError, match=r"input_notebook: there is no 'nb.ipynb'; searched") as caught:
        locate("input_notebook", "nb.ipynb", [tmp_path / "a", tmp_path / "b"], no_s3)
    assert str(tmp_path / "a" / "nb.ipynb") in str(caught.value)
    assert str(tmp_path / "b" / "nb.ipynb") in str(caught.value)


def test_a_folder_in_place_of_a_file_is_said(tmp_path):
    with pytest.raises(NotebookJobConfigError, match="is a folder, a file is needed"):
        locate("input_notebook", str(tmp_path), [], no_s3)


@pytest.mark.parametrize("path", ["x" * 5000, "nul\0byte.ipynb"])
def test_a_path_that_no_file_system_can_hold_is_no_file(tmp_path, path):
    """A notebook's JSON passed in place of its path must not end in an OSError of the operating system."""
    with pytest.raises(NotebookJobConfigError, match="input_notebook: there is no"):
        locate("input_notebook", path, [tmp_path], no_s3)


def test_a_notebook_in_s3_reads_beside_itself(objects):
    objects.put("s3://code/nb/train.ipynb", b"x", kms_key=None)
    objects.put("s3://code/nb/helper.ipynb", b"y", kms_key=None)
    found = locate("input_notebook", "s3://code/nb/train.ipynb", [], lambda: objects)
    assert (found.folder, found.name) == (S3Folder("s3://code/nb", objects), "train.ipynb")
    assert found.folder.read("helper.ipynb") == b"y"
    assert found.folder.exists("helper.ipynb")
    assert found.folder.read("other.ipynb") is None


@pytest.mark.parametrize("uri", ["s3://code/nb/none.ipynb", "s3://code/nb/", "s3://code", "s3://"])
def test_a_missing_object_is_said(objects, uri):
    objects.put("s3://code/nb/train.ipynb", b"x", kms_key=None)
    with pytest.raises(NotebookJobConfigError, match=r"input_notebook: (there is no object|.* names no object; give)"):
        locate("input_notebook", uri, [], lambda: objects)


def test_a_dependency_file_lands_under_its_own_name(tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helpers.py").write_text("x = 1")
    (file,) = dependency_files("lib/helpers.py", [tmp_path], no_s3)
    assert (file.name, file.size_bytes) == ("helpers.py", 5)


def test_a_dependency_folder_keeps_its_name_and_brings_all_below_it(tmp_path):
    folder = tmp_path / "package"
    (folder / "sub" / ".config").mkdir(parents=True)
    for name in ("__init__.py", ".hidden", "sub/module.py", "sub/.config/settings"):
        (folder / name).write_text("x")
    expected = ["package/.hidden", "package/__init__.py", "package/sub/.config/settings", "package/sub/module.py"]
    assert names(dependency_files("package", [tmp_path], no_s3)) == expected
    assert names(dependency_files("package/", [tmp_path], no_s3)) == expected
    assert names(dependency_files("sub/..", [folder], no_s3)) == expected


def test_a_linked_folder_keeps_the_name_that_the_notebook_knows(tmp_path):
    """As a person sees it: 'data' → 'data-2026' is read as 'data/…' in the notebook."""
    (tmp_path / "data-2026").mkdir()
    (tmp_path / "data-2026" / "a.csv").write_text("x")
    (tmp_path / "data").symlink_to("data-2026")
    assert names(dependency_files("data", [tmp_path], no_s3)) == ["data/a.csv"]


def test_an_empty_dependency_folder_is_a_mistake(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotebookJobConfigError, match=r"additional_dependencies: folder '.*empty' holds no file"):
        list(dependency_files("empty", [tmp_path], no_s3))


def test_a_missing_dependency_is_named_with_the_places(tmp_path):
    with pytest.raises(NotebookJobConfigError, match=r"additional_dependencies: there is no 'x.py'; searched"):
        list(dependency_files("x.py", [tmp_path], no_s3))


def test_a_dependency_in_s3_is_an_object_or_a_prefix(objects):
    for name in ("pkg/__init__.py", "pkg/sub/m.py", "pkg2/other.py", "pkg/"):
        objects.put(f"s3://code/lib/{name}", b"x", kms_key=None)
    assert names(dependency_files("s3://code/lib/pkg/", [], lambda: objects)) == ["pkg/__init__.py", "pkg/sub/m.py"]
    assert names(dependency_files("s3://code/lib/pkg2/other.py", [], lambda: objects)) == ["other.py"]


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("s3://code/lib/none.py", "there is no object .*; end it in a slash if it is a prefix"),
        ("s3://code/none/", "there is no object below"),
        ("s3:///x", "is not an S3 URI"),
    ],
)
def test_a_missing_dependency_in_s3_is_said(objects, uri, text):
    with pytest.raises(NotebookJobConfigError, match=f"additional_dependencies: .*{text}"):
        list(dependency_files(uri, [], lambda: objects))
