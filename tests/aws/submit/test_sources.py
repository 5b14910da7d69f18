"""Where a notebook and its files are found, and what a dependency brings along."""

import pytest
from fakes import FakeObjects

from airflow_nbjobs.aws.submit.local_files import find_local
from airflow_nbjobs.aws.submit.sources import (
    LocalFolder,
    Located,
    S3Folder,
    StagedFile,
    dependency_files,
    locate,
    plain_origin,
)
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


def test_everything_below_a_bucket_lands_at_the_root(objects):
    for name in ("a.py", "sub/b.py"):
        objects.put(f"s3://code/{name}", b"x", kms_key=None)
    assert names(dependency_files("s3://code/", [], lambda: objects)) == ["a.py", "sub/b.py"]


def test_an_object_that_goes_while_its_prefix_is_read_is_left_out(objects, monkeypatch):
    objects.put("s3://code/lib/a.py", b"x", kms_key=None)
    monkeypatch.setattr(objects, "names_below", lambda _: ["a.py", "gone.py"])
    (file,) = dependency_files("s3://code/lib/", [], lambda: objects)
    assert (file.name, file.body, file.origin) == ("lib/a.py", b"x", "s3://code/lib/a.py")


def test_a_staged_file_has_its_size_and_content_wherever_it_lies(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    for body in (b"12345", path):
        file = StagedFile("f", body, "f")
        assert (file.size_bytes, file.read()) == (5, b"12345")


@pytest.mark.parametrize("path", [5, None, ["nb.ipynb"], b"nb.ipynb"])
def test_what_is_no_path_is_said_with_the_arguments_name(path):
    with pytest.raises(NotebookJobConfigError, match="initialization_script: must be a path or an s3:// URI, not"):
        locate("initialization_script", path, [], no_s3)


def test_only_for_a_notebook_the_notebooks_of_a_folder_are_named(tmp_path):
    (tmp_path / "nb.ipynb").touch()
    with pytest.raises(NotebookJobConfigError, match=r"is a folder, a file is needed; in it: '.*nb\.ipynb'"):
        locate("input_notebook", str(tmp_path), [], no_s3)
    with pytest.raises(NotebookJobConfigError, match=r"is a folder, a file is needed$"):
        locate("initialization_script", str(tmp_path), [], no_s3)


def test_a_file_that_goes_before_it_is_read_is_said_to_have_gone(tmp_path):
    with pytest.raises(NotebookJobConfigError, match=r"input_notebook: '.*nb\.ipynb' has gone away while it was read"):
        Located(LocalFolder(tmp_path), "nb.ipynb").read("input_notebook")


@pytest.mark.parametrize(
    ("name", "beside", "said"),
    [
        ("report.py", ["report.ipynb"], "; did you mean 'report.ipynb'?"),
        ("report.py", ["report.py.ipynb"], "; did you mean 'report.py.ipynb'?"),
        ("report", ["report.ipynb"], "; did you mean 'report.ipynb'?"),
        ("Report.ipynb.txt", [], "; if it is one, rename it to 'Report.ipynb'"),
        ("Report.IPYNB", [], "; if it is one, rename it to 'Report.ipynb'"),
        ("report.py", ["other.ipynb"], ""),
    ],
)
def test_for_what_is_no_notebook_by_its_name_the_one_beside_it_or_a_name_is_offered(tmp_path, name, beside, said):
    for each in beside:
        (tmp_path / each).touch()
    assert Located(LocalFolder(tmp_path), name).notebook_instead() == said


@pytest.mark.parametrize(
    ("origin", "plain"),
    [("s3://b/a/../c", "s3://b/c"), ("s3://b/a", "s3://b/a"), ("/a/b/../c", "/a/c"), ("/a/./b", "/a/b")],
)
def test_two_ways_to_one_file_are_one_place(origin, plain):
    assert plain_origin(origin) == plain


def test_a_relative_place_is_that_of_the_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plain_origin("a/../b") == str(tmp_path / "b")


def test_a_folder_has_python_if_a_module_lies_directly_in_it(tmp_path):
    for name in ("pkg/a.py", "deep/sub/a.py", "data/a.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    folder = LocalFolder(tmp_path)
    assert [folder.has_python(name) for name in ("pkg", "deep", "data", "none")] == [True, False, False, False]
    assert folder.exists("pkg")
    assert folder.read("pkg") is None, "a folder has no content"


@pytest.mark.parametrize(
    ("path", "instead"),
    [
        ("s3a://bucket/nb.ipynb", "give 's3://bucket/nb.ipynb'"),
        ("S3://bucket/nb.ipynb", "give 's3://bucket/nb.ipynb'"),
        ("s3n://bucket/nb.ipynb", "give 's3://bucket/nb.ipynb'"),
        ("file:///dags/nb.ipynb", "give '/dags/nb.ipynb'"),
        ("https://x.example/nb.ipynb", "put the file there"),
        ("gs://bucket/nb.ipynb", "put the file there"),
    ],
)
def test_a_uri_of_another_kind_says_what_to_give(tmp_path, path, instead):
    with pytest.raises(NotebookJobConfigError) as caught:
        find_local("input_notebook", path, [tmp_path])
    assert str(caught.value) == (f"input_notebook: '{path}' is no path; of URIs, 's3://bucket/key' is taken: {instead}")


def test_a_path_of_the_users_home_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "nb.ipynb").touch()
    assert find_local("input_notebook", "~/nb.ipynb", []) == tmp_path / "nb.ipynb"


def test_where_nothing_was_searched_that_is_said_and_a_long_path_is_cut():
    with pytest.raises(NotebookJobConfigError, match=r"there is no 'nb\.ipynb'; searched no folder$"):
        find_local("input_notebook", "nb.ipynb", [])
    with pytest.raises(NotebookJobConfigError) as caught:
        find_local("input_notebook", "x" * 301, [])
    assert f"there is no '{'x' * 300}…'" in str(caught.value)
    with pytest.raises(NotebookJobConfigError, match=f"there is no '{'x' * 300}'"):
        find_local("input_notebook", "x" * 300, [])
