"""
Who may call: the owner of the key, from this machine (and under the host names that the owner allowed), and no web page.

The server executes what it is sent, so each request to each service must carry the access key id that was made at start. Signatures are not
verified: on loopback, and on a network of the owner's own containers, the random id is enough, since nobody else can see it pass. Pure: decides on
the WSGI environment, before anything is read.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from airflow_nbjobs.local.wire.formats import Caller, Environ, ServiceError

if TYPE_CHECKING:
    from collections.abc import Collection

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/[^/]+/([^/]+)/([^/]+)/aws4_request")
_SIGV2 = re.compile(r"AWS ([^:\s]+):")
_NO_KEY = {"s3": "InvalidAccessKeyId", "iam": "InvalidClientTokenId", "sts": "InvalidClientTokenId"}


def parse_caller(environ: Environ) -> Caller:
    """Return what the request says of its signer; empty texts where it says nothing."""
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    if signed := _CREDENTIAL.search(authorization):
        return Caller(*signed.groups())
    if signed := _SIGV2.match(authorization):
        return Caller(signed[1], region="", service="s3")
    query = parse_qs(str(environ.get("QUERY_STRING", "")))
    if presigned := _CREDENTIAL.match("Credential=" + query.get("X-Amz-Credential", [""])[0]):
        return Caller(*presigned.groups())
    return Caller(query.get("AWSAccessKeyId", [""])[0], region="", service="s3" if "AWSAccessKeyId" in query else "")


def check_access(
    environ: Environ, caller: Caller, access_key_id: str, *, allowed_hosts: Collection[str] = frozenset()
) -> None:
    """
    Refuse what the owner did not send.

    :param allowed_hosts: names, in lower case and without a port, under which others than this machine may call.
    :raises ServiceError: 403, with what to do.
    """
    host = str(environ.get("HTTP_HOST", ""))
    name = _host_name(host)
    if not _is_loopback(name) and name not in allowed_hosts:
        # A name that a stranger's DNS points here ("rebinding") would make us a part of their page's origin.
        raise _denied(
            f"The embedded SageMaker answers to {', '.join(['127.0.0.1', 'localhost', *sorted(allowed_hosts)])}, not to the host name {host!r}."
        )
    if "HTTP_ORIGIN" in environ:
        raise _denied("The embedded SageMaker takes no requests from web pages (this one has an Origin header).")
    if not hmac.compare_digest(caller.access_key_id.encode(), access_key_id.encode()):
        found = "another access key id" if caller.access_key_id else "no access key id"
        raise ServiceError(
            _NO_KEY.get(caller.service, "UnrecognizedClientException"),
            f"The embedded SageMaker runs only what its owner sends; this request carries {found}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
            "to what `nbjobs local` printed at start (also in its --ready-file), or to what its --key-file holds; without that file they change with each start.",
            403,
        )


def _denied(text: str) -> ServiceError:
    return ServiceError("AccessDeniedException", text, 403)


def _host_name(host: str) -> str:
    return (host.rpartition(":")[0] if re.search(r":\d+$", host) else host).lower()


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
