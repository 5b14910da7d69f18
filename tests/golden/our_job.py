"""
What this package sends for a case: the operator's own first leg, on boto3 clients whose requests are read before they reach a socket.

Used by ``test_requests.py``; the other side, ``NotebookJobStep``'s, is recorded in ``requests/`` by ``record.py``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG
from airflow_names import TaskDeferred
from fakes import task_context
from offline_aws import REGION, OfflineAws

from airflow_nbjobs.aws.clients import Boto3Clients
from airflow_nbjobs.operators import SageMakerNotebookJobOperator

if TYPE_CHECKING:
    from step_cases import Arguments

FOLDER = Path(__file__).resolve().parent
INPUTS = FOLDER / "inputs"
DAG_ID, TASK_ID, RUN_ID = "golden", "job", "manual__2026-11-22T00:00:00+00:00"


@dataclass(frozen=True, slots=True)
class Job:
    """
    A job as it would reach AWS.

    :param request: CreateTrainingJob's members.
    :param files: staged files by name: the body's sha256, and the headers that tell how S3 is to encrypt it.
    :param bodies: staged files' contents; the recording has none.
    """

    request: dict[str, Any]
    files: dict[str, dict[str, Any]]
    bodies: dict[str, bytes] = field(default_factory=dict)


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((FOLDER / "requests" / f"{name}.json").read_text())
    return content


def compile_job(arguments: Arguments, aws: OfflineAws) -> Job:
    """
    Run the operator's first leg; return the one job that it submits.

    :raises NotebookJobConfigError: the operator refuses the arguments.
    """
    aws.forget()
    dag = DAG(DAG_ID, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC))
    dag.fileloc = str(INPUTS / "dag.py")  # paths are looked up beside the DAG's file
    operator = SageMakerNotebookJobOperator(task_id=TASK_ID, dag=dag, **arguments)
    operator._hook = _OfflineHook(Boto3Clients(aws.client))
    context = task_context()
    context["ti"].dag_id, context["ti"].task_id, context["ti"].run_id = DAG_ID, TASK_ID, RUN_ID
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    (request,) = aws.jobs
    folder = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] + "/"
    assert all(put.uri.startswith(folder) for put in aws.puts)
    names = [put.uri.removeprefix(folder) for put in aws.puts]
    assert len(set(names)) == len(names), "a file was uploaded twice"
    return Job(
        request,
        {
            name: {"sha256": hashlib.sha256(put.body).hexdigest(), "encryption": put.encryption}
            for name, put in zip(names, aws.puts, strict=True)
        },
        {name: put.body for name, put in zip(names, aws.puts, strict=True)},
    )


@dataclass
class _OfflineHook:
    """What the operator asks of its hook."""

    clients: Boto3Clients
    connection_extra: dict[str, Any] = field(default_factory=dict)
    region: str = REGION
    has_credentials: bool = True
