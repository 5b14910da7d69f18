"""
How far each notebook is, read from the container's log as on AWS.

Called by ``app.py``; boto3 is imported when the first job has begun.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.commands.demo.api import ApiUnavailableError
from airflow_nbjobs.commands.demo.view import label
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_record
from airflow_nbjobs.core.notebook.progress import newest_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_nbjobs.commands.demo.api import AirflowApi
    from airflow_nbjobs.commands.demo.settings import EmbeddedServer

_LOG_LINES = 20
_ACTIVE = frozenset({"running", "deferred"})


class CellProgress:
    """Remembers the newest progress of each task instance."""

    def __init__(self, api: AirflowApi, server: EmbeddedServer) -> None:
        self._api = api
        self._clients = Boto3Clients(client_factory(server))
        self._cells: dict[str, tuple[int, int]] = {}

    def cells(self, instances: Iterable[dict[str, Any]]) -> Mapping[str, tuple[int, int]]:
        """
        Return cells done and in all, by the instances' labels, after a look at the logs of those that run now.

        A log that cannot be read is no error: this is a comfort.
        """
        for instance in instances:
            if instance["state"] in _ACTIVE:
                with contextlib.suppress(NotebookJobError, ApiUnavailableError):
                    self._look(instance)
        return self._cells

    def _look(self, instance: dict[str, Any]) -> None:
        job = read_record(JOB_KEY, self._api.xcom(instance, JOB_KEY))
        if job.get("job_name") and (lines := self._clients.logs.tail(job["job_name"], limit=_LOG_LINES)):
            found = newest_cells("\n".join(lines), job.get("added_cells") or ())
            if found is not None:
                self._cells[label(instance)] = found


def client_factory(server: EmbeddedServer) -> Callable[[str], Any]:
    """Return what makes boto3 clients of the embedded server, without a look at the user's own AWS settings or proxies."""

    def make_client(service: str) -> Any:
        import boto3
        from botocore.config import Config
        from botocore.session import Session

        session = Session(
            session_vars={
                "profile": (None, None, None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        return boto3.Session(
            aws_access_key_id=server.access_key_id,
            aws_secret_access_key=server.secret_access_key,
            region_name=server.region,
            botocore_session=session,
        ).client(service, endpoint_url=server.endpoint_url, config=Config(proxies={}))

    return make_client
