"""
One job's container log, written on into the task's log by the worker: from where the triggerer has left off, or as the worker itself waits.

Called by ``task/wait.py``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.watch.log_place import LATE_MILLISECONDS, LogPlace
from airflow_nbjobs.core.watch.pace import LOG_REFUSED_SECONDS, LONGEST_LOG_REFUSED_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_nbjobs.aws.ports import AwsClients, Log

_MOST_PAGES = 20  # of one call of `show`; a page has up to 10,000 events or 1 MiB. The next call goes on from there


class LogReader:
    """
    Writes one job's log into the task's.

    :param place: how far the log has been read.
    :param clock: seconds.
    """

    def __init__(
        self, clients: AwsClients, log: Log, place: LogPlace | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clients = clients
        self._log = log
        self.place = place or LogPlace()
        self._clock = clock
        self._search: tuple[int, str] | None = None  # one that has more pages: since when, and its token
        self._refused_until = float("-inf")
        self._refused_seconds = 0.0
        self._has_told = False

    def show(self, job_name: str) -> bool:
        """Write what is new into the log; say whether CloudWatch could be read and has anything of this job."""
        if self._clock() < self._refused_until:
            return False
        try:
            self._read(job_name)
        except (NotebookJobServiceError, NotebookJobConfigError) as error:
            # The log is a comfort: what it holds is in output.tar.gz as well.
            self._note(error)
            return False
        self._has_told, self._refused_seconds = False, 0.0
        return bool(self.place.floor or self.place.seen)

    def _read(self, job_name: str) -> None:
        since, token = self._search or (self.place.floor, None)
        for _ in range(_MOST_PAGES):
            page = self._clients.logs.events(prefix=f"{job_name}/", since=since, next_token=token)
            for line in self.place.take(page.events):
                self._log.info("%s", line)
            # Pages follow each other in the order of time.
            self.place.forget_before(max((event.at for event in page.events), default=0) - LATE_MILLISECONDS)
            token = page.next_token
            self._search = (since, token) if token is not None else None
            if token is None:
                return

    def _note(self, error: NotebookJobServiceError | NotebookJobConfigError) -> None:
        if not getattr(error, "is_retryable", False):
            self._search = None  # its token may be what is refused
            self._refused_seconds = min(
                max(self._refused_seconds * 2, LOG_REFUSED_SECONDS), LONGEST_LOG_REFUSED_SECONDS
            )
            self._refused_until = self._clock() + self._refused_seconds
        if not self._has_told:
            self._log.warning("CloudWatch log not read: %s", error.headline)
        self._has_told = True
