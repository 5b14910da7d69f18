"""
The connection that the doctor asks AWS with: a task's hook, whose clients give up sooner.

Called by ``account_checks.py``.
"""

from __future__ import annotations

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.aws.diagnosis import Account
from airflow_nbjobs.commands.doctor.patient import Session
from airflow_nbjobs.settings import read_settings

_CONNECT_SECONDS = 5
_READ_SECONDS = 20
_ATTEMPTS = 2


def open_session(aws_conn_id: str) -> Session:
    """
    Read a connection as a task would.

    :raises NotebookJobConfigError: there is none of that id, or what it says of notebook jobs means nothing.
    """
    from botocore.config import Config

    from airflow_nbjobs.hooks import SageMakerNotebookJobHook

    hook = SageMakerNotebookJobHook(aws_conn_id=aws_conn_id)
    settings = read_settings(hook.connection_extra)
    config = hook.client_config.merge(
        Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        )
    )

    def client(service: str) -> object:
        return hook.client(service, config)

    return Session(clients=Boto3Clients(client), account=Account(client), settings=settings, hook=hook)
