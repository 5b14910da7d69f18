"""
A poller's port, and another on a fresh connection once AWS refuses its credentials.

Called by ``poller.py``, inside the triggerer's event loop: only there may Airflow be asked for a connection.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from airflow_nbjobs.aws.errors import has_refused_credentials
from airflow_nbjobs.core.errors import NotebookJobConfigError, NotebookJobServiceError
from airflow_nbjobs.core.job.doubts import REFUSED_SECONDS, Doubts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from airflow_nbjobs.aws.ports import TrainingJobs

log = logging.getLogger(__name__)
_REFUSED, _UNREAD = "refused", "unread"


class ReopenedJobs:
    """
    ``TrainingJobs`` on the connection as it was last read.

    :param open_jobs: reads the connection; runs in the loop and may take its time.
    :param note: says how many seconds to leave a failing endpoint alone.
    """

    def __init__(self, open_jobs: Callable[[], Awaitable[TrainingJobs]], note: Callable[[Exception], float]) -> None:
        self._open_jobs = open_jobs
        self._note = note
        self._port: TrainingJobs | None = None
        self._doubts = Doubts()
        self._reopened = 0  # since the last success

    @property
    def port(self) -> TrainingJobs:
        if self._port is None:
            raise RuntimeError("open() comes first")
        return self._port

    async def open(self) -> None:
        """
        Read the connection, again and again while the reason that it cannot be had may pass.

        :raises NotebookJobError: there is no such connection, or its role or key is refused for good.
        :raises Exception: Airflow could not be asked for some minutes.
        """
        while True:
            try:
                self._port = await self._open_jobs()
            except NotebookJobConfigError:
                raise
            except NotebookJobServiceError as error:  # the connection's role or profile cannot be had now
                if not error.is_retryable:
                    raise
                self._raise_if_lasting(error)
                await asyncio.sleep(self._note(error))
            except Exception as error:
                if self._has_lasted(_UNREAD):
                    raise
                await asyncio.sleep(self._note(error))
            else:
                self._doubts.clear(_UNREAD)
                return

    async def reopen(self, error: NotebookJobServiceError) -> None:
        """
        Read the connection again after AWS has refused its credentials, or they could not be had.

        At once the first time, then more and more slowly. A connection that cannot be read leaves the port as it is: its next refusal leads here again.

        :raises NotebookJobServiceError: ``error``: every connection was refused for some minutes.
        """
        self._raise_if_lasting(error)
        if self._reopened:
            await asyncio.sleep(self._note(error))
        self._reopened += 1
        try:
            self._port = await self._open_jobs()
        except Exception as failure:  # noqa: BLE001 - it may be there again in a moment, and the refusal is told in the end
            log.warning("The AWS connection could not be read again: %s", failure)

    def note_success(self) -> None:
        self._reopened = 0
        self._doubts.clear(_REFUSED)

    def _raise_if_lasting(self, error: NotebookJobServiceError) -> None:
        if has_refused_credentials(error) and self._has_lasted(_REFUSED):
            raise error

    def _has_lasted(self, what: str) -> bool:
        return self._doubts.has_lasted(what, REFUSED_SECONDS, now=asyncio.get_running_loop().time())
