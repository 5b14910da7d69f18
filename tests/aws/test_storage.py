"""What is needed of S3 to take files home and to delete them, against moto's S3 and against answers that moto never gives."""

from __future__ import annotations

from io import BytesIO

import boto3
import pytest
from botocore.stub import Stubber
from fakes import FakeClients
from moto import mock_aws

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.ports import MOST_DELETED, ChangedObjectError, StoredObject
from airflow_nbjobs.aws.storage import Body, Boto3Storage
from airflow_nbjobs.core.errors import NotebookJobServiceError


@pytest.fixture(params=["fake", "boto3"])
def clients(request):
    """The fake keeps the same word."""
    if request.param == "fake":
        yield FakeClients()
        return
    with mock_aws():
        session = boto3.Session("key", "secret", region_name="us-east-1")
        session.client("s3").create_bucket(Bucket="bkt")
        yield Boto3Clients(session.client)


@pytest.fixture
def stubbed():
    client = boto3.Session("key", "secret", region_name="us-east-1").client("s3")
    with Stubber(client) as stub:
        yield Boto3Storage(client), stub


def test_a_body_is_read_from_a_byte_on(clients):
    clients.objects.put("s3://bkt/a", b"0123456789", kms_key=None)
    stored = clients.objects.stat("s3://bkt/a")
    for start in (0, 4, 9):
        with clients.storage.open_from("s3://bkt/a", stored, start=start) as body:
            assert body.read() == b"0123456789"[start:]


def test_an_object_that_is_another_by_now_is_not_gone_on_with(clients):
    clients.objects.put("s3://bkt/a", b"0123456789", kms_key=None)
    stored = clients.objects.stat("s3://bkt/a")
    clients.objects.put("s3://bkt/a", b"9876543210", kms_key=None)
    with pytest.raises(ChangedObjectError):
        clients.storage.open_from("s3://bkt/a", stored, start=4)
    clients.storage.delete("bkt", ["a"])
    with pytest.raises(ChangedObjectError):
        clients.storage.open_from("s3://bkt/a", stored, start=4)


def test_an_answer_without_the_range_is_none_of_the_rest(stubbed):
    """A proxy may leave out the Range header, and S3 then sends the whole object."""
    storage, stub = stubbed
    stub.add_response("get_object", {"Body": BytesIO(b"0123456789"), "ContentLength": 10, "ETag": '"e"'})
    with pytest.raises(ChangedObjectError):
        storage.open_from("s3://bkt/a", StoredObject('"e"', 10), start=4)


def test_all_pages_of_a_list_are_read(stubbed):
    storage, stub = stubbed
    entry = {"Size": 3, "LastModified": "2026-01-01T00:00:00Z"}
    first = {"Bucket": "bkt", "Prefix": "root/"}
    stub.add_response(
        "list_objects_v2",
        {"Contents": [entry | {"Key": "root/a"}], "IsTruncated": True, "NextContinuationToken": "t"},
        first,
    )
    stub.add_response(
        "list_objects_v2",
        {"Contents": [entry | {"Key": "root/b"}], "IsTruncated": False},
        first | {"ContinuationToken": "t"},
    )
    assert [each.key for each in storage.list_below("s3://bkt/root")] == ["root/a", "root/b"]


def test_as_many_keys_as_a_call_takes_are_deleted(clients):
    clients.objects.put("s3://bkt/k999", b"", kms_key=None)
    assert clients.storage.delete("bkt", [f"k{number}" for number in range(MOST_DELETED)]) == {}
    assert list(clients.storage.list_below("s3://bkt")) == []


def test_what_s3_does_not_delete_is_told_by_key(stubbed):
    storage, stub = stubbed
    stub.add_response("delete_objects", {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "no"}]})
    assert storage.delete("bkt", ["a", "b"]) == {"a": "AccessDenied: no"}


@pytest.mark.parametrize(
    ("operation", "call", "permission"),
    [
        ("delete_objects", lambda storage: storage.delete("bkt", ["a"]), "s3:DeleteObject"),
        ("get_bucket_versioning", lambda storage: storage.keeps_versions("bkt"), "s3:GetBucketVersioning"),
    ],
)
def test_a_refused_call_is_an_error_that_names_the_permission(stubbed, operation, call, permission):
    storage, stub = stubbed
    stub.add_client_error(operation, "AccessDenied", "no", 403)
    with pytest.raises(NotebookJobServiceError, match=rf"{permission}\b.*s3://bkt"):
        call(storage)


