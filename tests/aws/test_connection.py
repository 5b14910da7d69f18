"""A client whose credentials are refused is replaced by one on a fresh connection, once for all who were refused together."""

import threading

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.connection import Port, is_of_aws
from airflow_nbjobs.core.errors import NotebookJobServiceError


def refusal(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 400}}, "Call")


class Client:
    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = 0

    def call(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


def ask(port):
    return port.ask("s3:PutObject", lambda client: client.call(), on="s3://b/k")


@pytest.mark.parametrize(
    "error",
    [refusal("ExpiredToken"), refusal("RequestExpired"), CredentialRetrievalError(provider="iam-role", error_msg="x")],
    ids=str,
)
def test_a_refused_call_is_made_again_with_a_fresh_client(error):
    stale, fresh = Client(error), Client()
    port = Port(stale, lambda: fresh)
    assert [ask(port), ask(port)] == ["answer", "answer"]
    assert (stale.calls, fresh.calls) == (1, 2)


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "ValidationException", "RequestTimeTooSkewed"])
def test_what_other_credentials_would_not_help_is_raised_at_once(code):
    with pytest.raises(Exception, match=code if code != "ValidationException" else "refused the request") as caught:
        ask(Port(Client(refusal(code)), lambda: pytest.fail("read again")))
    assert caught.value.__cause__ is not None


def test_threads_that_are_refused_together_read_the_connection_once():
    """Sixteen uploads at a time share one client."""
    together = threading.Barrier(16)

    class Refusing(Client):
        def call(self):
            together.wait(10)
            raise refusal("ExpiredToken")

    made, answers = [], []

    def renew():
        made.append(Client())
        return made[-1]

    port = Port(Refusing(), renew)
    threads = [threading.Thread(target=lambda: answers.append(ask(port))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == ["answer"] * 16
    assert [client.calls for client in made] == [16]


def test_the_refusal_of_a_fresh_client_is_told():
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials") as caught:
        ask(Port(Client(refusal("ExpiredToken")), lambda: Client(refusal("ExpiredToken"))))
    assert caught.value.is_retryable


def test_a_connection_that_cannot_be_read_again_leaves_the_refusal_and_the_client_as_they_are():
    def renew():
        raise OSError("the API server is away")

    port = Port(Client(refusal("ExpiredToken")), renew)
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials") as caught:
        ask(port)
    assert caught.value.is_retryable
    assert str(caught.value.__cause__) == "the API server is away"
    assert ask(port) == "answer"


def test_every_port_of_a_connection_is_renewed_and_the_account_too():
    opened, reopened = [], []

    class Service:
        def __init__(self, name, generation):
            self.name, self.generation = name, generation
            self.meta = type("Meta", (), {"region_name": "xx-renewed-1"})

        def get_paginator(self, operation):
            return type("Paginator", (), {"paginate": lambda _, **given: [getattr(self, operation)(**given)]})()

        def __getattr__(self, operation):
            def call(**_):
                if self.generation == 0:
                    raise refusal("ExpiredToken")
                return {
                    "Role": {"Arn": "arn"},
                    "Parameter": {"Value": "1"},
                    "Body": "body",
                    "events": [],
                    "logStreams": [],
                    "TrainingJobSummaries": [],
                }

            return call

    def make_client(name):
        opened.append((name, len(reopened)))
        return Service(name, len(reopened))

    for use in (
        lambda clients: clients.account.role_arn("Jobs"),
        lambda clients: clients.account.distribution_account_id(),
        lambda clients: clients.objects.open("s3://b/k").close,
        lambda clients: clients.objects.put("s3://b/k", b"", kms_key=None),
        lambda clients: clients.logs.events(since=0),
        lambda clients: clients.logs.tail("job", limit=1),
        lambda clients: clients.jobs.stop("job"),
    ):
        opened.clear()
        reopened.clear()
        use(Boto3Clients(make_client, lambda: reopened.append(1)))
        assert [generation for _, generation in opened] == [0, 1]
        assert len({name for name, _ in opened}) == 1


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.sagemaker.eu-west-1.amazonaws.com", True),
        ("https://api.sagemaker.cn-north-1.amazonaws.com.cn", True),
        ("https://s3.eu-west-1.api.aws/", True),
        ("https://vpce-1.api.sagemaker.eu-west-1.vpce.amazonaws.com:443", True),
        ("http://127.0.0.1:5000", False),
        ("http://localstack:4566", False),
        ("https://amazonaws.com.evil.example", False),
        ("https://notamazonaws.com", False),
        ("", False),
    ],
)
def test_what_answers_at_an_endpoint_is_known_by_its_name(url, expected):
    assert is_of_aws(url) is expected


def test_without_a_way_to_read_the_connection_again_a_refusal_is_raised():
    client = Client(refusal("ExpiredToken"))
    with pytest.raises(NotebookJobServiceError, match="does not accept the credentials") as caught:
        Port(client).ask("s3:PutObject", lambda each: each.call(), on="s3://b/k", job_name="job")
    assert (client.calls, caught.value.job_name) == (1, "job")


def test_the_second_refusal_says_whose_job_it_was_too(caplog):
    port = Port(Client(refusal("ExpiredToken")), lambda: Client(refusal("AccessDenied")))
    with pytest.raises(NotebookJobServiceError, match=r"AccessDenied on s3:PutObject for 's3://b/k'") as caught:
        port.ask("s3:PutObject", lambda client: client.call(), on="s3://b/k", job_name="job")
    assert caught.value.job_name == "job"
    assert "reading the AWS connection again" in caplog.text
