"""
Botocore's exceptions in this package's words, once, where they enter.

Called by ``clients.py``; every error names the operation, the AWS code, and for a denial the permission that is missing.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from airflow_nbjobs.core.errors import (
    NotebookJobCapacityError,
    NotebookJobConfigError,
    NotebookJobError,
    NotebookJobServiceError,
)
from airflow_nbjobs.core.guesses import did_you_mean
from airflow_nbjobs.core.job.quotas import parse_quota

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import BotoCoreError, ClientError

# Source: botocore.retries.standard (ThrottledRetryableChecker, TransientRetryableChecker), botocore.retries.special, botocore's _retry.json, and the codes that AWS
# documents as common errors. Statuses stand for codes where an answer has no body.
_THROTTLES = (
    frozenset({"Throttling", "ThrottlingException", "ThrottledException", "EC2ThrottledException"})
    | {"RequestThrottled", "RequestThrottledException", "TooManyRequestsException", "PriorRequestNotComplete"}
    | {"RequestLimitExceeded", "BandwidthLimitExceeded", "LimitExceededException", "SlowDown"}
    | {"ProvisionedThroughputExceededException", "TransactionInProgressException"}
    | {"429", "509"}
)
_TROUBLES = (
    frozenset({"InternalFailure", "InternalError", "InternalServerError", "InternalServerException"})
    | {"ServiceUnavailable", "ServiceUnavailableException", "KMSInternalException", "IDPCommunicationError"}
    | {"RequestTimeout", "RequestTimeoutException", "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody"}
    | {"ConditionalRequestConflict", "OperationAborted", "ReplicatedWriteConflictException", "NoSuchUpload"}
    | {"408", "500", "502", "503", "504"}
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
_REFUSED_CREDENTIALS = (
    frozenset({"UnrecognizedClientException", "UnrecognizedClient", "AuthFailure", "TokenRefreshRequired"})
    | {"InvalidClientTokenId", "InvalidAccessKeyId", "InvalidToken", "ExpiredToken", "ExpiredTokenException"}
    | {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature", "IncompleteSignatureException"}
    | {"MissingAuthenticationToken", "MissingAuthenticationTokenException"}
    # STS says "IDPRejectedClaim" of a web identity token that has expired, too.
    | {"InvalidIdentityToken", "InvalidIdentityTokenException", "IDPRejectedClaim", "IDPRejectedClaimException"}
    # What botocore raises where somebody has to sign in anew, or nothing at all was found.
    | {"NoCredentialsError", "NoAuthTokenError", "SSOError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"}
    | {"LoginError", "LoginRefreshRequired", "LoginTokenLoadError"}
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
NO_REGION = "set region_name on the task, region_name in the AWS connection's extra, or AWS_DEFAULT_REGION"
NO_CREDENTIALS = "give the AWS connection a key or a role, or let this machine have one (instance profile, environment, shared credentials file)"
_MENDABLE = "the AWS connection is read again at each try, so that a rotated key is taken up; otherwise "


_NOT_OF_AWS = "MalformedResponse"  # the code of an answer that something else has written
_REACH = (
    "check that the endpoint can be reached from this machine (network, VPC endpoint, endpoint_url of the connection)"
)
_STRANGER = "look for what stands between this machine and AWS: a proxy, a gateway's sign-in page, endpoint_url of the connection"


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


def got_no_answer(error: NotebookJobError) -> bool:
    """Say whether nothing of AWS has answered: the network, or what stands in it, is at fault rather than the account."""
    from botocore import exceptions

    if not isinstance(error, NotebookJobServiceError):
        return False
    kind = getattr(exceptions, error.code, None)
    return error.code == _NOT_OF_AWS or (isinstance(kind, type) and issubclass(kind, _lost_answers()))


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
    :raises NotebookJobConfigError: the service says that the request is wrong, or no region, a half of a key, a profile that is not there or an
        endpoint that is no URL is configured.
    :raises NotebookJobCapacityError: a quota above zero is in use.
    :raises NotebookJobServiceError: everything else; ``is_retryable`` says whether later may be better. Refused or missing credentials may be: a key is rotated, an
        instance's metadata service answers late.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    call = _Call(permission, on, job_name)
    try:
        yield
    except ClientError as error:
        raise _from_client_error(error, call) from error
    except BotoCoreError as error:
        raise _from_botocore_error(error, call) from error
    except ResponseParserError as error:  # no BotoCoreError
        raise no_answer_of_aws(permission, on, job_name, why=str(error)) from error
    except ValueError as error:  # of a client that is being made, and no BotoCoreError
        if not str(error).startswith("Invalid endpoint"):
            raise
        raise NotebookJobConfigError(f"{call}: {error}; an endpoint_url is a URL, as https://…") from error
    except RuntimeError as error:
        if isinstance(error, NotebookJobError) or _STILL_EXPIRED not in str(error):
            raise
        raise call.without_credentials("CredentialRetrievalError", error) from error


class _Call(msgspec.Struct, frozen=True):
    """The call that has failed, as its errors name it."""

    permission: str
    on: str
    job_name: str | None

    def __str__(self) -> str:
        return f"{self.permission} on '{self.on}'"

    def error(self, text: str, code: str, *, advice: str = "", is_retryable: bool = False) -> NotebookJobServiceError:
        details = {"next": advice} if advice else {}
        return NotebookJobServiceError(
            text, code=code, is_retryable=is_retryable, details=details, job_name=self.job_name
        )

    def passing(self, text: str, code: str, *, advice: str = "") -> NotebookJobServiceError:
        return self.error(text, code, advice=advice, is_retryable=True)

    def without_credentials(self, code: str, error: Exception) -> NotebookJobServiceError:
        return self.passing(f"no AWS credentials for {self}: {error}", code, advice=_MENDABLE + NO_CREDENTIALS)


def _from_botocore_error(error: BotoCoreError, call: _Call) -> NotebookJobError:
    from botocore.exceptions import (
        CapacityNotAvailableError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    code = type(error).__name__
    if code in _REFUSED_CREDENTIALS or code in _LATE_CREDENTIALS:
        return call.without_credentials(code, error)
    match error:
        case PartialCredentialsError() | ProfileNotFound():
            return NotebookJobConfigError(f"no AWS credentials for {call}: {error}", details={"next": NO_CREDENTIALS})
        case NoRegionError():
            return NotebookJobConfigError(f"no AWS region for {call}", details={"next": NO_REGION})
        case ParamValidationError():
            return NotebookJobConfigError(f"the request for {call} is malformed: {error}")
        case CapacityNotAvailableError():  # botocore's own pace, with retries in mode "adaptive"
            return call.passing(f"{call} was not sent: {error}", code)
    if isinstance(error, _lost_answers()):
        return call.passing(f"{call} got no answer: {error}", code, advice=_REACH)
    return call.error(f"{call} failed: {error}", code)


def _lost_answers() -> tuple[type[Exception], ...]:
    """Return botocore's errors of an answer that was refused, timed out, failed in TLS, was closed half-way, or was damaged on the way."""
    from botocore import exceptions

    return (
        exceptions.ConnectionError,  # botocore's own, the parent of "could not connect"
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.ChecksumError,
        exceptions.FlexibleChecksumError,
    )


