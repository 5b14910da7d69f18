"""How the embedded services read requests and answer with errors: each in the protocol of the service that was called."""

from __future__ import annotations

import io
import json

import pytest

from airflow_nbjobs.local.wire.formats import (
    ServiceError,
    check_length,
    error_response,
    parse_json_object,
    read_body,
    replace_body,
)


@pytest.mark.parametrize("length", ["-1", "x", "1.0", "٣", " 1"])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(ServiceError, match="is no length"):
        check_length({"CONTENT_LENGTH": length})


@pytest.mark.parametrize("length", ["0", "12", "", None])
def test_a_length_is_a_number_or_missing(length):
    check_length({"CONTENT_LENGTH": length})


def test_a_body_ends_where_its_length_says_and_in_chunks_where_the_stream_does():
    assert read_body({"CONTENT_LENGTH": "2", "wsgi.input": io.BytesIO(b"abc"), "wsgi.input_terminated": True}) == b"ab"
    assert read_body({"wsgi.input": io.BytesIO(b"abc"), "wsgi.input_terminated": True}) == b"abc"
    assert read_body({"wsgi.input": io.BytesIO(b"abc")}) == b"", "nobody knows where it ends"
    environ = {"CONTENT_LENGTH": "3", "wsgi.input": io.BytesIO(b"abc")}
    replace_body(environ, b"long enough")
    assert read_body(environ) == b"long enough"


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"{", "is not JSON"), (b"[" * 100_000, "is not JSON"), (b"[]", "not a JSON object"), (b"\xff", "is not JSON")],
    ids=lambda value: str(value)[:10],
)
def test_what_is_no_json_object_is_refused(body, words):
    with pytest.raises(ServiceError) as caught:
        parse_json_object(body)
    assert (caught.value.code, words in caught.value.message) == ("SerializationException", True)


def test_an_empty_body_is_an_empty_object():
    assert (parse_json_object(b""), parse_json_object(b'{"a": 1}')) == ({}, {"a": 1})


FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("environ", "service", "kind", "begins"),
    [
        ({"HTTP_X_AMZ_TARGET": "SageMaker.X"}, "sagemaker", "application/x-amz-json-1.1", "{"),
        ({}, "logs", "application/x-amz-json-1.1", "{"),
        ({"HTTP_X_AMZ_TARGET": "X"}, "s3", "application/x-amz-json-1.1", "{"),
        ({}, "s3", "application/xml", "<Error><Code>C</Code><Message>a &lt; b</Message>"),
        ({}, "", "application/xml", "<Error>"),
        (FORM, "", "application/xml", "<ErrorResponse>"),
        ({}, "sts", "application/xml", "<ErrorResponse><Error><Type>Sender</Type>"),
        (FORM, "monitoring", "application/xml", "<ErrorResponse>"),
        ({"HTTP_SMITHY_PROTOCOL": "rpc-v2-cbor"}, "monitoring", "application/cbor", None),
    ],
)
def test_an_error_is_of_the_protocol_that_its_client_reads(environ, service, kind, begins):
    answer = error_response(environ, ServiceError("C", "a < b", 418), service)
    assert (answer.status_code, answer.mimetype) == (418, kind)
    body = answer.get_data()
    if begins is None:
        assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
        assert b"a < b" in body
    elif begins == "{":
        assert json.loads(body) == {"__type": "C", "message": "a < b"}
        assert answer.headers["x-amzn-ErrorType"] == "C"
    else:
        assert body.decode().split("\n", 1)[1].startswith(begins)
