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
_DATES = r"(ds|ds_nodash|ts|ts_nodash|ts_nodash_with_tz|logical_date|data_interval_start|data_interval_end)"


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
        if not isinstance(error, UndefinedError) or values.get("logical_date") is not None:
            raise
        name = _missing_date(str(error), content)
        if name is None:
            raise
        from airflow_nbjobs.failures import FatalNotebookJobConfigError

        raise FatalNotebookJobConfigError(
            f"{content!r} cannot be rendered: {error}",
            details={
                "why": f"this run has no logical date (it was triggered by hand or by an asset), so '{name}' does not exist",
                "next": "take the time at which the run became due, which every run has: "
                "{{ (dag_run.data_interval_start or dag_run.run_after).strftime('%Y-%m-%d') }}",
            },
        ) from error


def _missing_date(message: str, content: Any) -> str | None:
    """Return which date jinja has missed: one of the context, or an attribute of ``dag_run``, which is there and None."""
    found = re.match(rf"'{_DATES}' is undefined", message)
    if found is None and message.startswith("'None' has no attribute"):
        found = re.search(rf"\b{_DATES}\b", str(content))
    return found[1] if found else None
