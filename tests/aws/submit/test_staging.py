"""The input channel's files: no two under one name, the same digest for the same input, parallel uploads."""

import hashlib
import random
import threading

import pytest
from fakes import FakeObjects

from airflow_nbjobs.aws.submit.sources import StagedFile
from airflow_nbjobs.aws.submit.staging import file_digest, input_digest, key_problems, merge_files, upload
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


@pytest.mark.parametrize("size", [0, 1, 1024**2, 1024**2 + 1, 3_000_000])
def test_a_files_digest_is_that_of_its_content_wherever_it_lies(tmp_path, size):
    content = random.Random(1).randbytes(size)
    path = tmp_path / "f"
    path.write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert file_digest(file("f", content)) == file_digest(file("f", path)) == expected


def test_no_file_may_lie_where_any_folder_above_another_is_needed():
    _, problems = merge_files([file("a"), file("a/b/c"), file("a/b"), file("d/e"), file("de")])
    assert [problem.split("'")[3] for problem in problems] == ["a", "a/b"]


def test_each_further_file_of_a_name_is_a_problem_of_its_own():
    files, problems = merge_files([file("u", origin="/a"), file("u", origin="/b"), file("u", origin="/c")])
    assert [one.origin for one in files] == ["/a"]
    assert [problem.split("'")[3] for problem in problems] == ["/b", "/c"]


def test_no_more_than_sixteen_uploads_run_at_a_time():
    running, most, lock = 0, 0, threading.Lock()
    full = threading.Barrier(16, timeout=20)

    class Counting(FakeObjects):
        def put(self, uri, body, *, kms_key):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            full.wait()
            with lock:
                running -= 1

    upload([file(str(n)) for n in range(32)], to_uri="s3://b/k", objects=Counting(), kms_key=None)
    assert most == 16


def test_every_name_that_is_too_long_is_told_with_its_origin():
    names = ["x" * 1019, "x" * 1020, "y" * 1030]
    problems = key_problems([file(name) for name in names], to_uri="s3://bucket/root")
    assert [problem.split("'")[1] for problem in problems] == [f"/dags/{name}" for name in names[1:]]
