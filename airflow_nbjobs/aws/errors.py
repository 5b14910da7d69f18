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
from airflow_nbjobs.core.job.instances import nearest
from airflow_nbjobs.core.job.quotas import parse_quota

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import BotoCoreError, ClientError

# Source: botocore.retries.standard (ThrottledRetryableChecker, TransientRetryableChecker), botocore.retries.special, botocore's _retry.json, and the codes that AWS
# documents as common errors. Statuses stand for codes where an answer has no body.
_THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "EC2ThrottledException",
        "429",
        "509",
    }
)
_TROUBLES = frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        "IDPCommunicationError",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
        "ConditionalRequestConflict",
        "IncompleteBody",
        "NoSuchUpload",
        "OperationAborted",
        "ReplicatedWriteConflictException",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalError",
        "KMSInternalException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "408",
        "500",
        "502",
        "503",
        "504",
    }
)
_THROTTLING_STATUSES = (429, 509)
# Of the 5xx, those that say what the service never does.
_FINAL_STATUSES = (501, 505)
_DENIALS = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "403"})
_NOT_AUTHORIZED = re.compile(r"not authorized to perform: (?P<action>[\w-]+:\w+)(?: on resource: (?P<resource>\S+))?")
# This machine's clock, or the service's: no other credentials would help.
_SKEWS = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture", "RequestExpired"})
_SKEW = re.compile(r"signature (has )?expired|not yet (current|valid)|request time .* too skewed", re.IGNORECASE)
# A key that was rotated or has expired since the connection was read.
_REFUSED_CREDENTIALS = frozenset(
    {
        "UnrecognizedClientException",
        "UnrecognizedClient",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "InvalidToken",
        "TokenRefreshRequired",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
        "AuthFailure",
        "InvalidIdentityToken",
        "InvalidIdentityTokenException",
        "IDPRejectedClaim",  # STS says so of a web identity token that has expired, too
        "IDPRejectedClaimException",
        # What botocore raises where somebody has to sign in anew, or nothing at all was found.
        "NoCredentialsError",
        "NoAuthTokenError",
        "SSOError",
        "SSOTokenLoadError",
        "UnauthorizedSSOTokenError",
        "LoginError",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
    }
)
# Source: an observed ValidationException. Short lists are left as they are.
_ENUM_REFUSAL = re.compile(
    r"Value '(?P<value>[^']*)' at '(?P<place>[^']*)' failed to satisfy constraint: Member must satisfy enum value set: \[(?P<known>[^\]]{200,})\]"
)
_SECURITY_TOKEN = re.compile(r"security token included in the request (is|has) (expired|invalid)", re.IGNORECASE)
# The source of credentials could not be asked now, or gave old ones ("RequestExpired" of EC2).
_LATE_CREDENTIALS = frozenset(
    {"CredentialRetrievalError", "MetadataRetrievalError", "TokenRetrievalError", "RequestExpired"}
)
_STILL_EXPIRED = "refreshed credentials are still expired"  # a RuntimeError of botocore's
_MENDABLE = "the AWS connection is read again at each try, so that a rotated key is taken up; otherwise "


class ZeroQuotaError(NotebookJobConfigError):
    """The account's quota for one instance type never allows the job, most often since it is zero: with another type the same job may run."""


def is_throttled(error: NotebookJobError) -> bool:
    """Say whether the service refused the call for its rate."""
    return isinstance(error, NotebookJobServiceError) and error.code in _THROTTLES


def is_denied(error: NotebookJobError) -> bool:
    """Say whether the identity lacks the permission."""
    return isinstance(error, NotebookJobServiceError) and error.code in _DENIALS


def has_refused_credentials(error: NotebookJobError) -> bool:
    """Say whether AWS does not accept the credentials, or there are none now: a connection that is read anew may have others."""
    return isinstance(error, NotebookJobServiceError) and error.code in _REFUSED_CREDENTIALS


