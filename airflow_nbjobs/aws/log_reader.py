"""
One job's container log, written on into the task's log by the worker: from where the triggerer has left off, or as the worker itself waits.

Called by ``execution.py``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_nbjobs.core.containerlog import LATE_MILLISECONDS, LogPlace
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.aws.clients import AwsClients
    from airflow_nbjobs.aws.ports import Log

_MOST_PAGES = 20  # of one look; a page has up to 10,000 events or 1 MiB
_REFUSED_SECONDS = 900.0  # after a denial: a policy may be corrected, or only have been on its way


class LogReader:
    """
    :param place: how far the log has been read.
    :param clock: seconds.
    """

    def __init__(
        self, clients: AwsClients, log: Log, place: LogPlace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clients = clients
        self._log = log
        self._place = place or LogPlace()
        self._clock = clock
        self._refused_until = float("-inf")

    @property
    def place(self) -> LogPlace:
        return self._place

    def show(self, job_name: str) -> bool:
        """Write what is new into the log; say whether CloudWatch could be read and has anything of this job."""
        if self._clock() < self._refused_until:
            return False
        token: str | None = None
        latest = 0
        try:
            for _ in range(_MOST_PAGES):
                page = self._clients.logs.events(prefix=f"{job_name}/", since=self._place.floor, next_token=token)
                latest = max([latest, *(event.at for event in page.events)])
                for line in self._place.take(page.events):
                    self._log.info("%s", line)
                token = page.next_token
                if token is None:
                    break
        except (NotebookJobServiceError, NotebookJobConfigError) as error:
            # The log is a comfort: what it holds is in output.tar.gz as well.
            if not getattr(error, "is_retryable", False):
                self._refused_until = self._clock() + _REFUSED_SECONDS
            self._log.warning("CloudWatch log not read: %s", error.headline)
            return False
        self._place.forget_before(latest - LATE_MILLISECONDS)
        return bool(self._place.seen)
