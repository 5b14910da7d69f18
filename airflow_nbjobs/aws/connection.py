"""
One service's boto3 client, and another on a connection that is read anew where AWS refuses its credentials.

The base of the ports in ``clients.py``. A worker's port reads the connection itself; in the triggerer only the event loop's own thread may ask Airflow for it, so
that a poller's port has no ``renew`` and the poller opens another.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from airflow_nbjobs.aws.errors import needs_reopening, translated
from airflow_nbjobs.core.errors import NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


def is_of_aws(endpoint_url: str) -> bool:
    """Say whether it is AWS that answers there, and not something in its place."""
    return (urlsplit(endpoint_url).hostname or "").endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


class Port:
    """
    :param client: boto3's.
    :param renew: returns a client of the same service on a connection that it reads anew; None: somebody else does that.
    """

    def __init__(self, client: Any, renew: Callable[[], Any] | None = None) -> None:
        self._client = client
        self._renew = renew
        self._renewing = threading.Lock()

    @property
    def region(self) -> str:
        return str(self._client.meta.region_name)

    def ask(self, permission: str, call: Callable[[Any], Answer], *, on: str, job_name: str | None = None) -> Answer:
        """
        Return what ``call`` returns of the client; a client whose credentials are refused is replaced, and the call made again.

        A refused call has done nothing, so that it may be repeated whatever it does.

        :raises NotebookJobError: as ``translated`` does; of credentials only if fresh ones are refused as well.
        """
        client = self._client
        try:
            with translated(permission, on=on, job_name=job_name):
                return call(client)
        except NotebookJobServiceError as error:
            if self._renew is None or not needs_reopening(error):
                raise
            self._replace(client, error)
        with translated(permission, on=on, job_name=job_name):
            return call(self._client)

    def _replace(self, refused: Any, error: NotebookJobServiceError) -> None:
        with self._renewing:
            if self._client is not refused or self._renew is None:
                return  # another thread was refused first
            log.warning("%s; reading the AWS connection again", error.headline)
            try:
                self._client = self._renew()
            except Exception as failure:
                # Whatever keeps the connection from being read now passes as well: the refusal says so, and is worth a retry.
                log.warning("The AWS connection could not be read again: %s", failure)
                raise error from failure
