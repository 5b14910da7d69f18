"""
S3, STS, IAM, SSM and CloudWatch Logs: moto's backends, one WSGI application for each.

Used by ``server.py``, which has already decided that the caller may call and for which service.
"""

from __future__ import annotations

import threading
from typing import Any

from airflow_nbjobs.local.facts import DISTRIBUTION_ACCOUNTS, DISTRIBUTION_PARAMETER, ServerFacts
from airflow_nbjobs.local.wire import (
    Environ,
    Response,
    ServiceError,
    StartResponse,
    parse_json_object,
    read_body,
    send_json,
)

SERVICES = ("s3", "sts", "iam", "ssm", "logs")
# moto's own control pages, which would reset the server or list what it holds; no AWS service has these paths.
_CLOSED_PATHS = ("/moto-api", "/latest/meta-data", "/latest/api", "/favicon.ico")


class Backends:
    """
    moto, service by service.

    moto's own dispatcher guesses the service from host, path and body; here the signature has said it, so each application is made directly.
    """

    def __init__(self, facts: ServerFacts) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        self._create: Any = create_backend_app
        self._facts = facts
        self._applications: dict[str, Any] = {}
        self._lock = threading.Lock()

    def answer(self, service: str, environ: Environ, start_response: StartResponse) -> Response:
        """
        Answer one request.

        :raises ServiceError: the service, or the path, is none of ours.
        """
        if service not in SERVICES:
            raise ServiceError(
                "UnsupportedOperation",
                f"The embedded SageMaker does not support the AWS service {service!r}; it has sagemaker, {', '.join(SERVICES)}.",
            )
        if environ["PATH_INFO"].startswith(_CLOSED_PATHS):
            raise ServiceError("AccessDenied", "The embedded SageMaker keeps moto's own pages closed.", 403)
        if service == "ssm" and environ.get("HTTP_X_AMZ_TARGET") == "AmazonSSM.GetParameter":
            return self._get_parameter(environ, start_response)
        return list(self._application(service)(environ, _without_cors(start_response)))

    def _application(self, service: str) -> Any:
        with self._lock:
            if service not in self._applications:
                self._applications[service] = self._create(service)
            return self._applications[service]

    def _get_parameter(self, environ: Environ, start_response: StartResponse) -> Response:
        """Answer for the one public parameter that we need: moto lets nobody put a name below ``/aws``."""
        import io

        body = read_body(environ)
        if parse_json_object(body).get("Name") != DISTRIBUTION_PARAMETER:
            environ["wsgi.input"] = io.BytesIO(body)
            return list(self._application("ssm")(environ, _without_cors(start_response)))
        region = self._facts.region
        parameter = {
            "Name": DISTRIBUTION_PARAMETER,
            "Type": "String",
            "Value": DISTRIBUTION_ACCOUNTS[region],
            "Version": 1,
            "ARN": f"arn:aws:ssm:{region}::parameter{DISTRIBUTION_PARAMETER}",
            "DataType": "text",
        }
        return send_json(start_response, {"Parameter": parameter})


def _without_cors(start_response: StartResponse) -> StartResponse:
    """No page may read an answer: neither flask-cors nor a bucket's own CORS rules get out."""

    def start(status: str, headers: list[tuple[str, str]], *arguments: Any) -> Any:
        kept = [(name, value) for name, value in headers if not name.lower().startswith("access-control-")]
        return start_response(status, kept, *arguments)

    return start
