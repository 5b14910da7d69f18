"""
The ports of ``ports.py`` on boto3.

Built from a client factory, so that the hook (an Airflow connection) and ``nbjobs run`` (the machine's own credentials) share every line that talks to AWS.
"""

from __future__ import annotations

import threading
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError

from airflow_nbjobs.aws.connection import Port
from airflow_nbjobs.aws.errors import error_code, error_message, no_answer_of_aws
from airflow_nbjobs.aws.ports import NameTakenError, StoredObject
from airflow_nbjobs.aws.storage import Body, Boto3Storage
from airflow_nbjobs.aws.watch.container_logs import Boto3ContainerLogs
from airflow_nbjobs.core.errors import NotebookJobServiceError
from airflow_nbjobs.core.job.naming import parse_s3_uri
from airflow_nbjobs.core.job.status import JobSnapshot, parse_description, parse_summary
from airflow_nbjobs.core.watch.plan import PAGE_SIZE, ListJobs, Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import BinaryIO

    from airflow_nbjobs.aws.results.metrics import Boto3MachineMetrics

# Where AWS publishes the account of its SageMaker Distribution images, in each region.
_DISTRIBUTION_PARAMETER = "/aws/service/sagemaker-distribution/ecr-account-id"
# From this size on, boto3's managed transfer uploads in parts; below it one PutObject is one request.
_MULTIPART_BYTES = 8 * 1024 * 1024

_NO_OBJECT = ("NoSuchKey", "NotFound", "404")
_UNKNOWN_JOB = "Requested resource not found"
_NOT_STOPPABLE = "The request was rejected because the training job is in status"
_distribution_accounts: dict[str, str] = {}
_lock = threading.Lock()


class Boto3Clients:
    """
    One boto3 client per service, made when first asked for, and the ports on them.

    :param make_client: service name -> boto3 client; called once a service, from any thread, and again after ``reopen``.
    :param reopen: reads the connection anew, so that ``make_client`` makes clients with what it says now; called where AWS refuses the credentials. None: they are
        the same for ever.
    """

    def __init__(self, make_client: Callable[[str], Any], reopen: Callable[[], object] | None = None) -> None:
        self._make_client = make_client
        self._reopen = reopen

    @cached_property
    def jobs(self) -> Boto3TrainingJobs:
        return Boto3TrainingJobs(self._make_client("sagemaker"), self._renewal("sagemaker"))

    @cached_property
    def objects(self) -> Boto3Objects:
        return Boto3Objects(self._make_client("s3"), self._renewal("s3"))

    @cached_property
    def logs(self) -> Boto3ContainerLogs:
        return Boto3ContainerLogs(self._make_client("logs"), self._renewal("logs"))

    @cached_property
    def metrics(self) -> Boto3MachineMetrics:
        # Imported when asked for: few processes ask.
        from airflow_nbjobs.aws.results.metrics import Boto3MachineMetrics

        return Boto3MachineMetrics(self._make_client("cloudwatch"), self._renewal("cloudwatch"))

    @cached_property
    def account(self) -> Boto3Account:
        return Boto3Account(lambda service: Port(self._make_client(service), self._renewal(service)))

    @cached_property
    def storage(self) -> Boto3Storage:
        return Boto3Storage(self._make_client("s3"), self._renewal("s3"))

    def _renewal(self, service_name: str) -> Callable[[], Any] | None:
        reopen = self._reopen
        if reopen is None:
            return None

        def renew() -> Any:
            reopen()
            return self._make_client(service_name)

        return renew


