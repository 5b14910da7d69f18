"""By what a repeated ``nbjobs outputs`` knows its own files: where they came from, their size and their hash."""

from __future__ import annotations

import json

import pytest

from airflow_nbjobs.commands.fetch.manifest import NAME, Manifest, as_json, write_whole


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"four")
    return path


def manifest(folder, *, dag_id="d", run_id="r"):
    return Manifest(folder, dag_id=dag_id, run_id=run_id)


def test_a_file_that_was_noted_is_known_by_its_source_and_size(file, tmp_path):
    manifest(tmp_path).note("x.txt", "s3://b/x etag", file)
    read = manifest(tmp_path)
    assert read.other_run is None
    assert read.has("x.txt", "s3://b/x etag", 4)
    assert not read.has("x.txt", "s3://b/x other", 4)
    assert not read.has("x.txt", "s3://b/x etag", 5)
    assert not read.has("y.txt", "s3://b/x etag", 4)


def test_a_file_that_somebody_has_changed_is_not_as_written(file, tmp_path):
    manifest(tmp_path).note("x.txt", "source", file)
    read = manifest(tmp_path)
    assert read.is_as_written("x.txt", file)
    assert not read.is_as_written("y.txt", file)
    for body in (b"FOUR", b"fours"):
        file.write_bytes(body)
        assert not read.is_as_written("x.txt", file)


def test_it_is_a_document_of_its_run_and_keeps_what_was_noted_before(file, tmp_path):
    first = manifest(tmp_path)
    first.note("b.txt", "of b", file)
    manifest(tmp_path).note("a.txt", "of a", file)
    document = json.loads((tmp_path / NAME).read_text())
    assert (document["version"], document["dag_id"], document["run_id"]) == (1, "d", "r")
    assert list(document["files"]) == ["a.txt", "b.txt"]
    assert document["files"]["b.txt"]["bytes"] == 4


@pytest.mark.parametrize(("of", "said"), [({"run_id": "s"}, "d, r"), ({"dag_id": "e"}, "d, r"), ({}, None)])
def test_another_runs_files_are_none_of_this_one(file, tmp_path, of, said):
    manifest(tmp_path).note("x.txt", "source", file)
    read = manifest(tmp_path, **of)
    assert read.other_run == said
    assert read.has("x.txt", "source", 4) is (said is None)


@pytest.mark.parametrize("text", [None, "{", "[1]", '{"files": 5}', "", "null"])
def test_what_is_no_manifest_knows_nothing(file, tmp_path, text):
    if text is not None:
        (tmp_path / NAME).write_text(text)
    assert not manifest(tmp_path).has("x.txt", "source", 4)


def test_an_entry_of_another_form_is_none(file, tmp_path):
    (tmp_path / NAME).write_text(json.dumps({"version": 1, "dag_id": "d", "run_id": "r", "files": {"x.txt": 5}}))
    read = manifest(tmp_path)
    assert read.other_run is None
    assert not read.has("x.txt", "source", 4)
    assert not read.is_as_written("x.txt", file)


def test_a_document_is_for_a_reader_in_utf_8():
    assert as_json({"a": "é", "b": "\ud800"}).decode() == '{\n  "a": "é",\n  "b": "\\ud800"\n}\n'


def test_a_failure_leaves_what_was_there(file, tmp_path, monkeypatch):
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    with pytest.raises(TypeError):
        write_whole(file, None)
    assert file.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["x.txt"]
