"""
The ports keep their word: the same tests for the fakes and for boto3, against S3, CloudWatch Logs, IAM and SSM in this process (moto).

SageMaker's own part runs against the embedded server, which is another process: `@pytest.mark.local`.
"""

import io
import re
import time
from datetime import UTC, datetime

import boto3
import pytest
import urllib3.exceptions
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from fakes import FakeClients, archive
from moto import mock_aws

from airflow_nbjobs.aws import clients as clients_
from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.ports import NameTakenError
from airflow_nbjobs.aws.results.archive import Wanted, read_archive
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.naming import LOG_GROUP
from airflow_nbjobs.core.watch.plan import ListJobs

REGION = "eu-west-1"
REQUIRED = {
    "RoleArn": "arn:aws:iam::123456789012:role/NotebookJobs",
    "AlgorithmSpecification": {"TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://b"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


@pytest.fixture
def session():
    with mock_aws():
        yield boto3.Session("key", "secret", region_name=REGION)


@pytest.fixture(params=["fake", "boto3"])
def objects(request):
    if request.param == "fake":
        yield FakeClients().objects
        return
    session = request.getfixturevalue("session")
    session.client("s3").create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield Boto3Clients(session.client).objects


# -- training jobs: what is asked, and what each answer means ------------------------------------------------------------


class Scripted:
    """A client that gives one answer to everything, or raises it, and keeps what it was asked."""

    meta = type("Meta", (), {"endpoint_url": "https://api.sagemaker.eu-west-1.amazonaws.com", "region_name": REGION})

    def __init__(self, answer):
        self.asked = []
        self._answer = answer

    def __getattr__(self, operation):
        def call(**request):
            self.asked.append((operation, request))
            if isinstance(self._answer, Exception):
                raise self._answer
            return self._answer

        return call


def refusal(code, message="no", status=400):
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call"
    )


def jobs_that_say(answer):
    client = Scripted(answer)
    return Boto3Clients(lambda _: client).jobs, client


UNKNOWN = refusal("ValidationException", "Requested resource not found.")
GONE = refusal("ResourceNotFound", "there is none")
NOT_STOPPABLE = refusal(
    "ValidationException", "The request was rejected because the training job is in status Completed."
)
OTHER = refusal("ValidationException", "1 validation error detected")
DENIAL = refusal("AccessDeniedException", "not authorized")


def test_a_job_is_created_as_requested_and_its_arn_returned():
    jobs, client = jobs_that_say({"TrainingJobArn": "arn:of:job"})
    assert jobs.create({"TrainingJobName": "job"} | REQUIRED) == "arn:of:job"
    assert client.asked == [("create_training_job", {"TrainingJobName": "job"} | REQUIRED)]


def test_a_name_that_is_taken_is_told_apart_from_every_other_refusal():
    jobs, _ = jobs_that_say(refusal("ResourceInUse", "Training job names must be unique"))
    with pytest.raises(NameTakenError, match="names must be unique"):
        jobs.create({"TrainingJobName": "job"})
    jobs, _ = jobs_that_say(OTHER)
    with pytest.raises(NotebookJobConfigError, match="refused the request for 'job'") as caught:
        jobs.create({"TrainingJobName": "job"})
    assert caught.value.job_name == "job"


@pytest.mark.parametrize("answer", [UNKNOWN, GONE], ids=["as it says", "as it is modelled"])
def test_a_job_that_sagemaker_does_not_know_is_none(answer):
    jobs, client = jobs_that_say(answer)
    assert jobs.describe("job") is None
    assert client.asked == [("describe_training_job", {"TrainingJobName": "job"})]


@pytest.mark.parametrize(("answer", "kind"), [(OTHER, NotebookJobConfigError), (DENIAL, NotebookJobServiceError)])
def test_a_describe_that_is_refused_is_no_unknown_job(answer, kind):
    jobs, _ = jobs_that_say(answer)
    with pytest.raises(kind) as caught:
        jobs.describe("job")
    assert caught.value.job_name == "job"


def test_a_description_is_read():
    jobs, _ = jobs_that_say(
        {"TrainingJobName": "job", "TrainingJobArn": "arn", "TrainingJobStatus": "Completed", "Environment": {"A": "1"}}
    )
    found = jobs.describe("job")
    assert (found.job_name, found.arn, found.status, found.environment) == ("job", "arn", "Completed", {"A": "1"})


def test_a_list_asks_for_what_the_call_says_and_leaves_out_what_it_does_not():
    jobs, client = jobs_that_say({"TrainingJobSummaries": []})
    jobs.list_page(ListJobs())
    at = [datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3)]
    jobs.list_page(
        ListJobs(
            created_after=at[0],
            created_before=at[1],
            modified_after=at[2],
            is_newest_first=True,
            next_token="t",
            name_contains="nightly",
            warm_pool_status="Available",
        )
    )
    assert [request for _, request in client.asked] == [
        {"MaxResults": 100, "SortBy": "CreationTime", "SortOrder": "Ascending"},
        {
            "MaxResults": 100,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "CreationTimeAfter": at[0],
            "CreationTimeBefore": at[1],
            "LastModifiedTimeAfter": at[2],
            "NameContains": "nightly",
            "WarmPoolStatusEquals": "Available",
            "NextToken": "t",
        },
    ]