class Boto3TrainingJobs(Port):
    @property
    def endpoint_url(self) -> str:
        return str(self._client.meta.endpoint_url)

    @property
    def request_shape(self) -> Any:
        """Return botocore's own description of a CreateTrainingJob request."""
        return self._client.meta.service_model.operation_model("CreateTrainingJob").input_shape

    def create(self, request: Mapping[str, Any]) -> str:
        name = request["TrainingJobName"]

        def create(client: Any) -> str:
            try:
                answer = client.create_training_job(**request)
            except ClientError as error:
                if error_code(error) == "ResourceInUse":
                    raise NameTakenError(error_message(error)) from error
                raise
            if "TrainingJobArn" not in answer:
                raise no_answer_of_aws("sagemaker:CreateTrainingJob", name, name)
            return str(answer["TrainingJobArn"])

        return self.ask("sagemaker:CreateTrainingJob", create, on=name, job_name=name)

    def describe(self, job_name: str) -> JobSnapshot | None:
        def describe(client: Any) -> JobSnapshot | None:
            try:
                description = client.describe_training_job(TrainingJobName=job_name)
            except ClientError as error:
                # The service answers ValidationException for an unknown job, not the modelled ResourceNotFound.
                if error_code(error) == "ResourceNotFound" or error_message(error).startswith(_UNKNOWN_JOB):
                    return None
                raise
            if "TrainingJobStatus" not in description:
                raise no_answer_of_aws("sagemaker:DescribeTrainingJob", job_name, job_name)
            return parse_description(description)

        return self.ask("sagemaker:DescribeTrainingJob", describe, on=job_name, job_name=job_name)

    def list_page(self, call: ListJobs) -> Page:
        request: dict[str, Any] = {
            "MaxResults": PAGE_SIZE,
            "SortBy": "CreationTime",
            "SortOrder": "Descending" if call.is_newest_first else "Ascending",
            "CreationTimeAfter": call.created_after,
            "CreationTimeBefore": call.created_before,
            "LastModifiedTimeAfter": call.modified_after,
            "NameContains": call.name_contains,
            "WarmPoolStatusEquals": call.warm_pool_status,
            "NextToken": call.next_token,
        }
        filters = {name: value for name, value in request.items() if value is not None}
        response = self.ask("sagemaker:ListTrainingJobs", lambda client: client.list_training_jobs(**filters), on="*")
        if "TrainingJobSummaries" not in response:
            raise no_answer_of_aws("sagemaker:ListTrainingJobs", "*")
        return Page(
            summaries=tuple(parse_summary(summary) for summary in response["TrainingJobSummaries"]),
            next_token=response.get("NextToken") or None,
            server_time=_server_time(response),
        )

    def stop(self, job_name: str) -> None:
        def stop(client: Any) -> None:
            try:
                client.stop_training_job(TrainingJobName=job_name)
            except ClientError as error:
                if not error_message(error).startswith((_NOT_STOPPABLE, _UNKNOWN_JOB)):
                    raise

        self.ask("sagemaker:StopTrainingJob", stop, on=job_name, job_name=job_name)

    @property
    def can_delete(self) -> bool:
        return hasattr(self._client, "delete_training_job")

    def delete(self, job_name: str) -> str:
        def delete(client: Any) -> str:
            try:
                client.delete_training_job(TrainingJobName=job_name)
            except ClientError as error:
                if error_code(error) == "ResourceNotFound" or error_message(error).startswith(_UNKNOWN_JOB):
                    return ""
                if error_code(error) not in ("ValidationException", "ResourceInUse"):
                    raise
                return error_message(error)
            return ""

        return self.ask("sagemaker:DeleteTrainingJob", delete, on=job_name, job_name=job_name)

    def release_machine(self, job_name: str) -> str:
        def release(client: Any) -> str:
            try:
                client.update_training_job(TrainingJobName=job_name, ResourceConfig={"KeepAlivePeriodInSeconds": 0})
            except ClientError as error:
                if error_code(error) not in ("ValidationException", "ResourceNotFound"):
                    raise
                return error_message(error)
            return ""

        return self.ask("sagemaker:UpdateTrainingJob", release, on=job_name, job_name=job_name)


def _server_time(response: Mapping[str, Any]) -> datetime | None:
    try:
        return parsedate_to_datetime(response["ResponseMetadata"]["HTTPHeaders"]["date"])
    except (KeyError, TypeError, ValueError):
        return None


