"""Names of files that no file system can hold, or that nobody may read: an error of ours or a guess, never one of the system's."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeClients, FakeObjects

from airflow_nbjobs.aws.submit import path_guesses
from airflow_nbjobs.aws.submit.earlier_jobs import has_left_files
from airflow_nbjobs.aws.submit.path_guesses import near_folder, near_name, notebooks_in
from airflow_nbjobs.aws.submit.prepare import _extra_request
from airflow_nbjobs.aws.submit.sources import LocalFolder, find_local
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.naming import JobLocation

PLACE = JobLocation("s3://bucket/nbjobs", "d-t-0123456789ab")


def test_a_notebooks_text_in_place_of_its_path_is_told_to_be_no_path(tmp_path):
    with pytest.raises(NotebookJobConfigError, match="input_notebook: there is no 'x") as caught:
        find_local("input_notebook", "x" * 5000, [tmp_path])
    assert len(str(caught.value)) < 2000


def test_the_first_folder_that_has_it_counts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "nb.ipynb").touch()
    (tmp_path / "b" / "other").touch()
    folders = [tmp_path / "a", tmp_path / "b"]
    assert find_local("x", "nb.ipynb", folders) == tmp_path / "a" / "nb.ipynb"
    assert find_local("x", "other", folders) == tmp_path / "b" / "other"
    assert find_local("x", str(tmp_path / "b" / "nb.ipynb"), []) == tmp_path / "b" / "nb.ipynb"


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "none"])
def test_a_name_that_cannot_be_is_no_file_beside_the_notebook(tmp_path, name):
    folder = LocalFolder(tmp_path)
    assert folder.exists(name) is False
    assert folder.read(name) is None


@pytest.mark.parametrize("path", ["", " ", "x" * 256, "a\0b", "/"])
def test_for_what_can_be_no_name_nothing_is_guessed(tmp_path, path):
    (tmp_path / "nb.ipynb").touch()
    assert near_name(path, [tmp_path]) is None


@pytest.mark.parametrize(
    ("path", "found"), [("NB", "nb.ipynb"), ("nb.ipnyb", None), ("nbs.ipynb", "nb.ipynb"), ("nb.ipynb ", "nb.ipynb"), ("sub\\x.py", "sub/x.py"), ("x.py", "sub/x.py")]
)  # fmt: skip
def test_a_file_near_by_is_guessed(tmp_path, path, found):
    (tmp_path / "nb.ipynb").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.py").touch()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.py").touch()
    assert near_name(path, [tmp_path / "none", tmp_path]) == found


def touched(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("path", "names", "found"),
    [
        ("b/report", ["b/Report.ipynb", "report.ipynb"], "b/Report.ipynb"),
        ("b/report.ipynb", ["deep/er/report.ipynb", "z/report.ipynb", "a/report.ipynb"], "a/report.ipynb"),
        ("REPORT.ipynb", ["a/report.ipynb"], "a/report.ipynb"),
        ("report", ["a/report.ipynb"], "a/report.ipynb"),
        ("reprot.ipynb", ["report.ipynb", "report.py"], "report.ipynb"),
        ("reprot.py", ["report.ipynb"], None),
        ("x.ipynb", ["report.ipynb"], None),
        ("report.ipynb", ["a/b/report.ipynb"], "a/b/report.ipynb"),
        ("report.ipynb", ["a/b/c/report.ipynb"], None),
        ("report.ipynb", ["__pycache__/report.ipynb", ".git/report.ipynb", ".report.ipynb"], None),
        ("./nb/report.ipynb", ["nb/Report.ipynb"], "nb/Report.ipynb"),
    ],
    ids=str,
)
def test_what_is_most_like_the_path_is_guessed(tmp_path, path, names, found):
    """As written but for its case or suffix, then in another folder, the nearest first, then misspelt; no deeper than two folders."""
    touched(tmp_path, *names)
    assert near_name(path, [tmp_path]) == found


def test_of_several_folders_the_first_that_has_something_near_counts(tmp_path):
    touched(tmp_path, "a/Report.ipynb", "b/report.ipynb")
    assert near_name("report", [tmp_path / "a", tmp_path / "b"]) == "Report.ipynb"


def test_an_absolute_path_is_guessed_in_its_own_folder_alone(tmp_path):
    touched(tmp_path, "a/Report.ipynb", "b/other.ipynb")
    assert near_name(str(tmp_path / "a" / "report.ipynb"), [tmp_path / "b"]) == str(tmp_path / "a" / "Report.ipynb")
    assert near_name(str(tmp_path / "a" / "other.ipynb"), [tmp_path / "b"]) is None
    assert near_name(str(tmp_path / "a" / "Reprot.ipynb"), []) == str(tmp_path / "a" / "Report.ipynb")


def test_a_path_as_long_as_a_name_may_be_is_looked_for(tmp_path):
    name = "x" * 249 + ".ipynb"
    touched(tmp_path, name)
    assert len(name) == 255
    assert near_name(name.upper().replace("IPYNB", "ipynb"), [tmp_path]) == name


def test_a_folder_beside_is_guessed_without_a_place_where_none_was_given(tmp_path, monkeypatch):
    (tmp_path / "reports").mkdir()
    monkeypatch.chdir(tmp_path)
    assert near_folder(Path("reprots")) == "; did you mean 'reports'?"
    assert near_folder(Path("zzz")) == ""


def test_a_folder_that_may_not_be_listed_hides_no_other(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.ipynb").touch()
    scan = os.scandir

    def denied(path):
        if str(path).endswith("/a"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(path_guesses.os, "scandir", denied)
    assert notebooks_in(tmp_path) == f"; in it: '{tmp_path}/b/b.ipynb'"
    assert near_folder(tmp_path / "a" / "x") == ""


def test_notebooks_that_a_run_has_left_are_not_offered_and_of_many_ten_are(tmp_path):
    for name in ("nb.executed.ipynb", "nb-checkpoint.ipynb", "x.py"):
        (tmp_path / name).touch()
    assert notebooks_in(tmp_path) == "; there is none in it"
    for number in range(10):
        (tmp_path / f"{number}.ipynb").touch()
    assert " more" not in notebooks_in(tmp_path)
    (tmp_path / "z.ipynb").touch()
    assert notebooks_in(tmp_path).endswith(" and 1 more")


def test_only_so_many_files_are_looked_through(tmp_path, monkeypatch):
    for number in range(3):
        (tmp_path / f"{number}.ipynb").touch()
    monkeypatch.setattr(path_guesses, "_MOST_ENTRIES", 2)
    assert notebooks_in(tmp_path) == f"; in it: '{tmp_path}/0.ipynb', '{tmp_path}/1.ipynb'"


def test_a_folder_beside_is_guessed_with_its_place(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "report").touch()
    assert near_folder(tmp_path / "reprots") == f"; did you mean '{tmp_path}/reports'?"
    assert near_folder(tmp_path / "a\0b") == ""
    assert near_folder(tmp_path / "none" / "x") == ""


@pytest.mark.parametrize("uri", [PLACE.output_archive_uri, PLACE.executed_notebook_uri])
def test_a_look_that_s3_denies_finds_nothing_and_one_that_it_allows_does(uri):
    clients = FakeClients()
    assert has_left_files(PLACE, clients) is False
    clients.objects.bodies[uri] = b"x"
    assert has_left_files(PLACE, clients) is True
    clients.objects.denied.add(uri)
    assert has_left_files(PLACE, clients) is False


def test_where_s3_cannot_be_asked_a_name_is_not_taken(monkeypatch):
    def busy(*_):
        raise NotebookJobServiceError("SlowDown on s3:GetObject", code="SlowDown", is_retryable=True)

    monkeypatch.setattr(FakeObjects, "exists", busy)
    with pytest.raises(NotebookJobServiceError, match="SlowDown"):
        has_left_files(PLACE, FakeClients())


@pytest.mark.parametrize("given", ["no mapping", [1], 5])
def test_an_extra_request_that_is_no_mapping_is_left_to_who_says_so(given):
    problems = []
    assert _extra_request(given, SimpleNamespace(region=None), problems) == given  # type: ignore[arg-type]
    assert problems == []
