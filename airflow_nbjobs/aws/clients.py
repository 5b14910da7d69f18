"""
The ports of ``ports.py`` on boto3.

Built from a client factory, so that the hook (an Airflow connection) and ``nbjobs run`` (the machine's own credentials) share every line that talks to AWS.
"""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

from airflow_nbjobs.aws.ports import NameTakenError, StoredObject
from airflow_nbjobs.aws.translate import error_code, error_message, translated
from airflow_nbjobs.core.containerlog import LogEvent, LogPage
from airflow_nbjobs.core.looks import PAGE_SIZE, ListJobs, Page
from airflow_nbjobs.core.naming import parse_s3_uri
from airflow_nbjobs.core.status import JobSnapshot, parse_description, parse_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import BinaryIO

UPLOAD_THREADS = 16
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
# Where AWS publishes the account of its SageMaker Distribution images, in each region.
_DISTRIBUTION_PARAMETER = "/aws/service/sagemaker-distribution/ecr-account-id"
# From this size on, boto3's managed transfer uploads in parts; below it one PutObject is one request.
_MULTIPART_BYTES = 8 * 1024 * 1024

_UNKNOWN_JOB = "Requested resource not found"
_NOT_STOPPABLE = "The request was rejected because the training job is in status"
_distribution_accounts: dict[str, str] = {}
_lock = threading.Lock()


class AwsClients:
    """
    One boto3 client per service, made when first asked for, and the ports on them.

    :param make_client: service name -> boto3 client; called once a service, from any thread.
    """

    def __init__(self, make_client: Callable[[str], Any]) -> None:
        self._make_client = make_client

    @cached_property
    def jobs(self) -> Boto3TrainingJobs:
        return Boto3TrainingJobs(self._make_client("sagemaker"))

    @cached_property
    def objects(self) -> Boto3Objects:
        return Boto3Objects(self._make_client("s3"))

    @cached_property
    def logs(self) -> Boto3ContainerLogs:
        return Boto3ContainerLogs(self._make_client("logs"))

    @cached_property
    def account(self) -> Boto3Account:
        return Boto3Account(self._make_client)


class Boto3TrainingJobs:
    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def request_shape(self) -> Any:
        """Return botocore's own description of a CreateTrainingJob request."""
        return self._client.meta.service_model.operation_model("CreateTrainingJob").input_shape

    def create(self, request: Mapping[str, Any]) -> str:
        from botocore.exceptions import ClientError

        name = request["TrainingJobName"]
        with translated("sagemaker:CreateTrainingJob", on=name, job_name=name):
            try:
                return str(self._client.create_training_job(**request)["TrainingJobArn"])
            except ClientError as error:
                if error_code(error) == "ResourceInUse":
                    raise NameTakenError(error_message(error)) from error
                raise

    def describe(self, job_name: str) -> JobSnapshot | None:
        from botocore.exceptions import ClientError

        with translated("sagemaker:DescribeTrainingJob", on=job_name, job_name=job_name):
            try:
                return parse_description(self._client.describe_training_job(TrainingJobName=job_name))
            except ClientError as error:
                # The service answers ValidationException for an unknown job, not the modelled ResourceNotFound.
                if error_code(error) == "ResourceNotFound" or error_message(error).startswith(_UNKNOWN_JOB):
                    return None
                raise

    def list_page(self, call: ListJobs) -> Page:
        request: dict[str, Any] = {
            "MaxResults": PAGE_SIZE,
            "SortBy": "CreationTime",
            "SortOrder": "Descending" if call.is_newest_first else "Ascending",
            "CreationTimeAfter": call.created_after,
            "CreationTimeBefore": call.created_before,
            "LastModifiedTimeAfter": call.modified_after,
            "NameContains": call.name_contains,
            "NextToken": call.next_token,
        }
        with translated("sagemaker:ListTrainingJobs", on="*"):
            response = self._client.list_training_jobs(
                **{name: value for name, value in request.items() if value is not None}
            )
        return Page(
            summaries=tuple(parse_summary(summary) for summary in response["TrainingJobSummaries"]),
            next_token=response.get("NextToken") or None,
            server_time=_server_time(response),
        )

    def stop(self, job_name: str) -> None:
        from botocore.exceptions import ClientError

        with translated("sagemaker:StopTrainingJob", on=job_name, job_name=job_name):
            try:
                self._client.stop_training_job(TrainingJobName=job_name)
            except ClientError as error:
                if not error_message(error).startswith((_NOT_STOPPABLE, _UNKNOWN_JOB)):
                    raise


def _server_time(response: Mapping[str, Any]) -> datetime | None:
    try:
        return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return None


