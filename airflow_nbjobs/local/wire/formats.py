"""
The AWS wire formats that the embedded SageMaker answers in: JSON 1.1, and errors in the form that each kind of client parses.

Used by ``access.py`` and ``server.py``; knows no operation.
"""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Response

    Answer = Callable[["Environ"], Response]

Environ = dict[str, Any]


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


class ValidationError(ServiceError):
    """``ValidationException``, which SageMaker answers to most of what the caller got wrong."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who signed a request, and for what.

    :param service: the signing name, ``sagemaker``, ``s3``; empty where the signature does not say (SigV2, which only S3 ever had).
    """

    access_key_id: str
    region: str
    service: str


def check_length(environ: Environ) -> None:
    """Raise ServiceError for a request whose length is no number, before anybody reads it."""
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
    """Return the request of a JSON-1.1 operation; raises ServiceError for what is no JSON object."""
    try:
        value = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ServiceError("SerializationException", "The request is not a JSON object")
    return value


def json_response(body: Mapping[str, Any], status: int = 200, **headers: str) -> Response:
    from werkzeug.wrappers import Response

    headers = {"x-amzn-RequestId": str(uuid.uuid4()), **headers}
    return Response(json.dumps(body), status, headers, content_type="application/x-amz-json-1.1")


def error_response(environ: Environ, error: ServiceError, service: str) -> Response:
    """Answer in the protocol of the service that was called, so that its client shows code and message."""
    from werkzeug.wrappers import Response

    document = {"__type": error.code, "message": error.message}
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        headers = {"smithy-protocol": "rpc-v2-cbor"}
        return Response(_cbor_texts(document), error.status, headers, content_type="application/cbor")
    if environ.get("HTTP_X_AMZ_TARGET") or (service not in {"", "s3", "iam", "sts"} and not _is_form(environ)):
        return json_response(document, error.status, **{"x-amzn-ErrorType": error.code})
    text = f"<Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
    if service in {"", "s3"} and not _is_form(environ):
        xml = f"<Error>{text}<RequestId>{uuid.uuid4()}</RequestId></Error>"
    else:
        xml = f"<ErrorResponse><Error><Type>Sender</Type>{text}</Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return Response(f'<?xml version="1.0" encoding="UTF-8"?>\n{xml}', error.status, content_type="application/xml")


def _is_form(environ: Environ) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form-urlencoded")


def _cbor_texts(values: Mapping[str, str]) -> bytes:
    """Encode a map of texts (RFC 8949): botocore speaks CBOR to CloudWatch, and would show an answer in another form as a parser's error."""

    def text(value: str) -> bytes:
        data = value.encode()
        return b"\x79" + len(data).to_bytes(2, "big") + data

    return bytes([0xA0 + len(values)]) + b"".join(text(key) + text(value) for key, value in values.items())