SUMMARY = {"TrainingJobName": "a", "TrainingJobStatus": "InProgress", "CreationTime": datetime(2026, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("more", "token", "server_time"),
    [
        (
            {"NextToken": "t", "ResponseMetadata": {"HTTPHeaders": {"date": "Sun, 22 Nov 2026 03:00:00 GMT"}}},
            "t",
            datetime(2026, 11, 22, 3, tzinfo=UTC),
        ),
        ({"NextToken": "", "ResponseMetadata": {"HTTPHeaders": {"date": "yesterday"}}}, None, None),
        ({"ResponseMetadata": {"HTTPHeaders": {}}}, None, None),
        ({"ResponseMetadata": None}, None, None),
        ({}, None, None),
    ],
    ids=["all", "no date", "no header", "no metadata", "nothing"],
)
def test_a_page_has_its_jobs_the_next_token_and_the_time_of_the_service(more, token, server_time):
    """The time is the poller's cursor: this machine's clock may be wrong."""
    jobs, _ = jobs_that_say({"TrainingJobSummaries": [SUMMARY, SUMMARY | {"TrainingJobName": "b"}]} | more)
    page = jobs.list_page(ListJobs())
    assert [summary.job_name for summary in page.summaries] == ["a", "b"]
    assert (page.next_token, page.server_time) == (token, server_time)


@pytest.mark.parametrize("answer", [{}, NOT_STOPPABLE, UNKNOWN], ids=["stopped", "has ended", "is gone"])
def test_a_job_that_cannot_be_stopped_any_more_is_stopped(answer):
    jobs, client = jobs_that_say(answer)
    jobs.stop("job")
    assert client.asked == [("stop_training_job", {"TrainingJobName": "job"})]


@pytest.mark.parametrize(("answer", "kind"), [(OTHER, NotebookJobConfigError), (DENIAL, NotebookJobServiceError)])
def test_a_stop_that_is_refused_is_an_error_since_the_job_goes_on(answer, kind):
    jobs, _ = jobs_that_say(answer)
    with pytest.raises(kind):
        jobs.stop("job")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, ""),
        (UNKNOWN, ""),
        (GONE, ""),
        (refusal("ValidationException", "is in status InProgress"), "is in status InProgress"),
        (refusal("ResourceInUse", "keeps its machine"), "keeps its machine"),
    ],
    ids=["deleted", "unknown", "gone", "runs", "in use"],
)
def test_a_job_that_is_kept_by_sagemaker_says_why(answer, said):
    jobs, client = jobs_that_say(answer)
    assert jobs.delete("job") == said
    assert client.asked == [("delete_training_job", {"TrainingJobName": "job"})]
    assert jobs.can_delete


def test_a_deletion_that_is_denied_is_an_error():
    with pytest.raises(NotebookJobServiceError, match="AccessDenied"):
        jobs_that_say(DENIAL)[0].delete("job")


