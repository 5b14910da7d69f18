"""What is needed of S3 to take files home and to delete them, against moto's S3 and against answers that moto never gives."""

from __future__ import annotations

import boto3
import pytest
from botocore.stub import Stubber
from fakes import FakeClients
from moto import mock_aws

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.ports import MOST_DELETED, ChangedObjectError
from airflow_nbjobs.aws.storage import Boto3Storage
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
    from io import BytesIO

    from airflow_nbjobs.aws.ports import StoredObject

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
