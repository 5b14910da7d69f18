"""Who may call the embedded SageMaker, over the real wire."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from airflow_nbjobs.local.wire.access import check_access, parse_caller
from airflow_nbjobs.local.wire.formats import Caller, ServiceError

if TYPE_CHECKING:
    from local_jobs import Jobs

KEY = "AKIALOCALTEST"


def signed(service: str, key: str = KEY) -> dict[str, Any]:
    scope = f"{key}/20261124/eu-west-1/{service}/aws4_request"
    return {
        "HTTP_HOST": "127.0.0.1:4599",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
    }


def test_a_callers_key_region_and_service_are_read_from_every_form_of_signature() -> None:
    presigned = {
        "QUERY_STRING": f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F20261124%2Feu-west-1%2Fs3%2Faws4_request"
    }
    callers = [
        parse_caller(signed("sagemaker")),
        parse_caller(presigned),
        parse_caller({"QUERY_STRING": f"AWSAccessKeyId={KEY}&Signature=x&Expires=1"}),
        parse_caller({"HTTP_AUTHORIZATION": f"AWS {KEY}:c2ln"}),
        parse_caller({}),
    ]
    assert callers == [
        Caller(KEY, "eu-west-1", "sagemaker"),
        Caller(KEY, "eu-west-1", "s3"),
        Caller(KEY, "", "s3"),
        Caller(KEY, "", "s3"),
        Caller("", "", ""),
    ]


@pytest.mark.parametrize("host", ["127.0.0.1:4599", "localhost:4599", "localhost", "[::1]:4599", "127.0.0.2"])
def test_the_owners_key_gets_in_by_any_loopback_name(host: str) -> None:
    environ = {**signed("s3"), "HTTP_HOST": host}
    check_access(environ, parse_caller(environ), KEY)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"HTTP_HOST": "evil.example:4599"}, "host name 'evil.example:4599'"),
        ({"HTTP_HOST": ""}, "host name ''"),
        ({"HTTP_HOST": "127.0.0.1.evil.example"}, "host name"),
        ({"HTTP_ORIGIN": "http://localhost:8080"}, "web pages"),
        ({"HTTP_ORIGIN": "null"}, "web pages"),
        ({"HTTP_AUTHORIZATION": ""}, "no access key id"),
        (signed("sagemaker", "AKIAELSE"), "another access key id"),
        (signed("sagemaker", KEY + "X"), "another access key id"),
    ],
)
def test_everybody_else_is_refused_with_what_to_do(change: dict[str, str], words: str) -> None:
    environ = {**signed("sagemaker"), **change}
    with pytest.raises(ServiceError) as error:
        check_access(environ, parse_caller(environ), KEY)
    assert error.value.status == 403
    assert words in error.value.message


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sagemaker", "list_training_jobs", "UnrecognizedClientException"),
        ("logs", "describe_log_groups", "UnrecognizedClientException"),
        ("ssm", "describe_parameters", "UnrecognizedClientException"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
        ("iam", "list_roles", "InvalidClientTokenId"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
    ],
)
def test_every_service_asks_for_the_key_in_its_own_words(jobs: Jobs, service: str, operation: str, code: str) -> None:
    stranger = client(jobs, service, key="AKIASTRANGER")
    with pytest.raises(ClientError) as error:
        getattr(stranger, operation)()
    assert error.value.response["Error"]["Code"] == code
    assert "AWS_ACCESS_KEY_ID" in error.value.response["Error"]["Message"]
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_a_large_upload_without_the_key_gets_the_answer_and_not_a_broken_pipe(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        client(jobs, "s3", key="AKIASTRANGER").put_object(
            Bucket=jobs.facts.default_bucket, Key="x", Body=b"x" * 20_000_000
        )


def test_a_web_page_gets_no_answer_and_no_cors_header(jobs: Jobs) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        request = urllib.request.Request(
            jobs.facts.endpoint_url, method=method, data=b"{}" if method == "POST" else None
        )
        request.add_header("Origin", "https://evil.example")
        request.add_header("X-Amz-Target", "SageMaker.CreateTrainingJob")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=10)
        with error.value as response:
            assert response.code == 403
            assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def test_a_buckets_own_cors_rules_do_not_get_out(jobs: Jobs) -> None:
    rules = {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    jobs.s3.put_bucket_cors(Bucket=jobs.facts.default_bucket, CORSConfiguration=rules)
    jobs.s3.put_object(Bucket=jobs.facts.default_bucket, Key="cors", Body=b"x")
    headers = jobs.s3.get_object(Bucket=jobs.facts.default_bucket, Key="cors")["ResponseMetadata"]["HTTPHeaders"]
    assert not [name for name in headers if name.lower().startswith("access-control-")]


def test_a_presigned_url_works_and_a_strangers_does_not(jobs: Jobs) -> None:
    jobs.s3.put_object(Bucket=jobs.facts.default_bucket, Key="shared", Body=b"content")
    arguments = {"Bucket": jobs.facts.default_bucket, "Key": "shared"}
    url = jobs.s3.generate_presigned_url("get_object", Params=arguments)
    with urllib.request.urlopen(url, timeout=10) as response:
        assert response.read() == b"content"
    stranger = client(jobs, "s3", key="AKIASTRANGER").generate_presigned_url("get_object", Params=arguments)
    with pytest.raises(urllib.error.HTTPError, match="403") as error:
        urllib.request.urlopen(stranger, timeout=10)
    error.value.close()


@pytest.mark.parametrize("path", ["/moto-api/", "/moto-api/reset", "/latest/meta-data/iam", "/latest/api/token"])
def test_motos_own_pages_are_closed_even_to_the_owner(jobs: Jobs, path: str) -> None:
    request = urllib.request.Request(jobs.facts.endpoint_url + path)
    request.add_header("Authorization", signed("s3", jobs.facts.access_key_id)["HTTP_AUTHORIZATION"])
    with pytest.raises(urllib.error.HTTPError, match="403") as error:
        urllib.request.urlopen(request, timeout=10)
    error.value.close()


@pytest.mark.parametrize(
    ("service", "operation"),
    [
        ("ec2", "describe_instances"),
        ("sqs", "list_queues"),
        ("lambda", "list_functions"),
        ("pricing", "describe_services"),
        ("dynamodb", "list_tables"),
    ],
)
def test_another_aws_service_is_refused_by_name(jobs: Jobs, service: str, operation: str) -> None:
    """Each of these speaks another protocol; its client must show our text, not a parser's error."""
    with pytest.raises(ClientError) as error:
        getattr(client(jobs, service), operation)()
    assert "The embedded SageMaker does not support the AWS service" in error.value.response["Error"]["Message"]