def test_an_old_botocore_cannot_delete_jobs():
    assert not Boto3Clients(lambda _: object()).jobs.can_delete


@pytest.mark.parametrize(
    ("answer", "said"),
    [({}, ""), (refusal("ValidationException", "has no warm pool"), "has no warm pool"), (GONE, "there is none")],
    ids=["released", "none", "gone"],
)
def test_a_machine_that_is_not_released_says_why(answer, said):
    jobs, client = jobs_that_say(answer)
    assert jobs.release_machine("job") == said
    request = {"TrainingJobName": "job", "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    assert client.asked == [("update_training_job", request)]


def test_a_release_that_is_denied_is_an_error():
    """A machine would be paid for without anybody's knowing."""
    with pytest.raises(NotebookJobServiceError, match="AccessDenied"):
        jobs_that_say(DENIAL)[0].release_machine("job")


def test_a_port_says_where_it_asks_and_what_botocore_knows_of_a_request():
    jobs, _ = jobs_that_say({})
    assert (jobs.endpoint_url, jobs.region) == ("https://api.sagemaker.eu-west-1.amazonaws.com", REGION)
    real = Boto3Clients(boto3.Session("key", "secret", region_name=REGION).client).jobs
    assert {"TrainingJobName", "RoleArn", "ResourceConfig"} <= set(real.request_shape.members)


@pytest.mark.parametrize("name", ["jobs", "objects", "logs", "metrics", "storage"])
def test_each_port_asks_its_own_service(name):
    services = {"jobs": "sagemaker", "objects": "s3", "logs": "logs", "metrics": "cloudwatch", "storage": "s3"}
    made, reopened = [], []

    def make(service):
        made.append(service)
        return Scripted(refusal("ExpiredToken"))

    port = getattr(Boto3Clients(make, lambda: reopened.append(1)), name)
    with pytest.raises(NotebookJobServiceError):
        port.ask("x:Y", lambda client: client.call(), on="z")
    assert (made, reopened) == ([services[name]] * 2, [1])
    with pytest.raises(NotebookJobServiceError):
        getattr(Boto3Clients(make), name).ask("x:Y", lambda client: client.call(), on="z")
    assert made == [services[name]] * 3, "without a way to read the connection again there is one client"


# -- Objects -----------------------------------------------------------------------------------------------------------


def test_what_is_put_can_be_opened(objects, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"from disk")
    objects.put("s3://bkt/a/ä b.txt", b"from memory", kms_key=None)
    objects.put("s3://bkt/a/f", path, kms_key="alias/k")
    for uri, body in (("s3://bkt/a/ä b.txt", b"from memory"), ("s3://bkt/a/f", b"from disk")):
        with objects.open(uri) as stream:
            assert stream.read(3) == body[:3]
            assert stream.read() == body[3:]
        assert objects.exists(uri)


def test_a_missing_object_is_none_not_an_error(objects):
    assert objects.open("s3://bkt/none") is None
    assert objects.exists("s3://bkt/none") is False


def test_names_below_a_prefix_are_relative_and_end_at_the_slash(objects):
    for key in ("p/a", "p/sub/b", "p2/c", "p/"):
        objects.put(f"s3://bkt/{key}", b"", kms_key=None)
    assert objects.names_below("s3://bkt/p") == ["a", "sub/b"]
    assert objects.names_below("s3://bkt/none") == []


def test_an_uri_that_is_none_is_refused(objects):
    with pytest.raises(ValueError, match="is not an S3 URI"):
        objects.open("bkt/a")


def test_a_large_file_is_uploaded_in_parts_and_encrypted_with_the_key(session, tmp_path):
    s3 = session.client("s3")
    s3.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})
    path = tmp_path / "large"
    path.write_bytes(bytes(9 * 1024 * 1024))
    Boto3Clients(session.client).objects.put("s3://bkt/large", path, kms_key="alias/k")
    head = s3.head_object(Bucket="bkt", Key="large")
    assert head["ContentLength"] == 9 * 1024 * 1024
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/k")
    assert "-2" in head["ETag"], "of two parts"