def needs_reopening(error: NotebookJobError) -> bool:
    """Say whether the call may succeed at once with a connection that is read anew."""
    return has_refused_credentials(error) or (
        isinstance(error, NotebookJobServiceError) and error.code in _LATE_CREDENTIALS
    )


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
    :raises NotebookJobConfigError: the service says that the request is wrong, or no region, a half of a key or a profile that is not there is configured.
    :raises NotebookJobCapacityError: a quota above zero is in use.
    :raises NotebookJobServiceError: everything else; ``is_retryable`` says whether later may be better. Refused or missing credentials may be: a key is rotated, an
        instance's metadata service answers late.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise _from_client_error(error, permission, on, job_name) from error
    except BotoCoreError as error:
        raise _from_botocore_error(error, permission, on, job_name) from error
    except ResponseParserError as error:  # no BotoCoreError
        raise no_answer_of_aws(permission, on, job_name, why=str(error)) from error
    except RuntimeError as error:
        if isinstance(error, NotebookJobError) or _STILL_EXPIRED not in str(error):
            raise
        raise _no_credentials("CredentialRetrievalError", error, permission, on, job_name) from error


NO_REGION = "set region_name on the task, region_name in the AWS connection's extra, or AWS_DEFAULT_REGION"
NO_CREDENTIALS = "give the AWS connection a key or a role, or let this machine have one (instance profile, environment, shared credentials file)"


