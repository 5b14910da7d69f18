"""Botocore's exceptions in this package's words: what to do, and whether a retry can help."""

import json
import re
from pathlib import Path

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.retries import standard

from airflow_nbjobs.aws.errors import (
    ZeroQuotaError,
    error_message,
    got_no_answer,
    has_refused_credentials,
    is_denied,
    is_throttled,
    needs_reopening,
    translated,
)
from airflow_nbjobs.core.errors import NotebookJobCapacityError, NotebookJobConfigError, NotebookJobServiceError


def client_error(code, message="the message", status=400):
    response = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, "CreateTrainingJob")


def translation(error, permission="sagemaker:CreateTrainingJob", on="job-1", job_name="job-1"):
    with pytest.raises(Exception) as caught, translated(permission, on=on, job_name=job_name):  # noqa: PT011 - its type is the test's subject
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"])
def test_a_denial_names_the_permission_and_the_resource_and_is_not_retried(code):
    error = translation(client_error(code), "s3:PutObject", "s3://b/k")
    assert type(error) is NotebookJobServiceError
    assert (error.code, error.is_retryable) == (code, False)
    assert error.details["next"] == "the identity that Airflow uses needs s3:PutObject on 's3://b/k'"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        (
            (
                "User: arn:aws:iam::123456789012:user/airflow is not authorized to perform: iam:PassRole on resource: "
                "arn:aws:iam::123456789012:role/Jobs because no identity-based policy allows the iam:PassRole action"
            ),
            "the identity that Airflow uses needs iam:PassRole on 'arn:aws:iam::123456789012:role/Jobs'",
        ),
        (
            "User: x is not authorized to perform: sagemaker:AddTags with an explicit deny",
            "the identity that Airflow uses needs sagemaker:AddTags on 'job-1'",
        ),
    ],
)
def test_the_permission_that_aws_names_counts_before_the_calls_own(message, remedy):
    """One CreateTrainingJob needs three: the call itself, iam:PassRole and sagemaker:AddTags."""
    assert translation(client_error("AccessDeniedException", message)).details["next"] == remedy


def test_a_denied_read_mentions_that_s3_denies_what_is_not_there():
    """Without s3:ListBucket, S3 answers 403 for an object that does not exist."""
    remedy = translation(client_error("403", "Forbidden"), "s3:GetObject", "s3://b/k").details["next"]
    assert remedy.startswith("the identity that Airflow uses needs s3:GetObject on 's3://b/k'")
    assert "s3:ListBucket on its bucket" in remedy


@pytest.mark.parametrize(
    "code", [*standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES, "KMS.ThrottlingException", "429"]
)
def test_throttling_is_worth_a_retry_and_known_as_such(code):
    error = translation(client_error(code))
    assert (type(error), error.is_retryable, error.job_name) == (NotebookJobServiceError, True, "job-1")
    assert is_throttled(error)


@pytest.mark.parametrize("status", [429, 509])
def test_a_code_of_next_year_with_a_status_of_throttling_is_throttling(status):
    error = translation(client_error("TooFast", status=status))
    assert error.is_retryable
    assert is_throttled(error)
    assert "TooFast" in str(error)


def legacy_transients():
    """Every code that botocore's older retry mode repeats, for whatever service."""
    retries = json.loads((Path(botocore.__file__).parent / "data" / "_retry.json").read_text())
    texts = json.dumps(retries)
    codes = set(re.findall(r'"service_error_code": "([^"]+)"', texts))
    assert len(codes) > 10
    return sorted(codes)


@pytest.mark.parametrize(
    "code", [*standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES, *legacy_transients(), "IDPCommunicationError"]
)
def test_whatever_botocore_repeats_is_worth_a_retry(code):
    error = translation(client_error(code))
    assert (type(error), error.is_retryable) == (NotebookJobServiceError, True)
    assert not has_refused_credentials(error)