def test_more_names_than_one_page_are_all_returned(session, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # AWS's are of 1,000
    s3 = session.client("s3")
    s3.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})
    for number in range(11):
        s3.put_object(Bucket="bkt", Key=f"p/{number:04}", Body=b"")
    assert len(Boto3Clients(session.client).objects.names_below("s3://bkt/p")) == 11


def test_a_missing_bucket_is_a_configuration_error(session):
    with pytest.raises(NotebookJobConfigError, match="the bucket of 's3://none/a' does not exist"):
        Boto3Clients(session.client).objects.put("s3://none/a", b"", kms_key=None)


def test_names_of_a_whole_bucket_are_its_keys(objects):
    for key in ("a", "p/b"):
        objects.put(f"s3://bkt/{key}", b"", kms_key=None)
    assert objects.names_below("s3://bkt") == ["a", "p/b"]
    assert objects.names_below("s3://bkt/p/") == ["b"]


def test_an_object_has_its_size_and_a_mark_of_its_content(objects):
    objects.put("s3://bkt/a", b"12345", kms_key=None)
    first = objects.stat("s3://bkt/a")
    assert first.size_bytes == 5
    objects.put("s3://bkt/a", b"54321", kms_key=None)
    assert objects.stat("s3://bkt/a").etag != first.etag
    assert objects.stat("s3://bkt/none") is None


@pytest.mark.parametrize(("kms_key", "encryption"), [(None, None), ("", None), ("alias/k", "aws:kms")])
@pytest.mark.parametrize("size", [0, 8 * 1024**2 - 1, 8 * 1024**2])
def test_a_file_is_encrypted_as_asked_whatever_its_size(s3, tmp_path, size, kms_key, encryption):
    path = tmp_path / "f"
    path.write_bytes(bytes(size))
    Boto3Clients(lambda _: s3).objects.put("s3://bkt/f", path, kms_key=kms_key)
    head = s3.head_object(Bucket="bkt", Key="f")
    assert head["ContentLength"] == size
    if encryption:
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == (encryption, kms_key)
    else:
        assert head.get("ServerSideEncryption") in (None, "AES256")
    assert ("-" in head["ETag"]) is (size == 8 * 1024**2), "from 8 MiB on in parts"


@pytest.mark.parametrize("code", ["NoSuchKey", "404"])
def test_an_object_that_is_not_there_opens_as_none_and_anything_else_is_an_error(code):
    assert Boto3Clients(lambda _: Scripted(refusal(code, status=404))).objects.open("s3://bkt/a") is None
    with pytest.raises(NotebookJobServiceError, match="AccessDenied on s3:GetObject"):
        Boto3Clients(lambda _: Scripted(refusal("AccessDenied", status=403))).objects.open("s3://bkt/a")


# -- a large file, HEAD ----------------------------------------------------------------------------------------------


class RefusingUploads:
    """S3 that answers each PutObject, CreateMultipartUpload and UploadPart with one error, so many times."""

    def __init__(self, client, code, status, *, times=1000, operation="UploadPart"):
        self.times = times
        self.asked = 0
        client.meta.events.register(f"before-call.s3.{operation}", self._refuse)
        self._answer = (
            AWSResponse("https://x", status, {}, None),
            {
                "Error": {"Code": code, "Message": "the message"},
                "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}},
            },
        )

    def _refuse(self, **_):
        self.asked += 1
        return self._answer if self.asked <= self.times else None


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(9 * 1024 * 1024))
    return path


@pytest.fixture
def s3(session):
    client = session.client("s3")
    client.create_bucket(Bucket="bkt", CreateBucketConfiguration={"LocationConstraint": REGION})
    return client


DENIED = ("AccessDenied", 403), (False, "the identity that Airflow uses needs s3:PutObject on 's3://bkt/large'")
INTERNAL = ("InternalError", 500), (True, "s3:PutObject on 's3://bkt/large' failed: InternalError")