def test_a_bucket_says_whether_it_keeps_versions(clients):
    assert clients.storage.keeps_versions("bkt") is False
    client = getattr(clients.storage, "_client", None)
    for status, keeps in (("Enabled", True), ("Suspended", False)):
        if client is None:
            clients.storage.is_versioned = keeps
        else:
            client.put_bucket_versioning(Bucket="bkt", VersioningConfiguration={"Status": status})
        assert clients.storage.keeps_versions("bkt") is keeps


def stored(etag='"e"', size=10):
    return StoredObject(etag, size)


@pytest.mark.parametrize(("start", "asked"), [(0, {}), (1, {"Range": "bytes=1-"})])
def test_a_range_is_asked_for_only_where_there_is_something_before_it(stubbed, start, asked):
    """A range of nothing is an error to S3."""
    storage, stub = stubbed
    answer = {"Body": BytesIO(b"x"), "ContentLength": 10 - start, "ETag": '"e"'}
    stub.add_response("get_object", answer, {"Bucket": "bkt", "Key": "a", "IfMatch": '"e"'} | asked)
    assert storage.open_from("s3://bkt/a", stored(), start=start).read() == b"x"


def test_an_answer_that_ignores_the_condition_is_another_objects(stubbed):
    storage, stub = stubbed
    body = BytesIO(b"0123456789")
    stub.add_response("get_object", {"Body": body, "ContentLength": 10, "ETag": '"other"'})
    with pytest.raises(ChangedObjectError, match="s3://bkt/a"):
        storage.open_from("s3://bkt/a", stored(), start=0)
    assert body.closed, "its connection is free for others"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("PreconditionFailed", 412),
        ("412", 412),
        ("NoSuchKey", 404),
        ("404", 404),
        ("InvalidRange", 416),
        ("416", 416),
    ],
)
def test_each_word_for_another_object_is_known(stubbed, code, status):
    storage, stub = stubbed
    stub.add_client_error("get_object", code, "no", status)
    with pytest.raises(ChangedObjectError):
        storage.open_from("s3://bkt/a", stored(), start=4)


def test_a_denied_body_is_no_changed_object(stubbed):
    storage, stub = stubbed
    stub.add_client_error("get_object", "AccessDenied", "no", 403)
    with pytest.raises(NotebookJobServiceError, match="AccessDenied on s3:GetObject"):
        storage.open_from("s3://bkt/a", stored(), start=4)


@pytest.mark.parametrize(("uri", "prefix"), [("s3://bkt", ""), ("s3://bkt/a", "a/"), ("s3://bkt/a/", "a/")])
def test_a_list_is_of_what_lies_below_and_of_no_name_that_only_begins_so(stubbed, uri, prefix):
    storage, stub = stubbed
    stub.add_response("list_objects_v2", {"IsTruncated": False}, {"Bucket": "bkt", "Prefix": prefix})
    assert list(storage.list_below(uri)) == []


def test_an_entry_of_a_list_has_its_size_and_time(clients):
    clients.objects.put("s3://bkt/p/a", b"12345", kms_key=None)
    (entry,) = clients.storage.list_below("s3://bkt/p")
    assert (entry.key, entry.size_bytes) == ("p/a", 5)
    assert entry.modified.tzinfo is not None


def test_deleted_keys_are_asked_for_in_one_call_without_a_word_on_each(stubbed):
    storage, stub = stubbed
    wanted = {"Objects": [{"Key": "a"}, {"Key": "b"}], "Quiet": True}
    stub.add_response("delete_objects", {}, {"Bucket": "bkt", "Delete": wanted})
    assert storage.delete("bkt", ["a", "b"]) == {}


def test_a_body_is_closed_with_its_block_and_read_whole_or_in_part():
    body = BytesIO(b"0123456789")
    with Body(body, "s3://bkt/a") as opened:
        assert (opened.read(2), opened.read(0), opened.read()) == (b"01", b"", b"23456789")
    assert body.closed
