"""The input channel's files: no two under one name, the same digest for the same input, parallel uploads."""

import threading

import pytest
from fakes import FakeObjects

from airflow_nbjobs.aws.submit.sources import StagedFile
from airflow_nbjobs.aws.submit.staging import input_digest, key_problems, merge_files, upload
from airflow_nbjobs.core.errors import NotebookJobServiceError


def file(name, body=b"x", origin=None):
    return StagedFile(name, body, origin or f"/dags/{name}")


def test_the_same_file_named_twice_is_one_file():
    files, problems = merge_files([file("a.py"), file("b.py"), file("a.py")])
    assert [one.name for one in files] == ["a.py", "b.py"]
    assert problems == []


def test_two_files_under_one_name_are_a_problem_that_names_both():
    """The SDK lets the second overwrite the first in silence."""
    _, (problem,) = merge_files([file("u.py", origin="/a/u.py"), file("u.py", origin="/b/u.py")])
    assert "'/a/u.py' and '/b/u.py' would both be staged as 'u.py'; rename one" in problem


def test_a_file_where_another_needs_a_folder_is_a_problem():
    _, (problem,) = merge_files([file("lib"), file("lib/m.py")])
    assert "'/dags/lib' would be staged as 'lib', which is also a folder" in problem


def test_the_digest_depends_on_names_and_contents_only(tmp_path):
    path = tmp_path / "on-disk"
    path.write_bytes(b"1")
    one = input_digest([file("a", b"1"), file("b", b"2")])
    assert one == input_digest([file("b", b"2"), file("a", path, origin="elsewhere")])
    assert len({one, input_digest([file("a", b"2"), file("b", b"1")]), input_digest([file("a", b"1")])}) == 3


def test_every_file_lands_below_the_uri_with_the_key(tmp_path):
    path = tmp_path / "b"
    path.write_bytes(b"2")
    objects = FakeObjects()
    upload([file("a", b"1"), file("sub/b", path)], to_uri="s3://b/k/input", objects=objects, kms_key="alias/k")
    assert objects.bodies == {"s3://b/k/input/a": b"1", "s3://b/k/input/sub/b": b"2"}
    assert set(objects.kms_keys.values()) == {"alias/k"}


def test_uploads_run_side_by_side():
    """Each waits for the other: one after the other would never pass the barrier."""
    barrier = threading.Barrier(4, timeout=20)

    class Meeting(FakeObjects):
        def put(self, uri, body, *, kms_key):
            barrier.wait()
            super().put(uri, body, kms_key=kms_key)

    objects = Meeting()
    upload([file(str(n)) for n in range(4)], to_uri="s3://b/k", objects=objects, kms_key=None)
    assert len(objects.puts) == 4


def test_the_first_failure_is_raised_and_no_upload_runs_on():
    objects = FakeObjects()
    objects.denied.add("s3://b/k/0")
    others = set(threading.enumerate())
    with pytest.raises(NotebookJobServiceError, match="s3://b/k/0"):
        upload([file(str(n)) for n in range(100)], to_uri="s3://b/k", objects=objects, kms_key=None)
    done = len(objects.puts)
    assert done < 100
    assert not [thread for thread in threading.enumerate() if thread not in others]


def test_a_name_that_makes_the_key_too_long_is_a_problem():
    longest = "ä" * 509 + "a"  # with "root/" exactly 1,024 bytes of UTF-8; the bucket does not count
    (problem,) = key_problems([file("a"), file(longest), file(longest + "a")], to_uri="s3://bucket/root")
    assert "more than 1024 bytes" in problem