@pytest.mark.parametrize(
    ("operation", "refusal", "outcome"),
    [
        ("CreateMultipartUpload", *DENIED),
        ("UploadPart", *DENIED),
        ("UploadPart", ("SlowDown", 503), (True, "s3:PutObject on 's3://bkt/large' failed: SlowDown")),
        ("UploadPart", ("RequestTimeout", 400), (True, "s3:PutObject on 's3://bkt/large' failed: RequestTimeout")),
        (
            "UploadPart",
            ("ExpiredToken", 400),
            (True, "does not accept the credentials (ExpiredToken) for s3:PutObject"),
        ),
        ("CompleteMultipartUpload", *INTERNAL),
    ],
)
def test_what_s3_says_of_a_large_file_is_said_as_of_a_small_one(s3, large, operation, refusal, outcome):
    """boto3's managed transfer wraps it in an error of its own, which came out raw and was not waited through."""
    RefusingUploads(s3, *refusal, operation=operation)
    with pytest.raises(NotebookJobServiceError) as caught:
        Boto3Clients(lambda _: s3).objects.put("s3://bkt/large", large, kms_key=None)
    is_retryable, text = outcome
    assert caught.value.is_retryable is is_retryable
    assert text in str(caught.value)
    assert isinstance(caught.value.__cause__, ClientError)


def test_a_missing_bucket_is_a_configuration_error_for_a_large_file_too(session, large):
    with pytest.raises(NotebookJobConfigError, match="the bucket of 's3://none/a' does not exist"):
        Boto3Clients(session.client).objects.put("s3://none/a", large, kms_key=None)


def test_a_large_file_goes_up_with_fresh_credentials_where_the_old_ones_are_refused(session, s3, large):
    refusing = session.client("s3")
    RefusingUploads(refusing, "ExpiredToken", 400)
    made = iter([refusing, s3])
    Boto3Clients(lambda _: next(made), lambda: None).objects.put("s3://bkt/large", large, kms_key=None)
    assert s3.head_object(Bucket="bkt", Key="large")["ContentLength"] == 9 * 1024 * 1024


@pytest.mark.parametrize("size", [10, 9 * 1024 * 1024])
def test_a_file_that_is_gone_is_said_to_be_and_looked_for_again(s3, tmp_path, size):
    path = tmp_path / "gone"
    path.write_bytes(bytes(size))

    class Vanishing(type(path)):
        def stat(self, **_):
            found = path.stat()
            path.unlink()
            return found

    with pytest.raises(NotebookJobServiceError, match="the file that becomes s3://bkt/a could not be read") as caught:
        Boto3Clients(lambda _: s3).objects.put("s3://bkt/a", Vanishing(path), kms_key=None)
    assert (caught.value.code, caught.value.is_retryable) == ("FileNotFoundError", True)
    assert str(path) in str(caught.value)


def test_a_large_file_that_changes_while_it_is_uploaded_is_no_input(s3, large):
    """Its parts would be of two versions."""

    def change(**_):
        with large.open("ab") as stream:
            stream.write(b"more")

    s3.meta.events.register("before-call.s3.CompleteMultipartUpload", change)
    with pytest.raises(NotebookJobServiceError, match=r"large\.bin' has changed while it was uploaded") as caught:
        Boto3Clients(lambda _: s3).objects.put("s3://bkt/large", large, kms_key=None)
    assert caught.value.is_retryable


@pytest.mark.parametrize(
    ("head", "get", "outcome"),
    [
        (("400", 400), ("ExpiredToken", 400), "does not accept the credentials"),
        (("403", 403), ("InvalidAccessKeyId", 403), "does not accept the credentials"),
        (("403", 403), ("RequestTimeTooSkewed", 403), "takes the time"),
        (("403", 403), ("AccessDenied", 403), "AccessDenied on s3:GetObject"),
        (("403", 403), ("NoSuchKey", 404), None),
        (("503", 503), None, "503"),
    ],
)
@pytest.mark.parametrize("question", ["exists", "stat"])
def test_what_head_cannot_say_get_does(s3, head, get, outcome, question):
    """An answer to HEAD has no body: an expired token is "400 Bad Request", a rotated key "403 Forbidden"."""
    RefusingUploads(s3, *head, operation="HeadObject")
    if get is not None:
        RefusingUploads(s3, *get, operation="GetObject")
    objects = Boto3Clients(lambda _: s3).objects
    if outcome is None:
        assert not getattr(objects, question)("s3://bkt/a")
        return
    with pytest.raises(NotebookJobServiceError, match=re.escape(outcome)):
        getattr(objects, question)("s3://bkt/a")


