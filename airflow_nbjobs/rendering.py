"""
A template of a date that the run does not have, in words.

Called while a task's fields are rendered; imported while DAGs are parsed: the standard library only at module level.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Context

# Airflow leaves these out of the context of a run without a logical date.
_DATES = re.compile(
    r"\b(ds|ds_nodash|ts|ts_nodash|ts_nodash_with_tz|logical_date|data_interval_start|data_interval_end)\b"
)


@contextmanager
def explained_dates(content: Any, context: Context) -> Iterator[None]:
    """
    Let jinja's *undefined* error leave the block with what to write instead.

    :param content: what is rendered; only texts are looked at.
    :raises NotebookJobConfigError: the run has no logical date, and the template takes one.
    """
    try:
        yield
    except Exception as error:
        from jinja2 import UndefinedError

        values: Any = context
        is_dateless = values.get("logical_date") is None
        name = _DATES.search(content) if isinstance(content, str) else None
        if not (isinstance(error, UndefinedError) and is_dateless and name is not None):
            raise
        from airflow_nbjobs.failures import FatalNotebookJobConfigError

        raise FatalNotebookJobConfigError(
            f"{content!r} cannot be rendered: {error}",
            details={
                "why": f"this run has no logical date (it was triggered by hand or by an asset), so '{name[1]}' does not exist",
                "next": "take the time at which the run became due, which every run has: "
                "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}",
            },
        ) from error