@pytest.mark.parametrize(
    "raised",
    [
        client_error("InternalFailure"),
        client_error("RequestTimeout", "Your socket connection to the server was not read from or written to", 400),
        client_error("408", status=408),
        client_error("NoSuchUpload"),
        botocore.exceptions.FlexibleChecksumError(error_msg="x"),
        client_error("ServiceUnavailable"),
        client_error("SomethingNew", status=503),
        botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
        botocore.exceptions.ConnectTimeoutError(endpoint_url="https://x"),
        botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"),
        botocore.exceptions.ConnectionClosedError(endpoint_url="https://x"),
        botocore.exceptions.SSLError(endpoint_url="https://x", error="x"),
        botocore.exceptions.ResponseStreamingError(error="x"),
        botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_of_the_service_or_of_the_way_to_it_is_worth_a_retry(raised):
    error = translation(raised)
    assert (type(error), error.is_retryable) == (NotebookJobServiceError, True)
    assert not is_throttled(error)


@pytest.mark.parametrize(
    ("raised", "is_lost"),
    [
        (botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"), True),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"), True),
        (botocore.exceptions.SSLError(endpoint_url="https://x", error="x"), True),
        (botocore.exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2), True),
        (ResponseParserError("<html>"), True),
        (client_error("InternalFailure", status=500), False),
        (client_error("AccessDenied"), False),
        (client_error("ValidationException"), False),
        (botocore.exceptions.CapacityNotAvailableError(), False),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_has_not_answered_is_known_by_its_error_not_by_the_advice(raised, is_lost):
    error = translation(raised)
    assert got_no_answer(error) is is_lost
    error.details.clear()
    assert got_no_answer(error) is is_lost


def test_an_endpoint_that_cannot_be_reached_says_what_to_check():
    error = translation(botocore.exceptions.EndpointConnectionError(endpoint_url="https://x.y"))
    assert "https://x.y" in str(error)
    assert "VPC endpoint" in error.details["next"]


@pytest.mark.parametrize(
    "raised",
    [
        botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x"),
        botocore.exceptions.ProfileNotFound(profile="x"),
    ],
    ids=lambda error: str(error)[:40],
)
def test_half_a_key_or_a_missing_profile_is_a_configuration_error_that_says_where_to_give_it(raised):
    error = translation(raised)
    assert type(error) is NotebookJobConfigError
    assert "give the AWS connection a key or a role" in error.details["next"]


REFUSED = [
    client_error("ExpiredToken"),
    client_error("ExpiredTokenException", "The security token included in the request is expired"),
    client_error("UnrecognizedClientException", "The security token included in the request is invalid."),
    client_error("AccessDeniedException", "The security token included in the request is expired"),
    client_error("InvalidClientTokenId"),
    client_error("InvalidAccessKeyId"),
    client_error("InvalidToken"),
    client_error("TokenRefreshRequired"),
    client_error("SignatureDoesNotMatch", "The request signature we calculated does not match", 403),
    client_error("InvalidSignatureException", "The request signature we calculated does not match"),
    client_error("InvalidIdentityToken"),
    botocore.exceptions.NoCredentialsError(),
    botocore.exceptions.UnauthorizedSSOTokenError(),
    botocore.exceptions.SSOTokenLoadError(error_msg="x"),
]
LATE = [
    botocore.exceptions.CredentialRetrievalError(provider="iam-role", error_msg="x"),
    botocore.exceptions.MetadataRetrievalError(error_msg="timed out"),
    botocore.exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
    RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
]


@pytest.mark.parametrize("raised", REFUSED, ids=lambda error: str(error)[:60])
def test_refused_credentials_are_worth_a_retry_with_a_connection_that_is_read_anew(raised):
    """A key may have been rotated; a configuration error would skip the user's retries, and fail every waiter of the connection."""
    error = translation(raised)
    assert (type(error), error.is_retryable, error.job_name) == (NotebookJobServiceError, True, "job-1")
    assert has_refused_credentials(error)
    assert needs_reopening(error)
    assert "sagemaker:CreateTrainingJob on 'job-1'" in str(error)
    assert "give the AWS connection a key or a role" in error.details["next"]


@pytest.mark.parametrize("raised", LATE, ids=lambda error: str(error)[:60])
def test_credentials_that_cannot_be_had_now_are_worth_a_retry(raised):
    error = translation(raised)
    assert (type(error), error.is_retryable) == (NotebookJobServiceError, True)
    assert needs_reopening(error)
    assert not has_refused_credentials(error)


@pytest.mark.parametrize(
    "raised",
    [
        client_error("RequestTimeTooSkewed", status=403),
        client_error("RequestExpired"),
        client_error("RequestInTheFuture"),
        client_error("SignatureDoesNotMatch", "Signature expired: 20261122T030000Z is now earlier than 2026…", 403),
        client_error("InvalidSignatureException", "Signature not yet current: 20261122T030000Z is still later than …"),
    ],
    ids=lambda error: str(error)[:60],
)
def test_a_skewed_clock_passes_and_no_other_key_would_help(raised):
    error = translation(raised)
    assert (type(error), error.is_retryable) == (NotebookJobServiceError, True)
    assert not has_refused_credentials(error)
    assert error.details["next"] == "set the clock of this machine (NTP)"


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("something else"),
        NotebookJobConfigError("said already: the refreshed credentials are still expired"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_another_runtime_error_is_no_matter_of_credentials(raised):
    """Our own errors are RuntimeErrors as well."""
    with pytest.raises(RuntimeError) as caught, translated("s3:GetObject", on="x"):
        raise raised
    assert caught.value is raised


def test_a_missing_region_says_where_to_set_it():
    error = translation(botocore.exceptions.NoRegionError())
    assert type(error) is NotebookJobConfigError
    assert "set region_name on the task" in error.details["next"]


def test_a_refused_request_is_quoted():
    error = translation(client_error("ValidationException", "1 validation error detected: …"))
    assert type(error) is NotebookJobConfigError
    assert "SageMaker refused the request for 'job-1': 1 validation error detected" in str(error)


def test_a_malformed_request_is_a_configuration_error():
    error = translation(botocore.exceptions.ParamValidationError(report="Unknown parameter"))
    assert type(error) is NotebookJobConfigError


QUOTA = (
    "The account-level service limit 'ml.m5.2xlarge for training job usage' is {} Instances, with current utilization of {} "
    "Instances and a request delta of {} Instances. Please use AWS Service Quotas to request an increase for this quota."
)


@pytest.mark.parametrize(("limit", "used", "asked"), [(0, 0, 1), (1, 0, 2), (2, 0, 4), ("1.0", "0.0", "2.0")])
def test_a_quota_of_an_instance_type_that_never_fits_leaves_the_next_type(limit, used, asked):
    error = translation(client_error("ResourceLimitExceeded", QUOTA.format(limit, used, asked)))
    assert type(error) is ZeroQuotaError
    assert "quota 'ml.m5.2xlarge for training job usage' never allows this job" in error.headline
    assert f"is {limit} Instances" in error.headline
    assert error.details["next"].startswith("use another instance_type, or ask for more of the named quota")


@pytest.mark.parametrize(
    ("limit", "used", "asked"), [(1, 1, 1), (10, 10, 1), (20, 20, 1), (2, 3, 1), (4, 3, 2), (2, 1, 2)]
)
def test_a_quota_in_use_is_worth_a_retry(limit, used, asked):
    error = translation(client_error("ResourceLimitExceeded", QUOTA.format(limit, used, asked)))
    assert type(error) is NotebookJobCapacityError


@pytest.mark.parametrize(
    ("message", "name", "remedy"),
    [
        (
            (
                "The account-level service limit 'Longest run time for a training job' is 432000 Seconds, with current utilization of 0 Seconds and a request "
                "delta of 604800 Seconds."
            ),
            "Longest run time for a training job",
            "lower max_runtime_in_seconds",
        ),
        (
            "The account-level service limit 'Longest run time for a training job' is 5 Days, with a request delta of 604,800 Seconds.",
            "Longest run time for a training job",
            "lower max_runtime_in_seconds",
        ),
        (
            (
                "The account-level service limit 'Size of EBS volume for a training job instance' is 1,024 GB, with current utilization of 0 GB and a request delta "
                "of 16384 GB."
            ),
            "Size of EBS volume for a training job instance",
            "lower volume_size",
        ),
        (
            "The account-level service limit 'Size of EBS volume for a training job instance' is 1 TiB, with a request delta of 2048.5 GiB",
            "Size of EBS volume for a training job instance",
            "lower volume_size",
        ),
        (
            "The account-level service limit 'Total EBS volume size across all training jobs' is 0 GiB",
            "Total EBS volume size across all training jobs",
            "lower volume_size",
        ),
        (
            (
                "The account-level service limit 'Number of instances across all training jobs' is 4 Instances, with current utilization of 0 Instances and a "
                "request delta of 11 Instances."
            ),
            "Number of instances across all training jobs",
            "ask for fewer instances",
        ),
        (
            "The account-level service limit 'Number of training jobs per account' is 0, with current utilization of 0",
            "Number of training jobs per account",
            "",
        ),
    ],
)
def test_a_quota_that_never_fits_is_named_with_what_to_change(message, name, remedy):
    """The task would wait for six hours, and be refused as at first."""
    error = translation(client_error("ResourceLimitExceeded", message))
    assert type(error) is NotebookJobConfigError
    assert f"quota '{name}' never allows this job" in error.headline
    assert message in error.headline
    either = f"{remedy}, or " if remedy else ""
    assert error.details["next"] == f"{either}ask for more of the named quota in the Service Quotas console"


def test_an_older_wording_of_a_quota_of_zero_is_known():
    message = "The account-level service limit for training-job/ml.p2.xlarge is 0 Instances, with current utilization of 0 Instances and a request delta of 2 Instances."
    error = translation(client_error("ResourceLimitExceeded", message))
    assert type(error) is ZeroQuotaError
    assert "quota 'training-job/ml.p2.xlarge'" in error.headline


@pytest.mark.parametrize(
    "message",
    [
        "You have reached the limit",
        "A resource can have at most 50 tags; these would make 60.",
        "The account-level service limit 'ml.m5.xlarge for training job usage' is 4 Instances. Current utilization is 4 Instances.",
        (
            "The account-level service limit 'Total EBS volume size across all training jobs' is 1000 GiB, with current utilization of 900 GiB and a request delta of 200 "
            "GiB."
        ),
        "The account-level service limit 'ml.m5.large for training job usage' is many Instances",
        "",
    ],
)
def test_a_quota_that_others_use_or_of_unknown_wording_is_worth_a_retry(message):
    assert type(translation(client_error("ResourceLimitExceeded", message))) is NotebookJobCapacityError


def test_a_missing_bucket_is_a_configuration_error():
    error = translation(client_error("NoSuchBucket"), "s3:PutObject", "s3://b/k")
    assert type(error) is NotebookJobConfigError
    assert "correct s3_root_uri" in error.details["next"]


def test_a_code_not_known_here_is_shown_and_not_retried():
    error = translation(client_error("Odd"))
    assert (type(error), error.code, error.is_retryable) == (NotebookJobServiceError, "Odd", False)


def test_another_botocore_error_keeps_its_name():
    error = translation(botocore.exceptions.UnknownServiceError(service_name="x", known_service_names="y"))
    assert (error.code, error.is_retryable) == ("UnknownServiceError", False)


def test_our_own_and_foreign_errors_pass_unchanged():
    for raised in (ValueError("x"), NotebookJobConfigError("y")):
        with pytest.raises(type(raised)) as caught, translated("s3:GetObject", on="x"):
            raise raised
        assert caught.value is raised


# -- what an on-call person would want of the rest -----------------------------------------------------------------------


@pytest.mark.parametrize(("code", "status"), [("NotImplemented", 501), ("HttpVersionNotSupported", 505)])
def test_what_a_service_never_does_is_not_asked_for_again(code, status):
    """Stores that speak S3 answer 501 to what they lack: a task would wait for as long as its job may run."""
    assert translation(client_error(code, status=status)).is_retryable is False


@pytest.mark.parametrize("code", ["XAmzContentSHA256Mismatch", "ConditionalRequestConflict"])
def test_what_was_damaged_on_its_way_or_came_at_a_bad_moment_is_sent_again(code):
    assert translation(client_error(code)).is_retryable


def test_a_web_identity_token_that_has_expired_is_read_again():
    """A pod's token is renewed in its file; STS speaks of a claim, not of a token."""
    error = translation(client_error("IDPRejectedClaim", "the claim has expired", status=403), "sts:AssumeRole", "c")
    assert error.is_retryable
    assert needs_reopening(error)


@pytest.mark.parametrize("code", ["KMS.AccessDeniedException", "NotAuthorized"])
def test_a_denial_in_other_words_is_a_denial(code):
    message = "User: x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:1:key/k"
    error = translation(client_error(code, message), "s3:GetObject", "s3://b/k")
    assert is_denied(error)
    assert (
        error.details["next"] == "the identity that Airflow uses needs kms:Decrypt on 'arn:aws:kms:eu-west-1:1:key/k'"
    )


def test_an_answer_that_botocore_cannot_parse_is_worth_a_retry():
    """A proxy's page in HTML: botocore raises what is no BotoCoreError."""
    error = translation(ResponseParserError("Unable to parse response (mismatched tag: line 6, column 2)"))
    assert error.is_retryable
    assert "an answer that is not from AWS" in error.headline


@pytest.mark.parametrize(
    "raised",
    [NotebookJobConfigError("x"), NotebookJobServiceError("x", code="prepare"), NotebookJobServiceError("x", code="")],
    ids=["no error of a service", "a name that is no class", "no code"],
)
def test_an_error_that_only_looks_like_a_lost_answer_is_none(raised):
    assert got_no_answer(raised) is False


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (client_error("RequestExpired"), "RequestExpired"),
        (client_error("SignatureDoesNotMatch", "Signature expired: 2026", 403), "RequestTimeTooSkewed"),
        (
            client_error("AccessDeniedException", "The security token included in the request has expired"),
            "ExpiredToken",
        ),
        (
            client_error("InvalidClientTokenId", "The security token included in the request is invalid"),
            "InvalidClientTokenId",
        ),
        (client_error("KMS.ThrottlingException"), "ThrottlingException"),
        (client_error("TooFast", status=429), "429"),
        (client_error("Throttling", status=429), "Throttling"),
        (client_error("KMS.AccessDeniedException"), "AccessDeniedException"),
        (botocore.exceptions.NoCredentialsError(), "NoCredentialsError"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="https://x"), "ReadTimeoutError"),
        (RuntimeError("the refreshed credentials are still expired"), "CredentialRetrievalError"),
        (ResponseParserError("<html>"), "MalformedResponse"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_code_is_that_of_aws_where_it_says_what_is_wrong(raised, code):
    """Callbacks and the pages read it."""
    error = translation(raised)
    assert (error.code, error.job_name) == (code, "job-1")


@pytest.mark.parametrize(("status", "is_retryable"), [(408, True), (499, False), (500, True), (502, True), (599, True)])
def test_a_code_of_next_year_is_judged_by_its_status(status, is_retryable):
    assert translation(client_error("Odd", status=status)).is_retryable is is_retryable


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        ("ThrottlingException", {is_throttled}),
        ("AccessDenied", {is_denied}),
        ("ExpiredToken", {has_refused_credentials, needs_reopening}),
        ("CredentialRetrievalError", {needs_reopening}),
        ("InternalFailure", set()),
    ],
)
def test_each_error_is_of_its_own_kind_alone(code, kinds):
    asked = (is_throttled, is_denied, has_refused_credentials, needs_reopening)
    assert {each for each in asked if each(NotebookJobServiceError("x", code=code))} == kinds
    assert not any(each(NotebookJobConfigError("x")) for each in asked)


def test_an_answer_without_a_code_or_a_message_is_shown_as_botocore_shows_it():
    bare = ClientError({}, "CreateTrainingJob")
    error = translation(bare)
    assert (error.code, error.is_retryable) == ("", False)
    assert str(bare) in str(error)
    assert error_message(bare) == str(bare)
    assert error_message(client_error("x", "said")) == "said"


@pytest.mark.parametrize("code", ["NoSuchBucket", "404"])
def test_a_bucket_is_missing_for_calls_to_s3_alone(code):
    assert type(translation(client_error(code), "s3:ListBucket", "s3://b")) is NotebookJobConfigError
    other = translation(client_error(code), "logs:GetLogEvents", "job")
    assert (type(other), other.code) == (NotebookJobServiceError, code)


def test_an_endpoint_that_is_no_url_is_a_configuration_error():
    error = translation(ValueError("Invalid endpoint: sagemaker"))
    assert type(error) is NotebookJobConfigError
    assert (
        error.headline
        == "sagemaker:CreateTrainingJob on 'job-1': Invalid endpoint: sagemaker; an endpoint_url is a URL, as https://…"
    )


def test_each_refusal_of_a_request_says_whose_it_was():
    """Several jobs may be asked for in one task."""
    for raised in (
        client_error("ValidationException"),
        client_error("ResourceLimitExceeded", "You have reached the limit"),
        client_error("ResourceLimitExceeded", QUOTA.format(0, 0, 1)),
        client_error("Odd"),
    ):
        assert translation(raised).job_name == "job-1"


@pytest.mark.parametrize(
    ("message", "what"), [(QUOTA.format(1, 1, 1), "quota for this instance type"), ("limit", "quota")]
)
def test_a_quota_in_use_is_said_of_the_instance_type_only_where_it_is_its(message, what):
    error = translation(client_error("ResourceLimitExceeded", message))
    assert error.headline == f"the account's {what} is in use: {message}"
    assert error.details["next"] == "retry when other jobs have ended, or raise the quota"


def test_a_denied_write_or_a_named_permission_says_nothing_of_what_is_not_there():
    message = "User: x is not authorized to perform: s3:GetObject"
    assert (
        "s3:ListBucket"
        not in translation(client_error("AccessDenied", message), "s3:GetObject", "s3://b/k").details["next"]
    )
    assert "s3:ListBucket" not in translation(client_error("AccessDenied"), "s3:PutObject", "s3://b/k").details["next"]


def test_what_is_said_of_a_call_is_said_with_its_name_and_what_it_was_about():
    error = translation(client_error("Odd", "why"), "s3:PutObject", "s3://b/k")
    assert error.headline == "s3:PutObject on 's3://b/k' failed: Odd: why"
    assert "next" not in error.details
    skewed = translation(client_error("RequestTimeTooSkewed", "why"))
    assert (
        skewed.headline
        == "AWS takes the time of sagemaker:CreateTrainingJob on 'job-1' for wrong (RequestTimeTooSkewed): why"
    )
    refused = translation(client_error("ExpiredToken", "why"))
    assert (
        refused.headline
        == "AWS does not accept the credentials (ExpiredToken) for sagemaker:CreateTrainingJob on 'job-1': why"
    )


def test_a_call_that_botocore_itself_held_back_is_worth_a_retry():
    assert translation(botocore.exceptions.CapacityNotAvailableError()).is_retryable


def test_a_value_that_is_none_of_a_long_list_is_told_what_was_meant_without_the_list():
    known = ", ".join(
        f"ml.{family}.{size}"
        for family in ("m5", "c5", "g5", "r5", "m6i", "c6i")
        for size in ("large", "xlarge", "2xlarge")
    )
    constraint = f"failed to satisfy constraint: Member must satisfy enum value set: [{known}]"
    message = f"1 validation error detected: Value 'ml.m55.large' at 'resourceConfig.instanceType' {constraint}"
    error = translation(client_error("ValidationException", message))
    assert str(error).endswith(
        "Value 'ml.m55.large' at 'resourceConfig.instanceType' is none of the 18 that SageMaker knows; "
        "did you mean 'ml.m5.large' or 'ml.m5.xlarge' or 'ml.m5.2xlarge'?"
    )
    short = "1 validation error detected: Value 'x' at 'y' failed to satisfy constraint: Member must satisfy enum value set: [a, b]"
    assert short in str(translation(client_error("ValidationException", short)))