def test_an_object_that_get_finds_is_there(s3):
    s3.put_object(Bucket="bkt", Key="a", Body=b"four")
    RefusingUploads(s3, "400", 400, operation="HeadObject")
    assert Boto3Clients(lambda _: s3).objects.stat("s3://bkt/a").size_bytes == 4


class _Cut(io.RawIOBase):
    """urllib3's response, whose connection is lost after some bytes."""

    def __init__(self, body, error):
        self._stream, self._error = io.BytesIO(body), error

    def read(self, amt=None):
        data = self._stream.read(amt)
        if not data:
            raise self._error
        return data

    def close(self):
        pass


class _S3:
    def __init__(self, body):
        self._body = body

    def get_object(self, **_):
        return {"Body": self._body}


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.ReadTimeoutError(None, None, "Read timed out."),
        urllib3.exceptions.ProtocolError("Connection broken"),
        urllib3.exceptions.SSLError("bad record mac"),
        ConnectionResetError("reset by peer"),
        TimeoutError("timed out"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_lost_while_results_are_read_is_worth_a_retry(error):
    """botocore's read timeout is an OSError as well; taken for a damaged archive it would fail a completed job for good."""
    body = archive({"other": bytes(range(256)) * 4000, "job.ipynb": b"{}"})
    objects = Boto3Clients(lambda _: _S3(StreamingBody(_Cut(body[:2000], error), len(body)))).objects
    with (
        objects.open("s3://bkt/output.tar.gz") as stream,
        pytest.raises(NotebookJobServiceError, match=r"s3:GetObject on 's3://bkt/output.tar.gz'") as caught,
    ):
        read_archive(stream, (Wanted("job.ipynb", 100),))
    assert caught.value.is_retryable


def test_a_body_shorter_than_announced_is_worth_a_retry():
    objects = Boto3Clients(lambda _: _S3(StreamingBody(io.BytesIO(b"short"), 100))).objects
    with objects.open("s3://bkt/a") as stream, pytest.raises(NotebookJobServiceError) as caught:
        stream.read()
    assert caught.value.is_retryable


# -- Logs, account -----------------------------------------------------------------------------------------------------


def test_the_tail_of_the_newest_stream_of_the_job_is_read(session):
    logs = session.client("logs")
    logs.create_log_group(logGroupName=LOG_GROUP)
    now = int(time.time() * 1000)
    for stream, lines in (
        ("job-1/algo-1-100", ["old"]),
        ("job-1/algo-1-200", ["a", "b", "c"]),
        ("job-10/algo-1", ["x"]),
    ):
        logs.create_log_stream(logGroupName=LOG_GROUP, logStreamName=stream)
        logs.put_log_events(
            logGroupName=LOG_GROUP,
            logStreamName=stream,
            logEvents=[{"timestamp": now + n, "message": line} for n, line in enumerate(lines)],
        )
    clients = Boto3Clients(session.client)
    assert clients.logs.tail("job-1", limit=2) == ["b", "c"]
    assert clients.logs.tail("job-2", limit=2) is None


def test_an_empty_page_is_no_end_of_a_tail():
    """Source: GetLogEvents, "Partially full or empty pages don't necessarily mean that pagination is finished"."""
    pages = {
        None: ([], "b/3"),
        "b/3": (["c"], "b/2"),
        "b/2": ([], "b/1"),
        "b/1": (["a", "b"], "b/0"),
        "b/0": ([], "b/0"),
    }

    class Logs:
        meta = type("Meta", (), {"region_name": "eu-west-1"})

        def get_paginator(self, name):
            assert name == "describe_log_streams"
            described = [{"logStreams": [], "nextToken": "t"}, {"logStreams": [{"logStreamName": "job-1/algo-1-1"}]}]
            return type("Paginator", (), {"paginate": staticmethod(lambda **_: described)})

        def get_log_events(self, *, nextToken=None, **_):  # noqa: N803 - boto3's
            messages, token = pages[nextToken]
            return {"events": [{"message": message} for message in messages], "nextBackwardToken": token}

    logs = Boto3Clients(lambda _: Logs()).logs
    assert logs.tail("job-1", limit=10) == ["a", "b", "c"]
    assert logs.tail("job-1", limit=2) == ["b", "c"]


def test_without_a_log_group_there_is_no_tail(session):
    assert Boto3Clients(session.client).logs.tail("job-1", limit=2) is None


def test_a_role_name_is_expanded_with_its_path(session):
    iam = session.client("iam")
    iam.create_role(RoleName="Jobs", Path="/service-role/", AssumeRolePolicyDocument="{}")
    assert Boto3Clients(session.client).account.role_arn("Jobs").endswith(":role/service-role/Jobs")


def test_a_role_that_does_not_exist_is_named(session):
    with pytest.raises(NotebookJobServiceError, match="iam:GetRole on 'None'"):
        Boto3Clients(session.client).account.role_arn("None")


def test_the_account_of_the_distribution_is_asked_for_once_a_region():
    asked = []

    class Ssm:
        def __init__(self, region):
            self.meta = type("Meta", (), {"region_name": region})

        def get_parameter(self, Name):  # noqa: N803 - boto3's
            asked.append((self.meta.region_name, Name))
            return {"Parameter": {"Value": f"account of {self.meta.region_name}"}}

    for region in ("xx-test-1", "xx-test-1", "xx-test-2"):
        account = Boto3Clients(lambda _, region=region: Ssm(region)).account
        assert account.distribution_account_id() == f"account of {region}"
    assert [region for region, _ in asked] == ["xx-test-1", "xx-test-2"]


def test_each_client_is_made_once():
    made = []
    clients = Boto3Clients(lambda service: made.append(service) or object())
    _ = clients.jobs, clients.jobs, clients.objects, clients.logs, clients.logs
    assert made == ["sagemaker", "s3", "logs"]


# -- answers that AWS has not written ------------------------------------------------------------------------------------


@pytest.fixture
def behind_a_proxy():
    """Clients whose every call is answered by a proxy's page, with the status 200."""

    class Page:
        def stream(self, *_, **__):
            yield b"<html>Sign in</html>"

        def read(self, *_, **__):
            return b"<html>Sign in</html>"

    def make(service):
        client = boto3.client(service, REGION, aws_access_key_id="key", aws_secret_access_key="secret")
        client.meta.events.register(
            "before-send", lambda request, **_: AWSResponse(request.url, 200, {"Content-Type": "text/html"}, Page())
        )
        return client

    return Boto3Clients(make)


@pytest.mark.parametrize(
    "question",
    [
        lambda clients: clients.jobs.describe("job"),
        lambda clients: clients.jobs.create({"TrainingJobName": "job"} | REQUIRED),
        lambda clients: clients.jobs.list_page(ListJobs()),
        lambda clients: clients.account.role_arn("role"),
        lambda clients: clients.account.distribution_account_id(),
    ],
    ids=["describe", "create", "list", "role", "image account"],
)
def test_a_proxys_page_is_trouble_that_passes_and_no_answer(behind_a_proxy, question, monkeypatch):
    """Taken for an answer it has no status, no job and no name: it crashed whoever read it."""
    monkeypatch.setattr(clients_, "_distribution_accounts", {})
    with pytest.raises(NotebookJobServiceError, match="not from AWS") as caught:
        question(behind_a_proxy)
    assert caught.value.is_retryable


def test_a_proxys_page_is_no_log(behind_a_proxy):
    assert behind_a_proxy.logs.tail("job", limit=5) is None
    assert behind_a_proxy.logs.events(since=0).events == ()
