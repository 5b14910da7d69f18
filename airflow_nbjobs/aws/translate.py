"""
Botocore's exceptions in this package's words, once, where they enter.

Called by ``clients.py``; every error names the operation, the AWS code, and for a denial the permission that is missing.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import ClientError

# Code sets: protocol look-ups of botocore.retries.standard, and the codes AWS documents as common errors.
_THROTTLES = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "LimitExceededException",
    }
)
_DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})
_NOT_AUTHORIZED = re.compile(r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>\S+))?")
_CREDENTIALS = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
_INTERNAL = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "InternalError",
        "ServiceUnavailable",
        "RequestTimeout",
        "500",
        "502",
        "503",
        "504",
    }
)


class ZeroQuotaError(NotebookJobConfigError):
    """The account's quota for one instance type is zero: with another type the same job may run."""


def is_throttled(error: NotebookJobError) -> bool:
    """Say whether the service refused the call for its rate."""
    return isinstance(error, NotebookJobServiceError) and error.code in _THROTTLES


def is_denied(error: NotebookJobError) -> bool:
    """Say whether the identity lacks the permission."""
    return isinstance(error, NotebookJobServiceError) and error.code in _DENIALS


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def error_message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "")) or str(error)


@contextmanager
def translated(permission: str, *, on: str, job_name: str | None = None) -> Iterator[None]:
    """
    Raise our errors for botocore's.

    :param permission: the IAM action that the call needs, ``"s3:PutObject"``; it also names the call in the text.
    :param on: what the call was about: a URI or a job's name.
    :raises NotebookJobConfigError: the service says that the request is wrong, or there are no credentials or no region.
    :raises NotebookJobCapacityError: a quota above zero is in use.
    :raises NotebookJobServiceError: everything else; ``is_retryable`` says whether later may be better.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionError,  # noqa: A004 - botocore's own, the parent of "could not connect"
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    try:
        yield
    except ClientError as error:
        raise _from_client_error(error, permission, on, job_name) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise NotebookJobConfigError(
            f"no AWS credentials for {permission} on '{on}': {error}", details=_CREDENTIALS_DETAILS
        ) from error
    except NoRegionError as error:
        raise NotebookJobConfigError(
            f"no AWS region for {permission} on '{on}'", details={"next": NO_REGION}
        ) from error
    except ParamValidationError as error:
        raise NotebookJobConfigError(f"the request for {permission} on '{on}' is malformed: {error}") from error
    except (ConnectionError, HTTPClientError, IncompleteReadError) as error:  # refused, timed out, TLS, closed half-way
        raise NotebookJobServiceError(
            f"{permission} on '{on}' got no answer: {error}",
            code=type(error).__name__,
            is_retryable=True,
            details={
                "next": "check that the endpoint can be reached from this machine (network, VPC endpoint, endpoint_url of the connection)"
            },
            job_name=job_name,
        ) from error
    except BotoCoreError as error:
        raise NotebookJobServiceError(
            f"{permission} on '{on}' failed: {error}", code=type(error).__name__, job_name=job_name
        ) from error


NO_REGION = "set region_name on the task, region_name in the AWS connection's extra, or AWS_DEFAULT_REGION"
NO_CREDENTIALS = "give the AWS connection a key or a role, or let this machine have one (instance profile, environment, shared credentials file)"
_CREDENTIALS_DETAILS = {"next": NO_CREDENTIALS}


def _from_client_error(error: ClientError, permission: str, on: str, job_name: str | None) -> NotebookJobError:
    code, message = error_code(error), error_message(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _DENIALS:
        return NotebookJobServiceError(
            f"{code} on {permission} for '{on}': {message}",
            code=code,
            details={"next": f"the identity that Airflow uses needs {_missing_permission(message, permission, on)}"},
            job_name=job_name,
        )
    if code in _CREDENTIALS:
        return NotebookJobConfigError(
            f"AWS does not accept the credentials ({code}) for {permission} on '{on}': {message}",
            details=_CREDENTIALS_DETAILS,
        )
    if code == "ResourceLimitExceeded":
        return _from_quota(message, job_name)
    if code in _THROTTLES or code in _INTERNAL or status >= 500:
        return NotebookJobServiceError(
            f"{permission} on '{on}' failed: {code}: {message}", code=code, is_retryable=True, job_name=job_name
        )
    if code == "ValidationException":
        return NotebookJobConfigError(f"SageMaker refused the request for '{on}': {message}", job_name=job_name)
    if code in ("NoSuchBucket", "404") and permission.startswith("s3:"):
        return NotebookJobConfigError(
            f"{permission}: the bucket of '{on}' does not exist",
            details={"next": "create the bucket, or correct s3_root_uri"},
        )
    return NotebookJobServiceError(f"{permission} on '{on}' failed: {code}: {message}", code=code, job_name=job_name)


def _missing_permission(message: str, permission: str, on: str) -> str:
    """Name what AWS says is missing: one CreateTrainingJob needs iam:PassRole and sagemaker:AddTags as well."""
    named = _NOT_AUTHORIZED.search(message)
    if named is not None:
        return f"{named['action']} on '{named['resource'] or on}'"
    if permission == "s3:GetObject":
        return f"{permission} on '{on}', and s3:ListBucket on its bucket: without it, S3 denies what does not exist"
    return f"{permission} on '{on}'"


def _from_quota(message: str, job_name: str | None) -> NotebookJobError:
    # "The account-level service limit 'ml.m5.2xlarge for training job usage' is 0 Instances, …": at zero, waiting cannot help.
    if " is 0 Instances" in message:
        return ZeroQuotaError(
            f"the account's quota for this instance type is zero: {message}",
            details={"next": "ask for the named quota in the Service Quotas console, or use another instance_type"},
            job_name=job_name,
        )
    return NotebookJobCapacityError(
        f"the account's quota for this instance type is in use: {message}",
        details={"next": "retry when other jobs have ended, or raise the quota"},
        job_name=job_name,
    )