def _from_botocore_error(error: BotoCoreError, permission: str, on: str, job_name: str | None) -> NotebookJobError:
    from botocore.exceptions import (
        CapacityNotAvailableError,
        ChecksumError,
        ConnectionError,  # noqa: A004 - botocore's own, the parent of "could not connect"
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    code = type(error).__name__
    if code in _REFUSED_CREDENTIALS or code in _LATE_CREDENTIALS:
        return _no_credentials(code, error, permission, on, job_name)
    match error:
        case PartialCredentialsError() | ProfileNotFound():
            return NotebookJobConfigError(
                f"no AWS credentials for {permission} on '{on}': {error}", details={"next": NO_CREDENTIALS}
            )
        case NoRegionError():
            return NotebookJobConfigError(f"no AWS region for {permission} on '{on}'", details={"next": NO_REGION})
        case ParamValidationError():
            return NotebookJobConfigError(f"the request for {permission} on '{on}' is malformed: {error}")
        case CapacityNotAvailableError():  # botocore's own pace, with retries in mode "adaptive"
            return NotebookJobServiceError(
                f"{permission} on '{on}' was not sent: {error}", code=code, is_retryable=True, job_name=job_name
            )
        # Refused, timed out, TLS, closed half-way, damaged on the way.
        case ConnectionError() | HTTPClientError() | IncompleteReadError() | ChecksumError() | FlexibleChecksumError():
            return NotebookJobServiceError(
                f"{permission} on '{on}' got no answer: {error}",
                code=code,
                is_retryable=True,
                details={
                    "next": "check that the endpoint can be reached from this machine (network, VPC endpoint, endpoint_url of the connection)"
                },
                job_name=job_name,
            )
    return NotebookJobServiceError(f"{permission} on '{on}' failed: {error}", code=code, job_name=job_name)


def no_answer_of_aws(
    permission: str, on: str, job_name: str | None = None, *, why: str = "it lacks what AWS always says"
) -> NotebookJobServiceError:
    """Return the error of an answer that AWS has not written, such as a proxy's page with the status 200."""
    return NotebookJobServiceError(
        f"{permission} on '{on}' got an answer that is not from AWS: {why}",
        code="MalformedResponse",
        is_retryable=True,
        details={
            "next": "look for what stands between this machine and AWS: a proxy, a gateway's sign-in page, endpoint_url of the connection"
        },
        job_name=job_name,
    )


def _no_credentials(
    code: str, error: Exception, permission: str, on: str, job_name: str | None
) -> NotebookJobServiceError:
    return NotebookJobServiceError(
        f"no AWS credentials for {permission} on '{on}': {error}",
        code=code,
        is_retryable=True,
        details={"next": _MENDABLE + NO_CREDENTIALS},
        job_name=job_name,
    )


def _from_client_error(error: ClientError, permission: str, on: str, job_name: str | None) -> NotebookJobError:
    code, message = error_code(error), error_message(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = code.rpartition(".")[2]  # S3 says "KMS.ThrottlingException"
    if kind in _SKEWS or (kind in _REFUSED_CREDENTIALS and _SKEW.search(message)):
        return NotebookJobServiceError(
            f"AWS takes the time of {permission} on '{on}' for wrong ({code}): {message}",
            code=kind if kind in _SKEWS else "RequestTimeTooSkewed",
            is_retryable=True,
            details={"next": "set the clock of this machine (NTP)"},
            job_name=job_name,
        )
    if kind in _REFUSED_CREDENTIALS or _SECURITY_TOKEN.search(message):
        return NotebookJobServiceError(
            f"AWS does not accept the credentials ({code}) for {permission} on '{on}': {message}",
            code=kind if kind in _REFUSED_CREDENTIALS else "ExpiredToken",
            is_retryable=True,
            details={"next": _MENDABLE + NO_CREDENTIALS},
            job_name=job_name,
        )
    if status in _THROTTLING_STATUSES and kind not in _THROTTLES:
        kind = str(status)
    is_trouble = status == 408 or (status >= 500 and status not in _FINAL_STATUSES)
    if kind in _THROTTLES or kind in _TROUBLES or is_trouble:
        return NotebookJobServiceError(
            f"{permission} on '{on}' failed: {code}: {message}", code=kind, is_retryable=True, job_name=job_name
        )
    if kind in _DENIALS:
        return NotebookJobServiceError(
            f"{code} on {permission} for '{on}': {message}",
            code=kind,
            details={"next": f"the identity that Airflow uses needs {_missing_permission(message, permission, on)}"},
            job_name=job_name,
        )
    if code == "ResourceLimitExceeded":
        return _from_quota(message, job_name)
    if code == "ValidationException":
        return NotebookJobConfigError(
            f"SageMaker refused the request for '{on}': {_shortened(message)}", job_name=job_name
        )
    if code in ("NoSuchBucket", "404") and permission.startswith("s3:"):
        return NotebookJobConfigError(
            f"{permission}: the bucket of '{on}' does not exist",
            details={"next": "create the bucket, or correct s3_root_uri"},
        )
    return NotebookJobServiceError(f"{permission} on '{on}' failed: {code}: {message}", code=code, job_name=job_name)


def _shortened(message: str) -> str:
    """Leave out the list of all values that a field may have; say instead which of them were meant."""

    def instead(refused: re.Match[str]) -> str:
        known = refused["known"].split(", ")
        return f"Value '{refused['value']}' at '{refused['place']}' is none of the {len(known)} that SageMaker knows{nearest(refused['value'], known)}"

    return _ENUM_REFUSAL.sub(instead, message)


def _missing_permission(message: str, permission: str, on: str) -> str:
    """Name what AWS says is missing: one CreateTrainingJob needs iam:PassRole and sagemaker:AddTags as well."""
    named = _NOT_AUTHORIZED.search(message)
    if named is not None:
        return f"{named['action']} on '{named['resource'] or on}'"
    if permission == "s3:GetObject":
        return f"{permission} on '{on}', and s3:ListBucket on its bucket: without it, S3 denies what does not exist"
    return f"{permission} on '{on}'"


def _from_quota(message: str, job_name: str | None) -> NotebookJobError:
    quota = parse_quota(message)
    if quota is None or not quota.never_fits:
        what = "quota for this instance type" if quota is not None and quota.is_of_instance_type else "quota"
        return NotebookJobCapacityError(
            f"the account's {what} is in use: {message}",
            details={"next": "retry when other jobs have ended, or raise the quota"},
            job_name=job_name,
        )
    kind = ZeroQuotaError if quota.is_of_instance_type else NotebookJobConfigError
    return kind(
        f"the account's quota '{quota.name}' never allows this job: {message}",
        details={
            "next": f"{quota.remedy}{', or ' if quota.remedy else ''}ask for more of the named quota in the Service Quotas console"
        },
        job_name=job_name,
    )
