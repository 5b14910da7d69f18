"""
Prices as the pages know them: the configuration's, over those that ``nbjobs prices update`` has left in a Variable.

Called by the routes. The Variable is read from Airflow's own database: a secrets backend of the deployment's, which may be AWS's, is not asked.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from airflow_nbjobs import settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from airflow_nbjobs.core.job.prices import Prices

log = logging.getLogger(__name__)

_SECONDS = 60.0
_known: list[tuple[float, str]] = []


def read_prices() -> Prices:
    """Return the prices; a Variable that was set is known within a minute."""
    if not _known or time.monotonic() - _known[0][0] > _SECONDS:
        from airflow_nbjobs.ui.access import new_session

        try:
            with new_session() as session:
                stored = stored_prices(session)
        except SQLAlchemyError as error:
            log.warning("The Variable '%s' could not be read: %s", settings.PRICES_VARIABLE, error)
            stored = ""
        _known[:] = [(time.monotonic(), stored)]
    return settings.read_prices(_known[0][1])


def stored_prices(session: Session) -> str:
    """Return the Variable's text; empty where there is none, or it cannot be decrypted."""
    from airflow.models.variable import Variable

    found = session.scalar(select(Variable).where(Variable.key == settings.PRICES_VARIABLE))
    return "" if found is None else str(found.get_val() or "")
