"""
How far each notebook is, read from the container's log as on AWS.

Called by ``app.py``; boto3 is imported when the first job has begun.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.commands.demo.api import ApiUnavailableError
from airflow_nbjobs.commands.demo.view import label
from airflow_nbjobs.core.errors import NotebookJobError
from airflow_nbjobs.core.job.xcoms import JOB_KEY, read_record
from airflow_nbjobs.core.notebook.progress import newest_cells
from airflow_nbjobs.local.embedded import make_client

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_nbjobs.commands.demo.api import AirflowApi
    from airflow_nbjobs.local.state.facts import ServerFacts

_LOG_LINES = 20
_ACTIVE = frozenset({"running", "deferred"})


class CellProgress:
    """Remembers the newest progress of each task instance."""

    def __init__(self, api: AirflowApi, server: ServerFacts) -> None:
        self._api = api
        self._clients = Boto3Clients(partial(make_client, server))
        self._cells: dict[str, tuple[int, int]] = {}

    def cells(self, instances: Iterable[dict[str, Any]]) -> Mapping[str, tuple[int, int]]:
        """
        Return cells done and in all, by the instances' labels, after reading the logs of those that run now.

        A log that cannot be read is no error: this is a comfort.
        """
        for instance in instances:
            if instance["state"] in _ACTIVE:
                with contextlib.suppress(NotebookJobError, ApiUnavailableError):
                    self._read(instance)
        return self._cells

    def _read(self, instance: dict[str, Any]) -> None:
        job = read_record(JOB_KEY, self._api.xcom(instance, JOB_KEY))
        if job.get("job_name") and (lines := self._clients.logs.tail(job["job_name"], limit=_LOG_LINES)):
            found = newest_cells("\n".join(lines), job.get("added_cells") or ())
            if found is not None:
                self._cells[label(instance)] = found