def test_an_operation_that_is_not_there_is_refused_by_name(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match=r"does not support ListEndpoints; it has .*CreateTrainingJob"):
        jobs.sagemaker.list_endpoints()


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("logs", "start_query", {"startTime": 0, "endTime": 1, "queryString": "fields @message"}),
        ("ssm", "describe_sessions", {"State": "Active"}),
        ("iam", "get_organizations_access_report", {"JobId": "0" * 36}),
        ("sts", "decode_authorization_message", {"EncodedMessage": "x"}),
        ("s3", "restore_object", {"Bucket": "{bucket}", "Key": "no such"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b""}),
    ],
)
def test_what_moto_does_not_have_or_fails_on_is_refused_by_name_and_never_a_500(
    jobs: Jobs, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    given = {name: jobs.facts.default_bucket if value == "{bucket}" else value for name, value in arguments.items()}
    with pytest.raises(ClientError) as error:
        getattr(client(jobs, service), operation)(**given)
    response = error.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404)
    if service != "s3":
        assert "The embedded SageMaker" in response["Error"]["Message"]


def test_no_operation_of_sagemaker_is_a_500_whatever_it_is_sent(jobs: Jobs) -> None:
    model = jobs.sagemaker.meta.service_model
    for operation in model.operation_names:
        status, answer = sent(jobs, "sagemaker", b"{}", target=f"SageMaker.{operation}")
        assert status in (200, 400), operation
        if answer.get("__type") == "UnknownOperationException":
            assert f"does not support {operation};" in answer["message"]