class Boto3Objects:
    def __init__(self, client: Any) -> None:
        self._client = client

    def put(self, uri: str, body: bytes | Path, *, kms_key: str | None) -> None:
        bucket, key = parse_s3_uri(uri)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        with translated("s3:PutObject", on=uri):
            if isinstance(body, Path) and body.stat().st_size >= _MULTIPART_BYTES:
                self._client.upload_file(str(body), bucket, key, ExtraArgs=encryption)
            else:
                content = body if isinstance(body, bytes) else body.read_bytes()
                self._client.put_object(Bucket=bucket, Key=key, Body=content, **encryption)

    def open(self, uri: str) -> BinaryIO | None:
        from botocore.exceptions import ClientError

        bucket, key = parse_s3_uri(uri)
        with translated("s3:GetObject", on=uri):
            try:
                body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
            except ClientError as error:
                if error_code(error) in ("NoSuchKey", "404"):
                    return None
                raise
            return cast("BinaryIO", _Body(body, uri))

    def exists(self, uri: str) -> bool:
        from botocore.exceptions import ClientError

        bucket, key = parse_s3_uri(uri)
        with translated("s3:GetObject", on=uri):
            try:
                self._client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ("NoSuchKey", "NotFound", "404"):
                    return False
                raise
            return True

    def stat(self, uri: str) -> StoredObject | None:
        from botocore.exceptions import ClientError

        bucket, key = parse_s3_uri(uri)
        with translated("s3:GetObject", on=uri):
            try:
                answer = self._client.head_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ("NoSuchKey", "NotFound", "404"):
                    return None
                raise
            return StoredObject(etag=str(answer["ETag"]), size_bytes=int(answer["ContentLength"]))

    def names_below(self, uri: str) -> list[str]:
        bucket, key = parse_s3_uri(uri)
        prefix = f"{key.rstrip('/')}/" if key else ""
        with translated("s3:ListBucket", on=uri):
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                entry["Key"][len(prefix) :]
                for page in pages
                for entry in page.get("Contents", [])
                if not entry["Key"].endswith("/")
            ]


class _Body:
    """
    An object's body whose reads raise this package's errors.

    botocore's read timeout is an OSError as well: whoever unpacks the body would take a lost connection for a damaged archive.
    """

    def __init__(self, body: Any, uri: str) -> None:
        self._body = body
        self._uri = uri

    def read(self, size: int = -1) -> bytes:
        with translated("s3:GetObject", on=self._uri):
            return bytes(self._body.read(None if size < 0 else size))

    def close(self) -> None:
        self._body.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Boto3ContainerLogs:
    def __init__(self, client: Any) -> None:
        self._client = client

    def tail(self, job_name: str, *, limit: int) -> list[str] | None:
        from botocore.exceptions import ClientError

        with translated("logs:GetLogEvents", on=f"{LOG_GROUP} {job_name}/", job_name=job_name):
            try:
                streams = self._client.describe_log_streams(
                    logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/"
                ).get("logStreams", [])
                if not streams:
                    return None
                # A restart by the platform opens another stream, whose name ends in a later time; only the last attempt's tail matters.
                newest = max(stream["logStreamName"] for stream in streams)
                events = self._client.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=newest, limit=limit, startFromHead=False
                )["events"]
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return None
                raise
            return [event["message"] for event in events]

    def events(
        self,
        *,
        since: int,
        streams: Sequence[str] = (),
        prefix: str = "",
        phrase: str = "",
        next_token: str | None = None,
    ) -> LogPage:
        from botocore.exceptions import ClientError

        request: dict[str, Any] = {
            "logGroupName": LOG_GROUP,
            "startTime": since or None,
            "logStreamNames": list(streams) or None,
            "logStreamNamePrefix": prefix or None,
            "filterPattern": f'"{phrase}"' if phrase else None,
            "nextToken": next_token,
        }
        with translated("logs:FilterLogEvents", on=f"{LOG_GROUP} {prefix or '*'}"):
            try:
                answer = self._client.filter_log_events(
                    **{name: value for name, value in request.items() if value is not None}
                )
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return LogPage(())
                raise
        events = tuple(
            LogEvent(
                id=event["eventId"], stream=event["logStreamName"], at=event["timestamp"], message=event["message"]
            )
            for event in answer["events"]
            if event["logStreamName"].startswith(prefix)  # moto, and so the embedded SageMaker, looks at no prefix
        )
        return LogPage(events, answer.get("nextToken") or None)


class Boto3Account:
    def __init__(self, make_client: Callable[[str], Any]) -> None:
        self._make_client = make_client

    def role_arn(self, role_name: str) -> str:
        with translated("iam:GetRole", on=role_name):
            return str(self._make_client("iam").get_role(RoleName=role_name)["Role"]["Arn"])

    def distribution_account_id(self) -> str:
        client = self._make_client("ssm")
        region = client.meta.region_name
        with _lock, translated("ssm:GetParameter", on=_DISTRIBUTION_PARAMETER):
            if region not in _distribution_accounts:
                _distribution_accounts[region] = client.get_parameter(Name=_DISTRIBUTION_PARAMETER)["Parameter"][
                    "Value"
                ]
            return _distribution_accounts[region]