def no_answer_of_aws(
    permission: str, on: str, job_name: str | None = None, *, why: str = "it lacks what AWS always says"
) -> NotebookJobServiceError:
    """Return the error of an answer that AWS has not written, such as a proxy's page with the status 200."""
    call = _Call(permission, on, job_name)
    return call.passing(
        f"{call} got an answer that is not from AWS: {why}",
        _NOT_OF_AWS,
        advice=_STRANGER,
    )


def _from_client_error(error: ClientError, call: _Call) -> NotebookJobError:
    code, message = error_code(error), error_message(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    kind = code.rpartition(".")[2]  # S3 says "KMS.ThrottlingException"
    if kind in _SKEWS or (kind in _REFUSED_CREDENTIALS and _SKEW.search(message)):
        kind = kind if kind in _SKEWS else "RequestTimeTooSkewed"
        text = f"AWS takes the time of {call} for wrong ({code}): {message}"
        return call.passing(text, kind, advice="set the clock of this machine (NTP)")
    if kind in _REFUSED_CREDENTIALS or _SECURITY_TOKEN.search(message):
        kind = kind if kind in _REFUSED_CREDENTIALS else "ExpiredToken"
        text = f"AWS does not accept the credentials ({code}) for {call}: {message}"
        return call.passing(text, kind, advice=_MENDABLE + NO_CREDENTIALS)
    if status in _THROTTLING_STATUSES and kind not in _THROTTLES:
        kind = str(status)
    is_trouble = status == 408 or (status >= 500 and status not in _FINAL_STATUSES)
    if kind in _THROTTLES or kind in _TROUBLES or is_trouble:
        return call.passing(f"{call} failed: {code}: {message}", kind)
    if kind in _DENIALS:
        needed = f"the identity that Airflow uses needs {_missing_permission(message, call)}"
        return call.error(f"{code} on {call.permission} for '{call.on}': {message}", kind, advice=needed)
    if code == "ResourceLimitExceeded":
        return _from_quota(message, call.job_name)
    if code == "ValidationException":
        return NotebookJobConfigError(
            f"SageMaker refused the request for '{call.on}': {_shortened(message)}", job_name=call.job_name
        )
    if code in ("NoSuchBucket", "404") and call.permission.startswith("s3:"):
        return NotebookJobConfigError(
            f"{call.permission}: the bucket of '{call.on}' does not exist",
            details={"next": "create the bucket, or correct s3_root_uri"},
        )
    return call.error(f"{call} failed: {code}: {message}", code)


def _shortened(message: str) -> str:
    """Leave out the list of all values that a field may have; say instead which of them were meant."""

    def instead(refused: re.Match[str]) -> str:
        known = refused["known"].split(", ")
        return f"Value '{refused['value']}' at '{refused['place']}' is none of the {len(known)} that SageMaker knows{did_you_mean(refused['value'], known, most=3, cutoff=0.85)}"

    return _ENUM_REFUSAL.sub(instead, message)


def _missing_permission(message: str, call: _Call) -> str:
    """Name what AWS says is missing: one CreateTrainingJob needs iam:PassRole and sagemaker:AddTags as well."""
    named = _NOT_AUTHORIZED.search(message)
    if named is not None:
        return f"{named['action']} on '{named['resource'] or call.on}'"
    if call.permission == "s3:GetObject":
        return f"{call}, and s3:ListBucket on its bucket: without it, S3 denies what does not exist"
    return str(call)


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
