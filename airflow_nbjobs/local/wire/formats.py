"""
The AWS wire formats that the embedded SageMaker answers in: JSON 1.1, and errors in the form that each kind of client parses.

Used by ``access.py`` and ``server.py``; knows no operation.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Response = Iterable[bytes]


class ServiceError(Exception):
    """
    An answer in the service's words.

    :param code: as AWS sends it, ``ValidationException``.
    :param status: HTTP status; AWS' JSON services answer 400 to whatever the caller got wrong.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(code, message, status)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who signed a request, and for what.

    :param service: the signing name, ``sagemaker``, ``s3``; empty where the signature does not say (SigV2, which only S3 ever had).
    """

    access_key_id: str
    region: str
    service: str


class HeldStart:
    """The start of an answer, kept back until it is known whether it is sent."""

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self._arguments: tuple[Any, ...] = ()

    def __call__(self, status: str, headers: list[tuple[str, str]], *arguments: Any) -> None:
        self.status, self.headers, self._arguments = status, headers, arguments

    def send(self, start_response: StartResponse) -> None:
        start_response(self.status, self.headers, *self._arguments)


def check_length(environ: Environ) -> None:
    """
    Refuse a request whose length is none, before anybody reads it.

    :raises ServiceError: 400.
    """
    length = str(environ.get("CONTENT_LENGTH") or "0")
    if not (length.isascii() and length.isdecimal()):
        raise ServiceError("SerializationException", f"Content-Length {length!r} is no length")


def read_body(environ: Environ) -> bytes:
    if environ.get("wsgi.input_terminated") and "CONTENT_LENGTH" not in environ:  # sent in chunks
        return bytes(environ["wsgi.input"].read())
    return bytes(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def replace_body(environ: Environ, body: bytes) -> None:
    """Let whoever reads the request next find this."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))


def parse_json_object(body: bytes) -> dict[str, Any]:
    """
    Return the request of a JSON-1.1 operation.

    :raises ServiceError: it is no JSON object.
    """
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ServiceError("SerializationException", "The request is not a JSON object")
    return value


def send_json(
    start_response: StartResponse, body: Mapping[str, Any], status: int = 200, *, error_type: str = ""
) -> Response:
    data = json.dumps(body).encode()
    headers = [
        ("Content-Type", "application/x-amz-json-1.1"),
        ("Content-Length", str(len(data))),
        ("x-amzn-RequestId", str(uuid.uuid4())),
    ]
    if error_type:
        headers.append(("x-amzn-ErrorType", error_type))
    start_response(f"{status} {'OK' if status == 200 else 'Error'}", headers)
    return [data]


def send_error(environ: Environ, start_response: StartResponse, error: ServiceError, service: str) -> Response:
    """Answer in the protocol of the service that was called, so that its client shows code and message."""
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        data, kind = _cbor_texts({"__type": error.code, "message": error.message}), "application/cbor"
        headers = [("Content-Type", kind), ("Content-Length", str(len(data))), ("smithy-protocol", "rpc-v2-cbor")]
        start_response(f"{error.status} Error", headers)
        return [data]
    if environ.get("HTTP_X_AMZ_TARGET") or (service not in {"", "s3", "iam", "sts"} and not _is_form(environ)):
        return send_json(
            start_response, {"__type": error.code, "message": error.message}, error.status, error_type=error.code
        )
    text = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service in {"", "s3"} and not _is_form(environ):
        document = f"<Error>{text}<RequestId>{uuid.uuid4()}</RequestId></Error>"
    else:
        document = f"<ErrorResponse><Error><Type>Sender</Type>{text}</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    data = f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode()
    start_response(f"{error.status} Error", [("Content-Type", "application/xml"), ("Content-Length", str(len(data)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [data]


def _is_form(environ: Environ) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _cbor_texts(values: Mapping[str, str]) -> bytes:
    """Encode a map of texts (RFC 8949): botocore speaks CBOR to CloudWatch, and would show an answer in another form as a parser's error."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"\x79" + len(data).to_bytes(2, "big") + data

    return bytes([0xA0 + len(values)]) + b"".join(text(key) + text(value) for key, value in values.items())
