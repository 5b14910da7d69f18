"""
What to tell people about a failed notebook: ``failure_summary``, for ``on_failure_callback`` and for Airflow's notifiers.

Imported by DAG files: the standard library only at module level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_nbjobs.core.failure_summary import FailureSummary


def failure_summary(context: Mapping[str, Any]) -> FailureSummary:
    """
    Return a failure as a message: notebook, cell, error, source, parameters, job, cost, and the address of the tab that shows them.

    .. code-block:: python

        def tell(context):
            SmtpNotifier(to="oncall@acme.com", subject=…, html_content=…).notify(context)  # of failure_summary(context)


        SageMakerNotebookJobOperator(..., on_failure_callback=tell)

    Call the notifier's ``notify``: calling the notifier itself renders its texts with Jinja, and an exception of the notebook could write a template.

    For a task of another operator it tells the exception. As the callback of a DAG it tells which tasks have failed, and more of the first notebook among
    them; the DAG processor of Airflow 3.0 gives no callback more than the names of the DAG and its run, and of one task. What Airflow's masker knows
    as a secret is not in it. It never raises.

    :param context: of the callback.
    :return: ``title``, ``text`` and ``markdown`` (each of at most 2,000 characters), ``url``; its ``str`` is the text.
    """
    try:
        from airflow_nbjobs._compat import masked_text
        from airflow_nbjobs.core.failure_summary import summarize
        from airflow_nbjobs.task.failure_facts import gather

        return summarize(gather(context), masked_text)
    except Exception as error:  # noqa: BLE001 - a callback that fails tells nobody anything
        return _without_facts(error)


def _without_facts(error: Exception) -> FailureSummary:
    """Say that a task has failed, and nothing of it: what could not be masked is not told."""
    from airflow_nbjobs.core.failure_summary import FailureSummary

    said = f"A task has failed in Airflow, whose log has more: its summary could not be made ({type(error).__name__})"
    return FailureSummary("Airflow: a task has failed", said, said)
