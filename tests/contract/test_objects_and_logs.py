"""The ports of S3, CloudWatch Logs and the account, and where a job's files and lines are."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import time

import pytest

from airflow_nbjobs.core.errors import NotebookJobError

NAMES = ["a b.ipynb", "a+b&c=d.ipynb", "data/äö.csv", "data/deeper/x", "z.ipynb"]


@pytest.fixture
def objects(subject):
    return subject.clients.objects


@pytest.fixture
def folder(subject):
    return f"{subject.root}/{subject.name()}"


def read(objects, uri):
    with contextlib.closing(objects.open(uri)) as body:
        return body.read()


# -- objects -----------------------------------------------------------------------------------------------------------


def test_what_is_put_is_read_back_and_a_second_put_wins(objects, folder, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"from a file")
    objects.put(f"{folder}/x", b"from memory", kms_key=None)
    assert read(objects, f"{folder}/x") == b"from memory"
    objects.put(f"{folder}/x", path, kms_key=None)
    assert read(objects, f"{folder}/x") == b"from a file"
    objects.put(f"{folder}/x", b"", kms_key=None)
    assert (objects.exists(f"{folder}/x"), read(objects, f"{folder}/x")) == (True, b"")


def test_a_body_can_be_read_in_pieces(objects, folder):
    objects.put(f"{folder}/x", b"abcdef", kms_key=None)
    with contextlib.closing(objects.open(f"{folder}/x")) as body:
        assert [body.read(4), body.read(4), body.read(4)] == [b"abcd", b"ef", b""]


def test_a_file_of_several_parts_arrives_whole(objects, folder, tmp_path):
    content = bytes(range(256)) * 40 * 1024  # 10 MiB: above boto3's threshold for uploads in parts
    path = tmp_path / "x"
    path.write_bytes(content)
    objects.put(f"{folder}/x", path, kms_key=None)
    assert read(objects, f"{folder}/x") == content


def test_what_is_not_there_is_no_error(objects, folder):
    objects.put(f"{folder}/data/x", b"1", kms_key=None)
    for uri in (f"{folder}/y", f"{folder}/data", f"{folder}/data/"):
        assert (objects.open(uri), objects.exists(uri)) == (None, False)
    assert objects.names_below(f"{folder}/nothing") == []


def test_names_are_relative_whatever_they_hold_and_a_prefix_is_no_folder(objects, folder):
    for name in NAMES:
        objects.put(f"{folder}/input/{name}", name.encode(), kms_key=None)
    objects.put(f"{folder}/input2/other", b"", kms_key=None)
    objects.put(f"{folder}/input/made-by-a-console/", b"", kms_key=None)
    assert objects.names_below(f"{folder}/input") == sorted(NAMES)
    assert objects.names_below(f"{folder}/input/") == sorted(NAMES)
    assert objects.names_below(f"{folder}/input/data") == ["deeper/x", "äö.csv"]
    assert [read(objects, f"{folder}/input/{name}").decode() for name in NAMES] == NAMES


@pytest.mark.slow
def test_more_names_than_a_page_of_s3_holds_are_all_listed(objects, folder):
    names = [f"{number:04}" for number in range(1005)]
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda name: objects.put(f"{folder}/{name}", b"", kms_key=None), names))
    assert objects.names_below(folder) == names


# -- what a job leaves behind ------------------------------------------------------------------------------------------


def test_outputs_lie_below_the_root_under_the_jobs_name(service, ended_on_service):
    def left(outcome):
        names = service.clients.objects.names_below(f"{service.root}/{ended_on_service[outcome]}")
        return [name for name in names if not name.startswith("input/")]

    assert left("completed") == ["output/model.tar.gz", "output/output.tar.gz"]
    assert left("failed") == ["output/output.tar.gz"]


def test_the_archive_holds_the_output_folder_at_its_root(service, ended_on_service, tmp_path):
    import io
    import tarfile

    for outcome, member in (("completed", "a.txt"), ("failed", "b.txt")):
        uri = f"{service.root}/{ended_on_service[outcome]}/output/output.tar.gz"
        with tarfile.open(fileobj=io.BytesIO(read(service.clients.objects, uri))) as tar:
            assert [entry.name.removeprefix("./") for entry in tar if entry.isfile()] == [member]


def test_a_log_is_one_stream_of_the_jobs_group_named_by_host_and_time(service, ended_on_service):
    name = ended_on_service["completed"]
    until_logged(service, name)
    found = service.raw("logs").describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["logStreams"]
    assert [bool(re.fullmatch(rf"{name}/algo-1-\d{{10}}", stream["logStreamName"])) for stream in found] == [True]


def until_logged(service, name, *, seconds=90):
    """CloudWatch shows a line some seconds after it was written."""
    deadline = time.monotonic() + seconds
    while not (lines := service.clients.logs.tail(name, limit=100)):
        assert time.monotonic() < deadline, f"{name} has no log"
        time.sleep(0.2)
    return lines


def test_the_tail_is_the_last_lines_oldest_first(service, ended_on_service):
    name = ended_on_service["completed"]
    assert until_logged(service, name) == ["line 1", "line 2", "line 3"]
    assert service.clients.logs.tail(name, limit=2) == ["line 2", "line 3"]


def test_a_container_that_writes_nothing_and_a_job_that_never_was_have_no_log(service, ended_on_service):
    assert service.clients.logs.tail(ended_on_service["silent"], limit=10) is None
    assert service.clients.logs.tail("contract-a-job-that-never-was", limit=10) is None


def test_the_fakes_log_is_a_tail_too(subject):
    if not subject.is_service:
        subject.clients.logs.lines["a"] = ["line 1", "line 2", "line 3"]
        assert subject.clients.logs.tail("a", limit=2) == ["line 2", "line 3"]
    assert subject.clients.logs.tail("contract-a-job-that-never-was", limit=2) is None


# -- the account -------------------------------------------------------------------------------------------------------


def test_a_roles_name_becomes_its_arn(subject):
    assert subject.clients.account.role_arn(subject.role_name) == subject.role_arn


def test_an_unknown_role_is_an_error_that_names_it(subject):
    with pytest.raises(NotebookJobError, match="contract-no-such-role") as caught:
        subject.clients.account.role_arn("contract-no-such-role")
    assert not getattr(caught.value, "is_retryable", False)


def test_the_distributions_account_is_twelve_digits(subject):
    assert re.fullmatch(r"\d{12}", subject.clients.account.distribution_account_id())