@pytest.mark.parametrize(
    ("service", "target"),
    [
        ("sagemaker", "SageMaker.CreateTrainingJob"),
        ("sagemaker", "Logs_20140328.FilterLogEvents"),
        ("sagemaker", ""),
        ("logs", "Logs_20140328.FilterLogEvents"),
        ("logs", "Logs_20140328.Nope"),
        ("logs", ""),
        ("ssm", "AmazonSSM.GetParameter"),
        ("ssm", "nonsense"),
        ("iam", ""),
        ("sts", ""),
    ],
)
def test_malformed_requests_are_the_callers_error(jobs: Jobs, service: str, target: str) -> None:
    bodies = [
        b"",
        b"{}",
        b"[]",
        b"{",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"Name": [], "limit": "x"}',
        b"Action=Nope",
        b"<a",
    ]
    for body in bodies:
        for kind in ("application/x-amz-json-1.1", "application/x-www-form-urlencoded", "text/xml", ""):
            assert sent(jobs, service, body, target=target, kind=kind)[0] in (400, 404), (body[:20], kind)
    for length in ("abc", "-1", "1e3"):
        assert sent(jobs, service, b"{}", target=target, length=length)[0] == 400


def sent(
    jobs: Jobs, service: str, body: bytes, *, target: str, kind: str = "", length: str = ""
) -> tuple[int, dict[str, Any]]:
    """Return the status of a request as no client would send it, and what a JSON answer says."""
    where = urllib.parse.urlsplit(jobs.facts.endpoint_url)
    connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=20)
    headers = {"X-Amz-Target": target, "Content-Type": kind, "Content-Length": length or str(len(body))}
    headers["Authorization"] = signed(service, jobs.facts.access_key_id)["HTTP_AUTHORIZATION"]
    try:
        connection.putrequest("POST", "/")
        for name, value in headers.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        is_json = "json" in response.headers.get("Content-Type", "")
        return response.status, json.loads(data) if is_json else {}
    finally:
        connection.close()


def test_another_region_is_refused_by_name(jobs: Jobs) -> None:
    with pytest.raises(ClientError, match="plays the region eu-west-1; this request is for us-east-1"):
        client(jobs, "sagemaker", region="us-east-1").list_training_jobs()


def test_a_body_that_is_no_json_object_is_a_serialization_error(jobs: Jobs) -> None:
    for body in (b"{", b"[]"):
        request = urllib.request.Request(jobs.facts.endpoint_url, data=body)
        request.add_header("Authorization", signed("sagemaker", jobs.facts.access_key_id)["HTTP_AUTHORIZATION"])
        request.add_header("X-Amz-Target", "SageMaker.ListTrainingJobs")
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(request, timeout=10)
        with error.value as response:
            assert json.load(response)["__type"] == "SerializationException"


def test_the_account_is_furnished(jobs: Jobs) -> None:
    facts = jobs.facts
    buckets = {bucket["Name"] for bucket in jobs.s3.list_buckets()["Buckets"]}
    assert {facts.default_bucket, facts.sample_bucket} <= buckets
    assert jobs.s3.list_objects_v2(Bucket=facts.sample_bucket)["KeyCount"] > 0
    assert client(jobs, "iam").get_role(RoleName="NotebookJobs")["Role"]["Arn"] == facts.role_arn
    name = "/aws/service/sagemaker-distribution/ecr-account-id"
    assert client(jobs, "ssm").get_parameter(Name=name)["Parameter"]["Value"] == "819792524951"
    assert client(jobs, "sts").get_caller_identity()["Account"] == facts.account_id
    with pytest.raises(ClientError, match="ParameterNotFound"):
        client(jobs, "ssm").get_parameter(Name="/no/such")


def client(jobs: Jobs, service: str, *, key: str = "", region: str = "") -> Any:
    facts = jobs.facts
    session = boto3.session.Session(key or facts.access_key_id, "secret", region_name=region or facts.region)
    return session.client(
        service, endpoint_url=facts.endpoint_url, config=Config(proxies={}, retries={"total_max_attempts": 1})
    )
