"""
S3, STS, IAM, SSM, ECR, CloudWatch and its Logs: moto's backends, one WSGI application for each. Service Quotas: ours.

Used by ``server.py``, which has already decided that the caller may call and for which service.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.local.api.account import list_quotas, other_registrys_images
from airflow_nbjobs.local.api.log_events import check_group, end_exclusively, filter_log_events
from airflow_nbjobs.local.api.metrics import answer_with_index
from airflow_nbjobs.local.faults.http import identify
from airflow_nbjobs.local.state.facts import DISTRIBUTION_ACCOUNTS, DISTRIBUTION_PARAMETER, ServerFacts
from airflow_nbjobs.local.wire.formats import (
    Environ,
    ServiceError,
    json_response,
    parse_json_object,
    read_body,
    replace_body,
)
from airflow_nbjobs.local.wire.validation import RequestValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Response

LOG = logging.getLogger(__name__)

SERVICES = ("s3", "sts", "iam", "ssm", "logs", "monitoring", "ecr", "servicequotas")
# Of the services that speak JSON, and so can be held against the model before moto, which checks little: what they answer to a malformed request.
_REFUSALS = {
    "logs": "InvalidParameterException",
    "ssm": "ValidationException",
    "ecr": "InvalidParameterException",
    "servicequotas": "IllegalArgumentException",
}
_MODELS = {"servicequotas": "service-quotas"}  # botocore's name, where the signature has another
_MOTOS = {"monitoring": "cloudwatch"}  # moto's name, likewise
_OF_LOG_GROUPS = ("logs:FilterLogEvents", "logs:GetLogEvents", "logs:DescribeLogStreams")
# moto's own control pages, which would reset the server or list what it holds; no AWS service has these paths.
_CLOSED_PATHS = ("/moto-api", "/latest/meta-data", "/latest/api", "/favicon.ico")


class Backends:
    """
    moto, service by service.

    moto's own dispatcher guesses the service from host, path and body; here the signature has said it, so each application is made directly. What
    moto does not have, or cannot make sense of, is an answer of ours that names the operation.
    """

    def __init__(self, facts: ServerFacts, limits: Callable[[], Mapping[str, int]]) -> None:
        from moto.moto_server.werkzeug_app import create_backend_app

        self._create: Any = create_backend_app
        self._facts = facts
        self._limits = limits
        self._applications: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._validators: dict[str, RequestValidator] = {}

    def answer(self, service: str, environ: Environ) -> Response:
        """Answer one request; raises ServiceError where service, operation or path is none of ours, or the request is malformed."""
        if service not in SERVICES:
            raise ServiceError(
                "UnsupportedOperation",
                f"The embedded SageMaker does not support the AWS service {service!r}; it has sagemaker, {', '.join(SERVICES)}.",
            )
        if environ["PATH_INFO"].startswith(_CLOSED_PATHS):
            raise ServiceError("AccessDenied", "The embedded SageMaker keeps moto's own pages closed.", 403)
        operation, _ = identify(service, environ)
        if service in _REFUSALS:
            request = self._checked(service, operation, environ)
            if (document := self._own_answer(operation, request)) is not None:
                return json_response(document)
            if operation == "logs:GetLogEvents":
                replace_body(environ, json.dumps(end_exclusively(request)).encode())
        return self._answer_of_moto(service, operation, environ)

    def _checked(self, service: str, operation: str, environ: Environ) -> dict[str, Any]:
        """Return a JSON service's request, valid by the model; its body can be read again."""
        name = operation.partition(":")[2]
        validator = self._validator(service)
        if not validator.knows(name):
            raise _unsupported(operation)
        body = read_body(environ)
        replace_body(environ, body)
        request = parse_json_object(body)
        validator.check(name, request)
        return request

    def _validator(self, service: str) -> RequestValidator:
        with self._lock:
            if service not in self._validators:
                self._validators[service] = RequestValidator(_MODELS.get(service, service), code=_REFUSALS[service])
            return self._validators[service]

    def _own_answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """Answer what moto does not, or otherwise than AWS; None: moto does."""
        if operation == "ssm:GetParameter" and request["Name"] == DISTRIBUTION_PARAMETER:
            return self._distribution_parameter()
        if operation == "ecr:BatchGetImage":
            return other_registrys_images(request, self._facts)
        if operation == "servicequotas:ListServiceQuotas":
            return list_quotas(request, self._limits(), self._facts)
        if operation in _OF_LOG_GROUPS:
            check_group(request)
        if operation == "logs:FilterLogEvents":
            from moto.logs.models import logs_backends

            return filter_log_events(request, logs_backends[self._facts.account_id][self._facts.region].groups)
        return None

    def _answer_of_moto(self, service: str, operation: str, environ: Environ) -> Response:
        from werkzeug.wrappers import Response

        if service == "servicequotas":  # of which moto has other operations
            raise _unsupported(operation)
        try:
            response = Response.from_app(self._application(service), environ, buffered=True)
        except NotImplementedError as error:
            raise _unsupported(operation) from error
        except (OSError, MemoryError):  # not the caller's fault
            raise
        except Exception as error:
            LOG.exception("moto failed on %s", operation)
            raise _not_understood(operation, f"{type(error).__name__}: {error}") from error
        if response.mimetype == "text/html" and response.status_code >= 400 and environ["REQUEST_METHOD"] != "HEAD":
            raise _not_understood(operation, "it names no operation that moto knows, or lacks what that needs")
        # No page may read an answer: neither flask-cors nor a bucket's own CORS rules get out.
        for name in {name for name, _ in response.headers if name.lower().startswith("access-control-")}:
            del response.headers[name]
        return response

    def _application(self, service: str) -> Any:
        with self._lock:
            if service not in self._applications:
                self._applications[service] = self._create(_MOTOS.get(service, service))
                if service == "monitoring":
                    from moto.cloudwatch.models import cloudwatch_backends

                    answer_with_index(cloudwatch_backends[self._facts.account_id][self._facts.region])
            return self._applications[service]

    def _distribution_parameter(self) -> dict[str, Any]:
        """Answer for the one public parameter that we need: moto lets nobody put a name below ``/aws``."""
        name, region = DISTRIBUTION_PARAMETER, self._facts.region
        about = {"Name": name, "ARN": f"arn:aws:ssm:{region}::parameter{name}", "Version": 1}
        return {"Parameter": {**about, "Type": "String", "DataType": "text", "Value": DISTRIBUTION_ACCOUNTS[region]}}


def _unsupported(operation: str) -> ServiceError:
    return ServiceError("UnknownOperationException", f"The embedded SageMaker does not support {operation}.")


def _not_understood(operation: str, why: str) -> ServiceError:
    return ServiceError(
        "InvalidRequest", f"The embedded SageMaker cannot make sense of this request for {operation} ({why})."
    )
