"""A container's output on its way to the log, checkpoints on theirs to S3, and the slots in which jobs run: on fakes of this process."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from memory_s3 import MemoryS3

from airflow_nbjobs.local.platform import logs
from airflow_nbjobs.local.platform.checkpoints import Checkpoints, is_checkpoint_folder
from airflow_nbjobs.local.platform.logs import EVENT_BYTES, LineSplitter, LogStream, split_batches
from airflow_nbjobs.local.platform.runner import read_text, regular_files
from airflow_nbjobs.local.platform.slots import Run, Slots
from airflow_nbjobs.local.platform.storage import StorageError, download_prefix, has_objects, local_name, upload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


# -- log events --------------------------------------------------------------------------------------------------------


def test_lines_become_events_when_they_end() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == ["one"]
    assert splitter.feed(b"o\n\nthree") == ["two", " "], "CloudWatch takes no empty message"
    assert splitter.take_progress() == []
    assert splitter.take_rest() == ["three"]
    assert splitter.take_rest() == []


def test_a_progress_bar_is_shown_before_its_line_ends() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"10%\r20%\r") == []
    assert splitter.take_progress() == ["10%\r20%"]
    assert splitter.feed(b"30%\r\n") == ["30%"]
    assert splitter.take_progress() == []


def test_a_line_longer_than_an_event_is_cut() -> None:
    splitter = LineSplitter()
    assert [len(each) for each in splitter.feed(b"x" * (EVENT_BYTES + 1))] == [EVENT_BYTES]
    assert splitter.take_rest() == ["x"]
    assert [len(each) for each in splitter.feed(b"y" * (2 * EVENT_BYTES + 3) + b"\n")] == [EVENT_BYTES, EVENT_BYTES, 3]


def test_bytes_that_are_no_text_do_not_stop_the_log() -> None:
    assert LineSplitter().feed(b"\xff\xfe\n") == ["\ufffd\ufffd"]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10, 10], [2]),
        ([logs.BATCH_BYTES - 26], [1]),
        ([logs.BATCH_BYTES - 52 - 10, 10], [2]),
        ([logs.BATCH_BYTES - 52 - 9, 10], [1, 1]),
        ([1] * 10_001, [10_000, 1]),
    ],
    ids=["none", "two", "full", "just", "over", "many"],
)
def test_batches_are_what_cloudwatch_takes(sizes: list[int], expected: list[int]) -> None:
    batches = split_batches([{"message": "x" * size} for size in sizes])
    assert [len(batch) for batch in batches] == expected


class Logs:
    """CloudWatch Logs; refuses the calls of these names once."""

    class exceptions:  # noqa: N801 - boto3's name
        class ResourceAlreadyExistsException(Exception):  # noqa: N818 - AWS' name
            pass

    def __init__(self, *, has_group: bool = False, refused: int = 0) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.messages: list[str] = []
        self.has_group = has_group
        self.refused = refused

    def create_log_group(self, **names: str) -> None:
        self.calls.append(("group", names))
        if self.has_group:
            raise self.exceptions.ResourceAlreadyExistsException

    def create_log_stream(self, **names: str) -> None:
        self.calls.append(("stream", names))

    def put_log_events(self, *, logEvents: list[dict[str, Any]], **names: str) -> None:  # noqa: N803 - AWS' name
        if self.refused:
            self.refused -= 1
            raise OSError("throttled")
        self.calls.append(("put", names))
        assert all(isinstance(event["timestamp"], int) and event["timestamp"] > 10**12 for event in logEvents)
        self.messages += [event["message"] for event in logEvents]


@pytest.mark.parametrize("has_group", [False, True])
def test_a_stream_is_made_with_the_first_line_and_has_them_all(has_group: bool) -> None:
    client = Logs(has_group=has_group)
    stream = LogStream(client, "job/algo-1", "/aws/group")
    stream.write(b"one\ntwo\nre")
    stream.write(b"st")
    stream.end()
    stream.join()
    assert client.messages == ["one", "two", "rest"]
    assert client.calls[:2] == [
        ("group", {"logGroupName": "/aws/group"}),
        ("stream", {"logGroupName": "/aws/group", "logStreamName": "job/algo-1"}),
    ]
    assert [name for name, _ in client.calls].count("group") == 1
    assert client.calls[-1] == ("put", {"logGroupName": "/aws/group", "logStreamName": "job/algo-1"})


def test_a_silent_container_leaves_no_stream() -> None:
    client = Logs()
    stream = LogStream(client, "s", "g")
    stream.end()
    stream.join()
    assert client.calls == []


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/opt/ml/checkpoints", True),
        ("/opt/ml/a/b", True),
        ("/opt/ml", False),
        ("/opt/ml/input", False),
        ("/opt/ml/model/x", False),
        ("/opt/ml/../x", False),
        ("/opt/other/x", False),
        ("opt/ml/x", False),
        ("/tmp/x", False),
    ],
)
def test_a_checkpoint_folder_is_one_of_its_own(path: str, expected: bool) -> None:
    assert is_checkpoint_folder(path) is expected


def test_checkpoints_come_back_and_only_what_is_new_goes_up(tmp_path: Path) -> None:
    s3 = MemoryS3()
    s3.objects["s3://b/c/old"] = b"1"
    checkpoints = Checkpoints(s3, {"S3Uri": "s3://b/c/", "LocalPath": "/opt/ml/mine/deep"}, tmp_path)
    checkpoints.restore()
    folder = tmp_path / "mine" / "deep"
    assert (folder / "old").read_bytes() == b"1"
    s3.objects.clear()
    with checkpoints:
        (folder / "below").mkdir()
        (folder / "below" / "new").write_bytes(b"2")
        (folder / "link").symlink_to("/etc/hostname")
    checkpoints.finish()
    assert s3.objects == {"s3://b/c/below/new": b"2"}
    s3.objects.clear()
    checkpoints.finish()
    assert s3.objects == {}


def test_a_checkpoint_that_cannot_go_up_is_said_once_and_tried_again(tmp_path: Path, caplog: Any) -> None:
    s3 = MemoryS3()
    checkpoints = Checkpoints(s3, {"S3Uri": "s3://b/c"}, tmp_path)
    checkpoints.restore()
    with checkpoints:
        (tmp_path / "checkpoints" / "a").write_bytes(b"1")
    s3.refused.add("s3://b/c/a")
    checkpoints.finish()
    checkpoints.finish()
    assert caplog.text.count("a checkpoint was not uploaded: Unable to upload to s3://b/c/a") == 1
    s3.refused.clear()
    checkpoints.finish()
    assert s3.objects == {"s3://b/c/a": b"1"}


# -- storage -----------------------------------------------------------------------------------------------------------


def test_a_prefix_is_downloaded_with_its_folders_and_counted(tmp_path: Path) -> None:
    s3 = MemoryS3()
    s3.objects |= {"s3://b/in/a": b"1", "s3://b/in/x/b": b"2", "s3://b/in/folder/": b"", "s3://b/other": b"3"}
    assert download_prefix(s3, "s3://b/in/", tmp_path) == 2
    assert (tmp_path / "x" / "b").read_bytes() == b"2"
    assert has_objects(s3, "s3://b/in")
    assert not has_objects(s3, "s3://b/no")
    assert not has_objects(s3, "s3://none/x")


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [("in/a", "in/", "a"), ("in/a", "in", "a"), ("in/ab/c", "in/a", "ab/c"), ("a", "", "a"), ("in/x/y", "in/x/y", "y")],
)
def test_a_name_is_what_follows_the_prefix(key: str, prefix: str, name: str) -> None:
    assert local_name(key, prefix) == name


@pytest.mark.parametrize("key", ["in/../x", "in//etc/passwd"])
def test_a_key_that_leaves_the_folder_is_refused(key: str) -> None:
    with pytest.raises(StorageError, match="leaves the channel's folder"):
        local_name(key, "in/")


def test_an_upload_is_encrypted_where_there_is_a_key(tmp_path: Path) -> None:
    s3 = MemoryS3()
    (tmp_path / "a").write_bytes(b"1")
    upload(s3, tmp_path / "a", "s3://b/a")
    upload(s3, tmp_path / "a", "s3://b/b?x", kms_key_id="key")
    assert s3.keys == {"s3://b/a": "", "s3://b/b?x": "key"}


def test_what_a_container_left_is_read_without_links(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "b").write_text("b")
    (tmp_path / "a").write_text("a" * 9000)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert list(regular_files(tmp_path)) == ["a", "x/b"]
    assert (len(read_text(tmp_path / "a")), read_text(tmp_path / "a", 3)) == (8192, "aaa")
    assert read_text(tmp_path / "none") == read_text(tmp_path) == ""


# -- slots -------------------------------------------------------------------------------------------------------------


class Working:
    """Jobs that run until they are told to end."""

    def __init__(self, count: int) -> None:
        self.began: list[Run] = []
        self.ends: dict[int, threading.Event] = {}
        self.has_begun = threading.Semaphore(0)
        self.slots: Slots[Run] = Slots(count, name="job", work=self._work)

    def _work(self, run: Run) -> None:
        self.began.append(run)
        self.ends[id(run)] = threading.Event()
        self.has_begun.release()
        self.ends[id(run)].wait(10)

    def until_begun(self, count: int) -> None:
        for _ in range(count):
            assert self.has_begun.acquire(timeout=10)

    def close(self) -> None:
        for end in list(self.ends.values()):
            end.set()
        self.slots.close()


@pytest.fixture
def working() -> Any:
    made: list[Working] = []

    def make(count: int) -> Working:
        made.append(Working(count))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_as_many_jobs_run_as_there_are_slots_and_the_others_in_their_turn(working: Callable[[int], Working]) -> None:
    jobs, told = working(1), []
    first, second = Run(), Run()
    jobs.slots.add("one", first, on_full=lambda: told.append("one"))
    jobs.until_begun(1)
    jobs.slots.add("two", second, on_full=lambda: told.append("two"))
    assert told == ["two"]
    assert jobs.began == [first]
    jobs.ends[id(first)].set()
    jobs.until_begun(1)
    assert jobs.began == [first, second]


def test_a_job_that_waits_for_its_turn_is_handed_back_by_a_stop(working: Callable[[int], Working]) -> None:
    jobs = working(1)
    first, second, third = Run(), Run(), Run()
    jobs.slots.add("one", first)
    jobs.until_begun(1)
    jobs.slots.add("two", second)
    jobs.slots.add("three", third)
    assert jobs.slots.stop("two") is second
    assert jobs.slots.stop("one") is None, "it runs, and ends by itself"
    assert first.stop.is_set()
    assert first.wake.is_set()
    assert jobs.slots.stop("nobody") is None
    jobs.ends[id(first)].set()
    jobs.until_begun(1)
    assert jobs.began == [first, third]


class Container:
    """A container that says something, and ends when it is asked to, or killed."""

    def __init__(self, *, ends_on: str) -> None:
        self.asked: list[str] = []
        self._ends_on = ends_on
        self._reading, self._writing = os.pipe()
        os.write(self._writing, b"said")
        if ends_on == "":
            os.close(self._writing)

    def wait_started(self) -> Any:
        return "why it did not start"

    def read(self) -> bytes:
        return os.read(self._reading, 100)

    def wait(self) -> int:
        os.close(self._reading)
        return 7

    def _told(self, how: str) -> None:
        self.asked.append(how)
        if how == self._ends_on:
            os.close(self._writing)

    def terminate(self) -> None:
        self._told("terminate")

    def kill(self) -> None:
        self._told("kill")


@pytest.mark.parametrize(
    ("ends_on", "is_stopped", "seconds", "asked", "is_over"),
    [
        ("", False, None, [], False),
        ("terminate", True, None, ["terminate"], False),
        ("terminate", False, 0.01, ["terminate"], True),
        ("kill", True, None, ["terminate", "kill"], False),
    ],
    ids=["by itself", "stopped", "time over", "killed"],
)
def test_a_container_is_followed_to_its_end(  # noqa: PLR0917 - fixtures and cases
    working: Callable[[int], Working],
    ends_on: str,
    is_stopped: bool,
    seconds: float | None,
    asked: list[str],
    is_over: bool,
) -> None:
    run, container, written, over = Run(), Container(ends_on=ends_on), [], []
    if is_stopped:
        run.wake.set()
    ended: Any = working(1).slots.supervise(
        run,
        container,  # type: ignore[arg-type]
        write=written.append,
        max_runtime_seconds=seconds,
        on_time_over=lambda: over.append(True),
        grace_seconds=0.01 if ends_on == "kill" else 30,
    )
    assert ended == (7, "why it did not start")
    assert written == [b"said"]
    assert container.asked == asked
    assert bool(over) is is_over
    assert run.ended.is_set()
    assert run.container is container


def test_what_is_closed_kills_its_containers_and_begins_nothing(working: Callable[[int], Working]) -> None:
    jobs = working(1)
    run, waiting, killed = Run(), Run(), []

    def kill() -> None:
        killed.append(run)
        jobs.ends[id(run)].set()

    jobs.slots.add("one", run)
    jobs.until_begun(1)
    run.container = SimpleNamespace(kill=kill)  # type: ignore[assignment]
    jobs.slots.add("two", waiting)
    assert not jobs.slots.is_closing
    jobs.slots.close()
    assert jobs.slots.is_closing
    assert killed == [run]
    assert run.stop.is_set()
    assert jobs.began == [run]