class Boto3Objects(Port):
    def put(self, uri: str, body: bytes | Path, *, kms_key: str | None) -> None:
        bucket, key = parse_s3_uri(uri)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}

        def put(client: Any) -> None:
            if isinstance(body, Path) and body.stat().st_size >= _MULTIPART_BYTES:
                _upload_file(client, body, bucket, key, encryption)
            else:
                content = body if isinstance(body, bytes) else body.read_bytes()
                client.put_object(Bucket=bucket, Key=key, Body=content, **encryption)

        try:
            self.ask("s3:PutObject", put, on=uri)
        except OSError as error:  # botocore's own, some of which are OSErrors, are translated by now
            raise NotebookJobServiceError(
                f"the file that becomes {uri} could not be read to its end: {error}",
                code=type(error).__name__,
                is_retryable=True,
                details={"next": "the file was there when the job was prepared; a retry looks for it again"},
            ) from error

    def open(self, uri: str) -> BinaryIO | None:
        bucket, key = parse_s3_uri(uri)

        def get(client: Any) -> Any:
            try:
                return client.get_object(Bucket=bucket, Key=key)["Body"]
            except ClientError as error:
                if error_code(error) in ("NoSuchKey", "404"):
                    return None
                raise

        body = self.ask("s3:GetObject", get, on=uri)
        return None if body is None else cast("BinaryIO", Body(body, uri))

    def exists(self, uri: str) -> bool:
        return self._head(uri) is not None

    def stat(self, uri: str) -> StoredObject | None:
        answer = self._head(uri)
        return (
            None if answer is None else StoredObject(etag=str(answer["ETag"]), size_bytes=int(answer["ContentLength"]))
        )

    def _head(self, uri: str) -> Mapping[str, Any] | None:
        bucket, key = parse_s3_uri(uri)

        def head(client: Any) -> Mapping[str, Any] | None:
            try:
                return cast("Mapping[str, Any]", client.head_object(Bucket=bucket, Key=key))
            except ClientError as error:
                if error_code(error) in _NO_OBJECT:
                    return None
                if error_code(error) not in ("400", "403"):
                    raise
            # An answer to HEAD has no body that tells a denial from an expired token; GET's has one.
            try:
                answer: Mapping[str, Any] = client.get_object(Bucket=bucket, Key=key)
            except ClientError as error:
                if error_code(error) in _NO_OBJECT:
                    return None
                raise
            answer["Body"].close()
            return answer

        return self.ask("s3:GetObject", head, on=uri)

    def names_below(self, uri: str) -> list[str]:
        bucket, key = parse_s3_uri(uri)
        prefix = f"{key.rstrip('/')}/" if key else ""

        def names(client: Any) -> list[str]:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            return [
                entry["Key"][len(prefix) :]
                for page in pages
                for entry in page.get("Contents", [])
                if not entry["Key"].endswith("/")
            ]

        return self.ask("s3:ListBucket", names, on=uri)


def _upload_file(client: Any, path: Path, bucket: str, key: str, encryption: Mapping[str, str]) -> None:
    """
    Upload in parts.

    :raises ClientError: S3 has refused a part.
    :raises OSError: the file cannot be read, or has changed meanwhile: its parts may be of two versions.
    """
    from boto3.exceptions import S3UploadFailedError
    from boto3.s3.transfer import TransferConfig

    before = path.stat()
    try:
        # "classic": the CRT's transfer, which boto3 takes on some machines, has errors of its own.
        config = TransferConfig(multipart_threshold=_MULTIPART_BYTES, preferred_transfer_client="classic")
        client.upload_file(str(path), bucket, key, ExtraArgs=dict(encryption), Config=config)
    except S3UploadFailedError as error:
        refusal = error.__cause__ or error.__context__
        if isinstance(refusal, ClientError):
            raise refusal from error
        raise OSError(str(error)) from error
    after = path.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise OSError(f"'{path}' has changed while it was uploaded")


class Boto3Account:
    """:param open_port: service name -> a port of its client."""

    def __init__(self, open_port: Callable[[str], Port]) -> None:
        self._open_port = open_port

    def role_arn(self, role_name: str) -> str:
        def arn(client: Any) -> str:
            try:
                return str(client.get_role(RoleName=role_name)["Role"]["Arn"])
            except KeyError as error:
                raise no_answer_of_aws("iam:GetRole", role_name) from error

        return self._open_port("iam").ask("iam:GetRole", arn, on=role_name)

    def distribution_account_id(self) -> str:
        def account_id(client: Any) -> str:
            try:
                return str(client.get_parameter(Name=_DISTRIBUTION_PARAMETER)["Parameter"]["Value"])
            except KeyError as error:
                raise no_answer_of_aws("ssm:GetParameter", _DISTRIBUTION_PARAMETER) from error

        port = self._open_port("ssm")
        region = port.region
        with _lock:
            if region not in _distribution_accounts:
                _distribution_accounts[region] = port.ask("ssm:GetParameter", account_id, on=_DISTRIBUTION_PARAMETER)
            return _distribution_accounts[region]
