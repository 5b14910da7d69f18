"""
A real boto3 session whose requests are recorded and answered in this process, before they reach a socket.

Used by ``record.py``, in the SDK's environment, and by ``test_requests.py``: what either side sends is compared as it is sent, headers included.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.awsrequest import AWSResponse

ACCOUNT_ID = "123456789012"
REGION = "eu-west-1"
DISTRIBUTION_ACCOUNT_ID = "819792524951"  # AWS's own, of that region
ROLE_ARN = f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/NotebookJobs"

_IDENTITY = (
    f"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::{ACCOUNT_ID}:assumed-role/NotebookJobs/x</Arn>"
    f"<Account>{ACCOUNT_ID}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
)
_ROLE = f"<GetRoleResponse><GetRoleResult><Role><Arn>{ROLE_ARN}</Arn></Role></GetRoleResult></GetRoleResponse>"
_BUCKETS = (
    f"<ListAllMyBucketsResult><Buckets><Bucket><Name>sagemaker-{REGION}-{ACCOUNT_ID}</Name>"
    "<CreationDate>2026-01-01T00:00:00Z</CreationDate></Bucket></Buckets></ListAllMyBucketsResult>"
)
_PARAMETER = f'{{"Parameter": {{"Value": "{DISTRIBUTION_ACCOUNT_ID}"}}}}'
_JOB = f'{{"TrainingJobArn": "arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:training-job/job"}}'
# By event name of the request; what is not here is a call that the recording did not expect.
_ANSWERS = {
    "before-send.sts.GetCallerIdentity": _IDENTITY,
    "before-send.iam.GetRole": _ROLE,
    "before-send.ssm.GetParameter": _PARAMETER,
    "before-send.s3.ListBuckets": _BUCKETS,
    "before-send.s3.HeadBucket": "",
    "before-send.s3.PutObject": "",
    "before-send.sagemaker.CreateTrainingJob": _JOB,
}


class UnexpectedCallError(Exception):
    """A request that is not among the answers: somebody asks AWS for something new."""


@dataclass(frozen=True, slots=True)
class Put:
    """One PutObject as sent: where to, the object's bytes, and the headers that tell how it is encrypted."""

    uri: str
    body: bytes
    encryption: dict[str, str]


class OfflineAws:
    """
    A session, and what was asked through it since the last ``forget``.

    :ivar puts: every object written.
    :ivar jobs: the body of every CreateTrainingJob, as it would go over the wire.
    :ivar calls: every request's operation, ``s3.PutObject``.
    """

    def __init__(self) -> None:
        self.session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name=REGION)
        self.puts: list[Put] = []
        self.jobs: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.session.events.register("before-send", self._answer)

    @cache  # noqa: B019 - lives as long as the process
    def client(self, service: str) -> Any:
        return self.session.client(service)

    def forget(self) -> None:
        """Begin anew; the session and its clients, which take a second to make, stay."""
        self.puts, self.jobs, self.calls = [], [], []

    def _answer(self, request: Any, event_name: str, **_: Any) -> AWSResponse:
        if event_name not in _ANSWERS:
            raise UnexpectedCallError(event_name)
        self.calls.append(event_name.removeprefix("before-send."))
        if event_name.endswith(".PutObject"):
            self.puts.append(_read_put(request))
        elif event_name.endswith(".CreateTrainingJob"):
            self.jobs.append(json.loads(request.body))
        return AWSResponse(request.url, 200, {}, _Raw(_ANSWERS[event_name].encode()))


class _Raw(io.BytesIO):
    """The part of urllib3's response that botocore reads."""

    def stream(self, **_: Any) -> Any:
        yield self.read()


def _read_put(request: Any) -> Put:
    body = request.body
    if hasattr(body, "read"):
        body.seek(0)
        body = body.read()
    if request.headers.get("Content-Encoding") == b"aws-chunked" or b"aws-chunked" in request.headers.values():
        body = _unchunked(body)
    address = urlsplit(request.url)
    encryption = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
        if name.lower().startswith("x-amz-server-side-encryption")
    }
    bucket = re.fullmatch(rf"(.+)\.s3(\.{REGION})?\.amazonaws\.com", address.netloc)
    key = unquote(address.path).removeprefix("/")
    return Put(f"s3://{bucket[1]}/{key}" if bucket else f"s3://{key}", body, encryption)


def _unchunked(body: bytes) -> bytes:
    """Take a body out of S3's chunked form: each chunk is its length in hexadecimal, a line end, the bytes, a line end."""
    stream, content = io.BytesIO(body), b""
    while size := int(stream.readline().split(b";")[0], 16):
        content += stream.read(size)
        stream.readline()
    return content
