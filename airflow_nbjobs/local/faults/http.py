"""
Where faults strike: around every call that is not the platform's own, and the control path that switches them.

Used by ``server.py``, after ``access.py`` has let the request in: control needs the same key as everything else.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from airflow_nbjobs.local.faults.switches import FaultSwitches, Journal, Switch, parse_fault
from airflow_nbjobs.local.wire.formats import (
    Environ,
    ServiceError,
    ValidationError,
    json_response,
    parse_json_object,
    read_body,
    replace_body,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from werkzeug.wrappers import Response

    from airflow_nbjobs.local.faults.jobs import JobScripts
    from airflow_nbjobs.local.training.warm_pools import WarmPools
    from airflow_nbjobs.local.wire.formats import Answer

CONTROL_SERVICE = "nbjobs-control"  # as the caller's credential scope names it
CONTROL_PATH = "/nbjobs-control"
PLATFORM_AGENT = "nbjobs-platform"  # in the User-Agent of the server's own clients

_PREFIXES = {"monitoring": "cloudwatch"}  # IAM's, where the signature has another
_S3_OBJECT = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
_S3_BUCKET = {"PUT": "CreateBucket", "GET": "ListObjects", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}
_RESOURCE_MEMBERS = ("TrainingJobName", "TransformJobName", "ProcessingJobName", "ModelName", "ResourceArn")
_S3_SUBRESOURCES = {
    "encryption": "GetBucketEncryption",
    "location": "GetBucketLocation",
    "versioning": "GetBucketVersioning",
}
# Of CloudWatch Logs, of SSM, of ECR, of KMS.
_OTHERS_MEMBERS = ("logGroupName", "logStreamName", "Name", "registryId", "repositoryName", "KeyId")
_FORM_MEMBERS = ("RoleName", "PolicySourceArn")  # of IAM
# What S3 says where the JSON services say this.
_S3_CODES = {
    "ThrottlingException": ("SlowDown", "Please reduce your request rate.", 503),
    "InternalFailure": ("InternalError", "We encountered an internal error. Please try again.", 500),
    "AccessDeniedException": ("AccessDenied", "Access Denied", 403),
}


class FaultLayer:
    """
    What stands between the door and the services.

    :ivar journal: what was called, for tests to ask.
    :ivar platform_journal: what the platform itself called, in the place of a job's role.
    """

    def __init__(self) -> None:
        self.switches = FaultSwitches()
        self.journal = Journal()
        self.platform_journal = Journal()
        self.scripts: JobScripts | None = None
        self.pools: WarmPools | None = None

    def around(self, service: str, environ: Environ, answer: Answer) -> Response:
        """Answer one call, unless a fault does; raises ConnectionResetError when a fault resets the connection."""
        operation, resource = identify(service, environ)
        if PLATFORM_AGENT in str(environ.get("HTTP_USER_AGENT", "")):
            with self.platform_journal.noting(operation, resource, ()) as call:
                response = answer(environ)
                call.answer = str(response.status_code)
            return response
        hits = self.switches.hitting(operation, resource)
        with self.journal.noting(operation, resource, tuple(hit.id for hit in hits)) as call:
            for hit in hits:
                if hit.fault.when == "before":
                    strike(hit, service, environ)
            response = answer(environ)
            for hit in hits:
                if hit.fault.when == "after":
                    strike(hit, service, environ)
            call.answer = str(response.status_code)
        return response

    def control(self, environ: Environ) -> Response:
        """Perform one control request: a JSON object whose ``action`` names what to do."""
        if environ["PATH_INFO"] != CONTROL_PATH or environ["REQUEST_METHOD"] != "POST":
            raise ServiceError("ValidationException", f"Faults are switched by POST {CONTROL_PATH}.", 404)
        request = parse_json_object(read_body(environ))
        action = request.pop("action", None)
        actions: dict[Any, Callable[..., Any]] = {
            "add": lambda fault: self.switches.add(parse_fault(fault)).document(),
            "remove": lambda id: self.switches.remove(id).document(),  # noqa: A006 - the wire's name
            "get": lambda id: self.switches.get(id).document(),  # noqa: A006
            "list": lambda: {"faults": [switch.document() for switch in self.switches.all()]},
            "calls": lambda *, by_platform=False, **query: {
                "calls": (self.platform_journal if by_platform else self.journal).calls(**query)
            },
            "clear": self._clear,
            **(self.scripts.actions() if self.scripts else {}),
            **(self.pools.actions() if self.pools else {}),
        }
        if action not in actions:
            raise ValidationError(f"The action is one of {', '.join(actions)}, not {action!r}.")
        try:
            answer = actions[action](**request)
        except TypeError as error:  # the request's members are the action's arguments
            raise ValidationError(f"{action}: {error}") from error
        return json_response(answer if isinstance(answer, dict) else {})

    def _clear(self) -> None:
        self.switches.clear()
        if self.scripts:
            self.scripts.clear()
        if self.pools:
            self.pools.clear()


def identify(service: str, environ: Environ) -> tuple[str, str]:
    """
    Return a call's operation and resource, in the form that faults name them.

    ``CreateTrainingJob`` and a job's name, ``s3:GetObject`` and ``bucket/key``, ``logs:GetLogEvents`` and ``group`` or ``group:stream``, ``iam:GetRole`` and
    the role's name, ``ssm:GetParameter`` and the parameter's, ``ecr:BatchGetImage`` and ``registry:repository``, ``cloudwatch:GetMetricData``.
    """
    if service == "s3":
        return _identify_s3(environ)
    service = _PREFIXES.get(service, service)
    body = read_body(environ)
    replace_body(environ, body)
    if cbor := re.search(r"/operation/(\w+)$", str(environ["PATH_INFO"])):
        return f"{service}:{cbor[1]}", ""
    operation = str(environ.get("HTTP_X_AMZ_TARGET", "")).rpartition(".")[2]
    if not operation:
        form = parse_qs(body.decode(errors="replace"))
        resource = next((form[member][0] for member in _FORM_MEMBERS if member in form), "")
        return f"{service}:{form.get('Action', ['?'])[0]}", resource
    try:
        request = parse_json_object(body)
    except ServiceError:
        request = {}
    if service == "sagemaker":
        return operation, next((str(request[member]) for member in _RESOURCE_MEMBERS if member in request), "")
    return f"{service}:{operation}", ":".join(str(request[member]) for member in _OTHERS_MEMBERS if member in request)


def _identify_s3(environ: Environ) -> tuple[str, str]:
    resource = unquote(str(environ["PATH_INFO"])).lstrip("/")
    method = str(environ["REQUEST_METHOD"])
    _bucket, _, key = resource.partition("/")
    asked = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    if method == "GET" and not key and (about := next((name for name in _S3_SUBRESOURCES if name in asked), None)):
        return f"s3:{_S3_SUBRESOURCES[about]}", resource.rstrip("/")
    if method == "POST":
        return "s3:DeleteObjects" if not key else "s3:MultipartUpload", resource
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "s3:CopyObject", resource
    if method == "DELETE" and "uploadId" in asked:
        return "s3:AbortMultipartUpload", resource
    return f"s3:{(_S3_OBJECT if key else _S3_BUCKET).get(method, method)}", resource


def strike(hit: Switch, service: str, environ: Environ) -> None:
    """Do to a call what the fault says: raise ServiceError in the words of the service that was called, reset, or wait."""
    fault = hit.fault
    if fault.effect == "delay":
        hit.is_off.wait(fault.seconds)
        return
    if fault.effect == "reset":
        # With RST, as a peer that has gone does; a client might take an orderly end for an empty answer.
        connection = environ["werkzeug.socket"]
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(connection.detach())
        raise ConnectionResetError("reset by a fault switch")
    code, message, status = fault.code, fault.message, fault.status
    if service == "s3":
        code, message, status = _S3_CODES.get(code, (code, message, status))
    raise ServiceError(code, message, status)
